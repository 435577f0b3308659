package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/keys"
)

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
	return c.with(g, func(h *house) error {
		return c.keys(g, h)
	})
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
	return c.with(g, func(h *house) (err error) {
		if c.Use == "saml" && !c.Yes {
			if ok, err := c.askSAML(g, h); err != nil || !ok {
				return errors.Join(errors.New("nothing was changed"), err)
			}
		}
		_, err = h.st.Keys().Rotate(h.ctx, h.org, keys.Use(c.Use), c.Force)
		var soon *keys.TooSoon
		if errors.As(err, &soon) {
			return fmt.Errorf("the next key has not been announced for 24 hours: wait %s more, or say --force if apps may meet a key they have not seen", strings.TrimSuffix(soon.Wait.Round(time.Minute).String(), "0s"))
		}
		if err != nil {
			return err
		}
		return c.keys(g, h)
	})
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
