package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
)

// SealSecret seals a client secret for the app's row. It is done before the step that stores it.
func (a Apps) SealSecret(org, app string, secret []byte) []byte {
	return a.s.sealer.Seal(secretPlace(org, app), secret)
}

// Secret returns the app's client secret, or ErrNotFound.
func (a Apps) Secret(ctx context.Context, org, app string) ([]byte, error) {
	var sealed []byte
	err := a.s.Read(ctx).QueryRow(`SELECT secret FROM app WHERE org = $1 AND id = $2`, org, app).Scan(&sealed)
	if err != nil {
		return nil, err
	}
	if len(sealed) == 0 {
		return nil, ErrNotFound
	}
	return a.s.openSecret(org, app, sealed)
}

func (s *Store) openSecret(org, app string, sealed []byte) ([]byte, error) {
	return s.sealer.Open(secretPlace(org, app), sealed)
}

func secretPlace(org, app string) string { return "app-secret\x00" + org + "\x00" + app }

// App reads an app within the step, or ErrNotFound. Names and secrets are not filled in.
func (tx *Tx) App(org, id string) (*idp.Connected, error) {
	return One(tx, func(r Row) (*idp.Connected, error) {
		c, _, err := scanApp(r)
		return c, err
	}, appQuery+` AND a.id = $2`, org, id)
}

// AppByName reads an app by API name within the step, or ErrNotFound. Names and secrets are not filled in.
func (tx *Tx) AppByName(org, apiName string) (*idp.Connected, error) {
	return One(tx, func(r Row) (*idp.Connected, error) {
		c, _, err := scanApp(r)
		return c, err
	}, appQuery+` AND a.api_name = $2`, org, apiName)
}

// AddApp makes an app whose ID the caller chose, with its sealed secret and the metadata it came from; both may be nil.
// It sets Created. It is a [*Taken] if another app has its API name, its client_id, or one of its ACS URLs with the same
// entity ID.
func (tx *Tx) AddApp(a *idp.App, sealed, metadata []byte) error {
	a.Created = tx.store.Now().UTC().Truncate(time.Microsecond)
	doc, err := json.Marshal(a)
	if err != nil {
		return err
	}
	err = tx.Gate(`INSERT INTO app (org, id, name, api_name, parent, children, epoch, doc, secret, metadata, created, last_used)
		VALUES ($1, $2, $3, $4, $5, 0, 0, $6, $7, $8, $9, 0) ON CONFLICT DO NOTHING`,
		a.Org, a.ID, a.Name, a.APIName, a.Parent, string(doc), sealed, metadata, a.Created)
	if errors.Is(err, ErrGone) {
		return &Taken{What: "apiName", Value: a.APIName, By: "another app"}
	}
	if err != nil {
		return err
	}
	if err := tx.putAddresses(a); err != nil {
		return err
	}
	return tx.Changed(kindApp)
}

// PutApp replaces an app's definition but for its secret and metadata. ErrGone: there is no such app. It is a [*Taken] as
// AddApp says.
func (tx *Tx) PutApp(a *idp.App) error {
	doc, err := json.Marshal(a)
	if err != nil {
		return err
	}
	old, err := tx.App(a.Org, a.ID)
	if errors.Is(err, ErrNotFound) {
		return ErrGone
	}
	if err != nil {
		return err
	}
	if old.App.APIName != a.APIName {
		switch other, err := tx.AppByName(a.Org, a.APIName); {
		case err == nil:
			return &Taken{What: "apiName", Value: a.APIName, By: other.App.Name}
		case !errors.Is(err, ErrNotFound):
			return err
		}
	}
	if err := tx.Gate(`UPDATE app SET name = $3, api_name = $4, doc = $5 WHERE org = $1 AND id = $2`, a.Org, a.ID, a.Name, a.APIName, string(doc)); err != nil {
		return err
	}
	if err := tx.Do(`DELETE FROM acs WHERE org = $1 AND app = $2`, a.Org, a.ID); err != nil {
		return err
	}
	if err := tx.Do(`DELETE FROM client WHERE org = $1 AND app = $2`, a.Org, a.ID); err != nil {
		return err
	}
	if err := tx.putAddresses(a); err != nil {
		return err
	}
	return tx.Changed(kindApp)
}

