package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/apps"
	"github.com/lanyard-sso/lanyard/idp/store"
)

type appCmd struct {
	List    appListCmd    `cmd:"" help:"List connected apps."`
	Show    appShowCmd    `cmd:"" help:"Show one app."`
	Create  appCreateCmd  `cmd:"" help:"Connect an app in one line."`
	Connect appConnectCmd `cmd:"" help:"Print everything the other side asks for."`
	Secret  appSecretCmd  `cmd:"" help:"Reveal or renew the client secret."`
	Block   appBlockCmd   `cmd:"" help:"Block an app: all it was given ends at once."`
	Unblock appUnblockCmd `cmd:"" help:"Lift the block."`
	Delete  appDeleteCmd  `cmd:"" help:"Delete an app with its children."`
}

// appView is an app as commands print one.
type appView struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	APIName   string     `json:"apiName"`
	Parent    string     `json:"parent,omitempty"`
	Protocols []string   `json:"protocols"`
	EntityID  string     `json:"entityID,omitempty"`
	ACS       []string   `json:"acs,omitempty"`
	ClientID  string     `json:"clientID,omitempty"`
	Redirects []string   `json:"redirectURIs,omitempty"`
	Byes      []string   `json:"postLogoutRedirectURIs,omitempty"`
	Scopes    []string   `json:"scopes,omitempty"`
	Method    string     `json:"tokenEndpointAuthMethod,omitempty"`
	Keys      string     `json:"clientKeys,omitempty"` // where those of private_key_jwt come from
	Permitted string     `json:"permitted"`            // in words
	Blocked   bool       `json:"blocked"`
	StartURL  string     `json:"startURL,omitempty"`
	Contact   string     `json:"contactEmail,omitempty"`
	Created   time.Time  `json:"created"`
	LastUsed  *time.Time `json:"lastUsed"`
}

func (h *house) viewApp(c *idp.Connected) (v appView, err error) {
	a := &c.App
	v = appView{ID: a.ID, Name: a.Name, APIName: a.APIName, Blocked: c.Blocked(), StartURL: a.StartURL, Contact: a.ContactEmail, Created: a.Created, Protocols: []string{}}
	if !a.LastUsed.IsZero() {
		v.LastUsed = &a.LastUsed
	}
	if a.SAML != nil {
		v.Protocols, v.EntityID = append(v.Protocols, "SAML"), a.SAML.EntityID
		for _, e := range a.SAML.ACS {
			v.ACS = append(v.ACS, e.URL)
		}
	}
	if o := a.OAuth; o != nil {
		name := "OAuth"
		for _, s := range o.Scopes {
			if s == "openid" {
				name = "OpenID Connect"
			}
		}
		v.Protocols, v.ClientID, v.Redirects, v.Byes, v.Scopes = append(v.Protocols, name), o.ID, o.RedirectURIs, o.PostLogoutRedirectURIs, o.Scopes
		if v.Method, v.Keys = apps.Authentication(a); v.Method == "" {
			v.Method = "client_secret_basic or client_secret_post"
		}
	}
	if a.Parent != "" {
		parent, err := h.st.Apps().Connected(h.ctx, a.Org, a.Parent)
		switch {
		case err == nil:
			v.Parent = parent.App.APIName
		case !errors.Is(err, store.ErrNotFound):
			return v, err
		}
	}
	v.Permitted, err = h.permitted(c)
	return v, err
}

// permitted says in words who may use an app.
func (h *house) permitted(c *idp.Connected) (string, error) {
	i := c.Installation
	switch {
	case i == nil || i.PermittedUsers == "":
		return "nobody: it has no policy", nil
	case i.PermittedUsers == idp.SelfAuthorize:
		return "everyone", nil
	}
	var words []string
	for _, x := range []struct {
		kind idp.Kind
		word string
		ids  []string
	}{{idp.KindGroup, "group", i.Groups}, {idp.KindProfile, "profile", i.Profiles}, {idp.KindPermissionSet, "permissionSet", i.PermissionSets}} {
		names, err := h.st.People().Names(h.ctx, h.org.ID, x.kind, x.ids)
		if err != nil {
			return "", err
		}
		for _, n := range names {
			words = append(words, x.word+":"+n)
		}
	}
	for _, u := range i.Users {
		user, err := h.st.People().User(h.ctx, h.org.ID, u.User)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		words = append(words, "user:"+user.Username)
	}
	if len(words) == 0 {
		return "nobody", nil
	}
	return strings.Join(words, ", "), nil
}

type appListCmd struct {
	storeFlags
	output
	Parent string `help:"Only the children of this app." placeholder:"APP"`
}

func (appListCmd) Help() string {
	return "Examples:\n\n    lanyard app list\n    lanyard app list --parent Orders_Gateway -o json"
}

