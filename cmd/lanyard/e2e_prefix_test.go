package main_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// front is a proxy that speaks TLS and reads all that passes: whatever leads a browser or a client back here must lead
// below the public address.
type front struct {
	t     *testing.T
	url   string
	addr  string
	strip bool // takes the path off before it asks the node
	roots *x509.CertPool

	mu     sync.Mutex
	node   *url.URL
	base   string
	moved  bool            // addresses of two places are about
	passed map[string]bool // paths that were asked for and answered with a page or a redirect
}

func newFront(t *testing.T, base string, strip bool) *front {
	f := &front{t: t, base: base, strip: strip, passed: map[string]bool{}}
	s := httptest.NewTLSServer(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			f.mu.Lock()
			defer f.mu.Unlock()
			p.SetURL(f.node)
			p.SetXForwarded() // and the node's own Host: who is meant is not told
			if path := p.Out.URL.Path; f.strip && strings.HasPrefix(path, f.base+"/") {
				p.Out.URL.Path, p.Out.URL.RawPath = path[len(f.base):], ""
			}
		},
		ModifyResponse: f.read,
	})
	t.Cleanup(s.Close)
	f.url, f.addr, f.roots = s.URL, s.Listener.Addr().String(), x509.NewCertPool()
	f.roots.AddCert(s.Certificate())
	return f
}

var (
	namedThere = regexp.MustCompile(`(?:href|src|action)=["']([^"']*)["']`)
	below      = regexp.MustCompile(`^(?:[/?#"'<>\s]|&#|$)`)
)

func (f *front) read(r *http.Response) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.mu.Lock()
	defer f.mu.Unlock()
	at := r.Request.Method + " " + r.Request.URL.Path
	if strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") || r.StatusCode == 303 {
		f.passed[strings.TrimPrefix(r.Request.URL.Path, f.base)] = true
	}
	leads := func(to string) {
		if path, ours := strings.CutPrefix(to, f.url); ours || strings.HasPrefix(to, "/") {
			if rest, ok := strings.CutPrefix(path, f.base); (!ok || !below.MatchString(rest)) && !f.moved {
				f.t.Errorf("%s (%d) leads to %s, which is not below %s", at, r.StatusCode, to, f.base)
			}
		}
	}
	if to := r.Header.Get("Location"); to != "" {
		leads(to)
		if len(body) > 0 && strings.HasPrefix(to, "/") {
			f.t.Errorf("%s: a redirect with a body: %s", at, body)
		}
	}
	if strings.Contains(string(body), f.node.Host) {
		f.t.Errorf("%s names the node's own address:\n%s", at, body)
	}
	for _, m := range namedThere.FindAllStringSubmatch(string(body), -1) {
		leads(html.UnescapeString(m[1]))
	}
	for _, after := range strings.Split(html.UnescapeString(string(body)), f.url)[1:] {
		leads(f.url + after[:min(len(after), 80)])
	}
	for _, c := range r.Cookies() {
		if !strings.HasPrefix(c.Name, "__Host-") || c.Path != "/" || !c.Secure {
			f.t.Errorf("%s sets %s", at, c)
		}
	}
	if r.StatusCode != 502 && strings.Contains(r.Header.Get("Strict-Transport-Security"), "includeSubDomains") {
		f.t.Errorf("%s speaks for the subdomains of a host that is not its own", at)
	}
	return nil
}

