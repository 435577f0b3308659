package oidc_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/oidc"
)

// gateway makes a parent app and an initial access token for it.
func (h *house) gateway(name string, alter func(*oidc.Mould)) (parent *oidc.Client, bearer string) {
	h.t.Helper()
	parent = h.client(name, func(c *oidc.Client, _ *idp.Installation) {
		c.Introspect = "children"
		c.Mould = &oidc.Mould{Limit: 100, Grants: []string{"authorization_code", "refresh_token", "client_credentials"},
			Scopes: []string{"orders", "openid", "refresh_token"}, RunAs: "auto", Permit: "everyone"}
		if alter != nil {
			alter(c.Mould)
		}
	})
	return parent, h.initial(parent)
}

func (h *house) initial(parent *oidc.Client) (bearer string) {
	h.t.Helper()
	t, value := oidc.NewInitialToken(h.st.NewID(), parent.App, "test", newID(), h.clock.Now())
	h.must(h.st.OIDC().AddInitialToken(h.t.Context(), h.org.ID, t))
	return "Bearer " + value
}

type object = map[string]any

var machine = object{"client_name": "Orders", "grant_types": []string{"client_credentials"}, "scope": "orders"}

func (h *house) register(bearer string, body any) *answer {
	h.t.Helper()
	a := h.do("POST", "/oauth2/register", bearer, body)
	if a.Status != 201 {
		h.t.Fatalf("got %d %s", a.Status, a.Text)
	}
	return a
}

// nameOf is the API name of a client's app.
func (h *house) nameOf(client string) string {
	h.t.Helper()
	c, err := h.st.Apps().ConnectedByClient(h.t.Context(), h.org.ID, client)
	h.must(err)
	return c.App.APIName
}

// by asks for a client-credentials token with what a registration answered.
func (h *house) by(a *answer, pairs ...string) *answer {
	h.t.Helper()
	return h.do("POST", "/oauth2/token", basic(a.text("client_id"), a.text("client_secret")), values(append(pairs, "grant_type", "client_credentials")...))
}

