package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
)

type userCmd struct {
	List        userListCmd        `cmd:"" help:"List users."`
	Show        userShowCmd        `cmd:"" help:"Show one user."`
	Create      userCreateCmd      `cmd:"" help:"Make a user."`
	Activate    userActivateCmd    `cmd:"" help:"Let a user in again."`
	Deactivate  userDeactivateCmd  `cmd:"" help:"Shut a user out: sessions and grants end at once."`
	Delete      userDeleteCmd      `cmd:"" help:"Delete a user for good."`
	SigninLink  userSigninLinkCmd  `cmd:"" help:"Print a link by which a user signs in once, without a password."`
	GrantAdmin  userGrantAdminCmd  `cmd:"" help:"Make a user an administrator."`
	RevokeAdmin userRevokeAdminCmd `cmd:"" help:"Make a user no more an administrator."`
}

// userView is a user as commands print one.
type userView struct {
	ID             string              `json:"id"`
	Username       string              `json:"username"`
	Email          string              `json:"email"`
	Name           string              `json:"name"`
	Active         bool                `json:"active"`
	Type           string              `json:"type"`
	Profile        string              `json:"profile,omitempty"`
	PermissionSets []string            `json:"permissionSets,omitempty"`
	Groups         []string            `json:"groups,omitempty"`
	Roles          []string            `json:"roles,omitempty"`
	Attributes     map[string][]string `json:"attributes,omitempty"`
	HasPassword    bool                `json:"hasPassword"`
	Created        time.Time           `json:"created"`
}

func (h *house) viewUser(u *idp.User) (v userView, err error) {
	v = userView{ID: u.ID, Username: u.Username, Email: u.Email, Name: u.Name(), Active: u.Active, Type: "person", Roles: u.Roles,
		Attributes: u.Attributes, HasPassword: u.Password != "", Created: u.Created}
	if u.Service {
		v.Type = "service"
	}
	p := h.st.People()
	if v.Groups, err = p.Names(h.ctx, u.Org, idp.KindGroup, u.Groups); err != nil {
		return v, err
	}
	if v.PermissionSets, err = p.Names(h.ctx, u.Org, idp.KindPermissionSet, u.PermissionSets); err != nil {
		return v, err
	}
	if u.Profile != "" {
		profile, err := p.Names(h.ctx, u.Org, idp.KindProfile, []string{u.Profile})
		if err != nil {
			return v, err
		}
		v.Profile = strings.Join(profile, "")
	}
	return v, nil
}

type userListCmd struct {
	storeFlags
	output
	Group string `help:"Only members of this group."`
}

func (userListCmd) Help() string {
	return "Examples:\n\n    lanyard user list\n    lanyard user list --group finance -o json"
}

func (c userListCmd) Run(g *globals) error {
	return c.with(g, func(h *house) error {
		f := store.UserFilter{Limit: 1000}
		if c.Group != "" {
			ids, err := h.named(idp.KindGroup, "group", []string{c.Group})
			if err != nil {
				return err
			}
			f.Kind, f.Ref = idp.KindGroup, ids[0]
		}
		views := []userView{}
		for {
			page, err := h.st.People().List(h.ctx, h.org.ID, f)
			if err != nil {
				return err
			}
			for _, u := range page {
				v, err := h.viewUser(u)
				if err != nil {
					return err
				}
				views = append(views, v)
				f.After = u.ID
			}
			if len(page) < f.Limit {
				break
			}
		}
		return c.print(g.out, views, func(w io.Writer) {
			var rows [][]string
			for _, v := range views {
				rows = append(rows, []string{v.Username, v.Email, v.Name, yes(v.Active), strings.Join(v.Groups, ", ")})
			}
			columns(w, []string{"USERNAME", "EMAIL", "NAME", "ACTIVE", "GROUPS"}, rows, "There are no users yet. Make one with: lanyard user create ana --email ana@example.com")
		})
	})
}

type userShowCmd struct {
	storeFlags
	output
	User string `arg:"" help:"Username or e-mail address."`
}

func (userShowCmd) Help() string { return "Example:\n\n    lanyard user show ana@example.com" }

func (c userShowCmd) Run(g *globals) error {
	return c.withUser(g, c.User, func(h *house, u *idp.User) error {
		return c.show(g, h, u)
	})
}

func (o output) show(g *globals, h *house, u *idp.User) error {
	v, err := h.viewUser(u)
	if err != nil {
		return err
	}
	return o.print(g.out, v, func(w io.Writer) {
		facts(w, "Username", v.Username, "Email", v.Email, "Name", v.Name, "ID", v.ID, "Type", v.Type, "Active", yes(v.Active), "Password", yes(v.HasPassword),
			"Profile", v.Profile, "Permission sets", strings.Join(v.PermissionSets, ", "), "Groups", strings.Join(v.Groups, ", "),
			"Roles", strings.Join(v.Roles, ", "), "Created", when(v.Created))
		for _, k := range slices.Sorted(maps.Keys(v.Attributes)) {
			facts(w, "Attribute "+k, strings.Join(v.Attributes[k], ", "))
		}
	})
}

