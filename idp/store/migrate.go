package store

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"zombiezen.com/go/sqlite"
)

//go:embed migrations/*.sql
var files embed.FS

// oldest is the schema an older binary must at least know to run on the newest schema here. A migration that takes
// something away raises it; one that only adds does not, so that an older node runs beside a newer one.
const oldest = 1

// migration is one file of migrations: its number is the schema that it makes.
type migration struct{ name, text string }

func migrations() ([]migration, error) {
	var all []migration
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for i, name := range names {
		if !strings.HasPrefix(name, fmt.Sprintf("migrations/%04d_", i+1)) {
			return nil, fmt.Errorf("store: %s is not number %d", name, i+1)
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{name, string(text)})
	}
	return all, nil
}

// Fingerprint tells schemas apart, also two that have the same number while the first is being worked on.
func Fingerprint() (string, error) {
	all, err := migrations()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, m := range all {
		h.Write([]byte(m.text))
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// migrate brings the database to the newest schema known here, all pending migrations in one transaction, or finds that there is nothing to do.
func (s *Store) migrate(ctx context.Context) error {
	all, err := migrations()
	if err != nil {
		return err
	}
	known := int64(len(all))
	var version int64
	err = s.db.read(ctx, func(c session) (err error) {
		version, err = schema(c, known)
		return err
	})
	if err == nil && version >= known {
		return nil
	}
	if err != nil && !noTable(err) && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("store: reading the schema: %w", err)
	}
	err = s.db.migrate(ctx, func(c session, save func(int64) error) error {
		err := apply(fragile(c), save, all)
		mayDie() // before the commit
		return err
	})
	if err != nil {
		return fmt.Errorf("store: migrating: %w", err)
	}
	mayDie() // after it
	return nil
}

func apply(c session, save func(version int64) error, all []migration) error {
	known := int64(len(all))
	if _, err := c.exec("CREATE TABLE IF NOT EXISTS schema (version BIGINT NOT NULL, oldest BIGINT NOT NULL)", nil); err != nil {
		return err
	}
	version, err := schema(c, known)
	switch {
	case errors.Is(err, ErrNotFound):
		if _, err := c.exec("INSERT INTO schema (version, oldest) VALUES (0, 0)", nil); err != nil {
			return err
		}
	case err != nil:
		return err
	case version >= known: // another process was first
		return nil
	}
	if version > 0 {
		if err := save(version); err != nil {
			return fmt.Errorf("copying the database first: %w", err)
		}
	}
	for _, m := range all[version:] {
		if _, err := c.exec(m.text, nil); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	_, err = c.exec("UPDATE schema SET version = $1, oldest = $2", []any{known, int64(oldest)})
	return err
}

// schema reads the version of the database's schema, or says that this binary is too old for it. [ErrNotFound]: nothing has been migrated.
func schema(c session, known int64) (version int64, err error) {
	var least int64
	found := false
	err = each(c, func(row Row) error {
		found = true
		return row.Scan(&version, &least)
	}, "SELECT version, oldest FROM schema", nil)
	switch {
	case err != nil:
		return 0, err
	case !found:
		return 0, ErrNotFound
	case known < least:
		return 0, fmt.Errorf("%w: its schema is %d, which works with binaries that know %d or newer; this one knows %d", ErrTooOld, version, least, known)
	}
	return version, nil
}

// noTable tells if err is about a table that is not there.
func noTable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == pgNoTable
	}
	return err != nil && sqlite.ErrCode(err) == sqlite.ResultError && strings.Contains(err.Error(), "no such table")
}
