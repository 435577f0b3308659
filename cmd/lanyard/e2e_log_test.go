package main_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// LOG-02: every way through the house, with all that is secret on it, at the most talkative level, also where it goes
// wrong; then the whole log, and all events, are read for each of the secrets. One line a request, and its route.
func TestLogTellsNoSecret(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		secrets := map[string]string{
			"password": password, "client secret": secret, "master key": base64.StdEncoding.EncodeToString(o.master[:]), "master key, hex": hex.EncodeToString(o.master[:]),
			"mistyped password": "canary mistyped", "new password": "canary new password", "RelayState": "canary-relay-state",
			"wrong client secret": "canary-wrong-client-secret", "DSN password": "canary-dsn-password",
		}
		if strings.HasSuffix(t.Name(), storetest.Postgres) {
			i := slices.IndexFunc(o.env, func(v string) bool { return strings.HasPrefix(v, "LANYARD_DATABASE=") })
			u := must(url.Parse(strings.TrimPrefix(o.env[i], "LANYARD_DATABASE=")))
			if _, has := u.User.Password(); !has { // a server that asks for one has its own
				u.User = url.UserPassword(u.User.Username(), secrets["DSN password"])
				o.env[i] = "LANYARD_DATABASE=" + u.String()
			}
		}
		n := o.serve("--log-level", "debug")
		half := func(name, value string) { // the part of id.secret that is secret
			t.Helper()
			_, s, ok := strings.Cut(value, ".")
			if !ok || len(s) < 20 {
				t.Fatalf("%s is %q", name, value)
			}
			secrets[name] = s
		}
		link := o.setupLink(n)
		half("set-up link", must(url.Parse(link)).Query().Get("link"))
		b := o.browser()
		b.fill(b.get(link), "username", "rosa", "email", "rosa@example.com", "password", password, "repeat", password)
		b.get(link)
		o.apply("kind: Scope\nname: orders", person("ana", ""), batchApp,
			app("Your Benefits", "benefits.example", "", "users: [{user: ana}]"),
			client("Wellness Tracker", "wellness", "https://wellness.example/cb", "clientSecret: {plain: "+secret+"}\nscopes: [openid, refresh_token]\nflows: {authorizationCode: true, refresh: true}", "{permittedUsers: self-authorize}"),
			"kind: App\nname: Orders Gateway\noauth:\n  clientID: gateway\n  clientSecret: {plain: "+secret+"}\n  type: service\n  scopes: [orders]\n  flows: {clientCredentials: true}\n"+
				"  introspect: children\n  registration: {limit: 3, grants: [client_credentials], scopes: [orders], runAs: auto, permit: everyone}\npolicy: {users: [{user: ana}]}")

		// SAML, also with what can not be read.
		sp := newSP(t, "benefits.example").meet(o)
		b = o.browser()
		q := sp.request()
		to := sp.redirect(q, secrets["RelayState"])
		secrets["SAMLRequest"] = must(url.Parse(to)).Query().Get("SAMLRequest")[:100]
		p := b.get(to).asks(t)
		secrets["sealed question"] = p.url.Query().Get("ask")[20:80]
		b.fill(p, "username", "ana", "password", secrets["mistyped password"])
		doc, _, fields := b.signIn(p, "ana").saml()
		secrets["SAMLResponse"] = fields.Get("SAMLResponse")[1000:1100]
		secrets["assertion"] = string(doc[1000:1100])
		b.get(to) // an answered one
		b.post("/saml/sso", sp.post(sp.request(), secrets["RelayState"]), sp.site())
		b.post("/saml/sso", url.Values{"SAMLRequest": {"canary-rubbish-request"}, "RelayState": {secrets["RelayState"]}}, sp.site())
		secrets["rubbish"] = "canary-rubbish-request"

		// OpenID Connect: code, tokens, refresh, and each of them wrong.
		c := newRP(t, o, "wellness", secret, "https://wellness.example/cb", "openid", "refresh_token")
		c.pkce, c.state, c.nonce = oauth2.GenerateVerifier(), "canary-state-value", "canary-nonce-value"
		secrets["verifier"], secrets["state"], secrets["nonce"] = c.pkce, c.state, c.nonce
		code := c.code(b.fill(b.get(c.start()), "decision", "allow"))
		half("code", code)
		token, err := c.exchange(code)
		if err != nil {
			t.Fatal(err)
		}
		half("access token", token.AccessToken)
		half("refresh token", token.RefreshToken)
		secrets["ID token"] = token.Extra("id_token").(string)[100:200]
		c.userinfo(token)
		c.active(token.AccessToken)
		c.active(token.AccessToken + "x")
		if again, err := c.refresh(token.RefreshToken); err == nil {
			half("second access token", again.AccessToken)
		}
		_, _ = c.exchange(code)
		c.call("/oauth2/revoke", url.Values{"token": {token.RefreshToken}})
		_, _ = c.refresh(token.RefreshToken)
		right := c.ClientSecret
		c.ClientSecret = secrets["wrong client secret"]
		c.call("/oauth2/introspect", url.Values{"token": {token.AccessToken}})
		c.call("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.RedirectURL}})
		c.ClientSecret = right
		for _, raw := range []string{"/oauth2/userinfo?access_token=" + token.AccessToken, "/oauth2/token?client_secret=" + secret, "/setup?link=" + must(url.Parse(link)).Query().Get("link"),
			"/oauth2/authorize?client_id=wellness&code_challenge=" + c.pkce, "/signin?ask=" + secrets["sealed question"], "/no/such?code=" + code} {
			b.get(raw)
		}

		// A gateway and its child.
		g := &gateway{rp: newRP(t, o, "gateway", secret, ""), initial: o.line("gateway", "token", "create", "--app", "Orders_Gateway", "--name", "x")}
		half("initial access token", g.initial)
		_, child := g.register(g.initial, map[string]any{"client_name": "Child", "grant_types": []string{"client_credentials"}, "scope": "orders"})
		half("registration token", child.Token)
		secrets["child's secret"] = child.Secret
		g.rest("GET", child.At, child.Token, nil)
		g.rest("GET", child.At, child.Token+"x", nil)
		_, _ = g.token(child, "orders")
		g.register(g.initial+"x", map[string]any{"client_name": "Child"})

		// A person's own, and a connection that speaks no HTTP.
		b.fill(b.get("/account/password"), "current", secrets["mistyped password"], "password", secrets["new password"], "repeat", secrets["new password"])
		b.fill(b.get("/account/password"), "current", password, "password", secrets["new password"], "repeat", secrets["new password"])
		for _, k := range b.jar.Cookies(b.home) {
			half("cookie "+k.Name, k.Value)
		}
		b.fill(b.get("/signout"), "decision", "allow")
		w := must(dial(n.addr))
		_, _ = io.WriteString(w, "password="+password+"\r\n\r\n")
		w.Close()
		n.stop()

		told := o.run("event", "list", "-o", "json")
		routes := map[string]bool{}
		requests := 0
		for line := range strings.Lines(n.log.String()) {
			if !strings.HasPrefix(line, "{") {
				continue // the set-up link is for whoever started the server
			}
			var l struct {
				Msg, Method, Path, Reference, IP, Org string
				Route                                 *string
				Status                                int
				MS                                    *float64
				Bytes                                 *int
			}
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Errorf("a line that is no JSON: %s", line)
			}
			if l.Msg == "request" {
				requests++
				routes[*l.Route] = true
				if l.Method == "" || l.Path == "" || len(l.Reference) != 8 || l.IP != "127.0.0.1" || l.Status == 0 || l.MS == nil || l.Bytes == nil || l.Org == "" {
					t.Errorf("a line says too little: %s", line)
				}
			}
			for name, s := range secrets {
				if strings.Contains(line, s) {
					t.Errorf("LOG-02: the %s is in the log: %s", name, line)
				}
			}
		}
		for name, s := range secrets {
			if len(s) < 10 {
				t.Errorf("%s is %q", name, s)
			}
			if strings.Contains(told, s) {
				t.Errorf("LOG-02: the %s is in an event", name)
			}
		}
		for _, want := range []string{"/signin", "/consent", "/saml/sso", "/oauth2/token", "/oauth2/register/{client}", "/account/password", ""} {
			if !routes[want] {
				t.Errorf("no line of %q among %d", want, requests)
			}
		}
	})
}

