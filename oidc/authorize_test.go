package oidc_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/oidc"
)

// TestAuthorizeLadder: each rung refuses something: with a page before the redirect URI is trusted, with a redirect after.
func TestAuthorizeLadder(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		h.client("two", func(c *oidc.Client, _ *idp.Installation) { c.RedirectURIs = []string{redirectURI, redirectURI + "2"} })
		h.client("public", func(c *oidc.Client, _ *idp.Installation) { c.Public = true })
		h.client("native", func(c *oidc.Client, _ *idp.Installation) { c.Type = "native" })
		h.client("careless", func(c *oidc.Client, _ *idp.Installation) { c.SecretForCode = false })
		h.client("strict", func(c *oidc.Client, _ *idp.Installation) { c.RequirePKCE = "true" })
		h.client("machine", func(c *oidc.Client, _ *idp.Installation) { c.AuthorizationCode = false })
		h.client("plain", func(c *oidc.Client, _ *idp.Installation) {
			c.Scopes, c.Refresh = []string{"orders", "refresh_token"}, false
		})
		gone := h.client("gone", nil)
		h.must(h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.DropApp(h.org.ID, gone.App) }))
		blocked := h.client("blocked", nil)
		h.block(blocked.App, true)
		pages, clients := oidc.AuthorizeRungs()
		refused := map[string]bool{}
		b := h.browser("ana")
		token := h.ok(h.redeem("rp", b.code("rp"))).text("id_token")
		other := func(alter func(header, payload string) string) string {
			parts := strings.Split(token, ".")
			return alter(parts[0], parts[1])
		}
		hint := func(ring int, kind, iss, aud, sub string) []string {
			return []string{"prompt", "none", "id_token_hint", h.signed(rings()[ring], kind, fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":%q,"iat":1,"exp":2}`, iss, aud, sub))}
		}
		if v := h.back(b.ask("rp", hint(0, "JWT", h.url, "rp", h.people["ana"].ID)...)); v.Get("code") == "" {
			t.Errorf("a good hint: %v", v)
		}
		cases := []struct {
			id, rung, code, client string
			change                 []string
		}{
			{"OA-RED-03", "redirect_uri", "", "rp", []string{"redirect_uri", "-"}},
			{"OA-RED-03", "redirect_uri", "", "rp", []string{"redirect_uri", "-", "redirect_uri[]", redirectURI}},
			{"OA-RED-03", "redirect_uri", "", "two", []string{"redirect_uri", "-", "scope", "orders"}},
			{"OA-RED-05", "redirect_uri", "", "rp", []string{"redirect_uri", redirectURI + "2"}},
			{"OA-RED-05", "client", "", "unknown", nil},
			{"OA-RED-05", "client", "", "gone", nil},
			{"OA-RED-05", "client", "", "rp\x00", nil},
			{"OA-RED-05", "client", "", "", nil},
			{"OA-RED-05", "client", "", "RP", nil},
			{"OA-RED-05", "blocked", "", "blocked", nil},
			{"OA-AZ-04", "parameters", "", "rp", []string{"state", strings.Repeat("s", 10<<10)}},
			{"OA-AZ-04", "parameters", "", "rp", []string{"state", "\xff"}},
			{"OA-AZ-04", "nonce", "invalid_request", "rp", []string{"nonce", strings.Repeat("n", 2<<10)}},
			{"OA-AZ-02", "response_type", "invalid_request", "rp", []string{"response_type", "-"}},
			{"OA-AZ-02", "response_type", "unsupported_response_type", "rp", []string{"response_type", "token"}},
			{"OA-AZ-02", "response_type", "unsupported_response_type", "rp", []string{"response_type", "id_token token"}},
			{"OA-AZ-02", "response_type", "unsupported_response_type", "rp", []string{"response_type", "code token"}},
			{"OA-AZ-02", "response_type", "unsupported_response_type", "rp", []string{"response_type", "none"}},
			{"OA-AZ-02", "response_type", "unsupported_response_type", "rp", []string{"response_type", "CODE"}},
			{"OA-AZ-02", "flow", "unauthorized_client", "machine", nil},
			{"response_mode", "response_mode", "invalid_request", "rp", []string{"response_mode", "fragment"}},
			{"Core §6", "request", "request_not_supported", "rp", []string{"request", "e30.e30."}},
			{"Core §6", "request", "request_uri_not_supported", "rp", []string{"request_uri", "https://evil.example/r"}},
			{"Core §7", "request", "registration_not_supported", "rp", []string{"registration", "{}"}},
			{"ORD-2", "scope", "invalid_scope", "rp", []string{"scope", "openid admin"}},
			{"ORD-2", "scope", "invalid_scope", "rp", []string{"scope", "openid\nprofile"}},
			{"ORD-2", "scope", "invalid_scope", "rp", []string{"scope", ""}},
			{"WEL-3", "scope", "invalid_scope", "plain", nil},
			{"scope", "scope", "invalid_scope", "plain", []string{"scope", "refresh_token"}},
			{"OA-PK-01", "code_challenge", "invalid_request", "public", nil},
			{"OA-PK-01", "code_challenge", "invalid_request", "native", nil},
			{"OA-PK-01", "code_challenge", "invalid_request", "careless", nil},
			{"OA-PK-01", "code_challenge", "invalid_request", "strict", nil},
			{"OA-PK-01", "code_challenge", "invalid_request", "rp", []string{"code_challenge", "", "code_challenge_method", "S256"}},
			{"OA-PK-01", "code_challenge", "invalid_request", "rp", []string{"code_challenge", challenge(verifier)}},
			{"OA-PK-01", "code_challenge", "invalid_request", "rp", []string{"code_challenge", challenge(verifier), "code_challenge_method", "plain"}},
			{"OA-PK-01", "code_challenge", "invalid_request", "rp", []string{"code_challenge", challenge(verifier), "code_challenge_method", "s256"}},
			{"OA-PK-01", "code_challenge", "invalid_request", "rp", []string{"code_challenge_method", "S256"}},
			{"OA-PK-01", "code_challenge", "invalid_request", "rp", []string{"code_challenge", challenge(verifier)[1:], "code_challenge_method", "S256"}},
			{"OA-PK-01", "code_challenge", "invalid_request", "rp", []string{"code_challenge", strings.Repeat("a", 129), "code_challenge_method", "S256"}},
			{"OA-PK-01", "code_challenge", "invalid_request", "rp", []string{"code_challenge", challenge(verifier)[1:] + "+", "code_challenge_method", "S256"}},
			{"OA-PR-01", "prompt", "invalid_request", "rp", []string{"prompt", "none login"}},
			{"OA-PR-01", "prompt", "invalid_request", "rp", []string{"prompt", "sudo"}},
			{"OA-PR-03", "max_age", "invalid_request", "rp", []string{"max_age", "-1"}},
			{"OA-PR-03", "max_age", "invalid_request", "rp", []string{"max_age", "abc"}},
			{"OA-PR-03", "max_age", "invalid_request", "rp", []string{"max_age", "9223372036854775808"}},
			{"OA-AZ-10", "acr_values", "invalid_request", "rp", []string{"acr_values", strings.Repeat("a ", 100)}},
			{"OA-JWT-01", "id_token_hint", "invalid_request", "rp", []string{"id_token_hint", other(func(_, p string) string { return "eyJhbGciOiJub25lIn0." + p + "." })}},
			{"OA-JWT-02", "id_token_hint", "invalid_request", "rp", hint(1, "JWT", h.url, "rp", h.people["ana"].ID)},
			{"OA-JWT-06", "id_token_hint", "invalid_request", "rp", hint(0, "at+jwt", h.url, "rp", h.people["ana"].ID)},
			{"OA-JWT-11", "id_token_hint", "invalid_request", "rp", hint(0, "JWT", h.url+"/", "rp", h.people["ana"].ID)},
			{"OA-LO-02", "id_token_hint", "invalid_request", "rp", hint(0, "JWT", h.url, "gone", h.people["ana"].ID)},
			{"OA-LO-02", "id_token_hint", "invalid_request", "rp", hint(0, "JWT", h.url, "rp", "")},
			{"OA-JWT-03", "id_token_hint", "invalid_request", "rp", []string{"id_token_hint", `{"payload":"e30","signatures":[]}`}},
			{"OA-JWT-04", "id_token_hint", "invalid_request", "rp", []string{"id_token_hint", strings.Repeat("a.", 4000)}},
			{"OA-JWT-06", "id_token_hint", "invalid_request", "rp", []string{"id_token_hint", h.ok(h.redeem("rp", b.code("rp"))).text("access_token")}},
			{"OA-LO-02", "id_token_hint", "invalid_request", "rp", []string{"id_token_hint", token[:len(token)-6] + "AAAAAA"}},
			{"OA-AZ-06", "claims", "invalid_request", "rp", []string{"claims", "{"}},
			{"OA-AZ-06", "claims", "invalid_request", "rp", []string{"claims", `{"id_token":{"sub":{"value":1}}}`}},
			{"OA-AZ-06", "claims", "invalid_request", "rp", []string{"claims", `{"id_token":{"sub":{"values":["a","b"]}}}`}},
			{"OA-AZ-06", "claims", "invalid_request", "rp", []string{"claims", `{"id_token":{"sub":{"value":"a"},"SUB":null}}`}},
			{"OA-AZ-06", "claims", "invalid_request", "rp", []string{"claims", `{"id_token":{"sub":{"value":"a"}},"userinfo":{"sub":{"value":"b"}}}`}},
			{"OA-AZ-06", "claims", "invalid_request", "rp", []string{"claims", strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000)}},
		}
		for i, c := range cases {
			a := b.ask(c.client, c.change...)
			name := fmt.Sprintf("%s #%d %.80v", c.id, i, c.change)
			if slices.Contains(pages, c.rung) {
				h.local(a)
			} else if v := h.back(a); v.Get("error") != c.code || v.Get("code") != "" || v.Get("state") != "s t=1" || v.Get("error_description") == "" {
				t.Errorf("%s: %v", name, v)
			}
			if ev := h.event(a); !strings.HasPrefix(ev.Reason, c.rung+": ") {
				t.Errorf("%s: refused with the reason %q, not on the rung %s", name, ev.Reason, c.rung)
			}
			refused[c.rung] = true
		}
		for _, name := range append(pages, clients...) {
			if !refused[name] {
				t.Errorf("no case is refused on the rung %s", name)
			}
		}
	})
}

