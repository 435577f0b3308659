package server_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/server"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// measured has the house count, and returns what a reader of the metrics sees.
func (h *house) measured(proxies ...netip.Prefix) (read func() map[string]string, c server.Config) {
	c = h.config(h.log, proxies...)
	c.Metrics, c.MetricsHere = c.NewMetrics("1.2.3"), true
	h.handler = server.New(c)
	return func() map[string]string {
		w := httptest.NewRecorder()
		c.Metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		all := map[string]string{}
		for _, line := range strings.Split(w.Body.String(), "\n") {
			if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
				all[line[:i]] = line[i+1:]
			}
		}
		return all
	}, c
}

// What people and programs do is counted, once each, also on the database that runs a step again.
func TestMetricsCount(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := newHouse(t, st)
		read, _ := h.measured()
		b := h.browser()
		b.signIn(b.get("/apps"), "ana", "a wrong password")
		b.signIn(b.get("/apps"), "ana", "correct horse battery")
		b.get(redirectRequest(t, h, "_one", ""))
		b.get("/saml/launch/Your_Benefits")
		q := url.Values{"response_type": {"code"}, "client_id": {"wellness"}, "redirect_uri": {"https://wellness.example/cb"}, "scope": {"openid"}, "state": {"s"}}
		to, err := url.Parse(b.get("/oauth2/authorize?" + q.Encode()).header.Get("Location"))
		must(t, err)
		form := url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {"https://wellness.example/cb"},
			"client_id": {"wellness"}, "client_secret": {"a-client-secret"}}
		b.post("/oauth2/token", form, "")
		b.post("/oauth2/introspect", url.Values{"token": {"x"}, "client_id": {"wellness"}, "client_secret": {"a-client-secret"}}, "")
		got := read()
		for name, want := range map[string]string{
			`lanyard_sign_ins_total{outcome="ok"}`:                                               "1",
			`lanyard_sign_ins_total{outcome="refused"}`:                                          "1",
			`lanyard_sign_ins_total{outcome="throttled"}`:                                        "0",
			`lanyard_refusals_total{code="InvalidUserCredentials"}`:                              "1",
			`lanyard_saml_responses_total{initiated="sp"}`:                                       "1",
			`lanyard_saml_responses_total{initiated="idp"}`:                                      "1",
			`lanyard_tokens_total{grant="authorization_code"}`:                                   "1",
			`lanyard_tokens_total{grant="refresh_token"}`:                                        "0",
			`lanyard_http_requests_total{method="POST",route="/oauth2/introspect",status="2xx"}`: "1",
			`lanyard_http_requests_total{method="POST",route="/signin",status="4xx"}`:            "1",
			`lanyard_http_requests_total{method="GET",route="/saml/launch/{app}",status="2xx"}`:  "1",
			`lanyard_http_request_seconds_count{route="/oauth2/token"}`:                          "1",
			`lanyard_http_requests_in_flight`:                                                    "0",
			`lanyard_ready`:                                                                      "1",
			`lanyard_store_write_queue`:                                                          "0",
			`lanyard_store_busy_total`:                                                           "0",
		} {
			if got[name] != want {
				t.Errorf("%s is %q, want %q", name, got[name], want)
			}
		}
		for _, name := range []string{`lanyard_saml_certificate_expiry_timestamp_seconds{state="active"}`, "lanyard_store_change_poll_age_seconds",
			"lanyard_store_write_seconds_count", "process_resident_memory_bytes", "go_goroutines"} {
			if got[name] == "" || got[name] == "0" {
				t.Errorf("%s is %q", name, got[name])
			}
		}
		if !strings.Contains(fmt.Sprint(got), `version="1.2.3"`) {
			t.Error("no version")
		}
	})
}

// Nothing that was asked for becomes a label: a stranger can not make the numbers grow.
func TestMetricsAreBounded(t *testing.T) {
	h := quick(t)
	read, _ := h.measured()
	h.raw("GET", "/signin")
	h.raw("GET", "/none/0")
	h.raw("BREW", "/signin")
	h.raw("GET", "/saml/launch/canary0")
	before := len(read())
	for i := range 50 {
		h.raw("GET", fmt.Sprintf("/none/canary%d", i))
		h.raw(fmt.Sprintf("BREW%d", i), "/signin")
		h.raw("GET", fmt.Sprintf("/saml/launch/canary%d", i))
		h.raw("GET", fmt.Sprintf("/oauth2/authorize?client_id=canary%d", i))
		h.raw("GET", fmt.Sprintf("/oauth2/register/canary%d", i))
	}
	after := read()
	if len(after) > before+40 { // two routes with their buckets
		t.Errorf("%d numbers became %d", before, len(after))
	}
	for name := range after {
		if regexp.MustCompile(`(?i)canary|brew|/none`).MatchString(name) {
			t.Errorf("a label came from outside: %s", name)
		}
	}
}

// WEB-22: the public listener shows metrics to a direct caller on this machine, and to nobody else.
func TestMetricsAreNotPublic(t *testing.T) {
	h := quick(t)
	ask := func(handler http.Handler, peer, host string, header ...string) int {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.RemoteAddr, r.Host = peer, host
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	_, c := h.measured(netip.MustParsePrefix("127.0.0.2/32"))
	handler := h.handler
	const local = "127.0.0.1:8080"
	for _, x := range []struct {
		name, peer, host string
		header           []string
		status           int
	}{
		{"direct", "127.0.0.1:1", local, nil, 200},
		{"direct by IPv6", "[::1]:1", "[::1]:8080", nil, 200},
		{"direct by name", "[::ffff:127.0.0.1]:1", "localhost", nil, 200},
		{"from elsewhere", "192.0.2.1:1", local, nil, 404},
		{"from a neighbour", "10.0.0.1:1", local, nil, 404},
		{"no peer", "@", local, nil, 404},
		{"the proxy", "127.0.0.2:1", local, nil, 404},
		{"forwarded", "127.0.0.1:1", local, []string{"X-Forwarded-For", "127.0.0.1"}, 404},
		{"forwarded, empty", "127.0.0.1:1", local, []string{"X-Forwarded-For", ""}, 404},
		{"Forwarded", "127.0.0.1:1", local, []string{"Forwarded", "for=127.0.0.1"}, 404},
		{"X-Real-IP", "127.0.0.1:1", local, []string{"X-Real-IP", "127.0.0.1"}, 404},
		{"Via", "127.0.0.1:1", local, []string{"Via", "1.1 x"}, 404},
		{"by the public name", "127.0.0.1:1", "sso.example.com", nil, 404},
		{"by a name bent to us", "127.0.0.1:1", "127.0.0.1.evil.example:8080", nil, 404},
		{"by no name", "127.0.0.1:1", "", nil, 404},
	} {
		if got := ask(handler, x.peer, x.host, x.header...); got != x.status {
			t.Errorf("%s: %d, want %d", x.name, got, x.status)
		}
	}
	c.MetricsHere = false
	if got := ask(server.New(c), "127.0.0.1:1", local); got != 404 {
		t.Errorf("shown elsewhere: %d", got)
	}
	if got := ask(server.New(h.config(io.Discard)), "127.0.0.1:1", local); got != 404 {
		t.Errorf("nothing is counted: %d", got)
	}
}