// MUL-3, MUL-5, MUL-6: a client registers, works at once as a service user of its own, and its parent sees its tokens.
func TestRegister(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		parent, bearer := h.gateway("gateway", nil)
		before := h.clock.Now().Unix()
		a := h.register(bearer, object{
			"client_name": "Orders", "redirect_uris": []string{redirectURI}, "grant_types": []string{"authorization_code", "client_credentials", "implicit"},
			"response_types": []string{"code"}, "scope": "orders admin", "contacts": []string{"dev@app.example"}, "client_uri": "https://app.example/", "unknown": object{"x": 1}, "logo_uri": nil,
		})
		if at := a.JSON["client_id_issued_at"].(float64); at < float64(before)-1 || at > float64(before)+60 || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("issued at %v, %v", at, a.Header)
		}
		id := a.text("client_id")
		if len(id) < 26 || len(a.text("client_secret")) < 26 || !strings.HasPrefix(a.text("registration_access_token"), "g_") {
			t.Errorf("%s", a.Text)
		}
		got := maps.Clone(a.JSON)
		for _, random := range []string{"client_id", "client_secret", "client_id_issued_at", "registration_access_token"} {
			delete(got, random)
		}
		if diff := cmp.Diff(object{
			"client_name": "Orders", "redirect_uris": []any{redirectURI}, "grant_types": []any{"authorization_code", "client_credentials"}, "response_types": []any{"code"},
			"scope": "orders", "contacts": []any{"dev@app.example"}, "client_uri": "https://app.example/", "application_type": "web",
			"token_endpoint_auth_method": "client_secret_basic", "client_secret_expires_at": 0.0, "registration_client_uri": h.url + "/oauth2/register/" + id,
		}, got); diff != "" {
			t.Errorf("what was really granted (-want +got)\n%s", diff)
		}
		token := h.ok(h.by(a)) // scope: what it was registered with
		is := h.ok(h.post("/oauth2/introspect", "gateway", "token", token.text("access_token")))
		if is.JSON["active"] != true || is.text("scope") != "orders" || is.text("client_id") != id || is.text("username") != "service-"+id {
			t.Errorf("MUL-6: %s", is.Text)
		}
		if h.post("/oauth2/introspect", id, "token", token.text("access_token")).Status != 401 {
			t.Error("another secret than its own opens the child")
		}
		// The child is a connected app of its own, in the code flow too.
		code := h.back(h.browser("ana").ask(id, "scope", "orders")).Get("code")
		h.ok(h.do("POST", "/oauth2/token", "", values("client_id", id, "client_secret", a.text("client_secret"), "grant_type", "authorization_code", "code", code, "redirect_uri", redirectURI)))
		c, err := h.st.Apps().ConnectedByClient(t.Context(), h.org.ID, id)
		h.must(err)
		if c.App.Parent != parent.App || c.App.Name != "Orders" || !strings.HasPrefix(c.App.APIName, "Orders_") || c.App.ContactEmail != "dev@app.example" || c.Installation.PermittedUsers != idp.SelfAuthorize {
			t.Errorf("app %+v, %+v", c.App, c.Installation)
		}
		u, err := h.st.People().User(t.Context(), h.org.ID, c.Installation.RunAs)
		h.must(err)
		if !u.Service || !u.Active || u.Parent != c.App.ID {
			t.Errorf("service user %+v", u)
		}
		// MUL-10: an admin blocks the child.
		h.block(c.App.ID, true)
		h.fails(h.by(a), 400, "unauthorized_client")
		h.local(h.browser("ana").ask(id, "scope", "orders"))
		if is := h.post("/oauth2/introspect", "gateway", "token", token.text("access_token")); is.Text != `{"active":false}` {
			t.Errorf("MUL-6: %s", is.Text)
		}
		// What a public client is: no secret, and nothing to act by itself with.
		a = h.register(bearer, object{"redirect_uris": []string{redirectURI}, "token_endpoint_auth_method": "none"})
		if _, ok := a.JSON["client_secret"]; ok || a.text("token_endpoint_auth_method") != "none" {
			t.Errorf("%s", a.Text)
		}
		h.fails(h.by(a), 400, "unauthorized_client") // OA-CA-11
	})
}

// Permit nobody: until an admin says who, not even the child itself may enter. A user of the parent's choice runs it.
func TestMould(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, bearer := h.gateway("closed", func(m *oidc.Mould) { m.Permit = "nobody" })
		a := h.register(bearer, machine)
		h.fails(h.by(a), 400, "unauthorized_client")
		c, err := h.st.Apps().ConnectedByClient(t.Context(), h.org.ID, a.text("client_id"))
		h.must(err)
		if i := c.Installation; i.PermittedUsers != idp.AdminApproved || len(i.Users)+len(i.Groups)+len(i.Profiles)+len(i.PermissionSets) > 0 {
			t.Errorf("installation %+v", i)
		}
		_, bearer = h.gateway("named", func(m *oidc.Mould) { m.RunAs = h.people["svc"].ID })
		a = h.register(bearer, machine)
		if is := h.do("POST", "/oauth2/introspect", basic(a.text("client_id"), a.text("client_secret")), values("token", h.ok(h.by(a)).text("access_token"))); is.text("username") != "svc" {
			t.Errorf("%s", is.Text)
		}
		h.ok(h.do("DELETE", "/oauth2/register/"+a.text("client_id"), "Bearer "+a.text("registration_access_token"), nil).is204(t))
		if _, err := h.st.People().User(t.Context(), h.org.ID, h.people["svc"].ID); err != nil {
			t.Error("a user who is not the child's own was deleted with it")
		}
		_, bearer = h.gateway("nobody", func(m *oidc.Mould) { m.RunAs = "" })
		h.fails(h.by(h.register(bearer, machine)), 400, "unauthorized_client")
	})
}

// is204 holds an answer to having no content, and lets it pass as OK.
func (a *answer) is204(t *testing.T) *answer {
	t.Helper()
	if a.Status != 204 || a.Text != "" {
		t.Errorf("got %d %s", a.Status, a.Text)
	}
	return &answer{Status: 200}
}

