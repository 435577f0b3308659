package oidc_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/oidc"
)

// oidcc-userinfo-get, -post-header, -post-body, OA-UI-01.
func TestUserinfo(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		a := h.grant("rp", "ana", "openid profile refresh_token")
		token := a.text("access_token")
		want := map[string]any{"sub": h.people["ana"].ID, "name": "Ana Lima", "preferred_username": "ana"}
		for name, got := range map[string]*answer{
			"GET":         h.do("GET", "/oauth2/userinfo", "Bearer "+token, nil),
			"bearer":      h.do("GET", "/oauth2/userinfo", "bearer "+token, nil),
			"POST header": h.do("POST", "/oauth2/userinfo", "Bearer "+token, values()),
			"POST empty":  h.do("POST", "/oauth2/userinfo", "Bearer "+token, nil),
			"POST body":   h.do("POST", "/oauth2/userinfo", "", values("access_token", token)),
		} {
			if diff := cmp.Diff(want, got.JSON); got.Status != 200 || diff != "" {
				t.Errorf("%s: %d %s", name, got.Status, diff)
			}
			if got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %v", name, got.Header)
			}
		}
		h.client("other", nil)
		other := h.grant("other", "ana", "openid").text("access_token")
		h.ok(h.post("/oauth2/revoke", "other", "token", other))
		for name, c := range map[string]struct {
			a      *answer
			status int
			code   string
		}{
			"none":            {h.do("GET", "/oauth2/userinfo", "", nil), 401, "invalid_token"},
			"Basic":           {h.do("GET", "/oauth2/userinfo", basic("rp", secretOf("rp")), nil), 401, "invalid_token"},
			"an ID token":     {h.do("GET", "/oauth2/userinfo", "Bearer "+a.text("id_token"), nil), 401, "invalid_token"},
			"a refresh token": {h.do("GET", "/oauth2/userinfo", "Bearer "+a.text("refresh_token"), nil), 401, "invalid_token"},
			"revoked":         {h.do("GET", "/oauth2/userinfo", "Bearer "+other, nil), 401, "invalid_token"},
			"garbled":         {h.do("GET", "/oauth2/userinfo", "Bearer "+token+"a", nil), 401, "invalid_token"},
			"upper case":      {h.do("GET", "/oauth2/userinfo", "Bearer "+strings.ToUpper(token), nil), 401, "invalid_token"},
			"long":            {h.do("GET", "/oauth2/userinfo", "Bearer "+strings.Repeat("a.", 100<<10), nil), 401, "invalid_token"}, // OA-JWT-04
			"in the address":  {h.do("GET", "/oauth2/userinfo?access_token="+token, "", nil), 400, "invalid_request"},
			"two ways":        {h.do("POST", "/oauth2/userinfo", "Bearer "+token, values("access_token", token)), 400, "invalid_request"},
			"twice":           {h.do("POST", "/oauth2/userinfo", "", values("access_token", token, "access_token", token)), 400, "invalid_request"},
		} {
			if h.fails(c.a, c.status, c.code); t.Failed() {
				t.Fatal(name)
			}
			say := c.a.Header.Get("WWW-Authenticate")
			if !strings.HasPrefix(say, "Bearer realm=") || strings.Contains(say, "error=") == (name == "none" || name == "Basic") {
				t.Errorf("%s: WWW-Authenticate %s", name, say)
			}
		}
		h.must(h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.SetActive(h.org.ID, h.people["ana"].ID, false) }))
		h.fails(h.do("GET", "/oauth2/userinfo", "Bearer "+token, nil), 401, "invalid_token")
	})
}

