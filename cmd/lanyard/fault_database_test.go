package main_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// published is what a node tells without its database too.
var published = []string{"/oauth2/keys", "/.well-known/openid-configuration", "/saml/metadata"}

// quickly is far below what it takes to wait for a database, and far above what an answer takes on a machine with too much to do.
const quickly = 3 * time.Second

// outage watches a node whose database is not to hand: what it says of itself, how long it takes to say no, and that what everybody
// may know is told all the while.
type outage struct {
	v       *victim
	c       *crowd
	unready time.Duration // until /readyz said so
	longest time.Duration // to answer anything once it did
}

// goesBy holds the node to what it must do in so long an outage, which has just begun.
func (w *outage) goesBy(t *testing.T, long time.Duration) {
	t.Helper()
	began := time.Now()
	time.Sleep(time.Second)
	w.tells(t)
	w.v.until(http.StatusServiceUnavailable, 5*time.Second)
	w.unready = time.Since(began)
	time.Sleep(time.Until(began.Add(16 * time.Second))) // what had begun before has ended, one way or another
	w.c.reset()
	time.Sleep(time.Until(began.Add(long)))
	w.tells(t)
	w.refuses(t)
}

// tells demands what a node tells without a database.
func (w *outage) tells(t *testing.T) {
	t.Helper()
	for _, path := range append([]string{"/healthz"}, published...) {
		began := time.Now()
		res, err := probes.Get("http://" + w.v.addr + path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK || time.Since(began) > quickly {
			t.Errorf("%s: %d in %s", path, res.StatusCode, time.Since(began))
		}
	}
}

// refuses demands that since it said so nothing was acknowledged, and that it was quick to say no.
func (w *outage) refuses(t *testing.T) {
	t.Helper()
	tally, took := w.c.reset()
	for status, n := range tally {
		if status != http.StatusServiceUnavailable {
			t.Errorf("%d answers of %d while the database was away", n, status)
		}
	}
	if w.longest = percentile(took, 1); w.longest > quickly {
		t.Errorf("it took %s to say no", w.longest)
	}
	if len(took) == 0 {
		t.Error("nobody asked for anything")
	}
}

// database is where o's data lies in PostgreSQL.
func (o *org) database() (dsn string) {
	for _, e := range o.env {
		if d, ok := strings.CutPrefix(e, "LANYARD_DATABASE="); ok {
			dsn = d
		}
	}
	return dsn
}

// the database is away for 30 seconds and back: nobody answers there, or nothing arrives any more.
func TestFaultDatabaseGone(t *testing.T) {
	t.Parallel()
	beside(t, map[string]func(t *testing.T){"refused": databaseRefused, "partition": databasePartition})
}

func databaseRefused(t *testing.T) {
	file := binary(t)
	o := newOrg(t, storetest.Postgres)
	faultOrg(o, file)
	network, through := newProxy(t, o.database())
	v := o.spawn(file, "", "LANYARD_DATABASE="+through)
	quiet := o.spawn(file, "", "LANYARD_DATABASE="+through) // nobody asks it for anything
	c := newCrowd(o, file, func() string { return v.addr })
	c.pause = 50 * time.Millisecond
	w := &outage{v: v, c: c}
	var back time.Duration
	c.during(t, func() {
		time.Sleep(1500 * time.Millisecond)
		w.tells(t)
		network.set(refusing)
		w.goesBy(t, 30*time.Second)
		(&outage{v: quiet}).tells(t)
		network.set(passing)
		back = v.until(http.StatusOK, 5*time.Second)
		time.Sleep(500 * time.Millisecond)
		c.reset()
		time.Sleep(time.Second)
	})
	if tally, _ := c.reset(); tally[0]+tally[503] > 0 || tally[200]+tally[201]+tally[303] == 0 {
		t.Errorf("half a second after it is back: %v", tally)
	}
	n := c.verify(0)
	t.Logf("away for 30 s: unready after %s, then no within %s; ready %s after it is back; compared: %s",
		w.unready.Round(100*time.Millisecond), w.longest.Round(time.Millisecond), back.Round(10*time.Millisecond), n)
	v.end()
}

// databasePartition cuts off one of two nodes: nothing arrives any more, and nobody says so (half-open connections). It leaves
// readiness and issues nothing; the other goes on, and nobody who is sent there notices.
func databasePartition(t *testing.T) {
	file := binary(t)
	o := newOrg(t, storetest.Postgres)
	faultOrg(o, file)
	network, through := newProxy(t, o.database())
	one := o.spawn(file, "")
	two := o.spawn(file, "", "LANYARD_DATABASE="+through)
	c := newCrowd(o, file, func() string { return one.addr })
	cut := newCrowd(o, file, func() string { return two.addr })
	c.pause, cut.pause = 50*time.Millisecond, 50*time.Millisecond
	w := &outage{v: two, c: cut}
	var back, waited time.Duration
	c.during(t, func() {
		cut.during(t, func() {
			time.Sleep(1500 * time.Millisecond)
			w.tells(t)
			c.reset()
			network.set(silent)
			w.goesBy(t, 30*time.Second)
			network.set(passing)
			back = two.until(http.StatusOK, 5*time.Second)
			time.Sleep(time.Second)
			cut.reset()
			time.Sleep(time.Second)
		})
	})
	if tally, _ := cut.reset(); tally[0]+tally[503] > 0 || tally[200] == 0 {
		t.Errorf("a second after it is back: %v", tally)
	}
	tally, took := c.reset()
	if tally[0]+tally[503] > 0 || tally[200] == 0 {
		t.Errorf("at the other node: %v", tally)
	}
	if waited = percentile(took, 1); waited > 9*time.Second {
		t.Errorf("at the other node somebody waited for %s", waited)
	}
	cut.at = func() string { return one.addr } // what was acknowledged here holds there
	cut.http.CloseIdleConnections()
	t.Logf("cut off for 30 s: unready after %s, then no within %s; ready %s after; at the other node 0 of %d failed, the longest took %s; compared: %s; %s",
		w.unready.Round(100*time.Millisecond), w.longest.Round(time.Millisecond), back.Round(10*time.Millisecond), len(took), waited.Round(10*time.Millisecond),
		c.verify(0), cut.verify(0))
}

// PostgreSQL is restarted in mid-load, in order and as if it was killed.
func TestFaultPostgresRestarted(t *testing.T) {
	t.Parallel()
	pg := newPostgres(t, shared(t))
	file := binary(t)
	o := newOrg(t, storetest.SQLite).on(pg.dsn(pg.port))
	faultOrg(o, file)
	v := o.spawn(file, "")
	c := newCrowd(o, file, func() string { return v.addr })
	modes := []string{"fast", "immediate"}
	var backs []time.Duration
	for i := range times(4, 200) {
		mode := modes[i%2]
		var down, back time.Duration
		c.during(t, func() {
			time.Sleep(700 * time.Millisecond)
			stopped := time.Now()
			pg.stop(mode)
			time.Sleep(200 * time.Millisecond)
			pg.start()
			down = time.Since(stopped)
			started := time.Now()
			for {
				c.reset()
				time.Sleep(100 * time.Millisecond)
				if tally, _ := c.reset(); tally[0]+tally[503] == 0 && tally[200] > 0 {
					break
				}
				if time.Since(started) > 10*time.Second {
					t.Error("10 s after the database is back requests still fail")
					break
				}
			}
			back = time.Since(started)
		})
		backs = append(backs, back)
		c.room()
		if i < 4 || i%20 == 0 {
			t.Logf("%s stop, down for %s: everybody is served %s after", mode, down.Round(10*time.Millisecond), back.Round(10*time.Millisecond))
		}
	}
	t.Logf("%d restarts: everybody is served p50 %s, p99 %s after; compared: %s", len(backs), percentile(backs, .5).Round(10*time.Millisecond),
		percentile(backs, .99).Round(10*time.Millisecond), c.verify(0))
	v.end()
}

// the database can be read and not written, as after a failover that has left a node with the old server.
func TestFaultDatabaseReadOnly(t *testing.T) {
	t.Parallel()
	pg := newPostgres(t, shared(t))
	file := binary(t)
	o := newOrg(t, storetest.SQLite).on(pg.dsn(pg.port))
	faultOrg(o, file)
	v := o.spawn(file, "")
	c := newCrowd(o, file, func() string { return v.addr })
	var unready, back time.Duration
	c.during(t, func() {
		time.Sleep(1500 * time.Millisecond)
		pg.exec("ALTER SYSTEM SET default_transaction_read_only = on")
		pg.exec("SELECT pg_reload_conf()")
		unready = v.until(http.StatusServiceUnavailable, 7*time.Second)
		time.Sleep(2 * time.Second)
		c.reset()
		time.Sleep(2 * time.Second)
		tally, _ := c.reset()
		if tally[500]+tally[0] > 0 || tally[503] == 0 {
			t.Errorf("while it is read-only: %v", tally)
		}
		pg.exec("ALTER SYSTEM RESET default_transaction_read_only")
		pg.exec("SELECT pg_reload_conf()")
		back = v.until(http.StatusOK, 7*time.Second)
	})
	t.Logf("read-only: unready after %s; back: ready after %s; compared: %s", unready.Round(10*time.Millisecond), back.Round(10*time.Millisecond), c.verify(0))
	v.end()
}
