package signin

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// Signed is a person who is signed in at a browser.
type Signed struct {
	Session *idp.Session
	User    *idp.User
}

// Current returns who is signed in at the browser that sent r, or nil. It is a use of their session.
func (h *Handler) Current(r *http.Request) (*Signed, error) {
	s, err := h.Present(r)
	if err != nil || s == nil {
		return nil, err
	}
	if now := h.Now(); now.Sub(s.Session.Seen) > time.Minute {
		ctx := r.Context()
		// A last use that is not written only ends the session earlier.
		if err := h.Store.SignIn().Touch(ctx, s.Session.Org, s.Session.ID, now); err != nil {
			h.Log.WarnContext(ctx, "last use of a session not written", "error", err)
		}
	}
	return s, nil
}

// Present is Current for a request that a page may send by itself, unseen, as often as it likes: it is no use of the
// session, which ends when nobody uses it (ASVS 7.3.1). An ended, idle or expired session is nobody.
func (h *Handler) Present(r *http.Request) (*Signed, error) {
	ctx, o := r.Context(), idp.OrgOf(r.Context())
	for _, v := range cookies(r, o, "") {
		id, text, ok := split(v)
		if !ok {
			continue
		}
		s, hash, u, err := h.Store.SignIn().Session(ctx, o.ID, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		now := h.Now()
		if !same(hash, hashOf(text)) || !now.Before(s.Expires) || now.Sub(s.Seen) > o.Idle() || !u.Active {
			continue
		}
		return &Signed{Session: s, User: u}, nil
	}
	return nil, nil
}

// start signs u in at the browser that sent r: a new secret each time, so a planted cookie is dead. The same person's
// session goes on under it, with its salt; another person's session at this browser ends.
func (h *Handler) start(w http.ResponseWriter, r *http.Request, u *idp.User, old *Signed, how store.Proof) error {
	ctx, o, now := r.Context(), idp.OrgOf(r.Context()), h.Now()
	text, hash := secret()
	caller := idp.CallerOf(ctx)
	s := &idp.Session{
		Org: o.ID, User: u.ID, Started: now, AuthTime: now, Seen: now, Expires: now.Add(o.Absolute()),
		Level: 1, AMR: []string{"pwd"}, IP: address(caller), Agent: shorten(caller.Agent),
	}
	replaces := ""
	if old != nil {
		replaces = old.Session.ID
		if old.User.ID == u.ID {
			s.ID, s.Started, s.Salt = old.Session.ID, old.Session.Started, old.Session.Salt
		}
	}
	if s.Salt == "" {
		s.Salt, _ = secret()
	}
	how.Session, how.Hash, how.Replaces, how.Browser = s, hash, replaces, h.Browser(w, r)
	if err := h.Store.SignIn().Start(ctx, how); err != nil {
		return err
	}
	setCookie(w, o, "", s.ID+"."+text, 0)
	return nil
}

func address(c *idp.Caller) string {
	if !c.IP.IsValid() {
		return ""
	}
	return c.IP.String()
}

// shorten keeps what a person needs to recognise a device by.
func shorten(agent string) string {
	const most = 200
	if len(agent) > most {
		agent = agent[:most]
	}
	return strings.ToValidUTF8(agent, "") // what the cut left of a character
}
