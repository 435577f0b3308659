package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The tests of faults (TestFault…) drive the built binary, break something, and hold what they find afterwards against a ledger of
// everything that was acknowledged (fault_crowd_test.go). RELIABILITY.md has a row for each.
//
//	LANYARD_TORTURE=1   `make torture`: a thousand kills, a million races

// torture tells if there is all the time in the world.
func torture() bool { return os.Getenv("LANYARD_TORTURE") != "" }

// times is how often something is done: in `make test`, in `make torture`.
func times(test, more int) int {
	if torture() {
		return more
	}
	return test
}

// faulty is the binary with what tests may break inside of it: its clock, and its life in a migration.
var faulty = sync.OnceValues(func() (string, error) {
	file := filepath.Join(builtIn, "lanyard-faults")
	cmd := exec.Command("go", "build", "-tags", "faults", "-trimpath", "-o", file, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return file, nil
})

func faultyBinary(t testing.TB) string {
	t.Helper()
	file, err := faulty()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// victim is a server to which something is done.
type victim struct {
	t     *testing.T
	cmd   *exec.Cmd
	addr  string
	log   *lines
	out   *lines
	gone  chan struct{} // closed when it has ended
	ready time.Duration // from its start until /readyz said yes
}

// spawn starts a server of that binary and waits until it is ready. addr may be empty.
func (o *org) spawn(file, addr string, more ...string) *victim {
	o.t.Helper()
	v, err := o.trySpawn(file, addr, more...)
	if err != nil {
		o.t.Fatalf("%v\n%s", err, v.log.tail())
	}
	if o.url == "" {
		o.url = "http://" + v.addr
	}
	return v
}

// trySpawn is spawn for a server that may not come up. more is flags, and NAME=VALUE for its environment.
func (o *org) trySpawn(file, addr string, more ...string) (*victim, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	args := []string{"serve", "--listen", addr, "--trusted-proxies", "127.0.0.0/8"}
	env := slices.Clone(o.env)
	for _, m := range more {
		if strings.HasPrefix(m, "-") || !strings.Contains(m, "=") {
			args = append(args, m)
		} else {
			env = append(env, m)
		}
	}
	v := &victim{t: o.t, cmd: exec.Command(file, args...), log: &lines{}, out: &lines{}, gone: make(chan struct{})}
	v.cmd.Dir, v.cmd.Env, v.cmd.Stderr = o.dir, env, v.log
	stdout, err := v.cmd.StdoutPipe()
	if err != nil {
		return v, err
	}
	began := time.Now()
	if err := v.cmd.Start(); err != nil {
		return v, err
	}
	said := make(chan string, 1)
	go func() {
		r := bufio.NewReader(stdout)
		line, _ := r.ReadString('\n')
		said <- line
		_, _ = r.WriteTo(v.out)
		_ = v.cmd.Wait()
		close(v.gone)
	}()
	o.t.Cleanup(v.kill)
	var line string
	select {
	case line = <-said:
	case <-time.After(60 * time.Second):
		return v, errors.New("a server says nothing for a minute")
	}
	_, at, ok := strings.Cut(strings.TrimSpace(line), "lanyard: serving http://")
	if !ok {
		<-v.gone
		return v, fmt.Errorf("a server said %q and ended with %s", line, v.cmd.ProcessState)
	}
	v.addr = at
	for !v.isReady() {
		if time.Since(began) > 60*time.Second {
			return v, errors.New("a server is not ready after a minute")
		}
		time.Sleep(time.Millisecond)
	}
	v.ready = time.Since(began)
	return v, nil
}

// isReady asks /readyz.
func (v *victim) isReady() bool {
	status, _ := v.readiness()
	return status == http.StatusOK
}

var probes = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// readiness is what /readyz says; 0: nothing.
func (v *victim) readiness() (status int, took time.Duration) {
	began := time.Now()
	res, err := probes.Get("http://" + v.addr + "/readyz")
	if err != nil {
		return 0, time.Since(began)
	}
	res.Body.Close()
	return res.StatusCode, time.Since(began)
}

// until waits until /readyz says that, and returns how long it took.
func (v *victim) until(status int, most time.Duration) time.Duration {
	v.t.Helper()
	began := time.Now()
	for {
		got, _ := v.readiness()
		if got == status {
			return time.Since(began)
		}
		if time.Since(began) > most {
			v.t.Errorf("/readyz is %d, not %d, after %s", got, status, most)
			return most
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// kill is kill -9.
func (v *victim) kill() {
	_ = v.cmd.Process.Kill()
	<-v.gone
}

// end asks the server to end, and demands that it ends well.
func (v *victim) end() time.Duration {
	v.t.Helper()
	began := time.Now()
	_ = v.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-v.gone:
	case <-time.After(40 * time.Second):
		v.t.Error("a server did not end within 40 s of SIGTERM")
		v.kill()
	}
	if code := v.cmd.ProcessState.ExitCode(); code != 0 {
		v.t.Errorf("a server ended with %d\n%s", code, v.log.tail())
	}
	return time.Since(began)
}

// node is the server as other tests know it.
func (v *victim) node() *node {
	return &node{addr: v.addr, url: "http://" + v.addr, log: v.log, stop: func() {}}
}

// command runs the binary to its end, whatever becomes of it.
func (o *org) command(file, stdin string, env []string, args ...string) (out string, code int) {
	cmd := exec.Command(file, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = o.dir, append(slices.Clone(o.env), env...), strings.NewReader(stdin)
	b, _ := cmd.CombinedOutput()
	return string(b), cmd.ProcessState.ExitCode()
}

// freeAddr is an address that nobody listens at.
func freeAddr(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// beside runs tests that mostly wait beside each other, without the turns that t.Parallel takes.
func beside(t *testing.T, tests map[string]func(t *testing.T)) {
	t.Helper()
	var all sync.WaitGroup
	for name, f := range tests {
		all.Go(func() { t.Run(name, f) })
	}
	all.Wait()
}

// percentile of some durations, which it sorts.
func percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(p*float64(len(all))))]
}
