package server_test

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/people"
	"github.com/lanyard-sso/lanyard/idp/server"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/keys"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
)

// house is a whole server over a fresh database, with Ana, who may use both apps, and Ben, who may use neither.
type house struct {
	t        *testing.T
	url      string
	st       *store.Store
	org      *idp.Org
	ana, ben *idp.User
	people   *people.People
	log      *lines
	handler  http.Handler
}

func newHouse(t *testing.T, st *store.Store) *house {
	t.Helper()
	ctx := context.Background()
	h := &house{t: t, st: st, log: &lines{}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.handler.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	h.url = srv.URL
	h.org = &idp.Org{Name: store.DefaultOrg, URL: srv.URL}
	must(t, st.Orgs().AddOrg(ctx, h.org))
	must(t, st.Keys().EnsureKeys(ctx, h.org))
	h.people = people.New(st)
	p := h.people
	h.ana = &idp.User{Org: h.org.ID, Username: "ana", Email: "ana@example.com", GivenName: "Ana", FamilyName: "Lima", Active: true}
	h.ben = &idp.User{Org: h.org.ID, Username: "ben", Email: "ben@example.com", Active: true}
	must(t, p.Create(ctx, h.ana, "correct horse battery"))
	must(t, p.Create(ctx, h.ben, "another long password"))
	must(t, st.Write(ctx, func(tx *store.Tx) error {
		benefits := &idp.App{Org: h.org.ID, ID: st.NewID(), Name: "Your Benefits", APIName: "Your_Benefits", SAML: &saml.ServiceProvider{
			EntityID: "https://benefits.example/meta", SignAssertion: true, SignResponse: true,
			ACS: []saml.Endpoint{{URL: "https://benefits.example/acs", Binding: saml.BindingPOST, Index: 0}},
		}}
		wellness := &idp.App{Org: h.org.ID, ID: st.NewID(), Name: "Wellness Tracker", APIName: "Wellness_Tracker", StartURL: "https://wellness.example/", OAuth: &oidc.Client{
			ID: "wellness", Type: "web", RedirectURIs: []string{"https://wellness.example/cb"}, Scopes: []string{"openid", "email"},
			AuthorizationCode: true, SecretForCode: true, SecretForRefresh: true, RequirePKCE: "auto", Introspect: "own", RotateRefreshTokens: "auto",
		}}
		for _, a := range []*idp.App{benefits, wellness} {
			var sealed []byte
			if a.OAuth != nil {
				sealed = st.Apps().SealSecret(a.Org, a.ID, []byte("a-client-secret"))
			}
			if err := tx.AddApp(a, sealed, nil); err != nil {
				return err
			}
			if err := tx.PutInstallation(&idp.Installation{Org: a.Org, App: a.ID, PermittedUsers: idp.AdminApproved, Users: []idp.Permitted{{User: h.ana.ID}}}); err != nil {
				return err
			}
		}
		return nil
	}))
	h.handler = server.New(h.config(h.log))
	return h
}

// config is what the server is made of, with its log in w.
func (h *house) config(w io.Writer, proxies ...netip.Prefix) server.Config {
	return server.Config{
		Store: h.st, Sealer: storetest.Sealer(h.t), People: h.people, Now: time.Now, Log: slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})), TrustedProxies: proxies,
	}
}

// lines is a log that can be read while requests end.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// browser walks pages as a person does: it keeps cookies, follows redirects to this house and stops at those that leave it.
type browser struct {
	t    *testing.T
	home string
	*http.Client
}

