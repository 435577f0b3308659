package oidc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/oidc"
)

// addresses are where clients' keys lie, in a bubble of time of its own: nothing here takes as long as it says.
type addresses struct {
	t     *testing.T
	h     *oidc.Handler
	log   bytes.Buffer
	mu    sync.Mutex
	at    map[string]func(context.Context) ([]byte, error)
	asked map[string]int
}

func inBubble(t *testing.T, f func(t *testing.T, a *addresses)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := &addresses{t: t, at: map[string]func(context.Context) ([]byte, error){}, asked: map[string]int{}}
		a.h = &oidc.Handler{Now: time.Now, Log: slog.New(slog.NewTextHandler(&a.log, nil)), Fetch: func(ctx context.Context, url string, most int64) ([]byte, error) {
			a.mu.Lock()
			a.asked[url]++
			get := a.at[url]
			a.mu.Unlock()
			if most != 256<<10 {
				t.Errorf("OA-DCR-03: up to %d bytes are read", most)
			}
			return get(ctx)
		}}
		f(t, a)
	})
}

// put makes the address answer with keys of those names.
func (a *addresses) put(url string, kids ...string) {
	list := []object{}
	for _, kid := range kids {
		list = append(list, with(key("p256").public(), "kid", kid))
	}
	a.answer(url, string(text(object{"keys": list})), nil)
}

func (a *addresses) answer(url, body string, err error) {
	a.does(url, func(context.Context) ([]byte, error) { return []byte(body), err })
}

// hang makes the address take the question and never answer.
func (a *addresses) hang(url string) {
	a.does(url, func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() })
}

func (a *addresses) does(url string, f func(context.Context) ([]byte, error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at[url] = f
}

func (a *addresses) times(url string, want int) {
	a.t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asked[url] != want {
		a.t.Errorf("%s was read %d times, want %d", url, a.asked[url], want)
	}
}

// get holds what is got to its kids, or to its error, and to how long it took.
func (a *addresses) get(url string, seen int, want, fault string, took time.Duration) (version int) {
	a.t.Helper()
	began := time.Now()
	kids, version, err := oidc.FetchKeys(a.t.Context(), a.h, url, seen)
	if fault == "" && err != nil || fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) || strings.Join(kids, " ") != want {
		a.t.Errorf("%s: %q, %v, want %q, %q", url, kids, err, want, fault)
	}
	if d := time.Since(began); d != took {
		a.t.Errorf("%s: it took %s, want %s", url, d, took)
	}
	return version
}

// whole is how long a reading takes that gives nothing.
const whole = 4900 * time.Millisecond

const there = "https://app.example/keys"

// A copy is used for five minutes, is renewed behind a request's back for as long again, and is waited for after that.
func TestKeysAreKept(t *testing.T) {
	inBubble(t, func(t *testing.T, a *addresses) {
		a.put(there, "one")
		a.get(there, 0, "one", "", 0)
		a.put(there, "two")
		time.Sleep(5*time.Minute - time.Second)
		a.get(there, 0, "one", "", 0)
		a.times(there, 1)
		time.Sleep(2 * time.Second)
		a.get(there, 0, "one", "", 0)
		synctest.Wait()
		a.times(there, 2)
		a.get(there, 0, "two", "", 0)
		a.put(there, "three")
		time.Sleep(10*time.Minute + time.Second)
		a.get(there, 0, "three", "", 0)
		a.times(there, 3)
		// A client that takes all its keys away wants none of them believed.
		a.answer(there, `{"keys":[]}`, nil)
		time.Sleep(10*time.Minute + time.Second)
		a.get(there, 0, "", "", 0)
	})
}

// oidcc-refresh-token-rp-key-rotation: an unknown key is asked for again, but not more often than each half minute.
func TestKeysUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T, a *addresses) {
		a.put(there, "old")
		v := a.get(there, 0, "old", "", 0)
		a.put(there, "new", "old")
		for range 100 {
			a.get(there, v, "", "again in 30s at the earliest", 0)
		}
		a.times(there, 1)
		time.Sleep(30 * time.Second)
		w := a.get(there, v, "new old", "", 0)
		a.times(there, 2)
		a.get(there, v, "new old", "", 0) // who saw the old copy needs no reading of their own
		a.get(there, w, "", "again in 30s at the earliest", 0)
		a.times(there, 2)
		a.get(there, 0, "new old", "", 0)
		time.Sleep(10*time.Minute + time.Second)
		a.get(there, v, "new old", "", 0)
		a.times(there, 2)
	})
}

