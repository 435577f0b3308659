package store_test

import (
	"context"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/store"
)

// FuzzDSN: whatever characters a password has that nobody escaped, what is said of the address is one line that has nothing
// of it.
func FuzzDSN(f *testing.F) {
	const word = "hunter2"
	for _, s := range [][3]string{{"", "", ""}, {"12/", "", ""}, {"", "%zz", "?sslmode=maybe"}, {"a#", "?", "?x"}, {"@", "@@", ""}, {" ", "\n", "\n"}, {"[", "]:", "&host=/nowhere"}, {"?", "", "?passfile=/nowhere&sslmode=disable"},
		{"\x00", "\xff", ""}, {"/db?host=", "", ""}, {"x:80,", ":x", "?connect_timeout=x"}, {"'", "\"", " "}, {"%2f", "%", "?target_session_attrs=x"}, {"", "", "?target_session_attrs=primry&sslmode=disable"}} {
		f.Add(s[0], s[1], s[2])
	}
	over, cancel := context.WithCancel(context.Background())
	cancel() // nobody is dialled
	f.Fuzz(func(t *testing.T, before, behind, rest string) {
		if strings.Contains(before+behind+rest, word) {
			return
		}
		st, err := store.Open(over, store.Config{DSN: "postgres://lanyard:" + before + word + behind + "@127.0.0.1:1/lanyard" + rest})
		if err == nil {
			st.Close()
			t.Fatal("it was opened")
		}
		if said := err.Error(); strings.Contains(said, word) || strings.Contains(said, "<nil>") || strings.Contains(strings.TrimSpace(said), "\n") {
			t.Errorf("%q %q %q: %q", before, behind, rest, said)
		}
	})
}
