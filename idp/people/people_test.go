package people_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/people"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

func each(t *testing.T, f func(t *testing.T, p *people.People, org string)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := &idp.Org{Name: store.DefaultOrg, URL: "https://sso.acmecorp.example"}
		if err := st.Orgs().AddOrg(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		f(t, people.New(st), o.ID)
	})
}

func key(t *testing.T, err error) string {
	t.Helper()
	var f *people.Fault
	if err != nil && !errors.As(err, &f) {
		t.Fatalf("%v is no fault", err)
	}
	if f == nil {
		return ""
	}
	if f.Text == "" {
		t.Errorf("fault %q says nothing", f.Key)
	}
	return f.Key
}

func codes(t *testing.T, p *people.People, org, user string) (all []string) {
	t.Helper()
	events, err := p.Store.Events().List(t.Context(), org, store.EventFilter{User: user})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range slices.Backward(events) {
		all = append(all, e.Code)
	}
	return all
}

// Each change is one step with one event.
func TestLifeOfAUser(t *testing.T) {
	each(t, func(t *testing.T, p *people.People, org string) {
		ctx := idp.WithCaller(t.Context(), &idp.Caller{Actor: "cli"})
		u := &idp.User{Org: org, Username: "ana", Email: "ana@example.com", Active: true}
		if err := p.Create(ctx, u, "correct horse"); err != nil {
			t.Fatal(err)
		}
		write := func(f func(ctx context.Context, tx *store.Tx) error) {
			t.Helper()
			if err := p.Store.Write(ctx, func(tx *store.Tx) error { return f(ctx, tx) }); err != nil {
				t.Fatal(err)
			}
		}
		now := func() *idp.User {
			t.Helper()
			got, err := p.Store.People().User(ctx, org, u.ID)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		signsIn := func(password string) bool {
			t.Helper()
			ok, _, err := p.Check(ctx, now().Password, password)
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		if !signsIn("correct horse") || signsIn("wrong horse") {
			t.Error("the password is another one")
		}
		changed := now()
		changed.GivenName = "Ana"
		write(func(ctx context.Context, tx *store.Tx) error { return p.Change(ctx, tx, changed, "givenName: → Ana") })
		phc, err := p.Chosen(ctx, changed, "battery staple")
		if err != nil {
			t.Fatal(err)
		}
		write(func(ctx context.Context, tx *store.Tx) error { return p.PutPassword(ctx, tx, changed, phc) })
		if now().GivenName != "Ana" || !signsIn("battery staple") || signsIn("correct horse") {
			t.Errorf("after both changes: %+v", now())
		}
		write(func(ctx context.Context, tx *store.Tx) error { return p.SetActive(ctx, tx, u, false) })
		write(func(ctx context.Context, tx *store.Tx) error { return p.SetActive(ctx, tx, u, true) })
		write(func(ctx context.Context, tx *store.Tx) error { return p.SetAdmin(ctx, tx, now(), true, "by root") })
		if err := p.Store.Write(ctx, func(tx *store.Tx) error { return p.SetAdmin(ctx, tx, u, true, "") }); !errors.Is(err, store.ErrGone) {
			t.Errorf("is one already: %v", err)
		}
		if !now().Admin() || !now().Active || now().Epoch != 1 {
			t.Errorf("now %+v", now())
		}
		want := []string{"insertUser", "changeUser", "changePassword", "deactivateUser", "activateUser", "grantAdmin"}
		if got := codes(t, p, org, u.ID); !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		write(func(ctx context.Context, tx *store.Tx) error {
			tx.AllowNoAdmin()
			return p.Delete(ctx, tx, u)
		})
		if _, err := p.Store.People().User(ctx, org, u.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("deleted: %v", err)
		}
		events, err := p.Store.Events().List(ctx, org, store.EventFilter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if strings.Contains(e.Reason, "horse") || strings.Contains(e.Reason, "argon2") || strings.Contains(e.Reason, "staple") {
				t.Errorf("a password in an event: %+v", e)
			}
		}
	})
}

// A refused change leaves nothing.
func TestRefusedChangesLeaveNothing(t *testing.T) {
	each(t, func(t *testing.T, p *people.People, org string) {
		ana := &idp.User{Org: org, Username: "ana", Active: true}
		if err := p.Create(t.Context(), ana, ""); err != nil {
			t.Fatal(err)
		}
		var taken *store.Taken
		if err := p.Create(t.Context(), &idp.User{Org: org, Username: "Ana"}, "correct horse"); !errors.As(err, &taken) {
			t.Errorf("the same name: %v", err)
		}
		if k := key(t, p.Create(t.Context(), &idp.User{Org: org, Username: "bob"}, "short")); k != "password.short" {
			t.Errorf("short password: %q", k)
		}
		if k := key(t, p.Create(t.Context(), &idp.User{Org: org, Username: "bob", Email: "bob"}, "")); k != "setup.email" {
			t.Errorf("no address: %q", k)
		}
		all, err := p.Store.People().List(t.Context(), org, store.UserFilter{})
		if err != nil || len(all) != 1 || all[0].Password != "" {
			t.Errorf("%d users, %v", len(all), err)
		}
		if got := codes(t, p, org, ""); !slices.Equal(got, []string{"insertOrg", "insertUser"}) {
			t.Errorf("events %q", got)
		}
	})
}

func TestCreateFirst(t *testing.T) {
	each(t, func(t *testing.T, p *people.People, org string) {
		link, _, err := p.Store.SignIn().SetupLink(t.Context(), org, "secret", []byte("hash"), p.Store.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		first := func(name string) *idp.User {
			return &idp.User{Org: org, Username: name, Email: name + "@example.com", Active: true, Roles: []string{"admin"}}
		}
		for password, want := range map[string]string{"": "password.short", "password": "password.common", "acmecorp": "password.common"} {
			if k := key(t, p.CreateFirst(t.Context(), first("ana"), password, link)); k != want {
				t.Errorf("password %q: %q, want %q", password, k, want)
			}
		}
		noMail := first("ana")
		noMail.Email = ""
		if k := key(t, p.CreateFirst(t.Context(), noMail, "correct horse", link)); k != "setup.email" {
			t.Errorf("without an address: %q", k)
		}
		if k := key(t, p.CreateFirst(t.Context(), first("a b"), "correct horse", link)); k != "setup.username" {
			t.Errorf("with a space: %q", k)
		}
		if err := p.CreateFirst(t.Context(), first("ana"), "correct horse", link); err != nil {
			t.Fatal(err) // what was refused has not spent the link
		}
		if err := p.CreateFirst(t.Context(), first("eve"), "correct horse", link); !errors.Is(err, store.ErrGone) {
			t.Errorf("a second one: %v", err)
		}
		u, err := p.Store.People().ByName(t.Context(), org, "ana")
		if err != nil || !u.Admin() {
			t.Errorf("the first: %+v, %v", u, err)
		}
	})
}

// AUTH-14: the next who has a deleted user's name and address inherits nothing.
func TestNextOfThatName(t *testing.T) {
	each(t, func(t *testing.T, p *people.People, org string) {
		st, ctx := p.Store, t.Context()
		named := &idp.Named{Org: org, Kind: idp.KindGroup, Name: "finance"}
		write := func(f func(tx *store.Tx) error) {
			t.Helper()
			if err := st.Write(ctx, f); err != nil {
				t.Fatal(err)
			}
		}
		write(func(tx *store.Tx) error { return tx.AddNamed(named) })
		ana := func() *idp.User {
			return &idp.User{Org: org, Username: "ana", Email: "ana@example.com", Active: true}
		}
		first := ana()
		first.Groups, first.Roles = []string{named.ID}, []string{"admin"}
		if err := p.Create(ctx, first, "correct horse"); err != nil {
			t.Fatal(err)
		}
		session := &idp.Session{Org: org, User: first.ID, AuthTime: st.Now(), Seen: st.Now(), Expires: st.Now().Add(time.Hour)}
		browser := []byte("a browser's hash")
		if err := st.SignIn().Start(ctx, store.Proof{Session: session, Hash: []byte("hash"), Browser: browser, Code: "UsernamePasswordUiLogin"}); err != nil {
			t.Fatal(err)
		}
		if err := st.SignIn().PutConsent(ctx, org, first.ID, "app", []string{"openid"}, st.Now()); err != nil {
			t.Fatal(err)
		}
		pairwise, err := st.People().PersistentID(ctx, org, "https://sp", first.ID, "pairwise")
		if err != nil {
			t.Fatal(err)
		}
		write(func(tx *store.Tx) error {
			tx.AllowNoAdmin()
			return p.Delete(ctx, tx, first)
		})

		next := ana()
		if err := p.Create(ctx, next, ""); err != nil {
			t.Fatal(err)
		}
		got, err := st.People().ByName(ctx, org, "ana@example.com")
		if err != nil || got.ID == first.ID || len(got.Groups) > 0 || got.Admin() || got.Password != "" || got.ID != next.ID {
			t.Errorf("the next: %+v, %v", got, err)
		}
		if _, _, _, err := st.SignIn().Session(ctx, org, session.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the session: %v", err)
		}
		if sessions, err := st.SignIn().Sessions(ctx, org, next.ID); len(sessions) > 0 || err != nil {
			t.Errorf("sessions: %d, %v", len(sessions), err)
		}
		if _, _, err := st.SignIn().Consent(ctx, org, next.ID, "app"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("consent: %v", err)
		}
		if known, err := st.SignIn().Known(ctx, org, browser, next.ID); known || err != nil {
			t.Errorf("the browser is known: %v", err)
		}
		if _, err := st.People().PersistentID(ctx, org, "https://sp", next.ID, ""); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the persistent NameID: %v", err)
		}
		err = st.Write(ctx, func(tx *store.Tx) error { return tx.PutPersistentID(org, "https://sp", next.ID, pairwise) })
		if !errors.Is(err, store.ErrExists) {
			t.Errorf("a deleted user's NameID is given again: %v", err)
		}
		if members, err := st.People().List(ctx, org, store.UserFilter{Kind: idp.KindGroup, Ref: named.ID}); len(members) > 0 || err != nil {
			t.Errorf("the group has %d members, %v", len(members), err)
		}
	})
}

// A right is added to what the user is now, not to what somebody read a while ago.
func TestGrantAdminLosesNothing(t *testing.T) {
	each(t, func(t *testing.T, p *people.People, org string) {
		ana := &idp.User{Org: org, Username: "ana", Active: true}
		if err := p.Create(t.Context(), ana, ""); err != nil {
			t.Fatal(err)
		}
		old := *ana
		ana.Email = "ana@example.com"
		if err := p.Store.Write(t.Context(), func(tx *store.Tx) error { return p.Change(t.Context(), tx, ana, "email") }); err != nil {
			t.Fatal(err)
		}
		if err := p.Store.Write(t.Context(), func(tx *store.Tx) error { return p.SetAdmin(t.Context(), tx, &old, true, "") }); err != nil {
			t.Fatal(err)
		}
		if u, err := p.Store.People().User(t.Context(), org, ana.ID); err != nil || !u.Admin() || u.Email != "ana@example.com" {
			t.Errorf("%+v, %v", u, err)
		}
		if err := p.Store.Write(t.Context(), func(tx *store.Tx) error {
			return p.SetAdmin(t.Context(), tx, &idp.User{Org: org, ID: "gone"}, true, "")
		}); !errors.Is(err, store.ErrGone) {
			t.Errorf("somebody who is gone: %v", err)
		}
	})
}

// AUTH-13, SAML-RSP-05: what two readers could read differently is refused on the way in.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		u    idp.User
		want string
	}{
		{"right", idp.User{Username: "ana", Email: "ana@example.com", GivenName: "Ana", Attributes: map[string][]string{"sites": {"Berlin", "São Paulo"}}}, ""},
		{"an address as username", idp.User{Username: "ana@example.com"}, ""},
		{"other scripts", idp.User{Username: "аня", GivenName: "Аня", FamilyName: "李"}, ""},
		{"no username", idp.User{}, "setup.username"},
		{"space", idp.User{Username: "ana lima"}, "setup.username"},
		{"space behind", idp.User{Username: "ana "}, "setup.username"},
		{"newline", idp.User{Username: "ana\n"}, "setup.username"},
		{"NUL", idp.User{Username: "ana\x00"}, "setup.username"},
		{"broken UTF-8", idp.User{Username: "ana\xff"}, "setup.username"},
		{"zero width", idp.User{Username: "an\u200ba"}, "setup.username"},
		{"right to left", idp.User{Username: "ana\u202exe"}, "setup.username"},
		{"too long", idp.User{Username: strings.Repeat("a", 201)}, "setup.username"},
		{"two @", idp.User{Username: "ana", Email: "ana@corp@evil.example"}, "setup.email"},
		{"a name with the address", idp.User{Username: "ana", Email: "Ana <ana@example.com>"}, "setup.email"},
		{"markup in the address", idp.User{Username: "ana", Email: "admin@corp<!-- -->.evil"}, "setup.email"},
		{"full-width @", idp.User{Username: "ana", Email: "ana＠example.com"}, "setup.email"},
		{"domain in other letters", idp.User{Username: "ana", Email: "ana@bücher.example"}, "setup.email"},
		{"control character in the name", idp.User{Username: "ana", GivenName: "A\x1b[31m"}, "setup.username"},
		{"in the federation ID", idp.User{Username: "ana", FederationID: "a\x01b"}, "setup.username"},
		{"in an attribute", idp.User{Username: "ana", Attributes: map[string][]string{"a": {"ok", "b\x02"}}}, "setup.username"},
		{"in an attribute's name", idp.User{Username: "ana", Attributes: map[string][]string{"a\x02": {"ok"}}}, "setup.username"},
		{"attribute of a book's length", idp.User{Username: "ana", Attributes: map[string][]string{"a": {strings.Repeat("x", 4097)}}}, "setup.username"},
		{"too many values", idp.User{Username: "ana", Attributes: map[string][]string{"a": make([]string, 501)}}, "setup.username"},
		{"too many groups", idp.User{Username: "ana", Groups: make([]string, 2001)}, "setup.username"},
		{"role", idp.User{Username: "ana", Roles: []string{"root"}}, "setup.username"},
	} {
		if got := key(t, people.Check(&c.u)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// AUTH-05: what is guessed first is refused; nothing else is asked of a password but its length.
func TestChosenPasswords(t *testing.T) {
	each(t, func(t *testing.T, p *people.People, org string) {
		u := &idp.User{Org: org, Username: "anabelle.lima", Email: "anabelle@travelbureau.example", GivenName: "Anabelle", FamilyName: "Limaleira", Active: true}
		if err := p.Create(t.Context(), u, ""); err != nil {
			t.Fatal(err)
		}
		for password, want := range map[string]string{
			"1234567": "password.short", "pässw0r": "password.short", "äöüäöüß": "password.short", strings.Repeat("x", 1025): "password.long",
			strings.Repeat("a1b2", 1000): "password.long",
			"password":                   "password.common", "Password1!": "password.common", "P@ssw0rd": "password.common", "pa$$word123": "password.common",
			"qwertyuiop": "password.common", "1q2w3e4r": "password.common", "12345678": "password.common", "87654321": "password.common",
			"aaaaaaaaaa": "password.common", "abcabcabc": "password.common", "iloveyou": "password.common", "Sunshine2026": "password.common",
			"letmein!!": "password.common", "passwort1": "password.common", "motdepasse": "password.common", "monkeymonkey": "password.common",
			"liverpool": "password.common", "elizabet": "password.common", "blink182": "password.common", "trustno1": "password.common",
			"lanyard2026": "password.common", "ＰＡＳＳＷＯＲＤ": "password.common",
			"24111990": "password.common", "24.11.1990": "password.common", "2026-11-24": "password.common", "31415926535": "password.common",
			"blackcat": "password.common", "BlueMoon99": "password.common", "g00dluck!": "password.common", "snowwolf": "password.common", "kingkong": "password.common", "mustangs": "password.common",
			// their own and the company's name
			"anabelle.lima": "password.common", "Anabelle99": "password.common", "anabelle@travelbureau.example": "password.common",
			"limaleira": "password.common", "AcmeCorp2026!": "password.common", "travelbureau": "password.common", "AnabelleLimaleira": "password.common",
			// all else is theirs
			"correct horse": "", "314159265358": "", "24 November 1990": "password.common", "tigerstripes": "", "elephantbasketball": "", "blckct99": "", "kqzvbjwy": "", "thisisallinlowercase": "", "12 apples and 7 pears": "", "👩‍💻👩‍💻 at work": "", "密码很长很长的一句话": "",
			strings.Repeat("long and fine ", 70): "", "anabelle likes pears": "",
		} {
			phc, err := p.Chosen(t.Context(), u, password)
			if got := key(t, err); got != want || (phc != "") != (want == "") {
				t.Errorf("%.40q: %q, want %q", password, got, want)
			}
		}
	})
}

// ADM-11: however an administrator goes, another stays.
func TestLastAdmin(t *testing.T) {
	each(t, func(t *testing.T, p *people.People, org string) {
		ctx := t.Context()
		admin := func(name string) *idp.User {
			t.Helper()
			u := &idp.User{Org: org, Username: name, Active: true, Roles: []string{idp.RoleAdmin}}
			if err := p.Create(ctx, u, ""); err != nil {
				t.Fatal(err)
			}
			return u
		}
		ana := admin("ana")
		// None of these is one who could administer.
		for _, u := range []*idp.User{
			{Org: org, Username: "off", Roles: []string{idp.RoleAdmin}},
			{Org: org, Username: "svc", Roles: []string{idp.RoleAdmin}, Active: true, Service: true},
			{Org: org, Username: "ben", Active: true, Attributes: map[string][]string{"roles": {"admin"}}},
		} {
			if err := p.Create(ctx, u, ""); err != nil {
				t.Fatal(err)
			}
		}
		ways := map[string]func(tx *store.Tx, u *idp.User) error{
			"delete":     func(tx *store.Tx, u *idp.User) error { return p.Delete(ctx, tx, u) },
			"deactivate": func(tx *store.Tx, u *idp.User) error { return p.SetActive(ctx, tx, u, false) },
			"revoke":     func(tx *store.Tx, u *idp.User) error { return p.SetAdmin(ctx, tx, u, false, "") },
			"change": func(tx *store.Tx, u *idp.User) error {
				c := *u
				c.Roles = nil
				return p.Change(ctx, tx, &c, "")
			},
			"make a service": func(tx *store.Tx, u *idp.User) error {
				c := *u
				c.Service = true
				return p.Change(ctx, tx, &c, "")
			},
		}
		for name, way := range ways {
			u := *ana
			if err := p.Store.Write(ctx, func(tx *store.Tx) error { return way(tx, &u) }); !errors.Is(err, store.ErrLastAdmin) {
				t.Errorf("%s the last: %v", name, err)
			}
			if now, err := p.Store.People().User(ctx, org, ana.ID); err != nil || !now.Active || !now.Admin() || now.Service || now.Epoch != 0 {
				t.Fatalf("%s the last: %+v %v", name, now, err)
			}
			// Not the last: it goes. In one step the order does not matter.
			other := admin("other-" + name[:3])
			if err := p.Store.Write(ctx, func(tx *store.Tx) error { return way(tx, other) }); err != nil {
				t.Errorf("%s another: %v", name, err)
			}
			next := &idp.User{Org: org, Username: "next-" + name[:3], Active: true, Roles: []string{idp.RoleAdmin}}
			if err := p.Store.Write(ctx, func(tx *store.Tx) error {
				if err := way(tx, &u); err != nil {
					return err
				}
				return p.Add(ctx, tx, next)
			}); err != nil {
				t.Errorf("%s, and another comes in the same step: %v", name, err)
			}
			ana = next
		}
		// Who is not active administers nothing: they may go. And so may the last, if that is meant.
		for _, name := range []string{"off", "svc", "ben"} {
			u, err := p.Store.People().ByName(ctx, org, name)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Store.Write(ctx, func(tx *store.Tx) error { return p.Delete(ctx, tx, u) }); err != nil {
				t.Errorf("deleting %s: %v", name, err)
			}
		}
		if err := p.Store.Write(ctx, func(tx *store.Tx) error {
			tx.AllowNoAdmin()
			return p.Delete(ctx, tx, ana)
		}); err != nil {
			t.Errorf("meant: %v", err)
		}
	})
}

// ADM-11: two administrators who take each other away at once, on two nodes: one stays, each time.
func TestLastAdminRace(t *testing.T) {
	one, two := storetest.Two(t)
	nodes := []*people.People{people.New(one), people.New(two)}
	ctx := t.Context()
	o := &idp.Org{Name: store.DefaultOrg, URL: "https://id.example.com"}
	if err := one.Orgs().AddOrg(ctx, o); err != nil {
		t.Fatal(err)
	}
	for round := range 20 {
		var pair []*idp.User
		for i, name := range []string{"ana", "ben"} {
			u := &idp.User{Org: o.ID, Username: fmt.Sprint(name, round), Active: true, Roles: []string{idp.RoleAdmin}}
			if err := nodes[i].Create(ctx, u, ""); err != nil {
				t.Fatal(err)
			}
			pair = append(pair, u)
		}
		errs := make([]error, 2)
		var wait sync.WaitGroup
		for i := range pair {
			wait.Go(func() {
				errs[i] = nodes[i].Store.Write(ctx, func(tx *store.Tx) error { return nodes[i].SetActive(ctx, tx, pair[i], false) })
			})
		}
		wait.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), store.ErrLastAdmin) {
			t.Fatalf("round %d: %v", round, errs)
		}
		if err := one.Write(ctx, func(tx *store.Tx) error { // away with both, for the next round
			tx.AllowNoAdmin()
			return errors.Join(nodes[0].Delete(ctx, tx, pair[0]), nodes[0].Delete(ctx, tx, pair[1]))
		}); err != nil {
			t.Fatal(err)
		}
	}
}
