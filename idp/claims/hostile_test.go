package claims_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/claims"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/saml"
)

// Of many who ask for a persistent NameID at once, on two nodes, all get the same.
func TestPersistentIDRace(t *testing.T) {
	race := func(t *testing.T, nodes ...*store.Store) {
		h := newHouse(t, nodes[0])
		values := make([]string, 16)
		var wait sync.WaitGroup
		for i := range values {
			wait.Go(func() {
				id, _, err := claims.SAML(h.ctx, nodes[i%len(nodes)], app(), h.ana, saml.Need{Format: saml.FormatPersistent, Policy: saml.NameIDRequest{Create: true}})
				if err != nil {
					t.Error(err)
				}
				values[i] = id.Value
			})
		}
		wait.Wait()
		slices.Sort(values)
		if len(slices.Compact(values)) != 1 || len(values[0]) != 52 {
			t.Errorf("%q", values)
		}
	}
	storetest.Each(t, func(t *testing.T, st *store.Store) { race(t, st) })
	t.Run("two nodes", func(t *testing.T) {
		a, b := storetest.Two(t)
		race(t, a, b)
	})
}

// SAML-RSP-04: what a person is called changes nothing but the value: no attribute more, none less, and not a byte of it.
func TestHostileValues(t *testing.T) {
	h := newHouse(t, storetest.New(t, storetest.SQLite))
	for _, s := range []string{
		`</saml:AttributeValue></saml:Attribute><saml:Attribute Name="role"><saml:AttributeValue>admin`, "a<!-- -->b", "a<?x?>b", "]]>", "&lt;&amp;", `"'`,
		"O’Brien 👩‍💻 \u202Eabc", "يوسف", strings.Repeat("ä", 2048), " spaces ", "a\u2028b",
	} {
		u := *h.ana
		u.GivenName, u.FamilyName, u.Attributes = s, "", map[string][]string{"x": {s, s}}
		_, got, err := claims.SAML(h.ctx, h.st, app(func(c *idp.Connected) {
			c.App.Release.Attributes = []idp.Attribute{{Name: "name", Source: "givenName"}, {Name: "x", Source: "attributes.x"}}
		}), &u, saml.Need{Format: saml.FormatNone})
		if err != nil || len(got) != 5 || !slices.Equal(got[3].Values, []string{s}) || !slices.Equal(got[4].Values, []string{s, s}) {
			t.Errorf("%.20q: %+v, %v", s, got, err)
		}
		told, err := claims.OIDC(h.ctx, h.st, app(), &u, []string{"profile"})
		if err != nil || told["given_name"] != s || len(told) != 4 {
			t.Errorf("%.20q: %+v, %v", s, told, err)
		}
	}
}
