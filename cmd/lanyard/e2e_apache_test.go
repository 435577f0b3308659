package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"
)

// stranger is a server that somebody else wrote, with a folder, a port and a configuration of its own. The one that the
// machine may run by itself is left alone.
type stranger struct {
	t    *testing.T
	path string // the program
	dir  string // where its files are
	port string
	log  *lines
	stop func()
}

// nobody runs strangers where the tests run as root, which most of them want to be only for port 443.
const nobody = 65534

// newStranger finds a program. Without it the test is skipped, under CI it fails.
func newStranger(t *testing.T, program string) *stranger {
	t.Helper()
	f := &stranger{t: t, log: &lines{}}
	for _, folder := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/local/sbin") {
		if p := filepath.Join(folder, program); f.path == "" && exec.Command("test", "-x", p).Run() == nil {
			f.path = p
		}
	}
	if f.path == "" && os.Getenv("CI") != "" {
		t.Fatal(program + " is not installed, and CI is set")
	} else if f.path == "" {
		t.Skip(program + " is not installed: Lanyard is not tested with it")
	}
	// Not in the test's own folder, which nobody else may open.
	dir, err := os.MkdirTemp("", "lanyard-"+program+"-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f.dir = dir
	f.own(dir)
	f.port = freePort(t)
	cert, key, _ := certificate()
	f.write("tls.pem", cert)
	f.write("tls.key", key)
	return f
}

// freePort finds a port below those that the kernel hands out, so that no other test is given it in between.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := fmt.Sprint(10000 + mrand.IntN(10000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

func (f *stranger) own(path string) {
	f.t.Helper()
	if os.Geteuid() == 0 {
		if err := os.Chown(path, nobody, nobody); err != nil {
			f.t.Fatal(err)
		}
	}
}

// write puts a file into the server's folder and returns its path.
func (f *stranger) write(name, text string) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		f.t.Fatal(err)
	}
	f.own(path)
	return path
}

// configure fills in a configuration of testdata and puts it into the server's folder.
func (f *stranger) configure(from, name string, values any) string {
	f.t.Helper()
	var text strings.Builder
	t, err := template.ParseFiles(filepath.Join("testdata", from))
	if err == nil {
		err = t.Execute(&text, values)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return f.write(name, text.String())
}

// command is the program, ready to run as nobody in particular.
func (f *stranger) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = f.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: true}
	}
	return cmd
}

// start starts the server and waits until it answers at its port.
func (f *stranger) start(args ...string) {
	f.t.Helper()
	cmd := f.command(f.path, args...)
	cmd.Stdout, cmd.Stderr = f.log, f.log
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	f.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		if f.t.Failed() {
			f.t.Logf("%s says:\n%s", filepath.Base(f.path), f.said())
		}
	})
	f.t.Cleanup(f.stop)
	for range 200 {
		if c, err := net.Dial("tcp", "127.0.0.1:"+f.port); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			f.t.Fatalf("%s ended: %v\n%s", f.path, cmd.ProcessState, f.said())
		case <-time.After(50 * time.Millisecond):
		}
	}
	f.t.Fatalf("%s does not answer\n%s", f.path, f.said())
}

// said is what the server printed and logged.
func (f *stranger) said() string {
	text, _ := os.ReadFile(filepath.Join(f.dir, "error.log"))
	return f.log.String() + string(text)
}

// certificate is what every stranger here shows, for localhost and all names under it, with its key, and who
// vouches for it.
var certificateOnce = sync.OnceValue(func() (c struct {
	cert, key, root string
	roots           *x509.CertPool
}) {
	now := time.Now()
	rootKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Lanyard's tests"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, 7),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootDER := must(x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey))
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, 7),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost", "*.localhost", "sso.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	leafDER := must(x509.CreateCertificate(rand.Reader, leaf, must(x509.ParseCertificate(rootDER)), key.Public(), rootKey))
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	c.root = block("CERTIFICATE", rootDER)
	c.cert, c.key = block("CERTIFICATE", leafDER)+c.root, block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)))
	c.roots = x509.NewCertPool()
	c.roots.AppendCertsFromPEM([]byte(c.root))
	return c
})

func certificate() (cert, key, root string) {
	c := certificateOnce()
	return c.cert, c.key, c.root
}

// vouch has the org's browsers and clients believe the certificate.
func (o *org) vouch() { o.roots = certificateOnce().roots }

// serveTLS starts a server that speaks TLS by itself.
func (o *org) serveTLS(args ...string) *node {
	o.t.Helper()
	cert, key, _ := certificate()
	for name, text := range map[string]string{"tls.pem": cert, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o600); err != nil {
			o.t.Fatal(err)
		}
	}
	o.vouch()
	return o.serve(append([]string{"--tls-cert", "tls.pem", "--tls-key", "tls.key"}, args...)...)
}

// visits has the org's browsers walk through a site.
func (o *org) visits(host, at string) {
	if o.sites == nil {
		o.sites = map[string]string{}
	}
	o.sites[host] = at
}

// apache is a web server with one name for each of its sites, whose pages are protected by one of its modules.
type apache struct{ *stranger }

const apacheModules = "/usr/lib/apache2/modules"

// newApache needs the module beside the server.
func newApache(t *testing.T, o *org, module string) apache {
	t.Helper()
	f := newStranger(t, "apache2")
	if _, err := os.Stat(filepath.Join(apacheModules, module)); err != nil && os.Getenv("CI") != "" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip(module + " is not installed: Lanyard is not tested with it")
	}
	o.vouch()
	_, _, root := certificate()
	f.write("root.pem", root)
	// What is behind the protection says what it was told.
	f.write("told", "#!/bin/sh\nprintf 'Content-Type: text/plain; charset=utf-8\\r\\n\\r\\n'\nenv\n")
	return apache{f}
}

// site is the address of one of the server's sites, through which the org's browsers walk.
func (a apache) site(o *org, name string) string {
	host := name + ".localhost:" + a.port
	o.visits(host, "127.0.0.1:"+a.port)
	return "https://" + host
}

func (a apache) begin(config string, values map[string]any) {
	a.t.Helper()
	values["Dir"], values["Port"], values["Modules"] = a.dir, a.port, apacheModules
	a.configure("apache.conf", "base.conf", values)
	a.start("-f", a.configure(config, "apache.conf", values), "-D", "FOREGROUND")
}

// told reads what the backend was told.
func (p *page) told(t *testing.T) map[string]string {
	t.Helper()
	if p.status != 200 || !strings.HasPrefix(p.header.Get("Content-Type"), "text/plain") {
		t.Fatalf("not at the protected page: %d %s by %v\n%s", p.status, p.url, p.way, p.body)
	}
	all := map[string]string{}
	for line := range strings.SplitSeq(p.body, "\n") {
		if name, value, ok := strings.Cut(line, "="); ok {
			all[name] = value
		}
	}
	return all
}
