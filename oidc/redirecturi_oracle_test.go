package oidc_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/lanyard-sso/lanyard/oidc"
)

// mayRedirect is the rule in its fewest words, byte by byte and without the product's code: the same bytes, or, for a native
// app, two addresses on 127.0.0.1, [::1] or localhost over http that are the same once a port from 1 to 65535 is taken out of each.
func mayRedirect(native bool, registered, sent string) bool {
	a, okA := withoutPort([]byte(registered))
	b, okB := withoutPort([]byte(sent))
	return bytes.Equal([]byte(registered), []byte(sent)) || native && okA && okB && bytes.Equal(a, b)
}

func withoutPort(uri []byte) ([]byte, bool) {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]", "http://localhost"} {
		if len(uri) < len(host) || string(uri[:len(host)]) != host {
			continue
		}
		rest, port := uri[len(host):], 0
		if len(rest) > 0 && rest[0] == ':' {
			n := 1
			for ; n < len(rest) && n < 7 && rest[n] >= '0' && rest[n] <= '9'; n++ {
				port = 10*port + int(rest[n]-'0')
			}
			if n == 1 || rest[1] == '0' || port > 65535 {
				return nil, false
			}
			rest = rest[n:]
		}
		return append([]byte(host), rest...), len(rest) == 0 || rest[0] == '/' || rest[0] == '?'
	}
	return nil, false
}

// OA-RED-01 to OA-RED-03: the matcher and the rule above agree on 300,000 pairs that differ in a few bytes.
func TestRedirectURILikeTheRule(t *testing.T) {
	seeds := []string{"https://app.example/cb", "https://app.example/cb?tenant=1", "http://127.0.0.1/cb", "http://127.0.0.1:8080/cb?a=b", "http://[::1]:1/cb", "http://[::1]/cb",
		"http://localhost:80/cb", "com.example.app:/cb", "http://127.0.0.1:65535", "http://127.0.0.1?x", "http://[::1]:443/"}
	pieces := []string{"", "/", "//", ":", "?", "#", "@", "\\", ".", "..", "%2f", "%00", "\x00", "\n", " ", "*", "A", "a", "0", "1", "80", ":80", ":0", ":080", ":65535", ":65536", ":99999999999999999999",
		":+1", "localhost", "127.0.0.1", "[::1]", "127.0.0.2", "[::2]", "evil.example", "@evil.example", "https", "http", "http://127.0.0.1", "HTTP", "[", "]", "\u0661", "\u3002", ";", "&", "="}
	r := rand.New(rand.NewPCG(3, 4))
	mutate := func(s string) string {
		for range r.IntN(3) {
			i := r.IntN(len(s) + 1)
			s = s[:i] + pieces[r.IntN(len(pieces))] + s[min(len(s), i+r.IntN(4)*r.IntN(4)):]
		}
		return s
	}
	taken := map[bool]int{}
	for range 300_000 {
		registered := seeds[r.IntN(len(seeds))]
		sent := registered
		if r.IntN(4) == 0 {
			sent = seeds[r.IntN(len(seeds))]
		}
		registered, sent = mutate(registered), mutate(sent)
		if r.IntN(3) == 0 { // two ports, or something like them
			port := func() string {
				if r.IntN(2) == 0 {
					return pieces[r.IntN(len(pieces))]
				}
				return []string{"", ":1", ":80", ":8080", ":65535"}[r.IntN(5)]
			}
			host, path := []string{"http://127.0.0.1", "http://[::1]", "http://localhost"}[r.IntN(3)], []string{"", "/", "/cb", "?a", "0", "@"}[r.IntN(6)]
			registered, sent = host+port()+path, host+port()+path
		}
		for _, kind := range []string{"web", "native"} {
			got := oidc.RedirectsTo(&oidc.Client{Type: kind, RedirectURIs: []string{"https://other.example/", registered}}, sent)
			if want := mayRedirect(kind == "native", registered, sent); got != want {
				t.Fatalf("%s: registered %q, sent %q: %t", kind, registered, sent, got)
			}
			if got {
				taken[registered == sent]++
			}
		}
	}
	t.Logf("taken: %d with the same bytes, %d with another port", taken[true], taken[false])
	if taken[true] < 10_000 || taken[false] < 1_000 {
		t.Error("too few to say anything")
	}
}
