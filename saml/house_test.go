package saml_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/keys"
	"github.com/lanyard-sso/lanyard/saml"
)

const (
	base     = "https://idp.example"
	entityID = base + "/saml/metadata"
)

// clock is the time of a world.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.UnixMicro(c.at.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.at.Add(d.Microseconds()) }

// world is the protocol over a real store, with a small house around it.
type world struct {
	st      *store.Store
	org     string
	clock   *clock
	handler *saml.Handler
	router  http.Handler
	ring    *keys.Ring
	site    saml.Site

	apps map[string]string // ids by API name
	ip   atomic.Uint32

	mu     sync.Mutex
	people map[string]*person // by session cookie
}

// person is somebody signed in at a browser.
type person struct {
	id, email string
	authTime  time.Time
	classes   []string        // strongest first
	denied    map[string]bool // API names of apps they may not use
	deniedAs  string          // the code of it; empty: NoAccess
	attrs     []saml.Attribute
	nameID    *saml.NameID // instead of what the format implies
	unknown   *saml.Error  // of what can not be told of them
}

var passwordClasses = []string{saml.ClassPasswordProtected, saml.ClassPassword, saml.ClassUnspecified}

// sealer and record are made once: an RSA key takes its time.
var sealer = sync.OnceValue(func() *keys.Sealer { return must(keys.NewSealer(make([]byte, 32))) })

const testOrg = "testorg1"

var records = sync.OnceValue(func() []keys.Record {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	return []keys.Record{
		must(sealer().Make(testOrg, keys.SAML, keys.Active, "Lanyard test", now)),
		must(sealer().Make(testOrg, keys.SAML, keys.Next, "Lanyard test", now)),
	}
})

// each runs f in a fresh world on each kind of database.
func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	for _, kind := range []string{storetest.SQLite, storetest.Postgres} {
		t.Run(kind, func(t *testing.T) { f(t, newWorld(t, kind)) })
	}
}

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func newWorld(t testing.TB, kind string) *world {
	t.Helper()
	c := newClock()
	st := storetest.New(t, kind, func(cfg *store.Config) { cfg.Now, cfg.Sealer = c.now, sealer() })
	w := worldOn(t, st, c)
	prepare(t, w)
	return w
}

// prepare makes the org and its apps.
func prepare(t testing.TB, w *world) {
	t.Helper()
	org := idp.Org{ID: testOrg, Name: "default", URL: base}
	if err := w.st.Orgs().AddOrg(t.Context(), &org); err != nil {
		t.Fatal(err)
	}
	for _, sp := range serviceProviders() {
		w.add(t, sp)
	}
}

// worldOn is a node: a handler over a store that has its apps.
func worldOn(t testing.TB, st *store.Store, c *clock) *world {
	t.Helper()
	w := &world{st: st, org: testOrg, clock: c, apps: map[string]string{}, people: map[string]*person{}, ring: must(keys.NewRing(sealer(), records()))}
	w.site = saml.Site{Org: testOrg, Base: base, EntityID: entityID, Keys: w.ring}
	w.handler = &saml.Handler{
		Site:  func(context.Context) *saml.Site { return &w.site },
		Store: st.SAML(), Users: (*house)(w), Now: c.now,
		NewID: func() string { return strings.ToLower(rand.Text()) },
		Log:   slog.New(slog.DiscardHandler),
	}
	r := mux.NewRouter().SkipClean(true).UseEncodedPath()
	w.handler.Mount(r)
	w.router = r
	return w
}

