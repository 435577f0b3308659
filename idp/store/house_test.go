package store_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
)

// write runs f as one step.
func write(t testing.TB, st *store.Store, f func(tx *store.Tx) error) {
	t.Helper()
	if err := st.Write(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// addOrg makes the default org.
func addOrg(t testing.TB, st *store.Store) *idp.Org {
	t.Helper()
	o := &idp.Org{Name: store.DefaultOrg, URL: "https://id.example.com"}
	if err := st.Orgs().AddOrg(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// addUser makes an active user called name.
func addUser(t testing.TB, st *store.Store, org, name string, change ...func(*idp.User)) *idp.User {
	t.Helper()
	u := &idp.User{Org: org, Username: name, Email: name + "@example.com", Active: true}
	for _, f := range change {
		f(u)
	}
	write(t, st, func(tx *store.Tx) error { return tx.AddUser(u) })
	return u
}

func addNamed(t testing.TB, st *store.Store, org string, kind idp.Kind, name string) *idp.Named {
	t.Helper()
	n := &idp.Named{Org: org, Kind: kind, Name: name}
	write(t, st, func(tx *store.Tx) error { return tx.AddNamed(n) })
	return n
}

// newApp is an app that speaks both protocols, not stored yet.
func newApp(st *store.Store, org, name string) *idp.App {
	return &idp.App{
		Org: org, ID: st.NewID(), Name: "App " + name, APIName: name, StartURL: "https://" + name + ".example/",
		SAML: &saml.ServiceProvider{
			EntityID: "https://" + name + ".example/saml",
			ACS:      []saml.Endpoint{{URL: "https://" + name + ".example/acs", Binding: saml.BindingPOST}},
		},
		OAuth: &oidc.Client{ID: "client-" + name, Type: "web", Scopes: []string{"openid"}},
	}
}

// addApp stores an app that is open to everybody.
func addApp(t testing.TB, st *store.Store, org, name string, change ...func(*idp.App)) *idp.App {
	t.Helper()
	a := newApp(st, org, name)
	for _, f := range change {
		f(a)
	}
	sealed := st.Apps().SealSecret(org, a.ID, []byte("secret of "+name))
	write(t, st, func(tx *store.Tx) error {
		if err := tx.AddApp(a, sealed, nil); err != nil {
			return err
		}
		return tx.PutInstallation(&idp.Installation{Org: org, App: a.ID, PermittedUsers: idp.SelfAuthorize})
	})
	return a
}

// at is a context with a caller at that address.
func at(ctx context.Context, ip, reference string) context.Context {
	return idp.WithCaller(ctx, &idp.Caller{IP: netip.MustParseAddr(ip), Reference: reference, Actor: "cli"})
}

func ids(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%08d", i))
	}
	return all
}
