package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/api"
	"github.com/lanyard-sso/lanyard/idp/apps"
	"github.com/lanyard-sso/lanyard/idp/people"
	"github.com/lanyard-sso/lanyard/idp/server"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/keys"
)

// storeFlags is what every command needs that opens the database.
type storeFlags struct {
	Database      string `help:"Database: sqlite:PATH or postgres://USER@HOST/NAME. Default: sqlite:DATA/lanyard.db." placeholder:"DSN"`
	DatabaseFile  string `help:"File that holds --database." placeholder:"FILE"`
	Data          string `default:"lanyard-data" help:"Data folder (default: ./lanyard-data)." placeholder:"DIR"`
	MasterKeyFile string `help:"File that holds the key that seals secrets in the database, 32 bytes in base64 or hex; or the key itself in $LANYARD_MASTER_KEY. Made by itself with SQLite (DATA/master.key)." placeholder:"FILE"`
	URL           string `help:"Public address, like https://sso.example.com or https://example.com/sso. Default: what the org has written down." placeholder:"URL"`
	AllowFetch    []cidr `help:"Private addresses that metadata and clients' keys may be fetched from." placeholder:"CIDR"`
}

// house is the opened database with the operations on it.
type house struct {
	ctx     context.Context
	st      *store.Store
	sealer  *keys.Sealer
	org     *idp.Org
	people  *people.People
	apps    *apps.Apps
	fetcher *server.Fetcher
	dir     string
}

// with opens the house for a command, runs f in it, and waits until every node has seen what f changed.
func (f storeFlags) with(g *globals, do func(h *house) error) error {
	h, err := f.openWith(g.ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer h.close()
	if err := h.findOrg(f.URL, ""); err != nil {
		return err
	}
	return do(h)
}

// withUser is with for a command about one user.
func (f storeFlags) withUser(g *globals, name string, do func(h *house, u *idp.User) error) error {
	return f.with(g, func(h *house) error {
		u, err := h.user(name)
		if err != nil {
			return err
		}
		return do(h, u)
	})
}

// withApp is with for a command about one app.
func (f storeFlags) withApp(g *globals, name string, do func(h *house, a *idp.Connected) error) error {
	return f.with(g, func(h *house) error {
		a, err := h.app(name)
		if err != nil {
			return err
		}
		return do(h, a)
	})
}

// cidr is an address or a range of addresses.
type cidr netip.Prefix

func (c *cidr) UnmarshalText(b []byte) error {
	if a, err := netip.ParseAddr(string(b)); err == nil && a.Zone() == "" {
		*c = cidr(netip.PrefixFrom(a, a.BitLen()))
		return nil
	}
	p, err := netip.ParsePrefix(string(b))
	if err != nil {
		return fmt.Errorf("%q is no address or range like 10.0.0.0/8 or fd00::/8", b)
	}
	*c = cidr(p.Masked())
	return nil
}

func prefixes(list []cidr) []netip.Prefix {
	all := make([]netip.Prefix, len(list))
	for i, c := range list {
		all[i] = netip.Prefix(c)
	}
	return all
}

// dsn names the database.
func (f storeFlags) dsn() (string, error) {
	dsn, err := fromFile(f.Database, f.DatabaseFile)
	switch {
	case err != nil:
		return "", err
	case dsn == "":
		return "sqlite:" + filepath.Join(f.Data, "lanyard.db"), nil
	case !strings.HasPrefix(dsn, "sqlite:") && !onPostgres(dsn):
		return "", errors.New("a database is named sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/NAME")
	}
	return dsn, nil
}

func onPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// openWith opens the database and holds it to its master key; the org is not looked for yet.
func (f storeFlags) openWith(ctx context.Context, log *slog.Logger) (*house, error) {
	dsn, err := f.dsn()
	if err != nil {
		return nil, err
	}
	if err := f.begin(dsn); err != nil {
		return nil, err
	}
	sealer, err := f.sealer(dsn)
	if err != nil {
		return nil, err
	}
	return f.openHouse(ctx, store.Config{DSN: dsn, Dir: f.Data, Wall: now, Sealer: sealer, Log: log})
}

func (f storeFlags) openHouse(ctx context.Context, c store.Config) (h *house, err error) {
	ctx = idp.WithCaller(ctx, &idp.Caller{Actor: "cli"})
	st, err := store.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = st.Close()
		}
	}()
	if err := st.CheckMaster(ctx); errors.Is(err, store.ErrMasterKey) {
		return nil, errors.New("the master key is not the one this database was made with; give the right one in LANYARD_MASTER_KEY or LANYARD_MASTER_KEY_FILE. Nothing was changed")
	} else if err != nil {
		return nil, err
	}
	return &house{
		ctx: ctx, st: st, sealer: c.Sealer, people: people.New(st), apps: &apps.Apps{Store: st, Sample: server.Sample(st)},
		fetcher: server.NewFetcher(prefixes(f.AllowFetch)), dir: f.Data,
	}, nil
}

