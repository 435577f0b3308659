package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/oidc"
)

const registrationColumns = `id, hash, app, kind, name, created, last_used`

func scanRegistrationToken(r Row) (*oidc.RegistrationToken, error) {
	var t oidc.RegistrationToken
	err := r.Scan(&t.ID, &t.Hash, &t.App, &t.Kind, &t.Name, &t.Created, &t.LastUsed)
	return &t, err
}

// RegistrationToken reads a token of the registration endpoint by id.
func (v OIDC) RegistrationToken(ctx context.Context, org, id string) (*oidc.RegistrationToken, error) {
	t, err := One(v.s.Read(ctx), scanRegistrationToken, `SELECT `+registrationColumns+` FROM registration_token WHERE org = $1 AND id = $2`, org, id)
	return t, protocol(err)
}

// UsedRegistrationToken notes that the token is used now.
func (v OIDC) UsedRegistrationToken(ctx context.Context, org, id string) error {
	now := v.s.Now()
	return protocol(v.s.Write(ctx, func(tx *Tx) error {
		return tx.Do(`UPDATE registration_token SET last_used = $3 WHERE org = $1 AND id = $2 AND last_used < $4`, org, id, now, now.Add(-time.Minute))
	}))
}

func addRegistrationToken(tx *Tx, org string, t *oidc.RegistrationToken) error {
	return tx.Do(`INSERT INTO registration_token (org, `+registrationColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		org, t.ID, t.Hash, t.App, t.Kind, t.Name, t.Created, t.LastUsed)
}

// AddInitialToken stores an initial access token of a parent app; those it has stay alive.
func (v OIDC) AddInitialToken(ctx context.Context, org string, t *oidc.RegistrationToken) error {
	return v.s.Write(ctx, func(tx *Tx) error {
		if err := addRegistrationToken(tx, org, t); err != nil {
			return err
		}
		return tx.Event(ctx, idp.Event{Org: org, Code: "dynamicInitialTokenGeneration", App: t.App, Reason: t.Name})
	})
}

// InitialTokens lists the initial access tokens of an app in the order they were made.
func (v OIDC) InitialTokens(ctx context.Context, org, app string) ([]*oidc.RegistrationToken, error) {
	return All(v.s.Read(ctx), scanRegistrationToken, `SELECT `+registrationColumns+` FROM registration_token
		WHERE org = $1 AND app = $2 AND kind = $3 ORDER BY id`, org, app, oidc.KindInitial)
}

// DropInitialToken ends one initial access token of an app. ErrGone: it has no such.
func (v OIDC) DropInitialToken(ctx context.Context, org, app, id string) error {
	return v.s.Write(ctx, func(tx *Tx) error {
		if err := tx.Gate(`DELETE FROM registration_token WHERE org = $1 AND id = $2 AND app = $3 AND kind = $4`, org, id, app, oidc.KindInitial); err != nil {
			return err
		}
		return tx.Event(ctx, idp.Event{Org: org, Code: "dynamicInitialTokenRevoked", App: app})
	})
}

// AddChild makes a connected app of parent's mould.
func (v OIDC) AddChild(ctx context.Context, org string, parent *oidc.Client, c *oidc.Client, secret []byte, t *oidc.RegistrationToken) error {
	child := *c
	child.App = v.s.NewID()
	app := idp.App{Org: org, ID: child.App, Name: c.Name, APIName: childName(c), Parent: parent.App, OAuth: &child, InfoURL: c.Registered.ClientURI}
	if len(c.Registered.Contacts) > 0 {
		app.ContactEmail = c.Registered.Contacts[0]
	}
	install := idp.Installation{Org: org, App: app.ID, PermittedUsers: idp.SelfAuthorize, RunAs: parent.Mould.RunAs}
	if parent.Mould.Permit == "nobody" {
		install.PermittedUsers = idp.AdminApproved // which names nobody
	}
	var service *idp.User
	if parent.Mould.RunAs == "auto" {
		service = &idp.User{Org: org, ID: v.s.NewID(), Username: "service-" + c.ID, Active: true, Service: true, FamilyName: c.Name, Parent: app.ID}
		install.RunAs = service.ID
	}
	var sealed []byte
	if secret != nil {
		sealed = v.s.Apps().SealSecret(org, app.ID, secret)
	}
	token := *t
	token.App = app.ID
	err := v.s.Write(ctx, func(tx *Tx) error {
		if err := tx.AddChildTo(org, parent.App, parent.Mould.Limit); err != nil {
			return err
		}
		if service != nil {
			if err := tx.AddUser(service); err != nil {
				return err
			}
		}
		if err := addRegistrationToken(tx, org, &token); err != nil {
			return err
		}
		if err := tx.Event(ctx, idp.Event{Org: org, Code: "insertApplication", App: app.ID, User: install.RunAs, Actor: parent.ID, Reason: "registered by " + parent.Name}); err != nil {
			return err
		}
		if err := tx.AddApp(&app, sealed, nil); err != nil {
			return err
		}
		return tx.PutInstallation(&install)
	})
	if errors.Is(err, ErrGone) {
		return oidc.ErrLimit
	}
	if err == nil {
		c.App, t.App = app.ID, app.ID
	}
	return protocol(err)
}