// MUL-4: what is no token of the endpoint.
func TestRegistrationTokens(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		parent, bearer := h.gateway("gateway", nil)
		a := h.register(bearer, machine)
		second := h.initial(parent)
		h.register(second, machine) // earlier tokens stay alive, and so does the first
		h.register(bearer, machine)
		list, err := h.st.OIDC().InitialTokens(t.Context(), h.org.ID, parent.App)
		h.must(err)
		if len(list) != 2 || list[0].LastUsed.IsZero() || list[0].Name != "test" {
			t.Fatalf("%+v", list)
		}
		id, ok := oidc.InitialTokenID(strings.TrimPrefix(bearer, "Bearer "))
		if !ok || id != list[0].ID {
			t.Errorf("id %q", id)
		}
		h.must(h.st.OIDC().DropInitialToken(t.Context(), h.org.ID, parent.App, id))
		access := h.ok(h.by(a)).text("access_token")
		for name, bad := range map[string]string{
			"old": bearer, "none": "", "basic": basic("gateway", secretOf("gateway")), "garbled": second + "a", "upper case": strings.ToUpper(second), "two spaces": strings.Replace(second, " ", "  ", 1),
			"an access token": "Bearer " + access, "a child's": "Bearer " + a.text("registration_access_token"), "a child's in front": "Bearer i" + a.text("registration_access_token")[1:], "the secret": "Bearer " + secretOf("gateway"),
		} {
			got := h.do("POST", "/oauth2/register", bad, machine)
			if h.fails(got, 401, "invalid_token"); t.Failed() {
				t.Fatal(name)
			}
			if !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "Bearer realm=") {
				t.Errorf("%s: %v", name, got.Header)
			}
		}
		h.register(second, machine)
		// A child that an admin made a parent too: its own token is still for itself only.
		name := h.nameOf(a.text("client_id"))
		h.must(h.st.Write(t.Context(), func(tx *store.Tx) error {
			child, err := tx.AppByName(h.org.ID, name)
			if err != nil {
				return err
			}
			child.App.OAuth.Mould = &oidc.Mould{Limit: 1, Grants: []string{"client_credentials"}, Scopes: []string{"orders"}}
			return tx.PutApp(&child.App)
		}))
		h.fails(h.do("POST", "/oauth2/register", "Bearer "+a.text("registration_access_token"), machine), 401, "invalid_token")
		h.block(parent.App, true)
		h.fails(h.do("POST", "/oauth2/register", second, machine), 401, "invalid_token")
		h.fails(h.do("GET", "/oauth2/register/"+a.text("client_id"), second, nil), 401, "invalid_token")
		h.block(parent.App, false)
		h.change(parent.App, func(c *oidc.Client) { c.Mould = nil })
		h.fails(h.do("POST", "/oauth2/register", second, machine), 401, "invalid_token")
		h.fails(h.do("PUT", "/oauth2/register/"+a.text("client_id"), "Bearer "+a.text("registration_access_token"), object{"client_id": a.text("client_id")}), 403, "access_denied")
	})
}

