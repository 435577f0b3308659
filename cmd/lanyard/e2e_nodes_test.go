package main_test

import (
	"net/url"
	"sync"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// Two nodes on one PostgreSQL are one Lanyard: what one began the other finishes, what one ended is over on the other,
// and of two that want the same thing once, one gets it.
func TestNodes(t *testing.T) {
	t.Parallel()
	o := newOrg(t, storetest.Postgres)
	oidcOrg(t, o)
	o.apply(app("Your Benefits", "benefits.example", "", "groups: [staff]"))
	one, two := o.nodes[0], o.serve()
	w, far := wellness(t, o), wellness(t, o)
	far.at(two)
	far.state, far.nonce = w.state, w.nonce

	// Begun here, signed in there, finished here.
	b := o.browser()
	p := b.get(w.start()).asks(t)
	b.at = two
	p = b.signIn(p, "ana")
	b.at = one
	code := w.code(p)
	// A code from node 1, redeemed on node 2, is spent on node 1.
	token, err := far.exchange(code)
	if err != nil {
		t.Fatalf("redeemed on the other node: %v", err)
	}
	if w.userinfo(token) == nil || far.userinfo(token) == nil {
		t.Error("the token does not work on both nodes")
	}
	if code, _ := oauthError(second(w.exchange(code))); code != "invalid_grant" || far.userinfo(token) != nil || w.userinfo(token) != nil {
		t.Errorf("OA-CD-01: the second use on the other node: %q", code)
	}
	// The same for SAML by POST: the request is remembered on node 1.
	s := newSP(t, "benefits.example").meet(o)
	q := s.request()
	c := o.browser()
	p = c.post("/saml/sso", s.post(q, ""), s.site()).asks(t)
	c.at = two
	s.accept(c.signIn(p, "ana"), q.ID)

	// OA-CD-02: one code, sixteen at once on two nodes.
	for range 5 {
		code := w.code(b.get(w.start()))
		if won := race(16, func(i int) bool { return second([]*rp{w, far}[i%2].exchange(code)) == nil }); won > 1 {
			t.Errorf("OA-CD-02: %d of 16 redeemed one code", won)
		}
	}
	// One AuthnRequest, answered once.
	q = s.request()
	address := s.redirect(q, "")
	if won := race(16, func(i int) bool {
		tab := o.browser()
		tab.jar, tab.at = b.jar, o.nodes[i%2]
		return tab.get(address).status == 200
	}); won != 1 {
		t.Errorf("%d of 16 requests with one ID were answered", won)
	}
	// OA-RT-03, OA-RT-04: one refresh token, two nodes: never two living lines.
	pocket := newRP(t, o, "pocket", "", "http://127.0.0.1:1/cb", "openid", "refresh_token")
	pocketFar := newRP(t, o, "pocket", "", "http://127.0.0.1:1/cb")
	pocketFar.at(two)
	_, token = pocket.signIn(b.get(pocket.start()))
	var mu sync.Mutex
	heirs := map[string]bool{}
	race(32, func(i int) bool {
		next, err := []*rp{pocket, pocketFar}[i%2].refresh(token.RefreshToken)
		if err != nil {
			t.Errorf("OA-RT-03: within the grace: %v", err)
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		heirs[next.RefreshToken] = true
		return true
	})
	if len(heirs) != 1 {
		t.Errorf("OA-RT-03: %d living lines", len(heirs))
	}

	// What is blocked with a command is refused on both nodes when the command is done.
	_, token = w.signIn(b.get(w.start()))
	o.run("app", "block", "Wellness_Tracker")
	for _, n := range o.nodes {
		r := wellness(t, o)
		r.at(n)
		if r.userinfo(token) != nil || second(r.refresh(token.RefreshToken)) == nil {
			t.Errorf("%s does not know of the block", n.addr)
		}
		b.at = n
		if p := b.get(w.start()); p.status == 0 && p.url.Query().Has("code") {
			t.Errorf("%s gives a code for a blocked app", n.addr)
		}
	}
	o.run("app", "unblock", "Wellness_Tracker")
	// A session that ended on one is dead on the other at once: the cookie is nobody's any more.
	b.at = one
	thief := o.browser()
	thief.jar.SetCookies(thief.home, b.jar.Cookies(b.home))
	thief.at = two
	if p := thief.get("/apps"); p.url.Path != "/apps" {
		t.Fatalf("the copied cookie does not work: %s", p.url)
	}
	b.post("/signout", url.Values{"decision": {"allow"}}, "here")
	thief.get("/apps").asks(t)
	if e := w.refusal(thief.get(w.start(param("prompt", "none")))); e != "login_required" {
		t.Errorf("OA-LO-04: %s", e)
	}
	// One node may go; the other goes on.
	b = o.in("ana")
	one.stop()
	b.at = two
	if token, err = far.exchange(w.code(b.get(w.start()))); err != nil || far.userinfo(token) == nil {
		t.Errorf("with one node left: %v", err)
	}
}

// race runs f n times at once and counts who won.
func race(n int, f func(i int) bool) (won int) {
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-begin
			if f(i) {
				mu.Lock()
				won++
				mu.Unlock()
			}
		})
	}
	close(begin)
	all.Wait()
	return won
}

// A restart loses nothing that was begun.
func TestRestart(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		oidcOrg(t, o)
		w := wellness(t, o)
		in, late := o.in("ana"), o.browser()
		code := w.code(in.get(w.start()))
		begun := late.get(w.start()).asks(t)
		first := o.nodes[0]
		first.stop()
		o.nodes = nil
		o.serve("--listen", first.addr)
		if _, err := w.exchange(code); err != nil {
			t.Errorf("a code from before: %v", err)
		}
		w.signIn(late.signIn(begun, "ana"))
		w.signIn(in.get(w.start(param("prompt", "none"))))
		if code, _ := oauthError(second(w.exchange(code))); code != "invalid_grant" {
			t.Errorf("OA-CD-01: the second use after a restart: %q", code)
		}
	})
}
