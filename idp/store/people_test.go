package store_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

func TestUser(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		finance := addNamed(t, st, o.ID, idp.KindGroup, "finance")
		employee := addNamed(t, st, o.ID, idp.KindProfile, "Employee")
		travel := addNamed(t, st, o.ID, idp.KindPermissionSet, "Travel")
		u := addUser(t, st, o.ID, "ana", func(u *idp.User) {
			u.GivenName, u.Password, u.Roles = "Ana", "$argon2id$…", []string{"admin"}
			u.Profile, u.Groups, u.PermissionSets = employee.ID, []string{finance.ID, finance.ID}, []string{travel.ID}
			u.Attributes = map[string][]string{"sites": {"Berlin", "Porto"}}
		})
		got, err := st.People().User(t.Context(), o.ID, u.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(u, got); diff != "" {
			t.Errorf("what was stored is not what was read (-want +got):\n%s", diff)
		}
		if len(got.Groups) != 1 || got.Created.IsZero() || !got.Changed.Equal(got.Created) {
			t.Errorf("groups %v, created %v, changed %v", got.Groups, got.Created, got.Changed)
		}
		for _, name := range []string{"ana", "ANA ", "Ana@Example.com"} {
			if got, err := st.People().ByName(t.Context(), o.ID, name); err != nil || got.ID != u.ID {
				t.Errorf("by name %q: %v", name, err)
			}
		}
		for _, name := range []string{"", "an", "ana@example", "ana\x00", "\xff", strings.Repeat("a", 1<<20), "%", "' OR 1=1 --"} {
			if _, err := st.People().ByName(t.Context(), o.ID, name); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("by name %.20q: %v", name, err)
			}
		}
		if _, err := st.People().User(t.Context(), "other", u.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("in another org: %v", err)
		}
		list, err := st.People().List(t.Context(), o.ID, store.UserFilter{Kind: idp.KindGroup, Ref: finance.ID})
		if err != nil || len(list) != 1 || list[0].ID != u.ID {
			t.Errorf("members of finance: %v, %v", list, err)
		}
	})
}

func TestUserChanges(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		a, b := addNamed(t, st, o.ID, idp.KindGroup, "a"), addNamed(t, st, o.ID, idp.KindGroup, "b")
		u := addUser(t, st, o.ID, "ana", func(u *idp.User) { u.Groups, u.Password = []string{a.ID}, "old" })
		// Whoever changes a user has an older picture of the password and of being active: those stay.
		write(t, st, func(tx *store.Tx) error { return tx.SetPassword(o.ID, u.ID, "new") })
		write(t, st, func(tx *store.Tx) error { return tx.SetActive(o.ID, u.ID, false) })
		u.Username, u.Email, u.Groups, u.GivenName = "anna", "", []string{b.ID}, "Anna"
		write(t, st, func(tx *store.Tx) error { return tx.PutUser(u) })
		got, err := st.People().ByName(t.Context(), o.ID, "anna")
		if err != nil {
			t.Fatal(err)
		}
		if got.Password != "new" || got.Active || got.Epoch != 1 || got.GivenName != "Anna" || !got.Changed.After(got.Created) {
			t.Errorf("got %+v", got)
		}
		for _, old := range []string{"ana", "ana@example.com"} {
			if _, err := st.People().ByName(t.Context(), o.ID, old); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("old name %s: %v", old, err)
			}
		}
		if list, err := st.People().List(t.Context(), o.ID, store.UserFilter{Kind: idp.KindGroup, Ref: a.ID}); err != nil || len(list) != 0 {
			t.Errorf("still in group a: %v, %v", list, err)
		}
		if list, err := st.People().List(t.Context(), o.ID, store.UserFilter{Kind: idp.KindGroup, Ref: b.ID}); err != nil || len(list) != 1 {
			t.Errorf("not in group b: %v, %v", list, err)
		}
		u.Email = "anna@example.com" // only that
		write(t, st, func(tx *store.Tx) error { return tx.PutUser(u) })
		if got, err := st.People().ByName(t.Context(), o.ID, "anna@example.com"); err != nil || got.ID != u.ID {
			t.Errorf("by the new address: %v", err)
		}
		for i, f := range []func(tx *store.Tx) error{
			func(tx *store.Tx) error { return tx.SetActive(o.ID, u.ID, false) },
			func(tx *store.Tx) error { return tx.SetActive(o.ID, "nobody", true) },
			func(tx *store.Tx) error { return tx.SetPassword(o.ID, "nobody", "x") },
			func(tx *store.Tx) error { return tx.PutUser(&idp.User{Org: o.ID, ID: "nobody"}) },
			func(tx *store.Tx) error { return tx.DropUser(o.ID, "nobody") },
			func(tx *store.Tx) error { return tx.EndUser(o.ID, "nobody") },
		} {
			if err := st.Write(t.Context(), f); !errors.Is(err, store.ErrGone) {
				t.Errorf("%d: %v, want ErrGone", i, err)
			}
		}
		// Active again, and what was given before stays dead.
		write(t, st, func(tx *store.Tx) error { return tx.SetActive(o.ID, u.ID, true) })
		if got, err := st.People().User(t.Context(), o.ID, u.ID); err != nil || !got.Active || got.Epoch != 1 {
			t.Errorf("active again: %+v, %v", got, err)
		}
	})
}

