package store_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// wrongClock is a machine's clock that can be set.
type wrongClock struct{ by atomic.Int64 }

func (c *wrongClock) now() time.Time { return time.Now().Round(0).Add(time.Duration(c.by.Load())) }

// nodes on PostgreSQL go by the server's clock, whatever their own says; on SQLite there is only the machine's.
func TestClock(t *testing.T) {
	for _, kind := range []string{storetest.SQLite, storetest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			dsn := storetest.DSN(t, kind)
			var fast, slow wrongClock
			fast.by.Store(int64(30 * time.Second))
			slow.by.Store(int64(-30 * time.Second))
			a := storetest.Open(t, dsn, func(c *store.Config) { c.Wall = fast.now })
			b := storetest.Open(t, dsn, func(c *store.Config) { c.Wall = slow.now })
			apart := func() time.Duration { return a.Now().Sub(b.Now()).Round(10 * time.Second) }
			want := time.Minute
			if kind == storetest.Postgres {
				want = 0
			}
			if d := apart(); d != want {
				t.Errorf("two nodes are %s apart, not %s", d, want)
			}
			fast.by.Store(int64(time.Hour + 30*time.Second))
			if kind == storetest.SQLite {
				want += time.Hour
			}
			if d := apart(); d != want {
				t.Errorf("after a step: %s, not %s", d, want)
			}
		})
	}
}

// what is deleted as dead does not go by a clock that steps.
func TestSettle(t *testing.T) {
	var clock wrongClock
	dsn := storetest.DSN(t, storetest.SQLite)
	open := func() *store.Store {
		st, err := store.Open(t.Context(), store.Config{DSN: dsn, Now: clock.now})
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	st := open()
	begin := time.Now()
	look := func(what string, ahead time.Duration, settled bool) {
		t.Helper()
		got, is, err := st.Settle(t.Context())
		if err != nil || is != settled {
			t.Errorf("%s: settled %v, %v", what, is, err)
		}
		want := begin.Add(-10 * time.Minute).Add(ahead)
		if d := got.Sub(want).Abs(); d > 30*time.Second {
			t.Errorf("%s: %s away from what it should be", what, d)
		}
	}
	look("at first", 0, true)
	clock.by.Store(int64(24 * time.Hour))
	look("a day ahead", 0, false)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	st = open() // a start at the wrong time
	look("a day ahead, after a start", 0, false)
	clock.by.Store(0)
	look("right again", 0, true)
	clock.by.Store(int64(-time.Hour))
	look("an hour back", -time.Hour, true)
	clock.by.Store(0)
	look("and right again", -time.Hour, false) // it catches up
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

// Consents of apps that are gone go, a page at a time; all others stay.
func TestSweepOrphans(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		const each = 7000
		if err := st.Write(t.Context(), func(tx *store.Tx) error {
			for _, app := range []string{"here", "gone"} {
				if app == "here" {
					if err := tx.Do(`INSERT INTO app (org, id, name, api_name, parent, children, epoch, doc, created, last_used) VALUES ('o', $1, $1, $1, '', 0, 0, '{}', 0, 0)`, app); err != nil {
						return err
					}
				}
				for i := range each {
					if err := tx.Do(`INSERT INTO consent (org, usr, app, scopes, given) VALUES ('o', $1, $2, 'openid', 1)`, fmt.Sprintf("u%05d", i), app); err != nil {
						return err
					}
				}
			}
			for i := range each {
				if err := tx.Do(`INSERT INTO usr (org, id, username, email, active, service, epoch, password, doc, created, changed)
					VALUES ('o', $1, $1, '', $2, $3, 0, '', '{}', 0, 0)`, fmt.Sprintf("u%05d", i), true, false); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		var total int64
		for range 3 {
			n, err := st.SweepOrphans(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			total += n
		}
		var left, wrong int
		if err := st.Read(t.Context()).QueryRow(`SELECT count(*), count(CASE WHEN app = 'gone' THEN 1 END) FROM consent`).Scan(&left, &wrong); err != nil || left != each || wrong != 0 || total != each {
			t.Errorf("%d went; %d are left, %d of them of no app; %v", total, left, wrong, err)
		}
		if n, err := st.SweepOrphans(context.Background()); err != nil || n != 0 { // from the beginning
			t.Error(n, err)
		}
	})
}
