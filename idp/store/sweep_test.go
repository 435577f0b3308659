package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// The dead go, 500 a transaction, by keys of one column and of two; the living stay; two may sweep at once.
func TestSweep(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		create(t, st, "CREATE TABLE one_test (id TEXT NOT NULL PRIMARY KEY, expires BIGINT NOT NULL)")
		create(t, st, "CREATE TABLE two_test (org TEXT NOT NULL, id TEXT NOT NULL, expires BIGINT NOT NULL, PRIMARY KEY (org, id))")
		now := time.Now()
		if err := st.Write(t.Context(), func(tx *store.Tx) error {
			for i := range 1300 {
				expires := now.Add(-time.Minute)
				if i%130 == 0 {
					expires = now.Add(time.Minute)
				}
				if _, err := tx.Exec("INSERT INTO one_test (id, expires) VALUES ($1, $2)", fmt.Sprint(i), expires); err != nil {
					return err
				}
				if _, err := tx.Exec("INSERT INTO two_test (org, id, expires) VALUES ($1, $2, $3)", "default", fmt.Sprint(i), expires); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		dead := []store.Dead{{Table: "one_test", Key: "id", Where: "expires < $1"}, {Table: "two_test", Key: "org, id", Where: "expires < $1"}}
		var wg sync.WaitGroup
		var total [2]int64
		for i := range total {
			wg.Go(func() {
				n, err := st.Sweep(t.Context(), dead)
				if err != nil {
					t.Error(err)
				}
				total[i] = n
			})
		}
		wg.Wait()
		if total[0]+total[1] != 2*1290 {
			t.Errorf("%d swept, want %d", total, 2*1290)
		}
		for _, table := range []string{"one_test", "two_test"} {
			var left, alive int
			if err := st.Read(t.Context()).QueryRow("SELECT count(*), count(CASE WHEN expires > $1 THEN 1 END) FROM "+table, now).Scan(&left, &alive); err != nil {
				t.Fatal(err)
			}
			if left != 10 || alive != 10 {
				t.Errorf("%s: %d rows are left, %d of them alive; want 10", table, left, alive)
			}
		}
	})
}
