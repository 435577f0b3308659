package api

import "reflect"

// The kinds of document, key by key as SURFACE.md §3 lists them. A pointer tells a key that is absent from one that is
// empty. `later` marks a key whose effect is not built: it is refused, never ignored.

type head struct {
	Kind string `doc:"kind"`
	Org  string `doc:"org"`
}

// UserDoc declares a user.
type UserDoc struct {
	head
	Username       string             `doc:"username"`
	Email          string             `doc:"email"`
	GivenName      string             `doc:"givenName"`
	FamilyName     string             `doc:"familyName"`
	Active         *bool              `doc:"active"`
	Type           string             `doc:"type"`
	Profile        string             `doc:"profile"`
	PermissionSets []string           `doc:"permissionSets"`
	Groups         []string           `doc:"groups"`
	Roles          []string           `doc:"roles"`
	Attributes     map[string]Strings `doc:"attributes"`
	EmailVerified  *bool              `doc:"emailVerified"`
	FederationID   string             `doc:"federationID"`
	PersistentIDs  map[string]string  `doc:"persistentIDs"`
	Password       *Password          `doc:"password"`
	TOTP           *Secret            `doc:"totp,later"`
	Frozen         *bool              `doc:"frozen,later"`
}

// Password is a password as declared: a hash of a known kind, or plain text for tests and demos.
type Password struct {
	Hash  string `doc:"hash"`
	Plain string `doc:"plain"`
}

// Secret is a secret in plain text.
type Secret struct {
	Plain string `doc:"plain"`
}

// Strings is one string or several.
type Strings []string

// NamedDoc declares a group, profile, permission set or scope.
type NamedDoc struct {
	head
	Name        string `doc:"name"`
	Description string `doc:"description"`
}

// ProfileDoc declares a profile.
type ProfileDoc struct {
	NamedDoc
	Permissions    []string         `doc:"permissions,later"`
	IPRanges       []string         `doc:"ipRanges,later"`
	LoginHours     []map[string]any `doc:"loginHours,later"`
	SecondFactor   string           `doc:"secondFactor,later"`
	SessionTimeout Duration         `doc:"sessionTimeout,later"`
}

// PermissionSetDoc declares a permission set.
type PermissionSetDoc struct {
	NamedDoc
	Permissions []string `doc:"permissions,later"`
}

// ScopeDoc declares a scope.
type ScopeDoc struct {
	NamedDoc
	Label    string `doc:"label"`
	Audience string `doc:"audience"`
}

// AppDoc declares a connected app with this org's policy for it.
type AppDoc struct {
	head
	Name         string     `doc:"name"`
	APIName      string     `doc:"apiName"`
	ContactEmail string     `doc:"contactEmail"`
	ContactPhone string     `doc:"contactPhone"`
	Description  string     `doc:"description"`
	InfoURL      string     `doc:"infoURL"`
	StartURL     string     `doc:"startURL"`
	Logo         *Source    `doc:"logo,later"`
	RunsOn       string     `doc:"runsOn"`
	Parent       string     `doc:"parent"`
	Launcher     *Launcher  `doc:"launcher"`
	SAML         *SAMLDoc   `doc:"saml"`
	OAuth        *OAuthDoc  `doc:"oauth"`
	Policy       *PolicyDoc `doc:"policy"`
}

// Launcher is how the app shows on the launcher.
type Launcher struct {
	Visible *bool `doc:"visible"`
	Order   int   `doc:"order"`
}

// Source is a document that lies elsewhere or stands right here.
type Source struct {
	File    string `doc:"file"`
	URL     string `doc:"url"`
	Inline  string `doc:"inline"`
	Refresh string `doc:"refresh,later"`
	Pin     string `doc:"pin,later"`
}

// SAMLDoc is the SAML half of an app.
type SAMLDoc struct {
	Metadata              *Source        `doc:"metadata"`
	EntityID              string         `doc:"entityID"`
	ACS                   []EndpointDoc  `doc:"acs"`
	SLO                   []EndpointDoc  `doc:"slo,later"`
	Certificates          []string       `doc:"certificates"` // PEM
	NameID                *NameIDDoc     `doc:"nameID"`
	Sign                  *SignDoc       `doc:"sign"`
	RequireSignedRequests bool           `doc:"requireSignedRequests"`
	Encryption            Encryption     `doc:"encryption"`
	AuthnContext          AuthnContext   `doc:"authnContext"`
	AllowHTTP             bool           `doc:"allowHTTP"` // a plain-http ACS elsewhere than on this machine may be used
	Attributes            []AttributeDoc `doc:"attributes"`
	Issuer                string         `doc:"issuer,later"`
	Key                   string         `doc:"key,later"`
	RelayState            string         `doc:"relayState"`
	Validity              Duration       `doc:"validity"`
	Skew                  Duration       `doc:"skew"`
	SessionNotOnOrAfter   string         `doc:"sessionNotOnOrAfter,later"`
}

// Encryption is off.
type Encryption string

// AuthnContext is lenient, strict, or {always: URN}.
type AuthnContext string

// EndpointDoc is one address of a service provider.
type EndpointDoc struct {
	URL     string `doc:"url"`
	Binding string `doc:"binding"`
	Index   *int   `doc:"index"`
	Default *bool  `doc:"default"`
}

// NameIDDoc says which NameID the app gets.
type NameIDDoc struct {
	Format string `doc:"format"`
	Source string `doc:"source"`
	Force  bool   `doc:"force"`
}

// SignDoc says what is signed.
type SignDoc struct {
	Response  *bool  `doc:"response"`
	Assertion *bool  `doc:"assertion"`
	Algorithm string `doc:"algorithm"`
}

