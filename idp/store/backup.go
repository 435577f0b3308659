package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/keys"
)

// ErrOwnTools says that a database on PostgreSQL is copied and put back by PostgreSQL's own tools.
var ErrOwnTools = errors.New("store: a database on PostgreSQL is backed up and restored by PostgreSQL's own tools")

// Manifest is what a backup says of itself.
type Manifest struct {
	Version string    `json:"version"` // of the binary that made it
	Schema  int64     `json:"schema"`
	Made    time.Time `json:"made"`
	Org     string    `json:"org"`
	URL     string    `json:"url"`
}

// manifest is the row of the table meta that makes a database a backup.
const manifest = "backup"

// Backup writes the database as it was last committed to a new file of mode 0600, while others read and write it.
// progress, where there is one, is told now and then how many of about so many bytes are written. It is an fs.ErrExist if
// there is a file of that name, and an [ErrOwnTools] on PostgreSQL.
func (s *Store) Backup(ctx context.Context, path, version string, progress func(done, all int64)) (m Manifest, err error) {
	l, ok := s.db.(*lite)
	if !ok {
		return m, ErrOwnTools
	}
	if path, err = filepath.Abs(path); err != nil {
		return m, err
	}
	if _, err := os.Lstat(path); err == nil {
		return m, &fs.PathError{Op: "backup", Path: path, Err: fs.ErrExist}
	}
	part, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*.part") // mode 0600
	if err != nil {
		return m, fmt.Errorf("store: %w", err)
	}
	defer os.Remove(part.Name())
	if err := part.Close(); err != nil {
		return m, err
	}
	done := make(chan struct{})
	if progress != nil {
		go l.watch(part.Name(), progress, done)
	}
	err = l.copyInto(ctx, part.Name())
	close(done)
	if err != nil {
		return m, fmt.Errorf("store: writing the backup: %w", err)
	}
	if m, err = sign(ctx, part.Name(), version, s.Now()); err != nil {
		return m, fmt.Errorf("store: writing the backup: %w", err)
	}
	if err := place(part.Name(), path); err != nil {
		return m, fmt.Errorf("store: %w", err)
	}
	return m, nil
}

// copyInto writes the database as it was last committed to part, which is empty or not there.
func (l *lite) copyInto(ctx context.Context, part string) error {
	c, err := l.open(litePatience) // not a reader: they are query_only
	if err != nil {
		return err
	}
	defer func() { _ = c.close() }()
	c.until(ctx)
	// VACUUM INTO wants no file there, or an empty one, whose mode it keeps.
	_, err = c.exec("VACUUM INTO $1", []any{part})
	return err
}

// watch tells how far a copy has come, until done is closed.
func (l *lite) watch(part string, progress func(done, all int64), done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		whole, err := os.Stat(l.path)
		if err != nil {
			continue
		}
		if now, err := os.Stat(part); err == nil {
			progress(now.Size(), max(whole.Size(), now.Size()))
		}
	}
}

// sign makes a copy of a database a backup.
func sign(ctx context.Context, path, version string, now time.Time) (m Manifest, err error) {
	c, err := openLite(fileURL(path)+"?mode=rw", litePatience, "PRAGMA journal_mode=DELETE", "PRAGMA synchronous=FULL")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	c.until(ctx)
	m = Manifest{Version: version, Made: now.UTC()}
	if err := c.one("SELECT version FROM schema", nil, &m.Schema); err != nil {
		return m, err
	}
	err = c.one("SELECT name, url FROM org ORDER BY id LIMIT 1", nil, &m.Org, &m.URL)
	if err != nil && !errors.Is(err, ErrNotFound) && !noTable(err) {
		return m, err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return m, err
	}
	_, err = c.exec("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2", []any{manifest, text})
	return m, err
}

// place gives what is at part the name path, for good, unless there is something of that name.
func place(part, path string) error {
	if err := syncFile(part); err != nil {
		return err
	}
	err := os.Link(part, path) // which never replaces
	switch {
	case err == nil:
		err = os.Remove(part)
	case errors.Is(err, fs.ErrExist):
		err = &fs.PathError{Op: "link", Path: path, Err: fs.ErrExist}
	default: // a file system without links
		if _, err = os.Lstat(path); err == nil {
			err = &fs.PathError{Op: "rename", Path: path, Err: fs.ErrExist}
		} else {
			err = os.Rename(part, path)
		}
	}
	return errors.Join(err, syncFolder(filepath.Dir(path)))
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// fileURL names a file as the SQLite driver takes it, whatever is in its path.
func fileURL(path string) string {
	return "file://" + (&url.URL{Path: "/" + strings.TrimPrefix(filepath.ToSlash(path), "/")}).EscapedPath()
}

// immutable is the URI of a file that is only read, with nothing written beside it.
func immutable(path string) string { return fileURL(path) + "?mode=ro&immutable=1" }

// errNoBackup says that a file is none.
var errNoBackup = errors.New("it is no backup made by lanyard backup")

// ReadBackup reads what a backup says of itself, and holds it to the master key and to what this binary can read, before
// anything is done with it. It is an [ErrMasterKey] if sealer does not open what the backup seals, and an [ErrTooOld] if a
// newer binary made it.
func ReadBackup(ctx context.Context, path string, sealer *keys.Sealer) (m Manifest, err error) {
	defer func(name string) {
		if err != nil {
			err = fmt.Errorf("store: %s: %w", name, err)
		}
	}(path)
	if path, err = filepath.Abs(path); err != nil {
		return m, err
	}
	f, err := os.Open(path)
	if err != nil {
		return m, err
	}
	magic := make([]byte, 16)
	_, _ = f.Read(magic)
	_ = f.Close()
	if string(magic) != "SQLite format 3\x00" {
		return m, errNoBackup
	}
	c, err := openLite(immutable(path), litePatience)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	c.until(ctx)
	read := func(name string) (value []byte, err error) {
		err = c.one("SELECT value FROM meta WHERE name = $1", []any{name}, &value)
		return value, err
	}
	text, err := read(manifest)
	if errors.Is(err, ErrNotFound) || noTable(err) {
		return m, errNoBackup
	}
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return m, fmt.Errorf("it is damaged: %w", err)
	}
	all, err := migrations()
	if err != nil {
		return m, err
	}
	if known := int64(len(all)); m.Schema > known {
		return m, fmt.Errorf("%w: it was made by lanyard %s with schema %d, and this binary knows %d", ErrTooOld, m.Version, m.Schema, known)
	}
	sealed, err := read(masterCheck)
	switch {
	case errors.Is(err, ErrNotFound): // nothing in it is sealed
	case err != nil:
		return m, fmt.Errorf("it is damaged: %w", err)
	default:
		if words, err := sealer.Open(masterCheck, sealed); err != nil || !bytes.Equal(words, []byte(masterWords)) {
			return m, ErrMasterKey
		}
	}
	return m, nil
}
