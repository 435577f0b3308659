package claims_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/claims"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
)

const (
	entity = "https://benefits.example.com/saml"
	other  = "https://other.example.com/saml"
)

// house is an org with ana in two groups.
type house struct {
	st  *store.Store
	ctx context.Context
	org *idp.Org
	ana *idp.User
	ids map[string]string // of what is named, by name
}

func each(t *testing.T, f func(t *testing.T, h house)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, st *store.Store) { f(t, newHouse(t, st)) })
}

func newHouse(t *testing.T, st *store.Store) house {
	t.Helper()
	h := house{st: st, ctx: t.Context(), org: &idp.Org{Name: store.DefaultOrg, URL: "https://id.example.com"}, ids: map[string]string{}}
	if err := st.Orgs().AddOrg(t.Context(), h.org); err != nil {
		t.Fatal(err)
	}
	err := st.Write(t.Context(), func(tx *store.Tx) error {
		for _, n := range []idp.Named{
			{Kind: idp.KindGroup, Name: "travel"}, {Kind: idp.KindGroup, Name: "app-hr"}, {Kind: idp.KindGroup, Name: "app-pay"},
			{Kind: idp.KindProfile, Name: "Employee"}, {Kind: idp.KindPermissionSet, Name: "Travel"},
		} {
			n.Org = h.org.ID
			if err := tx.AddNamed(&n); err != nil {
				return err
			}
			h.ids[n.Name] = n.ID
		}
		h.ana = &idp.User{
			Org: h.org.ID, Username: "ana", Email: "ana@example.com", EmailVerified: true, Active: true, GivenName: "Ana", FamilyName: "Lima",
			FederationID: "fed-7", Roles: []string{"admin"}, Profile: h.ids["Employee"], PermissionSets: []string{h.ids["Travel"]},
			Groups:     []string{h.ids["travel"], h.ids["app-pay"], h.ids["app-hr"]},
			Attributes: map[string][]string{"department": {"Finance"}, "sites": {"Berlin", "Porto"}, "dirty": {"a\x00b", "ok", "c\nd"}, "all dirty": {"\x1b"}},
		}
		return tx.AddUser(h.ana)
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func app(change ...func(*idp.Connected)) *idp.Connected {
	c := &idp.Connected{App: idp.App{ID: "a1", Name: "Benefits", SAML: &saml.ServiceProvider{EntityID: entity}, OAuth: &oidc.Client{}}}
	for _, f := range change {
		f(c)
	}
	return c
}

func source(s string) func(*idp.Connected) {
	return func(c *idp.Connected) { c.App.Release.NameID = s }
}

func format(f string) func(*idp.Connected) {
	return func(c *idp.Connected) { c.App.SAML.NameIDFormat = f }
}

// listed are the formats in the app's metadata.
func listed(formats ...string) func(*idp.Connected) {
	return func(c *idp.Connected) { c.App.SAML.NameIDFormats = formats }
}

func TestNameID(t *testing.T) {
	const x509 = "urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName"
	pairwise := regexp.MustCompile(`^[a-z2-7]{52}$`) // 256 bits
	random := regexp.MustCompile(`^_[a-z2-7]{52}$`)
	each(t, func(t *testing.T, h house) {
		no := func(u *idp.User, f func(*idp.User)) *idp.User {
			c := *u
			f(&c)
			return &c
		}
		for _, c := range []struct {
			name   string
			app    *idp.Connected
			user   *idp.User
			need   saml.Need
			want   string // the value, or
			like   *regexp.Regexp
			sub    string // of the error
			code   string
			reason string
		}{
			{"email", app(), h.ana, saml.Need{Format: saml.FormatEmail}, "ana@example.com", nil, "", "", ""},
			{"email from elsewhere", app(source("attributes.department")), h.ana, saml.Need{Format: saml.FormatEmail}, "Finance", nil, "", "", ""},
			{"unspecified", app(), h.ana, saml.Need{Format: saml.FormatUnspecified}, "ana", nil, "", "", ""},
			{"unspecified from elsewhere", app(format(saml.FormatUnspecified), source("federationID")), h.ana, saml.Need{Format: saml.FormatUnspecified}, "fed-7", nil, "", "", ""},
			{"user id", app(format(saml.FormatUnspecified), source("userId")), h.ana, saml.Need{Format: saml.FormatUnspecified}, h.ana.ID, nil, "", "", ""},
			{"first of several", app(format(saml.FormatUnspecified), source("attributes.sites")), h.ana, saml.Need{Format: saml.FormatUnspecified}, "Berlin", nil, "", "", ""},
			{"none", app(), h.ana, saml.Need{Format: saml.FormatNone}, "", nil, "", "", ""},
			{"another format", app(format(x509), source("username")), h.ana, saml.Need{Format: x509}, "ana", nil, "", "", ""},
			{"another format from nowhere", app(format(x509)), h.ana, saml.Need{Format: x509}, "", nil, saml.StatusInvalidNameIDPolicy, "InvalidSettings", "nameID.source"},
			{"transient", app(), h.ana, saml.Need{Format: saml.FormatTransient}, "", random, "", "", ""},
			{"transient, whatever the source", app(source("email")), h.ana, saml.Need{Format: saml.FormatTransient}, "", random, "", "", ""},
			{"SAML-REQ-14 not allowed to create", app(), h.ana, saml.Need{Format: saml.FormatPersistent}, "", nil, saml.StatusInvalidNameIDPolicy, "InvalidSettings", "AllowCreate"},
			{"persistent", app(), h.ana, saml.Need{Format: saml.FormatPersistent, Policy: saml.NameIDRequest{Create: true}}, "", pairwise, "", "", ""},
			{"persistent, created before", app(), h.ana, saml.Need{Format: saml.FormatPersistent}, "", pairwise, "", "", ""},
			{"persistent from elsewhere", app(format(saml.FormatPersistent), source("federationID")), h.ana, saml.Need{Format: saml.FormatPersistent}, "fed-7", nil, "", "", ""},
			{"persistent, though the source is for email", app(format(saml.FormatEmail), source("email")), h.ana, saml.Need{Format: saml.FormatPersistent}, "", pairwise, "", "", ""},
			{"first of the metadata, from elsewhere", app(listed(saml.FormatUnspecified, saml.FormatEmail), source("attributes.department")), h.ana, saml.Need{Format: saml.FormatUnspecified}, "Finance", nil, "", "", ""},
			{"first of the metadata, persistent, from elsewhere", app(listed(saml.FormatPersistent, saml.FormatEmail), source("federationID")), h.ana, saml.Need{Format: saml.FormatPersistent}, "fed-7", nil, "", "", ""},
			{"email, though the source is for the metadata's first", app(listed(saml.FormatTransient, saml.FormatPersistent, saml.FormatEmail), source("federationID")), h.ana, saml.Need{Format: saml.FormatEmail}, "ana@example.com", nil, "", "", ""},
			{"persistent, though the source is for the metadata's first", app(listed(saml.FormatTransient, saml.FormatPersistent), source("federationID")), h.ana, saml.Need{Format: saml.FormatPersistent}, "", pairwise, "", "", ""},
			{"email, though the source is for the app's own", app(format(saml.FormatUnspecified), listed(saml.FormatEmail), source("federationID")), h.ana, saml.Need{Format: saml.FormatEmail}, "ana@example.com", nil, "", "", ""},
			{"own SPNameQualifier", app(), h.ana, saml.Need{Format: saml.FormatPersistent, Policy: saml.NameIDRequest{SPNameQualifier: entity}}, "", pairwise, "", "", ""},
			{"SAML-REQ-14 SPNameQualifier of another", app(), h.ana, saml.Need{Format: saml.FormatPersistent, Policy: saml.NameIDRequest{SPNameQualifier: other, Create: true}}, "", nil, saml.StatusInvalidNameIDPolicy, "InvalidSettings", "SPNameQualifier"},
			{"SAML-REQ-14 SPNameQualifier of another, email", app(), h.ana, saml.Need{Format: saml.FormatEmail, Policy: saml.NameIDRequest{SPNameQualifier: other}}, "", nil, saml.StatusInvalidNameIDPolicy, "InvalidSettings", "SPNameQualifier"},
			{"no email", app(), no(h.ana, func(u *idp.User) { u.Email = "" }), saml.Need{Format: saml.FormatEmail}, "", nil, saml.StatusUnknownPrincipal, "NoCustomAttrValue", "email"},
			{"no federation id", app(format(saml.FormatUnspecified), source("federationID")), no(h.ana, func(u *idp.User) { u.FederationID = "" }), saml.Need{Format: saml.FormatUnspecified}, "", nil, saml.StatusUnknownPrincipal, "NoUserFedId", "federationID"},
			{"no such attribute", app(source("attributes.mail")), h.ana, saml.Need{Format: saml.FormatEmail}, "", nil, saml.StatusUnknownPrincipal, "NoCustomAttrValue", "attributes.mail"},
			{"SAML-RSP-05 control characters", app(source("attributes.all dirty")), h.ana, saml.Need{Format: saml.FormatEmail}, "", nil, saml.StatusUnknownPrincipal, "NoCustomAttrValue", ""},
			{"SAML-RSP-05 control character in the username", app(), no(h.ana, func(u *idp.User) { u.Username = "an\x01a" }), saml.Need{Format: saml.FormatUnspecified}, "", nil, saml.StatusUnknownPrincipal, "NoCustomAttrValue", ""},
		} {
			t.Run(c.name, func(t *testing.T) {
				id, _, err := claims.SAML(h.ctx, h.st, c.app, c.user, c.need)
				if c.sub != "" {
					var e *saml.Error
					if !errors.As(err, &e) || e.Sub != c.sub || e.Code != c.code || !strings.Contains(e.Reason, c.reason) {
						t.Fatalf("%q, error %v, want %s %s", id.Value, err, c.sub, c.code)
					}
					return
				}
				if err != nil || id.Format != c.need.Format {
					t.Fatalf("%+v, %v", id, err)
				}
				if c.like != nil && !c.like.MatchString(id.Value) || c.like == nil && id.Value != c.want {
					t.Errorf("value %q, want %q", id.Value, c.want)
				}
				qualified := c.need.Format == saml.FormatPersistent || c.need.Format == saml.FormatTransient
				want := saml.NameID{Format: id.Format, Value: id.Value}
				if qualified {
					want.NameQualifier, want.SPNameQualifier = h.org.EntityID, entity
				}
				if id != want {
					t.Errorf("NameID %+v, want %+v", id, want)
				}
			})
		}
	})
}

// A persistent NameID stays; two service providers, and two people, never share one. A transient one is new each time.
func TestNameIDsTellApart(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		bob := &idp.User{Org: h.org.ID, Username: "bob", Active: true}
		if err := h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.AddUser(bob) }); err != nil {
			t.Fatal(err)
		}
		value := func(c *idp.Connected, u *idp.User, format string) string {
			t.Helper()
			id, _, err := claims.SAML(h.ctx, h.st, c, u, saml.Need{Format: format, Policy: saml.NameIDRequest{Create: true}})
			if err != nil {
				t.Fatal(err)
			}
			return id.Value
		}
		elsewhere := app(func(c *idp.Connected) { c.App.SAML.EntityID = other })
		same := app(func(c *idp.Connected) { c.App.ID = "a2" }) // one entity, two apps: it is one service provider
		ana := value(app(), h.ana, saml.FormatPersistent)
		if ana != value(app(), h.ana, saml.FormatPersistent) || ana != value(same, h.ana, saml.FormatPersistent) {
			t.Error("a persistent NameID changed")
		}
		if ana == value(elsewhere, h.ana, saml.FormatPersistent) || ana == value(app(), bob, saml.FormatPersistent) {
			t.Error("a persistent NameID is shared")
		}
		if first, second := value(app(), h.ana, saml.FormatTransient), value(app(), h.ana, saml.FormatTransient); first == second {
			t.Error("a transient NameID came twice")
		}
	})
}