// AUTH-13: usernames and addresses are one namespace, compared as people read them.
func TestUserNamesAreTaken(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		addUser(t, st, o.ID, "ana")
		bob := addUser(t, st, o.ID, "bob")
		for _, c := range []struct{ username, email, what string }{
			{"ANA", "", "username"},
			{"ana@example.com", "", "username"},
			{"new", "Ana@EXAMPLE.com", "email"},
			{"new", "ana", "email"},
			{"ａｎａ", "", "username"}, // full width
		} {
			for name, f := range map[string]func(*store.Tx) error{
				"add": func(tx *store.Tx) error {
					return tx.AddUser(&idp.User{Org: o.ID, Username: c.username, Email: c.email})
				},
				"put": func(tx *store.Tx) error {
					return tx.PutUser(&idp.User{Org: o.ID, ID: bob.ID, Username: c.username, Email: c.email})
				},
			} {
				err := st.Write(t.Context(), f)
				var taken *store.Taken
				if !errors.As(err, &taken) || !errors.Is(err, store.ErrExists) || taken.What != c.what || taken.By != "ana" {
					t.Errorf("%s %q %q: %v", name, c.username, c.email, err)
				}
			}
		}
		if list, err := st.People().List(t.Context(), o.ID, store.UserFilter{}); err != nil || len(list) != 2 || list[1].Username != "bob" {
			t.Errorf("users: %v, %v", list, err)
		}
		// Username and e-mail may be the same, and another org is another namespace.
		addUser(t, st, o.ID, "eve", func(u *idp.User) { u.Username = u.Email })
		addUser(t, st, "other", "ana")
	})
}

// AUTH-14: a new user of the same name inherits nothing.
func TestDropUser(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		g := addNamed(t, st, o.ID, idp.KindGroup, "g")
		u := addUser(t, st, o.ID, "ana", func(u *idp.User) { u.Groups = []string{g.ID} })
		if err := st.SignIn().PutConsent(t.Context(), o.ID, u.ID, "app", []string{"openid"}, st.Now()); err != nil {
			t.Fatal(err)
		}
		old, err := st.People().PersistentID(t.Context(), o.ID, "https://sp", u.ID, "first")
		if err != nil || old != "first" {
			t.Fatal(old, err)
		}
		write(t, st, func(tx *store.Tx) error { return tx.DropUser(o.ID, u.ID) })
		again := addUser(t, st, o.ID, "ana")
		if again.ID == u.ID {
			t.Fatal("the same id again")
		}
		if _, _, err := st.SignIn().Consent(t.Context(), o.ID, u.ID, "app"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("consent of the deleted user: %v", err)
		}
		if list, err := st.People().List(t.Context(), o.ID, store.UserFilter{Kind: idp.KindGroup, Ref: g.ID}); err != nil || len(list) != 0 {
			t.Errorf("members: %v, %v", list, err)
		}
		if _, err := st.People().PersistentID(t.Context(), o.ID, "https://sp", again.ID, ""); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("pairwise id inherited: %v", err)
		}
		// The deleted user's is never given to anybody else.
		if v, err := st.People().PersistentID(t.Context(), o.ID, "https://sp", again.ID, "first"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("pairwise id given twice: %q, %v", v, err)
		}
		err = st.Write(t.Context(), func(tx *store.Tx) error { return tx.PutPersistentID(o.ID, "https://sp", again.ID, "first") })
		if !errors.Is(err, store.ErrExists) {
			t.Errorf("pairwise id set twice: %v", err)
		}
	})
}

