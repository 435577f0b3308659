package apps_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/access"
	"github.com/lanyard-sso/lanyard/idp/apps"
	"github.com/lanyard-sso/lanyard/idp/claims"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/keys"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
)

// house is an org with ana, who is in finance, and the scope orders.
type house struct {
	*apps.Apps
	org *idp.Org
	ana *idp.User
}

func each(t *testing.T, f func(t *testing.T, h house)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := house{Apps: &apps.Apps{Store: st}, org: &idp.Org{Name: store.DefaultOrg, URL: "https://id.example.com"}}
		if err := st.Orgs().AddOrg(t.Context(), h.org); err != nil {
			t.Fatal(err)
		}
		h.ana = &idp.User{Org: h.org.ID, Username: "ana", Email: "ana@example.com", Active: true, Attributes: map[string][]string{"department": {"Finance"}}}
		h.write(t, func(tx *store.Tx) error {
			finance := &idp.Named{Org: h.org.ID, Kind: idp.KindGroup, Name: "finance"}
			if err := tx.AddNamed(finance); err != nil {
				return err
			}
			h.ana.Groups = []string{finance.ID}
			if err := tx.AddNamed(&idp.Named{Org: h.org.ID, Kind: idp.KindScope, Name: "orders"}); err != nil {
				return err
			}
			return tx.AddUser(h.ana)
		})
		f(t, h)
	})
}

func (h house) write(t *testing.T, f func(tx *store.Tx) error) {
	t.Helper()
	if err := h.Store.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// put is the app with everything, for everybody who is in finance.
func (h house) put() *apps.Put {
	a, i := benefits()
	a.Org, i.Users, i.Groups = h.org.ID, nil, h.ana.Groups
	return &apps.Put{App: a, Policy: i}
}

func (h house) create(t *testing.T, p *apps.Put) *idp.Connected {
	t.Helper()
	if err := h.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	c, err := h.Store.Apps().Connected(t.Context(), h.org.ID, p.App.ID)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// codes is what happened, the oldest first.
func (h house) codes(t *testing.T, f store.EventFilter) []string {
	t.Helper()
	events, err := h.Store.Events().List(t.Context(), h.org.ID, f)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, e := range slices.Backward(events) {
		codes = append(codes, e.Code)
	}
	return codes
}

func faultsAt(t *testing.T, err error, paths ...string) {
	t.Helper()
	var faults apps.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("error %v, want faults at %q", err, paths)
	}
	var got []string
	for _, f := range faults {
		got = append(got, f.Path)
	}
	if !slices.Equal(got, paths) {
		t.Fatalf("faults %v, want them at %q", faults, paths)
	}
}

// MAN-1: what is saved is what is shown; ids and secret are made here.
func TestCreate(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		p := h.put()
		p.App.APIName, p.App.OAuth.ID, p.Metadata = "", "", []byte("<EntityDescriptor/>")
		c := h.create(t, p)
		if c.App.APIName != "Your_Benefits" || len(c.App.OAuth.ID) != 24 || len(p.Secret) < 43 {
			t.Errorf("API name %q, client ID %q, secret of %d characters", c.App.APIName, c.App.OAuth.ID, len(p.Secret))
		}
		if len(c.App.OAuth.Secrets) != 1 || string(c.App.OAuth.Secrets[0]) != p.Secret {
			t.Error("the secret told is not the one that is kept")
		}
		if b, err := h.Store.Apps().Metadata(t.Context(), h.org.ID, c.App.ID); err != nil || string(b) != "<EntityDescriptor/>" {
			t.Errorf("metadata %q, %v", b, err)
		}
		if !c.App.SAML.SignAssertion || c.App.SAML.APIName != "Your_Benefits" || c.App.OAuth.Name != "Your Benefits" || c.App.OAuth.Start == "" {
			t.Errorf("halves not complete: %+v %+v", c.App.SAML, c.App.OAuth)
		}
		if diff := cmp.Diff(p.Policy.Groups, c.Installation.Groups); diff != "" || c.Names[h.ana.Groups[0]] != "finance" {
			t.Errorf("policy: %s, names %v", diff, c.Names)
		}
		if got, want := h.codes(t, store.EventFilter{App: c.App.ID}), []string{"insertApplication", "insertConnectedApplication"}; !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		secret, err := h.Secret(t.Context(), &c.App)
		if err != nil || secret != p.Secret {
			t.Errorf("revealed %q, %v", secret, err)
		}
		if got := h.codes(t, store.EventFilter{Code: "viewApplicationSecret"}); len(got) != 1 {
			t.Errorf("looking at the secret left %d events", len(got))
		}
		events, err := h.Store.Events().List(t.Context(), h.org.ID, store.EventFilter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if strings.Contains(e.Reason, secret) {
				t.Errorf("a secret in an event: %+v", e)
			}
		}
	})
}

