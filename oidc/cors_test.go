package oidc_test

import (
	"slices"
	"testing"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/oidc"
)

// Core §5.3, CONNECTED-APPS.md 1E: an app that lives in browsers redeems its code from its own site, and no other site
// reads what it is told. OA-UI-02: never with credentials.
func TestCORS(t *testing.T) {
	h := on(t)
	h.client("spa", func(c *oidc.Client, _ *idp.Installation) {
		c.Public, c.Type, c.RedirectURIs = true, "browser", []string{redirectURI, "http://localhost:5173/cb"}
	})
	h.client("web", nil)
	b := h.browser("ana")
	from := func(origin, method, path, authorization string, pairs ...string) *answer {
		t.Helper()
		r := h.request(method, path, authorization, values(pairs...))
		r.Header.Set("Origin", origin)
		a := h.send(h.http, r)
		if a.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s: with credentials", method, path)
		}
		return a
	}
	told := func(a *answer, want string) {
		t.Helper()
		if got := a.Header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%d %s: told to %q, want %q", a.Status, a.Text, got, want)
		}
	}
	for origin, want := range map[string]string{
		"https://app.example": "https://app.example", "http://localhost:5173": "http://localhost:5173",
		"https://evil.example": "", "null": "", "http://app.example": "", "https://app.example:8443": "", "https://app.example.evil.example": "",
		"https://APP.example": "", "*": "", "http://localhost": "",
	} {
		code := b.code("spa", "code_challenge", challenge(verifier), "code_challenge_method", "S256")
		a := h.ok(from(origin, "POST", "/oauth2/token", "", "grant_type", "authorization_code", "client_id", "spa", "code", code, "redirect_uri", redirectURI, "code_verifier", verifier))
		told(a, want)
		told(from(origin, "POST", "/oauth2/token", "", "grant_type", "authorization_code", "client_id", "spa", "code", code), want) // a refusal too
		told(from(origin, "POST", "/oauth2/token", "", "grant_type", "authorization_code", "client_id", "nobody", "code", code), "")
		token := h.ok(h.do("POST", "/oauth2/token", "", values("grant_type", "authorization_code", "client_id", "spa", "redirect_uri", redirectURI, "code_verifier", verifier,
			"code", b.code("spa", "code_challenge", challenge(verifier), "code_challenge_method", "S256")))).text("access_token")
		a = h.ok(from(origin, "GET", "/oauth2/userinfo", "Bearer "+token))
		told(a, want)
		if !slices.Contains(a.Header.Values("Vary"), "Origin") {
			t.Errorf("Vary: %v", a.Header)
		}
		told(from(origin, "GET", "/oauth2/userinfo", "Bearer "+token+"x"), "")
		told(from(origin, "POST", "/oauth2/revoke", "", "client_id", "spa", "token", token), want)
		// Nobody else's answers are for scripts.
		told(from(origin, "POST", "/oauth2/token", basic("web", secretOf("web")), "grant_type", "client_credentials", "scope", "orders"), "")
		token = h.ok(h.redeem("web", b.code("web"))).text("access_token")
		told(from(origin, "GET", "/oauth2/userinfo", "Bearer "+token), "")
	}
	for _, path := range []string{"/oauth2/token", "/oauth2/userinfo", "/oauth2/revoke"} {
		a := from("https://app.example", "OPTIONS", path, "")
		if told(a, "*"); a.Status != 204 || a.Header.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type" {
			t.Errorf("%d %v", a.Status, a.Header)
		}
	}
}
