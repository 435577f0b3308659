package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
)

// People is the users of an org, and what they are put together by: groups, profiles, permission sets (and the org's
// scopes, which are declared alike).
type People struct{ s *Store }

// People returns the view of the users.
func (s *Store) People() People { return People{s} }

// userColumns is what a userScan reads, of a table usr that the query calls u.
const userColumns = `u.org, u.id, u.username, u.email, u.active, u.service, u.epoch, u.password, u.doc, u.created, u.changed`

// userScan reads userColumns, in a query of any view.
type userScan struct {
	u   idp.User
	doc string
}

func (s *userScan) dest() []any {
	u := &s.u
	return []any{&u.Org, &u.ID, &u.Username, &u.Email, &u.Active, &u.Service, &u.Epoch, &u.Password, &s.doc, &u.Created, &u.Changed}
}

// user returns what was scanned, a new one each time.
func (s *userScan) user() (*idp.User, error) {
	u := s.u
	if err := json.Unmarshal([]byte(s.doc), &u); err != nil {
		return nil, err
	}
	return &u, nil
}

func scanUser(r Row) (*idp.User, error) {
	var s userScan
	if err := r.Scan(s.dest()...); err != nil {
		return nil, err
	}
	return s.user()
}

// User reads a user by id, an inactive one too, or ErrNotFound.
func (p People) User(ctx context.Context, org, id string) (*idp.User, error) {
	return userByID(p.s.Read(ctx), org, id)
}

// ByName reads a user by username or e-mail address, as [idp.NameKey] compares them, or ErrNotFound.
func (p People) ByName(ctx context.Context, org, name string) (*idp.User, error) {
	return userByName(p.s.Read(ctx), org, name)
}

// User reads a user by id within the step, or ErrNotFound.
func (tx *Tx) User(org, id string) (*idp.User, error) { return userByID(tx, org, id) }

// UserByName reads a user by username or e-mail address within the step, or ErrNotFound.
func (tx *Tx) UserByName(org, name string) (*idp.User, error) { return userByName(tx, org, name) }

func userByID(r Reader, org, id string) (*idp.User, error) {
	return One(r, scanUser, `SELECT `+userColumns+` FROM usr u WHERE u.org = $1 AND u.id = $2`, org, id)
}

func userByName(r Reader, org, name string) (*idp.User, error) {
	return One(r, scanUser, `SELECT `+userColumns+` FROM login_name n JOIN usr u ON u.org = n.org AND u.id = n.usr
		WHERE n.org = $1 AND n.name = $2`, org, plainText(idp.NameKey(name), maxName))
}

// maxName bounds what is looked for: no name is longer.
const maxName = 512

// UserFilter says which users; what is empty does not matter.
type UserFilter struct {
	Kind  idp.Kind // with Ref: who has this profile, permission set or group
	Ref   string
	After string // a user's id: only those made after it, for the next page
	Limit int    // 0: 100
}

// List returns users in the order they were made, service users and inactive ones too.
func (p People) List(ctx context.Context, org string, f UserFilter) ([]*idp.User, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	r := p.s.Read(ctx)
	if f.Ref != "" {
		return All(r, scanUser, `SELECT `+userColumns+` FROM member m JOIN usr u ON u.org = m.org AND u.id = m.usr
			WHERE m.org = $1 AND m.kind = $2 AND m.ref = $3 AND m.usr > $4 ORDER BY m.usr LIMIT $5`, org, string(f.Kind), f.Ref, f.After, f.Limit)
	}
	return All(r, scanUser, `SELECT `+userColumns+` FROM usr u WHERE u.org = $1 AND u.id > $2 ORDER BY u.id LIMIT $3`, org, f.After, f.Limit)
}

