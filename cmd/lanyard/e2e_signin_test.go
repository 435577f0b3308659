package main_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"

	"github.com/lanyard-sso/lanyard/keys"
)

var setupLink = regexp.MustCompile(`(?m)^    (http\S+/setup\?link=\S+)$`)

// setupLink returns the link that a server without users prints.
func (o *org) setupLink(n *node) string {
	o.t.Helper()
	for range 100 { // standard error comes by another pipe than the line that says that it answers
		if m := setupLink.FindStringSubmatch(n.log.String()); m != nil {
			return m[1]
		}
		time.Sleep(20 * time.Millisecond)
	}
	o.t.Fatalf("no link on standard error:\n%s", n.log)
	return ""
}

// AUTH-11: there is no default administrator. The link on standard error makes the first one, once.
func TestFirstStart(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		n := o.serve()
		link := o.setupLink(n)
		if !strings.HasPrefix(link, o.url+"/") {
			t.Errorf("the link leads to %s", link)
		}
		for _, name := range []string{"admin", "root", "lanyard"} {
			b := o.browser()
			if p := b.fill(b.get("/apps").asks(t), "username", name, "password", name); p.status != 422 {
				t.Errorf("AUTH-11: %s/%s: %d", name, name, p.status)
			}
		}
		first := o.browser()
		p := first.get(link)
		fields := func(name string) []string {
			return []string{"username", name, "email", name + "@example.com", "givenName", "Rosa", "familyName", "Diaz", "password", password, "repeat", password}
		}
		if q := first.fill(p, append(fields("rosa"), "repeat", "another "+password)...); q.status != 422 || strings.Contains(q.body, password) {
			t.Errorf("two different passwords: %d\n%s", q.status, q.body)
		}
		if q := o.browser().get(strings.TrimSuffix(link, link[len(link)-3:]) + "abc"); q.status != 404 {
			t.Errorf("another link: %d", q.status)
		}
		b := []*browser{o.browser(), o.browser()}
		open := []*page{b[0].get(link), b[1].get(link)}
		if won := race(2, func(i int) bool {
			p := b[i].fill(open[i], fields([]string{"rosa", "mallory"}[i])...)
			if p.status != 404 && (p.status != 200 || p.url.Path != "/apps") {
				t.Errorf("AUTH-11: %d %s\n%s", p.status, p.url, p.body)
			}
			return p.status == 200
		}); won != 1 {
			t.Errorf("AUTH-11: %d of two set-ups won", won)
		}
		if p := o.browser().get(link); p.status != 404 || len(p.forms()) != 0 {
			t.Errorf("AUTH-11: the link again: %d", p.status)
		}
		if p := first.fill(p, fields("rosa2")...); p.status != 404 {
			t.Errorf("AUTH-11: the page that was open: %d", p.status)
		}
		if users := o.run("user", "list", "-o", "json"); strings.Count(users, `"username"`) != 1 || !strings.Contains(users, `"admin"`) {
			t.Errorf("users: %s", users)
		}
		n.stop()
		o.nodes = nil
		if n := o.serve("--listen", n.addr); strings.Contains(n.log.String(), "/setup") {
			t.Error("another link is printed although there is a user")
		}
	})
}

// signInOrg is a house with people in it.
func signInOrg(t *testing.T, o *org) {
	t.Helper()
	o.apply("kind: Group\nname: staff", person("ana", "givenName: Ana\nfamilyName: Lima\ngroups: [staff]"), person("ben", ""), person("cyd", ""),
		app("Your Benefits", "benefits.example", "", "groups: [staff]"),
		client("Wellness Tracker", "wellness", "https://wellness.example/cb", "clientSecret: {plain: "+secret+"}\nscopes: [openid]\nflows: {authorizationCode: true}", "{groups: [staff]}"),
	)
	o.serve()
}

