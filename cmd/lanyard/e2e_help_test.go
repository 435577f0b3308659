package main_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// The end-to-end tests drive the built binary as people get it: its commands, its servers over HTTP, and its pages in a
// browser. Who stands on the other side is other people's libraries.

// built is the binary, made when the first test asks for it, in a folder that TestMain removes.
var built = sync.OnceValues(func() (string, error) {
	file := filepath.Join(builtIn, "lanyard")
	cmd := exec.Command("go", "build", "-trimpath", "-o", file, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return file, nil
})

var builtIn string

func TestMain(m *testing.M) {
	var err error
	if builtIn, err = os.MkdirTemp("", "lanyard-e2e-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(builtIn)
	os.Exit(code)
}

func binary(t testing.TB) string {
	t.Helper()
	file, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// must takes the value of a call that may not fail.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

const password = "correct horse battery"

// org is a Lanyard of a test's own: a database, commands on it, and servers.
type org struct {
	t      *testing.T
	dir    string   // where commands run
	env    []string // how they find the database
	master [32]byte // the master key
	url    string   // the public address: the first node's
	nodes  []*node
	roots  *x509.CertPool    // who vouches for the servers, where they speak TLS
	sites  map[string]string // hosts of others that a browser walks through, and where each answers
}

// each runs f with a Lanyard on each kind of database.
func each(t *testing.T, f func(t *testing.T, o *org)) {
	t.Helper()
	t.Parallel()
	for _, kind := range []string{storetest.SQLite, storetest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f(t, newOrg(t, kind))
		})
	}
}

func newOrg(t *testing.T, kind string) *org {
	t.Helper()
	o := &org{t: t, dir: t.TempDir()}
	o.env = append(os.Environ(), "LANYARD_DATA="+filepath.Join(o.dir, "data"), "LANYARD_DRAIN_DELAY=0s") // no balancer looks
	rand.Read(o.master[:])
	o.env = append(o.env, "LANYARD_MASTER_KEY="+base64.StdEncoding.EncodeToString(o.master[:]))
	if kind == storetest.Postgres {
		o.env = append(o.env, "LANYARD_DATABASE="+storetest.DSN(t, kind))
	}
	return o
}

// try runs a command and returns what it printed and its exit code.
func (o *org) try(stdin string, args ...string) (stdout, stderr string, code int) {
	o.t.Helper()
	cmd := exec.Command(binary(o.t), args...)
	var out, err bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = o.dir, o.env, strings.NewReader(stdin), &out, &err
	failed := cmd.Run()
	if failed != nil && cmd.ProcessState == nil {
		o.t.Fatalf("lanyard %s: %v", strings.Join(args, " "), failed)
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

// run runs a command that must succeed and returns what it printed.
func (o *org) run(args ...string) string {
	o.t.Helper()
	out, err, code := o.try("", args...)
	if code != 0 {
		o.t.Fatalf("lanyard %s: exit %d\n%s%s", strings.Join(args, " "), code, out, err)
	}
	return out
}

// line is run for a command that prints one value on a line of its own.
func (o *org) line(args ...string) string {
	o.t.Helper()
	return strings.TrimSpace(o.run(args...))
}

// apply declares documents.
func (o *org) apply(docs ...string) {
	o.t.Helper()
	out, err, code := o.try(strings.Join(docs, "\n---\n"), "apply", "-f", "-")
	if code != 0 {
		o.t.Fatalf("lanyard apply: exit %d\n%s%s", code, out, err)
	}
}

type event struct{ ID, Code, User, App, IP, Outcome, Reason, Reference, Actor string }

// events lists events; a refusal is written a moment after it was told, so it waits for at least one.
func (o *org) events(args ...string) (all []event) {
	o.t.Helper()
	for range 20 {
		out := o.run(append([]string{"event", "list", "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			o.t.Fatalf("event list: %v\n%s", err, out)
		}
		if len(all) > 0 {
			return all
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// node is a running server.
type node struct {
	addr string // host:port
	url  string // of its own; a person's browser knows only the org's
	log  *lines
	stop func()
}

// lines gathers what a process prints, for a reader that comes at any time.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// tail is what a reader of a failed test wants: all that is no ordinary request, and the last few of those.
func (l *lines) tail() string {
	all := strings.SplitAfter(l.String(), "\n")
	var kept strings.Builder
	for i, line := range all {
		if i >= len(all)-5 || !strings.Contains(line, `"level":"INFO","msg":"request"`) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// serve starts a server and waits until it says that it answers.
func (o *org) serve(args ...string) *node {
	o.t.Helper()
	if !slices.Contains(args, "--listen") {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	n := start(o.t, o.dir, o.env, append([]string{"serve"}, args...)...)
	first, err := n.out.ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(first), "lanyard: serving ")
	if err != nil || !ok {
		o.t.Fatalf("serve said %q (%v)\n%s", first, err, n.log)
	}
	_, addr, _ := strings.Cut(address, "://")
	s := &node{addr: addr, url: address, log: n.log, stop: n.stop}
	o.t.Cleanup(func() { // LOG-02
		for _, canary := range []string{password, secret} {
			if strings.Contains(n.log.String(), canary) {
				o.t.Errorf("%q is in the log", canary)
			}
		}
	})
	if o.nodes = append(o.nodes, s); o.url == "" {
		o.url = address
	}
	return s
}

// process is a command that goes on until it is stopped.
type process struct {
	cmd  *exec.Cmd
	out  *bufio.Reader
	log  *lines
	stop func()
}

// start starts a command and sees that it ends well when it is told to, at the end of the test at the latest.
func start(t testing.TB, dir string, env []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary(t), args...), log: &lines{}}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr = dir, env, p.log
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(stdout)
	p.stop = sync.OnceFunc(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(15*time.Second, func() {
			t.Errorf("lanyard %s did not end within 15 s of SIGTERM", args[0])
			_ = p.cmd.Process.Kill()
		})
		defer kill.Stop()
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("lanyard %s ended with %v", args[0], err)
		}
		if t.Failed() {
			t.Logf("lanyard %s on standard error:\n%s", strings.Join(args, " "), p.log.tail())
		}
	})
	t.Cleanup(p.stop)
	return p
}

// person declares a user with the password that all test users have.
func person(name, more string) string {
	return "kind: User\nusername: " + name + "\nemail: " + name + "@example.com\npassword: {plain: " + password + "}\n" + more
}

// indent puts a text into a YAML document, n spaces deep.
func indent(text string, n int) string {
	return strings.ReplaceAll("\n"+strings.TrimSpace(text), "\n", "\n"+strings.Repeat(" ", n))
}
