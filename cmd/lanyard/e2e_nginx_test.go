package main_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// shown is the one block of that language in a document that holds text.
func shown(t *testing.T, document, language, text string) string {
	t.Helper()
	var found []string
	for _, b := range fenced(t, document, language) {
		if strings.Contains(b, text) {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s has %d blocks of %s with %q", document, len(found), language, text)
	}
	return found[0]
}

// fenced are the blocks of a language in a document.
func fenced(t *testing.T, document, language string) (all []string) {
	t.Helper()
	text := must(os.ReadFile("../../" + document))
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	return all
}

// instead writes one text for another, pair by pair: each must be there.
func instead(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("no %q in\n%s", pairs[i], text)
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// nginx stands in front of the nodes with the blocks that DEPLOYMENT.md shows.
type nginx struct{ *stranger }

func newNginx(t *testing.T, o *org) nginx {
	t.Helper()
	f := nginx{newStranger(t, "nginx")}
	o.vouch()
	_, _, root := certificate()
	f.write("root.pem", root)
	return f
}

// front is the block of DEPLOYMENT.md with the addresses of this test.
func (f nginx) front(nodes ...string) string {
	f.t.Helper()
	return instead(f.t, shown(f.t, "DEPLOYMENT.md", "nginx", "upstream lanyard"), "10.0.0.5:8080", nodes[0], "10.0.0.6:8080", nodes[len(nodes)-1],
		"listen 443", "listen 127.0.0.1:"+f.port, "sso.example.com", "localhost", "/etc/nginx", f.dir)
}

func (f nginx) begin(blocks ...string) {
	f.t.Helper()
	var temp strings.Builder
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "%s_temp_path %s;\n", name, filepath.Join(f.dir, name))
	}
	f.start("-p", f.dir, "-e", filepath.Join(f.dir, "error.log"), "-c", f.write("nginx.conf",
		"daemon off;\npid "+filepath.Join(f.dir, "pid")+";\nevents {}\nhttp {\naccess_log off;\n"+temp.String()+strings.Join(blocks, "\n")+"}\n"))
}

// from has a browser call from an address of its own, with headers that nobody should believe.
func (b *browser) from(ip, to string, header http.Header) *browser {
	b.http.Transport = claiming{&http.Transport{DisableKeepAlives: true, TLSClientConfig: b.http.Transport.(*http.Transport).TLSClientConfig,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}).DialContext(ctx, network, to)
		}}, header}
	return b
}

type claiming struct {
	http.RoundTripper
	header http.Header
}

func (c claiming) RoundTrip(r *http.Request) (*http.Response, error) {
	for name, values := range c.header {
		r.Header[name] = values
	}
	return c.RoundTripper.RoundTrip(r)
}

const location = "    location / {\n        proxy_pass http://lanyard;\n    }\n"

// Behind NGINX with a path, which it hands on (SQLite) or takes off (PostgreSQL): everything works, and the log knows who
// was there.
func TestNGINX(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		f, e := newNginx(t, o), newElsewhere(t)
		at := "127.0.0.1:" + f.port
		o.url = "https://localhost:" + f.port + "/sso"
		n := o.serve("--url", o.url, "--trusted-proxies", "127.0.0.1")
		node := n.addr
		n.addr = at // browsers and clients go by the proxy
		path := shown(t, "DEPLOYMENT.md", "nginx", "location = /sso {\n        proxy_pass http://lanyard;")
		if strings.HasSuffix(t.Name(), "postgres") {
			path = shown(t, "DEPLOYMENT.md", "nginx", "location = /sso {\n        proxy_pass http://lanyard/;")
		}
		b := &orders{t: t}
		backend := httptest.NewServer(b)
		t.Cleanup(backend.Close)
		b.url = "https://localhost:" + freePort(t)
		api := "server {\nlisten 127.0.0.1:" + must(url.Parse(b.url)).Port() + " ssl;\nssl_certificate " + f.dir + "/tls.pem;\nssl_certificate_key " + f.dir + "/tls.key;\n" +
			instead(t, shown(t, "DEPLOYMENT.md", "nginx", "auth_request "), "http://127.0.0.1:9000", backend.URL, "https://sso.example.com", o.url,
				"/etc/ssl/certs/ca-certificates.crt", f.dir+"/root.pem") + "}\n"
		f.begin(instead(t, f.front(node), location, path+shown(t, "DEPLOYMENT.md", "nginx", "/.well-known/")), api)

		o.apply("kind: Group\nname: staff", "kind: Scope\nname: orders\naudience: https://orders.example.com", "kind: Scope\nname: stock\naudience: https://orders.example.com",
			person("ana", "givenName: Ana\nfamilyName: Lima\ngroups: [staff]"), person("cyd", ""),
			strings.Replace(app("Your Benefits", "benefits.example", "", "groups: [staff]"), "startURL: https://benefits.example/\n", "", 1),
			"kind: App\nname: Elsewhere\nsaml: {entityID: https://elsewhere.example/meta, acs: [{url: \""+e.app+"/acs\"}]}\npolicy: {groups: [staff]}",
			client("Wellness Tracker", "wellness", "https://wellness.example/cb", "clientSecret: {plain: "+secret+"}\nscopes: [openid, email, orders, stock]\nflows: {authorizationCode: true}\npostLogoutRedirectURIs: [\""+byeURI+"\"]", "{groups: [staff]}"),
			client("Notes", "notes", e.app+"/cb", "clientSecret: {plain: "+secret+"}\nscopes: [openid, email]\nflows: {authorizationCode: true}\npostLogoutRedirectURIs: [\""+e.app+"/landed\"]", "{groups: [staff]}"))
		t.Run("SAML", func(t *testing.T) { nginxSAML(t, o) })
		t.Run("OpenID Connect", func(t *testing.T) { nginxOIDC(t, o) })
		t.Run("auth_request", func(t *testing.T) { b.t = t; b.asked(o) })
		t.Run("whose address", func(t *testing.T) { nginxAddress(t, o, at, node) })
		t.Run("what is handed on", func(t *testing.T) { nginxHandsOn(t, o, node) })
		t.Run("Chromium", func(t *testing.T) { nginxChromium(t, o, e) })
	})
}

