package main_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

const secret = "a-client-secret-of-43-characters-or-so-long"

// client declares an OAuth client.
func client(name, id, redirect, oauth, policy string) string {
	return "kind: App\nname: " + name + "\nstartURL: https://" + id + ".example/\noauth:\n  clientID: " + id + "\n  redirectURIs: [" + redirect + "]" + indent(oauth, 2) + "\npolicy: " + policy + "\n"
}

// oidcOrg is a house with Ana and Ben and one client of each kind.
func oidcOrg(t *testing.T, o *org) {
	t.Helper()
	confidential := "clientSecret: {plain: " + secret + "}\n"
	o.apply("kind: Group\nname: staff", "kind: Group\nname: board", "kind: Scope\nname: orders\nlabel: See your orders",
		person("ana", "givenName: Ana\nfamilyName: Lima\ngroups: [staff, board]"), person("ben", "groups: [staff]"), person("cyd", ""),
		client("Wellness Tracker", "wellness", "https://wellness.example/cb",
			confidential+"scopes: [openid, profile, email, address, phone, groups, refresh_token]\nflows: {authorizationCode: true, refresh: true}", "{groups: [staff]}"),
		client("Order Status", "order-status", "https://orders.example/cb",
			confidential+"scopes: [api, orders, refresh_token]\ndefaultScopes: [api]\nflows: {authorizationCode: true, refresh: true}", "{groups: [staff]}"),
		client("Pocket", "pocket", "\"http://127.0.0.1/cb\", \"com.example.pocket:/cb\"",
			"type: native\npublic: true\nscopes: [openid, refresh_token]\nflows: {authorizationCode: true, refresh: true}", "{groups: [staff]}"),
		client("Notes", "notes", "https://notes.example/cb",
			confidential+"scopes: [openid, email, orders]\nflows: {authorizationCode: true}", "{permittedUsers: self-authorize}"),
		client("Short", "short", "https://short.example/cb",
			confidential+"scopes: [openid]\nflows: {authorizationCode: true}\nidToken: {lifetime: 1m}", "{groups: [staff]}"),
	)
	o.serve()
}

func wellness(t *testing.T, o *org) *rp {
	return newRP(t, o, "wellness", secret, "https://wellness.example/cb", "openid", "profile", "email", "groups", "refresh_token")
}

