package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
)

// slow is a clock that only a test moves.
type slow struct{ at atomic.Int64 }

func (c *slow) advance(d time.Duration) { c.at.Add(d.Microseconds()) }

func (c *slow) with(config *store.Config) {
	c.at.Store(time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC).UnixMicro())
	config.Now = func() time.Time { return time.UnixMicro(c.at.Load()) }
}

// remember has a request of that size remembered for whoever ctx carries.
func remember(ctx context.Context, st *store.Store, size int) error {
	now := st.Now()
	if size > 16<<10 { // OAuth keeps none so large
		err := st.SAML().AddLogin(ctx, "o", &saml.Login{App: "a", Created: now, Expires: now.Add(time.Hour), RelayState: strings.Repeat("s", size/4*3)}) // kept in base64
		if errors.Is(err, saml.ErrFlood) {
			return oidc.ErrFlood
		}
		return err
	}
	return st.OIDC().AddLogin(ctx, "o", &oidc.Login{App: "a", Created: now, Expires: now.Add(time.Hour), State: strings.Repeat("s", size)})
}

// What one address has remembered is bounded, by its size, and so is what all have; another address does not suffer, and in
// time all is forgiven.
func TestFlood(t *testing.T) {
	for _, kind := range []string{storetest.SQLite, storetest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			var clock slow
			st := storetest.New(t, kind, clock.with)
			const size = 4 << 20 // two thousand of the account's thirty
			fill := func(ip string, most int) (n int) {
				t.Helper()
				for ; n < most; n++ {
					if err := remember(at(t.Context(), ip, ""), st, size); errors.Is(err, oidc.ErrFlood) {
						return n
					} else if err != nil {
						t.Fatal(err)
					}
				}
				return n
			}
			if n := fill("192.0.2.1", 40); n != 14 {
				t.Errorf("%d times 4 MiB are remembered for one address, want 14", n)
			}
			// One line of IPv6 is one, whatever address of it is taken.
			if a, b := fill("2001:db8::1", 10), fill("2001:db8::2", 10); a != 10 || b != 4 {
				t.Errorf("%d and %d are remembered for two addresses of one line", a, b)
			}
			if n := fill("2001:db8:0:1::1", 10); n != 1 {
				t.Errorf("%d more are remembered for all, want 1", n)
			}
			// A second later all have a thousand more, of which the address has twenty.
			clock.advance(3 * time.Second)
			if n := fill("192.0.2.1", 2); n != 0 {
				t.Error("an address is forgiven as fast as all are")
			}
			if n := fill("192.0.2.9", 2); n != 1 {
				t.Errorf("%d for an address that has sent nothing yet, want 1", n)
			}
			clock.advance(time.Hour)
			if n := fill("192.0.2.1", 20); n != 14 {
				t.Errorf("after an hour: %d, want 14", n)
			}
			// A clock that steps back forgives nothing, and takes nothing back.
			clock.advance(-time.Hour)
			if n := fill("192.0.2.1", 1); n != 0 {
				t.Error("a clock that steps back forgives")
			}
			// Requests of OAuth and for sign-out are on the same account.
			for name, add := range map[string]func(ctx context.Context, doc string) error{
				"authorize": func(ctx context.Context, doc string) error {
					return st.OIDC().AddLogin(ctx, "o", &oidc.Login{App: "a", State: doc})
				},
				"sign-out": func(ctx context.Context, doc string) error {
					return st.OIDC().AddLogout(ctx, "o", &oidc.Logout{State: doc})
				},
			} {
				var err error
				for n := 0; n < 200 && err == nil; n++ {
					err = add(at(t.Context(), "192.0.2.1", ""), strings.Repeat("r", 15<<10))
				}
				if !errors.Is(err, oidc.ErrFlood) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// A company behind one address is not locked out, nor anybody behind a proxy that was not named.
func TestFloodOfPeople(t *testing.T) {
	var clock slow
	st := storetest.New(t, storetest.SQLite, clock.with)
	send := func(ip string, n int, d time.Duration) (refused int) {
		ctx := at(t.Context(), ip, "")
		for range n {
			if st.Remembers(ctx, 1000) != nil {
				refused++
			}
		}
		clock.advance(d)
		return refused
	}
	for minute := range 10 {
		if n := send("192.0.2.1", 3000, time.Minute); n != 0 {
			t.Fatalf("minute %d: of 10,000 people with three requests each, %d are refused", minute, n)
		}
	}
	for _, ip := range []string{"127.0.0.1", "::1"} {
		if n := send(ip, 32_000, time.Minute); n != 0 {
			t.Errorf("%s: %d are refused", ip, n)
		}
	}
}

// Of all who are refused for it in a minute, one event tells.
func TestFloodEvent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		refs := map[string]bool{}
		for i := range 300 {
			ctx := at(t.Context(), fmt.Sprintf("192.0.2.%d", i%200), fmt.Sprintf("F%07d", i))
			refs[st.Events().Refuse(ctx, idp.Event{Org: "o", Code: "TooManyRequests", App: "a", Reason: "too many"})] = true
			if i == 0 {
				if e := found(t, st, "o", "F0000000"); e.IP != "192.0.2.0" {
					t.Errorf("the only address is not told: %+v", e)
				}
			}
		}
		var all []idp.Event
		for range 500 {
			if all = events(t, st, "o", store.EventFilter{Code: "TooManyRequests"}); len(all) > 0 && strings.HasSuffix(all[0].Reason, "299 more") {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if len(refs) != 1 || len(all) != 1 || !refs[all[0].Reference] || all[0].Reason != "too many, and 299 more" || all[0].IP != "" {
			t.Errorf("%d references, events %+v", len(refs), all)
		}
	})
}

// Those that have waited longest are forgotten, what was answered is not; two nodes take no more than one.
func TestSweepWaiting(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		base := st.Now().Truncate(time.Microsecond)
		write(t, st, func(tx *store.Tx) error {
			for i := range 3000 {
				err := tx.Do(`INSERT INTO login (org, id, kind, app, answered, created, expires, doc) VALUES ('o', $1, 'saml', 'a', $2, $3, $4, '{}')`,
					fmt.Sprintf("%05d", i), i%3 == 0, base, base.Add(time.Duration(i/2)*time.Second))
				if err != nil {
					return err
				}
			}
			return nil
		})
		if n, err := st.SweepWaiting(t.Context(), 2000); n != 0 || err != nil {
			t.Errorf("2000 wait: %d go, %v", n, err)
		}
		var wait sync.WaitGroup
		var gone atomic.Int64
		for range 2 {
			wait.Go(func() {
				n, err := st.SweepWaiting(t.Context(), 401)
				if err != nil {
					t.Error(err)
				}
				gone.Add(n)
			})
		}
		wait.Wait()
		var waiting, answered int
		if err := st.Read(t.Context()).QueryRow(`SELECT count(CASE WHEN answered THEN NULL ELSE 1 END), count(CASE WHEN answered THEN 1 END) FROM login`).Scan(&waiting, &answered); err != nil {
			t.Fatal(err)
		}
		var first string
		if err := st.Read(t.Context()).QueryRow(`SELECT min(id) FROM login WHERE answered = $1`, false).Scan(&first); err != nil {
			t.Fatal(err)
		}
		// Of two that end at the same moment both go.
		if int64(2000-waiting) != gone.Load() || waiting < 400 || waiting > 401 || answered != 1000 || first < "02390" {
			t.Errorf("%d wait, %d were answered, %d went; the oldest left is %s", waiting, answered, gone.Load(), first)
		}
	})
}
