package main_test

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// gate is the simplest balancer there is: it asks /readyz each 50 ms, sends each request to a node that said yes, and repeats nothing.
type gate struct {
	addr  string
	nodes []*gated
	turn  atomic.Int64
}

type gated struct {
	addr string
	up   atomic.Bool
	http *httputil.ReverseProxy
}

func newGate(t *testing.T, addrs ...string) *gate {
	t.Helper()
	b := &gate{}
	stop := make(chan struct{})
	var looking sync.WaitGroup
	for _, addr := range addrs {
		transport := &http.Transport{MaxIdleConnsPerHost: 64}
		n := &gated{addr: addr, http: &httputil.ReverseProxy{
			Transport: transport,
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(&url.URL{Scheme: "http", Host: addr})
				r.Out.Host = r.In.Host
				r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
			},
			ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
				http.Error(w, err.Error(), http.StatusBadGateway)
			},
		}}
		v := &victim{t: t, addr: addr}
		n.up.Store(v.isReady())
		looking.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
				}
				n.up.Store(v.isReady())
			}
		})
		t.Cleanup(transport.CloseIdleConnections)
		b.nodes = append(b.nodes, n)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first := int(b.turn.Add(1)) // taken once: others move it on meanwhile
		for i := range b.nodes {
			if n := b.nodes[(first+i)%len(b.nodes)]; n.up.Load() {
				n.http.ServeHTTP(w, r)
				return
			}
		}
		http.Error(w, "no node", http.StatusGatewayTimeout)
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() {
		close(stop)
		looking.Wait()
		_ = s.Close()
	})
	b.addr = l.Addr().String()
	return b
}

// two nodes behind a balancer; one after the other is told to end (SIGTERM), and started again, while everybody works.
func TestFaultTerminated(t *testing.T) {
	t.Parallel()
	file := binary(t)
	o := newOrg(t, storetest.Postgres)
	faultOrg(o, file)
	nodes := []*victim{o.spawn(file, "", "--drain-delay=1200ms"), o.spawn(file, "", "--drain-delay=1200ms")}
	b := newGate(t, nodes[0].addr, nodes[1].addr)
	c := newCrowd(o, file, func() string { return b.addr })
	var longest time.Duration
	n := times(3, 100)
	c.during(t, func() {
		for i := range n {
			time.Sleep(300 * time.Millisecond)
			v := nodes[i%2]
			longest = max(longest, v.end())
			nodes[i%2] = o.spawn(file, v.addr, "--drain-delay=1200ms")
			for !b.nodes[i%2].up.Load() {
				time.Sleep(10 * time.Millisecond)
			}
		}
	})
	tally, took := c.reset()
	for status, n := range tally {
		if status >= 400 || status == 0 {
			t.Errorf("%d answers of %d", n, status)
		}
	}
	t.Logf("%d times SIGTERM: %d requests, 0 failed, %v, p99 %s; an end took %s at most; compared: %s", n, len(took), tally,
		percentile(took, .99).Round(time.Millisecond), longest.Round(time.Millisecond), c.verify(0))
	for _, v := range nodes {
		v.end()
	}
}

// With one node there is a gap: what was begun goes on, whoever comes in between must come again.
func TestFaultRestartAlone(t *testing.T) {
	t.Parallel()
	file := binary(t)
	o := newOrg(t, storetest.SQLite)
	faultOrg(o, file)
	v := o.spawn(file, "")
	addr := v.addr
	c := newCrowd(o, file, func() string { return addr })
	var gaps []time.Duration
	c.during(t, func() {
		for range times(3, 100) {
			time.Sleep(400 * time.Millisecond)
			c.reset()
			v.end()
			ended := time.Now()
			v = o.spawn(file, addr)
			gaps = append(gaps, time.Since(ended))
		}
	})
	t.Logf("one node, SIGTERM: nobody answers for %s (p50), %s at most; compared: %s", percentile(gaps, .5).Round(time.Millisecond), percentile(gaps, 1).Round(time.Millisecond), c.verify(0))
	v.end()
}
