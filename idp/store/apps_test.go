package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/keys"
	"github.com/lanyard-sso/lanyard/oidc"
)

func connected(t testing.TB, st *store.Store, org, id string) *idp.Connected {
	t.Helper()
	c, err := st.Apps().Connected(t.Context(), org, id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConnected(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		a := addApp(t, st, o.ID, "Benefits")
		c := connected(t, st, o.ID, a.ID)
		if c.App.SAML.App != a.ID || c.App.SAML.APIName != "Benefits" || c.App.SAML.Name != "App Benefits" || c.App.SAML.Start != a.StartURL ||
			c.App.OAuth.App != a.ID || c.App.OAuth.Name != "App Benefits" || c.App.OAuth.Start != a.StartURL || c.Blocked() {
			t.Errorf("halves: %+v %+v", c.App.SAML, c.App.OAuth)
		}
		if len(c.App.OAuth.Secrets) != 1 || string(c.App.OAuth.Secrets[0]) != "secret of Benefits" {
			t.Errorf("secrets %q", c.App.OAuth.Secrets)
		}
		if c != connected(t, st, o.ID, a.ID) {
			t.Error("read anew though nothing changed")
		}
		for name, f := range map[string]func() (*idp.Connected, error){
			"by name": func() (*idp.Connected, error) { return st.Apps().ConnectedByName(t.Context(), o.ID, "Benefits") },
			"by client": func() (*idp.Connected, error) {
				return st.Apps().ConnectedByClient(t.Context(), o.ID, "client-Benefits")
			},
			"by entity": func() (*idp.Connected, error) {
				all, err := st.Apps().ConnectedByEntity(t.Context(), o.ID, "https://Benefits.example/saml")
				if err != nil || len(all) != 1 {
					return nil, fmt.Errorf("%d apps: %w", len(all), err)
				}
				return all[0], nil
			},
			"installed": func() (*idp.Connected, error) {
				all, err := st.Apps().Installed(t.Context(), o.ID)
				if err != nil || len(all) != 1 {
					return nil, fmt.Errorf("%d apps: %w", len(all), err)
				}
				return all[0], nil
			},
			"found by display name": func() (*idp.Connected, error) { return st.Apps().Find(t.Context(), o.ID, "App Benefits") },
			"found by client":       func() (*idp.Connected, error) { return st.Apps().Find(t.Context(), o.ID, "client-Benefits") },
			"found by entity": func() (*idp.Connected, error) {
				return st.Apps().Find(t.Context(), o.ID, "https://Benefits.example/saml")
			},
			"anew": func() (*idp.Connected, error) { return st.Apps().Present(t.Context(), o.ID, a.ID) },
		} {
			if got, err := f(); err != nil || got.App.ID != a.ID {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, bad := range []string{"", "benefits", "client-benefits", "\x00", "\xff", o.ID + "\x00" + a.ID, string(bytes.Repeat([]byte("a"), 1<<20))} {
			if _, err := st.Apps().Connected(t.Context(), o.ID, bad); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("by id %.20q: %v", bad, err)
			}
			if _, err := st.Apps().ConnectedByName(t.Context(), o.ID, bad); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("by name %.20q: %v", bad, err)
			}
			if _, err := st.Apps().ConnectedByClient(t.Context(), o.ID, bad); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("by client %.20q: %v", bad, err)
			}
			if all, err := st.Apps().ConnectedByEntity(t.Context(), o.ID, bad); err != nil || len(all) > 0 {
				t.Errorf("by entity %.20q: %v", bad, err)
			}
			if _, err := st.Apps().Find(t.Context(), o.ID, bad); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("found by %.20q: %v", bad, err)
			}
		}
		// Another org sees nothing of it, and its client_id is taken there too.
		for _, f := range []func(org, name string) error{
			func(org, _ string) error { _, err := st.Apps().Connected(t.Context(), org, a.ID); return err },
			func(org, _ string) error {
				_, err := st.Apps().ConnectedByName(t.Context(), org, "Benefits")
				return err
			},
			func(org, _ string) error {
				_, err := st.Apps().ConnectedByClient(t.Context(), org, "client-Benefits")
				return err
			},
		} {
			if err := f("other", ""); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("from another org: %v", err)
			}
		}
		err := st.Write(t.Context(), func(tx *store.Tx) error { return tx.AddApp(newApp(st, "other", "Benefits"), nil, nil) })
		var taken *store.Taken
		if !errors.As(err, &taken) || taken.What != "clientID" || taken.By != "" {
			t.Errorf("the same client_id in another org: %v", err)
		}
	})
}