// AddUser makes a user and sets ID, Created and Changed. It is a [*Taken] if somebody signs in by its username or email.
func (tx *Tx) AddUser(u *idp.User) error {
	if u.ID == "" {
		u.ID = tx.store.newID()
	}
	u.Created = tx.store.Now().UTC().Truncate(time.Microsecond)
	u.Changed = u.Created
	if err := tx.pruneRefs(u); err != nil {
		return err
	}
	doc, err := json.Marshal(u)
	if err != nil {
		return err
	}
	if err := tx.Do(`INSERT INTO usr (org, id, username, email, active, service, epoch, password, doc, created, changed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		u.Org, u.ID, u.Username, u.Email, u.Active, u.Service, u.Epoch, u.Password, string(doc), u.Created, u.Changed); err != nil {
		return err
	}
	if err := tx.putLoginNames(u); err != nil {
		return err
	}
	return tx.putMembers(u)
}

// AddFirst makes the first user of an org, spending the set-up link. ErrGone: the link is spent, or there are users.
func (tx *Tx) AddFirst(u *idp.User, link string) error {
	if err := tx.TakeSetupLink(u.Org, link); err != nil {
		return err
	}
	var some string
	switch err := tx.QueryRow(`SELECT id FROM usr WHERE org = $1 AND NOT service LIMIT 1`, u.Org).Scan(&some); {
	case err == nil:
		return ErrGone
	case !errors.Is(err, ErrNotFound):
		return err
	}
	return tx.AddUser(u)
}

// PutUser replaces what is known of a user but for the password and whether they are active, which have steps of their
// own, and sets Changed. ErrGone: there is no such user. It is a [*Taken] if somebody else has the username or email.
func (tx *Tx) PutUser(u *idp.User) error {
	old, err := tx.User(u.Org, u.ID)
	if errors.Is(err, ErrNotFound) {
		return ErrGone
	}
	if err != nil {
		return err
	}
	if err := tx.pruneRefs(u); err != nil {
		return err
	}
	doc, err := json.Marshal(u)
	if err != nil {
		return err
	}
	u.Changed = tx.store.Now().UTC().Truncate(time.Microsecond)
	if err := tx.Gate(`UPDATE usr SET username = $3, email = $4, service = $5, doc = $6, changed = $7 WHERE org = $1 AND id = $2`,
		u.Org, u.ID, u.Username, u.Email, u.Service, string(doc), u.Changed); err != nil {
		return err
	}
	if !u.Admin() || u.Service {
		tx.admins.lost(u.Org, old)
	}
	if old.Username != u.Username || old.Email != u.Email {
		if err := tx.Do(`DELETE FROM login_name WHERE org = $1 AND usr = $2`, u.Org, u.ID); err != nil {
			return err
		}
		if err := tx.putLoginNames(u); err != nil {
			return err
		}
	}
	if slices.Equal(members(old), members(u)) {
		return nil
	}
	if err := tx.Do(`DELETE FROM member WHERE org = $1 AND usr = $2`, u.Org, u.ID); err != nil {
		return err
	}
	return tx.putMembers(u)
}

// DropUser deletes a user, what they signed in with and what they agreed to. Their sessions and grants are dead with
// them. Their persistent NameIDs stay, so that nobody is ever given one of them. ErrGone: there is no such user.
func (tx *Tx) DropUser(org, id string) error {
	u, err := tx.gateUser(`DELETE FROM usr WHERE org = $1 AND id = $2 RETURNING active, service, doc`, org, id)
	if err != nil {
		return err
	}
	tx.admins.lost(org, u)
	for _, table := range []string{"login_name", "member", "consent"} {
		if err := tx.Do(`DELETE FROM `+table+` WHERE org = $1 AND usr = $2`, org, id); err != nil {
			return err
		}
	}
	return nil
}

// SetPassword replaces a user's password by another in PHC form, or takes it away. ErrGone: there is no such user.
func (tx *Tx) SetPassword(org, id, phc string) error {
	return tx.Gate(`UPDATE usr SET password = $3, changed = $4 WHERE org = $1 AND id = $2`, org, id, phc, tx.store.Now())
}

// SetActive activates or deactivates a user. Who is deactivated loses every session and grant for good. ErrGone: there
// is no such user, or nothing to change.
func (tx *Tx) SetActive(org, id string, active bool) error {
	if active {
		return tx.Gate(`UPDATE usr SET active = $3, changed = $4 WHERE org = $1 AND id = $2 AND active <> $3`, org, id, true, tx.store.Now())
	}
	u, err := tx.gateUser(`UPDATE usr SET active = $3, epoch = epoch + 1, changed = $4 WHERE org = $1 AND id = $2 AND active <> $3
		RETURNING active, service, doc`, org, id, false, tx.store.Now())
	if err != nil {
		return err
	}
	u.Active = true // it was
	tx.admins.lost(org, u)
	return nil
}

// EndUser ends every session and grant of a user, who may begin again. ErrGone: there is no such user.
func (tx *Tx) EndUser(org, id string) error {
	return tx.Gate(`UPDATE usr SET epoch = epoch + 1 WHERE org = $1 AND id = $2`, org, id)
}

// putLoginNames takes the names that u signs in with, of which there is one namespace.
func (tx *Tx) putLoginNames(u *idp.User) error {
	taken := map[string]bool{}
	for _, n := range []struct{ what, name string }{{"username", u.Username}, {"email", u.Email}} {
		key := idp.NameKey(n.name)
		if key == "" || taken[key] {
			continue
		}
		taken[key] = true
		err := tx.Gate(`INSERT INTO login_name (org, name, usr) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, u.Org, key, u.ID)
		if errors.Is(err, ErrGone) {
			by := "somebody else"
			if other, err := tx.UserByName(u.Org, n.name); err == nil {
				by = other.Username
			}
			return &Taken{What: n.what, Value: n.name, By: by}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type membership struct {
	kind idp.Kind
	ref  string
}

// kindOfApp as a membership is a service user's: the app that it was made for, and goes with.
const kindOfApp idp.Kind = "App"

func members(u *idp.User) (all []membership) {
	if u.Parent != "" {
		all = append(all, membership{kindOfApp, u.Parent})
	}
	if u.Profile != "" {
		all = append(all, membership{idp.KindProfile, u.Profile})
	}
	for _, id := range u.PermissionSets {
		all = append(all, membership{idp.KindPermissionSet, id})
	}
	for _, id := range u.Groups {
		all = append(all, membership{idp.KindGroup, id})
	}
	return all
}

func (tx *Tx) putMembers(u *idp.User) error {
	for _, m := range members(u) {
		if err := tx.Do(`INSERT INTO member (org, kind, ref, usr) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			u.Org, string(m.kind), m.ref, u.ID); err != nil {
			return err
		}
	}
	return nil
}

// pruneRefs leaves out of u what is named twice, and what has been deleted since u was read.
func (tx *Tx) pruneRefs(u *idp.User) error {
	keep := func(kind idp.Kind, ids []string) (kept []string, err error) {
		for _, id := range ids {
			if slices.Contains(kept, id) {
				continue
			}
			var name string
			switch err := tx.QueryRow(`SELECT name FROM named WHERE org = $1 AND kind = $2 AND id = $3`, u.Org, string(kind), id).Scan(&name); {
			case errors.Is(err, ErrNotFound):
			case err != nil:
				return nil, err
			default:
				kept = append(kept, id)
			}
		}
		return kept, nil
	}
	var err error
	if u.Groups, err = keep(idp.KindGroup, u.Groups); err != nil {
		return err
	}
	if u.PermissionSets, err = keep(idp.KindPermissionSet, u.PermissionSets); err != nil {
		return err
	}
	if u.Profile != "" {
		one, err := keep(idp.KindProfile, []string{u.Profile})
		if err != nil {
			return err
		}
		if len(one) == 0 {
			u.Profile = ""
		}
	}
	return nil
}
