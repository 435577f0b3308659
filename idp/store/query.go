package store

import (
	"context"
	"errors"
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
	// do is exec for whoever does not count: it may run, and fail, together with a later statement or the commit.
	do(query string, args []any) error
	// each calls row for every row of the answer. Its error comes back as it is.
	each(query string, args []any, row func(Row) error) error
}

// each is session.each with the arguments and the errors of this room.
func each(s session, row func(Row) error, query string, args []any) error {
	var own error
	err := s.each(query, values(args), func(r Row) error {
		own = row(r)
		return own
	})
	if own != nil {
		return own
	}
	return translate(err)
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

// instant is the time of microseconds.
func instant(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
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
