package idp_test

import (
	"net/mail"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp"
)

// FuzzEmailAddress: what passes is an address for others too, has one spelling, and keeps its one @ when it is compared.
func FuzzEmailAddress(f *testing.F) {
	for _, s := range []string{"ana@example.com", "o'hara+x@example.com", "a@b", "@", "a@@b", "a b@c", "\"a\"@b", "Ana <a@b>", "a@b\r\n", "ä@example.com", "a@exämple.com", "a@b,c@d", "a@[127.0.0.1]", "\uFF21@b", "a\u200d@b", "a@b.", ".a@b", strings.Repeat("a", 300) + "@b", "ana\uFE6Bx@example.com"} {
		f.Add(s)
	}
	if !idp.EmailAddress("o'hara+x@example.com") {
		f.Fatal("a plain address is none")
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !idp.EmailAddress(s) {
			return
		}
		a, err := mail.ParseAddress(s)
		if err != nil || a.Address != s || a.Name != "" || !idp.Text(s) {
			t.Errorf("%q is an address here, and elsewhere %v, %v", s, a, err)
		}
		if key := idp.NameKey(s); strings.Count(key, "@") != 1 || idp.NameKey(key) != key || strings.ContainsAny(key, " \t") {
			t.Errorf("%q is compared as %q, and that as %q", s, key, idp.NameKey(key))
		}
	})
}
