package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
)

// ErrMasterKey says that the database was made with another master key.
var ErrMasterKey = errors.New("store: the master key is not the one this database was made with")

const (
	masterCheck = "master-check"
	masterWords = "this database is sealed with this key"
)

// CheckMaster compares the master key with a sealed value that the first opening leaves in the database. Nothing that is
// sealed may be written before: with two keys in one database, each opens only half of it.
func (s *Store) CheckMaster(ctx context.Context) error {
	var sealed []byte
	read := func(r Reader) error {
		return r.QueryRow(`SELECT value FROM meta WHERE name = $1`, masterCheck).Scan(&sealed)
	}
	err := read(s.Read(ctx))
	if errors.Is(err, ErrNotFound) {
		mine := s.sealer.Seal(masterCheck, []byte(masterWords))
		err = s.Write(ctx, func(tx *Tx) error {
			if err := tx.Do(`INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`, masterCheck, mine); err != nil {
				return err
			}
			return read(tx)
		})
	}
	if err != nil {
		return err
	}
	if words, err := s.sealer.Open(masterCheck, sealed); err != nil || !bytes.Equal(words, []byte(masterWords)) {
		return ErrMasterKey
	}
	return nil
}

// Settle writes down the org's public address, Issuer and EntityID, which a command made without knowing them. ErrGone:
// they are written already.
func (o Orgs) Settle(ctx context.Context, id, url string) error {
	org, err := o.Org(ctx, id)
	if err != nil {
		return err
	}
	doc, err := json.Marshal(orgDoc{url, url + "/saml/metadata", org.SessionIdle, org.SessionAbsolute})
	if err != nil {
		return err
	}
	return o.s.Write(ctx, func(tx *Tx) error {
		if err := tx.Gate(`UPDATE org SET url = $2, doc = $3 WHERE id = $1 AND url = ''`, id, url, string(doc)); err != nil {
			return err
		}
		return tx.Changed(kindOrg)
	})
}
