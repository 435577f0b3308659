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
}

// Get returns what is kept under key, or loads it; many that ask at once for the same load it once. An error, not found among them,
// is never kept, nor shared with those that wait.
func (c *Cached[T]) Get(ctx context.Context, key string) (T, error) {
	// Before loading: what is loaded may then be newer than the generation it is kept under, never older.
	generation, believed := c.Store.generation(ctx, c.Kind)
	if !believed {
		if e := c.old(ctx, key, generation); e != nil {
			return e.value, nil
		}
		return c.Load(ctx, key)
	}
	c.mu.Lock()
	if e := c.entries[key]; e != nil && e.generation == generation {
		c.mu.Unlock()
		<-e.done
		if e.err != nil {
			return c.Load(ctx, key)
		}
		return e.value, nil
	}
	e := &entry[T]{generation: generation, done: make(chan struct{}), err: errors.New("store: panic while loading")}
	c.keep(key, e)
	c.mu.Unlock()

	defer func() {
		if e.err != nil {
			c.mu.Lock()
			if c.entries[key] == e {
				delete(c.entries, key)
			}
			c.mu.Unlock()
		}
		close(e.done)
	}()
	e.value, e.err = c.Load(context.WithoutCancel(ctx), key) // others wait for it
	return e.value, e.err
}

type evenOldKey struct{}

// EvenOld returns a context in which definitions are answered from what is kept, however long ago the table change was read. It is
// for what everybody may know and many rely on (keys, metadata), so that a node without its database still tells it; never for a
// decision.
func EvenOld(ctx context.Context) context.Context { return context.WithValue(ctx, evenOldKey{}, true) }

func evenOld(ctx context.Context) bool { return ctx.Value(evenOldKey{}) != nil }

// old returns what is kept under key, if ctx takes it.
func (c *Cached[T]) old(ctx context.Context, key string, generation int64) *entry[T] {
	if !evenOld(ctx) {
		return nil
	}
	c.mu.Lock()
	e := c.entries[key]
	c.mu.Unlock()
	if e == nil || e.generation != generation {
		return nil
	}
	select {
	case <-e.done:
	default:
		return nil
	}
	if e.err != nil {
		return nil
	}
	return e
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
