package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lanyard-sso/lanyard/idp/store"
)

// The test binary is also the other process of tests that need one: LANYARD_STORE_CHILD says what it does, and to which database.
func TestMain(m *testing.M) {
	if what := os.Getenv("LANYARD_STORE_CHILD"); what != "" {
		if err := child(what, os.Getenv("LANYARD_STORE_DSN")); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func child(what, dsn string) error {
	ctx := context.Background()
	if what == "open" { // all at the same moment
		if _, err := bufio.NewReader(os.Stdin).ReadByte(); err != nil {
			return err
		}
	}
	st, err := store.Open(ctx, store.Config{DSN: dsn, Conns: 4})
	if err != nil {
		return err
	}
	switch what {
	case "open":
		fmt.Println("open")
	case "write": // until killed; a row is named when it was acknowledged
		for {
			id := st.NewID()
			err := st.Write(ctx, func(tx *store.Tx) error {
				_, err := tx.Exec("INSERT INTO meta (name, value) VALUES ($1, $2)", id, make([]byte, 3000))
				return err
			})
			if err != nil {
				return err
			}
			fmt.Println(id)
		}
	case "command": // what a command beside a busy server does
		var longest time.Duration
		for range 50 {
			began := time.Now()
			if err := put(st, st.NewID()); err != nil {
				return err
			}
			longest = max(longest, time.Since(began))
		}
		fmt.Println(longest)
	case "serve":
		if _, err := st.LockServe(); err != nil {
			return err
		}
		fmt.Println("locked")
		select {}
	default:
		return fmt.Errorf("what is %q?", what)
	}
	return st.Close()
}

// command is the test binary as another process.
func command(t testing.TB, what, dsn string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), "LANYARD_STORE_CHILD="+what, "LANYARD_STORE_DSN="+dsn)
	c.Stderr = os.Stderr
	t.Cleanup(func() {
		if c.ProcessState == nil && c.Process != nil {
			c.Process.Kill()
			c.Wait()
		}
	})
	return c
}

// put adds a row to a table that every schema has.
func put(st *store.Store, name string) error {
	return st.Write(context.Background(), func(tx *store.Tx) error {
		_, err := tx.Exec("INSERT INTO meta (name, value) VALUES ($1, $2)", name, []byte{1})
		return err
	})
}

func has(t testing.TB, st *store.Store, name string) bool {
	t.Helper()
	var n int
	if err := st.Read(t.Context()).QueryRow("SELECT count(*) FROM meta WHERE name = $1", name).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// create makes a table for a test.
func create(t testing.TB, st *store.Store, text string) {
	t.Helper()
	if err := st.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(text)
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
