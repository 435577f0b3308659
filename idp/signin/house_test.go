package signin_test

import (
	"context"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/people"
	"github.com/lanyard-sso/lanyard/idp/signin"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/templates"
)

// clock is moved by hand, so that hours pass at once and nothing passes by itself.
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

const (
	anaPassword = "correct horse battery"
	benPassword = "another long password"
)

// house is the sign-in room over a fresh database, with two people and an app that asks for consent.
type house struct {
	*clock
	t        testing.TB
	st       *store.Store
	org      *idp.Org
	room     *signin.Handler
	router   *mux.Router
	ana, ben *idp.User
	app      *idp.App
}

func each(t *testing.T, f func(t *testing.T, h *house)) {
	t.Helper()
	c := &clock{}
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		c.now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
		f(t, newHouse(t, st, c, "https://id.example.com"))
	}, func(config *store.Config) { config.Now = c.Now })
}

func newHouse(t testing.TB, st *store.Store, c *clock, address string) *house {
	t.Helper()
	h := &house{clock: c, t: t, st: st, org: &idp.Org{Name: store.DefaultOrg, URL: address}}
	must(t, st.Orgs().AddOrg(t.Context(), h.org))
	h.room = &signin.Handler{Store: st, People: people.New(st), Sealer: storetest.Sealer(t), Now: c.Now, Log: slog.New(slog.DiscardHandler)}
	h.router = newRouter(h.room)
	h.ana = h.person("ana", anaPassword)
	h.ben = h.person("ben", benPassword)
	h.app = &idp.App{
		Org: h.org.ID, ID: st.NewID(), Name: "Wellness Tracker", APIName: "Wellness_Tracker", StartURL: "https://wellness.example/", ContactEmail: "it@wellness.example",
		OAuth: &oidc.Client{ID: "wellness", Type: "web", RedirectURIs: []string{"https://wellness.example/cb"}, Scopes: []string{"openid", "email", "orders"}},
	}
	must(t, st.Write(t.Context(), func(tx *store.Tx) error {
		if err := tx.AddNamed(&idp.Named{Org: h.org.ID, Kind: idp.KindScope, Name: "orders", Label: "Read your orders"}); err != nil {
			return err
		}
		return tx.AddApp(h.app, nil, nil)
	}))
	return h
}

func (h *house) person(name, password string) *idp.User {
	h.t.Helper()
	u := &idp.User{Org: h.org.ID, Username: name, Email: name + "@example.com", GivenName: strings.ToUpper(name[:1]) + name[1:], Active: true}
	must(h.t, h.room.People.Create(h.t.Context(), u, password))
	return u
}

func newRouter(room *signin.Handler) *mux.Router {
	r := mux.NewRouter()
	room.Mount(r)
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve is what idp/server does before a room: the caller and the org.
func (h *house) serve(w http.ResponseWriter, r *http.Request) {
	r = r.WithContext(h.context(r))
	templates.SecurityHeaders(w.Header())
	h.router.ServeHTTP(w, r)
}

func (h *house) context(r *http.Request) context.Context {
	ip, _ := netip.ParseAddrPort(r.RemoteAddr)
	return idp.WithOrg(idp.WithCaller(r.Context(), &idp.Caller{Reference: "REFERENC", IP: ip.Addr(), Agent: r.UserAgent()}), h.org)
}

// browser keeps cookies and follows nothing.
type browser struct {
	h       *house
	ip      string
	cookies []*http.Cookie
}

func (h *house) browser() *browser { return &browser{h: h, ip: "192.0.2.1:1234"} }

func (b *browser) request(method, target string, form url.Values) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if method == "POST" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.RemoteAddr = b.ip
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	return r
}

func (b *browser) do(method, target string, form url.Values) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.h.serve(w, b.request(method, target, form))
	b.keep(w)
	return w
}

func (b *browser) keep(w *httptest.ResponseRecorder) {
	for _, c := range w.Result().Cookies() {
		kept := b.cookies[:0:0]
		for _, old := range b.cookies {
			if old.Name != c.Name {
				kept = append(kept, old)
			}
		}
		if c.MaxAge >= 0 {
			kept = append(kept, c)
		}
		b.cookies = kept
	}
}

func (b *browser) get(target string) *httptest.ResponseRecorder { return b.do("GET", target, nil) }

func (b *browser) post(target string, form ...string) *httptest.ResponseRecorder {
	v := url.Values{}
	for i := 0; i < len(form); i += 2 {
		v.Set(form[i], form[i+1])
	}
	return b.do("POST", target, v)
}

// cookie is the cookie whose name ends so.
func (b *browser) cookie(name string) *http.Cookie {
	for _, c := range b.cookies {
		if strings.HasSuffix(c.Name, name) {
			return c
		}
	}
	return nil
}

// session is the session's cookie, or nil.
func (b *browser) session() *http.Cookie { return b.cookie("lanyard-" + b.h.org.ID) }

// who is signed in at the browser, or nil.
func (b *browser) who() *signin.Signed {
	b.h.t.Helper()
	r := b.request("GET", "/", nil)
	s, err := b.h.room.Current(r.WithContext(b.h.context(r)))
	must(b.h.t, err)
	return s
}

// signIn signs in and fails the test if that does not lead to to.
func (b *browser) signIn(target, username, password, to string) *httptest.ResponseRecorder {
	b.h.t.Helper()
	w := b.post(target, "username", username, "password", password)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != to {
		b.h.t.Fatalf("%s at %s: %d to %q, want %q\n%s", username, target, w.Code, w.Header().Get("Location"), to, w.Body)
	}
	return w
}

// ask is the address to which a browser is sent with a.
func (h *house) ask(send func(http.ResponseWriter, *http.Request, signin.Ask), a signin.Ask) string {
	r := httptest.NewRequest("GET", "/", nil)
	w := httptest.NewRecorder()
	send(w, r.WithContext(h.context(r)), a)
	return w.Header().Get("Location")
}

var formAction = regexp.MustCompile(`<form[^>]*action="([^"]*)"`)

// action is where the form of a page leads.
func action(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	m := formAction.FindStringSubmatch(w.Body.String())
	if m == nil {
		t.Fatalf("no form (%d):\n%s", w.Code, w.Body)
	}
	return html.UnescapeString(m[1])
}

// event waits for the newest event of that code; refusals are written a moment later.
func (h *house) event(code string) idp.Event {
	h.t.Helper()
	for range 200 {
		all, err := h.st.Events().List(context.Background(), h.org.ID, store.EventFilter{Code: code})
		must(h.t, err)
		if len(all) > 0 {
			return all[0]
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.t.Fatalf("no event %s", code)
	return idp.Event{}
}
