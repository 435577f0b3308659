// Package apps is the life of a connected app: the operations that the API, the console and the command line share. Each
// is one call, one transaction and one event.
//
//	apps.go      make, change, install, block and delete an app; its secret
//	check.go     what a whole app and its policy may be: every fault, with the path of its key in a declaration
//	saml.go      the SAML half of that
//	oauth.go     the OAuth half
//	made.go      API names, client ids and secrets that are made here
//	permit.go    who may use an app, in the words of the command line
//	handout.go   everything the other side asks for
//	gateway.go   the initial access tokens of a gateway's app
//	explain.go   why a person may use an app, or may not
//
// What takes a *store.Tx is a part of somebody else's step; the rest are steps of their own.
package apps

import (
	"context"
	"errors"
	"strings"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
)

// Apps does what is done to connected apps. All fields are set once.
type Apps struct {
	Store *store.Store
	// Sample says what the app of c would be told of u, without anything being remembered; nil: nobody knows here.
	Sample func(ctx context.Context, c *idp.Connected, u *idp.User) ([]saml.Attribute, error)
}

// Put is an app as it is to be, with what goes with it.
type Put struct {
	App      *idp.App          // ID empty: a new one
	Policy   *idp.Installation // nil: not installed, so open to nobody
	Secret   string            // of the OAuth client; empty: the one it has, or a new one is made if it needs one
	Metadata []byte            // from which its SAML half was read; nil: as it was

	ready  bool
	isNew  bool
	sealed []byte
}

// Prepare readies p for Add or Change: it fills in what is made here (ID, API name, client_id, secret), seals, and checks
// the whole. It is done before the step. What is wrong with p is told as Faults, all at once.
func (a *Apps) Prepare(ctx context.Context, p *Put) error {
	app := p.App
	scopes, err := a.Store.People().AllNamed(ctx, app.Org, idp.KindScope)
	if err != nil {
		return err
	}
	names := make([]string, len(scopes))
	for i, n := range scopes {
		names[i] = n.Name
	}
	return a.PrepareWith(ctx, p, names)
}

// PrepareWith is Prepare for a declaration that may bring scopes along: scopes are the names of all the org will have.
func (a *Apps) PrepareWith(ctx context.Context, p *Put, scopes []string) error {
	app := p.App
	p.isNew = app.ID == ""
	if app.APIName == "" {
		app.APIName = ProposeName(app.Name)
	}
	if app.OAuth != nil && app.OAuth.ID == "" {
		app.OAuth.ID = newClientID()
	}
	if f := Check(app, p.Policy, scopes); len(f) > 0 {
		return f
	}
	if p.isNew {
		app.ID = a.Store.NewID()
	}
	if p.Policy != nil {
		p.Policy.Org, p.Policy.App = app.Org, app.ID
	}
	if keepsSecret(app) && p.Secret == "" {
		had := false
		if !p.isNew {
			switch _, err := a.Store.Apps().Secret(ctx, app.Org, app.ID); {
			case err == nil:
				had = true
			case !errors.Is(err, store.ErrNotFound):
				return err
			}
		}
		if !had {
			p.Secret = newSecret()
		}
	}
	if p.Secret != "" {
		if app.OAuth != nil && app.OAuth.AuthMethod == oidc.MethodPrivateKey {
			return Faults{{"oauth.clientSecret", "a client of private_key_jwt proves itself with its key; leave the secret out"}}
		}
		if f := checkSecret(p.Secret); f != nil {
			return Faults{*f}
		}
		p.sealed = a.Store.Apps().SealSecret(app.Org, app.ID, []byte(p.Secret))
	}
	p.ready = true
	return nil
}

var errNotReady = errors.New("apps: Prepare was not called")

// Create makes an app with its policy.
func (a *Apps) Create(ctx context.Context, p *Put) error {
	if err := a.Prepare(ctx, p); err != nil {
		return err
	}
	return a.Store.Write(ctx, func(tx *store.Tx) error { return a.Add(ctx, tx, p) })
}

// Add is Create within a step; p was prepared. What another app has already is told as Faults.
func (a *Apps) Add(ctx context.Context, tx *store.Tx, p *Put) error {
	if !p.ready || !p.isNew {
		return errNotReady
	}
	if err := tx.AddApp(p.App, p.sealed, p.Metadata); err != nil {
		return taken(err, p.App)
	}
	if err := event(ctx, tx, "insertApplication", p.App, protocols(p.App)); err != nil {
		return err
	}
	if p.Policy == nil {
		return nil
	}
	return a.Install(ctx, tx, p.App, p.Policy, "")
}

