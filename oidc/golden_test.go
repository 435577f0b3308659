package oidc_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/oidc"
)

var update = flag.Bool("update", false, "write testdata/golden.txt anew")

// DESIGN.md idea 10: what a connected app receives does not move unnoticed. What is random or tells the time is replaced by
// its name.
func TestGolden(t *testing.T) {
	h := on(t)
	h.client("rp", func(c *oidc.Client, _ *idp.Installation) { c.IDTokenLifetime = 2 * time.Minute })
	h.client("standard", func(c *oidc.Client, _ *idp.Installation) { c.IDTokenClaims = "standard" })
	_, bearer := h.gateway("gateway", nil)
	b := h.browser("ana")
	var out strings.Builder
	put := func(title string, a *answer) {
		fmt.Fprintf(&out, "== %s\n%d\n", title, a.Status)
		for _, name := range []string{"Cache-Control", "Content-Type", "Location", "Pragma", "Www-Authenticate"} {
			for _, v := range a.Header[name] {
				fmt.Fprintf(&out, "%s: %s\n", name, v)
			}
		}
		var text bytes.Buffer
		if a.JSON != nil {
			h.must(json.Indent(&text, []byte(a.Text), "", "  "))
		}
		fmt.Fprintf(&out, "%s\n", &text)
	}
	put("discovery", h.do("GET", "/.well-known/openid-configuration", "", nil))
	put("keys", h.do("GET", "/oauth2/keys", "", nil))
	answered := b.ask("rp", "scope", "openid profile email orders refresh_token", "nonce", "n-0S6")
	put("authorization response", answered)
	put("authorization error", b.ask("rp", "scope", "admin"))
	a := h.redeem("rp", h.back(answered).Get("code"))
	put("token response", a)
	token := func(title, text string) {
		for _, part := range strings.Split(text, ".")[:2] {
			var indented bytes.Buffer
			h.must(json.Indent(&indented, decode(t, part), "", "  "))
			fmt.Fprintf(&out, "== %s\n%s\n\n", title, &indented)
		}
	}
	token("ID token", a.text("id_token"))
	put("userinfo", h.do("GET", "/oauth2/userinfo", "Bearer "+a.text("access_token"), nil))
	put("introspection of an access token", h.post("/oauth2/introspect", "rp", "token", a.text("access_token")))
	put("introspection of a refresh token", h.post("/oauth2/introspect", "rp", "token", a.text("refresh_token")))
	put("introspection of nothing", h.post("/oauth2/introspect", "rp", "token", "x"))
	refreshed := h.refresh("rp", a.text("refresh_token"))
	put("refresh response", refreshed)
	token("refreshed ID token", refreshed.text("id_token"))
	token("ID token with standard claims", h.grant("standard", "ana", "openid profile email").text("id_token"))
	put("client credentials response", h.post("/oauth2/token", "rp", "grant_type", "client_credentials", "scope", "orders"))
	put("revocation", h.post("/oauth2/revoke", "rp", "token", a.text("access_token")))
	put("userinfo, dead token", h.do("GET", "/oauth2/userinfo", "Bearer "+a.text("access_token"), nil))
	put("userinfo, no token", h.do("GET", "/oauth2/userinfo", "", nil))
	put("token error", h.do("POST", "/oauth2/token", basic("rp", "x"), values("grant_type", "client_credentials")))
	put("registration", h.register(bearer, object{"client_name": "Orders", "redirect_uris": []string{redirectURI}, "grant_types": []string{"authorization_code", "refresh_token"}, "scope": "orders openid"}))
	put("registration error", h.do("POST", "/oauth2/register", bearer, object{"redirect_uris": []string{"javascript:x"}}))

	got := strings.NewReplacer(h.url, "ISSUER", strings.ReplaceAll(strings.ReplaceAll(h.url, ":", "%3A"), "/", "%2F"), "ISSUER", h.org.ID+"!", "ORG!",
		h.people["ana"].ID, "ANA", h.people["svc"].ID, "SVC").Replace(out.String())
	for _, r := range []struct{ name, pattern string }{
		{"KID", `\b[0-9a-f]{32}\b`}, {"JWT", `eyJ[\w-]+\.[\w-]+\.[\w-]+`}, {"SECRET", `\b[a-z2-7]{32}(~[a-z2-7]{32}~[\w-]{22})?`}, {"ID", `[0-9a-z]{26}`},
		{"MODULUS", `[\w-]{300,}`}, {"HASH", `(?m)(\"at_hash\": ")[^"]+`}, {"TIME", `\b[0-9]{10}\b`}, {"SID", `sid [0-9A-Z]+ of [0-9A-Z]+`},
	} {
		re := regexp.MustCompile(r.pattern)
		if r.name == "HASH" {
			got = re.ReplaceAllString(got, "${1}HASH")
			continue
		}
		got = re.ReplaceAllString(got, r.name)
	}
	const file = "testdata/golden.txt"
	if *update {
		h.must(os.MkdirAll("testdata", 0o755))
		h.must(os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	h.must(err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("what apps receive has moved (-want +got); if that is meant: go test ./oidc -run TestGolden -update\n%s", diff)
	}
}
