package templates

import "time"

// Apps is the launcher: the apps a person may open.
type Apps struct {
	User  string
	Tiles []Tile
	Admin bool // may make apps, and is told how where there are none
}

// Tile is one app in the launcher.
type Tile struct{ Name, Description, URL string }

func (p Apps) about() about { return about{file: "apps", house: true} }

// Account is a person's own page: where they are signed in and which apps act for them.
//
// "Sign out" posts `id` of a session, "sign out others" posts `others=1`, both to /account/sessions; "revoke" posts `id`
// of a grant, or `app` for all that an app was given, to /account/grants.
type Account struct {
	User, Username, Email string
	Sessions              []SessionRow
	Grants                []GrantRow
	Notice                string     // key: account.done.sessions, account.done.grants, account.done.password or empty
	Rest                  []GrantRow // after account.done.grants: the grants that the app has left
	Now                   time.Time  // the time the others are told by; zero: they are told by their date
}

// SessionRow is one browser in which a person is signed in.
type SessionRow struct {
	ID                string
	Current           bool
	Started, LastSeen time.Time
	Device, IP        string // Device: a User-Agent, or what the device is called
}

// GrantRow is one app that acts for a person, or may do so without asking again.
type GrantRow struct {
	App, AppID      string
	Scopes          []string // in words, or the names of built-in scopes
	Since, LastUsed time.Time
	ID              string // empty: the person's consent alone
}

func (p Account) about() about { return about{file: "account", house: true} }

// Others reports whether somebody is signed in elsewhere.
func (p Account) Others() bool {
	for _, s := range p.Sessions {
		if !s.Current {
			return true
		}
	}
	return false
}

// Left has the notice tell that a grant of the app was taken back, if the app has others left, and offer to take those back.
func (p *Account) Left(app string) {
	for _, g := range p.Grants {
		if g.ID != "" && g.AppID == app {
			p.Rest = append(p.Rest, g)
		}
	}
}

// ChangePassword changes a person's password. The form posts `current`, `password` and `repeat` to Action; none of them is
// ever sent back. What can be the Problem:
//
//	password.current     the current one is not right
//	password.short       the new one has fewer than 8 characters
//	password.long        it is longer than is read
//	password.common      it is on a list of known passwords, or made of the person's own name
//	password.same        it is the current one
//	password.differ      it was not repeated as it was
type ChangePassword struct {
	Action  string
	Problem string // key: see below, or signin.throttled, or empty
	Wait    int    // seconds until the next attempt, with signin.throttled; sent as Retry-After too
	User    string // the username
	Must    bool   // nothing else may be done before: no navigation, and the form leads on to where the person was going
}

func (p ChangePassword) about() about {
	return about{file: "password", leadsOut: p.Must, house: !p.Must, wait: p.Wait}
}

// Fault is the field that Problem is about.
func (p ChangePassword) Fault() string { return fault(p.Problem) }

// fault returns the field of a form that a problem is about.
func fault(problem string) string {
	switch problem {
	case "setup.username":
		return "username"
	case "setup.email":
		return "email"
	case "password.current", "signin.throttled":
		return "current"
	case "password.short", "password.long", "password.common", "password.same":
		return "new"
	case "password.differ":
		return "repeat"
	}
	return ""
}