// OA-DCR-02, -07, -08, -10, -11, -12: what may not be in a registration.
func TestRegistrationRefuses(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, bearer := h.gateway("gateway", nil)
		with := func(name string, v any) object {
			o := object{"redirect_uris": []string{redirectURI}, "grant_types": []string{"authorization_code"}}
			o[name] = v
			return o
		}
		h.register(bearer, with("client_name", "good"))
		// The example key of RFC 7517, appendix A.1.
		publicKey := object{"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM", "use": "enc"}
		h.register(bearer, with("jwks", object{"keys": []any{publicKey}}))
		bad := []string{"javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "vbscript:x", "blob:x", "file:///etc/passwd", "https://u:p@h/", "https://app.example/#f", "*", "/relative"}
		for _, uri := range bad {
			h.fails(h.do("POST", "/oauth2/register", bearer, with("redirect_uris", []string{redirectURI, uri})), 400, "invalid_redirect_uri")
			for _, name := range []string{"client_uri", "logo_uri", "policy_uri", "tos_uri", "jwks_uri", "sector_identifier_uri", "initiate_login_uri", "backchannel_logout_uri", "frontchannel_logout_uri"} {
				h.fails(h.do("POST", "/oauth2/register", bearer, with(name, uri)), 400, "invalid_client_metadata")
			}
			for _, name := range []string{"request_uris", "post_logout_redirect_uris"} {
				h.fails(h.do("POST", "/oauth2/register", bearer, with(name, []string{uri})), 400, "invalid_client_metadata")
			}
			if t.Failed() {
				t.Fatal(uri)
			}
		}
		many := func(n int) (all []string) {
			for i := range n {
				all = append(all, fmt.Sprintf("https://app.example/%d", i))
			}
			return all
		}
		for name, c := range map[string]struct {
			body any
			code string
		}{
			"OA-DCR-02 empty array":         {with("redirect_uris", []string{}), "invalid_redirect_uri"},
			"OA-RED-07":                     {with("redirect_uris", []string{redirectURI + "?code=x&state=y&iss=z"}), "invalid_redirect_uri"},
			"oidcc-redirect-uri-regfrag":    {with("redirect_uris", []string{redirectURI + "#"}), "invalid_redirect_uri"},
			"OA-DCR-08 many URIs":           {with("redirect_uris", many(1000)), "invalid_redirect_uri"},
			"OA-DCR-08 long name":           {with("client_name", strings.Repeat("n", 30<<10)), "invalid_client_metadata"},
			"OA-DCR-10":                     {`{"jwks":{"keys":[]},"jwks_uri":"https://app.example/k"}`, "invalid_client_metadata"},
			"OA-DCR-10 a private key":       {with("jwks", object{"keys": []object{{"kty": "RSA", "n": strings.Repeat("_", 342) + "8", "e": "AQAB", "d": "AQAB"}}}), "invalid_client_metadata"},
			"OA-DCR-10 a symmetric key":     {with("jwks", object{"keys": []object{{"kty": "oct", "k": "AAAA"}}}), "invalid_client_metadata"},
			"OA-DCR-10 a short key":         {with("jwks", object{"keys": []object{{"kty": "RSA", "n": strings.Repeat("A", 85) + "B", "e": "AQAB"}}}), "invalid_client_metadata"},
			"OA-DCR-10 unknown kty":         {with("jwks", object{"keys": []object{{"kty": "XX"}}}), "invalid_client_metadata"},
			"OA-DCR-10 many keys":           {with("jwks", object{"keys": slices.Repeat([]any{publicKey}, 101)}), "invalid_client_metadata"},
			"OA-DCR-10 no list of keys":     {with("jwks", object{"key": "x"}), "invalid_client_metadata"},
			"OA-DCR-10 no object":           {with("jwks", []string{}), "invalid_client_metadata"},
			"OA-DCR-11":                     {with("software_statement", "e30.e30."), "invalid_software_statement"},
			"OA-DCR-12 number":              {with("client_name", 1), "invalid_client_metadata"},
			"OA-DCR-12 sparse":              {`{"redirect_uris":["https://app.example/cb",null]}`, "invalid_client_metadata"},
			"OA-DCR-12 nested":              {`{"redirect_uris":[["https://app.example/cb"]]}`, "invalid_client_metadata"},
			"OA-DCR-12 a string for a list": {`{"redirect_uris":"https://app.example/cb"}`, "invalid_client_metadata"},
			"OA-DCR-12 twice":               {`{"redirect_uris":["https://app.example/cb"],"redirect_uris":["https://evil.example/cb"]}`, "invalid_client_metadata"},
			"OA-DCR-12 twice but for case":  {`{"redirect_uris":["https://app.example/cb"],"Redirect_URIs":["https://evil.example/cb"]}`, "invalid_client_metadata"},
			"OA-DCR-12 in other case":       {`{"Redirect_URIs":["https://app.example/cb"]}`, "invalid_client_metadata"},
			"OA-DCR-12 deep":                {`{"x":` + strings.Repeat("[", 30000), "invalid_client_metadata"},
			"OA-DCR-12 array":               {`[]`, "invalid_client_metadata"},
			"OA-DCR-12 behind":              {`{} {}`, "invalid_client_metadata"},
			"OA-DCR-12 nothing":             {``, "invalid_client_metadata"},
			"no grant of the mould":         {with("grant_types", []string{"implicit"}), "invalid_client_metadata"},
			"a method we have not":          {with("token_endpoint_auth_method", "private_key_jwt"), "invalid_client_metadata"},
			"a response without a code":     {with("response_types", []string{"token"}), "invalid_client_metadata"},
			"a name that turns the page":    {with("client_name", "a\u202eb"), "invalid_client_metadata"},
			"a native scheme for a web app": {with("redirect_uris", []string{"com.example:/cb"}), "invalid_redirect_uri"},
		} {
			if h.fails(h.do("POST", "/oauth2/register", bearer, c.body), 400, c.code); t.Failed() {
				t.Fatal(name)
			}
		}
		h.fails(h.do("POST", "/oauth2/register", bearer, values("client_name", "x")), 415, "invalid_client_metadata")
		h.fails(h.do("POST", "/oauth2/register", bearer, with("client_name", strings.Repeat("n", 70<<10))), 413, "invalid_request")
		r := h.request("POST", "/oauth2/register", bearer, with("client_name", "x"))
		r.Header.Set("Content-Type", "text/plain")
		h.fails(h.send(h.http, r), 415, "invalid_client_metadata")
	})
}