// long is as much as an app may send along.
var long = strings.Repeat("0123456789", 800)

func nginxSAML(t *testing.T, o *org) {
	s := newSP(t, "benefits.example").meet(o)
	if got := s.IDPMetadata.EntityID; got != o.url+"/saml/metadata" || s.idp.String() != o.url+"/saml/sso" {
		t.Errorf("metadata: %s %s", got, s.idp)
	}
	b := o.browser()
	q := s.request()
	if _, fields := s.accept(b.signIn(b.get(s.redirect(q, long)), "ana"), q.ID); fields.Get("RelayState") != long {
		t.Errorf("by Redirect: RelayState %q", fields.Get("RelayState"))
	}
	b = o.browser()
	q = s.request()
	if _, fields := s.accept(b.signIn(b.post(s.idp.String(), s.post(q, long), s.site()), "ana"), q.ID); fields.Get("RelayState") != long {
		t.Errorf("by POST: RelayState %q", fields.Get("RelayState"))
	}
	tile := regexp.MustCompile(`href="([^"]*/saml/launch/Your_Benefits)"`).FindStringSubmatch(b.get("").body)
	if tile == nil || tile[1] != "/sso/saml/launch/Your_Benefits" {
		t.Fatalf("the tile: %q", tile)
	}
	s.accept(b.get("https://"+b.home.Host+tile[1]), "")
}

func nginxOIDC(t *testing.T, o *org) {
	w := newRP(t, o, "wellness", secret, "https://wellness.example/cb", "openid", "email")
	w.state += long[:6000]
	b := o.browser()
	_, token := w.signIn(b.signIn(b.get(w.start()), "ana"))
	if w.userinfo(token)["email"] != "ana@example.com" {
		t.Errorf("userinfo: %v", w.userinfo(token))
	}
	id, _ := token.Extra("id_token").(string)
	b.get(w.out("id_token_hint", id, "post_logout_redirect_uri", byeURI, "state", long)).left(t, "signed out", byeURI+"&state="+long)
	b.get("/apps").asks(t)
	for _, name := range []string{"openid-configuration", "oauth-authorization-server"} {
		for _, to := range []string{o.url + "/.well-known/" + name, strings.TrimSuffix(o.url, "/sso") + "/.well-known/" + name + "/sso"} {
			var d struct{ Issuer string }
			if p := b.get(to); json.Unmarshal([]byte(p.body), &d) != nil || d.Issuer != o.url {
				t.Errorf("%s: %d, issuer %q", to, p.status, d.Issuer)
			}
		}
	}
}

// orders is the API behind the proxy that asks.
type orders struct {
	t    *testing.T
	url  string
	told atomic.Pointer[http.Header]
}

func (b *orders) ServeHTTP(_ http.ResponseWriter, r *http.Request) { b.told.Store(&r.Header) }