// While the address gives nothing, the last good copy is used for 12 hours; tries are paid out sparingly.
func TestKeysDown(t *testing.T) {
	inBubble(t, func(t *testing.T, a *addresses) {
		down := errors.New("connection refused")
		a.answer(there, "", down)
		a.get(there, 0, "", "connection refused", 0)
		for i, pause := range []time.Duration{10, 20, 40, 60, 60} {
			a.get(there, 0, "", fmt.Sprintf("connection refused (tried 0s ago; the next try is in %s at the earliest)", pause*time.Second), 0)
			time.Sleep(pause*time.Second - time.Millisecond)
			a.get(there, 0, "", "connection refused", 0)
			a.times(there, i+1)
			time.Sleep(time.Millisecond)
			a.get(there, 0, "", "connection refused", 0)
			a.times(there, i+2)
		}
		a.put(there, "one")
		time.Sleep(time.Minute)
		v := a.get(there, 0, "one", "", 0)
		a.answer(there, "", down)
		for range 11 {
			time.Sleep(time.Hour)
			a.get(there, 0, "one", "", 0)
		}
		a.get(there, v, "", "connection refused", 0) // a new key is another matter
		time.Sleep(time.Hour - time.Second)
		a.get(there, 0, "one", "", 0)
		time.Sleep(2 * time.Second)
		a.get(there, 0, "", "connection refused", 0)
		// And back: the next trouble is the first again.
		a.put(there, "two")
		time.Sleep(time.Minute)
		v = a.get(there, 0, "two", "", 0)
		a.answer(there, "", down)
		time.Sleep(time.Minute)
		a.get(there, v, "", "connection refused", 0)
		a.get(there, v, "", "the next try is in 10s at the earliest", 0)
		if !strings.Contains(a.log.String(), "connection refused") || !strings.Contains(a.log.String(), there) {
			t.Errorf("an operator does not read of it: %s", a.log.String())
		}
	})
}

// What is no JWK Set is no copy; of one that is, what can not be used is left out.
func TestKeysUnreadable(t *testing.T) {
	inBubble(t, func(t *testing.T, a *addresses) {
		k := key("p256").public()
		secret := with(key("p256").public(), "d", "AAAA", "kid", "secret")
		for i, c := range []struct{ body, kids, fault string }{
			{"", "", "no JWK Set"},
			{"<html>", "", "no JWK Set"},
			{`{"keys":{}}`, "", "an array"},
			{`{"keys":[],"keys":[]}`, "", "there twice"},
			{string(text(object{"keys": slices.Repeat([]object{k}, 101)})), "", "at most 100 keys"},
			{string(text(object{"keys": []any{with(k, "kid", "good"), with(k, "kid", "enc", "use", "enc"), secret, object{"kty": "XX"}, 1,
				object{"kty": "oct", "k": "AAAA"}, with(k, "kid", "far", "x", "AAAA"), with(k, "kid", "wrong", "alg", "HS256")}})), "good", ""},
		} {
			url := fmt.Sprint(there, i)
			a.answer(url, c.body, nil)
			a.get(url, 0, c.kids, c.fault, 0)
		}
		url := there + "panic"
		a.does(url, func(context.Context) ([]byte, error) { panic("at the disco") })
		a.get(url, 0, "", "panic: at the disco", 0)
		a.h.Fetch = nil
		a.get(there+"other", 0, "", "fetches nothing", 0)
	})
}

