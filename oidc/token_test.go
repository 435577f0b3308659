package oidc_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/oidc"
)

const invalidGrant = "invalid_grant"

// OA-GR-01 and the form of a token request.
func TestTokenRequest(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		auth := basic("rp", secretOf("rp"))
		token := func(pairs ...string) *answer { return h.do("POST", "/oauth2/token", auth, values(pairs...)) }
		for _, grant := range []string{"password", "implicit", "unknown", "AUTHORIZATION_CODE", "authorization_code ", "urn:ietf:params:oauth:grant-type:device_code"} {
			h.fails(token("grant_type", grant), 400, "unsupported_grant_type")
		}
		h.fails(token(), 400, "invalid_request")
		h.fails(token("grant_type", "client_credentials", "grant_type", "client_credentials"), 400, "invalid_request")
		h.fails(token("grant_type", "client_credentials", "scope", "orders", "scope", "api"), 400, "invalid_request")
		h.fails(token("grant_type", "authorization_code"), 400, "invalid_request")
		h.fails(token("grant_type", "refresh_token"), 400, "invalid_request")
		// Credentials or tokens in a query, whatever they are.
		for _, query := range []string{"grant_type=client_credentials", "client_id=rp&client_secret=x", "scope=orders", ""} {
			h.fails(h.do("POST", "/oauth2/token?"+query, auth, values("grant_type", "client_credentials", "scope", "orders")), 400, "invalid_request")
		}
		// WEB-16: other kinds of body, and too much of the right one.
		h.fails(h.do("POST", "/oauth2/token", auth, `{"grant_type":"client_credentials"}`), 415, "invalid_request")
		h.fails(h.do("POST", "/oauth2/token", auth, values("grant_type", "client_credentials", "x", strings.Repeat("a", 65<<10))), 413, "invalid_request")
		r := h.request("POST", "/oauth2/token", auth, values("grant_type", "client_credentials", "scope", "orders"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
		h.ok(h.send(h.http, r))
		r = h.request("POST", "/oauth2/token", auth, values("grant_type", "client_credentials"))
		r.Header.Add("Content-Type", "application/json")
		h.fails(h.send(h.http, r), 415, "invalid_request")
		a := h.ok(token("grant_type", "client_credentials", "scope", "orders"))
		if a.Header.Get("Pragma") != "no-cache" || a.Header.Get("Cache-Control") != "no-store" || a.JSON["expires_in"] != 3600.0 || a.JSON["token_type"] != "Bearer" {
			t.Errorf("%v %s", a.Header, a.Text)
		}
	})
}

