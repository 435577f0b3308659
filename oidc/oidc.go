// Package oidc is the OAuth 2 authorization server and the OpenID provider. It does not know the house it serves: what
// it must remember it asks of a [Store], and who is at the browser, and whether a grant may still be used, of [Users].
//
//	/.well-known/openid-configuration          discovery.go     Discovery §4
//	/.well-known/oauth-authorization-server    discovery.go     RFC 8414 §3
//	/oauth2/keys                               discovery.go     RFC 7517 §5
//	/oauth2/authorize, /oauth2/continue        authorize.go     Core §3.1.2, RFC 6749 §4.1, RFC 7636, RFC 9207
//	/oauth2/token                              token.go         RFC 6749 §3.2, one file a grant: grant_*.go
//	/oauth2/userinfo                           userinfo.go      Core §5.3
//	/oauth2/introspect                         introspect.go    RFC 7662
//	/oauth2/check                              check.go         RFC 6750, for proxies that ask before they let a request pass
//	/oauth2/revoke                             revoke.go        RFC 7009
//	/oauth2/register, /oauth2/register/{id}    register.go      RFC 7591, RFC 7592
//	/oauth2/logout                             logout.go        RP-Initiated Logout
//
// The rungs that judge an authorization request stand in ladder.go, those for client metadata in metadata.go
// (mould.go: what a child may be later), client
// authentication in clientauth.go (assertion.go, clientkeys.go), redirect URIs in redirecturi.go, bearer values in bearer.go, the ID token in
// idtoken.go, which sites may read answers in cors.go. http.go has the routes and how requests are read and answered.
package oidc

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/lanyard-sso/lanyard/keys"
)

// Handler answers the OAuth and OpenID addresses of every org. All fields are set once, before Mount.
type Handler struct {
	Site  func(context.Context) *Site // the org at whose address the request arrived; never written to again
	Store Store
	Users Users
	Now   func() time.Time
	NewID func() string // at least 128 random bits; for secrets and for IDs that must not tell the time
	Log   *slog.Logger
	// Fetch gets the document at a client's jwks_uri, of at most that many bytes. It goes to no address that the operator
	// does not want it to go to. Nil: nothing is fetched.
	Fetch func(ctx context.Context, url string, most int64) ([]byte, error)

	clientKeys clientKeys
	told       struct{ discovery, keys atomic.Pointer[document] }
}

// Site is one org's face to its clients.
type Site struct {
	Org    string // the short id that access tokens wear in front
	Base   string // public address, no trailing slash
	Issuer string
	Keys   *keys.Ring // keys of use oidc; nil while they can not be had
	ACR    []string   // the acr values that sign-ins here can reach, for discovery
	Scopes []Scope    // the scopes the org declares beside the built-in ones
	Unsure bool       // Scopes could not be read
}

// Scope is a scope that clients may be given, with the words a person reads.
type Scope struct{ Name, Label, Audience string }

