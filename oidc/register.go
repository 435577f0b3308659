package oidc

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/lanyard-sso/lanyard/templates"
)

// information is the client information response (RFC 7591 §3.2.1, RFC 7592 §3).
type information struct {
	ClientID                string `json:"client_id"`
	ClientSecret            string `json:"client_secret,omitempty"`
	ClientIDIssuedAt        int64  `json:"client_id_issued_at,omitempty"`
	ClientSecretExpiresAt   int64  `json:"client_secret_expires_at"` // never
	RegistrationAccessToken string `json:"registration_access_token,omitempty"`
	RegistrationClientURI   string `json:"registration_client_uri"`

	Metadata
	RedirectURIs []string `json:"redirect_uris"` // written even when there are none, to say so
	Responses    []string `json:"response_types"`
}

func (c *Client) information(site *Site, token string) information {
	i := information{
		ClientID: c.ID, ClientIDIssuedAt: unix(c.Issued), RegistrationAccessToken: token,
		RegistrationClientURI: site.Base + "/oauth2/register/" + c.ID,
		Metadata:              *c.Registered, RedirectURIs: append([]string{}, c.RedirectURIs...),
		Responses: append([]string{}, c.Registered.ResponseTypes...),
	}
	i.JWKS, i.JWKSURI, i.PostLogoutRedirectURIs = c.JWKS, c.JWKSURI, c.PostLogoutRedirectURIs // as an admin may have changed them since
	if len(c.Secrets) > 0 {
		i.ClientSecret = string(c.Secrets[0])
	}
	return i
}

// badRegistration is the one answer to everything that is wrong with a token of this endpoint.
func badRegistration(reason string) *Error {
	return &Error{Code: InvalidToken, Description: "The token is unknown, was revoked, or is not for this client.",
		Status: http.StatusUnauthorized, Event: "OauthError", Reason: reason}
}

// register makes a client of the mould of the app whose initial access token the request brings (RFC 7591 §3).
func (h *Handler) register(w http.ResponseWriter, r *http.Request) {
	site := h.Site(r.Context())
	t, err := h.registrationToken(r, site)
	if err == nil && t.Kind != KindInitial {
		err = badRegistration("not an initial access token")
	}
	if err != nil {
		h.challenge(w, r, site, nil, err)
		return
	}
	parent, err := h.parent(r, site, t.App)
	if err != nil {
		h.challenge(w, r, site, parent, err)
		return
	}
	asked, err := readMetadata(w, r)
	if err != nil {
		h.refuse(w, r, site, parent, err)
		return
	}
	c, err := parent.cast(&asked.Metadata)
	if err != nil {
		h.refuse(w, r, site, parent, err)
		return
	}
	now := h.Now()
	c.ID, c.Issued = h.NewID(), now.UTC().Truncate(time.Second)
	var secret []byte
	if c.keepsSecret() && c.AuthMethod != MethodPrivateKey {
		secret = []byte(h.NewID())
		c.Secrets = [][]byte{secret}
	}
	if c.Name == "" {
		c.Name = c.ID
	}
	own := newBearer(frontRegistration, h.Store.NewID(), h.NewID())
	err = h.Store.AddChild(r.Context(), site.Org, parent, c, secret,
		&RegistrationToken{ID: own.id, Hash: own.hash(), Kind: KindRegistration, Created: now})
	if errors.Is(err, ErrLimit) {
		// RFC 7591 has no code for it; others call it by the name that begins the sentence.
		err = badMetadata("exceeded_registration_limit: this app has registered as many clients as it may.")
	}
	if err != nil {
		h.refuse(w, r, site, parent, err)
		return
	}
	writeJSON(w, http.StatusCreated, c.information(site, own.value))
}

// registrationToken finds the living token of this endpoint that the request brings, of either kind.
func (h *Handler) registrationToken(r *http.Request, site *Site) (*RegistrationToken, error) {
	value, found, err := bearerHeader(r)
	if err == nil && !found {
		err = errNoToken
	}
	if err != nil {
		return nil, err
	}
	front, kind := frontRegistration, KindRegistration
	if strings.HasPrefix(value, frontInitial) {
		front, kind = frontInitial, KindInitial
	}
	b, ok := readBearer(front, value)
	if !ok {
		return nil, badRegistration("what was sent is no token of this endpoint")
	}
	t, err := h.Store.RegistrationToken(r.Context(), site.Org, b.id)
	if errors.Is(err, ErrNotFound) || err == nil && (t.Kind != kind || !b.is(t.Hash)) {
		return nil, badRegistration("unknown or revoked")
	}
	if err == nil && h.Now().Sub(t.LastUsed) >= time.Minute {
		err = h.Store.UsedRegistrationToken(r.Context(), site.Org, t.ID)
	}
	return t, err
}

// parent finds the app whose mould counts.
func (h *Handler) parent(r *http.Request, site *Site, app string) (*Client, error) {
	c, err := h.Store.ClientOfApp(r.Context(), site.Org, app)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, badRegistration("the parent app is gone")
	case err != nil:
		return nil, err
	case c.Mould == nil:
		return c, badRegistration("the parent app registers no clients any more")
	case c.Blocked:
		return c, badRegistration("the parent app is blocked")
	}
	return c, nil
}

