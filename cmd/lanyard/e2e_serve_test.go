package main_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// server is a running serve whose end is the matter of a test.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr string
	log  *lines
	gone chan error
}

func (o *org) server(args ...string) *server {
	o.t.Helper()
	s := &server{t: o.t, cmd: exec.Command(binary(o.t), append([]string{"serve"}, args...)...), log: &lines{}, gone: make(chan error, 1)}
	s.cmd.Dir, s.cmd.Env, s.cmd.Stderr = o.dir, o.env, s.log
	out := must(s.cmd.StdoutPipe())
	if err := s.cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	at, ok := strings.CutPrefix(strings.TrimSpace(line), "lanyard: serving ")
	if !ok {
		o.t.Fatalf("serve said %q (%v)\n%s", line, err, s.log)
	}
	_, s.addr, _ = strings.Cut(at, "://")
	go func() { s.gone <- s.cmd.Wait() }()
	o.t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		if o.t.Failed() {
			o.t.Logf("serve %s on standard error:\n%s", strings.Join(args, " "), s.log.String())
		}
	})
	return s
}

func (s *server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// ends waits for the end and returns what Wait said.
func (s *server) ends(within time.Duration) error {
	s.t.Helper()
	select {
	case err := <-s.gone:
		return err
	case <-time.After(within):
		s.t.Fatalf("still there after %s", within)
		return nil
	}
}

// logged waits for a line of the log.
func (s *server) logged(text string) {
	s.t.Helper()
	for range 200 {
		if strings.Contains(s.log.String(), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatalf("the log does not say %q:\n%s", text, s.log)
}

// wire is one connection of a client that repeats nothing: whatever is lost on it shows.
type wire struct {
	net.Conn
	in *bufio.Reader
}

func dial(addr string) (*wire, error) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &wire{c, bufio.NewReader(c)}, nil
}

func (w *wire) ask(raw string) (*http.Response, error) {
	_ = w.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(w, raw); err != nil {
		return nil, err
	}
	return w.answer()
}

func (w *wire) answer() (*http.Response, error) {
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res, err
}

const batchApp = "kind: User\nusername: svc\ntype: service\n---\nkind: App\nname: Batch\noauth:\n  clientID: batch\n  clientSecret: {plain: " + secret + "}\n  type: service\n  scopes: [api]\n  flows: {clientCredentials: true}\npolicy: {users: [{user: svc}], runAs: svc}"

var tokenForm = "grant_type=client_credentials&scope=api&client_id=batch&client_secret=" + secret

var tokenRequest = fmt.Sprintf("POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(tokenForm), tokenForm)

// two nodes behind a balancer that asks /readyz; one after the other is told to end, and starts again, while clients
// that repeat nothing get tokens over connections that they keep. None is lost.
func TestDrain(t *testing.T) {
	t.Parallel()
	o := newOrg(t, storetest.Postgres)
	o.apply(batchApp)
	const url = "http://127.0.0.1:1"
	more := []string{"--url", url, "--drain-delay", "700ms", "--listen"}
	nodes := []*server{o.server(append(more, "127.0.0.1:0")...), o.server(append(more, "127.0.0.1:0")...)}
	addrs := []string{nodes[0].addr, nodes[1].addr}
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	var up [2]atomic.Bool
	for i := range up { // the balancer's health checks
		up[i].Store(true)
		work.Go(func() {
			for ; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
				w, err := dial(addrs[i])
				if err != nil {
					up[i].Store(false)
					continue
				}
				res, err := w.ask("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
				up[i].Store(err == nil && res.StatusCode == 200)
				w.Close()
			}
		})
	}
	var answered atomic.Int64
	for n := range 12 {
		work.Go(func() {
			var w *wire
			for i := n; ctx.Err() == nil; time.Sleep(time.Duration(i%5) * time.Millisecond) {
				if w == nil {
					if i++; !up[i%2].Load() {
						i++
					}
					var err error
					if w, err = dial(addrs[i%2]); err != nil {
						t.Errorf("R-19: %v", err)
						return
					}
				}
				res, err := w.ask(tokenRequest)
				if err != nil || res.StatusCode != 200 {
					t.Errorf("R-19: after %d answers: %v %v", answered.Load(), res, err)
					return
				}
				answered.Add(1)
				if res.Close {
					w.Close()
					w = nil
				}
			}
		})
	}
	for round := range 2 {
		time.Sleep(300 * time.Millisecond)
		before := answered.Load()
		node := nodes[round%2]
		began := time.Now()
		node.signal(syscall.SIGTERM)
		if err := node.ends(10 * time.Second); err != nil || time.Since(began) < 700*time.Millisecond {
			t.Errorf("R-19: ended with %v after %s", err, time.Since(began))
		}
		if answered.Load() == before {
			t.Error("R-19: no load while it ended")
		}
		nodes[round%2] = o.server(append(more, addrs[round%2])...)
		for range 100 {
			if up[round%2].Load() {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	stop()
	work.Wait()
	t.Logf("R-19: %d tokens, 2 nodes ended", answered.Load())
}

func TestLeave(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		o.apply(batchApp)
		t.Run("not ready first, all is served, and what is under way is finished", func(t *testing.T) {
			s := o.server("--listen", "127.0.0.1:0", "--url", "http://127.0.0.1:1", "--drain-delay", "600ms")
			slow, kept := must(dial(s.addr)), must(dial(s.addr))
			head, body, _ := strings.Cut(tokenRequest, "\r\n\r\n")
			must(io.WriteString(slow, head+"\r\n\r\n"+body[:20]))
			if res := must(kept.ask(tokenRequest)); res.StatusCode != 200 || res.Close {
				t.Errorf("before: %d, close %t", res.StatusCode, res.Close)
			}
			s.signal(syscall.SIGTERM)
			s.logged(`"leaving"`)
			if res := must(must(dial(s.addr)).ask("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")); res.StatusCode != 503 {
				t.Errorf("/readyz: %d", res.StatusCode)
			}
			if res := must(must(dial(s.addr)).ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")); res.StatusCode != 200 {
				t.Errorf("/healthz: %d", res.StatusCode)
			}
			for _, w := range []*wire{kept, must(dial(s.addr))} {
				if res := must(w.ask(tokenRequest)); res.StatusCode != 200 || !res.Close {
					t.Errorf("while it leaves: %d, close %t", res.StatusCode, res.Close)
				}
			}
			time.Sleep(800 * time.Millisecond)
			if _, err := dial(s.addr); err == nil {
				t.Error("it still takes connections")
			}
			must(io.WriteString(slow, body[20:]))
			if res, err := slow.answer(); err != nil || res.StatusCode != 200 {
				t.Errorf("what was under way: %v %v", res, err)
			}
			if err := s.ends(5 * time.Second); err != nil {
				t.Errorf("ended with %v", err)
			}
		})
		t.Run("who comes while it closes is answered or refused, never cut off", func(t *testing.T) {
			s := o.server("--listen", "127.0.0.1:0", "--url", "http://127.0.0.1:1", "--drain-delay", "300ms")
			var work sync.WaitGroup
			defer work.Wait()
			var answered atomic.Int64
			for range 16 {
				work.Go(func() {
					for {
						w, err := dial(s.addr)
						if errors.Is(err, syscall.ECONNREFUSED) {
							return
						}
						if err != nil {
							t.Errorf("R-19: after %d answers: %v", answered.Load(), err)
							return
						}
						res, err := w.ask(tokenRequest)
						if w.Close(); err != nil || res.StatusCode != 200 {
							t.Errorf("R-19: after %d answers: %v %v", answered.Load(), res, err)
							return
						}
						answered.Add(1)
					}
				})
			}
			time.Sleep(100 * time.Millisecond)
			s.signal(syscall.SIGTERM)
			if err := s.ends(5 * time.Second); err != nil {
				t.Errorf("ended with %v", err)
			}
			work.Wait()
			if strings.Contains(s.log.String(), "may be reset") || answered.Load() == 0 {
				t.Errorf("%d answers:\n%s", answered.Load(), s.log)
			}
		})
		t.Run("Ctrl-C waits for no balancer", func(t *testing.T) {
			s := o.server("--listen", "127.0.0.1:0", "--url", "http://127.0.0.1:1", "--drain-delay", "20s", "--drain-timeout", "30s")
			s.signal(os.Interrupt)
			if err := s.ends(4 * time.Second); err != nil {
				t.Errorf("ended with %v", err)
			}
		})
		t.Run("who asks again does not wait", func(t *testing.T) {
			s := o.server("--listen", "127.0.0.1:0", "--url", "http://127.0.0.1:1", "--drain-delay", "20s", "--drain-timeout", "30s")
			s.signal(syscall.SIGTERM)
			time.Sleep(1500 * time.Millisecond)
			s.signal(syscall.SIGTERM)
			if err := s.ends(2 * time.Second); err == nil {
				t.Error("ended as if it had waited")
			}
		})
		t.Run("the timeout ends what does not end", func(t *testing.T) {
			s := o.server("--listen", "127.0.0.1:0", "--url", "http://127.0.0.1:1", "--drain-delay", "0s", "--drain-timeout", "1s")
			slow := must(dial(s.addr))
			defer slow.Close() // not by the garbage collector, at any time
			head, body, _ := strings.Cut(tokenRequest, "\r\n\r\n")
			if res := must(slow.ask(head + "\r\nExpect: 100-continue\r\n\r\n")); res.StatusCode != 100 {
				t.Fatalf("not asked for the body: %d", res.StatusCode)
			}
			must(io.WriteString(slow, body[:20]))
			s.signal(syscall.SIGTERM)
			if err := s.ends(4 * time.Second); err != nil || !strings.Contains(s.log.String(), "cut off") {
				t.Errorf("ended with %v", err)
			}
		})
	})
}

// selfSigned writes a self-signed one for 127.0.0.1 and its key.
func selfSigned(t *testing.T, certFile, keyFile string, number int64, until time.Time) *x509.Certificate {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	put(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	put(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))}))
	return must(x509.ParseCertificate(der))
}

func rootsOf(c *x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return pool
}

func put(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A hangup has the TLS files read again: a good pair is shown from then on, anything else changes nothing. TLS is 1.2 at
// least. On HTTP/2 a server that leaves says so with a GOAWAY.
func TestCertificateReadAgain(t *testing.T) {
	t.Parallel()
	o := newOrg(t, storetest.SQLite)
	certFile, keyFile, other := filepath.Join(o.dir, "cert.pem"), filepath.Join(o.dir, "key.pem"), filepath.Join(o.dir, "other.pem")
	tomorrow := time.Now().Add(24 * time.Hour)
	roots := x509.NewCertPool()
	roots.AddCert(selfSigned(t, certFile, keyFile, 1, tomorrow))
	s := o.server("--listen", "127.0.0.1:0", "--tls-cert", certFile, "--tls-key", keyFile, "--drain-delay", "800ms")
	shown := func() int64 {
		t.Helper()
		c, err := tls.Dial("tcp", s.addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if n := shown(); n != 1 {
		t.Errorf("first certificate %d", n)
	}
	again := func(want string) {
		t.Helper()
		s.log.mu.Lock()
		s.log.buf.Reset()
		s.log.mu.Unlock()
		s.signal(syscall.SIGHUP)
		s.logged(want)
	}
	roots.AddCert(selfSigned(t, certFile, keyFile, 2, tomorrow))
	again("the TLS certificate was read again")
	if n := shown(); n != 2 {
		t.Errorf("after the hangup: certificate %d", n)
	}
	for name, spoil := range map[string]func(){
		"rubbish":       func() { put(t, certFile, []byte("rubbish")) },
		"another's key": func() { selfSigned(t, certFile, other, 3, tomorrow) },
		"gone":          func() { _ = os.Remove(keyFile) },
		"of tomorrow":   func() { selfSigned(t, certFile, keyFile, 5, tomorrow.Add(48*time.Hour)) },
		"expired":       func() { selfSigned(t, certFile, keyFile, 4, time.Now().Add(-time.Hour)) },
	} {
		spoil()
		again("stays the one before")
		if n := shown(); n != 2 {
			t.Errorf("%s: certificate %d", name, n)
		}
	}
	for version, good := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c, err := tls.Dial("tcp", s.addr, &tls.Config{RootCAs: roots, MinVersion: version, MaxVersion: version})
		if (err == nil) != good {
			t.Errorf("TLS %x: %v", version, err)
		}
		if err == nil {
			c.Close()
		}
	}

	// HTTP/2.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	ask := func() (reused bool) {
		t.Helper()
		r := must(http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused },
		}), "POST", "https://"+s.addr+"/oauth2/token", bytes.NewReader(nil)))
		res, err := client.Do(r)
		if err != nil {
			t.Fatalf("HTTP/2: %v", err)
		}
		res.Body.Close()
		if res.ProtoMajor != 2 || res.StatusCode >= 500 {
			t.Fatalf("%s: %d", res.Proto, res.StatusCode)
		}
		return reused
	}
	ask()
	if !ask() {
		t.Error("HTTP/2: a connection a request")
	}
	ready := []string{"ready", "--listen", s.addr, "--tls-cert", certFile}
	o.run(ready...)
	s.signal(syscall.SIGTERM)
	s.logged(`"leaving"`)
	if _, stderr, code := o.try("", ready...); code != 1 || !strings.Contains(stderr, "503 leaving") {
		t.Errorf("ready while it leaves: %d %s", code, stderr)
	}
	fresh := 0
	for range 20 {
		if !ask() {
			fresh++
		}
		time.Sleep(20 * time.Millisecond)
	}
	if fresh == 0 {
		t.Error("HTTP/2: no GOAWAY while it leaves")
	}
	if err := s.ends(5 * time.Second); err != nil {
		t.Errorf("ended with %v", err)
	}
}
