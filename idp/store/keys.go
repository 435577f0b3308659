package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/keys"
)

// Keys is the signing keys of an org.
type Keys struct{ s *Store }

// Keys returns the view of the signing keys.
func (s *Store) Keys() Keys { return Keys{s} }

// lifetimes of signing keys. Nothing that is signed lives longer than an ID token may: 720 minutes; what a key signed in its
// last second is valid for as long again as a day leaves.
func lifetimes() keys.Lifetimes { return keys.Lifetimes{Retire: 24 * time.Hour} }

// Ring returns the keys of an org and use, parsed once.
func (k Keys) Ring(ctx context.Context, org string, use keys.Use) (*keys.Ring, error) {
	return k.s.definitions.rings.Get(ctx, cacheKey(org, string(use)))
}

func (s *Store) loadRing(ctx context.Context, key string) (*keys.Ring, error) {
	org, use := cutKey(key)
	records, err := keyRecords(s.Read(ctx), org, keys.Use(use))
	if err != nil {
		return nil, err
	}
	return keys.NewRing(s.sealer, records)
}

// List returns the records of an org's keys of one use, in no order.
func (k Keys) List(ctx context.Context, org string, use keys.Use) ([]keys.Record, error) {
	return keyRecords(k.s.Read(ctx), org, use)
}

func keyRecords(r Reader, org string, use keys.Use) ([]keys.Record, error) {
	return All(r, func(row Row) (keys.Record, error) {
		rec := keys.Record{Org: org, Use: use}
		var state string
		err := row.Scan(&rec.ID, &state, &rec.Sealed, &rec.Public, &rec.Certificate, &rec.Created, &rec.Changed)
		rec.State = keys.State(state)
		if len(rec.Certificate) == 0 {
			rec.Certificate = nil
		}
		return rec, err
	}, `SELECT id, state, sealed, public, certificate, created, changed FROM signing_key WHERE org = $1 AND purpose = $2`, org, string(use))
}

// EnsureKeys makes the first keys of an org where it has none: a token key that signs and the next one, announced from the
// first day, and one SAML key. Of several nodes that start at once one makes them; the others find them.
func (k Keys) EnsureKeys(ctx context.Context, org *idp.Org) error {
	for _, use := range []keys.Use{keys.OIDC, keys.SAML} {
		have, err := k.List(ctx, org.ID, use)
		if err != nil {
			return err
		}
		if len(have) > 0 {
			continue
		}
		states := []keys.State{keys.Active}
		if use == keys.OIDC {
			states = append(states, keys.Next)
		}
		made, err := k.make(org, use, states)
		if err != nil {
			return err
		}
		err = k.s.Write(ctx, func(tx *Tx) error {
			// One active key an org and use is a rule of the database, so only one node passes.
			for _, r := range made {
				if err := tx.addKey(r); err != nil {
					return err
				}
			}
			if err := tx.Event(ctx, idp.Event{Org: org.ID, Code: "insertSigningKey", Reason: "the first " + string(use) + " keys"}); err != nil {
				return err
			}
			return tx.Changed(kindKey)
		})
		if err != nil && !errors.Is(err, ErrGone) {
			return err
		}
	}
	return nil
}

// make makes keys, all at once: each takes a while. It is never done inside a step.
func (k Keys) make(org *idp.Org, use keys.Use, states []keys.State) ([]keys.Record, error) {
	name := org.EntityID
	if name == "" {
		name = "Lanyard"
	}
	if u, err := url.Parse(org.URL); err == nil && u.Hostname() != "" {
		name = u.Hostname()
	}
	made, errs := make([]keys.Record, len(states)), make([]error, len(states))
	var wait sync.WaitGroup
	for i, state := range states {
		wait.Go(func() { made[i], errs[i] = k.s.sealer.Make(org.ID, use, state, name, k.s.Now()) })
	}
	wait.Wait()
	return made, errors.Join(errs...)
}

// addKey stores a new key. ErrGone: there is one in its state already.
func (tx *Tx) addKey(r keys.Record) error {
	return tx.Gate(`INSERT INTO signing_key (org, id, purpose, state, sealed, public, certificate, created, changed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
		r.Org, r.ID, string(r.Use), string(r.State), r.Sealed, r.Public, r.Certificate, r.Created, r.Changed)
}

// Rotate moves the keys of one use one step on, because somebody asked for it; keys.Step says what that is. It returns what
// was done. A *keys.TooSoon: the next key has not been announced long enough, and force is not set. ErrGone: somebody else
// moved them at the same moment.
func (k Keys) Rotate(ctx context.Context, org *idp.Org, use keys.Use, force bool) ([]keys.Change, error) {
	have, err := k.List(ctx, org.ID, use)
	if err != nil {
		return nil, err
	}
	changes, err := keys.Step(have, lifetimes(), k.s.Now(), force)
	if err != nil {
		return nil, err
	}
	return changes, k.apply(ctx, org, use, changes, "rotateSigningKey")
}

// Due does what time alone asks for in the keys of an org. Any number of nodes may call it at once.
func (k Keys) Due(ctx context.Context, org *idp.Org) error {
	for _, use := range []keys.Use{keys.OIDC, keys.SAML} {
		have, err := k.List(ctx, org.ID, use)
		if err != nil {
			return err
		}
		changes, makeNext := keys.Due(have, lifetimes(), k.s.Now())
		if makeNext {
			changes = append(changes, keys.Change{To: keys.Next})
		}
		if len(changes) == 0 {
			continue
		}
		if err := k.apply(ctx, org, use, changes, "renewSigningKey"); err != nil && !errors.Is(err, ErrGone) {
			return err
		}
	}
	return nil
}

// apply does changes in one step, each only if its key is still where it was.
func (k Keys) apply(ctx context.Context, org *idp.Org, use keys.Use, changes []keys.Change, code string) error {
	var states []keys.State
	for _, c := range changes {
		if c.ID == "" {
			states = append(states, c.To)
		}
	}
	made, err := k.make(org, use, states)
	if err != nil {
		return err
	}
	return k.s.Write(ctx, func(tx *Tx) error {
		now, fresh := k.s.Now(), made
		for _, c := range changes {
			var err error
			what := ""
			switch {
			case c.ID == "":
				err = tx.addKey(fresh[0])
				what = fmt.Sprintf("%s key %s is new and %s", use, fresh[0].ID, c.To)
				fresh = fresh[1:]
			case c.Gone:
				err = tx.Gate(`DELETE FROM signing_key WHERE org = $1 AND id = $2 AND state = $3`, org.ID, c.ID, string(c.From))
				what = fmt.Sprintf("%s key %s is gone", use, c.ID)
			default:
				err = tx.Gate(`UPDATE signing_key SET state = $4, changed = $5 WHERE org = $1 AND id = $2 AND state = $3`,
					org.ID, c.ID, string(c.From), string(c.To), now)
				what = fmt.Sprintf("%s key %s is %s", use, c.ID, c.To)
			}
			if err != nil {
				return err
			}
			if err := tx.Event(ctx, idp.Event{Org: org.ID, Code: code, Reason: what}); err != nil {
				return err
			}
		}
		return tx.Changed(kindKey)
	})
}
