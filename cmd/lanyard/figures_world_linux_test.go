package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const inFlight = 8

// world is a Lanyard that figures are taken of: a database, the server on it, and who may ask it what. Of each kind of
// asker there are some, and the flows take them in turn.
type world struct {
	b    testing.TB
	bin  string
	dir  string
	dsn  string
	env  []string
	addr string
	org  string // the default org's id
	warm int    // so many are asked for once before a row is measured: what is kept of apps is kept, last uses are written

	master []byte

	sessions []string // Cookie header lines of people who are signed in
	people   []string // usernames of people with the password that all have
	once     []string // entity IDs of apps that get one signature
	twice    []string // and two
	rps      []rpApp
	batch    []rpApp   // that act by themselves
	tokens   []holding // living access tokens of people
	machines []holding // living access tokens of clients that act by themselves
	refresh  []holding // refresh tokens

	turns atomic.Int64
	child *exec.Cmd
	log   *os.File
}

// rpApp is a client; auth is its header line, redirect where its codes go.
type rpApp struct{ id, auth, redirect string }

// holding is a token and whose client it is.
type holding struct {
	value string
	of    rpApp
}

// pick takes one of all, each in its turn.
func pick[T any](all []T, turn int) T { return all[turn%len(all)] }

func basicAuth(id, secret string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret))) + "\r\n"
}

// newWorld makes the database: an empty one but for those who ask.
func newWorld(b testing.TB, bin, dir, dsn string) *world {
	b.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	w := &world{b: b, bin: bin, dir: dir, dsn: dsn, addr: l.Addr().String(), master: make([]byte, 32)}
	must(0, l.Close())
	rand.Read(w.master)
	w.env = append(os.Environ(), "GOMAXPROCS=1", "LANYARD_DATA="+dir, "LANYARD_DATABASE="+dsn, "LANYARD_URL=http://"+w.addr,
		"LANYARD_MASTER_KEY="+base64.StdEncoding.EncodeToString(w.master))
	docs := []string{"kind: Group\nname: staff", "kind: Scope\nname: orders\nlabel: See your orders\naudience: https://orders.example.com",
		"kind: User\nusername: svc\ntype: service",
		app("Once", "once.example", "sign: {response: false, assertion: true}", "groups: [staff]"),
		app("Twice", "twice.example", "sign: {response: true, assertion: true}", "groups: [staff]"),
		client("Wellness Tracker", "wellness", "https://wellness.example/cb",
			"clientSecret: {plain: "+secret+"}\nscopes: [openid, profile, email, refresh_token]\nflows: {authorizationCode: true, refresh: true}", "{groups: [staff]}"),
		"kind: App\nname: Batch\noauth:\n  clientID: batch\n  clientSecret: {plain: " + secret +
			"}\n  type: service\n  scopes: [orders]\n  flows: {clientCredentials: true}\npolicy: {users: [{user: svc}], runAs: svc}"}
	for i := range inFlight {
		w.people = append(w.people, fmt.Sprintf("u%d", i))
		docs = append(docs, person(w.people[i], "givenName: Ana\nfamilyName: Lima\ngroups: [staff]"))
	}
	w.run(strings.Join(docs, "\n---\n"), "apply", "-f", "-")
	w.once, w.twice = []string{"https://once.example/meta"}, []string{"https://twice.example/meta"}
	w.rps = []rpApp{{"wellness", basicAuth("wellness", secret), "https://wellness.example/cb"}}
	w.batch = []rpApp{{"batch", basicAuth("batch", secret), ""}}
	return w
}

// run runs a command of the binary.
func (w *world) run(stdin string, args ...string) string {
	w.b.Helper()
	cmd := exec.Command(w.bin, args...)
	cmd.Env, cmd.Stdin = w.env, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.b.Fatalf("lanyard %s: %v\n%s", args[0], err, out)
	}
	return string(out)
}

