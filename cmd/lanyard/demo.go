package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lanyard-sso/lanyard/cmd/lanyard/demo"
	"github.com/lanyard-sso/lanyard/idp/api"
	"github.com/lanyard-sso/lanyard/idp/server"
)

type demoCmd struct {
	Listen string `default:"127.0.0.1:8080" help:"Address of the identity provider (default: 127.0.0.1:8080); port 0 picks one." placeholder:"ADDR"`
	output
	Verbose bool `help:"Log every request on standard error."`
}

func (demoCmd) Help() string {
	return `Everything lives in a temporary folder that is removed at the end.

Examples:

    lanyard demo
    lanyard demo --listen 127.0.0.1:0 -o json`
}

//go:embed demo.yaml
var demoYAML string

const demoPassword = "lanyard demo only"

type demoUser struct {
	Username string `json:"username"`
	Password string `json:"password"`
	about    string
}

type demoApp struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

func (c demoCmd) Run(g *globals) error {
	dir, err := os.MkdirTemp("", "lanyard-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	signal.Ignore(syscall.SIGPIPE) // where nobody reads what is told, it is tidied up all the same
	log := slog.New(slog.DiscardHandler)
	if c.Verbose {
		log = slog.New(slog.NewTextHandler(g.err, nil))
	}
	l, err := listen(c.Listen, "", "")
	if err != nil {
		return fmt.Errorf("%w; another address: lanyard demo --listen 127.0.0.1:0", err)
	}
	defer l.Close()
	if _, err := publicURL(l.address()); err != nil {
		return fmt.Errorf("the demo is for this machine only: %w", err)
	}
	ctx, stop := context.WithCancel(g.ctx)
	defer stop()
	flags := storeFlags{Data: dir, Database: "sqlite:" + filepath.Join(dir, "lanyard.db")}
	h, err := flags.openWith(ctx, log)
	if err != nil {
		return err
	}
	defer h.close()
	if err := h.findOrg(l.address(), ""); err != nil {
		return err
	}
	s, err := openStage(h)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.declare(dir); err != nil {
		return err
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer stop()
	failed := make(chan error, 1)
	up := make(chan struct{})
	serving.Go(func() {
		failed <- h.serve(ctx, g, service{listener: l, log: log, timeout: 5 * time.Second, ready: func() { close(up) }})
	})
	select {
	case <-up:
	case err := <-failed:
		return err
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	out := &heard{Writer: g.out}
	if err := errors.Join(c.tell(out, h, s), out.err); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// stage is the three sample apps, each at an address of its own, so that they are other sites than the house.
type stage struct {
	*house
	benefits *demo.Benefits
	wellness *demo.Wellness
	orders   *demo.Orders
	apps     []demoApp
	servers  []*http.Server
}

func openStage(h *house) (*stage, error) {
	s := &stage{house: h}
	open := func(name string, make func(url string) (http.Handler, error)) error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		a := demoApp{name, "http://localhost:" + port}
		handler, err := make(a.URL)
		if err != nil {
			return err
		}
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = server.Serve(l) }()
		s.apps, s.servers = append(s.apps, a), append(s.servers, server)
		return nil
	}
	if err := open("Your Benefits", func(u string) (_ http.Handler, err error) {
		s.benefits, err = demo.NewBenefits(u)
		return s.benefits, err
	}); err != nil {
		return s, err
	}
	if err := open("Wellness Tracker", func(u string) (http.Handler, error) {
		s.wellness = demo.NewWellness(u)
		return s.wellness, nil
	}); err != nil {
		return s, err
	}
	return s, open("Orders", func(u string) (http.Handler, error) {
		s.orders = demo.NewOrders(u)
		return s.orders, nil
	})
}

func (s *stage) close() {
	for _, x := range s.servers {
		_ = x.Close()
	}
}

// declare applies demo.yaml, as an admin would.
func (s *stage) declare(dir string) error {
	metadata, err := s.benefits.Metadata()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "benefits-sp.xml"), metadata, 0o600); err != nil {
		return err
	}
	text := strings.NewReplacer("BENEFITS", s.apps[0].URL, "WELLNESS", s.apps[1].URL, "ORDERS", s.apps[2].URL, "PASSWORD", demoPassword).Replace(demoYAML)
	docs, faults := api.Decode(filepath.Join(dir, "demo.yaml"), strings.NewReader(text))
	if len(faults) > 0 {
		return faults
	}
	_, err = s.declarer().Apply(s.ctx, s.org, docs, api.Options{Set: "demo"})
	return err
}

// connect gives each app what its own admin would enter there.
func (s *stage) connect(ctx context.Context) error {
	loopback := server.NewFetcher([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")})
	metadata, err := loopback.Get(ctx, s.org.URL+"/saml/metadata", 1<<20)
	if err != nil {
		return err
	}
	if err := s.benefits.Connect(s.org.URL, metadata); err != nil {
		return err
	}
	secret := func(name string) (id, secret, token string, err error) {
		a, err := s.app(name)
		if err != nil {
			return "", "", "", err
		}
		if secret, err = s.house.apps.Secret(s.ctx, &a.App); err != nil {
			return "", "", "", err
		}
		if a.App.OAuth.Mould != nil {
			token, err = s.house.apps.NewGatewayToken(s.ctx, &a.App, "demo")
		}
		return a.App.OAuth.ID, secret, token, err
	}
	id, word, _, err := secret("Wellness_Tracker")
	if err != nil {
		return err
	}
	if err := s.wellness.Connect(ctx, s.org.Issuer, id, word); err != nil {
		return err
	}
	id, word, token, err := secret("Orders_Gateway")
	if err != nil {
		return err
	}
	return s.orders.Connect(ctx, s.org.Issuer, id, word, token)
}

// heard is an output, and the error of writing to it if there was one.
type heard struct {
	io.Writer
	err error
}

func (h *heard) Write(b []byte) (int, error) {
	n, err := h.Writer.Write(b)
	h.err = cmp.Or(h.err, err)
	return n, err
}

// tell prints what to open and who to be.
func (c demoCmd) tell(w io.Writer, h *house, s *stage) error {
	users := []demoUser{{"ana", demoPassword, "may use all three apps, and is an administrator"}, {"ben", demoPassword, "may not use Your Benefits"}}
	if c.Output != "table" {
		return c.print(w, struct {
			URL   string     `json:"url"`
			Apps  []demoApp  `json:"apps"`
			Users []demoUser `json:"users"`
		}{h.org.URL, s.apps, users}, nil)
	}
	rows := [][]string{{"Lanyard", h.org.URL}}
	for _, a := range s.apps {
		rows = append(rows, []string{a.Name, a.URL})
	}
	columns(w, rows[0], rows[1:], "")
	fmt.Fprintln(w)
	var people [][]string
	for _, u := range users {
		people = append(people, []string{u.Username, u.Password, u.about})
	}
	columns(w, []string{"USER", "PASSWORD", ""}, people, "")
	fmt.Fprintln(w, "\nOpen an app and sign in once. Ctrl-C ends it and removes everything.")
	return nil
}
