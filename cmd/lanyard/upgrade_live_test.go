package main_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// balancer stands before nodes as a real one does: in turn, and on to the next where nobody answers the phone. It repeats
// nothing that a node may have seen.
type balancer struct {
	mu    sync.Mutex
	addrs []string
	under map[string]int // requests that a node is working on
	turn  int
	wire  *http.Transport

	answered, failed, redialed atomic.Int64
	by                         sync.Map // node → *atomic.Int64
}

func newBalancer(t *testing.T, addrs ...string) (*balancer, *node) {
	b := &balancer{addrs: addrs, under: map[string]int{}, wire: &http.Transport{MaxIdleConnsPerHost: 32}}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Transport: b,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			b.failed.Add(1)
			t.Errorf("the balancer: %v", err)
			w.WriteHeader(http.StatusBadGateway)
		},
	})
	t.Cleanup(server.Close)
	return b, &node{addr: strings.TrimPrefix(server.URL, "http://")}
}

func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	for try := 0; ; try++ {
		b.mu.Lock()
		b.turn++
		addr := b.addrs[b.turn%len(b.addrs)]
		b.under[addr]++
		b.mu.Unlock()
		r.URL.Host = addr
		res, err := b.wire.RoundTrip(r)
		b.mu.Lock()
		b.under[addr]--
		b.mu.Unlock()
		var dialing *net.OpError
		switch {
		case errors.As(err, &dialing) && dialing.Op == "dial" && try < 3:
			b.redialed.Add(1)
			continue
		case err != nil:
			return nil, err
		case res.StatusCode >= 500:
			b.failed.Add(1)
		}
		b.answered.Add(1)
		n, _ := b.by.LoadOrStore(addr, new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		return res, nil
	}
}

func (b *balancer) add(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addrs = append(b.addrs, addr)
}

// remove sends nothing more to addr, and waits until it has answered what it was sent.
func (b *balancer) remove(addr string) {
	b.mu.Lock()
	b.addrs = slices.DeleteFunc(b.addrs, func(a string) bool { return a == addr })
	b.mu.Unlock()
	for busy := 1; busy > 0; time.Sleep(5 * time.Millisecond) {
		b.mu.Lock()
		busy = b.under[addr]
		b.mu.Unlock()
	}
	time.Sleep(50 * time.Millisecond) // the last bodies
	b.wire.CloseIdleConnections()
}

// was is how many requests addr has answered.
func (b *balancer) was(addr string) int64 {
	n, ok := b.by.Load(addr)
	if !ok {
		return 0
	}
	return n.(*atomic.Int64).Load()
}

// On PostgreSQL a new version takes over from a released one under live sign-ins: the old node alone, then both, then the
// new one alone, and no request fails. 0.1.0 has no pause between SIGTERM and the end of listening, so the balancer leaves
// it out first.
func TestUpgradeLive(t *testing.T) {
	eachRelease(t, []string{storetest.Postgres}, func(t *testing.T, o *org, r *release, k *known) {
		file := r.binary(t)
		old := o.spawn(file, "")
		front, door := newBalancer(t, old.addr)
		o.nodes = []*node{door}
		stopped := make(chan struct{})
		stop := sync.OnceFunc(func() { close(stopped) })
		rounds := o.traffic(t, k, stopped)
		t.Cleanup(func() { stop(); rounds() })
		phase := func(name string, d time.Duration) {
			before := front.answered.Load()
			time.Sleep(d)
			t.Logf("%s: %d requests", name, front.answered.Load()-before)
		}
		phase("old node", time.Second)

		fresh := o.spawn(binary(t), "") // migrates
		front.add(fresh.addr)
		phase("both", 1500*time.Millisecond)
		o.twoVersions(t, k, old.node(), fresh.node())
		phase("both", 500*time.Millisecond)
		// The way back: the old version starts on the new schema too.
		again := o.spawn(file, "")
		front.add(again.addr)
		phase("both, and the old version started anew", time.Second)
		onFresh, onAgain, onOld := front.was(fresh.addr), front.was(again.addr), front.was(old.addr)
		for _, v := range []*victim{again, old} {
			front.remove(v.addr)
			v.end()
		}
		phase("new node", time.Second)
		stop()
		done := rounds()
		t.Logf("%d requests, %d failed, %d dialed again; %v", front.answered.Load(), front.failed.Load(), front.redialed.Load(), done)
		if n := front.failed.Load(); n != 0 {
			t.Errorf("%d requests failed", n)
		}
		if min(onFresh, onAgain, onOld) < 20 {
			t.Errorf("the nodes answered %d, %d and %d requests: that is no mixture", onFresh, onAgain, onOld)
		}
		for _, v := range []*victim{old, fresh, again} {
			if log := v.log.String(); strings.Contains(log, `"level":"ERROR"`) || strings.Contains(log, "panic") {
				t.Errorf("there are errors in a log:\n%s", v.log.tail())
			}
		}
		// And what was known is still true.
		k.holds(t, o)
	})
}

