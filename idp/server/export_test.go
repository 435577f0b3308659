package server

import (
	"context"
	"net/http"
	"net/netip"
)

// What the tests beside this package need to see of it.

// CallerIP is the address of whoever sent r.
func CallerIP(r *http.Request, trusted []netip.Prefix) netip.Addr { return callerIP(r, trusted) }

// Canonical tells if the path of r is written in the one way.
func Canonical(r *http.Request) bool { return canonical(r) }

// Inside is the path that rooms see of a request to an org that lies below url and whose issuer lies below issuer.
func Inside(url, issuer string, r *http.Request) string {
	return below{url, issuer}.inside(r).URL.EscapedPath()
}

// PlainHop tells if the dialler of a fetch of keys, or of anything else, would take a hop to that address for plain http.
func PlainHop(address string, keys bool) (plain bool, err error) {
	ctx := context.Background()
	if keys {
		ctx = context.WithValue(ctx, guarded{}, true)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, err
	}
	_, err = hops{trip(func(r *http.Request) { plain = r.Context().Value(plainHop{}) != nil })}.RoundTrip(r)
	return plain, err
}

type trip func(*http.Request)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { f(r); return nil, nil }