func TestCreatePublicClient(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		p := h.put()
		id := p.App.OAuth.ID
		p.App.OAuth = apps.NewClient("native")
		p.App.OAuth.ID, p.App.OAuth.AuthorizationCode, p.App.OAuth.RedirectURIs = id, true, []string{"com.example.app:/cb"}
		c := h.create(t, p)
		if p.Secret != "" || c.App.OAuth.Secrets != nil {
			t.Error("a client that keeps no secret got one")
		}
		if _, err := h.Secret(t.Context(), &c.App); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("its secret: %v", err)
		}
		_, err := h.SetSecret(t.Context(), &c.App, "")
		faultsAt(t, err, "oauth.clientSecret")
	})
}

// A client that proves itself with its key has no secret: none is made for it, none is taken, and one from before is told
// to nobody.
func TestCreateClientWithKeys(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		p := h.put()
		p.App.OAuth.AuthMethod, p.App.OAuth.JWKS, p.Secret = oidc.MethodPrivateKey, clientKeys, ""
		c := h.create(t, p)
		if p.Secret != "" || c.App.OAuth.Secrets != nil || !c.App.OAuth.JWKS.Equal(clientKeys) {
			t.Errorf("%q %v", p.Secret, c.App.OAuth)
		}
		_, err := h.SetSecret(t.Context(), &c.App, "")
		faultsAt(t, err, "oauth.clientSecret")
		another := func(method string, keys *oidc.KeySet) *apps.Put {
			p := h.put()
			p.App.APIName, p.App.OAuth.ID, p.App.SAML, p.App.Release = "Other", "other", nil, idp.Release{}
			p.App.OAuth.AuthMethod, p.App.OAuth.JWKS, p.Secret = method, keys, "a secret from before"
			return p
		}
		faultsAt(t, h.Create(t.Context(), another(oidc.MethodPrivateKey, clientKeys)), "oauth.clientSecret")
		c = h.create(t, another(oidc.MethodBasic, nil))
		app := c.App
		client := *app.OAuth
		client.AuthMethod, client.JWKSURI = oidc.MethodPrivateKey, "https://app.example/keys"
		app.OAuth = &client
		if _, err := h.Secret(t.Context(), &app); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a secret from before: %v", err)
		}
		for _, want := range []struct {
			app          *idp.App
			method, keys string
		}{{&c.App, oidc.MethodBasic, ""}, {&app, oidc.MethodPrivateKey, "read from https://app.example/keys"}} {
			if method, keys := apps.Authentication(want.app); method != want.method || keys != want.keys {
				t.Errorf("told of: %s, %q", method, keys)
			}
		}
	})
}

