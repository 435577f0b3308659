package main_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

func TestChromium(t *testing.T) {
	t.Parallel()
	c := chromium(t)
	for name, f := range map[string]func(t *testing.T, c context.Context){
		"demo": testDemo, "another host behind the callback": testThirdHost, "keyboard": testKeyboard, "without scripts": testNoScript, "narrow": testNarrow, "sign-out by an app": testLogout,
	} {
		t.Run(name, func(t *testing.T) { f(t, c) })
	}
}

// The whole demo, clicked through.
func testDemo(t *testing.T, c context.Context) {
	d := startDemo(t)
	b := newTab(t, c)
	benefits, wellness, orders := d.app(t, "Your Benefits"), d.app(t, "Wellness Tracker"), d.app(t, "Orders")
	ana := d.Users[0]

	// One signs in once, at the first app, …
	b.open(benefits)
	b.shot("demo-benefits-out")
	b.click("Sign in with SAML")
	b.sees("to continue to Your Benefits")
	b.at(d.URL + "/signin")
	b.shot("signin")
	b.dark(true)
	b.shot("signin-dark")
	b.dark(false)
	b.signIn(ana.Username, ana.Password)
	b.sees("answered this app's own AuthnRequest")
	b.at(benefits + "/")
	b.sees("ana@example.com")
	b.sees("Finance")
	b.shot("demo-benefits")
	// … and is in all of them.
	b.click("Back to the launcher")
	b.sees("Your apps")
	b.at(d.URL + "/apps")
	b.shot("apps")
	b.dark(true)
	b.shot("apps-dark")
	b.dark(false)
	b.click("Wellness Tracker")
	b.sees("signature, issuer, audience and nonce were verified")
	b.at(wellness + "/")
	b.sees(`"email": "ana@example.com"`)
	b.shot("demo-wellness")
	b.click("Back to the launcher")
	b.sees("Your apps")
	b.click("Orders")
	b.sees("Orders asks for access")
	b.shot("consent")
	b.click("Allow")
	b.sees("Gateway's answer")
	b.at(orders + "/")
	b.sees("200 OK")
	b.sees("Standing desk")
	b.shot("demo-orders")
	b.click("As the service")
	b.sees("unattended client")
	b.sees("200 OK")
	b.click("With a changed token")
	b.sees("401 Unauthorized")
	b.click("Back to the launcher")
	b.sees("Your apps")
	// The tile of the SAML app starts it here.
	b.click("Your Benefits")
	b.sees("started at the identity provider")
	b.click("Back to the launcher")
	b.click("Sign out")
	b.sees("You are signed out")
	b.shot("signedout")
	b.open(d.URL + "/apps")
	b.sees("Username or email")
	b.clean(d.hosts()...)

	// Ben may not use Your Benefits, and sees why.
	n := newTab(t, c)
	n.open(benefits + "/in")
	n.signIn(d.Users[1].Username, d.Users[1].Password)
	n.sees("No access to Your Benefits")
	n.shot("denied")
	n.open(d.URL + "/apps")
	n.sees("Wellness Tracker")
	n.clean(d.hosts()...)
}

// elsewhere is an app whose callback leads on to a third host, as many do: a policy of ours that names where forms may
// lead (CSP form-action) would stop the browser there. It answers at /acs and /cb, and says at the end what it was sent.
type elsewhere struct {
	app, third string
	got        chan string // the code or the response
}

