package oidc

import (
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// grantTypes is what discovery names; each has its file.
var grantTypes = []string{GrantCode, GrantRefresh, GrantClientCredentials}

// Grant types (RFC 6749 §4.1.3, §6, §4.4.2).
const (
	GrantCode              = "authorization_code"
	GrantRefresh           = "refresh_token"
	GrantClientCredentials = "client_credentials"
)

const (
	accessLife      = time.Hour
	refreshUnused   = 30 * 24 * time.Hour
	refreshAbsolute = 90 * 24 * time.Hour // of clients that refresh without a secret
	grace           = 10 * time.Second
)

// tokens is a token response (RFC 6749 §5.1, Core §3.1.3.3).
type tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	Scope        string `json:"scope"`
}

// token is the token endpoint (RFC 6749 §3.2). The client is authenticated before anything is read of what it brings,
// and everything is asked before anything is spent.
func (h *Handler) token(w http.ResponseWriter, r *http.Request) {
	site := h.Site(r.Context())
	t, c, err := h.issue(w, r, site)
	c.share(w, r)
	if err != nil {
		h.refuse(w, r, site, c, err)
		return
	}
	writeJSON(w, http.StatusOK, t)
}

func (h *Handler) issue(w http.ResponseWriter, r *http.Request, site *Site) (*tokens, *Client, error) {
	p, err := form(w, r)
	if err != nil {
		return nil, nil, err
	}
	grant, ok := map[string]struct {
		needSecret func(*Client) bool
		allowed    func(*Client) bool
		give       func(*Handler, *http.Request, *Site, *Client, params) (*tokens, error)
	}{
		GrantCode: {
			func(c *Client) bool { return c.keepsSecret() && c.SecretForCode },
			func(c *Client) bool { return c.AuthorizationCode },
			(*Handler).grantCode,
		},
		GrantRefresh: {
			func(c *Client) bool { return c.keepsSecret() && c.SecretForRefresh },
			(*Client).refreshes,
			(*Handler).grantRefresh,
		},
		GrantClientCredentials: {
			(*Client).keepsSecret,
			// RFC 6749 §4.4: "The client credentials grant type MUST only be used by confidential clients."
			func(c *Client) bool { return c.ClientCredentials && c.keepsSecret() },
			(*Handler).grantClient,
		},
	}[p["grant_type"]]
	switch {
	case p["grant_type"] == "":
		return nil, nil, invalidRequest("The request names no grant_type.")
	case !ok:
		return nil, nil, &Error{Code: UnsupportedGrantType, Description: "The grant_type is not supported.", Reason: "grant_type " + clip(p["grant_type"])}
	}
	c, err := h.client(r, site, p, grant.needSecret)
	switch {
	case err != nil:
		return nil, c, err
	case !grant.allowed(c):
		return nil, c, &Error{Code: UnauthorizedClient, Description: "This grant_type is off for the client.", Reason: "the flow " + p["grant_type"] + " is off"}
	case c.Blocked:
		e := blocked()
		if p["grant_type"] != GrantClientCredentials {
			e.Code = InvalidGrant
		}
		return nil, c, e
	}
	t, err := grant.give(h, r, site, c, p)
	return t, c, err
}

// newToken makes an access token on g.
func (h *Handler) newToken(site *Site, c *Client, g *Grant, scopes []string) (*Token, *tokens) {
	now, life := h.Now(), c.AccessTokenLifetime
	if life == 0 {
		life = accessLife
	}
	b := newBearer(site.Org+"!", h.Store.NewID(), h.NewID())
	return &Token{ID: b.id, Hash: b.hash(), Grant: g.ID, Scopes: scopes, Created: now, Expires: now.Add(life)},
		&tokens{AccessToken: b.value, TokenType: "Bearer", ExpiresIn: int64(life / time.Second), Scope: strings.Join(scopes, " ")}
}

// identify adds the ID token where there is a signer for it. Signing comes after the commit: it takes longer than all the
// rest.
func (h *Handler) identify(site *Site, signer jose.Signer, c *Client, g *Grant, s *Subject, nonce string, t *tokens) (err error) {
	if signer != nil {
		t.IDToken, err = h.idToken(site, signer, c, g, s, nonce, t.AccessToken)
	}
	return err
}
