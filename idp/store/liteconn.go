package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
)

// liteConn is one connection to an SQLite file and the statements prepared on it. One goroutine at a time uses it.
type liteConn struct {
	conn  *sqlite.Conn
	stmts map[string]*liteStmt
	ctx   context.Context // see until
}

// liteStmt is a prepared statement, reset. SQLite numbers parameters as they come in the text: params[i] is the argument, from 0,
// that the parameter i+1 wants.
type liteStmt struct {
	*sqlite.Stmt
	params []int
	busy   bool // it stands at a row
}

// openLite opens the file of a URI. patience is how long SQLite waits for locks, afterwards.
func openLite(uri string, patience time.Duration, pragmas ...string) (*liteConn, error) {
	conn, err := sqlite.OpenConn(uri, sqlite.OpenReadWrite|sqlite.OpenURI)
	if err != nil {
		return nil, err
	}
	conn.SetBusyTimeout(litePatience)
	c := &liteConn{conn: conn, stmts: map[string]*liteStmt{}}
	for _, p := range pragmas {
		if err := c.script(p); err != nil {
			_ = c.close()
			return nil, err
		}
	}
	conn.SetBusyTimeout(patience)
	return c, nil
}

// prepared is bounded because a text of SQL can be built from a list.
const prepared = 500

// stmt prepares a text that is one statement.
func (c *liteConn) stmt(query string) (*liteStmt, error) {
	query = strings.TrimSpace(query) // or it is parsed anew each time
	if s, ok := c.stmts[query]; ok {
		if s.busy {
			return nil, errors.New("store: a statement was run again while its rows are read")
		}
		return s, nil
	}
	if len(c.stmts) >= prepared {
		c.forget()
	}
	prep, err := c.conn.Prepare(query)
	if err != nil {
		return nil, err
	}
	s := &liteStmt{Stmt: prep, params: make([]int, prep.BindParamCount())}
	for i := range s.params {
		n, err := strconv.Atoi(strings.TrimPrefix(prep.BindParamName(i+1), "$"))
		if err != nil || n < 1 {
			_ = prep.Finalize()
			return nil, fmt.Errorf("store: a parameter of a statement is $1, $2, …, not %q", prep.BindParamName(i+1))
		}
		s.params[i] = n - 1
	}
	c.stmts[query] = s
	return s, nil
}

func (c *liteConn) forget() {
	for query, s := range c.stmts {
		if !s.busy {
			_ = s.Finalize()
			delete(c.stmts, query)
		}
	}
}

func (c *liteConn) close() error { return c.conn.Close() } // with its statements

// until has what runs on the connection end with ctx.
func (c *liteConn) until(ctx context.Context) {
	c.ctx = ctx
	c.conn.SetInterrupt(ctx.Done())
}

// cause gives an end that until is the cause of its name.
func (c *liteConn) cause(err error) error {
	if c.ctx != nil && c.ctx.Err() != nil && sqlite.ErrCode(err).ToPrimary() == sqlite.ResultInterrupt {
		return c.ctx.Err()
	}
	return err
}

// bind hands the arguments over.
func (s *liteStmt) bind(args []any) error {
	for i, n := range s.params {
		if n >= len(args) {
			return fmt.Errorf("store: a statement wants an argument $%d, and has %d", n+1, len(args))
		}
		if err := s.set(i+1, args[n]); err != nil {
			return err
		}
	}
	return nil
}

func (s *liteStmt) set(param int, arg any) error {
	switch v := arg.(type) {
	case nil:
		s.BindNull(param)
	case string:
		s.BindText(param, v)
	case []byte:
		if v == nil {
			s.BindNull(param)
		} else {
			s.BindBytes(param, v)
		}
	case int64:
		s.BindInt64(param, v)
	case int:
		s.BindInt64(param, int64(v))
	case bool:
		s.BindBool(param, v)
	default: // a type of that kind, as database/sql takes it
		plain, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return fmt.Errorf("store: an argument: %w", err)
		}
		switch plain.(type) {
		case nil, string, []byte, int64, bool:
			return s.set(param, plain)
		}
		return fmt.Errorf("store: an argument is a %T", arg)
	}
	return nil
}

