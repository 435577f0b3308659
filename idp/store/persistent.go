package store

import (
	"context"
	"errors"
)

// PersistentID reads the user's pairwise NameID towards a SAML entity, or ErrNotFound. Where there is none, create becomes
// it, unless create is empty. Of several that create one at once, all get the same.
func (p People) PersistentID(ctx context.Context, org, entityID, usr, create string) (string, error) {
	read := func(r Reader) (value string, err error) {
		err = r.QueryRow(`SELECT value FROM persistent_id WHERE org = $1 AND entity_id = $2 AND usr = $3`, org, entityID, usr).Scan(&value)
		return value, err
	}
	value, err := read(p.s.Read(ctx))
	if !errors.Is(err, ErrNotFound) || create == "" {
		return value, err
	}
	err = p.s.Write(ctx, func(tx *Tx) error {
		if err := tx.Do(`INSERT INTO persistent_id (org, entity_id, usr, value) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			org, entityID, usr, create); err != nil {
			return err
		}
		value, err = read(tx)
		return err
	})
	return value, err
}

// PutPersistentID sets the user's pairwise NameID towards a SAML entity, as another identity provider gave it before. It
// is a [*Taken] if somebody else has that one, or the user has another: what an app knows a person by never changes.
func (tx *Tx) PutPersistentID(org, entityID, usr, value string) error {
	if err := tx.Do(`INSERT INTO persistent_id (org, entity_id, usr, value) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		org, entityID, usr, value); err != nil {
		return err
	}
	var has string
	err := tx.QueryRow(`SELECT value FROM persistent_id WHERE org = $1 AND entity_id = $2 AND usr = $3`, org, entityID, usr).Scan(&has)
	if errors.Is(err, ErrNotFound) || err == nil && has != value {
		return &Taken{What: "persistentID", Value: value, By: "somebody else, or the user has another"}
	}
	return err
}

// PersistentIDs reads the user's pairwise NameIDs by entity ID.
func (p People) PersistentIDs(ctx context.Context, org, usr string) (map[string]string, error) {
	all := map[string]string{}
	err := p.s.Read(ctx).Each(func(r Row) error {
		var entity, value string
		err := r.Scan(&entity, &value)
		all[entity] = value
		return err
	}, `SELECT entity_id, value FROM persistent_id WHERE org = $1 AND usr = $2`, org, usr)
	return all, err
}
