package server

import (
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
