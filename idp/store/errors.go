package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Errors callers tell apart with errors.Is. Any other is a fault of the database or of this program.
var (
	ErrNotFound = errors.New("store: not found")                   // a read found no row
	ErrGone     = errors.New("store: gone")                        // a Gate found no row: spent, ended or altered meanwhile
	ErrExists   = errors.New("store: exists already")              // a unique key is taken
	ErrBusy     = errors.New("store: too much to do; try again")   // nothing was written; HTTP 503
	ErrNotReady = errors.New("store: the database is not to hand") // nothing was written; HTTP 503
	ErrClosed   = errors.New("store: closed")                      // Close was called
	ErrTooOld   = errors.New("store: this binary is too old for the database")
)

// PostgreSQL's error codes, https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	pgUnique        = "23505"
	pgSerialization = "40001"
	pgDeadlock      = "40P01"
	pgNoTable       = "42P01"
	pgConnections   = "53300"
	pgLockTimeout   = "55P03"
)

// translate gives a database's error the meaning it has here.
func translate(err error) error {
	var lite *sqlite.Error
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &lite):
		switch lite.Code() {
		case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
			return fmt.Errorf("%w: %w", ErrExists, err)
		}
		if liteBusy(err) {
			return fmt.Errorf("%w: %w", ErrBusy, err)
		}
	case errors.As(err, &pg):
		switch pg.Code {
		case pgUnique:
			return fmt.Errorf("%w: %w", ErrExists, err)
		case pgConnections, pgLockTimeout:
			return fmt.Errorf("%w: %w", ErrBusy, err)
		}
	case errors.Is(err, sql.ErrConnDone), err.Error() == "sql: database is closed":
		return ErrClosed
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

// liteBusy tells if another process, or another connection of this one, held a lock for too long.
func liteBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_BUSY || e.Code()&0xff == sqlite3.SQLITE_LOCKED)
}

// collided tells if a transaction on PostgreSQL was ended in favour of another and may be run again.
func collided(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == pgSerialization || e.Code == pgDeadlock)
}
