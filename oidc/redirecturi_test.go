package oidc_test

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/oidc"
)

// OA-RED-01, OA-RED-02, OA-RED-03: for a client with one redirect URI nothing else will do.
func TestRedirectURIIsComparedByBytes(t *testing.T) {
	const good = "https://app.example/cb"
	web := &oidc.Client{Type: "web", RedirectURIs: []string{good}}
	if !oidc.RedirectsTo(web, good) {
		t.Fatal("the registered one is refused")
	}
	for id, list := range wrongRedirects() {
		for _, uri := range list {
			if oidc.RedirectsTo(web, uri) {
				t.Errorf("%s: %q is taken for %q", id, uri, good)
			}
		}
	}
}

// wrongRedirects is what must never pass for https://app.example/cb.
func wrongRedirects() map[string][]string {
	const host = "https://app.example"
	return map[string][]string{
		"OA-RED-01": {host + "/cb/", host + "/cb/evil", host + "/cb?x=1", host + "/cb?", host + "/cb#", host + "/cb#f", host + "/cb;x",
			host + "/CB", host + "/cb%00", host + "/cb%2f", host + "/x/../cb", host + "/cb/..;/evil", host + "/cb/%2e%2e/evil", host + "/cb/%252e%252e/evil"},
		"OA-RED-02": {"HTTPS://app.example/cb", "https://APP.example/cb", host + ":443/cb", "https://app.example./cb",
			"https://app.example@evil.example/cb", "https://app.example%2f@evil.example/cb", "https://evil.example\\@app.example/cb",
			"https://app.example.evil.example/cb", "https://appXexample/cb", "https://app。example/cb", "https:app.example/cb", "//app.example/cb",
			"https:///app.example/cb", " " + host + "/cb", host + "/cb ", host + "/c\tb", host + "/cb\n"},
		"OA-RED-03": {"http://app.example/cb", "javascript:alert(1)", "data:text/html,x", "", strings.Repeat("a", 64<<10)},
		"OA-RED-05": {"https://other.example/cb"},
	}
}

// RFC 8252 §7.3 and RFC 9700 §2.1, and nothing beyond them.
func TestLoopbackPort(t *testing.T) {
	native := &oidc.Client{Type: "native", RedirectURIs: []string{"http://127.0.0.1/cb", "http://[::1]:80/cb?a=b", "com.example.app:/cb", "http://localhost/cb"}}
	for _, uri := range []string{"http://127.0.0.1/cb", "http://127.0.0.1:51004/cb", "http://127.0.0.1:1/cb", "http://[::1]:65535/cb?a=b", "http://[::1]/cb?a=b",
		"com.example.app:/cb", "http://localhost/cb", "http://localhost:80/cb", "http://localhost:51004/cb"} {
		if !oidc.RedirectsTo(native, uri) {
			t.Errorf("%q is refused", uri)
		}
	}
	for _, uri := range []string{"http://127.0.0.1:0/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:080/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:x/cb",
		"http://127.0.0.1:80@evil.example/cb", "http://127.0.0.1:80evil/cb", "http://127.0.0.1.evil.example/cb", "http://127.0.0.1:80/cb/", "http://127.0.0.1:80/CB",
		"http://127.0.0.1:80/cb#", "https://127.0.0.1:80/cb", "http://127.0.0.2:80/cb", "http://localhost:0/cb", "https://localhost:80/cb", "http://LOCALHOST:80/cb", "http://localhost.:80/cb",
		"http://localhost.evil.example:80/cb", "http://app.localhost:80/cb", "http://localhost:80@evil.example/cb", "http://[::1]:80/cb", "http://127.0.0.1@evil.example/cb",
		"http://127.0.0.1\\@evil.example/cb", "http://127.0.0.1:99999999999999999999/cb", "http://127.0.0.1:+80/cb"} {
		if oidc.RedirectsTo(native, uri) {
			t.Errorf("%q is taken", uri)
		}
	}
	if named := (&oidc.Client{Type: "native", RedirectURIs: []string{"http://localhost/cb"}}); oidc.RedirectsTo(named, "http://127.0.0.1:51004/cb") {
		t.Error("localhost is another host than the address")
	}
	web := &oidc.Client{Type: "web", RedirectURIs: native.RedirectURIs}
	if oidc.RedirectsTo(web, "http://127.0.0.1:51004/cb") {
		t.Error("a web client has no free port")
	}
}

