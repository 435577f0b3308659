package signin_test

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// WEB-03: over https every cookie is bound to the host; everywhere it is out of reach of scripts and of other sites' forms.
func TestCookies(t *testing.T) {
	value := regexp.MustCompile(`^[0-9A-Za-z_-]+\.[0-9A-Za-z_-]{43}$`) // id.secret of 256 bits
	for _, c := range []struct{ address, prefix string }{{"https://id.example.com", "__Host-lanyard-"}, {"http://127.0.0.1:8080", "lanyard-"}} {
		k := &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
		h := newHouse(t, storetest.New(t, storetest.SQLite, func(config *store.Config) { config.Now = k.Now }), k, c.address)
		b := h.browser()
		w := b.signIn("/signin", "ana", anaPassword, "/apps")
		got := w.Result().Cookies()
		if len(got) != 2 {
			t.Fatalf("%s: %d cookies", c.address, len(got))
		}
		for i, name := range []string{c.prefix + h.org.ID + "-browser", c.prefix + h.org.ID} {
			k := got[i]
			if k.Name != name || !value.MatchString(k.Value) || k.Path != "/" || k.Domain != "" || !k.HttpOnly ||
				k.SameSite != http.SameSiteLaxMode || k.Secure != strings.HasPrefix(c.address, "https") {
				t.Errorf("%s: %s", c.address, k)
			}
		}
		if got[1].MaxAge != 0 || got[0].MaxAge != 400*24*3600 {
			t.Errorf("%s: max ages %d %d", c.address, got[0].MaxAge, got[1].MaxAge)
		}
		if cached := w.Header().Get("Cache-Control"); cached != "no-store" {
			t.Errorf("Cache-Control %q", cached)
		}
		// SEC-01: the secret is nowhere in the database.
		s, hash, _, err := h.st.SignIn().Session(t.Context(), h.org.ID, b.who().Session.ID)
		must(t, err)
		_, secret, _ := strings.Cut(got[1].Value, ".")
		if len(hash) != 32 || strings.Contains(string(hash)+s.Salt+s.ID, secret) {
			t.Error("the secret is stored")
		}
	}
}

// AUTH-15, WEB-04: only the very value opens the session, and what a neighbour plants beside it does not hide it.
func TestPlantedCookies(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.signIn("/signin", "ana", anaPassword, "/apps")
		good := *b.session()
		id, secret, _ := strings.Cut(good.Value, ".")
		swapped := strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' {
				return r - 32
			}
			return r
		}, secret)
		last := "A"
		if strings.HasSuffix(secret, last) {
			last = "E"
		}
		for _, c := range []struct {
			name   string
			values []string
			in     bool
		}{
			{"as it is", []string{good.Value}, true},
			{"none", nil, false},
			{"empty", []string{""}, false},
			{"truncated", []string{good.Value[:len(good.Value)-1]}, false},
			{"extended", []string{good.Value + "A"}, false},
			{"padded", []string{good.Value + "="}, false},
			{"another case", []string{id + "." + swapped}, false},
			{"another last letter", []string{good.Value[:len(good.Value)-1] + last}, false},
			{"secret alone", []string{secret}, false},
			{"id alone", []string{id + "."}, false},
			{"another id", []string{"x" + id + "." + secret}, false},
			{"64 kB", []string{strings.Repeat("a", 64<<10) + "." + secret}, false},
			{"planted before", []string{"x." + strings.Repeat("A", 43), good.Value}, true},
			{"planted behind", []string{good.Value, "x." + strings.Repeat("A", 43)}, true},
			{"a thousand before", append(make([]string, 1000), good.Value), false}, // looked at are four
		} {
			o := h.browser()
			for _, v := range c.values {
				o.cookies = append(o.cookies, &http.Cookie{Name: good.Name, Value: v})
			}
			if in := o.who() != nil; in != c.in {
				t.Errorf("%s: signed in %t", c.name, in)
			}
		}
		o := h.browser() // the value under another name
		o.cookies = []*http.Cookie{{Name: good.Name + "-browser", Value: good.Value}, {Name: strings.TrimPrefix(good.Name, "__Host-"), Value: good.Value}}
		if o.who() != nil {
			t.Error("the value counts under another name")
		}
	})
}

