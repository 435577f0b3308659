package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
)

type sessionCmd struct {
	List   sessionListCmd   `cmd:"" help:"List who is signed in."`
	Revoke sessionRevokeCmd `cmd:"" help:"Sign somebody out."`
}

type sessionView struct {
	ID       string    `json:"id"`
	User     string    `json:"user"`
	Started  time.Time `json:"started"`
	LastUsed time.Time `json:"lastUsed"`
	Expires  time.Time `json:"expires"`
	IP       string    `json:"ip"`
	Agent    string    `json:"agent"`
}

type sessionListCmd struct {
	storeFlags
	output
	User string `help:"Only this user's." placeholder:"NAME"`
}

func (sessionListCmd) Help() string { return "Example:\n\n    lanyard session list --user ana" }

func (c sessionListCmd) Run(g *globals) error {
	return c.with(g, func(h *house) (err error) {
		var all []*idp.Session
		if c.User != "" {
			u, err := h.user(c.User)
			if err != nil {
				return err
			}
			if all, err = h.st.SignIn().Sessions(h.ctx, h.org.ID, u.ID); err != nil {
				return err
			}
		} else if all, err = h.st.SignIn().AllSessions(h.ctx, h.org.ID, "", 1000); err != nil {
			return err
		}
		views := []sessionView{}
		for _, s := range all {
			if h.st.Now().Sub(s.Seen) > h.org.Idle() {
				continue
			}
			name, err := h.userName(s.User)
			if err != nil {
				return err
			}
			views = append(views, sessionView{s.ID, name, s.Started, s.Seen, s.Expires, s.IP, s.Agent})
		}
		return c.print(g.out, views, func(w io.Writer) {
			var rows [][]string
			for _, v := range views {
				rows = append(rows, []string{v.ID, v.User, when(v.Started), when(v.LastUsed), v.IP})
			}
			columns(w, []string{"ID", "USER", "SINCE", "LAST USED", "FROM"}, rows, "Nobody is signed in.")
		})
	})
}

// userName is the username of an id, or the id where the user is gone.
func (h *house) userName(id string) (string, error) {
	if id == "" {
		return "", nil
	}
	u, err := h.st.People().User(h.ctx, h.org.ID, id)
	if errors.Is(err, store.ErrNotFound) {
		return id, nil
	}
	if err != nil {
		return "", err
	}
	return u.Username, nil
}

func (h *house) appName(id string) (string, error) {
	c, err := h.st.Apps().Connected(h.ctx, h.org.ID, id)
	if errors.Is(err, store.ErrNotFound) {
		return id, nil
	}
	if err != nil {
		return "", err
	}
	return c.App.APIName, nil
}

type sessionRevokeCmd struct {
	storeFlags
	User string `help:"End all sessions of this user." placeholder:"NAME"`
	ID   string `arg:"" optional:"" help:"One session."`
}

func (sessionRevokeCmd) Help() string {
	return "Examples:\n\n    lanyard session revoke --user ana\n    lanyard session revoke 06fj2k…"
}

func (c sessionRevokeCmd) Run(g *globals) error {
	if (c.User == "") == (c.ID == "") {
		return usagef("say which: --user NAME, or the ID of one session")
	}
	return c.with(g, func(h *house) error {
		if c.User != "" {
			u, err := h.user(c.User)
			if err != nil {
				return err
			}
			if err := h.st.SignIn().EndOthers(h.ctx, h.org.ID, u.ID, ""); err != nil {
				return err
			}
			fmt.Fprintf(g.out, "%s is signed out everywhere\n", u.Username)
			return nil
		}
		s, _, _, err := h.st.SignIn().Session(h.ctx, h.org.ID, c.ID)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("there is no session %q", c.ID)
		}
		if err != nil {
			return err
		}
		if err := h.st.SignIn().End(h.ctx, h.org.ID, s.ID, s.User, ""); err != nil {
			return err
		}
		fmt.Fprintln(g.out, "the session is ended")
		return nil
	})
}

