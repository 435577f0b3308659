package main_test

import (
	"database/sql"
	mrand "math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// kill -9 in the midst of sign-ins, redemptions, refreshes, registrations, SAML answers and apply. What was acknowledged is
// there, what was spent is spent, nothing happens twice, and the file is sound.
func TestFaultKill(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		file := binary(t)
		faultOrg(o, file)
		v := o.spawn(file, "")
		addr := v.addr
		c := newCrowd(o, file, func() string { return addr })
		var ready []time.Duration
		began, cycles := time.Now(), times(50, 1000)
		total, told := counts{}, time.Now()
		for i := range cycles {
			from := len(c.ledger)
			c.during(t, func() {
				time.Sleep(time.Duration(30+mrand.IntN(500)) * time.Millisecond)
				v.kill()
			})
			if strings.Contains(v.log.String(), `"panic"`) {
				t.Errorf("a panic:\n%s", v.log.tail())
			}
			c.http.CloseIdleConnections()
			v = o.spawn(file, addr)
			ready = append(ready, v.ready)
			for k, n := range c.verify(from) {
				total[k] += n
			}
			c.room()
			o.sound(t)
			if t.Failed() {
				t.Fatalf("after cycle %d\n%s", i+1, v.log.tail())
			}
			if time.Since(told) > time.Minute {
				told = time.Now()
				t.Logf("%d of %d kills, ready p99 %s", i+1, cycles, percentile(ready, .99))
			}
		}
		c.mu.Lock()
		clear(c.tally)
		c.mu.Unlock()
		last := c.verify(0)
		v.end()
		total["applies"] = last["applies"]
		t.Logf("%d kills in %s: ready p50 %s, p99 %s; compared after the kill: %s; and at the end: %s", cycles,
			time.Since(began).Round(time.Second), percentile(ready, .5).Round(time.Millisecond), percentile(ready, .99).Round(time.Millisecond), total, last)
		if p := percentile(ready, .99); p > 2*time.Second {
			t.Errorf("ready after %s", p)
		}
	})
}

// sound holds an SQLite file to its own check.
func (o *org) sound(t *testing.T) {
	t.Helper()
	file := ""
	for _, e := range o.env {
		if dir, ok := strings.CutPrefix(e, "LANYARD_DATA="); ok {
			file = filepath.Join(dir, "lanyard.db")
		}
		if strings.HasPrefix(e, "LANYARD_DATABASE=") {
			return
		}
	}
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity_check: %s %v", verdict, err)
	}
}
