package oidc_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/oidc"
)

// door answers oidc.Users. Its pages:
//
//	/test/signin?who=ana     ana is signed in at this browser
//	/test/signout            nobody is
//	/test/ask?missing=&back= where the door sends a browser for what is missing
//	/test/leave?other=&back= where the door asks whether one is to be signed out; &back= is where it leads then
//	/test/left               where one is who signed out and is wanted nowhere
type door struct {
	h *house

	mu       sync.Mutex
	sessions map[string]signed
	consents map[string]time.Time    // by user/app; asks for consent where askConsent
	no       map[string]*oidc.Denied // by user
	fail     error                   // what Current and Again answer instead
	lie      bool                    // says that nothing is ever missing

	askConsent bool
	factor     bool // a second factor is missing
}

type signed struct {
	user string
	at   time.Time
	salt string
}

func (s signed) sid(c *oidc.Client) string { return "sid " + s.salt + " of " + c.App }

func newDoor(h *house) *door {
	return &door{h: h, sessions: map[string]signed{}, consents: map[string]time.Time{}, no: map[string]*oidc.Denied{}}
}

func (d *door) serve(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch r.URL.Path {
	case "/test/signin":
		id := rand.Text()
		d.sessions[id] = signed{d.h.people[r.URL.Query().Get("who")].ID, d.h.clock.Now(), rand.Text()}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: id, Path: "/"})
	case "/test/signout":
		if c, err := r.Cookie("session"); err == nil {
			delete(d.sessions, c.Value)
		}
	}
}

// set changes the door while it is in use.
func (d *door) set(f func(*door)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

func (d *door) Browser(w http.ResponseWriter, r *http.Request) []byte {
	c, err := r.Cookie("browser")
	if err != nil {
		c = &http.Cookie{Name: "browser", Value: rand.Text(), Path: "/"}
		http.SetCookie(w, c)
	}
	sum := sha256.Sum256([]byte(c.Value))
	return sum[:]
}

func (d *door) Marked(r *http.Request) []byte {
	if _, err := r.Cookie("browser"); err != nil {
		return nil
	}
	return d.Browser(nil, r)
}

func (d *door) Current(r *http.Request, c *oidc.Client, need oidc.Need) (*oidc.Subject, oidc.Missing, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return nil, "", d.fail
	}
	cookie, err := r.Cookie("session")
	if err != nil {
		return nil, oidc.MissingSignIn, nil
	}
	s, ok := d.sessions[cookie.Value]
	if !ok {
		return nil, oidc.MissingSignIn, nil
	}
	subject := &oidc.Subject{User: s.user, Session: cookie.Value, SID: s.sid(c), AuthTime: s.at, ACR: idp.ACRPassword, AMR: []string{"pwd"}, Scopes: need.Scopes}
	switch {
	case d.lie:
		return subject, "", nil
	case s.at.Before(need.Since):
		return nil, oidc.MissingSignIn, nil
	case need.Sub != "" && need.Sub != s.user:
		return nil, oidc.MissingAccount, nil
	case d.no[s.user] != nil:
		return nil, "", d.no[s.user]
	case d.factor:
		return nil, oidc.MissingFactor, nil
	}
	if at, ok := d.consents[s.user+"/"+c.App]; d.askConsent && (!ok || at.Before(need.ConsentSince)) {
		return nil, oidc.MissingConsent, nil
	}
	return subject, "", nil
}

func (d *door) Ask(w http.ResponseWriter, _ *http.Request, _ *oidc.Client, need oidc.Need, missing oidc.Missing, back string) {
	w.Header().Set("Location", d.h.url+"/test/ask?"+values("missing", string(missing), "back", back, "hint", need.Hint).Encode())
	w.WriteHeader(http.StatusSeeOther)
}

