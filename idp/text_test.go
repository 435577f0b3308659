package idp_test

import (
	"slices"
	"testing"

	"github.com/lanyard-sso/lanyard/idp"
)

func TestText(t *testing.T) {
	for s, want := range map[string]bool{
		"": true, "Ana Lima": true, "Łukasz Müller 李": true, "👩‍💻": true, "a\u200fb": true,
		"a\x00b": false, "a\nb": false, "a\tb": false, "a\x7fb": false, "a\u0085b": false, "a\x1bb": false,
		"a\ufffeb": false, "a\uffffb": false, "a\xffb": false, "a\ufffdb": false,
	} {
		if got := idp.Text(s); got != want {
			t.Errorf("%q: %t", s, got)
		}
	}
}

// AUTH-13, SAML-RSP-05: an address has one reading.
func TestEmailAddress(t *testing.T) {
	for s, want := range map[string]bool{
		"ana@example.com": true, "ana.lima+x@sub.example.com": true, "o'neil@example.com": true, "ana@localhost": true, "jörg@xn--bcher-kva.example": true,
		"": false, "ana": false, "@example.com": false, "ana@": false, "a@b@example.com": false, `"a@corp, x"@evil.example`: false,
		"Ana <ana@example.com>": false, "ana@example.com ": false, " ana@example.com": false, "ana@example.com\n": false,
		"admin@corp<!-- -->.evil": false, "admin@corp<?x?>.evil": false, "ana＠example.com": false, "ａna@example.com": false,
		"ana@exam ple.com": false, "ana(comment)@example.com": false, "a\x00na@example.com": false, "ana@bücher.example": false, "an\u200ba@example.com": false, "ana\u202e@example.com": false, "ana@example.com;b@example.com": false,
	} {
		if got := idp.EmailAddress(s); got != want {
			t.Errorf("%q: %t", s, got)
		}
	}
}

func TestSource(t *testing.T) {
	for s, want := range map[string][2]bool{
		"email": {true, false}, "groups": {true, true}, "attributes.department": {true, false}, "attributes.a.b": {true, false},
		"": {}, "Email": {}, "attributes.": {}, "attributes": {}, "password": {}, "attributes.NAME": {true, false},
	} {
		if known, many := idp.Source(s); known != want[0] || many != want[1] {
			t.Errorf("%q: %t %t", s, known, many)
		}
	}
	for _, s := range idp.Sources() {
		if known, _ := idp.Source(s); !known {
			t.Errorf("%q is named and not known", s)
		}
	}
	idp.BuiltInScopes()[0] = "changed"
	if !slices.Contains(idp.BuiltInScopes(), "openid") {
		t.Error("a caller can change the built-in scopes")
	}
}
