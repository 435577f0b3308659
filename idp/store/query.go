package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Reader reads: a [Tx] within its step, [Store.Read] outside of any.
type Reader interface {
	// Each calls row for every row of the answer. It must not query in turn. An error of its ends the reading and is returned.
	Each(row func(Row) error, query string, args ...any) error
	// QueryRow reads the first row when its Scan is called, which answers [ErrNotFound] if there is none.
	QueryRow(query string, args ...any) Row
}

// Row is one row of an answer. Scan takes pointers to string, []byte, bool, int, int64 and time.Time (a column of microseconds;
// 0 is the zero time).
type Row interface {
	Scan(dest ...any) error
}

// One reads the one row of an answer with scan, or returns [ErrNotFound].
func One[T any](r Reader, scan func(Row) (T, error), query string, args ...any) (T, error) {
	return scan(r.QueryRow(query, args...))
}

// All reads every row of an answer with scan.
func All[T any](r Reader, scan func(Row) (T, error), query string, args ...any) ([]T, error) {
	var all []T
	err := r.Each(func(row Row) error {
		v, err := scan(row)
		all = append(all, v)
		return err
	}, query, args...)
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Read returns what reads outside of a transaction: each query sees what was committed before it.
func (s *Store) Read(ctx context.Context) Reader { return reading{s.db, ctx, s.readable} }

type reading struct {
	db    database
	ctx   context.Context
	ready func() error // nil: it is tried in any case
}

func (r reading) Each(row func(Row) error, query string, args ...any) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if r.ready != nil {
		if err := r.ready(); err != nil {
			return err
		}
	}
	return r.db.read(r.ctx, func(s session) error { return each(s, row, query, args) })
}

func (r reading) QueryRow(query string, args ...any) Row { return first{r, query, args} }

// session is a connection, as reading and writing need it.
type session interface {
	exec(query string, args []any) (rows int64, err error)
	query(query string, args []any) (*sql.Rows, error)
}

func each(s session, row func(Row) error, query string, args []any) error {
	rows, err := s.query(query, values(args))
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(current{rows}); err != nil {
			return err
		}
	}
	return translate(rows.Err())
}

// values passes times as microseconds, the same to both databases.
func values(args []any) []any {
	for i, a := range args {
		if t, ok := a.(time.Time); ok {
			args[i] = micros(t)
		}
	}
	return args
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// current is the row at which rows stand.
type current struct{ rows *sql.Rows }

func (c current) Scan(dest ...any) error {
	for i, d := range dest {
		if t, ok := d.(*time.Time); ok {
			dest[i] = (*instant)(t)
		}
	}
	return c.rows.Scan(dest...)
}

// instant scans microseconds.
type instant time.Time

func (t *instant) Scan(src any) error {
	n, ok := src.(int64)
	switch {
	case !ok:
		return fmt.Errorf("a time is kept as microseconds, not as %T", src)
	case n == 0:
		*t = instant{}
	default:
		*t = instant(time.UnixMicro(n).UTC())
	}
	return nil
}

// first is the first row of an answer that has not been asked for yet.
type first struct {
	reader Reader
	query  string
	args   []any
}

var errEnough = errors.New("the first row is enough")

func (f first) Scan(dest ...any) error {
	err := f.reader.Each(func(row Row) error {
		if err := row.Scan(dest...); err != nil {
			return err
		}
		return errEnough
	}, f.query, f.args...)
	switch {
	case err == nil:
		return ErrNotFound
	case errors.Is(err, errEnough):
		return nil
	}
	return err
}