// AttributeDoc is one SAML attribute.
type AttributeDoc struct {
	Name         string            `doc:"name"`
	FriendlyName string            `doc:"friendlyName"`
	NameFormat   string            `doc:"nameFormat"`
	Source       string            `doc:"source"`
	Constant     string            `doc:"constant"`
	Join         string            `doc:"join"`
	Filter       string            `doc:"filter"`
	Rename       map[string]string `doc:"rename"`
}

// OAuthDoc is the OAuth half of an app.
type OAuthDoc struct {
	ClientID                string            `doc:"clientID"`
	ClientSecret            *Secret           `doc:"clientSecret"`
	Type                    string            `doc:"type"`
	RedirectURIs            []string          `doc:"redirectURIs"`
	PostLogoutRedirectURIs  []string          `doc:"postLogoutRedirectURIs"`
	Scopes                  []string          `doc:"scopes"`
	DefaultScopes           []string          `doc:"defaultScopes"`
	Flows                   *FlowsDoc         `doc:"flows"`
	RequirePKCE             string            `doc:"requirePKCE"`
	RequireSecret           *RequireSecretDoc `doc:"requireSecret"`
	Public                  *bool             `doc:"public"`
	TokenEndpointAuthMethod string            `doc:"tokenEndpointAuthMethod"`
	JWKS                    *JWKS             `doc:"jwks"`
	JWKSURI                 string            `doc:"jwksURI"`
	AccessToken             *AccessTokenDoc   `doc:"accessToken"`
	IDToken                 *IDTokenDoc       `doc:"idToken"`
	Introspect              string            `doc:"introspect"`
	RotateRefreshTokens     string            `doc:"rotateRefreshTokens"`
	Registration            *RegistrationDoc  `doc:"registration"`

	ProfileName           string         `doc:"profile,later"`
	Certificate           string         `doc:"certificate,later"`
	AllowedOrigins        []string       `doc:"allowedOrigins,later"`
	Subject               any            `doc:"subject,later"`
	Claims                map[string]any `doc:"claims,later"`
	Serves                []string       `doc:"serves,later"`
	FrontchannelLogoutURI string         `doc:"frontchannelLogoutURI,later"`
	BackchannelLogoutURI  string         `doc:"backchannelLogoutURI,later"`
	InitiateLoginURI      string         `doc:"initiateLoginURI,later"`
	RequirePAR            bool           `doc:"requirePAR,later"`
	DPoPBound             bool           `doc:"dpopBound,later"`
	IPRanges              []string       `doc:"ipRanges,later"`
}

// FlowsDoc switches the ways to a token; what is not listed is off.
type FlowsDoc struct {
	AuthorizationCode  bool `doc:"authorizationCode"`
	Refresh            bool `doc:"refresh"`
	ClientCredentials  bool `doc:"clientCredentials"`
	Device             bool `doc:"device,later"`
	JWTBearer          bool `doc:"jwtBearer,later"`
	SAMLBearer         bool `doc:"samlBearer,later"`
	TokenExchange      bool `doc:"tokenExchange,later"`
	Password           bool `doc:"password,later"`
	CodeAndCredentials bool `doc:"codeAndCredentials,later"`
	Implicit           bool `doc:"implicit,later"`
	Hybrid             bool `doc:"hybrid,later"`
}

// RequireSecretDoc says where a secret must be shown.
type RequireSecretDoc struct {
	WebServer     *bool `doc:"webServer"`
	Refresh       *bool `doc:"refresh"`
	TokenExchange *bool `doc:"tokenExchange"` // true: there is no token exchange yet that could do without
}

// AccessTokenDoc is the kind and life of access tokens.
type AccessTokenDoc struct {
	Format   string   `doc:"format"` // opaque
	Lifetime Duration `doc:"lifetime"`
}

// IDTokenDoc is the life and content of ID tokens.
type IDTokenDoc struct {
	Lifetime  Duration `doc:"lifetime"`
	Algorithm string   `doc:"algorithm"` // RS256
	Claims    string   `doc:"claims"`
}

// RegistrationDoc makes the app the mould of a gateway's clients.
type RegistrationDoc struct {
	Limit             *int     `doc:"limit"`
	ExpireUnusedAfter Duration `doc:"expireUnusedAfter"`
	Approval          string   `doc:"approval"` // automatic
	Grants            []string `doc:"grants"`
	Scopes            []string `doc:"scopes"`
	RunAs             string   `doc:"runAs"`
	Permit            string   `doc:"permit"`
}

// PolicyDoc is the org's installation of the app.
type PolicyDoc struct {
	PermittedUsers string          `doc:"permittedUsers"`
	Profiles       []string        `doc:"profiles"`
	PermissionSets []string        `doc:"permissionSets"`
	Groups         []string        `doc:"groups"`
	Users          []PermittedUser `doc:"users"`
	RunAs          string          `doc:"runAs"`
	Blocked        *bool           `doc:"blocked"`

	IPRanges      []string       `doc:"ipRanges,later"`
	IPRelaxation  string         `doc:"ipRelaxation,later"`
	RefreshToken  any            `doc:"refreshToken,later"`
	Session       map[string]any `doc:"session,later"`
	RedirectURIs  []string       `doc:"redirectURIs,later"`
	ApprovalLimit int            `doc:"approvalLimit,later"`
	StartURL      string         `doc:"startURL,later"`
}

// onlyBlocks tells if the policy says that the app is blocked and nothing else: it is then not installed, as without a
// policy.
func (d *PolicyDoc) onlyBlocks() bool {
	blocks := d.Blocked != nil && *d.Blocked
	return blocks && reflect.DeepEqual(d, &PolicyDoc{Blocked: d.Blocked})
}

// PermittedUser names one user, with an end if there is one.
type PermittedUser struct {
	User  string `doc:"user"`
	Until Date   `doc:"until"`
}