func newElsewhere(t *testing.T) *elsewhere {
	t.Helper()
	e := &elsewhere{got: make(chan string, 10)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		switch r.URL.Path {
		case "/acs", "/cb":
			e.got <- r.FormValue("code") + r.FormValue("SAMLResponse") + r.FormValue("error")
			http.Redirect(w, r, e.third+"/landed", http.StatusFound)
		case "/landed":
			_, _ = w.Write([]byte(`<!doctype html><title>Landed</title><link rel="icon" href="data:,"><body>landed at ` + r.Host))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	e.app, e.third = "http://localhost:"+port, "http://third.localhost:"+port
	return e
}

// browserOrg is a house for one browser, with Ana and apps elsewhere.
func browserOrg(t *testing.T) (*org, *elsewhere) {
	t.Helper()
	o, e := newOrg(t, storetest.SQLite), newElsewhere(t)
	o.apply("kind: Group\nname: staff", "kind: Scope\nname: orders\nlabel: See your orders", person("ana", "givenName: Ana\nfamilyName: Lima\ngroups: [staff]"),
		"kind: App\nname: Your Benefits\nsaml: {entityID: https://benefits.example/meta, acs: [{url: \""+e.app+"/acs\"}]}\npolicy: {groups: [staff]}",
		"kind: App\nname: Closed\nsaml: {entityID: https://closed.example/meta, acs: [{url: \""+e.app+"/acs2\"}]}\npolicy: {groups: []}",
		client("Wellness Tracker", "wellness", e.app+"/cb", "clientSecret: {plain: "+secret+"}\nscopes: [openid, email]\nflows: {authorizationCode: true}", "{groups: [staff]}"),
		client("Notes", "notes", e.app+"/cb", "clientSecret: {plain: "+secret+"}\nscopes: [openid, email, orders]\nflows: {authorizationCode: true}", "{permittedUsers: self-authorize}"),
	)
	o.serve()
	return o, e
}

func (e *elsewhere) sp(t *testing.T, o *org) *sp {
	s := newSP(t, "benefits.example").meet(o)
	s.AcsURL = *must(s.AcsURL.Parse(e.app + "/acs"))
	return s
}

func testThirdHost(t *testing.T, c context.Context) {
	o, e := browserOrg(t)
	s, w, n := e.sp(t, o), newRP(t, o, "wellness", secret, e.app+"/cb", "openid"), newRP(t, o, "notes", secret, e.app+"/cb", "openid")
	for _, x := range []struct {
		name, start string
		then        func(b *tab)
	}{
		{"SAML after sign-in", s.redirect(s.request(), "r"), func(b *tab) { b.signIn("ana", password) }},
		{"OpenID Connect after sign-in", w.start(), func(b *tab) { b.signIn("ana", password) }},
		{"OpenID Connect after sign-in and consent", n.start(), func(b *tab) {
			b.signIn("ana", password)
			b.sees("Notes asks for access")
			b.click("Allow")
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			b := newTab(t, c)
			b.open(x.start)
			x.then(b)
			b.sees("landed at third.localhost")
			if len(<-e.got) < 20 {
				t.Error("the app got no answer")
			}
			// And without being asked anything.
			b.open(o.url + "/saml/launch/Your_Benefits")
			b.sees("landed at third.localhost")
			<-e.got
			b.clean(o.url, e.app, e.third)
		})
	}
}

// Everything can be done from the keyboard, and one sees where one is.
func testKeyboard(t *testing.T, c context.Context) {
	o, e := browserOrg(t)
	n := newRP(t, o, "notes", secret, e.app+"/cb", "openid", "orders")
	b := newTab(t, c)
	focus := func() string {
		return ask[string](b, `(e => e.tagName === 'BODY' ? '' : e.innerText || e.name || e.tagName)(document.activeElement)`)
	}
	seen := func(what string) {
		t.Helper()
		if !ask[bool](b, `(s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 || s.boxShadow !== 'none')(getComputedStyle(document.activeElement))`) {
			t.Errorf("one does not see that %s has the focus", what)
		}
	}
	b.open(n.start())
	b.sees("to continue to Notes")
	if focus() != "username" {
		t.Errorf("the focus is on %s", focus())
	}
	b.keys("ana\twrong\r")
	b.sees("is not right")
	if got := ask[string](b, `document.getElementById('username').value`); got != "ana" || focus() != "password" {
		t.Errorf("after a wrong password the name is %q and the focus on %s", got, focus())
	}
	b.shot("signin-wrong")
	b.keys(password + "\r")
	b.sees("Notes asks for access")
	b.sees("See your orders")
	for i := 0; focus() != "Don’t allow"; i++ {
		if i == 10 {
			t.Fatalf("Don’t allow is not reached by tab; the focus is on %s", focus())
		}
		if b.keys("\t"); focus() != "" {
			seen(focus())
		}
	}
	b.shot("consent-focus")
	b.keys("\r")
	b.sees("landed at third.localhost")
	if got := <-e.got; got != "access_denied" {
		t.Errorf("ORD-4: the app got %q", got)
	}
	// Back shows the question again; it was answered, and the page says where to begin anew.
	b.leave(`history.back()`)
	b.sees("Notes asks for access")
	b.leave(`document.querySelector('[value=allow]').click()`)
	b.sees("Open Notes")
	b.shot("answered")
	b.open(n.start(param("prompt", "consent")))
	b.sees("Notes asks for access")
	b.keys("\t\t\r") // past "Not you?"
	b.sees("landed at third.localhost")
	if got := <-e.got; len(got) < 20 {
		t.Errorf("allowed, but the app got %q", got)
	}
	// The launcher and the way out.
	b.open(o.url + "/apps")
	b.sees("Your apps")
	b.keys("\t")
	seen("the link past the header")
	if focus() != "Skip to content" {
		t.Errorf("first comes %q", focus())
	}
	b.keys("\r\t")
	seen("the first app")
	b.keys("\r")
	b.do(chromedp.Sleep(200 * time.Millisecond))
	b.open(o.url + "/signout")
	b.sees("Sign out?")
	for focus() != "Sign out" {
		b.keys("\t")
	}
	b.keys(" ")
	b.sees("You are signed out")
	b.clean(o.url, e.app, e.third, "https://notes.example")
}

// Without scripts everything works; only the page between here and a SAML app wants one more click.
func testNoScript(t *testing.T, c context.Context) {
	o, e := browserOrg(t)
	s, n := e.sp(t, o), newRP(t, o, "notes", secret, e.app+"/cb", "openid")
	b := newTab(t, c)
	b.noScript()
	b.open(s.redirect(s.request(), "r"))
	b.sees("to continue to Your Benefits")
	b.signIn("ana", password)
	b.sees("Opening Your Benefits")
	b.shot("autopost")
	b.click("Continue to Your Benefits")
	b.sees("landed at third.localhost")
	if len(<-e.got) < 200 {
		t.Error("the app got no response")
	}
	b.open(n.start())
	b.click("Allow")
	b.sees("landed at third.localhost")
	<-e.got
	b.open(o.url + "/account")
	b.sees("Where you are signed in")
	b.click("Sign out")
	b.sees("You are signed out")
	b.clean(o.url, e.app, e.third)
}

// Every page fits a telephone of 320 pixels, and says what its controls are.
func testNarrow(t *testing.T, c context.Context) {
	o, e := browserOrg(t)
	s, w, n := e.sp(t, o), newRP(t, o, "wellness", secret, e.app+"/cb", "openid"), newRP(t, o, "notes", secret, e.app+"/cb", "openid", "email", "orders")
	b := newTab(t, c)
	b.open(w.start())
	b.sees("to continue to")
	b.fits("signin")
	b.keys("ana\twrong\r")
	b.sees("is not right")
	b.fits("signin-wrong")
	b.keys(password + "\r")
	b.sees("landed at")
	b.noScript()
	for _, page := range []struct{ name, address, says string }{
		{"apps", "/apps", "Your apps"}, {"account", "/account", "Where you are signed in"}, {"password", "/account/password", "Current password"},
		{"consent", n.start(), "Notes asks for access"}, {"signin-again", w.start(param("prompt", "login")), "Confirm it’s you"}, {"signout", "/signout", "Sign out?"},
		{"denied", "/saml/launch/Closed", "No access to Closed"}, {"notfound", "/no/such/page", "404"}, {"stale", "/signin?ask=x", "expired"},
		{"unknown-app", strings.Replace(w.start(), "client_id=wellness", "client_id=nobody", 1), "Unknown app"},
		{"autopost", s.redirect(s.request(), ""), "Opening Your Benefits"}, {"setup-closed", "/setup?link=x", "closed"},
	} {
		if strings.HasPrefix(page.address, "/") {
			page.address = o.url + page.address
		}
		b.open(page.address)
		b.sees(page.says)
		b.fits(page.name)
		b.shot(page.name)
	}
	b.open(o.url + "/signout")
	b.click("Sign out")
	b.sees("You are signed out")
	b.fits("signedout")
	b.clean(o.url, e.app, e.third)

	// The first page of all.
	empty := newOrg(t, storetest.SQLite)
	link := empty.setupLink(empty.serve())
	b = newTab(t, c)
	b.open(link)
	b.sees("Welcome to Lanyard")
	b.fits("setup")
	b.shot("setup")
	b.do(chromedp.SendKeys(chromedp.CSS("#givenName"), "Rosa\tDiaz\trosa@example.com\trosa\t"+password+"\t"+password+"\r"))
	b.sees("No apps yet")
	b.fits("apps-none")
	b.shot("apps-none")
	b.clean(empty.url)
}
