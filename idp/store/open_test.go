package store_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// what is wrong with a database is said in one clear line, soon, and without its password.
func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	junk := write("junk.db", strings.Repeat("this is no database\n", 500))
	foreign := filepath.Join(dir, "foreign.db")
	lite(t, foreign, "CREATE TABLE bookmarks (id INTEGER)")
	newer := strings.TrimPrefix(storetest.DSN(t, storetest.SQLite), "sqlite:")
	lite(t, newer, "UPDATE schema SET version = 9000, oldest = 8000")

	for _, c := range []struct{ name, dsn, want string }{
		{"nothing named", "", "neither a database nor a data folder"},
		{"another kind", "mysql://lanyard:hunter2@db/lanyard", "sqlite:PATH or postgres://"},
		{"a path alone", "lanyard.db", "sqlite:PATH or postgres://"},
		{"no path", "sqlite:", "needs the path of a file"},
		{"memory", "sqlite::memory:", "needs the path of a file"},
		{"folder can not be made", "sqlite:/dev/null/data/lanyard.db", "the folder for the database cannot be made"},
		{"folder can not be written", "sqlite:/proc/lanyard.db", "the database cannot be made"},
		{"a folder", "sqlite:" + dir, "is not a file"},
		{"not a database", "sqlite:" + junk, "not an SQLite database"},
		{"another program's database", "sqlite:" + foreign, "tables of another program"},
		{"newer schema", "sqlite:" + newer, "too old"},
		{"not a URL", "postgres://lanyard:hun%ter2@db/lanyard", "percent-encoded"},
		{"password with a slash", "postgres://lanyard:12/hunter2@db/lanyard", "percent-encoded"},
		{"unknown sslmode", "postgres://lanyard:hunter2@127.0.0.1:1/lanyard?sslmode=maybe", "sslmode"},
		{"nobody listens", "postgres://lanyard:hunter2@127.0.0.1:1/lanyard", "cannot be reached"},
		{"no such host", "postgres://lanyard:hunter2@db.invalid/lanyard?sslmode=disable", "cannot be reached"},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			st, err := store.Open(context.Background(), store.Config{DSN: c.dsn})
			if err == nil {
				st.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
			for _, secret := range []string{"hunter2", "hun%ter2", "%te", ":12"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error %q tells the password", err)
				}
			}
			if strings.Contains(strings.TrimSpace(err.Error()), "\n") {
				t.Errorf("error %q is more than a line", err)
			}
			if d := time.Since(began); d > 3*time.Second {
				t.Errorf("took %s", d)
			}
		})
	}
	if _, err := store.Open(context.Background(), store.Config{DSN: "sqlite:" + newer}); !errors.Is(err, store.ErrTooOld) {
		t.Errorf("newer schema: %v, want ErrTooOld", err)
	}
	if got, _ := os.ReadFile(junk); !strings.HasPrefix(string(got), "this is no database") {
		t.Error("the file that is no database was written to")
	}
}

func TestOpenRefusesPostgres(t *testing.T) {
	dsn := storetest.DSN(t, storetest.Postgres)
	st := storetest.Open(t, dsn)
	create(t, st, "UPDATE schema SET version = 9000, oldest = 8000")
	if _, err := store.Open(t.Context(), store.Config{DSN: dsn}); !errors.Is(err, store.ErrTooOld) {
		t.Errorf("newer schema: %v, want ErrTooOld", err)
	}
	_, err := store.Open(t.Context(), store.Config{DSN: strings.Replace(dsn, "/lanyard_test_", "/lanyard_none_", 1)})
	if err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("no such database: %v", err)
	}
}

// A newer schema that still works with this binary is taken as it is: N runs beside N+1.
func TestOpenNewerSchema(t *testing.T) {
	for _, kind := range []string{storetest.SQLite, storetest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			dsn := storetest.DSN(t, kind)
			st := storetest.Open(t, dsn)
			create(t, st, "UPDATE schema SET version = 9000")
			next := storetest.Open(t, dsn)
			if err := put(next, "a"); err != nil {
				t.Fatal(err)
			}
			var version int
			if err := next.Read(t.Context()).QueryRow("SELECT version FROM schema").Scan(&version); err != nil || version != 9000 {
				t.Errorf("schema %d, %v; want it left at 9000", version, err)
			}
		})
	}
}

