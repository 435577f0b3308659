// Package gate answers the protocols' question who is at the browser and what may be told of them: session → facts →
// decision → claims. It is the security kernel: small, without state, and read often. Whatever a protocol issues, it
// issues because this room said so.
//
//	gate.go   what both protocols need
//	saml.go   saml.Users
//	oidc.go   oidc.Users
package gate

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/access"
	"github.com/lanyard-sso/lanyard/idp/signin"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// Gate is what both protocols need. All fields are set once.
type Gate struct {
	Store  *store.Store
	SignIn *signin.Handler
	Now    func() time.Time
	Log    *slog.Logger
}

// Browser returns a hash of the secret that marks the browser which sent r, giving it one if it has none.
func (g Gate) Browser(w http.ResponseWriter, r *http.Request) []byte { return g.SignIn.Browser(w, r) }

// person returns who is signed in at the browser that sent r and proved themself at or after since; nil is nobody. What
// is passive, because it may ask nobody for anything, keeps no session alive.
func (g Gate) person(r *http.Request, since time.Time, passive bool) (*signin.Signed, error) {
	current := g.SignIn.Current
	if passive {
		current = g.SignIn.Present
	}
	s, err := current(r)
	if err != nil || s == nil || s.Session.AuthTime.Before(since) {
		return nil, err
	}
	return s, nil
}

// unless keeps the protocols' own word for a store that can take no more now: they answer it with "try again".
func unless(err, busy error) error {
	if errors.Is(err, store.ErrBusy) || errors.Is(err, store.ErrNotReady) || errors.Is(err, store.ErrClosed) {
		return fmt.Errorf("%w: %w", busy, err)
	}
	return err
}

// decide asks the one function that says who may use which app.
func (g Gate) decide(ctx context.Context, c *idp.Connected, u *idp.User, s *idp.Session) access.Decision {
	return access.Decide(access.Question{App: c, User: u, Session: s, IP: idp.CallerOf(ctx).IP, Now: g.Now()})
}

// eventOf names the event that tells of a rule's no (CONNECTED-APPS 1M).
func eventOf(rule access.Rule) string {
	if rule == access.AppBlocked {
		return "AppBlocked"
	}
	return "NoAccess"
}

// pairwise derives a session's name towards one app: random to everybody else, and no two apps can compare theirs.
func pairwise(s *idp.Session, app string) string {
	sum := sha256.Sum256([]byte("sid\x00" + s.Salt + "\x00" + app))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:20]))
}