// OA-CA-01, -02, -03, -10, -11: client authentication, in one place.
func TestClientAuthentication(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("any", nil)
		h.client("basic", func(c *oidc.Client, _ *idp.Installation) { c.AuthMethod = "client_secret_basic" })
		h.client("post", func(c *oidc.Client, _ *idp.Installation) { c.AuthMethod = "client_secret_post" })
		h.client("none", func(c *oidc.Client, _ *idp.Installation) { c.AuthMethod = "none" })
		h.client("public", func(c *oidc.Client, _ *idp.Installation) { c.Public = true })
		cases := []struct {
			id, client, header string
			body               []string
			status             int
			code               string
		}{
			{"header", "any", "basic", nil, 200, ""},
			{"body", "any", "", []string{"client_id", "any", "client_secret", secretOf("any")}, 200, ""},
			{"header and the same client_id", "any", "basic", []string{"client_id", "any"}, 200, ""},
			{"empty secret is none sent", "any", "basic", []string{"client_secret", ""}, 200, ""},
			{"basic", "basic", "basic", nil, 200, ""},
			{"post", "post", "", []string{"client_id", "post", "client_secret", secretOf("post")}, 200, ""},
			{"OA-CA-01", "basic", "", []string{"client_id", "basic", "client_secret", secretOf("basic")}, 401, "invalid_client"},
			{"OA-CA-01", "post", "basic", nil, 401, "invalid_client"},
			{"OA-CA-01", "any", "", []string{"client_id", "any"}, 401, "invalid_client"},
			{"OA-CA-01", "none", "basic", nil, 401, "invalid_client"},
			{"OA-CA-01", "any", "", []string{"client_id", "any", "client_assertion", "e30.e30.x", "client_assertion_type", "jwt"}, 401, "invalid_client"},
			{"OA-CA-02", "any", "basic", []string{"client_id", "any", "client_secret", secretOf("any")}, 400, "invalid_request"},
			{"OA-CA-02", "any", "basic", []string{"client_assertion", "e30.e30.x"}, 400, "invalid_request"},
			{"OA-CA-02", "any", "", []string{"client_id", "any", "client_secret", "x", "client_assertion", "e30.e30.x"}, 400, "invalid_request"},
			{"OA-CA-02", "any", "basic", []string{"client_id", "post"}, 400, "invalid_request"},
			{"OA-CA-03", "any", "Basic", nil, 401, "invalid_client"},
			{"OA-CA-03", "any", "Basic !!", nil, 401, "invalid_client"},
			{"OA-CA-03", "any", "Basic " + base64.StdEncoding.EncodeToString([]byte("any")), nil, 401, "invalid_client"},
			{"OA-CA-03", "any", "Basic " + base64.StdEncoding.EncodeToString([]byte("a%3Any:"+secretOf("any"))), nil, 401, "invalid_client"},
			{"OA-CA-03", "any", "Bearer abc", nil, 401, "invalid_client"},
			{"OA-CA-03", "any", "Digest username=any", nil, 401, "invalid_client"},
			{"wrong secret", "any", basic("any", "x"), nil, 401, "invalid_client"},
			{"secret of another", "any", basic("any", secretOf("post")), nil, 401, "invalid_client"},
			{"secret in other case", "any", basic("any", strings.ToUpper(secretOf("any"))), nil, 401, "invalid_client"},
			{"unknown", "any", basic("nobody", "x"), nil, 401, "invalid_client"},
			{"nobody at all", "any", "", nil, 401, "invalid_client"},
			{"NUL", "any", "", []string{"client_id", "any\x00", "client_secret", secretOf("any")}, 401, "invalid_client"},
			{"OA-CA-11", "public", "", []string{"client_id", "public"}, 400, "unauthorized_client"},
			{"OA-CA-11", "none", "", []string{"client_id", "none"}, 400, "unauthorized_client"},
			{"a public client has no secret to send", "public", "basic", nil, 401, "invalid_client"},
		}
		for _, c := range cases {
			header := c.header
			if header == "basic" {
				header = basic(c.client, secretOf(c.client))
			}
			a := h.do("POST", "/oauth2/token", header, values(append(c.body, "grant_type", "client_credentials", "scope", "orders")...))
			if c.status == 200 {
				h.ok(a)
				continue
			}
			if h.fails(a, c.status, c.code); t.Failed() {
				t.Fatalf("%s: %s %s %v", c.id, c.client, header, c.body)
			}
			if c.status == 401 && !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic realm=") {
				t.Errorf("%s: WWW-Authenticate %q", c.id, a.Header.Get("WWW-Authenticate"))
			}
			if ev := h.event(a); c.status == 401 && ev.Code != "InvalidClientCredentials" {
				t.Errorf("%s: event %+v", c.id, ev)
			} else if strings.Contains(ev.Reason, "secret of") {
				t.Errorf("%s: a secret in an event: %s", c.id, ev.Reason)
			}
		}
		r := h.request("POST", "/oauth2/token", basic("any", secretOf("any")), values("grant_type", "client_credentials"))
		r.Header.Add("Authorization", basic("post", secretOf("post")))
		h.fails(h.send(h.http, r), 400, "invalid_request")
	})
}

// OA-CA-10: a secret that was replaced, and a client that is blocked.
func TestOldSecrets(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		c := h.client("rp", nil)
		ask := func() *answer {
			return h.post("/oauth2/token", "rp", "grant_type", "client_credentials", "scope", "orders")
		}
		h.ok(ask())
		sealed := h.st.Apps().SealSecret(h.org.ID, c.App, []byte("another"))
		h.must(h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.SetSecret(h.org.ID, c.App, sealed) }))
		h.fails(ask(), 401, "invalid_client")
		h.ok(h.do("POST", "/oauth2/token", basic("rp", "another"), values("grant_type", "client_credentials", "scope", "orders")))
		h.block(c.App, true)
		a := h.do("POST", "/oauth2/token", basic("rp", "another"), values("grant_type", "client_credentials", "scope", "orders"))
		h.fails(a, 400, "unauthorized_client")
		if ev := h.event(a); ev.Code != "AppBlocked" {
			t.Errorf("event %+v", ev)
		}
		h.fails(h.do("POST", "/oauth2/token", basic("rp", "another"), values("grant_type", "refresh_token", "refresh_token", "x")), 400, invalidGrant)
		h.fails(h.do("POST", "/oauth2/introspect", basic("rp", "another"), values("token", "x")), 401, "invalid_client")
	})
}