func TestOIDC(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		oidcOrg(t, o)
		b := o.browser()
		w := wellness(t, o)

		// WEL-1
		p := b.get(w.start()).asks(t)
		if !strings.Contains(p.body, "to continue to Wellness Tracker") {
			t.Error("WEL-1: the page does not say for what one signs in")
		}
		before := time.Now().Add(-time.Second)
		id, token := w.signIn(b.signIn(p, "ana@example.com"))
		if !slices.Equal(id.Audience, []string{"wellness"}) || id.Expires.Sub(id.Issued) != time.Hour || id.AuthTime < before.Unix() || id.ACR == "" {
			t.Errorf("WEL-1: %+v", id)
		}
		if token.TokenType != "Bearer" || time.Until(token.Expiry) < 59*time.Minute || token.RefreshToken == "" {
			t.Errorf("WEL-1: %+v", token)
		}
		// WEL-4, by GET and both ways of POST
		told := w.userinfo(token)
		if told["sub"] != id.Subject || told["name"] != "Ana Lima" || told["email"] != "ana@example.com" || told["email_verified"] != true {
			t.Errorf("WEL-4: %v", told)
		}
		if g, _ := told["groups"].([]any); len(g) != 2 {
			t.Errorf("WEL-4: groups %v", told["groups"])
		}
		for what, q := range map[string]*http.Request{
			"POST with header": must(http.NewRequest("POST", o.url+"/oauth2/userinfo", nil)),
			"POST with body":   must(http.NewRequest("POST", o.url+"/oauth2/userinfo", strings.NewReader("access_token="+url.QueryEscape(token.AccessToken)))),
		} {
			if what == "POST with body" {
				q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			} else {
				q.Header.Set("Authorization", "Bearer "+token.AccessToken)
			}
			if status, got := w.send(q); status != 200 || got["sub"] != id.Subject {
				t.Errorf("userinfo by %s: %d %v", what, status, got)
			}
		}
		// WEL-2: the tile leads to the app's own start, which signs on in silence.
		if p = b.get("/apps"); !strings.Contains(p.body, `href="https://wellness.example/"`) {
			t.Errorf("WEL-2: no tile that leads to the start URL\n%s", p.body)
		}
		p = b.get(w.start())
		if again, _ := w.signIn(p); len(p.way) != 1 || again.Subject != id.Subject || again.AuthTime != id.AuthTime {
			t.Errorf("WEL-2: by %v: %+v", p.way, again)
		}
		// WEL-5
		raw := token.Extra("id_token").(string)
		parts := strings.Split(raw, ".")
		for what, changed := range map[string]string{
			"payload":   parts[0] + "." + flip(parts[1]) + "." + parts[2],
			"signature": parts[0] + "." + parts[1] + "." + flip(parts[2]),
			"none":      "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		} {
			if _, err := w.verify(changed); err == nil {
				t.Errorf("WEL-5: an ID token with another %s verifies", what)
			}
		}
		// WEL-3, ORD-2
		orders := newRP(t, o, "order-status", secret, "https://orders.example/cb", "openid")
		if e := orders.refusal(b.get(orders.start())); e != "invalid_scope" {
			t.Errorf("WEL-3: %s", e)
		}
		orders.Scopes = []string{"api", "email"}
		if e := orders.refusal(b.get(orders.start())); e != "invalid_scope" {
			t.Errorf("ORD-2: %s", e)
		}
		// ORD-1: limited scope, PKCE beside the secret, refresh with the secret only.
		orders.Scopes, orders.pkce = []string{"api", "refresh_token"}, oauth2.GenerateVerifier()
		none, limited := orders.signIn(b.get(orders.start()))
		if none != nil {
			t.Error("WEL-3: an ID token without openid")
		}
		// ORD-3
		if active, got := orders.active(limited.AccessToken); !active || got["username"] != "ana" || strings.Contains(got["scope"].(string), "orders") || !strings.Contains(got["scope"].(string), "api") {
			t.Errorf("ORD-3: %v", got)
		}
		if w.userinfo(limited) != nil {
			t.Error("ORD-3: a token without openid reads userinfo")
		}
		next, err := orders.refresh(limited.RefreshToken)
		if err != nil || next.AccessToken == limited.AccessToken {
			t.Errorf("ORD-1: refresh: %v", err)
		}
		if status, got := orders.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {limited.RefreshToken}, "client_secret": {"x"}}); status == 200 {
			t.Errorf("OA-CA-02: two ways to authenticate: %d %v", status, got)
		}
		orders.ClientSecret = "wrong"
		if code, status := oauthError(second(orders.refresh(limited.RefreshToken))); code != "invalid_client" || status != 401 {
			t.Errorf("ORD-1: wrong secret: %s %d", code, status)
		}
		orders.ClientSecret = secret
		// No scope asked: the app's defaults, said in the answer.
		orders.Scopes, orders.pkce = nil, ""
		_, limited = orders.signIn(b.get(orders.start()))
		if limited.Extra("scope") != "api" {
			t.Errorf("no scope asked: given %q", limited.Extra("scope"))
		}

		// Never a page with prompt=none; never silence with prompt=login or an old sign-in.
		if e := w.refusal(o.browser().get(w.start(param("prompt", "none")))); e != "login_required" {
			t.Errorf("OA-PR-01: %s", e)
		}
		if again, _ := w.signIn(b.get(w.start(param("prompt", "none")))); again.AuthTime != id.AuthTime || again.Subject != id.Subject {
			t.Errorf("P13: %+v", again)
		}
		if e := w.refusal(b.get(w.start(param("prompt", "none login")))); e != "invalid_request" {
			t.Errorf("OA-PR-01: none login: %s", e)
		}
		if again, _ := w.signIn(b.get(w.start(param("prompt", "none"), param("id_token_hint", raw)))); again.Subject != id.Subject {
			t.Errorf("id_token_hint: %+v", again)
		}
		ben := o.in("ben")
		if e := w.refusal(ben.get(w.start(param("prompt", "none"), param("id_token_hint", raw)))); e != "login_required" {
			t.Errorf("somebody else's id_token_hint: %s", e)
		}
		if again, _ := w.signIn(b.get(w.start(param("max_age", "10000")))); again.AuthTime != id.AuthTime {
			t.Errorf("max_age=10000: %+v", again)
		}
		time.Sleep(time.Until(time.Unix(id.AuthTime+2, 100e6)))
		p = b.get(w.start(param("prompt", "login"))).asks(t)
		if !strings.Contains(p.body, "Confirm it’s you") || !strings.Contains(p.body, `value="ana"`) {
			t.Errorf("prompt=login does not know who is there\n%s", p.body)
		}
		fresh, _ := w.signIn(b.fill(p, "password", password))
		if fresh.AuthTime <= id.AuthTime || fresh.Subject != id.Subject {
			t.Errorf("prompt=login: %+v", fresh)
		}
		time.Sleep(time.Until(time.Unix(fresh.AuthTime+2, 100e6)))
		again, _ := w.signIn(b.fill(b.get(w.start(param("max_age", "1"))).asks(t), "password", password))
		if again.AuthTime <= fresh.AuthTime {
			t.Errorf("max_age=1: %+v", again)
		}
		// OA-PR-02: neither the address where it goes on nor a reload without the parameter leads past.
		time.Sleep(10 * time.Millisecond)
		u := must(url.Parse(w.start(param("prompt", "login"))))
		p = b.post(u.Path, u.Query(), "https://wellness.example/").asks(t)
		b.get(p.resume()).asks(t)
		b.get(p.url.String()).asks(t)
		w.signIn(b.fill(p, "password", password))

		// What a client may send besides changes nothing.
		for _, extra := range [][2]string{{"display", "popup"}, {"ui_locales", "de en"}, {"claims_locales", "se"}, {"extra", "foobar"}, {"acr_values", "1 2"}, {"login_hint", "ana"}} {
			w.signIn(b.get(w.start(param(extra[0], extra[1]))))
		}
		if p = o.browser().get(w.start(param("login_hint", `an"><b>a`))).asks(t); strings.Contains(p.body, "<b>") || !strings.Contains(p.body, "an&#34;&gt;&lt;b&gt;a") {
			t.Errorf("login_hint: %s", p.body)
		}
		w.nonce = ""
		if c, _ := w.signIn(b.get(w.start())); c.all["nonce"] != nil {
			t.Errorf("a nonce nobody sent: %v", c.all)
		}
		// Wrong requests: a page until the return address is trusted, the client after that.
		for what, q := range map[string]string{
			"unknown client":            strings.Replace(w.start(), "client_id=wellness", "client_id=nobody", 1),
			"unregistered redirect_uri": w.start(param("redirect_uri", "https://wellness.example/cb/")),
		} {
			b.get(q).refused(t, what, 400)
		}
		if e := w.refusal(b.get(strings.Replace(w.start(), "response_type=code", "response_type=token", 1))); e != "unsupported_response_type" {
			t.Errorf("response_type=token: %s", e)
		}
		// Policy: told to the client in plain words, and in full to the admin.
		cyd := o.in("cyd")
		p = cyd.get(w.start())
		if e := w.refusal(p); e != "access_denied" {
			t.Errorf("OA-AZ-14: %s", e)
		}
		if ev := o.events("--code", "NoAccess", "--user", "cyd"); len(ev) != 1 || !strings.Contains(ev[0].Reason, "permitted-users") || ev[0].App != "Wellness_Tracker" {
			t.Errorf("OA-AZ-14: %+v", ev)
		}
		// WEL-4: the app's own life of an ID token.
		short := newRP(t, o, "short", secret, "https://short.example/cb", "openid")
		if c, _ := short.signIn(b.get(short.start())); c.Expires.Sub(c.Issued) != time.Minute {
			t.Errorf("WEL-4: %v", c.Expires.Sub(c.Issued))
		}
	})
}

