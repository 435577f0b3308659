package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/lanyard-sso/lanyard/idp/server"
)

type serveCmd struct {
	storeFlags
	Listen         string        `default:"127.0.0.1:8080" help:"Address to listen at (default: 127.0.0.1:8080); port 0 picks one." placeholder:"ADDR"`
	TLSCert        string        `name:"tls-cert" help:"Certificate (PEM, with its chain). Read again on SIGHUP." placeholder:"FILE"`
	TLSKey         string        `name:"tls-key" help:"Private key of the certificate (PEM)." placeholder:"FILE"`
	TrustedProxies []cidr        `help:"Proxies whose X-Forwarded-For is believed." placeholder:"CIDR"`
	MetricsListen  string        `help:"Show Prometheus's metrics at this address, at /metrics, to whoever reaches it. Default: at /metrics of the server itself, to callers on this machine, unless a proxy is in front." placeholder:"ADDR"`
	LogLevel       slog.Level    `default:"info" help:"Log debug, info (a line a request), warn or error (default: info)." placeholder:"LEVEL"`
	DrainDelay     time.Duration `default:"5s" help:"On SIGTERM, how long to go on serving after /readyz has turned 503, until every balancer has looked (default: 5s)." placeholder:"DURATION"`
	DrainTimeout   time.Duration `default:"25s" help:"On SIGTERM, when to end at the latest, the delay included (default: 25s)." placeholder:"DURATION"`
}

func (serveCmd) Help() string {
	return `Without users, serve prints a one-time link on standard error by which the first administrator is made.

The public address (--url) is https, with TLS spoken here (--tls-cert, --tls-key) or by a proxy in front
(--trusted-proxies); only an address of this machine may be plain http. It may have a path: with
--url https://example.com/sso everything is below /sso, whether the proxy hands that on or takes it off.

SIGHUP reads the certificate and its key again. SIGTERM turns /readyz to 503, serves on for --drain-delay,
finishes what is under way and ends; Ctrl-C does so without the delay, a second one ends at once.

Metrics name routes by their templates, never by what was asked. /metrics shows them to callers on this machine; where a
proxy is in front, to nobody: give --metrics-listen.

Examples:

    lanyard serve
    lanyard serve --listen :8443 --tls-cert sso.pem --tls-key sso.key --url https://sso.example.com
    LANYARD_MASTER_KEY_FILE=/run/secrets/master lanyard serve --database postgres://lanyard@db/lanyard \
        --listen 10.0.0.5:8080 --url https://example.com/sso --trusted-proxies 10.0.0.2 \
        --metrics-listen 127.0.0.1:9090`
}

func (c serveCmd) Run(g *globals) error {
	ctx, stop := context.WithCancel(g.ctx)
	defer stop()
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return usagef("--tls-cert and --tls-key go together")
	}
	if c.DrainDelay < 0 || c.DrainTimeout < c.DrainDelay {
		return usagef("--drain-timeout %s is shorter than --drain-delay %s, which is part of it", c.DrainTimeout, c.DrainDelay)
	}
	hangups := make(chan os.Signal, 1)
	signal.Ignore(syscall.SIGHUP) // it no longer ends this command
	signal.Notify(hangups, syscall.SIGHUP)
	log := slog.New(slog.NewJSONHandler(g.err, &slog.HandlerOptions{Level: c.LogLevel, ReplaceAttr: server.Redact}))
	l, err := listen(c.Listen, c.TLSCert, c.TLSKey)
	if err != nil {
		return err
	}
	defer l.Close()
	var metrics *listener
	if c.MetricsListen != "" {
		if metrics, err = listen(c.MetricsListen, "", ""); err != nil {
			return fmt.Errorf("--metrics-listen: %w", err)
		}
		defer metrics.Close()
	}
	at := l.address()
	h, err := c.openWith(ctx, log)
	if err != nil {
		return err
	}
	defer h.close()
	own, _ := publicURL(at) // "" if nobody can go there
	if given, err := publicURL(c.URL); err == nil && given != "" {
		if err := c.inTheClear(l, given); err != nil { // before anything is written down
			return err
		}
	}
	if err := h.findOrg(c.URL, own); err != nil {
		return err
	}
	if h.org.URL == "" {
		return fmt.Errorf("%s is no address for browsers; give the public one: --url https://sso.example.com", at)
	}
	if err := c.inTheClear(l, h.org.URL); err != nil {
		return err
	}
	if l.pair == nil && h.org.Secure() && len(c.TrustedProxies) == 0 {
		log.Warn("no proxy is trusted, so everybody who comes by the one that speaks TLS has its address; say --trusted-proxies", "listen", at, "url", h.org.URL)
	}
	release, err := h.st.LockServe()
	if err != nil {
		return err
	}
	defer release()
	go rereadPair(ctx, l, hangups, log)
	return h.serve(ctx, g, service{
		listener: l, metrics: metrics, proxies: prefixes(c.TrustedProxies), log: log, delay: c.DrainDelay, timeout: c.DrainTimeout,
		ready: func() { fmt.Fprintf(g.out, "lanyard: serving %s\n", at) },
	})
}

