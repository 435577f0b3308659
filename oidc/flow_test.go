package oidc_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/keys"
	lanyard "github.com/lanyard-sso/lanyard/oidc"
)

// party is a relying party on libraries nobody here wrote.
type party struct {
	h        *house
	ctx      context.Context
	provider *oidc.Provider
	oauth2.Config
}

func (h *house) party(client string, style oauth2.AuthStyle, scopes ...string) *party {
	h.t.Helper()
	p := &party{h: h, ctx: oidc.ClientContext(h.t.Context(), h.http)}
	var err error
	p.provider, err = oidc.NewProvider(p.ctx, h.url)
	h.must(err)
	p.Config = oauth2.Config{ClientID: client, ClientSecret: secretOf(client), RedirectURL: redirectURI, Scopes: scopes, Endpoint: p.provider.Endpoint()}
	p.Endpoint.AuthStyle = style
	return p
}

// enter sends the browser through and returns the tokens and the verified ID token.
func (p *party) enter(b *browser, options ...oauth2.AuthCodeOption) (*oauth2.Token, *oidc.IDToken) {
	p.h.t.Helper()
	verifier := oauth2.GenerateVerifier()
	a := b.get(p.AuthCodeURL("st", append(options, oidc.Nonce("n-0S6"), oauth2.S256ChallengeOption(verifier))...))
	v := p.h.back(a)
	if v.Get("state") != "st" {
		p.h.t.Fatalf("state %q", v.Get("state"))
	}
	t, err := p.Exchange(p.ctx, v.Get("code"), oauth2.VerifierOption(verifier))
	p.h.must(err)
	raw, ok := t.Extra("id_token").(string)
	if !ok {
		return t, nil
	}
	id, err := p.provider.Verifier(&oidc.Config{ClientID: p.ClientID, Now: p.h.clock.Now}).Verify(p.ctx, raw)
	p.h.must(err)
	p.h.must(id.VerifyAccessToken(t.AccessToken))
	return t, id
}

// WEL-1, WEL-4, oidcc-server, oidcc-idtoken-signature, -userinfo-get: the code flow, as coreos/go-oidc and x/oauth2 see it.
func TestCodeFlow(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for style, name := range map[oauth2.AuthStyle]string{oauth2.AuthStyleInHeader: "header", oauth2.AuthStyleInParams: "params"} {
			h.client("wellness-"+name, nil)
			b := h.browser("ana")
			p := h.party("wellness-"+name, style, "openid", "profile", "email", "offline_access")
			before := h.clock.Now().Add(-2 * time.Second)
			token, id := p.enter(b)
			if id.Subject != h.people["ana"].ID || id.Nonce != "n-0S6" || id.Expiry.Sub(id.IssuedAt) != time.Hour || id.AccessTokenHash == "" {
				t.Errorf("ID token %+v", id)
			}
			var claims map[string]any
			h.must(id.Claims(&claims))
			if claims["acr"] != idp.ACRPassword || claims["sid"] == "" || claims["auth_time"].(float64) < float64(before.Unix()) || claims["name"] != nil {
				t.Errorf("claims %v", claims)
			}
			if left := time.Until(token.Expiry); left < 59*time.Minute || left > time.Hour || token.TokenType != "Bearer" || token.RefreshToken == "" {
				t.Errorf("token %+v", token)
			}
			if !strings.HasPrefix(token.AccessToken, h.org.ID+"!") {
				t.Errorf("the access token does not wear its org: %s", token.AccessToken)
			}
			info, err := p.provider.UserInfo(p.ctx, oauth2.StaticTokenSource(token))
			h.must(err)
			var told map[string]any
			h.must(info.Claims(&told))
			if info.Subject != id.Subject || info.Email != "ana@example.com" || !info.EmailVerified || told["name"] != "Ana Lima" {
				t.Errorf("userinfo %v", told)
			}
			// oidcc-refresh-token: iss, sub, aud and auth_time stay, there is no nonce (OA-RT-11).
			h.clock.forward(2 * time.Minute)
			next, err := p.TokenSource(p.ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
			h.must(err)
			again, err := p.provider.Verifier(&oidc.Config{ClientID: p.ClientID, Now: h.clock.Now}).Verify(p.ctx, next.Extra("id_token").(string))
			h.must(err)
			var after map[string]any
			h.must(again.Claims(&after))
			for _, same := range []string{"iss", "sub", "aud", "auth_time", "acr", "sid"} {
				if after[same] != claims[same] {
					t.Errorf("OA-RT-11: %s was %v and is %v", same, claims[same], after[same])
				}
			}
			if after["nonce"] != nil || after["iat"] == claims["iat"] || next.AccessToken == token.AccessToken || next.RefreshToken != token.RefreshToken {
				t.Errorf("refreshed %v", after)
			}
		}
		for _, code := range []string{"OauthAuthorize", "OauthWebServer", "OauthRefreshToken"} {
			if !slices.Contains(h.codes(), code) {
				t.Errorf("no event %s", code)
			}
		}
	})
}

