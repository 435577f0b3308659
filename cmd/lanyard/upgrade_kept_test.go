package main_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// testdata/releases/VERSION keeps what a released version left behind: a database of each kind, made by that version's own
// binary, and known.json, which says what is in them. .ci/release makes them (upgrade_make_test.go).

// release is one folder there.
type release struct {
	Version, Commit string
	Master          string            // of its databases: a test's own
	Migrations      map[string]string // the files it was released with, and their SHA-256: they never change
	SQLite          *known
	Postgres        *known
	dir             string
}

// known is what must still be true of a database.
type known struct {
	Made   time.Time
	URL    string
	Export string
	Events []event

	Session, Ended   []*http.Cookie // a person signed in; one who was, until an administrator ended it
	Begun            []*http.Cookie // a browser that was asked to sign in for an app, and where it goes on
	BegunAt          string
	BegunState       string
	PersistentNameID string
	SAMLCertificate  string

	Code, Verifier   string // not yet redeemed
	IDToken          string
	Access, Revoked  string
	Refresh          string // of Wellness
	Rotated, Current string // of Pocket, which rotates
	Initial          string
	Child, Shut      child // registered; and one that an administrator blocked
	ChildToken       string
}

// releases reads all that are kept.
func releases(t *testing.T) (all []*release) {
	t.Helper()
	files, err := filepath.Glob("testdata/releases/*/known.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no release is kept (%v)", err)
	}
	for _, f := range files {
		r := &release{dir: filepath.Dir(f)}
		if err := json.Unmarshal(must(os.ReadFile(f)), r); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		all = append(all, r)
	}
	return all
}

// eachRelease runs f with a copy of each kept database, its times moved on as if it had been made just now.
func eachRelease(t *testing.T, kinds []string, f func(t *testing.T, o *org, r *release, k *known)) {
	t.Helper()
	t.Parallel()
	for _, r := range releases(t) {
		for _, kind := range kinds {
			t.Run(r.Version+" "+kind, func(t *testing.T) {
				t.Parallel()
				k := map[string]*known{storetest.SQLite: r.SQLite, storetest.Postgres: r.Postgres}[kind]
				f(t, r.restore(t, kind, k), r, k)
			})
		}
	}
}