type userCreateCmd struct {
	storeFlags
	output
	Username     string   `arg:"" help:"Username."`
	Email        string   `help:"E-mail address."`
	GivenName    string   `help:"Given name."`
	FamilyName   string   `help:"Family name."`
	Group        []string `help:"Groups." placeholder:"NAME"`
	Profile      string   `help:"Profile." placeholder:"NAME"`
	PermSet      []string `name:"permission-set" help:"Permission sets." placeholder:"NAME"`
	Admin        bool     `help:"An administrator of this house."`
	Service      bool     `help:"A service, which can not sign in."`
	PasswordFile string   `help:"File that holds the password; - for standard input. Without it, there is none." placeholder:"FILE"`
}

func (userCreateCmd) Help() string {
	return "Examples:\n\n    lanyard user create rosa --admin --password-file -    # instead of serve's set-up link\n    lanyard user create ana --email ana@example.com --given-name Ana --group finance --password-file -\n    lanyard user create svc-orders --service"
}

func (c userCreateCmd) Run(g *globals) error {
	return c.with(g, func(h *house) (err error) {
		u := &idp.User{Org: h.org.ID, Username: c.Username, Email: c.Email, GivenName: c.GivenName, FamilyName: c.FamilyName,
			Active: true, EmailVerified: true, Service: c.Service}
		if c.Admin {
			u.Roles = []string{"admin"}
		}
		if u.Groups, err = h.named(idp.KindGroup, "group", c.Group); err != nil {
			return err
		}
		if u.PermissionSets, err = h.named(idp.KindPermissionSet, "permission set", c.PermSet); err != nil {
			return err
		}
		if c.Profile != "" {
			ids, err := h.named(idp.KindProfile, "profile", []string{c.Profile})
			if err != nil {
				return err
			}
			u.Profile = ids[0]
		}
		password, err := c.password(g)
		if err != nil {
			return err
		}
		if err := h.people.Create(h.ctx, u, password); err != nil {
			return taken(err)
		}
		if _, admin, err := h.st.People().Census(h.ctx, h.org.ID); err == nil && !admin && !u.Service {
			fmt.Fprintf(g.err, "There is no administrator yet, and serve's set-up link is closed now; to make one: lanyard user grant-admin %s\n", u.Username)
		}
		return c.show(g, h, u)
	})
}

// named finds the ids of groups, profiles or permission sets by name.
func (h *house) named(kind idp.Kind, word string, names []string) (ids []string, err error) {
	for _, name := range names {
		n, err := h.st.People().Named(h.ctx, h.org.ID, kind, name)
		if errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("there is no %s %q", word, name)
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, n.ID)
	}
	return ids, nil
}

func (c userCreateCmd) password(g *globals) (string, error) {
	switch c.PasswordFile {
	case "":
		return "", nil
	case "-":
		b, err := io.ReadAll(io.LimitReader(g.in, 8192))
		return strings.TrimRight(string(b), "\r\n"), err
	}
	b, err := os.ReadFile(c.PasswordFile)
	return strings.TrimRight(string(b), "\r\n"), noFile(c.PasswordFile, err)
}

// taken says who has a name already.
func taken(err error) error {
	var t *store.Taken
	if errors.As(err, &t) {
		return fmt.Errorf("the %s %q is taken by %s", t.What, t.Value, t.By)
	}
	return err
}

type userActivateCmd struct {
	storeFlags
	User string `arg:"" help:"Username or e-mail address."`
}

func (userActivateCmd) Help() string { return "Example:\n\n    lanyard user activate ben" }

func (c userActivateCmd) Run(g *globals) error {
	return c.withUser(g, c.User, func(h *house, u *idp.User) error { return h.setActive(g, u, true, false) })
}

type userDeactivateCmd struct {
	storeFlags
	forceFlag
	User string `arg:"" help:"Username or e-mail address."`
}

func (userDeactivateCmd) Help() string {
	return "Every session and grant of the user ends, for good: after `activate` the user and the apps begin anew.\n\nExample:\n\n    lanyard user deactivate ben"
}

func (c userDeactivateCmd) Run(g *globals) error {
	return c.withUser(g, c.User, func(h *house, u *idp.User) error { return h.setActive(g, u, false, c.Force) })
}

func (h *house) setActive(g *globals, u *idp.User, active, force bool) error {
	word := map[bool]string{true: "active", false: "not active"}[active]
	err := h.change(force, func(tx *store.Tx) error { return h.people.SetActive(h.ctx, tx, u, active) })
	if errors.Is(err, store.ErrGone) {
		fmt.Fprintf(g.out, "%s is %s already\n", u.Username, word)
		return nil
	}
	if err == nil {
		fmt.Fprintf(g.out, "%s is %s\n", u.Username, word)
	}
	return err
}

type userDeleteCmd struct {
	storeFlags
	forceFlag
	User string `arg:"" help:"Username or e-mail address."`
	Yes  bool   `short:"y" help:"Do not ask."`
}

func (userDeleteCmd) Help() string { return "Example:\n\n    lanyard user delete ben --yes" }

func (c userDeleteCmd) Run(g *globals) error {
	return c.withUser(g, c.User, func(h *house, u *idp.User) error {
		if err := sure(g, c.Yes, fmt.Sprintf("Delete %s (%s) for good?", u.Username, u.Name())); err != nil {
			return err
		}
		if err := h.change(c.Force, func(tx *store.Tx) error { return h.people.Delete(h.ctx, tx, u) }); err != nil {
			return err
		}
		fmt.Fprintf(g.out, "%s is deleted\n", u.Username)
		return nil
	})
}