func (c appListCmd) Run(g *globals) error {
	return c.with(g, func(h *house) error {
		f := store.AppFilter{Limit: 1000}
		if c.Parent != "" {
			parent, err := h.app(c.Parent)
			if err != nil {
				return err
			}
			f.Parent = parent.App.ID
		}
		views := []appView{}
		for {
			page, err := h.st.Apps().List(h.ctx, h.org.ID, f)
			if err != nil {
				return err
			}
			for _, a := range page {
				v, err := h.viewApp(a)
				if err != nil {
					return err
				}
				views, f.After = append(views, v), a.App.ID
			}
			if len(page) < f.Limit {
				break
			}
		}
		return c.print(g.out, views, func(w io.Writer) {
			var rows [][]string
			for _, v := range views {
				state := v.Permitted
				if v.Blocked {
					state = "BLOCKED"
				}
				last := "never"
				if v.LastUsed != nil {
					last = when(*v.LastUsed)
				}
				rows = append(rows, []string{v.APIName, v.Name, strings.Join(v.Protocols, "+"), v.Parent, state, last})
			}
			columns(w, []string{"API NAME", "NAME", "SPEAKS", "PARENT", "OPEN TO", "LAST USED"}, rows,
				"There are no apps yet. Connect one with: lanyard app create \"Your Benefits\" --metadata benefits-sp.xml --permit everyone")
		})
	})
}

type appShowCmd struct {
	storeFlags
	output
	App string `arg:"" help:"API name, client_id, entity ID or display name."`
}

func (appShowCmd) Help() string { return "Example:\n\n    lanyard app show Your_Benefits" }

func (c appShowCmd) Run(g *globals) error {
	return c.withApp(g, c.App, func(h *house, a *idp.Connected) (err error) {
		if a, err = h.st.Apps().Present(h.ctx, h.org.ID, a.App.ID); err != nil {
			return err
		}
		v, err := h.viewApp(a)
		if err != nil {
			return err
		}
		return c.print(g.out, v, func(w io.Writer) {
			last := "never"
			if v.LastUsed != nil {
				last = when(*v.LastUsed)
			}
			facts(w, "Name", v.Name, "API name", v.APIName, "ID", v.ID, "Parent", v.Parent, "Speaks", strings.Join(v.Protocols, ", "),
				"Entity ID", v.EntityID, "ACS", strings.Join(v.ACS, ", "), "Client ID", v.ClientID, "Client authentication", v.Method, "Client keys", v.Keys, "Redirect URIs", strings.Join(v.Redirects, ", "),
				"Post-logout redirect URIs", strings.Join(v.Byes, ", "),
				"Scopes", strings.Join(v.Scopes, " "), "Open to", v.Permitted, "Blocked", yes(v.Blocked), "Start URL", v.StartURL, "Contact", v.Contact,
				"Created", when(v.Created), "Last used", last)
		})
	})
}

type appSecretCmd struct {
	storeFlags
	output
	App   string `arg:"" help:"API name, client_id or display name."`
	Renew bool   `help:"Make a new secret first; the old one is dead at once."`
}

func (appSecretCmd) Help() string {
	return "Who looked is in the events.\n\nExamples:\n\n    lanyard app secret Wellness_Tracker\n    lanyard app secret Wellness_Tracker --renew"
}

func (c appSecretCmd) Run(g *globals) error {
	return c.withApp(g, c.App, func(h *house, a *idp.Connected) (err error) {
		var secret string
		if c.Renew {
			secret, err = h.apps.SetSecret(h.ctx, &a.App, "")
		} else {
			secret, err = h.apps.Secret(h.ctx, &a.App)
		}
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("%s has no client secret", a.App.Name)
		}
		if err != nil {
			return err
		}
		return c.print(g.out, map[string]string{"secret": secret}, func(w io.Writer) { fmt.Fprintln(w, secret) })
	})
}

type appBlockCmd struct {
	storeFlags
	App string `arg:"" help:"API name, client_id, entity ID or display name."`
}

func (appBlockCmd) Help() string { return "Example:\n\n    lanyard app block Wellness_Tracker" }

func (c appBlockCmd) Run(g *globals) error { return c.setBlocked(g, c.App, true) }

type appUnblockCmd struct {
	storeFlags
	App string `arg:"" help:"API name, client_id, entity ID or display name."`
}

func (appUnblockCmd) Help() string {
	return "What the app was given before it was blocked stays dead.\n\nExample:\n\n    lanyard app unblock Wellness_Tracker"
}

func (c appUnblockCmd) Run(g *globals) error { return c.setBlocked(g, c.App, false) }

func (f storeFlags) setBlocked(g *globals, name string, blocked bool) error {
	return f.withApp(g, name, func(h *house, a *idp.Connected) error {
		was, err := h.apps.SetBlocked(h.ctx, &a.App, blocked)
		if err != nil {
			return err
		}
		word := map[bool]string{true: "blocked", false: "not blocked"}[blocked]
		if !was {
			word += " already"
		}
		fmt.Fprintf(g.out, "%s is %s\n", a.App.APIName, word)
		return nil
	})
}

type appDeleteCmd struct {
	storeFlags
	App string `arg:"" help:"API name, client_id, entity ID or display name."`
	Yes bool   `short:"y" help:"Do not ask."`
}

func (appDeleteCmd) Help() string { return "Example:\n\n    lanyard app delete Old_Wiki --yes" }

func (c appDeleteCmd) Run(g *globals) error {
	return c.withApp(g, c.App, func(h *house, a *idp.Connected) error {
		if err := sure(g, c.Yes, fmt.Sprintf("Delete %s (%s) with its children? All they were given ends.", a.App.APIName, a.App.Name)); err != nil {
			return err
		}
		if err := h.st.Write(h.ctx, func(tx *store.Tx) error { return h.apps.Delete(h.ctx, tx, &a.App) }); err != nil {
			return err
		}
		fmt.Fprintf(g.out, "%s is deleted\n", a.App.APIName)
		return nil
	})
}