// flip changes one character in the middle.
func flip(s string) string {
	c := byte('A')
	if s[len(s)/2] == c {
		c = 'B'
	}
	return s[:len(s)/2] + string(c) + s[len(s)/2+1:]
}

func second[T any](_ T, err error) error { return err }

// Codes and refresh tokens: once is once, and a thief's second use ends what the first gave.
func TestOIDCTokens(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		oidcOrg(t, o)
		b := o.in("ana")
		w := wellness(t, o)

		// OA-CD-01
		code := w.code(b.get(w.start()))
		token, err := w.exchange(code)
		if err != nil {
			t.Fatal(err)
		}
		if w.userinfo(token) == nil {
			t.Fatal("a fresh token does not work")
		}
		if code, status := oauthError(second(w.exchange(code))); code != "invalid_grant" || status != 400 {
			t.Errorf("OA-CD-01: second use: %s %d", code, status)
		}
		if w.userinfo(token) != nil {
			t.Error("OA-CD-01: the access token of the first use lives")
		}
		if code, _ := oauthError(second(w.refresh(token.RefreshToken))); code != "invalid_grant" {
			t.Errorf("OA-CD-01: the refresh token of the first use: %q", code)
		}
		// OA-RED-08, and a code of another client's
		code = w.code(b.get(w.start()))
		notes := newRP(t, o, "notes", secret, "https://wellness.example/cb")
		if code, _ := oauthError(second(notes.exchange(code))); code != "invalid_grant" {
			t.Errorf("another client's code: %q", code)
		}
		// OA-PK-02: sent, so it must be finished.
		w.pkce = oauth2.GenerateVerifier()
		code = w.code(b.get(w.start()))
		w.pkce = oauth2.GenerateVerifier()
		if code, _ := oauthError(second(w.exchange(code))); code != "invalid_grant" {
			t.Errorf("OA-PK-02: %q", code)
		}
		w.pkce = ""

		// P7, OA-PK-01: the public client needs PKCE, at whatever port it listens.
		pocket := newRP(t, o, "pocket", "", "http://127.0.0.1:49152/cb", "openid", "refresh_token")
		verifier := pocket.pkce
		pocket.pkce = ""
		if e := pocket.refusal(b.get(pocket.start())); e != "invalid_request" {
			t.Errorf("OA-PK-01: %s", e)
		}
		pocket.pkce = verifier
		// OA-RT-02, P9: rotation, with the grace of a lost answer.
		_, first := pocket.signIn(b.get(pocket.start()))
		next, err := pocket.refresh(first.RefreshToken)
		if err != nil || next.RefreshToken == first.RefreshToken {
			t.Fatalf("rotation: %v", err)
		}
		lost, err := pocket.refresh(first.RefreshToken)
		if err != nil || lost.RefreshToken != next.RefreshToken {
			t.Fatalf("P9: within the grace it is the same successor: %v", err)
		}
		// OA-RT-01: an older generation is a thief's.
		third, err := pocket.refresh(next.RefreshToken)
		if err != nil {
			t.Fatal(err)
		}
		if code, _ := oauthError(second(pocket.refresh(first.RefreshToken))); code != "invalid_grant" {
			t.Errorf("OA-RT-01: %q", code)
		}
		if code, _ := oauthError(second(pocket.refresh(third.RefreshToken))); code != "invalid_grant" {
			t.Errorf("OA-RT-01: the family lives on: %q", code)
		}
		if pocket.userinfo(third) != nil || pocket.userinfo(next) != nil {
			t.Error("OA-RT-01: access tokens of the family live on")
		}
		// OA-RT-05
		_, token = w.signIn(b.get(w.start()))
		if code, _ := oauthError(second(notes.refresh(token.RefreshToken))); code != "invalid_grant" && code != "unauthorized_client" {
			t.Errorf("OA-RT-05: %q", code)
		}
		// GW-MSG-2: without rotation fifty at once do not hurt each other.
		failed := make(chan error, 50)
		for range 50 {
			go func() { failed <- second(w.refresh(token.RefreshToken)) }()
		}
		for range 50 {
			if err := <-failed; err != nil {
				t.Errorf("GW-MSG-2: %v", err)
			}
		}
		// Revocation ends the grant.
		if status, _ := w.call("/oauth2/revoke", url.Values{"token": {token.RefreshToken}}); status != 200 {
			t.Errorf("revoke: %d", status)
		}
		if code, _ := oauthError(second(w.refresh(token.RefreshToken))); code != "invalid_grant" || w.userinfo(token) != nil {
			t.Errorf("after revocation: %q", code)
		}

		// OA-CD-07: what happens between code and token counts.
		for what, happens := range map[string]func(b *browser){
			"signed out":   func(b *browser) { b.post("/signout", url.Values{"decision": {"allow"}}, "here") },
			"unassigned":   func(*browser) { o.apply(person("ben", "groups: []")) },
			"switched off": func(*browser) { o.run("user", "deactivate", "ben") },
			"blocked":      func(*browser) { o.run("app", "block", "Wellness_Tracker") },
		} {
			o.apply(person("ben", "groups: [staff]"))
			b := o.in("ben")
			code := w.code(b.get(w.start()))
			happens(b)
			if code, status := oauthError(second(w.exchange(code))); code != "invalid_grant" && code != "invalid_client" || status == 200 {
				t.Errorf("OA-CD-07: %s: %q %d", what, code, status)
			}
			if what == "blocked" {
				o.run("app", "unblock", "Wellness_Tracker")
			}
			if what == "switched off" {
				o.run("user", "activate", "ben")
			}
		}

		// OA-RT-07: so does what happens later, for refresh, userinfo and introspection alike.
		for what, happens := range map[string]func(){
			"unassigned":    func() { o.apply(person("ben", "groups: []")) },
			"switched off":  func() { o.run("user", "deactivate", "ben") },
			"blocked":       func() { o.run("app", "block", "Wellness_Tracker") },
			"grant revoked": func() { o.run("grant", "revoke", "--user", "ben", "--app", "Wellness_Tracker") },
		} {
			o.apply(person("ben", "groups: [staff]"))
			_, token := w.signIn(o.in("ben").get(w.start()))
			if w.userinfo(token) == nil {
				t.Fatalf("OA-RT-07: %s: dead before", what)
			}
			happens()
			if code, status := oauthError(second(w.refresh(token.RefreshToken))); status < 400 {
				t.Errorf("OA-RT-07: %s: refresh %q %d", what, code, status)
			}
			if w.userinfo(token) != nil {
				t.Errorf("OA-RT-07: %s: userinfo answers", what)
			}
			switch what {
			case "blocked":
				o.run("app", "unblock", "Wellness_Tracker")
				if _, err := w.refresh(token.RefreshToken); err == nil {
					t.Error("unblocking brought a grant back to life")
				}
			case "switched off":
				o.run("user", "activate", "ben")
				if _, err := w.refresh(token.RefreshToken); err == nil {
					t.Error("activating brought a grant back to life")
				}
			}
		}
	})
}

