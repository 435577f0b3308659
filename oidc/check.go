package oidc

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// check answers a proxy that asks, before it lets a request pass, if the bearer token in it is good for what it wants:
// NGINX auth_request, Traefik and Caddy ForwardAuth, Envoy ext_authz.
//
//	GET /oauth2/check?scope=orders&audience=https://orders.example.com
//
// 204 says yes, with who it is; 401 and 403 say no as RFC 6750 §3 has it. scope may name several, separated by spaces: the
// token must have them all. audience is an API that one of the token's scopes must be for, as the org declares its scopes.
// Without either any living access token of the org will do.
//
// Nothing changes by it, so it answers every method: some proxies ask with that of the request they hold. Nothing but the
// Authorization header, the two parameters and who is calling is looked at, so that what else such a request has (a body,
// the query that Envoy puts behind) can not speak for it.
//
// The person, the app, its block and its policy are asked for with every call.
func (h *Handler) check(w http.ResponseWriter, r *http.Request) {
	site := h.Site(r.Context())
	wanted, audience, err := readCheck(r.URL.RawQuery)
	if err != nil {
		h.refuse(w, r, site, nil, err) // the fault of who wrote the proxy's settings, and theirs to see
		return
	}
	value, found, err := bearerHeader(r)
	if err == nil && !found {
		err = errNoToken
	}
	var e *Error
	if errors.As(err, &e) && e.Status == 0 {
		// Proxies know two ways of no. What a caller got wrong must not look like a fault of the proxy's.
		e.Status = http.StatusUnauthorized
	}
	if err != nil {
		h.challenge(w, r, site, nil, err)
		return
	}
	t, g, c, err := h.access(r.Context(), site, value)
	if err != nil {
		h.challenge(w, r, site, nil, err)
		return
	}
	s, err := h.again(r.Context(), site, c, t, g, UseCheck)
	if err != nil {
		h.challenge(w, r, site, c, err)
		return
	}
	scopes := c.allowed(t.Scopes, s)
	if len(scopes) == 0 {
		// Every scope that it had was taken from the app since. Nor may a header be empty: proxies leave those as the caller sent them.
		h.challenge(w, r, site, c, &Error{Code: InsufficientScope, Description: "The access token has no scope any more.",
			Status: http.StatusForbidden, User: g.User, Scope: strings.Join(wanted, " ")})
		return
	}
	if audience != "" && site.Unsure {
		h.refuse(w, r, site, c, ErrBusy)
		return
	}
	if audience != "" && !slices.Contains(site.audience(scopes), audience) {
		// RFC 9068 §4: a token for another resource is answered with invalid_token.
		e := badToken("audience: the token is not for " + clip(audience))
		e.Description = "The access token is for another API."
		h.challenge(w, r, site, c, e)
		return
	}
	for _, name := range wanted {
		if !holds(scopes, name) {
			h.challenge(w, r, site, c, &Error{Code: InsufficientScope, Description: "The access token has not the scope " + name + ".",
				Status: http.StatusForbidden, User: g.User, Scope: strings.Join(wanted, " ")})
			return
		}
	}
	header := w.Header()
	header.Set("X-Lanyard-User", headerText(s.Username))
	header.Set("X-Lanyard-Subject", headerText(g.User))
	header.Set("X-Lanyard-Client", headerText(c.ID))
	header.Set("X-Lanyard-Scope", strings.Join(scopes, " "))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// readCheck reads what is wanted. Only the two parameters are taken: either at most once, so that a query put behind the
// proxy's own can neither lift nor change what that wants. Whatever else is behind it, a caller's address, need not be
// written as a form is.
func readCheck(raw string) (scopes []string, audience string, err error) {
	query := url.Values{}
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name, err = url.QueryUnescape(name); err != nil || name != "scope" && name != "audience" {
			continue
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, "", invalidRequest("The parameter " + name + " is not encoded as it should be.")
		}
		query.Add(name, value)
	}
	for _, name := range []string{"scope", "audience"} {
		if len(query[name]) > 1 {
			return nil, "", invalidRequest("The parameter " + name + " was sent twice.")
		}
	}
	if len(query.Get("scope")) > maxParameter || len(query.Get("audience")) > maxURI {
		return nil, "", invalidRequest("A parameter is too long.")
	}
	scopes, err = readScope(query.Get("scope"))
	if err != nil {
		return nil, "", invalidRequest("The parameter scope can not be read.")
	}
	return scopes, query.Get("audience"), nil
}

// headerText writes a value for a header so that every one of them has one form and none is cut, folded or joined on the
// way: letters, digits and - . _ ~ @ stand for themselves, every other byte is written %XX, as in a path (RFC 3986 §2.1).
func headerText(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; wordy(s[i:i+1], ".~@") {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}