// OA-AZ-01: any parameter twice, wherever.
func TestDoubledParameters(t *testing.T) {
	h := on(t)
	h.client("rp", nil)
	b := h.browser("ana")
	for _, name := range []string{"scope", "state", "client_id", "code_challenge", "redirect_uri", "unknown"} {
		q := asking("rp", "code_challenge", challenge(verifier), "code_challenge_method", "S256", "unknown", "x")
		h.local(b.get("/oauth2/authorize?" + q.Encode() + "&" + name + "=x"))
		h.local(b.get("/oauth2/authorize?" + q.Encode() + "&" + fmt.Sprintf("%%%x", name[0]) + name[1:] + "=x")) // G7
		h.local(h.send(b.Client, h.request("POST", "/oauth2/authorize?"+name+"=x", "", q)))
	}
	h.local(b.get("/oauth2/authorize?" + asking("rp").Encode() + ";state=x"))
	h.local(b.get("/oauth2/authorize?" + asking("rp").Encode() + "&x=%zz"))
	h.local(b.get("/oauth2/authorize?" + asking("rp").Encode() + strings.Repeat("&a", 100)))
	h.local(h.do("POST", "/oauth2/authorize", "", `{"client_id":"rp"}`))
	r := h.request("POST", "/oauth2/authorize", "", asking("rp", "nonce", strings.Repeat("a", 70<<10)))
	h.local(h.send(b.Client, r))
}

