package gate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/oidc"
)

var uses = []oidc.Use{oidc.UseToken, oidc.UseRefresh, oidc.UseUserinfo, oidc.UseIntrospect, oidc.UseCheck}

// denies checks that err is the house's no.
func denies(t *testing.T, what string, s *oidc.Subject, err error, code, event string) {
	t.Helper()
	var denied *oidc.Denied
	if s != nil || !errors.As(err, &denied) || denied.Code != code || denied.Event != event || denied.Reason == "" || denied.Description == "" {
		t.Errorf("%s: %+v, %#v", what, s, err)
	}
}

// again asks for a grant in a way, with and without the person at hand.
func (h *house) again(g *oidc.Grant, use oidc.Use) (*oidc.Subject, error) {
	return h.oidc.Again(h.browser().here().Context(), h.client(0), g, use)
}

// Whatever a grant is used for, it is asked each time if it may be.
func TestAgain(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.signIn("ana")
		s, _, err := h.oidc.Current(b.here(), h.client(0), oidc.Need{Scopes: []string{"openid", "email"}})
		must(t, err)
		grant := func(holder any) *oidc.Grant {
			return &oidc.Grant{ID: "g", App: h.apps[0].ID, Client: "one", User: h.ana.ID, Session: s.Session, Scopes: []string{"openid", "email"}, Holder: holder}
		}
		told := map[string]any{"email": "ana@example.com", "email_verified": true}
		for _, use := range uses {
			got, err := h.again(grant(nil), use)
			must(t, err)
			want := &oidc.Subject{User: h.ana.ID, Username: "ana", Scopes: []string{"openid", "email"}, Claims: told}
			if use == oidc.UseIntrospect || use == oidc.UseCheck {
				want.Claims = nil // an API is told who, not more
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", use, diff)
			}
		}
		// As of now, and of the person that was read along with the grant.
		h.write(func(tx *store.Tx) error {
			u, err := tx.User(h.org.ID, h.ana.ID)
			if err != nil {
				return err
			}
			u.Email = "lima@example.com"
			return tx.PutUser(u)
		})
		if got, err := h.again(grant(nil), oidc.UseUserinfo); err != nil || got.Claims["email"] != "lima@example.com" {
			t.Errorf("as of now: %+v %v", got, err)
		}
		holder := *h.ana
		holder.Email = "held@example.com"
		if got, err := h.again(grant(&holder), oidc.UseUserinfo); err != nil || got.Claims["email"] != "held@example.com" {
			t.Errorf("the holder: %+v %v", got, err)
		}
		for _, c := range closed {
			c.close(h)
			for _, use := range uses {
				got, err := h.again(grant(nil), use)
				denies(t, c.name+", "+string(use), got, err, "invalid_grant", c.event)
			}
			h.block(0, false)
		}
		h.install(h.apps[0], idp.Installation{PermittedUsers: idp.SelfAuthorize})

		// The code of a session that has ended gives nothing; what was given before lives on.
		b.signOut()
		got, err := h.again(grant(nil), oidc.UseToken)
		denies(t, "signed out before the code was redeemed", got, err, "invalid_grant", "InvalidCode")
		for _, use := range uses[1:] {
			if got, err := h.again(grant(nil), use); got == nil || err != nil {
				t.Errorf("signed out, %s: %v", use, err)
			}
		}
		unattended := grant(nil)
		unattended.Session = ""
		if got, err := h.again(unattended, oidc.UseToken); got == nil || err != nil {
			t.Errorf("no browser took part: %v", err)
		}

		h.write(func(tx *store.Tx) error { return tx.SetActive(h.org.ID, h.ana.ID, false) })
		inactive := *h.ana
		inactive.Active = false
		for _, use := range uses[1:] {
			for _, holder := range []any{nil, &inactive} {
				got, err := h.again(grant(holder), use)
				denies(t, "AUTH-07 deactivated, "+string(use), got, err, "invalid_grant", "NoAccess")
			}
		}
		h.write(func(tx *store.Tx) error { return tx.DropUser(h.org.ID, h.ana.ID) })
		for _, use := range uses[1:] {
			got, err := h.again(grant(nil), use)
			denies(t, "AUTH-07 deleted, "+string(use), got, err, "invalid_grant", "InvalidCode")
		}
	})
}