// childName makes an API name that no other app has: what the client calls itself, and a part of its client_id.
func childName(c *oidc.Client) string {
	var b strings.Builder
	gap := false
	for _, r := range c.Name {
		switch {
		case b.Len() >= 40:
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' && b.Len() > 0:
			if gap {
				b.WriteByte('_')
			}
			gap = false
			b.WriteRune(r)
		default:
			gap = b.Len() > 0
		}
	}
	if b.Len() == 0 {
		b.WriteString("Client")
	}
	return b.String() + "_" + c.ID[:min(len(c.ID), 12)]
}

// PutChild replaces what a child may change about itself.
func (v OIDC) PutChild(ctx context.Context, org string, c *oidc.Client) error {
	err := v.s.Write(ctx, func(tx *Tx) error {
		now, err := tx.App(org, c.App)
		if err != nil {
			return err
		}
		a := now.App
		a.Name, a.OAuth, a.InfoURL, a.ContactEmail = c.Name, c, c.Registered.ClientURI, ""
		if len(c.Registered.Contacts) > 0 {
			a.ContactEmail = c.Registered.Contacts[0]
		}
		if err := tx.Event(ctx, idp.Event{Org: org, Code: "changeApplication", App: c.App, Actor: c.ID, Reason: "by its registration"}); err != nil {
			return err
		}
		return tx.PutApp(&a)
	})
	if errors.Is(err, ErrGone) {
		return oidc.ErrNotFound
	}
	return protocol(err)
}

// DropChild deletes a child with all that hangs on it.
func (v OIDC) DropChild(ctx context.Context, org string, c *oidc.Client) error {
	err := v.dropChild(ctx, org, c.App, idp.Event{Actor: c.ID, Reason: c.Name + ", by its registration"})
	if errors.Is(err, ErrGone) {
		return oidc.ErrNotFound
	}
	return protocol(err)
}

func (v OIDC) dropChild(ctx context.Context, org, app string, ev idp.Event) error {
	ev.Org, ev.App, ev.Code = org, app, "deleteApplication"
	return v.s.Write(ctx, func(tx *Tx) error {
		if err := tx.Event(ctx, ev); err != nil {
			return err
		}
		return tx.DropApp(org, app)
	})
}

// DropUnusedChildren deletes the children that have been given nothing for longer than their mould allows
// (expireUnusedAfter), and returns how many. The server's sweeper calls it.
func (v OIDC) DropUnusedChildren(ctx context.Context) (n int, err error) {
	type row struct{ org, app string }
	parents, err := All(v.s.Read(ctx), func(r Row) (p row, err error) {
		err = r.Scan(&p.org, &p.app)
		return p, err
	}, `SELECT DISTINCT org, parent FROM app WHERE parent <> ''`)
	if err != nil {
		return 0, err
	}
	for _, p := range parents {
		c, err := v.ClientOfApp(ctx, p.org, p.app)
		if errors.Is(err, oidc.ErrNotFound) || err == nil && (c.Mould == nil || c.Mould.ExpireUnusedAfter == 0) {
			continue
		}
		if err != nil {
			return n, err
		}
		unused, err := All(v.s.Read(ctx), func(r Row) (id string, err error) {
			err = r.Scan(&id)
			return id, err
		}, `SELECT id FROM app WHERE org = $1 AND parent = $2 AND created < $3 AND last_used < $3`, p.org, p.app, v.s.Now().Add(-c.Mould.ExpireUnusedAfter))
		if err != nil {
			return n, err
		}
		for _, id := range unused {
			err := v.dropChild(ctx, p.org, id, idp.Event{Reason: fmt.Sprintf("unused for %s", c.Mould.ExpireUnusedAfter)})
			if err != nil && !errors.Is(err, ErrGone) {
				return n, err
			}
			n++
		}
	}
	return n, nil
}
