package oidc_test

import (
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

// oidcc-discovery-endpoint-verification, MUL-1: the document names what is there and nothing else.
func TestDiscovery(t *testing.T) {
	h := on(t)
	first := h.do("GET", "/.well-known/openid-configuration", "", nil)
	second := h.do("GET", "/.well-known/oauth-authorization-server", "", nil)
	if first.Status != 200 || first.Header.Get("Content-Type") != "application/json" || first.Text != second.Text {
		t.Fatalf("%d %s", first.Status, first.Text)
	}
	at := func(path string) string { return h.url + "/oauth2/" + path }
	list := func(all ...any) []any { return all }
	claims := first.JSON["claims_supported"].([]any)
	for _, c := range []string{"sub", "iss", "auth_time", "acr", "name", "email", "groups"} {
		if !slices.Contains(claims, any(c)) {
			t.Errorf("claims_supported has no %s", c)
		}
	}
	delete(first.JSON, "claims_supported")
	algs := list("RS256", "PS256", "ES256", "EdDSA", "RS384", "PS384", "ES384", "RS512", "PS512", "ES512")
	want := map[string]any{
		"issuer": h.url, "authorization_endpoint": at("authorize"), "token_endpoint": at("token"), "userinfo_endpoint": at("userinfo"),
		"jwks_uri": at("keys"), "registration_endpoint": at("register"), "introspection_endpoint": at("introspect"), "revocation_endpoint": at("revoke"),
		"scopes_supported":         list("openid", "profile", "email", "address", "phone", "groups", "offline_access", "refresh_token", "api", "full", "id", "web", "orders", "stock"),
		"response_types_supported": list("code"), "response_modes_supported": list("query"),
		"grant_types_supported":   list("authorization_code", "refresh_token", "client_credentials"),
		"acr_values_supported":    list("urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"),
		"prompt_values_supported": list("none", "login", "consent", "select_account"), "subject_types_supported": list("public"),
		"id_token_signing_alg_values_supported": list("RS256"), "code_challenge_methods_supported": list("S256"),
		"token_endpoint_auth_methods_supported":         list("client_secret_basic", "client_secret_post", "private_key_jwt", "none"),
		"introspection_endpoint_auth_methods_supported": list("client_secret_basic", "client_secret_post", "private_key_jwt"),
		"revocation_endpoint_auth_methods_supported":    list("client_secret_basic", "client_secret_post", "private_key_jwt", "none"),
		// RFC 8414 §2: "Servers SHOULD support "RS256". The value "none" MUST NOT be used."
		"token_endpoint_auth_signing_alg_values_supported":         algs,
		"introspection_endpoint_auth_signing_alg_values_supported": algs,
		"revocation_endpoint_auth_signing_alg_values_supported":    algs,
		"claims_parameter_supported":                               false, "request_parameter_supported": false, "request_uri_parameter_supported": false,
		"authorization_response_iss_parameter_supported": true, "end_session_endpoint": at("logout"),
	}
	if diff := cmp.Diff(want, first.JSON); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if strings.Contains(first.Text, "/services/") {
		t.Error("discovery names the other dialect")
	}
}

func TestDocumentsMayBeKept(t *testing.T) {
	h := on(t)
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/oauth2/keys"} {
		a := h.do("GET", path, "", nil)
		if a.Header.Get("Cache-Control") != "public, max-age=300" || a.Header.Get("Access-Control-Allow-Origin") != "*" || a.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: headers %v", path, a.Header)
		}
		for _, tag := range []string{a.Header.Get("ETag"), "W/" + a.Header.Get("ETag"), `"x", ` + a.Header.Get("ETag"), "*"} {
			r := h.request("GET", path, "", nil)
			r.Header.Set("If-None-Match", tag)
			if again := h.send(h.http, r); again.Status != http.StatusNotModified || again.Text != "" {
				t.Errorf("%s with %s: %d", path, tag, again.Status)
			}
		}
		r := h.request("GET", path, "", nil)
		r.Header.Set("If-None-Match", `"x"`)
		if again := h.send(h.http, r); again.Status != 200 {
			t.Errorf("%s with another tag: %d", path, again.Status)
		}
		if head := h.do("HEAD", path, "", nil); head.Status != 200 || head.Text != "" {
			t.Errorf("HEAD %s: %d", path, head.Status)
		}
	}
}

func TestKeysArePublic(t *testing.T) {
	h := on(t)
	a := h.do("GET", "/oauth2/keys", "", nil)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(a.Text), &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%v %s", err, a.Text)
	}
	k := set.Keys[0]
	if _, ok := k.Key.(*rsa.PublicKey); !ok || !k.IsPublic() || k.KeyID == "" || k.Use != "sig" || k.Algorithm != "RS256" {
		t.Errorf("key %+v", k)
	}
}

// OA-AZ-07, OA-UI-02, WEB-19: what is not for scripts of other sites has no CORS headers, and only named methods are answered.
func TestMethodsAndCORS(t *testing.T) {
	h := on(t)
	for path, allow := range map[string]string{
		"/oauth2/authorize": "GET, POST", "/oauth2/continue": "GET", "/oauth2/token": "OPTIONS, POST", "/oauth2/introspect": "POST", "/oauth2/revoke": "OPTIONS, POST",
		"/oauth2/userinfo": "GET, OPTIONS, POST", "/oauth2/keys": "GET, HEAD", "/oauth2/register": "POST", "/oauth2/register/x": "DELETE, GET, PUT",
		"/.well-known/openid-configuration": "GET, HEAD",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			r := h.request(method, path, "", nil)
			r.Header.Set("Origin", "https://evil.example")
			a := h.send(h.http, r)
			named := slices.Contains(strings.Split(allow, ", "), method)
			if (a.Status == http.StatusMethodNotAllowed) == named {
				t.Errorf("%s %s: %d", method, path, a.Status)
			}
			if !named && a.Header.Get("Allow") != allow {
				t.Errorf("%s %s: Allow %q", method, path, a.Header.Get("Allow"))
			}
			if a.Header.Get("Access-Control-Allow-Credentials") != "" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s %s: headers %v", method, path, a.Header)
			}
			open := path == "/oauth2/keys" || strings.HasPrefix(path, "/.well-known/")
			open = open || named && method == "OPTIONS"
			if got := a.Header.Get("Access-Control-Allow-Origin"); got != "" && !open {
				t.Errorf("%s %s: Access-Control-Allow-Origin %q", method, path, got)
			}
		}
	}
}
