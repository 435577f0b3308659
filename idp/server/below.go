package server

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/lanyard-sso/lanyard/idp"
)

// below is where the org's addresses lie: the paths of its public address and, after a move, of its issuer, whose
// discovery document relying parties go on reading there. No room sees them: outside takes them off a request and puts
// the first in front of whatever leads a browser back.
type below struct {
	url    string // the path of the org's URL, like /sso, or ""
	issuer string // that of its issuer
}

func belowOf(o *idp.Org) below { return below{pathOf(o.URL), pathOf(o.Issuer)} }

// pathOf is the path of an address as Org has it, without a slash at the end.
func pathOf(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return ""
}

// cut takes off the path that an escaped path of a request begins with, by whole segments: /ssoX is not below /sso. A
// request may come without it too: then the proxy in front has taken it off.
func (b below) cut(p string) string {
	longer, shorter := b.url, b.issuer
	if len(longer) < len(shorter) {
		longer, shorter = shorter, longer
	}
	for _, base := range []string{longer, shorter} {
		rest, ok := strings.CutPrefix(p, base)
		switch {
		case base == "" || !ok:
		case rest == "":
			return "/"
		case rest[0] == '/':
			return rest
		}
	}
	// RFC 8414 §3.1: "inserting the well-known URI string into the authorization server's issuer identifier between the
	// host component and the path component".
	for _, document := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		if base, ok := strings.CutPrefix(p, document); ok && base != "" && (base == b.issuer || base == b.url) {
			return document
		}
	}
	return p
}

// inside returns r as the rooms see it: its path without what the org lies below. The path must be canonical.
func (b below) inside(r *http.Request) *http.Request {
	p := r.URL.EscapedPath()
	rest := b.cut(p)
	if rest == p {
		return r
	}
	path, err := url.PathUnescape(rest)
	if err != nil {
		return r // no canonical path is one of these
	}
	u := *r.URL
	u.Path, u.RawPath = path, rest
	inner := *r
	inner.URL = &u
	return &inner
}

// below returns where the org lies, as far as it is known: also while the database is away.
func (s *server) below(ctx context.Context) below {
	if b := s.known.Load(); b != nil {
		return *b
	}
	if o, err := s.Store.Orgs().Default(ctx); err == nil {
		return s.learn(o)
	}
	return below{}
}

// learn notes where the org lies, which a move can change at any time.
func (s *server) learn(o *idp.Org) below {
	b := belowOf(o)
	if was := s.known.Load(); was == nil || *was != b {
		s.known.Store(&b)
	}
	return b
}

// names are the first words of our own paths, and of those to come. An org can not lie below one of them: a request that
// came without the org's path could not be told from one that came with it.
const names = " .well-known account admin api apps assets consent debug device healthz id identity idp metrics oauth2 readyz saml" +
	" services setup signin signout "

// Ours tells if the first word of path is one that our own paths begin with.
func Ours(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return strings.Contains(names, " "+first+" ")
}