// Client is the OAuth half of a connected app (RFC 6749 §2).
type Client struct {
	App     string   `json:"-"` // the house's id of the app, opaque here
	Parent  string   `json:"-"` // the app whose mould it came from; empty: none
	Name    string   `json:"-"` // for pages
	Start   string   `json:"-"` // where a person may begin again
	Blocked bool     `json:"-"` // nobody may enter now
	Secrets [][]byte `json:"-"` // unsealed; any of them is good. None: no secret was ever made

	ID                     string   `json:"id"`
	Type                   string   `json:"type"`             // web, native, browser or service
	Public                 bool     `json:"public,omitempty"` // can not keep a secret (RFC 6749 §2.1)
	RedirectURIs           []string `json:"redirectURIs,omitempty"`
	PostLogoutRedirectURIs []string `json:"postLogoutRedirectURIs,omitempty"`
	Scopes                 []string `json:"scopes,omitempty"` // all it may ever be given
	DefaultScopes          []string `json:"defaultScopes,omitempty"`

	AuthorizationCode bool `json:"authorizationCode,omitempty"`
	Refresh           bool `json:"refresh,omitempty"`
	ClientCredentials bool `json:"clientCredentials,omitempty"`

	RequirePKCE         string `json:"requirePKCE,omitempty"` // auto or true
	SecretForCode       bool   `json:"secretForCode"`         // the code must be redeemed with the secret
	SecretForRefresh    bool   `json:"secretForRefresh"`
	AuthMethod          string `json:"authMethod,omitempty"` // client_secret_basic, client_secret_post, private_key_jwt, none; empty: either secret method
	Introspect          string `json:"introspect"`           // own, children or all
	RotateRefreshTokens string `json:"rotateRefreshTokens"`  // auto, on or off

	// The keys of private_key_jwt: either is there, or neither.
	JWKS    *KeySet `json:"jwks,omitempty"`
	JWKSURI string  `json:"jwksURI,omitempty"`

	AccessTokenLifetime time.Duration `json:"accessTokenLifetime,omitempty"` // 0: one hour
	IDTokenLifetime     time.Duration `json:"idTokenLifetime,omitempty"`     // 0: one hour; 1 to 720 minutes
	IDTokenClaims       string        `json:"idTokenClaims,omitempty"`       // requested or standard

	Mould      *Mould    `json:"mould,omitempty"`      // it may register clients of its own
	Registered *Metadata `json:"registered,omitempty"` // what a child got; nil for an admin's app
	Issued     time.Time `json:"issued,omitzero"`      // when a child was registered
}

// Mould is what the children of a gateway's app may be: each at most as large as it.
type Mould struct {
	Limit             int           `json:"limit"`
	ExpireUnusedAfter time.Duration `json:"expireUnusedAfter,omitempty"`
	Grants            []string      `json:"grants"` // grant types
	Scopes            []string      `json:"scopes"`
	RunAs             string        `json:"runAs,omitempty"`  // auto: a service user for each child; else a user id
	Permit            string        `json:"permit,omitempty"` // who may use a child: everyone, or nobody until an admin says
}

// Metadata is client metadata as RFC 7591 §2 names it.
type Metadata struct {
	ClientName              string   `json:"client_name,omitempty"`
	RedirectURIs            []string `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs  []string `json:"post_logout_redirect_uris,omitempty"`
	GrantTypes              []string `json:"grant_types,omitempty"`
	ResponseTypes           []string `json:"response_types,omitempty"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method,omitempty"`
	ApplicationType         string   `json:"application_type,omitempty"`
	Contacts                []string `json:"contacts,omitempty"`
	ClientURI               string   `json:"client_uri,omitempty"`
	LogoURI                 string   `json:"logo_uri,omitempty"`
	PolicyURI               string   `json:"policy_uri,omitempty"`
	TosURI                  string   `json:"tos_uri,omitempty"`
	Scope                   string   `json:"scope,omitempty"`
	SoftwareID              string   `json:"software_id,omitempty"`
	SoftwareVersion         string   `json:"software_version,omitempty"`
	SigningAlg              string   `json:"token_endpoint_auth_signing_alg,omitempty"`
	JWKS                    *KeySet  `json:"jwks,omitempty"` // in what a child got: nil, they are the Client's
	JWKSURI                 string   `json:"jwks_uri,omitempty"`
}

// Login is a judged authorization request that waits for something from its person.
type Login struct {
	ID            string `json:"-"` // set by AddLogin, time-ordered
	App           string `json:"-"`
	Created       time.Time
	Expires       time.Time
	ClientID      string
	RedirectURI   string // as sent, to the byte
	GivenURI      bool   // redirect_uri was in the request, so the token request must repeat it (RFC 6749 §4.1.3)
	Scopes        []string
	State         string
	HasState      bool
	Nonce         string
	CodeChallenge string    // S256; empty: none was sent
	Since         time.Time // prompt=login and max_age: proved themself at or after this time
	ConsentSince  time.Time // prompt=consent: consented at or after this time
	ACR           []string  // acr_values, in order of preference
	None          bool      // prompt=none: nobody may be asked for anything
	Hint          string    // login_hint
	Browser       []byte    `json:"-"` // hash of the secret of the browser it belongs to; nil: the first that comes back
	Sub           string    // the person an id_token_hint or a claims request names: nobody else will do
}

