package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	pgConns    = 16
	pgPatience = 10 * time.Second // for a free connection and all that a step does
	pgAttempts = 10               // of a step that collides with others
	// pgLetGo has the server end a transaction of a node that it can no longer hear, so that the rows locked by it are free for
	// others before their patience is over. A step of ours pauses for milliseconds at most.
	pgLetGo = "SET idle_in_transaction_session_timeout = 5000"
	// pgMigrating is the advisory lock of a node that migrates: "lanyard" in ASCII.
	pgMigrating = 0x6c616e79617264
)

// postgres is a PostgreSQL database, of 13 or newer.
type postgres struct{ pool *sql.DB }

func openPostgres(ctx context.Context, dsn string, conns int) (*postgres, error) {
	// What the parsers say of an address they cannot read may quote a piece of the password. One with a slash, ? or # in
	// it can be read, as the name of a database and more.
	_, rest, _ := strings.Cut(dsn, "://")
	end := strings.IndexAny(rest, "/?#")
	if _, err := url.Parse(dsn); err != nil || end >= 0 && strings.Contains(rest[end:], "@") {
		return nil, errors.New("store: the database's address is no URL; it reads postgres://USER:PASSWORD@HOST:PORT/NAME, with special characters of the password percent-encoded")
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil { // its own words may quote a piece of the password, those that it wraps do not
		why := errors.Unwrap(err)
		if why == nil {
			why = errors.New("a port or a parameter in it has a value that PostgreSQL's clients do not know")
		}
		return nil, fmt.Errorf("store: the database's address cannot be used: %w", why)
	}
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
	pool := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, pgLetGo)
		return err
	}))
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	pool.SetConnMaxIdleTime(time.Minute)
	pool.SetConnMaxLifetime(30 * time.Minute)

	var version int
	if err := pool.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		_ = pool.Close()
		return nil, fmt.Errorf("store: the database cannot be reached: %s", strings.Join(strings.Fields(err.Error()), " "))
	}
	if version < 130000 {
		_ = pool.Close()
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
	return f(pgSession{ctx, p.pool})
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
	t, err := p.pool.BeginTx(ctx, nil)
	if err != nil {
		return translate(err)
	}
	defer t.Rollback()
	var failed error
	tx := &Tx{session: pgSession{ctx, t}}
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
	return translate(t.Commit())
}

func (p *postgres) migrate(ctx context.Context, f func(session, func(int64) error) error) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	t, err := p.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer t.Rollback()
	s := pgSession{ctx, t}
	if _, err := s.exec("SELECT pg_advisory_xact_lock($1)", []any{int64(pgMigrating)}); err != nil {
		return err
	}
	// Copies are the business of whoever keeps the server.
	if err := f(s, func(int64) error { return nil }); err != nil {
		return err
	}
	return t.Commit()
}

func (p *postgres) clock(ctx context.Context) (t time.Time, err error) {
	err = p.pool.QueryRowContext(ctx, "SELECT clock_timestamp()").Scan(&t)
	return t.Round(0).UTC(), translate(err)
}

func (p *postgres) present() error { return nil } // a connection to something else does not come about

func (p *postgres) lockServe() (func(), error) { return func() {}, nil }

func (p *postgres) close() error { return p.pool.Close() }

// pgSession runs statements; pgx keeps them prepared on each connection.
type pgSession struct {
	ctx context.Context
	on  interface {
		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
}

func (s pgSession) exec(query string, args []any) (int64, error) {
	r, err := s.on.ExecContext(s.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (s pgSession) query(query string, args []any) (*sql.Rows, error) {
	return s.on.QueryContext(s.ctx, query, args...)
}
