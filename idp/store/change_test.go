package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// words is a cache of a definition as a room would have it, and counts what is loaded.
type words struct {
	store.Cached[string]
	loads atomic.Int64
}

func newWords(st *store.Store) *words {
	w := &words{}
	w.Store, w.Kind, w.Max = st, "test word", 3
	w.Load = func(ctx context.Context, key string) (string, error) {
		w.loads.Add(1)
		var v []byte
		err := st.Read(ctx).QueryRow("SELECT value FROM meta WHERE name = $1", key).Scan(&v)
		return string(v), err
	}
	return w
}

func define(t testing.TB, st *store.Store, key, value string) {
	t.Helper()
	err := st.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2", key, []byte(value))
		if err != nil {
			return err
		}
		return tx.Changed("test word")
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCached(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		w := newWords(st)
		get := func(key, want string, loads int64) {
			t.Helper()
			before := w.loads.Load()
			got, err := w.Get(t.Context(), key)
			if want == "" && !errors.Is(err, store.ErrNotFound) || want != "" && err != nil || got != want {
				t.Errorf("%s is %q, %v; want %q", key, got, err, want)
			}
			if n := w.loads.Load() - before; n != loads {
				t.Errorf("%s was loaded %d times, want %d", key, n, loads)
			}
		}
		get("a", "", 1)
		get("a", "", 1)                                            // not found is never kept
		if err := st.Write(t.Context(), func(tx *store.Tx) error { // and so is there at once, even if nobody is told
			_, err := tx.Exec("INSERT INTO meta (name, value) VALUES ('a', $1)", []byte("one"))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		get("a", "one", 1)
		get("a", "one", 0)
		define(t, st, "a", "two")
		get("a", "two", 1) // dropped before Write returned
		get("a", "two", 0)
		time.Sleep(500 * time.Millisecond) // the poll sees the change as well
		if _, err := w.Get(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond) // and then no other
		get("a", "two", 0)

		if err := st.Write(t.Context(), func(tx *store.Tx) error { return tx.Changed("test other") }); err != nil {
			t.Fatal(err)
		}
		get("a", "two", 0)

		for i := range 10 { // three are kept
			define(t, st, fmt.Sprint(i), fmt.Sprint(i))
		}
		w.loads.Store(0)
		for range 2 {
			for i := range 10 {
				if _, err := w.Get(t.Context(), fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
			}
		}
		if n := w.loads.Load(); n < 14 {
			t.Errorf("10 keys read twice took %d loads: more than 3 are kept", n)
		}
	})
}

// Many that miss at once load once; one whose loading fails does not fail the others.
func TestCachedAtOnce(t *testing.T) {
	st := storetest.New(t, storetest.SQLite)
	define(t, st, "a", "one")
	w := newWords(st)
	load := w.Load
	var wg sync.WaitGroup
	crowd := func(gate chan struct{}, want int64) {
		t.Helper()
		w.loads.Store(0)
		for range 50 {
			wg.Go(func() {
				if got, err := w.Get(context.Background(), "a"); err != nil || got != "one" {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
		time.Sleep(50 * time.Millisecond)
		close(gate)
		wg.Wait()
		if n := w.loads.Load(); n != want {
			t.Errorf("loaded %d times, want %d", n, want)
		}
	}
	gate := make(chan struct{})
	w.Load = func(ctx context.Context, key string) (string, error) { <-gate; return load(ctx, key) }
	crowd(gate, 1)

	define(t, st, "a", "one")
	fails := make(chan struct{})
	var first atomic.Bool
	w.Load = func(ctx context.Context, key string) (string, error) {
		if first.CompareAndSwap(false, true) {
			<-fails
			panic("while loading")
		}
		return load(ctx, key)
	}
	wg.Go(func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic went nowhere")
			}
		}()
		_, _ = w.Get(context.Background(), "a")
	})
	for !first.Load() {
		time.Sleep(time.Millisecond)
	}
	crowd(fails, 50) // each for itself
	if got, err := w.Get(t.Context(), "a"); err != nil || got != "one" {
		t.Errorf("after the panic: %q, %v", got, err)
	}
}

// What one node changed, the other uses within a second, and a command that waited has been seen.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	a, b := storetest.Two(t)
	define(t, a, "app", "open")
	w := newWords(b)
	for i := range 10 {
		open, blocked := fmt.Sprint("open ", i), fmt.Sprint("blocked ", i)
		define(t, a, "app", open)
		if err := a.WaitSeen(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := w.Get(t.Context(), "app"); err != nil || got != open {
			t.Fatalf("after WaitSeen: %q, %v; want %q", got, err, open)
		}
		define(t, a, "app", blocked)
		changed := time.Now()
		for {
			asked := time.Now()
			got, err := w.Get(t.Context(), "app")
			if err != nil {
				t.Fatal(err)
			}
			if got == blocked {
				break
			}
			if d := asked.Sub(changed); d > time.Second {
				t.Fatalf("not seen by who asks %s later", d)
			}
			time.Sleep(time.Millisecond)
		}
	}
	kept := 0
	for range 20 { // where the machine is so busy that a reading fails, a value is not kept
		n := w.loads.Load()
		if _, err := w.Get(t.Context(), "app"); err != nil {
			t.Fatal(err)
		}
		if w.loads.Load() == n {
			kept++
		}
	}
	if kept == 0 {
		t.Error("nothing is kept at all")
	}
}

func TestWaitSeen(t *testing.T) {
	st := storetest.New(t, storetest.SQLite)
	wait := func() time.Duration {
		began := time.Now()
		if err := st.WaitSeen(t.Context()); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	if err := put(st, "a"); err != nil {
		t.Fatal(err)
	}
	if d := wait(); d > 200*time.Millisecond {
		t.Errorf("waited %s for nothing", d)
	}
	define(t, st, "a", "b")
	if d := wait(); d < 200*time.Millisecond || d > 2*time.Second {
		t.Errorf("waited %s, want 250 ms", d)
	}
	if d := wait(); d > 200*time.Millisecond {
		t.Errorf("waited %s once more", d)
	}
}

// A node that cannot read what others changed believes no cache, after 5 s it reads and issues nothing; then it recovers.
func TestChangesNotRead(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t, storetest.Postgres)
	st := storetest.Open(t, dsn)
	define(t, st, "a", "one")
	time.Sleep(500 * time.Millisecond)
	w := newWords(st)
	loads := func() int64 {
		t.Helper()
		before := w.loads.Load()
		if got, err := w.Get(t.Context(), "a"); err != nil || got != "one" {
			t.Errorf("%q, %v", got, err)
		}
		return w.loads.Load() - before
	}
	loads()
	if n := loads(); n != 0 {
		t.Fatalf("loaded %d times: nothing is kept", n)
	}

	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec("LOCK TABLE change IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	locked := time.Now()
	time.Sleep(500 * time.Millisecond)
	if n := loads(); n != 1 { // it waits for the reading under way, in vain
		t.Errorf("after %s a cache was believed", time.Since(locked))
	}
	time.Sleep(time.Until(locked.Add(1500 * time.Millisecond)))
	began := time.Now()
	if n := loads() + loads(); n != 2 || time.Since(began) > 500*time.Millisecond {
		t.Errorf("after %s: %d of 2 were loaded, in %s", time.Since(locked), n, time.Since(began))
	}
	if got, err := w.Get(store.EvenOld(t.Context()), "a"); err != nil || got != "one" {
		t.Errorf("what everybody may know: %q, %v", got, err)
	}
	if n := w.loads.Load(); loads() != 1 || w.loads.Load() != n+1 {
		t.Error("what everybody may know was loaded")
	}
	if err := put(st, "still writes"); err != nil {
		t.Errorf("after %s: %v", time.Since(locked), err)
	}
	time.Sleep(time.Until(locked.Add(5200 * time.Millisecond)))
	if err := st.Ready(); !errors.Is(err, store.ErrNotReady) {
		t.Errorf("after %s: Ready is %v", time.Since(locked), err)
	}
	if err := put(st, "late"); !errors.Is(err, store.ErrNotReady) {
		t.Errorf("after %s: Write is %v", time.Since(locked), err)
	}
	if _, err := w.Get(t.Context(), "a"); !errors.Is(err, store.ErrNotReady) {
		t.Errorf("after %s: reading is %v", time.Since(locked), err)
	}
	if got, err := w.Get(store.EvenOld(t.Context()), "a"); err != nil || got != "one" {
		t.Errorf("what everybody may know: %q, %v", got, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond)
	if err := st.Ready(); err != nil {
		t.Errorf("it can be read again: %v", err)
	}
	if loads(); loads() != 0 {
		t.Error("it can be read again, and nothing is believed")
	}
}

// What everybody may know is told though it has altered since and can not be loaded any more; to nobody else, and not what is gone.
func TestEvenOld(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		w := newWords(st)
		for _, key := range []string{"a", "gone"} {
			define(t, st, key, "one")
			if got, err := w.Get(t.Context(), key); err != nil || got != "one" {
				t.Fatalf("%q, %v", got, err)
			}
		}
		if err := st.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Exec("DELETE FROM meta WHERE name = 'gone'")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		define(t, st, "b", "two") // nothing that is kept is believed any more
		if got, err := w.Get(store.EvenOld(t.Context()), "gone"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("what is gone: %q, %v", got, err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		for range 3 { // at once, and when the last reading is long ago
			if got, err := w.Get(store.EvenOld(t.Context()), "a"); err != nil || got != "one" {
				t.Errorf("what everybody may know: %q, %v", got, err)
			}
			if got, err := w.Get(t.Context(), "a"); err == nil {
				t.Errorf("others are told %q", got)
			}
			if got, err := w.Get(store.EvenOld(t.Context()), "new"); err == nil {
				t.Errorf("what was never known: %q", got)
			}
			time.Sleep(200 * time.Millisecond)
		}
	})
}

// "Apply, then call" holds however late a node reads: who asks in the meantime waits for the next reading.
func TestChangesReadLate(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t, storetest.Postgres)
	a, b := storetest.Open(t, dsn), storetest.Open(t, dsn)
	define(t, a, "a", "one")
	w := newWords(b)
	get := func() string {
		t.Helper()
		got, err := w.Get(t.Context(), "a")
		if err != nil {
			t.Error(err)
		}
		return got
	}
	get()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for i := range 3 {
		before, after := fmt.Sprint("before ", i), fmt.Sprint("after ", i)
		define(t, a, "a", before)
		if err := a.WaitSeen(t.Context()); err != nil {
			t.Fatal(err)
		}
		get()
		// A reading takes long, as on a machine that has too much to do. What is changed meanwhile is not in it.
		tx, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("LOCK TABLE change IN ACCESS EXCLUSIVE MODE"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(220 * time.Millisecond) // b's reading waits by now
		if _, err := tx.Exec("UPDATE meta SET value = $1 WHERE name = 'a'", []byte(after)); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("UPDATE change SET n = n + 1 WHERE kind = 'test word'"); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(400*time.Millisecond, func() {
			if err := tx.Commit(); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(100 * time.Millisecond)
		w.loads.Store(0)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if got := get(); got != after {
					t.Errorf("%q, want %q", got, after)
				}
			})
		}
		all.Wait()
		if n := w.loads.Load(); n != 1 {
			t.Errorf("%d loads for 50 that waited", n)
		}
	}
}