// Need is what an answer demands of the person at the browser.
type Need struct {
	Since        time.Time // proved themself at or after this time; zero: at any time
	ConsentSince time.Time // consented at or after this time; zero: at any time
	Scopes       []string  // what the client asks for
	ACR          []string
	Hint         string // who is expected, to offer, never to trust
	Sub          string // nobody else will do; empty: anybody
	None         bool   // prompt=none: nobody may be asked for anything, and who is there need not know of it
}

// Missing is the first thing a person has not brought yet; empty when nothing is.
type Missing string

// What can be missing; prompt=none reports them as login_required, interaction_required and consent_required (Core §3.1.2.6).
const (
	MissingSignIn  Missing = "signin"
	MissingFactor  Missing = "factor"
	MissingConsent Missing = "consent"
	MissingAccount Missing = "account" // somebody else than Sub is signed in
)

// Subject is a person as one client may see them.
type Subject struct {
	User     string // sub
	Username string
	Session  string // the house's id of the session; empty where no browser takes part
	SID      string // random, the same for this session and client
	AuthTime time.Time
	ACR      string
	AMR      []string
	Scopes   []string       // what is granted: at most what was asked for
	Claims   map[string]any // what the granted scopes let the client see (Core §5.4), sub not among them
}

// Use is a way in which a grant is used while nobody is at a browser.
type Use string

// Uses of a grant.
const (
	UseToken      Use = "token" // a code is redeemed
	UseRefresh    Use = "refresh"
	UseUserinfo   Use = "userinfo"
	UseIntrospect Use = "introspect"
	UseCheck      Use = "check"
)

// Users is the house: who is at the browser, as a client may see them, and who is acted for.
type Users interface {
	// Browser returns a hash of the secret that marks the browser which sent r, giving it one if it has none.
	Browser(w http.ResponseWriter, r *http.Request) []byte
	// Marked is Browser for one that has its mark already; nil: it has none, and is given none.
	Marked(r *http.Request) []byte
	// Current answers for the person at the browser that sent r. What need asks for and is not there: s is nil and
	// missing names the first thing. A person who may not use c is a *Denied: final.
	Current(r *http.Request, c *Client, need Need) (s *Subject, missing Missing, err error)
	// Ask sends the browser to get what is missing; it comes back to back, a path of ours with a query. A person who
	// refuses comes back to it with &refused=1 behind.
	Ask(w http.ResponseWriter, r *http.Request, c *Client, need Need, missing Missing, back string)
	// Again answers for a person who is not here: may g be used now, in this way? Asked every time. The Subject is the
	// person as of now. A *Denied is the house's no.
	Again(ctx context.Context, c *Client, g *Grant, use Use) (*Subject, error)
	// RunAs is the person c acts as by itself (client credentials), given scopes of those asked for.
	RunAs(ctx context.Context, c *Client, scopes []string) (*Subject, error)
	// Here tells who is at the browser that sent r, in which session, and by which SID c knows it; nil: nobody. It asks
	// nothing of them and tells nothing else about them: also who may not use c any more may leave. c may be nil.
	Here(r *http.Request, c *Client) (*Subject, error)
	// SignOut ends the session of o.Subject and everybody's part in it, at once or, with o.Ask, when the person says so; then
	// it sends the browser to o.Back. A person who refuses stays signed in, and here.
	SignOut(w http.ResponseWriter, r *http.Request, o SignOut)
}

// Denied is the house's no: Code and Description go to the client (access_denied, invalid_grant, …), Reason and Event
// only into the event, with the User it is about.
type Denied struct{ User, Code, Description, Event, Reason string }

func (d *Denied) Error() string { return d.Code + ": " + d.Reason }