// MUL-4, OA-DCR-08: the limit holds, however many come at once; who leaves makes room.
func TestRegistrationLimit(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, bearer := h.gateway("gateway", func(m *oidc.Mould) { m.Limit = 3 })
		var all [12]*answer
		var wait sync.WaitGroup
		for i := range all {
			wait.Go(func() { all[i] = h.do("POST", "/oauth2/register", bearer, machine) })
		}
		wait.Wait()
		var made []*answer
		for _, a := range all {
			if a.Status == 201 {
				made = append(made, a)
			} else if h.fails(a, 400, "invalid_client_metadata"); !strings.Contains(a.Text, "exceeded_registration_limit") {
				t.Errorf("%s", a.Text)
			}
		}
		if len(made) != 3 {
			t.Fatalf("%d clients of 3", len(made))
		}
		h.do("DELETE", "/oauth2/register/"+made[0].text("client_id"), bearer, nil).is204(t)
		h.register(bearer, machine)
		h.fails(h.do("POST", "/oauth2/register", bearer, machine), 400, "invalid_client_metadata")
	})
}

// MUL-8, RFC 7592: the child's own address.
func TestRegistered(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, bearer := h.gateway("gateway", nil)
		_, foreign := h.gateway("other", nil)
		a, b := h.register(bearer, machine), h.register(bearer, machine)
		id, own := a.text("client_id"), "Bearer "+a.text("registration_access_token")
		at := "/oauth2/register/" + id
		if got := h.ok(h.do("GET", at, own, nil)); got.Text != a.Text {
			t.Errorf("%s\n%s", got.Text, a.Text)
		}
		got := h.ok(h.do("GET", at, bearer, nil))
		if got.text("client_secret") != a.text("client_secret") || got.JSON["registration_access_token"] != nil {
			t.Errorf("%s", got.Text)
		}
		token := h.ok(h.by(a)).text("access_token")
		update := object{"client_id": id, "client_secret": a.text("client_secret"), "client_name": "Orders 2", "redirect_uris": []string{redirectURI},
			"grant_types": []string{"authorization_code", "client_credentials"}, "token_endpoint_auth_method": "client_secret_basic", "response_types": []string{"code"}}
		change := func(name string, v any) object {
			o := maps.Clone(update)
			if o[name] = v; v == nil {
				delete(o, name)
			}
			return o
		}
		for name, bad := range map[string]string{
			"none": "", "another child's": "Bearer " + b.text("registration_access_token"), "another parent's": foreign, "garbled": own + "a", "an access token": "Bearer " + token, "upper case": strings.ToUpper(own),
		} {
			for _, method := range []string{"GET", "PUT", "DELETE"} {
				if h.fails(h.do(method, at, bad, update), 401, "invalid_token"); t.Failed() {
					t.Fatal(method, name)
				}
			}
		}
		for _, path := range []string{"/oauth2/register/gateway", "/oauth2/register/unknown", at + "%00", "/oauth2/register/" + strings.ToUpper(id)} {
			h.fails(h.do("GET", path, bearer, nil), 401, "invalid_token")
			h.fails(h.do("GET", path, own, nil), 401, "invalid_token")
		}
		for name, body := range map[string]any{
			"no client_id": change("client_id", nil), "another client_id": change("client_id", b.text("client_id")), "another secret": change("client_secret", "x"), "no secret at all": change("client_secret", ""),
			"a token": change("registration_access_token", "x"), "an address": change("registration_client_uri", "https://x/"), "an end": change("client_secret_expires_at", 0), "a beginning": change("client_id_issued_at", 1),
			"another kind": change("token_endpoint_auth_method", "none"), "no grant": change("grant_types", []string{"implicit"}), "not JSON": "x",
		} {
			if h.fails(h.do("PUT", at, own, body), 400, "invalid_client_metadata"); t.Failed() {
				t.Fatal(name)
			}
		}
		h.fails(h.do("PUT", at, own, change("redirect_uris", []string{"javascript:x"})), 400, "invalid_redirect_uri")
		for _, opener := range []string{own, bearer} {
			got = h.ok(h.do("PUT", at, opener, update))
			if got.text("client_name") != "Orders 2" || got.text("client_id") != id || got.text("client_secret") != a.text("client_secret") || got.text("scope") != "orders openid refresh_token" {
				t.Errorf("%s", got.Text)
			}
		}
		if again := h.ok(h.do("GET", at, own, nil)); again.text("client_name") != "Orders 2" { // neither token was changed by use
			t.Errorf("%s", again.Text)
		}
		if !h.active("gateway", token) {
			t.Error("an update has ended the child's tokens")
		}
		h.back(h.browser("ana").ask(id, "scope", "orders"))
		h.do("DELETE", at, own, nil).is204(t)
		for _, opener := range []string{own, bearer} {
			for _, method := range []string{"GET", "PUT", "DELETE"} {
				h.fails(h.do(method, at, opener, update), 401, "invalid_token")
			}
		}
		h.fails(h.by(a), 401, "invalid_client")
		if h.active("gateway", token) {
			t.Error("MUL-8: a removed client's token is active")
		}
		if _, err := h.st.People().ByName(t.Context(), h.org.ID, "service-"+id); err == nil {
			t.Error("the child's service user is left behind")
		}
		events := fmt.Sprint(h.codes())
		for _, code := range []string{"insertApplication", "changeApplication", "deleteApplication", "dynamicInitialTokenGeneration"} {
			if !strings.Contains(events, code) {
				t.Errorf("no event %s", code)
			}
		}
		h.do("DELETE", "/oauth2/register/"+b.text("client_id"), bearer, nil).is204(t)
	})
}

