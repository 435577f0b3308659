package oidc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
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
	"github.com/lanyard-sso/lanyard/oidc"
)

// house is a small house around the protocol: a real store, people, apps and a door (see door_test.go) at which anybody
// can say who they are.
type house struct {
	t       testing.TB
	st      *store.Store
	org     *idp.Org
	clock   *clock
	door    *door
	scopes  []oidc.Scope
	url     string
	http    *http.Client
	people  map[string]*idp.User
	keyless atomic.Bool                                                       // the keys are not to hand
	fetch   func(ctx context.Context, url string, most int64) ([]byte, error) // what clients' addresses give; nil: nothing
}

// clock is the time, moved by tests.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time            { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration)   { c.ahead.Add(int64(d)) }
func (c *clock) with(config *store.Config) { config.Now, config.Sealer = c.Now, sealer() }
func each(t *testing.T, f func(*testing.T, *house)) {
	t.Helper()
	for _, kind := range []string{storetest.SQLite, storetest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := &clock{}
			f(t, build(t, storetest.New(t, kind, c.with), c))
		})
	}
}

// on runs f on SQLite alone, where what is tested does not touch the database.
func on(t testing.TB) *house {
	t.Helper()
	c := &clock{}
	return build(t, storetest.New(t, storetest.SQLite, c.with), c)
}

var sealer = sync.OnceValue(func() *keys.Sealer {
	s, err := keys.NewSealer(make([]byte, 32))
	if err != nil {
		panic(err)
	}
	return s
})

// rings are made once: the keys of one org, and of another.
var rings = sync.OnceValue(func() (all [2]*keys.Ring) {
	for i := range all {
		r, err := sealer().Make(fmt.Sprintf("org%d", i), keys.OIDC, keys.Active, "", time.Now())
		if err != nil {
			panic(err)
		}
		if all[i], err = keys.NewRing(sealer(), []keys.Record{r}); err != nil {
			panic(err)
		}
	}
	return all
})

// build makes the org, its people and a server.
func build(t testing.TB, st *store.Store, c *clock) *house {
	t.Helper()
	h := &house{
		t: t, st: st, clock: c, http: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		scopes: []oidc.Scope{{Name: "orders", Label: "Read your orders", Audience: "https://orders.example"}, {Name: "stock", Audience: "https://stock.example"}},
		people: map[string]*idp.User{},
	}
	h.org = &idp.Org{Name: "default", URL: "http://127.0.0.1"}
	h.must(st.Orgs().AddOrg(t.Context(), h.org))
	for _, name := range []string{"ana", "ben", "svc"} {
		u := &idp.User{Org: h.org.ID, Username: name, Email: name + "@example.com", EmailVerified: true, GivenName: strings.ToUpper(name[:1]) + name[1:],
			FamilyName: "Lima", Active: true, Service: name == "svc"}
		h.must(st.Write(t.Context(), func(tx *store.Tx) error { return tx.AddUser(u) }))
		h.people[name] = u
	}
	h.door = newDoor(h)
	h.url = h.serve(st)
	return h
}

// serve starts a node on st and returns its address.
func (h *house) serve(st *store.Store) string {
	handler := h.handler(st)
	router := mux.NewRouter().SkipClean(true).UseEncodedPath()
	handler.Mount(router)
	router.PathPrefix("/test/").HandlerFunc(h.door.serve)
	var n atomic.Uint32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i := n.Add(1)
		caller := &idp.Caller{Reference: strings.ToUpper(rand.Text()[:8]), IP: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}
		w.Header().Set("X-Reference", caller.Reference)
		router.ServeHTTP(w, r.WithContext(idp.WithOrg(idp.WithCaller(r.Context(), caller), h.org)))
	}))
	h.t.Cleanup(server.Close)
	if h.url == "" {
		h.url = server.URL
	}
	return server.URL
}

func (h *house) handler(st *store.Store) *oidc.Handler {
	return &oidc.Handler{
		Site: func(context.Context) *oidc.Site {
			site := &oidc.Site{Org: h.org.ID, Base: h.url, Issuer: h.url, Keys: rings()[0], Scopes: h.scopes, ACR: []string{idp.ACRPassword}}
			if h.keyless.Load() {
				site.Keys = nil
			}
			return site
		},
		Store: st.OIDC(), Users: h.door, Now: h.clock.Now, NewID: newID, Log: slog.New(slog.DiscardHandler),
		Fetch: func(ctx context.Context, url string, most int64) ([]byte, error) { return h.fetch(ctx, url, most) },
	}
}