func (d *door) Again(ctx context.Context, c *oidc.Client, g *oidc.Grant, use oidc.Use) (*oidc.Subject, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return nil, d.fail
	}
	if use == oidc.UseToken && g.Session != "" {
		if _, ok := d.sessions[g.Session]; !ok {
			return nil, &oidc.Denied{Code: "invalid_grant", Description: "The session has ended.", Event: "InvalidCode", Reason: "signed out", User: g.User}
		}
	}
	u, ok := g.Holder.(*idp.User)
	if !ok {
		var err error
		if u, err = d.h.st.People().User(ctx, d.h.org.ID, g.User); err != nil {
			return nil, err
		}
	}
	if no := d.no[u.ID]; no != nil {
		return nil, no
	}
	if c.Blocked {
		return nil, &oidc.Denied{Code: "invalid_grant", Description: "The app is blocked.", Event: "AppBlocked", Reason: "blocked", User: u.ID}
	}
	if !u.Active {
		return nil, &oidc.Denied{Code: "invalid_grant", Description: "The user is not active.", Event: "NoAccess", Reason: "inactive", User: u.ID}
	}
	return d.subject(u, g.Scopes), nil
}

func (d *door) RunAs(ctx context.Context, c *oidc.Client, scopes []string) (*oidc.Subject, error) {
	no := func(reason string) error {
		return &oidc.Denied{Code: "unauthorized_client", Description: "The client may not act by itself.", Event: "NoAccess", Reason: reason}
	}
	app, err := d.h.st.Apps().Connected(ctx, d.h.org.ID, c.App)
	if err != nil {
		return nil, err
	}
	if app.Installation == nil || app.Installation.RunAs == "" || app.Installation.PermittedUsers == idp.AdminApproved {
		return nil, no("nobody to run as")
	}
	u, err := d.h.st.People().User(ctx, d.h.org.ID, app.Installation.RunAs)
	if err != nil {
		return nil, err
	}
	if !u.Active {
		return nil, no("inactive")
	}
	return d.subject(u, scopes), nil
}

func (d *door) subject(u *idp.User, scopes []string) *oidc.Subject {
	told := map[string]any{}
	if slices.Contains(scopes, "profile") {
		told["name"], told["preferred_username"] = u.Name(), u.Username
	}
	if slices.Contains(scopes, "email") {
		told["email"], told["email_verified"] = u.Email, u.EmailVerified
	}
	return &oidc.Subject{User: u.ID, Username: u.Username, Scopes: scopes, Claims: told}
}

func (d *door) Here(r *http.Request, c *oidc.Client) (*oidc.Subject, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return nil, d.fail
	}
	cookie, err := r.Cookie("session")
	if err != nil {
		return nil, nil
	}
	s, ok := d.sessions[cookie.Value]
	if !ok {
		return nil, nil
	}
	sub := &oidc.Subject{User: s.user, Session: cookie.Value, AuthTime: s.at}
	if c != nil {
		sub.SID = s.sid(c)
	}
	return sub, nil
}

func (d *door) SignOut(w http.ResponseWriter, _ *http.Request, o oidc.SignOut) {
	to := o.Back
	if to == "" {
		to = d.h.url + "/test/left"
	}
	if o.Ask {
		app := ""
		if o.Client != nil {
			app = o.Client.App
		}
		to = d.h.url + "/test/leave?" + values("app", app, "other", strconv.FormatBool(o.Other), "back", o.Back).Encode()
	} else if o.Subject != nil {
		d.set(func(d *door) { delete(d.sessions, o.Subject.Session) })
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// asked reads where the door sent a browser.
func (h *house) asked(a *answer) (missing, back string) {
	h.t.Helper()
	to, err := url.Parse(a.Header.Get("Location"))
	h.must(err)
	if a.Status != http.StatusSeeOther || to.Path != "/test/ask" {
		h.t.Fatalf("nobody is asked for anything: %d %s %s", a.Status, a.Header.Get("Location"), a.Text)
	}
	return to.Query().Get("missing"), to.Query().Get("back")
}
