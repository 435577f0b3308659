package saml

// Error is a refusal that the service provider is told in a <Status> (Core §3.2.2), once the address to tell it at is trusted.
type Error struct {
	Status string // top-level status code URN
	Sub    string // second-level status code URN, empty for none
	Code   string // the event's code
	Reason string // exact, for the admin only
}

func (e *Error) Error() string { return e.Code + ": " + e.Reason }

// Status codes, Core §3.2.2.2.
const (
	StatusSuccess             = "urn:oasis:names:tc:SAML:2.0:status:Success"
	StatusRequester           = "urn:oasis:names:tc:SAML:2.0:status:Requester"
	StatusResponder           = "urn:oasis:names:tc:SAML:2.0:status:Responder"
	StatusVersionMismatch     = "urn:oasis:names:tc:SAML:2.0:status:VersionMismatch"
	StatusInvalidNameIDPolicy = "urn:oasis:names:tc:SAML:2.0:status:InvalidNameIDPolicy"
	StatusNoAuthnContext      = "urn:oasis:names:tc:SAML:2.0:status:NoAuthnContext"
	StatusNoPassive           = "urn:oasis:names:tc:SAML:2.0:status:NoPassive"
	StatusUnsupportedBinding  = "urn:oasis:names:tc:SAML:2.0:status:UnsupportedBinding"
	StatusRequestDenied       = "urn:oasis:names:tc:SAML:2.0:status:RequestDenied"
	StatusUnknownPrincipal    = "urn:oasis:names:tc:SAML:2.0:status:UnknownPrincipal"
)

// NameID formats, Core §8.3.
const (
	FormatUnspecified = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
	FormatEmail       = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
	FormatPersistent  = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	FormatTransient   = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
)

// Bindings, Bindings §3.
const (
	BindingRedirect = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
	BindingPOST     = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
)

// Attribute name formats, Core §8.2.
const (
	AttrUnspecified = "urn:oasis:names:tc:SAML:2.0:attrname-format:unspecified"
	AttrURI         = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"
	AttrBasic       = "urn:oasis:names:tc:SAML:2.0:attrname-format:basic"
)

// Authentication context classes (Authentication Context §3.4; REFEDS).
const (
	ClassUnspecified       = "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified"
	ClassPassword          = "urn:oasis:names:tc:SAML:2.0:ac:classes:Password"
	ClassPasswordProtected = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
	ClassTimeSyncToken     = "urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken"
	ClassMFA               = "https://refeds.org/profile/mfa"
)