type grantCmd struct {
	List   grantListCmd   `cmd:"" help:"List which apps act for whom."`
	Revoke grantRevokeCmd `cmd:"" help:"Take it back: tokens die at once."`
}

type grantFlags struct {
	App  string `help:"Only of this app." placeholder:"NAME"`
	User string `help:"Only of this user." placeholder:"NAME"`
}

func (f grantFlags) ids(h *house) (app, user string, err error) {
	if f.App != "" {
		a, err := h.app(f.App)
		if err != nil {
			return "", "", err
		}
		app = a.App.ID
	}
	if f.User != "" {
		u, err := h.user(f.User)
		if err != nil {
			return "", "", err
		}
		user = u.ID
	}
	return app, user, nil
}

type grantView struct {
	ID       string    `json:"id"`
	App      string    `json:"app"`
	User     string    `json:"user"`
	Scopes   []string  `json:"scopes"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"lastUsed"`
}

type grantListCmd struct {
	storeFlags
	output
	grantFlags
}

func (grantListCmd) Help() string {
	return "Examples:\n\n    lanyard grant list --app Wellness_Tracker\n    lanyard grant list --user ana -o json"
}

func (c grantListCmd) Run(g *globals) error {
	return c.with(g, func(h *house) (err error) {
		f := store.GrantFilter{Limit: 1000}
		if f.App, f.User, err = c.ids(h); err != nil {
			return err
		}
		all, err := h.st.Apps().Grants(h.ctx, h.org.ID, f)
		if err != nil {
			return err
		}
		views := []grantView{}
		for _, x := range all {
			app, err := h.appName(x.App)
			if err != nil {
				return err
			}
			user := x.User
			if u, ok := x.Holder.(*idp.User); ok {
				user = u.Username
			}
			views = append(views, grantView{x.ID, app, user, x.Scopes, x.Created, x.LastUsed})
		}
		return c.print(g.out, views, func(w io.Writer) {
			var rows [][]string
			for _, v := range views {
				rows = append(rows, []string{v.ID, v.App, v.User, strings.Join(v.Scopes, " "), when(v.Created), when(v.LastUsed)})
			}
			columns(w, []string{"ID", "APP", "USER", "SCOPES", "SINCE", "LAST USED"}, rows, "No app acts for anybody.")
		})
	})
}

type grantRevokeCmd struct {
	storeFlags
	grantFlags
	All bool   `help:"With --app or --user: all of them. Alone: every grant of the org."`
	ID  string `arg:"" optional:"" help:"One grant."`
}

func (grantRevokeCmd) Help() string {
	return "Examples:\n\n    lanyard grant revoke --app Wellness_Tracker --user ana\n    lanyard grant revoke --app Wellness_Tracker --all"
}

func (c grantRevokeCmd) Run(g *globals) error {
	switch {
	case c.ID != "" && (c.App != "" || c.User != "" || c.All):
		return usagef("say the ID of one grant, or --app and --user, not both")
	case c.ID == "" && c.App == "" && c.User == "" && !c.All:
		return usagef("say which: the ID of one grant, --app, --user, both, or --all")
	}
	return c.with(g, func(h *house) (err error) {
		var app, user string
		if app, user, err = c.ids(h); err != nil {
			return err
		}
		if c.ID == "" {
			if err := h.st.Apps().RevokeGrants(h.ctx, h.org.ID, app, user); err != nil {
				return err
			}
			fmt.Fprintln(g.out, "revoked")
			return nil
		}
		all, err := h.st.Apps().Grants(h.ctx, h.org.ID, store.GrantFilter{Limit: 100_000})
		if err != nil {
			return err
		}
		for _, x := range all {
			if x.ID == c.ID {
				if _, err := h.st.Apps().RevokeGrant(h.ctx, h.org.ID, x.User, x.ID); err != nil {
					return err
				}
				fmt.Fprintln(g.out, "revoked")
				return nil
			}
		}
		return fmt.Errorf("there is no grant %q", c.ID)
	})
}
