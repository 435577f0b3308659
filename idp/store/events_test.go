package store_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

func events(t testing.TB, st *store.Store, org string, f store.EventFilter) []idp.Event {
	t.Helper()
	all, err := st.Events().List(t.Context(), org, f)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// found waits until the reference finds its event: the queue is written a moment later.
func found(t testing.TB, st *store.Store, org, reference string) idp.Event {
	t.Helper()
	for range 500 {
		if all := events(t, st, org, store.EventFilter{Reference: reference}); len(all) > 0 {
			return all[0]
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("reference %q finds nothing", reference)
	return idp.Event{}
}

func TestEvent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		u := addUser(t, st, o.ID, "ana")
		a := addApp(t, st, o.ID, "Benefits")
		ctx := at(t.Context(), "192.0.2.7", "AAAA1111")
		began := st.Now()
		if err := st.Write(ctx, func(tx *store.Tx) error {
			return tx.Event(ctx, idp.Event{Org: o.ID, Code: "changeUser", User: u.ID, App: a.ID, Reason: "a\x00b\nc\xff"})
		}); err != nil {
			t.Fatal(err)
		}
		got := events(t, st, o.ID, store.EventFilter{Code: "changeUser"})
		want := []idp.Event{{
			Org: o.ID, Code: "changeUser", User: "ana", App: "Benefits", IP: "192.0.2.7", Outcome: idp.OK, Reason: "a b c", Reference: "AAAA1111", Actor: "cli",
		}}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(idp.Event{}, "ID", "Time")); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if got[0].ID == "" || got[0].Time.Before(began.Add(-time.Second)) || got[0].Time.After(st.Now()) {
			t.Errorf("id %q, time %v", got[0].ID, got[0].Time)
		}
		// A step that fails leaves no event.
		err := st.Write(ctx, func(tx *store.Tx) error {
			if err := tx.Event(ctx, idp.Event{Org: o.ID, Code: "never"}); err != nil {
				return err
			}
			return errors.New("no")
		})
		if err == nil || len(events(t, st, o.ID, store.EventFilter{Code: "never"})) != 0 {
			t.Error("an event of what did not happen")
		}
		// Ids stay where what they named is gone.
		write(t, st, func(tx *store.Tx) error { return tx.DropUser(o.ID, u.ID) })
		write(t, st, func(tx *store.Tx) error { return tx.DropApp(o.ID, a.ID) })
		if got := events(t, st, o.ID, store.EventFilter{Code: "changeUser"}); got[0].User != u.ID || got[0].App != a.ID {
			t.Errorf("after both are deleted: %+v", got[0])
		}
	})
}

func TestEventList(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		base := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
		write(t, st, func(tx *store.Tx) error {
			for i := range 9 {
				ev := idp.Event{
					Org: o.ID, Code: fmt.Sprint("c", i%3), User: fmt.Sprint("u", i%2), App: "a", Time: base.Add(time.Duration(i) * time.Minute),
					Reference: fmt.Sprintf("REF%05d", i), Reason: fmt.Sprint(i),
				}
				if err := tx.Event(t.Context(), ev); err != nil {
					return err
				}
			}
			return tx.Event(t.Context(), idp.Event{Org: "other", Code: "c0", User: "u0", App: "a"})
		})
		for _, c := range []struct {
			name string
			f    store.EventFilter
			want string
		}{
			{"all, newest first", store.EventFilter{App: "a"}, "876543210"},
			{"by code", store.EventFilter{Code: "c1"}, "741"},
			{"by user and code", store.EventFilter{User: "u0", Code: "c0"}, "60"},
			{"by reference", store.EventFilter{Reference: "REF00004"}, "4"},
			{"since", store.EventFilter{App: "a", Since: base.Add(6 * time.Minute)}, "876"},
			{"limit", store.EventFilter{App: "a", Limit: 2}, "87"},
			{"nothing", store.EventFilter{Code: "c9"}, ""},
		} {
			var got strings.Builder
			for _, e := range events(t, st, o.ID, c.f) {
				got.WriteString(e.Reason)
			}
			if got.String() != c.want {
				t.Errorf("%s: %s, want %s", c.name, got.String(), c.want)
			}
		}
		page := events(t, st, o.ID, store.EventFilter{App: "a", Limit: 4})
		next := events(t, st, o.ID, store.EventFilter{App: "a", Limit: 4, Before: page[3].ID})
		if next[0].Reason != "4" {
			t.Errorf("the second page begins with %s", next[0].Reason)
		}
	})
}

