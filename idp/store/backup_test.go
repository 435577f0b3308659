package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/keys"
	"github.com/lanyard-sso/lanyard/oidc"
)

func silent(string) {}

// within names what lies in a folder.
func within(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// SEC-06: a backup is whole while others write, nobody else's to read, of one moment, and overwrites nothing.
func TestBackup(t *testing.T) {
	st := storetest.New(t, storetest.SQLite)
	addOrg(t, st)
	if err := st.CheckMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	for range 4 {
		writing.Go(func() {
			for ctx.Err() == nil {
				// Two rows in one step: no backup has one of them alone.
				id := st.NewID()
				_ = st.Write(ctx, func(tx *store.Tx) error {
					_, err := tx.Exec(`INSERT INTO meta (name, value) VALUES ($1, $3), ($2, $3)`, "a"+id, "b"+id, make([]byte, 500))
					return err
				})
			}
		})
	}
	folder := t.TempDir()
	for i, name := range []string{"one", "two ?%23 ü.db"} {
		file := filepath.Join(folder, name)
		m, err := st.Backup(t.Context(), file, "1.2.3", nil)
		if err != nil {
			t.Fatal(err)
		}
		if m.Version != "1.2.3" || m.Org != store.DefaultOrg || m.URL != "https://id.example.com" || m.Schema < 5 || time.Since(m.Made) > time.Minute {
			t.Errorf("%+v", m)
		}
		if again, err := store.ReadBackup(t.Context(), file, storetest.Sealer(t)); err != nil || again != m {
			t.Errorf("read again: %+v, %v", again, err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
		if names := within(t, folder); len(names) != i+1 {
			t.Errorf("left: %q", names)
		}
		if i == 0 {
			db, err := sql.Open("sqlite", file)
			if err != nil {
				t.Fatal(err)
			}
			var a, b int
			var whole string
			if err := errors.Join(db.QueryRow(`SELECT sum(name LIKE 'a%'), sum(name LIKE 'b%') - 1 FROM meta`).Scan(&a, &b),
				db.QueryRow(`PRAGMA integrity_check`).Scan(&whole)); err != nil || a != b || whole != "ok" {
				t.Errorf("%d and %d, %q, %v", a, b, whole, err)
			}
			db.Close()
		}
	}
	stop()
	writing.Wait()
	before := read(t, filepath.Join(folder, "one"))
	if _, err := st.Backup(t.Context(), filepath.Join(folder, "one"), "", nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another: %v", err)
	}
	if !bytes.Equal(before, read(t, filepath.Join(folder, "one"))) {
		t.Error("it was changed")
	}
	if _, err := st.Backup(t.Context(), filepath.Join(folder, "none", "x"), "", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("into no folder: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := st.Backup(ended, filepath.Join(folder, "three"), "", nil); err == nil {
		t.Error("broken off, and no error")
	}
	if names := within(t, folder); len(names) != 2 {
		t.Errorf("left: %q", names)
	}
	// The row that makes a file a backup is only in the backup.
	var v []byte
	if err := st.Read(t.Context()).QueryRow(`SELECT value FROM meta WHERE name = 'backup'`).Scan(&v); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("in the database itself: %v", err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBackupIsPostgresOwnBusiness(t *testing.T) {
	st := storetest.New(t, storetest.Postgres)
	if _, err := st.Backup(t.Context(), filepath.Join(t.TempDir(), "x"), "", nil); !errors.Is(err, store.ErrOwnTools) {
		t.Error(err)
	}
	if _, err := store.Restore(t.Context(), store.Config{DSN: "postgres://x"}, "x", silent); !errors.Is(err, store.ErrOwnTools) {
		t.Error(err)
	}
}

// A restore is done whole or leaves nothing, and never puts anything over or beside what is there.
func TestRestoreRefuses(t *testing.T) {
	st := storetest.New(t, storetest.SQLite)
	addUser(t, st, addOrg(t, st).ID, "ana")
	write(t, st, func(tx *store.Tx) error {
		for range 200 { // some pages
			if _, err := tx.Exec(`INSERT INTO meta (name, value) VALUES ($1, $2)`, st.NewID(), make([]byte, 3000)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := st.CheckMaster(t.Context()); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(t.TempDir(), "good")
	if _, err := st.Backup(t.Context(), good, "1", nil); err != nil {
		t.Fatal(err)
	}
	altered := func(name string, f func(b []byte) []byte) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, f(read(t, good)), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	sqlOn := func(query string, args ...any) string {
		t.Helper()
		file := altered("altered", func(b []byte) []byte { return b })
		db, err := sql.Open("sqlite", file)
		if err == nil {
			_, err = db.Exec(query, args...)
		}
		if err = errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		return file
	}
	newer, err := json.Marshal(store.Manifest{Version: "9", Schema: 1000})
	if err != nil {
		t.Fatal(err)
	}
	other, err := keys.NewSealer(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	put := func(path string) {
		t.Helper()
		if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		file   string
		before func(path string) (after func())
		sealer *keys.Sealer
		want   string
	}{
		{name: "a database is there", before: func(path string) func() { put(path); return nil }, want: "file already exists"},
		{name: "a log is there", before: func(path string) func() { put(path + "-wal"); return nil }, want: "file already exists"},
		{name: "a journal is there", before: func(path string) func() { put(path + "-journal"); return nil }, want: "file already exists"},
		{name: "another restore", before: func(path string) func() { _ = os.Mkdir(path+".restoring", 0o700); return nil }, want: "another restore is under way"},
		{name: "a server holds the lock", before: func(path string) func() {
			held, err := store.Open(context.Background(), store.Config{DSN: "sqlite:" + path})
			if err != nil {
				t.Fatal(err)
			}
			release, err := held.LockServe()
			if err != nil {
				t.Fatal(err)
			}
			for _, suffix := range []string{"", "-wal", "-shm"} {
				_ = os.Remove(path + suffix)
			}
			return func() { release(); _ = held.Close() }
		}, want: "a server is running"},
		{name: "another master key", sealer: other, want: "the master key is not the one"},
		{name: "no file", file: filepath.Join(t.TempDir(), "none"), want: "no such file"},
		{name: "empty", file: altered("empty", func([]byte) []byte { return nil }), want: "no backup made by lanyard backup"},
		{name: "text", file: altered("text", func([]byte) []byte { return []byte("kind: User") }), want: "no backup made by lanyard backup"},
		{name: "a plain copy", file: sqlOn(`DELETE FROM meta WHERE name = 'backup'`), want: "no backup made by lanyard backup"},
		{name: "another program's", file: sqlOn(`DROP TABLE meta`), want: "no backup made by lanyard backup"},
		{name: "cut", file: altered("cut", func(b []byte) []byte { return b[:len(b)/2] }), want: "damaged"},
		{name: "a bad page", file: altered("bad", func(b []byte) []byte {
			copy(b[len(b)-8192:], bytes.Repeat([]byte{0xff}, 4096))
			return b
		}), want: "damaged"},
		{name: "a newer one", file: sqlOn(`UPDATE meta SET value = $1 WHERE name = 'backup'`, newer), want: "it was made by lanyard 9 with schema 1000"},
		{name: "a strange word", file: sqlOn(`UPDATE meta SET value = $1 WHERE name = 'backup'`, []byte("{")), want: "damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "lanyard.db")
			if c.before != nil {
				if after := c.before(path); after != nil {
					defer after()
				}
			}
			left := within(t, folder)
			if c.file == "" {
				c.file = good
			}
			if c.sealer == nil {
				c.sealer = storetest.Sealer(t)
			}
			_, err := store.Restore(t.Context(), store.Config{DSN: "sqlite:" + path, Sealer: c.sealer}, c.file, silent)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if now := within(t, folder); !slices.Equal(now, left) {
				t.Errorf("there was %q, and now %q", left, now)
			}
		})
	}
	// Broken off while it copies.
	folder := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	if _, err := store.Restore(ctx, store.Config{DSN: "sqlite:" + filepath.Join(folder, "lanyard.db"), Sealer: storetest.Sealer(t)}, good, func(string) { stop() }); err == nil {
		t.Error("broken off, and no error")
	}
	if names := within(t, folder); len(names) > 0 {
		t.Errorf("left: %q", names)
	}
}

// given is everything that people and apps hold.
type given struct {
	st           *store.Store
	org          string
	ana          *idp.User
	app          *idp.App
	session      *idp.Session
	grant, token string
	code         string
	link, login  string
	initial, own string // tokens of the registration endpoint: the gateway's, a child's
}

func give(t *testing.T, st *store.Store) (v given) {
	t.Helper()
	o := addOrg(t, st)
	ctx, now := t.Context(), st.Now()
	v = given{st: st, org: o.ID, ana: addUser(t, st, o.ID, "ana"), app: addApp(t, st, o.ID, "A")}
	addUser(t, st, o.ID, "ben", func(u *idp.User) { u.Active = false })
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(st.CheckMaster(ctx))
	v.session = &idp.Session{Org: o.ID, User: v.ana.ID, AuthTime: now, Seen: now, Expires: now.Add(time.Hour)}
	must(st.SignIn().Start(ctx, store.Proof{Session: v.session, Hash: []byte("hash"), Code: "UsernamePasswordUiLogin"}))
	g := &oidc.Grant{ID: st.NewID(), App: v.app.ID, User: v.ana.ID, Kind: oidc.KindCode, Generation: 1, Hash: []byte{1}, Created: now, Unused: now.Add(time.Hour)}
	k := &oidc.Token{ID: st.NewID(), Hash: []byte{2}, Grant: g.ID, Created: now, Expires: now.Add(time.Hour)}
	must(st.OIDC().AddGrant(ctx, o.ID, oidc.Issue{Grant: g, Token: k, Event: "OauthWebServer"}))
	v.grant, v.token = g.ID, k.ID
	c := &oidc.Code{ID: st.NewID(), Hash: []byte{3}, Created: now, Expires: now.Add(time.Minute), Grant: oidc.Grant{ID: st.NewID(), App: v.app.ID, User: v.ana.ID}}
	must(st.OIDC().AddCode(ctx, o.ID, c, ""))
	v.code = c.ID
	must(st.SignIn().PutConsent(ctx, o.ID, v.ana.ID, v.app.ID, []string{"openid"}, now))
	var err error
	v.link, err = st.SignIn().AddSignInLink(ctx, v.ana, []byte("hash"), now.Add(time.Hour), "")
	must(err)
	l := &oidc.Login{App: v.app.ID, Created: now, Expires: now.Add(time.Hour), Browser: []byte("browser")}
	must(st.OIDC().AddLogin(ctx, o.ID, l))
	v.login = l.ID
	initial := &oidc.RegistrationToken{ID: st.NewID(), Hash: []byte{4}, App: v.app.ID, Kind: oidc.KindInitial, Name: "anypoint", Created: now}
	must(st.OIDC().AddInitialToken(ctx, o.ID, initial))
	v.initial, v.own = initial.ID, st.NewID()
	write(t, st, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO registration_token (org, id, hash, app, kind, name, created, last_used) VALUES ($1, $2, $3, $4, $5, '', $6, 0)`,
			o.ID, v.own, []byte{5}, v.app.ID, oidc.KindRegistration, now)
		return err
	})
	return v
}

// alive tells which of what was given can still be used.
func (v given) alive(t *testing.T, st *store.Store) (all []string) {
	t.Helper()
	ctx := t.Context()
	is := func(what string, err error) {
		t.Helper()
		switch {
		case err == nil:
			all = append(all, what)
		case !errors.Is(err, store.ErrNotFound) && !errors.Is(err, oidc.ErrNotFound):
			t.Errorf("%s: %v", what, err)
		}
	}
	_, _, _, err := st.SignIn().Session(ctx, v.org, v.session.ID)
	is("session", err)
	_, err = st.OIDC().Grant(ctx, v.org, v.grant)
	is("grant", err)
	_, _, err = st.OIDC().Token(ctx, v.org, v.token)
	is("token", err)
	_, _, err = st.SignIn().Consent(ctx, v.org, v.ana.ID, v.app.ID)
	is("consent", err)
	_, _, err = st.SignIn().SignInLink(ctx, v.org, v.link)
	is("link", err)
	_, err = st.OIDC().BindLogin(ctx, v.org, v.login, []byte("browser"))
	is("login", err)
	_, err = st.OIDC().RegistrationToken(ctx, v.org, v.initial)
	is("initial access token", err)
	_, err = st.OIDC().RegistrationToken(ctx, v.org, v.own)
	is("registration access token", err)
	c, err := st.OIDC().Code(ctx, v.org, v.code)
	if err == nil { // a code is read spent or not; it counts if it can be redeemed
		g := c.Grant
		err = st.OIDC().Redeem(ctx, v.org, v.code, oidc.Issue{Grant: &g, Token: &oidc.Token{ID: st.NewID(), Hash: []byte{6}, Grant: g.ID, Expires: st.Now()}, Event: "OauthWebServer"})
	}
	is("code", err)
	return all
}

func (v given) epochs(t *testing.T, st *store.Store) (e [5]int64) {
	t.Helper()
	if err := st.Read(t.Context()).QueryRow(`SELECT o.epoch, u.epoch, a.epoch, i.epoch, (SELECT MIN(epoch) FROM usr) FROM org o, usr u, app a, installation i
		WHERE u.id = $1 AND a.id = $2 AND i.app = a.id`, v.ana.ID, v.app.ID).Scan(&e[0], &e[1], &e[2], &e[3], &e[4]); err != nil {
		t.Fatal(err)
	}
	return e
}

// what was given before ends; what belongs to an app like its secret stays.
func TestEndBefore(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		v := give(t, st)
		if all := v.alive(t, storetest.Open(t, storetest.DSN(t, storetest.SQLite))); len(all) > 0 {
			t.Fatalf("in another database: %q", all)
		}
		before := v.epochs(t, st)
		e, err := st.EndBefore(t.Context(), "it was put back")
		if err != nil {
			t.Fatal(err)
		}
		after := v.epochs(t, st)
		for i := range after {
			if after[i] != before[i]+1 {
				t.Errorf("epoch %d: %d, then %d", i, before[i], after[i])
			}
		}
		if all := v.alive(t, st); !slices.Equal(all, []string{"registration access token"}) {
			t.Errorf("alive: %q", all)
		}
		if e.Active != 1 || !slices.Equal(e.Inactive, []string{"ben"}) || e.Apps != 1 || len(e.Blocked) > 0 ||
			!slices.Equal(e.GatewayTokens, []store.GatewayToken{{Org: v.org, App: "A", Name: "anypoint"}}) {
			t.Errorf("%+v", e)
		}
		var links int64 // a set-up link has no epochs
		if err := st.Read(t.Context()).QueryRow(`SELECT COUNT(*) FROM link`).Scan(&links); err != nil || links != 0 {
			t.Errorf("%d links, %v", links, err)
		}
		events, err := st.Events().List(t.Context(), v.org, store.EventFilter{Code: "restoreBackup"})
		if err != nil || len(events) != 1 || !strings.HasPrefix(events[0].Reason, "it was put back: every session") || events[0].Outcome != idp.OK {
			t.Errorf("%+v %v", events, err)
		}
	})
}

// More users than are taken at a time.
func TestEndBeforeOfMany(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		write(t, st, func(tx *store.Tx) error {
			for i := range 2100 {
				if _, err := tx.Exec(`INSERT INTO usr (org, id, username, email, active, service, epoch, password, doc, created, changed) VALUES ($1, $2, '', '', $3, $4, $5, '', '{}', 0, 0)`,
					o.ID, st.NewID(), true, false, i); err != nil {
					return err
				}
			}
			return nil
		})
		if _, err := st.EndBefore(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		var sum, least int64
		if err := st.Read(t.Context()).QueryRow(`SELECT CAST(SUM(epoch) AS BIGINT), MIN(epoch) FROM usr`).Scan(&sum, &least); err != nil || sum != 2100*2101/2 || least != 1 {
			t.Errorf("%d from %d on, %v; want %d", sum, least, err, 2100*2101/2)
		}
	})
}

// a backup that is put back is the database of then, at the schema of now, in which nothing given before is alive.
func TestRestore(t *testing.T) {
	st := storetest.New(t, storetest.SQLite)
	v := give(t, st)
	file := filepath.Join(t.TempDir(), "backup")
	made, err := st.Backup(t.Context(), file, "1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if all := v.alive(t, st); len(all) != 9 {
		t.Fatalf("alive before: %q", all)
	}
	folder := filepath.Join(t.TempDir(), "new", "folder")
	dsn := "sqlite:" + filepath.Join(folder, "lanyard.db")
	var doing []string
	e, err := store.Restore(t.Context(), store.Config{DSN: dsn, Sealer: storetest.Sealer(t)}, file, func(s string) { doing = append(doing, s) })
	if err != nil || e.Manifest != made || e.Active != 1 || len(doing) != 3 {
		t.Fatalf("%+v, %v, %q", e, err, doing)
	}
	if names := within(t, folder); !slices.Equal(names, []string{"lanyard.db"}) {
		t.Errorf("left: %q", names)
	}
	if info, err := os.Stat(filepath.Join(folder, "lanyard.db")); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	now := storetest.Open(t, dsn)
	if all := v.alive(t, now); !slices.Equal(all, []string{"registration access token"}) {
		t.Errorf("alive: %q", all)
	}
	if u, err := now.People().ByName(t.Context(), v.org, "ana"); err != nil || u.ID != v.ana.ID {
		t.Errorf("%+v %v", u, err)
	}
	if secret, err := now.Apps().Secret(t.Context(), v.org, v.app.ID); err != nil || string(secret) != "secret of A" {
		t.Errorf("%q %v", secret, err)
	}
	var text []byte
	if err := now.Read(t.Context()).QueryRow(`SELECT value FROM meta WHERE name = 'backup'`).Scan(&text); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("it still says that it is a backup: %v", err)
	}
	if _, err := store.Restore(t.Context(), store.Config{DSN: dsn, Sealer: storetest.Sealer(t)}, file, silent); !errors.Is(err, fs.ErrExist) {
		t.Errorf("again: %v", err)
	}
}

// What doctor asks: a database that is as it should be, and one that is not.
func TestCheck(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ctx := t.Context()
		if v, known, err := st.Schema(ctx); v != known || known < 5 || err != nil {
			t.Errorf("schema %d of %d, %v", v, known, err)
		}
		if found, err := st.Check(ctx); len(found) > 0 || err != nil {
			t.Errorf("found %q, %v", found, err)
		}
		if name, err := st.Engine(ctx); err != nil || !strings.HasPrefix(name, "SQLite 3.") && !strings.HasPrefix(name, "PostgreSQL ") {
			t.Errorf("%q %v", name, err)
		}
		if took, err := st.WriteTime(ctx); took <= 0 || took > time.Minute || err != nil {
			t.Errorf("%s %v", took, err)
		}
		if ahead, within, _, err := st.ClockAhead(ctx); err != nil || ahead.Abs() > within+time.Second {
			t.Errorf("%s %s %v", ahead, within, err)
		}
		write(t, st, func(tx *store.Tx) error {
			_, err := tx.Exec(`DROP TABLE consent`)
			return err
		})
		if found, err := st.Check(ctx); !slices.Equal(found, []string{"the table consent is not there"}) || err != nil {
			t.Errorf("found %q, %v", found, err)
		}
	})
}

// Opened as it is, nothing is made or migrated.
func TestAsIs(t *testing.T) {
	for _, kind := range []string{storetest.SQLite, storetest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			dsn := storetest.Empty(t, kind)
			want := store.ErrNotFound
			if kind == storetest.SQLite {
				want = fs.ErrNotExist
			}
			if _, err := store.Open(t.Context(), store.Config{DSN: dsn, AsIs: true}); !errors.Is(err, want) {
				t.Errorf("nothing there: %v", err)
			}
			if kind == storetest.SQLite {
				if names := within(t, filepath.Dir(strings.TrimPrefix(dsn, "sqlite:"))); len(names) > 0 {
					t.Errorf("made: %q", names)
				}
			}
			dsn = storetest.DSN(t, kind)
			st := storetest.Open(t, dsn)
			write(t, st, func(tx *store.Tx) error {
				_, err := tx.Exec(`UPDATE schema SET version = 4`)
				return err
			})
			old := storetest.Open(t, dsn, func(c *store.Config) { c.AsIs = true })
			if v, known, err := old.Schema(t.Context()); v != 4 || known < 5 || err != nil {
				t.Errorf("schema %d of %d, %v", v, known, err)
			}
		})
	}
}
