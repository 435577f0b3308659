package oidc_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/oidc"
)

const byeURI = "https://app.example/bye?a=%7E"

// leaver registers a client that browsers come back to.
func (h *house) leaver(name string) *oidc.Client {
	h.t.Helper()
	return h.client(name, func(c *oidc.Client, _ *idp.Installation) {
		c.PostLogoutRedirectURIs = []string{byeURI, "https://app.example/"}
	})
}

// logout asks for sign-out: "name", "value"; a value of "-" leaves it out.
func (b *browser) logout(pairs ...string) *answer {
	b.h.t.Helper()
	return b.get("/oauth2/logout?" + leaving(pairs...).Encode())
}

func leaving(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if v.Set(pairs[i], pairs[i+1]); pairs[i+1] == "-" {
			v.Del(pairs[i])
		}
	}
	return v
}

// in tells if somebody is signed in at the browser.
func (b *browser) in(client string) bool {
	b.h.t.Helper()
	return b.h.back(b.ask(client, "prompt", "none")).Get("error") != "login_required"
}

// idToken signs the person in at client and returns the ID token.
func (b *browser) idToken(client string) string {
	b.h.t.Helper()
	return b.h.ok(b.h.redeem(client, b.code(client))).text("id_token")
}

// to holds an answer to being a redirect to that very address.
func (h *house) to(a *answer, want string) {
	h.t.Helper()
	if got := a.Header.Get("Location"); a.Status != http.StatusSeeOther || got != want {
		h.t.Errorf("%d to %q, want %q\n%.300s", a.Status, got, want, a.Text)
	}
}

// asks holds an answer to asking the person, and returns where that leads.
func (h *house) asks(a *answer, other bool) (app, back string) {
	h.t.Helper()
	to, err := url.Parse(a.Header.Get("Location"))
	h.must(err)
	if a.Status != http.StatusSeeOther || to.Path != "/test/leave" || to.Query().Get("other") != fmt.Sprint(other) {
		h.t.Errorf("nobody is asked: %d %s %.300s", a.Status, a.Header.Get("Location"), a.Text)
	}
	return to.Query().Get("app"), to.Query().Get("back")
}

