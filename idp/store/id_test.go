package store_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lanyard-sso/lanyard/idp/store"
)

// What can be an id, for every door at which one comes in.
func TestIsID(t *testing.T) {
	for s, want := range map[string]bool{
		"b": true, "1k10hsjf40sp53j69wjrp4eeek": true, strings.Repeat("0", 64): true,
		"": false, strings.Repeat("0", 65): false, "a\x00b": false, "\x00": false, "a b": false, "a.b": false, "A": false, "é": false, "a\xffb": false, "\xff": false, "-": false,
	} {
		if store.IsID(s) != want {
			t.Errorf("%q: %t", s, !want)
		}
	}
}

// Each id is greater than those before it, whatever the clock does, and so are those of a later time made elsewhere.
func TestIDsAreOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "start"))
		ids := store.IDs{Now: func() time.Time { return now }}
		last := ""
		latest := now
		for _, step := range rapid.SliceOf(rapid.Int64Range(-1e6, 1e9)).Draw(t, "steps") {
			if now = now.Add(time.Duration(step) * time.Microsecond); now.UnixMicro() < 0 {
				now = time.UnixMicro(0)
			}
			id := ids.New()
			if id <= last {
				t.Fatalf("%s after %s", id, last)
			}
			if len(id) != 26 || strings.Trim(id, "0123456789abcdefghjkmnpqrstvwxyz") != "" {
				t.Fatalf("%q is no id", id)
			}
			last = id
			if now.After(latest) {
				latest = now
			}
		}
		now = latest.Add(time.Hour)
		other := store.IDs{Now: ids.Now}
		if id := other.New(); id <= last {
			t.Fatalf("%s, made elsewhere an hour later, is before %s", id, last)
		}
	})
}

func TestIDsAtOnce(t *testing.T) {
	ids := store.IDs{Now: time.Now}
	var seen sync.Map
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5000 {
				if _, twice := seen.LoadOrStore(ids.New(), true); twice {
					t.Error("the same id twice")
				}
			}
		})
	}
	wg.Wait()
}
