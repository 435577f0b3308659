package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// Schema tells the schema of the database and the newest that this binary knows. It is an [ErrTooOld] if this binary can
// not work with it, and an [ErrNotFound] if there is none.
func (s *Store) Schema(ctx context.Context) (version, known int64, err error) {
	all, err := migrations()
	if err != nil {
		return 0, 0, err
	}
	known = int64(len(all))
	err = s.db.read(ctx, func(c session) (err error) {
		version, err = schema(c, known)
		return err
	})
	if noTable(err) {
		err = ErrNotFound
		if s.db.read(ctx, func(c session) error {
			return each(c, func(Row) error { return nil }, "SELECT id FROM org WHERE 1 = 0", nil)
		}) == nil {
			err = errors.New("the table schema is not there, though others are")
		}
	}
	if err != nil {
		err = fmt.Errorf("store: reading the schema: %w", err)
	}
	return version, known, err
}

// Engine names the database system and its version.
func (s *Store) Engine(ctx context.Context) (name string, err error) {
	query, word := `SELECT sqlite_version()`, "SQLite "
	if _, ok := s.db.(*postgres); ok {
		query, word = `SELECT current_setting('server_version')`, "PostgreSQL "
	}
	err = s.Read(ctx).QueryRow(query).Scan(&name)
	return word + name, err
}

var tables = regexp.MustCompile(`(?m)^CREATE TABLE (\w+)`)

// Check looks for what is damaged: tables that are not there and, with SQLite, pages that are not what they should be.
// It returns what it found, at most ten. On a large file it takes a while, beside those that work.
func (s *Store) Check(ctx context.Context) (found []string, err error) {
	version, _, err := s.Schema(ctx)
	if err != nil {
		return nil, err
	}
	all, err := migrations()
	if err != nil {
		return nil, err
	}
	for _, m := range all[:min(version, int64(len(all)))] {
		for _, t := range tables.FindAllStringSubmatch(m.text, -1) {
			var n int64
			err := s.Read(ctx).QueryRow("SELECT COUNT(*) FROM " + t[1] + " WHERE 1 = 0").Scan(&n)
			switch {
			case noTable(err):
				found = append(found, "the table "+t[1]+" is not there")
			case err != nil:
				return nil, err
			}
		}
	}
	l, ok := s.db.(*lite)
	if !ok {
		return found, nil
	}
	// On a connection of its own: a reader that is busy so long would be missed.
	c, err := l.open(litePatience, "PRAGMA query_only=1")
	if err != nil {
		return nil, translate(err)
	}
	defer func() { _ = c.close() }()
	c.until(ctx)
	if err := c.each("PRAGMA quick_check(10)", nil, func(r Row) error {
		var line string
		if err := r.Scan(&line); err != nil {
			return err
		}
		if line != "ok" {
			found = append(found, line)
		}
		return nil
	}); err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	} else if err != nil {
		found = append(found, err.Error())
	}
	return found, nil
}

// WriteTime measures how long a step takes until it is on disk: the median of some.
func (s *Store) WriteTime(ctx context.Context) (time.Duration, error) {
	var took []time.Duration
	for range 9 {
		began := time.Now()
		err := s.Write(ctx, func(tx *Tx) error {
			return tx.Do(`INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2`, "doctor", []byte{0})
		})
		if err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	err := s.Write(ctx, func(tx *Tx) error {
		return tx.Do(`DELETE FROM meta WHERE name = $1`, "doctor")
	})
	slices.Sort(took)
	return took[len(took)/2], err
}

// ClockAhead tells by how much this machine's clock is ahead of the database server's, at most error away. ok is false where there
// is no other clock to compare with.
func (s *Store) ClockAhead(ctx context.Context) (ahead, within time.Duration, ok bool, err error) {
	if _, ok := s.db.(*postgres); !ok {
		return 0, 0, false, nil
	}
	began := time.Now()
	var micros int64
	if err := s.Read(ctx).QueryRow(`SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`).Scan(&micros); err != nil {
		return 0, 0, false, err
	}
	took := time.Since(began)
	return began.Add(took / 2).Sub(time.UnixMicro(micros)).Round(time.Millisecond), took / 2, true, nil
}

// File is one of the files of an SQLite database.
type File struct {
	Path string
	Size int64
	Mode fs.FileMode
}

// Files returns the files of an SQLite database: itself, and its log where there is one. Free is how many bytes its file
// system has room for, -1 where that can not be told. On PostgreSQL there are none.
func (s *Store) Files() (files []File, free int64, err error) {
	l, ok := s.db.(*lite)
	if !ok {
		return nil, -1, nil
	}
	for _, path := range []string{l.path, l.path + "-wal"} {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) && path != l.path {
			continue
		}
		if err != nil {
			return nil, -1, err
		}
		files = append(files, File{path, info.Size(), info.Mode().Perm()})
	}
	return files, room(filepath.Dir(l.path)), nil
}

// Children tells how many clients an app has that registered themselves under it.
func (a Apps) Children(ctx context.Context, org, id string) (n int64, err error) {
	err = a.s.Read(ctx).QueryRow(`SELECT children FROM app WHERE org = $1 AND id = $2`, org, id).Scan(&n)
	return n, err
}

// Census tells if an org has people, and if one of them is an active administrator.
func (p People) Census(ctx context.Context, org string) (people, admin bool, err error) {
	var some string
	err = p.s.Read(ctx).QueryRow(`SELECT id FROM usr WHERE org = $1 AND NOT service LIMIT 1`, org).Scan(&some)
	if errors.Is(err, ErrNotFound) {
		return false, false, nil
	}
	if err == nil {
		admin, err = hasAdmin(p.s.Read(ctx), org)
	}
	return true, admin, err
}

// LastEvent tells when the newest event was; the zero time if there is none.
func (s *Store) LastEvent(ctx context.Context) (at time.Time, err error) {
	err = s.Read(ctx).QueryRow(`SELECT at FROM event ORDER BY id DESC LIMIT 1`).Scan(&at)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return at, err
}