// BEN-10: the default attributes, and those that the app was given.
func TestAttributes(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		plain := func(name string, values ...string) saml.Attribute {
			return saml.Attribute{Name: name, NameFormat: saml.AttrUnspecified, Values: values}
		}
		defaults := []saml.Attribute{plain("userId", h.ana.ID), plain("username", "ana"), plain("email", "ana@example.com")}
		for _, c := range []struct {
			name string
			own  []idp.Attribute
			want []saml.Attribute
		}{
			{"defaults", nil, defaults},
			{"one value", []idp.Attribute{{Name: "department", Source: "attributes.department"}}, append(slices.Clone(defaults), plain("department", "Finance"))},
			{"several values", []idp.Attribute{{Name: "sites", Source: "attributes.sites"}}, append(slices.Clone(defaults), plain("sites", "Berlin", "Porto"))},
			{"joined", []idp.Attribute{{Name: "sites", Source: "attributes.sites", Join: "; "}}, append(slices.Clone(defaults), plain("sites", "Berlin; Porto"))},
			{"groups by name, sorted", []idp.Attribute{{Name: "groups", Source: "groups"}}, append(slices.Clone(defaults), plain("groups", "app-hr", "app-pay", "travel"))},
			{
				"filter, rename, join", []idp.Attribute{{Name: "roles", Source: "groups", Filter: "^app-", Rename: map[string]string{"app-hr": "HR", "travel": "T"}, Join: ","}},
				append(slices.Clone(defaults), plain("roles", "HR,app-pay")),
			},
			{"filtered away", []idp.Attribute{{Name: "roles", Source: "groups", Filter: "^nothing$"}}, defaults},
			{"constant", []idp.Attribute{{Name: "tenant", Constant: "acme"}}, append(slices.Clone(defaults), plain("tenant", "acme"))},
			{"nothing there", []idp.Attribute{{Name: "phone", Source: "attributes.phone"}}, defaults},
			{"control characters", []idp.Attribute{{Name: "dirty", Source: "attributes.dirty"}}, append(slices.Clone(defaults), plain("dirty", "ok"))},
			{
				"with names for people and machines",
				[]idp.Attribute{{Name: "urn:oid:2.5.4.42", FriendlyName: "givenName", NameFormat: saml.AttrURI, Source: "givenName"}},
				append(slices.Clone(defaults), saml.Attribute{Name: "urn:oid:2.5.4.42", FriendlyName: "givenName", NameFormat: saml.AttrURI, Values: []string{"Ana"}}),
			},
			{
				"in the place of a default", []idp.Attribute{{Name: "email", Source: "username"}},
				[]saml.Attribute{plain("userId", h.ana.ID), plain("username", "ana"), plain("email", "ana")},
			},
		} {
			_, got, err := claims.SAML(h.ctx, h.st, app(func(a *idp.Connected) { a.App.Release.Attributes = c.own }), h.ana, saml.Need{Format: saml.FormatNone})
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
			}
		}
	})
}