// Of what another app has, the fault names key and app, and nothing is written.
func TestCreateTaken(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		h.create(t, h.put())
		another := func() *apps.Put {
			p := h.put()
			p.App.APIName, p.App.OAuth.ID, p.App.SAML.EntityID = "Other", "other", "https://other.example/saml"
			return p
		}
		p := another()
		p.App.APIName = "Your_Benefits"
		faultsAt(t, h.Create(t.Context(), p), "apiName")
		p = another()
		p.App.OAuth.ID = "benefits"
		err := h.Create(t.Context(), p)
		faultsAt(t, err, "oauth.clientID")
		if !strings.Contains(err.Error(), "Your_Benefits") {
			t.Errorf("%v does not say whose it is", err)
		}
		// One entity ID may be many apps', as every customer of a vendor has the same; an ACS URL under it may not.
		p = another()
		p.App.SAML.EntityID = "https://benefits.example.com/saml"
		p.App.SAML.ACS[0].URL = "https://other.example/acs"
		err = h.Create(t.Context(), p)
		faultsAt(t, err, "saml.acs[1].url")
		if !strings.Contains(err.Error(), "Your_Benefits") {
			t.Errorf("%v does not say whose it is", err)
		}
		p = another()
		p.App.SAML.EntityID = "https://benefits.example.com/saml"
		p.App.SAML.ACS = []saml.Endpoint{{URL: "https://other.example/acs", Binding: saml.BindingPOST}}
		h.create(t, p)
		all, err := h.Store.Apps().ConnectedByEntity(t.Context(), h.org.ID, "https://benefits.example.com/saml")
		if err != nil || len(all) != 2 {
			t.Errorf("%d apps with one entity ID, %v", len(all), err)
		}
		list, err := h.Store.Apps().List(t.Context(), h.org.ID, store.AppFilter{})
		if err != nil || len(list) != 2 {
			t.Errorf("%d apps, %v: what was refused left something", len(list), err)
		}
	})
}

func TestChange(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		first := h.put()
		c := h.create(t, first)
		change := func(f func(*apps.Put)) error {
			now, err := h.Store.Apps().Present(t.Context(), h.org.ID, c.App.ID)
			if err != nil {
				t.Fatal(err)
			}
			p := &apps.Put{App: &now.App}
			f(p)
			if err := h.Prepare(t.Context(), p); err != nil {
				return err
			}
			return h.Store.Write(t.Context(), func(tx *store.Tx) error { return h.Change(t.Context(), tx, p, "name: old → new") })
		}
		if err := change(func(p *apps.Put) {
			p.App.Name, p.App.APIName = "New", "New"
			p.App.SAML.ACS = p.App.SAML.ACS[:1]
		}); err != nil {
			t.Fatal(err)
		}
		got, err := h.Store.Apps().ConnectedByName(t.Context(), h.org.ID, "New")
		if err != nil || got.App.Name != "New" || string(got.App.OAuth.Secrets[0]) != first.Secret || got.Installation == nil {
			t.Fatalf("after the change: %+v, %v", got, err)
		}
		if _, err := h.Store.Apps().ConnectedByName(t.Context(), h.org.ID, "Your_Benefits"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("by the old name: %v", err)
		}
		faultsAt(t, change(func(p *apps.Put) { p.App.OAuth.ID = "another" }), "oauth.clientID")
		faultsAt(t, change(func(p *apps.Put) { p.App.Name = "" }), "name")
		faultsAt(t, change(func(p *apps.Put) { p.Secret = "short" }), "oauth.clientSecret")
		if err := change(func(p *apps.Put) { p.Secret, p.Metadata = "brought along", []byte("<new/>") }); err != nil {
			t.Fatal(err)
		}
		if secret, err := h.Store.Apps().Secret(t.Context(), h.org.ID, c.App.ID); err != nil || string(secret) != "brought along" {
			t.Errorf("secret %q, %v", secret, err)
		}
		if b, err := h.Store.Apps().Metadata(t.Context(), h.org.ID, c.App.ID); err != nil || string(b) != "<new/>" {
			t.Errorf("metadata %q, %v", b, err)
		}
		// The OAuth half goes, and its client with it.
		if err := change(func(p *apps.Put) { p.App.OAuth = nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Store.Apps().ConnectedByClient(t.Context(), h.org.ID, "benefits"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("by the client that is gone: %v", err)
		}
		want := []string{"insertApplication", "insertConnectedApplication", "changeApplication", "changeApplication", "changeApplication"}
		if got := h.codes(t, store.EventFilter{App: c.App.ID}); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
	})
}

