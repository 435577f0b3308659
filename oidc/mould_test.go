package oidc_test

import (
	"testing"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/oidc"
)

// SECURITY.md: "every child is judged against the parent app at registration and again at use".
func TestChildUnderItsParent(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("api", func(c *oidc.Client, _ *idp.Installation) { c.Introspect = "all" })
		parent, bearer := h.gateway("gateway", func(m *oidc.Mould) { m.Scopes = append(m.Scopes, "email", "stock") })
		a := h.register(bearer, object{
			"client_name": "Orders", "redirect_uris": []string{redirectURI}, "grant_types": []string{"authorization_code", "refresh_token", "client_credentials"},
		})
		id, ana := a.text("client_id"), h.browser("ana")
		as := func(path string, pairs ...string) *answer {
			return h.do("POST", path, basic(id, a.text("client_secret")), values(pairs...))
		}
		redeem := func(code string) *answer {
			return as("/oauth2/token", "grant_type", "authorization_code", "code", code, "redirect_uri", redirectURI)
		}
		const all = "orders openid email stock refresh_token"
		given := h.ok(redeem(ana.code(id, "scope", all)))
		access, refresh := given.text("access_token"), given.text("refresh_token")
		mould := func(f func(*oidc.Client)) { t.Helper(); h.change(parent.App, f) }
		was := *parent.Mould

		// Scopes that are taken from the mould are taken from the child, and from what it was given before.
		code := ana.code(id, "scope", all)
		mould(func(c *oidc.Client) { c.Mould.Scopes = []string{"orders", "openid", "offline_access"} })
		h.fails(h.by(a, "scope", "stock"), 400, "invalid_scope")
		if got := h.ok(h.by(a)).text("scope"); got != "orders" {
			t.Errorf("by default %q", got)
		}
		if e := h.back(ana.ask(id, "scope", "openid email")).Get("error"); e != "invalid_scope" {
			t.Errorf("at authorize: %q", e)
		}
		if got := h.ok(redeem(code)).text("scope"); got != "orders openid refresh_token" {
			t.Errorf("from a code: %q", got)
		}
		if got := h.ok(h.post("/oauth2/introspect", "api", "token", access)).text("scope"); got != "orders openid refresh_token" {
			t.Errorf("told of the token: %q", got)
		}
		if info := h.ok(h.do("GET", "/oauth2/userinfo", "Bearer "+access, nil)); info.JSON["email"] != nil {
			t.Errorf("userinfo: %s", info.Text)
		}
		if got := h.ok(as("/oauth2/token", "grant_type", "refresh_token", "refresh_token", refresh)).text("scope"); got != "orders openid refresh_token" {
			t.Errorf("refreshed: %q", got)
		}
		mould(func(c *oidc.Client) { c.Mould.Scopes = []string{"orders"} })
		a2 := h.do("GET", "/oauth2/userinfo", "Bearer "+access, nil)
		h.fails(a2, 403, "insufficient_scope")
		if got := h.ok(h.do("GET", "/oauth2/register/"+id, bearer, nil)).text("scope"); got != "orders openid refresh_token email stock" {
			t.Errorf("its registration says %q", got)
		}

		// So are grants.
		mould(func(c *oidc.Client) { c.Mould.Scopes, c.Mould.Grants = was.Scopes, []string{"authorization_code"} })
		h.fails(h.by(a), 400, "unauthorized_client")
		h.fails(as("/oauth2/token", "grant_type", "refresh_token", "refresh_token", refresh), 400, "unauthorized_client")
		mould(func(c *oidc.Client) { c.Mould.Grants = []string{"client_credentials"} })
		if e := h.back(ana.ask(id, "scope", "orders")).Get("error"); e != "unauthorized_client" {
			t.Errorf("the code flow: %q", e)
		}
		h.ok(h.by(a))

		// A parent that registers none any more, or is blocked, stands for nobody.
		for name, end := range map[string]struct{ close, open func() }{
			"registration removed": {func() { mould(func(c *oidc.Client) { c.Mould = nil }) }, func() { mould(func(c *oidc.Client) { c.Mould = &was }) }},
			"blocked":              {func() { h.block(parent.App, true) }, func() { h.block(parent.App, false) }},
		} {
			mould(func(c *oidc.Client) { c.Mould = &was })
			access := h.ok(h.by(a, "scope", "orders")).text("access_token")
			code := ana.code(id, "scope", "openid")
			end.close()
			h.fails(h.by(a), 400, "unauthorized_client")
			h.fails(redeem(code), 400, "invalid_grant")
			h.fails(as("/oauth2/token", "grant_type", "refresh_token", "refresh_token", refresh), 400, "invalid_grant")
			h.local(ana.ask(id))
			if h.active("api", access) || h.active("api", refresh) {
				t.Errorf("%s: the child's tokens are alive", name)
			}
			h.fails(as("/oauth2/introspect", "token", access), 401, "invalid_client")
			if is := h.do("GET", "/oauth2/check", "Bearer "+access, nil); is.Status != 401 {
				t.Errorf("%s: check says %d", name, is.Status)
			}
			end.open()
			h.ok(h.by(a))
		}
		// What is stored of the child has never changed.
		c, err := h.st.Apps().ConnectedByClient(t.Context(), h.org.ID, id)
		h.must(err)
		if o := c.App.OAuth; o.Blocked || len(o.Scopes) != 5 || !o.Refresh || !o.ClientCredentials || !o.AuthorizationCode {
			t.Errorf("stored: %+v", o)
		}
		// An app that is no OAuth app any more registers none either.
		h.must(h.st.Write(t.Context(), func(tx *store.Tx) error {
			now, err := tx.App(h.org.ID, parent.App)
			if err != nil {
				return err
			}
			now.App.OAuth = nil
			return tx.PutApp(&now.App)
		}))
		h.fails(h.by(a), 400, "unauthorized_client")
	})
}
