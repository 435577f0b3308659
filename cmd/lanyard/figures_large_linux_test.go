package main_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/keys"
)

// The large store.
const (
	largeUsers, largeApps, largeGrants = 1_000_000, 10_000, 5_000_000

	largeWords = "1,000,000 users, 10,000 apps, 5,000,000 grants, 1,000,000 access tokens, 300,000 sessions, 1,000,000 consents, 3,000,000 events"
)

// mostAskers is how many of each kind ask at most; a power of two.
const mostAskers = 4096

// grow makes a large store of the world's, whose server does not run, and has others ask from now on: none of those that
// the product made, but copies from all over the store.
func (w *world) grow(users, apps, grants int, log io.Writer) *storetest.Large {
	w.b.Helper()
	l := &storetest.Large{
		Users: users, Apps: apps, Grants: grants, Org: w.org, Person: w.people[0], Secret: secret, Now: time.Now().Truncate(time.Microsecond),
		SAML:   []storetest.Mould{{APIName: "Once", Word: "https://once"}, {APIName: "Twice", Word: "https://twice"}},
		Client: storetest.Mould{APIName: "Wellness_Tracker", Word: "wellness"}, Machine: storetest.Mould{APIName: "Batch", Word: "batch"},
	}
	if err := storetest.Fill(context.Background(), w.dsn, must(keys.NewSealer(w.master)), l, log); err != nil {
		w.b.Fatal(err)
	}
	w.askers(l)
	return l
}

// askers has copies ask, from all over the store.
func (w *world) askers(l *storetest.Large) {
	w.people = among(l.Users, l.Username)
	w.sessions = among(l.Sessions(), func(i int) string { return "Cookie: lanyard-" + w.org + "=" + l.Session(i) + "\r\n" })
	w.once = among(l.Of(0), func(i int) string { return l.Like(l.SAML[0], i, "https://once.example/meta") })
	w.twice = among(l.Of(1), func(i int) string { return l.Like(l.SAML[1], i, "https://twice.example/meta") })
	client := func(m storetest.Mould, id, redirect string) func(int) rpApp {
		return func(i int) rpApp {
			id := l.Like(m, i, id)
			return rpApp{id, basicAuth(id, secret), l.Like(m, i, redirect)}
		}
	}
	person, machine := client(l.Client, "wellness", "https://wellness.example/cb"), client(l.Machine, "batch", "")
	w.rps, w.batch = among(l.Of(2), person), among(l.Of(3), machine)
	w.machines = among(l.Grants/10, func(i int) holding { return holding{l.AccessToken(i*10 + 9), machine(l.ClientOf(i*10 + 9))} })
	w.tokens = among(l.Grants/10, func(i int) holding { return holding{l.AccessToken(i*10 + 8), person(l.ClientOf(i*10 + 8))} })
	w.refresh = among(l.Grants/10, func(i int) holding { return holding{l.RefreshToken(i*10 + 3), person(l.ClientOf(i*10 + 3))} })
	w.warm = mostAskers
}

// among makes some of n things, spread over all of them and in no order: who asks after another is nowhere near.
func among[T any](n int, of func(i int) T) []T {
	k := 1
	for k*2 <= min(n, mostAskers) {
		k *= 2
	}
	all := make([]T, k)
	for i := range all {
		all[i*2654435761%k] = of(i * n / k)
	}
	return all
}

// size is what the database takes on disk.
func (w *world) size() (n int64) {
	w.b.Helper()
	if path, ok := strings.CutPrefix(w.dsn, "sqlite:"); ok {
		for _, file := range must(filepath.Glob(path + "*")) {
			n += must(os.Stat(file)).Size()
		}
		return n
	}
	db := must(sql.Open("pgx", w.dsn))
	defer db.Close()
	must(0, db.QueryRow("SELECT pg_database_size(current_database())").Scan(&n))
	return n
}

// A large store is one that the product could have made: whoever is in it can do what those can that it is copied from.
func TestFiguresLarge(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{storetest.SQLite, storetest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			dsn := "sqlite:" + filepath.Join(dir, "lanyard.db")
			if kind == storetest.Postgres {
				dsn = storetest.DSN(t, kind)
			}
			w := newWorld(t, binary(t), dir, dsn)
			w.start(anyCore)
			t.Cleanup(w.stop)
			w.enter()
			w.stop()
			l := w.grow(1000, 10, 5000, io.Discard)
			w.start(anyCore)
			for _, f := range flows {
				turns := 32 // of 512, of 3 clients …
				if strings.HasPrefix(f.name, "sign-in") {
					turns = 3
				}
				for range turns {
					if _, err := drive(w, 1, 0, f.do); err != nil {
						t.Errorf("%s: %v", f.name, err)
						break
					}
				}
			}
			// Whose secret is another one's is nobody, as everywhere.
			wrong := func(good, other string) string {
				return good[:strings.Index(good, ".")] + other[strings.Index(other, "."):]
			}
			_, err := drive(w, 1, 0, func(w *worker) error {
				h := w.tokens[0]
				if h.value = wrong(h.value, w.tokens[1].value); w.introspect(h) == nil {
					return fmt.Errorf("another token's secret is taken for that of %s", h.value)
				}
				form := "grant_type=refresh_token&refresh_token=" + wrong(w.refresh[0].value, w.refresh[1].value)
				_, err := w.send(http.StatusBadRequest, w.form("/oauth2/token", w.refresh[0].of.auth, form))
				return err
			})
			if err != nil {
				t.Error(err)
			}
			st := storetest.Open(t, dsn)
			for table, want := range map[string]int{"usr": l.Users, "app": l.Apps, "client": l.Of(2) + l.Of(3), "installation": l.Apps, "grants": l.Grants,
				"token": l.Grants / 5, "session": l.Sessions(), "consent": l.Users, "event": 3 * l.Users, "login_name": 2 * l.Users} {
				var n int
				if err := st.Read(t.Context()).QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil || n < want || n > want+want/10+300 {
					t.Errorf("%s has %d rows, want %d and a few: %v", table, n, want, err)
				}
			}
		})
	}
}