// SEC-05: nobody else on the machine can read the data.
func TestFileModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "data")
	st := storetest.Open(t, "", func(c *store.Config) { c.Dir = dir })
	release, err := st.LockServe()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if err := put(st, "a"); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = filepath.WalkDir(filepath.Dir(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		seen++
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil || seen != 2+4 { // two folders; database, log, its index, lock
		t.Errorf("%d files and folders, %v; want 6", seen, err)
	}
}

// SEC-05: a file that others can read is warned of.
func TestFileModeWarned(t *testing.T) {
	dsn := storetest.DSN(t, storetest.SQLite)
	if err := os.Chmod(strings.TrimPrefix(dsn, "sqlite:"), 0o644); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	st, err := store.Open(t.Context(), store.Config{DSN: dsn, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	st.Close()
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "rw-r--r--") {
		t.Errorf("no warning in %q", log.String())
	}
}

// What SQLite was told on opening, as far as it can be asked for.
func TestSQLiteSettings(t *testing.T) {
	st := storetest.New(t, storetest.SQLite)
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"} {
		var got string
		if err := st.Read(t.Context()).QueryRow("PRAGMA " + name).Scan(&got); err != nil || got != want {
			t.Errorf("reader: %s is %s, %v; want %s", name, got, err, want)
		}
		if name == "busy_timeout" {
			want = "0" // it waits by itself
		}
		if err := st.Write(t.Context(), func(tx *store.Tx) error { return tx.QueryRow("PRAGMA " + name).Scan(&got) }); err != nil || got != want {
			t.Errorf("writer: %s is %s, %v; want %s", name, got, err, want)
		}
	}
	var one string
	if err := st.Read(t.Context()).QueryRow("INSERT INTO meta (name, value) VALUES ('a', $1) RETURNING name", []byte{1}).Scan(&one); err == nil {
		t.Error("a reader wrote")
	}
	if err := st.Read(t.Context()).QueryRow(`SELECT "no such column"`).Scan(&one); err == nil {
		t.Error("a name in double quotes was taken for a text")
	}
}

// a file that is gone is never replaced by an empty one, and what can not last is not acknowledged.
func TestDatabaseVanishes(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"", "-wal"} {
		t.Run("lanyard.db"+suffix, func(t *testing.T) {
			t.Parallel()
			dsn := storetest.DSN(t, storetest.SQLite)
			path := strings.TrimPrefix(dsn, "sqlite:") + suffix
			st := storetest.Open(t, dsn)
			if err := put(st, "before"); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path, path+".moved"); err != nil {
				t.Fatal(err)
			}
			if suffix == "" { // also while nothing is written
				time.Sleep(500 * time.Millisecond)
			} else if err := put(st, "while away"); !errors.Is(err, store.ErrNotReady) || !strings.Contains(err.Error(), "removed or replaced") {
				t.Errorf("written while the file was away: %v", err)
			}
			var n int
			if err := st.Read(t.Context()).QueryRow("SELECT count(*) FROM meta").Scan(&n); !errors.Is(err, store.ErrNotReady) {
				t.Errorf("read while the file was away: %v", err)
			}
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a new file was made: %v", err)
			}
			if suffix == "" {
				time.Sleep(5500 * time.Millisecond)
				if err := st.Ready(); !errors.Is(err, store.ErrNotReady) || !strings.Contains(err.Error(), "removed or replaced") {
					t.Errorf("Ready: %v", err)
				}
				if err := put(st, "while away"); !errors.Is(err, store.ErrNotReady) {
					t.Errorf("written while the file was away: %v", err)
				}
			}
			if err := os.Rename(path+".moved", path); err != nil {
				t.Fatal(err)
			}
			time.Sleep(500 * time.Millisecond)
			if err := put(st, "after"); err != nil {
				t.Errorf("the file is back: %v", err)
			}
			if !has(t, st, "before") || has(t, st, "while away") {
				t.Error("rows before and after do not agree")
			}
		})
	}
}

// a table that is gone makes the node not ready; nothing is invented.
func TestTableVanishes(t *testing.T) {
	t.Parallel()
	st := storetest.New(t, storetest.SQLite)
	create(t, st, "DROP TABLE change")
	time.Sleep(5500 * time.Millisecond)
	if err := st.Ready(); !errors.Is(err, store.ErrNotReady) || !strings.Contains(err.Error(), "change") {
		t.Errorf("Ready: %v", err)
	}
	if err := put(st, "a"); !errors.Is(err, store.ErrNotReady) {
		t.Errorf("Write: %v", err)
	}
}

// lite runs a statement on an SQLite file that no Store has open.
func lite(t *testing.T, path, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(text); err != nil {
		t.Fatal(err)
	}
}