func (h *house) browser() *browser {
	jar, _ := cookiejar.New(nil)
	return &browser{h.t, h.url, &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), h.url) {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

type page struct {
	status int
	url    *url.URL
	header http.Header
	body   string
}

func (b *browser) do(r *http.Request) page {
	b.t.Helper()
	res, err := b.Do(r)
	must(b.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(b.t, err)
	return page{res.StatusCode, res.Request.URL, res.Header, string(body)}
}

func (b *browser) get(path string) page {
	b.t.Helper()
	r, err := http.NewRequest("GET", b.home+path, nil)
	must(b.t, err)
	return b.do(r)
}

func (b *browser) post(path string, form url.Values, origin string) page {
	b.t.Helper()
	r, err := http.NewRequest("POST", b.home+path, strings.NewReader(form.Encode()))
	must(b.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	return b.do(r)
}

var action = regexp.MustCompile(`<form[^>]*action="([^"]*)"`)

// signIn fills in the sign-in form that p shows.
func (b *browser) signIn(p page, username, password string) page {
	b.t.Helper()
	to := ""
	for _, m := range action.FindAllStringSubmatch(p.body, -1) {
		if strings.Contains(m[1], "/signin") {
			to = html.UnescapeString(m[1])
		}
	}
	if to == "" {
		b.t.Fatalf("no sign-in form at %s (%d):\n%s", p.url, p.status, p.body)
	}
	return b.post(to, url.Values{"username": {username}, "password": {password}}, b.home)
}

func redirectRequest(t *testing.T, h *house, id, extra string) string {
	t.Helper()
	doc := fmt.Sprintf(`<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="%s" Version="2.0" IssueInstant="%s" Destination="%s/saml/sso"%s><saml:Issuer>https://benefits.example/meta</saml:Issuer></samlp:AuthnRequest>`,
		id, time.Now().UTC().Format(time.RFC3339), h.url, extra)
	var b bytes.Buffer
	f, err := flate.NewWriter(&b, flate.DefaultCompression)
	must(t, err)
	_, err = f.Write([]byte(doc))
	must(t, err)
	must(t, f.Close())
	return "/saml/sso?SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString(b.Bytes())) + "&RelayState=deep%2Flink"
}

var responseField = regexp.MustCompile(`name="SAMLResponse" value="([^"]+)"`)

func samlResponse(t *testing.T, p page) string {
	t.Helper()
	m := responseField.FindStringSubmatch(p.body)
	if m == nil {
		t.Fatalf("no response at %s (%d):\n%s", p.url, p.status, p.body)
	}
	doc, err := base64.StdEncoding.DecodeString(html.UnescapeString(m[1]))
	must(t, err)
	return string(doc)
}

func TestSAML(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := newHouse(t, st)
		b := h.browser()
		p := b.get(redirectRequest(t, h, "_one", ""))
		if p.url.Path != "/signin" || !strings.Contains(p.body, "Your Benefits") {
			t.Fatalf("BEN-1: not asked to sign in for the app: %s\n%s", p.url, p.body)
		}
		p = b.signIn(p, "ana@example.com", "correct horse battery")
		doc := samlResponse(t, p)
		for _, want := range []string{`InResponseTo="_one"`, "ana@example.com", `Destination="https://benefits.example/acs"`} {
			if !strings.Contains(doc, want) {
				t.Errorf("BEN-1: %s is not in the response\n%s", want, doc)
			}
		}
		if !strings.Contains(p.body, `value="deep/link"`) {
			t.Error("RelayState did not come back")
		}
		// BEN-4: the session answers by itself, ForceAuthn asks again.
		p = b.get(redirectRequest(t, h, "_two", ""))
		if p.url.Path != "/saml/sso" {
			t.Errorf("BEN-4: a live session went by %s", p.url)
		}
		samlResponse(t, p)
		p = b.get(redirectRequest(t, h, "_three", ` ForceAuthn="true"`))
		if p.url.Path != "/signin" {
			t.Fatalf("BEN-4: ForceAuthn did not ask: %s", p.url)
		}
		samlResponse(t, b.signIn(p, "ana", "correct horse battery"))
		// The same request again is refused.
		if p = b.get(redirectRequest(t, h, "_one", "")); p.status < 400 {
			t.Errorf("an answered request was answered again: %d", p.status)
		}
		// BEN-3
		p = b.get("/saml/launch/Your_Benefits?RelayState=x")
		if doc = samlResponse(t, p); strings.Contains(doc, "InResponseTo") {
			t.Error("BEN-3: a launch has InResponseTo")
		}
		// BEN-5
		c := h.browser()
		p = c.signIn(c.get(redirectRequest(t, h, "_four", "")), "ben", "another long password")
		if p.status != 403 || strings.Contains(p.body, "SAMLResponse") {
			t.Fatalf("BEN-5: Ben got %d\n%s", p.status, p.body)
		}
		ref := regexp.MustCompile(`[A-Z0-9]{8}`).FindString(regexp.MustCompile(`(?s)<code[^>]*>.*?</code>|<output.*?</output>`).FindString(p.body))
		h.event(ref, "NoAccess")
	})
}

// event waits for the refusal behind a reference: they are written a moment later.
func (h *house) event(ref, code string) {
	h.t.Helper()
	if ref == "" {
		h.t.Fatal("no reference on the page")
	}
	for range 50 {
		all, err := h.st.Events().List(context.Background(), h.org.ID, store.EventFilter{Reference: ref})
		must(h.t, err)
		if len(all) == 1 && all[0].Code == code && all[0].Outcome == idp.Refused {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	all, _ := h.st.Events().List(context.Background(), h.org.ID, store.EventFilter{})
	h.t.Errorf("no event %s with reference %s; there are %+v", code, ref, all)
}

func TestOIDC(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := newHouse(t, st)
		b := h.browser()
		q := url.Values{"response_type": {"code"}, "client_id": {"wellness"}, "redirect_uri": {"https://wellness.example/cb"},
			"scope": {"openid email"}, "state": {"s1"}, "nonce": {"n1"}}
		p := b.get("/oauth2/authorize?" + q.Encode())
		if p.url.Path != "/signin" {
			t.Fatalf("not asked to sign in: %d %s\n%s", p.status, p.url, p.body)
		}
		cancel := regexp.MustCompile(`href="(/oauth2/continue[^"]*)">Cancel<`).FindStringSubmatch(p.body)
		if cancel == nil {
			t.Fatalf("no way to say no:\n%s", p.body)
		}
		if p := b.get(html.UnescapeString(cancel[1])); !strings.HasPrefix(p.header.Get("Location"), "https://wellness.example/cb?error=access_denied&") || !strings.Contains(p.header.Get("Location"), "state=s1") {
			t.Errorf("who does not sign in comes back with %d %s", p.status, p.header.Get("Location"))
		}
		p = b.get("/oauth2/authorize?" + q.Encode())
		p = b.signIn(p, "ana", "correct horse battery")
		to, err := url.Parse(p.header.Get("Location"))
		must(t, err)
		if to.Host != "wellness.example" || to.Query().Get("state") != "s1" || to.Query().Get("iss") != h.url {
			t.Fatalf("answered at %s (%d)\n%s", to, p.status, p.body)
		}
		form := url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {"https://wellness.example/cb"},
			"client_id": {"wellness"}, "client_secret": {"a-client-secret"}}
		p = b.post("/oauth2/token", form, "")
		var got map[string]any
		must(t, json.Unmarshal([]byte(p.body), &got))
		if p.status != 200 || got["id_token"] == nil {
			t.Fatalf("token: %d %s", p.status, p.body)
		}
		r, err := http.NewRequest("GET", h.url+"/oauth2/userinfo", nil)
		must(t, err)
		r.Header.Set("Authorization", "Bearer "+got["access_token"].(string))
		if p = b.do(r); !strings.Contains(p.body, "ana@example.com") {
			t.Errorf("userinfo: %d %s", p.status, p.body)
		}
		if p = b.post("/oauth2/token", form, ""); p.status != 400 {
			t.Errorf("a code was redeemed twice: %d", p.status)
		}
		if p = b.do(r.Clone(context.Background())); p.status != 401 {
			t.Errorf("OA-CD-01: what the first use of the code gave lives: %d", p.status)
		}
		q.Set("prompt", "none")
		if p = h.browser().get("/oauth2/authorize?" + q.Encode()); !strings.Contains(p.header.Get("Location"), "error=login_required") {
			t.Errorf("prompt=none: %d %s", p.status, p.header.Get("Location"))
		}
	})
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := newHouse(t, st)
		b := h.browser()
		p := b.get("/account?x=1")
		if p.url.Path != "/signin" {
			t.Fatalf("MAN-10: %s", p.url)
		}
		wrong, unknown := b.signIn(p, "ana", "wrong wrong wrong"), b.signIn(p, "nobody", "wrong wrong wrong")
		if wrong.status != 422 || unknown.status != 422 || strings.ReplaceAll(wrong.body, "ana", "nobody") != unknown.body {
			t.Errorf("AUTH-01: %d %d", wrong.status, unknown.status)
		}
		p = b.signIn(p, "ana", "correct horse battery")
		if p.url.RequestURI() != "/account?x=1" || p.status != 200 {
			t.Errorf("MAN-10: led to %s (%d)", p.url, p.status)
		}
		if p = b.get("/apps"); !strings.Contains(p.body, "Your Benefits") || !strings.Contains(p.body, "Wellness Tracker") {
			t.Errorf("launcher:\n%s", p.body)
		}
		c := h.browser()
		if p = c.signIn(c.get("/apps"), "ben", "another long password"); strings.Contains(p.body, "Your Benefits") {
			t.Error("ADM-13: Ben sees an app he may not use")
		}
		// WEB-01: a form of ours sent from elsewhere.
		if p = b.post("/signin", url.Values{"username": {"ana"}, "password": {"correct horse battery"}}, "https://evil.example"); p.status != 403 {
			t.Errorf("cross-origin sign-in: %d", p.status)
		}
		// Change the password; the other browser is out.
		o := h.browser()
		o.signIn(o.get("/apps"), "ana", "correct horse battery")
		p = b.post("/account/password", url.Values{"current": {"correct horse battery"}, "password": {"a longer new one"}, "repeat": {"a longer new one"}}, h.url)
		if p.url.Path != "/account" {
			t.Errorf("change password: %d %s\n%s", p.status, p.url, p.body)
		}
		if p = o.get("/apps"); p.url.Path != "/signin" {
			t.Errorf("AUTH-06: the other session lives")
		}
		if p = b.get("/apps"); p.url.Path != "/apps" {
			t.Errorf("own session ended: %s", p.url)
		}
		p = b.post("/signout", url.Values{"decision": {"allow"}}, h.url)
		if p.url.Path != "/signout" || p.status != 200 {
			t.Errorf("sign out: %s %d", p.url, p.status)
		}
		if p = b.get("/apps"); p.url.Path != "/signin" {
			t.Error("still signed in")
		}
		if p = b.get("/no/such"); p.status != 404 || p.header.Get("Content-Security-Policy") == "" {
			t.Errorf("404: %d", p.status)
		}
		if strings.Contains(h.log.String(), "correct horse") || strings.Contains(h.log.String(), "a longer new one") {
			t.Error("LOG-02: a password is in the log")
		}
	})
}