func TestSignIn(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		signInOrg(t, o)
		// MAN-10: back to where one was going.
		b := o.browser()
		p := b.signIn(b.get("/account?x=1"), "Ana@Example.COM")
		if p.url.RequestURI() != "/account?x=1" || p.status != 200 {
			t.Errorf("MAN-10: led to %s (%d)", p.url, p.status)
		}
		// AUTH-01: an unknown name and a wrong password look and last the same.
		try := func(name string) (*page, time.Duration) {
			b := o.browser()
			p := b.get("/signin")
			begin := time.Now()
			p = b.fill(p, "username", name, "password", "not "+password)
			return p, time.Since(begin)
		}
		var known, unknown []time.Duration
		for range 4 {
			p, took := try("ben")
			q, took2 := try("zoe")
			known, unknown = append(known, took), append(unknown, took2)
			if p.status != 422 || q.status != 422 || strings.ReplaceAll(p.body, "ben", "zoe") != q.body || len(p.cookies) != len(q.cookies) {
				t.Errorf("AUTH-01: %d and %d\n%s\n%s", p.status, q.status, p.body, q.body)
			}
		}
		if a, b := slices.Min(known), slices.Min(unknown); a > 3*b || b > 3*a {
			t.Errorf("AUTH-01: %v for a wrong password, %v for an unknown name", a, b)
		}
		// WEB-02: what was planted before is nobody's afterwards.
		evil := o.in("cyd")
		victim := o.browser()
		victim.jar.SetCookies(victim.home, evil.jar.Cookies(evil.home))
		planted := cookie(t, victim, "lanyard-")
		p = victim.signIn(victim.get("/signin?other=1"), "ana")
		if fresh := cookie(t, victim, "lanyard-"); fresh.Value == planted.Value || p.url.Path != "/apps" {
			t.Errorf("WEB-02: the session cookie is %q as before", fresh.Value)
		}
		evil.get("/apps").asks(t)
		again := cookie(t, victim, "lanyard-")
		victim.fill(victim.get("/signin?other=1"), "username", "ana", "password", password)
		if cookie(t, victim, "lanyard-").Value == again.Value {
			t.Error("WEB-02: signing in again keeps the secret")
		}
		// AUTH-15: a changed value is nobody's.
		for what, value := range map[string]string{
			"truncated": again.Value[:len(again.Value)-1], "extended": again.Value + "A", "case": strings.ToUpper(again.Value),
			"changed": flip(again.Value), "empty": "", "old": again.Value,
		} {
			c := o.browser()
			c.jar.SetCookies(c.home, []*http.Cookie{{Name: again.Name, Value: value}})
			if p := c.get("/apps"); p.url.Path != "/signin" {
				t.Errorf("AUTH-15: %s: let in", what)
			}
		}
		// ADM-13: only one's own.
		ben := o.in("ben")
		if p = ben.get("/apps"); strings.Contains(p.body, "Benefits") || strings.Contains(p.body, "Wellness") || !strings.Contains(p.body, "No apps yet") {
			t.Errorf("ADM-13: Ben's launcher\n%s", p.body)
		}
		ben.get("/saml/launch/Your_Benefits").refused(t, "ADM-13: launch", 403)
		p = victim.get("/account")
		id := attributes(p.forms()[len(p.forms())-1].body)["value"]
		ben.post("/account/sessions", url.Values{"id": {id}}, "here")
		if p = victim.get("/apps"); p.url.Path != "/apps" {
			t.Error("ADM-13: Ben ended Ana's session")
		}
		// AUTH-06: a new password, after the old one, ends all others.
		p = victim.get("/account/password")
		if q := victim.fill(p, "current", "not "+password, "password", "a new "+password, "repeat", "a new "+password); q.status != 422 {
			t.Errorf("AUTH-06: wrong present password: %d", q.status)
		}
		p = victim.fill(p, "current", password, "password", "a new "+password, "repeat", "a new "+password)
		if p.url.Path != "/account" || p.status != 200 || !strings.Contains(p.body, "Your password is changed") {
			t.Errorf("AUTH-06: %d %s\n%s", p.status, p.url, p.body)
		}
		b.get("/apps").asks(t)
		if p = victim.get("/apps"); p.url.Path != "/apps" {
			t.Error("AUTH-06: the own session ended too")
		}
		if p = b.fill(b.get("/signin"), "username", "ana", "password", password); p.status != 422 {
			t.Errorf("AUTH-06: the old password still works: %d", p.status)
		}
		// AUTH-07
		o.run("user", "deactivate", "ana")
		victim.get("/apps").asks(t)
		o.run("user", "activate", "ana")
		victim.get("/apps").asks(t)
		// Sign-out, and OA-LO-04: nothing brings it back.
		kept := cookie(t, ben, "lanyard-")
		if p = ben.get("/signout"); len(p.forms()) == 0 {
			t.Fatalf("no question before signing out: %d", p.status)
		}
		if p = ben.get("/apps"); p.url.Path != "/apps" {
			t.Error("a GET signed somebody out")
		}
		p = ben.fill(ben.get("/signout"), "decision", "deny")
		if p.url.Path != "/apps" {
			t.Errorf("stay signed in: %s", p.url)
		}
		p = ben.fill(ben.get("/signout"), "decision", "allow")
		if p.status != 200 || !strings.Contains(p.body, "You are signed out") {
			t.Errorf("sign-out: %d\n%s", p.status, p.body)
		}
		ben.jar.SetCookies(ben.home, []*http.Cookie{{Name: kept.Name, Value: kept.Value}})
		ben.get("/apps").asks(t)
		w := newRP(t, o, "wellness", secret, "https://wellness.example/cb", "openid")
		if e := w.refusal(ben.get(w.start(param("prompt", "none")))); e != "login_required" {
			t.Errorf("OA-LO-04: %s", e)
		}
		// Ended with a command.
		cyd := o.in("cyd")
		o.run("session", "revoke", "--user", "cyd")
		cyd.get("/apps").asks(t)
	})
}

