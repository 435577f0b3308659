package gate_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/gate"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
)

const bye = "https://one.example/bye?state=s+t%25"

// Who leaves is asked nothing of: not even if they may use the app.
func TestHere(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		if s, err := h.oidc.Here(b.here(), h.client(0)); s != nil || err != nil {
			t.Errorf("nobody: %+v %v", s, err)
		}
		b.signIn("ana")
		s, _, err := h.oidc.Current(b.here(), h.client(0), oidc.Need{})
		must(t, err)
		for _, c := range closed {
			c.close(h)
			got, err := h.oidc.Here(b.here(), h.client(0))
			must(t, err)
			want := &oidc.Subject{User: h.ana.ID, Username: "ana", Session: s.Session, SID: s.SID, AuthTime: s.AuthTime}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", c.name, diff)
			}
		}
		if other, err := h.oidc.Here(b.here(), h.client(1)); err != nil || other.SID == s.SID || other.SID == "" {
			t.Errorf("two apps know the session by one name: %+v %v", other, err)
		}
		if got, err := h.oidc.Here(b.here(), nil); err != nil || got.SID != "" || got.Session != s.Session {
			t.Errorf("no client: %+v %v", got, err)
		}
		b.signOut()
		if s, err := h.oidc.Here(b.here(), h.client(0)); s != nil || err != nil {
			t.Errorf("signed out: %+v %v", s, err)
		}
	})
}

// leave has the gate sign out, and keeps what the browser is told.
func (b *browser) leave(o oidc.SignOut) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.h.oidc.SignOut(w, b.here(), o)
	for _, c := range w.Result().Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return w
}

var action = regexp.MustCompile(`<form method="post" action="([^"]*)"`)

func TestSignOut(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b, second := h.browser(), h.browser()
		here := func() *oidc.Subject {
			t.Helper()
			s, err := h.oidc.Here(b.here(), h.client(0))
			must(t, err)
			return s
		}
		to := func(w *httptest.ResponseRecorder, want string) {
			t.Helper()
			if got := w.Header().Get("Location"); w.Code != http.StatusSeeOther || got != want {
				t.Errorf("%d to %q, want %q", w.Code, got, want)
			}
		}
		// At once: this session and no other, with its event.
		second.signIn("ana")
		b.signIn("ana")
		before := fmt.Sprint(b.cookies)
		to(b.leave(oidc.SignOut{Client: h.client(0), Subject: here(), Back: bye}), bye)
		if here() != nil || fmt.Sprint(b.cookies) == before {
			t.Error("still there, or with the cookie")
		}
		if s, err := h.oidc.Here(second.here(), nil); s == nil || err != nil {
			t.Errorf("the other browser's session has ended too: %v", err)
		}
		all, err := h.st.Events().List(t.Context(), h.org.ID, store.EventFilter{Code: "SignOut"})
		must(t, err)
		if len(all) != 1 || all[0].User != "ana" || all[0].App != "One" || all[0].Outcome != idp.OK {
			t.Errorf("events %+v", all)
		}
		to(b.leave(oidc.SignOut{Back: bye}), bye)
		to(b.leave(oidc.SignOut{}), "/signout")

		// Asked first.
		b.signIn("ana")
		page := func(o oidc.SignOut) (where, form, body string) {
			t.Helper()
			o.Ask, o.Subject = true, here()
			w := b.leave(o)
			where = w.Header().Get("Location")
			if w.Code != http.StatusSeeOther || !strings.HasPrefix(where, "/signout?ask=") || strings.Contains(where, "one.example") {
				t.Fatalf("%d to %q", w.Code, where)
			}
			w = b.do("GET", where, nil)
			m := action.FindStringSubmatch(w.Body.String())
			if w.Code != http.StatusOK || m == nil || here() == nil {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			return where, m[1], w.Body.String()
		}
		if _, _, body := page(oidc.SignOut{}); !strings.Contains(body, "Sign out?") || strings.Contains(body, "One") {
			t.Errorf("asked for nobody: %s", body)
		}
		if _, _, body := page(oidc.SignOut{Client: h.client(0), Other: true}); !strings.Contains(body, "One asks to sign somebody out, but you are signed in as Ana.") {
			t.Errorf("another person is meant: %s", body)
		}
		_, form, body := page(oidc.SignOut{Client: h.client(0), Back: bye})
		if !strings.Contains(body, "One asks to sign you out.") || strings.Index(body, `value="allow"`) > strings.Index(body, `value="deny"`) {
			t.Errorf("asked: %s", body)
		}
		to(b.do("POST", form, url.Values{"decision": {"deny"}}), "/apps")
		if here() == nil {
			t.Error("signed out, and wanted to stay")
		}
		to(b.do("POST", form, url.Values{"decision": {"allow"}}), bye)
		if here() != nil {
			t.Error("wanted to leave, and is still there")
		}
		to(b.do("POST", form, url.Values{"decision": {"allow"}}), bye) // the button pressed twice
	})
}

