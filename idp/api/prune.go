package api

import (
	"context"
	"maps"
	"slices"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// prune deletes what the same set made and no longer names.
func (a *applying) prune(ctx context.Context) error {
	after := ""
	for {
		page, err := a.Store.Apps().List(ctx, a.org.ID, store.AppFilter{After: after, Limit: 500})
		if err != nil {
			return err
		}
		for _, c := range page {
			after = c.App.ID
			app := c.App
			if app.Set != a.Set || app.Parent != "" || a.seen["App/"+app.APIName] {
				continue
			}
			a.plan.line("-", "App", app.APIName)
			a.do(nil, func(tx *store.Tx) error { return a.Apps.Delete(ctx, tx, &app) })
		}
		if len(page) < 500 {
			break
		}
	}
	if err := a.pruneUsers(ctx); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(a.named)) {
		n := a.named[key]
		if n.Set != a.Set || a.seen[key] {
			continue
		}
		a.plan.line("-", string(n.Kind), n.Name)
		a.do(nil, func(tx *store.Tx) error {
			if err := tx.DropNamed(a.org.ID, n.Kind, n.ID); err != nil {
				return err
			}
			return a.event(ctx, tx, "delete"+string(n.Kind), n.Name)
		})
	}
	return nil
}

func (a *applying) pruneUsers(ctx context.Context) error {
	after, kept := "", 0
	for {
		page, err := a.Store.People().List(ctx, a.org.ID, store.UserFilter{After: after, Limit: 500})
		if err != nil {
			return err
		}
		for _, u := range page {
			after = u.ID
			if u.Set != a.Set || u.Parent != "" || a.seen["User/"+idp.NameKey(u.Username)] {
				continue
			}
			if !a.PruneUsers {
				kept++
				continue
			}
			a.plan.line("-", "User", u.Username)
			a.do(nil, func(tx *store.Tx) error { return a.People.Delete(ctx, tx, u) })
		}
		if len(page) < 500 {
			break
		}
	}
	switch {
	case kept == 1:
		a.plan.note("1 user of this set is no longer declared and stays; --prune-users deletes it")
	case kept > 1:
		a.plan.note("%d users of this set are no longer declared and stay; --prune-users deletes them", kept)
	}
	return nil
}
