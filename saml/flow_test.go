package saml_test

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/saml"
)

// TestSignOn: BEN-1 to BEN-4, each from request to response.
func TestSignOn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		t.Run("BEN-1 Redirect, no session", func(t *testing.T) {
			q, p := w.request(spA), w.ana()
			b := w.browser()
			a := b.get(redirect(q.String(), "&RelayState=deep"))
			if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location, "/signin?") {
				t.Fatalf("status %d, Location %q", a.status, a.location)
			}
			nothing(t, a)
			w.clock.advance(10 * time.Minute) // signing in takes long: times are counted from issue
			a = b.follow(t, a, p)
			e := w.success(t, a, acsA)
			if attr(e, "InResponseTo") != q.id {
				t.Errorf("InResponseTo %q, want %q", attr(e, "InResponseTo"), q.id)
			}
			if _, fields := a.form(); fields["RelayState"] != "deep" {
				t.Errorf("RelayState %q", fields["RelayState"])
			}
			until := must(time.Parse(time.RFC3339, attr(find(t, e, "Assertion", "Conditions"), "NotOnOrAfter")))
			if want := w.clock.now().Add(5 * time.Minute); !until.Equal(want.Truncate(time.Millisecond)) {
				t.Errorf("NotOnOrAfter %v, want %v", until, want)
			}
		})
		t.Run("BEN-2 POST, no session", func(t *testing.T) {
			q, p := w.request(spA), w.ana()
			b := w.browser()
			a := b.post("/saml/sso", posted(q.String()))
			if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location, "/saml/continue?login=") {
				t.Fatalf("status %d, Location %q", a.status, a.location)
			}
			e := w.success(t, b.follow(t, a, p), acsA)
			if attr(e, "InResponseTo") != q.id {
				t.Errorf("InResponseTo %q", attr(e, "InResponseTo"))
			}
		})
		t.Run("BEN-3 launch", func(t *testing.T) {
			for _, name := range []string{"A", w.apps["A"]} {
				before := len(w.events(t, "SamlIdpInitiatedSSO"))
				a := w.at(w.ana()).get("/saml/launch/" + name + "?RelayState=x%20y")
				e := w.success(t, a, acsA)
				if _, there := e.Attr("InResponseTo"); there || strings.Contains(string(a.response(t)), "InResponseTo") {
					t.Error("a launch has InResponseTo")
				}
				if _, fields := a.form(); fields["RelayState"] != "x y" {
					t.Errorf("RelayState %q", fields["RelayState"])
				}
				if n := len(w.events(t, "SamlIdpInitiatedSSO")); n != before+1 {
					t.Errorf("%d events of the launch", n-before)
				}
			}
			b, p := w.browser(), w.ana()
			w.success(t, b.follow(t, b.get("/saml/launch/A"), p), acsA)
		})
		t.Run("launch with the app's own RelayState", func(t *testing.T) {
			w.change(t, "B", func(sp *saml.ServiceProvider) { sp.RelayState = "tile" })
			for target, want := range map[string]string{"/saml/launch/B": "tile", "/saml/launch/B?RelayState=mine": "mine"} {
				if _, fields := w.at(w.ana()).get(target).form(); fields["RelayState"] != want {
					t.Errorf("%s: RelayState %q, want %q", target, fields["RelayState"], want)
				}
			}
		})
		t.Run("launch of somebody of whom the app can not be told", func(t *testing.T) {
			p := w.ana()
			p.unknown = &saml.Error{Status: saml.StatusResponder, Sub: saml.StatusUnknownPrincipal, Code: "NoCustomAttrValue", Reason: "no email"}
			a := w.at(p).get("/saml/launch/B?RelayState=deep")
			if w.local(t, a, "NoCustomAttrValue", "no email"); a.status != http.StatusForbidden || startLink.MatchString(a.body) {
				t.Errorf("status %d\n%s", a.status, clip(a.body))
			}
			a = w.at(p).get(redirect(w.request(spB).String())) // who asks is told
			w.proto(t, a, acsB, inResponseTo(t, a.response(t)), saml.StatusUnknownPrincipal, "no email")
		})
		t.Run("launch of an unknown app", func(t *testing.T) {
			a := w.at(w.ana()).get("/saml/launch/Nobody")
			w.local(t, a, "UnableToResolve", "")
			if a.status != http.StatusNotFound {
				t.Errorf("status %d", a.status)
			}
		})
		t.Run("BEN-4 session, no prompt", func(t *testing.T) {
			p := w.ana()
			b := w.at(p)
			e := w.success(t, b.get(redirect(w.request(spA).String())), acsA)
			// SAML-RSP-10: when the person proved themself, not when the app asked.
			if got := attr(find(t, e, "Assertion", "AuthnStatement"), "AuthnInstant"); got != p.authTime.Format("2006-01-02T15:04:05.000Z") {
				t.Errorf("AuthnInstant %s, want %v", got, p.authTime)
			}
			if n := len(w.events(t, "SamlSpInitiatedSSO")); n == 0 {
				t.Error("no event of success")
			}
		})
		t.Run("BEN-5 not permitted", func(t *testing.T) {
			p := w.ana()
			p.denied = map[string]bool{"A": true}
			b := w.at(p)
			for name, a := range map[string]*answer{
				"SAML-REQ-22 Redirect": b.get(redirect(w.request(spA).String())),
				"SAML-REQ-22 POST":     b.follow(t, b.post("/saml/sso", posted(w.request(spA).String())), p),
				"SAML-REQ-22 launch":   b.get("/saml/launch/A?RelayState=deep"),
			} {
				ev := w.local(t, a, "NoAccess", "permitted-users")
				if a.status != http.StatusForbidden || ev.User != p.id || ev.App != "A" {
					t.Errorf("%s: status %d, event %+v", name, a.status, ev)
				}
				if startLink.MatchString(a.body) {
					t.Errorf("%s: the page leads back to where it will be refused again", name)
				}
			}
			// Where the person may not see anything, the app is told what it would be told of a stranger.
			for _, a := range []*answer{
				b.get(redirect(passive(w.request(spA)).String())),
				b.follow(t, b.post("/saml/sso", posted(passive(w.request(spA)).String())), p),
			} {
				ev := w.proto(t, a, acsA, inResponseTo(t, a.response(t)), saml.StatusNoPassive, "permitted-users")
				if ev.Code != "NoAccess" || ev.User != p.id || ev.App != "A" {
					t.Errorf("SAML-REQ-22 IsPassive: event %+v", ev)
				}
			}
			p.deniedAs = "AppBlocked" // since the request was judged
			w.local(t, b.get(redirect(passive(w.request(spA)).String())), "AppBlocked", "")
		})
	})
}