// TestLogoutLadder: each rung refuses something, with a page; nobody is sent anywhere, and the session lives.
func TestLogoutLadder(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.leaver("rp")
		h.leaver("other")
		gone := h.leaver("gone")
		b := h.browser("ana")
		token, ana := b.idToken("rp"), h.people["ana"].ID
		lost := b.idToken("gone")
		h.must(h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.DropApp(h.org.ID, gone.App) }))
		parts := strings.Split(token, ".")
		hint := func(ring int, kind, payload string) string {
			return h.signed(rings()[ring], kind, strings.NewReplacer("ISS", h.url, "ANA", ana).Replace(payload))
		}
		const good = `{"iss":"ISS","aud":"rp","sub":"ANA","iat":1,"exp":2}`
		if _, back := h.asks(b.logout("id_token_hint", hint(0, "JWT", good), "post_logout_redirect_uri", byeURI), false); back != byeURI {
			t.Errorf("a hint that names no session leads to %q", back)
		}
		refused := map[string]bool{}
		for i, c := range []struct {
			id, rung string
			pairs    []string
		}{
			{"oidcc-rp-initiated-logout-bad-post-logout-redirect-uri", "post_logout_redirect_uri", []string{"post_logout_redirect_uri", "https://evil.example/"}},
			{"oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri", "post_logout_redirect_uri", []string{"post_logout_redirect_uri", byeURI + "&b=1"}},
			{"OA-LO-01", "post_logout_redirect_uri", []string{"post_logout_redirect_uri", strings.Replace(byeURI, "%7E", "~", 1)}},
			{"OA-LO-01", "post_logout_redirect_uri", []string{"post_logout_redirect_uri", "https://app.example"}},
			{"OA-LO-01", "post_logout_redirect_uri", []string{"post_logout_redirect_uri", "https://app.example/?x"}},
			{"OA-LO-01", "post_logout_redirect_uri", []string{"post_logout_redirect_uri", "HTTPS://app.example/"}},
			{"OA-LO-01", "post_logout_redirect_uri", []string{"post_logout_redirect_uri", "https://app.example/\n"}},
			{"OA-LO-01", "post_logout_redirect_uri", []string{"post_logout_redirect_uri", redirectURI}},
			{"OA-LO-01 without a hint", "post_logout_redirect_uri", []string{"id_token_hint", "-", "client_id", "rp", "post_logout_redirect_uri", "https://evil.example/"}},
			{"OA-LO-01 in state", "post_logout_redirect_uri", []string{"post_logout_redirect_uri", "https://app.example/?state=x"}},
			{"oidcc-rp-initiated-logout-modified-id-token-hint", "id_token_hint", []string{"id_token_hint", "eyJhbGciOiJub25lIn0." + parts[1] + "."}},
			{"OA-JWT-01", "id_token_hint", []string{"id_token_hint", parts[0] + "." + parts[1] + "."}},
			{"OA-JWT-01", "id_token_hint", []string{"id_token_hint", parts[0] + "." + parts[1]}},
			{"OA-LO-02", "id_token_hint", []string{"id_token_hint", parts[0] + "." + parts[1][:len(parts[1])-4] + "AAAA." + parts[2]}},
			{"oidcc-rp-initiated-logout-bad-id-token-hint", "id_token_hint", []string{"id_token_hint", hint(1, "JWT", good)}},
			{"OA-JWT-06 access token", "id_token_hint", []string{"id_token_hint", hint(0, "at+jwt", good)}},
			{"OA-JWT-06 logout token", "id_token_hint", []string{"id_token_hint", hint(0, "logout+jwt", good)}},
			{"OA-JWT-06 logout token of no type", "id_token_hint", []string{"id_token_hint", hint(0, "JWT", strings.Replace(good, "{", `{"events":{},`, 1))}},
			{"OA-JWT-06 no end", "id_token_hint", []string{"id_token_hint", hint(0, "JWT", strings.Replace(good, `,"exp":2`, "", 1))}},
			{"OA-JWT-06 no beginning", "id_token_hint", []string{"id_token_hint", hint(0, "JWT", strings.Replace(good, `"iat":1,`, "", 1))}},
			{"OA-JWT-06 opaque", "id_token_hint", []string{"id_token_hint", h.ok(h.redeem("rp", b.code("rp"))).text("access_token")}},
			{"OA-JWT-11", "id_token_hint", []string{"id_token_hint", hint(0, "JWT", strings.Replace(good, "ISS", "ISS/", 1))}},
			{"OA-LO-02 no subject", "id_token_hint", []string{"id_token_hint", hint(0, "JWT", strings.Replace(good, "ANA", "", 1))}},
			{"OA-LO-02 two audiences", "id_token_hint", []string{"id_token_hint", hint(0, "JWT", strings.Replace(good, `"rp"`, `["rp","other"]`, 1))}},
			{"OA-LO-02 an app that is gone", "id_token_hint", []string{"id_token_hint", lost}},
			{"OA-JWT-04", "id_token_hint", []string{"id_token_hint", strings.Repeat("a.", 4000)}},
			{"another client's hint", "client_id", []string{"client_id", "other"}},
			{"unknown client", "client_id", []string{"id_token_hint", "-", "client_id", "unknown"}},
			{"unknown client", "client_id", []string{"id_token_hint", "-", "client_id", "RP"}},
			{"OA-AZ-04", "parameters", []string{"state", strings.Repeat("s", 10<<10)}},
			{"OA-AZ-04", "parameters", []string{"state", "\xff"}},
			{"OA-JWT-04", "parameters", []string{"id_token_hint", strings.Repeat("a", 33<<10)}},
		} {
			a := b.logout(append([]string{"id_token_hint", token, "post_logout_redirect_uri", byeURI, "state", "s"}, c.pairs...)...)
			name := fmt.Sprintf("%s #%d", c.id, i)
			if h.local(a); !strings.Contains(a.Text, `href="/signout"`) {
				t.Errorf("%s: the page does not say where to sign out: %s", name, a.Text)
			}
			if ev := h.event(a); !strings.HasPrefix(ev.Reason, c.rung+": ") || strings.Contains(ev.Reason, parts[2]) {
				t.Errorf("%s: refused with the reason %q, not on the rung %s", name, ev.Reason, c.rung)
			}
			if refused[c.rung] = true; !b.in("rp") {
				t.Fatalf("%s: signed out", name)
			}
		}
		for _, name := range oidc.LogoutRungs() {
			if !refused[name] {
				t.Errorf("no case is refused on the rung %s", name)
			}
		}
		// OA-AZ-01
		q := leaving("id_token_hint", token, "post_logout_redirect_uri", byeURI, "state", "s", "client_id", "rp").Encode()
		for _, name := range []string{"id_token_hint", "post_logout_redirect_uri", "state", "client_id", "unknown"} {
			h.local(b.get("/oauth2/logout?" + q + "&" + name + "=x&" + name + "=x"))
		}
		h.local(b.get("/oauth2/logout?" + q + strings.Repeat("&a", 100)))
		h.local(h.send(b.Client, h.request("POST", "/oauth2/logout?state=x", "", leaving("state", "s"))))
		h.local(h.send(b.Client, h.request("POST", "/oauth2/logout", "", `{"client_id":"rp"}`)))
		for _, method := range []string{"HEAD", "PUT", "DELETE"} { // WEB-01
			if a := h.send(b.Client, h.request(method, "/oauth2/logout?"+q, "", nil)); a.Status != http.StatusMethodNotAllowed || a.Header.Get("Allow") != "GET, POST" {
				t.Errorf("%s: %d, Allow %q", method, a.Status, a.Header.Get("Allow"))
			}
		}
		if !b.in("rp") {
			t.Error("signed out")
		}
	})
}

