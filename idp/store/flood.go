package store

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
)

// What strangers may have remembered. Anybody can send a request of an app's, and each that nobody answers is a row for an
// hour. So a node keeps an account of every address that sends them, and one of all together: a request costs one for each
// floodUnit of its size, an account holds so many, and so many are forgiven each second.
//
// A whole company can come from one address: 10,000 people who sign in within ten minutes, with three requests each, fit.
// Nobody is told apart by an address of this machine, which is that of a proxy that was not named, or where none is known:
// there the account of all is the only one.
const (
	floodUnit    = 2 << 10
	floodEach    = 30_000
	floodEachSec = 20
	floodAll     = 60_000
	floodAllSec  = 1000
	floodCallers = 10_000 // accounts kept
)

// codeFlood is the event of a request that was not remembered. All of a minute share a row.
const codeFlood = "TooManyRequests"

// flood is the accounts of a node.
type flood struct {
	mu      sync.Mutex
	all     account
	callers map[netip.Prefix]*account
	cleared time.Time
}

// account is what is not forgiven yet, at that time.
type account struct {
	open float64
	at   time.Time
}

// left is what of the account is not forgiven at now.
func (a *account) left(now time.Time, rate float64) float64 {
	return max(0, a.open-rate*max(0, now.Sub(a.at).Seconds()))
}

// charge adds n unless the account would hold more than most.
func (a *account) charge(n float64, now time.Time, most, rate float64) bool {
	a.open, a.at = a.left(now, rate), now
	if a.open+n > most {
		return false
	}
	a.open += n
	return true
}

// remembers tells, with ErrFlood, if the caller that ctx carries has had too much remembered to have so many bytes more.
func (s *Store) remembers(ctx context.Context, bytes int) error {
	f, now := &s.flood, s.Now()
	n := float64(1 + bytes/floodUnit)
	f.mu.Lock()
	defer f.mu.Unlock()
	if a := f.account(idp.CallerOf(ctx), now); a != nil && !a.charge(n, now, floodEach, floodEachSec) {
		return fmt.Errorf("%w: more than %d wait for one address, which may have %d more a second", ErrFlood, floodEach, floodEachSec)
	}
	if !f.all.charge(n, now, floodAll, floodAllSec) {
		return fmt.Errorf("%w: more than %d wait, of which there may be %d more a second", ErrFlood, floodAll, floodAllSec)
	}
	return nil
}

// account returns the account of where c is, nil where there is none.
func (f *flood) account(c *idp.Caller, now time.Time) *account {
	from := c.Network()
	if !from.IsValid() || c.IP.IsLoopback() {
		return nil
	}
	if a := f.callers[from]; a != nil {
		return a
	}
	if len(f.callers) >= floodCallers && now.Sub(f.cleared) >= time.Second {
		f.cleared = now
		for network, a := range f.callers {
			if a.left(now, floodEachSec) == 0 {
				delete(f.callers, network)
			}
		}
	}
	if len(f.callers) >= floodCallers {
		return nil // for a moment: what all may have leaves so many networks next to nothing each
	}
	a := &account{}
	if f.callers == nil {
		f.callers = map[netip.Prefix]*account{}
	}
	f.callers[from] = a
	return a
}

// SweepWaiting deletes the requests that have waited longest, where more than most wait for an answer, and returns how many.
// Any number of nodes may do it at once.
func (s *Store) SweepWaiting(ctx context.Context, most int) (total int64, err error) {
	var until time.Time                                                                                                // the last that is too many
	err = s.Read(ctx).QueryRow(`SELECT expires FROM login ORDER BY expires DESC LIMIT 1 OFFSET $1`, most).Scan(&until) // reads an index only
	if err == nil {
		err = s.Read(ctx).QueryRow(`SELECT expires FROM login WHERE answered = $1 ORDER BY expires DESC LIMIT 1 OFFSET $2`, false, most).Scan(&until)
	}
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	var from time.Time
	for n := sweepRows; err == nil && n == sweepRows; total += int64(n) {
		var last time.Time
		err = s.Write(ctx, func(tx *Tx) error {
			n, last = 0, from
			return tx.Each(func(row Row) error {
				var expires time.Time
				err := row.Scan(&expires)
				if n++; expires.After(last) {
					last = expires
				}
				return err
			}, `DELETE FROM login WHERE (org, id) IN (SELECT org, id FROM login
				WHERE answered = $1 AND expires >= $2 AND expires <= $3 ORDER BY expires LIMIT $4) RETURNING expires`, false, from, until, sweepRows)
		})
		from = last // whatever was answered before it is not read again
	}
	return total, err
}