// OA-RED-01, -02, -03 at the endpoint itself.
func TestWrongRedirectURIsStayHere(t *testing.T) {
	h := on(t)
	h.client("rp", nil)
	b := h.browser("ana")
	for id, list := range wrongRedirects() {
		for _, uri := range list {
			a := b.ask("rp", "redirect_uri", uri)
			if h.local(a); t.Failed() {
				t.Fatalf("%s: %q", id, uri)
			}
		}
	}
}

// OA-AZ-04: what is echoed is echoed exactly; nothing is made up where nothing was sent.
func TestStateIsEchoed(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", func(c *oidc.Client, _ *idp.Installation) {
			c.RedirectURIs = []string{redirectURI, redirectURI + "?tenant=1&a=%7E"}
		})
		b := h.browser("ana")
		for _, state := range []string{"x", " ", "a\r\nSet-Cookie: x=y", `"><svg onload=1>`, "ä%00+&=#", "\x00", strings.Repeat("s", 8<<10)} {
			for _, pairs := range [][]string{{}, {"scope", "none"}} {
				v := h.back(b.ask("rp", append(pairs, "state", state)...))
				if got, ok := v["state"]; !ok || len(got) != 1 || got[0] != state {
					t.Errorf("sent %q, got %q", state, got)
				}
			}
			// through the store as well
			nobody := h.browser("")
			_, to := h.asked(nobody.ask("rp", "state", state, "nonce", state[:min(len(state), 1024)]))
			nobody.signIn("ana")
			v := h.back(nobody.get(to))
			if got := v["state"]; len(got) != 1 || got[0] != state {
				t.Errorf("sent %q, got %q from continue", state, got)
			}
			if n, _ := claimsOf(t, h.ok(h.redeem("rp", v.Get("code"))).text("id_token"))["nonce"].(string); n != state[:min(len(state), 1024)] {
				t.Errorf("nonce %q", n)
			}
		}
		for _, none := range []string{"-", ""} {
			if v := h.back(b.ask("rp", "state", none)); v.Has("state") {
				t.Errorf("a state out of nothing: %v", v)
			}
		}
		a := b.ask("rp", "redirect_uri", redirectURI+"?tenant=1&a=%7E")
		if !strings.HasPrefix(a.Header.Get("Location"), redirectURI+"?tenant=1&a=%7E&code=") {
			t.Errorf("the registered query is altered: %s", a.Header.Get("Location"))
		}
	})
}

