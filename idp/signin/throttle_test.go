package signin_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// long is a wrong password that is so long that nothing is hashed: tests that guess often are quick.
var long = strings.Repeat("x", 1025)

// guess tries a wrong password and returns the status.
func (b *browser) guess(username string) int {
	return b.post("/signin", "username", username, "password", long).Code
}

// AUTH-03: five failures are free, then waiting begins and doubles up to ten minutes; after a quarter of an hour all is
// forgotten. Nobody is locked out for good.
func TestThrottle(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		for i := range 5 {
			if got := b.guess("ana"); got != http.StatusUnprocessableEntity {
				t.Fatalf("guess %d: %d", i+1, got)
			}
		}
		for _, wait := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600} {
			// While one waits, nothing is hashed, and the right password is not looked at either.
			var status int
			var retry string
			if n := allocated(func() {
				w := b.post("/signin", "username", "ANA", "password", anaPassword)
				status, retry = w.Code, w.Header().Get("Retry-After")
			}); n > oneHash/2 {
				t.Error("a password was hashed")
			}
			if status != http.StatusTooManyRequests || retry != strconv.Itoa(wait) || b.session() != nil {
				t.Fatalf("waiting %d s: %d, Retry-After %s", wait, status, retry)
			}
			h.pass(time.Duration(wait) * time.Second)
			if wait < 512 { // by then the first failure is forgotten
				if got := b.guess("ana"); got != http.StatusUnprocessableEntity {
					t.Fatalf("after %d s: %d", wait, got)
				}
			} else {
				break
			}
		}
		if e := h.event("TooManyAttempts"); e.User != "ana" || e.Outcome != "refused" {
			t.Errorf("event %+v", e)
		}
		h.pass(15 * time.Minute)
		for i := range 5 {
			if got := b.guess("ana"); got != http.StatusUnprocessableEntity {
				t.Errorf("a quarter of an hour later, guess %d: %d", i+1, got)
			}
		}
		h.pass(time.Second)
		b.signIn("/signin", "ana", anaPassword, "/apps")
		// A success takes the failures back.
		for i := range 5 {
			if got := h.browser().guess("ana"); got != http.StatusUnprocessableEntity {
				t.Errorf("after a success, guess %d: %d", i+1, got)
			}
		}
	})
}

// AUTH-01: names nobody has are throttled alike, and all writings of a name are one.
func TestThrottleUnknown(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for i, name := range []string{"eve", "EVE", " eve ", "ｅｖｅ", "Eve", "eve"} {
			want := http.StatusUnprocessableEntity
			if i == 5 {
				want = http.StatusTooManyRequests
			}
			if got := h.browser().guess(name); got != want {
				t.Errorf("%q, guess %d: %d", name, i+1, got)
			}
		}
		// Names that no database would take as they are.
		for _, name := range []string{"a\x00b", "\xff\xfe", strings.Repeat("\ufdfa", 85)} {
			if got := h.browser().guess(name); got != http.StatusUnprocessableEntity {
				t.Errorf("%.10q: %d", name, got)
			}
		}
	})
}