// What of another session the gate is given does not end this one.
func TestSignOutOfNobody(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.signIn("ana")
		b.leave(oidc.SignOut{Client: h.client(0), Back: bye})
		second := h.browser()
		second.signIn("ana")
		s, err := h.oidc.Here(second.here(), nil)
		must(t, err)
		s.User = "somebody"
		second.leave(oidc.SignOut{Subject: s})
		second.signIn("ana")
		if s, err := h.oidc.Here(second.here(), nil); s == nil || err != nil {
			t.Errorf("%+v %v", s, err)
		}
		all, err := h.st.Events().List(t.Context(), h.org.ID, store.EventFilter{Code: "SignOut"})
		must(t, err)
		if len(all) != 0 {
			t.Errorf("%+v", all)
		}
	})
}

// A store that can take no more, or is not there, is no verdict on anybody: both protocols say "try again".
func TestUnless(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.signIn("ana")
		h.install(h.apps[0], idp.Installation{PermittedUsers: idp.SelfAuthorize, RunAs: h.ana.ID})
		r, sp, client := b.here(), h.sp(0), h.client(0)
		grant := &oidc.Grant{ID: "g", App: h.apps[0].ID, Client: "one", User: h.ana.ID, Scopes: []string{"openid"}}
		must(t, h.st.Close())
		for name, ask := range map[string]func() error{
			"Current": func() error { _, _, err := h.oidc.Current(r, client, oidc.Need{}); return err },
			"Here":    func() error { _, err := h.oidc.Here(r, client); return err },
			"Again":   func() error { _, err := h.oidc.Again(r.Context(), client, grant, oidc.UseRefresh); return err },
			"RunAs":   func() error { _, err := h.oidc.RunAs(r.Context(), client, nil); return err },
		} {
			if err := ask(); !errors.Is(err, oidc.ErrBusy) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, _, err := h.saml.Current(r, sp, email); !errors.Is(err, saml.ErrBusy) {
			t.Errorf("SAML, Current: %v", err)
		}
	})
	for _, busy := range []error{oidc.ErrBusy, saml.ErrBusy} {
		for _, err := range []error{store.ErrBusy, store.ErrNotReady, store.ErrClosed, fmt.Errorf("read: %w", store.ErrNotReady)} {
			if got := gate.Unless(err, busy); !errors.Is(got, busy) || !errors.Is(got, err) {
				t.Errorf("%v for %v", got, err)
			}
		}
		for _, err := range []error{nil, store.ErrNotFound, &oidc.Denied{Code: "x"}, http.ErrAbortHandler} {
			if got := gate.Unless(err, busy); got != err {
				t.Errorf("%v for %v", got, err)
			}
		}
	}
}

// AUTH-08: an app that asks who is to be signed out keeps no session alive.
func TestHereIsNoUse(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.signIn("ana")
		for i := range 9 {
			h.pass(time.Hour)
			if s, err := h.oidc.Here(b.here(), h.client(0)); err != nil || (s != nil) != (i < 8) {
				t.Errorf("after %d hours: %+v, %v", i+1, s, err)
			}
		}
	})
}
