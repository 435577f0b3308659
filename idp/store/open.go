package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/lanyard-sso/lanyard/keys"
)

// Config says which database to open. Every field but DSN or Dir may be left out.
type Config struct {
	DSN   string           // sqlite:PATH or postgres://…; empty: sqlite:DIR/lanyard.db
	Dir   string           // the data folder
	Conns int              // connections to PostgreSQL at most; 0: 16
	Now   func() time.Time // nil: the database's time if there is Wall, else time.Now
	Wall  func() time.Time // this machine's clock
	NewID func() string    // nil: IDs
	Log   *slog.Logger     // nil: nowhere
	AsIs  bool             // nothing is made or migrated: where there is no database, Open is an fs.ErrNotExist

	Sealer *keys.Sealer // opens the secrets at rest; nil: none can be read or written
}

// Store is an open database. It is safe for use by many goroutines.
type Store struct {
	Now func() time.Time

	db      database
	newID   func() string
	log     *slog.Logger
	changes changes

	clock    clock
	settling settling
	orphans  orphans

	sealer      *keys.Sealer
	definitions definitions
	refusals    *refusals
	flood       flood
	stats       stats

	stop    context.CancelFunc
	polling sync.WaitGroup
	close   func() error
}

// database is what the two databases differ in.
type database interface {
	// read runs f with a connection that f may query.
	read(ctx context.Context, f func(session) error) error
	// write runs f as Store.Write says.
	write(ctx context.Context, f func(*Tx) error) error
	// migrate runs f in a transaction that no other process migrates beside. save makes a copy of the database as it is.
	migrate(ctx context.Context, f func(s session, save func(version int64) error) error) error
	// clock reads the database's own clock; zero: it has none.
	clock(ctx context.Context) (time.Time, error)
	// present tells if the database is still the one that was opened.
	present() error
	lockServe() (release func(), err error)
	close() error
}

// Open opens the database, makes it where there is none, and brings its schema up to date. No error of it tells the DSN's password.
func Open(ctx context.Context, c Config) (*Store, error) {
	s := &Store{Now: c.Now, newID: c.NewID, log: c.Log, sealer: c.Sealer, changes: changes{generation: map[string]int64{}, reading: make(chan struct{}, 1)}}
	if s.Now == nil && c.Wall != nil {
		s.clock.wall, s.Now = c.Wall, s.clock.now
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.newID == nil {
		s.newID = (&IDs{Now: s.Now}).New
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.open(ctx, c); err != nil {
		return nil, err
	}
	s.close = sync.OnceValue(s.db.close)
	if err := s.prepare(ctx, c.AsIs); err != nil {
		_ = s.db.close()
		return nil, err
	}
	poll, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.define()
	s.refusals = newRefusals(s)
	s.polling.Go(func() { s.poll(poll) })
	return s, nil
}

func (s *Store) open(ctx context.Context, c Config) (err error) {
	dsn := c.DSN
	if dsn == "" && c.Dir != "" {
		dsn = "sqlite:" + filepath.Join(c.Dir, "lanyard.db")
	}
	path, isLite := strings.CutPrefix(dsn, "sqlite:")
	switch {
	case dsn == "":
		return errors.New("store: neither a database nor a data folder is named")
	case isLite:
		if c.AsIs {
			if _, err := os.Stat(path); err != nil {
				return fmt.Errorf("store: %w", err)
			}
		}
		s.db, err = openSQLite(ctx, path, s.log)
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		s.db, err = openPostgres(ctx, dsn, c.Conns)
	default: // not shown: what is not a DSN may still hold a password
		return errors.New("store: a database is named sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/NAME")
	}
	return err
}

func (s *Store) prepare(ctx context.Context, asIs bool) error {
	if asIs {
		if _, _, err := s.Schema(ctx); err != nil {
			return err
		}
	} else if err := s.migrate(ctx); err != nil {
		return err
	}
	if err := s.readChanges(ctx); err != nil {
		return fmt.Errorf("store: reading the database: %w", err)
	}
	if err := s.askClock(ctx); err != nil {
		return fmt.Errorf("store: reading the database's clock: %w", err)
	}
	return nil
}

// Close ends what is being written, refuses what waits, and closes the database. After it, everything answers [ErrClosed].
func (s *Store) Close() error {
	s.refusals.close()
	s.stop()
	s.polling.Wait()
	return s.close()
}

// NewID returns an id for a row, greater than those before it.
func (s *Store) NewID() string { return s.newID() }

// LockServe makes the caller the one server of an SQLite file until release is called or the process ends, however it
// ends. Commands need no lock. On PostgreSQL there can be any number of servers, and nothing is locked.
func (s *Store) LockServe() (release func(), err error) { return s.db.lockServe() }
