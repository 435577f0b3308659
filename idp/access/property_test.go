package access_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/access"
)

// A few ids, shared by all kinds, so that what fits and what does not are both likely.
var ids = rapid.SliceOfDistinct(rapid.SampledFrom([]string{"1", "2", "3", "4"}), rapid.ID[string])

func users(t *rapid.T) *idp.User {
	return &idp.User{
		Org: "o1", ID: rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "user"), Username: "u", Active: rapid.Bool().Draw(t, "active"),
		Profile:        rapid.SampledFrom([]string{"", "1", "2", "3"}).Draw(t, "profile"),
		PermissionSets: ids.Draw(t, "sets"), Groups: ids.Draw(t, "groups"),
	}
}

func apps(t *rapid.T) *idp.Connected {
	c := &idp.Connected{App: idp.App{Org: rapid.SampledFrom([]string{"o1", "o1", "o2"}).Draw(t, "org"), Name: "App"}}
	if !rapid.Bool().Draw(t, "installed") {
		return c
	}
	c.Installation = &idp.Installation{
		Blocked:        rapid.Bool().Draw(t, "blocked"),
		PermittedUsers: rapid.SampledFrom([]string{"", idp.AdminApproved, idp.AdminApproved, idp.SelfAuthorize}).Draw(t, "permitted"),
		Profiles:       ids.Draw(t, "i.profiles"), PermissionSets: ids.Draw(t, "i.sets"), Groups: ids.Draw(t, "i.groups"),
		Users: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) idp.Permitted {
			p := idp.Permitted{User: rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "permitted user")}
			if rapid.Bool().Draw(t, "ends") {
				p.Until = now.Add(time.Duration(rapid.IntRange(-2, 2).Draw(t, "hours")) * time.Hour)
			}
			return p
		}), 0, 3).Draw(t, "i.users"),
	}
	return c
}

func decide(c *idp.Connected, u *idp.User) access.Decision {
	return access.Decide(access.Question{App: c, User: u, Now: now})
}

// Whatever the question: an answer has its rule and reason, and only an open door lets anybody in.
func TestPropertyClosedByDefault(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, u := apps(t), users(t)
		d := decide(c, u)
		if d != decide(c, u) {
			t.Fatal("two answers to one question")
		}
		if d.Reason == "" || (d.Decision == access.Allow) != (d.Rule == access.OK) {
			t.Fatalf("%+v: no reason, or the rule does not fit the answer", d)
		}
		if d.Decision != access.Allow {
			if d.Decision != access.Deny || d.Consent {
				t.Fatalf("%+v: neither yes nor no", d)
			}
			return
		}
		i := c.Installation
		switch {
		case i == nil, i.Blocked, !u.Active, u.Org != c.App.Org:
			t.Fatalf("%+v allowed %+v by %+v", d, u, i)
		case i.PermittedUsers == idp.SelfAuthorize:
			if !d.Consent {
				t.Fatal("nobody named the user, and no consent is asked for")
			}
		case i.PermittedUsers != idp.AdminApproved, d.Consent,
			len(i.Profiles)+len(i.PermissionSets)+len(i.Groups)+len(i.Users) == 0:
			t.Fatalf("%+v allowed %+v by %+v", d, u, i)
		}
	})
}

// Whoever is permitted stays permitted when more are named, or when they are given more.
func TestPropertyMorePermissionsNeverDeny(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, u := apps(t), users(t)
		if decide(c, u).Decision != access.Allow {
			return
		}
		i := c.Installation
		id := rapid.SampledFrom([]string{"1", "2", "3", "4"}).Draw(t, "more")
		switch rapid.IntRange(0, 5).Draw(t, "which") {
		case 0:
			i.Profiles = append(i.Profiles, id)
		case 1:
			i.PermissionSets = append(i.PermissionSets, id)
		case 2:
			i.Groups = append(i.Groups, id)
		case 3:
			i.Users = slices.Insert(i.Users, 0, idp.Permitted{User: id, Until: now.Add(-time.Hour)})
		case 4:
			u.Groups = append(u.Groups, id)
		case 5:
			u.PermissionSets = append(u.PermissionSets, id)
		}
		if d := decide(c, u); d.Decision != access.Allow {
			t.Fatalf("more permission, and now %+v", d)
		}
	})
}

// A block and a deactivation win over everything, and taking them back gives exactly what was there.
func TestPropertyBlockWins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, u := apps(t), users(t)
		before := decide(c, u)
		was := c.Installation
		i := idp.Installation{}
		if was != nil {
			i = *was
		}
		i.Blocked = true
		c.Installation = &i
		if d := decide(c, u); d.Decision != access.Deny || d.Rule != access.AppBlocked {
			t.Fatalf("blocked, and %+v", d)
		}
		c.Installation = was
		active := u.Active
		u.Active = false
		if d := decide(c, u); d.Decision != access.Deny {
			t.Fatalf("inactive, and %+v", d)
		}
		u.Active = active
		if d := decide(c, u); d != before {
			t.Fatalf("got %+v, before %+v", d, before)
		}
	})
}

// What the policy names is all that counts: a user with none of it stays outside, whatever else they have.
func TestPropertyOnlyWhatIsNamed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, u := apps(t), users(t)
		u.ID, u.Profile, u.PermissionSets, u.Groups = "9", "9", []string{"9"}, []string{"9"}
		d := decide(c, u)
		if d.Decision == access.Allow && c.Installation.PermittedUsers != idp.SelfAuthorize {
			t.Fatalf("%+v allowed %+v by %+v", d, u, c.Installation)
		}
	})
}