// Where the database can not be reached, the password in its address stays where it is.
func TestDatabasePasswordIsNotTold(t *testing.T) {
	t.Parallel()
	o := newOrg(t, storetest.SQLite)
	for _, dsn := range []string{"postgres://lanyard:canary-dsn-password@127.0.0.1:1/x", "postgres://lanyard:canary-dsn-password@[::1/x", "mysql://lanyard:canary-dsn-password@db/x"} {
		out, err, code := o.try("", "serve", "--listen", "127.0.0.1:0", "--database", dsn)
		if code != 1 || strings.Contains(out+err, "canary") {
			t.Errorf("%d %s%s", code, out, err)
		}
	}
}

// Metrics at an address of their own, and then nowhere else.
func TestMetricsListen(t *testing.T) {
	t.Parallel()
	o := newOrg(t, storetest.SQLite)
	o.apply(person("ana", ""))
	free := must(net.Listen("tcp", "127.0.0.1:0"))
	at := free.Addr().String()
	free.Close()
	get := func(url string) (int, string) {
		t.Helper()
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode, string(must(io.ReadAll(res.Body)))
	}
	here := o.serve()
	if status, text := get(here.url + "/metrics"); status != 200 || !strings.Contains(text, "lanyard_build_info") {
		t.Errorf("at the server: %d", status)
	}
	here.stop()
	apart := o.serve("--listen", here.addr, "--metrics-listen", at)
	if status, _ := get(apart.url + "/metrics"); status != 404 {
		t.Errorf("at the server, although they have a place: %d", status)
	}
	if status, text := get("http://" + at + "/metrics"); status != 200 || !strings.Contains(text, "lanyard_ready 1") {
		t.Errorf("apart: %d %s", status, text)
	}
	for _, path := range []string{"/", "/signin", "/healthz", "/debug/pprof/"} {
		if status, _ := get("http://" + at + path); status != 404 {
			t.Errorf("apart, %s: %d", path, status)
		}
	}
	apart.stop()
	// Where a proxy is in front, named or not, a caller from this machine may be anybody.
	behind := o.serve("--trusted-proxies", "192.0.2.1")
	if status, _ := get(behind.url + "/metrics"); status != 404 {
		t.Errorf("behind a proxy: %d", status)
	}
	behind.stop()
	o.run("org", "move", "https://sso.example.com")
	unnamed := o.server("--listen", "127.0.0.1:0")
	if status, _ := get("http://" + unnamed.addr + "/metrics"); status != 404 {
		t.Errorf("behind a proxy that is not named: %d", status)
	}
	taken := must(net.Listen("tcp", at))
	defer taken.Close()
	if _, stderr, code := o.try("", "serve", "--data", "other", "--listen", "127.0.0.1:0", "--metrics-listen", at); code != 1 || !strings.Contains(stderr, "--metrics-listen") {
		t.Errorf("an address that is taken: %d %s", code, stderr)
	}
}