// requireSecret: where it is false the secret may be left out, but one that is sent is verified.
func TestSecretNotRequired(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("code", func(c *oidc.Client, _ *idp.Installation) { c.SecretForCode = false })
		h.client("refresh", func(c *oidc.Client, _ *idp.Installation) { c.SecretForRefresh = false })
		b := h.browser("ana")
		pkce := []string{"code_challenge", challenge(verifier), "code_challenge_method", "S256", "scope", "openid refresh_token"}
		redeem := func(client, header string, code string) *answer {
			return h.do("POST", "/oauth2/token", header, values("grant_type", "authorization_code", "client_id", client, "code", code, "redirect_uri", redirectURI, "code_verifier", verifier))
		}
		h.fails(redeem("code", basic("code", "wrong"), b.code("code", pkce...)), 401, "invalid_client")
		a := h.ok(redeem("code", "", b.code("code", pkce...)))
		h.fails(h.do("POST", "/oauth2/token", "", values("grant_type", "refresh_token", "client_id", "code", "refresh_token", a.text("refresh_token"))), 401, "invalid_client")
		code := b.code("refresh", pkce...)
		h.fails(redeem("refresh", "", code), 401, "invalid_client")
		a = h.ok(redeem("refresh", basic("refresh", secretOf("refresh")), code)) // what failed to authenticate has spent nothing
		next := h.ok(h.do("POST", "/oauth2/token", "", values("grant_type", "refresh_token", "client_id", "refresh", "refresh_token", a.text("refresh_token"))))
		if next.text("refresh_token") == "" {
			t.Error("a refresh token that needs no secret does not rotate")
		}
	})
}

// OA-PK-02, OA-RED-08, OA-CD-05, OA-CD-06: what is wrong with a code spends nothing.
func TestCodeIsBound(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		h.client("other", nil)
		h.client("machine", func(c *oidc.Client, _ *idp.Installation) { c.AuthorizationCode = false })
		b := h.browser("ana")
		pkce := []string{"code_challenge", challenge(verifier), "code_challenge_method", "S256", "scope", "openid refresh_token"}
		first := h.ok(h.redeem("rp", b.code("rp", pkce...), "code_verifier", verifier))
		code := b.code("rp", pkce...)
		type form = []string
		for name, f := range map[string]form{
			"OA-PK-02 none":                {},
			"OA-PK-02 empty":               {"code_verifier", ""},
			"OA-PK-02 wrong":               {"code_verifier", strings.Replace(verifier, "dB", "Bd", 1)},
			"OA-PK-02 the challenge":       {"code_verifier", challenge(verifier)},
			"OA-PK-02 newline":             {"code_verifier", verifier + "\n"},
			"OA-PK-02 longer":              {"code_verifier", verifier + strings.Repeat("a", 90)},
			"OA-PK-02 shorter":             {"code_verifier", verifier[:42]},
			"OA-RED-08 another":            {"code_verifier", verifier, "redirect_uri", redirectURI + "/"},
			"OA-RED-08 empty":              {"code_verifier", verifier, "redirect_uri", ""},
			"OA-RED-08 missing":            {"code_verifier", verifier, "redirect_uri", "-"},
			"OA-CD-05 last changed":        {"code_verifier", verifier, "code", code[:len(code)-1] + "0"},
			"OA-CD-05 case":                {"code_verifier", verifier, "code", strings.ToUpper(code)},
			"OA-CD-05 truncated":           {"code_verifier", verifier, "code", code[:len(code)-4]},
			"OA-CD-05 extended":            {"code_verifier", verifier, "code", code + "a"},
			"OA-CD-06 a refresh token":     {"code_verifier", verifier, "code", first.text("refresh_token")},
			"OA-CD-06 an access token":     {"code_verifier", verifier, "code", first.text("access_token")},
			"OA-CD-06 a refresh, in front": {"code_verifier", verifier, "code", "c" + first.text("refresh_token")[1:]},
			"OA-CD-06 an ID token":         {"code_verifier", verifier, "code", first.text("id_token")},
		} {
			v := values("grant_type", "authorization_code", "code", code, "redirect_uri", redirectURI)
			for i := 0; i < len(f); i += 2 {
				if v.Set(f[i], f[i+1]); f[i+1] == "-" {
					v.Del(f[i])
				}
			}
			if h.fails(h.do("POST", "/oauth2/token", basic("rp", secretOf("rp")), v), 400, invalidGrant); t.Failed() {
				t.Fatal(name)
			}
		}
		h.fails(h.do("POST", "/oauth2/token", basic("rp", secretOf("rp")), values("grant_type", "authorization_code", "code", code, "code_verifier", verifier, "code_verifier", verifier)), 400, "invalid_request")
		h.fails(h.redeem("other", code, "code_verifier", verifier), 400, invalidGrant)
		h.fails(h.redeem("machine", code, "code_verifier", verifier), 400, "unauthorized_client")
		h.ok(h.redeem("rp", code, "code_verifier", verifier))
		if !h.active("rp", first.text("access_token")) {
			t.Error("something of all that ended another grant")
		}
		// RFC 9700 §4.8.2: a verifier without a challenge is a downgrade noticed.
		h.fails(h.redeem("rp", b.code("rp"), "code_verifier", verifier), 400, invalidGrant)
		// OA-JWT-06: the code is no other kind of token either.
		h.fails(h.post("/oauth2/token", "rp", "grant_type", "refresh_token", "refresh_token", b.code("rp")), 400, invalidGrant)
		h.fails(h.post("/oauth2/token", "rp", "grant_type", "refresh_token", "refresh_token", first.text("access_token")), 400, invalidGrant)
	})
}

