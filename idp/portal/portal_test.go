package portal_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/people"
	"github.com/lanyard-sso/lanyard/idp/portal"
	"github.com/lanyard-sso/lanyard/idp/signin"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
	"github.com/lanyard-sso/lanyard/templates"
)

const password = "correct horse battery"

// house is the portal over a fresh database with two people. Time is moved by hand.
type house struct {
	t        *testing.T
	now      time.Time
	st       *store.Store
	org      *idp.Org
	ana, ben *idp.User
	router   *mux.Router
}

func each(t *testing.T, f func(t *testing.T, h *house)) {
	t.Helper()
	h := &house{}
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		*h = house{t: t, now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), st: st, router: mux.NewRouter()}
		h.org = &idp.Org{Name: store.DefaultOrg, URL: "https://id.example.com"}
		must(t, st.Orgs().AddOrg(t.Context(), h.org))
		p := people.New(st)
		h.ana = &idp.User{Org: h.org.ID, Username: "ana", Email: "ana@example.com", GivenName: "Ana", Active: true}
		h.ben = &idp.User{Org: h.org.ID, Username: "ben", Active: true}
		must(t, p.Create(t.Context(), h.ana, password))
		must(t, p.Create(t.Context(), h.ben, password))
		now := func() time.Time { return h.now }
		in := &signin.Handler{Store: st, People: p, Sealer: storetest.Sealer(t), Now: now, Log: slog.New(slog.DiscardHandler)}
		in.Mount(h.router)
		(&portal.Handler{Store: st, SignIn: in, Now: now, Log: in.Log}).Mount(h.router)
		f(t, h)
	}, func(c *store.Config) {
		c.Now = func() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// app makes an app that Ana may use.
func (h *house) app(a idp.App, i *idp.Installation) *idp.App {
	h.t.Helper()
	a.Org, a.ID = h.org.ID, h.st.NewID()
	if i == nil {
		i = &idp.Installation{PermittedUsers: idp.AdminApproved, Users: []idp.Permitted{{User: h.ana.ID}}}
	}
	must(h.t, h.st.Write(h.t.Context(), func(tx *store.Tx) error {
		if err := tx.AddApp(&a, nil, nil); err != nil {
			return err
		}
		if i.PermittedUsers == "" {
			return nil
		}
		i.Org, i.App = a.Org, a.ID
		return tx.PutInstallation(i)
	}))
	return &a
}

// grant gives app a grant of u's.
func (h *house) grant(a *idp.App, u *idp.User, scopes ...string) string {
	h.t.Helper()
	id := h.st.NewID()
	must(h.t, h.st.OIDC().AddGrant(h.t.Context(), h.org.ID, oidc.Issue{
		Grant: &oidc.Grant{ID: id, App: a.ID, Client: a.OAuth.ID, User: u.ID, Kind: oidc.KindCode, Scopes: scopes, Created: h.now},
		Token: &oidc.Token{ID: h.st.NewID(), Hash: make([]byte, 32), Grant: id, Scopes: scopes, Created: h.now, Expires: h.now.Add(time.Hour)},
		Event: "OauthWebServer",
	}))
	return id
}

// browser keeps cookies and follows nothing.
type browser struct {
	h       *house
	agent   string
	cookies map[string]string
}

func (h *house) browser(username string) *browser {
	h.t.Helper()
	b := &browser{h: h, cookies: map[string]string{}}
	if username != "" {
		if w := b.post("/signin", "username", username, "password", password); w.Code != http.StatusSeeOther {
			h.t.Fatalf("%s can not sign in: %d", username, w.Code)
		}
	}
	return b
}

func (b *browser) do(method, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	caller := &idp.Caller{Reference: "REFERENC", IP: netip.MustParseAddr("192.0.2.1"), Agent: b.agent}
	w := httptest.NewRecorder()
	templates.SecurityHeaders(w.Header())
	b.h.router.ServeHTTP(w, r.WithContext(idp.WithOrg(idp.WithCaller(r.Context(), caller), b.h.org)))
	for _, c := range w.Result().Cookies() {
		b.cookies[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return w
}

func (b *browser) get(target string) *httptest.ResponseRecorder { return b.do("GET", target, "") }

func (b *browser) post(target string, form ...string) *httptest.ResponseRecorder {
	v := url.Values{}
	for i := 0; i < len(form); i += 2 {
		v.Set(form[i], form[i+1])
	}
	return b.do("POST", target, v.Encode())
}

// in tells if somebody is signed in.
func (b *browser) in() bool { return b.get("/apps").Code == http.StatusOK }

// leads checks where an answer leads.
func leads(t *testing.T, what string, w *httptest.ResponseRecorder, to string) {
	t.Helper()
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != to {
		t.Errorf("%s: %d to %q, want %q", what, w.Code, w.Header().Get("Location"), to)
	}
}

// Nobody sees a page without signing in, and comes back to the page that was wanted.
func TestSignInFirst(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for path, back := range map[string]string{
			"/apps": "/apps", "/account?done=sessions": "/account?done=sessions", "/account/password": "/account/password",
		} {
			b := h.browser("")
			to := b.get(path).Header().Get("Location")
			if !strings.HasPrefix(to, "/signin?ask=") {
				t.Fatalf("%s leads to %q", path, to)
			}
			leads(t, path, b.post(to, "username", "ana", "password", password), back)
		}
		// A form that comes too late is not carried out by itself afterwards.
		ana := h.browser("ana")
		for _, path := range []string{"/account/sessions", "/account/grants", "/account/password"} {
			b := h.browser("")
			to := b.post(path, "others", "1", "current", password, "password", "a longer new one", "repeat", "a longer new one").Header().Get("Location")
			leads(t, path, b.post(to, "username", "ana", "password", password), "/account")
		}
		if !ana.in() {
			t.Error("a form without a session ended others")
		}
		leads(t, "home", ana.get("/"), "/apps")
		leads(t, "password managers", ana.get("/.well-known/change-password"), "/account/password")
	})
}

// The launcher shows what a person may enter, and names nothing else.
func TestApps(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		sp := func(name string) *saml.ServiceProvider {
			return &saml.ServiceProvider{EntityID: "https://" + name, ACS: []saml.Endpoint{{URL: "https://" + name + "/acs", Binding: saml.BindingPOST}}}
		}
		client := func(name string) *oidc.Client { return &oidc.Client{ID: name, Type: "web"} }
		h.app(idp.App{Name: "Zebra", APIName: "Zebra", Order: 1, SAML: sp("zebra")}, nil)
		h.app(idp.App{Name: "Yak", APIName: "Yak", Order: 2, StartURL: "https://yak.example/", OAuth: client("yak"), Description: "Hairy"}, nil)
		h.app(idp.App{Name: "Ant", APIName: "Ant", Order: 2, StartURL: "https://ant.example/", SAML: sp("ant")}, nil)
		h.app(idp.App{Name: "Everybodys", APIName: "Everybodys", Order: 3, SAML: sp("everybody")}, &idp.Installation{PermittedUsers: idp.SelfAuthorize})
		h.app(idp.App{Name: `"><svg onload=1>`, APIName: "Evil", Order: 4, StartURL: "javascript:alert(1)", OAuth: client("evil")}, nil)
		h.app(idp.App{Name: "No address", APIName: "None", OAuth: client("none")}, nil)
		h.app(idp.App{Name: "Hidden", APIName: "Hidden", Hidden: true, SAML: sp("hidden")}, nil)
		h.app(idp.App{Name: "Bens", APIName: "Bens", SAML: sp("bens")}, &idp.Installation{PermittedUsers: idp.AdminApproved, Users: []idp.Permitted{{User: h.ben.ID}}})
		h.app(idp.App{Name: "Ended", APIName: "Ended", SAML: sp("ended")}, &idp.Installation{PermittedUsers: idp.AdminApproved, Users: []idp.Permitted{{User: h.ana.ID, Until: h.now}}})
		h.app(idp.App{Name: "Closed", APIName: "Closed", SAML: sp("closed")}, &idp.Installation{})
		blocked := h.app(idp.App{Name: "Blocked", APIName: "Blocked", SAML: sp("blocked")}, nil)
		must(t, h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.SetBlocked(h.org.ID, blocked.ID, true) }))

		body := h.browser("ana").get("/apps").Body.String()
		var tiles []string
		for _, m := range regexp.MustCompile(`<a class="app" href="([^"]*)"`).FindAllStringSubmatch(body, -1) {
			tiles = append(tiles, m[1])
		}
		if got := strings.Join(tiles, " "); got != "/saml/launch/Zebra https://ant.example/ https://yak.example/ /saml/launch/Everybodys" {
			t.Errorf("tiles %s", got)
		}
		for _, not := range []string{"No address", "Hidden", "Bens", "Ended", "Closed", "Blocked", "<svg onload", "javascript:"} {
			if strings.Contains(body, not) {
				t.Errorf("%q is on the page", not)
			}
		}
		if body := h.browser("ben").get("/apps").Body.String(); !strings.Contains(body, "Bens") || strings.Contains(body, "Zebra") {
			t.Error("ADM-13: Ben's page")
		}
	})
}

