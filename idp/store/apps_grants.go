package store

import (
	"context"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/oidc"
)

// GrantFilter says which grants; what is empty does not matter.
type GrantFilter struct {
	App, User string // ids
	Before    string // a grant's id: only older ones, for the next page
	Limit     int    // 0: 100
}

// GrantsOf returns the living grants by which apps act for a user, the newest first.
func (a Apps) GrantsOf(ctx context.Context, org, usr string) ([]*oidc.Grant, error) {
	return a.Grants(ctx, org, GrantFilter{User: usr, Limit: 500})
}

// Grants returns living grants, the newest first, each with its Holder, a *idp.User.
func (a Apps) Grants(ctx context.Context, org string, f GrantFilter) ([]*oidc.Grant, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	args := []any{org, f.Limit, a.s.Now()}
	where := ""
	for _, c := range []struct{ condition, value string }{{" AND g.app = ", f.App}, {" AND g.usr = ", f.User}, {" AND g.id < ", f.Before}} {
		if c.value != "" {
			args = append(args, c.value)
			where += c.condition + placeholder(len(args))
		}
	}
	return All(a.s.Read(ctx), func(r Row) (*oidc.Grant, error) {
		var s grantScan
		if err := r.Scan(s.dest()...); err != nil {
			return nil, err
		}
		return s.grant()
	}, `SELECT `+grantColumns+`, `+userColumns+` FROM`+livingGrant+` WHERE g.org = $1`+livingWhere+
		` AND g.ends > $3`+where+` ORDER BY g.id DESC LIMIT $2`, args...)
}

// RevokeGrant ends one grant of a user with all its tokens, and takes the user's consent to the app back, so that it must
// ask again. No code that the app holds becomes another grant; other grants of the app live on. It returns the app.
// ErrNotFound: the user has no grant of that id.
func (a Apps) RevokeGrant(ctx context.Context, org, usr, id string) (app string, err error) {
	err = a.s.Write(ctx, func(tx *Tx) error {
		if err := tx.QueryRow(`DELETE FROM grants WHERE org = $1 AND id = $2 AND usr = $3 RETURNING app`, org, id, usr).Scan(&app); err != nil {
			return err
		}
		if err := dropAgreed(tx, ` WHERE org = $1 AND usr = $2 AND app = $3`, org, usr, app); err != nil {
			return err
		}
		return tx.Event(ctx, idp.Event{Org: org, Code: "revokeGrant", User: usr, App: app})
	})
	return app, err
}

// RevokeGrants ends all grants of an app, of a user, of a user's with an app, or, where both are empty, of the whole org.
// The tokens die with them at once, on every node. What is taken from one user is taken with their consent.
func (a Apps) RevokeGrants(ctx context.Context, org, app, usr string) error {
	return a.s.Write(ctx, func(tx *Tx) error {
		var err error
		what := ""
		switch {
		case app != "" && usr != "":
			err = dropGiven(tx, ` WHERE org = $1 AND app = $2 AND usr = $3`, org, app, usr)
			what = "all the user gave the app"
		case app != "":
			// One number ends any number of them: whoever has an older epoch is dead.
			err = tx.Gate(`UPDATE app SET epoch = epoch + 1 WHERE org = $1 AND id = $2`, org, app)
			what = "all that was given the app"
		case usr != "":
			err = dropGiven(tx, ` WHERE org = $1 AND usr = $2`, org, usr)
			what = "all the user gave"
		default:
			_, err = tx.Exec(`UPDATE app SET epoch = epoch + 1 WHERE org = $1`, org)
			what = "all of the org"
		}
		if err != nil {
			return err
		}
		if err := tx.Event(ctx, idp.Event{Org: org, Code: "revokeGrant", User: usr, App: app, Reason: what}); err != nil {
			return err
		}
		return tx.Changed(kindApp)
	})
}

// AllSessions lists the living sessions of an org, the newest first; before is a session's id, for the next page.
func (v SignIn) AllSessions(ctx context.Context, org, before string, limit int) ([]*idp.Session, error) {
	args, where := []any{org, v.s.Now(), limit}, ""
	if before != "" {
		args, where = append(args, before), " AND s.id < $4"
	}
	return All(v.s.Read(ctx), func(r Row) (*idp.Session, error) {
		s, _, err := sessionRow(r)
		return s, err
	}, `SELECT `+sessionColumns+sessionJoin+` AND s.expires > $2`+where+` ORDER BY s.id DESC LIMIT $3`, args...)
}

// dropGiven ends what a user gave: first the codes that would become grants, so that none does behind our back, then the
// grants.
func dropGiven(tx *Tx, where string, args ...any) error {
	if err := dropAgreed(tx, where, args...); err != nil {
		return err
	}
	return tx.Do(`DELETE FROM grants`+where, args...)
}

// dropAgreed ends what would become grants: the consents and the codes. A code that was redeemed stays, so that its
// second use is seen.
func dropAgreed(tx *Tx, where string, args ...any) error {
	if err := tx.Do(`DELETE FROM code`+where+` AND NOT redeemed`, args...); err != nil {
		return err
	}
	return tx.Do(`DELETE FROM consent`+where, args...)
}
