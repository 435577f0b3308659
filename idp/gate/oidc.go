package gate

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/access"
	"github.com/lanyard-sso/lanyard/idp/claims"
	"github.com/lanyard-sso/lanyard/idp/signin"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/oidc"
)

// OIDC answers oidc.Users.
type OIDC struct{ Gate }

var _ oidc.Users = OIDC{}

// Marked returns a hash of the secret that marks the browser which sent r; nil: it has none.
func (OIDC) Marked(r *http.Request) []byte { return signin.Marked(r) }

// Current answers for the person at the browser that sent r, as c may see them.
func (g OIDC) Current(r *http.Request, c *oidc.Client, need oidc.Need) (_ *oidc.Subject, _ oidc.Missing, err error) {
	defer func() { err = unless(err, oidc.ErrBusy) }()
	ctx, org := r.Context(), idp.OrgOf(r.Context())
	s, err := g.person(r, need.Since, need.None)
	if err != nil {
		return nil, "", err
	}
	if s == nil {
		return nil, oidc.MissingSignIn, nil
	}
	if need.Sub != "" && need.Sub != s.User.ID {
		return nil, oidc.MissingAccount, nil
	}
	app, err := g.Store.Apps().Connected(ctx, org.ID, c.App)
	if err != nil {
		return nil, "", err
	}
	d := g.may(ctx, app, c, s.User, s.Session)
	if d.Decision == access.Deny {
		return nil, "", denied("access_denied", s.User, d)
	}
	if d.Consent {
		agreed, err := g.agreed(ctx, s.User, c, need)
		if err != nil {
			return nil, "", err
		}
		if !agreed {
			return nil, oidc.MissingConsent, nil
		}
	}
	sub, err := g.subject(ctx, app, s.User, need.Scopes)
	if err != nil {
		return nil, "", err
	}
	sub.Session, sub.SID, sub.AuthTime = s.Session.ID, pairwise(s.Session, c.App), s.Session.AuthTime
	if sub.AMR = s.Session.AMR; s.Session.ByPassword() {
		sub.ACR = idp.ACRPassword
	}
	return sub, "", nil
}

// may asks the one function that says who may use which app, and then if c's parent still stands for it (oidc.Client.Under).
func (g OIDC) may(ctx context.Context, app *idp.Connected, c *oidc.Client, u *idp.User, s *idp.Session) access.Decision {
	d := g.decide(ctx, app, u, s)
	if d.Decision != access.Deny && c.Blocked {
		return access.Decision{Decision: access.Deny, Rule: access.AppBlocked, Reason: "the app that registered " + app.App.Name + " is blocked, is gone, or registers none any more"}
	}
	return d
}

// agreed tells if the person agreed to all that the client asks for, and lately enough.
func (g OIDC) agreed(ctx context.Context, u *idp.User, c *oidc.Client, need oidc.Need) (bool, error) {
	scopes, given, err := g.Store.SignIn().Consent(ctx, u.Org, u.ID, c.App)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil || given.Before(need.ConsentSince) {
		return false, err
	}
	for _, s := range need.Scopes {
		if !slices.Contains(scopes, s) {
			return false, nil
		}
	}
	return true, nil
}

// Ask sends the browser to sign in or to consent.
func (g OIDC) Ask(w http.ResponseWriter, r *http.Request, c *oidc.Client, need oidc.Need, missing oidc.Missing, back string) {
	a := signin.Ask{App: c.App, Since: need.Since, Hint: need.Hint, Back: back}
	switch missing {
	case oidc.MissingConsent:
		a.Scopes, a.Host = need.Scopes, host(c)
		g.SignIn.SendConsent(w, r, a)
	case oidc.MissingAccount:
		a.Since, a.Other = g.Now(), true // somebody else is signed in: whoever comes back must have proved themself after now
		g.SignIn.SendSignIn(w, r, a)
	default:
		g.SignIn.SendSignIn(w, r, a)
	}
}

// host is where an answer for c leads, as a person reads it; empty where it can lead to several hosts.
func host(c *oidc.Client) string {
	found := ""
	for i, raw := range c.RedirectURIs {
		u, err := url.Parse(raw)
		if err != nil || i > 0 && u.Hostname() != found {
			return ""
		}
		found = u.Hostname()
	}
	return found
}

