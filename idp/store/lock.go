package store

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

var errLocked = errors.New("locked by another process")

// lockFile locks a file beside the database. The operating system lets go of it when the process ends, however it ends; the file stays.
func lockFile(database string) (release func(), err error) {
	name := database + ".lock"
	f, err := openLocked(name)
	if errors.Is(err, errLocked) {
		holder, _ := os.ReadFile(name)
		return nil, fmt.Errorf("store: another server (process %s) has %s open, and an SQLite file has one server: stop that one, or use PostgreSQL",
			strings.TrimSpace(string(holder)), database)
	}
	if err != nil {
		return nil, fmt.Errorf("store: locking the database: %w", err)
	}
	if err = f.Truncate(0); err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("store: locking the database: %w", err)
	}
	return func() { _ = f.Close() }, nil
}