// exec runs a statement, or several one after the other, which then have no arguments.
func (c *liteConn) exec(query string, args []any) (int64, error) {
	if len(args) == 0 && severals(query) {
		return 0, c.script(query)
	}
	err := c.each(query, args, func(Row) error { return nil })
	return int64(c.conn.Changes()), err
}

func (c *liteConn) do(query string, args []any) error {
	_, err := c.exec(query, args)
	return err
}

// severals tells if a text may be more than one statement.
func severals(query string) bool {
	end := strings.IndexByte(query, ';')
	return end >= 0 && strings.TrimSpace(query[end+1:]) != ""
}

func (c *liteConn) script(text string) error {
	for {
		if text = code(text); text == "" {
			return nil
		}
		s, rest, err := c.conn.PrepareTransient(text)
		if err != nil {
			return err
		}
		text = text[len(text)-rest:]
		for more := true; more && err == nil; {
			more, err = s.Step()
		}
		if end := s.Finalize(); err == nil {
			err = end
		}
		if err != nil {
			return err
		}
	}
}

// code is a text of SQL from its first statement on: SQLite makes nothing of a comment alone, and runs nothing that is nothing.
func code(text string) string {
	for {
		text = strings.TrimLeft(text, " \t\r\n;")
		var rest string
		var ended bool
		switch {
		case strings.HasPrefix(text, "--"):
			_, rest, ended = strings.Cut(text, "\n")
		case strings.HasPrefix(text, "/*"):
			_, rest, ended = strings.Cut(text[2:], "*/")
		default:
			return text
		}
		if !ended {
			return ""
		}
		text = rest
	}
}

// each runs a statement to its end, or until row returns an error.
func (c *liteConn) each(query string, args []any, row func(Row) error) error {
	s, err := c.stmt(query)
	if err != nil {
		return c.cause(err)
	}
	s.busy = true
	defer func() {
		_, _ = s.Reset(), s.ClearBindings() // its error is the last Step's; the arguments are let go of
		s.busy = false
	}()
	if err := s.bind(args); err != nil {
		return err
	}
	for {
		more, err := s.Step()
		if err != nil || !more {
			return c.cause(err)
		}
		if err := row(liteRow{s.Stmt}); err != nil {
			return err
		}
	}
}

// one reads the first row of an answer.
func (c *liteConn) one(query string, args []any, dest ...any) error {
	found := false
	err := c.each(query, args, func(r Row) error {
		if found {
			return nil
		}
		found = true
		return r.Scan(dest...)
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	return err
}

// liteRow is the row at which a statement stands.
type liteRow struct{ s *sqlite.Stmt }

func (r liteRow) Scan(dest ...any) error {
	if n := r.s.DataCount(); n != len(dest) {
		return fmt.Errorf("store: a row of %d columns was read into %d variables", n, len(dest))
	}
	for i, d := range dest {
		if err := r.column(i, d); err != nil {
			return fmt.Errorf("store: column %d: %w", i+1, err)
		}
	}
	return nil
}

func (r liteRow) column(i int, dest any) error {
	kind := r.s.ColumnType(i)
	switch d := dest.(type) {
	case *[]byte:
		switch kind {
		case sqlite.TypeNull:
			*d = nil
		case sqlite.TypeBlob, sqlite.TypeText:
			*d = make([]byte, r.s.ColumnLen(i))
			r.s.ColumnBytes(i, *d)
		default:
			return mismatch(kind, dest)
		}
		return nil
	case *string:
		if kind == sqlite.TypeNull {
			return mismatch(kind, dest)
		}
		*d = r.s.ColumnText(i)
		return nil
	}
	if kind != sqlite.TypeInteger {
		return mismatch(kind, dest)
	}
	n := r.s.ColumnInt64(i)
	switch d := dest.(type) {
	case *int64:
		*d = n
	case *int:
		*d = int(n)
	case *bool:
		*d = n != 0
	case *time.Time:
		*d = instant(n)
	default:
		return mismatch(kind, dest)
	}
	return nil
}

func mismatch(kind sqlite.ColumnType, dest any) error {
	return fmt.Errorf("a value of type %s does not go into a %T", kind, dest)
}