// AUTH-03: guesses make waiting longer, for everybody but a browser at which Ana has signed in before.
func TestThrottle(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := newHouse(t, st)
		known := h.browser()
		known.signIn(known.get("/apps"), "ana", "correct horse battery")
		known.post("/signout", nil, h.url)
		evil := h.browser()
		p := evil.get("/apps")
		var got page
		for range 8 {
			if got = evil.signIn(p, "ana", "guess guess guess"); got.status == 429 {
				break
			}
		}
		if got.status != 429 || got.header.Get("Retry-After") == "" {
			t.Fatalf("eight guesses: %d", got.status)
		}
		if got = evil.signIn(p, "ana", "correct horse battery"); got.status != 429 {
			t.Errorf("the right password slipped through: %d", got.status)
		}
		if got = known.signIn(known.get("/apps"), "ana", "correct horse battery"); got.url.Path != "/apps" {
			t.Errorf("the known browser is locked out: %d %s", got.status, got.url)
		}
	})
}

func TestSetup(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx := context.Background()
		h := newHouse(t, st)
		c := server.Config{Store: st, Sealer: storetest.Sealer(t), People: people.New(st), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		if link, err := c.NewSignIn().SetupLink(ctx, h.org.ID); err != nil || link != "" {
			t.Fatalf("a link where there are people: %q %v", link, err)
		}
		must(t, st.Write(ctx, func(tx *store.Tx) error {
			for _, u := range []*idp.User{h.ana, h.ben} {
				if err := tx.DropUser(u.Org, u.ID); err != nil {
					return err
				}
			}
			return nil
		}))
		link, err := c.NewSignIn().SetupLink(ctx, h.org.ID)
		must(t, err)
		form := url.Values{"username": {"root"}, "email": {"root@example.com"}, "password": {"a good long one"}, "repeat": {"a good long one"}}
		b := h.browser()
		if p := b.get(link); p.status != 200 {
			t.Fatalf("set-up page: %d\n%s", p.status, p.body)
		}
		won := make(chan bool, 8)
		for i := range 8 {
			form := url.Values{"username": {fmt.Sprint("root", i)}, "email": {fmt.Sprint("root", i, "@example.com")}, "password": form["password"], "repeat": form["repeat"]}
			go func() { won <- h.browser().post(link, form, h.url).url.Path == "/apps" }()
		}
		winners := 0
		for range 8 {
			if <-won {
				winners++
			}
		}
		if winners != 1 {
			t.Errorf("AUTH-11: %d of eight were the first administrator", winners)
		}
		if p := b.get(link); p.status != 404 {
			t.Errorf("AUTH-11: the link still opens: %d", p.status)
		}
	})
}

