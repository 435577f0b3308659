package signin_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/signin"
	"github.com/lanyard-sso/lanyard/idp/store"
)

const bye = "https://wellness.example/bye?state=x"

// askedOut is the address at which a browser is asked whether it is to be signed out.
func (h *house) askedOut(o signin.SignOut) string {
	h.t.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	h.room.SendSignOut(w, r.WithContext(h.context(r)), o)
	to := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/signout?ask=") || w.Header().Get("Cache-Control") != "no-store" {
		h.t.Fatalf("%d to %q, %v", w.Code, to, w.Header())
	}
	return to
}

// An app asks, and the person answers: the address is this house's, whoever sent them to it.
func TestSignOutAsked(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		at := h.askedOut(signin.SignOut{App: h.app.ID, Back: bye})
		b := h.browser()
		for range 2 { // nobody is there: nothing to ask, and nobody is led away
			if w := b.get(at); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "You are signed out") || strings.Contains(w.Body.String(), "wellness") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		if w := b.post(at, "decision", "allow"); w.Header().Get("Location") != "/signout" {
			t.Errorf("led to %q without having been asked", w.Header().Get("Location"))
		}
		b.signIn("/signin", "ana", anaPassword, "/apps")
		w := b.get(at)
		if body := w.Body.String(); !strings.Contains(body, "Wellness Tracker asks to sign you out.") || strings.Contains(body, bye) || b.who() == nil {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if csp := w.Header().Get("Content-Security-Policy"); strings.Contains(csp, "form-action") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("Content-Security-Policy %s", csp) // it may lead out of the house, and is in nobody's frame
		}
		form := action(t, w)
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
			if b.do(method, form, nil); b.who() == nil {
				t.Fatalf("%s signs out", method)
			}
		}
		if w := b.post(form, "decision", "deny"); w.Header().Get("Location") != "/apps" || b.who() == nil {
			t.Errorf("staying: %d to %s", w.Code, w.Header().Get("Location"))
		}
		// Ben has signed in here since: he was not asked, so he is.
		b.signIn("/signin?other=1", "ben", benPassword, "/apps")
		if w := b.post(form, "decision", "allow"); !strings.HasPrefix(w.Header().Get("Location"), "/signout?ask=") || b.who() == nil {
			t.Errorf("signed out by somebody else's word: %d to %s", w.Code, w.Header().Get("Location"))
		}
		if w := b.post(at, "decision", "allow"); !strings.HasPrefix(w.Header().Get("Location"), "/signout?ask=") || b.who() == nil {
			t.Errorf("signed out before the page was shown: %d to %s", w.Code, w.Header().Get("Location"))
		}
		if w := b.post(action(t, b.get(at)), "decision", "allow"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != bye || b.who() != nil || b.session() != nil {
			t.Errorf("signing out: %d to %s", w.Code, w.Header().Get("Location"))
		}
		if e := h.event("SignOut"); e.User != "ben" || e.App != "Wellness_Tracker" {
			t.Errorf("event %+v", e)
		}
	})
}

// Between the question and its answer an app can be blocked, or deleted: then nobody is led to it.
func TestSignOutOfALostApp(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		for _, lose := range []func(*store.Tx) error{
			func(tx *store.Tx) error { return tx.SetBlocked(h.org.ID, h.app.ID, true) },
			func(tx *store.Tx) error { return tx.DropApp(h.org.ID, h.app.ID) },
		} {
			b.signIn("/signin", "ana", anaPassword, "/apps")
			form := action(t, b.get(h.askedOut(signin.SignOut{App: h.app.ID, Back: bye})))
			if err := h.st.Write(t.Context(), lose); err != nil {
				t.Fatal(err)
			}
			if w := b.post(form, "decision", "allow"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/signout" || b.who() != nil {
				t.Errorf("led to %q (%d)", w.Header().Get("Location"), w.Code)
			}
		}
	})
}

// What stands in the address is this page's own, whole, and an hour old at most.
func TestSignOutStale(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.signIn("/signin", "ana", anaPassword, "/apps")
		at := h.askedOut(signin.SignOut{App: h.app.ID, Back: bye})
		signIn := h.ask(h.room.SendSignIn, signin.Ask{App: h.app.ID, Back: "/oauth2/continue?login=x"})
		text := strings.TrimPrefix(at, "/signout?ask=")
		stale := func(what string, w *httptest.ResponseRecorder) {
			t.Helper()
			if w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" || !strings.Contains(w.Body.String(), "REFERENC") || b.who() == nil {
				t.Errorf("%s: %d %s", what, w.Code, w.Body)
			}
		}
		for what, to := range map[string]string{
			"another page's question": "/signout?ask=" + strings.TrimPrefix(signIn, "/signin?ask="), "garbled": at[:len(at)-4] + "AAAA", "cut": at[:len(at)-1],
			"with a line break": at[:40] + "%0a" + at[40:], "rubbish": "/signout?ask=x",
		} {
			stale(what, b.get(to))
			stale(what, b.post(to, "decision", "allow"))
		}
		// Nor is it another page's, which would lead whoever signs in out of the house.
		stale("at the sign-in page", b.get("/signin?ask="+text))
		stale("at the consent page", b.get("/consent?ask="+text))
		stale("at the sign-in page", b.post("/signin?ask="+text, "username", "ana", "password", anaPassword))
		form := action(t, b.get(at))
		h.pass(time.Hour + time.Second)
		stale("old", b.get(at))
		stale("old", b.post(form, "decision", "allow"))
		must(t, h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.DropApp(h.org.ID, h.app.ID) }))
		time.Sleep(5 * time.Millisecond)
		if w := b.get(h.askedOut(signin.SignOut{App: h.app.ID})); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "You will have to sign in again") {
			t.Errorf("an app that is gone: %d %s", w.Code, w.Body)
		}
	})
}

// An image of another site's brings no cookie: it must take none away either.
func TestSignOutWithoutACookie(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		leave := func(b *browser) []*http.Cookie {
			r, w := b.request("GET", "/", url.Values{}), httptest.NewRecorder()
			h.room.SignOut(w, r.WithContext(h.context(r)), signin.SignOut{Back: bye})
			return w.Result().Cookies()
		}
		b := h.browser()
		if got := leave(b); len(got) != 0 {
			t.Errorf("cookies are set: %v", got)
		}
		b.signIn("/signin", "ana", anaPassword, "/apps")
		if got := leave(b); len(got) != 1 || got[0].MaxAge >= 0 {
			t.Errorf("the cookie of a session that has ended stays: %v", got)
		}
	})
}