func TestFindIsAmbiguous(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		a := addApp(t, st, o.ID, "A")
		addApp(t, st, o.ID, "B", func(b *idp.App) { b.Name = a.Name; b.SAML.EntityID = a.SAML.EntityID })
		for _, name := range []string{a.Name, a.SAML.EntityID} {
			if _, err := st.Apps().Find(t.Context(), o.ID, name); !errors.Is(err, store.ErrAmbiguous) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// What changes is seen at the next request, here and on another node.
func TestConnectedChanges(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		finance, legal := addNamed(t, st, o.ID, idp.KindGroup, "finance"), addNamed(t, st, o.ID, idp.KindGroup, "legal")
		a := addApp(t, st, o.ID, "Benefits")
		i := &idp.Installation{Org: o.ID, App: a.ID, PermittedUsers: idp.AdminApproved, Groups: []string{finance.ID, legal.ID}}
		write(t, st, func(tx *store.Tx) error { return tx.PutInstallation(i) })
		c := connected(t, st, o.ID, a.ID)
		if want := map[string]string{finance.ID: "finance", legal.ID: "legal"}; !cmp.Equal(c.Names, want) || c.Installation.Epoch != 0 {
			t.Errorf("names %v, want %v", c.Names, want)
		}
		// Renamed: the reason says the new name. Deleted: the policy permits nobody by it any more.
		renamed := *finance
		renamed.Name = "money"
		write(t, st, func(tx *store.Tx) error { return tx.PutNamed(&renamed) })
		write(t, st, func(tx *store.Tx) error { return tx.DropNamed(o.ID, idp.KindGroup, legal.ID) })
		c = connected(t, st, o.ID, a.ID)
		if !slices.Equal(c.Installation.Groups, []string{finance.ID}) || c.Names[finance.ID] != "money" || len(c.Names) != 1 {
			t.Errorf("groups %v, names %v", c.Installation.Groups, c.Names)
		}
		write(t, st, func(tx *store.Tx) error { return tx.SetBlocked(o.ID, a.ID, true) })
		c = connected(t, st, o.ID, a.ID)
		if !c.Blocked() || !c.App.SAML.Blocked || !c.App.OAuth.Blocked || c.Installation.Epoch != 1 || len(c.Installation.Groups) != 1 {
			t.Errorf("blocked: %+v", c.Installation)
		}
		write(t, st, func(tx *store.Tx) error { return tx.SetBlocked(o.ID, a.ID, false) })
		if c = connected(t, st, o.ID, a.ID); c.Blocked() || c.Installation.Epoch != 1 {
			t.Errorf("unblocked: %+v", c.Installation)
		}
		write(t, st, func(tx *store.Tx) error { return tx.DropInstallation(o.ID, a.ID) })
		if c = connected(t, st, o.ID, a.ID); c.Installation != nil {
			t.Errorf("uninstalled: %+v", c.Installation)
		}
		if all, err := st.Apps().Installed(t.Context(), o.ID); err != nil || len(all) != 0 {
			t.Errorf("installed: %d, %v", len(all), err)
		}
		write(t, st, func(tx *store.Tx) error { return tx.SetBlocked(o.ID, a.ID, true) })
		if c = connected(t, st, o.ID, a.ID); !c.Blocked() || c.Installation.PermittedUsers != "" {
			t.Errorf("blocked without an installation: %+v", c.Installation)
		}
		write(t, st, func(tx *store.Tx) error { return tx.PutInstallation(i) })
		if c = connected(t, st, o.ID, a.ID); !c.Blocked() || c.Installation.Epoch != 3 {
			t.Errorf("installed again while blocked: %+v", c.Installation)
		}
		write(t, st, func(tx *store.Tx) error {
			return tx.SetSecret(o.ID, a.ID, st.Apps().SealSecret(o.ID, a.ID, []byte("new")))
		})
		if c = connected(t, st, o.ID, a.ID); string(c.App.OAuth.Secrets[0]) != "new" {
			t.Errorf("secret %q", c.App.OAuth.Secrets)
		}
		for name, f := range map[string]func(tx *store.Tx) error{
			"block":       func(tx *store.Tx) error { return tx.SetBlocked(o.ID, "nobody", true) },
			"block again": func(tx *store.Tx) error { return tx.SetBlocked(o.ID, a.ID, true) },
			"unblock":     func(tx *store.Tx) error { return tx.SetBlocked(o.ID, "nobody", false) },
			"uninstall":   func(tx *store.Tx) error { return tx.DropInstallation(o.ID, "nobody") },
			"delete":      func(tx *store.Tx) error { return tx.DropApp(o.ID, "nobody") },
			"put":         func(tx *store.Tx) error { return tx.PutApp(&idp.App{Org: o.ID, ID: "nobody"}) },
			"secret":      func(tx *store.Tx) error { return tx.SetSecret(o.ID, "nobody", []byte{1}) },
		} {
			if err := st.Write(t.Context(), f); !errors.Is(err, store.ErrGone) {
				t.Errorf("%s of nobody: %v", name, err)
			}
		}
	})
}