func TestNamed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		for _, name := range []string{"travel", "Finance", "legal"} {
			addNamed(t, st, o.ID, idp.KindGroup, name)
		}
		scope := &idp.Named{Org: o.ID, Kind: idp.KindScope, Name: "orders", Label: "Read your orders", Audience: "https://orders"}
		write(t, st, func(tx *store.Tx) error { return tx.AddNamed(scope) })
		if got, err := st.People().Named(t.Context(), o.ID, idp.KindScope, "orders"); err != nil || !cmp.Equal(got, scope) {
			t.Errorf("scope: %+v, %v", got, err)
		}
		all, err := st.People().AllNamed(t.Context(), o.ID, idp.KindGroup)
		var names []string
		for _, n := range all {
			names = append(names, n.Name)
		}
		if want := []string{"Finance", "legal", "travel"}; err != nil || !slices.Equal(names, want) {
			t.Errorf("groups %v, %v, want %v", names, err, want)
		}
		err = st.Write(t.Context(), func(tx *store.Tx) error {
			return tx.AddNamed(&idp.Named{Org: o.ID, Kind: idp.KindGroup, Name: "legal"})
		})
		if !errors.Is(err, store.ErrExists) {
			t.Errorf("second legal: %v", err)
		}
		legal := *all[1]
		legal.Name, legal.Description = "law", "who reads contracts"
		write(t, st, func(tx *store.Tx) error { return tx.PutNamed(&legal) })
		if _, err := st.People().Named(t.Context(), o.ID, idp.KindGroup, "legal"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("old name: %v", err)
		}
		got, err := st.People().Names(t.Context(), o.ID, idp.KindGroup, []string{all[2].ID, legal.ID, "gone"})
		if want := []string{"law", "travel"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("names %v, %v, want %v", got, err, want)
		}

		u := addUser(t, st, o.ID, "ana", func(u *idp.User) { u.Groups = []string{legal.ID, all[2].ID} })
		write(t, st, func(tx *store.Tx) error { return tx.DropNamed(o.ID, idp.KindGroup, legal.ID) })
		if list, err := st.People().List(t.Context(), o.ID, store.UserFilter{Kind: idp.KindGroup, Ref: legal.ID}); err != nil || len(list) != 0 {
			t.Errorf("members of a deleted group: %v, %v", list, err)
		}
		write(t, st, func(tx *store.Tx) error { return tx.PutUser(u) })
		if want := []string{all[2].ID}; !slices.Equal(u.Groups, want) {
			t.Errorf("groups %v, want %v", u.Groups, want)
		}
	})
}

// The first administrator is made once, whoever else tries at the same moment.
func TestAddFirst(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		addUser(t, st, o.ID, "svc", func(u *idp.User) { u.Service = true })
		link, _, err := st.SignIn().SetupLink(t.Context(), o.ID, "secret", []byte("hash"), st.Now().Add(1e15))
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wait.Go(func() {
				u := &idp.User{Org: o.ID, Username: string(rune('a' + i)), Active: true}
				errs[i] = st.Write(t.Context(), func(tx *store.Tx) error { return tx.AddFirst(u, link) })
			})
		}
		wait.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, store.ErrGone) {
				t.Error(err)
			}
		}
		list, err := st.People().List(t.Context(), o.ID, store.UserFilter{})
		if won != 1 || err != nil || len(list) != 2 {
			t.Errorf("%d winners, %d users, %v", won, len(list), err)
		}
	})
}

// Where there are people already, a link that is left opens nothing.
func TestAddFirstAmongOthers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		link, _, err := st.SignIn().SetupLink(t.Context(), o.ID, "secret", []byte("hash"), st.Now().Add(1e15))
		if err != nil {
			t.Fatal(err)
		}
		addUser(t, st, o.ID, "ana") // by the command line
		err = st.Write(t.Context(), func(tx *store.Tx) error {
			return tx.AddFirst(&idp.User{Org: o.ID, Username: "eve", Active: true}, link)
		})
		if !errors.Is(err, store.ErrGone) {
			t.Errorf("a second first administrator: %v", err)
		}
	})
}

// Many that ask for a pairwise id at once get the same one.
func TestPersistentID(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		u := addUser(t, st, o.ID, "ana")
		if _, err := st.People().PersistentID(t.Context(), o.ID, "https://sp", u.ID, ""); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("none yet: %v", err)
		}
		var wait sync.WaitGroup
		got := make([]string, 16)
		for i, id := range ids(len(got)) {
			wait.Go(func() {
				var err error
				if got[i], err = st.People().PersistentID(t.Context(), o.ID, "https://sp", u.ID, id); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		for _, v := range got {
			if v == "" || v != got[0] {
				t.Fatalf("got %v", got)
			}
		}
		write(t, st, func(tx *store.Tx) error { return tx.PutPersistentID(o.ID, "https://other", u.ID, "old-value") })
		write(t, st, func(tx *store.Tx) error { return tx.PutPersistentID(o.ID, "https://other", u.ID, "old-value") })
		err := st.Write(t.Context(), func(tx *store.Tx) error { return tx.PutPersistentID(o.ID, "https://other", u.ID, "another") })
		if !errors.Is(err, store.ErrExists) {
			t.Errorf("changed: %v", err)
		}
		all, err := st.People().PersistentIDs(t.Context(), o.ID, u.ID)
		if want := map[string]string{"https://sp": got[0], "https://other": "old-value"}; err != nil || !cmp.Equal(all, want) {
			t.Errorf("all: %v, %v", all, err)
		}
	})
}