func newID() string { return strings.ToLower(rand.Text() + rand.Text()[:6]) }

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

const redirectURI = "https://app.example/cb"

// client registers an app as an admin would; alter changes it before.
func (h *house) client(name string, alter func(*oidc.Client, *idp.Installation)) *oidc.Client {
	h.t.Helper()
	c := &oidc.Client{
		ID: name, Type: "web", RedirectURIs: []string{redirectURI},
		Scopes: []string{"openid", "profile", "email", "refresh_token", "orders", "api"}, AuthorizationCode: true, Refresh: true, ClientCredentials: true,
		RequirePKCE: "auto", SecretForCode: true, SecretForRefresh: true, Introspect: "own", RotateRefreshTokens: "auto",
	}
	app := &idp.App{Org: h.org.ID, ID: h.st.NewID(), Name: name, APIName: name, StartURL: "https://app.example/", OAuth: c}
	i := &idp.Installation{Org: h.org.ID, App: app.ID, PermittedUsers: idp.SelfAuthorize, RunAs: h.people["svc"].ID}
	if alter != nil {
		alter(c, i)
	}
	var sealed []byte
	if !c.Public {
		sealed = h.st.Apps().SealSecret(h.org.ID, app.ID, []byte(secretOf(name)))
	}
	h.must(h.st.Write(h.t.Context(), func(tx *store.Tx) error {
		if err := tx.AddApp(app, sealed, nil); err != nil {
			return err
		}
		return tx.PutInstallation(i)
	}))
	c.App = app.ID
	return c
}

func secretOf(client string) string { return "secret of " + client + " +%&" }

func (h *house) block(app string, blocked bool) {
	h.t.Helper()
	h.must(h.st.Write(h.t.Context(), func(tx *store.Tx) error { return tx.SetBlocked(h.org.ID, app, blocked) }))
}

// change changes an app's client, as an admin does.
func (h *house) change(app string, f func(*oidc.Client)) {
	h.t.Helper()
	h.must(h.st.Write(h.t.Context(), func(tx *store.Tx) error {
		c, err := tx.App(h.org.ID, app)
		if err != nil {
			return err
		}
		f(c.App.OAuth)
		return tx.PutApp(&c.App)
	}))
}

// answer is what a request got.
type answer struct {
	Status int
	Header http.Header
	Text   string
	JSON   map[string]any
}

func (a *answer) text(name string) string {
	s, _ := a.JSON[name].(string)
	return s
}

func (h *house) send(client *http.Client, r *http.Request) *answer {
	h.t.Helper()
	res, err := client.Do(r)
	h.must(err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	h.must(err)
	a := &answer{Status: res.StatusCode, Header: res.Header, Text: string(b)}
	if len(b) > 0 && strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		h.must(json.Unmarshal(b, &a.JSON))
	}
	return a
}

// request makes a request to an address of the house; a body of url.Values is a form, any other is JSON.
func (h *house) request(method, path, authorization string, body any) *http.Request {
	h.t.Helper()
	var text []byte
	kind := ""
	switch b := body.(type) {
	case nil:
	case url.Values:
		text, kind = []byte(b.Encode()), "application/x-www-form-urlencoded"
	case string:
		text, kind = []byte(b), "application/json"
	default:
		var err error
		text, err = json.Marshal(b)
		h.must(err)
		kind = "application/json"
	}
	if !strings.HasPrefix(path, "http") {
		path = h.url + path
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, path, bytes.NewReader(text))
	h.must(err)
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return r
}

func (h *house) do(method, path, authorization string, body any) *answer {
	h.t.Helper()
	return h.send(h.http, h.request(method, path, authorization, body))
}

// post sends a form as the client, by Basic.
func (h *house) post(path, client string, pairs ...string) *answer {
	h.t.Helper()
	return h.do("POST", path, basic(client, secretOf(client)), values(pairs...))
}

func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

// fails holds a JSON refusal to what it must be.
func (h *house) fails(a *answer, status int, code string) {
	h.t.Helper()
	if a.Status != status || a.text("error") != code {
		h.t.Errorf("got %d %s, want %d %s", a.Status, a.Text, status, code)
	}
	if status == http.StatusUnauthorized && a.Header.Get("WWW-Authenticate") == "" { // RFC 9110 §15.5.2
		h.t.Errorf("401 without WWW-Authenticate: %s", a.Text)
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		h.t.Errorf("Cache-Control: %q", a.Header.Get("Cache-Control"))
	}
}

