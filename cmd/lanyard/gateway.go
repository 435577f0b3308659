package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
)

type gatewayCmd struct {
	Token gatewayTokenCmd `cmd:"" help:"Initial access tokens, by which a gateway registers clients."`
}

type gatewayTokenCmd struct {
	Create gatewayCreateCmd `cmd:"" help:"Make a token; earlier ones stay alive."`
	List   gatewayListCmd   `cmd:"" help:"List tokens."`
	Revoke gatewayRevokeCmd `cmd:"" help:"Revoke tokens; what was registered with them stays."`
}

type gatewayCreateCmd struct {
	storeFlags
	output
	App  string `required:"" help:"The parent app, which has oauth.registration." placeholder:"NAME"`
	Name string `default:"gateway" help:"What to call the token."`
}

func (gatewayCreateCmd) Help() string {
	return "The token is shown once.\n\nExample:\n\n    lanyard gateway token create --app Orders_Gateway --name anypoint"
}

func (c gatewayCreateCmd) Run(g *globals) error {
	return c.withApp(g, c.App, func(h *house, a *idp.Connected) error {
		token, err := h.apps.NewGatewayToken(h.ctx, &a.App, c.Name)
		if err != nil {
			return err
		}
		return c.print(g.out, map[string]string{"token": token}, func(w io.Writer) { fmt.Fprintln(w, token) })
	})
}

type gatewayListCmd struct {
	storeFlags
	output
	App string `required:"" help:"The parent app." placeholder:"NAME"`
}

func (gatewayListCmd) Help() string {
	return "Example:\n\n    lanyard gateway token list --app Orders_Gateway"
}

func (c gatewayListCmd) Run(g *globals) error {
	return c.withApp(g, c.App, func(h *house, a *idp.Connected) error {
		tokens, err := h.apps.GatewayTokens(h.ctx, &a.App)
		if err != nil {
			return err
		}
		type view struct {
			ID       string     `json:"id"`
			Name     string     `json:"name"`
			Created  time.Time  `json:"created"`
			LastUsed *time.Time `json:"lastUsed"`
		}
		views := []view{}
		for _, t := range tokens {
			v := view{ID: t.ID, Name: t.Name, Created: t.Created}
			if !t.LastUsed.IsZero() {
				v.LastUsed = &t.LastUsed
			}
			views = append(views, v)
		}
		return c.print(g.out, views, func(w io.Writer) {
			var rows [][]string
			for _, t := range tokens {
				rows = append(rows, []string{t.ID, t.Name, when(t.Created), when(t.LastUsed)})
			}
			columns(w, []string{"ID", "NAME", "CREATED", "LAST USED"}, rows, "There are no tokens. Make one with: lanyard gateway token create --app "+c.App)
		})
	})
}

type gatewayRevokeCmd struct {
	storeFlags
	App   string `required:"" help:"The parent app." placeholder:"NAME"`
	Name  string `help:"Revoke the tokens of this name."`
	All   bool   `help:"Revoke all."`
	Token string `arg:"" optional:"" help:"The token itself."`
}

func (gatewayRevokeCmd) Help() string {
	return "Examples:\n\n    lanyard gateway token revoke --app Orders_Gateway --name anypoint\n    lanyard gateway token revoke --app Orders_Gateway --all"
}

func (c gatewayRevokeCmd) Run(g *globals) error {
	n := 0
	for _, given := range []bool{c.Name != "", c.All, c.Token != ""} {
		if given {
			n++
		}
	}
	if n != 1 {
		return usagef("say which: --name NAME, the token, or --all")
	}
	return c.withApp(g, c.App, func(h *house, a *idp.Connected) error {
		revoked, err := h.apps.RevokeGatewayTokens(h.ctx, &a.App, c.Name, c.Token, c.All)
		if err != nil {
			return err
		}
		if revoked == 0 && !c.All {
			return errors.New("there is no such token")
		}
		fmt.Fprintf(g.out, "%d revoked\n", revoked)
		return nil
	})
}
