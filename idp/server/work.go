package server

import (
	"context"
	"errors"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/claims"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/keys"
	"github.com/lanyard-sso/lanyard/saml"
)

// dead is the rows that nothing can use any more. A grant, a code and a login are kept a while past their end, so that a
// late second use is told apart from one that never was.
func dead() []store.Dead {
	return []store.Dead{
		{Table: "login", Key: "org, id", Where: "expires < $1"},
		{Table: "spent", Key: "org, kind, app, value", Where: "expires < $1"},
		{Table: "code", Key: "org, id", Where: "expires < $1"},
		{Table: "token", Key: "org, id", Where: "expires < $1"},
		{Table: "grants", Key: "org, id", Where: "ends < $1"},
		{Table: "session", Key: "org, id", Where: "expires < $1"},
		{Table: "participant", Key: "org, session, app", Where: "at < $1 - 2592000000000"},
		{Table: "link", Key: "org, id", Where: "expires < $1"},
		{Table: "throttle", Key: "org, name", Where: "since < $1 - 86400000000"},
		{Table: "browser", Key: "org, hash, usr", Where: "seen < $1 - 34560000000000"},
	}
}

// mostWaiting is how many requests may wait for their person; of more, those that have waited longest are forgotten.
const mostWaiting = 200_000

// Work does what a running server does by itself, until ctx ends: it takes away what is expired, moves the keys on when
// their time has come, deletes a gateway's clients that nobody used, and keeps at hand what everybody may know. Any number of nodes may do it at once.
func (c Config) Work(ctx context.Context) {
	for {
		if err := errors.Join(c.know(ctx), c.work(ctx)); err != nil && ctx.Err() == nil {
			c.Log.WarnContext(ctx, "background work", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Minute):
		}
	}
}

// know has at hand what everybody may know (published.go), so that a node that loses its database tells it though it was not asked
// for it before.
func (c Config) know(ctx context.Context) error {
	org, err := c.Store.Orgs().Default(ctx)
	if err != nil {
		return err
	}
	for _, use := range []keys.Use{keys.OIDC, keys.SAML} {
		if _, err := c.Store.Keys().Ring(ctx, org.ID, use); err != nil {
			return err
		}
	}
	_, err = c.Store.People().AllNamed(ctx, org.ID, idp.KindScope)
	return err
}

func (c Config) work(ctx context.Context) error {
	until, settled, err := c.Store.Settle(ctx)
	if err != nil {
		return err
	}
	if _, err := c.Store.SweepAsOf(ctx, dead(), until); err != nil {
		return err
	}
	if _, err := c.Store.SweepWaiting(ctx, mostWaiting); err != nil {
		return err
	}
	if _, err := c.Store.SweepOrphans(ctx); err != nil {
		return err
	}
	if !settled { // the clock has run ahead, or nobody was here for long: no key moves by such a time
		return nil
	}
	org, err := c.Store.Orgs().Default(ctx)
	if err != nil {
		return err
	}
	if err := c.Store.Keys().Due(ctx, org); err != nil {
		return err
	}
	_, err = c.Store.OIDC().DropUnusedChildren(ctx)
	return err
}

// Sample says what the app of c would be told of u, without anything being remembered.
func Sample(st *store.Store) func(ctx context.Context, c *idp.Connected, u *idp.User) ([]saml.Attribute, error) {
	return func(ctx context.Context, c *idp.Connected, u *idp.User) ([]saml.Attribute, error) {
		_, attributes, err := claims.SAML(ctx, st, c, u, saml.Need{Format: saml.FormatNone})
		return attributes, err
	}
}
