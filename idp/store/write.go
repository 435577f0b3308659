package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Write runs f as one step: all of what it writes, or nothing. When Write returns nil it is on disk. f may be run more than once
// and must then do the same; it signs, hashes and sends nothing, waits for nobody and does not call Write. Once begun, a step ends
// even if ctx does. A panic in f is an error of its step.
//
// The error is f's own, or one of the database. [ErrBusy]: too many wait.
func (s *Store) Write(ctx context.Context, f func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.Ready(); err != nil {
		return err
	}
	var kinds []string
	var told []Told
	began := time.Now()
	err := s.db.write(ctx, func(tx *Tx) error {
		tx.store = s
		err := f(tx)
		if err == nil {
			err = tx.KeepAdmins()
		}
		kinds, told = tx.kinds, tx.told
		return err
	})
	s.stats.wrote(time.Since(began), err, told)
	s.wrote(err)
	// Also after an error: the answer to a commit can be lost while the commit is not.
	s.changes.altered(kinds)
	return err
}

// Tx is a step being run. A statement that failed fails its step, on both databases, whatever f returns.
type Tx struct {
	store   *Store
	session session
	kinds   []string // of the definitions it alters
	told    []Told   // its events
	failed  error    // nothing is run after it
	admins  admins
}

var errOver = errors.New("store: a Tx was used after its step")

// Exec runs a statement and returns how many rows it wrote.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	if tx.failed != nil {
		return 0, tx.failed
	}
	n, err := tx.session.exec(query, values(args))
	return n, tx.fail(translate(err))
}

// Do runs a statement that nobody counts. On PostgreSQL it goes out with a later one, or with the commit, and so does its error:
// it is for what is not expected to fail. The arguments are not to be altered.
func (tx *Tx) Do(query string, args ...any) error {
	if tx.failed != nil {
		return tx.failed
	}
	return tx.fail(translate(tx.session.do(query, values(args))))
}

// Gate runs the statement that decides if the step may go on: an UPDATE or DELETE that finds its row only if nobody was there before, or
// an INSERT … ON CONFLICT DO NOTHING. [ErrGone]: it wrote no row.
func (tx *Tx) Gate(query string, args ...any) error {
	n, err := tx.Exec(query, args...)
	if err == nil && n == 0 {
		return ErrGone
	}
	return err
}

// Each is as [Reader] says. It runs statements with RETURNING too.
func (tx *Tx) Each(row func(Row) error, query string, args ...any) error {
	if tx.failed != nil {
		return tx.failed
	}
	var own error
	err := each(tx.session, func(r Row) error {
		own = row(r)
		return own
	}, query, args)
	if err == own {
		return err
	}
	return tx.fail(err)
}

// QueryRow is as [Reader] says. It runs statements with RETURNING too.
func (tx *Tx) QueryRow(query string, args ...any) Row { return first{tx, query, args} }

// Changed says that the step alters definitions of that kind: when it is committed, no [Cached] of the kind on any node believes
// what it holds. Call it last: until the step ends, other steps that alter the same kind wait.
func (tx *Tx) Changed(kind string) error {
	tx.kinds = append(tx.kinds, kind)
	return tx.Do(`INSERT INTO change (kind, n) VALUES ($1, 1) ON CONFLICT (kind) DO UPDATE SET n = change.n + 1`, kind)
}

func (tx *Tx) fail(err error) error {
	if err != nil {
		tx.failed = err
	}
	return tx.failed
}

// run runs f. Afterwards tx is over.
func (tx *Tx) run(f func(*Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("store: panic in a step: %v\n%s", p, debug.Stack())
		}
		if err == nil {
			err = tx.failed
		}
		tx.session, tx.failed = nil, errOver
	}()
	return f(tx)
}
