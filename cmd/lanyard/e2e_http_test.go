package main_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// speak sends raw bytes and returns the statuses of what is answered, so many at most, and if the connection was closed
// within the time.
func speak(t *testing.T, addr, raw string, most int, within time.Duration) (statuses []int, closed bool) {
	t.Helper()
	w, err := dial(addr)
	if err != nil {
		t.Error(err)
		return nil, false
	}
	defer w.Close()
	_ = w.SetDeadline(time.Now().Add(within))
	go func() { _, _ = io.WriteString(w, raw) }() // a server that refuses does not read to the end
	for len(statuses) < most {
		res, err := http.ReadResponse(w.in, nil)
		if err != nil {
			n, ok := err.(net.Error)
			return statuses, !ok || !n.Timeout()
		}
		statuses = append(statuses, res.StatusCode)
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return statuses, true
		}
	}
	return statuses, false
}

// WEB-14: what two readers could understand in two ways is refused, or answered once, and the connection is closed: what
// stands behind it is never a request of its own.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	o := newOrg(t, storetest.SQLite)
	n := o.serve()
	const hidden = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	post := func(headers, body string) string {
		return "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n" + headers + "\r\n" + body
	}
	var all sync.WaitGroup
	for name, raw := range map[string]string{
		"CL and TE, the length shorter":   post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden),
		"CL and TE, the length longer":    post(fmt.Sprintf("Transfer-Encoding: chunked\r\nContent-Length: %d\r\n", len(hidden)+5), "0\r\n\r\n"+hidden),
		"TE twice":                        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"+hidden),
		"chunked, identity":               post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"+hidden),
		"identity, chunked":               post("Transfer-Encoding: identity, chunked\r\n", "0\r\n\r\n"+hidden),
		"a vertical tab":                  post("Transfer-Encoding:\x0bchunked\r\n", "0\r\n\r\n"+hidden),
		"a space before the colon":        post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"+hidden),
		"a folded header":                 post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"+hidden),
		"bare LF behind a chunk's size":   post("Transfer-Encoding: chunked\r\n", "1\nx\r\n0\r\n\r\n"+hidden),
		"bare LF in a chunk's extension":  post("Transfer-Encoding: chunked\r\n", "1;a\nb\r\nx\r\n0\r\n\r\n"+hidden),
		"a megabyte of extension":         post("Transfer-Encoding: chunked\r\n", "1;"+strings.Repeat("a", 1<<20)+"\r\nx\r\n0\r\n\r\n"+hidden),
		"a chunk of -1":                   post("Transfer-Encoding: chunked\r\n", "-1\r\nx\r\n0\r\n\r\n"+hidden),
		"a chunk of more than there is":   post("Transfer-Encoding: chunked\r\n", "ffffffffffffffff1\r\nx\r\n0\r\n\r\n"+hidden),
		"two lengths":                     post("Content-Length: 0\r\nContent-Length: 5\r\n", "x=yyy"+hidden),
		"a list of lengths":               post("Content-Length: 0, 5\r\n", "x=yyy"+hidden),
		"a length with a sign":            post("Content-Length: +0\r\n", hidden),
		"a length that is none":           post("Content-Length: 0x0\r\n", hidden),
		"HTTP/1.0 and TE, kept alive":     strings.Replace(post("Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), "HTTP/1.1", "HTTP/1.0", 1),
		"HTTP/1.0, TE and CL, kept alive": strings.Replace(post("Connection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"+hidden), "HTTP/1.1", "HTTP/1.0", 1),
		"a header without a name":         post(": x\r\nContent-Length: 0\r\n", hidden),
		"a null byte in a header":         post("X: a\x00b\r\nContent-Length: 0\r\n", hidden),
		"two hosts":                       "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + hidden,
		"no host":                         "GET /healthz HTTP/1.1\r\n\r\n" + hidden,
		"another protocol":                "GET /healthz HTTP/3.7\r\n\r\n" + hidden,
		"HTTP/2 without TLS":              "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		all.Go(func() { // a server that closes waits half a second for who still sends
			statuses, closed := speak(t, n.addr, raw, 9, 5*time.Second)
			if len(statuses) != 1 || statuses[0] < 400 || statuses[0] > 505 || !closed {
				t.Errorf("WEB-14: %s: answered %v, closed %t", name, statuses, closed)
			}
		})
	}
	all.Wait()
	// An upgrade that nobody asked for is not made.
	statuses, _ := speak(t, n.addr, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", 9, 3*time.Second)
	if len(statuses) != 1 || statuses[0] != 200 {
		t.Errorf("WEB-14: h2c: %v", statuses)
	}
	// What is written as it should be is answered, and the connection kept.
	if statuses, closed := speak(t, n.addr, hidden+hidden, 9, 300*time.Millisecond); len(statuses) != 2 || closed {
		t.Errorf("two requests: %v, closed %t", statuses, closed)
	}
}

