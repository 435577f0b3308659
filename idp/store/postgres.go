package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	pgConns      = 16
	pgPatience   = 10 * time.Second     // for a free connection and all that a step does
	pgAttempts   = 10                   // of a step that collides with others
	pgTogether   = 100                  // statements sent at once, at most
	pgLostAtOnce = 5 * time.Millisecond // connections found lost within it were lost together
	// pgLetGo has the server end a transaction of a node that it can no longer hear, so that the rows locked by it are free for
	// others before their patience is over. A step of ours pauses for milliseconds at most.
	pgLetGo = "SET idle_in_transaction_session_timeout = 5000"
	// pgMigrating is the advisory lock of a node that migrates: "lanyard" in ASCII.
	pgMigrating = 0x6c616e79617264
)

// postgres is a PostgreSQL database, of 13 or newer.
type postgres struct {
	pool *pgxpool.Pool
	lost atomic.Int64 // when a connection was last found lost, in microseconds
}

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
		ctx, cancel := context.WithTimeout(ctx, config.ConnectTimeout) // the pool waits for ever
		defer cancel()
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
	return &postgres{pool: pool}, nil
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
	return f(pgReader{ctx, p})
}

func (p *postgres) write(ctx context.Context, f func(*Tx) error) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	wait := 2 * time.Millisecond
	again := p.retries(ctx)
	for attempt := 1; ; attempt++ {
		sent, err := p.once(ctx, f)
		if err != nil && !sent && again(err) {
			continue
		}
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

// retries returns what tells if an error is that a connection has gone, and another may stand: the server, or something before
// it, ends connections now and then, and the pool does not see it. The rest of the pool is probably gone too.
func (p *postgres) retries(ctx context.Context) func(error) bool {
	left := 2
	return func(err error) bool {
		if left == 0 || ctx.Err() != nil || !cutOff(err) {
			return false
		}
		left--
		now := time.Now().UnixMicro()
		if before := p.lost.Load(); now-before > pgLostAtOnce.Microseconds() && p.lost.CompareAndSwap(before, now) {
			p.pool.Reset()
		}
		return true
	}
}

// once runs f in a transaction. An error that collided knows is about the transaction, whatever f made of it. sent tells if
// the step can be on disk: COMMIT was sent.
func (p *postgres) once(ctx context.Context, f func(*Tx) error) (sent bool, err error) {
	t, err := p.begin(ctx)
	if err != nil {
		return false, translate(err)
	}
	defer t.end()
	var failed error
	tx := &Tx{session: t}
	if err := tx.run(func(tx *Tx) error {
		err := f(tx)
		failed = tx.failed
		return err
	}); err != nil {
		if collided(failed) || cutOff(failed) {
			return false, failed
		}
		return false, err
	}
	if !t.sent && t.wait.Len() == 1 { // nothing but BEGIN
		return false, nil
	}
	if err := t.send(nil); err != nil {
		return false, translate(err)
	}
	return true, t.commit()
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
	if err := t.send(nil); err != nil {
		return err
	}
	return t.commit()
}

func (p *postgres) clock(ctx context.Context) (t time.Time, err error) {
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return t, translate(err)
	}
	defer giveBack(conn)
	err = conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&t)
	return t.Round(0).UTC(), translate(err)
}

func (p *postgres) present() error { return nil } // a connection to something else does not come about

func (p *postgres) lockServe() (func(), error) { return func() {}, nil }

func (p *postgres) close() error {
	p.pool.Close()
	return nil
}