// Every source that can be named has a value; the password has no name.
func TestSources(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		want := map[string]string{
			"userId": h.ana.ID, "username": "ana", "email": "ana@example.com", "givenName": "Ana", "familyName": "Lima", "name": "Ana Lima",
			"federationID": "fed-7", "profile": "Employee", "groups": "app-hr app-pay travel", "permissionSets": "Travel", "roles": "admin",
			"attributes.NAME": "", "password": "", "epoch": "",
		}
		for _, s := range append(idp.Sources(), "password", "epoch") {
			_, got, err := claims.SAML(h.ctx, h.st, app(func(a *idp.Connected) {
				a.App.Release.Attributes = []idp.Attribute{{Name: "x", Source: s}}
			}), h.ana, saml.Need{Format: saml.FormatNone})
			if err != nil {
				t.Fatal(err)
			}
			value := ""
			for _, a := range got {
				if a.Name == "x" {
					value = strings.Join(a.Values, " ")
				}
			}
			if w, known := want[s]; !known || value != w {
				t.Errorf("%s: %q, want %q", s, value, w)
			}
		}
	})
}

func TestOIDC(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		full := *h.ana
		full.Changed = time.Unix(1_800_000_000, 5000)
		full.Attributes = map[string][]string{
			"nickname": {"Ani"}, "zoneinfo": {"Europe/Madrid"}, "picture": {"https://example.com/ana.png"}, "phone_number": {"+34 600"},
			"phone_number_verified": {"true"}, "locality": {"Madrid"}, "country": {"ES"}, "department": {"Finance"}, "locale": {"a\x00"},
		}
		bare := idp.User{Org: h.org.ID, ID: "u9", Username: "x"}
		for _, c := range []struct {
			name   string
			user   *idp.User
			scopes string
			want   map[string]any
		}{
			{"openid tells nothing more", &full, "openid", map[string]any{}},
			{"no scopes", &full, "", map[string]any{}},
			{"scopes that have no claims", &full, "api offline_access orders", map[string]any{}},
			{"email", &full, "openid email", map[string]any{"email": "ana@example.com", "email_verified": true}},
			{"profile", &full, "openid profile", map[string]any{
				"name": "Ana Lima", "given_name": "Ana", "family_name": "Lima", "preferred_username": "ana", "nickname": "Ani",
				"zoneinfo": "Europe/Madrid", "picture": "https://example.com/ana.png", "updated_at": int64(1_800_000_000),
			}},
			{"phone", &full, "phone", map[string]any{"phone_number": "+34 600", "phone_number_verified": true}},
			{"address", &full, "address", map[string]any{"address": map[string]any{"locality": "Madrid", "country": "ES"}}},
			{"groups", &full, "groups", map[string]any{"groups": []string{"app-hr", "app-pay", "travel"}}},
			{"AUTH-13 an address nobody proved", &idp.User{Org: h.org.ID, Email: "x@example.com"}, "email", map[string]any{"email": "x@example.com", "email_verified": false}},
			{"of somebody who has nothing", &bare, "profile email phone address groups", map[string]any{"name": "x", "preferred_username": "x", "groups": []string{}}},
		} {
			got, err := claims.OIDC(h.ctx, h.st, app(), c.user, strings.Fields(c.scopes))
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
			}
		}
	})
}