// Grant is what a person (or a run-as user) gave a client: all its tokens hang on it.
type Grant struct {
	ID       string // time-ordered
	App      string
	Client   string // client_id
	User     string
	Session  string // empty: no browser took part
	SID      string
	Kind     string // KindCode or KindClientCredentials
	Scopes   []string
	Nonce    string
	AuthTime time.Time
	ACR      string
	AMR      []string

	Created  time.Time
	LastUsed time.Time

	// The refresh line. Generation 0: no refresh token was given.
	Generation int64
	Family     []byte    // SHA-256 of what the refresh tokens of all generations have in common
	Hash       []byte    // SHA-256 of the secret of the refresh token of this generation
	Previous   []byte    // SHA-256 of the secret of the generation before, while Successor can be shown again
	Successor  []byte    // the present refresh token, sealed under HKDF(the previous one)
	Rotated    time.Time // when Previous was spent
	Unused     time.Time // dead if not refreshed until then; zero: no such end
	Absolute   time.Time // dead then in any case; zero: no such end

	Holder any `json:"-"` // what the house read along with the grant; only the house's Users looks inside
}

// Code is an authorization code: it turns into a Grant once (RFC 6749 §4.1.2).
type Code struct {
	ID            string // time-ordered
	Hash          []byte // SHA-256 of its secret
	ClientID      string
	RedirectURI   string
	GivenURI      bool
	CodeChallenge string
	Created       time.Time
	Expires       time.Time
	Redeemed      bool  // it was spent
	Grant         Grant // what it will become; Grant.ID is fixed when the code is made
}

// Kinds of a Grant.
const (
	KindCode              = "authorization_code"
	KindClientCredentials = "client_credentials"
)

// Token is an opaque access token.
type Token struct {
	ID      string // time-ordered
	Hash    []byte // SHA-256 of its secret
	Grant   string
	Scopes  []string // at most the grant's
	Created time.Time
	Expires time.Time
}

// Issue is one token response: what a client is given at once, in one transaction.
type Issue struct {
	Grant *Grant
	Token *Token
	Event string // the event's code: OauthWebServer, OauthRefreshToken, OauthClientCredentials
}

// Refusal is a request that was turned away, for the event that the reference leads to.
type Refusal struct {
	App, User string // as far as they are known
	Code      string // the event's code
	Reason    string // exact, for the admin
}

// RegistrationToken opens the registration endpoint: the initial access token of a parent app, or a child's own.
type RegistrationToken struct {
	ID                string
	Hash              []byte
	App               string // the parent for an initial token, the child for a registration access token
	Kind              string // KindInitial or KindRegistration
	Name              string // an admin's word for an initial token
	Created, LastUsed time.Time
}

// Kinds of a RegistrationToken.
const (
	KindInitial      = "initial"
	KindRegistration = "registration"
)

// Errors of a Store.
var (
	ErrNotFound = errors.New("oidc: not found")
	ErrSpent    = errors.New("oidc: spent before") // somebody else was first
	ErrBrowser  = errors.New("oidc: the login belongs to another browser")
	ErrLimit    = errors.New("oidc: the limit of registered clients is reached")
	ErrLarge    = errors.New("oidc: the request is too large to be remembered")
	ErrBusy     = errors.New("oidc: busy, try again") // of Users too
	ErrFlood    = errors.New("oidc: too many requests are unanswered")
)