// oidcc-rp-initiated-logout and its variants: whose ID token is of this very session is signed out at once, and led back.
func TestLogoutAtOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.leaver("rp")
		for _, c := range []struct {
			name, want string
			pairs      []string
		}{
			{"oidcc-rp-initiated-logout", byeURI + "&state=s+t%3D1%25", []string{"post_logout_redirect_uri", byeURI, "state", "s t=1%"}},
			{"-no-state", byeURI, []string{"post_logout_redirect_uri", byeURI}},
			{"empty state", "https://app.example/?state=", []string{"post_logout_redirect_uri", "https://app.example/", "state", ""}},
			{"-no-post-logout-redirect-uri", h.url + "/test/left", []string{"state", "s"}},
			{"client_id beside it", byeURI, []string{"post_logout_redirect_uri", byeURI, "client_id", "rp", "logout_hint", "ben", "ui_locales", "de xx", "unknown", "x"}},
			{"nothing said", h.url + "/test/left", []string{"post_logout_redirect_uri", "", "client_id", ""}},
		} {
			for _, post := range []bool{false, true} {
				b := h.browser("ana")
				v := leaving(append([]string{"id_token_hint", b.idToken("rp")}, c.pairs...)...)
				// Core: the ID token may be long past its end.
				h.clock.forward(2 * time.Hour)
				a := b.get("/oauth2/logout?" + v.Encode())
				if post {
					b.signIn("ana") // in another session now …
					v.Set("id_token_hint", b.idToken("rp"))
					a = h.send(b.Client, h.request("POST", "/oauth2/logout", "", v))
					if to := a.Header.Get("Location"); a.Status != http.StatusSeeOther || !strings.HasPrefix(to, h.url+"/oauth2/continue?logout=") || strings.Contains(to, "eyJ") {
						t.Fatalf("%s: %d %s", c.name, a.Status, to)
					}
					if !b.in("rp") {
						t.Fatalf("%s: a POST signs out by itself", c.name)
					}
					a = b.get(a.Header.Get("Location"))
				}
				if h.to(a, c.want); t.Failed() {
					t.Fatal(c.name, post)
				}
				if b.in("rp") { // OA-LO-04
					t.Errorf("%s: still signed in", c.name)
				}
				// Once more, and nobody is there: led back all the same.
				if h.to(b.get("/oauth2/logout?"+v.Encode()), c.want); t.Failed() {
					t.Fatal(c.name, post, "again")
				}
			}
		}
	})
}

