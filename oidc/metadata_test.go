package oidc_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/oidc"
)

func TestReadObject(t *testing.T) {
	got, err := oidc.ReadObject([]byte(` {"a":"b","list":[1,null,{"x":true}]} `))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"a": "b", "list": []any{1.0, nil, map[string]any{"x": true}}}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := oidc.ReadObject([]byte("{" + members(100) + "}")); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{
		"nothing": "", "null": "null", "array": "[]", "string": `"a"`, "twice": `{"a":1,"a":2}`, "twice but for case": `{"alg":"RS256","ALG":"none"}`,
		"twice deep": `{"a":{"b":1,"B":2}}`, "twice escaped": `{"a":1,"\u0061":2}`, "behind": `{"a":1}{}`, "behind, no JSON": `{"a":1}x`, "cut": `{"a":`, "comma": `{"a":1,}`,
		"not UTF-8": "{\"a\":\"\xff\"}", "too deep": strings.Repeat(`{"a":`, 10) + "1" + strings.Repeat("}", 10), "very deep": strings.Repeat("[", 60000),
		"closed wrong": `{"a":[}`, "twice but for a long s": `{"scope":1,"\u017fcope":2}`, "many members": "{" + strings.Repeat(`"a":1,`, 20000) + `"b":1}`,
		"a hundred and one": "{" + members(101) + "}",
	} {
		if got, err := oidc.ReadObject([]byte(text)); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func members(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"m%d":1`, i))
	}
	return strings.Join(all, ",")
}

// FuzzReadObject: what passes has each name once, however deep.
func FuzzReadObject(f *testing.F) {
	f.Add(`{"redirect_uris":["https://a/cb"],"a":{"b":[{"c":null}]}}`)
	f.Add(`{"a":1,"A":2}`)
	f.Add(`{"a":[[[[[[[[[]]]]]]]]]}`)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := oidc.ReadObject([]byte(text))
		if err == nil && got == nil {
			t.Errorf("%q: no object and no error", text)
		}
		for name := range got {
			for other := range got {
				if name != other && strings.EqualFold(name, other) {
					t.Errorf("%q has %q and %q", text, name, other)
				}
			}
		}
	})
}

func valid() oidc.Metadata {
	return oidc.Metadata{
		ClientName: "Orders", RedirectURIs: []string{"https://app.example/cb"}, GrantTypes: []string{"authorization_code"}, ResponseTypes: []string{"code"},
		TokenEndpointAuthMethod: "client_secret_basic", ApplicationType: "web", Contacts: []string{"a@app.example"}, ClientURI: "https://app.example/",
		LogoURI: "https://app.example/logo", PolicyURI: "https://app.example/p", TosURI: "https://app.example/t", Scope: "openid orders", SoftwareID: "x", SoftwareVersion: "1",
	}
}

// TestMetadataLadder: each rung refuses something, and nothing is refused that is right.
func TestMetadataLadder(t *testing.T) {
	good := valid()
	if err := good.Judge(); err != nil {
		t.Fatal(err)
	}
	if err := (&oidc.Metadata{}).Judge(); err != nil {
		t.Errorf("nothing asked: %v", err)
	}
	refused := map[string]bool{}
	many := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("https://app.example/%d", i))
		}
		return all
	}
	for _, c := range []struct {
		rung, code string
		change     func(*oidc.Metadata)
	}{
		{"client_name", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.ClientName = strings.Repeat("ä", 201) }},
		{"client_name", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.ClientName = "a\nb" }},
		{"client_name", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.ClientName = "sdro\u202erO" }},
		{"contacts", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.Contacts = many(11) }},
		{"contacts", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.Contacts = []string{"a\r\nBcc: b"} }},
		{"application_type", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.ApplicationType = "Web" }},
		{"redirect_uris", oidc.InvalidRedirectURI, func(m *oidc.Metadata) { m.RedirectURIs = many(51) }},
		{"redirect_uris", oidc.InvalidRedirectURI, func(m *oidc.Metadata) { m.RedirectURIs = nil }},
		{"redirect_uris", oidc.InvalidRedirectURI, func(m *oidc.Metadata) { m.RedirectURIs[0] += "#f" }},
		{"redirect_uris", oidc.InvalidRedirectURI, func(m *oidc.Metadata) { m.RedirectURIs[0] = "com.example:/cb" }},
		{"post_logout_redirect_uris", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.PostLogoutRedirectURIs = many(51) }},
		{"post_logout_redirect_uris", oidc.InvalidClientMetadata, func(m *oidc.Metadata) {
			m.PostLogoutRedirectURIs = []string{"https://app.example/bye#f"}
		}},
		{"client_uri", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.ClientURI = "javascript:alert(1)" }},
		{"client_uri", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.LogoURI = "data:image/png,x" }},
		{"client_uri", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.PolicyURI = "/policy" }},
		{"client_uri", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.TosURI = "https://u:p@app.example/" }},
		{"client_uri", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.ClientURI = "com.example:/x" }},
		{"grant_types", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.GrantTypes = many(21) }},
		{"response_types", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.ResponseTypes = []string{"token"} }},
		{"response_types", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.ResponseTypes = many(21) }},
		{"token_endpoint_auth_method", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.TokenEndpointAuthMethod = "private_key_jwt" }},
		{"scope", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.Scope = "a\"b" }},
		{"scope", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.Scope = strings.Repeat("a", 9000) }},
		{"software_id", oidc.InvalidClientMetadata, func(m *oidc.Metadata) { m.SoftwareVersion = strings.Repeat("1", 201) }},
	} {
		m := valid()
		c.change(&m)
		var e *oidc.Error
		if err := m.Judge(); !errors.As(err, &e) {
			t.Errorf("%s: %v is not refused: %+v", c.rung, err, m)
		} else if rung, _, _ := strings.Cut(e.Reason, ":"); rung != c.rung || e.Code != c.code {
			t.Errorf("%s: refused on %s with %s", c.rung, rung, e.Code)
		}
		refused[c.rung] = true
	}
	for _, name := range oidc.MetadataRungs() {
		if !refused[name] {
			t.Errorf("no case is refused on the rung %s", name)
		}
	}
}

func TestCast(t *testing.T) {
	parent := &oidc.Client{App: "p", Mould: &oidc.Mould{
		Grants: []string{"authorization_code", "refresh_token", "client_credentials"}, Scopes: []string{"orders", "stock", "refresh_token"},
	}}
	machine := &oidc.Client{App: "p", Mould: &oidc.Mould{Grants: []string{"client_credentials"}, Scopes: []string{"orders"}}}
	uris := []string{"https://app.example/cb"}
	type got struct {
		Grants, Responses, Scope, Type, Method, Pinned string
		Public                                         bool
	}
	for _, c := range []struct {
		name   string
		parent *oidc.Client
		asked  oidc.Metadata
		want   got
		code   string
	}{
		{"nothing asked of a machine's mould", machine, oidc.Metadata{}, got{"client_credentials", "", "orders", "service", "client_secret_basic", "", false}, ""},
		{"the defaults of RFC 7591", parent, oidc.Metadata{RedirectURIs: uris}, got{"authorization_code", "code", "orders stock refresh_token", "web", "client_secret_basic", "", false}, ""},
		{"more than the mould", parent, oidc.Metadata{RedirectURIs: uris, GrantTypes: []string{"implicit", "authorization_code", "password"}, Scope: "admin orders"},
			got{"authorization_code", "code", "orders", "web", "client_secret_basic", "", false}, ""},
		{"the refresh grant brings its scope", parent, oidc.Metadata{RedirectURIs: uris, GrantTypes: []string{"authorization_code", "refresh_token"}, Scope: "orders"},
			got{"authorization_code refresh_token", "code", "orders refresh_token", "web", "client_secret_basic", "", false}, ""},
		{"refresh alone is nothing", parent, oidc.Metadata{GrantTypes: []string{"refresh_token", "client_credentials"}, Scope: "orders"},
			got{"client_credentials", "", "orders refresh_token", "service", "client_secret_basic", "", false}, ""},
		{"a public client has no client credentials", parent, oidc.Metadata{RedirectURIs: uris, GrantTypes: []string{"client_credentials", "authorization_code"}, TokenEndpointAuthMethod: "none"},
			got{"authorization_code", "code", "orders stock refresh_token", "browser", "none", "none", true}, ""},
		{"native", parent, oidc.Metadata{RedirectURIs: []string{"com.example:/cb"}, ApplicationType: "native", TokenEndpointAuthMethod: "none"},
			got{"authorization_code", "code", "orders stock refresh_token", "native", "none", "none", true}, ""},
		{"a method asked for is the only one", machine, oidc.Metadata{TokenEndpointAuthMethod: "client_secret_post"},
			got{"client_credentials", "", "orders", "service", "client_secret_post", "client_secret_post", false}, ""},
		{"a public machine", machine, oidc.Metadata{TokenEndpointAuthMethod: "none"}, got{}, oidc.InvalidClientMetadata},
		{"no grant of the mould", machine, oidc.Metadata{RedirectURIs: uris, GrantTypes: []string{"authorization_code"}}, got{}, oidc.InvalidClientMetadata},
		{"no scope of the mould", machine, oidc.Metadata{Scope: "admin"}, got{}, oidc.InvalidClientMetadata},
		{"no redirect URI by default", parent, oidc.Metadata{}, got{}, oidc.InvalidRedirectURI},
	} {
		t.Run(c.name, func(t *testing.T) {
			child, err := oidc.Cast(c.parent, &c.asked)
			var e *oidc.Error
			if c.code != "" {
				if !errors.As(err, &e) || e.Code != c.code {
					t.Fatalf("got %v, want %s", err, c.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			m := child.Registered
			is := got{strings.Join(m.GrantTypes, " "), strings.Join(m.ResponseTypes, " "), m.Scope, child.Type, m.TokenEndpointAuthMethod, child.AuthMethod, child.Public}
			if diff := cmp.Diff(c.want, is); diff != "" {
				t.Error(diff)
			}
			if child.Parent != "p" || child.Introspect != "own" || child.Mould != nil || !child.SecretForCode || !child.SecretForRefresh {
				t.Errorf("child %+v", child)
			}
			if child.AuthorizationCode != slices.Contains(m.GrantTypes, "authorization_code") || child.Refresh != slices.Contains(m.GrantTypes, "refresh_token") ||
				child.ClientCredentials != slices.Contains(m.GrantTypes, "client_credentials") || strings.Join(child.Scopes, " ") != m.Scope {
				t.Error("what the client may and what it was told differ")
			}
		})
	}
}
