package main_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// keys move under load, token keys and SAML keys. Every ID token and every assertion that anybody is given is verified by other
// people's libraries: go-oidc, which fetches keys from the other node, and crewjam/saml (goxmldsig), which knows the metadata.
func TestFaultKeyRotation(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		file := binary(t)
		faultOrg(o, file)
		nodes := []*victim{o.spawn(file, "")}
		if o.database() != "" {
			nodes = append(nodes, o.spawn(file, ""))
		}
		other := nodes[len(nodes)-1].addr
		c := newCrowd(o, file, func() string { return nodes[0].addr })
		c.pause = 5 * time.Millisecond
		verified := c.verifies(func() string { return other })
		var mu sync.Mutex
		var tokens []string
		verify := c.id
		c.id = func(raw string) error {
			mu.Lock()
			tokens = append(tokens, raw)
			mu.Unlock()
			return verify(raw)
		}
		rotate := func(args ...string) {
			if out, code := o.command(file, "", nil, append([]string{"key", "rotate"}, args...)...); code != 0 {
				t.Errorf("key rotate %v: %s", args, out)
			}
		}
		n := times(3, 100)
		c.during(t, func() {
			time.Sleep(500 * time.Millisecond)
			for range n {
				rotate("--force")
				time.Sleep(300 * time.Millisecond)
				rotate("--use", "saml", "--yes") // announced
				c.sso.Store(newSP(t, "benefits.example").meet(o))
				time.Sleep(200 * time.Millisecond)
				rotate("--use", "saml", "--yes", "--force") // and used
				time.Sleep(300 * time.Millisecond)
			}
		})
		tally, _ := c.reset()
		for status, n := range tally {
			if status >= 400 || status == 0 {
				t.Errorf("%d answers of %d", n, status)
			}
		}
		// Whoever has never seen a key before can verify all of it still.
		client := &http.Client{Transport: &http.Transport{DialContext: dialTo(func() string { return other })}, Timeout: 10 * time.Second}
		defer client.CloseIdleConnections()
		ctx := oidc.ClientContext(context.Background(), client)
		fresh := oidc.NewVerifier(o.url, oidc.NewRemoteKeySet(ctx, o.url+"/oauth2/keys"), &oidc.Config{ClientID: "pocket"})
		kids := map[string]bool{}
		for _, raw := range tokens {
			if _, err := fresh.Verify(ctx, raw); err != nil {
				t.Errorf("an ID token from before: %v", err)
			}
			kids[strings.Split(raw, ".")[0]] = true
		}
		if len(kids) < n {
			t.Errorf("only %d keys signed", len(kids))
		}
		t.Logf("%d rotations of token and SAML keys each: %d tokens and assertions verified, 0 refused, %d keys; %v; compared: %s", n, verified.Load(), len(kids), tally, c.verify(0))
		for _, v := range nodes {
			v.end()
		}
	})
}

// contents is a digest of every table of a database, taken while nobody writes. only limits it to those columns, where it has the table.
func contents(t *testing.T, o *org, only map[string][]string) (digests map[string]string, columns map[string][]string) {
	t.Helper()
	driver, dsn, list := "sqlite", "", `SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 1, c.cid`
	if dsn = o.database(); dsn != "" {
		driver, list = "pgx", `SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, ordinal_position`
	} else {
		dsn = "file:" + filepath.Join(o.dir, "data", "lanyard.db") + "?_pragma=busy_timeout(5000)"
	}
	digests, columns = map[string]string{}, map[string][]string{}
	onSQL(t, driver, dsn, func(c *sql.Conn) error {
		rows, err := c.QueryContext(t.Context(), list)
		if err != nil {
			return err
		}
		for rows.Next() {
			var table, column string
			if err := rows.Scan(&table, &column); err != nil {
				return err
			}
			columns[table] = append(columns[table], column)
		}
		if err := rows.Close(); err != nil {
			return err
		}
		for table, cols := range columns {
			if only != nil {
				if cols = only[table]; cols == nil {
					continue
				}
			}
			rows, err := c.QueryContext(t.Context(), `SELECT "`+strings.Join(cols, `", "`)+`" FROM "`+table+`"`)
			if err != nil {
				return err
			}
			var lines []string
			for rows.Next() {
				row, dest := make([]any, len(cols)), make([]any, len(cols))
				for i := range row {
					dest[i] = &row[i]
				}
				if err := rows.Scan(dest...); err != nil {
					return err
				}
				lines = append(lines, fmt.Sprintf("%q", row))
			}
			if err := rows.Close(); err != nil {
				return err
			}
			slices.Sort(lines)
			digests[table] = fmt.Sprintf("%d rows %x", len(lines), sha256.Sum256([]byte(strings.Join(lines, "\n"))))
		}
		return nil
	})
	return digests, columns
}

// The wrong master key: serve and every command refuse, say why, and change nothing; a node beside that has the right one goes on.
func TestFaultWrongMasterKey(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		file := binary(t)
		faultOrg(o, file)
		right := o.spawn(file, "")
		wrong := "LANYARD_MASTER_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, 32))
		before, _ := contents(t, o, nil)
		for range 50 { // what a server does at its start is done
			time.Sleep(200 * time.Millisecond)
			was := fmt.Sprint(before)
			if before, _ = contents(t, o, nil); fmt.Sprint(before) == was {
				break
			}
		}
		began := time.Now()
		for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0"}, {"user", "list"}, {"key", "rotate", "--force"}, {"app", "block", "Pocket"}} {
			out, code := o.command(file, "", []string{wrong}, args...)
			if code != 1 || !strings.Contains(out, "the master key is not the one this database was made with") || strings.Contains(out, "AAAAAAAA") {
				t.Errorf("%v: exit %d: %s", args, code, out)
			}
		}
		took := time.Since(began) / 4
		out, code := o.command(file, "", []string{"LANYARD_MASTER_KEY=c2hvcnQ="}, "serve", "--listen", "127.0.0.1:0")
		if code != 1 || strings.Contains(out, "c2hvcnQ=") {
			t.Errorf("no key at all: exit %d: %s", code, out)
		}
		if after, _ := contents(t, o, nil); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("something was changed:\n%v\n%v", before, after)
		}
		if !right.isReady() {
			t.Error("the node with the right key is not ready")
		}
		c := newCrowd(o, file, func() string { return right.addr })
		if s := c.signIn("u0"); s == nil || c.authorize(s) == nil {
			t.Error("the node with the right key does not sign in")
		}
		t.Logf("refused after %s", took.Round(time.Millisecond))
		right.end()
	})
}