func passive(q authnRequest) authnRequest {
	q.attrs = `IsPassive="true"`
	return q
}

// TestForceAuthn: SAML-REQ-16. The person proves themself after the request, every time.
func TestForceAuthn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, value := range []string{"true", "1"} {
			p := w.ana()
			b := w.at(p)
			q := w.request(spA)
			q.attrs = `ForceAuthn="` + value + `"`
			judged := w.clock.now()
			a := b.get(redirect(q.String()))
			nothing(t, a)
			if !strings.HasPrefix(a.location, "/signin?") {
				t.Fatalf("not asked to sign in: %d %q", a.status, a.location)
			}
			back := must(url.Parse(a.location)).Query().Get("back")
			if again := b.get(back); !strings.HasPrefix(again.location, "/signin?") {
				t.Fatalf("the resume URL skips the sign-in: %d %q", again.status, again.location)
			}
			w.clock.advance(time.Minute)
			e := w.success(t, b.follow(t, a, p), acsA)
			got := must(time.Parse(time.RFC3339, attr(find(t, e, "Assertion", "AuthnStatement"), "AuthnInstant")))
			if got.Before(judged) {
				t.Errorf("AuthnInstant %v is older than the request, %v", got, judged)
			}
			// An older flow, taken up after that, was answered or asks again.
			w.local(t, b.get(back), "ReplayedAuthnRequest", "")
		}
		t.Run("by POST", func(t *testing.T) {
			p := w.ana()
			b := w.at(p)
			q := w.request(spA)
			q.attrs = `ForceAuthn="true"`
			a := b.get(b.post("/saml/sso", posted(q.String())).location)
			if !strings.HasPrefix(a.location, "/signin?") {
				t.Fatalf("not asked to sign in: %d %q", a.status, a.location)
			}
			w.clock.advance(time.Minute)
			w.success(t, b.follow(t, a, p), acsA)
		})
	})
}

// TestBrowser: a login belongs to the browser that first takes it up (DESIGN.md idea 4).
func TestBrowser(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		p := w.ana()
		victim, attacker := w.browser(), w.browser()
		a := attacker.post("/saml/sso", posted(w.request(spA).String()))
		back := a.location
		if a = attacker.get(back); !strings.HasPrefix(a.location, "/signin?") {
			t.Fatalf("%d %q", a.status, a.location)
		}
		// The attacker sends the ID to somebody who is signed in.
		victim.signIn(p)
		a = victim.get(back)
		w.local(t, a, "InvalidAuthnRequest", "the login belongs to another browser")
		if a.status != http.StatusBadRequest {
			t.Errorf("status %d", a.status)
		}
		// And has nothing from it: only their own sign-in answers it.
		if a = attacker.get(back); !strings.HasPrefix(a.location, "/signin?") {
			t.Fatalf("the login was answered: %d %q", a.status, a.location)
		}
		w.success(t, attacker.follow(t, a, w.ana()), acsA)

		// Ten tabs of one browser work.
		b := w.browser()
		var tabs []*answer
		for range 10 {
			tabs = append(tabs, b.get(redirect(w.request(spA).String())))
		}
		b.signIn(p)
		for _, tab := range tabs {
			w.success(t, b.get(must(url.Parse(tab.location)).Query().Get("back")), acsA)
		}
		for _, id := range []string{"", "x", "%00", strings.Repeat("a", 5000), "a&login=b", "../x", "a%20b"} {
			w.local(t, b.get("/saml/continue?login="+id), "InvalidAuthnRequest", "")
		}
	})
}