func TestAccount(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		must(t, h.st.Write(t.Context(), func(tx *store.Tx) error {
			return tx.AddNamed(&idp.Named{Org: h.org.ID, Kind: idp.KindScope, Name: "orders", Label: "Read your orders"})
		}))
		a := h.app(idp.App{Name: "Wellness Tracker", APIName: "Wellness", OAuth: &oidc.Client{ID: "wellness", Type: "web"}}, nil)
		mine, bens := h.grant(a, h.ana, "openid", "orders"), h.grant(a, h.ben, "openid")
		old := h.browser("ana")
		h.now = h.now.Add(8*time.Hour + time.Second) // idle: over
		b, other, ben := h.browser("ana"), h.browser("ana"), h.browser("ben")
		w := b.get("/account")
		body := w.Body.String()
		for _, want := range []string{"ana@example.com", "Wellness Tracker", "Know who you are", "Read your orders", "This browser", "192.0.2.1", mine} {
			if !strings.Contains(body, want) {
				t.Errorf("the page does not say %q", want)
			}
		}
		if strings.Contains(body, bens) || w.Header().Get("Cache-Control") != "no-store" {
			t.Error("Ben's grant is on Ana's page, or the page is kept")
		}
		ids := regexp.MustCompile(`action="/account/sessions"><button class="second" name="id" value="([^"]*)"`).FindAllStringSubmatch(body, -1)
		if len(ids) != 2 {
			t.Fatalf("%d sessions are shown; those that are idle have ended", len(ids))
		}
		// Only known words come back.
		if body := b.get("/account?done=%3Csvg%20onload%3D1%3E").Body.String(); strings.Contains(body, "svg onload") || strings.Contains(body, `role="status"`) {
			t.Error("WEB-05: the notice is anybody's")
		}
		if body := b.get("/account?done=grants").Body.String(); !strings.Contains(body, "can no longer act for you") {
			t.Error("no notice")
		}

		// One's own sessions and grants only.
		for _, id := range []string{ids[0][1], ids[1][1]} {
			leads(t, "Ben ends Ana's", ben.post("/account/sessions", "id", id), "/account?done=sessions")
		}
		leads(t, "Ben revokes Ana's", ben.post("/account/grants", "id", mine), "/account?done=grants")
		if body := b.get("/account").Body.String(); !other.in() || !strings.Contains(body, mine) {
			t.Error("Ben ended what is Ana's")
		}
		leads(t, "nothing named", b.post("/account/sessions"), "/account?done=sessions")
		if !other.in() || !b.in() {
			t.Error("naming nothing ended something")
		}
		// OA-CO-04
		must(t, h.st.SignIn().PutConsent(t.Context(), h.org.ID, h.ana.ID, a.ID, []string{"openid"}, h.now))
		leads(t, "revoke", b.post("/account/grants", "id", mine), "/account?done=grants&app="+a.ID)
		if body := b.get("/account").Body.String(); strings.Contains(body, mine) {
			t.Error("the grant lives")
		}
		if _, _, err := h.st.SignIn().Consent(t.Context(), h.org.ID, h.ana.ID, a.ID); err != store.ErrNotFound {
			t.Errorf("the app need not ask again: %v", err)
		}
		leads(t, "revoke again", b.post("/account/grants", "id", mine), "/account?done=grants")
		// MOB-3: one of several is taken back by itself; the page says what is left, and offers to take all of it back.
		x, y, z := h.grant(a, h.ana, "openid"), h.grant(a, h.ana, "openid"), h.grant(a, h.ana, "openid")
		elsewhere := h.grant(h.app(idp.App{Name: "Orders", APIName: "Orders", OAuth: &oidc.Client{ID: "orders", Type: "web"}}, nil), h.ana, "openid")
		for _, step := range []struct{ id, notice string }{{x, "Wellness Tracker has 2 others"}, {y, "Wellness Tracker has 1 other."}, {z, "can no longer act for you"}} {
			body := b.get(b.post("/account/grants", "id", step.id).Header().Get("Location")).Body.String()
			if !strings.Contains(body, step.notice) || strings.Contains(body, step.id) || !strings.Contains(body, elsewhere) {
				t.Errorf("the page does not say %q, or %s is on it", step.notice, step.id)
			}
			if rest := strings.Contains(body, `name="app" value="`+a.ID+`">Revoke all of Wellness Tracker<`); rest != (step.id != z) {
				t.Errorf("%q: all of the app is offered: %t", step.notice, rest)
			}
		}
		must(t, h.st.Apps().RevokeGrants(t.Context(), h.org.ID, "", h.ana.ID))
		// OA-CO-04, ASVS 10.4.9: what was agreed to is seen and taken back also while no grant lives.
		consents := func(name string) (apps []string) {
			for _, m := range regexp.MustCompile(`action="/account/grants"><button class="second" name="`+name+`" value="([^"]*)"`).FindAllStringSubmatch(b.get("/account").Body.String(), -1) {
				apps = append(apps, m[1])
			}
			return apps
		}
		for _, u := range []*idp.User{h.ana, h.ben} {
			must(t, h.st.SignIn().PutConsent(t.Context(), h.org.ID, u.ID, a.ID, []string{"openid", "orders"}, h.now))
		}
		body = b.get("/account").Body.String()
		if got := consents("app"); len(got) != 1 || got[0] != a.ID || !strings.Contains(body, "Read your orders") || !strings.Contains(body, "without asking") {
			t.Errorf("a consent without a grant is shown as %q", got)
		}
		h.grant(a, h.ana, "openid")
		if by, of := consents("app"), consents("id"); len(by) != 0 || len(of) != 1 {
			t.Errorf("an app with a grant and a consent is shown as %q and %q", by, of)
		}
		leads(t, "no such app", b.post("/account/grants", "app", h.st.NewID()), "/account?done=grants")
		leads(t, "all of the app", b.post("/account/grants", "app", a.ID), "/account?done=grants")
		if got := append(consents("app"), consents("id")...); len(got) != 0 {
			t.Errorf("%q is left", got)
		}
		if _, _, err := h.st.SignIn().Consent(t.Context(), h.org.ID, h.ana.ID, a.ID); err != store.ErrNotFound {
			t.Errorf("the app need not ask again: %v", err)
		}
		if _, _, err := h.st.SignIn().Consent(t.Context(), h.org.ID, h.ben.ID, a.ID); err != nil {
			t.Errorf("Ben's consent: %v", err)
		}
		if body := ben.get("/account").Body.String(); !strings.Contains(body, bens) {
			t.Error("Ben's grant is gone")
		}

		// One other session, all others, and this one.
		leads(t, "one other", b.post("/account/sessions", "id", ids[0][1]), "/account?done=sessions")
		third := h.browser("ana")
		if other.in() || !b.in() || !third.in() {
			t.Errorf("ended %s: %t %t %t", ids[0][1], other.in(), b.in(), third.in())
		}
		leads(t, "all others", b.post("/account/sessions", "others", "1"), "/account?done=sessions")
		if third.in() || old.in() || !b.in() || !ben.in() {
			t.Error("all others of Ana's, and nobody else's")
		}
		leads(t, "this one", b.post("/account/sessions", "id", ids[1][1]), "/signout")
		if b.in() {
			t.Error("still signed in")
		}
	})
}

