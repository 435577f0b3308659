// Package saml is the identity-provider role of SAML 2.0: single sign-on over HTTP-Redirect and HTTP-POST, started by
// the service provider or here, and metadata in and out. It does not know the house it serves: what it must remember it
// asks of a [Store], and who is at the browser it asks of [Users].
//
//	/saml/metadata          metadata.go      Metadata §2.4.3
//	/saml/certificate.pem   metadata.go
//	/saml/sso               sso.go           Bindings §3.4, §3.5; Core §3.4; Profiles §4.1
//	/saml/continue          sso.go           the same request, once the person has brought what was missing
//	/saml/launch/{app}      launch.go        Profiles §4.1.5
//
// binding.go reads what arrives, request.go what it asks, ladder.go and ladder_app.go hold the rungs that judge it, in
// their order, with endpoint.go, certificate.go, nameid.go and authncontext.go for what they choose and compare. refuse.go
// says where a no goes, response.go writes the yes. descriptor.go, descriptor_endpoints.go and descriptor_keys.go read
// service-provider metadata.
package saml

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/lanyard-sso/lanyard/keys"
)

// Handler answers the SAML addresses of every org. All fields are set once, before Mount.
type Handler struct {
	Site  func(context.Context) *Site // the org at whose address the request arrived
	Store Store
	Users Users
	Now   func() time.Time
	NewID func() string // at least 128 random bits; IDs on the wire must not tell the time
	Log   *slog.Logger
}

// Site is one org's face to its service providers.
type Site struct {
	Org      string
	Base     string // public address, no trailing slash
	EntityID string
	Keys     *keys.Ring // keys of use saml
}

// ServiceProvider is the SAML half of a connected app: what its metadata or its admin said.
type ServiceProvider struct {
	App     string `json:"-"` // the house's id of the app, opaque here
	APIName string `json:"-"` // the app's own address is /saml/launch/{APIName}
	Name    string `json:"-"` // for pages
	Start   string `json:"-"` // where a person may begin again; empty: nowhere known
	Blocked bool   `json:"-"` // nobody may enter now

	EntityID            string        `json:"entityID"`
	ACS                 []Endpoint    `json:"acs"`
	SLO                 []Endpoint    `json:"slo,omitempty"`
	Certificates        []Certificate `json:"certificates,omitempty"`
	NameIDFormats       []string      `json:"nameIDFormats,omitempty"` // as its metadata lists them, in order
	AuthnRequestsSigned bool          `json:"authnRequestsSigned,omitempty"`
	FromMetadata        bool          `json:"fromMetadata,omitempty"` // the fields above were read from metadata, but for certificates that are Declared

	RequireSignedRequests bool          `json:"requireSignedRequests,omitempty"`
	NameIDFormat          string        `json:"nameIDFormat,omitempty"` // a URN; FormatNone: no NameID; empty: as SURFACE.md §4 says
	ForceNameIDFormat     bool          `json:"forceNameIDFormat,omitempty"`
	SignResponse          bool          `json:"signResponse"`
	SignAssertion         bool          `json:"signAssertion"`
	AuthnContext          string        `json:"authnContext,omitempty"` // lenient (default), strict, or a URN always sent
	RelayState            string        `json:"relayState,omitempty"`   // sent with a launch that brings none of its own
	AllowHTTP             bool          `json:"allowHTTP,omitempty"`    // responses may go to a plain http ACS that is not on this machine
	Validity              time.Duration `json:"validity,omitempty"`     // of an assertion, from issue; 0: 5 minutes
	Skew                  time.Duration `json:"skew,omitempty"`         // how far NotBefore lies back; 0: 3 minutes
}

// Endpoint is one address of a service provider.
type Endpoint struct {
	URL      string `json:"url"`
	Binding  string `json:"binding"`            // a URN
	Response string `json:"response,omitempty"` // ResponseLocation, SLO only
	Index    int    `json:"index"`              // -1: none
	Default  string `json:"default,omitempty"`  // isDefault as written: "true", "false" or absent (Metadata §2.2.3 treats the three differently)
}

// Certificate is one KeyDescriptor's certificate. Only its key counts: expiry and chain do not (Metadata Interoperability Profile §2.6.1).
type Certificate struct {
	Use      string `json:"use,omitempty"` // signing, encryption, or empty for both
	DER      []byte `json:"der"`
	Declared bool   `json:"declared,omitempty"` // an admin added it to those of the app's metadata
}

// FormatNone as a ServiceProvider's NameIDFormat means that its assertions carry no NameID.
const FormatNone = "none"

// Login is a judged AuthnRequest, or a launch, that waits for something from its person.
type Login struct {
	ID            string `json:"-"` // set by AddLogin, time-ordered
	App           string `json:"-"`
	Created       time.Time
	Expires       time.Time
	RequestID     string // empty for a launch
	ACS           string // the URL chosen, asked again when it is answered
	Format        string // the NameID format chosen, a URN or FormatNone
	Policy        NameIDRequest
	Since         time.Time // ForceAuthn: the person must have proved themself at or after this time
	Passive       bool
	Classes       []string // RequestedAuthnContext
	Compare       string   // exact, minimum, maximum, better
	Subject       string   // NameID of the request's Subject, empty for none
	RelayState    string
	HasRelayState bool
}