func TestSecretRotation(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		p := h.put()
		c := h.create(t, p)
		fresh, err := h.SetSecret(t.Context(), &c.App, "")
		if err != nil || fresh == p.Secret || len(fresh) < 43 {
			t.Fatalf("new secret of %d characters, %v", len(fresh), err)
		}
		now, err := h.Store.Apps().Connected(t.Context(), h.org.ID, c.App.ID)
		if err != nil || len(now.App.OAuth.Secrets) != 1 || string(now.App.OAuth.Secrets[0]) != fresh {
			t.Errorf("the old secret lives, or the new one does not: %v", err)
		}
		for _, bad := range []string{"short", strings.Repeat("x", 257), "with\ncontrol", "ümlaut-secret"} {
			_, err := h.SetSecret(t.Context(), &c.App, bad)
			faultsAt(t, err, "oauth.clientSecret")
		}
		if got := h.codes(t, store.EventFilter{Code: "changeApplicationSecret"}); len(got) != 1 {
			t.Errorf("%d events", len(got))
		}
	})
}

func TestBlockAndInstall(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		p := h.put()
		p.Policy = nil
		c := h.create(t, p)
		rule := func() access.Rule {
			now, err := h.Store.Apps().Connected(t.Context(), h.org.ID, c.App.ID)
			if err != nil {
				t.Fatal(err)
			}
			e, err := h.Explain(t.Context(), now, h.ana, netip.Addr{})
			if err != nil {
				t.Fatal(err)
			}
			return e.Rule
		}
		expect := func(step string, want access.Rule) {
			t.Helper()
			if got := rule(); got != want {
				t.Fatalf("%s: rule %s, want %s", step, got, want)
			}
		}
		block := func(blocked, want bool) {
			t.Helper()
			if was, err := h.SetBlocked(t.Context(), &c.App, blocked); err != nil || was != want {
				t.Fatalf("blocked %t: something to change %t, %v", blocked, was, err)
			}
		}
		install := func() {
			t.Helper()
			_, i := benefits()
			i.Groups, i.Users = h.ana.Groups, nil
			h.write(t, func(tx *store.Tx) error { return h.Install(t.Context(), tx, &c.App, i, "") })
		}
		expect("made", access.AppNotInstalled)
		block(true, true)
		block(true, false)
		expect("blocked before it was installed", access.AppBlocked)
		install()
		expect("installed while blocked", access.AppBlocked)
		block(false, true)
		block(false, false)
		expect("unblocked", access.OK)
		install()
		h.write(t, func(tx *store.Tx) error {
			was, err := h.Uninstall(t.Context(), tx, &c.App)
			if !was {
				t.Error("was not installed")
			}
			return err
		})
		expect("uninstalled", access.AppNotInstalled)
		install()
		expect("installed again", access.OK)
		want := []string{
			"insertApplication", "blockConnectedApplication", "insertConnectedApplication", "unblockConnectedApplication",
			"changeUserRuntimeAccessPolicy", "deleteConnectedApplication", "insertConnectedApplication",
		}
		if got := h.codes(t, store.EventFilter{App: c.App.ID}); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
	})
}

func TestDelete(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		c := h.create(t, h.put())
		h.write(t, func(tx *store.Tx) error { return h.Delete(t.Context(), tx, &c.App) })
		if _, err := h.Store.Apps().Connected(t.Context(), h.org.ID, c.App.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("after delete: %v", err)
		}
		// Everything it had is free again, and nothing of it passes on.
		again := h.create(t, h.put())
		if again.App.ID == c.App.ID {
			t.Error("the same id again")
		}
		err := h.Store.Write(t.Context(), func(tx *store.Tx) error { return h.Delete(t.Context(), tx, &c.App) })
		if !errors.Is(err, store.ErrGone) {
			t.Errorf("deleted twice: %v", err)
		}
	})
}

