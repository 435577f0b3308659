package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// What nobody counts is done in its order, before what is asked after it, and with the step or not at all.
func TestDo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		create(t, st, "CREATE TABLE done (id TEXT NOT NULL PRIMARY KEY, n BIGINT NOT NULL)")
		count := func(r store.Reader) (n int) {
			if err := r.QueryRow("SELECT count(*) FROM done").Scan(&n); err != nil {
				t.Error(err)
			}
			return n
		}
		add := func(tx *store.Tx, id string) error { return tx.Do("INSERT INTO done (id, n) VALUES ($1, 0)", id) }
		const many = 250 // more than go out at once
		if err := st.Write(t.Context(), func(tx *store.Tx) error {
			for i := range many {
				if err := add(tx, fmt.Sprint(i)); err != nil {
					return err
				}
				if err := tx.Do("UPDATE done SET n = n * 2 + $2 WHERE id = $1", fmt.Sprint(i), 3); err != nil {
					return err
				}
				if err := tx.Do("UPDATE done SET n = n * 2 WHERE id = $1", fmt.Sprint(i)); err != nil {
					return err
				}
			}
			if n := count(tx); n != many {
				t.Errorf("the step sees %d of its %d rows", n, many)
			}
			return add(tx, "last")
		}); err != nil {
			t.Fatal(err)
		}
		var wrong int
		if err := st.Read(t.Context()).QueryRow("SELECT count(*) FROM done WHERE n <> 6 AND id <> 'last'").Scan(&wrong); err != nil || wrong > 0 {
			t.Errorf("%d rows were not altered in order; %v", wrong, err)
		}
		for name, step := range map[string]func(tx *store.Tx) error{
			"the last":              func(tx *store.Tx) error { _ = add(tx, "new"); return add(tx, "1") },
			"and f says it is well": func(tx *store.Tx) error { _ = add(tx, "new"); _ = add(tx, "1"); return nil },
			"before one that counts": func(tx *store.Tx) error {
				_ = add(tx, "1")
				_, err := tx.Exec("DELETE FROM done WHERE id = $1", "2")
				return err
			},
			"before a question": func(tx *store.Tx) error {
				_ = add(tx, "1")
				count := 0
				return tx.QueryRow("SELECT count(*) FROM done").Scan(&count)
			},
			"before many": func(tx *store.Tx) error {
				_ = add(tx, "1")
				for i := range many {
					_ = add(tx, fmt.Sprint("more", i))
				}
				return nil
			},
		} {
			if err := st.Write(t.Context(), step); !errors.Is(err, store.ErrExists) {
				t.Errorf("%s: %v", name, err)
			}
			if n := count(st.Read(t.Context())); n != many+1 {
				t.Fatalf("%s: %d rows, want %d", name, n, many+1)
			}
		}
		if err := st.Write(t.Context(), func(tx *store.Tx) error { _ = add(tx, "new"); return errors.New("no") }); err == nil || count(st.Read(t.Context())) != many+1 {
			t.Errorf("a step that says no: %v", err)
		}
		if err := st.Write(t.Context(), func(*store.Tx) error { return nil }); err != nil {
			t.Errorf("a step that does nothing: %v", err)
		}
	})
}

// Parameters go by their numbers, in whatever order they come; and what does not fit is an error, not a value.
func TestRows(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		create(t, st, "CREATE TABLE kinds (s TEXT, b BYTEA, n BIGINT, y BOOLEAN)")
		type name string
		if err := st.Write(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.Exec("INSERT INTO kinds (y, n, b, s) VALUES ($4, $3, $2, $1)", name("$2"), []byte{0, 255}, 1<<40, true); err != nil {
				return err
			}
			_, err := tx.Exec("INSERT INTO kinds (s, b, n, y) VALUES (NULL, $1, NULL, NULL)", []byte(nil))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		var s string
		var b []byte
		var n int
		var y bool
		var at time.Time
		r := st.Read(t.Context())
		if err := r.QueryRow("SELECT s, b, n, y, n FROM kinds WHERE n = $2 AND s = $1", "$2", 1<<40).Scan(&s, &b, &n, &y, &at); err != nil ||
			s != "$2" || string(b) != "\x00\xff" || n != 1<<40 || !y || !at.Equal(time.UnixMicro(1<<40)) || at.Location() != time.UTC {
			t.Errorf("%q %q %d %v %v, %v", s, b, n, y, at, err)
		}
		b = []byte("old")
		if err := r.QueryRow("SELECT b FROM kinds WHERE s IS NULL").Scan(&b); err != nil || b != nil {
			t.Errorf("NULL is read as %q, %v", b, err)
		}
		for query, dest := range map[string]any{
			"SELECT s FROM kinds WHERE s IS NULL":     &s,
			"SELECT n FROM kinds WHERE s IS NULL":     &n,
			"SELECT y FROM kinds WHERE s IS NULL":     &y,
			"SELECT n, n FROM kinds WHERE s IS NULL":  &at,
			"SELECT s FROM kinds WHERE s IS NOT NULL": &n,
			"SELECT n FROM kinds WHERE n = 5 AND":     &n,
		} {
			if err := r.QueryRow(query).Scan(dest); err == nil || errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s into a %T: %v", query, dest, err)
			}
		}
		if err := r.QueryRow("SELECT n FROM kinds WHERE n = $1 AND s = $2", 1).Scan(&n); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("an argument too few: %v", err)
		}
	})
}

// A statement is one whatever space is around it; there may be more of them than are kept; a comment is no statement.
func TestStatementTexts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		for _, text := range []string{
			"CREATE TABLE a (x BIGINT);\n-- the end\n", "-- the beginning\nCREATE TABLE b (x BIGINT);\n/* and; */ CREATE TABLE c (x BIGINT) ;\n-- the end; of it",
			"CREATE TABLE d (x BIGINT); ; \n;", "/* one; */ CREATE TABLE e (x BIGINT)",
		} {
			create(t, st, text)
		}
		if err := st.Write(t.Context(), func(tx *store.Tx) error {
			for _, table := range []string{"a", "b", "c", "d", "e"} {
				if _, err := tx.Exec("INSERT INTO "+table+" (x) VALUES ($1)", 1); err != nil {
					return err
				}
			}
			for i := range 600 {
				for _, around := range []string{"", " ", "\n"} {
					if err := tx.Do(fmt.Sprintf("%sUPDATE a SET x = x + $1 WHERE x <> %d%s", around, -i, around), 1); err != nil {
						return err
					}
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		var x int
		if err := st.Read(t.Context()).QueryRow("SELECT x FROM a").Scan(&x); err != nil || x != 1801 {
			t.Errorf("%d, %v", x, err)
		}
	})
	st := storetest.New(t, storetest.SQLite)
	if err := put(st, "a"); err != nil {
		t.Fatal(err)
	}
	again := errors.New("")
	if err := st.Write(t.Context(), func(tx *store.Tx) error {
		const query = "SELECT name FROM meta WHERE name <> $1"
		return tx.Each(func(store.Row) error {
			again = tx.Each(func(store.Row) error { return nil }, query, "")
			return nil
		}, query, "")
	}); err == nil || again == nil || !strings.Contains(again.Error(), "while its rows are read") {
		t.Errorf("a statement within its own rows: %v, %v", err, again)
	}
}
