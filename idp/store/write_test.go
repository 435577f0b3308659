package store_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// of 16 that take the same thing at once, one gets it.
func TestGateOneWinner(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) { takers(t, st, st) })
	t.Run("two nodes", func(t *testing.T) {
		a, b := storetest.Two(t)
		takers(t, a, b)
	})
}

func takers(t *testing.T, a, b *store.Store) {
	create(t, a, "CREATE TABLE taken (code TEXT NOT NULL PRIMARY KEY, who BIGINT NOT NULL)")
	gates := map[string]func(tx *store.Tx, code string, who int) error{
		"UPDATE": func(tx *store.Tx, code string, who int) error {
			return tx.Gate("UPDATE code_test SET spent = $1 WHERE id = $2 AND NOT spent", true, code)
		},
		"DELETE": func(tx *store.Tx, code string, who int) error {
			return tx.Gate("DELETE FROM code_test WHERE id = $1", code)
		},
		"INSERT": func(tx *store.Tx, code string, who int) error {
			return tx.Gate("INSERT INTO taken (code, who) VALUES ($1, $2) ON CONFLICT DO NOTHING", "once "+code, who)
		},
	}
	create(t, a, "CREATE TABLE code_test (id TEXT NOT NULL PRIMARY KEY, spent BOOLEAN NOT NULL)")
	for name, gate := range gates {
		for i := range 20 {
			code := fmt.Sprint(name, i)
			if err := a.Write(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Exec("INSERT INTO code_test (id, spent) VALUES ($1, $2)", code, false)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			var won, gone atomic.Int32
			var wg sync.WaitGroup
			for who := range 16 {
				st := a
				if who%2 == 1 {
					st = b
				}
				wg.Go(func() {
					err := st.Write(context.Background(), func(tx *store.Tx) error {
						if err := gate(tx, code, who); err != nil {
							return err
						}
						_, err := tx.Exec("INSERT INTO taken (code, who) VALUES ($1, $2)", code, who)
						return err
					})
					switch {
					case err == nil:
						won.Add(1)
					case errors.Is(err, store.ErrGone):
						gone.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if won.Load() != 1 || gone.Load() != 15 {
				t.Fatalf("%s: %d won and %d came too late, want 1 and 15", code, won.Load(), gone.Load())
			}
		}
	}
}

// Steps that wait share a commit, counted in the write-ahead log itself.
func TestSharedCommit(t *testing.T) {
	dsn := storetest.DSN(t, storetest.SQLite)
	st := storetest.Open(t, dsn)
	if err := put(st, "first"); err != nil {
		t.Fatal(err)
	}
	before := commits(t, strings.TrimPrefix(dsn, "sqlite:"))
	if before == 0 {
		t.Fatal("no commit found in the log")
	}

	hold, held := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := st.Write(context.Background(), func(*store.Tx) error { close(held); <-hold; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-held
	for i := range 200 {
		wg.Go(func() {
			if err := put(st, fmt.Sprint("row ", i)); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(200 * time.Millisecond) // all of them wait by now
	close(hold)
	wg.Wait()
	if n := commits(t, strings.TrimPrefix(dsn, "sqlite:")) - before; n != 2 { // 128 and 72; the one held wrote nothing
		t.Errorf("%d commits for 200 steps that waited together, want 2", n)
	}
	if got := count(t, st); got != 201 {
		t.Errorf("%d rows, want 201", got)
	}
}

// commits counts the frames of a write-ahead log that end a transaction (https://www.sqlite.org/fileformat.html#the_write_ahead_log).
func commits(t *testing.T, path string) (n int) {
	t.Helper()
	b, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	page := int(binary.BigEndian.Uint32(b[8:]))
	for b = b[32:]; len(b) >= 24+page; b = b[24+page:] {
		if binary.BigEndian.Uint32(b[4:]) != 0 {
			n++
		}
	}
	return n
}

func count(t testing.TB, st *store.Store) (n int) {
	t.Helper()
	if err := st.Read(t.Context()).QueryRow("SELECT count(*) FROM meta").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Of steps that share a commit, those that fail in any way are undone and told so; the others stand.
func TestFailedStepIsUndoneAlone(t *testing.T) {
	own := errors.New("changed my mind")
	insert := func(tx *store.Tx, name string) error {
		_, err := tx.Exec("INSERT INTO meta (name, value) VALUES ($1, $2)", name, []byte{1})
		return err
	}
	steps := []struct {
		name string
		f    func(tx *store.Tx, name string) error
		want func(error) bool // nil: succeeds
	}{
		{"good", insert, nil},
		{"own error", func(tx *store.Tx, name string) error {
			if err := insert(tx, name); err != nil {
				return err
			}
			return own
		}, func(err error) bool { return errors.Is(err, own) }},
		{"panic", func(tx *store.Tx, name string) error {
			if err := insert(tx, name); err != nil {
				return err
			}
			panic("dropped")
		}, func(err error) bool {
			return strings.Contains(err.Error(), "panic in a step: dropped") && strings.Contains(err.Error(), "write_test.go")
		}},
		{"unique key", func(tx *store.Tx, name string) error {
			if err := insert(tx, name); err != nil {
				return err
			}
			return insert(tx, "taken")
		}, func(err error) bool { return errors.Is(err, store.ErrExists) }},
		{"error of a statement passed over", func(tx *store.Tx, name string) error {
			if err := insert(tx, name); err != nil {
				return err
			}
			_ = insert(tx, "taken")
			if err := insert(tx, name+" afterwards"); !errors.Is(err, store.ErrExists) {
				return fmt.Errorf("a statement after a failed one answered %w", err)
			}
			return nil
		}, func(err error) bool { return errors.Is(err, store.ErrExists) }},
		{"not SQL", func(tx *store.Tx, name string) error {
			if err := insert(tx, name); err != nil {
				return err
			}
			_, err := tx.Exec("INSERT INTO nothing VALUES (1)")
			return err
		}, func(err error) bool { return strings.Contains(err.Error(), "nothing") }},
		{"gate", func(tx *store.Tx, name string) error {
			if err := insert(tx, name); err != nil {
				return err
			}
			return tx.Gate("DELETE FROM meta WHERE name = $1", "nobody")
		}, func(err error) bool { return errors.Is(err, store.ErrGone) }},
		{"ends its goroutine later", insert, nil},
	}
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		if err := put(st, "taken"); err != nil {
			t.Fatal(err)
		}
		hold, held := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := st.Write(context.Background(), func(*store.Tx) error { close(held); <-hold; return nil }); err != nil {
				t.Error(err)
			}
		})
		<-held
		for round := range 3 {
			for _, s := range steps {
				name := fmt.Sprint(s.name, round)
				wg.Go(func() {
					err := st.Write(context.Background(), func(tx *store.Tx) error { return s.f(tx, name) })
					switch {
					case s.want == nil && err != nil:
						t.Errorf("%s: %v", name, err)
					case s.want != nil && (err == nil || !s.want(err)):
						t.Errorf("%s: error is %v", name, err)
					}
				})
			}
		}
		time.Sleep(100 * time.Millisecond)
		close(hold)
		wg.Wait()
		for round := range 3 {
			for _, s := range steps {
				if name := fmt.Sprint(s.name, round); has(t, st, name) != (s.want == nil) {
					t.Errorf("%s: its row is there: %t", name, s.want != nil)
				}
			}
		}
	})
}

// testing's FailNow ends the goroutine it is called on. In a step that may be the writer's.
func TestStepEndsItsGoroutine(t *testing.T) {
	st := storetest.New(t, storetest.SQLite)
	err := st.Write(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Exec("INSERT INTO meta (name, value) VALUES ($1, $2)", "half", []byte{1}); err != nil {
			return err
		}
		runtime.Goexit()
		return nil
	})
	if err == nil {
		t.Error("no error")
	}
	if has(t, st, "half") {
		t.Error("half a step was committed")
	}
	if err := put(st, "next"); err != nil {
		t.Errorf("the next step: %v", err)
	}
}

func TestTxAfterItsStep(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		var kept *store.Tx
		if err := st.Write(t.Context(), func(tx *store.Tx) error { kept = tx; return nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := kept.Exec("DELETE FROM meta"); err == nil {
			t.Error("a statement ran outside of any transaction")
		}
	})
}

// A full queue answers at once: HTTP 503, not a pile of waiting requests. One that no longer wants to wait is not run.
func TestQueueFullAndCancelled(t *testing.T) {
	st := storetest.New(t, storetest.SQLite)
	hold, held := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := st.Write(context.Background(), func(*store.Tx) error { close(held); <-hold; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-held

	ctx, cancel := context.WithCancel(t.Context())
	var ran atomic.Bool
	wg.Go(func() {
		err := st.Write(ctx, func(*store.Tx) error { ran.Store(true); return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled while it waited: %v", err)
		}
	})
	var busy, done atomic.Int32
	for range 1100 {
		wg.Go(func() {
			switch err := st.Write(context.Background(), func(*store.Tx) error { return nil }); {
			case err == nil:
				done.Add(1)
			case errors.Is(err, store.ErrBusy):
				busy.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	for end := time.Now().Add(10 * time.Second); busy.Load() < 1101-1024 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	time.Sleep(20 * time.Millisecond)
	close(hold)
	wg.Wait()
	if b := busy.Load(); b != 1101-1024 && b != 1100-1024 {
		t.Errorf("%d were refused and %d done; want 1024 to have waited", b, done.Load())
	}
	if ran.Load() {
		t.Error("the cancelled step was run")
	}
}

// Once a step runs it ends, whether its caller is still there or not.
func TestCancelledWhileRunning(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		err := st.Write(ctx, func(tx *store.Tx) error {
			cancel()
			_, err := tx.Exec("INSERT INTO meta (name, value) VALUES ($1, $2)", "a", []byte{1})
			return err
		})
		if err != nil || !has(t, st, "a") {
			t.Errorf("%v", err)
		}
		if err := put(st, "b"); err != nil {
			t.Error(err)
		}
		if err := st.Write(ctx, func(*store.Tx) error { t.Error("run"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before: %v", err)
		}
	})
}

// Close ends what runs, refuses what waits, and nothing hangs afterwards.
func TestClose(t *testing.T) {
	for _, kind := range []string{storetest.SQLite, storetest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			dsn := storetest.DSN(t, kind)
			st, err := store.Open(t.Context(), store.Config{DSN: dsn})
			if err != nil {
				t.Fatal(err)
			}
			held := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := st.Write(context.Background(), func(tx *store.Tx) error {
					close(held)
					time.Sleep(100 * time.Millisecond)
					_, err := tx.Exec("INSERT INTO meta (name, value) VALUES ($1, $2)", "running", []byte{1})
					return err
				}); err != nil && kind == storetest.SQLite {
					t.Error(err)
				}
			})
			<-held
			var answers sync.Map
			for i := range 50 {
				wg.Go(func() { answers.Store(i, fmt.Sprint(put(st, fmt.Sprint(i)))) })
			}
			time.Sleep(20 * time.Millisecond)
			if err := st.Close(); err != nil {
				t.Error(err)
			}
			wg.Wait()
			if err := put(st, "late"); !errors.Is(err, store.ErrClosed) {
				t.Errorf("Write after Close: %v", err)
			}
			var n int
			if err := st.Read(t.Context()).QueryRow("SELECT count(*) FROM meta").Scan(&n); !errors.Is(err, store.ErrClosed) {
				t.Errorf("Read after Close: %v", err)
			}
			if err := st.Close(); err != nil {
				t.Errorf("Close again: %v", err)
			}
			again := storetest.Open(t, dsn)
			answers.Range(func(i, answer any) bool {
				if has(t, again, fmt.Sprint(i)) != (answer == "<nil>") {
					t.Errorf("step %d was answered %v", i, answer)
				}
				if kind == storetest.SQLite && answer != store.ErrClosed.Error() { // all of them waited
					t.Errorf("step %d: %v", i, answer)
				}
				return true
			})
			if kind == storetest.SQLite && !has(t, again, "running") {
				t.Error("the step that ran is not there")
			}
		})
	}
}

// Two steps that lock each other out on PostgreSQL are run again until both are done.
func TestDeadlockIsRunAgain(t *testing.T) {
	st := storetest.New(t, storetest.Postgres)
	for _, name := range []string{"a", "b"} {
		if err := put(st, name); err != nil {
			t.Fatal(err)
		}
	}
	var meet sync.WaitGroup
	meet.Add(2)
	var runs atomic.Int32
	cross := func(one, two string) error {
		first := true
		return st.Write(context.Background(), func(tx *store.Tx) error {
			runs.Add(1)
			if _, err := tx.Exec("UPDATE meta SET value = value || $1 WHERE name = $2", []byte{1}, one); err != nil {
				return err
			}
			if first {
				first = false
				meet.Done()
				meet.Wait()
			}
			if _, err := tx.Exec("UPDATE meta SET value = value || $1 WHERE name = $2", []byte{1}, two); err != nil {
				return fmt.Errorf("what a room makes of it: %v", err) // the cause is lost on purpose
			}
			return nil
		})
	}
	var wg sync.WaitGroup
	for _, names := range [][2]string{{"a", "b"}, {"b", "a"}} {
		wg.Go(func() {
			if err := cross(names[0], names[1]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if runs.Load() < 3 {
		t.Errorf("%d runs: they did not collide", runs.Load())
	}
	for _, name := range []string{"a", "b"} {
		var v []byte
		if err := st.Read(t.Context()).QueryRow("SELECT value FROM meta WHERE name = $1", name).Scan(&v); err != nil || len(v) != 3 {
			t.Errorf("%s is %v, %v; want each step once", name, v, err)
		}
	}
}

// LIBRARIES trap 11: $N in any order, and every type there and back, the same on both.
func TestValues(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		create(t, st, `CREATE TABLE thing (id TEXT NOT NULL PRIMARY KEY, n BIGINT NOT NULL, yes BOOLEAN NOT NULL, raw BYTEA NOT NULL, maybe BYTEA, at BIGINT NOT NULL)`)
		type thing struct {
			id         string
			n          int64
			yes        bool
			raw, maybe []byte
			at         time.Time
		}
		want := []thing{
			{"a", 1<<62 + 1, true, []byte("31"), nil, time.Date(2026, 11, 24, 1, 2, 3, 4000, time.UTC)}, // 31 would be a number
			{"b", -5, false, []byte{0, 255}, []byte{7}, time.Time{}},
			{"ü'\x01", 0, true, []byte("1e5"), []byte("\x00"), time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)},
		}
		if err := st.Write(t.Context(), func(tx *store.Tx) error {
			for _, w := range want {
				if _, err := tx.Exec("INSERT INTO thing (raw, id, at, yes, n, maybe) VALUES ($4, $1, $6, $3, $2, $5)", w.id, w.n, w.yes, w.raw, w.maybe, w.at.Local()); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		scan := func(r store.Row) (v thing, err error) {
			err = r.Scan(&v.id, &v.n, &v.yes, &v.raw, &v.maybe, &v.at)
			return v, err
		}
		const columns = "SELECT id, n, yes, raw, maybe, at FROM thing "
		got, err := store.All(st.Read(t.Context()), scan, columns+"ORDER BY id")
		if err != nil {
			t.Fatal(err)
		}
		if g, w := fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want); g != w {
			t.Errorf("read\n%s, written\n%s", g, w)
		}
		if (got[0].maybe == nil) != true || got[1].at.IsZero() != true {
			t.Error("NULL or the zero time is something else")
		}
		if _, err := store.One(st.Read(t.Context()), scan, columns+"WHERE raw = $1 AND yes AND n > $2 AND at < $3", []byte("1e5"), -1, time.Now()); err != nil {
			t.Errorf("by its bytes: %v", err)
		}
		_, err = store.One(st.Read(t.Context()), scan, columns+"WHERE id = $1", "none")
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("none: %v", err)
		}
		none, err := store.All(st.Read(t.Context()), scan, columns+"WHERE id = $1", "none")
		if err != nil || len(none) != 0 {
			t.Errorf("none of all: %v, %v", none, err)
		}
		var back []byte
		if err := st.Write(t.Context(), func(tx *store.Tx) error {
			if err := tx.QueryRow("UPDATE thing SET raw = $2 WHERE id = $1 RETURNING raw", "a", []byte{}).Scan(&back); err != nil {
				return err
			}
			return tx.QueryRow("SELECT raw FROM thing WHERE id = $1 AND raw = $2", "a", []byte{}).Scan(&back)
		}); err != nil || len(back) != 0 {
			t.Errorf("empty bytes in a column that is NOT NULL: %v, %v", back, err)
		}
		stop := errors.New("enough")
		var rows []string
		err = st.Read(t.Context()).Each(func(r store.Row) error {
			var id string
			if err := r.Scan(&id); err != nil {
				return err
			}
			rows = append(rows, id)
			return stop
		}, "SELECT id FROM thing ORDER BY id")
		if err != stop || !slices.Equal(rows, []string{"a"}) {
			t.Errorf("stopped after %v with %v", rows, err)
		}
	})
}

// Many at once, reading and writing, on more goroutines than there are connections.
func TestCrowd(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		var wg sync.WaitGroup
		for w := range 30 {
			wg.Go(func() {
				for i := range 10 {
					name := fmt.Sprint(w, "/", i)
					if err := put(st, name); err != nil {
						t.Error(err)
						return
					}
					var v []byte
					if err := st.Read(context.Background()).QueryRow("SELECT value FROM meta WHERE name = $1", name).Scan(&v); err != nil {
						t.Errorf("what was acknowledged is not seen: %v", err)
					}
				}
			})
		}
		wg.Wait()
		if n := count(t, st); n != 300 {
			t.Errorf("%d rows, want 300", n)
		}
	})
}

// On SQLite a step that reads and then writes is alone with the file, beside other processes too (here: another Store).
func TestReadThenWrite(t *testing.T) {
	dsn := storetest.DSN(t, storetest.SQLite)
	a, b := storetest.Open(t, dsn), storetest.Open(t, dsn)
	create(t, a, "CREATE TABLE counter_test (n BIGINT NOT NULL)")
	create(t, a, "INSERT INTO counter_test (n) VALUES (0)")
	var wg sync.WaitGroup
	for _, st := range []*store.Store{a, b} {
		for range 4 {
			wg.Go(func() {
				for range 25 {
					if err := st.Write(context.Background(), func(tx *store.Tx) error {
						var n int
						if err := tx.QueryRow("SELECT n FROM counter_test").Scan(&n); err != nil {
							return err
						}
						_, err := tx.Exec("UPDATE counter_test SET n = $1", n+1)
						return err
					}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	var n int
	if err := a.Read(t.Context()).QueryRow("SELECT n FROM counter_test").Scan(&n); err != nil || n != 200 {
		t.Errorf("counted to %d, %v; want 200", n, err)
	}
}
