package store

import (
	"context"
	"errors"
	"sync"
)

// Cached keeps definitions by key until one of their kind alters, here or on another node. What it returns is shared: nobody
// writes to it. Fill in the exported fields; the zero value of the rest is ready.
type Cached[T any] struct {
	Store *Store
	Kind  string // what Tx.Changed is told
	Max   int    // how many are kept
	// Load reads one. It is called without a cache while the table change could not be read.
	Load func(ctx context.Context, key string) (T, error)

	mu      sync.Mutex
	entries map[string]*entry[T]
}

type entry[T any] struct {
	generation int64
	done       chan struct{} // closed when value and err are there
	value      T
	err        error
	before     *entry[T] // what was kept until then; nil once value is there
}

// Get returns what is kept under key, or loads it; many that ask at once for the same load it once. An error, not found among them,
// is never kept, nor shared with those that wait.
func (c *Cached[T]) Get(ctx context.Context, key string) (T, error) {
	// Before loading: what is loaded may then be newer than the generation it is kept under, never older.
	generation, believed := c.Store.generation(ctx, c.Kind)
	if !believed {
		if e := c.old(ctx, key); e != nil && e.generation == generation {
			return e.value, nil
		}
		return c.load(ctx, key)
	}
	c.mu.Lock()
	was := c.entries[key]
	if was != nil && was.generation == generation {
		c.mu.Unlock()
		<-was.done
		if was.err != nil {
			return c.load(ctx, key)
		}
		return was.value, nil
	}
	e := &entry[T]{generation: generation, done: make(chan struct{}), err: errors.New("store: panic while loading"), before: was.good()}
	c.keep(key, e)
	c.mu.Unlock()

	defer func() {
		c.mu.Lock()
		if e.err != nil && c.entries[key] == e {
			if delete(c.entries, key); e.before != nil { // of an older generation, so nobody believes it
				c.entries[key] = e.before
			}
		}
		e.before = nil
		close(e.done)
		c.mu.Unlock()
	}()
	e.value, e.err = c.Load(context.WithoutCancel(ctx), key) // others wait for it
	return c.orOld(ctx, key, e.value, e.err)
}

func (c *Cached[T]) load(ctx context.Context, key string) (T, error) {
	v, err := c.Load(ctx, key)
	return c.orOld(ctx, key, v, err)
}

// orOld is what was loaded or, where that failed, what was kept until then, if ctx takes it. It is never kept under a newer generation.
func (c *Cached[T]) orOld(ctx context.Context, key string, v T, err error) (T, error) {
	if err != nil && !errors.Is(err, ErrNotFound) {
		if e := c.old(ctx, key); e != nil {
			return e.value, nil
		}
	}
	return v, err
}

type evenOldKey struct{}

// EvenOld returns a context in which definitions are answered from what is kept, however long ago the table change was read, and
// though they have altered since, while they can not be loaded. It is for what everybody may know and many rely on (keys, metadata),
// so that a node without its database still tells it; never for a decision.
func EvenOld(ctx context.Context) context.Context { return context.WithValue(ctx, evenOldKey{}, true) }

func evenOld(ctx context.Context) bool { return ctx.Value(evenOldKey{}) != nil }

// old returns what is kept under key, if ctx takes it.
func (c *Cached[T]) old(ctx context.Context, key string) *entry[T] {
	if !evenOld(ctx) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries[key].good()
}

// good is e, or what was kept before it while e is not there. The caller holds the cache's lock.
func (e *entry[T]) good() *entry[T] {
	if e == nil {
		return nil
	}
	select {
	case <-e.done:
		if e.err == nil {
			return e
		}
		return nil
	default:
		return e.before
	}
}

func (c *Cached[T]) keep(key string, e *entry[T]) {
	if c.entries == nil {
		c.entries = map[string]*entry[T]{}
	}
	for k := range c.entries { // any will do
		if len(c.entries) < c.Max {
			break
		}
		delete(c.entries, k)
	}
	c.entries[key] = e
}