// registered is a child's own address (RFC 7592 §2). The child's registration access token opens it, and so does the
// initial access token of its parent, which is all that some gateways keep. Neither is changed by use.
func (h *Handler) registered(w http.ResponseWriter, r *http.Request) {
	site := h.Site(r.Context())
	c, token, err := h.child(r, site)
	if err != nil {
		h.challenge(w, r, site, nil, err)
		return
	}
	switch {
	case r.Method == http.MethodGet:
	case c.Blocked:
		err = shut()
	case r.Method == http.MethodPut:
		c, err = h.update(w, r, site, c)
	default:
		err = h.Store.DropChild(r.Context(), site.Org, c)
	}
	if errors.Is(err, ErrNotFound) {
		h.challenge(w, r, site, c, badRegistration("the client is gone"))
		return
	}
	if err != nil {
		h.refuse(w, r, site, c, err)
		return
	}
	if r.Method == http.MethodDelete {
		templates.SecurityHeaders(w.Header())
		w.WriteHeader(http.StatusNoContent)
		return
	}
	writeJSON(w, http.StatusOK, c.information(site, token))
}

// child finds the client that the address names, if the token is for it. token is the child's own, to be told again:
// only its hash is kept.
func (h *Handler) child(r *http.Request, site *Site) (c *Client, token string, err error) {
	t, err := h.registrationToken(r, site)
	if err != nil {
		return nil, "", err
	}
	c, err = h.lookup(r.Context(), site, mux.Vars(r)["client"])
	if errors.Is(err, ErrNotFound) {
		return nil, "", badRegistration("there is no such client")
	}
	if err != nil {
		return nil, "", err
	}
	if t.Kind == KindRegistration {
		if t.App != c.App || c.Registered == nil {
			return nil, "", badRegistration("the token is another client's")
		}
		token, _, err = bearerHeader(r)
		return c, token, err
	}
	if t.App != c.Parent || c.Registered == nil {
		return nil, "", badRegistration("the client is no child of the token's app")
	}
	_, err = h.parent(r, site, t.App)
	return c, "", err
}

// kept is what a client keeps to itself for a method: a secret, a key, or nothing.
func kept(method string) string {
	if method == MethodPrivateKey || method == MethodNone {
		return method
	}
	return "secret"
}

// shut is the answer to a client that is blocked, by itself or with its parent: that is not its to say, and while it is,
// nothing about it changes, nor does it go.
func shut() *Error {
	return &Error{Code: AccessDenied, Description: "The app, or the one that it was registered by, is blocked or registers none any more.",
		Status: http.StatusForbidden, Event: "AppBlocked"}
}

// update replaces what c may change about itself (RFC 7592 §2.2), judged and cut like the first time.
func (h *Handler) update(w http.ResponseWriter, r *http.Request, site *Site, c *Client) (*Client, error) {
	asked, err := readMetadata(w, r)
	if err != nil {
		return c, err
	}
	switch {
	case asked.forbidden != "":
		// "The client MUST NOT include the "registration_access_token", "registration_client_uri",
		// "client_secret_expires_at", or "client_id_issued_at" fields".
		return c, badMetadata("An update must not have the member " + asked.forbidden + ".")
	case asked.clientID != c.ID:
		// "The client MUST include its "client_id" field in the request, and it MUST be the same as its currently issued
		// client identifier."
		return c, badMetadata("client_id must be there and be this client's.")
	case asked.hasSecret && !sameSecret(c.Secrets, asked.clientSecret):
		// "the value of this field MUST match the currently issued client secret".
		return c, badMetadata("client_secret is not this client's.")
	case kept(asked.TokenEndpointAuthMethod) != kept(c.AuthMethod) || (asked.TokenEndpointAuthMethod == MethodNone) != c.Public:
		return c, badMetadata("What a client proves itself with can not change from a secret to a key or to nothing, nor back. Register it anew.")
	}
	parent, err := h.Store.ClientOfApp(r.Context(), site.Org, c.Parent)
	if errors.Is(err, ErrNotFound) || err == nil && (parent.Blocked || parent.Mould == nil) {
		return c, shut() // since c was found
	}
	if err != nil {
		return c, err
	}
	next, err := parent.cast(&asked.Metadata)
	if err != nil {
		return c, err
	}
	next.ID, next.App, next.Secrets, next.Issued = c.ID, c.App, c.Secrets, c.Issued
	// What metadata can not say an admin may have: a client does not shake it off by writing itself anew.
	next.RequirePKCE, next.SecretForCode, next.SecretForRefresh = c.RequirePKCE, c.SecretForCode, c.SecretForRefresh
	next.Introspect, next.RotateRefreshTokens = c.Introspect, c.RotateRefreshTokens
	next.AccessTokenLifetime, next.IDTokenLifetime, next.IDTokenClaims = c.AccessTokenLifetime, c.IDTokenLifetime, c.IDTokenClaims
	if next.Name == "" {
		next.Name = c.ID
	}
	return next, h.Store.PutChild(r.Context(), site.Org, next)
}