// findOrg finds the org, or makes it. Its names are for good, so they wait for whoever knows the address: a command that
// comes before the first start leaves them open. given is what the org's address must be, if anybody said; otherwise is
// what an org gets that has none yet.
func (h *house) findOrg(given, otherwise string) error {
	given, err := publicURL(given)
	if err != nil {
		return fmt.Errorf("--url %w", err)
	}
	address := cmp.Or(given, otherwise)
	org, err := h.st.Orgs().Default(h.ctx)
	if errors.Is(err, store.ErrNotFound) {
		org = &idp.Org{Name: store.DefaultOrg, URL: address}
		if err = h.st.Orgs().AddOrg(h.ctx, org); errors.As(err, new(*store.Taken)) {
			org, err = h.st.Orgs().Default(h.ctx)
		}
	}
	if err != nil {
		return err
	}
	if org.URL == "" && address != "" {
		if err := h.st.Orgs().Settle(h.ctx, org.ID, address); err != nil && !errors.Is(err, store.ErrGone) {
			return err
		}
		if org, err = h.st.Orgs().Default(h.ctx); err != nil {
			return err
		}
	}
	if given != "" && given != org.URL {
		return fmt.Errorf("the org's address is %s, not %s; to move it, run: lanyard org move %s (its issuer and entity ID stay)", org.URL, given, given)
	}
	h.org = org
	return h.st.Keys().EnsureKeys(h.ctx, org)
}

// close waits until every node has seen what was changed.
func (h *house) close() {
	_ = h.st.WaitSeen(context.WithoutCancel(h.ctx))
	_ = h.st.Close()
}

func (h *house) declarer() *api.Declarer {
	return &api.Declarer{Store: h.st, Apps: h.apps, People: h.people, Sealer: h.sealer, Fetch: h.fetcher.Keys}
}

// app finds an app by API name, client_id, entity ID or display name.
func (h *house) app(name string) (*idp.Connected, error) {
	c, err := h.st.Apps().Find(h.ctx, h.org.ID, name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, fmt.Errorf("there is no app %q; see: lanyard app list", name)
	case errors.Is(err, store.ErrAmbiguous):
		return nil, fmt.Errorf("several apps are called %q; use the API name, see: lanyard app list", name)
	}
	return c, err
}

// user finds a user by username or e-mail address.
func (h *house) user(name string) (*idp.User, error) {
	u, err := h.st.People().ByName(h.ctx, h.org.ID, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("there is no user %q; see: lanyard user list", name)
	}
	return u, err
}

// publicURL holds a public address to what one can be, and writes it in the one way in which addresses are compared: host
// in lower case, no port where it is the scheme's own, no slash at the end. It may have a path: the house then lies below it.
func publicURL(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", fmt.Errorf("%q is no address like https://sso.example.com", s)
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && ip.IsUnspecified() {
		return "", fmt.Errorf("%q is no address that a browser can go to", s)
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	switch {
	case !plainPath(path):
		return "", fmt.Errorf("%q: a path in the public address is words of letters, digits, - _ ~ and . with one / in front of each, like https://example.com/sso", s)
	case server.Ours(path):
		return "", fmt.Errorf("%q: the path begins like one of Lanyard's own; take another, like https://example.com/sso", s)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "", fmt.Errorf("%q: over plain http, passwords and tokens can be read on their way; use https (only addresses of this machine may be http)", s)
	}
	host := strings.ToLower(u.Host)
	host = strings.TrimSuffix(host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	return u.Scheme + "://" + strings.TrimSuffix(host, ":") + path, nil
}

// plainPath tells if a path can be compared with that of a request by its bytes: nobody writes it in two ways.
func plainPath(path string) bool {
	if path == "" {
		return true
	}
	for i, word := range strings.Split(path, "/") {
		if i == 0 && word == "" { // in front of the first slash
			continue
		}
		strange := strings.ContainsFunc(word, func(r rune) bool {
			return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~.", r)
		})
		if strange || word == "" || strings.Trim(word, ".") == "" {
			return false
		}
	}
	return true
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// fromFile returns value, or what stands in file.
func fromFile(value, file string) (string, error) {
	if file == "" {
		return value, nil
	}
	if value != "" {
		return "", fmt.Errorf("say the value or the file %s that holds it, not both", file)
	}
	b, err := os.ReadFile(file)
	return strings.TrimSpace(string(b)), noFile(file, err)
}

// noFile says in plain words that a file is not there.
func noFile(file string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no file %s", file)
	}
	return err
}
