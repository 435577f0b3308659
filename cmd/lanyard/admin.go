package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/keys"
)

type orgCmd struct {
	List orgListCmd `cmd:"" help:"Show the org, its address and its names."`
	Move orgMoveCmd `cmd:"" help:"Change the public address; issuer and entity ID stay."`
}

type orgListCmd struct {
	storeFlags
	output
}

func (orgListCmd) Help() string { return "Example:\n\n    lanyard org list" }

func (c orgListCmd) Run(g *globals) error {
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
	return c.print(g.out, []*idp.Org{h.org}, func(w io.Writer) {
		facts(w, "Name", h.org.Name, "ID", h.org.ID, "Address", h.org.URL, "Issuer", h.org.Issuer, "Entity ID", h.org.EntityID)
		if h.org.URL == "" {
			fmt.Fprintln(w, "The address is written down at the first start of `lanyard serve`.")
		}
	})
}

type orgMoveCmd struct {
	storeFlags
	To string `arg:"" name:"url" help:"The new public address."`
}

func (orgMoveCmd) Help() string {
	return `Apps keep the issuer and entity ID they know; what changes is where browsers and clients are sent.
Restart the server with the new --url afterwards.

Example:

    lanyard org move https://sso.example.com`
}

func (c orgMoveCmd) Run(g *globals) error {
	if err := checkURL(c.To); err != nil {
		return usage{err}
	}
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
	if err := h.st.Orgs().MoveOrg(h.ctx, h.org.ID, strings.TrimSuffix(c.To, "/")); err != nil {
		return err
	}
	fmt.Fprintf(g.out, "%s → %s (issuer stays %s)\n", h.org.URL, strings.TrimSuffix(c.To, "/"), h.org.Issuer)
	return nil
}

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
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
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
}

// userName is the username of an id, or the id where the user is gone.
func (h *house) userName(id string) (string, error) {
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
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
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
	if err := h.st.SignIn().End(h.ctx, h.org.ID, s.ID, s.User); err != nil {
		return err
	}
	fmt.Fprintln(g.out, "the session is ended")
	return nil
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
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
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
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
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
			if err := h.st.Apps().RevokeGrant(h.ctx, h.org.ID, x.User, x.ID); err != nil {
				return err
			}
			fmt.Fprintln(g.out, "revoked")
			return nil
		}
	}
	return fmt.Errorf("there is no grant %q", c.ID)
}

type keyCmd struct {
	List   keyListCmd   `cmd:"" help:"List signing keys."`
	Rotate keyRotateCmd `cmd:"" help:"Move the keys one step on."`
}

type keyView struct {
	ID          string    `json:"id"`
	Use         string    `json:"use"`
	State       string    `json:"state"`
	Created     time.Time `json:"created"`
	Changed     time.Time `json:"changed"`
	Fingerprint string    `json:"fingerprintSHA256,omitempty"`
}

func (h *house) keyViews() ([]keyView, error) {
	views := []keyView{}
	for _, use := range []keys.Use{keys.OIDC, keys.SAML} {
		records, err := h.st.Keys().List(h.ctx, h.org.ID, use)
		if err != nil {
			return nil, err
		}
		ring, err := h.st.Keys().Ring(h.ctx, h.org.ID, use)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			v := keyView{r.ID, string(use), string(r.State), r.Created, r.Changed, ""}
			if k := ring.Find(r.ID); k != nil && use == keys.SAML {
				v.Fingerprint, _ = k.Fingerprints()
			}
			views = append(views, v)
		}
	}
	return views, nil
}

func (o output) keys(g *globals, h *house) error {
	views, err := h.keyViews()
	if err != nil {
		return err
	}
	return o.print(g.out, views, func(w io.Writer) {
		var rows [][]string
		for _, v := range views {
			rows = append(rows, []string{v.Use, v.State, v.ID, when(v.Created), when(v.Changed)})
		}
		columns(w, []string{"USE", "STATE", "ID", "CREATED", "SINCE"}, rows, "There are no keys.")
	})
}

