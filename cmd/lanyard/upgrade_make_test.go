package main_test

import (
	"compress/gzip"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
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

// TestKeepRelease makes the databases of a released version: .ci/release runs it, and nothing else does.
//
//	LANYARD_RELEASE   the version: its tag
//
// What it uses of Lanyard it does through that version's binary: commands, and pages and endpoints over HTTP.
func TestKeepRelease(t *testing.T) {
	version := os.Getenv("LANYARD_RELEASE")
	if version == "" {
		return // nothing to keep
	}
	commit, err := exec.Command("git", "rev-parse", "--verify", version+"^{commit}").Output()
	if err != nil {
		t.Fatalf("there is no %s here: %v", version, err)
	}
	r := &release{Version: version, Commit: strings.TrimSpace(string(commit)), Migrations: map[string]string{}, dir: filepath.Join("testdata/releases", version)}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := r.binary(t)
	released, err := filepath.Glob(filepath.Join(builtIn, version, "idp/store/migrations/*.sql"))
	if err != nil || len(released) == 0 {
		t.Fatalf("no migrations in %s: %v", version, err)
	}
	for _, m := range released {
		sum := sha256.Sum256(must(os.ReadFile(m)))
		r.Migrations[filepath.Base(m)] = hex.EncodeToString(sum[:])
	}
	lite := newOrg(t, storetest.SQLite)
	master := lite.master
	r.Master = base64.StdEncoding.EncodeToString(master[:])
	r.SQLite = lite.live(t, file)
	vacuumed := filepath.Join(t.TempDir(), "lanyard.db")
	onSQL(t, "sqlite", filepath.Join(lite.dir, "data", "lanyard.db"), func(c *sql.Conn) error {
		_, err := c.ExecContext(t.Context(), "VACUUM INTO $1", vacuumed)
		return err
	})
	zip(t, filepath.Join(r.dir, "lanyard.db.gz"), must(os.ReadFile(vacuumed)))

	dsn := storetest.Empty(t, storetest.Postgres)
	pg := newOrg(t, storetest.SQLite)
	pg.master = master
	pg.env = append(pg.env, "LANYARD_MASTER_KEY="+r.Master, "LANYARD_DATABASE="+dsn)
	r.Postgres = pg.live(t, file)
	dump, err := exec.Command("pg_dump", "--inserts", "--rows-per-insert=100", "--no-owner", "--no-privileges", "--dbname", dsn).Output()
	if err != nil {
		t.Fatalf("pg_dump: %v", err)
	}
	zip(t, filepath.Join(r.dir, "postgres.sql.gz"), dump)
	text, err := json.MarshalIndent(r, "", " ")
	if err := errors.Join(err, os.WriteFile(filepath.Join(r.dir, "known.json"), append(text, '\n'), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func zip(t *testing.T, file string, text []byte) {
	t.Helper()
	f := must(os.Create(file))
	z := must(gzip.NewWriterLevel(f, gzip.BestCompression))
	_, err := z.Write(text)
	if err := errors.Join(err, z.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// releasedHouse is what a kept database declares.
func releasedHouse() []string {
	const persistent = "nameID: {format: \"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\", force: true}"
	return []string{"kind: Group\nname: staff", "kind: Group\nname: board", "kind: Profile\nname: Employee", "kind: PermissionSet\nname: Auditor",
		"kind: Scope\nname: orders\nlabel: See your orders",
		person("ana", "givenName: Ana\nfamilyName: \"Lima & Söhne\"\ngroups: [staff, board]\nprofile: Employee\npermissionSets: [Auditor]\nattributes: {department: Finance, sites: [Berlin, Porto]}"),
		person("ben", "groups: [staff]"), person("cyd", ""), "kind: User\nusername: svc\ntype: service",
		app("Your Benefits", "benefits.example", "attributes:\n  - {name: department, source: attributes.department}\n  - {name: sites, source: attributes.sites}\n  - {name: memberOf, source: groups}\n", "groups: [staff]"),
		app("Pension", "pension.example", persistent, "profiles: [Employee]"),
		app("Closed", "closed.example", "", "groups: [staff]\n  blocked: true"),
		client("Wellness Tracker", "wellness", "https://wellness.example/cb",
			"clientSecret: {plain: "+secret+"}\nscopes: [openid, profile, email, groups, refresh_token]\nflows: {authorizationCode: true, refresh: true}", "{groups: [staff]}"),
		client("Pocket", "pocket", "\"http://127.0.0.1/cb\"", "type: native\npublic: true\nscopes: [openid, refresh_token]\nflows: {authorizationCode: true, refresh: true}", "{groups: [staff]}"),
		"kind: App\nname: Batch\noauth:\n  clientID: batch\n  clientSecret: {plain: " + secret + "}\n  type: service\n  scopes: [orders]\n  flows: {clientCredentials: true}\npolicy: {users: [{user: svc}], runAs: svc}",
		"kind: App\nname: Orders Gateway\noauth:\n  clientID: gateway\n  clientSecret: {plain: " + secret + "}\n  type: service\n  scopes: [orders]\n  flows: {clientCredentials: true}\n" +
			"  introspect: children\n  registration: {limit: 50, grants: [authorization_code, client_credentials], scopes: [orders], runAs: auto, permit: everyone}\npolicy: {users: [{user: ana}]}",
	}
}

// waiting is where the last remembered request of a client goes on. The page that asks for a password has an hour sealed in its
// address, which nobody can move on.
func (o *org) waiting(t *testing.T) (address string) {
	t.Helper()
	driver, dsn := "sqlite", "file:"+filepath.Join(o.dir, "data", "lanyard.db")+"?_pragma=busy_timeout(5000)"
	if d := o.database(); d != "" {
		driver, dsn = "pgx", d
	}
	onSQL(t, driver, dsn, func(c *sql.Conn) error {
		return c.QueryRowContext(t.Context(), "SELECT '/oauth2/continue?login=' || id FROM login WHERE kind = 'oidc' ORDER BY id DESC LIMIT 1").Scan(&address)
	})
	return address
}

// live fills a new database with a life, and says what of it must be true afterwards.
func (o *org) live(t *testing.T, file string) *known {
	t.Helper()
	run := func(stdin string, args ...string) string {
		t.Helper()
		out, code := o.command(file, stdin, nil, args...)
		if code != 0 {
			t.Fatalf("%v: exit %d\n%s", args, code, out)
		}
		return strings.TrimSpace(out)
	}
	run(strings.Join(releasedHouse(), "\n---\n"), "apply", "-f", "-")
	v := o.spawn(file, "")
	o.nodes = append(o.nodes, v.node())
	k := &known{URL: o.url}
	w, pocket := wellness(t, o), newRP(t, o, "pocket", "", "http://127.0.0.1:1/cb", "openid", "refresh_token")

	// A family of grants, a key that has moved on since, one token that was taken back.
	b := o.in("ana")
	_, first := w.signIn(b.get(w.start()))
	k.Access, k.Refresh, k.IDToken = first.AccessToken, first.RefreshToken, first.Extra("id_token").(string)
	_, second := w.signIn(b.get(w.start()))
	k.Revoked = second.AccessToken
	if status, _ := w.call("/oauth2/revoke", url.Values{"token": {k.Revoked}}); status != 200 {
		t.Fatalf("revoke: %d", status)
	}
	run("", "key", "rotate", "--force")
	run("", "key", "rotate", "--use", "saml", "--yes")
	time.Sleep(300 * time.Millisecond)
	_, token := pocket.signIn(b.get(pocket.start()))
	k.Rotated = token.RefreshToken
	k.Current = must(pocket.refresh(k.Rotated)).RefreshToken

	s := newSP(t, "pension.example").meet(o)
	q := s.request()
	a, _ := s.accept(b.get(s.redirect(q, "")), q.ID)
	k.PersistentNameID = a.Subject.NameID.Value
	k.SAMLCertificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Raw}))
	benefits := newSP(t, "benefits.example").meet(o)
	q = benefits.request()
	benefits.accept(b.get(benefits.redirect(q, "")), q.ID)

	// A gateway with two children, one of which is shut.
	g := &gateway{rp: newRP(t, o, "gateway", secret, "")}
	k.Initial = run("", "gateway", "token", "create", "--app", "Orders_Gateway", "--name", "anypoint")
	ask := map[string]any{"client_name": "Order Mobile", "redirect_uris": []string{"https://orders.example/cb"}, "grant_types": []string{"authorization_code", "client_credentials"}, "scope": "orders"}
	status, c := g.register(k.Initial, ask)
	ask["client_name"] = "Order Desk"
	also, shut := g.register(k.Initial, ask)
	if status != 201 || also != 201 {
		t.Fatalf("register: %d, %d", status, also)
	}
	k.Child, k.Shut = c, shut
	k.ChildToken = must(g.token(c, "orders"))
	var children []struct{ APIName, ClientID string }
	if err := json.Unmarshal([]byte(run("", "app", "list", "--parent", "Orders_Gateway", "-o", "json")), &children); err != nil {
		t.Fatal(err)
	}
	for _, a := range children {
		if a.ClientID == shut.ID {
			run("", "app", "block", a.APIName)
		}
	}

	// Sessions: one goes on, one was ended; a person who was shut out; one who is about to sign in.
	k.Session = b.jar.Cookies(b.home)
	ben := o.in("ben")
	k.Ended = ben.jar.Cookies(ben.home)
	run("", "session", "revoke", "--user", "ben")
	run("", "user", "deactivate", "cyd")
	later := o.browser()
	later.get(w.start()).asks(t)
	k.Begun, k.BegunAt, k.BegunState = later.jar.Cookies(later.home), o.waiting(t), w.state
	fails := o.browser()
	fails.fill(fails.get("/signin"), "username", "ana", "password", "wrong")

	k.Verifier = pocket.pkce
	k.Code = pocket.code(b.get(pocket.start()))
	k.Made = time.Now().UTC()
	v.end()
	k.Export = run("", "export")
	if err := json.Unmarshal([]byte(run("", "event", "list", "-o", "json")), &k.Events); err != nil || len(k.Events) < 10 {
		t.Fatalf("events: %d, %v", len(k.Events), err)
	}
	for _, cookies := range [][]*http.Cookie{k.Session, k.Ended, k.Begun} {
		if !slices.ContainsFunc(cookies, func(c *http.Cookie) bool { return c.Value != "" }) {
			t.Fatal("a browser without cookies")
		}
	}
	return k
}
