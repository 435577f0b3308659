package signin_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/signin"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// allocated is how many bytes f takes from the heap. An argon2id hash of ours takes 19 MiB; nothing else here comes near.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

const oneHash = 19 << 20

// AUTH-01: whoever can not sign in gets the same answer after the same work; only the event tells why.
// Who does not want to sign in goes back to an app that can be told so; SAML's way back has no word for it.
func TestCancel(t *testing.T) {
	h := quick(t)
	link := regexp.MustCompile(`<a class="second wide" href="([^"]*)">Cancel</a>`)
	for back, want := range map[string]string{
		"/oauth2/continue?login=x": "/oauth2/continue?login=x&refused=1", "/saml/continue?login=x": "", "/account": "", "/oauth2/continue": "", "/oauth2/continued?login=x": "",
	} {
		b := h.browser()
		to := h.ask(h.room.SendSignIn, signin.Ask{App: h.app.ID, Back: back})
		for name, w := range map[string]*httptest.ResponseRecorder{"at first": b.get(to), "after a wrong password": b.post(to, "username", "ana", "password", long)} {
			got := ""
			if m := link.FindStringSubmatch(w.Body.String()); m != nil {
				got = html.UnescapeString(m[1])
			}
			if got != want {
				t.Errorf("%s, from %s: leads to %q, want %q", name, back, got, want)
			}
		}
	}
	if strings.Contains(h.browser().get("/signin").Body.String(), "Cancel") {
		t.Error("nobody is on the way to an app, and may cancel it")
	}
}

func TestWrongIsWrong(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		idle := &idp.User{Org: h.org.ID, Username: "idle", Active: false}
		must(t, h.room.People.Create(t.Context(), idle, "a good long one"))
		must(t, h.room.People.Create(t.Context(), &idp.User{Org: h.org.ID, Username: "bare", Active: true}, ""))
		must(t, h.room.People.Create(t.Context(), &idp.User{Org: h.org.ID, Username: "svc-7", Active: true, Service: true}, "a good long one"))
		answer := ""
		for _, c := range []struct{ username, password, reason string }{
			{"ana", "wrong wrong", "wrong password"},
			{"eve", "wrong wrong", `no user is called "eve"`},
			{"idle", "a good long one", "the user is not active"},
			{"bare", "wrong wrong", "the user has no password"},
			{"svc-7", "a good long one", "a service user can not sign in"},
		} {
			var w *httptest.ResponseRecorder
			b := h.browser()
			if n := allocated(func() { w = b.post("/signin", "username", c.username, "password", c.password) }); n < oneHash {
				t.Errorf("%s: no password was hashed (%d bytes)", c.username, n)
			}
			h.pass(time.Minute) // so that the newest event is this one's
			if e := h.waitFor("InvalidUserCredentials", c.reason); e.User != "" && e.User != c.username || e.Reference == "" {
				t.Errorf("%s: event %+v", c.username, e)
			}
			got := strings.ReplaceAll(w.Body.String(), c.username, "USER")
			if answer == "" {
				answer = got
			}
			if w.Code != http.StatusUnprocessableEntity || got != answer || b.session() != nil || strings.Contains(got, c.password) || len(w.Result().Cookies()) != 0 {
				t.Errorf("%s: %d\n%s", c.username, w.Code, w.Body)
			}
		}
		// What can be nobody's is not looked up, and looks the same.
		for _, c := range [][2]string{{"", anaPassword}, {"ana", ""}, {"", ""}, {strings.Repeat("a", 257), "x"}, {"ana", strings.Repeat("x", 4097)}, {"\xff", "x"}, {"a\x00b", "x"}} {
			if w := h.browser().post("/signin", "username", c[0], "password", c[1]); w.Code != http.StatusUnprocessableEntity {
				t.Errorf("%.10q, %.10q: %d", c[0], c[1], w.Code)
			}
		}
		// WEB-18: a long password costs nothing.
		if n := allocated(func() { h.browser().post("/signin", "username", "ben", "password", strings.Repeat("x", 1025)) }); n > oneHash/2 {
			t.Errorf("a password of 1025 bytes was hashed")
		}
	})
}

