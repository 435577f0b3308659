package store

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
)

// What a flood of refusals may cost. Per code and address so many are written each a minute; those above share one row,
// which counts them. When more addresses than that are counted, or more rows wait to be written, all addresses share a row.
const (
	refusalsEach    = 10
	refusalsWindow  = time.Minute
	refusalsWindows = 10_000
	refusalsQueue   = 4096
	refusalsBatch   = 128
	refusalsPause   = time.Second // between two writings of one count, and after a failure
	refusalsLast    = 5 * time.Second
)

// refusals is the queue between Refuse, which waits for nothing, and the one goroutine that writes.
type refusals struct {
	s    *Store
	wake chan struct{}
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex
	queue   []idp.Event
	windows map[counted]*window
	dirty   map[*window]bool // those that count more than the database has, also when their minute is over
	closed  bool
}

type counted struct{ org, code, ip string }

// window is a minute of one code and address.
type window struct {
	since   time.Time
	n       int       // refusals so far
	row     idp.Event // the first that was not written by itself, and shows for all after it
	more    int       // refusals that row stands for
	written int       // of them, as the database has it
	at      time.Time // when it was written
}

func newRefusals(s *Store) *refusals {
	r := &refusals{
		s: s, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		windows: map[counted]*window{}, dirty: map[*window]bool{},
	}
	go r.run()
	return r
}

// Refuse records a refusal and returns the reference that finds it. It waits for nothing and never fails the caller. What
// ev leaves open is filled as [Tx.Event] does.
func (e Events) Refuse(ctx context.Context, ev idp.Event) (reference string) {
	e.s.fill(ctx, &ev)
	if ev.Reference == "" {
		ev.Reference = newReference()
	}
	ev.Outcome = idp.Refused
	e.s.stats.told(Told{ev.Code, ev.Outcome})
	return e.s.refusals.add(ev)
}

func (r *refusals) add(ev idp.Event) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		r.s.log.Warn("a refusal came after the store was closed", "code", ev.Code, "reason", ev.Reason, "reference", ev.Reference)
		return ev.Reference
	}
	w := r.window(ev)
	w.n++
	defer r.nudge()
	if w.n <= refusalsEach && ev.Code != codeFlood && len(r.queue) < refusalsQueue {
		r.queue = append(r.queue, ev)
		return ev.Reference
	}
	if w.more == 0 {
		w.row = ev
	}
	w.more++
	r.dirty[w] = true
	if w.row.User != ev.User {
		w.row.User = ""
	}
	if w.row.App != ev.App {
		w.row.App = ""
	}
	if w.row.IP != ev.IP && ev.Code == codeFlood {
		w.row.IP = ""
	}
	return w.row.Reference
}

// window returns where ev is counted.
func (r *refusals) window(ev idp.Event) *window {
	key := counted{ev.Org, ev.Code, ev.IP}
	if ev.Code == codeFlood {
		key.ip = ""
	}
	if _, known := r.windows[key]; !known && max(len(r.windows), len(r.dirty)) >= refusalsWindows {
		key.ip = "" // as many again as there are codes
	}
	w := r.windows[key]
	if w == nil || ev.Time.Sub(w.since) >= refusalsWindow {
		w = &window{since: ev.Time}
		r.windows[key] = w
	}
	return w
}

// forget drops the counts of minutes that are over.
func (r *refusals) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.s.Now()
	for key, w := range r.windows {
		if now.Sub(w.since) >= refusalsWindow {
			delete(r.windows, key)
		}
	}
}

func (r *refusals) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run writes what is queued until close is called, and then what is left.
func (r *refusals) run() {
	defer close(r.done)
	tick := time.NewTicker(refusalsPause)
	defer tick.Stop()
	for last := false; !last; {
		select {
		case <-r.wake:
		case <-tick.C:
			r.forget()
		case <-r.stop:
			last = true
		}
		r.flush(last)
	}
}

// flush writes what is queued. What can not be written is kept for the next time; at the last time it is logged.
func (r *refusals) flush(last bool) {
	ctx := context.Background()
	if last {
		limited, cancel := context.WithTimeout(ctx, refusalsLast)
		defer cancel()
		ctx = limited
	}
	for {
		batch, done := r.take(last)
		if len(batch) == 0 {
			return
		}
		err := r.s.Write(ctx, func(tx *Tx) error {
			for _, ev := range batch {
				if err := putEvent(tx, ev); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			done()
			continue
		}
		r.s.log.Error("refusals are not written yet", "waiting", len(batch), "error", err)
		if !last {
			select {
			case <-time.After(refusalsPause):
			case <-r.stop:
			}
			return
		}
		if ctx.Err() != nil {
			r.s.log.Error("refusals are lost", "error", err)
			return
		}
		time.Sleep(refusalsPause / 10)
	}
}

// take returns rows to write and what to do when they are written. all: also counts that were written a moment ago.
func (r *refusals) take(all bool) (batch []idp.Event, done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.s.Now()
	n := min(len(r.queue), refusalsBatch)
	batch = append(batch, r.queue[:n]...)
	type count struct {
		w *window
		n int
	}
	var counts []count
	for w := range r.dirty {
		if len(batch) >= refusalsBatch {
			break
		}
		if !all && w.written > 0 && now.Sub(w.at) < refusalsPause {
			continue
		}
		row := w.row
		if w.more > 1 {
			row.Reason = fmt.Sprintf("%s, and %d more", row.Reason, w.more-1)
		}
		batch = append(batch, row)
		counts = append(counts, count{w, w.more})
	}
	return batch, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.queue = append(r.queue[:0:0], r.queue[n:]...)
		for _, c := range counts {
			c.w.written, c.w.at = c.n, now
			if c.w.written == c.w.more {
				delete(r.dirty, c.w)
			}
		}
	}
}

// close writes what is left, as far as the database answers, and takes no more.
func (r *refusals) close() {
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	r.mu.Unlock()
	if first {
		close(r.stop)
	}
	<-r.done
}