// OA-CD-01, oidcc-codereuse: a second use ends what the first gave, also after the code's own end.
func TestCodeReuse(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		b := h.browser("ana")
		for _, later := range []time.Duration{0, 30 * time.Second, 5 * time.Minute} {
			code := b.code("rp", "scope", "openid refresh_token")
			a := h.ok(h.redeem("rp", code))
			h.clock.forward(later)
			if !h.active("rp", a.text("access_token")) {
				t.Fatal("dead before anything happened")
			}
			again := h.redeem("rp", code)
			h.fails(again, 400, invalidGrant)
			if ev := h.event(again); ev.Code != "InvalidCode" || !strings.Contains(ev.Reason, "twice") || ev.User != "ana" {
				t.Errorf("event %+v", ev)
			}
			if h.active("rp", a.text("access_token")) || h.active("rp", a.text("refresh_token")) {
				t.Error("OA-CD-01: what the first use gave lives on")
			}
			h.fails(h.post("/oauth2/token", "rp", "grant_type", "refresh_token", "refresh_token", a.text("refresh_token")), 400, invalidGrant)
			if info := h.do("GET", "/oauth2/userinfo", "Bearer "+a.text("access_token"), nil); info.Status != 401 {
				t.Errorf("userinfo %d", info.Status)
			}
		}
	})
}

// OA-CD-04, OA-CD-07: a code is for a minute, and for a person who is still there.
func TestCodeOutlived(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		code := h.browser("ana").code("rp")
		h.clock.forward(61 * time.Second)
		a := h.redeem("rp", code)
		h.fails(a, 400, invalidGrant)
		if ev := h.event(a); ev.Code != "CodeExpired" {
			t.Errorf("event %+v", ev)
		}
		b := h.browser("ana")
		code = b.code("rp")
		b.get("/test/signout")
		h.fails(h.redeem("rp", code), 400, invalidGrant)
		code = h.browser("ana").code("rp")
		h.must(h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.SetActive(h.org.ID, h.people["ana"].ID, false) }))
		h.fails(h.redeem("rp", code), 400, invalidGrant)
		code = h.browser("ben").code("rp")
		h.door.set(func(d *door) {
			d.no[h.people["ben"].ID] = &oidc.Denied{Code: invalidGrant, Description: "No.", Event: "NoAccess", Reason: "unassigned"}
		})
		h.fails(h.redeem("rp", code), 400, invalidGrant)
	})
}

