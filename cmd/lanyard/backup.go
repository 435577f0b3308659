package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
)

type backupCmd struct {
	storeFlags
	output
	File string `arg:"" help:"The file to make; there must be none of that name."`
}

func (backupCmd) Help() string {
	return `Writes the whole SQLite database, as it was last committed, to a new file that only its owner can read, while
serve runs. The master key is not in it: keep a copy of the key somewhere else. Without it a backup can not be put
back, and whoever has both can sign as this house.

PostgreSQL is backed up with pg_dump; then this prints how, and ends with 2.

Examples:

    lanyard backup /backup/lanyard-$(date +%F).db
    lanyard backup lanyard.backup -o json`
}

func (c backupCmd) Run(g *globals) error {
	dsn, err := c.dsn()
	if err != nil {
		return err
	}
	if onPostgres(dsn) {
		return usage{fmt.Errorf("PostgreSQL is backed up by its own tool, while Lanyard runs:\n\n    pg_dump --format=custom --file=%s --dbname=%s\n\nIt asks for the password. The master key is not in it: keep a copy of the key somewhere else", quoted(c.File), quoted(withoutPassword(dsn)))}
	}
	h, err := c.openAsIs(g.ctx, dsn)
	if err != nil {
		return err
	}
	defer h.close()
	began := time.Now()
	m, err := h.st.Backup(h.ctx, c.File, version, func(done, all int64) {
		fmt.Fprintf(g.err, "lanyard: %s of about %s\n", size(done), size(all))
	})
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and a backup overwrites nothing", c.File)
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(c.File)
	if err != nil {
		return err
	}
	_, key, err := c.masterKey(dsn)
	if err != nil {
		return err
	}
	took := time.Since(began)
	return c.print(g.out, struct {
		File      string  `json:"file"`
		Bytes     int64   `json:"bytes"`
		Seconds   float64 `json:"seconds"`
		MasterKey string  `json:"masterKey"` // where it lies, not what it is
		store.Manifest
	}{c.File, info.Size(), float64(took.Milliseconds()) / 1000, key, m}, func(w io.Writer) {
		fmt.Fprintf(w, "%s holds everything as of %s: %s, written in %s.\n", c.File, when(m.Made), size(info.Size()), took.Round(time.Millisecond))
		fmt.Fprintf(w, "The master key (%s) is not in it. Keep a copy of the key somewhere else: without it the backup can not be put back.\n", key)
	})
}

// openAsIs opens the database and migrates nothing.
func (f storeFlags) openAsIs(ctx context.Context, dsn string) (*house, error) {
	if path, isLite := strings.CutPrefix(dsn, "sqlite:"); isLite && !there(path) {
		return nil, fmt.Errorf("there is no database %s%w", path, mute{fs.ErrNotExist})
	}
	sealer, err := f.sealer(dsn)
	if err != nil {
		return nil, err
	}
	return f.openHouse(ctx, store.Config{DSN: dsn, Dir: f.Data, Wall: now, Sealer: sealer, Log: slog.New(slog.DiscardHandler), AsIs: true})
}

// mute is an error that can be asked for and adds no words.
type mute struct{ error }

func (mute) Error() string   { return "" }
func (m mute) Unwrap() error { return m.error }

// withoutPassword is the address of a database as anybody may see it.
func withoutPassword(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return "postgres://USER@HOST/NAME"
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	q := u.Query()
	q.Del("password")
	q.Del("sslpassword")
	u.RawQuery = q.Encode()
	return u.String()
}

