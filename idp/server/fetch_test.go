package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/server"
)

// SAML-MD-07: what an admin names by URL is fetched from no address inside, however it is written or come by.
func TestFetchStaysOutside(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1) }))
	t.Cleanup(inside.Close)
	u, err := url.Parse(inside.URL)
	must(t, err)
	port := u.Port()
	f := server.NewFetcher(nil)
	for _, host := range []string{
		"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "[::]",
		"169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "224.0.0.1", "255.255.255.255", "[fe80::1%25lo]", "[fc00::1]", "[64:ff9b::7f00:1]",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		began := time.Now()
		if b, err := f.Get(ctx, "http://"+host+":"+port+"/", 100); err == nil {
			t.Errorf("%s: fetched %q", host, b)
		} else if errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 900*time.Millisecond {
			t.Errorf("%s: tried for %v: %v", host, time.Since(began), err)
		}
		cancel()
	}
	for _, bad := range []string{
		"file:///etc/passwd", "gopher://127.0.0.1:" + port + "/", "ftp://example.com/", "javascript:alert(1)", "data:text/plain,x", "//example.com/", "/etc/passwd",
		"http://", "http:127.0.0.1", "https://user:secret@example.com/", "http://a b/", "", "%", "http://example.com/%zz",
	} {
		_, err := f.Get(t.Context(), bad, 100)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests reached the inside", n)
	}
	// The refusal says what to give.
	if _, err := f.Get(t.Context(), inside.URL, 100); err == nil || !strings.Contains(err.Error(), "--allow-fetch 127.0.0.1/32") || !strings.Contains(err.Error(), u.Host) {
		t.Errorf("the refusal: %v", err)
	}
}

// What is allowed is fetched, with limits; a redirect is judged like what was named.
func TestFetchAllowed(t *testing.T) {
	t.Parallel()
	var secret atomic.Int32
	inner := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { secret.Add(1) }))
	_ = inner.Listener.Close()
	var err error
	if inner.Listener, err = net.Listen("tcp", "127.0.0.2:0"); err != nil {
		t.Skip("no second loopback address:", err)
	}
	inner.Start()
	t.Cleanup(inner.Close)
	mux := http.NewServeMux()
	mux.HandleFunc("/doc", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "a document") })
	mux.HandleFunc("/once", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/doc", http.StatusFound) })
	mux.HandleFunc("/twice", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/once", http.StatusFound) })
	mux.HandleFunc("/thrice", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/twice", http.StatusFound) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/inside", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inner.URL, http.StatusFound) })
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	})
	mux.HandleFunc("/missing", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotFound) })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write(make([]byte, 64<<10))
		}
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			time.Sleep(100 * time.Millisecond)
		}
	})
	outer := httptest.NewServer(mux)
	t.Cleanup(outer.Close)
	f := server.NewFetcher([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")})
	for path, want := range map[string]string{
		"/doc": "", "/once": "", "/twice": "", "/thrice": "redirects", "/loop": "redirects", "/inside": "--allow-fetch 127.0.0.2/32", "/file": "no http",
		"/missing": "404", "/endless": "larger than 1024 bytes",
	} {
		b, err := f.Get(t.Context(), outer.URL+path, 1024)
		if want == "" && (err != nil || string(b) != "a document") || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %q, %v", path, b, err)
		}
	}
	if b, err := f.Get(t.Context(), outer.URL+"/doc", 10); err != nil || len(b) != 10 {
		t.Errorf("just as large as it may be: %q, %v", b, err)
	}
	if n := secret.Load(); n != 0 {
		t.Errorf("a redirect reached the inside %d times", n)
	}
	if b, err := f.Get(t.Context(), strings.Replace(outer.URL, "//", "//user:password@", 1)+"/doc", 1024); err == nil {
		t.Errorf("an address with a password in it: %q", b)
	}
	began := time.Now()
	if _, err := f.Get(t.Context(), outer.URL+"/slow", 1<<20); err == nil || time.Since(began) > 7*time.Second {
		t.Errorf("a byte now and then: %v after %v", err, time.Since(began))
	}
}

// Keys that somebody is believed by do not come over plain http, but from where the operator says that the way is theirs.
func TestFetchKeys(t *testing.T) {
	t.Parallel()
	cookies := make(chan string, 10)
	mux := http.NewServeMux()
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		cookies <- r.Header.Get("Cookie") + r.Header.Get("Authorization")
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "v"})
		fmt.Fprint(w, `{"keys":[]}`)
	})
	mux.HandleFunc("/once", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "v"})
		http.Redirect(w, r, "/keys", http.StatusFound)
	})
	mux.HandleFunc("/out", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://192.0.9.9/keys", http.StatusFound)
	})
	outer := httptest.NewServer(mux)
	t.Cleanup(outer.Close)
	secure := httptest.NewTLSServer(mux)
	t.Cleanup(secure.Close)
	f := server.NewFetcher([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")})
	const refused = "the way to 192.0.9.9 is plain http, and whoever stands in between could put in keys of their own; give an https address, or if the way there is yours, allow its address with --allow-fetch 192.0.9.9/32"
	for address, want := range map[string]string{
		outer.URL + "/keys": "", outer.URL + "/once": "", outer.URL + "/out": refused, "http://192.0.9.9/keys": refused,
		secure.URL + "/keys": "certificate", // nobody vouches for it
	} {
		b, err := f.Keys(t.Context(), address, 1024)
		if want == "" && (err != nil || string(b) != `{"keys":[]}`) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %q, %v", address, b, err)
		}
	}
	close(cookies)
	n := 0
	for c := range cookies {
		if n++; c != "" {
			t.Errorf("OA-DCR-03: something went along: %q", c)
		}
	}
	if n != 2 {
		t.Errorf("%d requests arrived", n)
	}
	for address, want := range map[string][2]bool{"http://app.example/": {true, false}, "https://app.example/": {false, false}} {
		for i, keys := range []bool{true, false} {
			if plain, err := server.PlainHop(address, keys); plain != want[i] || err != nil {
				t.Errorf("%s, keys %t: plain %t, %v", address, keys, plain, err)
			}
		}
	}
	// Without leave nothing private is reached at all.
	if _, err := server.NewFetcher(nil).Keys(t.Context(), outer.URL+"/keys", 100); err == nil || !strings.Contains(err.Error(), "private address 127.0.0.1") {
		t.Errorf("without leave: %v", err)
	}
}
