package main_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// What tests may break is not in the product.
func TestFaultHooksNotInProduct(t *testing.T) {
	for file, want := range map[string]bool{binary(t): false, faultyBinary(t): true} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, hook := range []string{"LANYARD_FAULT_CLOCK", "LANYARD_FAULT_MIGRATION"} {
			if bytes.Contains(b, []byte(hook)) != want {
				t.Errorf("%s in %s: want %v", hook, filepath.Base(file), want)
			}
		}
	}
}

// wrongClock is the clock of a faulty server's machine.
type wrongClock struct {
	t    *testing.T
	file string
}

func newWrongClock(t *testing.T, by time.Duration) *wrongClock {
	c := &wrongClock{t, filepath.Join(t.TempDir(), "clock")}
	c.set(by)
	return c
}

func (c *wrongClock) set(by time.Duration) {
	c.t.Helper()
	if err := os.WriteFile(c.file, []byte(by.String()), 0o600); err != nil {
		c.t.Fatal(err)
	}
	time.Sleep(60 * time.Millisecond) // the server looks every 20 ms
}

func (c *wrongClock) env() string { return "LANYARD_FAULT_CLOCK=" + c.file }

// verifies has every ID token and every assertion of the crowd verified by other people's libraries: go-oidc, which fetches the
// keys from from, and crewjam/saml (goxmldsig) with the certificates of the metadata.
func (c *crowd) verifies(from func() string) (verified *atomic.Int64) {
	c.t.Helper()
	verified = &atomic.Int64{}
	keys := &http.Client{Transport: c.http.Transport.(*http.Transport).Clone(), Timeout: 10 * time.Second}
	keys.Transport.(*http.Transport).DialContext = dialTo(from)
	c.t.Cleanup(keys.CloseIdleConnections)
	ctx := oidc.ClientContext(context.Background(), keys)
	verifier := oidc.NewVerifier(c.o.url, oidc.NewRemoteKeySet(ctx, c.o.url+"/oauth2/keys"), &oidc.Config{ClientID: "pocket"})
	c.id = func(raw string) error {
		verified.Add(1)
		id, err := verifier.Verify(ctx, raw)
		if err == nil && time.Until(id.IssuedAt).Abs() > 10*time.Second {
			return fmt.Errorf("iat is %s away", time.Until(id.IssuedAt))
		}
		return err
	}
	c.assert = func(doc []byte, id string) error {
		verified.Add(1)
		sso := c.sso.Load()
		_, err := sso.ParseXMLResponse(doc, []string{id}, sso.AcsURL)
		return err
	}
	return verified
}

// two nodes whose machines' clocks are a minute apart. Whoever asks one for this and the other for that does not notice, and
// what they issue is good everywhere.
func TestFaultClocksApart(t *testing.T) {
	t.Parallel()
	file := faultyBinary(t)
	o := newOrg(t, storetest.Postgres)
	faultOrg(o, file)
	slow, fast := newWrongClock(t, -30*time.Second), newWrongClock(t, 30*time.Second)
	nodes := []*victim{o.spawn(file, "", slow.env()), o.spawn(file, "", fast.env())}
	var turn atomic.Int64
	c := newCrowd(o, file, func() string { return nodes[turn.Add(1)%2].addr })
	c.http.Transport.(*http.Transport).DisableKeepAlives = true // the next request goes to the other node
	verified := c.verifies(func() string { return nodes[turn.Load()%2].addr })
	c.during(t, func() { time.Sleep(6 * time.Second) })
	tally, _ := c.reset()
	for status, n := range tally {
		if status >= 400 || status == 0 {
			t.Errorf("%d answers of %d", n, status)
		}
	}
	for _, v := range nodes {
		if !strings.Contains(v.log.String(), "clock differs") {
			t.Error("nobody is told that the clock is wrong")
		}
	}
	n := c.verify(0)
	t.Logf("clocks 60 s apart: %v, %d tokens and assertions verified; compared: %s", tally, verified.Load(), n)
	for _, v := range nodes {
		v.end()
	}
}