// quoted is s as a shell reads it back.
func quoted(s string) string {
	plain := func(r rune) bool {
		return strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./:@=,+%", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

type restoreCmd struct {
	storeFlags
	output
	AlreadyRestored bool   `help:"The database was put back by other means (pg_restore, a snapshot of the disk): only end what was given before."`
	Yes             bool   `short:"y" help:"Do not ask (--already-restored)."`
	File            string `arg:"" optional:"" help:"The backup."`
}

func (restoreCmd) Help() string {
	return `Puts a backup back where there is no database; it overwrites nothing. serve must not be running, and the master key
must be the one of the backup.

All that was given before is ended, so that nothing of it that was revoked or spent since lives again: sessions, refresh
and access tokens, codes, sign-in links, consents and gateways' initial access tokens; people sign in again. Users, apps,
policies, passwords, client secrets and signing keys are those of the backup: what was deactivated, blocked or renewed since
must be so again. A persistent NameID that was first given since is made anew, so that app takes the person for another one.
What clients signed is not ours to end: a client assertion that was used since can be used once more, until its exp.

With PostgreSQL, use pg_restore, and before serve starts: lanyard restore --already-restored, with the flags or the
--config of serve, so that it is the same database.

Examples:

    lanyard restore /backup/lanyard-2026-11-24.db
    LANYARD_MASTER_KEY_FILE=/safe/master.key lanyard restore lanyard.backup --data /var/lib/lanyard
    pg_restore --dbname=postgres://lanyard@db/lanyard lanyard.dump &&
        lanyard restore --already-restored --yes --config /etc/lanyard/lanyard.yaml`
}

func (c restoreCmd) Run(g *globals) error {
	dsn, err := c.dsn()
	switch {
	case err != nil:
		return err
	case c.AlreadyRestored && c.File != "":
		return usagef("--already-restored takes no file: the database is the one that is there")
	case c.AlreadyRestored:
		return c.endBefore(g, dsn)
	case onPostgres(dsn):
		file := c.File
		if file == "" {
			file = "FILE"
		}
		return usage{fmt.Errorf("PostgreSQL is put back by its own tool, into an empty database, and then what was given before must end:\n\n    pg_restore --dbname=%s %s\n    lanyard restore --already-restored   # with the same --database, --database-file or --config\n\nOnly then start serve", quoted(withoutPassword(dsn)), quoted(file))}
	case c.File == "":
		return usagef("say which backup: lanyard restore FILE")
	}
	if c.own() && !there(c.masterFile()) {
		return fmt.Errorf("the master key is not at %s; put the one of the backup there (mode 0600), or give it in LANYARD_MASTER_KEY_FILE. Nothing was changed", c.masterFile())
	}
	sealer, err := c.sealer(dsn)
	if err != nil {
		return err
	}
	ctx := idp.WithCaller(g.ctx, &idp.Caller{Actor: "cli"})
	path := strings.TrimPrefix(dsn, "sqlite:")
	e, err := store.Restore(ctx, store.Config{DSN: dsn, Dir: c.Data, Wall: now, Sealer: sealer}, c.File, func(doing string) {
		fmt.Fprintf(g.err, "lanyard: %s\n", doing)
	})
	var file *fs.PathError
	switch {
	case errors.Is(err, store.ErrInUse):
		return fmt.Errorf("a server is running on %s, which is gone; stop it first", path)
	case errors.Is(err, store.ErrMasterKey):
		return fmt.Errorf("the master key is not the one of this backup; put that one at %s (mode 0600), or give it in LANYARD_MASTER_KEY_FILE. Nothing was changed", c.masterFile())
	case errors.Is(err, fs.ErrExist) && errors.As(err, &file):
		old := filepath.Join(filepath.Dir(path), "old")
		return fmt.Errorf("%s is there already, and restore overwrites nothing. Stop serve and move the old database away:\n    mkdir %s && mv %s* %[2]s/", file.Path, quoted(old), quoted(path))
	case errors.Is(err, fs.ErrNotExist):
		return noFile(c.File, fs.ErrNotExist)
	case err != nil:
		return err
	}
	return c.tell(g, e, path)
}

func (c restoreCmd) endBefore(g *globals, dsn string) error {
	if err := sure(g, c.Yes, "End all sessions, tokens, codes, links and consents? Everybody signs in again."); err != nil {
		return err
	}
	// The one that was put back is there. Nothing is made where there is none: the address may be another's.
	h, err := c.openAsIs(g.ctx, dsn)
	if err == nil {
		_, err = h.st.Orgs().Default(h.ctx)
		h.close()
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("there is nothing in %s: name the database that was put back, --database, --database-file or --config. Nothing was changed", strings.TrimPrefix(withoutPassword(dsn), "sqlite:"))
	}
	if err != nil {
		return err
	}
	if h, err = c.openWith(g.ctx, slog.New(slog.DiscardHandler)); err != nil { // which migrates a copy that is older
		return err
	}
	defer h.close()
	e, err := h.st.EndBefore(h.ctx, "the database was put back by other means, "+byWhom())
	if err != nil {
		return err
	}
	return c.tell(g, e, strings.TrimPrefix(withoutPassword(dsn), "sqlite:"))
}

// restored is what `restore` prints as JSON.
type restored struct {
	Database      string          `json:"database"`
	Backup        *store.Manifest `json:"backup,omitempty"`
	ActiveUsers   int64           `json:"activeUsers"`
	InactiveUsers []string        `json:"inactiveUsers"`
	Apps          int64           `json:"apps"`
	BlockedApps   []string        `json:"blockedApps"`
	GatewayTokens []gatewayToken  `json:"endedGatewayTokens"`
}

type gatewayToken struct {
	App  string `json:"app"`
	Name string `json:"name"`
}

// tell says what was ended and what to look through.
func (c restoreCmd) tell(g *globals, e store.Ended, database string) error {
	v := restored{database, &e.Manifest, e.Active, e.Inactive, e.Apps, e.Blocked, []gatewayToken{}}
	if e.Manifest.Made.IsZero() {
		v.Backup = nil
	}
	for _, t := range e.GatewayTokens {
		v.GatewayTokens = append(v.GatewayTokens, gatewayToken{t.App, t.Name})
	}
	if v.InactiveUsers == nil {
		v.InactiveUsers = []string{}
	}
	if v.BlockedApps == nil {
		v.BlockedApps = []string{}
	}
	return c.print(g.out, v, func(w io.Writer) {
		since := "then"
		if m := v.Backup; m != nil {
			since = when(m.Made)
			whose := ""
			if m.URL != "" {
				whose = " for " + m.URL
			}
			fmt.Fprintf(w, "%s is as it was on %s (made by lanyard %s).\n\n", printable(database), since, printable(m.Version+whose))
		}
		if v.Backup == nil {
			fmt.Fprintf(w, "%s:\n\n", printable(database))
		}
		fmt.Fprintln(w, "Ended: all sessions, refresh and access tokens, codes, links and consents. People sign in again.")
		for _, t := range v.GatewayTokens {
			fmt.Fprintf(w, "The gateway token %q is ended too. Make another: lanyard gateway token create --app %s --name %s\n", t.Name, t.App, quoted(t.Name))
		}
		fmt.Fprintf(w, "\nBack as they were, whatever happened since %s. Look through them before serve starts:\n", since)
		fmt.Fprintf(w, "  users     %d active, %d not%s   lanyard user list; lanyard user deactivate NAME\n", v.ActiveUsers, len(v.InactiveUsers), listed(v.InactiveUsers))
		fmt.Fprintf(w, "  apps      %d, %d of them blocked%s   lanyard app list; lanyard app block NAME\n", v.Apps, len(v.BlockedApps), listed(v.BlockedApps))
		fmt.Fprintln(w, "  secrets   one that was renewed since is the old one again   lanyard app secret NAME --renew")
		fmt.Fprintln(w, "  keys      those of then; one that was given up since is back   lanyard key list; lanyard key rotate --force")
		fmt.Fprintln(w, "  policies  those of then   lanyard apply -f YOUR-FILES --dry-run")
		fmt.Fprintln(w, "\nIt is in the events: lanyard event list --code restoreBackup")
	})
}

// listed names some of what was counted.
func listed(names []string) string {
	if len(names) == 0 {
		return ""
	}
	more := ""
	if len(names) > 10 {
		names, more = names[:10], ", …"
	}
	return " (" + printable(strings.Join(names, ", ")) + more + ")"
}