func TestChangePassword(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b, other := h.browser("ana"), h.browser("ana")
		if body := b.get("/account/password").Body.String(); !strings.Contains(body, `autocomplete="new-password"`) {
			t.Errorf("the form:\n%s", body)
		}
		try := func(current, next, repeat string) *httptest.ResponseRecorder {
			return b.post("/account/password", "current", current, "password", next, "repeat", repeat)
		}
		for _, c := range []struct{ current, next, repeat, says string }{
			{password, "a longer new one", "a longer new on", "The two passwords are not the same."},
			{password, "short", "short", "too short"},
			{password, "password1", "password1", "easy to guess"},
			{password, password, password, "the same as the current one"},
			{"wrong wrong", "a longer new one", "a longer new one", "The current password is not right."},
		} {
			w := try(c.current, c.next, c.repeat)
			if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), c.says) || strings.Contains(w.Body.String(), `value="`+c.next) {
				t.Errorf("%s: %d", c.says, w.Code)
			}
		}
		if !other.in() {
			t.Error("a refused change ended a session")
		}
		leads(t, "changing", try(password, "a longer new one", "a longer new one"), "/account?done=password")
		if other.in() || !b.in() {
			t.Error("AUTH-06: the other session lives, or this one has ended")
		}
		for range 5 {
			try("guess guess", "yet another new one", "yet another new one")
		}
		if w := try("a longer new one", "yet another new one", "yet another new one"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
			t.Errorf("guessing: %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
		for _, path := range []string{"/account/password", "/account/sessions", "/account/grants"} {
			if w := b.post(path, "id", strings.Repeat("x", 65<<10)); w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "REFERENC") {
				t.Errorf("%s: 65 kB: %d", path, w.Code)
			}
			if w := b.do("POST", path, "id=%zz"); w.Code != http.StatusBadRequest {
				t.Errorf("%s: a broken escape: %d", path, w.Code)
			}
		}
	})
}
