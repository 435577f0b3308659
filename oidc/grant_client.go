package oidc

import (
	"errors"
	"net/http"
	"slices"
)

// grantClient lets a client act by itself, as its run-as user (RFC 6749 §4.4). There is no refresh token (§4.4.3: "A
// refresh token SHOULD NOT be included.") and nobody to identify.
func (h *Handler) grantClient(r *http.Request, site *Site, c *Client, p params) (*tokens, error) {
	ctx, now := r.Context(), h.Now()
	asked, err := c.scopes(p["scope"])
	if err != nil {
		return nil, err
	}
	// full and web are all that a person can do here, which is no program's own.
	asked = slices.DeleteFunc(asked, func(s string) bool { return s == "openid" || s == "full" || s == "web" || offline(s) })
	if len(asked) == 0 {
		return nil, &Error{Code: InvalidScope, Description: "Nothing was asked for that a client can have by itself.", Event: "InvalidScope"}
	}
	s, err := h.Users.RunAs(ctx, c, asked)
	if err != nil {
		return nil, err
	}
	g := &Grant{ID: h.Store.NewID(), App: c.App, Client: c.ID, User: s.User, Kind: KindClientCredentials,
		Scopes: c.allowed(asked, s), Created: now, LastUsed: now}
	token, t := h.newToken(site, c, g, g.Scopes)
	err = h.Store.AddGrant(ctx, site.Org, Issue{Grant: g, Token: token, Event: "OauthClientCredentials"})
	if errors.Is(err, ErrNotFound) {
		err = &Error{Code: UnauthorizedClient, Description: "The client may not act by itself.", Event: "NoAccess", Reason: "the run-as user or the app is gone meanwhile"}
	}
	return t, err
}
