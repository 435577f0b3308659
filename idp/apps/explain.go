package apps

import (
	"context"
	"errors"
	"net/netip"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/access"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// Explanation is whether a person may use an app, and the rule behind it.
type Explanation struct {
	Decision string      `json:"decision"` // allow, deny or consent
	Rule     access.Rule `json:"rule"`
	Reason   string      `json:"reason"`
	App      string      `json:"app"`  // API name
	User     string      `json:"user"` // username
}

// Explain asks what the protocols would ask if u came to the app of c now, from that address if it is valid.
func (a *Apps) Explain(ctx context.Context, c *idp.Connected, u *idp.User, from netip.Addr) (Explanation, error) {
	d := access.Decide(access.Question{App: c, User: u, IP: from, Now: a.Store.Now()})
	e := Explanation{Decision: d.Decision, Rule: d.Rule, Reason: d.Reason, App: c.App.APIName, User: u.Username}
	if !d.Consent || c.App.OAuth == nil || c.App.SAML != nil {
		return e, nil
	}
	// OAuth asks the person, and remembers.
	_, _, err := a.Store.SignIn().Consent(ctx, u.Org, u.ID, c.App.ID)
	if errors.Is(err, store.ErrNotFound) {
		e.Decision = access.Consent
		e.Reason += "; " + u.Name() + " has not consented to it yet"
		return e, nil
	}
	return e, err
}