// cookie is the session cookie that the browser holds.
func cookie(t *testing.T, b *browser, prefix string) *http.Cookie {
	t.Helper()
	for _, c := range b.jar.Cookies(b.home) {
		if strings.HasPrefix(c.Name, prefix) && !strings.HasSuffix(c.Name, "-browser") {
			return c
		}
	}
	t.Fatalf("no cookie %s… among %v", prefix, b.jar.Cookies(b.home))
	return nil
}

// AUTH-03: guesses make waiting longer for everybody but the browsers at which one has signed in before.
func TestThrottling(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		signInOrg(t, o)
		known := o.in("ana")
		known.fill(known.get("/signout"), "decision", "allow")
		evil := o.browser()
		p := evil.get("/signin").asks(t)
		var got *page
		for range 12 {
			if got = evil.fill(p, "username", "ana", "password", "a guess"); got.status == 429 {
				break
			}
		}
		if got.status != 429 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "Too many attempts") {
			t.Fatalf("AUTH-03: twelve guesses: %d %q", got.status, got.header.Get("Retry-After"))
		}
		if got = o.browser().fill(p, "username", "ana", "password", password); got.status != 429 {
			t.Errorf("AUTH-03: the right password from elsewhere: %d", got.status)
		}
		if got = known.signIn(known.get("/apps"), "ana"); got.url.Path != "/apps" {
			t.Errorf("AUTH-03: the known browser is locked out: %d %s", got.status, got.url)
		}
		o.in("ben") // others are not concerned
		// Names that nobody has cost the same.
		for range 12 {
			if got = evil.fill(p, "username", "zoe", "password", "a guess"); got.status == 429 {
				break
			}
		}
		if got.status != 429 {
			t.Errorf("AUTH-01: an unknown name is never throttled: %d", got.status)
		}
	})
}

// A login belongs to one browser: its address, sent to somebody else, is worth nothing (DESIGN.md, idea 4).
func TestLoginBelongsToItsBrowser(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		signInOrg(t, o)
		s := newSP(t, "benefits.example").meet(o)
		w := newRP(t, o, "wellness", secret, "https://wellness.example/cb", "openid")
		authorize := must(url.Parse(w.start()))
		for _, x := range []struct {
			what  string
			begin func(b *browser) *page
		}{
			{"SAML", func(b *browser) *page { return b.post("/saml/sso", s.post(s.request(), ""), s.site()) }},
			{"OpenID Connect", func(b *browser) *page { return b.post(authorize.Path, authorize.Query(), "https://wellness.example/") }},
		} {
			evil, victim := o.browser(), o.in("ana")
			p := x.begin(evil).asks(t)
			q := victim.get(p.resume())
			q.refused(t, x.what+": the victim opens the attacker's login", 400)
			if !strings.Contains(q.body, "Start again from the app") {
				t.Errorf("%s: the page does not say what to do\n%s", x.what, q.body)
			}
			// What the victim proved is the victim's: the attacker's tab is no further.
			evil.get(p.resume()).asks(t)
			// The sign-in page's own address leads a victim into the victim's session only, and then to that refusal.
			fresh := o.browser()
			q = fresh.signIn(fresh.get(p.url.String()), "ana")
			q.refused(t, x.what+": the victim signs in at the attacker's page", 400)
			evil.get("/apps").asks(t)
			// Ten tabs of one browser are ten logins of the same person.
			var tabs []*page
			for range 10 {
				tabs = append(tabs, x.begin(fresh))
			}
			for _, tab := range tabs {
				if tab.status != 200 && tab.status != 0 {
					t.Errorf("%s: a tab: %d", x.what, tab.status)
				}
			}
		}
		// Ten tabs before anybody is signed in: one sign-in carries all.
		b := o.browser()
		var tabs []*page
		for range 10 {
			tabs = append(tabs, b.post("/saml/sso", s.post(s.request(), ""), s.site()).asks(t))
		}
		b.signIn(tabs[3], "ana").saml()
		for i, tab := range tabs {
			if i != 3 {
				b.get(tab.resume()).saml()
			}
		}
	})
}