// event waits for the event that the answer's reference leads to.
func (h *house) event(a *answer) idp.Event {
	h.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		all, err := h.st.Events().List(h.t.Context(), h.org.ID, store.EventFilter{Reference: a.Header.Get("X-Reference")})
		h.must(err)
		for _, e := range all {
			if e.Outcome == idp.Refused {
				return e
			}
		}
	}
	h.t.Errorf("no event for the refusal %s", a.Text)
	return idp.Event{}
}

// codes lists the codes of the events there are, oldest first.
func (h *house) codes() (all []string) {
	h.t.Helper()
	list, err := h.st.Events().List(h.t.Context(), h.org.ID, store.EventFilter{Limit: 10000})
	h.must(err)
	for _, e := range slices.Backward(list) {
		all = append(all, e.Code)
	}
	return all
}

// browser is one of a person, who follows no redirect by itself.
type browser struct {
	h *house
	*http.Client
}

func (h *house) browser(who string) *browser {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	h.must(err)
	b := &browser{h, &http.Client{Jar: jar, CheckRedirect: h.http.CheckRedirect}}
	if who != "" {
		b.signIn(who)
	}
	return b
}

// get opens a path of the house, or what a Location said.
func (b *browser) get(path string) *answer {
	b.h.t.Helper()
	return b.h.send(b.Client, b.h.request("GET", path, "", nil))
}

func (b *browser) signIn(who string) {
	b.h.t.Helper()
	b.get("/test/signin?who=" + who)
}

// ask sends an authorization request of a client, with parameters changed: "name", "value"; a value of "-" leaves it out.
func (b *browser) ask(client string, pairs ...string) *answer {
	b.h.t.Helper()
	return b.get("/oauth2/authorize?" + asking(client, pairs...).Encode())
}

func asking(client string, pairs ...string) url.Values {
	v := values("client_id", client, "redirect_uri", redirectURI, "response_type", "code", "scope", "openid", "state", "s t=1")
	for i := 0; i < len(pairs); i += 2 {
		if v.Set(pairs[i], pairs[i+1]); pairs[i+1] == "-" {
			v.Del(pairs[i])
		}
	}
	return v
}

// back holds an answer to being a redirect to the client and returns its parameters.
func (h *house) back(a *answer) url.Values {
	h.t.Helper()
	to, err := url.Parse(a.Header.Get("Location"))
	h.must(err)
	if a.Status != http.StatusSeeOther || !strings.HasPrefix(a.Header.Get("Location"), "https://app.example/") && to.Scheme != "com.example.app" && to.Hostname() != "127.0.0.1" || strings.HasPrefix(to.Path, "/test/") {
		h.t.Fatalf("not sent back to the client: %d %s %s", a.Status, a.Header.Get("Location"), a.Text)
	}
	v := to.Query()
	if v.Get("iss") != h.url { // OA-AZ-03
		h.t.Errorf("iss is %q, not %q", v.Get("iss"), h.url)
	}
	return v
}

// code gets a code.
func (b *browser) code(client string, pairs ...string) string {
	b.h.t.Helper()
	v := b.h.back(b.ask(client, pairs...))
	if v.Get("code") == "" {
		b.h.t.Fatalf("no code: %v", v)
	}
	return v.Get("code")
}

// redeem turns a code into tokens as the client.
func (h *house) redeem(client, code string, pairs ...string) *answer {
	h.t.Helper()
	return h.post("/oauth2/token", client, append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", redirectURI}, pairs...)...)
}

func (h *house) ok(a *answer) *answer {
	h.t.Helper()
	if a.Status != http.StatusOK {
		h.t.Fatalf("got %d %s", a.Status, a.Text)
	}
	return a
}

// active asks the introspection endpoint, as the client.
func (h *house) active(client, token string) bool {
	h.t.Helper()
	a := h.ok(h.post("/oauth2/introspect", client, "token", token))
	if a.JSON["active"] == false && a.Text != `{"active":false}` {
		h.t.Errorf("OA-IN-02: of a dead token is told: %s", a.Text)
	}
	return a.JSON["active"] == true
}

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

var errTest = errors.New("the test says so")

func decode(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
