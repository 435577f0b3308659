package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/oidc"
)

// ErrInUse says that a server has the database open.
var ErrInUse = errors.New("store: a server is running on this database")

// Restore puts the backup in file to where c names its SQLite database, at which there must be none. Only when the copy has
// been read to its last page, is on disk, and nothing from before can come back by it (see [Store.EndBefore]), does it get
// that name: until then, and after any error, nothing is there. It is an [ErrInUse] while a server has lost that
// database under its feet, and else as [ReadBackup] says. progress is told what is being done.
func Restore(ctx context.Context, c Config, file string, progress func(doing string)) (_ Ended, err error) {
	path, isLite := strings.CutPrefix(c.DSN, "sqlite:")
	if !isLite {
		return Ended{}, ErrOwnTools
	}
	if path, err = filepath.Abs(path); err != nil {
		return Ended{}, err
	}
	// A log without its database is another database's, and SQLite would play it into this one.
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if _, err := os.Lstat(path + suffix); err == nil {
			return Ended{}, &fs.PathError{Op: "restore", Path: path + suffix, Err: fs.ErrExist}
		}
	}
	release, err := holdLock(path)
	if err != nil {
		return Ended{}, err
	}
	defer release()
	m, err := ReadBackup(ctx, file, c.Sealer)
	if err != nil {
		return Ended{}, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return Ended{}, fmt.Errorf("store: %w", err)
	}
	folder := path + ".restoring"
	if err := os.Mkdir(folder, 0o700); errors.Is(err, fs.ErrExist) {
		return Ended{}, fmt.Errorf("store: %s is there: another restore is under way, or one was cut off; if it was cut off, remove it: rm -r %s", folder, folder)
	} else if err != nil {
		return Ended{}, fmt.Errorf("store: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	part := filepath.Join(folder, filepath.Base(path))
	progress("copying")
	if err := copyFile(ctx, file, part); err != nil {
		return Ended{}, fmt.Errorf("store: copying the backup: %w", err)
	}
	progress("reading every page")
	if err := whole(ctx, part); err != nil {
		return Ended{}, fmt.Errorf("store: %s is damaged: %w", file, err)
	}
	progress("ending what was given before")
	c.DSN = "sqlite:" + part
	e, err := endIn(ctx, c, m)
	if err != nil {
		return Ended{}, err
	}
	return e, place(part, path)
}

// holdLock takes the lock of the one server, where there was ever one.
func holdLock(path string) (release func(), err error) {
	if _, err := os.Lstat(path + ".lock"); errors.Is(err, fs.ErrNotExist) {
		return func() {}, nil
	}
	f, err := openLocked(path + ".lock")
	if errors.Is(err, errLocked) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, fmt.Errorf("store: locking the database: %w", err)
	}
	return func() { _ = f.Close() }, nil
}

func copyFile(ctx context.Context, from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, readerFunc(func(b []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return in.Read(b)
	}))
	return errors.Join(err, out.Close())
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// whole reads every page and index of a file.
func whole(ctx context.Context, path string) (err error) {
	c, err := openLite(immutable(path), litePatience)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	c.until(ctx)
	var first string
	if err := c.one("PRAGMA integrity_check(1)", nil, &first); err != nil {
		return err
	}
	if first != "ok" {
		return errors.New(strings.Join(strings.Fields(first), " "))
	}
	return nil
}

// endIn does in a copy what must be done before anybody uses it.
func endIn(ctx context.Context, c Config, m Manifest) (e Ended, err error) {
	st, err := Open(ctx, c) // which brings an older schema up to date
	if err != nil {
		return e, err
	}
	defer func() { err = errors.Join(err, st.Close()) }() // the log goes into the file and is gone
	if err := st.CheckMaster(ctx); err != nil {
		return e, err
	}
	e, err = st.EndBefore(ctx, "the backup of "+m.Made.Format("2006-01-02 15:04:05Z")+" was put back")
	if err != nil {
		return e, err
	}
	e.Manifest = m
	return e, st.Write(ctx, func(tx *Tx) error {
		return tx.Do(`DELETE FROM meta WHERE name = $1`, manifest)
	})
}

// Ended is what [Store.EndBefore] ended, and what it could not know to have changed: people and apps are as they were.
type Ended struct {
	Manifest      Manifest
	GatewayTokens []GatewayToken // initial access tokens that are ended
	Active        int64          // users who may sign in
	Inactive      []string       // usernames of those who may not, at most 100
	Apps          int64
	Blocked       []string // API names, at most 100
}

// GatewayToken is an initial access token and the app that it was of.
type GatewayToken struct{ Org, App, Name string }

