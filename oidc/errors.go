package oidc

import (
	"errors"
	"net/http"
	"strings"
)

// Error is a refusal in the words of the protocol: Code and Description go to the caller, the rest into the event.
type Error struct {
	Code        string
	Description string // a plain sentence of ASCII
	Status      int    // where the answer is JSON; 0: 400
	Event       string // the event's code; empty: OauthError
	Reason      string // exact, for the admin only; empty: the description
	User        string // whom it concerns, where that is known
	Scope       string // what would have sufficed, with InsufficientScope
}

func (e *Error) Error() string { return e.Code + ": " + e.Description }

// Error codes, each with the sentence of its specification.
const (
	// RFC 6749 §5.2: "The request is missing a required parameter, includes an unsupported parameter value (other than
	// grant type), repeats a parameter, includes multiple credentials, utilizes more than one mechanism for
	// authenticating the client, or is otherwise malformed."
	InvalidRequest = "invalid_request"
	// RFC 6749 §5.2: "Client authentication failed (e.g., unknown client, no client authentication included, or
	// unsupported authentication method)."
	InvalidClient = "invalid_client"
	// RFC 6749 §5.2: "The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh
	// token is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was
	// issued to another client."
	InvalidGrant = "invalid_grant"
	// RFC 6749 §5.2: "The authenticated client is not authorized to use this authorization grant type."
	UnauthorizedClient = "unauthorized_client"
	// RFC 6749 §5.2: "The authorization grant type is not supported by the authorization server."
	UnsupportedGrantType = "unsupported_grant_type"
	// RFC 6749 §5.2: "The requested scope is invalid, unknown, malformed, or exceeds the scope granted by the resource
	// owner."
	InvalidScope = "invalid_scope"
	// RFC 6749 §4.1.2.1: "The resource owner or authorization server denied the request."
	AccessDenied = "access_denied"
	// RFC 6749 §4.1.2.1: "The authorization server does not support obtaining an authorization code using this method."
	UnsupportedResponseType = "unsupported_response_type"
	// RFC 6749 §4.1.2.1: "The authorization server encountered an unexpected condition that prevented it from fulfilling
	// the request."
	ServerError = "server_error"
	// RFC 6749 §4.1.2.1: "The authorization server is currently unable to handle the request due to a temporary
	// overloading or maintenance of the server."
	TemporarilyUnavailable = "temporarily_unavailable"

	// Core §3.1.2.6: "The Authorization Server requires End-User authentication."
	LoginRequired = "login_required"
	// Core §3.1.2.6: "The Authorization Server requires End-User interaction of some form to proceed."
	InteractionRequired = "interaction_required"
	// Core §3.1.2.6: "The Authorization Server requires End-User consent."
	ConsentRequired = "consent_required"
	// Core §3.1.2.6: "The OP does not support use of the request parameter defined in Section 6."
	RequestNotSupported = "request_not_supported"
	// Core §3.1.2.6: "The OP does not support use of the request_uri parameter defined in Section 6."
	RequestURINotSupported = "request_uri_not_supported"
	// Core §3.1.2.6: "The OP does not support use of the registration parameter defined in Section 7.2.1."
	RegistrationNotSupported = "registration_not_supported"

	// RFC 6750 §3.1: "The access token provided is expired, revoked, malformed, or invalid for other reasons."
	InvalidToken = "invalid_token"
	// RFC 6750 §3.1: "The request requires higher privileges than provided by the access token."
	InsufficientScope = "insufficient_scope"

	// RFC 7591 §3.2.2: "The value of one or more redirection URIs is invalid."
	InvalidRedirectURI = "invalid_redirect_uri"
	// RFC 7591 §3.2.2: "The value of one of the client metadata fields is invalid and the server has rejected this
	// request."
	InvalidClientMetadata = "invalid_client_metadata"
	// RFC 7591 §3.2.2: "The software statement presented is invalid."
	InvalidSoftwareStatement = "invalid_software_statement"
)

// invalidRequest is a request that says nothing sensible.
func invalidRequest(description string) *Error {
	return &Error{Code: InvalidRequest, Description: description}
}

// judged is err in the words of the protocol. What is neither a refusal nor the house's no is our fault: one fixed
// sentence outside, the whole of it in the event.
func judged(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var d *Denied
	if errors.As(err, &d) {
		return &Error{Code: d.Code, Description: d.Description, Event: d.Event, Reason: d.Reason, User: d.User}
	}
	if errors.Is(err, ErrLarge) {
		return invalidRequest("The request is too large to be remembered until its person has signed in.")
	}
	if errors.Is(err, ErrBusy) {
		return &Error{Code: TemporarilyUnavailable, Description: "The server is busy. Try again in a moment.",
			Status: http.StatusServiceUnavailable, Event: "InternalError", Reason: err.Error()}
	}
	return &Error{Code: ServerError, Status: http.StatusInternalServerError, Event: "InternalError", Reason: err.Error()}
}

// refusal is the event of e.
func (e *Error) refusal(c *Client) Refusal {
	f := Refusal{Code: e.Event, Reason: e.Reason, User: e.User}
	if c != nil {
		f.App = c.App
	}
	if f.Code == "" {
		f.Code = "OauthError"
	}
	if f.Reason == "" {
		f.Reason = e.Description
	}
	return f
}

// sentence is the description with the reference that finds the event of a fault of ours.
func (e *Error) sentence(reference string) string {
	if e.Code == ServerError {
		return "Something went wrong here. Tell your administrator this reference: " + reference
	}
	return plain(e.Description)
}

// plain holds s to the characters a description may have. RFC 6749 §5.2: "Values for the "error_description" parameter
// MUST NOT include characters outside the set %x20-21 / %x23-5B / %x5D-7E."
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"', r == '\\':
			return '\''
		case r < 0x20 || r > 0x7e:
			return '?'
		}
		return r
	}, s)
}
