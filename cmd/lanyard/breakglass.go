package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/server"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// forceFlag is of every command that can take an administrator away.
type forceFlag struct {
	Force bool `help:"Also if no active administrator is left."`
}

// change runs a step that may take an administrator away.
func (h *house) change(force bool, do func(tx *store.Tx) error) error {
	err := h.st.Write(h.ctx, func(tx *store.Tx) error {
		if force {
			tx.AllowNoAdmin()
		}
		return do(tx)
	})
	if errors.Is(err, store.ErrLastAdmin) {
		return fmt.Errorf("%w; make somebody else one first, lanyard user grant-admin NAME, or say --force", err)
	}
	return err
}

// sure asks, unless yes was said already.
func sure(g *globals, yes bool, question string) error {
	if yes {
		return nil
	}
	if ok, err := ask(g, question); err != nil || !ok {
		return errors.Join(errors.New("nothing was changed"), err)
	}
	return nil
}

// byWhom says for an event who typed the command, as far as this machine knows.
func byWhom() string {
	name := "uid " + strconv.Itoa(os.Getuid()) // as in a container, which has no names
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if sudo := os.Getenv("SUDO_USER"); sudo != "" {
		name = sudo + " as " + name
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return "by " + name + " on " + host + ", on the command line"
}

type userSigninLinkCmd struct {
	storeFlags
	output
	User    string `arg:"" help:"Username or e-mail address."`
	Expires age    `default:"15m" help:"How long it is good for, at most 24h (default: 15m)." placeholder:"DURATION"`
}

func (userSigninLinkCmd) Help() string {
	return `For somebody who can not sign in otherwise: whoever opens the link, and says yes, is signed in as this user,
once. The one made before is dead, and this one is with the user's other sessions when the user is deactivated. The
session proves no password, and apps that ask for one ask for it. Making and using it are in the events.

Examples:

    lanyard user signin-link ana
    lanyard user signin-link ana --expires 1h -o json
    lanyard event list --code SigninLinkUiLogin`
}

func (c userSigninLinkCmd) Run(g *globals) error {
	life := time.Duration(c.Expires)
	if life < time.Minute || life > 24*time.Hour {
		return usagef("--expires must be 1m to 24h")
	}
	return c.withUser(g, c.User, func(h *house, u *idp.User) error {
		if h.org.URL == "" {
			return errors.New("the org's public address is not known yet, so a link has no beginning; it is written down at the first start of lanyard serve, or give it now with --url")
		}
		in := server.Config{Store: h.st, Sealer: h.sealer, People: h.people, Now: h.st.Now}.NewSignIn()
		path, err := in.Link(h.ctx, u, life, fmt.Sprintf("for %s, %s", short(life), byWhom()))
		switch {
		case errors.Is(err, store.ErrGone) && u.Service:
			return fmt.Errorf("%s is a service, which can not sign in", u.Username)
		case errors.Is(err, store.ErrGone):
			return fmt.Errorf("%s is not active; see: lanyard user activate %s", u.Username, u.Username)
		case err != nil:
			return err
		}
		fmt.Fprintf(g.err, "Whoever opens this within %s is signed in as %s, once. Hand it over safely.\n", short(life), u.Username)
		return c.print(g.out, struct {
			Link    string    `json:"link"`
			User    string    `json:"user"`
			Expires time.Time `json:"expires"`
		}{h.org.URL + path, u.Username, h.st.Now().Add(life).UTC().Truncate(time.Second)}, func(w io.Writer) { fmt.Fprintln(w, h.org.URL+path) })
	})
}

type userGrantAdminCmd struct {
	storeFlags
	output
	User string `arg:"" help:"Username or e-mail address."`
	Yes  bool   `short:"y" help:"Do not ask."`
}

func (userGrantAdminCmd) Help() string {
	return "An administrator has every right in this house. It is in the events who made one.\n\nExamples:\n\n    lanyard user grant-admin ana\n    lanyard user grant-admin ana --yes"
}

func (c userGrantAdminCmd) Run(g *globals) error {
	return c.withUser(g, c.User, func(h *house, u *idp.User) error {
		if err := sure(g, c.Yes || u.Admin(), fmt.Sprintf("Make %s (%s) an administrator, with every right in this house?", u.Username, u.Name())); err != nil {
			return err
		}
		return h.setAdmin(g, c.output, u, true, false)
	})
}

type userRevokeAdminCmd struct {
	storeFlags
	output
	forceFlag
	User string `arg:"" help:"Username or e-mail address."`
}

func (userRevokeAdminCmd) Help() string {
	return "The user stays, and so do the user's sessions.\n\nExample:\n\n    lanyard user revoke-admin ben"
}

func (c userRevokeAdminCmd) Run(g *globals) error {
	return c.withUser(g, c.User, func(h *house, u *idp.User) error { return h.setAdmin(g, c.output, u, false, c.Force) })
}

func (h *house) setAdmin(g *globals, o output, u *idp.User, admin, force bool) error {
	word := map[bool]string{true: "an administrator", false: "no administrator"}[admin]
	err := h.change(force, func(tx *store.Tx) error { return h.people.SetAdmin(h.ctx, tx, u, admin, byWhom()) })
	switch {
	case errors.Is(err, store.ErrGone):
		word += " already"
	case err != nil:
		return err
	default:
		code := map[bool]string{true: "grantAdmin", false: "revokeAdmin"}[admin]
		fmt.Fprintf(g.err, "It is in the events: lanyard event list --code %s\n", code)
	}
	v, err := h.viewUser(u)
	if err != nil {
		return err
	}
	return o.print(g.out, v, func(w io.Writer) { fmt.Fprintf(w, "%s is %s\n", u.Username, word) })
}