// EndBefore ends all that was given before the database was put back from a copy: sessions, grants with their tokens and
// codes, by adding one to every epoch; and what has none: links, remembered requests, consents, and the tokens by
// which gateways register clients. Nothing that was revoked or spent since the copy was made lives again by it. It may run beside servers.
func (s *Store) EndBefore(ctx context.Context, why string) (e Ended, err error) {
	err = s.Write(ctx, func(tx *Tx) error {
		e = Ended{}
		for _, q := range []string{
			`UPDATE org SET epoch = epoch + 1`, // this one is enough: all that follow only say it again
			`UPDATE app SET epoch = epoch + 1`,
			`UPDATE installation SET epoch = epoch + 1`,
			`DELETE FROM link`,
			`DELETE FROM login`,
		} {
			if err := tx.Do(q); err != nil {
				return err
			}
		}
		if err := tx.endGatewayTokens(&e); err != nil {
			return err
		}
		orgs, err := All(tx, func(r Row) (id string, err error) {
			err = r.Scan(&id)
			return id, err
		}, `SELECT id FROM org`)
		if err != nil {
			return err
		}
		reason := fmt.Sprintf("%s: every session, token, code, link and consent from before is ended, and %d gateway tokens", why, len(e.GatewayTokens))
		for _, org := range orgs {
			if err := tx.Event(ctx, idp.Event{Org: org, Code: "restoreBackup", Reason: reason}); err != nil {
				return err
			}
		}
		if err := tx.Changed(kindOrg); err != nil {
			return err
		}
		return tx.Changed(kindApp)
	})
	if err != nil {
		return e, err
	}
	if err := s.endUsers(ctx); err != nil {
		return e, err
	}
	for {
		n, err := s.Sweep(ctx, []Dead{{Table: "consent", Key: "org, usr, app", Where: "given <= $1"}})
		if err != nil {
			return e, err
		}
		if n == 0 {
			break
		}
	}
	return e, s.review(ctx, &e)
}

func (tx *Tx) endGatewayTokens(e *Ended) error {
	tokens, err := All(tx, func(r Row) (t GatewayToken, err error) {
		err = r.Scan(&t.Org, &t.App, &t.Name)
		return t, err
	}, `SELECT t.org, COALESCE(a.api_name, t.app), t.name FROM registration_token t LEFT JOIN app a ON a.org = t.org AND a.id = t.app
		WHERE t.kind = $1 ORDER BY t.org, t.app, t.id`, oidc.KindInitial)
	if err != nil {
		return err
	}
	e.GatewayTokens = tokens
	return tx.Do(`DELETE FROM registration_token WHERE kind = $1`, oidc.KindInitial)
}

// endUsers adds one to every user's epoch, some at a time.
func (s *Store) endUsers(ctx context.Context) error {
	type key struct{ org, id string }
	var last key
	for {
		var page []key
		err := s.Write(ctx, func(tx *Tx) (err error) {
			page, err = All(tx, func(r Row) (k key, err error) {
				err = r.Scan(&k.org, &k.id)
				return k, err
			}, `SELECT org, id FROM usr WHERE org > $1 OR org = $1 AND id > $2 ORDER BY org, id LIMIT 1000`, last.org, last.id)
			if err != nil || len(page) == 0 {
				return err
			}
			end := page[len(page)-1]
			return tx.Do(`UPDATE usr SET epoch = epoch + 1 WHERE (org > $1 OR org = $1 AND id > $2) AND (org < $3 OR org = $3 AND id <= $4)`,
				last.org, last.id, end.org, end.id)
		})
		if err != nil || len(page) == 0 {
			return err
		}
		last = page[len(page)-1]
	}
}

// review gathers what whoever restored should look through.
func (s *Store) review(ctx context.Context, e *Ended) error {
	r := s.Read(ctx)
	names := func(query string, args ...any) ([]string, error) {
		return All(r, func(r Row) (name string, err error) {
			err = r.Scan(&name)
			return name, err
		}, query, args...)
	}
	if err := r.QueryRow(`SELECT COUNT(*) FROM usr WHERE active AND NOT service`).Scan(&e.Active); err != nil {
		return err
	}
	if err := r.QueryRow(`SELECT COUNT(*) FROM app`).Scan(&e.Apps); err != nil {
		return err
	}
	var err error
	if e.Inactive, err = names(`SELECT username FROM usr WHERE NOT active ORDER BY org, id LIMIT 100`); err != nil {
		return err
	}
	e.Blocked, err = names(`SELECT a.api_name FROM installation i JOIN app a ON a.org = i.org AND a.id = i.app WHERE i.blocked ORDER BY a.org, a.id LIMIT 100`)
	return err
}