// P7: a public client and a native one with a free port, with PKCE and without a secret.
func TestPublicClients(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("browser", func(c *lanyard.Client, _ *idp.Installation) { c.Public, c.Type = true, "browser" })
		h.client("native", func(c *lanyard.Client, _ *idp.Installation) {
			c.Public, c.Type, c.RedirectURIs = true, "native", []string{"http://127.0.0.1/cb", "com.example.app:/cb"}
		})
		for name, uri := range map[string]string{"browser": redirectURI, "native": "http://127.0.0.1:51004/cb"} {
			p := h.party(name, oauth2.AuthStyleInParams, "openid", "refresh_token")
			p.ClientSecret, p.RedirectURL = "", uri
			token, id := p.enter(h.browser("ana"))
			if id.Subject != h.people["ana"].ID || token.RefreshToken == "" {
				t.Errorf("%s: %+v", name, token)
			}
			next, err := p.TokenSource(p.ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
			h.must(err)
			if next.RefreshToken == token.RefreshToken {
				t.Errorf("%s: a public client's refresh token does not rotate", name)
			}
		}
		// x/oauth2 tries a header first where it does not know: an empty secret is none.
		p := h.party("browser", oauth2.AuthStyleAutoDetect, "openid")
		p.ClientSecret = ""
		p.enter(h.browser("ana"))
	})
}

// MUL-5, ORD-3: a client by itself.
func TestClientCredentialsFlow(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("batch", nil)
		conf := clientcredentials.Config{ClientID: "batch", ClientSecret: secretOf("batch"), TokenURL: h.url + "/oauth2/token", Scopes: []string{"orders"}}
		token, err := conf.Token(context.WithValue(t.Context(), oauth2.HTTPClient, h.http))
		h.must(err)
		a := h.ok(h.post("/oauth2/introspect", "batch", "token", token.AccessToken))
		// OA-GR-03: the subject is a user's, never the client's own name.
		if a.JSON["active"] != true || a.text("sub") != h.people["svc"].ID || a.text("username") != "svc" || a.text("scope") != "orders" {
			t.Errorf("introspection %s", a.Text)
		}
	})
}