// traffic is people and programs of all kinds that do not stop until they are told; wait then says how often each did all of
// its work. What goes wrong is an error of the test.
func (o *org) traffic(t *testing.T, k *known, stop chan struct{}) (wait func() map[string]int) {
	var all sync.WaitGroup
	var mu sync.Mutex
	rounds := map[string]int{}
	always := func(name string, f func()) {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				f()
				mu.Lock()
				rounds[name]++
				mu.Unlock()
			}
		})
	}
	ana := o.in("ana")

	s := newSP(t, "benefits.example").meet(o)
	always("SAML with a session", func() {
		q := s.request()
		s.accept(ana.copy().get(s.redirect(q, "")), q.ID)
	})
	posts := newSP(t, "benefits.example").meet(o)
	always("SAML by POST, with sign-in", func() {
		b, q := o.browser(), posts.request()
		posts.accept(b.signIn(b.post("/saml/sso", posts.post(q, ""), posts.site()), "ana"), q.ID)
	})
	pension := newSP(t, "pension.example").meet(o)
	always("SAML launched", func() {
		a, _ := pension.accept(ana.copy().get("/saml/launch/Pension"), "")
		if got := a.Subject.NameID.Value; got != k.PersistentNameID {
			t.Errorf("the persistent NameID was %q, and is %q", k.PersistentNameID, got)
		}
	})
	w := wellness(t, o)
	always("OpenID Connect, with all that follows", func() {
		_, token := w.signIn(ana.copy().get(w.start()))
		next, err := w.refresh(token.RefreshToken)
		if err != nil {
			t.Errorf("refresh: %v", err)
			return
		}
		if w.userinfo(next)["email"] != "ana@example.com" {
			t.Error("userinfo says nothing")
		}
		if active, _ := w.active(next.AccessToken); !active {
			t.Error("introspection says nothing")
		}
		if status, _ := w.call("/oauth2/revoke", url.Values{"token": {next.AccessToken}}); status != 200 {
			t.Errorf("revoke: %d", status)
		}
		if active, _ := w.active(next.AccessToken); active {
			t.Error("a revoked token is alive")
		}
	})
	begins := wellness(t, o)
	always("OpenID Connect, with sign-in and sign-out", func() {
		b := o.browser()
		begins.signIn(b.signIn(b.get(begins.start()), "ben"))
		if p := b.post("/signout", url.Values{"decision": {"allow"}}, "here"); p.status != 200 {
			t.Errorf("sign-out: %d", p.status)
		}
		b.get("/apps").asks(t)
	})
	pocket := newRP(t, o, "pocket", "", "http://127.0.0.1:1/cb", "openid", "refresh_token")
	_, line := pocket.signIn(ana.copy().get(pocket.start()))
	always("a refresh token that rotates", func() {
		next, err := pocket.refresh(line.RefreshToken)
		if err != nil {
			t.Errorf("rotation: %v", err)
			return
		}
		line = next
	})
	g := &gateway{rp: newRP(t, o, "gateway", secret, "")}
	registered := 0
	always("a gateway", func() {
		if registered++; registered <= 30 { // there is a limit
			ask := map[string]any{"client_name": fmt.Sprint("Client ", registered), "grant_types": []string{"client_credentials"}, "scope": "orders"}
			status, c := g.register(k.Initial, ask)
			if status != 201 {
				t.Errorf("register: %d %+v", status, c)
				return
			}
			if token, err := g.token(c, "orders"); err != nil {
				t.Errorf("a new child: %v", err)
			} else if active, _ := g.active(token); !active {
				t.Error("a new child's token is not known")
			}
		}
		if status, _, _ := g.rest("GET", k.Child.At, k.Child.Token, nil); status != 200 {
			t.Errorf("GET of a child: %d", status)
		}
	})
	batch := newRP(t, o, "batch", secret, "")
	always("client credentials", func() {
		if status, got := batch.call("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"orders"}}); status != 200 {
			t.Errorf("client credentials: %d %v", status, got)
		}
	})
	kinds := 8
	return sync.OnceValue(func() map[string]int {
		all.Wait()
		if len(rounds) != kinds {
			t.Errorf("of %d kinds of work only these were done: %v", kinds, rounds)
		}
		return rounds
	})
}