// WEB-02: each sign-in gives a new secret and what was there before is dead.
func TestRotation(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.signIn("/signin", "ana", anaPassword, "/apps")
		first, old := *b.session(), *b.who()
		h.pass(time.Hour)
		b.signIn("/signin", "ana@example.com", anaPassword, "/apps")
		again := b.who()
		if again.Session.ID != old.Session.ID || again.Session.Salt != old.Session.Salt || !again.Session.Started.Equal(old.Session.Started) {
			t.Error("the same person's session does not go on")
		}
		if !again.Session.AuthTime.Equal(h.Now()) || !again.Session.Expires.Equal(h.Now().Add(24*time.Hour)) {
			t.Errorf("proved at %v, until %v", again.Session.AuthTime, again.Session.Expires)
		}
		thief := h.browser()
		thief.cookies = []*http.Cookie{&first}
		if b.session().Value == first.Value || thief.who() != nil {
			t.Error("the secret from before lives")
		}
		// Somebody else at the same browser: another session, and the first one ends.
		ana := *b.session()
		b.signIn("/signin", "ben", benPassword, "/apps")
		if s := b.who(); s.User.ID != h.ben.ID || s.Session.ID == old.Session.ID || s.Session.Salt == old.Session.Salt {
			t.Errorf("Ben has Ana's session")
		}
		thief.cookies = []*http.Cookie{&ana}
		if thief.who() != nil {
			t.Error("Ana's session lives on, unseen")
		}
		if sessions, err := h.st.SignIn().Sessions(t.Context(), h.org.ID, h.ana.ID); err != nil || len(sessions) != 0 {
			t.Errorf("Ana has %d sessions, %v", len(sessions), err)
		}
		// A session that an attacker planted: theirs, known to them.
		evil, victim := h.browser(), h.browser()
		evil.signIn("/signin", "ben", benPassword, "/apps")
		planted := *evil.session()
		victim.cookies = []*http.Cookie{&planted}
		victim.signIn("/signin", "ana", anaPassword, "/apps")
		if s := victim.who(); s.User.ID != h.ana.ID || victim.session().Value == planted.Value {
			t.Error("the victim uses the planted session")
		}
		if evil.who() != nil {
			t.Error("the planted session lives")
		}
	})
}

// AUTH-08
func TestSessionEnds(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.signIn("/signin", "ana", anaPassword, "/apps")
		h.pass(8*time.Hour + time.Second)
		if b.who() != nil {
			t.Error("a session lives idle for more than 8 hours")
		}
		b.signIn("/signin", "ana", anaPassword, "/apps")
		for range 4 {
			h.pass(5*time.Hour + 59*time.Minute)
			if b.who() == nil {
				t.Fatal("a session in use ended")
			}
		}
		h.pass(4*time.Minute - time.Second)
		if b.who() == nil {
			t.Error("ended before 24 hours")
		}
		h.pass(time.Second)
		if b.who() != nil {
			t.Error("a session lives for more than 24 hours")
		}
		h.org.SessionIdle, h.org.SessionAbsolute = time.Minute, time.Hour // the org's own limits
		b.signIn("/signin", "ana", anaPassword, "/apps")
		h.pass(61 * time.Second)
		if b.who() != nil {
			t.Error("the org's own idle limit")
		}
		b.signIn("/signin", "ana", anaPassword, "/apps")
		h.org.SessionIdle = 0
		h.pass(time.Hour)
		if b.who() != nil {
			t.Error("the org's own absolute limit")
		}
	})
}

// AUTH-07: who is deactivated or deleted is out with the next request, and stays out when activated again.
func TestInactive(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.signIn("/signin", "ana", anaPassword, "/apps")
		active := func(on bool) {
			t.Helper()
			must(t, h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.SetActive(h.org.ID, h.ana.ID, on) }))
		}
		active(false)
		if b.who() != nil {
			t.Error("the session of a deactivated user lives")
		}
		if w := b.post("/signin", "username", "ana", "password", anaPassword); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("a deactivated user signs in: %d", w.Code)
		}
		// Deactivated between the password and the session: none is made.
		late := store.Proof{Session: &idp.Session{Org: h.org.ID, User: h.ana.ID, Expires: h.Now().Add(time.Hour)}, Hash: make([]byte, 32)}
		if err := h.st.SignIn().Start(t.Context(), late); !errors.Is(err, store.ErrGone) {
			t.Errorf("a session for a deactivated user: %v", err)
		}
		if e := h.event("InvalidUserCredentials"); e.User != "ana" || e.Reason != "the user is not active" {
			t.Errorf("event %+v", e)
		}
		active(true)
		if b.who() != nil {
			t.Error("activating brought an old session back")
		}
		b.signIn("/signin", "ana", anaPassword, "/apps")
		must(t, h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.DropUser(h.org.ID, h.ana.ID) }))
		if b.who() != nil {
			t.Error("the session of a deleted user lives")
		}
		// AUTH-14: the next who has the name inherits nothing.
		h.person("ana", "a third long password")
		if b.who() != nil {
			t.Error("a session passed to the next of that name")
		}
	})
}

func TestSignOut(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		if w := b.get("/signout"); w.Code != http.StatusOK || strings.Contains(w.Body.String(), `action="/signout"`) {
			t.Errorf("nobody is asked whether to sign out: %d", w.Code)
		}
		b.signIn("/signin", "ana", anaPassword, "/apps")
		before := *b.session()
		if w := b.get("/signout"); action(t, w) != "/signout" || b.who() == nil {
			t.Error("a link signs out")
		}
		for _, method := range []string{"HEAD", "PUT", "DELETE"} {
			if b.do(method, "/signout", nil); b.who() == nil {
				t.Errorf("%s signs out", method)
			}
		}
		if w := b.post("/signout", "decision", "deny"); w.Header().Get("Location") != "/apps" || b.who() == nil {
			t.Errorf("staying: %d to %s", w.Code, w.Header().Get("Location"))
		}
		w := b.post("/signout", "decision", "allow")
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/signout" || b.session() != nil {
			t.Errorf("signing out: %d to %s", w.Code, w.Header().Get("Location"))
		}
		b.cookies = append(b.cookies, &before)
		if b.who() != nil {
			t.Error("the cookie from before still opens the session")
		}
		if e := h.event("SignOut"); e.User != "ana" || e.Outcome != "ok" {
			t.Errorf("event %+v", e)
		}
	})
}