// OA-DCR-02: what may be registered as an address of an answer.
func TestCheckRedirectURI(t *testing.T) {
	for _, c := range []struct {
		uri    string
		native bool
	}{
		{"https://app.example/cb", false}, {"https://app.example", false}, {"https://app.example/cb?tenant=1&x=%20y", false},
		{"https://app.example:8443/cb", false}, {"http://localhost:8080/cb", false}, {"http://127.0.0.1/cb", false}, {"http://[::1]:9/cb", false},
		{"com.example.app:/cb", true}, {"myapp://cb", true}, {"https://xn--bcher-kva.example/cb", false},
	} {
		if err := oidc.CheckRedirectURI(c.uri, c.native); err != nil {
			t.Errorf("%q: %v", c.uri, err)
		}
	}
	for _, c := range []struct {
		uri    string
		native bool
	}{
		{"", false}, {"javascript:alert(1)", true}, {"JaVaScRiPt:alert(1)", true}, {"java\nscript:alert(1)", true}, {"data:text/html,x", true},
		{"vbscript:x", true}, {"blob:https://a/b", true}, {"file:///etc/passwd", true}, {"https://u:p@h/", false}, {"https://u@h/", false},
		{"https://app.example/cb#", false}, {"https://app.example/cb#f", false}, {"*", false}, {"https://*.app.example/cb", false}, {"https://app.example/*", false},
		{"/cb", false}, {"//app.example/cb", false}, {"cb", false}, {"https:app.example/cb", false}, {"https:///cb", false}, {"https:", false},
		{"HTTPS://app.example/cb", false}, {"http://app.example/cb", false}, {"http://app.example/cb", true}, {"http://127.0.0.1.evil.example/cb", true},
		{"com.example.app:/cb", false}, {"https://app.example/c b", false}, {"https://app.example/cb\x00", false}, {"https://app。example/cb", false},
		{"https://app.example%2f.evil.example/cb", false}, {"https://app.example\\.evil.example/cb", false}, {"https://app.example:/cb", false},
		{"https://app.example:99999999/cb", false}, {"https://app.example/" + strings.Repeat("a", 2048), false}, {"mailto:a@b", true}, {"intent:x", true},
		{"https://app.example/cb?a=%zz", false}, {"https://app.example/cb?a;b", false},
		{"https://app.example/cb?code=x&state=y&iss=z", false}, {"https://app.example/cb?st%61te=y", false}, {"https://app.example/cb?iss", false}, // OA-RED-07
	} {
		var e *oidc.Error
		if err := oidc.CheckRedirectURI(c.uri, c.native); !errors.As(err, &e) || e.Code != oidc.InvalidRedirectURI {
			t.Errorf("OA-DCR-02: %q (native %t): %v", c.uri, c.native, err)
		}
	}
}

func TestWithKeepsTheQuery(t *testing.T) {
	v := url.Values{"code": {"a b"}, "iss": {"https://i"}}
	for uri, want := range map[string]string{
		"https://a/cb":          "https://a/cb?code=a+b&iss=https%3A%2F%2Fi",
		"https://a/cb?":         "https://a/cb?code=a+b&iss=https%3A%2F%2Fi",
		"https://a/cb?x=%7e&&y": "https://a/cb?x=%7e&&y&code=a+b&iss=https%3A%2F%2Fi",
		"com.example:/cb":       "com.example:/cb?code=a+b&iss=https%3A%2F%2Fi",
	} {
		if got := oidc.With(uri, v); got != want {
			t.Errorf("%s: %s", uri, got)
		}
	}
}

// FuzzRedirectURI: the matcher says yes to the same bytes, and to a loopback address that differs in its port alone.
func FuzzRedirectURI(f *testing.F) {
	for _, list := range wrongRedirects() {
		for _, uri := range list {
			f.Add("https://app.example/cb", uri)
		}
	}
	f.Add("http://127.0.0.1/cb", "http://127.0.0.1:8/cb")
	f.Add("http://[::1]:1/cb", "http://[::1]:65535/cb")
	f.Add("http://127.0.0.1/cb", "http://127.0.0.1:8@evil.example/cb")
	port := regexp.MustCompile(`^(http://(?:127\.0\.0\.1|\[::1\]))(?::([1-9][0-9]{0,4}))?((?:[/?](?s:.*))?)$`)
	f.Fuzz(func(t *testing.T, registered, sent string) {
		for _, kind := range []string{"web", "native"} {
			got := oidc.RedirectsTo(&oidc.Client{Type: kind, RedirectURIs: []string{registered}}, sent)
			want := registered == sent
			if a, b := port.FindStringSubmatch(registered), port.FindStringSubmatch(sent); kind == "native" && a != nil && b != nil {
				tooHigh := func(p string) bool { return len(p) == 5 && p > "65535" }
				want = want || a[1] == b[1] && a[3] == b[3] && !tooHigh(a[2]) && !tooHigh(b[2])
			}
			if got != want {
				t.Errorf("%s: registered %q, sent %q: %t", kind, registered, sent, got)
			}
		}
		if oidc.CheckRedirectURI(sent, true) == nil {
			u, err := url.Parse(sent)
			if err != nil || u.User != nil || u.Fragment != "" || strings.Contains(sent, "#") || (u.Scheme == "https" || u.Scheme == "http") && u.Host == "" {
				t.Errorf("%q may be registered", sent)
			}
		}
	})
}