// Change replaces the definition of an app within a step; p was prepared, and its Policy is not looked at. what says what
// changes, for the event: "startURL: old → new".
func (a *Apps) Change(ctx context.Context, tx *store.Tx, p *Put, what string) error {
	if !p.ready || p.isNew {
		return errNotReady
	}
	old, err := tx.App(p.App.Org, p.App.ID)
	if err != nil {
		return err
	}
	if was, is := old.App.OAuth, p.App.OAuth; was != nil && is != nil && was.ID != is.ID {
		return Faults{{"oauth.clientID", "the client ID is " + was.ID + " and can never change"}}
	}
	if err := tx.PutApp(p.App); err != nil {
		return taken(err, p.App)
	}
	if p.Metadata != nil {
		if err := tx.PutMetadata(p.App.Org, p.App.ID, p.Metadata); err != nil {
			return err
		}
	}
	if p.sealed != nil {
		if err := tx.SetSecret(p.App.Org, p.App.ID, p.sealed); err != nil {
			return err
		}
	}
	return event(ctx, tx, "changeApplication", p.App, what)
}

// Install installs an app within a step, or replaces the policy by which it is installed. what says what changes.
func (a *Apps) Install(ctx context.Context, tx *store.Tx, app *idp.App, i *idp.Installation, what string) error {
	now, err := tx.App(app.Org, app.ID)
	if err != nil {
		return err
	}
	code := "changeUserRuntimeAccessPolicy"
	if now.Installation == nil || now.Installation.PermittedUsers == "" {
		code = "insertConnectedApplication"
	}
	i.Org, i.App = app.Org, app.ID
	if err := tx.PutInstallation(i); err != nil {
		return err
	}
	return event(ctx, tx, code, app, what)
}

// Uninstall takes an app out of the org within a step: it is open to nobody, and all it was given ends. It tells whether it
// was installed.
func (a *Apps) Uninstall(ctx context.Context, tx *store.Tx, app *idp.App) (was bool, err error) {
	return changed(ctx, tx, tx.DropInstallation(app.Org, app.ID), "deleteConnectedApplication", app)
}

// SetBlocked blocks an app, which ends all it was given, or lifts the block. It tells whether there was something to change.
func (a *Apps) SetBlocked(ctx context.Context, app *idp.App, blocked bool) (was bool, err error) {
	err = a.Store.Write(ctx, func(tx *store.Tx) error {
		was, err = a.Block(ctx, tx, app, blocked)
		return err
	})
	return was, err
}

// Block is SetBlocked within a step.
func (a *Apps) Block(ctx context.Context, tx *store.Tx, app *idp.App, blocked bool) (was bool, err error) {
	code := "unblockConnectedApplication"
	if blocked {
		code = "blockConnectedApplication"
	}
	return changed(ctx, tx, tx.SetBlocked(app.Org, app.ID, blocked), code, app)
}

// changed writes the event of a change that err says was made, or was not needed.
func changed(ctx context.Context, tx *store.Tx, err error, code string, app *idp.App) (bool, error) {
	if errors.Is(err, store.ErrGone) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, event(ctx, tx, code, app, "")
}

// Delete deletes an app with its children, within a step. All it was given ends.
func (a *Apps) Delete(ctx context.Context, tx *store.Tx, app *idp.App) error {
	if err := tx.DropApp(app.Org, app.ID); err != nil {
		return err
	}
	return event(ctx, tx, "deleteApplication", app, app.APIName)
}

// SetSecret gives an app's OAuth client another secret, a new one where secret is empty, and returns it. The old one is
// dead at once; what it was given lives on.
func (a *Apps) SetSecret(ctx context.Context, app *idp.App, secret string) (string, error) {
	if !keepsSecret(app) {
		return "", Faults{{"oauth.clientSecret", app.Name + " has no OAuth client that keeps a secret"}}
	}
	if secret == "" {
		secret = newSecret()
	}
	if f := checkSecret(secret); f != nil {
		return "", Faults{*f}
	}
	sealed := a.Store.Apps().SealSecret(app.Org, app.ID, []byte(secret))
	return secret, a.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.SetSecret(app.Org, app.ID, sealed); err != nil {
			return err
		}
		return event(ctx, tx, "changeApplicationSecret", app, "")
	})
}

// Secret reveals the secret of an app's OAuth client, and an event says who looked. store.ErrNotFound: it has none.
func (a *Apps) Secret(ctx context.Context, app *idp.App) (string, error) {
	if !keepsSecret(app) {
		return "", store.ErrNotFound // if it had one once: it is good for nothing
	}
	secret, err := a.Store.Apps().Secret(ctx, app.Org, app.ID)
	if err != nil {
		return "", err
	}
	err = a.Store.Write(ctx, func(tx *store.Tx) error { return event(ctx, tx, "viewApplicationSecret", app, "") })
	return string(secret), err
}

func event(ctx context.Context, tx *store.Tx, code string, app *idp.App, reason string) error {
	return tx.Event(ctx, idp.Event{Org: app.Org, Code: code, App: app.ID, Reason: reason})
}

// protocols says what an app speaks.
func protocols(app *idp.App) string {
	var all []string
	if app.SAML != nil {
		all = append(all, "SAML")
	}
	if app.OAuth != nil {
		all = append(all, "OAuth")
	}
	if len(all) == 0 {
		return "a link"
	}
	return strings.Join(all, " and ")
}