// What is told without being made anew each time is told anew when it changes.
func TestTold(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := newHouse(t, st)
		var tags []string
		tells := func(path string, words ...string) {
			t.Helper()
			for range 3 {
				rec := h.raw("GET", path)
				for _, word := range words {
					if !strings.Contains(rec.Body.String(), word) {
						t.Errorf("%s does not tell %s:\n%s", path, word, rec.Body)
					}
				}
				tags = append(tags, rec.Header().Get("ETag"))
			}
		}
		const discovery, jwks = "/.well-known/openid-configuration", "/oauth2/keys"
		kid := func() string {
			ring, err := st.Keys().Ring(t.Context(), h.org.ID, keys.OIDC)
			must(t, err)
			key, err := ring.Active()
			must(t, err)
			return `"` + key.ID + `"`
		}
		tells(discovery, `"offline_access"`)
		tells(jwks, kid())
		orders := &idp.Named{Org: h.org.ID, Kind: idp.KindScope, Name: "orders", Label: "Orders"}
		must(t, st.Write(t.Context(), func(tx *store.Tx) error { return tx.AddNamed(orders) }))
		tells(discovery, `"orders"`)
		orders.Name = "stock"
		must(t, st.Write(t.Context(), func(tx *store.Tx) error { return tx.PutNamed(orders) }))
		tells(discovery, `"stock"`)
		before := kid()
		_, err := st.Keys().Rotate(t.Context(), h.org, keys.OIDC, true)
		must(t, err)
		if kid() == before {
			t.Fatal("not rotated")
		}
		tells(jwks, kid(), before)
		must(t, st.Orgs().MoveOrg(t.Context(), h.org.ID, "https://moved.example"))
		tells(discovery, `"https://moved.example/oauth2/token"`)
		for i := 0; i < len(tags); i += 3 {
			if tags[i] == "" || tags[i] != tags[i+1] || tags[i] != tags[i+2] || i > 0 && tags[i] == tags[i-1] {
				t.Errorf("ETag %d: %q", i, tags)
			}
		}
	})
}
