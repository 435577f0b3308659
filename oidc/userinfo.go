package oidc

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// userinfo tells who an access token acts for (Core §5.3). The token comes in the header, or in the form of a POST (RFC
// 6750 §2.1, §2.2), never in the address.
func (h *Handler) userinfo(w http.ResponseWriter, r *http.Request) {
	site := h.Site(r.Context())
	value, err := bearerToken(w, r)
	if err != nil {
		h.challenge(w, r, site, nil, err)
		return
	}
	t, g, c, err := h.access(r.Context(), site, value)
	c.share(w, r)
	if err != nil {
		h.challenge(w, r, site, nil, err)
		return
	}
	if !slices.Contains(common(t.Scopes, c.Scopes), "openid") {
		h.challenge(w, r, site, c, &Error{Code: InsufficientScope, Description: "The access token has not the scope openid.", Status: http.StatusForbidden, User: g.User, Scope: "openid"})
		return
	}
	s, err := h.again(r.Context(), site, c, t, g, UseUserinfo)
	if err != nil {
		h.challenge(w, r, site, c, err)
		return
	}
	all := maps.Clone(s.Claims)
	if all == nil {
		all = map[string]any{}
	}
	all["sub"] = g.User
	writeJSON(w, http.StatusOK, all)
}

// badToken is the one answer to everything that is wrong with an access token.
func badToken(reason string) *Error {
	return &Error{Code: InvalidToken, Description: "The access token is unknown, has expired, or was revoked.", Status: http.StatusUnauthorized, Reason: reason}
}

// access finds the living access token that value is, with its grant and client.
func (h *Handler) access(ctx context.Context, site *Site, value string) (*Token, *Grant, *Client, error) {
	b, ok := readBearer(site.Org+"!", value)
	if !ok {
		return nil, nil, nil, badToken("what was sent is no access token of this org")
	}
	t, g, err := h.Store.Token(ctx, site.Org, b.id)
	if errors.Is(err, ErrNotFound) || err == nil && !b.is(t.Hash) {
		return nil, nil, nil, badToken("unknown or dead")
	}
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := h.lookup(ctx, site, g.Client)
	if errors.Is(err, ErrNotFound) {
		return nil, nil, nil, badToken("its client is gone")
	}
	return t, g, c, err
}

// again asks the house if the token may be used, for what it and no more is good for.
func (h *Handler) again(ctx context.Context, site *Site, c *Client, t *Token, g *Grant, use Use) (*Subject, error) {
	narrow := *g
	narrow.Scopes = common(t.Scopes, c.Scopes)
	s, err := h.Users.Again(ctx, c, &narrow, use)
	var no *Denied
	if errors.As(err, &no) {
		e := badToken(no.Reason)
		e.Event, e.User = no.Event, no.User
		return nil, e
	}
	if err == nil && h.Now().Sub(g.LastUsed) >= time.Minute {
		// When a grant was last used is worth knowing, not worth failing for.
		if err := h.Store.Used(ctx, site.Org, g.ID); err != nil {
			h.Log.WarnContext(ctx, "oidc: last use not written", "error", err)
		}
	}
	return s, err
}

// errNoToken is a request without a token: RFC 6750 §3.1: "the resource server SHOULD NOT include an error code".
var errNoToken = &Error{Code: InvalidToken, Description: "The request brings no access token.", Status: http.StatusUnauthorized}

// bearerToken finds the one token of the request.
func bearerToken(w http.ResponseWriter, r *http.Request) (string, error) {
	if r.URL.Query().Has("access_token") {
		return "", invalidRequest("An access token does not belong into the address.")
	}
	value, inHeader, err := bearerHeader(r)
	if err != nil {
		return "", err
	}
	if r.Method == http.MethodPost && contentType(r, "application/x-www-form-urlencoded") {
		raw, err := body(w, r)
		if err != nil {
			return "", err
		}
		p := params{}
		if err := p.add(string(raw)); err != nil {
			return "", err
		}
		if p["access_token"] != "" {
			if inHeader {
				// RFC 6750 §2: "Clients MUST NOT use more than one method to transmit the token in each request."
				return "", invalidRequest("The access token was sent in two ways at once.")
			}
			return p["access_token"], nil
		}
	}
	if !inHeader {
		return "", errNoToken
	}
	return value, nil
}

// bearerHeader reads the Authorization header of RFC 6750 §2.1.
func bearerHeader(r *http.Request) (value string, found bool, err error) {
	const scheme = "Bearer "
	all := r.Header.Values("Authorization")
	switch {
	case len(all) == 0:
		return "", false, nil
	case len(all) > 1:
		return "", false, invalidRequest("There are several Authorization headers.")
	case len(all[0]) <= len(scheme) || !strings.EqualFold(all[0][:len(scheme)], scheme):
		return "", false, errNoToken
	}
	return all[0][len(scheme):], true, nil
}

// challenge refuses as RFC 6750 §3 says. A dead access token is an everyday thing: it names no event and leaves none.
func (h *Handler) challenge(w http.ResponseWriter, r *http.Request, site *Site, c *Client, err error) {
	e := judged(err)
	reference := ""
	if e.Code != InvalidToken || e.Event != "" {
		reference = h.Store.Refuse(r.Context(), site.Org, e.refusal(c))
		h.log(r, e, reference)
	}
	if e.Status < http.StatusInternalServerError {
		say := `Bearer realm="` + site.Issuer + `"`
		if e != errNoToken {
			say += `, error="` + e.Code + `", error_description="` + plain(e.Description) + `"`
		}
		if e.Code == InsufficientScope {
			say += `, scope="` + e.Scope + `"`
		}
		w.Header().Set("WWW-Authenticate", say)
	}
	writeError(w, e, e.sentence(reference))
}
