package server_test

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/server"
)

// FuzzCallerIP: the caller is the peer, or, if that is a trusted proxy, the last address of X-Forwarded-For that no trusted
// proxy has. Nobody who is not trusted can name another, and what cannot be read is no address at all.
func FuzzCallerIP(f *testing.F) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, s := range [][3]string{
		{"192.0.2.1:5", "203.0.113.9", ""}, {"10.0.0.1:5", "203.0.113.9", ""}, {"10.0.0.1:5", "203.0.113.9, 10.9.9.9", ""}, {"10.0.0.1:5", "6.6.6.6, 203.0.113.9", "10.1.1.1"},
		{"10.0.0.1:5", "", ""}, {"10.0.0.1:5", "unknown", ""}, {"10.0.0.1:5", "10.1.1.1,,", ""}, {"[fd00::1]:5", "::ffff:203.0.113.9", ""}, {"[::ffff:10.0.0.1]:5", "203.0.113.9", ""},
		{"10.0.0.1:5", "fe80::1%eth0", ""}, {"@", "203.0.113.9", ""}, {"10.0.0.1:5", "203.0.113.9:80", ""}, {"10.0.0.1:5", "[2001:db8::1]", ""}, {"10.0.0.1:5", "010.0.0.1", ""},
	} {
		f.Add(s[0], s[1], s[2])
	}
	isTrusted := func(a netip.Addr) bool { return trusted[0].Contains(a) || trusted[1].Contains(a) }
	f.Fuzz(func(t *testing.T, peer, first, last string) {
		r := &http.Request{RemoteAddr: peer, Header: http.Header{}}
		chain := ""
		for _, h := range []string{first, last} {
			if h != "" {
				r.Header.Add("X-Forwarded-For", h)
				chain += "," + h
			}
		}
		got := server.CallerIP(r, trusted)
		var want netip.Addr
		if at, err := netip.ParseAddrPort(peer); err == nil {
			want = at.Addr().Unmap()
			for chain != "" && isTrusted(want) {
				i := strings.LastIndexByte(chain, ',')
				hop, err := netip.ParseAddr(strings.TrimSpace(chain[i+1:]))
				if err != nil || hop.Zone() != "" {
					want = netip.Addr{}
					break
				}
				want, chain = hop.Unmap(), chain[:i]
			}
		}
		if got != want {
			t.Errorf("from %q with %q, %q: %v, want %v", peer, first, last, got, want)
		}
		if got.Is4In6() {
			t.Errorf("%v is an IPv4 address in disguise", got)
		}
	})
}

// FuzzCanonical: a path that passes is written as this house writes it, so whatever reads it (router, rule, log, proxy, file
// system) reads the same: no dots, no empty segment, no escape that could be a character, and net/url agrees.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"/", "/saml/sso", "/saml/launch/Your_Benefits", "/a//b", "/../a", "/a/./b", "/a%2fb", "/a%2Fb", "/%2e%2e/a", "/a;b", "/a\\b", "/a%5cb", "/%41pps", "/a%00", "/a%C3%A9", "/a%20b", "/a%252fb",
		"/a%", "/a%zz", "/oauth2/token/", "/é", "*", "", "a", "/a?b", "/a%7e", "/a%ff"} {
		f.Add(s)
	}
	for s, want := range map[string]bool{"/saml/sso": true, "/a%C3%A9": true, "/a%2fb": false, "/%41pps": false, "/a/..": false} {
		if u, err := url.ParseRequestURI(s); err != nil || server.Canonical(&http.Request{URL: u}) != want {
			f.Fatalf("%s: %v", s, err)
		}
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.ParseRequestURI(raw) // as net/http reads a request line
		if err != nil || !server.Canonical(&http.Request{URL: u}) {
			return
		}
		p := u.EscapedPath()
		if clean := path.Clean(u.Path); clean != u.Path && clean+"/" != u.Path {
			t.Errorf("%q passes, and %q is cleaned to %q", raw, u.Path, clean)
		}
		if strings.Contains(u.Path, "\\") || strings.Contains(u.Path, ";") || strings.Contains(strings.ToLower(p), "%2") && strings.ContainsAny(u.Path, "%") || strings.ContainsFunc(u.Path, func(r rune) bool { return r < ' ' || r == 0x7F }) {
			t.Errorf("%q passes as %q", raw, u.Path)
		}
		// Read once more, as a proxy behind would, it is the same.
		twice, err := url.ParseRequestURI(p)
		if err != nil || twice.Path != u.Path || !server.Canonical(&http.Request{URL: twice}) {
			t.Errorf("%q passes as %q, and then is %v, %v", raw, p, twice, err)
		}
		// Below a path of the org's, what a room sees passes too, and nothing outside of it is seen as inside.
		in := server.Inside("/sso", "", &http.Request{URL: u})
		if in != p && (p != "/sso"+in && (p != "/sso" || in != "/") && !strings.HasPrefix(p, "/.well-known/")) {
			t.Errorf("%q is seen as %q", p, in)
		}
		if inner, err := url.ParseRequestURI(in); err != nil || !server.Canonical(&http.Request{URL: inner}) {
			t.Errorf("%q is seen as %q, which does not pass: %v", p, in, err)
		}
	})
}

// FuzzRedact: a password in an address, and the secret half of a bearer value, do not get through the log's last guard, and
// what was redacted stays as it is.
func FuzzRedact(f *testing.F) {
	const token = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" // 43
	for _, s := range [][2]string{{"", ""}, {"dial postgres://lanyard:", "@db/lanyard: refused"}, {"token 01jd0.", " is unknown"}, {"?code=", "&state=x"}, {"\n", "\xff"}, {"password=", "\""}} {
		f.Add(s[0], s[1])
	}
	redact := func(s string) string { return server.Redact(nil, slog.String("error", s)).Value.String() }
	f.Fuzz(func(t *testing.T, before, after string) {
		for what, s := range map[string]string{
			"a password":  before + " postgres://lanyard:hunter2hunter2@db/lanyard " + after,
			"a token":     before + " 01jd0." + token + " " + after,
			"a parameter": before + " https://x/?code=" + token + "&state=x " + after,
		} {
			got := redact(s)
			if !strings.Contains(before+after, "hunter2") && strings.Contains(got, "hunter2") || !strings.Contains(before+after, "AAAA") && strings.Contains(got, token) {
				t.Errorf("%s got through: %q", what, got)
			}
			if again := redact(got); again != got {
				t.Errorf("%q was redacted to %q and then to %q", s, got, again)
			}
		}
	})
}
