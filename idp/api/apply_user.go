package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/people"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// hashing is a declared password that must be hashed before the step.
type hashing struct {
	u     *idp.User
	plain string
}

func (a *applying) hash(ctx context.Context) error {
	for _, h := range a.hashes {
		phc, err := a.People.Hash(ctx, h.plain)
		if err != nil {
			return err
		}
		h.u.Password = phc
	}
	return nil
}

func (a *applying) lookUp(ctx context.Context, name string) (*idp.User, error) {
	u, err := a.Store.People().ByName(ctx, a.org.ID, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return u, err
}

// user compares a user.
func (a *applying) user(ctx context.Context, p place, v *UserDoc) error {
	old := a.users[idp.NameKey(v.Username)]
	u := &idp.User{Org: a.org.ID, ID: a.refs.users[idp.NameKey(v.Username)], Set: a.Set}
	var oldDoc any = &UserDoc{}
	persistent := map[string]string{}
	if old != nil {
		*u = *old
		var err error
		if persistent, err = a.Store.People().PersistentIDs(ctx, a.org.ID, old.ID); err != nil {
			return err
		}
		oldDoc = a.names.userDoc(old, persistent)
	}
	a.refs.buildUser(p, v, u)
	if err := people.Check(u); err != nil {
		p.fault("", "%s", err)
	}
	now := map[string]string{}
	for k, x := range persistent {
		now[k] = x
	}
	for k, x := range v.PersistentIDs {
		now[k] = x
	}
	changes := compare(oldDoc, a.names.userDoc(u, now))
	newPassword, err := a.password(p, v.Password, u)
	if err != nil {
		return err
	}
	declared := v.PersistentIDs
	put := func(tx *store.Tx) error {
		for entity, value := range declared {
			if err := tx.PutPersistentID(u.Org, entity, u.ID, value); err != nil {
				return err
			}
		}
		return nil
	}
	if old == nil {
		a.plan.line("+", "User", u.Username)
		a.do(&p, func(tx *store.Tx) error {
			if err := a.People.Add(ctx, tx, u); err != nil {
				return err
			}
			return put(tx)
		})
		return nil
	}
	if newPassword {
		changes = append(changes, Change{"password", hidden, hidden})
	}
	if len(changes) == 0 {
		return nil
	}
	l := a.plan.line("~", "User", u.Username, changes...)
	what := l.what()
	activity := old.Active != u.Active
	a.do(&p, func(tx *store.Tx) error {
		if err := a.People.Change(ctx, tx, u, what); err != nil {
			return err
		}
		if activity {
			if err := a.People.SetActive(ctx, tx, u, u.Active); err != nil {
				return err
			}
		}
		if newPassword {
			if err := a.People.PutPassword(ctx, tx, u, u.Password); err != nil {
				return err
			}
		}
		return put(tx)
	})
	return nil
}

// password tells if the document's own value is another than the one it set last, so that a person's own change is not
// undone by the next apply.
func (a *applying) password(p place, d *Password, u *idp.User) (isNew bool, err error) {
	if d == nil {
		return false, nil
	}
	value := "plain:" + d.Plain
	switch {
	case (d.Plain == "") == (d.Hash == ""):
		p.fault("password", "say plain or hash, one of them")
		return false, nil
	case d.Hash != "":
		value = "hash:" + d.Hash
		if err := people.Import(d.Hash); err != nil {
			p.fault("password.hash", "%s", err)
			return false, nil
		}
	default:
		if err := people.CheckPassword(d.Plain); err != nil {
			p.fault("password.plain", "%s", err)
			return false, nil
		}
	}
	sum := sha256.Sum256([]byte(value))
	sealer, place := a.Sealer.For("declared-password"), u.Org+"/"+u.ID
	if sealed, err := base64.StdEncoding.DecodeString(u.Declared); err == nil && len(sealed) > 0 {
		if last, err := sealer.Open(place, sealed); err == nil && string(last) == string(sum[:]) {
			return false, nil
		}
	}
	u.Declared = base64.StdEncoding.EncodeToString(sealer.Seal(place, sum[:]))
	u.Password = d.Hash
	if d.Plain != "" {
		a.hashes = append(a.hashes, &hashing{u, d.Plain})
	}
	return true, nil
}