// WEB-01: no other site changes anything here.
func TestCrossSite(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		signInOrg(t, o)
		b := o.in("ana")
		for path, f := range map[string]url.Values{
			"/signin": {"username": {"ana"}, "password": {password}}, "/signout": {"decision": {"allow"}}, "/account/sessions": {"others": {"1"}},
			"/account/password": {"current": {password}, "password": {"a new one, long"}, "repeat": {"a new one, long"}}, "/account/grants": {"id": {"x"}}, "/consent": {"decision": {"allow"}},
		} {
			for _, from := range []string{"https://evil.example/", "http://localhost:1/", "http://127.0.0.1:1/"} {
				b.post(path, f, from).refused(t, "WEB-01: "+path+" from "+from, 403)
			}
			if p := b.get(path + "?" + f.Encode()); p.status >= 500 {
				t.Errorf("WEB-01: GET %s: %d", path, p.status)
			}
		}
		if p := b.get("/apps"); p.url.Path != "/apps" {
			t.Error("WEB-01: another site signed Ana out")
		}
		c := o.browser()
		c.post("/signin", url.Values{"username": {"ana"}, "password": {password}}, "https://evil.example/")
		c.get("/apps").asks(t)
	})
}

// WEB-07, WEB-05, WEB-12: what every page says to the browser, and what it does not say back.
func TestPages(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		signInOrg(t, o)
		b, anon := o.in("ana"), o.browser()
		s := newSP(t, "benefits.example").meet(o)
		w := newRP(t, o, "wellness", secret, "https://wellness.example/cb", "openid")
		const script = `"><svg onload=alert(1)>{{7*7}}`
		esc := url.QueryEscape(script)
		for what, p := range map[string]*page{
			"launcher": b.get("/apps?x=" + esc), "account": b.get("/account?done=" + esc), "password": b.get("/account/password?x=" + esc), "sign-in": anon.get("/signin?x=" + esc),
			"stale": anon.get("/signin?ask=" + esc), "404": b.get("/no/such/" + esc), "405": b.post("/apps", url.Values{"x": {script}}, "here"), "403": b.post("/signout", nil, "https://evil.example/"),
			"422": anon.fill(anon.get("/signin"), "username", script, "password", script), "consent": b.get("/consent?ask=" + esc), "sign-out": b.get("/signout?x=" + esc), "signed out": anon.get("/signout"),
			"unknown client": b.get("/oauth2/authorize?client_id=" + esc), "unknown redirect_uri": b.get(w.start(param("redirect_uri", script))), "unknown app": b.get("/saml/launch/x" + url.PathEscape(script)),
			"bad SAML": b.get("/saml/sso?SAMLRequest=" + esc), "no login": b.get("/saml/continue?login=" + esc), "no OAuth login": b.get("/oauth2/continue?login=" + esc), "set-up": anon.get("/setup?link=" + esc),
			"auto-post": b.get(s.redirect(s.request(), script)),
		} {
			h := p.header
			csp := h.Get("Content-Security-Policy")
			for _, want := range []string{"frame-ancestors 'none'", "default-src 'none'", "base-uri 'none'"} {
				if !strings.Contains(csp, want) {
					t.Errorf("WEB-07: %s (%d): %s", what, p.status, csp)
				}
			}
			if strings.Contains(csp, "unsafe") || strings.Contains(csp, "script-src 'self'") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") == "" ||
				h.Get("Cross-Origin-Opener-Policy") != "same-origin" || !strings.Contains(h.Get("Cache-Control"), "no-store") || !strings.HasPrefix(h.Get("Content-Type"), "text/html") {
				t.Errorf("WEB-07: %s (%d): %v", what, p.status, h)
			}
			if strings.Contains(p.body, "<svg onload") || strings.Contains(p.body, "49") && what == "422" {
				t.Errorf("WEB-05: %s says it back\n%s", what, p.body)
			}
			if p.status >= 500 {
				t.Errorf("%s: %d", what, p.status)
			}
		}
		for _, path := range []string{"//apps", "/apps/..;/", "/%61pps", "/APPS", "/oauth2/../apps", "/apps%2f", "/apps/", "/./apps", "/account%2fpassword"} {
			q := must(http.NewRequest("GET", o.url, nil))
			q.URL.Opaque = path
			for _, c := range b.jar.Cookies(b.home) {
				q.AddCookie(c)
			}
			res, err := b.http.Do(q)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 404 && res.StatusCode != 400 {
				t.Errorf("WEB-12: %s: %d", path, res.StatusCode)
			}
		}
		// WEB-19
		for _, method := range []string{"TRACE", "PROPFIND", "OPTIONS"} {
			res, err := b.http.Do(must(http.NewRequest(method, o.url+"/signin", nil)))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 405 && res.StatusCode != 501 {
				t.Errorf("WEB-19: %s: %d", method, res.StatusCode)
			}
		}
	})
}

