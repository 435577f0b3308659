package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/server"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// raw asks the server in one process, so that the path is exactly what was written.
func (h *house) raw(method, target string, header ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequest(method, "/", nil)
	r.RequestURI = target
	if u, err := url.ParseRequestURI(target); err == nil {
		r.URL = u
	} else {
		r.URL = &url.URL{Opaque: target}
	}
	r.RemoteAddr = "192.0.2.1:1234"
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	return w
}

func quick(t *testing.T) *house { return newHouse(t, storetest.New(t, storetest.SQLite)) }

// WEB-12: a path that is not written as we write it is no path of ours.
func TestPaths(t *testing.T) {
	h := quick(t)
	for path, status := range map[string]int{
		"/signin": 200, "/signin?x=//..%2f": 200, "/apps": 303, "/saml/metadata": 200, "/oauth2/keys": 200,
		"//signin": 404, "/signin/": 404, "/signin/.": 404, "/./signin": 404, "/x/../signin": 404, "/signin/..": 404, "/x/..;/signin": 404,
		"/%73ignin": 404, "/SIGNIN": 404, "/signin%2f": 404, "/signin%2F..": 404, "/signin.css": 404, "/signin.": 404, "/signin;x=1": 404,
		"/signin%3bx": 404, `/signin\`: 404, "/signin%5c": 404, "/signin%00": 404, "/signin%20": 404, "/signin%0a": 404, "/%2e%2e/signin": 404,
		"/api/../signin": 404, "/saml//metadata": 404, "/saml/%6detadata": 404, "/saml/../oauth2/keys": 404, "/oauth2/keys/": 404,
		"/saml/launch/Your%5fBenefits": 404, "/saml/launch/..%2fsignin": 404, "/%": 404, "/%zz": 404, "/assets/../signin": 404, "/.git/config": 404,
		"/debug/pprof/": 404, "/metrics": 404, "/healthz/": 404, "/%68ealthz": 404, "/" + strings.Repeat("a", 17<<10): 414,
		"/signin?" + strings.Repeat("a", 17<<10): 414, "": 404,
		"/assets//lanyard.css": 404,
	} {
		w := h.raw("GET", path)
		if w.Code != status {
			t.Errorf("%.40s: %d, want %d", path, w.Code, status)
		}
		if status >= 400 && (w.Header().Get("Content-Security-Policy") == "" || w.Header().Get("Location") != "" || !strings.Contains(w.Body.String(), "Error ")) {
			t.Errorf("%.40s: %v", path, w.Header())
		}
	}
}

// No room sees a name that is written in another way: here any name will do, and the room would say that no app has it.
func TestNames(t *testing.T) {
	h := quick(t)
	for name, seen := range map[string]bool{
		"nobody": true, "no%20body": true, "n%C3%B6body": true, "nobody%3d": true,
		"%6eobody": false, "%4Eobody": false, "nobody%30": false, "no%2dbody": false, "no%5Fbody": false, "no%7ebody": false, "nobody%2e": false, "no%2fbody": false,
		"no%5cbody": false, "nobody%3bx": false, "nobody;x": false, "nobody%2573": false, "nobody%00": false, "nobody%0d%0a": false, "nobody%7f": false,
	} {
		w := h.raw("GET", "/saml/launch/"+name)
		if got := strings.Contains(w.Body.String(), "Unknown app"); w.Code != 404 || got != seen {
			t.Errorf("%s: %d, seen %t", name, w.Code, got)
		}
	}
}

// WEB-19: what can not be done in this way is said with the ways that can.
func TestMethods(t *testing.T) {
	h := quick(t)
	for _, c := range []struct{ method, path, allow string }{
		{"PUT", "/signin", "GET, HEAD, POST"}, {"TRACE", "/signin", "GET, HEAD, POST"}, {"BREW", "/signin", "GET, HEAD, POST"}, {"OPTIONS", "/signin", "GET, HEAD, POST"},
		{"GET", "/account/sessions", "POST"}, {"HEAD", "/account/grants", "POST"}, {"DELETE", "/apps", "GET, HEAD"},
		{"DELETE", "/saml/sso", "GET, POST"}, {"GET", "/oauth2/token", "OPTIONS, POST"}, {"PATCH", "/oauth2/register/x", "DELETE, GET, PUT"}, {"POST", "/oauth2/keys", "GET, HEAD"},
		{"POST", "/healthz", "GET, HEAD"}, {"DELETE", "/readyz", "GET, HEAD"}, {"POST", "/assets/lanyard.css", "GET, HEAD"},
		{"OPTIONS", "*", "GET, HEAD, POST"}, {"CONNECT", "/signin", "GET, HEAD, POST"}, {"CONNECT", "evil.example:443", "GET, HEAD, POST"},
	} {
		// An X-HTTP-Method-Override changes nothing (WEB-01).
		w := h.raw(c.method, c.path, "X-HTTP-Method-Override", "POST", "Origin", h.url, "Sec-Fetch-Site", "same-origin")
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q, want %q", c.method, c.path, w.Code, w.Header().Get("Allow"), c.allow)
		}
	}
	for _, path := range []string{"/no/such", "/saml/nothing", "/oauth2/nothing"} {
		if w := h.raw("PUT", path); w.Code != http.StatusNotFound || w.Header().Get("Allow") != "" {
			t.Errorf("PUT %s: %d", path, w.Code)
		}
	}
}

// WEB-07: whatever is answered, it is answered with the same guard.
func TestHeaders(t *testing.T) {
	h := quick(t)
	for _, path := range []string{"/signin", "/apps", "/no/such", "//x", "/signout", "/setup", "/consent", "/saml/sso", "/saml/launch/x", "/oauth2/authorize", "/healthz", "/account"} {
		w := h.raw("GET", path)
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s %q", path, name, got)
			}
		}
		csp := w.Header().Get("Content-Security-Policy")
		for _, want := range []string{"frame-ancestors 'none'", "base-uri 'none'", "default-src 'none'"} {
			if !strings.Contains(csp, want) || strings.Contains(csp, "unsafe") {
				t.Errorf("%s: %s", path, csp)
			}
		}
		if w.Header().Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: HSTS over plain http", path)
		}
	}
	h.org.URL = "https://id.example.com"
	must(t, h.st.Write(context.Background(), func(tx *store.Tx) error {
		if _, err := tx.Exec(`UPDATE org SET url = $1`, h.org.URL); err != nil {
			return err
		}
		return tx.Changed("org")
	}))
	for range 50 {
		if hsts := h.raw("GET", "/signin").Header().Get("Strict-Transport-Security"); strings.HasPrefix(hsts, "max-age=31536000") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("no HSTS over https")
}

// WEB-11: whose address a request comes from.
func TestCallerAddress(t *testing.T) {
	st := storetest.New(t, storetest.SQLite)
	h := newHouse(t, st)
	const none = "invalid IP"
	for _, c := range []struct {
		name, peer, want string
		forwarded        []string
		header           string
	}{
		{"direct", "203.0.113.7:1", "203.0.113.7", nil, ""},
		{"direct, IPv6", "[2001:db8::1]:1", "2001:db8::1", nil, ""},
		{"direct, IPv4 in IPv6", "[::ffff:203.0.113.7]:1", "203.0.113.7", nil, ""},
		{"a stranger's header", "203.0.113.7:1", "203.0.113.7", []string{"10.0.0.1"}, ""},
		{"a stranger's rubbish", "203.0.113.7:1", "203.0.113.7", []string{"a"}, ""},
		{"by the proxy", "10.0.0.9:1", "198.51.100.2", []string{"198.51.100.2"}, ""},
		{"by two proxies", "10.0.0.9:1", "198.51.100.2", []string{"198.51.100.2, 10.0.0.8"}, ""},
		{"by two headers", "10.0.0.9:1", "198.51.100.2", []string{"198.51.100.2", "10.0.0.8"}, ""},
		{"a planted hop before", "10.0.0.9:1", "198.51.100.2", []string{"127.0.0.1, 198.51.100.2"}, ""},
		{"a planted hop that is none", "10.0.0.9:1", "198.51.100.2", []string{"rubbish, 198.51.100.2"}, ""},
		{"proxies only", "10.0.0.9:1", "10.0.0.7", []string{"10.0.0.7, 10.0.0.8"}, ""},
		{"the proxy itself", "10.0.0.9:1", "10.0.0.9", nil, ""},
		{"IPv4 in IPv6", "10.0.0.9:1", "198.51.100.2", []string{"::ffff:198.51.100.2"}, ""},
		{"a proxy's IPv4 in IPv6", "[::ffff:10.0.0.9]:1", "198.51.100.2", []string{"198.51.100.2"}, ""},
		{"IPv6", "10.0.0.9:1", "2001:db8::2", []string{" 2001:db8::2 "}, ""},
		{"a hundred hops", "10.0.0.9:1", "198.51.100.2", []string{"198.51.100.2" + strings.Repeat(", 10.0.0.8", 99)}, ""},
		{"a proxy's IPv4 in IPv6 among the hops", "10.0.0.9:1", "198.51.100.2", []string{"198.51.100.2, ::ffff:10.0.0.8"}, ""},
		{"tabs", "10.0.0.9:1", "198.51.100.2", []string{"\t198.51.100.2\t,\t10.0.0.8"}, ""},
		{"a hundred hops of a stranger's", "203.0.113.7:1", "203.0.113.7", []string{strings.Repeat("10.0.0.1, ", 99) + "10.0.0.1"}, ""},
		{"a hundred headers", "10.0.0.9:1", "198.51.100.2", append([]string{"rubbish", "198.51.100.2"}, strings.Split(strings.Repeat("10.0.0.8,", 98)+"10.0.0.8", ",")...), ""},
		{"leading zeros", "10.0.0.9:1", none, []string{"198.51.100.02"}, ""},
		{"brackets", "10.0.0.9:1", none, []string{"[2001:db8::2]"}, ""},
		{"quotes", "10.0.0.9:1", none, []string{`"198.51.100.2"`}, ""},
		{"a name", "10.0.0.9:1", none, []string{"localhost"}, ""},
		{"a line that was broken", "10.0.0.9:1", none, []string{"198.51.100.2\n10.0.0.8"}, ""},
		{"rubbish", "10.0.0.9:1", none, []string{"a"}, ""},
		{"empty", "10.0.0.9:1", none, []string{""}, ""},
		{"an empty hop", "10.0.0.9:1", none, []string{"198.51.100.2,"}, ""},
		{"a port", "10.0.0.9:1", none, []string{"198.51.100.2:99"}, ""},
		{"a zone", "10.0.0.9:1", none, []string{"fe80::1%eth0"}, ""},
		{"rubbish behind a proxy", "10.0.0.9:1", none, []string{"198.51.100.2, unknown, 10.0.0.8"}, ""},
		{"no peer", "@", none, nil, ""},
		{"X-Real-IP", "10.0.0.9:1", "10.0.0.9", []string{"198.51.100.2"}, "X-Real-Ip"},
		{"Forwarded", "10.0.0.9:1", "10.0.0.9", []string{"for=198.51.100.2"}, "Forwarded"},
		{"underscores", "10.0.0.9:1", "10.0.0.9", []string{"198.51.100.2"}, "X_forwarded_for"},
	} {
		var log bytes.Buffer
		handler := server.New(h.config(&log, netip.MustParsePrefix("10.0.0.0/8")))
		r := httptest.NewRequest("GET", "/healthz", nil)
		r.RemoteAddr = c.peer
		r.Header.Set("Connection", "X-Forwarded-For")
		if c.header == "" {
			c.header = "X-Forwarded-For"
		}
		if c.forwarded != nil {
			r.Header[c.header] = c.forwarded
		}
		handler.ServeHTTP(httptest.NewRecorder(), r)
		var line struct{ IP string }
		must(t, json.Unmarshal(log.Bytes(), &line))
		if line.IP != c.want {
			t.Errorf("%s: %s, want %s", c.name, line.IP, c.want)
		}
	}
}

// WEB-01: no form of ours can be sent by another site, none works by GET, and nothing happens.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := newHouse(t, st)
		b := h.browser()
		b.signIn(b.get("/apps"), "ana", "correct horse battery")
		sessions := func() int {
			all, err := st.SignIn().Sessions(t.Context(), h.org.ID, h.ana.ID)
			must(t, err)
			return len(all)
		}
		forms := map[string]url.Values{
			"/signin":           {"username": {"ben"}, "password": {"another long password"}},
			"/signout":          {"decision": {"allow"}},
			"/consent":          {"decision": {"allow"}},
			"/setup":            {"username": {"eve"}},
			"/account/sessions": {"others": {"1"}},
			"/account/grants":   {"id": {"x"}},
			"/account/password": {"current": {"correct horse battery"}, "password": {"a longer new one"}, "repeat": {"a longer new one"}},
		}
		ref := ""
		for path, form := range forms {
			for name, header := range map[string][2]string{
				"another site": {"Origin", "https://evil.example"}, "null": {"Origin", "null"}, "another port": {"Origin", "http://127.0.0.1:1"},
				"a sibling":       {"Origin", "http://x." + strings.TrimPrefix(h.url, "http://")},
				"browser says so": {"Sec-Fetch-Site", "cross-site"}, "same site": {"Sec-Fetch-Site", "same-site"},
			} {
				r, err := http.NewRequest("POST", h.url+path, strings.NewReader(form.Encode()))
				must(t, err)
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.Header.Set(header[0], header[1])
				p := b.do(r)
				if ref = reference(p.body); p.status != http.StatusForbidden || p.header.Get("Set-Cookie") != "" || ref == "" {
					t.Errorf("%s from %s: %d", path, name, p.status)
				}
			}
			if p := b.get(path + "?" + form.Encode()); p.status == 200 && path != "/signout" && path != "/account/password" && p.url.Path != "/apps" {
				t.Errorf("GET %s: %d %s", path, p.status, p.url)
			}
		}
		if p := b.get("/apps"); p.url.Path != "/apps" || sessions() != 1 {
			t.Errorf("something happened: %s, %d sessions", p.url, sessions())
		}
		u, err := st.People().User(t.Context(), h.org.ID, h.ana.ID)
		must(t, err)
		if u.Password != h.ana.Password {
			t.Error("the password is another one")
		}
		h.event(ref, "CrossOriginRequest")
	})
}

// WEB-22: a fault of our own is a page with a reference that finds it in the log and in an event; what went wrong stays
// inside.
func TestPanic(t *testing.T) {
	h := quick(t)
	var log bytes.Buffer
	c := h.config(&log)
	calls := 0
	c.Now = func() time.Time {
		if calls++; calls == 1 { // by a room
			panic("an inner value")
		}
		return time.Now()
	}
	h.handler = server.New(c)
	w := h.raw("GET", "/apps")
	body := w.Body.String()
	if w.Code != http.StatusInternalServerError || strings.Contains(body, "inner") || strings.Contains(body, "goroutine") || strings.Contains(body, ".go") ||
		!strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") || w.Header().Get("Content-Security-Policy") == "" {
		t.Errorf("%d\n%s", w.Code, body)
	}
	ref := reference(body)
	h.event(ref, "InternalError")
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "an inner value") || !strings.Contains(lines[0], "panic") || !strings.Contains(lines[0], ref) ||
		!strings.Contains(lines[1], `"status":500`) || !strings.Contains(lines[1], ref) {
		t.Errorf("log:\n%s", log.String())
	}
	if w := h.raw("GET", "/apps"); w.Code != http.StatusSeeOther {
		t.Errorf("the next request: %d", w.Code)
	}
}

// While the database is away the process says that it lives, and everybody else to come again.
func TestHealth(t *testing.T) {
	h := quick(t)
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n", "/healthz?verbose": "ok\n"} {
		if w := h.raw("GET", path); w.Code != http.StatusOK || w.Body.String() != want {
			t.Errorf("%s: %d %q", path, w.Code, w.Body)
		}
	}
	st := storetest.New(t, storetest.SQLite) // nothing is in it, not even an org
	h.st = st
	h.handler = server.New(h.config(io.Discard))
	if w := h.raw("GET", "/healthz"); w.Code != http.StatusOK {
		t.Errorf("/healthz without an org: %d", w.Code)
	}
	w := h.raw("GET", "/signin")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Content-Security-Policy") == "" || strings.Contains(w.Body.String(), "store:") {
		t.Errorf("without an org: %d\n%s", w.Code, w.Body)
	}
}

var code = regexp.MustCompile(`<code[^>]*>([A-Z0-9]{8})</code>`)

// reference is what a refusal page gives the reader for the administrator; empty: nothing.
func reference(body string) string {
	if m := code.FindStringSubmatch(body); m != nil {
		return m[1]
	}
	return ""
}
