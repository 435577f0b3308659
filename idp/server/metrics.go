package server

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/netip"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/keys"
)

// Metrics counts what a server does, in Prometheus's form. No label has a value that came from outside: a route is the
// router's template, a method or an event's code one of a fixed list.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

// NewMetrics returns the metrics of the server that c makes, as the version named.
func (c Config) NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanyard_http_requests_total", Help: "Answered requests by route template, method and class of status.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lanyard_http_request_seconds", Help: "How long requests took, by route template.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "lanyard_http_requests_in_flight", Help: "Requests being answered."}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "lanyard_build_info", Help: "1, with the version.", ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(m.requests, m.seconds, m.inFlight, build, newRoom(c),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler answers with everything, to whoever can reach it.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{DisableCompression: true, MaxRequestsInFlight: 4})
}

// began counts a request in; what it returns counts it out.
func (m *Metrics) began(r *http.Request) (done func(rec *recorder, took time.Duration)) {
	if m == nil {
		return func(*recorder, time.Duration) {}
	}
	m.inFlight.Inc()
	return func(rec *recorder, took time.Duration) {
		m.inFlight.Dec()
		route, method := rec.route, r.Method
		if route == "" {
			route = "none"
		}
		switch method {
		case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS":
		default:
			method = "other"
		}
		m.requests.WithLabelValues(route, method, strconv.Itoa(rec.status/100)+"xx").Inc()
		m.seconds.WithLabelValues(route).Observe(took.Seconds())
	}
}

// routed notes in the recorder by which route a request is answered.
func routed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rec, ok := w.(*recorder); ok {
			rec.route, _ = mux.CurrentRoute(r).GetPathTemplate()
		}
		next.ServeHTTP(w, r)
	})
}

// mayRead tells if r is from this very machine and came by no proxy, nor from a page that another site's name was bent
// to us for.
func (s *server) mayRead(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() || within(peer.Addr().Unmap(), s.TrustedProxies) {
		return false
	}
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Forwarded", "Via"} {
		if len(r.Header.Values(name)) > 0 {
			return false
		}
	}
	host := r.Host
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// room tells what is not counted by requests: the store's numbers, what events say, the keys. It is asked when somebody
// reads.
type room struct {
	Config
	ready, age, queued, busy, writes              *prometheus.Desc
	signIns, responses, tokens, refusals, changes *prometheus.Desc
	expires, tls                                  *prometheus.Desc
}

func newRoom(c Config) *room {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("lanyard_"+name, help, labels, nil)
	}
	return &room{
		Config:    c,
		ready:     d("ready", "1 while requests are served: what /readyz says."),
		age:       d("store_change_poll_age_seconds", "Since it was last read what other nodes changed; over 5 s nothing is issued."),
		queued:    d("store_write_queue", "Steps that wait for SQLite's writer."),
		busy:      d("store_busy_total", "Steps turned away because too many waited or collided."),
		writes:    d("store_write_seconds", "How long steps took until they were on disk or undone, waiting included."),
		signIns:   d("sign_ins_total", "Sign-ins by how they ended.", "outcome"),
		responses: d("saml_responses_total", "SAML responses with an assertion, by who began.", "initiated"),
		tokens:    d("tokens_total", "Token responses by grant.", "grant"),
		refusals:  d("refusals_total", "Refusals by the code of their event.", "code"),
		changes:   d("events_total", "All other events by code.", "code"),
		expires:   d("saml_certificate_expiry_timestamp_seconds", "When the certificate of a SAML key ends, by the key's state.", "state"),
		tls:       d("tls_certificate_expiry_timestamp_seconds", "When the certificate that browsers are shown ends."),
	}
}

func (m *room) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.ready, m.age, m.queued, m.busy, m.writes, m.signIns, m.responses, m.tokens, m.refusals, m.changes, m.expires, m.tls} {
		ch <- d
	}
}

// told is where each code is counted that has a metric of its own. One that did not happen yet is 0.
var told = map[store.Told]struct{ metric, label string }{
	{Code: "UsernamePasswordUiLogin", Outcome: idp.OK}:     {"sign-in", "ok"},
	{Code: "SigninLinkUiLogin", Outcome: idp.OK}:           {"sign-in", "ok"},
	{Code: "InvalidUserCredentials", Outcome: idp.Refused}: {"sign-in", "refused"},
	{Code: "TooManyAttempts", Outcome: idp.Refused}:        {"sign-in", "throttled"},
	{Code: "SamlSpInitiatedSSO", Outcome: idp.OK}:          {"response", "sp"},
	{Code: "SamlIdpInitiatedSSO", Outcome: idp.OK}:         {"response", "idp"},
	{Code: "OauthWebServer", Outcome: idp.OK}:              {"token", "authorization_code"},
	{Code: "OauthRefreshToken", Outcome: idp.OK}:           {"token", "refresh_token"},
	{Code: "OauthClientCredentials", Outcome: idp.OK}:      {"token", "client_credentials"},
}

func (m *room) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	ready := 0.0
	if m.Store.Ready() == nil && (m.Leaving == nil || !m.Leaving()) {
		ready = 1
	}
	gauge(m.ready, ready)
	st := m.Store.Stats()
	gauge(m.age, st.Age.Seconds())
	gauge(m.queued, float64(st.Queued))
	counter(m.busy, st.Busy)
	ch <- prometheus.MustNewConstHistogram(m.writes, st.Steps, st.Seconds, st.Within)

	own := map[string]map[string]uint64{"sign-in": {}, "response": {}, "token": {}}
	for k, at := range told {
		own[at.metric][at.label] += st.Events[k]
	}
	for metric, d := range map[string]*prometheus.Desc{"sign-in": m.signIns, "response": m.responses, "token": m.tokens} {
		for label, n := range own[metric] {
			counter(d, n, label)
		}
	}
	for k, n := range st.Events {
		switch _, own := told[k]; {
		case k.Outcome == idp.Refused:
			counter(m.refusals, n, k.Code)
		case !own:
			counter(m.changes, n, k.Code)
		}
	}
	m.certificates(gauge)
}

func (m *room) certificates(gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	if m.TLSUntil != nil {
		gauge(m.tls, float64(m.TLSUntil().Unix()))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	org, err := m.Store.Orgs().Default(ctx)
	if err != nil {
		return
	}
	ring, err := m.Store.Keys().Ring(ctx, org.ID, keys.SAML)
	if err != nil {
		return
	}
	first := map[string]time.Time{} // by state: of several, the one that ends first
	for _, k := range ring.Published() {
		if c, err := x509.ParseCertificate(k.Certificate); err == nil {
			if t, seen := first[string(k.State)]; !seen || c.NotAfter.Before(t) {
				first[string(k.State)] = c.NotAfter
			}
		}
	}
	states := make([]string, 0, len(first))
	for state := range first {
		states = append(states, state)
	}
	sort.Strings(states)
	for _, state := range states {
		gauge(m.expires, float64(first[state].Unix()), state)
	}
}
