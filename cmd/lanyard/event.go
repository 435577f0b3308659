package main

import (
	"io"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/api"
	"github.com/lanyard-sso/lanyard/idp/store"
)

type eventCmd struct {
	List eventListCmd `cmd:"" help:"List events, the newest first."`
}

type eventListCmd struct {
	storeFlags
	output
	App   string `help:"Only of this app." placeholder:"NAME"`
	User  string `help:"Only of this user." placeholder:"NAME"`
	Code  string `help:"Only of this code, like NoAccess."`
	Ref   string `help:"The reference of a refusal page."`
	Since age    `help:"Only so old, like 24h or 7d." placeholder:"AGE"`
	Limit int    `default:"100" help:"At most so many."`
}

func (eventListCmd) Help() string {
	return "Examples:\n\n    lanyard event list --ref 7KQ2M4XZ\n    lanyard event list --app Your_Benefits --since 24h -o json"
}

// age is a duration that may be in days.
type age time.Duration

func (a *age) UnmarshalText(b []byte) error {
	d, err := api.ParseDuration(string(b))
	*a = age(d)
	return err
}

func (c eventListCmd) Run(g *globals) error {
	if c.Limit < 1 {
		return usagef("--limit must be 1 or more")
	}
	return c.with(g, func(h *house) (err error) {
		f := store.EventFilter{Code: c.Code, Reference: strings.ToUpper(c.Ref), Limit: c.Limit}
		if c.Since > 0 {
			f.Since = h.st.Now().Add(-time.Duration(c.Since))
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
		for i, e := range all { // the name is what a reader knows; where the user is gone, the id stays
			if all[i].User, err = h.userName(e.User); err != nil {
				return err
			}
		}
		return c.print(g.out, all, func(w io.Writer) {
			var rows [][]string
			for _, e := range all {
				rows = append(rows, []string{when(e.Time), e.Code, e.User, e.App, e.IP, e.Outcome, e.Reference, e.Actor, e.Reason})
			}
			columns(w, []string{"TIME", "CODE", "USER", "APP", "FROM", "OUTCOME", "REFERENCE", "ACTOR", "REASON"}, rows, "No such events.")
		})
	})
}