func TestPermit(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		for words, want := range map[string]idp.Installation{
			"everyone":               {PermittedUsers: idp.SelfAuthorize},
			"nobody":                 {PermittedUsers: idp.AdminApproved},
			"group:finance":          {PermittedUsers: idp.AdminApproved, Groups: h.ana.Groups},
			"user:ana group:finance": {PermittedUsers: idp.AdminApproved, Groups: h.ana.Groups, Users: []idp.Permitted{{User: h.ana.ID}}},
			"user:ANA@example.com":   {PermittedUsers: idp.AdminApproved, Users: []idp.Permitted{{User: h.ana.ID}}},
		} {
			want.Org = h.org.ID
			got, err := h.Permit(t.Context(), h.org.ID, strings.Fields(words))
			if err != nil || !cmp.Equal(*got, want) {
				t.Errorf("%s: %+v, %v", words, got, err)
			}
		}
		for words, paths := range map[string][]string{
			"": {"permit"}, "all": {"permit[0]"}, "group:legal": {"permit[0]"}, "user:bob": {"permit[0]"}, "group:": {"permit[0]"}, "profile:finance": {"permit[0]"},
			"everyone group:finance": {"permit[0]"}, "permissionSet:x profile:y": {"permit[0]", "permit[1]"},
		} {
			_, err := h.Permit(t.Context(), h.org.ID, strings.Fields(words))
			faultsAt(t, err, paths...)
		}
	})
}

func TestExplainConsent(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		p := h.put()
		p.App.SAML, p.App.Release = nil, idp.Release{}
		p.Policy = &idp.Installation{PermittedUsers: idp.SelfAuthorize}
		c := h.create(t, p)
		want := apps.Explanation{
			Decision: access.Consent, Rule: access.OK, App: "Your_Benefits", User: "ana",
			Reason: "any active user may use Your Benefits; ana has not consented to it yet",
		}
		if got, err := h.Explain(t.Context(), c, h.ana, netip.Addr{}); err != nil || got != want {
			t.Errorf("got %+v, %v", got, err)
		}
		if err := h.Store.SignIn().PutConsent(t.Context(), h.org.ID, h.ana.ID, c.App.ID, []string{"openid"}, h.Store.Now()); err != nil {
			t.Fatal(err)
		}
		want.Decision, want.Reason = access.Allow, "any active user may use Your Benefits"
		if got, err := h.Explain(t.Context(), c, h.ana, netip.Addr{}); err != nil || got != want {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestGatewayTokens(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		c := h.create(t, h.put())
		values := map[string]string{}
		for _, name := range []string{"blue", "green", "red"} {
			v, err := h.NewGatewayToken(t.Context(), &c.App, name)
			if err != nil {
				t.Fatal(err)
			}
			values[name] = v
		}
		names := func() (all []string) {
			t.Helper()
			tokens, err := h.GatewayTokens(t.Context(), &c.App)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range tokens {
				all = append(all, k.Name)
				if k.Kind != oidc.KindInitial || strings.Contains(string(k.Hash), values[k.Name]) {
					t.Errorf("token %+v", k)
				}
			}
			return all
		}
		if got := names(); !slices.Equal(got, []string{"blue", "green", "red"}) {
			t.Fatalf("tokens %q", got)
		}
		for _, step := range []struct {
			name, value string
			all         bool
			n           int
			left        []string
		}{
			{"purple", "", false, 0, []string{"blue", "green", "red"}},
			{"", "", false, 0, []string{"blue", "green", "red"}},
			{"", "rubbish", false, 0, []string{"blue", "green", "red"}},
			{"green", "", false, 1, []string{"blue", "red"}},
			{"", values["red"], false, 1, []string{"blue"}},
			{"", "", true, 1, nil},
		} {
			n, err := h.RevokeGatewayTokens(t.Context(), &c.App, step.name, step.value, step.all)
			if err != nil || n != step.n || !slices.Equal(names(), step.left) {
				t.Errorf("%+v: %d, %v, left %q", step, n, err, names())
			}
		}
		other := *c
		other.App.OAuth = apps.NewClient("web")
		_, err := h.NewGatewayToken(t.Context(), &other.App, "x")
		faultsAt(t, err, "oauth.registration")
	})
}