// Consent is asked once for what a person has not agreed to yet, and no is an answer.
func TestConsent(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		oidcOrg(t, o)
		b := o.in("ana")
		n := newRP(t, o, "notes", secret, "https://notes.example/cb", "openid", "email")
		if e := n.refusal(b.get(n.start(param("prompt", "none")))); e != "consent_required" {
			t.Errorf("OA-PR-01: %s", e)
		}
		p := b.get(n.start())
		for _, want := range []string{"Notes asks for access", "Know who you are", "See your email address", "Ana Lima", "notes.example"} {
			if !strings.Contains(p.body, want) {
				t.Errorf("the consent page does not say %q\n%s", want, p.body)
			}
		}
		if strings.Index(p.body, `value="allow"`) > strings.Index(p.body, `value="deny"`) || !strings.Contains(p.body, `value="allow"`) {
			t.Error("allow does not come first")
		}
		// ORD-4
		if e := n.refusal(b.fill(p, "decision", "deny")); e != "access_denied" {
			t.Errorf("ORD-4: %s", e)
		}
		// OA-CO-01: another site's form decides nothing, and the form does not say what is granted.
		p = b.get(n.start())
		b.post(p.url.String(), url.Values{"decision": {"allow"}}, "https://evil.example").refused(t, "OA-CO-01", 403)
		id, token := n.signIn(b.fill(p, "decision", "allow", "scope", "openid email orders", "scopes", "orders"))
		if _, got := n.active(token.AccessToken); got["scope"] != "openid email" {
			t.Errorf("OA-CO-01: granted %v", got["scope"])
		}
		if again, _ := n.signIn(b.get(n.start())); again.Subject != id.Subject {
			t.Errorf("remembered consent: %+v", again)
		}
		n.signIn(b.get(n.start(param("prompt", "none"))))
		// OA-CO-03: a new scope asks again, in the org's own words for it.
		n.Scopes = append(n.Scopes, "orders")
		if p = b.get(n.start()); p.url.Path != "/consent" || !strings.Contains(p.body, "See your orders") {
			t.Errorf("OA-CO-03: %d %s\n%s", p.status, p.url, p.body)
		}
		n.signIn(b.fill(p, "decision", "allow"))
		if p = b.get(n.start(param("prompt", "consent"))); p.url.Path != "/consent" {
			t.Errorf("prompt=consent: %s", p.url)
		}
		// OA-CO-04: taken back on the account page.
		_, token = n.signIn(b.fill(p, "decision", "allow"))
		p = b.get("/account")
		if !strings.Contains(p.body, "Notes") {
			t.Fatalf("the account page does not show the grant\n%s", p.body)
		}
		for range 10 { // one after the other, all that Notes was given
			f := slices.IndexFunc(p.forms(), func(f form) bool { return f.action == "/account/grants" })
			if f < 0 {
				break
			}
			grant := attributes(p.forms()[f].body)["value"]
			p = b.post("/account/grants", url.Values{"id": {grant}}, "here")
		}
		if p.status != 200 || n.userinfo(token) != nil {
			t.Errorf("OA-CO-04: %d; the token still works", p.status)
		}
		if p = b.get(n.start()); p.url.Path != "/consent" {
			t.Errorf("OA-CO-04: consent was not taken back: %s", p.url)
		}
	})
}