// call calls the API as somebody who would like to be somebody else.
func (b *orders) call(roots *x509.CertPool, bearer string) (*http.Response, http.Header) {
	b.t.Helper()
	b.told.Store(nil)
	q := must(http.NewRequest("GET", b.url+"/orders/1", nil))
	for _, name := range []string{"User", "Subject", "Client", "Scope"} {
		q.Header.Set("X-Lanyard-"+name, "eve")
	}
	if bearer != "" {
		q.Header.Set("Authorization", "Bearer "+bearer)
	}
	c := vouched(roots)
	defer c.CloseIdleConnections()
	res, err := c.Do(q)
	if err != nil {
		b.t.Fatal(err)
	}
	res.Body.Close()
	if h := b.told.Load(); h != nil {
		return res, *h
	}
	return res, nil
}

func (b *orders) asked(o *org) {
	w := newRP(b.t, o, "wellness", secret, "https://wellness.example/cb", "openid", "orders")
	in := o.in("ana")
	_, good := w.signIn(in.get(w.start()))
	if _, told := b.call(o.roots, good.AccessToken); told.Get("X-Lanyard-User") != "ana" || told.Get("X-Lanyard-Client") != "wellness" || told.Get("X-Lanyard-Scope") != "openid orders" ||
		told.Get("X-Lanyard-Subject") == "" || told.Get("X-Lanyard-Subject") == "eve" {
		b.t.Errorf("the API was told %v", told)
	}
	no := func(what, bearer string, status int, says string) {
		b.t.Helper()
		res, told := b.call(o.roots, bearer)
		if got := res.Header.Values("WWW-Authenticate"); res.StatusCode != status || len(got) != 1 || !strings.Contains(got[0], says) || told != nil {
			b.t.Errorf("%s: %d %q; the API was told %v", what, res.StatusCode, got, told)
		}
	}
	no("no token", "", 401, `Bearer realm="`+o.url+`"`)
	no("a wrong one", flip(good.AccessToken), 401, `error="invalid_token"`)
	w.Scopes = []string{"openid"}
	_, other := w.signIn(in.get(w.start()))
	no("another API's", other.AccessToken, 401, `error="invalid_token"`)
	w.Scopes = []string{"openid", "stock"}
	_, other = w.signIn(in.get(w.start()))
	no("without the scope", other.AccessToken, 403, `error="insufficient_scope"`)
	if status, _ := w.call("/oauth2/revoke", url.Values{"token": {good.AccessToken}}); status != 200 {
		b.t.Errorf("revoke: %d", status)
	}
	no("revoked", good.AccessToken, 401, `error="invalid_token"`)
}

// nginxAddress: a person's address is what the proxy saw, whatever they say themselves.
func nginxAddress(t *testing.T, o *org, at, node string) {
	b := o.browser().from("127.0.0.2", at, http.Header{"X-Forwarded-For": {"192.0.2.6"}, "X-Real-Ip": {"192.0.2.6"}, "Forwarded": {"for=192.0.2.6"}})
	b.signIn(b.get("/apps"), "cyd")
	seen := 0
	for _, e := range o.events("--user", "cyd") {
		if e.IP == "127.0.0.2" {
			seen++
		} else if e.Actor != "cli" {
			t.Errorf("through the proxy: %+v", e)
		}
	}
	if seen == 0 {
		t.Error("no event of the sign-in")
	}
	if !strings.Contains(o.nodes[0].log.String(), `"127.0.0.2"`) || strings.Contains(o.nodes[0].log.String(), "192.0.2.6") {
		t.Error("the log does not have the address that the proxy saw, or has the other")
	}
	// Past the proxy nobody is believed.
	b = o.browser().from("127.0.0.3", node, http.Header{"X-Forwarded-For": {"192.0.2.6"}})
	b.get("http://"+o.browser().home.Host+"/oauth2/authorize?client_id=notes&redirect_uri=https://evil.example/").refused(t, "past the proxy", 400)
	if e := o.events("--app", "Notes"); len(e) == 0 || e[0].IP != "127.0.0.3" {
		t.Errorf("past the proxy: %+v", e)
	}
}

// nginxHandsOn: every header that the node gives reaches the browser.
func nginxHandsOn(t *testing.T, o *org, node string) {
	for _, path := range []string{"/signin", "/account", "/oauth2/authorize", "/.well-known/openid-configuration", "/assets/lanyard.css"} {
		there, here := o.browser().from("127.0.0.1", node, nil).get("http://"+o.browser().home.Host+"/sso"+path), o.browser().get(path)
		for name := range there.header {
			if here.header[name] == nil {
				t.Errorf("%s: %s is lost", path, name)
			}
		}
		if got, want := here.header.Get("Content-Security-Policy"), there.header.Get("Content-Security-Policy"); got != want {
			t.Errorf("%s: the policy is %q, not %q", path, got, want)
		}
	}
}

