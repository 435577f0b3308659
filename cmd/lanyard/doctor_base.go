package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/lanyard-sso/lanyard/idp/server"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// What is little room, and what is slow.
const (
	roomFail  = 50 << 20
	roomWarn  = 500 << 20
	walWarn   = 256 << 20
	slowWrite = 50 * time.Millisecond
	soon      = 30 * 24 * time.Hour // until a certificate expires
)

// listening is about the port.
func (d *doctor) listening() {
	l, err := net.Listen("tcp", d.Listen)
	switch {
	case err == nil:
		_ = l.Close()
		d.ok("listen", "%s is free; serve does not run there now", d.Listen)
	case errors.Is(err, syscall.EADDRINUSE):
		d.inUse()
	case errors.Is(err, os.ErrPermission):
		d.fail("listen", fmt.Sprintf("%s may not be listened at by this user: ports below 1024 are root's", d.Listen), "take a higher port behind a proxy, or: setcap cap_net_bind_service=+ep $(command -v lanyard)")
	default:
		d.fail("listen", fmt.Sprintf("%s can not be listened at: %v", d.Listen, err), "give the address serve shall listen at: --listen 127.0.0.1:8080")
	}
}

// inUse asks who listens at the port if it is ready; it is this machine's own.
func (d *doctor) inUse() {
	host, port, _ := net.SplitHostPort(d.Listen)
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if d.TLSCert != "" {
		d.ok("listen", "%s is in use; serve may run there", d.Listen)
		return
	}
	own := server.NewFetcher([]netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")})
	at := "http://" + net.JoinHostPort(host, port)
	if _, err := own.Get(d.ctx, at+"/readyz", 64<<10); err != nil {
		d.warn("listen", fmt.Sprintf("%s is in use, and %v", d.Listen, err), "if serve runs there it is not ready, see its log; if not, another program holds the port: ss -ltnp")
		return
	}
	d.ok("listen", "serve runs at %s and is ready", d.Listen)
}

// certificate is about TLS that is spoken here.
func (d *doctor) certificate() {
	if d.TLSCert == "" && d.TLSKey == "" {
		return
	}
	if d.TLSCert == "" || d.TLSKey == "" {
		d.fail("tls", "--tls-cert and --tls-key go together", "give both")
		return
	}
	if info, err := os.Stat(d.TLSKey); err == nil && info.Mode().Perm()&0o007 != 0 {
		d.warn("tls", fmt.Sprintf("everybody on this machine can read the private key %s (mode %04o)", d.TLSKey, info.Mode().Perm()), "chmod o= "+quoted(d.TLSKey))
	}
	c, err := (&pair{cert: d.TLSCert, key: d.TLSKey}).read()
	if err != nil {
		d.fail("tls", "the certificate: "+err.Error(), "give the certificate with its chain, and the key that is its own")
		return
	}
	left := time.Until(c.Leaf.NotAfter)
	renew := "renew it, then: kill -HUP the server"
	switch {
	case time.Now().Before(c.Leaf.NotBefore):
		d.fail("tls", "the certificate is not valid before "+when(c.Leaf.NotBefore), "look at this machine's clock, or get one that is valid now")
	case left <= 0:
		d.fail("tls", "the certificate expired on "+when(c.Leaf.NotAfter), renew)
	case left < soon:
		d.warn("tls", fmt.Sprintf("the certificate expires in %d days, on %s", days(left), when(c.Leaf.NotAfter)), renew)
	default:
		d.ok("tls", "the certificate is good for %d days", days(left))
	}
	if u, err := url.Parse(d.URL); err == nil && u.Hostname() != "" {
		d.named(c.Leaf, u.Hostname())
	}
	if len(c.Certificate) == 1 && string(c.Leaf.RawIssuer) != string(c.Leaf.RawSubject) {
		d.warn("tls", fmt.Sprintf("%s holds one certificate and not those of who issued it; many clients will not trust it", d.TLSCert), "append the intermediate certificates to the file")
	}
}

func (d *doctor) named(leaf *x509.Certificate, host string) {
	if err := leaf.VerifyHostname(host); err != nil {
		d.fail("tls", fmt.Sprintf("the certificate is not for %s: %v", host, err), "get one for "+host)
		return
	}
	d.ok("tls", "the certificate is for %s", host)
}

func days(d time.Duration) int { return int(d / (24 * time.Hour)) }

func (d *doctor) schema() {
	version, known, err := d.st.Schema(d.ctx)
	switch {
	case err != nil:
		d.fail("schema", trim(err), "")
	case version < known:
		d.warn("schema", fmt.Sprintf("it is %d, and this binary's is %d: the next command or start migrates", version, known), "make a backup first: lanyard backup FILE")
	case version > known:
		d.warn("schema", fmt.Sprintf("it is %d, and this binary knows %d: a newer lanyard serves here", version, known), "use the newer binary everywhere")
	default:
		d.ok("schema", "%d, the newest", version)
	}
}

// database is about the server or the file.
func (d *doctor) database() {
	name, err := d.st.Engine(d.ctx)
	if err != nil {
		d.broken("database", err)
		return
	}
	d.ok("database", "%s answers", name)
	found, err := d.st.Check(d.ctx)
	switch {
	case err != nil:
		d.broken("integrity", err)
	case len(found) > 0:
		for _, line := range found {
			d.fail("integrity", line, "stop serve, move the database away, and put a backup back: lanyard restore FILE")
		}
	default:
		d.ok("integrity", "nothing is damaged")
	}
	d.files()
	took, err := d.st.WriteTime(d.ctx)
	switch {
	case errors.Is(err, store.ErrNotReady), errors.Is(err, store.ErrBusy):
		d.fail("writing", trim(err), "see that the disk has room and is writable: df -h")
	case err != nil:
		d.broken("writing", err)
	case took > slowWrite:
		d.warn("writing", fmt.Sprintf("a step takes %s until it is on disk; sign-ins wait for it", took.Round(time.Millisecond)), "use a disk that is quicker to sync, or one that less else is written to")
	default:
		d.ok("writing", "a step is on disk after %s", took.Round(10*time.Microsecond))
	}
}

// files is about what lies on this machine's disk.
func (d *doctor) files() {
	files, free, err := d.st.Files()
	if err != nil {
		d.broken("files", err)
		return
	}
	if len(files) == 0 {
		return
	}
	for i, f := range files {
		if readable(f.Mode) {
			d.warn("files", fmt.Sprintf("other users of this machine can read %s (mode %04o)", f.Path, f.Mode), "chmod 600 "+quoted(f.Path))
		}
		if i > 0 && f.Size > walWarn {
			d.warn("files", fmt.Sprintf("the log %s has grown to %s: something reads without end", f.Path, size(f.Size)), "end backups and other programs that have the database open; a restart of serve makes it small")
		}
	}
	switch whole := files[0].Size; {
	case free < 0:
	case free < roomFail:
		d.fail("disk", fmt.Sprintf("%s left; soon nothing can be written, and nobody signs in", size(free)), "make room: df -h "+quoted(files[0].Path))
	case free < roomWarn, free < whole:
		d.warn("disk", fmt.Sprintf("%s left, beside a database of %s", size(free), size(whole)), "make room: df -h "+quoted(files[0].Path))
	default:
		d.ok("disk", "%s left, beside a database of %s", size(free), size(whole))
	}
}

// clock is about the time, by which everything signed here is judged elsewhere.
func (d *doctor) clock() {
	ahead, within, other, err := d.st.ClockAhead(d.ctx)
	const ntp = "timedatectl set-ntp true"
	switch {
	case err != nil:
		d.broken("clock", err)
		return
	case other && (ahead-within > time.Minute || ahead+within < -time.Minute):
		d.fail("clock", fmt.Sprintf("it is %s off that of the database server; apps refuse what is signed in their future or past", ahead), ntp)
		return
	case other && (ahead-within > 2*time.Second || ahead+within < -2*time.Second):
		d.warn("clock", fmt.Sprintf("it is %s off that of the database server", ahead), ntp)
		return
	}
	last, err := d.st.LastEvent(d.ctx)
	switch {
	case err != nil:
		d.broken("clock", err)
	case last.After(time.Now().Add(time.Minute)):
		d.fail("clock", fmt.Sprintf("it is %s, but something happened here on %s already: it was set back, or was wrong then", when(time.Now()), when(last)), ntp)
	case other:
		d.ok("clock", "it agrees with that of the database server")
	default:
		d.ok("clock", "nothing here is from the future; there is no other clock to compare with")
	}
}
