package oidc

import (
	"errors"
	"net/http"
	"slices"
)

// badRefresh is the one answer to everything that is wrong with a refresh token.
func badRefresh(reason string) *Error {
	return &Error{Code: InvalidGrant, Description: "The refresh token is unknown, was used before, has ended, or was given to somebody else.", Event: "InvalidCode", Reason: reason}
}

// grantRefresh turns a refresh token into new tokens (RFC 6749 §6). Where tokens rotate, the gate is the step from one
// generation of the grant to the next: of many who take it at once the store lets one through, and the others find, as
// whoever lost the answer does, the same successor for ten seconds. After that a spent token ends the grant, because two
// hold it and nobody knows which is the thief (RFC 9700 §4.14.2).
func (h *Handler) grantRefresh(r *http.Request, site *Site, c *Client, p params) (*tokens, error) {
	ctx := r.Context()
	if p["refresh_token"] == "" {
		return nil, invalidRequest("The request brings no refresh_token.")
	}
	shown, ok := readRefreshToken(p["refresh_token"])
	if !ok {
		return nil, badRefresh("what was sent is no refresh token")
	}
	asked, err := readScope(p["scope"])
	if err != nil {
		return nil, err
	}
	for range 3 { // one more than a lost race can take
		g, err := h.Store.Grant(ctx, site.Org, shown.id)
		if errors.Is(err, ErrNotFound) {
			return nil, badRefresh("the grant is unknown or has ended")
		}
		if err != nil {
			return nil, err
		}
		t, err := h.turn(r, site, c, g, shown, asked)
		if !errors.Is(err, ErrSpent) {
			return t, err
		}
	}
	return nil, ErrBusy
}

// turn is one attempt. ErrSpent: somebody else was first, and the grant must be read again.
func (h *Handler) turn(r *http.Request, site *Site, c *Client, g *Grant, shown refreshToken, asked []string) (*tokens, error) {
	ctx, now := r.Context(), h.Now()
	present := shown.is(g.Hash)
	// Of both sides: a clock that was set back must not make the grace last until it has caught up.
	lost := shown.is(g.Previous) && len(g.Successor) > 0 && now.Sub(g.Rotated).Abs() < grace
	switch {
	case g.Generation == 0 || !shown.of(g):
		return nil, badRefresh("the refresh token is not of this grant")
	case g.Client != c.ID:
		return nil, badRefresh("the refresh token was given to another client")
	case !present && !lost:
		return nil, h.replayed(r, site, c, g)
	}
	narrow := *g
	if len(asked) > 0 {
		narrow.Scopes = asked
	}
	for _, a := range asked {
		// RFC 6749 §6: "The requested scope MUST NOT include any scope not originally granted by the resource owner".
		if !holds(g.Scopes, a) {
			return nil, &Error{Code: InvalidScope, Description: "The scope was not granted: " + plain(clip(a)) + ".", Event: "InvalidScope", User: g.User}
		}
	}
	narrow.Scopes = common(narrow.Scopes, c.Scopes)
	s, err := h.Users.Again(ctx, c, &narrow, UseRefresh)
	if err != nil {
		return nil, err
	}
	scopes := c.allowed(narrow.Scopes, s)
	if len(scopes) == 0 {
		return nil, badRefresh("every scope of it was taken from the app since")
	}
	signer, err := site.signer(scopes)
	if err != nil {
		return nil, err
	}
	from := g.Generation
	g.LastUsed, g.Unused = now, now.Add(refreshUnused)
	token, t := h.newToken(site, c, g, scopes)
	i := Issue{Grant: g, Token: token, Event: "OauthRefreshToken"}
	switch {
	case lost:
		if t.RefreshToken, err = shown.open(g.Successor); err == nil {
			err = h.Store.Renew(ctx, site.Org, i)
		}
	case c.rotates():
		next := newRefreshToken(g.ID, shown.family, h.NewID())
		g.Generation, g.Hash, g.Previous, g.Rotated = from+1, next.hash(), shown.hash(), now
		if g.Successor, err = shown.seal(next.value); err == nil {
			err = h.Store.Turn(ctx, site.Org, from, i)
		}
		t.RefreshToken = next.value
	default:
		err = h.Store.Renew(ctx, site.Org, i)
	}
	if errors.Is(err, ErrNotFound) {
		return nil, badRefresh("the grant has ended meanwhile")
	}
	if err != nil {
		return nil, err
	}
	// Core §12.2: "it SHOULD NOT have a nonce Claim".
	return t, h.identify(site, signer, c, g, s, "", t)
}

// refreshes tells if c may use refresh tokens: the flow and the scope are both asked for, so that either ends them.
func (c *Client) refreshes() bool { return c.Refresh && slices.ContainsFunc(c.Scopes, offline) }

// rotates tells if each refresh gives a new refresh token. RFC 9700 §2.2.2: "Refresh tokens for public clients MUST be
// sender-constrained or use refresh token rotation".
func (c *Client) rotates() bool {
	switch c.RotateRefreshTokens {
	case "on":
		return true
	case "off":
		return false
	}
	return c.openRefresh()
}

// replayed ends a grant of which a spent refresh token was shown.
func (h *Handler) replayed(r *http.Request, site *Site, c *Client, g *Grant) error {
	const reason = "a spent refresh token was shown again"
	err := h.Store.DropGrant(r.Context(), site.Org, g.ID, Refusal{App: g.App, User: g.User, Code: "OauthGrantEnded", Reason: reason})
	if err != nil {
		return err
	}
	e := badRefresh(reason)
	e.User = g.User
	return e
}
