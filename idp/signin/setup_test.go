package signin_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// empty takes the people out of the house.
func (h *house) empty() {
	h.t.Helper()
	must(h.t, h.st.Write(h.t.Context(), func(tx *store.Tx) error {
		for _, id := range []string{h.ana.ID, h.ben.ID} {
			if err := tx.DropUser(h.org.ID, id); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (h *house) setupLink() string {
	h.t.Helper()
	link, err := h.room.SetupLink(h.t.Context(), h.org.ID)
	must(h.t, err)
	return link
}

func first(name, password string) []string {
	return []string{"username", name, "email", name + "@example.com", "givenName", "Ro", "familyName", "Ot", "password", password, "repeat", password}
}

// AUTH-11: there is no default account; the first administrator is made by a link, once, within a day.
func TestSetup(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		if link := h.setupLink(); link != "" {
			t.Errorf("a link where there are people: %q", link)
		}
		closed := func(target string) {
			t.Helper()
			b := h.browser()
			for range 2 {
				if w := b.get(target); w.Code != http.StatusNotFound || strings.Contains(w.Body.String(), "<form") {
					t.Errorf("GET %.20s: %d", target, w.Code)
				}
				if w := b.post(target, first("eve", "a good long one")...); w.Code != http.StatusNotFound || b.session() != nil {
					t.Errorf("POST %.20s: %d", target, w.Code)
				}
			}
			if _, err := h.st.People().ByName(t.Context(), h.org.ID, "eve"); err != store.ErrNotFound {
				t.Errorf("%.20s made a user: %v", target, err)
			}
		}
		closed("/setup")
		h.empty()
		closed("/setup")
		link := h.setupLink()
		h.pass(time.Hour)
		if again := h.setupLink(); again != link { // the second node, or the next start, tells the same
			t.Errorf("two links: %q and %q", link, again)
		}
		closed(link[:len(link)-1])
		closed(link + "A")
		closed(strings.ToLower(link))
		closed(strings.Replace(link, "link=", "LINK=", 1))
		id, _, _ := strings.Cut(link, ".")
		closed(id + "." + strings.Repeat("A", 43))
		if e := h.event("InvalidSetupLink"); e.Outcome != "refused" || strings.Contains(e.Reason, link[12:]) {
			t.Errorf("event %+v", e)
		}

		b := h.browser()
		for range 2 { // a mail scanner spends nothing
			if w := b.get(link); w.Code != http.StatusOK || action(t, w) != link {
				t.Fatalf("the page: %d", w.Code)
			}
		}
		// What is wrong with the input leaves the link; what was typed comes back, but for the passwords.
		for _, c := range []struct{ field, value, problem string }{
			{"username", "", "Choose a username"},
			{"username", "a b", "Choose a username"},
			{"email", "", "Enter an email address"},
			{"email", "root@corp@example.com", "Enter an email address"},
			{"password", "", "not the same"},
			{"repeat", "a good long one ", "not the same"},
		} {
			form := first("root", "a good long one")
			for i := 0; i < len(form); i += 2 {
				if form[i] == c.field {
					form[i+1] = c.value
				}
			}
			w := b.post(link, form...)
			if body := w.Body.String(); w.Code != http.StatusUnprocessableEntity || !strings.Contains(body, c.problem) || strings.Contains(body, "a good long one") || !strings.Contains(body, `value="Ro"`) {
				t.Errorf("%s %q: %d\n%s", c.field, c.value, w.Code, body)
			}
		}
		for password, problem := range map[string]string{"short": "too short", "password": "easy to guess", strings.Repeat("x", 1025): "too long"} {
			if w := b.post(link, first("root", password)...); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), problem) {
				t.Errorf("%.10q: %d", password, w.Code)
			}
		}
		h.pass(24*time.Hour - time.Second)
		w := b.post(link, first("root", "a good long one")...)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/apps" {
			t.Fatalf("setting up: %d\n%s", w.Code, w.Body)
		}
		if s := b.who(); s == nil || !s.User.Admin() || s.User.Username != "root" || s.User.Email != "root@example.com" || s.User.Name() != "Ro Ot" {
			t.Errorf("signed in: %+v", s)
		}
		closed(link)
		if again := h.setupLink(); again != "" {
			t.Errorf("another link: %q", again)
		}
	})
}

func TestSetupLinkEnds(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.empty()
		link := h.setupLink()
		h.pass(24 * time.Hour)
		if w := h.browser().post(link, first("root", "a good long one")...); w.Code != http.StatusNotFound {
			t.Errorf("after a day: %d", w.Code)
		}
	})
}

// AUTH-11: nodes that start at once print one and the same link; of many who use it one wins.
func TestSetupRace(t *testing.T) {
	c := &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	st, second := storetest.Two(t, func(config *store.Config) { config.Now = c.Now })
	h := newHouse(t, st, c, "https://id.example.com")
	h.empty()
	room := *h.room
	room.Store = second
	other := *h
	other.room = &room
	links := make([]string, 8)
	var wait sync.WaitGroup
	for i := range links {
		wait.Go(func() { links[i] = []*house{h, &other}[i%2].setupLink() })
	}
	wait.Wait()
	if slices.Sort(links); links[0] == "" || links[0] != links[7] {
		t.Fatalf("several links: %q", links)
	}
	won := 0
	var mu sync.Mutex
	for i, link := range links {
		wait.Go(func() {
			w := h.browser().post(link, first(string(rune('a'+i))+"dmin", "a good long one")...)
			mu.Lock()
			defer mu.Unlock()
			if w.Code == http.StatusSeeOther {
				won++
			}
		})
	}
	wait.Wait()
	if won != 1 {
		t.Errorf("%d of eight are the first", won)
	}
}