// An app that acts by itself acts as somebody whom the policy names, under the same rules.
func TestRunAs(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		robot := &idp.User{Org: h.org.ID, Username: "robot", Email: "robot@example.com", Active: true, Service: true}
		h.write(func(tx *store.Tx) error { return tx.AddUser(robot) })
		ctx := h.browser().here().Context()
		runAs := func() (*oidc.Subject, error) { return h.oidc.RunAs(ctx, h.client(0), []string{"email"}) }
		no := func(what, event string) {
			t.Helper()
			s, err := runAs()
			denies(t, what, s, err, "unauthorized_client", event)
		}
		permitted := []idp.Permitted{{User: robot.ID}}
		no("no runAs user", "NoAccess")
		h.install(h.apps[0], idp.Installation{PermittedUsers: idp.AdminApproved, Users: permitted, RunAs: robot.ID})
		s, err := runAs()
		must(t, err)
		want := &oidc.Subject{User: robot.ID, Username: "robot", Scopes: []string{"email"}, Claims: map[string]any{"email": "robot@example.com", "email_verified": false}}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("%s", diff)
		}
		h.install(h.apps[0], idp.Installation{PermittedUsers: idp.SelfAuthorize, RunAs: robot.ID})
		if _, err := runAs(); err != nil {
			t.Errorf("nobody is there to consent: %v", err)
		}
		h.install(h.apps[0], idp.Installation{PermittedUsers: idp.AdminApproved, RunAs: robot.ID})
		no("not permitted", "NoAccess")
		h.install(h.apps[0], idp.Installation{PermittedUsers: idp.AdminApproved, Users: permitted, RunAs: robot.ID})
		h.block(0, true)
		no("blocked", "AppBlocked")
		h.block(0, false)
		h.write(func(tx *store.Tx) error { return tx.SetActive(h.org.ID, robot.ID, false) })
		no("inactive", "NoAccess")
		h.write(func(tx *store.Tx) error { return tx.DropUser(h.org.ID, robot.ID) })
		no("deleted", "NoAccess")
		h.write(func(tx *store.Tx) error { return tx.DropInstallation(h.org.ID, h.apps[0].ID) })
		no("not installed", "NoAccess")
	})
}

// A child lives by its parent: nobody has blocked it, and still the house says no.
func TestChildOfABlockedApp(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		robot := &idp.User{Org: h.org.ID, Username: "robot", Active: true, Service: true}
		h.write(func(tx *store.Tx) error { return tx.AddUser(robot) })
		h.write(func(tx *store.Tx) error {
			a, err := tx.App(h.org.ID, h.apps[1].ID)
			if err != nil {
				return err
			}
			a.App.OAuth.Mould = &oidc.Mould{Grants: []string{"authorization_code", "client_credentials"}, Scopes: []string{"openid", "email"}}
			return tx.PutApp(&a.App)
		})
		child := &idp.App{Org: h.org.ID, ID: h.st.NewID(), Name: "Child", APIName: "Child", Parent: h.apps[1].ID,
			OAuth: &oidc.Client{ID: "child", Type: "web", Scopes: []string{"openid", "email", "profile"}, AuthorizationCode: true, ClientCredentials: true}}
		h.write(func(tx *store.Tx) error { return tx.AddApp(child, nil, nil) })
		h.install(child, idp.Installation{PermittedUsers: idp.SelfAuthorize, RunAs: robot.ID})
		h.apps[0] = child
		if c := h.client(0); c.Blocked || strings.Join(c.Scopes, " ") != "openid email" {
			t.Errorf("under its parent: %+v", c)
		}
		b := h.browser()
		b.signIn("ana")
		grant := &oidc.Grant{ID: "g", App: child.ID, Client: "child", User: h.ana.ID, Scopes: []string{"openid"}}
		if _, err := h.again(grant, oidc.UseCheck); err != nil {
			t.Errorf("before: %v", err)
		}
		h.block(1, true)
		for _, use := range uses {
			s, err := h.again(grant, use)
			denies(t, string(use), s, err, "invalid_grant", "AppBlocked")
		}
		s, err := h.oidc.RunAs(b.here().Context(), h.client(0), []string{"email"})
		denies(t, "by itself", s, err, "unauthorized_client", "AppBlocked")
		s, _, err = h.oidc.Current(b.here(), h.client(0), oidc.Need{Scopes: []string{"openid"}})
		denies(t, "at the browser", s, err, "access_denied", "AppBlocked")
		h.block(1, false)
		if _, err := h.again(grant, oidc.UseCheck); err != nil {
			t.Errorf("after: %v", err)
		}
	})
}
