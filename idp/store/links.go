package store

import (
	"context"
	"errors"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
)

const linkSignIn = "signin"

// SetupLink keeps the link by which the first administrator is made, and returns its id and secret. Of nodes that start at
// once, and of starts one after another, the first makes it, with the secret and hash given; the others find that one,
// and it lives on until expires. ErrExists: the org has people already.
func (v SignIn) SetupLink(ctx context.Context, org, secret string, hash []byte, expires time.Time) (string, string, error) {
	fresh := v.s.NewID()
	mine := v.s.sealer.Seal(linkPlace(org, fresh), []byte(secret))
	id, sealed := fresh, mine
	err := v.s.Write(ctx, func(tx *Tx) error {
		// Nodes that start at once: the org's row makes one wait for the other.
		if err := tx.Gate(`UPDATE org SET epoch = epoch WHERE id = $1`, org); err != nil {
			return err
		}
		var some string
		switch err := tx.QueryRow(`SELECT id FROM usr WHERE org = $1 AND NOT service LIMIT 1`, org).Scan(&some); {
		case err == nil:
			return ErrExists
		case !errors.Is(err, ErrNotFound):
			return err
		}
		err := tx.QueryRow(`UPDATE link SET expires = $4 WHERE org = $1 AND kind = $2 AND expires > $3 AND sealed IS NOT NULL RETURNING id, sealed`,
			org, linkSetup, v.s.Now(), expires).Scan(&id, &sealed)
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		if err := tx.Do(`DELETE FROM link WHERE org = $1 AND kind = $2`, org, linkSetup); err != nil {
			return err
		}
		id, sealed = fresh, mine
		return tx.Do(`INSERT INTO link (org, id, hash, kind, usr, expires, sealed) VALUES ($1, $2, $3, $4, '', $5, $6)`,
			org, id, hash, linkSetup, expires, sealed)
	})
	if err != nil {
		return "", "", err
	}
	text, err := v.s.sealer.Open(linkPlace(org, id), sealed)
	return id, string(text), err
}

func linkPlace(org, id string) string { return "link\x00" + org + "\x00" + id }

// AddSignInLink makes a link by which u signs in once, without a password; one made before is dead. why goes into
// the event. ErrGone: u can not sign in.
func (v SignIn) AddSignInLink(ctx context.Context, u *idp.User, hash []byte, expires time.Time, why string) (id string, err error) {
	id = v.s.NewID()
	return id, v.s.Write(ctx, func(tx *Tx) error {
		if err := tx.Do(`DELETE FROM link WHERE org = $1 AND kind = $2 AND usr = $3`, u.Org, linkSignIn, u.ID); err != nil {
			return err
		}
		var orgEpoch, usrEpoch int64
		err := tx.QueryRow(`SELECT o.epoch, u.epoch FROM usr u JOIN org o ON o.id = u.org WHERE u.org = $1 AND u.id = $2 AND u.active AND NOT u.service`,
			u.Org, u.ID).Scan(&orgEpoch, &usrEpoch)
		if errors.Is(err, ErrNotFound) {
			return ErrGone
		}
		if err != nil {
			return err
		}
		if err := tx.Do(`INSERT INTO link (org, id, hash, kind, usr, expires, org_epoch, usr_epoch) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			u.Org, id, hash, linkSignIn, u.ID, expires, orgEpoch, usrEpoch); err != nil {
			return err
		}
		return tx.Event(ctx, idp.Event{Org: u.Org, Code: "insertSigninLink", User: u.ID, Reason: why})
	})
}

// SignInLink reads the hash of a living link's secret, and whom it signs in, or ErrNotFound. It is dead with all that the
// user had when it was made.
func (v SignIn) SignInLink(ctx context.Context, org, id string) (hash []byte, u *idp.User, err error) {
	var s userScan
	err = v.s.Read(ctx).QueryRow(`SELECT l.hash, `+userColumns+` FROM link l
		JOIN usr u ON u.org = l.org AND u.id = l.usr AND u.epoch = l.usr_epoch AND u.active AND NOT u.service
		JOIN org o ON o.id = l.org AND o.epoch = l.org_epoch
		WHERE l.org = $1 AND l.id = $2 AND l.kind = $3 AND l.expires > $4`, org, id, linkSignIn, v.s.Now()).Scan(append([]any{&hash}, s.dest()...)...)
	if err != nil {
		return nil, nil, err
	}
	u, err = s.user()
	return hash, u, err
}

// takeSignInLink spends a link in the step that signs its user in, under these epochs. ErrGone: somebody was first, or it is dead.
func (tx *Tx) takeSignInLink(org, id, usr string, orgEpoch, usrEpoch int64) error {
	return tx.Gate(`DELETE FROM link WHERE org = $1 AND id = $2 AND kind = $3 AND usr = $4 AND org_epoch = $5 AND usr_epoch = $6 AND expires > $7`,
		org, id, linkSignIn, usr, orgEpoch, usrEpoch, tx.store.Now())
}
