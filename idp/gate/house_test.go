package gate_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/gate"
	"github.com/lanyard-sso/lanyard/idp/people"
	"github.com/lanyard-sso/lanyard/idp/signin"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
	"github.com/lanyard-sso/lanyard/templates"
)

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const password = "correct horse battery"

// house is the gate over a fresh database. Ana may use both apps.
type house struct {
	*clock
	t    *testing.T
	st   *store.Store
	org  *idp.Org
	ana  *idp.User
	apps []*idp.App // each speaks both protocols
	saml gate.SAML
	oidc gate.OIDC
	http http.Handler
}

func each(t *testing.T, f func(t *testing.T, h *house)) {
	t.Helper()
	c := &clock{}
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		c.now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
		f(t, newHouse(t, st, c))
	}, func(config *store.Config) { config.Now = c.Now })
}

func newHouse(t *testing.T, st *store.Store, c *clock) *house {
	t.Helper()
	h := &house{clock: c, t: t, st: st, org: &idp.Org{Name: store.DefaultOrg, URL: "https://id.example.com"}}
	must(t, st.Orgs().AddOrg(t.Context(), h.org))
	p := people.New(st)
	h.ana = &idp.User{Org: h.org.ID, Username: "ana", Email: "ana@example.com", EmailVerified: true, GivenName: "Ana", Active: true}
	must(t, p.Create(t.Context(), h.ana, password))
	for _, name := range []string{"One", "Two"} {
		h.apps = append(h.apps, &idp.App{
			Org: h.org.ID, ID: st.NewID(), Name: name, APIName: name,
			SAML: &saml.ServiceProvider{
				EntityID: "https://" + strings.ToLower(name) + ".example/saml",
				ACS:      []saml.Endpoint{{URL: "https://" + strings.ToLower(name) + ".example/acs", Binding: saml.BindingPOST}},
			},
			OAuth: &oidc.Client{
				ID: strings.ToLower(name), Type: "web", RedirectURIs: []string{"https://" + strings.ToLower(name) + ".example/cb"},
				Scopes: []string{"openid", "email", "profile"}, AuthorizationCode: true, ClientCredentials: true,
			},
		})
	}
	must(t, st.Write(t.Context(), func(tx *store.Tx) error {
		for _, a := range h.apps {
			if err := tx.AddApp(a, nil, nil); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, a := range h.apps {
		h.install(a, idp.Installation{PermittedUsers: idp.AdminApproved, Users: []idp.Permitted{{User: h.ana.ID}}})
	}
	in := &signin.Handler{Store: st, People: p, Sealer: storetest.Sealer(t), Now: c.Now, Log: slog.New(slog.DiscardHandler)}
	g := gate.Gate{Store: st, SignIn: in, Now: c.Now, Log: slog.New(slog.DiscardHandler)}
	h.saml, h.oidc = gate.SAML{Gate: g}, gate.OIDC{Gate: g}
	router := mux.NewRouter()
	in.Mount(router)
	h.http = router
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) write(f func(tx *store.Tx) error) {
	h.t.Helper()
	must(h.t, h.st.Write(h.t.Context(), f))
}

func (h *house) install(a *idp.App, i idp.Installation) {
	h.t.Helper()
	i.Org, i.App = h.org.ID, a.ID
	h.write(func(tx *store.Tx) error { return tx.PutInstallation(&i) })
}

// block blocks app i, or lifts its block if there is one.
func (h *house) block(i int, blocked bool) {
	h.t.Helper()
	h.write(func(tx *store.Tx) error {
		if err := tx.SetBlocked(h.org.ID, h.apps[i].ID, blocked); !errors.Is(err, store.ErrGone) {
			return err
		}
		return nil
	})
}

// sp and client are app i as the protocols know it.
func (h *house) sp(i int) *saml.ServiceProvider {
	h.t.Helper()
	sp, err := h.st.SAML().ServiceProvider(h.t.Context(), h.org.ID, h.apps[i].ID)
	must(h.t, err)
	return sp
}

func (h *house) client(i int) *oidc.Client {
	h.t.Helper()
	c, err := h.st.OIDC().ClientOfApp(h.t.Context(), h.org.ID, h.apps[i].ID)
	must(h.t, err)
	return c
}

// browser keeps cookies.
type browser struct {
	h       *house
	cookies map[string]string
}

func (h *house) browser() *browser { return &browser{h: h, cookies: map[string]string{}} }

func (b *browser) request(method, target string, form url.Values) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	caller := &idp.Caller{Reference: "REFERENC", IP: netip.MustParseAddr("192.0.2.1")}
	return r.WithContext(idp.WithOrg(idp.WithCaller(r.Context(), caller), b.h.org))
}

// here is a request of this browser.
func (b *browser) here() *http.Request { return b.request("GET", "/", nil) }

func (b *browser) do(method, target string, form url.Values) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	templates.SecurityHeaders(w.Header())
	b.h.http.ServeHTTP(w, b.request(method, target, form))
	for _, c := range w.Result().Cookies() {
		b.cookies[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return w
}

func (b *browser) signIn(username string) {
	b.h.t.Helper()
	if w := b.do("POST", "/signin", url.Values{"username": {username}, "password": {password}}); w.Code != http.StatusSeeOther {
		b.h.t.Fatalf("%s can not sign in: %d", username, w.Code)
	}
}

func (b *browser) signOut() { b.do("POST", "/signout", url.Values{"decision": {"allow"}}) }