// Store is what the protocol must remember. Every method works within the org it is given; what is acknowledged is on
// disk; each that changes something is one transaction with its event.
type Store interface {
	// NewID returns a time-ordered id for a row.
	NewID() string
	// Client returns the client by client_id, a blocked one too, or ErrNotFound. A child is Under its parent.
	Client(ctx context.Context, org, clientID string) (*Client, error)
	// ClientOfApp is Client by the house's id of its app.
	ClientOfApp(ctx context.Context, org, app string) (*Client, error)

	// AddLogin stores l, bound to l.Browser if that is known, and sets l.ID. ErrLarge: it needs more than 16 kB.
	// ErrFlood: from where the caller is too many have come that nobody has answered.
	AddLogin(ctx context.Context, org string, l *Login) error
	// BindLogin returns the login, bound to the browser from its first call on. ErrBrowser: bound to another.
	// ErrSpent: answered already; the login is returned too, to say where one may begin again. ErrNotFound: unknown or
	// expired.
	BindLogin(ctx context.Context, org, id string, browser []byte) (*Login, error)
	// DropLogin spends the login without an answer (the person refused). ErrSpent: somebody else was first.
	DropLogin(ctx context.Context, org, id string) error

	// AddLogout stores l and sets l.ID, or is ErrLarge or ErrFlood as AddLogin is.
	AddLogout(ctx context.Context, org string, l *Logout) error
	// BindLogout returns the request for sign-out, bound to the browser from its first call on. ErrBrowser: bound to
	// another. ErrNotFound: unknown or expired.
	BindLogout(ctx context.Context, org, id string, browser []byte) (*Logout, error)

	// AddCode stores c and spends the login it answers (login is empty if the request was answered at once).
	// ErrSpent: the login was answered by somebody else.
	AddCode(ctx context.Context, org string, c *Code, login string) error
	// Code reads the code by id, spent or not, or ErrNotFound.
	Code(ctx context.Context, org, id string) (*Code, error)
	// Redeem spends the code of that id and stores what it became. ErrSpent: it was spent before; then DropGrant is due.
	// ErrNotFound: its person or app is gone, or what would have ended the grant happened since the code was made.
	Redeem(ctx context.Context, org, code string, i Issue) error
	// AddGrant stores a grant that needs no code (client credentials), with its token. ErrNotFound: its person or app is
	// gone.
	AddGrant(ctx context.Context, org string, i Issue) error

	// Grant reads a living grant by id with its Holder. A dead one (an epoch differs, its person is gone, its end is
	// reached) is ErrNotFound. The end of the session it came from does not end it; that is asked of Users where it matters.
	Grant(ctx context.Context, org, id string) (*Grant, error)
	// Turn stores the grant's next generation, if the grant still has generation from, with its token. ErrSpent: it has not.
	Turn(ctx context.Context, org string, from int64, i Issue) error
	// Renew stores a token for a grant whose refresh token stays (rotation off), and its new Unused end. ErrNotFound:
	// the grant is dead.
	Renew(ctx context.Context, org string, i Issue) error
	// DropGrant ends the grant and everything that hangs on it; r says why, for the event that tells so. Ending what is
	// ended is no error and leaves no event.
	DropGrant(ctx context.Context, org, id string, r Refusal) error

	// SpendAssertion uses up the client assertion of that app with that jti; it is remembered until then. ErrSpent: it was
	// used before.
	SpendAssertion(ctx context.Context, org, app, jti string, until time.Time) error

	// Used notes that the grant is used now. It is called at most once a minute for a grant.
	Used(ctx context.Context, org, grant string) error
	// Token reads a living access token by id with its living grant and Holder, in one query, or ErrNotFound.
	Token(ctx context.Context, org, id string) (*Token, *Grant, error)
	// DropToken ends one access token.
	DropToken(ctx context.Context, org, id string) error

	// RegistrationToken reads a token of the registration endpoint by id, or ErrNotFound.
	RegistrationToken(ctx context.Context, org, id string) (*RegistrationToken, error)
	// UsedRegistrationToken notes that the token is used now.
	UsedRegistrationToken(ctx context.Context, org, id string) error
	// AddChild makes a connected app of parent's mould, with its secret (nil for a public client), its registration
	// token and, where the mould says so, its run-as user. It sets c.App. ErrLimit: the parent has as many as it may.
	AddChild(ctx context.Context, org string, parent *Client, c *Client, secret []byte, t *RegistrationToken) error
	// PutChild replaces what a child may change about itself (RFC 7592 §2.2). ErrNotFound: it is gone.
	PutChild(ctx context.Context, org string, c *Client) error
	// DropChild deletes a child with all that hangs on it.
	DropChild(ctx context.Context, org string, c *Client) error

	// Refuse records the refusal and returns the reference to show. It never fails the caller.
	Refuse(ctx context.Context, org string, r Refusal) (reference string)
}
