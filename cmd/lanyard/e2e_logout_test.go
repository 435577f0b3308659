package main_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"golang.org/x/oauth2"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

const byeURI = "https://wellness.example/bye?from=here"

// logoutOrg is a house with Ana and Ben, a client that signs its people out, and one that does not.
func logoutOrg(t *testing.T, o *org) {
	t.Helper()
	confidential := "clientSecret: {plain: " + secret + "}\n"
	o.apply("kind: Group\nname: staff", "kind: Scope\nname: orders\naudience: https://orders.example", person("ana", "givenName: Ana\nfamilyName: Lima\ngroups: [staff]"), person("ben", "groups: [staff]"),
		client("Wellness Tracker", "wellness", "https://wellness.example/cb", confidential+"postLogoutRedirectURIs: [\""+byeURI+"\"]\n"+
			"scopes: [openid, profile, email, groups, refresh_token, orders]\nflows: {authorizationCode: true, refresh: true}", "{groups: [staff]}"),
		client("Notes", "notes", "https://notes.example/cb", confidential+"scopes: [openid]\nflows: {authorizationCode: true}", "{groups: [staff]}"),
	)
	o.serve()
}

// out is where a client sends the browser to have it signed out: the end_session_endpoint of discovery, with parameters.
func (r *rp) out(pairs ...string) string {
	r.t.Helper()
	var told struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := r.op.Claims(&told); err != nil || told.EndSession != r.o.url+"/oauth2/logout" {
		r.t.Fatalf("oidcc-rp-initiated-logout-discovery-endpoint-verification: %q, %v", told.EndSession, err)
	}
	return told.EndSession + "?" + pairsOf(pairs).Encode()
}

