package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// listener is where the server answers.
type listener struct {
	net.Listener
	tcp    *net.TCPListener // beneath
	scheme string
	host   string // as it was named; empty: every address of this machine
	pair   *pair  // nil: plain http
}

func listen(addr, cert, key string) (*listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("can not listen at %s: write HOST:PORT, like 127.0.0.1:8080", addr)
	}
	plain := net.ListenConfig{}
	plain.SetMultipathTCP(false) // a socket of several paths takes no filter, see takeNoMore
	at, err := plain.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("can not listen at %s: %w", addr, err)
	}
	l := at.(*net.TCPListener)
	if cert == "" {
		return &listener{l, l, "http", host, nil}, nil
	}
	p := &pair{cert: cert, key: key}
	first, err := p.read()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the TLS certificate: %w", err), l.Close())
	}
	p.present.Store(first)
	return &listener{tls.NewListener(l, &tls.Config{
		GetCertificate: p.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	}), l, "https", host, p}, nil
}

// address is the listener's own, as a URL: the host as it was named, the port as it was found.
func (l *listener) address() string {
	host, port, _ := net.SplitHostPort(l.Addr().String())
	return l.scheme + "://" + net.JoinHostPort(cmp.Or(l.host, host), port)
}

// open tells if other machines can reach the listener in the clear.
func (l *listener) open() bool {
	at, err := netip.ParseAddrPort(l.Addr().String())
	return l.pair == nil && (err != nil || !at.Addr().Unmap().IsLoopback())
}

// pair is the certificate that browsers are shown, which can be another one from one handshake to the next.
type pair struct {
	cert, key string // files
	present   atomic.Pointer[tls.Certificate]
}

func (p *pair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.present.Load(), nil }

// until is when what is shown now ends.
func (p *pair) until() time.Time { return p.present.Load().Leaf.NotAfter }

func (p *pair) read() (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(p.cert, p.key) // which sees that the key is the certificate's
	if err != nil {
		return nil, err
	}
	return &c, nil
}

// again reads the files anew and takes what they hold if browsers would. What was shown before stays otherwise.
func (p *pair) again(now time.Time) (*tls.Certificate, error) {
	c, err := p.read()
	if err != nil {
		return nil, err
	}
	if now.After(c.Leaf.NotAfter) {
		return nil, fmt.Errorf("it expired on %s", c.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	if now.Before(c.Leaf.NotBefore) {
		return nil, fmt.Errorf("it is not valid before %s", c.Leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	p.present.Store(c)
	return c, nil
}
