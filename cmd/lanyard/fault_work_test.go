package main_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	mrand "math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// work has everybody of the crowd at it until ctx ends, and returns when all have stopped.
func (c *crowd) work(ctx context.Context) {
	var all sync.WaitGroup
	on := func(f func()) {
		all.Go(func() {
			for ctx.Err() == nil {
				f()
				time.Sleep(c.pause + time.Millisecond)
			}
		})
	}
	for i := range crowdUsers {
		on(func() {
			if c.in[i] == nil {
				c.in[i] = c.signIn(fmt.Sprintf("u%d", i))
			} else {
				c.useApps(ctx, c.in[i])
			}
		})
	}
	for range 3 {
		on(func() {
			s := c.signIn(fmt.Sprintf("u%d", crowdUsers+mrand.IntN(comers)))
			if s != nil && mrand.IntN(2) == 0 && ctx.Err() == nil {
				c.signOut(s)
			}
		})
	}
	var mine []*registered
	on(func() {
		if r := c.register(); r != nil {
			mine = append(mine, r)
		}
		if len(mine) > 5 && ctx.Err() == nil {
			c.unregister(mine[0])
			mine = mine[1:]
		}
		time.Sleep(5 * time.Millisecond)
	})
	on(func() {
		c.apply(ctx)
		time.Sleep(30 * time.Millisecond)
	})
	all.Wait()
	c.tidy(mine)
}

// useApps is what a person with a session does.
func (c *crowd) useApps(ctx context.Context, s *session) {
	if mrand.IntN(3) == 0 {
		c.answer(s)
		return
	}
	k := c.authorize(s)
	if k == nil || ctx.Err() != nil || mrand.IntN(6) == 0 {
		return
	}
	g, _, err := c.redeem(k)
	if err != nil || g == nil {
		return
	}
	for range mrand.IntN(4) {
		if ctx.Err() != nil {
			return
		}
		if _, err := c.turn(g); err != nil {
			return
		}
	}
	if mrand.IntN(4) == 0 && ctx.Err() == nil {
		c.revoke(g)
	}
}

// tidy leaves to later workers what these have registered; a mould has room for 100.
func (c *crowd) tidy(mine []*registered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = append(c.left, mine...)
}

// room makes room for more clients.
func (c *crowd) room() {
	for len(c.left) > 40 {
		c.unregister(c.left[0])
		c.left = c.left[1:]
	}
}

// apply makes three users with a command.
func (c *crowd) apply(ctx context.Context) {
	name := "a" + strings.ToLower(rand.Text()[:12])
	var docs []string
	for i := range 3 {
		docs = append(docs, fmt.Sprintf("kind: User\nusername: %s-%d\nemail: %s-%d@example.com\n", name, i, name, i))
	}
	c.mu.Lock()
	c.made[name] = false
	c.mu.Unlock()
	cmd := exec.CommandContext(ctx, c.file, "apply", "-f", "-") // ends it with kill -9
	cmd.Dir, cmd.Env, cmd.Stdin = c.o.dir, c.o.env, strings.NewReader(strings.Join(docs, "\n---\n"))
	out, err := cmd.CombinedOutput()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.made[name] = true
	} else if strings.Contains(string(out), "goroutine") {
		c.strange["apply panics"] = string(out)
	}
}

// counts is what was verified.
type counts map[string]int

func (n counts) String() string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(n)) {
		all = append(all, fmt.Sprintf("%d %s", n[k], k))
	}
	return strings.Join(all, ", ")
}

// verify compares the ledger from that entry on with what the server says, and what apply made.
func (c *crowd) verify(from int) (n counts) {
	c.t.Helper()
	n = counts{}
	c.mu.Lock()
	ledger := slices.Clone(c.ledger[from:])
	c.mu.Unlock()
	// Codes last: showing one again ends what it gave.
	slices.SortStableFunc(ledger, func(a, b held) int {
		_, x := a.(*code)
		_, y := b.(*code)
		switch {
		case x == y:
			return 0
		case y:
			return -1
		}
		return 1
	})
	var mu sync.Mutex
	check := func(all []held) {
		var wg sync.WaitGroup
		for part := range slices.Chunk(all, max(1, (len(all)+7)/8)) {
			wg.Go(func() {
				for _, h := range part {
					before := describe(h)
					what := h.check(c)
					mu.Lock()
					n[h.kind()+"s"]++
					mu.Unlock()
					if what != "" {
						c.t.Errorf("%s: %s", before, what)
					}
				}
			})
		}
		wg.Wait()
	}
	split := len(ledger)
	for split > 0 && ledger[split-1].kind() == "code" {
		split--
	}
	check(ledger[:split])
	check(ledger[split:])
	c.verifyApplied(n)
	c.sane()
	return n
}

func describe(h held) string {
	switch h := h.(type) {
	case *session:
		return fmt.Sprintf("a session, %s", h.state)
	case *code:
		return fmt.Sprintf("a code, %s", h.state)
	case *grant:
		return fmt.Sprintf("a grant, %s", h.state)
	case *registered:
		return fmt.Sprintf("a client, %s", h.state)
	case *answered:
		return fmt.Sprintf("an AuthnRequest, %s", h.state)
	}
	return h.kind()
}

// verifyApplied holds what apply made against the list of users: all three or none, and all if it said so.
func (c *crowd) verifyApplied(n counts) {
	c.t.Helper()
	out, exit := c.o.command(c.file, "", nil, "user", "list", "-o", "json")
	var users []struct{ Username string }
	if err := json.Unmarshal([]byte(out), &users); exit != 0 || err != nil {
		c.t.Errorf("user list: exit %d, %v\n%.500s", exit, err, out)
		return
	}
	found := map[string]int{}
	for _, u := range users {
		name, _, _ := strings.Cut(u.Username, "-")
		found[name]++
	}
	for name, acknowledged := range c.made {
		n["applies"]++
		if got := found[name]; got != 0 && got != 3 || acknowledged && got == 0 {
			c.t.Errorf("apply (acknowledged: %v) left %d of 3 users", acknowledged, got)
		}
	}
}

// sane tells what was answered that no fault excuses.
func (c *crowd) sane() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for what, body := range c.strange {
		c.t.Errorf("%s\n%.2000s", what, body)
	}
	if len(c.strange) > 0 {
		out, _ := c.o.command(c.file, "", nil, "event", "list", "--code", "InternalError", "--limit", "1000")
		for line := range strings.Lines(out) {
			if !strings.Contains(line, "not to hand") {
				c.t.Log(line)
			}
		}
	}
	clear(c.strange)
}

// during runs the crowd while f does something to the house.
func (c *crowd) during(t *testing.T, f func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.work(ctx)
	}()
	f()
	stop()
	<-done
}

// reset forgets how requests ended, and returns it.
func (c *crowd) reset() (tally map[int]int, took []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tally, took = c.tally, c.took
	c.tally, c.took = map[int]int{}, nil
	return tally, took
}
