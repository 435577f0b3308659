package signin_test

import (
	"fmt"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/signin"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/oidc"
)

const next = "/oauth2/continue?login=x"

func (h *house) askConsent(scopes ...string) string {
	return h.ask(h.room.SendConsent, signin.Ask{App: h.app.ID, Scopes: scopes, Host: "wellness.example", Back: next})
}

// consents are the scopes that u agreed to for the app.
func (h *house) consents(user string) []string {
	h.t.Helper()
	scopes, _, err := h.st.SignIn().Consent(h.t.Context(), h.org.ID, user, h.app.ID)
	if err != nil && err != store.ErrNotFound {
		h.t.Fatal(err)
	}
	return scopes
}

// RFC 7591 §2: what a client registered as its policy and its terms can be read before one agrees, if it is a web address.
// Its logo is shown nowhere.
func TestConsentLinks(t *testing.T) {
	h := quick(t)
	b := h.browser()
	b.signIn("/signin", "ana", anaPassword, "/apps")
	link := regexp.MustCompile(`<a href="([^"]*)" rel="noopener noreferrer">([^<]*)</a>`)
	for i, c := range []struct{ policy, terms, want string }{
		{"https://app.example/p?a=1&b=\"><script>", "http://app.example/t", "The app’s privacy policy https://app.example/p?a=1&b=%22%3e%3cscript%3e, The app’s terms of service http://app.example/t"},
		{"https://app.example/p", "", "The app’s privacy policy https://app.example/p"},
		{"", "https://app.example/t", "The app’s terms of service https://app.example/t"},
		{"javascript:alert(1)", "data:text/html,x", ""},
		{"/account", "//evil.example/", ""},
		{"", "", ""},
	} {
		a := &idp.App{
			Org: h.org.ID, ID: h.st.NewID(), Name: "Child", APIName: fmt.Sprint("Child", i),
			OAuth: &oidc.Client{ID: fmt.Sprint("child", i), Type: "web", Scopes: []string{"openid"}, Registered: &oidc.Metadata{PolicyURI: c.policy, TosURI: c.terms, LogoURI: "https://app.example/logo"}},
		}
		must(t, h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.AddApp(a, nil, nil) }))
		body := b.get(h.ask(h.room.SendConsent, signin.Ask{App: a.ID, Scopes: []string{"openid"}, Back: "/oauth2/continue?login=x"})).Body.String()
		var got []string
		for _, m := range link.FindAllStringSubmatch(body, -1) {
			got = append(got, m[2]+" "+html.UnescapeString(m[1]))
		}
		if strings.Join(got, ", ") != c.want || strings.Contains(body, "<script>") || strings.Contains(body, "logo") || !strings.Contains(body, "Child asks for access") {
			t.Errorf("%q, %q: %q\n%s", c.policy, c.terms, got, body)
		}
	}
}

func TestConsent(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		ask := h.askConsent("openid", "orders")
		if w := b.get(ask); w.Code != http.StatusSeeOther || w.Header().Get("Location") != next {
			t.Fatalf("nobody is signed in: %d to %q", w.Code, w.Header().Get("Location"))
		}
		b.signIn("/signin", "ana", anaPassword, "/apps")
		w := b.get(ask)
		for _, want := range []string{"Wellness Tracker", "it@wellness.example", "Know who you are", "Read your orders", "wellness.example", "Ana", "Not you?", `value="allow"`, `value="deny"`} {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("the page does not say %q", want)
			}
		}
		form := action(t, w)
		if strings.Contains(w.Header().Get("Content-Security-Policy"), "form-action") {
			t.Error("form-action would stop the redirect to the app")
		}
		if len(h.consents(h.ana.ID)) > 0 {
			t.Error("looking at the page agreed")
		}
		// Whatever is not "allow" is a no.
		for _, decision := range []string{"deny", "", "ALLOW", "allow "} {
			if w := b.post(form, "decision", decision); w.Header().Get("Location") != next+"&refused=1" || len(h.consents(h.ana.ID)) > 0 {
				t.Errorf("%q: %d to %q", decision, w.Code, w.Header().Get("Location"))
			}
		}
		// OA-CO-01: the form can not widen what is granted.
		w = b.post(form, "decision", "allow", "scope", "full", "scopes", "full", "app", "another", "c", "full", "user", h.ben.ID)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != next || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("allowing: %d to %q", w.Code, w.Header().Get("Location"))
		}
		if got := h.consents(h.ana.ID); !slices.Equal(got, []string{"openid", "orders"}) || len(h.consents(h.ben.ID)) > 0 {
			t.Errorf("granted %q", got)
		}
		if e := h.event("OauthConsent"); e.User != "ana" || e.App != "Wellness_Tracker" || e.Reason != "openid orders" {
			t.Errorf("event %+v", e)
		}
		// OA-CO-03: more is added to what was agreed to.
		b.post(action(t, b.get(h.askConsent("email"))), "decision", "allow")
		if got := h.consents(h.ana.ID); !slices.Equal(got, []string{"openid", "orders", "email"}) {
			t.Errorf("granted %q", got)
		}
	})
}

