package store

import (
	"errors"
	"sync"
	"time"
)

// Told is a kind of event.
type Told struct{ Code, Outcome string }

// writeBounds are the buckets of Stats.Writes, in seconds.
var writeBounds = [...]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}

// Stats is what this process has done with its database since it opened it.
type Stats struct {
	Events  map[Told]uint64    // that were committed, and all refusals
	Steps   uint64             // calls of Write that reached the database
	Seconds float64            // they took until they were on disk or undone, waiting included
	Within  map[float64]uint64 // of the steps, how many took at most so many seconds
	Busy    uint64             // of the steps, how many were turned away with ErrBusy
	Queued  int                // that wait for SQLite's writer now
	Age     time.Duration      // since it was last read what other nodes changed
}

// stats counts. Codes of events are fixed words; maxTold is for the case that one is not.
type stats struct {
	mu     sync.Mutex
	events map[Told]uint64
	steps  uint64
	took   time.Duration
	within [len(writeBounds)]uint64
	busy   uint64
}

const maxTold = 500

func (s *stats) told(kinds ...Told) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.events == nil {
		s.events = map[Told]uint64{}
	}
	for _, k := range kinds {
		if _, known := s.events[k]; !known && len(s.events) >= maxTold {
			k.Code = "other"
		}
		s.events[k]++
	}
}

// wrote counts a step; what it told only if it was committed.
func (s *stats) wrote(took time.Duration, err error, kinds []Told) {
	s.mu.Lock()
	s.steps++
	s.took += took
	for i, bound := range writeBounds {
		if took.Seconds() <= bound {
			s.within[i]++
		}
	}
	if errors.Is(err, ErrBusy) {
		s.busy++
	}
	s.mu.Unlock()
	if err == nil && len(kinds) > 0 {
		s.told(kinds...)
	}
}

// Stats returns what was counted.
func (s *Store) Stats() Stats {
	c := &s.stats
	c.mu.Lock()
	all := Stats{Events: make(map[Told]uint64, len(c.events)), Steps: c.steps, Seconds: c.took.Seconds(), Within: map[float64]uint64{}, Busy: c.busy}
	for k, n := range c.events {
		all.Events[k] = n
	}
	for i, bound := range writeBounds {
		all.Within[bound] = c.within[i]
	}
	c.mu.Unlock()
	if q, ok := s.db.(interface{ waiting() int }); ok {
		all.Queued = q.waiting()
	}
	s.changes.mu.RLock()
	all.Age = time.Since(s.changes.read)
	s.changes.mu.RUnlock()
	return all
}