type keyListCmd struct {
	storeFlags
	output
}

func (keyListCmd) Help() string { return "Example:\n\n    lanyard key list" }

func (c keyListCmd) Run(g *globals) error {
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
	return c.keys(g, h)
}

type keyRotateCmd struct {
	storeFlags
	output
	Use   string `enum:"oidc,saml" default:"oidc" help:"Token keys (oidc) or SAML keys (saml)."`
	Force bool   `help:"Do not wait until the next key has been announced for 24 hours."`
	Yes   bool   `short:"y" help:"Do not ask (SAML)."`
}

func (keyRotateCmd) Help() string {
	return `Token keys: next becomes active, active goes on being published until nothing it signed is valid, and a new next is
announced. SAML keys move only by this command, in two steps: the first announces a second certificate in the metadata, the
second signs with it. Apps that hold a pasted certificate must be given the new one in between.

Examples:

    lanyard key rotate
    lanyard key rotate --use saml`
}

func (c keyRotateCmd) Run(g *globals) error {
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
	if c.Use == "saml" && !c.Yes {
		if ok, err := c.askSAML(g, h); err != nil || !ok {
			return errors.Join(errors.New("nothing was changed"), err)
		}
	}
	_, err = h.st.Keys().Rotate(h.ctx, h.org, keys.Use(c.Use), c.Force)
	var soon *keys.TooSoon
	if errors.As(err, &soon) {
		return fmt.Errorf("the next key has not been announced for 24 hours: wait %s more, or say --force if clients may meet a key they have not seen", soon.Wait.Round(time.Minute))
	}
	if err != nil {
		return err
	}
	return c.keys(g, h)
}

// askSAML names the apps that check signatures with the certificate.
func (c keyRotateCmd) askSAML(g *globals, h *house) (bool, error) {
	all, err := h.st.Apps().Installed(h.ctx, h.org.ID)
	if err != nil {
		return false, err
	}
	var names []string
	for _, a := range all {
		if a.App.SAML != nil {
			names = append(names, a.App.Name)
		}
	}
	if len(names) == 0 {
		names = []string{"none"}
	}
	fmt.Fprintf(g.err, "These apps check our signatures: %s.\n", strings.Join(names, ", "))
	return ask(g, "Move the SAML keys one step on?")
}

type eventCmd struct {
	List eventListCmd `cmd:"" help:"List events, the newest first."`
}

type eventListCmd struct {
	storeFlags
	output
	App   string        `help:"Only of this app." placeholder:"NAME"`
	User  string        `help:"Only of this user." placeholder:"NAME"`
	Code  string        `help:"Only of this code, like NoAccess."`
	Ref   string        `help:"The reference of a refusal page."`
	Since time.Duration `help:"Only so old, like 24h."`
	Limit int           `default:"100" help:"At most so many."`
}

func (eventListCmd) Help() string {
	return "Examples:\n\n    lanyard event list --ref 7KQ2M4XZ\n    lanyard event list --app Your_Benefits --since 24h -o json"
}

func (c eventListCmd) Run(g *globals) error {
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
	f := store.EventFilter{Code: c.Code, Reference: strings.ToUpper(c.Ref), Limit: c.Limit}
	if c.Since > 0 {
		f.Since = h.st.Now().Add(-c.Since)
	}
	if f.App, f.User, err = (grantFlags{c.App, c.User}).ids(h); err != nil {
		return err
	}
	all, err := h.st.Events().List(h.ctx, h.org.ID, f)
	if err != nil {
		return err
	}
	if all == nil {
		all = []idp.Event{}
	}
	return c.print(g.out, all, func(w io.Writer) {
		var rows [][]string
		for _, e := range all {
			rows = append(rows, []string{when(e.Time), e.Code, e.User, e.App, e.IP, e.Outcome, e.Reference, e.Actor, e.Reason})
		}
		columns(w, []string{"TIME", "CODE", "USER", "APP", "FROM", "OUTCOME", "REFERENCE", "ACTOR", "REASON"}, rows, "No such events.")
	})
}
