package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// What a command changed, every node uses when the command is done: it waits as long as a node believes its caches. A node reads
// more often than that; where a reading comes late, a request waits for the next one.
const (
	pollEvery  = 200 * time.Millisecond
	believeFor = 250 * time.Millisecond // without a reading, no cache is believed
	readWithin = time.Second            // a reading that takes longer has failed
	readyFor   = 5 * time.Second        // without a reading, nothing is issued
)

// changes is what this node knows of the table change. Its times are those of this process's monotonic clock, never Config.Now:
// they measure how long ago something was.
type changes struct {
	mu         sync.RWMutex
	n          map[string]int64 // as last read
	generation map[string]int64 // goes up with every change of n, and with every change made here
	read       time.Time        // when the last good reading began
	err        error            // of the last reading
	made       time.Time        // when this store last committed a change

	reading chan struct{} // holds a value while somebody reads

	// unwritable is why the last step that tried could not write, nil once one could. Until then only the poll tries.
	unwritable atomic.Pointer[error]
}

func (s *Store) poll(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.readChanges(ctx)
		if err == nil {
			_ = s.askClock(ctx) // next time
		}
		if err == nil && s.changes.unwritable.Load() != nil {
			s.tryWriting(ctx)
		}
		if (err != nil) != failing && ctx.Err() == nil {
			failing = err != nil
			if failing {
				s.log.Error("the database can not be read", "error", err)
			} else {
				s.log.Info("the database can be read again")
			}
		}
	}
}

// tryWriting finds out if the database can be written again, so that no caller has to.
func (s *Store) tryWriting(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	// As much as a step may need: on a full disk a byte or two still find a place now and then.
	err := s.db.write(ctx, func(tx *Tx) error {
		if err := tx.Do("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2", "probe", make([]byte, 256<<10)); err != nil {
			return err
		}
		return tx.Do("DELETE FROM meta WHERE name = $1", "probe")
	})
	s.wrote(err)
}

// wrote takes note of how a step ended.
func (s *Store) wrote(err error) {
	before := s.changes.unwritable.Load()
	switch {
	case errors.Is(err, errUnwritable):
		if s.changes.unwritable.Swap(&err) == nil {
			s.log.Error("the database can not be written", "error", err)
		}
	case err == nil && before != nil:
		if s.changes.unwritable.CompareAndSwap(before, nil) {
			s.log.Info("the database can be written again")
		}
	}
}

func (s *Store) readChanges(ctx context.Context) error {
	c := &s.changes
	select {
	case c.reading <- struct{}{}:
		defer func() { <-c.reading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.readNow(ctx)
}

// readNow reads the table. The caller holds c.reading.
func (s *Store) readNow(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	n := map[string]int64{}
	err := s.db.present()
	if err == nil {
		err = reading{s.db, ctx, nil}.Each(func(row Row) error {
			var kind string
			var v int64
			err := row.Scan(&kind, &v)
			n[kind] = v
			return err
		}, "SELECT kind, n FROM change")
	}

	c := &s.changes
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	if err != nil {
		return err
	}
	for kind, v := range n {
		if c.n[kind] != v {
			c.generation[kind]++
		}
	}
	c.n, c.read = n, began
	return nil
}

// altered is told the kinds that a step of this store altered.
func (c *changes) altered(kinds []string) {
	if len(kinds) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, kind := range kinds {
		c.generation[kind]++
	}
	c.made = time.Now()
}

// current returns the generation of a kind, and if what was loaded in it can be believed by who asked at that time. failed: it can
// not, and the last reading failed.
func (c *changes) current(kind string, asked time.Time) (generation int64, believed, failed bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.generation[kind], asked.Sub(c.read) < believeFor, c.err != nil
}

// generation is current, after a reading where the last one is too long ago.
func (s *Store) generation(ctx context.Context, kind string) (generation int64, believed bool) {
	c := &s.changes
	asked := time.Now()
	generation, believed, failed := c.current(kind, asked)
	if believed || failed || evenOld(ctx) {
		return generation, believed
	}
	select {
	case c.reading <- struct{}{}:
		defer func() { <-c.reading }()
	case <-ctx.Done():
		return generation, false
	}
	// Of many that wait, the first reads for all.
	if generation, believed, failed = c.current(kind, asked); believed || failed {
		return generation, believed
	}
	if err := s.readNow(context.WithoutCancel(ctx)); err != nil {
		return generation, false
	}
	generation, believed, _ = c.current(kind, asked)
	return generation, believed
}

// Ready tells if this node may serve and issue: nil, or an [ErrNotReady] with the reason. It may not once it has not read
// for 5 seconds what other nodes changed, nor while the database can not be written.
func (s *Store) Ready() error {
	if err := s.readable(); err != nil {
		return err
	}
	if err := s.changes.unwritable.Load(); err != nil {
		return *err
	}
	return nil
}

// readable tells if the database has answered in the last 5 seconds. What is asked of one that does not would wait for nothing.
func (s *Store) readable() error {
	c := &s.changes
	c.mu.RLock()
	defer c.mu.RUnlock()
	ago := time.Since(c.read)
	switch {
	case ago < readyFor:
		return nil
	case c.err != nil:
		return fmt.Errorf("%w: not read for %s: %w", ErrNotReady, ago.Truncate(time.Second), c.err)
	}
	return fmt.Errorf("%w: not read for %s", ErrNotReady, ago.Truncate(time.Second))
}

// WaitSeen returns when every node has seen what this store changed: 250 ms after the last step that altered a definition, at once if
// there was none. Commands call it before they exit.
func (s *Store) WaitSeen(ctx context.Context) error {
	s.changes.mu.RLock()
	made := s.changes.made
	s.changes.mu.RUnlock()
	if made.IsZero() {
		return nil
	}
	wait := time.NewTimer(time.Until(made.Add(believeFor)))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