// Every reference shown finds an event, and a flood leaves eleven rows that say how many there were.
func TestRefuse(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC).UnixMicro())
	clock := func(c *store.Config) {
		c.Now = func() time.Time { return time.UnixMicro(now.Load()) }
		c.NewID = (&store.IDs{Now: c.Now}).New
	}
	for _, kind := range []string{storetest.SQLite, storetest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			dsn := storetest.DSN(t, kind)
			st, err := store.Open(t.Context(), store.Config{DSN: dsn, Now: func() time.Time { return time.UnixMicro(now.Load()) }})
			if err != nil {
				t.Fatal(err)
			}
			shown := map[string]bool{}
			refuse := func(ip, code, user string) {
				ctx := at(t.Context(), ip, fmt.Sprintf("R%07d", len(shown)))
				ref := st.Events().Refuse(ctx, idp.Event{Org: "o", Code: code, User: user, App: "a", Reason: "wrong password"})
				if !regexp.MustCompile(`^[A-Z0-9]{8}$`).MatchString(ref) {
					t.Fatalf("reference %q", ref)
				}
				shown[ref] = true
			}
			for i := range 323 {
				refuse("192.0.2.1", "InvalidUserCredentials", fmt.Sprint("u", i%7))
			}
			if len(shown) != 11 {
				t.Fatalf("%d references, want 10 and one for all the rest", len(shown))
			}
			refuse("192.0.2.2", "InvalidUserCredentials", "u")
			refuse("192.0.2.1", "NoAccess", "u")
			for ref := range shown {
				e := found(t, st, "o", ref)
				if e.Outcome != idp.Refused || e.IP == "" || e.Actor != "cli" {
					t.Errorf("event %+v", e)
				}
			}
			// A minute later counting begins anew.
			now.Add(time.Minute.Microseconds())
			refuse("192.0.2.1", "InvalidUserCredentials", "u")
			// Without a request around it, a reference is made.
			if ref := st.Events().Refuse(t.Context(), idp.Event{Org: "o", Code: "InternalError"}); len(ref) != 8 {
				t.Errorf("reference %q", ref)
			} else if e := found(t, st, "o", ref); e.IP != "" || e.Actor != "" {
				t.Errorf("event %+v", e)
			}
			// What is counted after the row was written is written at the end.
			late := ""
			for i := range 15 {
				ctx := at(t.Context(), "192.0.2.3", fmt.Sprintf("L%07d", i))
				late = st.Events().Refuse(ctx, idp.Event{Org: "o", Code: "InvalidScope", Reason: "late"})
				if i == 11 {
					found(t, st, "o", late)
				}
			}
			if err := st.Close(); err != nil {
				t.Fatal(err)
			}
			again := storetest.Open(t, dsn, clock)
			if e := found(t, again, "o", late); e.Reason != "late, and 4 more" {
				t.Errorf("late count: %+v", e)
			}
			all := events(t, again, "o", store.EventFilter{Code: "InvalidUserCredentials", Limit: 1000})
			var counts []string
			for _, e := range all {
				if e.Reason != "wrong password" {
					counts = append(counts, e.Reason)
					if e.User != "" || e.App != "a" {
						t.Errorf("a row for many users names one: %+v", e)
					}
				}
			}
			if want := []string{"wrong password, and 312 more"}; len(all) != 13 || !cmp.Equal(counts, want) {
				t.Errorf("%d rows, counting %q, want %q", len(all), counts, want)
			}
		})
	}
}