// An address that hangs makes those wait who need it, five seconds and no more of them than fifty, and nobody else. It is
// read once for all who wait, and not again at once.
func TestKeysHang(t *testing.T) {
	inBubble(t, func(t *testing.T, a *addresses) {
		const other = "https://other.example/keys"
		a.hang(there)
		a.put(other, "other")
		var wait sync.WaitGroup
		for range 50 {
			wait.Go(func() { a.get(there, 0, "", "no whole answer within 5s", whole) })
		}
		synctest.Wait()
		a.get(there, 0, "", "50 requests wait for them already", 0)
		a.get(other, 0, "other", "", 0)
		wait.Wait()
		a.times(there, 1)
		a.get(there, 0, "", "no whole answer within 5s (tried 0s ago; the next try is in 10s at the earliest)", 0)
		a.get(other, 0, "other", "", 0)

		// With a copy there is less to wait for: it is used as soon as it is clear that no other comes.
		time.Sleep(time.Minute)
		a.put(there, "one")
		v := a.get(there, 0, "one", "", 0)
		a.hang(there)
		time.Sleep(6 * time.Minute)
		a.get(there, 0, "one", "", 0)
		time.Sleep(30 * time.Minute)
		a.get(there, 0, "one", "", whole)
		a.get(there, 0, "one", "", 0)
		time.Sleep(time.Minute)
		a.get(there, v, "", "no whole answer within 5s", whole)

		// Who goes away waits no longer, and spoils nothing for the others.
		slow := there + "/slow"
		a.does(slow, func(context.Context) ([]byte, error) {
			time.Sleep(2 * time.Second)
			return []byte(set(with(key("p256").public(), "kid", "slow"))), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		wait.Go(func() {
			if _, _, err := oidc.FetchKeys(ctx, a.h, slow, 0); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		a.get(slow, 0, "slow", "", 2*time.Second)
		a.times(slow, 1)
		wait.Wait()

		// Even one that does not keep to its time is not waited for.
		never := there + "/never"
		free := make(chan struct{})
		a.does(never, func(context.Context) ([]byte, error) { <-free; return nil, errors.New("at last") })
		a.get(never, 0, "", "no whole answer within 5s", 5*time.Second)
		close(free)
	})
}

// Not more than 32 addresses are read at a time, and not more than 1000 remembered.
func TestKeysBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, a *addresses) {
		name := func(kind string, i int) string { return fmt.Sprintf("https://%s%d.example/", kind, i) }
		a.put(there, "kept")
		a.get(there, 0, "kept", "", 0)
		var wait sync.WaitGroup
		at := func(i int) string { return fmt.Sprintf("https://One.example/%d", i) }
		for i := range 16 {
			a.hang(at(i))
			wait.Go(func() { a.get(at(i), 0, "", "no whole answer", whole) })
		}
		synctest.Wait()
		a.put(at(16), "more")
		a.get(at(16), 0, "", "16 addresses of keys at one.example are being read just now", 0)
		a.put(name("another", 0), "another")
		a.get(name("another", 0), 0, "another", "", 0)
		wait.Wait()
		a.get(at(16), 0, "more", "", 0)
		for i := range 32 {
			a.hang(name("hung", i))
			wait.Go(func() { a.get(name("hung", i), 0, "", "no whole answer", whole) })
		}
		synctest.Wait()
		a.put(name("more", 0), "more")
		a.get(name("more", 0), 0, "", "32 addresses of keys are being read just now", 0)
		a.get(there, 0, "kept", "", 0) // who has its keys is not concerned
		wait.Wait()
		a.get(name("more", 0), 0, "more", "", 0)
		for i := range 1100 {
			a.put(name("many", i), "k")
			a.get(name("many", i), 0, "k", "", 0)
			a.get(there, 0, "kept", "", 0)
			time.Sleep(time.Millisecond)
		}
		a.times(there, 1)
		if n := oidc.Remembered(a.h); n != 1000 {
			t.Errorf("%d addresses are remembered", n)
		}
	})
}

// From the registration to the token: keys at an address that moves on, and what its admin reads when it does not answer.
func TestAssertionByURI(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", func(c *oidc.Client, _ *idp.Installation) {
			c.AuthMethod, c.JWKSURI = oidc.MethodPrivateKey, "https://rp.example/keys"
		})
		var mu sync.Mutex
		keys, fault := []object{key("p256").public()}, error(nil)
		h.fetch = func(_ context.Context, url string, most int64) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			if url != "https://rp.example/keys" {
				t.Errorf("%s was fetched", url)
			}
			return text(object{"keys": keys}), fault
		}
		ask := func(name, alg string) *answer {
			return h.asserted(key(name).assert(alg, object{"alg": alg, "kid": key(name).kid}, h.claims("rp")))
		}
		h.ok(ask("p256", "ES256"))
		a := ask("rsa", "PS256")
		if h.fails(a, 401, invalidClient); !strings.Contains(h.event(a).Reason, `no key with the kid "rsa" (https://rp.example/keys: read 0s ago;`) {
			t.Errorf("before the pause is over: %s", h.event(a).Reason)
		}
		keys = []object{key("rsa").public()}
		h.clock.forward(31 * time.Second)
		h.ok(ask("rsa", "PS256"))
		h.fails(ask("p256", "ES256"), 401, invalidClient)
		h.clock.forward(31 * time.Second)
		a = ask("p256", "ES256")
		if h.fails(a, 401, invalidClient); !strings.Contains(h.event(a).Reason, "was read just now") {
			t.Errorf("taken away: %s", h.event(a).Reason)
		}
		mu.Lock()
		fault = errors.New("rp.example is at the private address 10.0.0.1; if that is meant, allow it with --allow-fetch 10.0.0.1/32")
		mu.Unlock()
		h.clock.forward(6 * time.Minute)
		h.ok(ask("rsa", "PS256"))
		h.clock.forward(13 * time.Hour)
		a = ask("rsa", "PS256")
		if h.fails(a, 401, invalidClient); !strings.Contains(h.event(a).Reason, "the keys at https://rp.example/keys can not be read: rp.example is at the private address 10.0.0.1; if that is meant, allow it with --allow-fetch 10.0.0.1/32") {
			t.Errorf("down: %s", h.event(a).Reason)
		}
		if strings.Contains(a.Text, "10.0.0.1") {
			t.Errorf("the caller reads where it lies: %s", a.Text)
		}
		// What costs nothing to refuse costs no reading either (OA-JWT-02: NOFETCH).
		h.fetch = func(context.Context, string, int64) ([]byte, error) {
			t.Error("fetched for what was wrong in any case")
			return nil, http.ErrAbortHandler
		}
		h.clock.forward(time.Hour)
		k := key("p256")
		for _, bad := range []string{
			k.assert("ES256", object{"alg": "none"}, h.claims("rp")), k.assert("ES256", object{"alg": "ES256", "jku": "https://evil.example"}, h.claims("rp")),
			k.assert("ES256", object{"alg": "ES256"}, with(h.claims("rp"), "exp", 1)), k.assert("ES256", object{"alg": "ES256"}, with(h.claims("rp"), "aud", "x")),
			k.assert("ES256", object{"alg": "ES256"}, without(h.claims("rp"), "jti")),
		} {
			h.fails(h.asserted(bad), 401, invalidClient)
		}
	})
}