// Again answers for a person who is not here: may gr be used now, in this way?
func (g OIDC) Again(ctx context.Context, c *oidc.Client, gr *oidc.Grant, use oidc.Use) (_ *oidc.Subject, err error) {
	defer func() { err = unless(err, oidc.ErrBusy) }()
	org := idp.OrgOf(ctx).ID
	u, _ := gr.Holder.(*idp.User)
	if use == oidc.UseToken && gr.Session != "" {
		// Between code and token the person may have signed out: then nothing is given (the grant lives on its own later).
		_, _, holder, err := g.Store.SignIn().Session(ctx, org, gr.Session)
		if err == nil && holder.ID != gr.User {
			err = store.ErrNotFound
		}
		if err != nil {
			return nil, gone(err, "the session that got the code has ended")
		}
		u = holder
	}
	if u == nil {
		if u, err = g.Store.People().User(ctx, org, gr.User); err != nil {
			return nil, gone(err, "the person is gone")
		}
	}
	app, err := g.Store.Apps().Connected(ctx, u.Org, c.App)
	if err != nil {
		return nil, gone(err, "the app is gone")
	}
	if d := g.may(ctx, app, c, u, nil); d.Decision == access.Deny {
		return nil, denied("invalid_grant", u, d)
	}
	if use == oidc.UseIntrospect || use == oidc.UseCheck {
		return &oidc.Subject{User: u.ID, Username: u.Username, Scopes: gr.Scopes}, nil // told of nobody's claims
	}
	return g.subject(ctx, app, u, gr.Scopes)
}

// RunAs is the person c acts as by itself.
func (g OIDC) RunAs(ctx context.Context, c *oidc.Client, scopes []string) (_ *oidc.Subject, err error) {
	defer func() { err = unless(err, oidc.ErrBusy) }()
	org := idp.OrgOf(ctx)
	no := func(why string) error {
		return &oidc.Denied{Code: "unauthorized_client", Description: "the client may not act by itself", Event: "NoAccess", Reason: why}
	}
	app, err := g.Store.Apps().Connected(ctx, org.ID, c.App)
	if err != nil {
		return nil, gone(err, "the app is gone")
	}
	if app.Installation == nil || app.Installation.RunAs == "" {
		return nil, no("the app's policy names no runAs user")
	}
	u, err := g.Store.People().User(ctx, org.ID, app.Installation.RunAs)
	if errors.Is(err, store.ErrNotFound) {
		return nil, no("the runAs user is gone")
	}
	if err != nil {
		return nil, err
	}
	if d := g.may(ctx, app, c, u, nil); d.Decision == access.Deny {
		return nil, denied("unauthorized_client", u, d)
	}
	return g.subject(ctx, app, u, scopes)
}

func (g OIDC) subject(ctx context.Context, app *idp.Connected, u *idp.User, scopes []string) (*oidc.Subject, error) {
	told, err := claims.OIDC(ctx, g.Store, app, u, scopes)
	if err != nil {
		return nil, err
	}
	return &oidc.Subject{User: u.ID, Username: u.Username, Scopes: scopes, Claims: told}, nil
}

func denied(code string, u *idp.User, d access.Decision) *oidc.Denied {
	return &oidc.Denied{
		User: u.ID, Code: code, Description: "the user may not use this app", Event: eventOf(d.Rule), Reason: string(d.Rule) + ": " + d.Reason,
	}
}

// gone turns "not found" into the house's no; any other error stays one.
func gone(err error, why string) error {
	if errors.Is(err, store.ErrNotFound) {
		return &oidc.Denied{Code: "invalid_grant", Description: "the grant is no longer valid", Event: "InvalidCode", Reason: why}
	}
	return err
}

// Here tells who is at the browser that sent r, and by which name of the session c knows them.
func (g OIDC) Here(r *http.Request, c *oidc.Client) (_ *oidc.Subject, err error) {
	defer func() { err = unless(err, oidc.ErrBusy) }()
	s, err := g.person(r, time.Time{}, true)
	if err != nil || s == nil {
		return nil, err
	}
	sub := &oidc.Subject{User: s.User.ID, Username: s.User.Username, Session: s.Session.ID, AuthTime: s.Session.AuthTime}
	if c != nil {
		sub.SID = pairwise(s.Session, c.App)
	}
	return sub, nil
}

// SignOut ends the session, or has its person asked first.
func (g OIDC) SignOut(w http.ResponseWriter, r *http.Request, o oidc.SignOut) {
	out := signin.SignOut{Other: o.Other, Back: o.Back}
	if o.Client != nil {
		out.App = o.Client.App
	}
	if o.Subject != nil {
		out.Session, out.User = o.Subject.Session, o.Subject.User
	}
	if o.Ask {
		g.SignIn.SendSignOut(w, r, out)
		return
	}
	g.SignIn.SignOut(w, r, out)
}
