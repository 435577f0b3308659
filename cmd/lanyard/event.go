package main

import (
	"io"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
)

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
