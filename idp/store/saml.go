package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/saml"
)

// SAML is what saml remembers.
type SAML struct{ s *Store }

// SAML returns the view of SAML 2.0.
func (s *Store) SAML() SAML { return SAML{s} }

var _ saml.Store = SAML{}

const kindSAML = "saml" // of logins and of spent values

// samlError gives an error of this room the name it has in saml.
func samlError(err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return saml.ErrNotFound
	case errors.Is(err, ErrGone):
		return saml.ErrSpent
	case errors.Is(err, ErrFlood):
		return errors.Join(saml.ErrFlood, err)
	case errors.Is(err, ErrBusy), errors.Is(err, ErrNotReady), errors.Is(err, ErrClosed):
		return errors.Join(saml.ErrBusy, err)
	}
	return err
}

// ServiceProviders returns the apps that carry the entity ID.
func (v SAML) ServiceProviders(ctx context.Context, org, entityID string) ([]*saml.ServiceProvider, error) {
	apps, err := v.s.Apps().ConnectedByEntity(ctx, org, entityID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, samlError(err)
	}
	all := make([]*saml.ServiceProvider, 0, len(apps))
	for _, c := range apps {
		if c.App.SAML != nil {
			all = append(all, c.App.SAML)
		}
	}
	return all, nil
}

// ServiceProvider returns the app by id or, where no app has that id, by API name.
func (v SAML) ServiceProvider(ctx context.Context, org, app string) (*saml.ServiceProvider, error) {
	c, err := v.s.Apps().Connected(ctx, org, app)
	if errors.Is(err, ErrNotFound) {
		c, err = v.s.Apps().ConnectedByName(ctx, org, app)
	}
	if err != nil {
		return nil, samlError(err)
	}
	if c.App.SAML == nil {
		return nil, saml.ErrNotFound
	}
	return c.App.SAML, nil
}

// samlLogin is a login as it is kept. RelayState is bytes, because JSON has no room for those that are no UTF-8.
type samlLogin struct {
	saml.Login
	RelayState []byte
}

// AddLogin stores l and sets l.ID.
func (v SAML) AddLogin(ctx context.Context, org string, l *saml.Login) error {
	doc, err := json.Marshal(samlLogin{*l, []byte(l.RelayState)})
	if err != nil {
		return err
	}
	if err := v.s.remembers(ctx, len(doc)); err != nil {
		return samlError(err)
	}
	id := v.s.NewID()
	err = v.s.Write(ctx, func(tx *Tx) error {
		return tx.Do(`INSERT INTO login (org, id, kind, app, browser, answered, created, expires, doc)
			VALUES ($1, $2, $3, $4, NULL, $5, $6, $7, $8)`, org, id, kindSAML, l.App, false, l.Created, l.Expires, string(doc))
	})
	if err == nil {
		l.ID = id
	}
	return samlError(err)
}

// BindLogin returns the login, bound to the browser from its first call on.
func (v SAML) BindLogin(ctx context.Context, org, id string, browser []byte) (*saml.Login, error) {
	var l samlLogin
	var bound []byte
	var answered bool
	read := func() error {
		var doc string
		l = samlLogin{}
		err := v.s.Read(ctx).QueryRow(`SELECT app, browser, answered, doc FROM login WHERE org = $1 AND id = $2 AND kind = $3 AND expires > $4`,
			org, id, kindSAML, v.s.Now()).Scan(&l.App, &bound, &answered, &doc)
		if err != nil {
			return err
		}
		l.ID = id
		return json.Unmarshal([]byte(doc), &l)
	}
	err := read()
	if err == nil && len(bound) == 0 {
		err = v.s.Write(ctx, func(tx *Tx) error {
			return tx.Do(`UPDATE login SET browser = $4 WHERE org = $1 AND id = $2 AND kind = $3 AND browser IS NULL`, org, id, kindSAML, browser)
		})
		if err == nil { // somebody else may have been faster
			err = read()
		}
	}
	switch {
	case err != nil:
		return nil, samlError(err)
	case len(browser) == 0 || !bytes.Equal(bound, browser):
		return nil, saml.ErrBrowser
	}
	l.Login.RelayState = string(l.RelayState)
	if answered {
		return &l.Login, saml.ErrSpent
	}
	return &l.Login, nil
}

// Spent tells if the request of that ID by that app was answered already.
func (v SAML) Spent(ctx context.Context, org, app, requestID string) (bool, error) {
	var expires time.Time
	err := v.s.Read(ctx).QueryRow(`SELECT expires FROM spent WHERE org = $1 AND kind = $2 AND app = $3 AND value = $4`,
		org, kindSAML, app, requestID).Scan(&expires)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, samlError(err)
}

// Answer spends the login and the request ID, remembers the participant and writes the event.
func (v SAML) Answer(ctx context.Context, org string, a saml.Answer) error {
	nameID, err := json.Marshal(a.NameID)
	if err != nil {
		return err
	}
	code := "SamlSpInitiatedSSO"
	if a.Launched {
		code = "SamlIdpInitiatedSSO"
	}
	now := v.s.Now()
	return samlError(v.s.Write(ctx, func(tx *Tx) error {
		if a.Login != "" {
			if err := tx.Gate(`UPDATE login SET answered = $4 WHERE org = $1 AND id = $2 AND kind = $3 AND answered <> $4`, org, a.Login, kindSAML, true); err != nil {
				return err
			}
		}
		if a.RequestID != "" {
			if err := tx.Gate(`INSERT INTO spent (org, kind, app, value, expires) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
				org, kindSAML, a.App, a.RequestID, a.SpentUntil); err != nil {
				return err
			}
		}
		if err := tx.Do(`INSERT INTO participant (org, session, app, session_index, name_id, at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (org, session, app) DO UPDATE SET session_index = $4, name_id = $5, at = $6`,
			org, a.Session, a.App, a.SessionIndex, string(nameID), now); err != nil {
			return err
		}
		if err := tx.TouchUsed(org, a.App); err != nil {
			return err
		}
		return tx.Event(ctx, idp.Event{Org: org, Code: code, User: a.User, App: a.App})
	}))
}

// Refuse records the refusal.
func (v SAML) Refuse(ctx context.Context, org string, r saml.Refusal) string {
	return v.s.Events().Refuse(ctx, idp.Event{Org: org, Code: r.Code, App: r.App, User: r.User, Reason: r.Reason})
}
