package main_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// killed before every statement of a migration, before its commit and after it, on an empty database and on that of a released
// version: the next start finds it as before or as after, and goes on.
func TestFaultMigrationKilled(t *testing.T) {
	t.Parallel()
	die := func(t *testing.T, o *org, n int) (out string, code int) {
		return o.command(faultyBinary(t), "", []string{fmt.Sprintf("LANYARD_FAULT_MIGRATION=%d", n)}, "user", "list")
	}
	for _, kind := range []string{storetest.SQLite, storetest.Postgres} {
		t.Run("empty "+kind, func(t *testing.T) {
			o := &org{t: t, dir: t.TempDir()}
			o.env = append(os.Environ(), "LANYARD_DATA="+filepath.Join(o.dir, "data"), "LANYARD_MASTER_KEY="+strings.Repeat("ab", 32))
			if kind == storetest.Postgres {
				o.on(storetest.Empty(t, kind))
			}
			kills := 0
			for {
				_, code := die(t, o, kills+1)
				if code == 0 {
					break
				}
				if kills++; code != -1 || kills > 500 {
					t.Fatalf("step %d: exit %d", kills, code)
				}
				digests, _ := contents(t, o, nil)
				switch _, some := digests["usr"]; {
				case !some && len(digests) == 0: // as before
				case some && digests["schema"] != "": // as after
				default:
					t.Fatalf("killed at step %d: it is neither as before nor as after: %v", kills, digests)
				}
			}
			if kills < 40 {
				t.Errorf("only %d steps", kills)
			}
			o.sound(t)
			t.Logf("killed at %d steps", kills)
		})
	}
	t.Run("released", func(t *testing.T) {
		eachReleaseOf(t, []string{storetest.SQLite, storetest.Postgres}, func(t *testing.T, o *org, r *release, k *known) {
			before, columns := contents(t, o, nil)
			delete(before, "schema")
			kills := 0
			var took time.Duration // of the one that was let live
			for {
				began := time.Now()
				_, code := die(t, o, kills+1)
				took = time.Since(began)
				if code == 0 {
					break
				}
				if kills++; code != -1 || kills > 500 {
					t.Fatalf("step %d: exit %d", kills, code)
				}
				now, _ := contents(t, o, columns)
				for table, digest := range before {
					if now[table] != digest {
						t.Fatalf("killed at step %d: %s is %s, not %s", kills, table, now[table], digest)
					}
				}
				o.sound(t)
			}
			now, _ := contents(t, o, columns)
			for table, digest := range before {
				if now[table] != digest && table != "meta" && table != "change" && table != "signing_key" {
					t.Errorf("%s is %s, not %s", table, now[table], digest)
				}
			}
			if kills < 3 {
				t.Errorf("only %d steps", kills)
			}
			if out := o.run("user", "list"); !strings.Contains(out, "ana") {
				t.Errorf("nobody is there:\n%s", out)
			}
			t.Logf("%s: killed at %d steps, %d tables compared; migrated in %s", r.Version, kills, len(before), took.Round(time.Millisecond))
		})
	})
}

// eachReleaseOf is eachRelease within a test that is parallel already.
func eachReleaseOf(t *testing.T, kinds []string, f func(t *testing.T, o *org, r *release, k *known)) {
	t.Helper()
	for _, r := range releases(t) {
		for _, kind := range kinds {
			t.Run(r.Version+" "+kind, func(t *testing.T) {
				k := map[string]*known{storetest.SQLite: r.SQLite, storetest.Postgres: r.Postgres}[kind]
				f(t, r.restore(t, kind, k), r, k)
			})
		}
	}
}

// several begin at once to migrate the database of a released version, and one of them is killed in the midst of it. One
// migrates, the others wait for it and go on.
func TestFaultMigrationAtOnce(t *testing.T) {
	t.Parallel()
	eachReleaseOf(t, []string{storetest.SQLite, storetest.Postgres}, func(t *testing.T, o *org, r *release, k *known) {
		began := time.Now()
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				var env []string
				if i < 2 { // before the commit at the latest
					env = []string{fmt.Sprintf("LANYARD_FAULT_MIGRATION=%d", 3+i)}
				}
				out, code := o.command(faultyBinary(t), "", env, "user", "list")
				if code != 0 && (i >= 2 || code != -1) || code == 0 && !strings.Contains(out, "ana") {
					t.Errorf("%d: exit %d\n%s", i, code, out)
				}
			})
		}
		all.Wait()
		if digests, _ := contents(t, o, nil); !strings.HasPrefix(digests["schema"], "1 rows") {
			t.Errorf("schema: %s", digests["schema"])
		}
		o.sound(t)
		t.Logf("six at once, two of them killed: %s", time.Since(began).Round(time.Millisecond))
	})
}

// a schema newer than this binary knows: it serves, where whoever made it said that it can, and refuses in plain words where not.
func TestFaultNewerSchema(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		file := binary(t)
		faultOrg(o, file)
		set := func(version, oldest int) {
			driver, dsn := "sqlite", "file:"+filepath.Join(o.dir, "data", "lanyard.db")
			if o.database() != "" {
				driver, dsn = "pgx", o.database()
			}
			onSQL(t, driver, dsn, func(c *sql.Conn) error {
				_, err := c.ExecContext(context.Background(), fmt.Sprintf("UPDATE schema SET version = %d, oldest = %d", version, oldest))
				return err
			})
		}
		set(99, 99)
		before, _ := contents(t, o, nil)
		var longest time.Duration
		for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"user", "list"}, {"apply", "-f", "-"}} {
			began := time.Now()
			out, code := o.command(file, person("eve", ""), nil, args...)
			if code != 1 || !strings.Contains(out, "this binary is too old for the database") || !strings.Contains(out, "99") || time.Since(began) > 10*time.Second {
				t.Errorf("%v: exit %d in %s: %s", args, code, time.Since(began), out)
			}
			longest = max(longest, time.Since(began))
		}
		if after, _ := contents(t, o, nil); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Error("something was changed")
		}
		set(99, 1)
		v := o.spawn(file, "")
		c := newCrowd(o, file, func() string { return v.addr })
		if s := c.signIn("u0"); s == nil || c.authorize(s) == nil {
			t.Error("nobody is signed in beside a newer schema that allows it")
		}
		t.Logf("refused within %s", longest.Round(time.Millisecond))
		v.end()
	})
}
