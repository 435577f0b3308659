package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// bulk writes very many rows.
type bulk interface {
	db() *sql.Conn
	// put writes n rows of a table. The slice that row returns is its own.
	put(ctx context.Context, table string, cols []string, n int, row func(i int) []any) error
	// finish leaves the database as one that has been in use.
	finish(ctx context.Context) error
	close() error
}

func openBulk(ctx context.Context, dsn string) (bulk, error) {
	path, isLite := strings.CutPrefix(dsn, "sqlite:")
	driver := "pgx"
	if isLite {
		driver, dsn = "sqlite", path
	}
	pool, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, err
	}
	c, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	if !isLite {
		return &pgBulk{conn{c, pool}}, nil
	}
	b := &liteBulk{conn{c, pool}, path}
	// What a crash leaves behind is thrown away, so nothing waits for the disk. The indexes stay, and mostly in memory.
	if err := b.pragmas(ctx, "locking_mode=EXCLUSIVE", "journal_mode=OFF", "synchronous=OFF", "cache_size=-2000000"); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

type conn struct {
	conn *sql.Conn
	pool *sql.DB
}

func (c conn) db() *sql.Conn { return c.conn }

func (c conn) close() error { return errors.Join(c.conn.Close(), c.pool.Close()) }

type liteBulk struct {
	conn
	path string
}

func (b *liteBulk) pragmas(ctx context.Context, all ...string) error {
	for _, p := range all {
		if _, err := b.conn.conn.ExecContext(ctx, "PRAGMA "+p); err != nil {
			return fmt.Errorf("PRAGMA %s: %w", p, err)
		}
	}
	return nil
}

const (
	liteRows  = 100     // a statement
	liteBatch = 200_000 // a transaction
)

func (b *liteBulk) put(ctx context.Context, table string, cols []string, n int, row func(i int) []any) error {
	for from := 0; from < n; from += liteBatch {
		if err := b.batch(ctx, table, cols, from, min(from+liteBatch, n), row); err != nil {
			return err
		}
	}
	return nil
}

func (b *liteBulk) batch(ctx context.Context, table string, cols []string, from, to int, row func(i int) []any) error {
	tx, err := b.conn.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	insert := func(rows int) string {
		one := "(" + strings.Repeat("?, ", len(cols)-1) + "?)"
		return "INSERT INTO " + table + " (" + strings.Join(cols, ", ") + ") VALUES " + strings.Repeat(one+", ", rows-1) + one
	}
	many, err := tx.PrepareContext(ctx, insert(liteRows))
	if err != nil {
		return err
	}
	defer func() { _ = many.Close() }() // with the transaction
	args := make([]any, 0, liteRows*len(cols))
	for i := from; i < to; i++ {
		args = append(args, row(i)...)
		if len(args) == cap(args) {
			if _, err := many.ExecContext(ctx, args...); err != nil {
				return err
			}
			args = args[:0]
		}
	}
	if len(args) > 0 {
		if _, err := tx.ExecContext(ctx, insert(len(args)/len(cols)), args...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (b *liteBulk) finish(ctx context.Context) error {
	return b.pragmas(ctx, "journal_mode=WAL", "locking_mode=NORMAL")
}

// close has the disk take all of it now, and not when the first server does.
func (b *liteBulk) close() error {
	err := b.conn.close()
	f, e := os.OpenFile(b.path, os.O_RDWR, 0)
	if e != nil {
		return errors.Join(err, e)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

type pgBulk struct{ conn }

func (b *pgBulk) put(ctx context.Context, table string, cols []string, n int, row func(i int) []any) error {
	return b.conn.conn.Raw(func(driver any) error {
		i := -1
		from := pgx.CopyFromFunc(func() ([]any, error) {
			if i++; i == n {
				return nil, nil
			}
			return slices.Clone(row(i)), nil
		})
		_, err := driver.(*stdlib.Conn).Conn().CopyFrom(ctx, pgx.Identifier{table}, cols, from)
		return err
	})
}

// finish does what the server itself would have done meanwhile.
func (b *pgBulk) finish(ctx context.Context) error {
	for _, q := range []string{"VACUUM ANALYZE", "CHECKPOINT"} {
		if _, err := b.conn.conn.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}
