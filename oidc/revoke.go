package oidc

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/lanyard-sso/lanyard/templates"
)

// revoke ends a token at its client's wish (RFC 7009). §2.2: "The authorization server responds with HTTP status code 200
// if the token has been revoked successfully or if the client submitted an invalid token." The hint is not needed, so a
// wrong one does no harm.
func (h *Handler) revoke(w http.ResponseWriter, r *http.Request) {
	site := h.Site(r.Context())
	p, err := form(w, r)
	if err != nil {
		h.refuse(w, r, site, nil, err)
		return
	}
	c, err := h.client(r, site, p, (*Client).keepsSecret)
	c.share(w, r)
	if err == nil && p["token"] == "" {
		err = invalidRequest("The request brings no token.")
	}
	if err == nil {
		err = h.end(r.Context(), site, c, p["token"])
	}
	if err != nil {
		h.refuse(w, r, site, c, err)
		return
	}
	templates.SecurityHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
}

// end ends the token if it is c's own: an access token alone, a refresh token with all that hangs on its grant. A refresh
// token that was replaced ends the grant as well: whoever shows it had the right to it.
func (h *Handler) end(ctx context.Context, site *Site, c *Client, value string) error {
	if !strings.HasPrefix(value, frontRefresh) {
		b, ok := readBearer(site.Org+"!", value)
		if !ok {
			return nil
		}
		t, g, err := h.Store.Token(ctx, site.Org, b.id)
		if errors.Is(err, ErrNotFound) || err == nil && (!b.is(t.Hash) || g.Client != c.ID) {
			return nil
		}
		if err != nil {
			return err
		}
		return h.Store.DropToken(ctx, site.Org, t.ID)
	}
	shown, ok := readRefreshToken(value)
	if !ok {
		return nil
	}
	g, err := h.Store.Grant(ctx, site.Org, shown.id)
	if errors.Is(err, ErrNotFound) || err == nil && (!shown.of(g) || g.Client != c.ID) {
		return nil
	}
	if err != nil {
		return err
	}
	return h.Store.DropGrant(ctx, site.Org, g.ID, Refusal{App: g.App, User: g.User, Code: "OauthGrantEnded", Reason: "revoked by the client"})
}
