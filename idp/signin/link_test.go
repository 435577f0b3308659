package signin_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

func (h *house) link(u *idp.User) string {
	h.t.Helper()
	link, err := h.room.Link(h.t.Context(), u, 15*time.Minute, "by root")
	must(h.t, err)
	return link
}

// closed sees that a link is no longer one, whoever opens it and says yes.
func (h *house) closed(what, link string) {
	h.t.Helper()
	b := h.browser()
	if w := b.get(link); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "<form") {
		h.t.Errorf("%s, GET: %d", what, w.Code)
	}
	if w := b.post(link+"&at=AAAAAAAAAAAAAAAA", "decision", "allow"); w.Code != http.StatusNotFound || b.session() != nil {
		h.t.Errorf("%s, POST: %d", what, w.Code)
	}
}

// A sign-in link signs one person in, once, at the browser that was asked, and proves no password.
func TestSignInLink(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		link := h.link(h.ana)
		if e := h.event("insertSigninLink"); e.User != "ana" || e.Outcome != idp.OK || e.Reason != "by root" || strings.Contains(link, e.Reason) {
			t.Errorf("event %+v", e)
		}
		h.closed("none", "/signin/link")
		h.closed("cut", link[:len(link)-1])
		h.closed("longer", link+"A")
		h.closed("in other letters", strings.ToLower(link))
		id, _, _ := strings.Cut(link, ".")
		h.closed("another secret", id+"."+strings.Repeat("A", 43))
		if e := h.event("InvalidSigninLink"); e.Outcome != idp.Refused || strings.Contains(e.Reason, link[20:]) {
			t.Errorf("event %+v", e)
		}
		// A scanner of mail opens it, twice, and even sends the form, without cookies.
		var form string
		for range 2 {
			w := h.browser().get(link)
			if form = action(t, w); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "ana") {
				t.Fatalf("the page: %d\n%s", w.Code, w.Body)
			}
		}
		for name, b := range map[string]*browser{"without a mark": h.browser(), "another browser": h.browser()} {
			if name == "another browser" {
				b.get("/signin")
			}
			if w := b.post(form, "decision", "allow"); w.Code != http.StatusBadRequest || b.session() != nil {
				t.Errorf("%s: %d", name, w.Code)
			}
		}
		b := h.browser()
		b.signIn("/signin", "ben", benPassword, "/apps")
		ben := b.who()
		form = action(t, b.get(link))
		if w := b.post(form, "decision", "deny"); w.Code != http.StatusSeeOther || b.who().User.ID != h.ben.ID {
			t.Errorf("no: %d", w.Code)
		}
		if w := b.post(form); w.Code != http.StatusSeeOther || b.who().User.ID != h.ben.ID {
			t.Errorf("neither: %d", w.Code)
		}
		w := b.post(form, "decision", "allow")
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/apps" {
			t.Fatalf("yes: %d\n%s", w.Code, w.Body)
		}
		s := b.who()
		if s == nil || s.User.ID != h.ana.ID || s.Session.Level != 1 || len(s.Session.AMR) > 0 || !s.Session.AuthTime.Equal(h.Now()) || s.Session.IP != "192.0.2.1" {
			t.Fatalf("signed in: %+v", s)
		}
		if _, _, _, err := h.st.SignIn().Session(t.Context(), h.org.ID, ben.Session.ID); err != store.ErrNotFound {
			t.Errorf("whoever was there before: %v", err)
		}
		if e := h.event("SigninLinkUiLogin"); e.User != "ana" || e.Outcome != idp.OK {
			t.Errorf("event %+v", e)
		}
		h.closed("used", link)
		if w := b.post(form, "decision", "allow"); w.Code != http.StatusNotFound {
			t.Errorf("again: %d", w.Code)
		}
		// It is no step up: a session that a password began does not go on, it ends.
		c := h.browser()
		c.signIn("/signin", "ana", anaPassword, "/apps")
		before := c.who()
		c.post(action(t, c.get(h.link(h.ana))), "decision", "allow")
		if now := c.who(); now == nil || now.Session.ID == before.Session.ID || now.Session.Salt == before.Session.Salt || len(now.Session.AMR) > 0 {
			t.Errorf("the session before goes on: %+v", now)
		}
	})
}

// A link dies with its time, with the next one, and with what its user had when it was made.
func TestSignInLinkEnds(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		write := func(f func(tx *store.Tx) error) { t.Helper(); must(t, h.st.Write(t.Context(), f)) }
		b := h.browser()
		var form, link string
		fresh := func() {
			t.Helper()
			link = h.link(h.ana)
			form = action(t, b.get(link))
		}
		closed := func(what string) {
			t.Helper()
			h.closed(what, link)
			if w := b.post(form, "decision", "allow"); w.Code != http.StatusNotFound || b.session() != nil {
				t.Errorf("%s, at the browser that was asked: %d", what, w.Code)
			}
		}
		fresh()
		h.pass(15 * time.Minute)
		closed("after a quarter of an hour")
		fresh()
		old, oldForm := link, form
		fresh()
		h.closed("the one before", old)
		if w := b.post(oldForm, "decision", "allow"); w.Code != http.StatusNotFound {
			t.Errorf("the one before: %d", w.Code)
		}
		write(func(tx *store.Tx) error { return tx.SetActive(h.org.ID, h.ana.ID, false) })
		closed("deactivated")
		if _, err := h.room.Link(t.Context(), h.ana, time.Hour, ""); err != store.ErrGone {
			t.Errorf("a link for whoever is not active: %v", err)
		}
		write(func(tx *store.Tx) error { return tx.SetActive(h.org.ID, h.ana.ID, true) })
		closed("active again")
		fresh()
		write(func(tx *store.Tx) error { return tx.EndUser(h.org.ID, h.ana.ID) })
		closed("another epoch of the user")
		fresh()
		write(func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE org SET epoch = epoch + 1`)
			return err
		})
		closed("another epoch of the org")
		fresh()
		write(func(tx *store.Tx) error { return tx.DropUser(h.org.ID, h.ana.ID) })
		closed("deleted")
	})
}

// Two nodes, eight browsers, one link: one of them is signed in.
func TestSignInLinkRace(t *testing.T) {
	c := &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	one, two := storetest.Two(t, func(config *store.Config) { config.Now = c.Now })
	h := newHouse(t, one, c, "https://id.example.com")
	room := *h.room
	room.Store = two
	other := *h
	other.room, other.router = &room, newRouter(&room)
	for range 5 {
		link := h.link(h.ana)
		var wait sync.WaitGroup
		won := make(chan int, 8)
		browsers, forms := make([]*browser, 8), make([]string, 8)
		for i := range browsers {
			browsers[i] = []*house{h, &other}[i%2].browser()
			forms[i] = action(t, browsers[i].get(link))
		}
		for i, b := range browsers {
			wait.Go(func() {
				if b.post(forms[i], "decision", "allow"); b.session() != nil {
					won <- i
				}
			})
		}
		wait.Wait()
		if len(won) != 1 {
			t.Fatalf("%d are signed in", len(won))
		}
	}
}
