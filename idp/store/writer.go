package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	queueLength = 1024 // steps that may wait; more are ErrBusy
	batchLength = 128  // steps that share a commit at most

	pause   = 200 * time.Microsecond // how long a commit waits for a step that may come; it takes longer itself
	longest = time.Millisecond       // how long it waits for all of them
)

// writer is the one goroutine that writes to an SQLite file.
type writer struct {
	conn  *liteConn
	path  string
	files map[string]os.FileInfo // as they were when opened
	lost  atomic.Bool            // one of them is not there any more

	queue chan *step
	mu    sync.RWMutex // held for reading while a step is queued
	shut  bool
	ended chan struct{}

	together int // callers who want to write: those of the last commit, and those who came while it was made
}

// step is one call of Store.Write.
type step struct {
	f     func(*Tx) error
	taken atomic.Bool // by the writer, or by a caller that will not wait
	err   error
	done  chan struct{}
}

var errEnded = errors.New("store: a step ended its goroutine")

func newWriter(c *liteConn, path string) (*writer, error) {
	w := &writer{conn: c, path: path, files: map[string]os.FileInfo{}, queue: make(chan *step, queueLength), ended: make(chan struct{})}
	// With this first read the log is there, and stays while the file is open.
	var foreign bool
	err := c.one("SELECT count(*) > 0 AND total(name = 'schema') = 0 FROM sqlite_master", nil, &foreign)
	if err != nil {
		return nil, err
	}
	if foreign {
		return nil, errors.New("it holds the tables of another program")
	}
	for _, name := range []string{path, path + "-wal"} {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		w.files[name] = info
	}
	return w, nil
}

// present tells if the files are those that were opened. The operating system would go on writing to a file that has been removed, and
// what was acknowledged would be gone with the process.
func (w *writer) present() error {
	for name, opened := range w.files {
		info, err := os.Stat(name)
		if err != nil || !os.SameFile(info, opened) {
			w.lost.Store(true)
			return fmt.Errorf("%w: %s was removed or replaced while open", ErrNotReady, name)
		}
	}
	w.lost.Store(false)
	return nil
}

func (w *writer) write(ctx context.Context, f func(*Tx) error) error {
	s := &step{f: f, done: make(chan struct{})}
	if err := w.enqueue(s); err != nil {
		return err
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		if s.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		<-s.done
	}
	return s.err
}

func (w *writer) enqueue(s *step) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.shut {
		return ErrClosed
	}
	select {
	case w.queue <- s:
		return nil
	default:
		return ErrBusy
	}
}

// work is the goroutine. A lone step is committed at once. Those that arrive while others are committed share the next
// commit, with those of the callers just answered who come back soon: without waiting for these, two halves of the
// callers would take turns for ever, and pay for twice as many commits.
func (w *writer) work() {
	batch := make([]*step, 0, batchLength)
	patience := time.NewTimer(0)
	defer patience.Stop()
	for first := range w.queue {
		// Those that were just answered, and can go on at once, get the chance to queue their next step.
		runtime.Gosched()
		batch = w.gather(take(batch[:0], first), patience)
		w.commit(batch)
	}
	close(w.ended)
}

// gather adds what is queued to the batch, and what is queued within a pause of the one before, until there are as many as
// wrote together last.
func (w *writer) gather(batch []*step, patience *time.Timer) []*step {
	until := time.Now().Add(longest)
	for len(batch) < batchLength {
		select {
		case s, open := <-w.queue:
			if !open {
				return batch
			}
			batch = take(batch, s)
			continue
		default:
		}
		if len(batch) >= w.together || time.Now().After(until) {
			return batch
		}
		patience.Reset(pause)
		select {
		case s, open := <-w.queue:
			if !open {
				return batch
			}
			batch = take(batch, s)
		case <-patience.C:
			w.together = 0 // they do not come
		}
	}
	return batch
}

func take(batch []*step, s *step) []*step {
	if s.taken.CompareAndSwap(false, true) {
		return append(batch, s)
	}
	return batch
}

// commit runs the steps and commits them together; one that fails is undone alone.
func (w *writer) commit(batch []*step) {
	if len(batch) == 0 {
		return
	}
	err := errEnded
	returned := false
	defer func() {
		if err != nil {
			_, _ = w.conn.exec("ROLLBACK", nil) // none may be open: SQLite ends it by itself where it must
		}
		w.together = len(batch) + len(w.queue)
		for _, s := range batch {
			if s.err == nil {
				s.err = err
			}
			close(s.done)
		}
		if !returned { // by runtime.Goexit in a step, as testing's FailNow does
			go w.work()
		}
	}()
	err = w.transaction(batch)
	returned = true
}

func (w *writer) transaction(batch []*step) error {
	w.mu.RLock()
	shut := w.shut
	w.mu.RUnlock()
	if shut {
		return ErrClosed
	}
	if err := w.present(); err != nil {
		return err
	}
	if err := w.conn.begin(context.Background(), litePatience); err != nil {
		return translate(err)
	}
	for _, s := range batch {
		if err := w.run(s); err != nil {
			return translate(err)
		}
	}
	_, err := w.conn.exec("COMMIT", nil)
	return translate(err)
}

// run runs one step. Its error is about the whole transaction.
func (w *writer) run(s *step) error {
	if _, err := w.conn.exec("SAVEPOINT step", nil); err != nil {
		return err
	}
	tx := &Tx{session: w.conn}
	if s.err = tx.run(s.f); s.err != nil {
		if _, err := w.conn.exec("ROLLBACK TO step", nil); err != nil {
			if errors.Is(s.err, ErrNotReady) { // a full disk, say: SQLite has undone the whole transaction by itself
				return s.err
			}
			return err
		}
	}
	_, err := w.conn.exec("RELEASE step", nil)
	return err
}

// close refuses what waits and returns when what is being written is.
func (w *writer) close() {
	w.mu.Lock()
	w.shut = true
	close(w.queue)
	w.mu.Unlock()
	<-w.ended
}
