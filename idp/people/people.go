// Package people is the life of a user: each change is one call, one transaction and one event, whoever asked for it
// (the set-up page, the person's own account, the command line, a declaration).
//
//	people.go     what is done to a user
//	check.go      what a username, an e-mail address and a password may be
//	guess.go      which passwords are guessed first
//	password.go   how passwords are kept and compared
//
// What takes a *store.Tx is a part of somebody else's step; the rest are steps of their own. A step that would leave no
// active administrator is a store.ErrLastAdmin.
package people

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// People does what is done to users.
type People struct {
	Store *store.Store

	slots chan struct{} // one for each core: hashing takes memory and time
	wait  atomic.Int64  // how many wait for one
}

// New returns the operations on the users in st.
func New(st *store.Store) *People {
	return &People{Store: st, slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// Create makes a user with a password, or without one where it is empty. It is a [*Fault] if something about the user
// can not be, or a [*store.Taken] if the username or e-mail address is somebody else's.
func (p *People) Create(ctx context.Context, u *idp.User, password string) error {
	if err := p.newPassword(ctx, u, password); err != nil {
		return err
	}
	return p.Store.Write(ctx, func(tx *store.Tx) error { return p.Add(ctx, tx, u) })
}

// CreateFirst makes the first user of an org, an administrator, spending the set-up link of that id. store.ErrGone:
// somebody was first.
func (p *People) CreateFirst(ctx context.Context, u *idp.User, password, link string) error {
	if password == "" {
		return fault("password.short", "the password is too short; use at least 8 characters")
	}
	if u.Email == "" {
		return fault("setup.email", "an e-mail address is needed")
	}
	if err := Check(u); err != nil {
		return err
	}
	if err := p.newPassword(ctx, u, password); err != nil {
		return err
	}
	return p.Store.Write(ctx, func(tx *store.Tx) error {
		if err := tx.AddFirst(u, link); err != nil {
			return err
		}
		return event(ctx, tx, "insertUser", u, "the first administrator, by the set-up link")
	})
}

func (p *People) newPassword(ctx context.Context, u *idp.User, password string) error {
	if password == "" {
		return nil
	}
	phc, err := p.Chosen(ctx, u, password)
	u.Password = phc
	return err
}

// Chosen returns a password that u chooses in PHC form; to store it is a step of the caller's. It is a [*Fault] if the
// password can not be.
func (p *People) Chosen(ctx context.Context, u *idp.User, password string) (phc string, err error) {
	o, err := p.Store.Orgs().Org(ctx, u.Org)
	if err != nil {
		return "", err
	}
	if err := checkChosen(o, u, password); err != nil {
		return "", err
	}
	return p.Hash(ctx, password)
}

// Add is Create within a step, with u.Password set already.
func (p *People) Add(ctx context.Context, tx *store.Tx, u *idp.User) error {
	if err := Check(u); err != nil {
		return err
	}
	if err := tx.AddUser(u); err != nil {
		return err
	}
	return event(ctx, tx, "insertUser", u, "")
}

// Change replaces what is known of a user; password and activity have operations of their own.
func (p *People) Change(ctx context.Context, tx *store.Tx, u *idp.User, what string) error {
	if err := Check(u); err != nil {
		return err
	}
	if err := tx.PutUser(u); err != nil {
		return err
	}
	return event(ctx, tx, "changeUser", u, what)
}

// PutPassword gives a user another password, in PHC form. Sessions and grants live on: whoever asks ends those that must.
func (p *People) PutPassword(ctx context.Context, tx *store.Tx, u *idp.User, phc string) error {
	if err := tx.SetPassword(u.Org, u.ID, phc); err != nil {
		return err
	}
	return event(ctx, tx, "changePassword", u, "")
}

// SetActive activates a user, or deactivates one: every session and grant of theirs ends, for good. store.ErrGone:
// there is no such user, or nothing to change.
func (p *People) SetActive(ctx context.Context, tx *store.Tx, u *idp.User, active bool) error {
	code := "deactivateUser"
	if active {
		code = "activateUser"
	}
	if err := tx.SetActive(u.Org, u.ID, active); err != nil {
		return err
	}
	u.Active = active
	return event(ctx, tx, code, u, "")
}

// Delete deletes a user. Their name is free again, but nothing of theirs passes to the next who has it.
func (p *People) Delete(ctx context.Context, tx *store.Tx, u *idp.User) error {
	if err := tx.DropUser(u.Org, u.ID); err != nil {
		return err
	}
	return event(ctx, tx, "deleteUser", u, u.Username)
}

// SetAdmin makes a user an administrator of this house, or no more one. reason goes into the event. store.ErrGone: there
// is nothing to change.
func (p *People) SetAdmin(ctx context.Context, tx *store.Tx, u *idp.User, admin bool, reason string) error {
	now, err := tx.User(u.Org, u.ID)
	if errors.Is(err, store.ErrNotFound) || err == nil && now.Admin() == admin {
		return store.ErrGone
	}
	if err != nil {
		return err
	}
	code := "revokeAdmin"
	now.Roles = slices.DeleteFunc(now.Roles, func(role string) bool { return role == idp.RoleAdmin })
	if admin {
		code = "grantAdmin"
		now.Roles = append(now.Roles, idp.RoleAdmin)
	}
	if err := tx.PutUser(now); err != nil {
		return err
	}
	u.Roles = now.Roles
	return event(ctx, tx, code, u, reason)
}

func event(ctx context.Context, tx *store.Tx, code string, u *idp.User, reason string) error {
	return tx.Event(ctx, idp.Event{Org: u.Org, Code: code, User: u.ID, Reason: reason, Outcome: idp.OK})
}
