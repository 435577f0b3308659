package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/lanyard-sso/lanyard/idp/server"
)

type serveCmd struct {
	storeFlags
	Listen         string `default:"127.0.0.1:8080" help:"Address to listen at (default: 127.0.0.1:8080); port 0 picks one." placeholder:"ADDR"`
	TLSCert        string `name:"tls-cert" help:"Certificate (PEM, with its chain)." placeholder:"FILE"`
	TLSKey         string `name:"tls-key" help:"Private key of the certificate (PEM)." placeholder:"FILE"`
	TrustedProxies []cidr `help:"Proxies whose X-Forwarded-For is believed." placeholder:"CIDR"`
}

func (serveCmd) Help() string {
	return `Without users, serve prints a one-time link on standard error by which the first administrator is made.

Examples:

    lanyard serve
    lanyard serve --listen :8443 --tls-cert sso.pem --tls-key sso.key --url https://sso.example.com
    LANYARD_MASTER_KEY_FILE=/run/secrets/master lanyard serve --database postgres://lanyard@db/lanyard \
        --listen 127.0.0.1:8080 --url https://sso.example.com --trusted-proxies 10.0.0.0/8`
}

func (c serveCmd) Run(g *globals) error {
	ctx, stop := context.WithCancel(g.ctx)
	defer stop()
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return usagef("--tls-cert and --tls-key go together")
	}
	log := slog.New(slog.NewJSONHandler(g.err, nil))
	l, err := listen(c.Listen, c.TLSCert, c.TLSKey)
	if err != nil {
		return err
	}
	defer l.Close()
	at := l.address()
	h, err := c.openWith(ctx, log)
	if err != nil {
		return err
	}
	defer h.close()
	own, _ := publicURL(at) // "" if nobody can go there
	if err := h.findOrg(c.URL, own); err != nil {
		return err
	}
	if h.org.URL == "" {
		return fmt.Errorf("%s is no address for browsers; give the public one: --url https://sso.example.com", at)
	}
	release, err := h.st.LockServe()
	if err != nil {
		return err
	}
	defer release()
	return h.serve(ctx, g, l, prefixes(c.TrustedProxies), log, func() {
		fmt.Fprintf(g.out, "lanyard: serving %s\n", at)
	})
}

// listener is where the server answers.
type listener struct {
	net.Listener
	scheme string
	host   string // as it was named; empty: every address of this machine
}

func listen(addr, cert, key string) (*listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("can not listen at %s: write HOST:PORT, like 127.0.0.1:8080", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("can not listen at %s: %w", addr, err)
	}
	if cert == "" {
		return &listener{l, "http", host}, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the TLS certificate: %w", err), l.Close())
	}
	return &listener{tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}), "https", host}, nil
}

// address is the listener's own, as a URL: the host as it was named, the port as it was found.
func (l *listener) address() string {
	host, port, _ := net.SplitHostPort(l.Addr().String())
	return l.scheme + "://" + net.JoinHostPort(cmp.Or(l.host, host), port)
}

const drain = 30 * time.Second

// serve answers until ctx ends, then finishes what is under way. ready is called when it answers.
func (h *house) serve(ctx context.Context, g *globals, l *listener, proxies []netip.Prefix, log *slog.Logger, ready func()) error {
	c := server.Config{Store: h.st, Sealer: h.sealer, People: h.people, Fetcher: h.fetcher, Now: time.Now, Log: log, TrustedProxies: proxies}
	link, err := c.NewSignIn().SetupLink(ctx, h.org.ID)
	if err != nil {
		return err
	}
	if link != "" {
		fmt.Fprintf(g.err, "There are no users yet. Make the first administrator, once and within 24 hours:\n\n    %s%s\n\n", h.org.URL, link)
	}
	s := &http.Server{
		Handler: server.New(c), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second,
		IdleTimeout: 120 * time.Second, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	work, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { c.Work(work) })
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(l) }()
	ready()
	select {
	case err = <-failed:
	case <-ctx.Done():
		// What is under way is finished; nothing new is taken.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		err = s.Shutdown(last)
	}
	stop()
	background.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
