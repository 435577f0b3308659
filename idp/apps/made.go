package apps

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"strings"
	"unicode"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/oidc"
)

const maxAPIName = 80

// ProposeName makes an API name of an app's name: Your Benefits → Your_Benefits. It is what a person would write who may
// only use letters, digits and single underscores, and must begin with a letter.
func ProposeName(name string) string {
	var b strings.Builder
	gap := false
	for _, r := range decomposed(name) {
		switch {
		case unicode.Is(unicode.Mn, r): // an accent, taken off its letter
		case r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			if gap && b.Len() > 0 {
				b.WriteByte('_')
			}
			if b.Len() == 0 && unicode.IsDigit(r) {
				b.WriteByte('X')
			}
			gap = false
			b.WriteRune(r)
		default:
			gap = true
		}
	}
	proposed := b.String()
	if len(proposed) > maxAPIName {
		proposed = strings.TrimRight(proposed[:maxAPIName], "_")
	}
	if proposed == "" {
		return "App"
	}
	return proposed
}

// isAPIName tells if s is an API name: letters, digits and single underscores, beginning with a letter and not ending
// with an underscore.
func isAPIName(s string) bool {
	if s == "" || len(s) > maxAPIName || strings.Contains(s, "__") || strings.HasSuffix(s, "_") {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return true
}

// newClientID returns 120 random bits: a client_id is public, but nobody shall choose another's.
func newClientID() string {
	b := make([]byte, 15)
	_, _ = rand.Read(b) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))
}

// newSecret returns 256 random bits in characters that survive every form, header and shell.
func newSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// keepsSecret tells if the app has an OAuth client that is to have a secret.
func keepsSecret(app *idp.App) bool {
	o := app.OAuth
	return o != nil && !o.Public && o.AuthMethod != oidc.MethodNone && o.AuthMethod != oidc.MethodPrivateKey
}

// NewClient returns an OAuth client of that type with everything else at its default, no flow among it.
func NewClient(kind string) *oidc.Client {
	public := kind == "native" || kind == "browser"
	c := &oidc.Client{
		Type: kind, Public: public, RequirePKCE: "auto", SecretForCode: !public, SecretForRefresh: !public, Introspect: "own", RotateRefreshTokens: "auto",
	}
	return c
}
