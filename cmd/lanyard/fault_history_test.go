package main_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// op is one operation on a register: a value was written, or read, between two moments.
type op struct {
	value      string
	write      bool
	start, end time.Time
}

// linearizable tells if a history of one register, in which each value is written once, could have happened one operation after the
// other (P. Gibbons, E. Korach, Testing Shared Memories, 1997): all that has to do with one value, its write and its reads, is a zone.
// One that ends before it begins again (forward) holds the register all the while: no other may hold it then, and no other's
// operations may all lie within.
func linearizable(history []op) error {
	type zone struct {
		value       string
		first, last time.Time // the earliest end, the latest start
		written     time.Time
	}
	zones := map[string]*zone{}
	at := func(v string) *zone {
		if zones[v] == nil {
			zones[v] = &zone{value: v}
		}
		return zones[v]
	}
	for _, o := range history {
		z := at(o.value)
		if z.first.IsZero() || o.end.Before(z.first) {
			z.first = o.end
		}
		if o.start.After(z.last) {
			z.last = o.start
		}
		if o.write {
			z.written = o.start
		}
	}
	var forward, backward []*zone
	for _, o := range history {
		if z := at(o.value); z.written.IsZero() {
			return fmt.Errorf("%q was read, and nobody has written it", o.value)
		} else if !o.write && o.end.Before(z.written) {
			return fmt.Errorf("%q was read before it was written", o.value)
		}
	}
	for _, z := range zones {
		if z.first.Before(z.last) {
			forward = append(forward, z)
		} else {
			backward = append(backward, z)
		}
	}
	slices.SortFunc(forward, func(a, b *zone) int { return a.first.Compare(b.first) })
	for i, z := range forward {
		if i > 0 && z.first.Before(forward[i-1].last) {
			return fmt.Errorf("%q and %q were both the value at %s", forward[i-1].value, z.value, z.first.Format("15:04:05.000000"))
		}
	}
	for _, b := range backward { // from its last start to its first end
		i, _ := slices.BinarySearchFunc(forward, b.last, func(z *zone, t time.Time) int { return cmp.Or(z.first.Compare(t), -1) })
		if i > 0 && forward[i-1].first.Before(b.last) && b.first.Before(forward[i-1].last) {
			return fmt.Errorf("%q was written and gone while %q was the value", b.value, forward[i-1].value)
		}
	}
	return nil
}