// OA-AZ-09, OA-AZ-02: an answer is a 303 without a token; GET and POST go the same road.
func TestAnswerAtOnceAndLater(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		b := h.browser("ana")
		a := b.ask("rp")
		for _, name := range []string{"access_token", "id_token", "token_type"} {
			if h.back(a).Has(name) {
				t.Errorf("a token in an address: %s", a.Header.Get("Location"))
			}
		}
		// A POST from elsewhere brings no cookie: it is remembered, whoever it is.
		for _, who := range []string{"", "ana"} {
			b := h.browser(who)
			a := h.send(b.Client, h.request("POST", "/oauth2/authorize", "", asking("rp")))
			to := a.Header.Get("Location")
			if a.Status != http.StatusSeeOther || !strings.HasPrefix(to, h.url+"/oauth2/continue?login=") {
				t.Fatalf("%d %s", a.Status, to)
			}
			if who == "" {
				var back string
				if _, back = h.asked(b.get(to)); back != strings.TrimPrefix(to, h.url) {
					t.Errorf("asked to come back to %s", back)
				}
				b.signIn("ana")
			}
			code := h.back(b.get(to)).Get("code")
			h.ok(h.redeem("rp", code))
			a = b.get(to)
			if h.local(a); !strings.Contains(a.Text, "completed before") || !strings.Contains(a.Text, `href="https://app.example/"`) {
				t.Errorf("answered before, and no way to begin again: %s", a.Text)
			}
		}
	})
}

