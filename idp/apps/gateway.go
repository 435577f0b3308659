package apps

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/oidc"
)

// NewGatewayToken makes an initial access token of a parent app, by which clients of its mould register themselves. It is
// shown once; those made before stay alive.
func (a *Apps) NewGatewayToken(ctx context.Context, app *idp.App, name string) (value string, err error) {
	if app.OAuth == nil || app.OAuth.Mould == nil {
		return "", Faults{{"oauth.registration", app.Name + " is no mould for a gateway's clients: it has no oauth.registration"}}
	}
	if len(name) > maxName || !idp.Text(name) {
		return "", Faults{{"name", fmt.Sprintf("%q has control characters or more than %d bytes", clip(name), maxName)}}
	}
	t, value := oidc.NewInitialToken(a.Store.NewID(), app.ID, name, rand.Text()+rand.Text(), a.Store.Now())
	return value, a.Store.OIDC().AddInitialToken(ctx, app.Org, t)
}

// GatewayTokens lists the initial access tokens of a parent app, without their values.
func (a *Apps) GatewayTokens(ctx context.Context, app *idp.App) ([]*oidc.RegistrationToken, error) {
	return a.Store.OIDC().InitialTokens(ctx, app.Org, app.ID)
}

// RevokeGatewayTokens ends initial access tokens of a parent app: those called name, the one of that value, or all. It
// returns how many. What was registered with them lives on.
func (a *Apps) RevokeGatewayTokens(ctx context.Context, app *idp.App, name, value string, all bool) (n int, err error) {
	tokens, err := a.GatewayTokens(ctx, app)
	if err != nil {
		return 0, err
	}
	id, _ := oidc.InitialTokenID(value)
	for _, t := range tokens {
		if !all && (name == "" || t.Name != name) && (id == "" || t.ID != id) {
			continue
		}
		err := a.Store.OIDC().DropInitialToken(ctx, app.Org, app.ID, t.ID)
		if errors.Is(err, store.ErrGone) {
			continue
		}
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
