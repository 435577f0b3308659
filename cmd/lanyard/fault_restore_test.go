package main_test

import (
	"database/sql"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// pgTool is one of PostgreSQL's own programs.
func pgTool(t *testing.T, name string, args ...string) {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		t.Skipf("no %s in /usr/lib/postgresql/*/bin", name)
	}
	if out, err := exec.Command(slices.Max(found), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// copied is a copy of a house's data, and how it is put back after the data was lost.
func (o *org) copied(t *testing.T) (putBack func()) {
	t.Helper()
	if o.database() == "" {
		file := filepath.Join(t.TempDir(), "backup")
		o.run("backup", file)
		return func() {
			t.Helper()
			data := filepath.Join(o.dir, "data")
			if err := os.Rename(data, data+".lost"); err != nil {
				t.Fatal(err)
			}
			if out := o.run("restore", file); !strings.Contains(out, "Ended: all sessions") {
				t.Errorf("restore says %q", out)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "dump")
	pgTool(t, "pg_dump", "--format=custom", "--file="+file, "--dbname="+o.database())
	return func() {
		t.Helper()
		empty := storetest.Empty(t, storetest.Postgres)
		pgTool(t, "pg_restore", "--no-owner", "--dbname="+empty, file)
		o.on(empty).run("restore", "--already-restored", "--yes")
	}
}

// a copy made before is put back. What was revoked, spent, used up or ended since does not live again, nor does
// anything else that people and apps had: they sign in anew, and all goes on.
func TestFaultRestoreResurrectsNothing(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		oidcOrg(t, o)
		gatewayApp := "kind: App\nname: Gate\noauth:\n  clientID: gate\n  clientSecret: {plain: " + secret + "}\n  type: service\n  scopes: [orders]\n" +
			"  introspect: children\n  registration: {limit: 9, grants: [client_credentials], scopes: [orders], runAs: auto, permit: everyone}\npolicy: {groups: [staff]}"
		o.apply(gatewayApp)
		n := o.nodes[0]
		w, short := wellness(t, o), newRP(t, o, "short", secret, "https://short.example/cb", "openid")
		pocket := newRP(t, o, "pocket", "", "http://127.0.0.1/cb", "openid", "refresh_token")
		notes := newRP(t, o, "notes", secret, "https://notes.example/cb", "openid")
		gate := &gateway{rp: newRP(t, o, "gate", secret, ""), initial: o.line("gateway", "token", "create", "--app", "Gate", "--name", "anypoint")}

		// What there is when the copy is made.
		ana, ben := o.in("ana"), o.in("ben")
		_, revoked := w.signIn(ana.get(w.start()))
		_, kept := w.signIn(ana.get(w.start()))
		_, bens := w.signIn(ben.get(w.start()))
		_, rotated := pocket.signIn(ana.get(pocket.start()))
		consented := ana.fill(ana.get(notes.start()), "decision", "allow")
		notes.signIn(consented)
		link := o.line("user", "signin-link", "cyd")
		waiting := o.browser()
		waiting.get(w.start()).asks(t)
		status, child := gate.register(gate.initial, map[string]any{"client_name": "batch", "grant_types": []string{"client_credentials"}})
		if status != 201 {
			t.Fatalf("registering: %d %+v", status, child)
		}
		childs := must(gate.token(child, "orders"))
		code := w.code(ana.get(w.start()))

		putBack := o.copied(t)

		// What happens after it.
		if status, got := w.call("/oauth2/revoke", url.Values{"token": {revoked.RefreshToken}}); status != 200 {
			t.Fatalf("revoking: %d %v", status, got)
		}
		used := must(w.exchange(code))
		next := must(pocket.refresh(rotated.RefreshToken))
		o.run("user", "deactivate", "ben")
		renewed := o.line("app", "secret", "short", "--renew")
		o.run("gateway", "token", "revoke", "--app", "Gate", "--all")
		o.run("grant", "revoke", "--app", "Notes", "--user", "ana")
		cyd := o.browser()
		if p := cyd.fill(cyd.get(link), "decision", "allow"); p.url.Path != "/apps" {
			t.Fatalf("the link: %d %s\n%s", p.status, p.url, p.body)
		}
		finished := waiting.signIn(waiting.get(w.start()), "ana")
		w.code(finished)
		before := map[string]string{}
		for name, b := range map[string]*browser{"ana": ana, "cyd": cyd} {
			if p := b.get("/apps"); p.status != 200 || p.url.Path != "/apps" {
				t.Fatalf("%s before: %d %s", name, p.status, p.url)
			}
			before[name] = b.jar.Cookies(b.home)[0].Value
		}
		if active, _ := w.active(kept.AccessToken); !active {
			t.Fatal("a token is dead before anything happened")
		}

		n.stop()
		began := time.Now()
		putBack()
		restored := time.Since(began)
		o.serve("--listen", n.addr)
		t.Logf("put back after %s, served again %s later", restored.Round(time.Millisecond), (time.Since(began) - restored).Round(time.Millisecond))

		// Nothing of it lives.
		for name, b := range map[string]*browser{"ana's": ana, "ben's": ben, "cyd's, by link": cyd, "the one that signed in later": waiting} {
			if p := b.get("/apps"); !strings.HasSuffix(p.url.Path, "/signin") {
				t.Errorf("the session in %s browser: %d %s", name, p.status, p.url)
			}
		}
		for name, token := range map[string]string{"revoked": revoked.AccessToken, "not revoked": kept.AccessToken, "ben's": bens.AccessToken, "of the code": used.AccessToken} {
			if active, got := w.active(token); active {
				t.Errorf("the access token %s: %v", name, got)
			}
		}
		if active, got := gate.active(childs); active {
			t.Errorf("the child's token: %v", got)
		}
		for name, token := range map[string]string{"revoked": revoked.RefreshToken, "not revoked": kept.RefreshToken, "ben's": bens.RefreshToken, "of the code": used.RefreshToken} {
			if _, err := w.refresh(token); first(oauthError(err)) != "invalid_grant" {
				t.Errorf("the refresh token %s: %v", name, err)
			}
		}
		for name, token := range map[string]string{"rotated away": rotated.RefreshToken, "the next": next.RefreshToken} {
			if _, err := pocket.refresh(token); first(oauthError(err)) != "invalid_grant" {
				t.Errorf("the refresh token %s: %v", name, err)
			}
		}
		if _, err := w.exchange(code); first(oauthError(err)) != "invalid_grant" {
			t.Errorf("the used code: %v", err)
		}
		again := o.browser()
		again.get(link).refused(t, "the used link", 404)
		if status, c := gate.register(gate.initial, map[string]any{"client_name": "more", "grant_types": []string{"client_credentials"}}); status != 401 {
			t.Errorf("the revoked gateway token: %d %+v", status, c)
		}

		// What was there then is there, as it was then: whoever restored is told to look.
		if out := o.run("user", "show", "ben", "-o", "json"); !strings.Contains(out, `"active": true`) {
			t.Errorf("ben: %s", out)
		}
		if now := o.line("app", "secret", "short"); now != secret || now == renewed {
			t.Errorf("the client secret is %q", now)
		}
		if status, got := short.call("/oauth2/introspect", url.Values{"token": {"x"}}); status != 200 {
			t.Errorf("the client secret of then: %d %v", status, got)
		}

		// And all goes on: people sign in, are asked again what they took back, and apps get tokens.
		fresh := o.in("ana")
		if _, token := w.signIn(fresh.get(w.start())); must(w.refresh(token.RefreshToken)) == nil {
			t.Error("no token")
		}
		if p := fresh.get(notes.start()); p.status != 200 || !strings.HasSuffix(p.url.Path, "/consent") {
			t.Errorf("the consent that was taken back: %d %s", p.status, p.url)
		}
		if _, err := gate.token(child, "orders"); err != nil {
			t.Errorf("the registered client: %v", err)
		}
		all := o.events("--code", "restoreBackup")
		if len(all) != 1 || all[0].Actor != "cli" || !strings.Contains(all[0].Reason, "1 gateway tokens") {
			t.Errorf("events: %+v", all)
		}
	})
}

func first[T, U any](v T, _ U) T { return v }

// drop takes a table away behind the house's back.
func (o *org) drop(t *testing.T, table string) {
	t.Helper()
	driver, dsn := "sqlite", "file:"+filepath.Join(o.dir, "data", "lanyard.db")+"?_pragma=busy_timeout(5000)"
	if d := o.database(); d != "" {
		driver, dsn = "pgx", d
	}
	db, err := sql.Open(driver, dsn)
	if err == nil {
		_, err = db.Exec("DROP TABLE " + table)
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// a table that is dropped under a running server closes the house; it does not fill itself again.
func TestFaultDroppedTable(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		oidcOrg(t, o)
		w := wellness(t, o)
		_, token := w.signIn(o.in("ana").get(w.start()))
		var longest time.Duration
		for _, table := range []string{"grants", "usr", "schema"} {
			o.drop(t, table)
			began := time.Now()
			if _, err := w.refresh(token.RefreshToken); err == nil {
				t.Errorf("a token without the table %s", table)
			}
			if status, got := w.call("/oauth2/introspect", url.Values{"token": {token.AccessToken}}); status < 500 {
				t.Errorf("without the table %s: %d %v", table, status, got)
			}
			longest = max(longest, time.Since(began))
		}
		if p := o.browser().get("/apps"); p.status == 200 {
			if q := o.browser().signIn(p, "ana"); q.status < 500 {
				t.Errorf("signing in without users: %d", q.status)
			}
		}
		out, _, code := o.try("", "doctor", "--listen", "127.0.0.1:0")
		if code != 1 || !strings.Contains(out, "fail") {
			t.Errorf("doctor: %d\n%s", code, out)
		}
		o.nodes[0].stop()
		began := time.Now()
		out, stderr, code := o.try("", "serve", "--listen", "127.0.0.1:0")
		if code != 1 || out != "" {
			t.Errorf("it starts all the same: %d %q %s", code, out, stderr)
		}
		t.Logf("a refresh and an introspection refused within %s; the next start refused after %s", longest.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	})
}

// where the file has gone, the server that had it open refuses, and the next one does not begin anew.
func TestFaultVanishedDatabase(t *testing.T) {
	t.Parallel()
	o := newOrg(t, storetest.SQLite)
	oidcOrg(t, o)
	b := o.in("ana")
	for _, name := range []string{"lanyard.db", "lanyard.db-wal", "lanyard.db-shm"} {
		if err := os.Rename(filepath.Join(o.dir, "data", name), filepath.Join(o.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	if p := o.browser().get("/signin"); p.status == 200 {
		if q := o.browser().signIn(p, "ana"); q.status != 503 {
			t.Errorf("signing in: %d", q.status)
		}
	}
	for _, path := range []string{"/apps", "/readyz"} {
		deadline := time.Now().Add(10 * time.Second) // ready until it has not read for a while
		for p := b.get(path); p.status != 503; p = b.get(path) {
			if time.Now().After(deadline) {
				t.Errorf("%s: %d", path, p.status)
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	t.Logf("unready after %s", time.Since(began).Round(100*time.Millisecond))
	for _, args := range [][]string{{"user", "list"}, {"serve", "--listen", "127.0.0.1:0"}, {"restore", filepath.Join(o.dir, "lanyard.db")}} {
		if out, stderr, code := o.try("", args...); code != 1 || out != "" {
			t.Errorf("lanyard %s: %d %q %q", args[0], code, out, stderr)
		}
	}
	o.nodes[0].stop()
	if _, stderr, code := o.try("", "serve", "--listen", "127.0.0.1:0"); code != 1 || !strings.Contains(stderr, "Put a backup back, lanyard restore FILE") {
		t.Errorf("the next start: %d %q", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(o.dir, "data", "lanyard.db")); err == nil {
		t.Error("there is a new database")
	}
}