func pairsOf(pairs []string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// enter signs in at the client and returns the raw ID token and the tokens beside it.
func (r *rp) enter(b *browser) (string, *oauth2.Token) {
	r.t.Helper()
	_, token := r.signIn(b.get(r.start()))
	raw, _ := token.Extra("id_token").(string)
	return raw, token
}

// left demands that the browser has been led to that address, and to no other.
func (p *page) left(t *testing.T, what, want string) {
	t.Helper()
	if p.status != 0 || p.url.String() != want {
		t.Errorf("%s: %d %s by %v\n%s", what, p.status, p.url, p.way, p.body)
	}
}

// RP-Initiated Logout, as a client on go-oidc and its person's browser see it.
func TestLogout(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		logoutOrg(t, o)
		w := wellness(t, o)
		nodes := o.nodes[:1]
		if strings.Contains(strings.Join(o.env, " "), "LANYARD_DATABASE=postgres") {
			nodes = append(nodes, o.serve())
		}
		out := func(b *browser, what string) {
			t.Helper()
			for _, n := range nodes { // OA-LO-04
				b.at = n
				if code := w.refusal(b.get(w.start(param("prompt", "none")))); code != "login_required" {
					t.Errorf("%s: prompt=none says %q", what, code)
				}
			}
			b.at = nodes[0]
		}

		b := o.in("ana")
		id, token := w.enter(b)
		pending := w.code(b.get(w.start()))
		cookies := b.jar.Cookies(b.home)
		b.get(w.out("id_token_hint", id, "post_logout_redirect_uri", byeURI, "state", "s t=1")).left(t, "oidcc-rp-initiated-logout", byeURI+"&state=s+t%3D1")
		out(b, "oidcc-rp-initiated-logout")
		if e := o.events("--code", "SignOut"); len(e) != 1 || e[0].User != "ana" || e[0].App != "Wellness_Tracker" || e[0].Outcome != "ok" {
			t.Errorf("the event says %+v", e)
		}
		replay := o.browser()
		replay.jar.SetCookies(replay.home, cookies)
		replay.get("/apps").asks(t)
		// A code that was not redeemed yet is dead; what the app may do while its person is away goes on.
		if code, _ := oauthError(second(w.exchange(pending))); code != "invalid_grant" {
			t.Errorf("a code from before: %q", code)
		}
		if _, err := w.refresh(token.RefreshToken); err != nil || w.userinfo(token) == nil {
			t.Errorf("refreshed after sign-out: %v", err)
		}
		b.get(w.out("id_token_hint", id, "post_logout_redirect_uri", byeURI)).left(t, "nobody is there any more", byeURI)

		// By POST from the client's own site, which brings no cookie of ours; and with the keys moved on since.
		b = o.in("ana")
		id, _ = w.enter(b)
		o.run("key", "rotate", "--force")
		form := pairsOf([]string{"id_token_hint", id, "post_logout_redirect_uri", byeURI, "state", "s"})
		p := b.post("/oauth2/logout", form, "https://wellness.example/")
		if p.left(t, "by POST", byeURI+"&state=s"); len(p.way) != 2 || p.way[1] != "/oauth2/continue" {
			t.Errorf("by POST: by %v", p.way)
		}
		out(b, "by POST")

		// OA-LO-02: a hint that is somebody else's ends nobody's session without a word.
		b = o.in("ben")
		w.enter(b)
		p = b.get(w.out("id_token_hint", id, "post_logout_redirect_uri", byeURI, "state", "s"))
		if p.status != 200 || p.url.Path != "/signout" || !strings.Contains(p.body, "Wellness Tracker asks to sign somebody out, but you are signed in as ben") {
			t.Fatalf("somebody else's hint: %d %s\n%s", p.status, p.url, p.body)
		}
		// WEB-01: the button is this house's own.
		foreign := b.walk("POST", must(p.url.Parse(p.forms()[0].action)).String(), url.Values{"decision": {"allow"}}, must(url.Parse("https://evil.example/")))
		foreign.refused(t, "WEB-01: the form, posted by another site", 403)
		if q := b.fill(p, "decision", "deny"); q.url.Path != "/apps" || q.status != 200 {
			t.Errorf("stayed: %d %s", q.status, q.url)
		}
		b.fill(p, "decision", "allow").left(t, "somebody else's hint, allowed", byeURI+"&state=s")
		out(b, "somebody else's hint, allowed")

		// Without a hint one is asked, and not led away. An image of another site's has no effect, with a hint or without.
		b = o.in("ana")
		id, _ = w.enter(b)
		for what, address := range map[string]string{
			"-no-params": w.out(), "-only-state": w.out("state", "s"), "-no-id-token-hint": w.out("post_logout_redirect_uri", byeURI, "state", "s"),
		} {
			p := b.get(address)
			if p.status != 200 || p.url.Path != "/signout" || !strings.Contains(p.body, "Sign out?") {
				t.Errorf("%s: %d %s\n%s", what, p.status, p.url, p.body)
			}
		}
		for _, address := range []string{w.out(), w.out("id_token_hint", id, "post_logout_redirect_uri", byeURI), o.url + "/signout"} {
			q := must(http.NewRequest("GET", address, nil))
			q.Header.Set("Sec-Fetch-Site", "cross-site")
			q.Header.Set("Sec-Fetch-Dest", "image")
			res := must(b.http.Do(q))
			res.Body.Close()
			for _, c := range res.Cookies() {
				if c.MaxAge < 0 {
					t.Errorf("SAML-SLO-04: an image of %s takes the cookie %s away", address, c.Name)
				}
			}
		}
		// OA-LO-01: what is not right leads nowhere and ends nothing.
		other := newRP(t, o, "notes", secret, "https://notes.example/cb", "openid")
		for what, address := range map[string]string{
			"-bad-post-logout-redirect-uri": w.out("id_token_hint", id, "post_logout_redirect_uri", "https://wellness.example/"),
			"-query-added":                  w.out("id_token_hint", id, "post_logout_redirect_uri", byeURI+"&x=1"),
			"-modified-id-token-hint":       w.out("id_token_hint", "eyJhbGciOiJub25lIn0."+strings.Split(id, ".")[1]+".", "post_logout_redirect_uri", byeURI),
			"another client's":              w.out("id_token_hint", id, "client_id", "notes"),
			"registered for another":        other.out("client_id", "notes", "post_logout_redirect_uri", byeURI),
			"an access token":               w.out("id_token_hint", token.AccessToken, "post_logout_redirect_uri", byeURI),
			"OA-AZ-01":                      w.out("id_token_hint", id, "state", "s") + "&state=s",
		} {
			ref := b.get(address).refused(t, what, 400)
			if e := o.events("--ref", ref); len(e) != 1 || e[0].Outcome != "refused" || e[0].Reason == "" || strings.Contains(e[0].Reason, "eyJ") {
				t.Errorf("%s: the event says %+v", what, e)
			}
		}
		if p := b.get("/apps"); p.url.Path != "/apps" {
			t.Errorf("signed out by one of these: %s", p.url)
		}
		// The client names itself, its person says yes: led back.
		p = b.get(w.out("client_id", "wellness", "post_logout_redirect_uri", byeURI))
		b.fill(p, "decision", "allow").left(t, "by client_id", byeURI)
		out(b, "by client_id")
	})
}