// oidcc-basic-certification-test-plan, in a line each; what has a test of its own is named there.
func TestBasicPlan(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		const all = "openid profile email"
		h.client("rp", nil)
		b := h.browser("ana")
		code := func(t *testing.T, pairs ...string) map[string]any {
			t.Helper()
			a := h.ok(h.redeem("rp", b.code("rp", pairs...)))
			return claimsOf(t, a.text("id_token"))
		}
		back := func(pairs ...string) url.Values { return h.back(b.ask("rp", pairs...)) }
		for name, run := range map[string]func(*testing.T){
			"oidcc-response-type-missing": func(t *testing.T) {
				if e := back("response_type", "-").Get("error"); e != "invalid_request" {
					t.Error(e)
				}
			},
			"oidcc-ensure-request-without-nonce-succeeds-for-code-flow": func(t *testing.T) {
				if n, ok := code(t)["nonce"]; ok {
					t.Errorf("a nonce out of nothing: %v", n)
				}
			},
			"oidcc-scope-all, -profile, -email": func(t *testing.T) {
				a := h.ok(h.redeem("rp", b.code("rp", "scope", all)))
				info := h.ok(h.do("GET", "/oauth2/userinfo", "Bearer "+a.text("access_token"), nil))
				if info.text("name") != "Ana Lima" || info.text("email") != "ana@example.com" || info.JSON["email_verified"] != true {
					t.Error(info.Text)
				}
			},
			"oidcc-alternate-happy-flow": func(t *testing.T) { code(t, "scope", "email profile openid") },
			"oidcc-display, -ui-locales, -claims-locales, -login-hint, -unknown-parameter": func(t *testing.T) {
				code(t, "display", "popup", "ui_locales", "se", "claims_locales", "se", "login_hint", "ana", "extra", "foobar")
				code(t, "display", "<script>", "ui_locales", "../../etc/passwd", "login_hint", `"><script>`, "error_description", "<script>") // OA-AZ-10
			},
			"oidcc-prompt-login": func(t *testing.T) {
				first := code(t)
				h.clock.forward(time.Minute)
				missing, to := h.asked(b.ask("rp", "prompt", "login"))
				if missing != "signin" {
					t.Fatalf("missing %s", missing)
				}
				// OA-PR-02: coming back without proving anything changes nothing.
				if missing, _ := h.asked(b.get(to)); missing != "signin" {
					t.Errorf("missing %s", missing)
				}
				b.signIn("ana")
				a := h.ok(h.redeem("rp", h.back(b.get(to)).Get("code")))
				if second := claimsOf(t, a.text("id_token")); second["auth_time"].(float64) < first["auth_time"].(float64)+50 {
					t.Errorf("auth_time %v, then %v", first["auth_time"], second["auth_time"])
				}
			},
			"oidcc-prompt-none-not-logged-in": func(t *testing.T) {
				v := h.back(h.browser("").ask("rp", "prompt", "none"))
				if v.Get("error") != "login_required" || v.Get("state") != "s t=1" {
					t.Error(v)
				}
			},
			"oidcc-prompt-none-logged-in": func(t *testing.T) {
				first, second := code(t), code(t, "prompt", "none")
				if first["sub"] != second["sub"] || first["auth_time"] != second["auth_time"] {
					t.Errorf("%v, then %v", first, second)
				}
			},
			"oidcc-max-age-1": func(t *testing.T) {
				h.clock.forward(3 * time.Second)
				if missing, _ := h.asked(b.ask("rp", "max_age", "1")); missing != "signin" {
					t.Error(missing)
				}
				b.signIn("ana")
				code(t, "max_age", "1000")
			},
			"oidcc-max-age-10000": func(t *testing.T) {
				first, second := code(t), code(t, "max_age", "10000")
				if first["auth_time"] != second["auth_time"] {
					t.Errorf("%v, then %v", first, second)
				}
			},
			"oidcc-id-token-hint": func(t *testing.T) {
				a := h.ok(h.redeem("rp", b.code("rp")))
				h.clock.forward(2 * time.Hour) // SURFACE.md §4: accepted after its exp
				if got := code(t, "prompt", "none", "id_token_hint", a.text("id_token")); got["sub"] != h.people["ana"].ID {
					t.Error(got)
				}
			},
			"oidcc-ensure-request-with-acr-values-succeeds": func(t *testing.T) {
				if got := code(t, "acr_values", idp.ACRPassword+" other"); got["acr"] != idp.ACRPassword {
					t.Error(got)
				}
			},
			"oidcc-ensure-registered-redirect-uri": func(t *testing.T) { h.local(b.ask("rp", "redirect_uri", redirectURI+"/x")) },
			"oidcc-request-uri-unsigned-…": func(t *testing.T) {
				refusedWith(t, back("request_uri", "https://app.example/r"), "request_uri_not_supported")
			},
			"oidcc-unsigned-request-object-…": func(t *testing.T) { refusedWith(t, back("request", "e30.e30."), "request_not_supported") },
			"oidcc-claims-essential":          func(t *testing.T) { code(t, "claims", `{"userinfo":{"name":{"essential":true}}}`) },
			"oidcc-ensure-request-with-valid-pkce-succeeds": func(t *testing.T) {
				c := b.code("rp", "code_challenge", challenge(verifier), "code_challenge_method", "S256")
				h.ok(h.redeem("rp", c, "code_verifier", verifier))
			},
			"oidcc-ensure-post-request-succeeds": func(t *testing.T) {
				a := h.send(b.Client, h.request("POST", "/oauth2/authorize", "", asking("rp")))
				if a.Status != http.StatusSeeOther {
					t.Fatalf("%d %s", a.Status, a.Text)
				}
				h.back(b.get(a.Header.Get("Location")))
			},
		} {
			t.Run(name, run)
		}
	})
}

func refusedWith(t *testing.T, v url.Values, code string) {
	t.Helper()
	if v.Get("error") != code || v.Get("code") != "" {
		t.Errorf("got %v, want %s", v, code)
	}
}

// claimsOf reads an ID token without verifying it: that is done where go-oidc does.
func claimsOf(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %q", token)
	}
	var all map[string]any
	if err := json.Unmarshal(decode(t, parts[1]), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// local holds an answer to being a page here from which nothing leads to a client.
func (h *house) local(a *answer) {
	h.t.Helper()
	if a.Status != http.StatusBadRequest || a.Header.Get("Location") != "" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		h.t.Errorf("LOCAL: %d %s %.200s", a.Status, a.Header.Get("Location"), a.Text)
	}
	for _, bad := range []string{"evil.example", "<script>", "<form", "http-equiv", "javascript:"} {
		if strings.Contains(a.Text, bad) {
			h.t.Errorf("LOCAL: the page has %s", bad)
		}
	}
	if !strings.Contains(a.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") || !strings.Contains(a.Text, a.Header.Get("X-Reference")) {
		h.t.Errorf("LOCAL: no reference, or it can be framed: %v", a.Header) // OA-CO-02
	}
}

// signed is a JWT like our ID tokens, under the name of our key, whoever's key it is signed with.
func (h *house) signed(ring *keys.Ring, kind, payload string) string {
	h.t.Helper()
	k, err := ring.Active()
	h.must(err)
	private, err := k.Signer()
	h.must(err)
	ours, err := rings()[0].Active()
	h.must(err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: cryptosigner.Opaque(private), KeyID: ours.ID}}, (&jose.SignerOptions{}).WithType(jose.ContentType(kind)))
	h.must(err)
	signed, err := signer.Sign([]byte(payload))
	h.must(err)
	text, err := signed.CompactSerialize()
	h.must(err)
	return text
}
