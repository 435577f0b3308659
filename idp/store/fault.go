//go:build faults

package store

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// LANYARD_FAULT_MIGRATION=N has the process die, as by kill -9, before the Nth step of a migration: a step is a statement, the
// commit, and what follows the commit.

var steps atomic.Int64

func mayDie() {
	n, err := strconv.ParseInt(os.Getenv("LANYARD_FAULT_MIGRATION"), 10, 64)
	if err == nil && steps.Add(1) == n {
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Kill()
		}
		select {}
	}
}

// fragile runs what c runs, one statement after the other.
func fragile(c session) session { return fragileSession{c} }

type fragileSession struct{ session }

func (f fragileSession) exec(query string, args []any) (rows int64, err error) {
	for _, s := range statements(query) {
		mayDie()
		if rows, err = f.session.exec(s, args); err != nil {
			return rows, err
		}
	}
	return rows, err
}

// statements takes a text of SQL apart. No text of ours has a semicolon or two hyphens in a string.
func statements(text string) (all []string) {
	var bare strings.Builder
	for line := range strings.Lines(text) {
		code, _, _ := strings.Cut(line, "--")
		bare.WriteString(code + "\n")
	}
	for _, s := range strings.Split(bare.String(), ";") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	return all
}