// A proxy asks if a token is good: NGINX auth_request, Traefik, Caddy, Envoy.
func TestProxyCheck(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		logoutOrg(t, o)
		w := newRP(t, o, "wellness", secret, "https://wellness.example/cb", "openid", "orders")
		_, token := w.enter(o.in("ana"))
		check := func(method, query string, token *oauth2.Token) *http.Response {
			t.Helper()
			q := must(http.NewRequest(method, o.url+"/oauth2/check?"+query, nil))
			if token != nil {
				token.SetAuthHeader(q)
			}
			res := must(w.http.Do(q))
			res.Body.Close()
			return res
		}
		const wanted = "scope=orders&audience=https://orders.example"
		for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
			res := check(method, wanted, token)
			if h := res.Header; res.StatusCode != 204 || h.Get("X-Lanyard-User") != "ana" || h.Get("X-Lanyard-Client") != "wellness" || h.Get("X-Lanyard-Scope") != "openid orders" || h.Get("X-Lanyard-Subject") == "" {
				t.Errorf("%s: %d %v", method, res.StatusCode, h)
			}
		}
		no := func(what, query string, token *oauth2.Token, status int, say string) {
			t.Helper()
			if res := check("GET", query, token); res.StatusCode != status || !strings.Contains(res.Header.Get("WWW-Authenticate"), say) || res.Header.Get("X-Lanyard-User") != "" {
				t.Errorf("%s: %d %v", what, res.StatusCode, res.Header)
			}
		}
		no("no token", wanted, nil, 401, `Bearer realm="`+o.url+`"`)
		no("a wrong one", wanted, &oauth2.Token{AccessToken: token.AccessToken + "x"}, 401, `error="invalid_token"`)
		no("another API", "audience=https://stock.example", token, 401, `error="invalid_token"`)
		no("more", "scope=orders+email", token, 403, `error="insufficient_scope"`)
		// Whatever an admin changes counts with the next request.
		o.run("user", "deactivate", "ana")
		no("the person is not active", wanted, token, 401, `error="invalid_token"`)
		o.run("user", "activate", "ana")
		_, token = w.enter(o.in("ana"))
		if res := check("GET", wanted, token); res.StatusCode != 204 {
			t.Errorf("active again: %d", res.StatusCode)
		}
		o.run("app", "block", "Wellness_Tracker")
		no("the app is blocked", wanted, token, 401, `error="invalid_token"`)
		o.run("app", "unblock", "Wellness_Tracker")
		no("what was given before the block", wanted, token, 401, `error="invalid_token"`)
	})
}

// The question is read, and answered, on every screen.
func testLogout(t *testing.T, c context.Context) {
	o, e := newOrg(t, storetest.SQLite), newElsewhere(t)
	const long = "The Application With A Name That Goes On And On So That Nobody Remembers Its Beginning At The End"
	o.apply("kind: Group\nname: staff", person("ana", "givenName: Ana\nfamilyName: Lima\ngroups: [staff]"),
		client("Wellness Tracker", "wellness", e.app+"/cb", "clientSecret: {plain: "+secret+"}\nscopes: [openid]\nflows: {authorizationCode: true}\npostLogoutRedirectURIs: [\""+e.app+"/landed\"]", "{groups: [staff]}"),
		client(long, "long", e.app+"/cb", "clientSecret: {plain: "+secret+"}\nscopes: [openid]\nflows: {authorizationCode: true}", "{groups: [staff]}"))
	o.serve()
	w := newRP(t, o, "wellness", secret, e.app+"/cb", "openid")
	id, _ := w.enter(o.in("ana")) // at another browser

	b := newTab(t, c)
	b.open(o.url + "/apps")
	b.signIn("ana", password)
	b.sees("Your apps")
	for _, page := range []struct{ name, address, says string }{
		{"logout", w.out("id_token_hint", id, "post_logout_redirect_uri", e.app+"/landed", "state", "s"), "Wellness Tracker asks to sign you out."},
		{"logout-long", w.out("client_id", "long"), "So That Nobody Remembers"},
		{"logout-nobody", w.out(), "You will have to sign in again"},
		{"logout-refused", w.out("id_token_hint", "x"), "You were not signed out"},
		{"logout-address", w.out("client_id", "wellness", "post_logout_redirect_uri", "https://evil.example/"), "not registered for it"},
	} {
		b.open(page.address)
		b.sees(page.says)
		b.fits(page.name)
		if os.Getenv("LANYARD_SCREENSHOTS") == "" {
			continue
		}
		for _, wide := range []int64{320, 768, 1280} {
			b.do(chromedp.EmulateViewport(wide, 800))
			for scheme, dark := range map[string]bool{"light": false, "dark": true} {
				b.dark(dark)
				b.shot(fmt.Sprintf("%s-%d-%s", page.name, wide, scheme))
			}
		}
		b.dark(false)
	}
	// A page that refuses leads to the question all the same.
	b.click("Sign out")
	b.sees("Sign out?")
	b.click("Stay signed in")
	b.sees("Your apps")
	// By the keyboard: the first button signs out, and the browser is led through the client's own hosts.
	b.open(w.out("id_token_hint", id, "post_logout_redirect_uri", e.app+"/landed", "state", "s"))
	b.sees("asks to sign you out")
	for range 10 {
		if b.keys("\t"); ask[string](b, `document.activeElement.value || ''`) == "allow" {
			break
		}
	}
	b.keys("\r")
	b.sees("landed at localhost")
	if got := b.where(); got != e.app+"/landed?state=s" {
		t.Errorf("at %s", got)
	}
	b.open(o.url + "/apps")
	b.sees("Username or email")
	// With the ID token of this very session nobody is asked.
	b.signIn("ana", password)
	b.sees("Your apps")
	b.open(w.start())
	b.sees("landed at third.localhost")
	token := must(w.exchange(<-e.got))
	b.open(w.out("id_token_hint", token.Extra("id_token").(string), "post_logout_redirect_uri", e.app+"/landed"))
	b.sees("landed at localhost")
	b.open(o.url + "/apps")
	b.sees("Username or email")
	b.clean(o.url, e.app, e.third)
}