// A public address with a path: behind a proxy that hands the path on (SQLite) and one that takes it off (PostgreSQL),
// every page and every redirect stays below it.
func TestPathPrefix(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		f := newFront(t, "/a/sso", strings.HasSuffix(t.Name(), "postgres"))
		o.url, o.roots = f.url+"/a/sso", f.roots
		n := o.serve("--url", o.url+"/", "--trusted-proxies", "127.0.0.1")
		f.node = must(url.Parse(n.url))
		n.addr = f.addr // browsers and clients go by the proxy
		home := must(url.Parse(o.url))

		link := o.setupLink(n)
		b := o.browser()
		p := b.fill(b.get(link), "username", "rosa", "email", "rosa@example.com", "password", password, "repeat", password)
		if !strings.HasPrefix(link, o.url+"/setup?") || p.url.String() != o.url+"/apps" {
			t.Fatalf("set-up by %s led to %s (%d)", link, p.url, p.status)
		}
		o.apply("kind: Scope\nname: orders\nlabel: See your orders", person("ana", "givenName: Ana"), person("ben", ""),
			strings.Replace(app("Your Benefits", "benefits.example", "", "users: [{user: ana}]"), "startURL: https://benefits.example/\n", "", 1),
			client("Wellness Tracker", "wellness", "https://wellness.example/cb", "clientSecret: {plain: "+secret+"}\nscopes: [openid, email]\nflows: {authorizationCode: true}", "{permittedUsers: self-authorize}"),
			"kind: App\nname: Orders Gateway\noauth:\n  clientID: gateway\n  clientSecret: {plain: "+secret+"}\n  type: service\n  scopes: [orders]\n  flows: {clientCredentials: true}\n"+
				"  introspect: children\n  registration: {limit: 3, grants: [client_credentials], scopes: [orders], runAs: auto, permit: everyone}\npolicy: {users: [{user: ana}]}")

		// SAML, by Redirect and by POST from the provider's site, with sign-in; then from the launcher's tile.
		benefits := newSP(t, "benefits.example").meet(o)
		if got := benefits.IDPMetadata.EntityID; got != o.url+"/saml/metadata" || benefits.idp.String() != o.url+"/saml/sso" {
			t.Errorf("metadata: %s %s", got, benefits.idp)
		}
		b = o.browser()
		q := benefits.request()
		benefits.accept(b.signIn(b.get(benefits.redirect(q, "")), "ana"), q.ID)
		b = o.browser()
		q = benefits.request()
		benefits.accept(b.signIn(b.post(benefits.idp.String(), benefits.post(q, ""), benefits.site()), "ana"), q.ID)
		p = b.get("/apps")
		tile := regexp.MustCompile(`href="([^"]*/saml/launch/[^"]*)"`).FindStringSubmatch(p.body)
		if tile == nil || tile[1] != home.Path+"/saml/launch/Your_Benefits" {
			t.Fatalf("the tile: %q", tile)
		}
		benefits.accept(b.get(f.url+tile[1]), "")
		if got := o.run("app", "connect", "Your_Benefits", "-o", "json"); !strings.Contains(got, `"`+o.url+`/saml/sso"`) {
			t.Errorf("app connect:\n%s", got)
		}

		// OpenID Connect, with sign-in and consent; refused, then granted.
		client := newRP(t, o, "wellness", secret, "https://wellness.example/cb", "openid", "email")
		b = o.browser()
		p = b.signIn(b.get(client.start()), "ana")
		if p.url.Path != home.Path+"/consent" {
			t.Fatalf("no consent page: %d %s", p.status, p.url)
		}
		if code := client.refusal(b.fill(p, "decision", "deny")); code != "access_denied" {
			t.Errorf("refused: %s", code)
		}
		_, token := client.signIn(b.fill(b.get(client.start()), "decision", "allow"))
		if client.userinfo(token) == nil {
			t.Error("userinfo refuses the token")
		}
		g := &gateway{rp: newRP(t, o, "gateway", secret, ""), initial: o.line("gateway", "token", "create", "--app", "Orders_Gateway", "--name", "x")}
		if status, c := g.register(g.initial, map[string]any{"client_name": "Child", "grant_types": []string{"client_credentials"}, "scope": "orders"}); status != 201 || !strings.HasPrefix(c.At, o.url+"/oauth2/register/") {
			t.Errorf("registration: %d, %s", status, c.At)
		} else if status, again, _ := g.rest("GET", c.At, c.Token, nil); status != 200 || again.ID != c.ID {
			t.Errorf("registration_client_uri: %d", status)
		}

		// RFC 8414 §3.1: the document's own place, and the one with the well-known string inserted.
		document := func(to string) (status int, issuer string) {
			p := b.get(to)
			var d struct{ Issuer string }
			_ = json.Unmarshal([]byte(p.body), &d)
			return p.status, d.Issuer
		}
		for _, name := range []string{"openid-configuration", "oauth-authorization-server"} {
			for _, to := range []string{o.url + "/.well-known/" + name, f.url + "/.well-known/" + name + "/a/sso"} {
				if status, issuer := document(to); status != 200 || issuer != o.url {
					t.Errorf("%s: %d, issuer %s", to, status, issuer)
				}
			}
			for _, path := range []string{"/a/ssoX", "/a", "/a/sso/", "/a/sso/x", "//a/sso", "/a%2fsso"} {
				if status, _ := document(f.url + "/.well-known/" + name + path); status != 404 {
					t.Errorf("%s inserted: %d", path, status)
				}
			}
		}

		// A person's own pages.
		b = o.in("ana")
		for path, want := range map[string]string{"": "/apps", "/": "/apps", "/apps": "/apps", "/account": "/account", "/account/password": "/account/password", "/.well-known/change-password": "/account/password"} {
			if p := b.get(o.url + path); p.status != 200 || p.url.Path != home.Path+want {
				t.Errorf("%q led to %s (%d)", path, p.url, p.status)
			}
		}
		if p := b.fill(b.get("/account/password"), "current", password, "password", password+" 2", "repeat", password+" 2"); p.url.RequestURI() != home.Path+"/account?done=password" {
			t.Errorf("after the password: %s (%d)", p.url, p.status)
		}
		p = b.get("/account")
		for i, form := range p.forms() {
			if form.action == home.Path+"/account/grants" {
				id := regexp.MustCompile(`value="([^"]+)"`).FindStringSubmatch(p.forms()[i].body)[1]
				if p := b.post(f.url+form.action, url.Values{"id": {id}}, "here"); !strings.HasPrefix(p.url.RequestURI(), home.Path+"/account?done=grants&app=") {
					t.Errorf("after taking back: %s (%d)", p.url, p.status)
				}
			}
		}
		stranger := o.in("ben")
		stranger.get("/saml/launch/Your_Benefits").refused(t, "Ben", 403)
		stranger.get("/no/such/page").refused(t, "no page", 404)
		stranger.get("/signin?ask=none").refused(t, "no question", 400)
		stranger.get("/account/sessions").refused(t, "no form", 405)
		if p := stranger.fill(stranger.get("/signin?other=1"), "username", "ben", "password", "wrong"); p.status != 422 {
			t.Errorf("a wrong password: %d", p.status)
		}
		if p := b.fill(b.get("/signout"), "decision", "deny"); p.url.Path != home.Path+"/apps" {
			t.Errorf("not signed out: %s", p.url)
		}
		if p := b.fill(b.get("/signout"), "decision", "allow"); p.url.Path != home.Path+"/signout" || p.status != 200 {
			t.Errorf("signed out: %s (%d)", p.url, p.status)
		}

		// By whole segments only, and not twice; health is everywhere.
		for path, status := range map[string]int{
			"/a/ssoX/signin": 404, "/a/sso/a/sso/signin": 404, "/a/sso//signin": 404, "/a/%73so/signin": 404, "/a/sso%2fsignin": 404, "/A/sso/signin": 404, "/a/signin": 404,
			"/a/sso/signin": 200, "/signin": 200, "/healthz": 200, "/readyz": 200, "/a/sso/healthz": 200, "/a/sso/readyz": 200, "/a/ssoX/healthz": 404, "/a/sso/healthz/": 404,
		} {
			if f.strip && (strings.Contains(path, "%") || strings.Count(path, "/a/sso") > 1) {
				continue // the proxy's own reading
			}
			if p := o.browser().get(f.url + path); p.status != status {
				t.Errorf("%s: %d, want %d", path, p.status, status)
			}
		}

		// All pages were on the way.
		f.mu.Lock()
		for _, page := range []string{"/setup", "/signin", "/consent", "/apps", "/account", "/account/password", "/account/grants", "/signout", "/saml/sso", "/saml/continue", "/saml/launch/Your_Benefits", "/oauth2/authorize", "/oauth2/continue"} {
			if !f.passed[page] {
				t.Errorf("%s was not seen; the proxy passed %v", page, f.passed)
			}
		}
		f.mu.Unlock()

		// A move: pages follow at once, and what is known by the issuer's address goes on answering there.
		issuer := o.url
		o.run("org", "move", f.url+"/b")
		f.mu.Lock()
		f.strip, f.moved = false, true
		f.mu.Unlock()
		if status, got := document(issuer + "/.well-known/openid-configuration"); status != 200 || got != issuer {
			t.Errorf("after the move: %d, issuer %s", status, got)
		}
		f.mu.Lock()
		f.base, f.moved = "/b", false
		f.mu.Unlock()
		o.url = f.url + "/b"
		if p := o.browser().get("/apps").asks(t); p.url.Path != "/b/signin" {
			t.Errorf("after the move: %s", p.url)
		}
		if _, stderr, code := o.try("", "serve", "--url", issuer, "--listen", "127.0.0.1:0"); code != 1 || !strings.Contains(stderr, "lanyard org move "+issuer) {
			t.Errorf("serve at the old address: %d %s", code, stderr)
		}
		if got := o.run("org", "list"); !slices.ContainsFunc(strings.Split(got, "\n"), func(l string) bool { return strings.HasPrefix(l, "Issuer") && strings.HasSuffix(l, issuer) }) {
			t.Errorf("org list:\n%s", got)
		}
	})
}