func TestHandout(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		if err := h.Store.Keys().EnsureKeys(t.Context(), h.org); err != nil {
			t.Fatal(err)
		}
		h.Sample = func(ctx context.Context, c *idp.Connected, u *idp.User) ([]saml.Attribute, error) {
			_, attributes, err := claims.SAML(ctx, h.Store, c, u, saml.Need{Format: saml.FormatNone})
			return attributes, err
		}
		c := h.create(t, h.put())
		got, err := h.Handout(t.Context(), c, h.ana)
		if err != nil {
			t.Fatal(err)
		}
		ring, err := h.Store.Keys().Ring(t.Context(), h.org.ID, keys.SAML)
		if err != nil {
			t.Fatal(err)
		}
		key, err := ring.Active()
		if err != nil {
			t.Fatal(err)
		}
		s256, s1 := key.Fingerprints()
		want := &apps.Handout{
			Name: "Your Benefits", APIName: "Your_Benefits",
			SignOut: "https://id.example.com/signout", ChangePassword: "https://id.example.com/.well-known/change-password",
			SAML: &apps.SAMLHandout{
				EntityID: "https://id.example.com/saml/metadata", SSORedirect: "https://id.example.com/saml/sso", SSOPost: "https://id.example.com/saml/sso",
				Launch: "https://id.example.com/saml/launch/Your_Benefits", Metadata: "https://id.example.com/saml/metadata",
				CertificateURL: "https://id.example.com/saml/certificate.pem", Certificate: string(key.PEM()), FingerprintSHA256: s256, FingerprintSHA1: s1,
				NameIDFormat: saml.FormatEmail, ServiceProvider: "https://benefits.example.com/saml",
				ACS: []string{"https://benefits.example.com/acs", "http://localhost:8080/acs"},
				Attributes: []apps.Sample{
					{"userId", []string{h.ana.ID}}, {"username", []string{"ana"}}, {"email", []string{"ana@example.com"}},
					{"department", []string{"Finance"}}, {"roles", nil}, {"tenant", []string{"acme"}},
				},
			},
			OIDC: &apps.OIDCHandout{
				Issuer: "https://id.example.com", Discovery: "https://id.example.com/.well-known/openid-configuration",
				Authorization: "https://id.example.com/oauth2/authorize", Token: "https://id.example.com/oauth2/token",
				Userinfo: "https://id.example.com/oauth2/userinfo", Keys: "https://id.example.com/oauth2/keys",
				Introspection: "https://id.example.com/oauth2/introspect", Revocation: "https://id.example.com/oauth2/revoke",
				EndSession: "https://id.example.com/oauth2/logout", PostLogout: []string{"https://benefits.example.com/bye"},
				Registration: "https://id.example.com/oauth2/register", ClientID: "benefits", ClientSecret: "lanyard app secret Your_Benefits",
				AuthMethod: "client_secret_basic", Scopes: []string{"openid", "email", "refresh_token", "orders"},
				RedirectURIs: []string{"https://benefits.example.com/callback", "http://127.0.0.1:8080/callback"},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("handout (-want +got):\n%s", diff)
		}
		// Without a sample user the names stand alone.
		got, err = h.Handout(t.Context(), c, nil)
		if err != nil || got.SAML.Attributes[3].Name != "department" || got.SAML.Attributes[3].Values != nil {
			t.Errorf("without a user: %+v, %v", got.SAML.Attributes, err)
		}
	})
}
