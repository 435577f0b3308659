package main_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// postgresServer is a PostgreSQL server of a test's own, which it may stop, fill and kill. It writes as in a company: with fsync.
type postgresServer struct {
	t    *testing.T
	bin  string
	dir  string
	port string
}

// newPostgres makes a server's files in dir, and starts it. Without PostgreSQL's programs the test is skipped.
func newPostgres(t *testing.T, dir string, more ...string) *postgresServer {
	t.Helper()
	if os.Getenv("LANYARD_TEST_POSTGRES") == "" && os.Getenv("CI") == "" {
		t.Skip("LANYARD_TEST_POSTGRES is not set: tested on SQLite only")
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Skip("no PostgreSQL server to start: /usr/lib/postgresql/*/bin")
	}
	_, port, _ := net.SplitHostPort(freeAddr(t))
	p := &postgresServer{t: t, bin: filepath.Dir(slices.Max(found)), dir: dir, port: port}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // PostgreSQL refuses root
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Skip("no user postgres to run a server as")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Mkdir(p.dir+"/pg", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(p.dir+"/pg", uid, gid); err != nil {
			t.Fatal(err)
		}
	} else if err := os.Mkdir(p.dir+"/pg", 0o700); err != nil {
		t.Fatal(err)
	}
	p.must("initdb", "-D", p.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--wal-segsize=1")
	t.Cleanup(func() { p.stop("immediate") })
	settings := fmt.Sprintf("port=%s\nlisten_addresses='127.0.0.1'\nunix_socket_directories=''\nmax_connections=100\nmin_wal_size=4MB\nmax_wal_size=16MB\nshared_buffers=16MB\n", port)
	for _, m := range more {
		settings += m + "\n"
	}
	if err := os.WriteFile(p.data()+"/postgresql.auto.conf", []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	p.start()
	return p
}

// shared is a folder that a server with another user's rights gets to.
func shared(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lanyard-fault-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (p *postgresServer) data() string { return p.dir + "/pg/data" }

func (p *postgresServer) dsn(port string) string {
	return "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable"
}

func (p *postgresServer) command(program string, args ...string) *exec.Cmd {
	args = append([]string{p.bin + "/" + program}, args...)
	if os.Getuid() == 0 {
		args = append([]string{"runuser", "-u", "postgres", "--"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = p.dir + "/pg"
	return cmd
}

func (p *postgresServer) must(program string, args ...string) {
	p.t.Helper()
	if out, err := p.command(program, args...).CombinedOutput(); err != nil {
		p.t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

func (p *postgresServer) tryStart() error {
	cmd := p.command("pg_ctl", "-D", p.data(), "-w", "-t", "60", "-s", "-l", p.dir+"/pg/log", "start")
	var out bytes.Buffer
	cmd.Stderr = &out // not its output: the server inherits that and keeps it
	if err := cmd.Run(); err != nil {
		log, _ := os.ReadFile(p.dir + "/pg/log")
		return fmt.Errorf("pg_ctl start: %v %s\n%s", err, out.String(), log[max(0, len(log)-1500):])
	}
	return nil
}

func (p *postgresServer) start() {
	p.t.Helper()
	if err := p.tryStart(); err != nil {
		p.t.Fatal(err)
	}
}

// stop stops the server: fast, or immediate, which is as if it was killed.
func (p *postgresServer) stop(mode string) {
	_ = p.command("pg_ctl", "-D", p.data(), "-w", "-t", "60", "-s", "-m", mode, "stop").Run()
}

// exec runs a statement as the server's own user.
func (p *postgresServer) exec(query string) {
	p.t.Helper()
	db, err := sql.Open("pgx", p.dsn(p.port))
	if err != nil {
		p.t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := db.ExecContext(ctx, query); err != nil {
		p.t.Fatalf("%s: %v", query, err)
	}
}

// on has o use that database.
func (o *org) on(dsn string) *org {
	o.env = append(o.env, "LANYARD_DATABASE="+dsn)
	return o
}

// proxy stands between a server and its database and does what networks do.
type proxy struct {
	t      *testing.T
	l      net.Listener
	to     string
	state  atomic.Int32
	wake   sync.Cond
	mu     sync.Mutex
	open   map[net.Conn]bool
	closed bool
}

const (
	passing  int32 = iota
	refusing       // connections are reset, and none comes about
	silent         // half-open: everything is taken, nothing arrives
)

// newProxy stands in front of a database's address.
func newProxy(t *testing.T, dsn string) (p *proxy, through string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	p = &proxy{t: t, to: u.Host, open: map[net.Conn]bool{}}
	p.wake.L = &p.mu
	if p.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			in, err := p.l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { p.carry(in) })
		}
	})
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.set(refusing)
		p.l.Close()
		all.Wait()
	})
	u.Host = p.l.Addr().String()
	return p, u.String()
}

// set changes what happens to everything, from now on.
func (p *proxy) set(state int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.Store(state)
	if state == refusing {
		for c := range p.open {
			if t, ok := c.(*net.TCPConn); ok {
				_ = t.SetLinger(0) // a reset, as from a machine that knows nothing of the connection
			}
			_ = c.Close()
		}
	}
	p.wake.Broadcast()
}

// pass waits as long as nothing arrives. false: the connection is over.
func (p *proxy) pass() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.state.Load() == silent && !p.closed {
		p.wake.Wait()
	}
	return p.state.Load() == passing
}

func (p *proxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state.Load() == refusing {
		_ = c.Close()
		return false
	}
	p.open[c] = true
	return true
}

func (p *proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
	_ = c.Close()
}

func (p *proxy) carry(in net.Conn) {
	if !p.hold(in) {
		return
	}
	defer p.drop(in)
	if !p.pass() {
		return
	}
	out, err := net.Dial("tcp", p.to)
	if err != nil || !p.hold(out) {
		return
	}
	defer p.drop(out)
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		both.Go(func() {
			b := make([]byte, 32<<10)
			for {
				n, err := way[0].Read(b)
				if n > 0 {
					if !p.pass() {
						break
					}
					if _, err := way[1].Write(b[:n]); err != nil {
						break
					}
				}
				if err != nil {
					if err == io.EOF && p.pass() { // the end of a connection arrives no sooner than what was sent before it
						break
					}
					break
				}
			}
			p.drop(way[0])
			p.drop(way[1])
		})
	}
	both.Wait()
}