// The checker itself refuses what it must.
func TestLinearizable(t *testing.T) {
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	w := func(v string, s, e int) op { return op{v, true, at(s), at(e)} }
	r := func(v string, s, e int) op { return op{v, false, at(s), at(e)} }
	for what, test := range map[string]struct {
		ok      bool
		history []op
	}{
		"one after the other":      {true, []op{w("a", 1, 2), r("a", 3, 4), w("b", 5, 6), r("b", 7, 8)}},
		"at once, either way":      {true, []op{w("a", 1, 10), w("b", 1, 10), r("b", 2, 3), r("a", 11, 12)}},
		"a read during the write":  {true, []op{w("a", 1, 2), w("b", 3, 10), r("b", 4, 5), r("b", 6, 7)}},
		"stale":                    {false, []op{w("a", 1, 2), w("b", 3, 4), r("a", 5, 6)}},
		"there and back":           {false, []op{w("a", 1, 2), w("b", 3, 10), r("b", 4, 5), r("a", 6, 7)}},
		"out of nowhere":           {false, []op{r("a", 1, 2)}},
		"from the future":          {false, []op{r("a", 1, 2), w("a", 3, 4)}},
		"two orders at once":       {false, []op{w("a", 1, 10), w("b", 1, 10), r("a", 11, 12), r("b", 13, 14), r("a", 15, 16)}},
		"a write lost in the past": {false, []op{w("a", 1, 2), r("a", 9, 10), w("b", 4, 5)}},
	} {
		if err := linearizable(test.history); (err == nil) != test.ok {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// what two nodes write to an attribute of a user and read of it is one history, and so is the set of a person's sessions.
func TestFaultHistory(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{storetest.Postgres, storetest.SQLite} {
		t.Run(kind, func(t *testing.T) {
			h := newRaceHouse(t, storetest.DSN(t, kind))
			ctx := t.Context()
			nodes := []*store.Store{h.a, h.b}
			const registers = 4
			users := make([]*idp.User, registers)
			histories := make([][]op, registers)
			for i := range users {
				users[i] = &idp.User{Org: h.org, Username: fmt.Sprint("r", i), Email: fmt.Sprintf("r%d@example.com", i), GivenName: "first", Active: true}
				if err := h.a.Write(ctx, func(tx *store.Tx) error { return tx.AddUser(users[i]) }); err != nil {
					t.Fatal(err)
				}
				histories[i] = []op{{"first", true, time.Unix(1, 0), time.Now()}}
			}
			var mu sync.Mutex
			var all sync.WaitGroup
			end := time.Now().Add(time.Duration(times(2, 120)) * time.Second)
			for client := range 8 {
				all.Go(func() {
					st := nodes[client%2]
					for n := 0; time.Now().Before(end); n++ {
						i := n % registers
						o := op{write: n%3 == client%3, value: fmt.Sprintf("%d-%d", client, n), start: time.Now()}
						var err error
						if o.write {
							err = st.Write(ctx, func(tx *store.Tx) error {
								u := *users[i]
								u.GivenName = o.value
								return tx.PutUser(&u)
							})
						} else {
							var u *idp.User
							if u, err = st.People().User(ctx, h.org, users[i].ID); err == nil {
								o.value = u.GivenName
							}
						}
						o.end = time.Now()
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						histories[i] = append(histories[i], o)
						mu.Unlock()
					}
				})
			}
			sessions, stale := 0, 0
			all.Go(func() { // begun on one node, seen on the other; ended on one, gone on the other
				for n := 0; time.Now().Before(end); n++ {
					one, two := nodes[n%2], nodes[1-n%2]
					s := &idp.Session{Org: h.org, User: h.user.ID, AuthTime: time.Now(), Seen: time.Now(), Expires: time.Now().Add(time.Hour)}
					if err := one.SignIn().Start(ctx, store.Proof{Session: s, Hash: hash32(), Code: "UsernamePasswordUiLogin"}); err != nil {
						t.Error(err)
						return
					}
					if _, _, _, err := two.SignIn().Session(ctx, h.org, s.ID); err != nil {
						stale++
					}
					if err := one.SignIn().End(ctx, h.org, s.ID, h.user.ID, ""); err != nil {
						t.Error(err)
					}
					if _, _, _, err := two.SignIn().Session(ctx, h.org, s.ID); err == nil {
						stale++
					}
					sessions++
				}
			})
			all.Wait()
			ops := 0
			for _, history := range histories {
				ops += len(history)
				if err := linearizable(history); err != nil {
					t.Error(err)
				}
			}
			if stale > 0 {
				t.Errorf("%d of %d sessions were not what the other node had made of them", stale, sessions)
			}
			t.Logf("%s: %d operations on %d registers are one history each; %d sessions begun and ended, 0 stale", kind, ops, registers, sessions)
		})
	}
}

// what ends on one node has ended on the other: a session, a grant, an access token at once; an app and a user that a command
// blocks when the command is done.
func TestFaultRevocationSeen(t *testing.T) {
	t.Parallel()
	file := binary(t)
	o := newOrg(t, storetest.Postgres)
	faultOrg(o, file)
	one, two := o.spawn(file, ""), o.spawn(file, "")
	here, there := newCrowd(o, file, func() string { return one.addr }), newCrowd(o, file, func() string { return two.addr })
	refused := func(what string, a *reply, err error, in int) {
		t.Helper()
		if err != nil || a.status == in {
			t.Errorf("R-11: %s: the other node says %v (%v)", what, a, err)
		}
	}
	n := times(30, 1000)
	var longest time.Duration
	for i := range n {
		s := here.signIn(fmt.Sprintf("u%d", i%(crowdUsers+comers)))
		if s == nil {
			t.Fatal("not signed in")
		}
		k := here.authorize(s)
		g, _, err := here.redeem(k)
		if g == nil || err != nil {
			t.Fatal("no tokens")
		}
		copied := *s
		if a, err := there.ask("GET", "/apps", nil, s.with); err != nil || a.status != http.StatusOK {
			t.Errorf("the session is not there on the other node: %v", err)
		}
		if a, err := there.ask("GET", "/oauth2/userinfo", nil, bearer(g.access)); err != nil || a.status != http.StatusOK {
			t.Errorf("the token is not there on the other node: %v", err)
		}
		began := time.Now()
		here.revoke(g)
		a, err := there.ask("GET", "/oauth2/userinfo", nil, bearer(g.access))
		refused("a revoked grant's token", a, err, http.StatusOK)
		here.signOut(s)
		a, err = there.ask("GET", "/apps", nil, copied.with)
		refused("a session that was ended", a, err, http.StatusOK)
		longest = max(longest, time.Since(began))
	}
	var command time.Duration
	m := times(4, 100)
	for i := range m {
		user := fmt.Sprintf("u%d", i%crowdUsers)
		s := here.signIn(user)
		k := here.authorize(s)
		g, _, _ := here.redeem(k)
		if s == nil || g == nil {
			t.Fatal("no tokens")
		}
		for _, args := range [][]string{{"app", "block", "Pocket"}, {"user", "deactivate", user}} {
			began := time.Now()
			o.run(args...)
			command = max(command, time.Since(began))
			a, err := there.ask("GET", "/oauth2/userinfo", nil, bearer(g.access))
			refused(args[0]+" "+args[1], a, err, http.StatusOK)
			a, err = there.ask("POST", "/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"pocket"}, "refresh_token": {g.refresh}}, nil)
			refused(args[0]+" "+args[1], a, err, http.StatusOK)
			if args[0] == "app" {
				o.run("app", "unblock", "Pocket")
			}
		}
		o.run("user", "activate", user)
	}
	t.Logf("%d sessions and grants ended on one node, 0 stale on the other, both asked within %s; %d blocks, 0 stale after the command, which took %s at most",
		n, longest.Round(time.Millisecond), 2*m, command.Round(time.Millisecond))
	one.end()
	two.end()
}
