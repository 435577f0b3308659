package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pgReader runs statements outside of a transaction; pgx keeps them prepared on each connection.
type pgReader struct {
	ctx context.Context
	p   *postgres
}

func (r pgReader) exec(query string, args []any) (int64, error) {
	tag, err := r.p.pool.Exec(r.ctx, query, args...)
	return tag.RowsAffected(), err
}

func (r pgReader) do(query string, args []any) error {
	_, err := r.exec(query, args)
	return err
}

func (r pgReader) each(query string, args []any, row func(Row) error) error {
	again := r.p.retries(r.ctx)
	for {
		delivered := false
		err := r.once(query, args, func(r Row) error {
			delivered = true
			return row(r)
		})
		if err == nil || delivered || !again(err) {
			return err
		}
	}
}

func (r pgReader) once(query string, args []any, row func(Row) error) error {
	conn, err := r.p.pool.Acquire(r.ctx)
	if err != nil {
		return err
	}
	defer giveBack(conn)
	rows, err := conn.Query(r.ctx, query, args...)
	if err != nil {
		return err
	}
	return pgEach(rows, row)
}

// giveBack gives a connection back to the pool. One that is closed takes up to 15 seconds to be gone, if the server does not
// answer; the pool would wait for that with its place.
func giveBack(conn *pgxpool.Conn) {
	if conn.Conn().IsClosed() {
		conn.Hijack()
		return
	}
	conn.Release()
}

func pgEach(rows pgx.Rows, row func(Row) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := row(pgRow{rows}); err != nil {
			return err
		}
	}
	return rows.Err()
}

type pgRow struct{ rows pgx.Rows }

func (r pgRow) Scan(dest ...any) error {
	for i, d := range dest {
		if t, ok := d.(*time.Time); ok {
			dest[i] = pgTime{t}
		}
	}
	return r.rows.Scan(dest...)
}

// pgTime scans microseconds.
type pgTime struct{ t *time.Time }

func (p pgTime) ScanInt64(n pgtype.Int8) error {
	if !n.Valid {
		return errors.New("a time is kept as microseconds, not as NULL")
	}
	*p.t = instant(n.Int64)
	return nil
}

// pgTx is a transaction. A round trip costs more than most statements, so BEGIN goes out with the first statement, and what nobody
// waits for with the next that somebody does, or all together before COMMIT. That goes alone: after a statement that waits for a
// lock until its caller has gone, it would be carried out all the same.
type pgTx struct {
	ctx  context.Context
	conn *pgxpool.Conn
	wait *pgx.Batch // not sent yet
	sent bool
}

func (p *postgres) begin(ctx context.Context) (*pgTx, error) {
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	t := &pgTx{ctx: ctx, conn: conn, wait: &pgx.Batch{}}
	t.wait.Queue("BEGIN")
	return t, nil
}

func (t *pgTx) do(query string, args []any) error {
	t.wait.Queue(query, args...)
	if t.wait.Len() < pgTogether {
		return nil
	}
	return t.send(nil)
}

func (t *pgTx) exec(query string, args []any) (n int64, err error) {
	if len(args) == 0 { // may be several statements, which only go by themselves
		if err := t.send(nil); err != nil {
			return 0, err
		}
		tag, err := t.conn.Exec(t.ctx, query)
		return tag.RowsAffected(), err
	}
	t.wait.Queue(query, args...)
	err = t.send(func(r pgx.BatchResults) error {
		tag, err := r.Exec()
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

func (t *pgTx) each(query string, args []any, row func(Row) error) error {
	t.wait.Queue(query, args...)
	return t.send(func(r pgx.BatchResults) error {
		rows, err := r.Query()
		if err != nil {
			return err
		}
		return pgEach(rows, row)
	})
}

// send sends what waits; last reads the answer to the last of it. After an error PostgreSQL runs none of what follows.
func (t *pgTx) send(last func(pgx.BatchResults) error) (err error) {
	n := t.wait.Len()
	if n == 0 {
		return nil
	}
	if last != nil {
		n--
	}
	t.sent = true
	results := t.conn.SendBatch(t.ctx, t.wait)
	t.wait = &pgx.Batch{}
	defer func() {
		if end := results.Close(); err == nil {
			err = end
		}
	}()
	for range n {
		if _, err := results.Exec(); err != nil {
			return err
		}
	}
	if last == nil {
		return nil
	}
	return last(results)
}

func (t *pgTx) commit() error {
	tag, err := t.conn.Exec(t.ctx, "COMMIT")
	switch pg := (*pgconn.PgError)(nil); {
	case err == nil && tag.String() != "COMMIT":
		return fmt.Errorf("store: PostgreSQL answered COMMIT with %s", tag)
	case err == nil || errors.As(err, &pg):
		return translate(err)
	}
	return fmt.Errorf("%w: the answer to COMMIT did not come: %w", ErrNotReady, err)
}

// end gives the connection back, after what was not committed is undone.
func (t *pgTx) end() {
	if !t.conn.Conn().IsClosed() && t.conn.Conn().PgConn().TxStatus() != 'I' {
		_, _ = t.conn.Exec(t.ctx, "ROLLBACK")
	}
	giveBack(t.conn) // the pool closes one that is still in a transaction
}