// RFC 7662 §2.2 in full, for both kinds of token.
func TestIntrospection(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		before := h.clock.Now().Unix()
		a := h.grant("rp", "ana", "openid orders refresh_token")
		got := h.ok(h.post("/oauth2/introspect", "rp", "token", a.text("access_token"), "token_type_hint", "refresh_token"))
		iat, exp := got.JSON["iat"].(float64), got.JSON["exp"].(float64)
		if iat < float64(before) || iat > float64(before)+60 || exp != iat+3600 {
			t.Errorf("iat %v, exp %v", iat, exp)
		}
		want := map[string]any{
			"active": true, "scope": "openid orders refresh_token", "client_id": "rp", "username": "ana", "token_type": "Bearer", "exp": exp, "iat": iat, "nbf": iat,
			"sub": h.people["ana"].ID, "aud": []any{"https://orders.example"}, "iss": h.url,
		}
		if diff := cmp.Diff(want, got.JSON); diff != "" {
			t.Error(diff)
		}
		got = h.ok(h.post("/oauth2/introspect", "rp", "token", a.text("refresh_token"), "token_type_hint", "nonsense"))
		if got.text("token_type") != "refresh_token" || got.JSON["exp"].(float64) < iat+29*24*3600 || got.text("sub") != h.people["ana"].ID {
			t.Errorf("%s", got.Text)
		}
		// MUL-7, OA-CA-11
		h.client("public", func(c *oidc.Client, _ *idp.Installation) { c.Public = true })
		h.fails(h.do("POST", "/oauth2/introspect", "", values("token", a.text("access_token"))), 401, "invalid_client")
		h.fails(h.do("POST", "/oauth2/introspect", "", values("token", a.text("access_token"), "client_id", "public")), 401, "invalid_client")
		h.fails(h.do("POST", "/oauth2/introspect", basic("rp", "x"), values("token", a.text("access_token"))), 401, "invalid_client")
		h.fails(h.post("/oauth2/introspect", "rp"), 400, "invalid_request")
		h.fails(h.do("GET", "/oauth2/introspect?token=x", basic("rp", secretOf("rp")), nil), 405, "invalid_request")
	})
}

// OA-IN-02, MUL-6: who may see what, and one body for everything else.
func TestIntrospectionOfOthers(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		parent := h.client("parent", func(c *oidc.Client, _ *idp.Installation) {
			c.Introspect, c.Mould = "children", &oidc.Mould{Grants: []string{"client_credentials"}, Scopes: []string{"orders"}}
		})
		h.client("all", func(c *oidc.Client, _ *idp.Installation) { c.Introspect = "all" })
		h.client("own", nil)
		child := h.client("child", nil)
		h.must(h.st.Write(t.Context(), func(tx *store.Tx) error {
			app, err := tx.App(h.org.ID, child.App)
			if err != nil {
				return err
			}
			if err := tx.DropApp(h.org.ID, child.App); err != nil {
				return err
			}
			app.App.Parent = parent.App
			if err := tx.AddApp(&app.App, h.st.Apps().SealSecret(h.org.ID, child.App, []byte(secretOf("child"))), nil); err != nil {
				return err
			}
			return tx.PutInstallation(&idp.Installation{Org: h.org.ID, App: child.App, PermittedUsers: idp.SelfAuthorize, RunAs: h.people["svc"].ID})
		}))
		own := func(client string) string {
			return h.ok(h.post("/oauth2/token", client, "grant_type", "client_credentials", "scope", "orders")).text("access_token")
		}
		tokens := map[string]string{"parent": own("parent"), "all": own("all"), "own": own("own"), "child": own("child")}
		for caller, sees := range map[string]string{"own": "own", "child": "child", "parent": "parent child", "all": "parent all own child"} {
			for of, token := range tokens {
				if got, want := h.active(caller, token), slices.Contains(strings.Fields(sees), of); got != want {
					t.Errorf("%s of %s: active %t", caller, of, got)
				}
			}
		}
		for name, dead := range map[string]string{
			"unknown": tokens["own"][:len(tokens["own"])-1] + "0", "malformed": "x", "huge": strings.Repeat("x", 60<<10), "JWT": "e30.e30.e30", "NUL": h.org.ID + "!\x00.",
			"another org's": "zzzzzzzz!" + strings.SplitN(tokens["own"], "!", 2)[1], "a refresh token of nobody": "r_01jd0." + secret + "~a~b",
		} {
			if h.active("all", dead) {
				t.Errorf("%s is active", name)
			}
		}
		h.block(child.App, true)
		if h.active("all", tokens["child"]) || h.active("parent", tokens["child"]) {
			t.Error("MUL-6: a blocked app's token is active")
		}
		a := h.post("/oauth2/introspect", "child", "token", tokens["child"])
		h.fails(a, 401, "invalid_client")
		if a.text("error_description") != "The app is blocked." || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic ") || h.event(a).Code != "AppBlocked" {
			t.Errorf("a blocked caller: %v %s", a.Header, a.Text)
		}
		h.clock.forward(61 * time.Minute)
		if h.active("own", tokens["own"]) {
			t.Error("MUL-6: an expired token is active")
		}
	})
}