// OA-DCR-07: what an admin blocked stays blocked, and nothing about it changes meanwhile.
func TestBlockedChildStaysBlocked(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, bearer := h.gateway("gateway", nil)
		a := h.register(bearer, machine)
		at, own := "/oauth2/register/"+a.text("client_id"), "Bearer "+a.text("registration_access_token")
		c, err := h.st.Apps().ConnectedByClient(t.Context(), h.org.ID, a.text("client_id"))
		h.must(err)
		h.block(c.App.ID, true)
		for _, opener := range []string{own, bearer} {
			h.fails(h.do("PUT", at, opener, object{"client_id": a.text("client_id"), "enabled": true, "blocked": false}), 403, "access_denied")
			h.fails(h.do("DELETE", at, opener, nil), 403, "access_denied")
			h.fails(h.by(a), 400, "unauthorized_client")
		}
		h.ok(h.do("GET", at, own, nil))
		h.block(c.App.ID, false)
		h.ok(h.by(a))

		// Nor does anything of it change while its parent is blocked.
		same := maps.Clone(machine)
		same["client_id"] = a.text("client_id")
		h.block(c.App.Parent, true)
		h.fails(h.do("PUT", at, own, same), 403, "access_denied")
		h.fails(h.do("DELETE", at, own, nil), 403, "access_denied")
		h.fails(h.do("PUT", at, bearer, same), 401, "invalid_token")
		h.block(c.App.Parent, false)
		h.ok(h.do("PUT", at, own, same))
	})
}