// What is not surely of this session is a question to its person: another's ID token, one of a session before, none.
func TestLogoutAsks(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		rp, other := h.leaver("rp"), h.leaver("other")
		ana, ben := h.browser("ana"), h.browser("ben")
		token := ana.idToken("rp")
		of := func(b *browser, want *oidc.Client, back string, asOther bool, pairs ...string) {
			t.Helper()
			app, to := h.asks(b.logout(pairs...), asOther)
			if want == nil && app != "" || want != nil && app != want.App || to != back {
				t.Errorf("%v: app %q, back to %q", pairs, app, to)
			}
			if !b.in("rp") {
				t.Errorf("%v: signed out without a word", pairs)
			}
		}
		// OA-LO-02: a hint that is somebody else's, or of another session.
		of(ben, rp, byeURI+"&state=s", true, "id_token_hint", token, "post_logout_redirect_uri", byeURI, "state", "s")
		second := h.browser("ana")
		of(second, rp, byeURI, false, "id_token_hint", token, "post_logout_redirect_uri", byeURI)
		of(second, rp, "", false, "id_token_hint", token)
		// oidcc-rp-initiated-logout-no-params, -only-state, -no-id-token-hint; SAML-SLO-04.
		of(ana, nil, "", false)
		of(ana, nil, "", false, "state", "s")
		of(ana, nil, "", false, "post_logout_redirect_uri", byeURI, "state", "s")
		of(ana, nil, "", false, "post_logout_redirect_uri", "https://evil.example/")
		of(ana, nil, "", false, "id_token_hint", "", "post_logout_redirect_uri", byeURI)
		of(ana, nil, "", false, "logout_hint", h.people["ana"].ID)
		// The client is named: it is said who asks, and the person's word leads back to it.
		of(ana, other, byeURI+"&state=s", false, "client_id", "other", "post_logout_redirect_uri", byeURI, "state", "s")
		of(ana, other, "", false, "client_id", "other")
		// Nobody is there. Without a hint nobody is led away.
		nobody := h.browser("")
		h.to(nobody.logout(), h.url+"/test/left")
		h.to(nobody.logout("client_id", "rp", "post_logout_redirect_uri", byeURI), h.url+"/test/left")
		h.to(nobody.logout("id_token_hint", token, "post_logout_redirect_uri", byeURI), byeURI)
		if !ana.in("rp") {
			t.Error("another browser signed her out")
		}
		// A blocked app may sign its people out, but nobody is led to it.
		h.block(rp.App, true)
		h.to(ana.logout("id_token_hint", token, "post_logout_redirect_uri", byeURI), h.url+"/test/left")
		if ana.in("other") {
			t.Error("a blocked app can not sign out")
		}
		h.to(nobody.logout("id_token_hint", token, "post_logout_redirect_uri", byeURI), h.url+"/test/left")
	})
}

// What would not fit into an address is refused here, where there is a way out; what says nothing leaves nothing behind.
func TestLogoutLimits(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		rp := h.leaver("rp")
		b := h.browser("ana")
		slashes := func(n int) *answer {
			return b.logout("client_id", "rp", "post_logout_redirect_uri", byeURI, "state", strings.Repeat("/", n))
		}
		if a := slashes(4200); a.Status != http.StatusBadRequest || !strings.Contains(a.Text, `href="/signout"`) || !strings.Contains(h.event(a).Reason, "too long to be sent back") {
			t.Errorf("%d %s: %+v", a.Status, a.Text, h.event(a))
		}
		if app, back := h.asks(slashes(2000), false); app != rp.App || len(back) < 6000 {
			t.Errorf("%s is led to %s", app, back)
		}
		for _, form := range []url.Values{leaving(), leaving("state", "s", "post_logout_redirect_uri", byeURI)} {
			h.to(h.send(b.Client, h.request("POST", "/oauth2/logout", "", form)), h.url+"/signout")
		}
		var kept int
		h.must(h.st.Read(t.Context()).QueryRow("SELECT count(*) FROM login").Scan(&kept))
		if kept != 0 {
			t.Errorf("%d requests are remembered", kept)
		}
	})
}