// restore makes a Lanyard of a kept database.
func (r *release) restore(t *testing.T, kind string, k *known) *org {
	t.Helper()
	o := &org{t: t, dir: t.TempDir(), url: k.URL}
	copy(o.master[:], must(base64.StdEncoding.DecodeString(r.Master)))
	data := filepath.Join(o.dir, "data")
	o.env = append(os.Environ(), "LANYARD_DATA="+data, "LANYARD_MASTER_KEY="+r.Master)
	if kind == storetest.SQLite {
		file := filepath.Join(data, "lanyard.db")
		if err := errors.Join(os.Mkdir(data, 0o700), os.WriteFile(file, unzipped(t, filepath.Join(r.dir, "lanyard.db.gz")), 0o600)); err != nil {
			t.Fatal(err)
		}
		moveOn(t, "sqlite", file, "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND (c.type = 'BIGINT' OR c.name = 'doc')", k.Made)
		return o
	}
	dsn := storetest.Empty(t, kind)
	o.env = append(o.env, "LANYARD_DATABASE="+dsn)
	// Lines that begin with a backslash are psql's.
	var dump strings.Builder
	for line := range strings.Lines(string(unzipped(t, filepath.Join(r.dir, "postgres.sql.gz")))) {
		if !strings.HasPrefix(line, `\`) {
			dump.WriteString(line)
		}
	}
	onSQL(t, "pgx", dsn+"&default_query_exec_mode=simple_protocol", func(c *sql.Conn) error {
		_, err := c.ExecContext(t.Context(), dump.String())
		return err
	})
	moveOn(t, "pgx", dsn, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' AND (data_type = 'bigint' OR column_name = 'doc')", k.Made)
	return o
}

func unzipped(t *testing.T, file string) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(must(os.ReadFile(file))))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return must(io.ReadAll(z))
}

// onSQL runs f on one connection of its own.
func onSQL(t *testing.T, driver, dsn string, f func(c *sql.Conn) error) {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	c, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f(c), c.Close()); err != nil {
		t.Fatal(err)
	}
}

var timeInDoc = regexp.MustCompile(`"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z"`)

// moveOn adds to every time in a database what has gone by since it was made, so that what was alive then is alive now.
// columns lists the tables with their BIGINT columns and the one named doc. A time is microseconds, and no other number is
// nearly as large; in a doc it is as JSON has it.
func moveOn(t *testing.T, driver, dsn, columns string, made time.Time) {
	t.Helper()
	since := time.Since(made)
	onSQL(t, driver, dsn, func(c *sql.Conn) error {
		list := func(query string) (all [][2]string, err error) {
			rows, err := c.QueryContext(t.Context(), query)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", query, err)
			}
			for rows.Next() {
				var r [2]string
				if err := rows.Scan(&r[0], &r[1]); err != nil {
					return nil, err
				}
				all = append(all, r)
			}
			return all, errors.Join(rows.Err(), rows.Close())
		}
		moved := 0
		move := func(query string, args ...any) error {
			n, err := c.ExecContext(t.Context(), query, args...)
			if err != nil {
				return fmt.Errorf("%s: %w", query, err)
			}
			moved += int(must(n.RowsAffected()))
			return nil
		}
		found, err := list(columns)
		for _, at := range found {
			table, column := at[0], at[1]
			if column != "doc" {
				err = errors.Join(err, move(fmt.Sprintf(`UPDATE %s SET "%s" = "%s" + $1 WHERE "%s" > 1000000000000000`, table, column, column, column), since.Microseconds()))
				continue
			}
			docs, failed := list("SELECT DISTINCT doc, '' FROM " + table)
			err = errors.Join(err, failed)
			for _, doc := range docs {
				later := timeInDoc.ReplaceAllStringFunc(doc[0], func(text string) string {
					var at time.Time
					if json.Unmarshal([]byte(text), &at) != nil {
						return text
					}
					return string(must(json.Marshal(at.Add(since))))
				})
				if later != doc[0] {
					err = errors.Join(err, move("UPDATE "+table+" SET doc = $1 WHERE doc = $2", later, doc[0]))
				}
			}
		}
		if moved == 0 {
			t.Error("no time was moved")
		}
		return err
	})
}

var oldBinaries sync.Map // commit → func() (string, error)

// notHere is why the code of a release cannot be built; .ci/report.go knows these words.
const notHere = "is not in this checkout's history"

// binary is the release's own, built from its commit. Where that is not there the test is skipped, in CI too: a checkout
// may be shallow.
func (r *release) binary(t *testing.T) string {
	t.Helper()
	build, _ := oldBinaries.LoadOrStore(r.Commit, sync.OnceValues(func() (string, error) { return r.build(builtIn) }))
	file, err := build.(func() (string, error))()
	if err != nil && strings.Contains(err.Error(), notHere) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	return file
}

func (r *release) build(in string) (string, error) {
	if out, err := exec.Command("git", "cat-file", "-e", r.Commit+"^{commit}").CombinedOutput(); err != nil {
		return "", fmt.Errorf("the code of %s, commit %s, %s: %v %s", r.Version, r.Commit, notHere, err, bytes.TrimSpace(out))
	}
	archive := exec.Command("git", "archive", r.Commit+":") // the whole tree, wherever in it this runs
	archive.Dir = filepath.Join("..", "..")
	packed, err := archive.Output()
	if err != nil {
		return "", fmt.Errorf("git archive %s: %w", r.Commit, err)
	}
	dir, file := filepath.Join(in, r.Version), filepath.Join(in, "lanyard-"+r.Version)
	for tree := tar.NewReader(bytes.NewReader(packed)); ; {
		h, err := tree.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", err
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag != tar.TypeReg || !filepath.IsLocal(h.Name) {
			continue
		}
		text, err := io.ReadAll(tree)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, text, 0o600)); err != nil {
			return "", err
		}
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", file, "./cmd/lanyard")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %s", r.Version, out)
	}
	return file, nil
}

// TestReleasedMigrations: the migrations that a version was released with are never touched again.
func TestReleasedMigrations(t *testing.T) {
	for _, r := range releases(t) {
		if len(r.Migrations) == 0 {
			t.Errorf("%s: no migrations are known", r.Version)
		}
		for name, want := range r.Migrations {
			text, err := os.ReadFile(filepath.Join(migrationsIn, name))
			if sum := sha256.Sum256(text); err != nil || hex.EncodeToString(sum[:]) != want {
				t.Errorf("%s was released with %s and is frozen for ever; write a new migration (%v)", name, r.Version, err)
			}
		}
	}
}

const migrationsIn = "../../idp/store/migrations"

// TestReleasesAreKept: of every version that is tagged in this checkout's history there is a database to upgrade.
func TestReleasesAreKept(t *testing.T) {
	kept := map[string]bool{}
	for _, r := range releases(t) {
		kept[r.Version] = true
	}
	tags, err := exec.Command("git", "tag", "--list", "v*", "--merged", "HEAD").Output()
	if err != nil {
		t.Logf("the tags cannot be read: %v", err)
		return
	}
	for _, tag := range strings.Fields(string(tags)) {
		// The databases of a version can only be made, and committed, after its tag.
		at, err := exec.Command("git", "rev-list", "--count", tag+"..HEAD").Output()
		if !kept[tag] && (err != nil || strings.TrimSpace(string(at)) != "0") {
			t.Errorf("%s was released and no database of it is kept: run .ci/release %s", tag, tag)
		}
	}
}
