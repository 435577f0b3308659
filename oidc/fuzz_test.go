package oidc_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/lanyard-sso/lanyard/oidc"
)

// FuzzParameters: a form is read as every other reader reads it, each parameter but resource once, or not at all.
func FuzzParameters(f *testing.F) {
	for _, s := range []string{"grant_type=authorization_code&code=x", "a=1&a=2", "a=1&%61=2", "code=1&code=1", "code=1&%63ode=2", "resource=a&resource=b", "a", "=", "a=%zz", "a;b=1", "a=%ff", "%00=1", "a+b=c+d", strings.Repeat("a=1&", 200), "&&", "code=a%26b%3Dc"} {
		f.Add(s)
	}
	if got, err := oidc.ReadParameters("a+b=c%26d"); err != nil || got["a b"] != "c&d" {
		f.Fatal(got, err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := oidc.ReadParameters(raw)
		if err != nil {
			return
		}
		values := url.Values{}
		for name, value := range got {
			values.Set(name, value)
			if !utf8.ValidString(name) || !utf8.ValidString(value) {
				t.Errorf("%q: %q = %q", raw, name, value)
			}
		}
		again, err := url.ParseQuery(raw)
		for name, all := range again {
			if len(all) > 1 && name != "resource" {
				t.Errorf("%q: %q was sent twice", raw, name)
			}
			again.Set(name, all[0])
		}
		if err != nil || again.Encode() != values.Encode() {
			t.Errorf("%q is read as %q, and by others as %q, %v", raw, values.Encode(), again.Encode(), err)
		}
	})
}

// FuzzScope: what is read of a scope is its words, each once, in their order and of the characters of RFC 6749 §3.3.
func FuzzScope(f *testing.F) {
	for _, s := range []string{"openid profile", "", " ", "a  b", "a a", "openid\tprofile", "a\"b", "a\\b", "é", "a\x00b", "\x7f", strings.Repeat("x ", 200), "offline_access refresh_token"} {
		f.Add(s)
	}
	if got, err := oidc.ReadScope("b a b"); err != nil || !slices.Equal(got, []string{"b", "a"}) {
		f.Fatal(got, err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := oidc.ReadScope(s)
		if err != nil {
			return
		}
		var want []string
		for _, word := range strings.Split(s, " ") {
			if word != "" && !slices.Contains(want, word) {
				want = append(want, word)
			}
			if strings.ContainsFunc(word, func(r rune) bool { return r < 0x21 || r > 0x7E || r == '"' || r == '\\' }) {
				t.Errorf("%q was read", s)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q was read as %q", s, got)
		}
		if again, err := oidc.ReadScope(strings.Join(got, " ")); err != nil || !slices.Equal(again, got) {
			t.Errorf("%q was read as %q, and that as %q, %v", s, got, again, err)
		}
	})
}

// FuzzCheck: a query put behind a proxy's own can neither lift nor change what that wants.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{"", "x=1", "&scope=", "&scope=orders", "&audience=a", "&%73cope=x", "&scope", ";scope=x", "&scope=%zz", "#scope=x", "&SCOPE=x"} {
		f.Add(s)
	}
	if scopes, audience, err := oidc.ReadCheck("scope=orders&audience=https%3A%2F%2Fapi"); err != nil || !slices.Equal(scopes, []string{"orders"}) || audience != "https://api" {
		f.Fatal(scopes, audience, err)
	}
	f.Fuzz(func(t *testing.T, more string) {
		scopes, audience, err := oidc.ReadCheck("scope=orders%20stock&audience=a&" + more)
		if err == nil && (!slices.Equal(scopes, []string{"orders", "stock"}) || audience != "a") {
			t.Errorf("with %q behind it: %q, %q", more, scopes, audience)
		}
	})
}

// FuzzHeaderText: what goes into a header is printable ASCII, and says what it was made of, and nothing else does.
func FuzzHeaderText(f *testing.F) {
	for _, s := range []string{"ana", "ana@example.com", "Ana Lima", "\r\nX: y", "é", "%41", "", "\x00\xff", "a,b;c\"d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := oidc.HeaderText(s)
		if strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' || r == ';' || r == '"' }) {
			t.Errorf("%q became %q", s, got)
		}
		if back, err := url.PathUnescape(got); err != nil || back != s {
			t.Errorf("%q became %q and then %q, %v", s, got, back, err)
		}
	})
}
