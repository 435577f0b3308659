package store_test

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// A write on SQLite, on a disk: TMPDIR says which. One writer waits for the disk each time; many share.
func BenchmarkWrite(b *testing.B) {
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			st := storetest.New(b, storetest.SQLite)
			var n atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for n.Add(1) <= int64(b.N) {
						if err := put(st, st.NewID()); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func BenchmarkRead(b *testing.B) {
	kinds := []string{storetest.SQLite}
	if os.Getenv("LANYARD_TEST_POSTGRES") != "" {
		kinds = append(kinds, storetest.Postgres)
	}
	for _, kind := range kinds {
		b.Run(kind, func(b *testing.B) {
			st := storetest.New(b, kind)
			if err := put(st, "a"); err != nil {
				b.Fatal(err)
			}
			r := st.Read(b.Context())
			for b.Loop() {
				var v []byte
				if err := r.QueryRow("SELECT value FROM meta WHERE name = $1", "a").Scan(&v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCached(b *testing.B) {
	st := storetest.New(b, storetest.SQLite)
	if err := st.Write(b.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec("INSERT INTO meta (name, value) VALUES ('a', $1)", []byte("one"))
		return err
	}); err != nil {
		b.Fatal(err)
	}
	w := newWords(st)
	for b.Loop() {
		if _, err := w.Get(b.Context(), "a"); err != nil {
			b.Fatal(err)
		}
	}
}