// TestChangedMeanwhile: SAML-REQ-21, SAML-REQ-22. What can have changed is asked again before a request is answered.
func TestChangedMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		begin := func() (*browser, *answer) {
			b := w.browser()
			return b, b.get(redirect(w.request(spA).String()))
		}
		t.Run("app blocked", func(t *testing.T) {
			b, a := begin()
			w.block(t, "A", true)
			a = b.follow(t, a, w.ana())
			w.local(t, a, "AppBlocked", "Blocked: ")
			if a.status != http.StatusForbidden {
				t.Errorf("status %d", a.status)
			}
			w.local(t, w.at(w.ana()).get("/saml/launch/A"), "AppBlocked", "Blocked: ")
			w.local(t, w.at(w.ana()).get(redirect(w.request(spA).String())), "AppBlocked", "Blocked: ")
			w.block(t, "A", false)
		})
		t.Run("person no longer permitted", func(t *testing.T) {
			b, a := begin()
			p := w.ana()
			p.denied = map[string]bool{"A": true}
			w.local(t, b.follow(t, a, p), "NoAccess", "permitted-users")
		})
		t.Run("ACS taken away", func(t *testing.T) {
			b, a := begin()
			w.change(t, "A", func(sp *saml.ServiceProvider) { sp.ACS = sp.ACS[1:] })
			w.local(t, b.follow(t, a, w.ana()), "InvalidSp", "Address: ")
		})
		t.Run("app deleted", func(t *testing.T) {
			b, a := w.browser(), (*answer)(nil)
			a = b.get(redirect(w.request(spB).String()))
			if err := w.st.Write(t.Context(), func(tx *store.Tx) error { return tx.DropApp(w.org, w.apps["B"]) }); err != nil {
				t.Fatal(err)
			}
			w.local(t, b.follow(t, a, w.ana()), "UnableToResolve", "")
			w.local(t, w.at(w.ana()).get(redirect(w.request(spB).String())), "UnableToResolve", "Issuer: ")
		})
	})
}

// TestAllowCreate: SAML-REQ-14. A pairwise ID is not made where the request forbids it, and is another at each app.
func TestAllowCreate(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ask := func(entity, create string) *answer {
			q := w.request(entity)
			q.inner = `<samlp:NameIDPolicy Format="` + saml.FormatPersistent + `" AllowCreate="` + create + `"/>`
			return w.at(w.ana()).get(redirect(q.String()))
		}
		value := func(a *answer, acs string) string {
			return text(t, find(t, w.success(t, a, acs), "Assertion", "Subject", "NameID"))
		}
		a := ask(spA, "false")
		w.proto(t, a, acsA, inResponseTo(t, a.response(t)), saml.StatusInvalidNameIDPolicy, "AllowCreate is false")
		first := value(ask(spA, "true"), acsA)
		if again := value(ask(spA, "false"), acsA); again != first {
			t.Errorf("the persistent ID changed: %s, %s", first, again)
		}
		if other := value(ask(spB, "1"), acsB); other == first {
			t.Error("two apps know the person by one pairwise ID")
		}
	})
}

// TestFault: what is our fault says nothing outside and everything in the event, and nothing is spent.
func TestFault(t *testing.T) {
	w := shared(t)
	b := w.at(w.ana())
	q := w.request(spA)
	ring := w.site.Keys
	w.site.Keys = nil
	for _, target := range []string{redirect(q.String()), "/saml/metadata", "/saml/certificate.pem"} {
		a := b.get(target)
		if a.status != http.StatusServiceUnavailable || strings.Contains(a.body, "keys can not") {
			t.Errorf("%s: status %d\n%s", target, a.status, clip(a.body))
		}
		if m := shownRef.FindStringSubmatch(a.body); m == nil {
			t.Error("no reference")
		} else if ev := w.event(t, m[1]); ev.Code != "InternalError" || !strings.Contains(ev.Reason, "keys can not") {
			t.Errorf("the event is %+v", ev)
		}
	}
	w.site.Keys = ring
	w.success(t, b.get(redirect(q.String())), acsA)
	t.Run("store closed", func(t *testing.T) {
		if err := w.st.Close(); err != nil {
			t.Fatal(err)
		}
		a := b.get(redirect(w.request("https://not.cached.example/" + rand.Text()).String()))
		if a.status != http.StatusServiceUnavailable || a.res.Header.Get("Retry-After") == "" {
			t.Errorf("status %d, %v", a.status, a.res.Header)
		}
	})
}