// twoVersions tries what one of them began and the other finishes, both ways round.
func (o *org) twoVersions(t *testing.T, k *known, old, fresh *node) {
	t.Helper()
	for _, x := range []struct {
		name     string
		one, two *node
	}{{"old, then new", old, fresh}, {"new, then old", fresh, old}} {
		// A code of one is redeemed at the other, once.
		w, far := wellness(t, o), wellness(t, o)
		w.at(x.one)
		far.at(x.two)
		b := o.browser()
		b.at = x.one
		p := b.get(w.start()).asks(t)
		b.at = x.two // begun there, signed in here, on there
		p = b.signIn(p, "ana")
		code := w.code(p)
		_, err := far.exchange(code)
		if err != nil {
			t.Errorf("%s: a code: %v", x.name, err)
			continue
		}
		if code, _ := oauthError(second(w.exchange(code))); code != "invalid_grant" {
			t.Errorf("%s: a code twice: %q", x.name, code)
		}
		// What one began by POST the other finishes; a session of one is one of the other.
		s := newSP(t, "benefits.example").meet(o)
		q := s.request()
		c := o.browser()
		c.at = x.one
		p = c.post("/saml/sso", s.post(q, ""), s.site()).asks(t)
		c.at = x.two
		s.accept(c.signIn(p, "ana"), q.ID)
		c.at = x.one
		if p := c.get("/apps"); p.url.Path != "/apps" {
			t.Errorf("%s: the session: %s", x.name, p.url)
		}
		// Refreshed to and fro.
		pocket, pocketFar := newRP(t, o, "pocket", "", "http://127.0.0.1:1/cb", "openid", "refresh_token"), newRP(t, o, "pocket", "", "http://127.0.0.1:1/cb")
		pocket.at(x.one)
		pocketFar.at(x.two)
		b.at = x.one
		_, token := pocket.signIn(b.get(pocket.start()))
		for i := range 4 {
			if token, err = []*rp{pocketFar, pocket}[i%2].refresh(token.RefreshToken); err != nil {
				t.Fatalf("%s: refresh %d: %v", x.name, i, err)
			}
		}
		// Registered at one, changed at the other, used at both.
		g, gFar := &gateway{rp: newRP(t, o, "gateway", secret, "")}, &gateway{rp: newRP(t, o, "gateway", secret, "")}
		g.at(x.one)
		gFar.at(x.two)
		status, kid := g.register(k.Initial, map[string]any{"client_name": x.name, "grant_types": []string{"client_credentials"}, "scope": "orders"})
		if status != 201 {
			t.Fatalf("%s: register: %d", x.name, status)
		}
		change := map[string]any{"client_id": kid.ID, "client_name": x.name + " again", "grant_types": []string{"client_credentials"}, "scope": "orders"}
		if status, got, _ := gFar.rest("PUT", kid.At, kid.Token, change); status != 200 || got.Name != x.name+" again" {
			t.Errorf("%s: PUT: %d %+v", x.name, status, got)
		}
		time.Sleep(300 * time.Millisecond) // what one node changed the other knows within 200 ms
		if status, got, _ := g.rest("GET", kid.At, kid.Token, nil); status != 200 || got.Name != x.name+" again" {
			t.Errorf("%s: the change is not seen: %d %+v", x.name, status, got)
		}
		if token, err := gFar.token(kid, "orders"); err != nil {
			t.Errorf("%s: a child: %v", x.name, err)
		} else if active, _ := g.active(token); !active {
			t.Errorf("%s: a child's token is not known", x.name)
		}
		// Ended at one, dead at the other at once.
		c.at = x.one
		c.post("/signout", url.Values{"decision": {"allow"}}, "here")
		c.at = x.two
		c.get("/apps").asks(t)
	}
	// An app as this version writes it is read by the old one, and an administrator's no is one everywhere.
	late := "kind: App\nname: Late\noauth:\n  clientID: late\n  clientSecret: {plain: " + secret + "}\n  redirectURIs: [https://late.example/cb]\n  scopes: [openid]\n  flows: {authorizationCode: true}\npolicy: {groups: [staff]}"
	o.apply(late)
	for _, n := range []*node{old, fresh} {
		l := newRP(t, o, "late", secret, "https://late.example/cb", "openid")
		l.at(n)
		b := o.in("ana")
		b.at = n
		l.signIn(b.get(l.start()))
	}
	o.run("app", "block", "Late")
	for _, n := range []*node{old, fresh} {
		l := newRP(t, o, "late", secret, "https://late.example/cb", "openid")
		b := o.in("ana")
		b.at = n
		if p := b.get(l.start()); p.status == 0 && p.url.Query().Has("code") {
			t.Errorf("a code for a blocked app: %s", p.url)
		}
	}
	// Keys move, and both sign with what is published.
	o.run("key", "rotate", "--force")
	for _, n := range []*node{old, fresh} {
		w := wellness(t, o)
		w.at(n)
		b := o.in("ana")
		b.at = n
		w.signIn(b.get(w.start()))
	}
}