// vouched is a client that believes the tests' certificate.
func vouched(roots *x509.CertPool) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 16}}
}

func nginxChromium(t *testing.T, o *org, e *elsewhere) {
	// Chromium goes by no file of authorities, but it can be told of a key.
	cert, _, _ := certificate()
	block, _ := pem.Decode([]byte(cert))
	key := sha256.Sum256(must(x509.ParseCertificate(block.Bytes)).RawSubjectPublicKeyInfo)
	b := newTab(t, chromium(t, chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(key[:]))))
	b.open(o.url)
	b.signIn("ana", password)
	b.sees("Your apps")
	b.at(o.url + "/apps")
	b.click("Elsewhere") // the response is posted by a script
	b.sees("landed at")
	<-e.got
	w := newRP(t, o, "notes", secret, e.app+"/cb", "openid", "email")
	b.open(w.start())
	b.sees("landed at")
	token, err := w.exchange(<-e.got)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := token.Extra("id_token").(string)
	b.open(w.out("id_token_hint", id, "post_logout_redirect_uri", e.app+"/landed"))
	b.sees("landed at")
	b.open(o.url + "/account")
	b.sees("Username or email")
	b.clean(o.url, e.app, e.third)
}

// R-19 behind NGINX: two nodes, of which one after the other is told to end and starts again, while clients that repeat
// nothing get tokens and sign in. None is lost.
func TestNGINXNodes(t *testing.T) {
	t.Parallel()
	o := newOrg(t, storetest.Postgres)
	f := newNginx(t, o)
	o.url = "https://localhost:" + f.port
	o.apply(batchApp, person("ana", ""), client("Wellness Tracker", "wellness", "https://wellness.example/cb", "clientSecret: {plain: "+secret+"}\nscopes: [openid]\nflows: {authorizationCode: true}", "{users: [{user: ana}]}"))
	more := []string{"--url", o.url, "--trusted-proxies", "127.0.0.1", "--drain-delay", "5s", "--listen"} // as it is for everybody
	nodes := []*server{o.server(append(more, "127.0.0.1:0")...), o.server(append(more, "127.0.0.1:0")...)}
	f.begin(f.front(nodes[0].addr, nodes[1].addr))
	o.nodes = []*node{{addr: "127.0.0.1:" + f.port}}

	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	var tokens, people atomic.Int64
	for range 6 {
		c := vouched(o.roots)
		work.Go(func() {
			defer c.CloseIdleConnections()
			for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
				res, err := c.Post(o.url+"/oauth2/token", "application/x-www-form-urlencoded", strings.NewReader(tokenForm))
				if err != nil {
					t.Errorf("R-19: after %d tokens: %v", tokens.Load(), err)
					return
				}
				text := must(io.ReadAll(res.Body))
				res.Body.Close()
				if res.StatusCode != 200 {
					t.Errorf("R-19: after %d tokens: %d %s", tokens.Load(), res.StatusCode, text)
					return
				}
				tokens.Add(1)
			}
		})
	}
	work.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
			w := newRP(t, o, "wellness", secret, "https://wellness.example/cb", "openid")
			b := o.in("ana")
			w.signIn(b.get(w.start()))
			people.Add(1)
		}
	})
	ready := func() {
		t.Helper()
		if p := o.browser().get("/readyz"); p.status != 200 {
			t.Errorf("R-19: nobody is ready: %d %s", p.status, p.body)
		}
	}
	for round := range 2 {
		time.Sleep(500 * time.Millisecond)
		before := tokens.Load()
		s := nodes[round]
		began := time.Now()
		s.signal(syscall.SIGTERM)
		s.logged(`"leaving"`)
		for range 4 { // a node that is not ready is passed over
			ready()
		}
		if err := s.ends(15 * time.Second); err != nil || time.Since(began) < 5*time.Second {
			t.Errorf("R-19: ended with %v after %s", err, time.Since(began))
		}
		ready()
		if tokens.Load() == before {
			t.Error("R-19: no load while it ended")
		}
		nodes[round] = o.server(append(more, s.addr)...)
	}
	time.Sleep(300 * time.Millisecond)
	stop()
	work.Wait()
	if people.Load() == 0 {
		t.Error("R-19: nobody signed in")
	}
	t.Logf("R-19: %d tokens, %d sign-ins, 2 nodes ended", tokens.Load(), people.Load())
}