// the clock steps back an hour, forward an hour, forward a day, and back each time, with a start of the server in between (which
// sweeps). New sign-ins work all the while, nothing that was spent is taken again, and afterwards everybody is still signed in.
func TestFaultClockSteps(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		file := faultyBinary(t)
		faultOrg(o, file)
		clock := newWrongClock(t, 0)
		v := o.spawn(file, "", clock.env())
		addr := v.addr
		c := newCrowd(o, file, func() string { return addr })
		again := func() {
			v.end()
			c.http.CloseIdleConnections()
			v = o.spawn(file, addr, clock.env())
			time.Sleep(100 * time.Millisecond) // it sweeps
		}
		user, ahead := 0, time.Duration(0)
		fresh := func() *session {
			user++
			s := c.signIn(fmt.Sprintf("u%d", user%(crowdUsers+comers)))
			if s == nil {
				t.Fatal("not signed in")
			}
			return s
		}
		// login is a whole new sign-in, with all that follows.
		login := func(when string) (s *session) {
			t.Helper()
			s = fresh()
			k := c.authorize(s)
			if k == nil {
				t.Errorf("%s: no code", when)
				return s
			}
			g, a, err := c.redeem(k)
			if g == nil {
				t.Errorf("%s: no tokens: %v %+v", when, err, a)
				return s
			}
			if a, err := c.turn(g); err != nil || a.status != http.StatusOK {
				t.Errorf("%s: no refresh", when)
			}
			g.made = g.made.Add(min(0, ahead)) // an access token of an hour ago ends now
			return s
		}
		// replays shows again what was spent before; nothing of it may be taken.
		replays := func(when string) {
			t.Helper()
			s := fresh()
			n := 0
			for _, h := range c.ledger {
				switch h := h.(type) {
				case *answered:
					a, err := c.ask("GET", h.address, nil, s.with)
					if err != nil || strings.Contains(a.body, "SAMLResponse") {
						t.Errorf("%s: an AuthnRequest was answered again (%v)", when, err)
					}
					n++
				case *code:
					if h.state != over || !h.replay {
						continue
					}
					a, err := c.ask("POST", "/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"pocket"}, "redirect_uri": {pocketBack},
						"code": {h.value}, "code_verifier": {h.verifier}}, nil)
					if err != nil || a.status != http.StatusBadRequest {
						t.Errorf("%s: a code was redeemed again (%v)", when, err)
					}
					if h.grant != nil {
						h.grant.state = over
					}
					n++
				}
			}
			if n < 5 {
				t.Errorf("%s: only %d things to show again", when, n)
			}
		}
		for i := range 6 {
			s := login("before")
			for range 2 {
				address := c.sso.Load().redirect(c.sso.Load().request(), "")
				a, err := c.ask("GET", address, nil, s.with)
				if err != nil || !strings.Contains(a.body, "SAMLResponse") {
					t.Fatalf("no assertion: %v", err)
				}
				c.keep(&answered{address: address, by: s, state: over})
			}
			if i == 0 {
				c.signOut(fresh())
			}
		}
		for _, by := range []time.Duration{-time.Hour, time.Hour, 24 * time.Hour} {
			what := "by " + by.String()
			clock.set(by)
			ahead = by
			login(what)
			replays(what)
			for _, h := range c.ledger { // who is here meanwhile may have to sign in; their session is none the worse
				if s, ok := h.(*session); ok && s.state == there {
					if _, err := c.ask("GET", "/apps", nil, s.with); err != nil {
						t.Error(err)
					}
				}
			}
			again()
			login(what + ", after a start")
			clock.set(0)
			ahead = 0
			replays(what + ", and back")
			login(what + ", and back")
			if by == 24*time.Hour {
				again()
				replays("after all")
			}
			c.sane()
		}
		t.Logf("compared: %s", c.verify(0))
		v.end()
	})
}
