package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"
	"zombiezen.com/go/sqlite"
)

// Errors callers tell apart with errors.Is. Any other is a fault of the database or of this program.
var (
	ErrNotFound = errors.New("store: not found")                   // a read found no row
	ErrGone     = errors.New("store: gone")                        // a Gate found no row: spent, ended or altered meanwhile
	ErrExists   = errors.New("store: exists already")              // a unique key is taken
	ErrBusy     = errors.New("store: too much to do; try again")   // nothing was written; HTTP 503
	ErrFlood    = errors.New("store: too much is remembered")      // for this caller, or for all; HTTP 429
	ErrNotReady = errors.New("store: the database is not to hand") // does not answer, or can not be written; HTTP 503
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
	pgReadOnly      = "25006"
	pgShutdown      = "57P01"
	pgCrash         = "57P02"
)

// errUnwritable is an [ErrNotReady] of a database that may still be read: a full disk, a server that has become read-only.
var errUnwritable = fmt.Errorf("%w: it can not be written", ErrNotReady)

// translate gives a database's error the meaning it has here.
func translate(err error) error {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &pg):
		switch pg.Code {
		case pgUnique:
			return fmt.Errorf("%w: %w", ErrExists, err)
		case pgConnections, pgLockTimeout:
			return fmt.Errorf("%w: %w", ErrBusy, err)
		case pgReadOnly:
			return fmt.Errorf("%w: %w", errUnwritable, err)
		}
		switch pg.Code[:min(2, len(pg.Code))] {
		case "53", "58": // insufficient resources, a full disk among them; errors of the system below
			return fmt.Errorf("%w: %w", errUnwritable, err)
		case "08", "57": // the connection broke; the server was stopped
			return fmt.Errorf("%w: %w", ErrNotReady, err)
		}
	case errors.Is(err, puddle.ErrClosedPool):
		return ErrClosed
	case errors.Is(err, context.DeadlineExceeded): // its patience is over
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case unreached(err):
		return fmt.Errorf("%w: %w", ErrNotReady, err)
	}
	switch code := sqlite.ErrCode(err); code { // of another error: ResultError
	case sqlite.ResultConstraintUnique, sqlite.ResultConstraintPrimaryKey:
		return fmt.Errorf("%w: %w", ErrExists, err)
	default:
		switch code.ToPrimary() {
		case sqlite.ResultBusy, sqlite.ResultLocked:
			return fmt.Errorf("%w: %w", ErrBusy, err)
		case sqlite.ResultFull, sqlite.ResultReadOnly, sqlite.ResultIOErr:
			return fmt.Errorf("%w: %w", errUnwritable, err)
		case sqlite.ResultCantOpen, sqlite.ResultCorrupt, sqlite.ResultNotADB:
			return fmt.Errorf("%w: %w", ErrNotReady, err)
		}
	}
	return err
}

// unreached tells if there is no connection to the database, or none any more.
func unreached(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// cutOff tells if a connection was lost that stood, other than by its caller's time running out.
func cutOff(err error) bool {
	var connect *pgconn.ConnectError
	var pg *pgconn.PgError
	switch {
	case err == nil, errors.As(err, &connect), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &pg):
		return pg.Code == pgShutdown || pg.Code == pgCrash
	}
	return unreached(err)
}

// liteBusy tells if another process, or another connection of this one, held a lock for too long.
func liteBusy(err error) bool {
	code := sqlite.ErrCode(err).ToPrimary()
	return code == sqlite.ResultBusy || code == sqlite.ResultLocked
}

// collided tells if a transaction on PostgreSQL was ended in favour of another and may be run again.
func collided(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == pgSerialization || e.Code == pgDeadlock)
}