// add connects an app, or replaces it.
func (w *world) add(t testing.TB, sp saml.ServiceProvider) {
	t.Helper()
	name := sp.APIName
	err := w.st.Write(t.Context(), func(tx *store.Tx) error {
		app := idp.App{Org: w.org, ID: w.apps[name], Name: sp.Name, APIName: name, StartURL: sp.Start, SAML: &sp}
		if app.ID != "" {
			return tx.PutApp(&app)
		}
		app.ID = w.st.NewID()
		w.apps[name] = app.ID
		if err := tx.AddApp(&app, nil, nil); err != nil {
			return err
		}
		return tx.PutInstallation(&idp.Installation{Org: w.org, App: app.ID, PermittedUsers: idp.SelfAuthorize})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// change alters an app as an admin does while people are signing in.
func (w *world) change(t testing.TB, name string, f func(sp *saml.ServiceProvider)) {
	t.Helper()
	c, err := w.st.Apps().Connected(t.Context(), w.org, w.apps[name])
	if err != nil {
		t.Fatal(err)
	}
	sp := *c.App.SAML
	sp.APIName, sp.Name, sp.Start = c.App.APIName, c.App.Name, c.App.StartURL
	f(&sp)
	w.add(t, sp)
}

func (w *world) block(t testing.TB, name string, blocked bool) {
	t.Helper()
	if err := w.st.Write(t.Context(), func(tx *store.Tx) error { return tx.SetBlocked(w.org, w.apps[name], blocked) }); err != nil {
		t.Fatal(err)
	}
}

// event finds what a page's reference leads to.
func (w *world) event(t testing.TB, reference string) idp.Event {
	t.Helper()
	for range 500 {
		all, err := w.st.Events().List(t.Context(), w.org, store.EventFilter{Reference: reference})
		if err != nil {
			t.Fatal(err)
		}
		if len(all) > 0 {
			return all[0]
		}
		time.Sleep(10 * time.Millisecond) // refusals are written behind the answer
	}
	t.Fatalf("no event has the reference %q", reference)
	return idp.Event{}
}

func (w *world) events(t testing.TB, code string) []idp.Event {
	t.Helper()
	all, err := w.st.Events().List(t.Context(), w.org, store.EventFilter{Code: code, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// house answers saml.Users for a world. It proves nothing about the real one; it makes the protocol go.
type house world

func (h *house) Browser(w http.ResponseWriter, r *http.Request) []byte {
	c, err := r.Cookie("browser")
	if err != nil {
		c = &http.Cookie{Name: "browser", Value: rand.Text()}
		http.SetCookie(w, c)
	}
	sum := sha256.Sum256([]byte(c.Value))
	return sum[:]
}

func (h *house) at(r *http.Request) *person {
	c, err := r.Cookie("session")
	if err != nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.people[c.Value]
}

func (h *house) Current(r *http.Request, sp *saml.ServiceProvider, need saml.Need) (*saml.Subject, saml.Missing, error) {
	p := h.at(r)
	if p == nil || p.authTime.Before(need.Since) {
		return nil, saml.MissingSignIn, nil
	}
	if p.denied[sp.APIName] {
		return nil, "", &saml.Denied{User: p.id, Code: cmp.Or(p.deniedAs, "NoAccess"), Reason: "permitted-users: nobody said that they may"}
	}
	class, ok := saml.Satisfied(need.Classes, need.Compare, p.classes)
	if !ok {
		return nil, saml.MissingContext, nil
	}
	id, err := h.nameID(r.Context(), sp, p, need)
	if err != nil {
		return nil, "", err
	}
	attrs := p.attrs
	if attrs == nil {
		attrs = []saml.Attribute{
			{Name: "userId", NameFormat: saml.AttrUnspecified, Values: []string{p.id}},
			{Name: "email", NameFormat: saml.AttrUnspecified, Values: []string{p.email}},
		}
	}
	return &saml.Subject{
		User: p.id, Session: "session-of-" + p.id, NameID: id, AuthnInstant: p.authTime, SessionIndex: "_index-" + p.id + sp.App,
		Class: class, Attributes: attrs,
	}, "", nil
}

func (h *house) nameID(ctx context.Context, sp *saml.ServiceProvider, p *person, need saml.Need) (saml.NameID, error) {
	if p.unknown != nil {
		return saml.NameID{}, p.unknown
	}
	if p.nameID != nil {
		return *p.nameID, nil
	}
	id := saml.NameID{Format: need.Format}
	switch need.Format {
	case saml.FormatNone:
	case saml.FormatEmail:
		id.Value = p.email
	case saml.FormatUnspecified:
		id.Value = p.id
	case saml.FormatTransient:
		id.Value = "_" + rand.Text()
		id.NameQualifier, id.SPNameQualifier = entityID, sp.EntityID
	case saml.FormatPersistent:
		create := ""
		if need.Policy.Create {
			create = strings.ToLower(rand.Text() + rand.Text())
		}
		value, err := h.st.People().PersistentID(ctx, h.org, sp.EntityID, p.id, create)
		if errors.Is(err, store.ErrNotFound) {
			return id, &saml.Error{Status: saml.StatusRequester, Sub: saml.StatusInvalidNameIDPolicy, Code: "InvalidSettings", Reason: "AllowCreate is false and there is no persistent NameID yet"}
		}
		if err != nil {
			return id, err
		}
		id.Value, id.NameQualifier, id.SPNameQualifier = value, entityID, sp.EntityID
	default:
		return id, fmt.Errorf("no value for the format %s", need.Format)
	}
	return id, nil
}

func (h *house) Ask(w http.ResponseWriter, r *http.Request, _ *saml.ServiceProvider, need saml.Need, missing saml.Missing, back string) {
	q := url.Values{"back": {back}, "missing": {string(missing)}, "hint": {need.Hint}}
	http.Redirect(w, r, "/signin?"+q.Encode(), http.StatusSeeOther)
}

// browser is somebody's, at an address of its own.
type browser struct {
	w       *world
	cookies map[string]string
	ip      netip.Addr
}

func (w *world) browser() *browser {
	n := w.ip.Add(1)
	return &browser{w: w, cookies: map[string]string{}, ip: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})}
}

// at is a browser at which p is signed in since a minute.
func (w *world) at(p *person) *browser {
	b := w.browser()
	b.signIn(p)
	return b
}

// ana is a person like many.
func (w *world) ana() *person {
	return &person{id: "u-ana", email: "ana@example.com", authTime: w.clock.now().Add(-time.Minute), classes: passwordClasses}
}

// signIn is what the sign-in page does at its end.
func (b *browser) signIn(p *person) {
	value := rand.Text()
	b.w.mu.Lock()
	b.w.people[value] = p
	b.w.mu.Unlock()
	b.cookies["session"] = value
}

// do sends a request. Of a POST, which another site causes, browsers send no cookie of ours.
func (b *browser) do(r *http.Request) *answer {
	if r.Method == http.MethodGet {
		for name, value := range b.cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
	}
	caller := &idp.Caller{Reference: reference(), IP: b.ip}
	rec := httptest.NewRecorder()
	b.w.router.ServeHTTP(rec, r.WithContext(idp.WithCaller(r.Context(), caller)))
	res := rec.Result()
	for _, c := range res.Cookies() {
		b.cookies[c.Name] = c.Value
	}
	return &answer{res: res, status: res.StatusCode, location: res.Header.Get("Location"), body: rec.Body.String()}
}

func (b *browser) get(target string) *answer {
	return b.do(httptest.NewRequest(http.MethodGet, target, nil))
}

func (b *browser) post(target, form string) *answer {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

// follow goes where a redirect of ours leads, signing in as p where that is asked for.
func (b *browser) follow(t testing.TB, a *answer, p *person) *answer {
	t.Helper()
	for range 5 {
		if a.status != http.StatusSeeOther {
			return a
		}
		next := a.location
		if u := must(url.Parse(next)); u.Path == "/signin" {
			if p == nil {
				t.Fatalf("asked to sign in: %s", next)
			}
			p.authTime = b.w.clock.now()
			b.signIn(p)
			next = u.Query().Get("back")
		}
		a = b.get(next)
	}
	t.Fatalf("no end of redirects, last to %s", a.location)
	return nil
}

func reference() string { return "R" + rand.Text()[:7] }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// shared is a world on SQLite that tests may add to but must not depend on for more than what newWorld puts there.
func shared(t testing.TB) *world { return newWorld(t, storetest.SQLite) }
