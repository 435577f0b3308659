package store

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	pollEvery  = 200 * time.Millisecond
	believeFor = time.Second            // without a reading, no cache is believed
	readyFor   = 5 * time.Second        // and then nothing is issued
	seenAfter  = 250 * time.Millisecond // every node has read a change by then
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

func (s *Store) readChanges(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, believeFor)
	defer cancel()
	n := map[string]int64{}
	err := s.db.present()
	if err == nil {
		err = s.Read(ctx).Each(func(row Row) error {
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

// current returns the generation of a kind, and if what was loaded in it can be believed.
func (c *changes) current(kind string) (generation int64, believed bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.generation[kind], time.Since(c.read) < believeFor
}

// Ready tells if this node may serve and issue: nil, or an [ErrNotReady] with the reason. It may not once it has not read
// for 5 seconds what other nodes changed.
func (s *Store) Ready() error {
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
	wait := time.NewTimer(time.Until(made.Add(seenAfter)))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
