// Package access decides who may use which connected app, and says why. It is pure: the same question gets the same
// answer, nothing is read or remembered, so the answer can be asked for later ("why can't Ana open Workday?").
//
// An app is closed until somebody says who may use it. The rules are asked in this order, and the first that says no
// is the answer:
//
//	rule                what it says                                            access.go
//	app-blocked         an admin blocked the app: nobody, whoever they are      blocked
//	app-not-installed   the org has no policy for the app: nobody               installed
//	user-inactive       only active users of the app's own org                  active
//	permitted-users     whom the policy permits: everyone, or those it names    permitted
//	ok                  nothing stands against it
package access

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
)

// Question is who wants to use which app, and how.
type Question struct {
	App     *idp.Connected
	User    *idp.User
	Session *idp.Session // nil: no browser takes part
	IP      netip.Addr   // invalid: not known
	Now     time.Time
}

// Answers to a Question. Consent is what [Decision.Consent] comes to for a person who has not agreed yet.
const (
	Allow   = "allow"
	Deny    = "deny"
	Consent = "consent"
)

// Rule is the name of the rule that decided (SURFACE.md §1, explain).
type Rule string

// The rules.
const (
	OK              Rule = "ok"
	AppBlocked      Rule = "app-blocked"
	AppNotInstalled Rule = "app-not-installed"
	UserInactive    Rule = "user-inactive"
	PermittedUsers  Rule = "permitted-users"
)

// Decision is the answer to a Question.
type Decision struct {
	Decision string // Allow or Deny
	Rule     Rule
	Reason   string // a sentence for an admin, without the full stop
	Consent  bool   // OAuth must have the person's own consent first: nobody else said that they may
}

// Decide answers q.
func Decide(q Question) Decision {
	for _, rule := range []func(Question) Decision{blocked, installed, active} {
		if d := rule(q); d.Decision != "" {
			return d
		}
	}
	return permitted(q)
}

func deny(rule Rule, reason string) Decision {
	return Decision{Decision: Deny, Rule: rule, Reason: reason}
}

func blocked(q Question) Decision {
	if q.App.Blocked() {
		return deny(AppBlocked, q.App.App.Name+" is blocked by an administrator")
	}
	return Decision{}
}

func installed(q Question) Decision {
	if i := q.App.Installation; i == nil || i.PermittedUsers == "" {
		return deny(AppNotInstalled, q.App.App.Name+" has no policy, so it is open to nobody")
	}
	return Decision{}
}

func active(q Question) Decision {
	switch {
	case q.User.Org != q.App.App.Org:
		return deny(UserInactive, q.User.Name()+" is no user of this org")
	case !q.User.Active:
		return deny(UserInactive, q.User.Name()+" is not active")
	}
	return Decision{}
}

func permitted(q Question) Decision {
	i, u, app := q.App.Installation, q.User, q.App.App.Name
	switch i.PermittedUsers {
	case idp.SelfAuthorize:
		return Decision{Decision: Allow, Rule: OK, Reason: "any active user may use " + app, Consent: true}
	case idp.AdminApproved:
	default:
		return deny(PermittedUsers, "the policy of "+app+" says "+i.PermittedUsers+", which permits nobody")
	}
	ended := time.Time{}
	for _, p := range i.Users {
		if p.User != u.ID {
			continue
		}
		if p.Until.IsZero() || q.Now.Before(p.Until) {
			return Decision{Decision: Allow, Rule: OK, Reason: "the policy names " + u.Name()}
		}
		ended = p.Until
	}
	var without []string
	for _, k := range []struct {
		named, has []string
		found, not string
	}{
		{i.Profiles, []string{u.Profile}, "has the profile", "has none of the profiles"},
		{i.PermissionSets, u.PermissionSets, "has the permission set", "has none of the permission sets"},
		{i.Groups, u.Groups, "is in the group", "is in none of the groups"},
	} {
		for _, id := range k.named {
			if id != "" && slices.Contains(k.has, id) {
				return Decision{Decision: Allow, Rule: OK, Reason: u.Name() + " " + k.found + " " + q.name(id) + ", which the policy names"}
			}
		}
		if len(k.named) > 0 {
			without = append(without, k.not+" "+q.names(k.named))
		}
	}
	if len(i.Users) > 0 && ended.IsZero() {
		without = append(without, "is none of the users")
	}
	return deny(PermittedUsers, refusal(q, without, ended))
}

// refusal says what the user would need to be permitted.
func refusal(q Question, without []string, ended time.Time) string {
	var why []string
	if !ended.IsZero() {
		why = append(why, "the permission of "+q.User.Name()+" ended at "+ended.UTC().Format(time.RFC3339))
	}
	if len(without) > 0 {
		why = append(why, q.User.Name()+" "+join(without)+" that the policy names")
	}
	if len(why) == 0 {
		return "the policy of " + q.App.App.Name + " names nobody"
	}
	return strings.Join(why, ", and ")
}

// names lists at most ten things by name: a policy may name thousands.
func (q Question) names(ids []string) string {
	const most = 10
	var names []string
	for _, id := range ids {
		if len(names) == most {
			return strings.Join(names, ", ") + ", …"
		}
		names = append(names, q.name(id))
	}
	return strings.Join(names, ", ")
}

func (q Question) name(id string) string {
	if n := q.App.Names[id]; n != "" {
		return n
	}
	return id
}

// join puts parts into one phrase: a, b and c.
func join(parts []string) string {
	last := len(parts) - 1
	if last == 0 {
		return parts[0]
	}
	return strings.Join(parts[:last], ", ") + " and " + parts[last]
}
