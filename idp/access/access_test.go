package access_test

import (
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/access"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// ana is in the group finance, with the profile Employee.
func ana(change ...func(*idp.User)) *idp.User {
	u := &idp.User{
		Org: "o1", ID: "u-ana", Username: "ana@example.com", GivenName: "Ana", FamilyName: "Lima", Active: true,
		Profile: "p-employee", PermissionSets: []string{"s-travel"}, Groups: []string{"g-finance"},
	}
	for _, f := range change {
		f(u)
	}
	return u
}

func workday(i *idp.Installation) *idp.Connected {
	return &idp.Connected{
		App: idp.App{Org: "o1", ID: "a1", Name: "Workday"}, Installation: i,
		Names: map[string]string{
			"p-employee": "Employee", "p-boss": "Boss", "s-travel": "Travel", "s-pay": "Pay", "g-finance": "finance", "g-legal": "legal",
		},
	}
}

func TestDecide(t *testing.T) {
	approved := func(change func(*idp.Installation)) *idp.Installation {
		i := &idp.Installation{PermittedUsers: idp.AdminApproved}
		change(i)
		return i
	}
	for _, c := range []struct {
		name string
		i    *idp.Installation
		user *idp.User
		want access.Decision
	}{
		{
			"app without a policy is open to nobody", nil, ana(),
			access.Decision{Decision: access.Deny, Rule: access.AppNotInstalled, Reason: "Workday has no policy, so it is open to nobody"},
		},
		{
			"app blocked before it was installed", &idp.Installation{Blocked: true}, ana(),
			access.Decision{Decision: access.Deny, Rule: access.AppBlocked, Reason: "Workday is blocked by an administrator"},
		},
		{
			"installation without permitted users", &idp.Installation{}, ana(),
			access.Decision{Decision: access.Deny, Rule: access.AppNotInstalled, Reason: "Workday has no policy, so it is open to nobody"},
		},
		{
			"BLK block", &idp.Installation{Blocked: true, PermittedUsers: idp.SelfAuthorize}, ana(),
			access.Decision{Decision: access.Deny, Rule: access.AppBlocked, Reason: "Workday is blocked by an administrator"},
		},
		{
			"inactive user", &idp.Installation{PermittedUsers: idp.SelfAuthorize}, ana(func(u *idp.User) { u.Active = false }),
			access.Decision{Decision: access.Deny, Rule: access.UserInactive, Reason: "Ana Lima is not active"},
		},
		{
			"user of another org", &idp.Installation{PermittedUsers: idp.SelfAuthorize}, ana(func(u *idp.User) { u.Org = "o2" }),
			access.Decision{Decision: access.Deny, Rule: access.UserInactive, Reason: "Ana Lima is no user of this org"},
		},
		{
			"self-authorize", &idp.Installation{PermittedUsers: idp.SelfAuthorize}, ana(),
			access.Decision{Decision: access.Allow, Rule: access.OK, Reason: "any active user may use Workday", Consent: true},
		},
		{
			"word of a later version", &idp.Installation{PermittedUsers: "anybody"}, ana(),
			access.Decision{Decision: access.Deny, Rule: access.PermittedUsers, Reason: "the policy of Workday says anybody, which permits nobody"},
		},
		{
			"BEN-5 admin-approved and nobody named", approved(func(*idp.Installation) {}), ana(),
			access.Decision{Decision: access.Deny, Rule: access.PermittedUsers, Reason: "the policy of Workday names nobody"},
		},
		{
			"by profile", approved(func(i *idp.Installation) { i.Profiles = []string{"p-boss", "p-employee"} }), ana(),
			access.Decision{Decision: access.Allow, Rule: access.OK, Reason: "Ana Lima has the profile Employee, which the policy names"},
		},
		{
			"by permission set", approved(func(i *idp.Installation) { i.PermissionSets = []string{"s-travel"} }), ana(),
			access.Decision{Decision: access.Allow, Rule: access.OK, Reason: "Ana Lima has the permission set Travel, which the policy names"},
		},
		{
			"by group", approved(func(i *idp.Installation) { i.Groups = []string{"g-legal", "g-finance"} }), ana(),
			access.Decision{Decision: access.Allow, Rule: access.OK, Reason: "Ana Lima is in the group finance, which the policy names"},
		},
		{
			"a group's id among the profiles", approved(func(i *idp.Installation) { i.Profiles = []string{"g-finance"} }), ana(),
			access.Decision{Decision: access.Deny, Rule: access.PermittedUsers, Reason: "Ana Lima has none of the profiles finance that the policy names"},
		},
		{
			"user without a profile, policy with an empty id", approved(func(i *idp.Installation) { i.Profiles = []string{""} }), ana(func(u *idp.User) { u.Profile = "" }),
			access.Decision{Decision: access.Deny, Rule: access.PermittedUsers, Reason: "Ana Lima has none of the profiles  that the policy names"},
		},
		{
			"by name", approved(func(i *idp.Installation) { i.Users = []idp.Permitted{{User: "u-bob"}, {User: "u-ana"}} }), ana(),
			access.Decision{Decision: access.Allow, Rule: access.OK, Reason: "the policy names Ana Lima"},
		},
		{
			"by name until later", approved(func(i *idp.Installation) {
				i.Users = []idp.Permitted{{User: "u-ana", Until: now.Add(time.Microsecond)}}
			}), ana(),
			access.Decision{Decision: access.Allow, Rule: access.OK, Reason: "the policy names Ana Lima"},
		},
		{
			"by name until now, exclusive", approved(func(i *idp.Installation) { i.Users = []idp.Permitted{{User: "u-ana", Until: now}} }), ana(),
			access.Decision{Decision: access.Deny, Rule: access.PermittedUsers, Reason: "the permission of Ana Lima ended at 2026-11-24T12:00:00Z"},
		},
		{
			"ended, and in no group either",
			approved(func(i *idp.Installation) {
				i.Users, i.Groups = []idp.Permitted{{User: "u-ana", Until: now.Add(-time.Hour)}}, []string{"g-legal"}
			}), ana(),
			access.Decision{Decision: access.Deny, Rule: access.PermittedUsers, Reason: "the permission of Ana Lima ended at 2026-11-24T11:00:00Z, and Ana Lima is in none of the groups legal that the policy names"},
		},
		{
			"ended once, given again",
			approved(func(i *idp.Installation) {
				i.Users = []idp.Permitted{{User: "u-ana", Until: now.Add(-time.Hour)}, {User: "u-ana"}}
			}), ana(),
			access.Decision{Decision: access.Allow, Rule: access.OK, Reason: "the policy names Ana Lima"},
		},
		{
			"nothing fits",
			approved(func(i *idp.Installation) {
				i.Profiles, i.PermissionSets, i.Groups = []string{"p-boss"}, []string{"s-pay"}, []string{"g-legal", "g-gone"}
				i.Users = []idp.Permitted{{User: "u-bob"}}
			}), ana(),
			access.Decision{
				Decision: access.Deny, Rule: access.PermittedUsers,
				Reason: "Ana Lima has none of the profiles Boss, has none of the permission sets Pay, is in none of the groups legal, g-gone and is none of the users that the policy names",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := access.Decide(access.Question{App: workday(c.i), User: c.user, Now: now})
			if got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// The order of the rules is what an admin is told first.
func TestDecideOrder(t *testing.T) {
	gone := ana(func(u *idp.User) { u.Active, u.Groups = false, nil })
	i := &idp.Installation{Blocked: true, PermittedUsers: idp.AdminApproved, Groups: []string{"g-finance"}}
	c := workday(i)
	for _, step := range []struct {
		want access.Rule
		fix  func()
	}{
		{access.AppBlocked, func() { i.Blocked, c.Installation = false, nil }},
		{access.AppNotInstalled, func() { c.Installation = i }},
		{access.UserInactive, func() { gone.Active = true }},
		{access.PermittedUsers, func() { gone.Groups = []string{"g-finance"} }},
		{access.OK, func() {}},
	} {
		if got := access.Decide(access.Question{App: c, User: gone, Now: now}); got.Rule != step.want {
			t.Fatalf("rule %s, want %s", got.Rule, step.want)
		}
		step.fix()
	}
}

func TestDecideManyNames(t *testing.T) {
	i := &idp.Installation{PermittedUsers: idp.AdminApproved}
	for range 5000 {
		i.Groups = append(i.Groups, "g-legal")
	}
	got := access.Decide(access.Question{App: workday(i), User: ana(), Now: now})
	want := "Ana Lima is in none of the groups legal, legal, legal, legal, legal, legal, legal, legal, legal, legal, … that the policy names"
	if got.Reason != want {
		t.Errorf("reason %q, want %q", got.Reason, want)
	}
}
