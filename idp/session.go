package idp

import (
	"slices"
	"time"
)

// Session is one sign-in of one user at one browser.
type Session struct {
	Org  string
	ID   string // time-ordered; the cookie holds ID.secret, the row only a hash of the secret
	User string

	Started  time.Time // first sign-in of this browser session
	AuthTime time.Time // last time the person proved themself
	Seen     time.Time // last use, to the minute
	Expires  time.Time // absolute end
	Level    int       // 1 password, 2 two factors, 3 passkey with user verification
	AMR      []string  // RFC 8176
	Salt     string    // random; SessionIndex and sid are derived from it for each app, so two apps can not compare them
	IP       string
	Agent    string // User-Agent, shortened
}

// ByPassword tells if a password was proved in the session; a sign-in link proves none.
func (s *Session) ByPassword() bool { return slices.Contains(s.AMR, "pwd") }

// Consent is what a user agreed to for an app: it need not ask again for that.
type Consent struct {
	App    string
	Scopes []string
	Given  time.Time // last
}

// ACR values of the levels (SURFACE.md §4).
const (
	ACRPassword = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
	ACRMFA      = "https://refeds.org/profile/mfa"
	ACRPasskey  = "phr"
)
