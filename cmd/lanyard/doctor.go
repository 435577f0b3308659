package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
)

type doctorCmd struct {
	storeFlags
	output
	Listen         string `default:"127.0.0.1:8080" help:"Address that serve listens at." placeholder:"ADDR"`
	TLSCert        string `name:"tls-cert" help:"Certificate that serve shows." placeholder:"FILE"`
	TLSKey         string `name:"tls-key" help:"Its private key." placeholder:"FILE"`
	TrustedProxies []cidr `help:"Proxies that serve believes." placeholder:"CIDR"`
	Online         bool   `help:"Also ask the public address, as clients do. At a private address it needs --allow-fetch."`
}

func (doctorCmd) Help() string {
	return `Give it serve's environment or its --config FILE, or those of serve's flags that it has. It changes nothing (to measure the
disk it writes a row and removes it), runs beside serve, and ends with 1 if something is broken. Each line says ok, warn
or fail, and what to do.

Examples:

    lanyard doctor
    lanyard doctor --config /etc/lanyard.yaml --online
    lanyard doctor -o json`
}

// finding is one line of the doctor's.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, warn or fail
	What   string `json:"what"`
	Remedy string `json:"remedy,omitempty"`
}

// doctor looks at one house after the other thing.
type doctor struct {
	doctorCmd
	ctx      context.Context
	st       *store.Store
	org      *idp.Org
	findings []finding
}

func (d *doctor) ok(check, format string, args ...any) {
	d.findings = append(d.findings, finding{check, "ok", fmt.Sprintf(format, args...), ""})
}

func (d *doctor) warn(check, what, remedy string) {
	d.findings = append(d.findings, finding{check, "warn", what, remedy})
}

func (d *doctor) fail(check, what, remedy string) {
	d.findings = append(d.findings, finding{check, "fail", what, remedy})
}

// broken is for what could not be looked at.
func (d *doctor) broken(check string, err error) {
	d.fail(check, "it can not be looked at: "+trim(err), "")
}

func (c doctorCmd) Run(g *globals) error {
	d := &doctor{doctorCmd: c, ctx: idp.WithCaller(g.ctx, &idp.Caller{Actor: "cli"})}
	d.examine()
	if d.st != nil {
		_ = d.st.Close()
	}
	if err := c.print(g.out, struct {
		Findings []finding `json:"findings"`
	}{d.findings}, func(w io.Writer) { tellFindings(w, d.findings) }); err != nil {
		return err
	}
	for _, f := range d.findings {
		if f.Status == "fail" {
			return errSaid
		}
	}
	return nil
}

func tellFindings(w io.Writer, all []finding) {
	wide := 0
	for _, f := range all {
		wide = max(wide, len(f.Check))
	}
	for _, f := range all {
		fmt.Fprintf(w, "%-4s  %-*s  %s\n", f.Status, wide, f.Check, printable(f.What))
		if f.Remedy != "" {
			fmt.Fprintf(w, "      %-*s  → %s\n", wide, "", printable(f.Remedy))
		}
	}
}

func (d *doctor) examine() {
	if _, err := publicURL(d.URL); err != nil {
		d.fail("url", "--url "+err.Error(), "")
	}
	d.listening()
	d.certificate()
	if !d.open() {
		return
	}
	d.schema()
	d.database()
	d.clock()
	org, err := d.st.Orgs().Default(d.ctx)
	if errors.Is(err, store.ErrNotFound) {
		d.warn("org", "there is no org yet; the first start of serve makes it", "lanyard serve --url https://sso.example.com")
		return
	}
	if err != nil {
		d.broken("org", err)
		return
	}
	d.org = org
	d.address()
	d.keys()
	d.people()
	d.connected()
	if d.Online {
		d.online()
	}
}

// open opens the database without changing it, and looks at what must be right for that.
func (d *doctor) open() bool {
	dsn, err := d.dsn()
	if err != nil {
		d.fail("database", err.Error(), "")
		return false
	}
	path, isLite := strings.CutPrefix(dsn, "sqlite:")
	if isLite {
		for _, folder := range []string{filepath.Clean(d.Data), filepath.Dir(path)} {
			if info, err := os.Stat(folder); err == nil && readable(info.Mode()) {
				d.warn("data", fmt.Sprintf("other users of this machine can look into %s (mode %04o)", folder, info.Mode().Perm()), "chmod 700 "+quoted(folder))
			}
			if filepath.Clean(d.Data) == filepath.Dir(path) {
				break
			}
		}
	}
	if isLite && !there(path) {
		d.missing(path)
		return false
	}
	_, where, err := d.masterKey(dsn)
	if err != nil {
		d.fail("master key", err.Error(), "")
		return false
	}
	sealer, err := d.sealer(dsn)
	if err != nil {
		d.fail("master key", trim(err), "")
		return false
	}
	if d.st, err = store.Open(d.ctx, store.Config{DSN: dsn, Dir: d.Data, Wall: now, Sealer: sealer, Log: slog.New(slog.DiscardHandler), AsIs: true}); err != nil {
		remedy := "see that the server runs and takes this user: psql " + quoted(withoutPassword(dsn))
		if isLite {
			remedy = "put a backup back in its place: lanyard restore FILE"
		}
		switch {
		case errors.Is(err, store.ErrNotFound):
			d.warn("database", "there is nothing in it yet; the first start of serve fills it", "lanyard serve --url https://sso.example.com")
			return false
		case errors.Is(err, store.ErrTooOld):
			remedy = "use the newer lanyard that serves here"
		}
		d.fail("database", trim(err), remedy)
		return false
	}
	switch err := d.st.CheckMaster(d.ctx); {
	case errors.Is(err, store.ErrMasterKey):
		d.fail("master key", "the key in "+where+" is not the one this database was made with", "put the right one there, from where you keep its copy")
		return false
	case err != nil:
		d.broken("master key", err)
		return false
	}
	d.ok("master key", "the key in %s opens the database; keep a copy apart from backups", where)
	return true
}

// missing is about an SQLite database that is not there.
func (d *doctor) missing(path string) {
	if left := d.leftOf(path, d.own()); left != "" {
		d.fail("database", fmt.Sprintf("%s is gone, but %s is there", path, left), "lanyard restore FILE")
		return
	}
	d.warn("database", "there is no "+path+" yet; the first start of serve makes it", "lanyard serve --url https://sso.example.com")
}

func (d *doctor) people() {
	some, admin, err := d.st.People().Census(d.ctx, d.org.ID)
	switch {
	case err != nil:
		d.broken("administrators", err)
	case !some:
		d.warn("administrators", "there are no users yet", "lanyard serve prints a link that makes the first administrator")
	case !admin:
		d.warn("administrators", "no active user is an administrator", "lanyard user grant-admin NAME")
	default:
		d.ok("administrators", "there is an active one")
	}
}
