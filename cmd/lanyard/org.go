package main

import (
	"fmt"
	"io"

	"github.com/lanyard-sso/lanyard/idp"
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
	return c.with(g, func(h *house) error {
		return c.print(g.out, []*idp.Org{h.org}, func(w io.Writer) {
			facts(w, "Name", h.org.Name, "ID", h.org.ID, "Address", h.org.URL, "Issuer", h.org.Issuer, "Entity ID", h.org.EntityID)
			if h.org.URL == "" {
				fmt.Fprintln(w, "The address is written down at the first start of `lanyard serve`.")
			}
		})
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
	to, err := publicURL(c.To)
	if err != nil {
		return usage{err}
	}
	c.URL = "" // where LANYARD_URL says the new address already
	return c.with(g, func(h *house) error {
		from := h.org.URL
		if from == "" { // its names are written with its first address
			if err := h.findOrg(to, ""); err != nil {
				return err
			}
			fmt.Fprintf(g.out, "the org is at %s (issuer %s)\n", to, h.org.Issuer)
			return nil
		}
		if err := h.st.Orgs().MoveOrg(h.ctx, h.org.ID, to); err != nil {
			return err
		}
		fmt.Fprintf(g.out, "%s → %s (issuer stays %s)\n", from, to, h.org.Issuer)
		return nil
	})
}