// A posted request belongs to the first browser that comes back with it, is asked again for all that can have changed, and
// ends after an hour.
func TestLogoutRemembered(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		rp := h.leaver("rp")
		one, two := h.browser("ana"), h.browser("ben")
		post := func(b *browser, pairs ...string) string {
			t.Helper()
			a := h.send(b.Client, h.request("POST", "/oauth2/logout", "", leaving(pairs...)))
			if a.Status != http.StatusSeeOther || a.Header.Get("Location") == "" {
				t.Fatalf("%d %s", a.Status, a.Text)
			}
			return a.Header.Get("Location")
		}
		stay := func(b *browser, to, reason string) {
			t.Helper()
			a := b.get(to)
			if h.local(a); !strings.Contains(a.Text, `href="/signout"`) {
				t.Errorf("%s: the page does not say where to sign out", to)
			}
			if ev := h.event(a); !strings.Contains(ev.Reason, reason) {
				t.Errorf("%s: reason %q, want %q", to, ev.Reason, reason)
			}
			if !b.in("rp") {
				t.Errorf("%s: signed out", to)
			}
		}
		token := one.idToken("rp")
		to := post(one, "id_token_hint", token, "post_logout_redirect_uri", byeURI)
		h.asks(two.get(to), true)
		stay(one, to, "another browser")
		login := "/oauth2/continue?login=" + strings.TrimPrefix(to, h.url+"/oauth2/continue?logout=")
		h.local(two.get(login)) // it is no request for authorization
		_, asked := h.asked(h.browser("").ask("rp"))
		stay(one, strings.Replace(asked, "login=", "logout=", 1), "unknown") // nor the other way round
		for _, bad := range []string{"", "01jd0000000000000000000000", "%00", strings.Repeat("a", 1000)} {
			stay(one, "/oauth2/continue?logout="+bad, "unknown")
		}
		h.local(one.get(to + "&logout=x"))
		late := post(one, "client_id", "rp")
		h.clock.forward(61 * time.Minute)
		stay(one, late, "expired")
		// Answered, and asked again by somebody who has signed in since.
		to = post(one, "id_token_hint", token, "post_logout_redirect_uri", byeURI)
		h.to(one.get(to), byeURI)
		one.signIn("ana")
		h.asks(one.get(to), false)
		one.signIn("ben")
		h.asks(one.get(to), true)
		change := func(f func(*oidc.Client)) {
			t.Helper()
			h.change(rp.App, f)
			time.Sleep(10 * time.Millisecond)
		}
		change(func(c *oidc.Client) { c.PostLogoutRedirectURIs = nil })
		stay(one, to, "not registered any more")
		h.asks(one.get(post(one, "id_token_hint", token)), true)
		h.leaver("other")
		to = post(one, "client_id", "rp")
		h.must(h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.DropApp(h.org.ID, rp.App) }))
		if a := one.get(to); true {
			h.local(a)
			if ev := h.event(a); !strings.Contains(ev.Reason, "is gone") {
				t.Errorf("reason %q", ev.Reason)
			}
		}
		if !one.in("other") {
			t.Error("signed out")
		}
	})
}

// A fault of ours signs nobody out, and is said to be one.
func TestLogoutWhileBusy(t *testing.T) {
	h := on(t)
	h.leaver("rp")
	b := h.browser("ana")
	token := b.idToken("rp")
	for err, status := range map[error]int{oidc.ErrBusy: http.StatusServiceUnavailable, errTest: http.StatusInternalServerError} {
		h.door.set(func(d *door) { d.fail = err })
		if a := b.logout("id_token_hint", token, "post_logout_redirect_uri", byeURI); a.Status != status || a.Header.Get("Location") != "" {
			t.Errorf("%v: %d", err, a.Status)
		}
		h.door.set(func(d *door) { d.fail = nil })
	}
	if !b.in("rp") {
		t.Error("signed out")
	}
}