// Of 200 groups all are told, of 201 none, and an event says so.
func TestManyGroups(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		var groups []string
		err := h.st.Write(t.Context(), func(tx *store.Tx) error {
			groups = nil
			for i := range 201 {
				n := idp.Named{Org: h.org.ID, Kind: idp.KindGroup, Name: fmt.Sprintf("g%03d", i)}
				if err := tx.AddNamed(&n); err != nil {
					return err
				}
				groups = append(groups, n.ID)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		u := *h.ana
		u.Groups = append(groups[:200:200], "deleted long ago")
		got, err := claims.OIDC(h.ctx, h.st, app(), &u, []string{"groups"})
		if err != nil || len(got["groups"].([]string)) != 200 {
			t.Errorf("200 groups: %v, %v", got, err)
		}
		u.Groups = groups
		got, err = claims.OIDC(h.ctx, h.st, app(), &u, []string{"groups"})
		if err != nil || len(got) != 0 {
			t.Errorf("201 groups: %v, %v", got, err)
		}
		for range 200 {
			events, err := h.st.Events().List(t.Context(), h.org.ID, store.EventFilter{Code: "TooManyGroups"})
			if err != nil {
				t.Fatal(err)
			}
			if len(events) == 1 && events[0].User == "ana" && strings.Contains(events[0].Reason, "201 groups") {
				// SAML-RSP-06: the same for SAML, but there a filter may choose first.
				for filter, want := range map[string]int{"9$": 20, "[1-9]": 200, "": 0} {
					_, attributes, err := claims.SAML(h.ctx, h.st, app(func(c *idp.Connected) {
						c.App.Release.Attributes = []idp.Attribute{{Name: "groups", Source: "groups", Filter: filter}}
					}), &u, saml.Need{Format: saml.FormatNone})
					last := attributes[len(attributes)-1]
					if err != nil || want > 0 && len(last.Values) != want || want == 0 && last.Name == "groups" {
						t.Errorf("filter %q: %d values of %s, %v", filter, len(last.Values), last.Name, err)
					}
				}
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Error("no event says that groups were left out")
	})
}

// Whatever a user's data holds: no control character leaves the house, and nothing is told that no scope asks for.
func TestPropertyNothingElseLeaves(t *testing.T) {
	h := newHouse(t, storetest.New(t, storetest.SQLite))
	names := []string{"nickname", "phone_number", "formatted", "department", "email", "sub"}
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a\x00b", "a\u0085", "\xff", "\ufffe", "ok"}))
	rapid.Check(t, func(t *rapid.T) {
		u := &idp.User{
			Org: h.org.ID, ID: "u1", Username: text.Draw(t, "username"), Email: text.Draw(t, "email"), GivenName: text.Draw(t, "given"),
			FederationID: text.Draw(t, "federation"), Password: "$argon2id$secret",
			Attributes: rapid.MapOf(rapid.SampledFrom(names), rapid.SliceOfN(text, 0, 3)).Draw(t, "attributes"),
		}
		scopes := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"openid", "profile", "email", "phone", "address", "groups", "api"}), rapid.ID[string]).Draw(t, "scopes")
		got, err := claims.OIDC(h.ctx, h.st, app(), u, scopes)
		if err != nil {
			t.Fatal(err)
		}
		_, attributes, err := claims.SAML(h.ctx, h.st, app(func(c *idp.Connected) {
			c.App.Release.Attributes = []idp.Attribute{{Name: "d", Source: "attributes.department"}, {Name: "f", Source: "federationID"}}
		}), u, saml.Need{Format: saml.FormatNone})
		if err != nil {
			t.Fatal(err)
		}
		var leaves []string
		for k, v := range got {
			if k == "sub" || k == "department" {
				t.Fatalf("claim %s", k)
			}
			leaves = append(leaves, fmt.Sprint(v))
		}
		for _, a := range attributes {
			leaves = append(leaves, a.Values...)
		}
		for _, s := range leaves {
			if !idp.Text(s) || strings.Contains(s, "argon2id") {
				t.Fatalf("%q left the house", s)
			}
		}
		if _, told := got["email"]; told && !slices.Contains(scopes, "email") {
			t.Fatal("an address without its scope")
		}
	})
}
