package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// the metadata of a service provider is at an address that takes the call and says nothing, says a byte now and then, or never
// ends. The command ends soon and says so; nothing is made.
func TestFaultHungMetadataURL(t *testing.T) {
	t.Parallel()
	o := newOrg(t, storetest.SQLite)
	o.run("user", "list") // the house is there
	serve := func(f func(c net.Conn)) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					_, _ = http.ReadRequest(bufio.NewReader(c)) // an answer before the question is another fault
					f(c)
				}()
			}
		}()
		return "http://" + l.Addr().String() + "/metadata"
	}
	slowly := func(c net.Conn, text string) {
		for i := range text {
			if _, err := io.WriteString(c, text[i:i+1]); err != nil {
				return
			}
			time.Sleep(300 * time.Millisecond)
		}
	}
	silence := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	head := "HTTP/1.1 200 OK\r\nContent-Type: application/samlmetadata+xml\r\n\r\n"
	hung := map[string]string{
		"says nothing":             serve(silence),
		"says nothing over TLS":    strings.Replace(serve(silence), "http:", "https:", 1),
		"a byte now and then":      serve(func(c net.Conn) { slowly(c, head) }),
		"begins and stops":         serve(func(c net.Conn) { _, _ = io.WriteString(c, head+"<md:EntityDescriptor"); silence(c) }),
		"begins and then dribbles": serve(func(c net.Conn) { _, _ = io.WriteString(c, head); slowly(c, strings.Repeat("<a>", 200)) }),
		"never ends": serve(func(c net.Conn) {
			_, _ = io.WriteString(c, head)
			for {
				if _, err := c.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}),
	}
	var all sync.WaitGroup
	for what, address := range hung {
		all.Go(func() {
			began := time.Now()
			out, code := o.command(binary(t), "", nil, "app", "create", "Hung", "--metadata", address, "--allow-fetch", "127.0.0.1", "--permit", "everyone")
			took := time.Since(began)
			t.Logf("%s: %s after %s", what, strings.TrimSpace(out), took.Round(100*time.Millisecond))
			u, _ := url.Parse(address)
			if code != 1 || took > 9*time.Second || !strings.Contains(out, u.Host) || what != "never ends" && !strings.Contains(out, "did not answer within 5 s") || strings.Count(strings.TrimSpace(out), "\n") > 1 {
				t.Errorf("%s: exit %d after %s: %s", what, code, took, out)
			}
		})
	}
	all.Wait()
	if out := o.run("app", "list"); strings.Contains(out, "Hung") {
		t.Errorf("an app was made:\n%s", out)
	}
}

// People who begin and never come back: from the sign-in page, from the page that posts to an ACS, with half a request, with none.
// Nothing is held for them, and everybody else is served.
func TestFaultNobodyComesBack(t *testing.T) {
	t.Parallel()
	alone := func(kind string) func(t *testing.T) {
		return func(t *testing.T) { nobodyComesBack(t, newOrg(t, kind)) }
	}
	beside(t, map[string]func(t *testing.T){storetest.SQLite: alone(storetest.SQLite), storetest.Postgres: alone(storetest.Postgres)})
}

func nobodyComesBack(t *testing.T, o *org) {
	file := binary(t)
	faultOrg(o, file)
	v := o.spawn(file, "")
	c := newCrowd(o, file, func() string { return v.addr })
	ana := c.signIn("u0")
	if ana == nil {
		t.Fatal("not signed in")
	}
	open := func() int {
		c.http.CloseIdleConnections()
		time.Sleep(300 * time.Millisecond)
		all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", v.cmd.Process.Pid))
		if err != nil {
			t.Skip("no /proc here: ", err)
		}
		return len(all)
	}
	leave := func() {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 20 {
					c.answer(ana) // whose browser never reaches the ACS
					stranger := &session{cookies: map[string]string{}}
					sso := c.sso.Load()
					if a, err := c.ask("GET", sso.redirect(sso.request(), ""), nil, stranger.with); err != nil || a.status/100 > 3 {
						t.Errorf("an AuthnRequest: %v", err)
					}
				}
			})
		}
		all.Wait()
	}
	leave() // what is opened once and kept is open
	before := open()
	leave()
	if after := open(); after > before+4 {
		t.Errorf("%d files and connections are open, %d were before", after, before)
	}
	// Half a request, and none.
	var half []net.Conn
	for i := range 200 {
		n, err := net.Dial("tcp", v.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		if i%2 == 0 {
			_, _ = io.WriteString(n, "GET /apps HTTP/1.1\r\nHost: x\r\nX-Half: ")
		}
		half = append(half, n)
	}
	began := time.Now()
	if s := c.signIn("u1"); s == nil || c.authorize(s) == nil || time.Since(began) > 3*time.Second {
		t.Errorf("beside them: %s", time.Since(began))
	}
	for _, n := range half {
		_ = n.SetReadDeadline(began.Add(15 * time.Second))
		if _, err := io.Copy(io.Discard, n); err != nil {
			t.Errorf("after %s: %v", time.Since(began), err)
			break
		}
	}
	t.Logf("%d files and connections before, %d after; half requests are over after %s", before, open(), time.Since(began).Round(100*time.Millisecond))
	c.sane()
	v.end()
}