// WEB-16, -17, -19: what is too much, of another type or not asked for in this way is refused at once, on every route that
// takes a body, and others are served meanwhile.
func TestTooMuch(t *testing.T) {
	t.Parallel()
	o := newOrg(t, storetest.SQLite)
	o.apply(person("ana", ""), app("Your Benefits", "benefits.example", "", "users: [{user: ana}]"), batchApp)
	n := o.serve()
	refused := func(name, raw string, want ...int) {
		t.Helper()
		began := time.Now()
		statuses, _ := speak(t, n.addr, raw, 1, 2*time.Second)
		ok := len(statuses) > 0 && time.Since(began) < 3*time.Second
		if ok {
			ok = false
			for _, w := range want {
				ok = ok || statuses[0] == w
			}
		}
		if !ok {
			t.Errorf("%s: %v after %s, want %v", name, statuses, time.Since(began), want)
		}
	}
	b := o.browser()
	b.signIn(b.get("/apps"), "ana")
	cookies := "Cookie: "
	for _, c := range b.jar.Cookies(b.home) {
		cookies += c.Name + "=" + c.Value + "; "
	}
	head := func(path, more string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: " + n.addr + "\r\nOrigin: " + n.url + "\r\n" + strings.TrimSuffix(cookies, "; ") + "\r\nConnection: close\r\n" + more + "\r\n"
	}
	with := func(path, media, body string) string {
		return head(path, fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n", media, len(body))) + body
	}
	const form = "application/x-www-form-urlencoded"
	multipart := strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n", 10000) + "--b--\r\n"
	routes := []string{"/signin", "/consent", "/signout", "/setup", "/account/sessions", "/account/grants", "/account/password",
		"/saml/sso", "/oauth2/authorize", "/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/userinfo", "/oauth2/register"}
	for _, path := range routes {
		// /oauth2/userinfo and /oauth2/register look at the token first, /setup and /consent at the address.
		early := []int{400, 401, 404, 413, 415}
		refused("WEB-16: a gigabyte to "+path, head(path, "Content-Type: "+form+"\r\nContent-Length: 1073741824\r\n")+"x="+strings.Repeat("y", 300<<10), early...)
		refused("WEB-16: chunks without end to "+path, head(path, "Content-Type: "+form+"\r\nTransfer-Encoding: chunked\r\n")+strings.Repeat("8000\r\n"+strings.Repeat("y", 0x8000)+"\r\n", 10), early...)
		refused("WEB-16: a million keys to "+path, with(path, form, strings.Repeat("k=&", 1000000)), early...)
		refused("WEB-16: ten thousand parts to "+path, with(path, "multipart/form-data; boundary=b", multipart), early...)
		refused("WEB-16: a gzip to "+path, head(path, "Content-Encoding: gzip\r\nContent-Type: application/octet-stream\r\nContent-Length: 10\r\n")+"0123456789", early...)
		refused("WEB-16: text to "+path, with(path, "text/plain", "decision=allow&others=1"), early...)
		refused("WEB-16: no type to "+path, head(path, "Content-Length: 14\r\n")+"decision=allow", early...)
	}
	refused("WEB-16: deep JSON", head("/oauth2/register", "Content-Type: application/json\r\nAuthorization: Bearer x\r\nContent-Length: 60000\r\n")+strings.Repeat("[", 60000), 400, 401)
	w := must(dial(n.addr))
	_, _ = io.WriteString(w, head("/oauth2/token", "Content-Type: "+form+"\r\nContent-Length: 500\r\n")+"grant_type=x") // and no more
	w.Close()
	if p := b.get("/apps"); p.status != 200 || p.url.Path != "/apps" {
		t.Errorf("WEB-16: Ana is no longer signed in, or not served: %d %s", p.status, p.url)
	}

	get := func(target, more string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + more + "\r\n"
	}
	refused("WEB-17: an address of 20 kB", get("/signin?"+strings.Repeat("a", 20<<10), ""), 414)
	refused("WEB-17: an address of 100 kB", get("/signin?"+strings.Repeat("a", 100<<10), ""), 414, 431)
	refused("WEB-17: a header of 2 MB", get("/signin", "X: "+strings.Repeat("a", 2<<20)+"\r\n"), 431)
	refused("WEB-17: ten thousand headers", get("/signin", strings.Repeat("X-Y: abc\r\n", 10000)), 431)
	refused("WEB-04: a thousand cookies", get("/signin", "Cookie: "+strings.Repeat("a=b; ", 1000)+"x=y\r\n"), 200)

	for _, raw := range []string{"TRACE /signin", "CONNECT /signin", "CONNECT x:443", "BREW /signin", "OPTIONS *", "OPTIONS /signin", "PATCH /oauth2/token", "DELETE /saml/sso", "TRACK /oauth2/token"} {
		refused("WEB-19: "+raw, raw+" HTTP/1.1\r\nHost: x\r\nX-Canary: echo\r\nConnection: close\r\n\r\n", 400, 405, 501)
	}
}

// WEB-20, small: connections that send a byte now and then, or nothing, are closed, and people sign in meanwhile.
func TestSlow(t *testing.T) {
	t.Parallel()
	o := newOrg(t, storetest.SQLite)
	certFile, keyFile := filepath.Join(o.dir, "cert.pem"), filepath.Join(o.dir, "key.pem")
	cert := selfSigned(t, certFile, keyFile, 1, time.Now().Add(time.Hour))
	o.roots = rootsOf(cert)
	o.apply(person("ana", ""))
	n := o.serve("--tls-cert", certFile, "--tls-key", keyFile)
	const many = 300
	ended := make(chan time.Duration, 2*many)
	began := time.Now()
	bodies := make(chan time.Duration, many)
	hold := func(c net.Conn, begin, more string, ended chan<- time.Duration) {
		defer c.Close()
		go func() {
			for _, err := io.WriteString(c, begin); err == nil; time.Sleep(2 * time.Second) {
				_, err = io.WriteString(c, more)
			}
		}()
		_ = c.SetReadDeadline(began.Add(45 * time.Second))
		_, err := io.Copy(io.Discard, c)
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			ended <- time.Hour
			return
		}
		ended <- time.Since(began)
	}
	for i := range many {
		c, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 { // never begins to speak TLS
			go func() {
				defer c.Close()
				_ = c.SetReadDeadline(began.Add(25 * time.Second))
				n, err := io.Copy(io.Discard, c)
				if ne, ok := err.(net.Error); n > 0 || ok && ne.Timeout() {
					ended <- time.Hour
					return
				}
				ended <- time.Since(began)
			}()
			continue
		}
		spoken := tls.Client(c, &tls.Config{RootCAs: o.roots, ServerName: "127.0.0.1"})
		if i%3 == 1 {
			go hold(spoken, "GET /signin HTTP/1.1\r\n", "X: y\r\n", ended)
		} else {
			go hold(spoken, "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n", "x", bodies)
		}
	}
	var longest, kept time.Duration
	for range 3 {
		at := time.Now()
		o.in("ana")
		took := time.Since(at)
		if took > 5*time.Second {
			t.Errorf("WEB-20: a sign-in took %s meanwhile", took)
		}
		longest = max(longest, took)
	}
	for range many * 2 / 3 {
		took := <-ended
		if took > 20*time.Second {
			t.Fatalf("WEB-20: a connection that says nothing was kept for more than 20 s")
		}
		kept = max(kept, took)
	}
	var slowest time.Duration
	for range many / 3 {
		took := <-bodies
		if took > 40*time.Second {
			t.Fatalf("WEB-20: a body that does not end was waited for for more than 40 s")
		}
		slowest = max(slowest, took)
	}
	t.Logf("%d slow connections: all closed after %s, those with a body after %s; a sign-in meanwhile took %s at most", many, kept.Round(100*time.Millisecond),
		slowest.Round(100*time.Millisecond), longest.Round(10*time.Millisecond))
	if !bytes.Contains([]byte(o.in("ana").get("/apps").body), []byte("apps")) {
		t.Error("WEB-20: nobody is served afterwards")
	}
}
