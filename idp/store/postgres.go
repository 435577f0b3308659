package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	pgConns    = 16
	pgPatience = 10 * time.Second // for a free connection and all that a step does
	pgAttempts = 10               // of a step that collides with others
	pgTogether = 100              // statements sent at once, at most
	// pgLetGo has the server end a transaction of a node that it can no longer hear, so that the rows locked by it are free for
	// others before their patience is over. A step of ours pauses for milliseconds at most.
	pgLetGo = "SET idle_in_transaction_session_timeout = 5000"
	// pgMigrating is the advisory lock of a node that migrates: "lanyard" in ASCII.
	pgMigrating = 0x6c616e79617264
)

// postgres is a PostgreSQL database, of 13 or newer.
type postgres struct{ pool *pgxpool.Pool }

func openPostgres(ctx context.Context, dsn string, conns int) (*postgres, error) {
	// What the parsers say of an address they cannot read may quote a piece of the password. One with a slash, ? or # in
	// it can be read, as the name of a database and more.
	_, rest, _ := strings.Cut(dsn, "://")
	end := strings.IndexAny(rest, "/?#")
	if _, err := url.Parse(dsn); err != nil || end >= 0 && strings.Contains(rest[end:], "@") {
		return nil, errors.New("store: the database's address is no URL; it reads postgres://USER:PASSWORD@HOST:PORT/NAME, with special characters of the password percent-encoded")
	}
	pooled, err := pgxpool.ParseConfig(dsn)
	if err != nil { // its own words may quote a piece of the password, those that it wraps do not
		why := errors.Unwrap(err)
		if why == nil {
			why = errors.New("a port or a parameter in it has a value that PostgreSQL's clients do not know")
		}
		return nil, fmt.Errorf("store: the database's address cannot be used: %w", why)
	}
	config := pooled.ConnConfig
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	if config.ValidateConnect == nil { // after a failover the old primary may still answer
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "lanyard"
	}
	if conns == 0 {
		conns = pgConns
	}
	pooled.MaxConns = int32(conns)
	pooled.MaxConnIdleTime = time.Minute
	pooled.MaxConnLifetime = 30 * time.Minute
	pooled.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, pgLetGo)
		return err
	}
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), pooled)
	if err != nil {
		return nil, fmt.Errorf("store: the database's address cannot be used: %w", err)
	}
	var version int
	if err := pool.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		pool.Close()
		return nil, fmt.Errorf("store: the database cannot be reached: %s", strings.Join(strings.Fields(err.Error()), " "))
	}
	if version < 130000 {
		pool.Close()
		return nil, fmt.Errorf("store: PostgreSQL 13 or newer is needed; this server is %d.%d", version/10000, version%10000)
	}
	return &postgres{pool}, nil
}

// bounded is a context that does not end when its caller goes away: that would cost a connection each time. It ends by itself, or at
// the caller's own deadline.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	end := time.Now().Add(pgPatience)
	if d, ok := ctx.Deadline(); ok && d.Before(end) {
		end = d
	}
	return context.WithDeadline(context.WithoutCancel(ctx), end)
}

func (p *postgres) read(ctx context.Context, f func(session) error) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return f(pgReader{ctx, p.pool})
}

func (p *postgres) write(ctx context.Context, f func(*Tx) error) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	wait := 2 * time.Millisecond
	for attempt := 1; ; attempt++ {
		err := p.once(ctx, f)
		if err == nil || !collided(err) {
			return err
		}
		if attempt == pgAttempts {
			return fmt.Errorf("%w: %w", ErrBusy, err)
		}
		var b [1]byte
		_, _ = rand.Read(b[:])
		time.Sleep(wait + wait*time.Duration(b[0])/256) // so that those that met do not meet again
		wait = min(2*wait, 200*time.Millisecond)
	}
}

// once runs f in a transaction. An error that collided knows is about the transaction, whatever f made of it.
func (p *postgres) once(ctx context.Context, f func(*Tx) error) error {
	t, err := p.begin(ctx)
	if err != nil {
		return translate(err)
	}
	defer t.end()
	var failed error
	tx := &Tx{session: t}
	if err := tx.run(func(tx *Tx) error {
		err := f(tx)
		failed = tx.failed
		return err
	}); err != nil {
		if collided(failed) {
			return failed
		}
		return err
	}
	return translate(t.commit())
}

func (p *postgres) migrate(ctx context.Context, f func(session, func(int64) error) error) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	t, err := p.begin(ctx)
	if err != nil {
		return err
	}
	defer t.end()
	if _, err := t.exec("SELECT pg_advisory_xact_lock($1)", []any{int64(pgMigrating)}); err != nil {
		return err
	}
	// Copies are the business of whoever keeps the server.
	if err := f(t, func(int64) error { return nil }); err != nil {
		return err
	}
	return t.commit()
}

func (p *postgres) clock(ctx context.Context) (t time.Time, err error) {
	err = p.pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&t)
	return t.Round(0).UTC(), translate(err)
}

func (p *postgres) present() error { return nil } // a connection to something else does not come about

func (p *postgres) lockServe() (func(), error) { return func() {}, nil }

func (p *postgres) close() error {
	p.pool.Close()
	return nil
}

// pgReader runs statements outside of a transaction; pgx keeps them prepared on each connection.
type pgReader struct {
	ctx  context.Context
	pool *pgxpool.Pool
}

func (r pgReader) exec(query string, args []any) (int64, error) {
	tag, err := r.pool.Exec(r.ctx, query, args...)
	return tag.RowsAffected(), err
}

func (r pgReader) do(query string, args []any) error {
	_, err := r.exec(query, args)
	return err
}

func (r pgReader) each(query string, args []any, row func(Row) error) error {
	rows, err := r.pool.Query(r.ctx, query, args...)
	// Of a connection that was found to be gone before anything was sent, another may stand.
	for tries := 1; err != nil && tries < 3 && pgconn.SafeToRetry(err); tries++ {
		rows, err = r.pool.Query(r.ctx, query, args...)
	}
	if err != nil {
		return err
	}
	return pgEach(rows, row)
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
// waits for with the next that somebody does, or with COMMIT.
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
	if !t.sent && t.wait.Len() == 1 { // nothing but BEGIN
		return nil
	}
	t.wait.Queue("COMMIT")
	return t.send(func(r pgx.BatchResults) error {
		tag, err := r.Exec()
		if err == nil && tag.String() != "COMMIT" {
			err = fmt.Errorf("store: PostgreSQL answered COMMIT with %s", tag)
		}
		return err
	})
}

// end gives the connection back, after what was not committed is undone.
func (t *pgTx) end() {
	if !t.conn.Conn().IsClosed() && t.conn.Conn().PgConn().TxStatus() != 'I' {
		_, _ = t.conn.Exec(t.ctx, "ROLLBACK")
	}
	t.conn.Release() // closes one that is still in a transaction
}
