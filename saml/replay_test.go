package saml_test

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// TestReplay: a request is answered once; until then it may be taken up again.
func TestReplay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		p := w.ana()
		b := w.at(p)
		q := w.request(spA)
		w.success(t, b.get(redirect(q.String())), acsA)
		for name, a := range map[string]*answer{
			"Redirect":                      b.get(redirect(q.String())),
			"another encoding (G8)":         b.get(redirect(q.String() + " ")),
			"POST":                          b.post("/saml/sso", posted(q.String())),
			"without a session":             w.browser().get(redirect(q.String())),
			"somebody else":                 w.at(&person{id: "u-eve", email: "eve@example.com", authTime: p.authTime, classes: passwordClasses}).get(redirect(q.String())),
			"the ID in a different request": b.get(redirect(func() string { q := q; q.attrs = `IsPassive="true"`; return q.String() }())),
		} {
			w.local(t, a, "ReplayedAuthnRequest", "")
			if m := startLink.FindStringSubmatch(a.body); m == nil || m[1] != startA {
				t.Errorf("%s: the page does not offer the start of the app: %v", name, m)
			}
		}
		t.Run("unanswered it resumes", func(t *testing.T) {
			q := w.request(spA)
			b := w.browser()
			first, second := b.get(redirect(q.String())), b.get(redirect(q.String()))
			w.success(t, b.follow(t, second, p), acsA)
			w.local(t, b.get(must(url.Parse(first.location)).Query().Get("back")), "ReplayedAuthnRequest", "")
		})
		t.Run("SAML-RSP-09 Back to continue", func(t *testing.T) {
			b := w.browser()
			a := b.get(redirect(w.request(spA).String()))
			back := must(url.Parse(a.location)).Query().Get("back")
			a = b.follow(t, a, p)
			w.success(t, a, acsA)
			if cc := a.res.Header.Get("Cache-Control"); cc != "no-store" {
				t.Errorf("Cache-Control %q", cc)
			}
			delete(b.cookies, "session") // nobody is asked to sign in for nothing
			a = b.get(back)
			w.local(t, a, "ReplayedAuthnRequest", "")
			if m := startLink.FindStringSubmatch(a.body); m == nil || m[1] != startA {
				t.Errorf("the page does not offer the start of the app: %v", m)
			}
		})
		t.Run("the ID of another app is another", func(t *testing.T) {
			other := w.request(spB)
			other.id = q.id
			w.success(t, b.get(redirect(other.String())), acsB)
		})
		t.Run("as long as it would be accepted", func(t *testing.T) {
			q := w.request(spA)
			q.instant = w.clock.now().Add(4 * time.Minute).Format(time.RFC3339)
			w.success(t, b.get(redirect(q.String())), acsA)
			w.clock.advance(8 * time.Minute)
			sweep(t, w.st)
			w.local(t, b.get(redirect(q.String())), "ReplayedAuthnRequest", "")
		})
		t.Run("as long as a second login of it lives", func(t *testing.T) {
			q := w.request(spA)
			b := w.browser()
			first, second := b.get(redirect(q.String())), b.get(redirect(q.String()))
			w.success(t, b.follow(t, first, p), acsA)
			w.clock.advance(59 * time.Minute)
			sweep(t, w.st)
			nothing(t, b.get(must(url.Parse(second.location)).Query().Get("back")))
		})
		t.Run("an hour later it has expired", func(t *testing.T) {
			b := w.browser()
			a := b.get(redirect(w.request(spA).String()))
			w.clock.advance(time.Hour + time.Second)
			a = b.follow(t, a, p)
			w.local(t, a, "InvalidAuthnRequest", "the login is unknown")
		})
	})
}

// sweep takes away what the sweeper may.
func sweep(t testing.TB, st *store.Store) {
	t.Helper()
	_, err := st.Sweep(t.Context(), []store.Dead{
		{Table: "login", Key: "org, id", Where: "expires < $1"},
		{Table: "spent", Key: "org, kind, app, value", Where: "expires < $1"},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestReplayRace: of 16 that bring one request, one wins.
func TestReplayRace(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, way := range []string{"at once", "continue", "launch"} {
			q := w.request(spA)
			var takers []func() *answer
			b := w.at(w.ana())
			back := ""
			switch way {
			case "continue":
				back = b.post("/saml/sso", posted(q.String())).location
			case "launch":
				back = must(url.Parse(w.browser().get("/saml/launch/A").location)).Query().Get("back")
			}
			b.get("/saml/continue?login=x") // so that the browser is marked
			for range 16 {
				c := w.browser()
				for k, v := range b.cookies {
					c.cookies[k] = v
				}
				takers = append(takers, func() *answer {
					if back != "" {
						return c.get(back)
					}
					return c.get(redirect(q.String()))
				})
			}
			winners := race(t, w, takers)
			if winners != 1 {
				t.Errorf("%s: %d of 16 won", way, winners)
			}
		}
	})
}

// race runs all at once and counts those that got an assertion; the others must have been refused.
func race(t *testing.T, w *world, takers []func() *answer) (winners int) {
	var all sync.WaitGroup
	answers := make([]*answer, len(takers))
	start := make(chan struct{})
	for i, take := range takers {
		all.Go(func() {
			<-start
			answers[i] = take()
		})
	}
	close(start)
	all.Wait()
	for _, a := range answers {
		if a.status == http.StatusOK {
			w.success(t, a, acsA)
			winners++
		} else {
			w.local(t, a, "ReplayedAuthnRequest", "")
		}
	}
	return winners
}

// TestTwoNodes: what one node answered, the other refuses; what one began, the other finishes.
func TestTwoNodes(t *testing.T) {
	c := newClock()
	st, other := storetest.Two(t, func(cfg *store.Config) { cfg.Now, cfg.Sealer = c.now, sealer() })
	one := worldOn(t, st, c)
	prepare(t, one)
	two := worldOn(t, other, c)
	two.apps = one.apps
	p := one.ana()
	q := one.request(spA)
	one.success(t, one.at(p).get(redirect(q.String())), acsA)
	two.local(t, two.at(p).get(redirect(q.String())), "ReplayedAuthnRequest", "")

	begun := one.browser().post("/saml/sso", posted(one.request(spA).String()))
	two.success(t, two.at(p).get(begun.location), acsA)

	q = one.request(spA)
	var takers []func() *answer
	for i := range 16 {
		b := []*world{one, two}[i%2].at(one.ana())
		takers = append(takers, func() *answer { return b.get(redirect(q.String())) })
	}
	if n := race(t, one, takers); n != 1 {
		t.Errorf("%d of 16 won", n)
	}
}
