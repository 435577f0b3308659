package main

import (
	"io"
	"net/netip"

	"github.com/lanyard-sso/lanyard/idp"
)

type explainCmd struct {
	storeFlags
	output
	User string `required:"" help:"Username or e-mail address." placeholder:"NAME"`
	App  string `required:"" help:"API name, client_id, entity ID or display name." placeholder:"NAME"`
	IP   string `name:"ip" help:"As if the user came from this address." placeholder:"ADDR"`
}

func (explainCmd) Help() string {
	return "Example:\n\n    lanyard explain --user ana --app Your_Benefits"
}

func (c explainCmd) Run(g *globals) error {
	var from netip.Addr
	if c.IP != "" {
		var err error
		if from, err = netip.ParseAddr(c.IP); err != nil {
			return usagef("--ip %q is no IP address", c.IP)
		}
	}
	return c.withUser(g, c.User, func(h *house, u *idp.User) error {
		a, err := h.app(c.App)
		if err != nil {
			return err
		}
		e, err := h.apps.Explain(h.ctx, a, u, from)
		if err != nil {
			return err
		}
		return c.print(g.out, e, func(w io.Writer) {
			facts(w, "Decision", e.Decision, "Rule", string(e.Rule), "Reason", e.Reason, "App", e.App, "User", e.User)
		})
	})
}
