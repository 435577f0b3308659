package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

type readyCmd struct {
	Listen  string `default:"127.0.0.1:8080" help:"Address that serve listens at (default: 127.0.0.1:8080)." placeholder:"ADDR"`
	TLSCert string `name:"tls-cert" help:"Certificate that serve shows: then it is asked by TLS." placeholder:"FILE"`
}

func (readyCmd) Help() string {
	return `It asks the server on this machine for /readyz, and ends with 1 if that is not ready, is about to end, or is not
there. It has serve's environment or its --config FILE, or these flags, and opens no database. It is a container's health check.

Examples:

    lanyard ready
    lanyard ready --listen :8080`
}

func (c readyCmd) Run(g *globals) error {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return usagef("--listen %s: write HOST:PORT, like 127.0.0.1:8080", c.Listen)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	at := net.JoinHostPort(host, port)
	status, text, err := askReady(at, c.TLSCert != "")
	switch {
	case err != nil:
		return fmt.Errorf("no server answers at %s: %w", at, err)
	case status != http.StatusOK:
		return fmt.Errorf("%s: %d %s", at, status, text)
	}
	fmt.Fprintf(g.out, "%s is ready\n", at)
	return nil
}

// askReady asks on one connection, within 5 s.
func askReady(at string, secure bool) (status int, text string, err error) {
	c, err := net.DialTimeout("tcp", at, 5*time.Second)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return 0, "", err
	}
	if secure { // whom the certificate names is for browsers; this is the address we were given, on this machine
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	}
	r, err := http.NewRequest(http.MethodGet, "http://"+at+"/readyz", nil)
	if err == nil {
		r.Close = true
		err = r.Write(c)
	}
	if err != nil {
		return 0, "", err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), r)
	if err != nil {
		return 0, "", errors.New("that is no answer of HTTP")
	}
	defer res.Body.Close()
	first, err := bufio.NewReader(io.LimitReader(res.Body, 200)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, "", err
	}
	return res.StatusCode, strings.TrimSpace(first), nil
}
