package store_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// counted makes a store on PostgreSQL with a row that counts from 0, and a connection to its database past the store.
func counted(t *testing.T) (*store.Store, *sql.DB) {
	t.Helper()
	dsn := storetest.DSN(t, storetest.Postgres)
	st := storetest.Open(t, dsn)
	create(t, st, "CREATE TABLE counted (id TEXT NOT NULL PRIMARY KEY, n BIGINT NOT NULL)")
	if err := st.Write(t.Context(), func(tx *store.Tx) error { return tx.Do("INSERT INTO counted (id, n) VALUES ($1, 0)", "a") }); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return st, db
}

// Connections that the server, or something before it, has ended are replaced, and nobody sees it.
func TestEndedConnections(t *testing.T) {
	st, db := counted(t)
	const rounds = 20
	read := func() error {
		var n int
		return st.Read(t.Context()).QueryRow("SELECT n FROM counted WHERE id = $1", "a").Scan(&n)
	}
	for range rounds {
		var wg sync.WaitGroup
		for range 4 { // so that the pool has some
			wg.Go(func() {
				if err := read(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if _, err := db.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
		if err := st.Write(t.Context(), func(tx *store.Tx) error {
			if err := tx.Do("UPDATE counted SET n = n + 1 WHERE id = $1", "a"); err != nil {
				return err
			}
			return tx.Do("UPDATE counted SET n = n + 1 WHERE id = $1", "a")
		}); err != nil {
			t.Errorf("a step: %v", err)
		}
		if _, err := db.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
		if err := read(); err != nil {
			t.Errorf("a read: %v", err)
		}
	}
	var n int
	if err := st.Read(t.Context()).QueryRow("SELECT n FROM counted WHERE id = $1", "a").Scan(&n); err != nil || n != 2*rounds {
		t.Errorf("%d, %v; want each step once: %d", n, err, 2*rounds)
	}
}

// A step whose caller's time ran out while it waited for a lock does not come about afterwards.
func TestLateStepIsUndone(t *testing.T) {
	st, db := counted(t)
	for range 3 {
		holder, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := holder.Exec("UPDATE counted SET n = n WHERE id = 'a'"); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
		if err := st.Write(ctx, func(tx *store.Tx) error { return tx.Do("UPDATE counted SET n = n + 1 WHERE id = $1", "a") }); !errors.Is(err, store.ErrBusy) {
			t.Errorf("a step that waits for a lock: %v", err)
		}
		stop()
		if err := holder.Rollback(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		var n int
		if err := db.QueryRow("SELECT n FROM counted WHERE id = 'a'").Scan(&n); err != nil || n != 0 {
			t.Fatalf("%d, %v: what was not to be waited for has come about", n, err)
		}
	}
}