// DESIGN.md idea 4: a login belongs to one browser, and its id is worth nothing to another.
func TestLoginBelongsToOneBrowser(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		one, two := h.browser(""), h.browser("ben")
		_, to := h.asked(one.ask("rp"))
		h.asked(one.get(to))
		if a := two.get(to); !strings.Contains(a.Text, "another browser") {
			t.Errorf("%d %s", a.Status, a.Text)
		}
		h.local(two.get(to))
		h.local(two.get(to + "&refused=1"))
		one.signIn("ana")
		a := h.ok(h.redeem("rp", h.back(one.get(to)).Get("code")))
		if sub := claimsOf(t, a.text("id_token"))["sub"]; sub != h.people["ana"].ID {
			t.Errorf("sub %v", sub)
		}
		// A posted one belongs to whoever comes first.
		posted := h.send(one.Client, h.request("POST", "/oauth2/authorize", "", asking("rp"))).Header.Get("Location")
		h.back(two.get(posted))
		h.local(one.get(posted))
		// A browser that is marked already has it as its own at once.
		_, to = h.asked(one.ask("rp", "prompt", "login"))
		h.local(two.get(to))
		h.asked(one.get(to))
		// Unknown, malformed and old ones.
		for _, to := range []string{"/oauth2/continue", "/oauth2/continue?login=", "/oauth2/continue?login=01jd0000000000000000000000", "/oauth2/continue?login=%00",
			"/oauth2/continue?login=a&login=b", "/oauth2/continue?login=" + strings.Repeat("a", 1000)} {
			h.local(one.get(to))
		}
		nobody := h.browser("")
		_, old := h.asked(nobody.ask("rp"))
		h.clock.forward(61 * time.Minute)
		h.local(nobody.get(old))
	})
}

// Tabs that a browser opens at once before it has any cookie of ours: it keeps the last that it was given, and every tab
// is answered.
func TestTabsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		b := h.browser("")
		at, err := url.Parse(h.url)
		h.must(err)
		var tabs []string
		for range 3 {
			r := h.request("GET", "/oauth2/authorize?"+asking("rp").Encode(), "", nil)
			a := h.send(h.http, r)
			b.Jar.SetCookies(at, (&http.Response{Header: a.Header}).Cookies())
			_, to := h.asked(a)
			tabs = append(tabs, to)
		}
		b.signIn("ana")
		for _, to := range tabs {
			h.ok(h.redeem("rp", h.back(b.get(to)).Get("code")))
		}
	})
}

// Nobody needs to be known to have a request remembered: it costs no more room than it has bytes, and at most 16 kB.
func TestRememberedIsSmall(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		b := h.browser("")
		kept := func(to string) (doc string) {
			_, id, _ := strings.Cut(to, "login=")
			h.must(h.st.Read(t.Context()).QueryRow(`SELECT doc FROM login WHERE org = $1 AND id = $2`, h.org.ID, id).Scan(&doc))
			return doc
		}
		long := strings.Repeat("<", 8<<10)
		_, to := h.asked(b.ask("rp", "state", long, "acr_values", long[:7<<10]+" "+idp.ACRPassword))
		if doc := kept(to); len(doc) > 10<<10 || !strings.Contains(doc, idp.ACRPassword) || strings.Contains(doc, `\u003c`) {
			t.Errorf("%d bytes are kept: %.300s", len(doc), doc)
		}
		b.signIn("ana")
		if got := h.back(b.get(to)).Get("state"); got != long {
			t.Errorf("the state is another: %.100s", got)
		}
		large := []string{"state", strings.Repeat("\x01", 8<<10)} // which JSON can not write shorter than \u0001
		refusedWith(t, h.back(h.browser("").ask("rp", large...)), "invalid_request")
		refusedWith(t, h.back(h.send(h.http, h.request("POST", "/oauth2/authorize", "", asking("rp", large...)))), "invalid_request")
		if v := h.back(b.ask("rp", large...)); v.Get("code") == "" {
			t.Errorf("nothing had to be remembered: %v", v)
		}
	})
}