// A block on one node is refused on the other within a second.
func TestBlockIsSeenElsewhere(t *testing.T) {
	a, b := storetest.Two(t)
	o := addOrg(t, a)
	app := addApp(t, a, o.ID, "Benefits")
	if connected(t, b, o.ID, app.ID).Blocked() {
		t.Fatal("blocked already")
	}
	write(t, a, func(tx *store.Tx) error { return tx.SetBlocked(o.ID, app.ID, true) })
	began := time.Now()
	for !connected(t, b, o.ID, app.ID).Blocked() {
		if time.Since(began) > time.Second {
			t.Fatal("not seen after a second")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// A secret is sealed for its row: with another master key, or moved to another app, it stays shut.
func TestSecretsAtRest(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		a, b := addApp(t, st, o.ID, "A"), addApp(t, st, o.ID, "B")
		sealed := st.Apps().SealSecret(o.ID, a.ID, []byte("geheim"))
		if bytes.Contains(sealed, []byte("geheim")) {
			t.Fatal("not sealed")
		}
		write(t, st, func(tx *store.Tx) error { return tx.SetSecret(o.ID, b.ID, sealed) })
		if _, err := st.Apps().Secret(t.Context(), o.ID, b.ID); !errors.Is(err, keys.ErrSealed) {
			t.Errorf("moved: %v", err)
		}
		if _, err := st.Apps().Connected(t.Context(), o.ID, b.ID); !errors.Is(err, keys.ErrSealed) {
			t.Errorf("moved, by its app: %v", err)
		}
		write(t, st, func(tx *store.Tx) error { return tx.SetSecret(o.ID, a.ID, sealed) })
		if got, err := st.Apps().Secret(t.Context(), o.ID, a.ID); err != nil || string(got) != "geheim" {
			t.Errorf("secret %q, %v", got, err)
		}
		write(t, st, func(tx *store.Tx) error { return tx.SetSecret(o.ID, a.ID, nil) })
		if _, err := st.Apps().Secret(t.Context(), o.ID, a.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("taken away: %v", err)
		}
	})
}

// The limit of children holds whoever comes at once; with a parent go its children and their service users.
func TestChildren(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		parent := addApp(t, st, o.ID, "Gateway")
		var wait sync.WaitGroup
		var made atomic.Int64
		for i := range 8 {
			wait.Go(func() {
				child := newApp(st, o.ID, fmt.Sprint("Child", i))
				child.SAML, child.Parent = nil, parent.ID
				svc := &idp.User{Org: o.ID, ID: st.NewID(), Username: "service-" + child.ID, Active: true, Service: true, Parent: child.ID}
				err := st.Write(t.Context(), func(tx *store.Tx) error {
					if err := tx.AddChildTo(o.ID, parent.ID, 3); err != nil {
						return err
					}
					if err := tx.AddUser(svc); err != nil {
						return err
					}
					if err := tx.AddApp(child, nil, nil); err != nil {
						return err
					}
					return tx.PutInstallation(&idp.Installation{Org: o.ID, App: child.ID, PermittedUsers: idp.SelfAuthorize, RunAs: svc.ID})
				})
				if err == nil {
					made.Add(1)
				} else if !errors.Is(err, store.ErrGone) {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		children, err := st.Apps().List(t.Context(), o.ID, store.AppFilter{Parent: parent.ID})
		if err != nil || made.Load() != 3 || len(children) != 3 {
			t.Fatalf("%d made, %d there, %v", made.Load(), len(children), err)
		}
		if children[0].App.Parent != parent.ID || children[0].App.OAuth.Parent != parent.ID {
			t.Errorf("child %+v", children[0].App)
		}
		person := addUser(t, st, o.ID, "ana")
		i := *children[0].Installation
		i.RunAs = person.ID // an admin chose somebody else: that person is not the child's
		write(t, st, func(tx *store.Tx) error { return tx.PutInstallation(&i) })
		write(t, st, func(tx *store.Tx) error { return tx.DropApp(o.ID, children[0].App.ID) })
		write(t, st, func(tx *store.Tx) error { return tx.AddChildTo(o.ID, parent.ID, 3) }) // there is room again
		write(t, st, func(tx *store.Tx) error { return tx.DropApp(o.ID, parent.ID) })
		if all, err := st.Apps().List(t.Context(), o.ID, store.AppFilter{}); err != nil || len(all) != 0 {
			t.Errorf("left: %d apps, %v", len(all), err)
		}
		users, err := st.People().List(t.Context(), o.ID, store.UserFilter{})
		if err != nil || len(users) != 1 || users[0].Username != "ana" {
			t.Errorf("left: users %v, %v", users, err)
		}
		for _, table := range []string{"client", "acs", "installation", "member", "login_name WHERE name LIKE 'service-%'"} {
			var n int
			if err := st.Read(t.Context()).QueryRow(`SELECT count(*) FROM ` + table).Scan(&n); err != nil || n > 0 {
				t.Errorf("left: %d rows of %s, %v", n, table, err)
			}
		}
	})
}

func TestTouchUsed(t *testing.T) {
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	var ago atomic.Int64
	clock := func(c *store.Config) { c.Now = func() time.Time { return start.Add(time.Duration(ago.Load())) } }
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ago.Store(0)
		o := addOrg(t, st)
		a := addApp(t, st, o.ID, "Benefits")
		for _, step := range []struct{ at, want time.Duration }{{time.Second, time.Second}, {time.Minute, time.Second}, {61 * time.Second, 61 * time.Second}} {
			ago.Store(int64(step.at))
			write(t, st, func(tx *store.Tx) error { return tx.TouchUsed(o.ID, a.ID) })
			c, err := st.Apps().Present(t.Context(), o.ID, a.ID)
			if err != nil || !c.App.LastUsed.Equal(start.Add(step.want)) {
				t.Errorf("used after %v: last use %v, %v", step.at, c.App.LastUsed, err)
			}
		}
	}, clock)
}

func TestGrants(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		ana, bob := addUser(t, st, o.ID, "ana"), addUser(t, st, o.ID, "bob")
		a, b := addApp(t, st, o.ID, "A"), addApp(t, st, o.ID, "B")
		give := func(app *idp.App, u *idp.User) string {
			t.Helper()
			g := &oidc.Grant{
				ID: st.NewID(), App: app.ID, Client: app.OAuth.ID, User: u.ID, Kind: oidc.KindCode, Scopes: []string{"openid"}, Created: st.Now(),
				Generation: 1, Hash: []byte{1}, Unused: st.Now().Add(time.Hour),
			}
			k := &oidc.Token{ID: st.NewID(), Hash: []byte{2}, Grant: g.ID, Created: st.Now(), Expires: st.Now().Add(time.Hour)}
			if err := st.OIDC().AddGrant(t.Context(), o.ID, oidc.Issue{Grant: g, Token: k, Event: "OauthWebServer"}); err != nil {
				t.Fatal(err)
			}
			return g.ID
		}
		list := func(f store.GrantFilter) (ids []string) {
			t.Helper()
			all, err := st.Apps().Grants(t.Context(), o.ID, f)
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range all {
				ids = append(ids, g.ID)
			}
			return ids
		}
		expect := func(step string, f store.GrantFilter, want ...string) {
			t.Helper()
			if got := list(f); !slices.Equal(got, want) {
				t.Errorf("%s: %d grants, want %d", step, len(got), len(want))
			}
		}
		aa, ab, ba, bb := give(a, ana), give(a, bob), give(b, ana), give(b, bob)
		expect("all", store.GrantFilter{}, bb, ba, ab, aa)
		expect("of app A", store.GrantFilter{App: a.ID}, ab, aa)
		expect("of ana", store.GrantFilter{User: ana.ID}, ba, aa)
		expect("of ana with A", store.GrantFilter{User: ana.ID, App: a.ID}, aa)
		expect("the next page", store.GrantFilter{Before: ba, Limit: 1}, ab)
		if of, err := st.Apps().GrantsOf(t.Context(), o.ID, ana.ID); err != nil || len(of) != 2 || of[1].Client != a.OAuth.ID || of[0].Scopes[0] != "openid" {
			t.Errorf("ana's: %+v, %v", of, err)
		}
		// A user takes back their own, nobody else's.
		if _, err := st.Apps().RevokeGrant(t.Context(), o.ID, bob.ID, aa); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("bob took back ana's: %v", err)
		}
		agreed := func(a *idp.App, u *idp.User) bool {
			t.Helper()
			_, _, err := st.SignIn().Consent(t.Context(), o.ID, u.ID, a.ID)
			return err == nil
		}
		for _, u := range []*idp.User{ana, bob} {
			for _, x := range []*idp.App{a, b} {
				if err := st.SignIn().PutConsent(t.Context(), o.ID, u.ID, x.ID, []string{"openid"}, st.Now()); err != nil {
					t.Fatal(err)
				}
			}
		}
		code := func(app *idp.App, u *idp.User) string {
			t.Helper()
			c := &oidc.Code{ID: st.NewID(), Hash: []byte{3}, Created: st.Now(), Expires: st.Now().Add(time.Minute), Grant: oidc.Grant{ID: st.NewID(), App: app.ID, User: u.ID}}
			if err := st.OIDC().AddCode(t.Context(), o.ID, c, ""); err != nil {
				t.Fatal(err)
			}
			return c.ID
		}
		codes := map[string]bool{code(a, ana): false, code(b, ana): true, code(a, bob): true}
		if app, err := st.Apps().RevokeGrant(t.Context(), o.ID, ana.ID, aa); err != nil || app != a.ID {
			t.Errorf("%s, %v", app, err)
		}
		for id, lives := range codes {
			if _, err := st.OIDC().Code(t.Context(), o.ID, id); (err == nil) != lives {
				t.Errorf("a code that is to live, %t: %v", lives, err)
			}
		}
		if agreed(a, ana) || !agreed(b, ana) || !agreed(a, bob) {
			t.Error("OA-CO-04: not just ana's consent to A was taken back")
		}
		expect("ana took A's back", store.GrantFilter{}, bb, ba, ab)
		revoke := func(app, usr string) {
			t.Helper()
			if err := st.Apps().RevokeGrants(t.Context(), o.ID, app, usr); err != nil {
				t.Error(err)
			}
		}
		revoke(b.ID, bob.ID)
		expect("bob's with B", store.GrantFilter{}, ba, ab)
		if agreed(b, bob) || !agreed(a, bob) {
			t.Error("OA-CO-04: not just bob's consent to B was taken back")
		}
		revoke(a.ID, "")
		expect("all of A", store.GrantFilter{}, ba)
		aa = give(a, ana) // what is given afterwards lives
		expect("given anew", store.GrantFilter{}, aa, ba)
		revoke("", ana.ID)
		expect("all of ana's", store.GrantFilter{})
		if agreed(b, ana) || !agreed(a, bob) {
			t.Error("OA-CO-04: not all of ana's consents were taken back")
		}
		give(a, ana)
		give(b, bob)
		revoke("", "")
		expect("all", store.GrantFilter{})
		if n := len(events(t, st, o.ID, store.EventFilter{Code: "revokeGrant"})); n != 5 {
			t.Errorf("%d events, want 5", n)
		}
		// What was given for an hour without a refresh token is gone after it.
		id := st.NewID()
		if err := st.OIDC().AddGrant(t.Context(), o.ID, oidc.Issue{
			Grant: &oidc.Grant{ID: id, App: a.ID, Client: a.OAuth.ID, User: ana.ID, Kind: oidc.KindClientCredentials, Created: st.Now()},
			Token: &oidc.Token{ID: st.NewID(), Hash: []byte{2}, Grant: id, Created: st.Now(), Expires: st.Now().Add(-time.Second)},
			Event: "OauthClientCredentials",
		}); err != nil {
			t.Fatal(err)
		}
		expect("ended", store.GrantFilter{})
		// A block, an uninstall, a deactivation: each ends what was given, for good.
		for name, f := range map[string]func(tx *store.Tx) error{
			"block": func(tx *store.Tx) error {
				return errors.Join(tx.SetBlocked(o.ID, a.ID, true), tx.SetBlocked(o.ID, a.ID, false))
			},
			"uninstall": func(tx *store.Tx) error { return tx.DropInstallation(o.ID, a.ID) },
			"deactivate": func(tx *store.Tx) error {
				return errors.Join(tx.SetActive(o.ID, ana.ID, false), tx.SetActive(o.ID, ana.ID, true))
			},
			"end": func(tx *store.Tx) error { return tx.EndUser(o.ID, ana.ID) },
		} {
			id := give(a, ana)
			write(t, st, f)
			if slices.Contains(list(store.GrantFilter{}), id) {
				t.Errorf("%s left a grant alive", name)
			}
		}
	})
}

