package people

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lanyard-sso/lanyard/idp"
)

// Fault is something about a user that can not be. Key names the sentence for a page, Text says it for the command line.
type Fault struct{ Key, Text string }

func (f *Fault) Error() string { return f.Text }

func fault(key, text string, args ...any) error { return &Fault{key, fmt.Sprintf(text, args...)} }

// Lengths in bytes, and how much one user may carry: a user is read with every request.
const (
	maxName       = 200
	maxText       = 4096
	maxAttributes = 200
	maxValues     = 500
	maxRefs       = 2000
)

// Check holds a user to what a user may be.
func Check(u *idp.User) error {
	switch n := u.Username; {
	case n == "":
		return fault("setup.username", "a user needs a username")
	case len(n) > maxName, !idp.Text(n), strings.ContainsFunc(n, unseen):
		return fault("setup.username", "the username %q has spaces, characters that are not seen, or more than %d bytes", clip(n), maxName)
	}
	if u.Email != "" && !idp.EmailAddress(u.Email) {
		return fault("setup.email", "%q is no e-mail address like ana@example.com", clip(u.Email))
	}
	for _, n := range []string{u.GivenName, u.FamilyName, u.FederationID} {
		if err := text(n, maxName); err != nil {
			return err
		}
	}
	if len(u.Attributes) > maxAttributes || len(u.Groups) > maxRefs || len(u.PermissionSets) > maxRefs {
		return fault("setup.username", "a user has at most %d attributes, and %d groups and permission sets", maxAttributes, maxRefs)
	}
	for name, values := range u.Attributes {
		if err := text(name, maxName); err != nil {
			return err
		}
		if len(values) > maxValues {
			return fault("setup.username", "the attribute %q has more than %d values", clip(name), maxValues)
		}
		for _, v := range values {
			if err := text(v, maxText); err != nil {
				return err
			}
		}
	}
	for _, r := range u.Roles {
		if r != "admin" {
			return fault("setup.username", "unknown role %q; there is admin", clip(r))
		}
	}
	return nil
}

// text refuses what can not be sent as it is: two people whose names differ only in it would become one.
func text(s string, most int) error {
	if len(s) > most || !idp.Text(s) {
		return fault("setup.username", "%q has control characters, is not UTF-8, or is longer than %d bytes", clip(s), most)
	}
	return nil
}

// unseen tells of characters that a reader does not see: with them, one name would look like another.
func unseen(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

func clip(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// CheckPassword holds a password to its length. Nothing is said of what it is made of.
func CheckPassword(password string) error {
	switch n := utf8.RuneCountInString(password); {
	case len(password) > maxPassword:
		return fault("password.long", "the password is longer than %d bytes", maxPassword)
	case n < minPassword:
		return fault("password.short", "the password is too short; use at least %d characters", minPassword)
	}
	return nil
}

// checkChosen holds a password that a person chooses for u: it must not be among the first that anybody would try.
func checkChosen(o *idp.Org, u *idp.User, password string) error {
	if err := CheckPassword(password); err != nil {
		return err
	}
	local, domain, _ := strings.Cut(u.Email, "@")
	own := []string{u.Username, u.Email, local, u.GivenName, u.FamilyName, u.GivenName + u.FamilyName, o.Name}
	own = append(own, labels(domain)...)
	if at, err := url.Parse(o.URL); err == nil {
		own = append(own, labels(at.Hostname())...)
	}
	if guessable(password, slices.DeleteFunc(own, func(s string) bool { return s == "" })) {
		return fault("password.common", "that password is among those guessed first: a common word, a name, or keys in a row; choose another one")
	}
	return nil
}

// labels are the words of a host name: sso.acme.example says acme.
func labels(host string) []string {
	return strings.FieldsFunc(host, func(r rune) bool { return r == '.' || r == '-' })
}
