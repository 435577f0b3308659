package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
)

const (
	liteReaders   = 4
	litePatience  = 5 * time.Second  // waiting for another process to end its transaction
	startPatience = 60 * time.Second // and for one that migrates
)

// lite is an SQLite file: a few connections that read, and one that writes.
type lite struct {
	path    string // without symbolic links, as SQLite names the files beside it
	readers chan *liteConn
	closing chan struct{}
	writer  *writer
	log     *slog.Logger
}

func openSQLite(ctx context.Context, path string, log *slog.Logger) (_ *lite, err error) {
	if path == "" || strings.HasPrefix(path, ":") {
		return nil, errors.New("store: sqlite: needs the path of a file, as in sqlite:lanyard.db")
	}
	if path, err = createFile(path, log); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	l := &lite{path: path, readers: make(chan *liteConn, liteReaders), closing: make(chan struct{}), log: log}
	if err := l.connect(ctx); err != nil {
		l.disconnect()
		if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultNotADB {
			err = errors.New("it is not an SQLite database")
		}
		return nil, fmt.Errorf("store: opening %s: %w", path, err)
	}
	go l.writer.work()
	return l, nil
}

// createFile makes the file and its folder where they are not there, and returns the file's real path. It never opens a file that
// exists: closing it again would take away the locks that SQLite holds on it for another connection of this process.
func createFile(path string, log *slog.Logger) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("the folder for the database cannot be made: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		err = errors.Join(f.Close(), syncFolder(folder))
	case errors.Is(err, fs.ErrExist):
		err = nil
	}
	if err != nil {
		return "", fmt.Errorf("the database cannot be made: %w", err)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a file", path)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		log.Warn("the database can be read by other users of this machine; chmod 600 it", "path", path, "mode", info.Mode().Perm().String())
	}
	return path, nil
}

func syncFolder(path string) error {
	if runtime.GOOS == "windows" { // cannot, and need not
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (l *lite) connect(ctx context.Context) (err error) {
	w, err := l.open(0, "PRAGMA cache_size=-4096")
	if err != nil {
		return err
	}
	defer func() {
		if l.writer == nil {
			err = errors.Join(err, w.close())
		}
	}()
	var version string
	if err := w.one("SELECT sqlite_version()", nil, &version); err != nil {
		return err
	}
	// Before 3.51.3 a checkpoint could damage the file when processes shared it.
	if !atLeast(version, 3, 51, 3) {
		return fmt.Errorf("this binary holds SQLite %s; 3.51.3 is the oldest that is safe", version)
	}
	if err := w.useWAL(ctx); err != nil {
		return err
	}
	for range liteReaders {
		r, err := l.open(litePatience, "PRAGMA cache_size=-1024", "PRAGMA query_only=1")
		if err != nil {
			return err
		}
		l.readers <- r
	}
	l.writer, err = newWriter(w, l.path)
	return err
}

// disconnect closes what connect has opened before it failed.
func (l *lite) disconnect() {
	for len(l.readers) > 0 {
		_ = (<-l.readers).close()
	}
}

// open opens a connection that waits so long for others' locks; those that write wait by themselves, patiently.
func (l *lite) open(patience time.Duration, pragmas ...string) (*liteConn, error) {
	// mode=rw: a file that has gone is an error, never a new empty database.
	return openLite(fileURL(l.path)+"?mode=rw", patience, append([]string{"PRAGMA foreign_keys=1", "PRAGMA synchronous=FULL", "PRAGMA temp_store=MEMORY",
		"PRAGMA journal_size_limit=67108864"}, pragmas...)...)
}

// useWAL puts the file into write-ahead mode, for good. SQLite does not wait by itself for others that do the same.
func (c *liteConn) useWAL(ctx context.Context) error {
	return patiently(ctx, startPatience, func() error {
		var mode string
		if err := c.one("PRAGMA journal_mode=WAL", nil, &mode); err != nil {
			return err
		}
		if mode != "wal" {
			return fmt.Errorf("it cannot be put into write-ahead mode (journal_mode is %q)", mode)
		}
		return nil
	})
}

// patiently runs f until it does not find the file locked. SQLite's own waiting goes by sleeps of up to 100 ms and
// comes too late again and again while a busy server writes.
func patiently(ctx context.Context, patience time.Duration, f func() error) error {
	end := time.Now().Add(patience)
	for {
		err := f()
		if !liteBusy(err) || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// atLeast tells if version, three numbers, is at least want.
func atLeast(version string, want ...int) bool {
	for i, part := range strings.SplitN(version, ".", len(want)) {
		n, err := strconv.Atoi(part)
		if err != nil || n != want[i] {
			return err == nil && n > want[i]
		}
	}
	return true
}

func (l *lite) read(ctx context.Context, f func(session) error) error {
	select {
	case <-l.closing:
		return ErrClosed
	default:
	}
	if l.writer.lost.Load() {
		if err := l.present(); err != nil {
			return err
		}
	}
	select {
	case c := <-l.readers:
		defer func() { l.readers <- c }()
		return f(c)
	case <-l.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *lite) write(ctx context.Context, f func(*Tx) error) error { return l.writer.write(ctx, f) }

func (l *lite) waiting() int { return len(l.writer.queue) }

func (l *lite) clock(context.Context) (time.Time, error) { return time.Time{}, nil } // the machine's

func (l *lite) present() error { return l.writer.present() }

func (l *lite) lockServe() (func(), error) { return lockFile(l.path) }

func (l *lite) close() error {
	l.writer.close()
	close(l.closing)
	var err error
	for range liteReaders { // those that are being used come back
		err = errors.Join(err, (<-l.readers).close())
	}
	return errors.Join(err, l.writer.conn.close()) // the last connection to close writes the log back and removes it
}

// migrate holds off all that write while f runs, in this process and in others. Those that read go on.
func (l *lite) migrate(ctx context.Context, f func(session, func(int64) error) error) error {
	c, err := l.open(0)
	if err != nil {
		return err
	}
	defer func() { _ = c.close() }()
	if err := c.begin(ctx, startPatience); err != nil {
		return translate(err)
	}
	err = f(c, func(version int64) error { return l.copyTo(ctx, fmt.Sprintf("%s.schema-%d", l.path, version)) })
	if err != nil {
		_, _ = c.exec("ROLLBACK", nil)
		return err
	}
	_, err = c.exec("COMMIT", nil)
	return translate(err)
}

// copyTo keeps the database as it was last committed at path, as a backup.
func (l *lite) copyTo(ctx context.Context, path string) error {
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err = errors.Join(f.Close(), l.copyInto(ctx, part)); err == nil {
		_, err = sign(ctx, part, "older than the one that migrated it", time.Now())
	}
	if err == nil {
		err = errors.Join(syncFile(part), os.Rename(part, path))
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return syncFolder(filepath.Dir(path))
}

// begin begins to write.
func (c *liteConn) begin(ctx context.Context, patience time.Duration) error {
	return patiently(ctx, patience, func() error {
		_, err := c.exec("BEGIN IMMEDIATE", nil)
		return err
	})
}
