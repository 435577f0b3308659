package store

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/lanyard-sso/lanyard/idp"
)

// ErrLastAdmin says that a step was undone because no active administrator would have been left after it.
var ErrLastAdmin = errors.New("store: this would leave nobody who is an active administrator")

// admins is what a step does to those who administer.
type admins struct {
	orgs []string // in which it took one away
	last bool     // it may take the last one
}

// lost takes note that u, as it was, is an active administrator of org no more.
func (a *admins) lost(org string, u *idp.User) {
	if u.Active && !u.Service && u.Admin() && !slices.Contains(a.orgs, org) {
		a.orgs = append(a.orgs, org)
	}
}

// AllowNoAdmin lets the step take away the last active administrator of an org. Any other that does is an [ErrLastAdmin].
func (tx *Tx) AllowNoAdmin() { tx.admins.last = true }

// gateUser is a Gate that returns what it left of a user: query ends with RETURNING active, service, doc.
func (tx *Tx) gateUser(query string, args ...any) (*idp.User, error) {
	var u idp.User
	var doc string
	err := tx.QueryRow(query, args...).Scan(&u.Active, &u.Service, &doc)
	if errors.Is(err, ErrNotFound) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, err
	}
	return &u, json.Unmarshal([]byte(doc), &u)
}

// KeepAdmins sees that an active administrator is left where the step took one away, or is an [ErrLastAdmin]. Every step
// ends with it, so that the order in which it does things does not matter; one that is only tried calls it by itself. Of steps on several nodes each waits at the org's row for the one before, and sees what that did.
func (tx *Tx) KeepAdmins() error {
	if tx.admins.last {
		return nil
	}
	for _, org := range tx.admins.orgs {
		if err := tx.Do(`UPDATE org SET epoch = epoch WHERE id = $1`, org); err != nil {
			return err
		}
		found, err := hasAdmin(tx, org)
		if err != nil {
			return err
		}
		if !found {
			return ErrLastAdmin
		}
	}
	return nil
}

// hasAdmin tells if an org has an active administrator. No index: they are few and old, and this is rarely asked.
func hasAdmin(r Reader, org string) (found bool, err error) {
	err = r.Each(func(row Row) error {
		u, err := scanUser(row)
		if err == nil && u.Admin() {
			found = true
			return errEnough
		}
		return err
	}, `SELECT `+userColumns+` FROM usr u WHERE u.org = $1 AND u.active AND NOT u.service AND u.doc LIKE '%"roles":%' ORDER BY u.id`, org)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}
