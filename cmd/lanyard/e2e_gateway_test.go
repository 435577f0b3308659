package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2/clientcredentials"
)

// gateway is an API gateway: a parent app that registers clients and introspects their tokens.
type gateway struct {
	*rp
	initial string
}

// child is what registration answered.
type child struct {
	ID           string `json:"client_id"`
	Secret       string `json:"client_secret"`
	Name         string `json:"client_name"`
	Scope        string
	Grants       []string `json:"grant_types"`
	Token        string   `json:"registration_access_token"`
	At           string   `json:"registration_client_uri"`
	RedirectURIs []string `json:"redirect_uris"`
	Error        string
}

func gatewayOrg(t *testing.T, o *org) *gateway {
	t.Helper()
	o.apply("kind: Scope\nname: orders\nlabel: See your orders", "kind: Scope\nname: stock", person("ana", ""),
		"kind: App\nname: Orders Gateway\noauth:\n  clientID: gateway\n  clientSecret: {plain: "+secret+"}\n  type: service\n  scopes: [orders]\n  flows: {clientCredentials: true}\n"+
			"  introspect: children\n  registration: {limit: 3, grants: [authorization_code, client_credentials], scopes: [orders], runAs: auto, permit: everyone}\npolicy: {users: [{user: ana}]}",
		client("Wellness Tracker", "wellness", "https://wellness.example/cb", "clientSecret: {plain: "+secret+"}\nscopes: [openid]\nflows: {authorizationCode: true}", "{permittedUsers: self-authorize}"),
	)
	o.serve()
	// MUL-2
	g := &gateway{rp: newRP(t, o, "gateway", secret, ""), initial: o.line("gateway", "token", "create", "--app", "Orders_Gateway", "--name", "anypoint")}
	return g
}

// rest sends JSON with a bearer token.
func (g *gateway) rest(method, to, bearer string, body any) (status int, c child, header http.Header) {
	g.t.Helper()
	q := must(http.NewRequest(method, to, bytes.NewReader(must(json.Marshal(body)))))
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Authorization", "Bearer "+bearer)
	res, err := g.http.Do(q)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 204 {
		if err := json.NewDecoder(res.Body).Decode(&c); err != nil {
			g.t.Errorf("%s %s: %d %v", method, to, res.StatusCode, err)
		}
	}
	return res.StatusCode, c, res.Header
}

func (g *gateway) register(bearer string, metadata map[string]any) (status int, c child) {
	g.t.Helper()
	status, c, _ = g.rest("POST", g.o.url+"/oauth2/register", bearer, metadata)
	return status, c
}