// NameIDRequest is what the request's NameIDPolicy asked beside the format (Core §3.4.1.1).
type NameIDRequest struct {
	SPNameQualifier string
	Create          bool // AllowCreate; true where it was not sent
}

// Need is what a response demands of the person at the browser.
type Need struct {
	Since   time.Time // proved themself at or after this time; zero: at any time
	Classes []string  // authentication context classes asked for, any of which will do
	Compare string    // how they compare (Core §3.3.2.2.1)
	Hint    string    // who is expected: a username or NameID to offer, never to trust
	Format  string    // the NameID format the Subject must fill
	Policy  NameIDRequest
	Passive bool // IsPassive: nobody may be asked for anything, and who is there need not know of it
}

// Missing is the first thing a person has not brought yet; empty when nothing is.
type Missing string

// What can be missing.
const (
	MissingSignIn  Missing = "signin"
	MissingFactor  Missing = "factor"  // would be met by a stronger sign-in
	MissingContext Missing = "context" // can not be met by anything this house offers
)

// Subject is a person as one service provider may see them.
type Subject struct {
	User         string // the house's id, for events
	Session      string // the house's id of the session
	NameID       NameID // Value is empty exactly if the format is FormatNone
	AuthnInstant time.Time
	SessionIndex string    // random, the same for this session and app
	Class        string    // the AuthnContextClassRef to send: one that the sign-in truly satisfies
	NotOnOrAfter time.Time // SessionNotOnOrAfter; zero: not sent
	Attributes   []Attribute
}

// NameID is a subject identifier (Core §2.2.3).
type NameID struct {
	Format, Value                  string
	NameQualifier, SPNameQualifier string // only on persistent and transient
}

// Attribute is one attribute of the assertion (Core §2.7.3.1).
type Attribute struct {
	Name, FriendlyName, NameFormat string
	Values                         []string
}

// Users is the house: who is at the browser, as a service provider may see them.
type Users interface {
	// Browser returns a hash of the secret that marks the browser which sent r, giving it one if it has none.
	Browser(w http.ResponseWriter, r *http.Request) []byte
	// Current answers for the person at the browser that sent r. What need asks for and is not there: s is nil and
	// missing names the first thing. A person who may not use sp is a *Denied, which is final. A NameID that can
	// not be given is an *Error with the status to send.
	Current(r *http.Request, sp *ServiceProvider, need Need) (s *Subject, missing Missing, err error)
	// Ask sends the browser to get what is missing; it comes back to back, a path of ours.
	Ask(w http.ResponseWriter, r *http.Request, sp *ServiceProvider, need Need, missing Missing, back string)
}

// Denied is the house's no to a person (User). Code and Reason go only into the event.
type Denied struct{ User, Code, Reason string }

func (d *Denied) Error() string { return d.Code + ": " + d.Reason }

// Answer is what one response leaves behind; it is stored before the response is signed.
type Answer struct {
	App, User, Session string
	Login              string // the Login answered; empty if the request was answered at once
	RequestID          string // spent: never answered again; empty for a launch
	SpentUntil         time.Time
	NameID             NameID
	SessionIndex       string
	Launched           bool // started here
}

// Refusal is a request that was turned away, for the event that the reference on the page leads to.
type Refusal struct {
	App, User string // as far as they are known
	Code      string // CONNECTED-APPS 1M: InvalidSignature, UnableToResolve, NoAccess, …
	Reason    string // exact, for the admin
}

// Errors of a Store.
var (
	ErrNotFound = errors.New("saml: not found")
	ErrSpent    = errors.New("saml: this request was answered before") // Answer lost the race for RequestID or Login
	ErrBrowser  = errors.New("saml: the login belongs to another browser")
	ErrBusy     = errors.New("saml: the store can take no more now") // of Users too
	ErrFlood    = errors.New("saml: too many requests are unanswered")
)

// Store is what the protocol must remember. Every method works within the org it is given; what is acknowledged is on disk.
type Store interface {
	// ServiceProviders returns the apps that carry entityID, blocked ones too. None is an empty slice.
	ServiceProviders(ctx context.Context, org, entityID string) ([]*ServiceProvider, error)
	// ServiceProvider returns the app by id or API name, or ErrNotFound.
	ServiceProvider(ctx context.Context, org, app string) (*ServiceProvider, error)
	// AddLogin stores l and sets l.ID. ErrFlood: from where the caller is too many have come that nobody has answered.
	AddLogin(ctx context.Context, org string, l *Login) error
	// BindLogin returns the login, bound to the browser from its first call on. ErrBrowser: bound to another.
	// ErrSpent: answered already; the login is returned with it. ErrNotFound: unknown or expired.
	BindLogin(ctx context.Context, org, id string, browser []byte) (*Login, error)
	// Spent tells if the request of that ID by that app was answered already.
	Spent(ctx context.Context, org, app, requestID string) (bool, error)
	// Answer spends the login and the request ID, remembers the participant and writes the event of success, all or
	// nothing. ErrSpent: somebody else answered first.
	Answer(ctx context.Context, org string, a Answer) error
	// Refuse records the refusal and returns the reference to show. It never fails the caller.
	Refuse(ctx context.Context, org string, r Refusal) (reference string)
}