// OA-DCR-02, Logout §3.1: what a client registers is where its people are led.
func TestRegisteredPostLogout(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, bearer := h.gateway("gateway", nil)
		body := object{"redirect_uris": []string{redirectURI}, "grant_types": []string{"authorization_code"}, "scope": "openid", "post_logout_redirect_uris": []string{byeURI}}
		a := h.register(bearer, body)
		if fmt.Sprint(a.JSON["post_logout_redirect_uris"]) != "["+byeURI+"]" {
			t.Fatalf("registered: %s", a.Text)
		}
		b := h.browser("ana")
		token := h.ok(h.do("POST", "/oauth2/token", basic(a.text("client_id"), a.text("client_secret")), values("grant_type", "authorization_code",
			"code", b.code(a.text("client_id")), "redirect_uri", redirectURI))).text("id_token")
		own := "Bearer " + a.text("registration_access_token")
		at := strings.TrimPrefix(a.text("registration_client_uri"), h.url)
		if got := h.ok(h.do("GET", at, own, nil)); fmt.Sprint(got.JSON["post_logout_redirect_uris"]) != "["+byeURI+"]" {
			t.Errorf("read: %s", got.Text)
		}
		h.local(b.logout("id_token_hint", token, "post_logout_redirect_uri", "https://app.example/"))
		body["client_id"], body["post_logout_redirect_uris"] = a.text("client_id"), []string{"https://app.example/"}
		h.ok(h.do("PUT", at, own, body))
		h.local(b.logout("id_token_hint", token, "post_logout_redirect_uri", byeURI))
		h.to(b.logout("id_token_hint", token, "post_logout_redirect_uri", "https://app.example/"), "https://app.example/")
		// What an admin changes is told as it is now.
		child, err := h.st.OIDC().Client(t.Context(), h.org.ID, a.text("client_id"))
		h.must(err)
		h.change(child.App, func(c *oidc.Client) {
			c.PostLogoutRedirectURIs, c.RedirectURIs = []string{byeURI}, []string{redirectURI, "https://app.example/second"}
		})
		var got *answer
		for range 100 {
			if got = h.ok(h.do("GET", at, own, nil)); fmt.Sprint(got.JSON["post_logout_redirect_uris"]) == "["+byeURI+"]" {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if fmt.Sprint(got.JSON["post_logout_redirect_uris"], got.JSON["redirect_uris"]) != fmt.Sprintf("[%s] [%s https://app.example/second]", byeURI, redirectURI) {
			t.Errorf("changed by an admin: %s", got.Text)
		}
		h.ok(h.do("PUT", at, own, body))
		delete(body, "post_logout_redirect_uris")
		if got := h.ok(h.do("PUT", at, own, body)); got.JSON["post_logout_redirect_uris"] != nil {
			t.Errorf("taken back: %s", got.Text)
		}
		h.local(b.logout("id_token_hint", token, "post_logout_redirect_uri", "https://app.example/"))
	})
}

func TestCheckPostLogoutURI(t *testing.T) {
	for uri, ok := range map[string][2]bool{ // for a web app, and for a native one
		"https://app.example/bye":        {true, true},
		"https://app.example/?code=1":    {true, true}, // nothing but the state is added
		"http://localhost:8080/bye":      {true, true},
		"http://127.0.0.1/":              {true, true},
		"com.example.app:/bye":           {false, true},
		"http://app.example/":            {false, false},
		"https://app.example/?state=1":   {false, false},
		"https://app.example/?%73tate=1": {false, false},
		"https://app.example/#x":         {false, false},
		"https://app.example/#":          {false, false},
		"https://u@app.example/":         {false, false},
		"https:///x":                     {false, false},
		"/bye":                           {false, false},
		"":                               {false, false},
		"javascript:alert(1)":            {false, false},
		"data:text/html,x":               {false, false},
		"https://app.example/\r\nX: y":   {false, false},
		"https://app.example/ü":          {false, false},
	} {
		for i, native := range []bool{false, true} {
			if err := oidc.CheckPostLogoutURI(uri, native); (err == nil) != ok[i] {
				t.Errorf("%q, native %v: %v", uri, native, err)
			}
		}
	}
}