// A remembered request is answered once, however many tabs come back with it at the same moment.
func TestContinueTakers(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		b := h.browser("")
		_, to := h.asked(b.ask("rp"))
		b.signIn("ana")
		b.get("/test/") // cookies are there
		codes := make(chan string, 16)
		var wait sync.WaitGroup
		for range cap(codes) {
			wait.Go(func() {
				if a := b.get(to); a.Status == http.StatusSeeOther {
					codes <- h.back(a).Get("code")
				}
			})
		}
		wait.Wait()
		if len(codes) != 1 {
			t.Fatalf("%d codes", len(codes))
		}
		h.ok(h.redeem("rp", <-codes))
	})
}

// Ten tabs of one browser work.
func TestManyTabs(t *testing.T) {
	h := on(t)
	h.client("rp", nil)
	b := h.browser("")
	var tabs []string
	for range 10 {
		_, to := h.asked(b.ask("rp"))
		tabs = append(tabs, to)
	}
	b.signIn("ana")
	for _, to := range tabs {
		h.ok(h.redeem("rp", h.back(b.get(to)).Get("code")))
	}
}

// ORD-4: who refuses sends the client away, and the login is spent.
func TestDenied(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		h.door.set(func(d *door) { d.askConsent = true })
		b := h.browser("ana")
		missing, to := h.asked(b.ask("rp"))
		if missing != "consent" {
			t.Fatal(missing)
		}
		v := h.back(b.get(to + "&refused=1"))
		if v.Get("error") != "access_denied" || v.Get("error_description") != "end-user denied authorization" || v.Get("state") != "s t=1" {
			t.Errorf("%v", v)
		}
		h.local(b.get(to))
		h.local(b.get(to + "&refused=1"))
	})
}

// OA-AZ-14, BEN-5 for OAuth: the house's no is told to the client once it is trusted, with its plain description, and is final.
func TestPolicySaysNo(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		b := h.browser("ana")
		no := &oidc.Denied{Code: "access_denied", Description: "The user may not use this app.", Event: "NoAccess", Reason: "permitted-users: not in a group", User: h.people["ana"].ID}
		_, to := h.asked(b.ask("rp", "prompt", "login"))
		h.door.set(func(d *door) { d.no[no.User] = no })
		for _, a := range []*answer{b.ask("rp"), func() *answer { b.signIn("ana"); return b.get(to) }()} {
			v := h.back(a)
			if v.Get("error") != "access_denied" || v.Get("error_description") != no.Description {
				t.Errorf("%v", v)
			}
			if ev := h.event(a); ev.Code != "NoAccess" || ev.Reason != no.Reason || ev.User != "ana" || ev.App != "rp" {
				t.Errorf("event %+v", ev)
			}
		}
		h.local(b.get(to)) // spent
	})
}

// All that can have changed since a request was judged is asked again.
func TestContinueAsksAgain(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for name, run := range map[string]func(c *oidc.Client) (code string){
			"blocked": func(c *oidc.Client) string { h.block(c.App, true); return "" },
			"gone": func(c *oidc.Client) string {
				h.must(h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.DropApp(h.org.ID, c.App) }))
				return ""
			},
			"redirect URI": func(c *oidc.Client) string {
				h.change(c.App, func(c *oidc.Client) { c.RedirectURIs = []string{redirectURI + "2"} })
				return ""
			},
			"flow": func(c *oidc.Client) string {
				h.change(c.App, func(c *oidc.Client) { c.AuthorizationCode = false })
				return "unauthorized_client"
			},
			"scope": func(c *oidc.Client) string {
				h.change(c.App, func(c *oidc.Client) { c.Scopes = []string{"openid"} })
				return "invalid_scope"
			},
		} {
			c := h.client("rp-"+strings.ReplaceAll(name, " ", ""), nil)
			b := h.browser("")
			_, to := h.asked(b.ask(c.ID, "scope", "openid orders"))
			b.signIn("ana")
			code := run(c)
			if a := b.get(to); code == "" {
				h.local(a)
			} else if v := h.back(a); v.Get("error") != code {
				t.Errorf("%s: %v", name, v)
			}
		}
	})
}