// inTheClear refuses to be reached over plain http by other machines, unless they are a proxy.
func (c serveCmd) inTheClear(l *listener, public string) error {
	if !l.open() || len(c.TrustedProxies) > 0 {
		return nil
	}
	return fmt.Errorf("%s can be reached from other machines without TLS, and the public address is %s; say which proxy speaks TLS, --trusted-proxies CIDR, or speak it here, --tls-cert FILE --tls-key FILE, or listen at 127.0.0.1 only", l.address(), public)
}

// rereadPair reads the TLS files again whenever a hangup asks for it.
func rereadPair(ctx context.Context, l *listener, hangups <-chan os.Signal, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		if l.pair == nil {
			log.Info("SIGHUP: there are no TLS files to read again")
			continue
		}
		c, err := l.pair.again(time.Now())
		if err != nil {
			log.Error("SIGHUP: the TLS certificate stays the one before", "file", l.pair.cert, "error", err)
			continue
		}
		log.Info("SIGHUP: the TLS certificate was read again", "file", l.pair.cert,
			"names", strings.Join(c.Leaf.DNSNames, " "), "until", c.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
}

// service is how a house answers.
type service struct {
	listener       *listener
	metrics        *listener // nil: where everything else is, for this machine
	proxies        []netip.Prefix
	log            *slog.Logger
	delay, timeout time.Duration // of leaving; the delay is part of the timeout
	ready          func()        // called when it answers
}

// serve answers until ctx ends, then finishes what is under way.
func (h *house) serve(ctx context.Context, g *globals, v service) error {
	var leaving atomic.Bool
	c := server.Config{
		Store: h.st, Sealer: h.sealer, People: h.people, Fetcher: h.fetcher, Now: h.st.Now, Log: v.log, TrustedProxies: v.proxies, Leaving: leaving.Load,
	}
	if v.listener.pair != nil {
		c.TLSUntil = v.listener.pair.until
	}
	// Where somebody else speaks TLS, a caller from this machine may be that proxy, with the whole world behind it.
	inFront := v.listener.pair == nil && h.org.Secure() || len(v.proxies) > 0
	c.Metrics, c.MetricsHere = c.NewMetrics(version), v.metrics == nil && !inFront
	link, err := c.NewSignIn().SetupLink(ctx, h.org.ID)
	if err != nil {
		return err
	}
	if link != "" {
		fmt.Fprintf(g.err, "There are no users yet. Make the first administrator, once and within 24 hours:\n\n    %s%s\n\n", h.org.URL, link)
	}
	s := &http.Server{
		Handler: server.New(c), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second,
		IdleTimeout: 120 * time.Second, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(v.log.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 100},
		// OPTIONS * is answered like everything else that is not asked for here.
		DisableGeneralOptionsHandler: true,
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var background sync.WaitGroup
	background.Go(func() { c.Work(work) })
	failed := make(chan error, 2)
	go func() { failed <- s.Serve(v.listener) }()
	if v.metrics != nil {
		apart := metricsServer(c.Metrics, s)
		go func() { failed <- apart.Serve(v.metrics) }()
		defer func() { _ = apart.Close() }() // last: how a server leaves is worth reading
	}
	v.ready()
	select {
	case err = <-failed:
	case <-ctx.Done():
		leaving.Store(true)
		err = v.leave(ctx, s, failed)
	}
	stop()
	background.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// metricsServer shows the metrics and nothing else, with the limits that s has.
func metricsServer(m *server.Metrics, s *http.Server) *http.Server {
	only := http.NewServeMux()
	only.Handle("GET /metrics", m.Handler())
	return &http.Server{
		Handler: only, ReadHeaderTimeout: s.ReadHeaderTimeout, ReadTimeout: s.ReadTimeout, WriteTimeout: s.WriteTimeout, IdleTimeout: s.IdleTimeout,
		MaxHeaderBytes: 16 << 10, ErrorLog: s.ErrorLog,
	}
}

// lull is how long connections that have begun are waited for: what a handshake takes, from anywhere, and what a busy
// machine takes to look at it.
const lull = 250 * time.Millisecond

// leave ends s so that nobody notices. While balancers learn that this node is not ready, all is served; each answer
// closes its connection. Then for a moment no connection begins, so that none is lost when the listener closes; those
// that are left have been idle all the while and are closed too. What is under way is finished.
func (v service) leave(ctx context.Context, s *http.Server, failed <-chan error) error {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.timeout)
	defer cancel()
	delay, by := v.delay, ended{}
	interrupted := errors.As(context.Cause(ctx), &by) && by.Signal == os.Interrupt
	if interrupted {
		delay = 0 // somebody at a terminal waits, and no balancer
	}
	v.log.Info("leaving", "delay", delay.String(), "timeout", v.timeout.String())
	select {
	case err := <-failed:
		return err
	case <-time.After(delay):
	}
	if !interrupted {
		if err := takeNoMore(v.listener.tcp); err != nil {
			v.log.Warn("a connection that begins at this moment may be reset", "error", err)
		} else {
			time.Sleep(lull)
		}
	}
	err := s.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) {
		v.log.Warn("what was still under way is cut off")
		return s.Close()
	}
	return err
}