// OA-DCR-07: what an admin has tightened an update does not loosen.
func TestUpdateKeepsWhatAdminsSaid(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, bearer := h.gateway("gateway", nil)
		a := h.register(bearer, machine)
		client := func() oidc.Client {
			c, err := h.st.Apps().ConnectedByClient(t.Context(), h.org.ID, a.text("client_id"))
			h.must(err)
			return *c.App.OAuth
		}
		h.change(client().App, func(c *oidc.Client) {
			c.RequirePKCE, c.RotateRefreshTokens, c.AccessTokenLifetime, c.IDTokenLifetime = "true", "on", time.Minute, 2*time.Minute
		})
		same := maps.Clone(machine)
		same["client_id"], same["client_name"] = a.text("client_id"), "Another name"
		h.ok(h.do("PUT", "/oauth2/register/"+a.text("client_id"), "Bearer "+a.text("registration_access_token"), same))
		got := client()
		if got.Name != "Another name" || got.RequirePKCE != "true" || got.RotateRefreshTokens != "on" || got.AccessTokenLifetime != time.Minute || got.IDTokenLifetime != 2*time.Minute {
			t.Errorf("%+v", got)
		}
	})
}

// expireUnusedAfter: who was given nothing for so long goes, with its user.
func TestUnusedChildren(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, bearer := h.gateway("gateway", func(m *oidc.Mould) { m.ExpireUnusedAfter = 90 * 24 * time.Hour })
		_, forever := h.gateway("forever", nil)
		a, b, c := h.register(bearer, machine), h.register(bearer, machine), h.register(forever, machine)
		h.clock.forward(60 * 24 * time.Hour)
		h.ok(h.by(b))
		h.clock.forward(31 * 24 * time.Hour)
		n, err := h.st.OIDC().DropUnusedChildren(t.Context())
		h.must(err)
		if n != 1 {
			t.Errorf("%d went", n)
		}
		h.fails(h.by(a), 401, "invalid_client")
		h.ok(h.by(b))
		h.ok(h.by(c))
	})
}

// FuzzRegistration: whatever is sent, the answer is a client or one of RFC 7591's refusals.
func FuzzRegistration(f *testing.F) {
	h := on(f)
	_, bearer := h.gateway("gateway", func(m *oidc.Mould) { m.Limit = 1 << 30 })
	for _, o := range []any{machine, object{"redirect_uris": []string{redirectURI}, "token_endpoint_auth_method": "none"}, object{"jwks": object{}, "jwks_uri": "https://x"}} {
		b, err := json.Marshal(o)
		h.must(err)
		f.Add(string(b))
	}
	f.Add(`{"redirect_uris":["https://app.example/cb"],"REDIRECT_URIS":[]}`)
	f.Add(`{"redirect_uris":["com.example:/cb"],"application_type":"native","grant_types":["authorization_code"]}`)
	f.Fuzz(func(t *testing.T, body string) {
		h.t = t
		a := h.do("POST", "/oauth2/register", bearer, body)
		switch a.Status {
		case 201:
			for _, uri := range a.JSON["redirect_uris"].([]any) {
				if err := oidc.CheckRedirectURI(uri.(string), a.text("application_type") == "native"); err != nil {
					t.Errorf("%q: %v", body, err)
				}
			}
		case 400, 413:
			if e := a.text("error"); !strings.HasPrefix(e, "invalid_") {
				t.Errorf("%q: %s", body, a.Text)
			}
		default:
			t.Errorf("%q: %d %s", body, a.Status, a.Text)
		}
	})
}
