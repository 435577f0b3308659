package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	clockEvery  = 2 * time.Second        // how often the database is asked for the time
	clockJitter = 100 * time.Millisecond // differences that may come from the asking
	clockWrong  = 5 * time.Second        // a difference to this machine's clock that somebody should know of
)

// clock is the time that nodes share: on PostgreSQL the server's, carried on by this process's monotonic clock, so that a code from
// one node is as old on another, and no step of a machine's clock is a step here. On SQLite it is the machine's.
type clock struct {
	wall func() time.Time
	base atomic.Pointer[reckoning]

	mu    sync.Mutex
	asked time.Time // by the monotonic clock
	told  bool      // that the machine's clock is wrong
}

// reckoning is a time and when it was.
type reckoning struct{ time, at time.Time }

func (c *clock) now() time.Time {
	if b := c.base.Load(); b != nil {
		return b.time.Add(time.Since(b.at))
	}
	return c.wall()
}

// askClock asks the database for the time, if it has one of its own and was not asked just now.
func (s *Store) askClock(ctx context.Context) error {
	c := &s.clock
	if c.wall == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked.IsZero() && time.Since(c.asked) < clockEvery {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	before := time.Now()
	t, err := s.db.clock(ctx)
	took := time.Since(before)
	if err != nil || t.IsZero() {
		return err
	}
	c.asked = before
	now := reckoning{t, before.Add(took / 2)}
	if b := c.base.Load(); b == nil || apart(now.time, b.time.Add(now.at.Sub(b.at))) > took/2+clockJitter {
		c.base.Store(&now)
	}
	wrong := apart(c.now(), c.wall())
	switch {
	case wrong > clockWrong+took && !c.told:
		c.told = true
		s.log.Warn("this machine's clock differs from the database's, which is gone by", "by", wrong.Round(time.Second).String())
	case wrong < clockWrong && c.told:
		c.told = false
		s.log.Info("this machine's clock agrees with the database's again")
	}
	return nil
}

func apart(a, b time.Time) time.Duration { return a.Sub(b).Abs() }

const (
	settleBehind = 10 * time.Minute // what has been dead for less is left alone
	settleRate   = 2                // as fast as this the settled time catches up
	settledName  = "settled"
)

// settling is what this process knows of the settled time.
type settling struct {
	mu   sync.Mutex
	last time.Time // what Settle returned
	ran  time.Time // when, by the monotonic clock
}

// Settle returns the time up to which what is dead may be taken away: ten minutes ago. It does not follow a clock that steps: it is
// kept in the database, and goes on at most twice as fast as this process's monotonic clock. So one that is a day ahead, and then is
// not, costs nobody a session and forgets nothing that was spent. settled: it is not behind.
func (s *Store) Settle(ctx context.Context) (t time.Time, settled bool, err error) {
	g := &s.settling
	g.mu.Lock()
	defer g.mu.Unlock()
	behind := s.Now().Add(-settleBehind)
	began := time.Now()
	if g.ran.IsZero() {
		var kept []byte
		err := s.Read(ctx).QueryRow(`SELECT value FROM meta WHERE name = $1`, settledName).Scan(&kept)
		switch {
		case errors.Is(err, ErrNotFound): // the first time
			g.last = behind
		case err != nil:
			return t, false, err
		case len(kept) != 8:
			return t, false, fmt.Errorf("store: %s holds %d bytes", settledName, len(kept))
		default:
			g.last = time.UnixMicro(int64(binary.BigEndian.Uint64(kept)))
		}
		g.ran = began
	}
	t = g.last.Add(settleRate * began.Sub(g.ran))
	if behind.Before(t) {
		t = behind
	}
	g.last, g.ran = t, began
	kept := binary.BigEndian.AppendUint64(nil, uint64(t.UnixMicro()))
	err = s.Write(ctx, func(tx *Tx) error {
		return tx.Do(`INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2`, settledName, kept)
	})
	return t, !t.Before(behind.Add(-settleBehind)), err
}