// OA-CO-01: nobody answers for somebody else, neither by a page that was shown to another nor by the question itself.
func TestConsentIsOnesOwn(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.signIn("/signin", "ana", anaPassword, "/apps")
		shown := action(t, b.get(h.askConsent("openid")))
		b.signIn("/signin", "ben", benPassword, "/apps") // in another tab
		for _, form := range []string{shown, h.askConsent("openid")} {
			if w := b.post(form, "decision", "allow"); w.Header().Get("Location") != next {
				t.Errorf("%d to %q", w.Code, w.Header().Get("Location"))
			}
		}
		if len(h.consents(h.ana.ID)) > 0 || len(h.consents(h.ben.ID)) > 0 {
			t.Errorf("Ana agreed to %q, Ben to %q", h.consents(h.ana.ID), h.consents(h.ben.ID))
		}
		// Signed out meanwhile: the request knows what is missing.
		mine := action(t, b.get(h.askConsent("openid")))
		b.post("/signout", "decision", "allow")
		if w := b.post(mine, "decision", "allow"); w.Header().Get("Location") != next || len(h.consents(h.ben.ID)) > 0 {
			t.Errorf("signed out: %d to %q", w.Code, w.Header().Get("Location"))
		}
		// The form lives as long as the question, not longer for having been looked at.
		b.signIn("/signin", "ben", benPassword, "/apps")
		ask := h.askConsent("openid")
		h.pass(59 * time.Minute)
		form := action(t, b.get(ask))
		h.pass(2 * time.Minute)
		if w := b.post(form, "decision", "allow"); w.Code != http.StatusBadRequest || len(h.consents(h.ben.ID)) > 0 {
			t.Errorf("after an hour: %d", w.Code)
		}
		// A question to sign in is none to consent, and one about a deleted app is none at all.
		for _, ask := range []string{
			"/consent", "/consent?ask=" + strings.TrimPrefix(h.ask(h.room.SendSignIn, signin.Ask{App: h.app.ID, Back: next}), "/signin?ask="),
			h.ask(h.room.SendConsent, signin.Ask{App: "gone", Scopes: []string{"openid"}, Back: next}),
			h.ask(h.room.SendConsent, signin.Ask{App: h.app.ID, Back: next}),
		} {
			if w := b.get(ask); w.Code != http.StatusBadRequest {
				t.Errorf("%.20s: %d", ask, w.Code)
			}
			if w := b.post(ask, "decision", "allow"); w.Code != http.StatusBadRequest {
				t.Errorf("POST %.20s: %d", ask, w.Code)
			}
		}
	})
}

// "Not you?" leads to a form for somebody else, and from there to the same request.
func TestConsentNotYou(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.signIn("/signin", "ana", anaPassword, "/apps")
		h.pass(time.Second)
		body := b.get(h.askConsent("openid")).Body.String()
		_, rest, _ := strings.Cut(body, `<a href="`)
		link, _, _ := strings.Cut(rest, `"`)
		if !strings.HasPrefix(link, "/signin?ask=") {
			t.Fatalf("no way out: %q", link)
		}
		w := b.get(link)
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), `value="ana"`) {
			t.Fatalf("not you: %d\n%s", w.Code, w.Body)
		}
		b.signIn(action(t, w), "ben", benPassword, next)
	})
}