// start starts the server on its core and returns how long it took until discovery was answered.
func (w *world) start(core int, env ...string) time.Duration {
	w.b.Helper()
	var err error
	if w.log, err = os.OpenFile(filepath.Join(w.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600); err != nil {
		w.b.Fatal(err)
	}
	w.child = exec.Command(w.bin, "serve", "--listen", w.addr)
	w.child.Env, w.child.Stderr, w.child.Stdout = append(w.env, env...), w.log, w.log
	ask := &worker{world: w}
	request := ask.get("/.well-known/openid-configuration", "")
	began := time.Now()
	on(core, func() { err = w.child.Start() }) // it inherits where the thread is pinned that makes it
	if err != nil {
		w.b.Fatal(err)
	}
	for time.Since(began) < time.Minute {
		if k, err := connect(w.addr); err == nil {
			a, err := k.do(request)
			took := time.Since(began)
			must(0, k.Close())
			if err == nil && a.status == http.StatusOK {
				return took
			}
		}
		time.Sleep(time.Millisecond)
	}
	w.b.Fatalf("the server does not answer\n%s", must(os.ReadFile(w.log.Name())))
	return 0
}

func (w *world) stop() {
	w.b.Helper()
	if w.child == nil {
		return
	}
	must(0, w.child.Process.Signal(syscall.SIGTERM))
	if err := w.child.Wait(); err != nil {
		w.b.Errorf("the server ended with %v", err)
	}
	log := must(os.ReadFile(w.log.Name()))
	must(0, w.log.Close())
	if i := bytes.Index(log, []byte(`"level":"ERROR"`)); i >= 0 {
		w.b.Errorf("an error is in the log: %.500s", log[i:])
	}
	w.child = nil
}

var heapCounter = regexp.MustCompile(`(?m)^go_memstats_(mallocs|alloc_bytes)_total (\S+)$`)

// allocated is how many objects and bytes the server has allocated so far, as its metrics tell.
func (w *world) allocated() (objects, bytes float64) {
	w.b.Helper()
	k, err := connect(w.addr)
	if err != nil {
		w.b.Fatal(err)
	}
	defer k.Close()
	a, err := (&worker{keepalive: k, world: w}).send(http.StatusOK, (&worker{world: w}).get("/metrics", ""))
	if err != nil {
		w.b.Fatal(err)
	}
	found := map[string]float64{}
	for _, m := range heapCounter.FindAllStringSubmatch(string(a.body), -1) {
		found[m[1]] = must(strconv.ParseFloat(m[2], 64))
	}
	return found["mallocs"], found["alloc_bytes"]
}

// enter signs everybody in and gets everybody's tokens, as the flows need them. The server runs.
func (w *world) enter() {
	w.b.Helper()
	home := must(url.Parse("http://" + w.addr))
	for _, name := range w.people {
		jar := must(cookiejar.New(nil))
		c := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		r := must(http.NewRequestWithContext(context.Background(), "POST", home.JoinPath("signin").String(),
			strings.NewReader(url.Values{"username": {name}, "password": {password}}.Encode())))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", home.String())
		res, err := c.Do(r)
		if err != nil {
			w.b.Fatal(err)
		}
		must(0, res.Body.Close())
		var all []string
		for _, cookie := range jar.Cookies(home) {
			all = append(all, cookie.Name+"="+cookie.Value)
			if id, ok := strings.CutPrefix(cookie.Name, "lanyard-"); ok && !strings.Contains(id, "-") {
				w.org = id
			}
		}
		if len(all) < 2 {
			w.b.Fatalf("%s can not sign in: %d", name, res.StatusCode)
		}
		w.sessions = append(w.sessions, "Cookie: "+strings.Join(all, "; ")+"\r\n")
	}
	_, err := drive(w, 1, 0, func(k *worker) error {
		for range inFlight {
			k.turn++
			t, err := k.codeFlow()
			if err != nil {
				return err
			}
			w.tokens = append(w.tokens, holding{t.Access, w.rps[0]})
			w.refresh = append(w.refresh, holding{t.Refresh, w.rps[0]})
			if t, err = k.credentials(w.batch[0]); err != nil {
				return err
			}
			w.machines = append(w.machines, holding{t.Access, w.batch[0]})
			if err := k.sso(w.once[0]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.b.Fatal(err)
	}
}
