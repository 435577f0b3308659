package main_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// relyingSite is a site of the Apache with mod_auth_openidc.
type relyingSite struct {
	Name, URL, ID, Secret, More string
}

var clientID = regexp.MustCompile(`OIDC_CLIENT_ID=(\S+)`)

// Apache 2.4 with mod_auth_openidc as relying party and as resource server.
func TestAuthOpenIDC(t *testing.T) {
	t.Parallel()
	o := newOrg(t, storetest.SQLite)
	o.apply("kind: Group\nname: finance", "kind: Group\nname: \"Bücher & O'Brien's\"",
		person("ana", "givenName: Ana\nfamilyName: \"d'Ávila 東\"\ngroups: [finance, \"Bücher & O'Brien's\"]"), person("ben", ""))
	o.serveTLS() // it asks nobody about tokens but over https
	a := newApache(t, o, "mod_auth_openidc.so")
	// What it sends by itself has no PKCE; the other is told to. One is declared, the other made in one line.
	wiki, shop := &relyingSite{Name: "wiki", ID: "wiki", Secret: secret}, &relyingSite{Name: "shop", More: "OIDCPKCEMethod S256\n\tOIDCPassRefreshToken On\n\tOIDCRefreshAccessTokenBeforeExpiry 7200"}
	wiki.URL, shop.URL = a.site(o, wiki.Name), a.site(o, shop.Name)
	o.apply(client("Wiki", wiki.ID, wiki.URL+"/oidc/callback", "clientSecret: {plain: "+secret+"}\nscopes: [openid, profile, email, groups, offline_access]\n"+
		"flows: {authorizationCode: true, refresh: true}\npostLogoutRedirectURIs: [\""+wiki.URL+"/bye?from=wiki\"]", "{groups: [finance]}"))
	o.run("app", "create", "Shop", "--oidc", "--redirect-uri", shop.URL+"/oidc/callback", "--scope", "openid,profile,email,groups,offline_access", "--permit", "group:finance")
	shop.ID, shop.Secret = clientID.FindStringSubmatch(o.run("app", "connect", "Shop"))[1], o.line("app", "secret", "Shop")
	a.begin("authopenidc.conf", map[string]any{"Sites": []*relyingSite{wiki, shop}, "Issuer": o.url})

	// The protected page after sign-in, and where one wanted to go.
	b := o.browser()
	p := b.get(wiki.URL + "/pages/1?x=%C3%BC&y=2").asks(t)
	if !strings.Contains(p.body, "to continue to Wiki") {
		t.Errorf("the page does not say for what one signs in:\n%s", p.body)
	}
	p = b.signIn(p, "ana")
	told := p.told(t)
	if p.url.String() != wiki.URL+"/pages/1?x=%C3%BC&y=2" {
		t.Errorf("the way was not kept: %s", p.url)
	}
	for name, want := range map[string]string{
		"OIDC_CLAIM_iss": o.url, "OIDC_CLAIM_aud": wiki.ID, "OIDC_CLAIM_email": "ana@example.com", "OIDC_CLAIM_email_verified": "1", "OIDC_CLAIM_preferred_username": "ana",
		"OIDC_CLAIM_given_name": "Ana", "OIDC_CLAIM_family_name": "d'Ávila 東", "OIDC_CLAIM_name": "Ana d'Ávila 東",
	} {
		if told[name] != want {
			t.Errorf("the backend was told %s=%q, not %q", name, told[name], want)
		}
	}
	if g := told["OIDC_CLAIM_groups"]; g != "Bücher & O'Brien's,finance" && g != "finance,Bücher & O'Brien's" {
		t.Errorf("the backend was told of the groups %q", g)
	}
	if told["OIDC_CLAIM_sub"] == "" || told["OIDC_access_token"] == "" || !strings.HasPrefix(told["REMOTE_USER"], told["OIDC_CLAIM_sub"]+"@") {
		t.Errorf("the backend was told %v", told)
	}
	// The same person at another app, with PKCE, without being asked again; its access token is refreshed with every page.
	first := b.get(shop.URL + "/").told(t)
	if first["OIDC_CLAIM_sub"] != told["OIDC_CLAIM_sub"] || first["OIDC_refresh_token"] == "" {
		t.Errorf("the other backend was told %v", first)
	}
	next := b.get(shop.URL + "/next").told(t)
	if next["OIDC_access_token"] == first["OIDC_access_token"] || len(o.events("--code", "OauthRefreshToken", "--app", "Shop")) == 0 {
		t.Errorf("the access token was not refreshed: %v", next)
	}

	// As resource server it asks us about every token.
	api := func(path, token string) (status int, told map[string]string) {
		r := must(http.NewRequest("GET", wiki.URL+path, nil))
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := b.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		p := &page{status: res.StatusCode, header: res.Header, body: string(must(io.ReadAll(res.Body)))}
		if res.StatusCode != 200 {
			return res.StatusCode, nil
		}
		return res.StatusCode, p.told(t)
	}
	token := told["OIDC_access_token"]
	if status, got := api("/api/plans", token); status != 200 || got["OIDC_CLAIM_sub"] != told["OIDC_CLAIM_sub"] || got["REMOTE_USER"] != told["OIDC_CLAIM_sub"] || got["OIDC_CLAIM_client_id"] != wiki.ID {
		t.Errorf("the API behind mod_auth_openidc: %d %v", status, got)
	}
	if status, _ := api("/api/orders", token); status != 401 {
		t.Errorf("the API took a token without the scope: %d", status)
	}
	for what, bad := range map[string]string{"changed": flip(token), "another client's": next["OIDC_access_token"], "none": ""} {
		if status, _ := api("/api/plans", bad); status != 401 {
			t.Errorf("the API took a token, %s: %d", what, status)
		}
	}
	o.run("app", "block", "Wiki")
	if status, _ := api("/api/plans", token); status != 401 {
		t.Errorf("the API took a token of a blocked app: %d", status)
	}
	o.run("app", "unblock", "Wiki")

	// Who may not use the app is told so by the app, and the backend nothing. (Where an error comes with iss, RFC 9207 §2,
	// this version of the module takes it for a sign-in that somebody else starts, and has no words for it.)
	n := o.in("ben")
	p = n.get(wiki.URL + "/")
	if !strings.HasPrefix(p.url.String(), wiki.URL+"/oidc/callback?error=access_denied&") || strings.Contains(p.body, "OIDC_CLAIM") {
		t.Errorf("without access: %d %s\n%s", p.status, p.url, p.body)
	}
	if e := o.events("--app", "Wiki", "--user", "ben"); len(e) == 0 || e[0].Code != "NoAccess" && e[0].Code != "AppAccessDenied" {
		t.Errorf("without access: the event says %+v", e)
	}

	// RP-Initiated Logout: the module ends its own session and sends the browser here with its ID token; ours ends, and
	// the browser is back where the app wanted it. Afterwards both apps' pages ask again.
	b = o.in("ana")
	b.get(wiki.URL + "/").told(t)
	p = b.get(wiki.URL + "/oidc/callback?logout=" + url.QueryEscape(wiki.URL+"/bye?from=wiki"))
	if p.url.String() != wiki.URL+"/bye?from=wiki" || p.told(t)["OIDC_CLAIM_sub"] != "" {
		t.Errorf("signed out, the browser is at %s (%d) by %v\n%s", p.url, p.status, p.way, p.body)
	}
	b.get(wiki.URL + "/").asks(t)
	b.get(shop.URL + "/").asks(t)
	if p := b.get("/apps"); p.url.Path != "/signin" {
		t.Errorf("signed out, /apps is %s", p.url)
	}
}