// An app that comes back finds nothing of what it had: not after uninstalling, not after a block before it was installed.
func TestEpochsNeverComeBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		a := addApp(t, st, o.ID, "A")
		i := &idp.Installation{Org: o.ID, App: a.ID, PermittedUsers: idp.SelfAuthorize}
		seen := map[int64]bool{}
		for range 3 {
			c := connected(t, st, o.ID, a.ID)
			if seen[c.Installation.Epoch] {
				t.Fatalf("epoch %d again", c.Installation.Epoch)
			}
			seen[c.Installation.Epoch] = true
			write(t, st, func(tx *store.Tx) error { return tx.DropInstallation(o.ID, a.ID) })
			write(t, st, func(tx *store.Tx) error { return tx.PutInstallation(i) })
		}
	})
}

func TestOrgs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		if _, err := st.Orgs().Default(t.Context()); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("before the first start: %v", err)
		}
		var wait sync.WaitGroup
		var made atomic.Int64
		for range 4 { // several nodes at their first start
			wait.Go(func() {
				err := st.Orgs().AddOrg(t.Context(), &idp.Org{Name: store.DefaultOrg, URL: "https://id.example.com/"})
				if err == nil {
					made.Add(1)
				} else if !errors.Is(err, store.ErrExists) {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		o, err := st.Orgs().Default(t.Context())
		if err != nil || made.Load() != 1 {
			t.Fatalf("%d made, %v", made.Load(), err)
		}
		want := &idp.Org{
			ID: o.ID, Name: "default", URL: "https://id.example.com", Issuer: "https://id.example.com", EntityID: "https://id.example.com/saml/metadata",
		}
		if diff := cmp.Diff(want, o); diff != "" || len(o.ID) != 8 {
			t.Errorf("id %q, (-want +got):\n%s", o.ID, diff)
		}
		if err := st.Orgs().MoveOrg(t.Context(), o.ID, "https://sso.example.com/"); err != nil {
			t.Fatal(err)
		}
		want.URL = "https://sso.example.com"
		got, err := st.Orgs().Org(t.Context(), o.ID)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("moved: %v (-want +got):\n%s", err, diff)
		}
		if err := st.Orgs().MoveOrg(t.Context(), "nobody", "https://x"); !errors.Is(err, store.ErrGone) {
			t.Errorf("moving nobody: %v", err)
		}
	})
}