// Many at once: nobody waits for the database, and nothing is lost.
func TestRefuseAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		var wait sync.WaitGroup
		refs := make([]string, 32*9)
		for i := range 32 {
			wait.Go(func() {
				for j := range 9 {
					ctx := at(t.Context(), fmt.Sprintf("192.0.2.%d", i), "")
					refs[i*9+j] = st.Events().Refuse(ctx, idp.Event{Org: "o", Code: "InvalidCode", Reason: fmt.Sprint(i, j)})
				}
			})
		}
		wait.Wait()
		for _, ref := range refs {
			found(t, st, "o", ref)
		}
		if n := len(events(t, st, "o", store.EventFilter{Limit: 1000})); n != len(refs) {
			t.Errorf("%d rows, want %d", n, len(refs))
		}
	})
}

// A flood from ten thousands of addresses costs a bounded number of rows, and still every reference finds one.
func TestRefuseFromEverywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 14,000 rows")
	}
	dsn := storetest.DSN(t, storetest.SQLite)
	st, err := store.Open(t.Context(), store.Config{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	refs := map[string]bool{}
	for i := range 50_000 {
		ctx := at(t.Context(), fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), fmt.Sprintf("F%07d", i))
		refs[st.Events().Refuse(ctx, idp.Event{Org: "o", Code: "InvalidUserCredentials"})] = true
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	again := storetest.Open(t, dsn)
	rows := events(t, again, "o", store.EventFilter{Limit: 100_000})
	if len(rows) > 20_000 {
		t.Errorf("%d rows", len(rows))
	}
	have := map[string]bool{}
	for _, e := range rows {
		have[e.Reference] = true
	}
	for ref := range refs {
		if !have[ref] {
			t.Fatalf("reference %s of %d finds nothing among %d rows", ref, len(refs), len(rows))
		}
	}
}

// While nothing can be written, what waits is bounded, and still every reference finds its row.
func TestRefuseWhileBusy(t *testing.T) {
	st := storetest.New(t, storetest.SQLite)
	refs := map[string]bool{}
	write(t, st, func(*store.Tx) error { // holds the one writer
		for i := range 20_000 {
			ctx := at(t.Context(), fmt.Sprintf("10.0.%d.%d", i%2000>>8, i%2000&255), fmt.Sprintf("B%07d", i))
			refs[st.Events().Refuse(ctx, idp.Event{Org: "o", Code: "InvalidCode"})] = true
		}
		return nil
	})
	if len(refs) > 7000 {
		t.Errorf("%d rows wait", len(refs))
	}
	for ref := range refs {
		found(t, st, "o", ref)
	}
}

// When the minute of a flood is over, addresses are told apart again.
func TestRefuseForgets(t *testing.T) {
	var ahead atomic.Int64
	st := storetest.New(t, storetest.SQLite, func(c *store.Config) { c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) } })
	refuse := func(i int) string {
		ctx := at(t.Context(), fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), fmt.Sprintf("F%07d", i))
		return st.Events().Refuse(ctx, idp.Event{Org: "o", Code: "InvalidCode"})
	}
	for i := range 12_000 {
		refuse(i)
	}
	ahead.Add(int64(time.Minute))
	refs := map[string]bool{}
	for i := range 500 { // until it has forgotten
		refs = map[string]bool{}
		for j := range 12 {
			refs[refuse(20_000+100*i+j)] = true
		}
		if len(refs) == 12 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("12 addresses share %d references", len(refs))
}

// Refused after the end is refused without harm.
func TestRefuseAfterClose(t *testing.T) {
	st, err := store.Open(t.Context(), store.Config{DSN: storetest.DSN(t, storetest.SQLite)})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if ref := st.Events().Refuse(t.Context(), idp.Event{Org: "o", Code: "InvalidCode"}); len(ref) != 8 {
		t.Errorf("reference %q", ref)
	}
	if err := st.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}
