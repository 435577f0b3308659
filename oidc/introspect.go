package oidc

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// introspection is what is told of a living token (RFC 7662 §2.2).
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	Username  string   `json:"username,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	Issued    int64    `json:"iat,omitempty"`
	NotBefore int64    `json:"nbf,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  []string `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
}

// introspect tells a resource server about a token. RFC 7662 §2.2: what is dead, unknown or not the caller's to see is
// "{"active":false}" and nothing else, so that nothing can be learnt by asking.
func (h *Handler) introspect(w http.ResponseWriter, r *http.Request) {
	site := h.Site(r.Context())
	p, err := form(w, r)
	if err != nil {
		h.refuse(w, r, site, nil, err)
		return
	}
	caller, err := h.client(r, site, p, always)
	switch {
	case err == nil && caller.Blocked:
		// It has authenticated itself, so it may know.
		err = &Error{Code: InvalidClient, Description: "The app is blocked.", Status: http.StatusUnauthorized, Event: "AppBlocked"}
	case err == nil && p["token"] == "":
		err = invalidRequest("The request brings no token.")
	}
	if err != nil {
		h.refuse(w, r, site, caller, err)
		return
	}
	found, err := h.inspect(r.Context(), site, caller, p["token"])
	if err != nil {
		h.refuse(w, r, site, caller, err)
		return
	}
	writeJSON(w, http.StatusOK, found)
}

// inspect finds out about a token of either kind. The hint is not needed: their form tells them apart.
func (h *Handler) inspect(ctx context.Context, site *Site, caller *Client, value string) (introspection, error) {
	var dead introspection
	t, g, c, err := h.access(ctx, site, value)
	kind := "Bearer"
	if strings.HasPrefix(value, frontRefresh) {
		kind = "refresh_token" // never to be taken for an access token by a server that looks at active alone
		t, g, c, err = h.refreshable(ctx, site, value)
	}
	var e *Error
	if errors.As(err, &e) {
		return dead, nil
	}
	if err != nil || !caller.sees(c) {
		return dead, err
	}
	s, err := h.again(ctx, site, c, t, g, UseIntrospect)
	if errors.As(err, &e) {
		return dead, nil
	}
	if err != nil {
		return dead, err
	}
	if site.Unsure {
		return dead, ErrBusy // an answer without its aud would be another answer
	}
	scopes := c.allowed(t.Scopes, s)
	return introspection{
		Active: true, Scope: strings.Join(scopes, " "), ClientID: c.ID, Username: s.Username, TokenType: kind,
		Expires: unix(t.Expires), Issued: unix(t.Created), NotBefore: unix(t.Created), Subject: g.User,
		Audience: site.audience(scopes), Issuer: site.Issuer,
	}, nil
}

// refreshable finds the living refresh token that value is, in the form of an access token.
func (h *Handler) refreshable(ctx context.Context, site *Site, value string) (*Token, *Grant, *Client, error) {
	shown, ok := readRefreshToken(value)
	if !ok {
		return nil, nil, nil, badRefresh("what was sent is no refresh token")
	}
	g, err := h.Store.Grant(ctx, site.Org, shown.id)
	if errors.Is(err, ErrNotFound) || err == nil && !shown.is(g.Hash) {
		return nil, nil, nil, badRefresh("unknown or dead")
	}
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := h.lookup(ctx, site, g.Client)
	if errors.Is(err, ErrNotFound) || err == nil && !c.refreshes() {
		return nil, nil, nil, badRefresh("its client is gone or may not refresh")
	}
	ends, created := g.Unused, g.Created
	if !g.Absolute.IsZero() && g.Absolute.Before(ends) {
		ends = g.Absolute
	}
	if g.Rotated.After(created) {
		created = g.Rotated
	}
	return &Token{Scopes: g.Scopes, Created: created, Expires: ends}, g, c, err
}

// sees tells if c may know about tokens of other.
func (c *Client) sees(other *Client) bool {
	switch c.Introspect {
	case "all":
		return true
	case "children":
		return other.App == c.App || other.Parent == c.App && c.App != ""
	}
	return other.App == c.App
}

// audience is the APIs that the scopes are for.
func (s *Site) audience(scopes []string) []string {
	var all []string
	for _, declared := range s.Scopes {
		if a := declared.Audience; a != "" && slices.Contains(scopes, declared.Name) && !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