// OA-PR-01: prompt=none never shows anything, by GET nor by POST.
func TestPromptNone(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		b := h.browser("ana")
		another := h.people["ben"].ID
		for _, c := range []struct {
			name, code string
			set        func(*door)
			pairs      []string
		}{
			{"signed in", "", func(*door) {}, nil},
			{"consent", "consent_required", func(d *door) { d.askConsent = true }, nil},
			{"factor", "interaction_required", func(d *door) { d.askConsent, d.factor = false, true }, nil},
			{"another account", "login_required", func(d *door) { d.factor = false }, []string{"claims", `{"id_token":{"sub":{"value":"` + another + `"}}}`}},
			{"max_age=0", "login_required", func(*door) {}, []string{"max_age", "0"}},
		} {
			h.door.set(c.set)
			pairs := append(c.pairs, "prompt", "none")
			h.clock.forward(time.Second)
			if v := h.back(b.ask("rp", pairs...)); v.Get("error") != c.code {
				t.Errorf("%s: %v", c.name, v)
			}
			to := h.send(b.Client, h.request("POST", "/oauth2/authorize", "", asking("rp", pairs...))).Header.Get("Location")
			if v := h.back(b.get(to)); v.Get("error") != c.code && c.name != "max_age=0" {
				t.Errorf("%s by POST: %v", c.name, v)
			}
			h.local(b.get(to))
		}
		if v := h.back(h.browser("").ask("rp", "prompt", "none")); v.Get("error") != "login_required" {
			t.Errorf("signed out: %v", v)
		}
	})
}

// OA-AZ-06: nobody else's tokens, whatever the house says.
func TestSubjectIsHeld(t *testing.T) {
	h := on(t)
	h.client("rp", nil)
	ana, ben := h.browser("ana"), h.people["ben"].ID
	token := h.ok(h.redeem("rp", h.browser("ben").code("rp"))).text("id_token")
	for _, pairs := range [][]string{
		{"claims", `{"id_token":{"sub":{"value":"` + ben + `"}}}`}, {"claims", `{"userinfo":{"sub":{"value":"` + ben + `"}}}`}, {"id_token_hint", token},
	} {
		if missing, _ := h.asked(ana.ask("rp", pairs...)); missing != "account" {
			t.Errorf("%v: missing %s", pairs, missing)
		}
		h.door.set(func(d *door) { d.lie = true })
		if missing, _ := h.asked(ana.ask("rp", pairs...)); missing != "account" {
			t.Errorf("%v: the house is believed", pairs)
		}
		h.door.set(func(d *door) { d.lie = false })
	}
	h.clock.forward(time.Minute)
	h.door.set(func(d *door) { d.lie = true })
	if missing, _ := h.asked(ana.ask("rp", "prompt", "login")); missing != "signin" {
		t.Errorf("prompt=login: the house is believed: %s", missing)
	}
}

// SURFACE.md §2: no scope asked: the app's defaultScopes; offline_access and refresh_token are one thing.
func TestScopesOfRequest(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", func(c *oidc.Client, _ *idp.Installation) { c.DefaultScopes = []string{"orders"} })
		h.client("no-refresh", func(c *oidc.Client, _ *idp.Installation) { c.Refresh = false })
		b := h.browser("ana")
		for _, c := range []struct {
			client, asked, got string
			refresh            bool
		}{
			{"rp", "-", "orders", false},
			{"rp", "orders  openid orders ", "orders openid", false},
			{"rp", "openid offline_access", "openid offline_access", true},
			{"rp", "openid refresh_token", "openid refresh_token", true},
			{"no-refresh", "openid offline_access", "openid", false},
		} {
			a := h.ok(h.redeem(c.client, b.code(c.client, "scope", c.asked)))
			if a.text("scope") != c.got || (a.text("refresh_token") != "") != c.refresh || (a.text("id_token") != "") != strings.Contains(c.got, "openid") {
				t.Errorf("%s asked %q: %s", c.client, c.asked, a.Text)
			}
		}
		// Plain OAuth may leave out the only redirect URI; then the token request need not repeat it (RFC 6749 §4.1.3).
		v := h.back(b.ask("rp", "redirect_uri", "-", "scope", "orders"))
		h.ok(h.post("/oauth2/token", "rp", "grant_type", "authorization_code", "code", v.Get("code")))
	})
}