// waitFor waits for an event of that code and reason.
func (h *house) waitFor(code, reason string) idp.Event {
	h.t.Helper()
	for range 200 {
		all, err := h.st.Events().List(h.t.Context(), h.org.ID, store.EventFilter{Code: code})
		must(h.t, err)
		for _, e := range all {
			if e.Reason == reason {
				return e
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.t.Fatalf("no event %s: %s", code, reason)
	return idp.Event{}
}

// SEC-08: a password that was hashed elsewhere is hashed as ours at the first sign-in, and once.
func TestRehash(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		old, err := bcrypt.GenerateFromPassword([]byte("brought along"), 4)
		must(t, err)
		u := &idp.User{Org: h.org.ID, Username: "old", Active: true, Password: string(old)}
		must(t, h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.AddUser(u) }))
		now := func() string {
			got, err := h.st.People().User(t.Context(), h.org.ID, u.ID)
			must(t, err)
			return got.Password
		}
		h.browser().post("/signin", "username", "old", "password", "not that one")
		if now() != string(old) {
			t.Error("hashed anew after a wrong password")
		}
		h.browser().signIn("/signin", "old", "brought along", "/apps")
		ours := now()
		if !strings.HasPrefix(ours, "$argon2id$") {
			t.Errorf("kept %.10s", ours)
		}
		h.browser().signIn("/signin", "old", "brought along", "/apps")
		if now() != ours {
			t.Error("hashed anew again")
		}
	})
}

// The page: for whom, for what, and when there is nothing to ask.
func TestPage(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		ask := h.ask(h.room.SendSignIn, signin.Ask{App: h.app.ID, Back: "/oauth2/continue?login=x", Hint: `"><svg onload=1>`})
		w := b.get(ask)
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), "<svg onload") || !strings.Contains(w.Body.String(), "Wellness Tracker") {
			t.Errorf("WEB-05: %d\n%s", w.Code, w.Body)
		}
		if b.cookie("-browser") == nil || b.session() != nil {
			t.Error("the page marks no browser, or signs in")
		}
		if to := action(t, w); to != ask {
			t.Errorf("the form leads to %q", to)
		}
		mark := b.cookie("-browser").Value
		b.signIn(ask, "  ana  ", anaPassword, "/oauth2/continue?login=x") // spaces around, as password managers and phones put them
		if b.cookie("-browser").Value != mark {
			t.Error("the browser was marked anew")
		}
		if e := h.event("UsernamePasswordUiLogin"); e.User != "ana" || e.App != "Wellness_Tracker" || e.IP != "192.0.2.1" || e.Outcome != "ok" {
			t.Errorf("event %+v", e)
		}
		// Back, or a second tab: there is nothing to prove, so one goes on.
		if w := b.get(ask); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/oauth2/continue?login=x" {
			t.Errorf("Back: %d to %q", w.Code, w.Header().Get("Location"))
		}
		// SAML-REQ-16, OA-PR-02: proved before is not enough, whatever is done with the address.
		h.pass(time.Minute)
		again := h.ask(h.room.SendSignIn, signin.Ask{App: h.app.ID, Back: "/saml/continue?login=y", Since: h.Now()})
		for range 2 {
			w = b.get(again)
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Not you?") || !strings.Contains(w.Body.String(), `value="ana"`) {
				t.Fatalf("prove again: %d\n%s", w.Code, w.Body)
			}
		}
		if w := b.post(again, "username", "ana", "password", "wrong wrong"); w.Code != http.StatusUnprocessableEntity || !b.who().Session.AuthTime.Before(h.Now()) {
			t.Errorf("a wrong password proved something: %d", w.Code)
		}
		b.signIn(again, "ana", anaPassword, "/saml/continue?login=y")
		if w := b.get(again); w.Code != http.StatusSeeOther {
			t.Errorf("proved, and asked again: %d", w.Code)
		}
		// "Not you?" shows the empty form though somebody is signed in.
		if w := b.get(again + "&other=1"); w.Code != http.StatusOK || strings.Contains(w.Body.String(), `value="ana"`) || action(t, w) != again {
			t.Errorf("not you: %d\n%s", w.Code, w.Body)
		}
		// The app needs another account: that of whoever is signed in is not offered.
		other := h.ask(h.room.SendSignIn, signin.Ask{App: h.app.ID, Back: "/oauth2/continue?login=z", Since: h.Now().Add(time.Microsecond), Other: true, Hint: "ben"})
		if w := b.get(other); w.Code != http.StatusOK || strings.Contains(w.Body.String(), `value="ana"`) || !strings.Contains(w.Body.String(), `value="ben"`) {
			t.Errorf("another account: %d\n%s", w.Code, w.Body)
		}
		// A deleted app leaves the page without its name.
		gone := h.ask(h.room.SendSignIn, signin.Ask{App: "gone", Back: "/apps"})
		if w := h.browser().get(gone); w.Code != http.StatusOK {
			t.Errorf("the app is gone: %d", w.Code)
		}
	})
}

