package api_test

import (
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/api"
)

// FuzzDuration: what is read is never less than nothing, and is what Go reads of it once the days are hours.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"30d", "1d12h", "15m", "90s", "1.5h", "0", "0d", "", "d", "-1d", "1d-1h", "1h1d", "1d1d", "36500d", "36501d", "36500d2000000h", "9999999999d", "2562047h47m16.854775807s", "1d ", "１d", "1dh"} {
		f.Add(s)
	}
	for s, want := range map[string]time.Duration{"30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "90s": 90 * time.Second, "0s": 0} {
		if got, err := api.ParseDuration(s); err != nil || got != want {
			f.Fatal(s, got, err)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := api.ParseDuration(s)
		if err != nil {
			return
		}
		if again, err := api.ParseDuration(got.String()); got < 0 || err != nil || again != got {
			t.Errorf("%q is %v, and that %v, %v", s, got, again, err)
		}
	})
}
