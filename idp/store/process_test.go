package store_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// eight processes start at once on an empty database, and one of them migrates it.
func TestStartsAtOnce(t *testing.T) {
	for _, kind := range []string{storetest.SQLite, storetest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			dsn := storetest.Empty(t, kind)
			var all [8]*exec.Cmd
			var stdin [8]io.WriteCloser
			var out [8]bytes.Buffer
			for i := range all {
				c := command(t, "open", dsn)
				c.Stdout = &out[i]
				var err error
				if stdin[i], err = c.StdinPipe(); err != nil {
					t.Fatal(err)
				}
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				all[i] = c
			}
			time.Sleep(200 * time.Millisecond)
			for _, w := range stdin {
				if _, err := w.Write([]byte{'\n'}); err != nil {
					t.Fatal(err)
				}
			}
			for i, c := range all {
				if err := c.Wait(); err != nil || out[i].String() != "open\n" {
					t.Errorf("process %d: %v: %s", i, err, out[i].String())
				}
			}
			st := storetest.Open(t, dsn)
			var rows, version int
			if err := st.Read(t.Context()).QueryRow("SELECT count(*), max(version) FROM schema").Scan(&rows, &version); err != nil || rows != 1 || version != newest(t) {
				t.Errorf("%d rows in schema, version %d, %v; want 1 and %d", rows, version, err, newest(t))
			}
		})
	}
}

func newest(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	return len(files)
}

// earliest makes an SQLite file as the first migration left it, with data in it.
func earliest(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "lanyard.db")
	text, err := os.ReadFile("migrations/0001_engine.sql")
	if err != nil {
		t.Fatal(err)
	}
	lite(t, path, `PRAGMA journal_mode=WAL; CREATE TABLE schema (version BIGINT NOT NULL, oldest BIGINT NOT NULL); INSERT INTO schema VALUES (1, 1);`+
		string(text)+`INSERT INTO meta VALUES ('kept', x'01');`)
	return path
}

// before a file with data is migrated there is a copy of it.
func TestCopyBeforeMigrating(t *testing.T) {
	path := earliest(t)
	st := storetest.Open(t, "sqlite:"+path)
	if !has(t, st, "kept") {
		t.Error("the data is gone")
	}
	var version int
	if err := st.Read(t.Context()).QueryRow("SELECT version FROM schema").Scan(&version); err != nil || version != newest(t) {
		t.Errorf("schema %d, %v; want %d", version, err, newest(t))
	}
	saved := path + ".schema-1"
	info, err := os.Stat(saved)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the copy has mode %o", info.Mode().Perm())
	}
	if left, _ := filepath.Glob(path + "*.part"); left != nil {
		t.Errorf("left over: %v", left)
	}
	lite(t, saved, "DELETE FROM meta WHERE name = 'kept'; UPDATE schema SET version = CASE version WHEN 1 THEN 1 ELSE NULL END") // NULL is refused

	fresh := strings.TrimPrefix(storetest.Empty(t, storetest.SQLite), "sqlite:")
	storetest.Open(t, "sqlite:"+fresh)
	if made, _ := filepath.Glob(fresh + ".schema*"); made != nil {
		t.Errorf("a new database was copied: %v", made)
	}
}

// killed at any moment of a migration, a database is as before or as after it.
func TestKilledWhileMigrating(t *testing.T) {
	for i := range 12 {
		path := earliest(t)
		c := command(t, "open", "sqlite:"+path)
		stdin, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := stdin.Write([]byte{'\n'}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20*time.Millisecond + time.Duration(i)*4*time.Millisecond)
		c.Process.Kill()
		c.Wait()

		st, err := store.Open(t.Context(), store.Config{DSN: "sqlite:" + path})
		if err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		if !has(t, st, "kept") {
			t.Errorf("round %d: the data is gone", i)
		}
		sound(t, st)
		st.Close()
	}
}