// OA-CD-07: a code is a grant in waiting. What ends every grant ends it too, however short it lasted.
func TestCodeDiesWithTheGrants(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for name, end := range map[string]func(*oidc.Client) error{
			"app blocked and not": func(c *oidc.Client) error { h.block(c.App, true); h.block(c.App, false); return nil },
			"grants of the app revoked": func(c *oidc.Client) error {
				return h.st.Apps().RevokeGrants(t.Context(), h.org.ID, c.App, "")
			},
			"all grants revoked": func(*oidc.Client) error { return h.st.Apps().RevokeGrants(t.Context(), h.org.ID, "", "") },
			"what the user gave the app revoked": func(c *oidc.Client) error {
				return h.st.Apps().RevokeGrants(t.Context(), h.org.ID, c.App, h.people["ben"].ID)
			},
			"all the user gave revoked": func(*oidc.Client) error {
				return h.st.Apps().RevokeGrants(t.Context(), h.org.ID, "", h.people["ben"].ID)
			},
			"signed out everywhere": func(*oidc.Client) error {
				return h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.EndUser(h.org.ID, h.people["ben"].ID) })
			},
		} {
			c := h.client("rp-"+strings.ReplaceAll(name, " ", "-"), nil)
			h.ok(h.redeem(c.ID, h.browser("ben").code(c.ID)))
			code := h.browser("ben").code(c.ID)
			h.must(end(c))
			if h.fails(h.redeem(c.ID, code), 400, invalidGrant); t.Failed() {
				t.Fatal(name)
			}
			h.ok(h.redeem(c.ID, h.browser("ben").code(c.ID)))
		}
	})
}

// OA-CD-02: of many who take a code at once one gets tokens, and they are dead, because it was used twice.
func TestCodeTakers(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		b := h.browser("ana")
		for range 5 {
			code := b.code("rp")
			const takers = 16
			var all [takers]*answer
			var wait sync.WaitGroup
			for i := range takers {
				wait.Go(func() { all[i] = h.redeem("rp", code) })
			}
			wait.Wait()
			won := 0
			for _, a := range all {
				if a.Status == http.StatusOK {
					won++
					if h.active("rp", a.text("access_token")) {
						t.Error("a code that was taken 16 times has left something alive")
					}
				} else {
					h.fails(a, 400, invalidGrant)
				}
			}
			if won != 1 {
				t.Fatalf("%d of %d takers won", won, takers)
			}
		}
	})
}

func TestClientCredentials(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("batch", func(c *oidc.Client, _ *idp.Installation) {
			c.DefaultScopes = []string{"orders", "refresh_token", "openid"}
		})
		h.client("whole", func(c *oidc.Client, _ *idp.Installation) {
			c.Scopes, c.DefaultScopes = []string{"full", "web", "orders", "refresh_token"}, []string{"full", "web", "orders"}
		})
		h.client("off", func(c *oidc.Client, _ *idp.Installation) { c.ClientCredentials = false })
		h.client("nobody", func(_ *oidc.Client, i *idp.Installation) { i.RunAs = "" })
		h.client("denied", func(_ *oidc.Client, i *idp.Installation) { i.PermittedUsers = idp.AdminApproved })
		h.client("short", func(c *oidc.Client, _ *idp.Installation) { c.AccessTokenLifetime = 90 * time.Second })
		ask := func(client string, pairs ...string) *answer {
			return h.post("/oauth2/token", client, append(pairs, "grant_type", "client_credentials")...)
		}
		a := h.ok(ask("batch"))
		if a.text("scope") != "orders" || a.JSON["refresh_token"] != nil || a.JSON["id_token"] != nil {
			t.Errorf("%s", a.Text)
		}
		if a := h.ok(ask("batch", "scope", "api openid offline_access")); a.text("scope") != "api" || a.JSON["refresh_token"] != nil {
			t.Errorf("%s", a.Text)
		}
		// CONNECTED-APPS.md 1G: full and web are a person's.
		for _, asked := range [][]string{nil, {"scope", "full orders web offline_access"}} {
			if a := h.ok(ask("whole", asked...)); a.text("scope") != "orders" {
				t.Errorf("%v: %s", asked, a.Text)
			}
		}
		h.fails(ask("whole", "scope", "full web"), 400, "invalid_scope")
		h.fails(ask("batch", "scope", "openid"), 400, "invalid_scope")
		h.fails(ask("batch", "scope", "orders admin"), 400, "invalid_scope")
		h.fails(ask("short"), 400, "invalid_scope")
		h.fails(ask("off", "scope", "orders"), 400, "unauthorized_client")
		h.fails(ask("nobody", "scope", "orders"), 400, "unauthorized_client")
		h.fails(ask("denied", "scope", "orders"), 400, "unauthorized_client")
		a = h.ok(ask("short", "scope", "orders"))
		if a.JSON["expires_in"] != 90.0 || !h.active("short", a.text("access_token")) {
			t.Errorf("%s", a.Text)
		}
		h.clock.forward(91 * time.Second)
		if h.active("short", a.text("access_token")) {
			t.Error("MUL-6: alive after its end")
		}
		// userinfo is for openid.
		a = h.do("GET", "/oauth2/userinfo", "Bearer "+h.ok(ask("batch")).text("access_token"), nil)
		h.fails(a, 403, "insufficient_scope")
		if !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
			t.Errorf("%v", a.Header)
		}
	})
}