// token gets a client-credentials token with x/oauth2.
func (g *gateway) token(c child, scopes ...string) (string, error) {
	cc := clientcredentials.Config{ClientID: c.ID, ClientSecret: c.Secret, TokenURL: g.o.url + "/oauth2/token", Scopes: scopes}
	token, err := cc.Token(g.ctx())
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

func TestGateway(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		g := gatewayOrg(t, o)

		// MUL-1
		status, found := g.send(must(http.NewRequest("GET", o.url+"/.well-known/openid-configuration", nil)))
		for _, key := range []string{"issuer", "registration_endpoint", "introspection_endpoint", "authorization_endpoint", "token_endpoint", "jwks_uri"} {
			if v, _ := found[key].(string); status != 200 || !strings.HasPrefix(v, o.url) {
				t.Errorf("MUL-1: %s is %q", key, v)
			}
		}
		// MUL-3: it asks for more than the mould allows, and is told what it got.
		ask := map[string]any{"client_name": "Order Mobile", "redirect_uris": []string{"https://orders.example/cb"},
			"grant_types": []string{"authorization_code", "client_credentials", "refresh_token"}, "scope": "orders openid"}
		status, c := g.register(g.initial, ask)
		if status != 201 || c.ID == "" || c.Secret == "" || c.Token == "" || c.Scope != "orders" || c.Name != "Order Mobile" ||
			strings.Join(c.Grants, " ") != "authorization_code client_credentials" || !strings.HasPrefix(c.At, o.url+"/oauth2/register/") {
			t.Fatalf("MUL-3: %d %+v", status, c)
		}
		var apps []struct{ APIName, Parent, ClientID string }
		if err := json.Unmarshal([]byte(o.run("app", "list", "--parent", "Orders_Gateway", "-o", "json")), &apps); err != nil || len(apps) != 1 || apps[0].Parent != "Orders_Gateway" || apps[0].ClientID != c.ID {
			t.Errorf("MUL-3: app list: %+v, %v", apps, err)
		}
		// MUL-4
		other := o.line("gateway", "token", "create", "--app", "Orders_Gateway", "--name", "old")
		if status, _ := g.register(other, ask); status != 201 {
			t.Errorf("a second token: %d", status)
		}
		o.run("gateway", "token", "revoke", "--app", "Orders_Gateway", "--name", "old")
		for what, bearer := range map[string]string{"revoked": other, "wrong": flip(g.initial), "none": ""} {
			status, c, header := g.rest("POST", o.url+"/oauth2/register", bearer, ask)
			if status != 401 || what != "none" && c.Error != "invalid_token" || header.Get("WWW-Authenticate") == "" {
				t.Errorf("MUL-4: %s: %d %+v", what, status, c)
			}
		}
		status, last := g.register(g.initial, ask)
		if status != 201 {
			t.Errorf("third: %d %+v", status, last)
		}
		if status, c := g.register(g.initial, ask); status < 400 || c.Error == "" {
			t.Errorf("MUL-4: over the limit: %d %+v", status, c)
		}
		// OA-DCR-02: addresses that would hurt somebody.
		for _, uri := range []string{"javascript:alert(1)", "https://h/#f", "https://u:p@h/", "*", "data:text/html,x", "http://h.example/cb", "/cb"} {
			ask := map[string]any{"client_name": "X", "redirect_uris": []string{uri}, "grant_types": []string{"authorization_code"}, "scope": "orders"}
			if status, c := g.register(g.initial, ask); status != 400 || c.Error != "invalid_redirect_uri" && c.Error != "invalid_client_metadata" {
				t.Errorf("OA-DCR-02: %s: %d %+v", uri, status, c)
			}
		}

		// MUL-5, MUL-6: its service user was made with it, so it works at once.
		token, err := g.token(c, "orders")
		if err != nil {
			t.Fatalf("MUL-5: %v", err)
		}
		active, seen := g.active(token)
		if !active || seen["scope"] != "orders" || seen["client_id"] != c.ID || seen["username"] == "" || seen["sub"] == "" {
			t.Errorf("MUL-6: %v", seen)
		}
		if _, err := g.token(c, "stock"); err == nil {
			t.Error("ORD-2: a scope outside the mould")
		}
		// A person through it, by the code flow.
		web := newRP(t, o, c.ID, c.Secret, "https://orders.example/cb", "orders")
		b := o.in("ana")
		p := b.get(web.start())
		if p.url.Path == "/consent" {
			p = b.fill(p, "decision", "allow")
		}
		_, person := web.signIn(p)
		if active, seen := g.active(person.AccessToken); !active || seen["username"] != "ana" {
			t.Errorf("MUL-6: %v", seen)
		}
		// MUL-7, and what is nobody's business.
		wrong := *g.rp
		wrong.ClientSecret = "wrong"
		if status, got := wrong.call("/oauth2/introspect", url.Values{"token": {token}}); status != 401 || got["active"] != nil {
			t.Errorf("MUL-7: %d %v", status, got)
		}
		stranger := newRP(t, o, "wellness", secret, "https://wellness.example/cb", "openid")
		if active, _ := stranger.active(token); active {
			t.Error("a stranger introspects a child's token")
		}
		if active, _ := web.active(token); !active {
			t.Error("a child may not introspect its own token")
		}
		sibling := newRP(t, o, last.ID, last.Secret, "https://orders.example/cb")
		if active, _ := sibling.active(token); active {
			t.Error("a sibling introspects")
		}
		// MUL-6: after revocation.
		if status, _ := web.call("/oauth2/revoke", url.Values{"token": {token}}); status != 200 {
			t.Errorf("revoke: %d", status)
		}
		if active, _ := g.active(token); active {
			t.Error("MUL-6: active after revocation")
		}

		// MUL-8: read, change (with either token), remove.
		if status, got, _ := g.rest("GET", c.At, c.Token, nil); status != 200 || got.ID != c.ID {
			t.Errorf("MUL-8: GET: %d %+v", status, got)
		}
		change := map[string]any{"client_id": c.ID, "client_name": "Order Mobile 2", "redirect_uris": []string{"https://orders.example/new"}, "grant_types": []string{"client_credentials", "authorization_code"}, "scope": "orders"}
		for _, bearer := range []string{c.Token, g.initial} {
			status, got, _ := g.rest("PUT", c.At, bearer, change)
			if status != 200 || got.Name != "Order Mobile 2" || len(got.RedirectURIs) != 1 || got.RedirectURIs[0] != "https://orders.example/new" {
				t.Errorf("MUL-8: PUT: %d %+v", status, got)
			}
		}
		if status, _, _ := g.rest("PUT", c.At, last.Token, change); status != 401 {
			t.Errorf("MUL-8: a sibling's token changes it: %d", status)
		}
		if token, err = g.token(c, "orders"); err != nil {
			t.Fatal(err)
		}
		// MUL-10, MUL-6: block the child.
		name := apps[0].APIName
		o.run("app", "block", name)
		if _, err := g.token(c, "orders"); err == nil {
			t.Error("MUL-10: a blocked child gets a token")
		}
		if active, _ := g.active(token); active {
			t.Error("MUL-6: active though blocked")
		}
		if p := b.get(web.start()); p.status == 0 && p.url.Query().Has("code") {
			t.Errorf("MUL-10: a code for a blocked app: %s", p.url)
		}
		// OA-DCR-07: the client itself cannot lift it.
		g.rest("PUT", c.At, c.Token, change)
		if _, err := g.token(c, "orders"); err == nil {
			t.Error("OA-DCR-07: PUT lifted the block")
		}
		o.run("app", "unblock", name)
		if active, _ := g.active(token); active {
			t.Error("unblocking brought a token back to life")
		}
		if token, err = g.token(c, "orders"); err != nil {
			t.Fatalf("after unblocking: %v", err)
		}
		if status, _, _ := g.rest("DELETE", c.At, c.Token, nil); status != 204 {
			t.Errorf("MUL-8: DELETE: %d", status)
		}
		if active, _ := g.active(token); active {
			t.Error("MUL-8: the removed client's token is active")
		}
		if _, err := g.token(c, "orders"); err == nil {
			t.Error("MUL-8: a removed client gets a token")
		}
		if status, _, _ := g.rest("GET", c.At, c.Token, nil); status != 401 {
			t.Errorf("MUL-8: GET after DELETE: %d", status)
		}
		// Its service user went with it: as many services as children.
		var users []struct{ Type string }
		if err := json.Unmarshal([]byte(o.run("user", "list", "-o", "json")), &users); err != nil {
			t.Fatal(err)
		}
		services := 0
		for _, u := range users {
			if u.Type == "service" {
				services++
			}
		}
		if services != 2 {
			t.Errorf("%d service users are left with two children: %s", services, fmt.Sprint(users))
		}
		// The gateway's own block ends its children's ways too.
		token, err = g.token(last, "orders")
		if err != nil {
			t.Fatal(err)
		}
		o.run("app", "block", "Orders_Gateway")
		if status, _ := g.call("/oauth2/introspect", url.Values{"token": {token}}); status != 401 {
			t.Errorf("a blocked gateway introspects: %d", status)
		}
		if status, _ := g.register(g.initial, ask); status != 401 && status != 403 {
			t.Errorf("a blocked gateway registers: %d", status)
		}
	})
}
