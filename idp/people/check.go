package people

import (
	_ "embed"
	"fmt"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/lanyard-sso/lanyard/idp"
)

// Fault is something about a user that can not be. Key names the sentence for a page, Text says it for the command line.
type Fault struct{ Key, Text string }

func (f *Fault) Error() string { return f.Text }

func fault(key, text string, args ...any) error { return &Fault{key, fmt.Sprintf(text, args...)} }

const maxName = 200

// Check holds a user to what a user may be.
func Check(u *idp.User) error {
	switch n := u.Username; {
	case n == "":
		return fault("setup.username", "a user needs a username")
	case len(n) > maxName, !utf8.ValidString(n), strings.ContainsFunc(n, bad), strings.ContainsFunc(n, unicode.IsSpace):
		return fault("setup.username", "the username %q has spaces, control characters or more than %d bytes", n, maxName)
	}
	if u.Email != "" {
		if err := CheckEmail(u.Email); err != nil {
			return err
		}
	}
	for _, n := range []string{u.GivenName, u.FamilyName, u.FederationID} {
		if err := text(n); err != nil {
			return err
		}
	}
	for k, values := range u.Attributes {
		for _, v := range append([]string{k}, values...) {
			if err := text(v); err != nil {
				return err
			}
		}
	}
	for _, r := range u.Roles {
		if r != "admin" {
			return fault("setup.username", "unknown role %q; there is admin", r)
		}
	}
	return nil
}

const maxText = 4096

// text refuses what no XML document or header can carry: two people whose names differ only in it would become one.
func text(s string) error {
	if len(s) > maxText || !utf8.ValidString(s) || strings.ContainsFunc(s, bad) {
		return fault("setup.username", "%q has control characters, is not UTF-8, or is longer than %d bytes", clip(s), maxText)
	}
	return nil
}

func bad(r rune) bool {
	return unicode.IsControl(r) || r == 0xfffe || r == 0xffff || r == unicode.ReplacementChar
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// CheckEmail holds an e-mail address to one form: local@domain, without a name, comments or a second @.
func CheckEmail(s string) error {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || len(s) > 254 || strings.Count(s, "@") != 1 || strings.ContainsAny(s, "<>\"(),;: ") ||
		strings.ContainsFunc(s, bad) || norm.NFKC.String(s) != s {
		return fault("setup.email", "%q is no e-mail address like ana@example.com", clip(s))
	}
	return nil
}

//go:embed common.txt
var common string

// CheckPassword holds a new password to its length and refuses those that are guessed first.
func CheckPassword(u *idp.User, password string) error {
	n := utf8.RuneCountInString(password)
	switch {
	case len(password) > maxPassword:
		return fault("password.long", "the password is longer than %d bytes", maxPassword)
	case n < minPassword:
		return fault("password.short", "the password is too short; use at least %d characters", minPassword)
	}
	lower := strings.ToLower(password)
	for line := range strings.Lines(common) {
		if lower == strings.TrimSpace(line) {
			return fault("password.common", "that password is among those guessed first; choose another one")
		}
	}
	for _, own := range []string{u.Username, u.Email} {
		if own != "" && idp.NameKey(own) == idp.NameKey(password) {
			return fault("password.common", "the password is the user's own name")
		}
	}
	return nil
}
