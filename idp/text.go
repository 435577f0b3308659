package idp

import (
	"net/mail"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Text tells if s can be stored, shown, and sent in XML, JSON and headers alike: UTF-8 without control characters and
// without the code points that no XML document holds. Whatever is sent to an app is held to it: a character that is
// replaced or dropped on the way would make one person of two.
func Text(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || r == 0xfffe || r == 0xffff || r == utf8.RuneError
	})
}

// EmailAddress tells if s is an e-mail address in its plainest form: local@domain, without a name, quotes, comments, a
// second @, or characters that are not seen or look like others. The domain is written in ASCII (xn--…), so that there is
// one way to write it.
func EmailAddress(s string) bool {
	if len(s) > 254 || !Text(s) || strings.Count(s, "@") != 1 || strings.ContainsAny(s, "<>\"(),;: ") || norm.NFKC.String(s) != s {
		return false
	}
	_, domain, _ := strings.Cut(s, "@")
	if strings.ContainsFunc(domain, func(r rune) bool { return r > unicode.MaxASCII }) || strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Cf, r) }) {
		return false
	}
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s
}

// sources of one value, and of several.
var (
	oneSources  = []string{"userId", "username", "email", "givenName", "familyName", "name", "federationID", "profile"}
	manySources = []string{"groups", "permissionSets", "roles"}
)

// Source tells if name is a place at which a value of a user stands: one of Sources, or attributes.NAME. many: several
// values can stand there, so it can be no NameID.
func Source(name string) (known, many bool) {
	if attribute, ok := strings.CutPrefix(name, "attributes."); ok {
		return attribute != "", false
	}
	return slices.Contains(oneSources, name) || slices.Contains(manySources, name), slices.Contains(manySources, name)
}

// Sources names every place at which a value of a user can stand, for whoever wrote another one.
func Sources() []string { return append(slices.Concat(oneSources, manySources), "attributes.NAME") }

// The scopes every org has. Others are declared.
var builtInScopes = []string{
	"openid", "profile", "email", "address", "phone", "groups", "offline_access", "refresh_token", "api", "full", "id", "web",
}

// BuiltInScopes returns the scopes that every org has (SURFACE.md §3).
func BuiltInScopes() []string { return slices.Clone(builtInScopes) }