// AUTH-03: a browser at which the person has signed in before has a count of its own.
func TestKnownBrowser(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		home, shared, evil := h.browser(), h.browser(), h.browser()
		shared.signIn("/signin", "ben", benPassword, "/apps")
		shared.signIn("/signin", "ana", anaPassword, "/apps")
		home.signIn("/signin", "ana", anaPassword, "/apps")
		home.post("/signout", "decision", "allow")
		for range 6 {
			evil.guess("ana")
		}
		if got := evil.guess("ana"); got != http.StatusTooManyRequests {
			t.Fatalf("the guesser: %d", got)
		}
		home.ip = evil.ip // the same office, even
		home.signIn("/signin", "ana", anaPassword, "/apps")
		if got := evil.guess("ana"); got != http.StatusTooManyRequests {
			t.Errorf("her success let the guesser on: %d", got)
		}
		// It is no licence to guess, and it is hers: at the same browser Ben is a stranger.
		home.post("/signout", "decision", "allow")
		for i := range 6 {
			if got := home.guess("ana"); (got == http.StatusTooManyRequests) != (i == 5) {
				t.Errorf("guess %d at the known browser: %d", i+1, got)
			}
		}
		for range 6 {
			shared.guess("ana")
		}
		shared.signIn("/signin", "ben", benPassword, "/apps") // her failures are not his
		for range 6 {
			evil.guess("ben")
		}
		if got := home.post("/signin", "username", "ben", "password", benPassword).Code; got != http.StatusTooManyRequests {
			t.Errorf("Ben at Ana's browser: %d", got)
		}
		// A mark that somebody made up, or took over under another name, is known to nobody.
		planted := h.browser()
		c := *home.cookie("-browser")
		c.Value = "b." + strings.Repeat("A", 43)
		planted.cookies = append(planted.cookies, &c)
		if got := planted.guess("ana"); got != http.StatusTooManyRequests {
			t.Errorf("a planted mark: %d", got)
		}
	})
}

// AUTH-04, WEB-11: fifty failures from one address, whosever; of IPv6, from one network.
func TestThrottleAddress(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for _, c := range []struct{ from, near, far string }{
			{"192.0.2.9:1", "192.0.2.9:65000", "192.0.2.10:1"},
			{"[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff::9]:1", "[2001:db8:1:3::1]:1"},
		} {
			b := h.browser()
			b.ip = c.from
			for i := range 50 {
				if got := b.guess(fmt.Sprint("user", i, c.from)); got != http.StatusUnprocessableEntity {
					t.Fatalf("guess %d: %d", i+1, got)
				}
			}
			for ip, want := range map[string]int{c.from: http.StatusTooManyRequests, c.near: http.StatusTooManyRequests, c.far: http.StatusSeeOther} {
				o := h.browser()
				o.ip = ip
				if got := o.post("/signin", "username", "ben", "password", benPassword).Code; got != want {
					t.Errorf("from %s: %d, want %d", ip, got, want)
				}
			}
			h.pass(time.Second)
			b.signIn("/signin", "ben", benPassword, "/apps") // takes back one: its own
			if got := h.browserAt(c.near).guess("eve" + c.from); got != http.StatusUnprocessableEntity {
				t.Errorf("the next guess: %d", got)
			}
			if got := h.browserAt(c.near).guess("eve" + c.from); got != http.StatusTooManyRequests {
				t.Errorf("a success took the failures of all back: %d", got)
			}
		}
	})
}

func (h *house) browserAt(ip string) *browser {
	b := h.browser()
	b.ip = ip
	return b
}

// A hundred guesses at once, on two nodes: no more than the free ones are looked at.
func TestParallelGuesses(t *testing.T) {
	each(t, func(t *testing.T, h *house) { parallel(t, h, h) })
	t.Run("two nodes", func(t *testing.T) {
		c := &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
		a, b := storetest.Two(t, func(config *store.Config) { config.Now = c.Now })
		h := newHouse(t, a, c, "https://id.example.com")
		o := *h
		room := *h.room
		room.Store = b
		o.room, o.st = &room, b
		o.router = newRouter(&room)
		parallel(t, h, &o)
	})
}

func parallel(t *testing.T, nodes ...*house) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	count := map[int]int{}
	for i := range 100 {
		b := nodes[i%len(nodes)].browserAt(fmt.Sprintf("192.0.2.%d:1", i))
		wait.Go(func() {
			status := b.guess("ana")
			mu.Lock()
			defer mu.Unlock()
			count[status]++
		})
	}
	wait.Wait()
	if count[http.StatusUnprocessableEntity] != 5 || count[http.StatusTooManyRequests] != 95 {
		t.Errorf("%v", count)
	}
}