// A form that comes without any cookie signs in all the same; one that is too large or broken is refused.
func TestForms(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.signIn("/signin", "ana", anaPassword, "/apps")
		if b.who() == nil || b.cookie("-browser") == nil {
			t.Error("no session after a form without cookies")
		}
		for _, path := range []string{"/signin", "/signout"} {
			big := url.Values{"username": {"ana"}, "password": {strings.Repeat("x", 65<<10)}}
			if w := b.do("POST", path, big); w.Code != http.StatusRequestEntityTooLarge {
				t.Errorf("%s: 65 kB: %d", path, w.Code)
			}
			r := httptest.NewRequest("POST", path, strings.NewReader("username=%zz"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			h.serve(w, r)
			if w.Code != http.StatusBadRequest {
				t.Errorf("%s: a broken escape: %d", path, w.Code)
			}
		}
		// The name and password count only in the body: an address is written down in too many places.
		if w := h.browser().post("/signin?password="+url.QueryEscape(anaPassword), "username", "ana"); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("credentials in the address: %d", w.Code)
		}
		for _, path := range []string{"/signin", "/consent", "/signout", "/setup"} {
			if w := b.do("PUT", path, nil); w.Code != http.StatusMethodNotAllowed {
				t.Errorf("PUT %s: %d", path, w.Code)
			}
		}
	})
}

// AUTH-06: a new password needs the present one, ends every other session and leaves this one, with another secret.
func TestChangePassword(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b, elsewhere, ben := h.browser(), h.browser(), h.browser()
		b.signIn("/signin", "ana", anaPassword, "/apps")
		elsewhere.signIn("/signin", "ana", anaPassword, "/apps")
		ben.signIn("/signin", "ben", benPassword, "/apps")
		before, old := *b.session(), *b.who()
		change := func(current, next string) string {
			t.Helper()
			r := b.request("POST", "/account/password", nil)
			w := httptest.NewRecorder()
			problem, wait, err := h.room.ChangePassword(w, r.WithContext(h.context(r)), b.who(), current, next)
			must(t, err)
			if (wait > 0) != (problem == "signin.throttled") {
				t.Errorf("%s: wait %v", problem, wait)
			}
			b.keep(w)
			return problem
		}
		for _, c := range []struct{ current, next, problem string }{
			{"", "a third long one", "password.current"},
			{benPassword, "a third long one", "password.current"},
			{anaPassword + " ", "a third long one", "password.current"},
			{"Correct Horse Battery", "a third long one", "password.current"},
			{anaPassword, anaPassword, "password.same"},
			{anaPassword, "short", "password.short"},
			{anaPassword, "password1", "password.common"},
			{anaPassword, strings.Repeat("x", 1025), "password.long"},
			{anaPassword, strings.Repeat("x", 4097), "password.long"},
		} {
			if got := change(c.current, c.next); got != c.problem {
				t.Errorf("%.20q → %.20q: %q, want %q", c.current, c.next, got, c.problem)
			}
		}
		if elsewhere.who() == nil || b.session().Value != before.Value {
			t.Error("a refused change ended something")
		}
		if got := change(anaPassword, "a third long one"); got != "" {
			t.Fatalf("changing: %q", got)
		}
		s := b.who()
		if s == nil || s.Session.ID != old.Session.ID || s.Session.Salt != old.Session.Salt || b.session().Value == before.Value {
			t.Error("the own session ended, or kept its secret")
		}
		if elsewhere.who() != nil || ben.who() == nil {
			t.Errorf("the other session lives: %t; Ben's ended: %t", elsewhere.who() != nil, ben.who() == nil)
		}
		if w := h.browser().post("/signin", "username", "ana", "password", anaPassword); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("the old password: %d", w.Code)
		}
		h.browser().signIn("/signin", "ana", "a third long one", "/apps")
		if e := h.event("changePassword"); e.User != "ana" || e.Outcome != "ok" {
			t.Errorf("event %+v", e)
		}
		// Changed in another place meanwhile: what this browser proved is no longer true.
		stale := b.who()
		must(t, h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.SetPassword(h.org.ID, h.ana.ID, stale.User.Password+"x") }))
		r := b.request("POST", "/account/password", nil)
		if problem, _, err := h.room.ChangePassword(httptest.NewRecorder(), r.WithContext(h.context(r)), stale, "a third long one", "a fourth long one"); problem != "password.current" || err != nil {
			t.Errorf("two changes at once: %q, %v", problem, err)
		}
		must(t, h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.SetPassword(h.org.ID, h.ana.ID, stale.User.Password) }))
		h.pass(15*time.Minute + time.Second)
		// Guesses at the present password are counted too; what is wrong with the new one is none.
		for i := range 7 {
			problem := change("guess guess", "another long one")
			if want := i >= 5; want != (problem == "signin.throttled") {
				t.Errorf("guess %d: %q", i+1, problem)
			}
		}
	})
}