// OA-RV-01.
func TestRevocation(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		h.client("other", nil)
		h.client("public", func(c *oidc.Client, _ *idp.Installation) { c.Public = true })
		a, b := h.grant("rp", "ana", "openid refresh_token"), h.grant("rp", "ana", "openid refresh_token")
		access, refresh := a.text("access_token"), a.text("refresh_token")
		for _, foreign := range []string{access, refresh, "x", refresh + "a", ""} {
			if foreign == "" {
				h.fails(h.post("/oauth2/revoke", "other", "token", ""), 400, "invalid_request")
			} else if got := h.ok(h.post("/oauth2/revoke", "other", "token", foreign)); got.Text != "" {
				t.Errorf("%s", got.Text)
			}
		}
		if !h.active("rp", access) || !h.active("rp", refresh) {
			t.Error("another client has revoked")
		}
		h.fails(h.do("POST", "/oauth2/revoke", "", values("token", access, "client_id", "rp")), 401, "invalid_client")
		h.fails(h.do("POST", "/oauth2/revoke?token="+access, basic("rp", secretOf("rp")), values()), 400, "invalid_request")
		h.fails(h.do("GET", "/oauth2/revoke?token="+access, basic("rp", secretOf("rp")), nil), 405, "invalid_request")
		// An access token alone, under a wrong hint.
		h.ok(h.post("/oauth2/revoke", "rp", "token", access, "token_type_hint", "refresh_token"))
		if h.active("rp", access) || !h.active("rp", refresh) {
			t.Error("an access token and nothing else was to be revoked")
		}
		next := h.ok(h.refresh("rp", refresh)).text("access_token")
		h.ok(h.post("/oauth2/revoke", "rp", "token", refresh, "token_type_hint", "access_token"))
		h.ok(h.post("/oauth2/revoke", "rp", "token", refresh)) // again, no harm
		if h.active("rp", next) || h.active("rp", refresh) {
			t.Error("a refresh token takes its access tokens with it")
		}
		h.fails(h.refresh("rp", refresh), 400, invalidGrant)
		if !h.active("rp", b.text("access_token")) {
			t.Error("another grant was revoked")
		}
		events := fmt.Sprint(h.codes())
		if !strings.Contains(events, "OauthTokenRevoked") || strings.Count(events, "OauthGrantEnded") != 1 {
			t.Errorf("events %s", events)
		}
		// A public client names itself, and that is all it can do.
		code := h.browser("ana").code("public", "scope", "refresh_token", "code_challenge", challenge(verifier), "code_challenge_method", "S256")
		p := h.ok(h.do("POST", "/oauth2/token", "", values("client_id", "public", "grant_type", "authorization_code", "code", code, "redirect_uri", redirectURI, "code_verifier", verifier)))
		rotated := h.ok(h.do("POST", "/oauth2/token", "", values("client_id", "public", "grant_type", "refresh_token", "refresh_token", p.text("refresh_token"))))
		h.ok(h.do("POST", "/oauth2/revoke", "", values("client_id", "public", "token", p.text("refresh_token")))) // the replaced one
		h.fails(h.do("POST", "/oauth2/token", "", values("client_id", "public", "grant_type", "refresh_token", "refresh_token", rotated.text("refresh_token"))), 400, invalidGrant)
	})
	t.Run("503, not 200", func(t *testing.T) {
		h := on(t)
		h.client("rp", nil)
		token := h.grant("rp", "ana", "openid").text("access_token")
		h.must(h.st.Close())
		if a := h.post("/oauth2/revoke", "rp", "token", token); a.Status != http.StatusServiceUnavailable {
			t.Errorf("%d %s", a.Status, a.Text)
		}
	})
}

// A grant's last use is written, once a minute.
func TestLastUse(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		c := h.client("rp", nil)
		token := h.grant("rp", "ana", "openid").text("access_token")
		used := func() (at time.Time) {
			h.must(h.st.Read(t.Context()).QueryRow("SELECT last_used FROM grants WHERE org = $1", h.org.ID).Scan(&at))
			return at
		}
		first := used()
		h.clock.forward(30 * time.Second)
		h.active("rp", token)
		if used() != first {
			t.Error("written within the minute")
		}
		h.clock.forward(31 * time.Second)
		h.active("rp", token)
		second := used()
		if second.Sub(first) < time.Minute {
			t.Errorf("last used %v, then %v", first, second)
		}
		h.clock.forward(61 * time.Second)
		h.ok(h.do("GET", "/oauth2/userinfo", "Bearer "+token, nil))
		if used().Sub(second) < time.Minute {
			t.Error("userinfo is no use")
		}
		app, err := h.st.Apps().Present(t.Context(), h.org.ID, c.App)
		h.must(err)
		if app.App.LastUsed.IsZero() {
			t.Error("the app was never used")
		}
	})
}