// WEB-03: the cookies, over https and over http. WEB-11: whose address a request comes from.
func TestTLS(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		key := must(rsa.GenerateKey(rand.Reader, 2048))
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
		der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
		certFile, keyFile := filepath.Join(o.dir, "cert.pem"), filepath.Join(o.dir, "key.pem")
		for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))}} {
			if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		o.roots = x509.NewCertPool()
		o.roots.AddCert(must(x509.ParseCertificate(der)))
		o.apply(person("ana", ""))
		o.serve("--tls-cert", certFile, "--tls-key", keyFile, "--trusted-proxies", "127.0.0.2/32")
		b := o.browser()
		p := b.signIn(b.get("/apps"), "ana")
		names := map[string]bool{}
		for _, c := range p.cookies {
			names[c.Name] = true
			if !strings.HasPrefix(c.Name, "__Host-lanyard-") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode {
				t.Errorf("WEB-03: %s", c)
			}
			if i := strings.IndexByte(c.Value, '.'); len(c.Value)-i < 43 {
				t.Errorf("WEB-03: %s has too little in it", c)
			}
		}
		if len(names) == 0 {
			t.Error("WEB-03: no cookie")
		}
		if hsts := p.header.Get("Strict-Transport-Security"); !strings.Contains(hsts, "max-age=") {
			t.Errorf("WEB-07: HSTS %q", hsts)
		}
		// The peer is no proxy of ours, so nobody believes what it says of others.
		q := must(http.NewRequest("POST", o.url+"/signin", strings.NewReader("username=ana&password=wrong")))
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		q.Header.Set("X-Forwarded-For", "192.0.2.7")
		res, err := b.http.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if ev := o.events("--code", "InvalidUserCredentials"); len(ev) != 1 || ev[0].IP != "127.0.0.1" {
			t.Errorf("WEB-11: %+v", ev)
		}
	})
}

// A page that was open for more than an hour says so, and where to begin again; it does not say that something broke.
func TestHourOldPage(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		signInOrg(t, o)
		b := o.browser()
		s := newSP(t, "benefits.example").meet(o)
		p := b.get(s.redirect(s.request(), "")).asks(t)
		// The page as it would be an hour later: its question is sealed, and the key is ours.
		seal := must(keys.NewSealer(o.master[:])).For("ask")
		label := "ask\x00" + strings.Split(b.jar.Cookies(b.home)[0].Name, "-")[1]
		fresh := must(seal.Open(label, must(base64.RawURLEncoding.DecodeString(p.url.Query().Get("ask")))))
		var question map[string]any
		if err := json.Unmarshal(fresh, &question); err != nil {
			t.Fatal(err)
		}
		question["e"] = time.Now().Add(-time.Second)
		old := "/signin?ask=" + base64.RawURLEncoding.EncodeToString(seal.Seal(label, must(json.Marshal(question))))
		for what, q := range map[string]*page{"opened": b.get(old), "sent": b.post(old, url.Values{"username": {"ana"}, "password": {password}}, "here")} {
			q.refused(t, "an hour-old page, "+what, 400)
			if !strings.Contains(q.body, "This page has expired") || !strings.Contains(q.body, `href="https://benefits.example/"`) || strings.Contains(q.body, password) {
				t.Errorf("%s: %s", what, q.body)
			}
		}
		// A plain sign-in page never grows old.
		b.signIn(b.get("/signin"), "ana")
		if p := b.get("/apps"); p.url.Path != "/apps" {
			t.Errorf("sign-in afterwards: %s", p.url)
		}
	})
}