// putAddresses takes what the app is found by.
func (tx *Tx) putAddresses(a *idp.App) error {
	if a.OAuth != nil {
		err := tx.Gate(`INSERT INTO client (id, org, app) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, a.OAuth.ID, a.Org, a.ID)
		if errors.Is(err, ErrGone) {
			return &Taken{What: "clientID", Value: a.OAuth.ID, By: tx.ownerOf(`SELECT a.api_name FROM client c JOIN app a
				ON a.org = c.org AND a.id = c.app WHERE c.id = $2 AND c.org = $1`, a.Org, a.OAuth.ID)}
		}
		if err != nil {
			return err
		}
	}
	if a.SAML == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, e := range a.SAML.ACS {
		if seen[e.URL] { // one address may be listed for several bindings
			continue
		}
		seen[e.URL] = true
		err := tx.Gate(`INSERT INTO acs (org, entity_id, url, app) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, a.Org, a.SAML.EntityID, e.URL, a.ID)
		if errors.Is(err, ErrGone) {
			return &Taken{What: "acs", Value: e.URL, By: tx.ownerOf(`SELECT a.api_name FROM acs c JOIN app a ON a.org = c.org AND a.id = c.app
				WHERE c.org = $1 AND c.url = $2 AND c.entity_id = $3`, a.Org, e.URL, a.SAML.EntityID)}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ownerOf names the app that stands in the way; another org's is not told.
func (tx *Tx) ownerOf(query string, args ...any) (name string) {
	if err := tx.QueryRow(query, args...).Scan(&name); err != nil {
		return ""
	}
	return name
}

// PutMetadata replaces the metadata that the app was made from. ErrGone: there is no such app.
func (tx *Tx) PutMetadata(org, app string, metadata []byte) error {
	return tx.Gate(`UPDATE app SET metadata = $3 WHERE org = $1 AND id = $2`, org, app, metadata)
}

// SetSecret replaces the app's client secret by one that SealSecret sealed. The old one is dead at once. ErrGone: there is
// no such app.
func (tx *Tx) SetSecret(org, app string, sealed []byte) error {
	if err := tx.Gate(`UPDATE app SET secret = $3 WHERE org = $1 AND id = $2`, org, app, sealed); err != nil {
		return err
	}
	return tx.Changed(kindApp)
}

// AddChildTo counts one more app of parent's mould. ErrGone: it has limit of them already, or is gone.
func (tx *Tx) AddChildTo(org, parent string, limit int) error {
	return tx.Gate(`UPDATE app SET children = children + 1 WHERE org = $1 AND id = $2 AND children < $3`, org, parent, limit)
}

// DropApp deletes an app, its installation, its own service user and what it is found by; its grants and tokens are dead
// with it, and so are its children, which it deletes too. ErrGone: there is no such app.
func (tx *Tx) DropApp(org, id string) error {
	c, err := tx.App(org, id)
	if errors.Is(err, ErrNotFound) {
		return ErrGone
	}
	if err != nil {
		return err
	}
	idOf := func(r Row) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	}
	if err := tx.Gate(`DELETE FROM app WHERE org = $1 AND id = $2`, org, id); err != nil {
		return err
	}
	for _, table := range []string{"client", "acs", "installation", "registration_token"} {
		if err := tx.Do(`DELETE FROM `+table+` WHERE org = $1 AND app = $2`, org, id); err != nil {
			return err
		}
	}
	own, err := All(tx, idOf, `SELECT usr FROM member WHERE org = $1 AND kind = $2 AND ref = $3`, org, string(kindOfApp), id)
	if err != nil {
		return err
	}
	for _, usr := range own {
		if err := tx.DropUser(org, usr); err != nil {
			return err
		}
	}
	if c.App.Parent != "" {
		if err := tx.Do(`UPDATE app SET children = children - 1 WHERE org = $1 AND id = $2`, org, c.App.Parent); err != nil {
			return err
		}
	}
	children, err := All(tx, idOf, `SELECT id FROM app WHERE org = $1 AND parent = $2`, org, id)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := tx.DropApp(org, child); err != nil {
			return err
		}
	}
	return tx.Changed(kindApp)
}

// PutInstallation installs an app, or replaces the policy by which it is installed. Whether it is blocked stays as it is.
func (tx *Tx) PutInstallation(i *idp.Installation) error {
	doc, err := json.Marshal(i)
	if err != nil {
		return err
	}
	if err := tx.Do(`INSERT INTO installation (org, app, blocked, epoch, doc) VALUES ($1, $2, FALSE, 0, $3)
		ON CONFLICT (org, app) DO UPDATE SET doc = $3`, i.Org, i.App, string(doc)); err != nil {
		return err
	}
	return tx.Changed(kindApp)
}

// DropInstallation takes an app out of the org: everything it was given is dead. The row stays, with its epoch and its
// block, so that nothing comes back to life when the app is installed again. ErrGone: it is not installed.
func (tx *Tx) DropInstallation(org, app string) error {
	if err := tx.Gate(`UPDATE installation SET doc = '', epoch = epoch + 1 WHERE org = $1 AND app = $2 AND doc <> ''`, org, app); err != nil {
		return err
	}
	return tx.Changed(kindApp)
}

// SetBlocked blocks an app, installed or not, which ends everything it was given, or lifts the block, which gives nothing
// back. ErrGone: there is no such app, or nothing to change.
func (tx *Tx) SetBlocked(org, app string, blocked bool) error {
	query := `UPDATE installation SET blocked = FALSE WHERE org = $1 AND app = $2 AND blocked`
	if blocked {
		query = `INSERT INTO installation (org, app, blocked, epoch, doc) SELECT org, id, TRUE, 0, '' FROM app WHERE org = $1 AND id = $2
			ON CONFLICT (org, app) DO UPDATE SET blocked = TRUE, epoch = installation.epoch + 1 WHERE NOT installation.blocked`
	}
	if err := tx.Gate(query, org, app); err != nil {
		return err
	}
	return tx.Changed(kindApp)
}