// RFC 6749 §3.1: "Parameters sent without a value MUST be treated as if they were omitted from the request."
func TestEmptyParameters(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		b := h.browser("ana")
		h.ok(h.redeem("rp", b.code("rp"), "client_id", "", "client_secret", "", "client_assertion", "", "code_verifier", "", "scope", ""))
		h.ok(h.post("/oauth2/token", "rp", "grant_type", "client_credentials", "scope", "orders", "client_id", ""))
		h.fails(h.post("/oauth2/token", "rp", "grant_type", "client_credentials", "scope", "orders", "client_id", "another"), 400, "invalid_request")

		// A redirect_uri of the authorization request must be repeated; where there was none an empty one is none.
		h.fails(h.post("/oauth2/token", "rp", "grant_type", "authorization_code", "code", b.code("rp"), "redirect_uri", ""), 400, "invalid_grant")
		code := b.code("rp", "redirect_uri", "-", "scope", "orders")
		token := h.ok(h.post("/oauth2/token", "rp", "grant_type", "authorization_code", "code", code, "redirect_uri", "")).text("access_token")
		code = b.code("rp", "code_challenge", challenge(verifier), "code_challenge_method", "S256")
		h.fails(h.redeem("rp", code, "code_verifier", ""), 400, "invalid_grant")

		if v := h.back(b.ask("rp", "code_challenge_method", "", "prompt", "", "max_age", "", "nonce", "", "acr_values", "", "claims", "")); v.Get("code") == "" {
			t.Errorf("%v", v)
		}
		// These two are refused, in words that fit.
		h.local(b.ask("rp", "redirect_uri", "", "scope", "orders"))
		v := h.back(b.ask("rp", "code_challenge", ""))
		if refusedWith(t, v, "invalid_request"); !strings.Contains(v.Get("error_description"), "code_challenge is empty") {
			t.Errorf("%v", v)
		}
		h.fails(h.do("POST", "/oauth2/userinfo", "Bearer "+token, values("access_token", "")), 403, "insufficient_scope")
		h.fails(h.do("POST", "/oauth2/userinfo", "", values("access_token", "")), 401, "invalid_token")
	})
}

// RFC 6749 §3.1, RFC 8707 §2: a parameter may be there once, resource several times.
func TestRepeatedParameters(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		b := h.browser("ana")
		more := "&resource=https%3A%2F%2Fa.example&resource=https%3A%2F%2Fb.example"
		code := h.back(b.get("/oauth2/authorize?" + asking("rp").Encode() + more)).Get("code")
		h.ok(h.redeem("rp", code, "resource", "https://a.example", "resource", "https://b.example"))
		for _, known := range []string{"scope", "state", "nonce", "grant_type", "client_secret", "code", "unknown"} {
			h.local(b.get("/oauth2/authorize?" + asking("rp").Encode() + "&" + known + "=a&" + known + "=a"))
			h.fails(h.post("/oauth2/token", "rp", "grant_type", "client_credentials", "scope", "orders", known, "a", known, "a"), 400, "invalid_request")
		}
		// A query and a body that say two things (OA-AZ-01).
		h.local(h.send(b.Client, h.request("POST", "/oauth2/authorize?scope=orders", "", asking("rp"))))
		h.local(b.get("/oauth2/authorize?" + asking("rp").Encode() + "&x=%ff"))
	})
}

// What can not be answered for want of keys is spent by nobody, and can be asked for again.
func TestWithoutKeys(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", rotating)
		b := h.browser("ana")
		code, plain := b.code("rp", "scope", "openid refresh_token"), b.code("rp", "scope", "orders")
		h.keyless.Store(true)
		h.fails(h.redeem("rp", code), 503, "temporarily_unavailable")
		h.ok(h.redeem("rp", plain)) // which needs none
		h.keyless.Store(false)
		refresh := h.ok(h.redeem("rp", code)).text("refresh_token")
		h.keyless.Store(true)
		h.fails(h.refresh("rp", refresh), 503, "temporarily_unavailable")
		h.clock.forward(time.Minute) // past the grace
		h.keyless.Store(false)
		if a := h.ok(h.refresh("rp", refresh)); a.text("id_token") == "" {
			t.Errorf("%s", a.Text)
		}
	})
}