func sound(t *testing.T, st *store.Store) {
	t.Helper()
	var verdict string
	if err := st.Read(t.Context()).QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity_check: %s, %v", verdict, err)
	}
}

// what was acknowledged before kill -9 is there afterwards.
func TestKilledWhileWriting(t *testing.T) {
	for _, kind := range []string{storetest.SQLite, storetest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			dsn := storetest.DSN(t, kind)
			total := 0
			for round := range 6 {
				c := command(t, "write", dsn)
				out, err := c.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Start(); err != nil {
					t.Fatal(err)
				}
				var names []string
				lines := bufio.NewScanner(out)
				for lines.Scan() {
					names = append(names, lines.Text())
					if len(names) == 1 {
						time.AfterFunc(100*time.Millisecond+time.Duration(round)*17*time.Millisecond, func() { c.Process.Kill() })
					}
				}
				c.Wait()
				if len(names) == 0 || len(names[len(names)-1]) != 26 {
					t.Fatalf("round %d: nothing was written: %q", round, names)
				}
				began := time.Now()
				st, err := store.Open(t.Context(), store.Config{DSN: dsn})
				if err != nil {
					t.Fatal(err)
				}
				if d := time.Since(began); d > 2*time.Second {
					t.Errorf("opened after %s", d)
				}
				for _, name := range names {
					if !has(t, st, name) {
						t.Errorf("round %d: %s was acknowledged and is lost", round, name)
					}
				}
				total += len(names)
				n := count(t, st)
				if n != total && n != total+1 { // one may be on disk and not yet acknowledged
					t.Errorf("round %d: %d rows, acknowledged %d", round, n, total)
				}
				total = n
				if kind == storetest.SQLite {
					sound(t, st)
				}
				st.Close()
			}
		})
	}
}

// a second server on an SQLite file is refused and told by whom; commands are not; the lock ends with its holder.
func TestServeLock(t *testing.T) {
	dsn := storetest.DSN(t, storetest.SQLite)
	c := command(t, "serve", dsn)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "locked\n" {
		t.Fatalf("the first server: %q, %v", line, err)
	}
	st := storetest.Open(t, dsn)
	if err := put(st, "a command"); err != nil {
		t.Errorf("a command beside a server: %v", err)
	}
	_, err = st.LockServe()
	if err == nil ||
		!strings.Contains(err.Error(), fmt.Sprintf("another server (process %d)", c.Process.Pid)) {
		t.Fatalf("the second server: %v, want it refused, naming %d", err, c.Process.Pid)
	}
	c.Process.Kill()
	c.Wait()
	release, err := st.LockServe()
	if err != nil {
		t.Fatalf("after the first was killed: %v", err)
	}
	if _, err := storetest.Open(t, dsn).LockServe(); err == nil {
		t.Error("a second server in the same process")
	}
	release()
	if release, err = st.LockServe(); err != nil {
		t.Errorf("after it was released: %v", err)
	}
	release()
}

func TestServeLockPostgres(t *testing.T) {
	a, b := storetest.Two(t)
	for _, st := range []*store.Store{a, b} {
		release, err := st.LockServe()
		if err != nil {
			t.Fatal(err)
		}
		defer release()
	}
}

// a command gets its turn beside a server that never stops writing.
func TestCommandBesideBusyServer(t *testing.T) {
	dsn := storetest.DSN(t, storetest.SQLite)
	st := storetest.Open(t, dsn)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var writes atomic.Int64
	for range 32 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := put(st, st.NewID()); err != nil {
					t.Error(err)
					return
				}
				writes.Add(1)
			}
		})
	}
	out, err := command(t, "command", dsn).Output()
	close(stop)
	wg.Wait()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	longest, err := time.ParseDuration(strings.TrimSpace(string(out)))
	if err != nil || longest > time.Second {
		t.Errorf("the longest of 50 writes took %s (%v)", longest, err)
	}
	t.Logf("the longest of 50 writes took %s beside %d", longest, writes.Load())
}