// A fault of ours tells the client nothing but a reference; a busy house says so.
func TestFaults(t *testing.T) {
	h := on(t)
	h.client("rp", nil)
	b := h.browser("ana")
	code := b.code("rp")
	h.door.set(func(d *door) { d.fail = errTest })
	a := b.ask("rp")
	if v := h.back(a); v.Get("error") != "server_error" || strings.Contains(v.Get("error_description"), errTest.Error()) || !strings.Contains(v.Get("error_description"), a.Header.Get("X-Reference")) {
		t.Errorf("%v", v)
	}
	if ev := h.event(a); ev.Code != "InternalError" || ev.Reason != errTest.Error() {
		t.Errorf("event %+v", ev)
	}
	if a := h.redeem("rp", code); a.Status != 500 || a.text("error") != "server_error" || strings.Contains(a.Text, errTest.Error()) {
		t.Errorf("%d %s", a.Status, a.Text)
	}
	h.door.set(func(d *door) { d.fail = fmt.Errorf("%w: full", oidc.ErrBusy) })
	if v := h.back(b.ask("rp")); v.Get("error") != "temporarily_unavailable" {
		t.Errorf("%v", v)
	}
	a = h.redeem("rp", code)
	if h.fails(a, 503, "temporarily_unavailable"); a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	h.door.set(func(d *door) { d.fail = nil })
	h.ok(h.redeem("rp", code)) // nothing was spent by that
}

// FuzzAuthorize: whatever is asked, the answer is a page here, or goes to the registered address with the issuer's name.
func FuzzAuthorize(f *testing.F) {
	h := on(f)
	h.client("rp", func(c *oidc.Client, _ *idp.Installation) { c.DefaultScopes = []string{"orders"} })
	b := h.browser("ana")
	f.Add(asking("rp").Encode())
	f.Add(asking("rp", "prompt", "none", "max_age", "0", "nonce", "n").Encode())
	f.Add(asking("rp", "claims", `{"id_token":{"sub":{"value":"x"}}}`).Encode())
	f.Add(asking("rp", "id_token_hint", "a.b.c", "code_challenge", "x").Encode())
	f.Add("client_id=rp&state=%ff")
	f.Add("client_id=rp&redirect_uri=https://evil.example&response_type=code")
	f.Fuzz(func(t *testing.T, query string) {
		h.t = t
		u, err := url.Parse(h.url + "/oauth2/authorize")
		if err != nil {
			t.Fatal(err)
		}
		u.RawQuery = query
		if len(query) > 4<<10 || strings.ContainsAny(query, " #\r\n\t") || strings.ContainsFunc(query, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
			return
		}
		a := h.send(b.Client, &http.Request{Method: "GET", URL: u, Header: http.Header{}})
		to := a.Header.Get("Location")
		switch {
		case a.Status == http.StatusBadRequest && to == "":
		case a.Status == http.StatusSeeOther && strings.HasPrefix(to, h.url+"/test/ask?"):
		case a.Status == http.StatusSeeOther && strings.HasPrefix(to, redirectURI+"?"):
			if v := h.back(a); v.Get("error") == "server_error" || v.Has("code") == v.Has("error") {
				t.Errorf("%q: %v", query, v)
			}
		default:
			t.Errorf("%q: %d %s %.300s", query, a.Status, to, a.Text)
		}
	})
}
