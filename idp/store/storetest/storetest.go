// Package storetest gives tests real databases: a file of its own for each on SQLite, a database of its own on PostgreSQL, both
// copied from one that was migrated once.
//
//	LANYARD_TEST_POSTGRES   the URL of a PostgreSQL server on which databases may be made; without it, tests on PostgreSQL are
//	                        skipped, and with CI set they fail
//
// Fill makes a large store of a small one: large.go who and what is in it, large_fill.go row by row, large_bulk.go fast.
//
// A PostgreSQL server keeps one database a schema, lanyard_template_…, from one run to the next.
package storetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite": another way into the files than the one that is tested

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/keys"
)

// The kinds of database there are.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Each runs f on a fresh database of each kind.
func Each(t *testing.T, f func(t *testing.T, st *store.Store), with ...func(*store.Config)) {
	t.Helper()
	for _, kind := range []string{SQLite, Postgres} {
		t.Run(kind, func(t *testing.T) { f(t, New(t, kind, with...)) })
	}
}

// New opens a fresh, migrated database of that kind, closed and removed at the end of the test. with alters how it is opened.
func New(t testing.TB, kind string, with ...func(*store.Config)) *store.Store {
	t.Helper()
	return Open(t, DSN(t, kind), with...)
}

// Two opens one fresh database on PostgreSQL twice: two nodes.
func Two(t testing.TB, with ...func(*store.Config)) (a, b *store.Store) {
	t.Helper()
	dsn := DSN(t, Postgres)
	return Open(t, dsn, with...), Open(t, dsn, with...)
}

// Open opens the database, closed at the end of the test.
func Open(t testing.TB, dsn string, with ...func(*store.Config)) *store.Store {
	t.Helper()
	c := store.Config{DSN: dsn, Conns: 8, Sealer: Sealer(t)}
	for _, f := range with {
		f(&c)
	}
	st, err := store.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return st
}

// Sealer is what opens the secrets of every test database.
func Sealer(t testing.TB) *keys.Sealer {
	t.Helper()
	s, err := keys.NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// DSN makes a fresh, migrated database of that kind, removed at the end of the test.
func DSN(t testing.TB, kind string) string {
	t.Helper()
	if kind == Postgres {
		server := server(t)
		template, err := pgTemplate(server)
		if err != nil {
			t.Fatalf("making a template database: %v", err)
		}
		return pgCreate(t, server, template)
	}
	dsn := Empty(t, kind)
	file, err := liteTemplate()
	if err == nil {
		err = os.WriteFile(strings.TrimPrefix(dsn, "sqlite:"), file, 0o600)
	}
	if err != nil {
		t.Fatalf("making a template database: %v", err)
	}
	return dsn
}

// Empty names a database of that kind in which nothing is, removed at the end of the test.
func Empty(t testing.TB, kind string) string {
	t.Helper()
	switch kind {
	case SQLite:
		return "sqlite:" + filepath.Join(t.TempDir(), "lanyard.db")
	case Postgres:
		return pgCreate(t, server(t), "template1")
	}
	t.Fatalf("%q is no kind of database", kind)
	return ""
}

// liteTemplate is the file of a migrated database, made once a test binary.
var liteTemplate = sync.OnceValues(func() (file []byte, err error) {
	dir, err := os.MkdirTemp("", "lanyard-template")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	st, err := store.Open(context.Background(), store.Config{Dir: dir})
	if err != nil {
		return nil, err
	}
	if err := st.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, "lanyard.db"))
})

// server is the PostgreSQL server for tests; without one the test is skipped.
func server(t testing.TB) *url.URL {
	t.Helper()
	dsn := os.Getenv("LANYARD_TEST_POSTGRES")
	if dsn == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("LANYARD_TEST_POSTGRES is not set, and CI is")
		}
		t.Skip("LANYARD_TEST_POSTGRES is not set: tested on SQLite only")
	}
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal("LANYARD_TEST_POSTGRES is no URL")
	}
	return u
}

// on is the URL of a database of that server.
func on(server *url.URL, database string) string {
	u := *server
	u.Path = "/" + database
	return u.String()
}

// exec runs statements on one connection to the server.
func exec(server *url.URL, f func(c *sql.Conn) error) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := sql.Open("pgx", server.String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.Close())
}

func pgCreate(t testing.TB, server *url.URL, template string) string {
	t.Helper()
	name := fmt.Sprintf("lanyard_test_%d_%s", os.Getpid(), strings.ToLower(rand.Text()[:10]))
	run := func(query string) {
		t.Helper()
		if err := exec(server, func(c *sql.Conn) error {
			_, err := c.ExecContext(context.Background(), query)
			return err
		}); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
	run("CREATE DATABASE " + name + " TEMPLATE " + template)
	t.Cleanup(func() { run("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)") })
	if t.Failed() {
		t.FailNow()
	}
	return on(server, name)
}

// pgTemplate makes the migrated database of this schema where it is not there yet. Other test binaries may be about to do the same.
func pgTemplate(server *url.URL) (string, error) {
	fingerprint, err := store.Fingerprint()
	if err != nil {
		return "", err
	}
	name := "lanyard_template_" + fingerprint
	return name, exec(server, func(c *sql.Conn) error {
		ctx := context.Background()
		var there bool
		find := func() error {
			return c.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there)
		}
		if err := find(); err != nil || there {
			return err
		}
		if _, err := c.ExecContext(ctx, "SELECT pg_advisory_lock(hashtext($1))", name); err != nil { // until c is closed
			return err
		}
		if err := find(); err != nil || there {
			return err
		}
		making := name + "_part" // what a killed run leaves is never taken for done
		if _, err := c.ExecContext(ctx, "DROP DATABASE IF EXISTS "+making+" WITH (FORCE)"); err != nil {
			return err
		}
		if _, err := c.ExecContext(ctx, "CREATE DATABASE "+making); err != nil {
			return err
		}
		st, err := store.Open(ctx, store.Config{DSN: on(server, making)})
		if err != nil {
			return err
		}
		if err := st.Close(); err != nil {
			return err
		}
		_, err = c.ExecContext(ctx, "ALTER DATABASE "+making+" RENAME TO "+name)
		return err
	})
}
