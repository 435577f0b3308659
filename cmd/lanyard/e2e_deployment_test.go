package main_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// deploymentFiles are those at the root by which Lanyard is run.
var deploymentFiles = []string{"DEPLOYMENT.md", "Dockerfile", "compose.yaml", "lanyard.service", "nginx.conf"}

func root(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every flag, variable and command of ours that these files name exists.
func TestDeploymentNames(t *testing.T) {
	t.Parallel()
	help := map[string]string{} // by command
	of := func(command string) string {
		if help[command] == "" {
			out, err := exec.Command(binary(t), append(strings.Fields(command), "--help")...).CombinedOutput()
			if err != nil {
				t.Errorf("lanyard %s --help: %v\n%s", command, err, out)
			}
			help[command] = string(out) + " "
		}
		return help[command]
	}
	all := ""
	for _, command := range []string{"serve", "ready", "doctor", "backup", "restore", "metadata lint"} {
		all += of(command)
	}
	named := regexp.MustCompile(`LANYARD_[A-Z_]*[A-Z]|--[a-z][a-z-]+`)
	theirs := strings.Fields("--no-deps --now --home-dir --stop-timeout --config --build --build-arg --read-only --name --system --user --from --chown --platform --interval --timeout --start-period --stop-timeout --shell --home-dir")
	found := 0
	for _, file := range deploymentFiles {
		for _, name := range named.FindAllString(root(t, file), -1) {
			flag := name
			if v, ok := strings.CutPrefix(name, "LANYARD_"); ok {
				flag = "--" + strings.ReplaceAll(strings.ToLower(v), "_", "-")
			} else if slices.Contains(theirs, name) {
				continue
			}
			if found++; name != "LANYARD_MASTER_KEY" && !regexp.MustCompile(regexp.QuoteMeta(flag)+`[^a-z-]`).MatchString(all) {
				t.Errorf("%s: no command knows %s", file, name)
			}
		}
	}
	if found < 20 {
		t.Fatalf("%d names found: this test looks in the wrong place", found)
	}
	// And the keys of the file that lanyard.service reads are serve's.
	var config map[string]any
	if err := yaml.Unmarshal([]byte(shown(t, "DEPLOYMENT.md", "yaml", "master-key-file:")), &config); err != nil || len(config) < 4 {
		t.Errorf("lanyard.yaml: %v, %v", config, err)
	}
	for key := range config {
		if !strings.Contains(of("serve"), "--"+key+"=") && !strings.Contains(of("serve"), "--"+key+" ") {
			t.Errorf("lanyard.yaml: serve has no --%s", key)
		}
	}
}

// The NGINX of compose.yaml is the block of DEPLOYMENT.md, at other addresses, and NGINX takes it.
func TestDeploymentNGINX(t *testing.T) {
	t.Parallel()
	f := newStranger(t, "nginx")
	conf := root(t, "nginx.conf")
	block := instead(t, shown(t, "DEPLOYMENT.md", "nginx", "upstream lanyard"), "10.0.0.5", "172.30.85.11", "10.0.0.6", "172.30.85.12",
		"sso.example.com", "_", "/etc/nginx/tls", "/run/secrets/tls")
	if !strings.Contains(conf, block) {
		t.Errorf("nginx.conf does not hold the block of DEPLOYMENT.md:\n%s", block)
	}
	temp := "client_body_temp_path " + f.dir + "/b; proxy_temp_path " + f.dir + "/p; fastcgi_temp_path " + f.dir + "/f; uwsgi_temp_path " + f.dir + "/u; scgi_temp_path " + f.dir + "/s;\n"
	path := f.write("nginx.conf", instead(t, conf, "/run/secrets", f.dir, "/tmp/nginx.pid", f.dir+"/pid", "listen 443", "listen 127.0.0.1:"+f.port, "http {\n", "http {\n"+temp))
	out, err := f.command(f.path, "-t", "-p", f.dir, "-e", filepath.Join(f.dir, "error.log"), "-c", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "[warn]") {
		t.Errorf("nginx -t: %v\n%s", err, out)
	}
}

// composed is what of compose.yaml is looked at.
type composed struct {
	Services map[string]struct {
		Environment map[string]string
		Secrets     []string
		Volumes     []string
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
		Networks    map[string]struct {
			Address string `yaml:"ipv4_address"`
		}
		ReadOnly  bool                    `yaml:"read_only"`
		StopGrace string                  `yaml:"stop_grace_period"`
		Health    struct{ Test []string } `yaml:"healthcheck"`
	}
	Networks map[string]struct {
		IPAM struct{ Config []struct{ Subnet string } }
	}
	Volumes map[string]any
	Secrets map[string]struct{ File string }
}

// compose.yaml says what it means, and names nothing that is not there.
func TestDeploymentCompose(t *testing.T) {
	t.Parallel()
	var c composed
	if err := yaml.Unmarshal([]byte(root(t, "compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	made := strings.Join(fenced(t, "DEPLOYMENT.md", "sh"), "\n")
	for name, s := range c.Secrets {
		if !strings.Contains(made, strings.TrimPrefix(s.File, "./")) {
			t.Errorf("DEPLOYMENT.md does not say how %s comes to be (%s)", s.File, name)
		}
	}
	nodes := 0
	conf := root(t, "nginx.conf")
	for name, s := range c.Services {
		for _, secret := range s.Secrets {
			if c.Secrets[secret].File == "" {
				t.Errorf("%s: no secret %s", name, secret)
			}
		}
		for other, on := range s.DependsOn {
			if d, ok := c.Services[other]; !ok || on.Condition == "service_healthy" && len(d.Health.Test) == 0 {
				t.Errorf("%s waits for %s, which is not there or has no health check", name, other)
			}
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			_, known := c.Volumes[from]
			if _, err := os.Stat("../../" + from); !known && err != nil {
				t.Errorf("%s: no volume %s", name, v)
			}
		}
		for network, at := range s.Networks {
			prefix, _, _ := strings.Cut(c.Networks[network].IPAM.Config[0].Subnet, ".0/")
			if !strings.HasPrefix(at.Address, prefix+".") {
				t.Errorf("%s: %s is not in %s", name, at.Address, network)
			}
		}
		for key, value := range s.Environment {
			if path, ok := strings.CutPrefix(value, "/run/secrets/"); ok && !slices.Contains(s.Secrets, path) {
				t.Errorf("%s: %s=%s is no secret of it", name, key, value)
			}
		}
		if !strings.HasPrefix(name, "lanyard-") {
			continue
		}
		nodes++
		if grace, err := time.ParseDuration(s.StopGrace); err != nil || grace < 30*time.Second || !s.ReadOnly {
			t.Errorf("%s: grace %s, read only %t", name, s.StopGrace, s.ReadOnly)
		}
		if got, want := s.Environment["LANYARD_TRUSTED_PROXIES"], c.Services["nginx"].Networks["house"].Address; got != want || want == "" {
			t.Errorf("%s believes %s, and NGINX is at %s", name, got, want)
		}
		if !strings.Contains(conf, "server "+s.Networks["house"].Address+":8080") {
			t.Errorf("nginx.conf does not know of %s at %s", name, s.Networks["house"].Address)
		}
	}
	if nodes != 2 || strings.Count(conf, ":8080") != 2 {
		t.Errorf("%d nodes", nodes)
	}
	if !strings.Contains(made, "@"+c.Services["postgres"].Networks["house"].Address+"/lanyard") {
		t.Error("DEPLOYMENT.md writes the database's address down differently")
	}
}

// alone is the image that Dockerfile describes: nothing but the binary, the authorities and a folder for data in a root
// that nobody may write, run as nobody in particular.
type alone struct {
	t    *testing.T
	root string
}

var copied = regexp.MustCompile(`(?m)^COPY --from=build (?:--chown=(\d+):(\d+) )?(\S+) (\S+)$`)

func newAlone(t *testing.T) alone {
	t.Helper()
	dir := t.TempDir()
	for up := dir; up != "/" && up != os.TempDir(); up = filepath.Dir(up) {
		_ = os.Chmod(up, 0o755)
	}
	a := alone{t, filepath.Join(dir, "root")}
	made := 0
	for _, m := range copied.FindAllStringSubmatch(root(t, "Dockerfile"), -1) {
		to := filepath.Join(a.root, m[4])
		switch m[4] {
		case "/lanyard":
			must(0, os.MkdirAll(filepath.Dir(to), 0o755))
			must(0, os.WriteFile(to, must(os.ReadFile(binary(t))), 0o555))
		case "/data":
			must(0, os.MkdirAll(to, 0o755))
			must(0, os.Chown(to, 65532, 65532))
		case "/etc/ssl/certs/ca-certificates.crt":
			_, _, authority := certificate()
			must(0, os.MkdirAll(filepath.Dir(to), 0o755))
			must(0, os.WriteFile(to, []byte(authority), 0o444))
		default:
			t.Fatalf("Dockerfile copies %s, which this test does not know", m[4])
		}
		made++
	}
	if made != 3 {
		t.Fatalf("Dockerfile copies %d things", made)
	}
	must(0, os.Chmod(a.root, 0o555))
	return a
}

func (a alone) command(env []string, args ...string) *exec.Cmd {
	cmd := exec.Command("/lanyard", args...)
	cmd.Dir, cmd.Env = "/", append([]string{"LANYARD_DATA=/data"}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: a.root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	return cmd
}

// The binary alone, as in the image: it serves, is looked at by its health check, does what commands do, and leaves.
func TestDeploymentImage(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("not root, so the image's conditions (chroot, user 65532) are not tried")
		return
	}
	a := newAlone(t)
	docker := root(t, "Dockerfile")
	for _, want := range []string{"FROM scratch", "USER 65532:65532", "VOLUME /data", "EXPOSE 8080", "STOPSIGNAL SIGTERM", `ENTRYPOINT ["/lanyard"]`, `CMD ["serve"]`, `CMD ["/lanyard", "ready"]`, "ENV LANYARD_DATA=/data LANYARD_LISTEN=:8080"} {
		if !strings.Contains(docker, want+"\n") {
			t.Errorf("Dockerfile has no line that ends in %s", want)
		}
	}
	if uses, wants := regexp.MustCompile(`(?m)^ARG GO=(\d+\.\d+)$`).FindStringSubmatch(docker), regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(root(t, "go.mod")); uses == nil || uses[1] != wants[1] {
		t.Errorf("Dockerfile builds with Go %v, go.mod wants %v", uses, wants)
	}
	port := freePort(t)
	env := []string{"LANYARD_LISTEN=:" + port, "LANYARD_URL=https://sso.example.com", "LANYARD_DRAIN_DELAY=0s"}
	said := func(env []string, args ...string) (string, error) {
		out, err := a.command(env, args...).CombinedOutput()
		return string(out), err
	}
	// Reached from everywhere, and told of no proxy, it does not start.
	if out, err := said(env, "serve"); err == nil || !strings.Contains(out, "--trusted-proxies") {
		t.Errorf("without a proxy: %v\n%s", err, out)
	}
	env = append(env, "LANYARD_TRUSTED_PROXIES=127.0.0.1")
	if out, err := said(env, "ready"); err == nil || !strings.Contains(out, "no server answers at 127.0.0.1:"+port) {
		t.Errorf("before: %v\n%s", err, out)
	}
	serve, log := a.command(env, "serve"), &lines{}
	serve.Stdout, serve.Stderr = log, log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = serve.Process.Kill() })
	healthy := false
	for range 100 {
		if out, err := said(env, "ready"); err == nil && strings.Contains(out, "is ready") {
			healthy = true
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	res, err := http.Get("http://127.0.0.1:" + port + "/signin")
	if err != nil || !healthy {
		t.Fatalf("healthy %t, %v\n%s", healthy, err, log)
	}
	page := string(must(io.ReadAll(res.Body)))
	res.Body.Close()
	if !strings.Contains(page, `name="password"`) && !strings.Contains(log.String(), "https://sso.example.com/setup?link=") {
		t.Errorf("%d\n%s\n%s", res.StatusCode, page, log)
	}
	for _, args := range [][]string{{"user", "list"}, {"doctor"}, {"backup", "/data/backup"}} {
		if out, err := said(env, args...); err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	// The authorities in the image are those that outgoing https believes.
	cert, key, _ := certificate()
	elsewhere := serveFile(t, cert, key, must(os.ReadFile("../../go.mod")))
	if out, _ := said(env, "app", "create", "X", "--metadata", elsewhere, "--permit", "everyone", "--allow-fetch", "127.0.0.1"); strings.Contains(out, "certificate") || !strings.Contains(out, "before the root element") {
		t.Errorf("https: %s", out)
	}
	_ = serve.Process.Signal(syscall.SIGTERM)
	if err := serve.Wait(); err != nil {
		t.Errorf("ended with %v\n%s", err, log)
	}
	var left []string
	must(0, filepath.WalkDir(a.root, func(path string, d os.DirEntry, err error) error {
		if rel := strings.TrimPrefix(path, a.root); err == nil && !d.IsDir() && !strings.HasPrefix(rel, "/data/") {
			left = append(left, rel)
		}
		return err
	}))
	if want := []string{"/etc/ssl/certs/ca-certificates.crt", "/lanyard"}; !slices.Equal(left, want) {
		t.Errorf("in the root are %v", left)
	}
}

// serveFile serves one text at every address of an https server, and returns one.
func serveFile(t *testing.T, cert, key string, text []byte) string {
	t.Helper()
	pair := must(tls.X509KeyPair([]byte(cert), []byte(key)))
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// lanyard.service: systemd takes it (where there is a systemd), and serve runs with the lanyard.yaml that DEPLOYMENT.md
// shows and the key that systemd hands on; commands run with the file's own.
func TestDeploymentSystemd(t *testing.T) {
	t.Parallel()
	o := newOrg(t, storetest.SQLite)
	etc, data, credentials := filepath.Join(o.dir, "etc"), filepath.Join(o.dir, "state"), filepath.Join(o.dir, "credentials")
	for _, dir := range []string{etc, data, credentials} {
		must(0, os.Mkdir(dir, 0o700))
	}
	master := make([]byte, 32)
	rand.Read(master)
	for _, dir := range []string{etc, credentials} {
		put(t, filepath.Join(dir, "master.key"), []byte(base64.StdEncoding.EncodeToString(master)))
		must(0, os.Chmod(filepath.Join(dir, "master.key"), 0o640)) // root's, for the group to read
	}
	unit := root(t, "lanyard.service")
	line := func(key string) string {
		m := regexp.MustCompile(`(?m)^` + key + `=(.*)$`).FindStringSubmatch(unit)
		if m == nil {
			t.Fatalf("lanyard.service has no %s", key)
		}
		return m[1]
	}
	port, metrics := freePort(t), freePort(t)
	config := filepath.Join(etc, "lanyard.yaml")
	put(t, config, []byte(instead(t, shown(t, "DEPLOYMENT.md", "yaml", "master-key-file:"), "/etc/lanyard", etc, "/var/lib/lanyard", data, ":8080", ":"+port, ":9090", ":"+metrics)))
	o.env = []string{"LANYARD_DRAIN_DELAY=0s"}
	args := strings.Fields(strings.Replace(line("ExecStart"), "/etc/lanyard", etc, 1))
	if args[0] != "/usr/local/bin/lanyard" || line("LoadCredential") != "master.key:/etc/lanyard/master.key" || line("StateDirectory") != "lanyard" {
		t.Errorf("lanyard.service: %v", args)
	}
	s := start(t, o.dir, append(o.env, strings.Replace(line("Environment"), "%d", credentials, 1)), args[1:]...)
	if first, err := s.out.ReadString('\n'); err != nil || first != "lanyard: serving http://127.0.0.1:"+port+"\n" {
		t.Fatalf("serve said %q (%v)\n%s", first, err, s.log)
	}
	// ExecReload
	_ = s.cmd.Process.Signal(syscall.SIGHUP)
	if out := o.run("doctor", "--config", config); !strings.Contains(out, "serve runs at 127.0.0.1:"+port+" and is ready") || !strings.Contains(out, "a proxy speaks TLS") {
		t.Errorf("doctor:\n%s", out)
	}
	if res, err := http.Get("http://127.0.0.1:" + metrics + "/metrics"); err != nil || res.StatusCode != 200 {
		t.Errorf("metrics: %v %v", res, err)
	}
	for key, want := range map[string]string{"TimeoutStopSec": "35s", "ExecReload": "/bin/kill -HUP $MAINPID", "NoNewPrivileges": "yes", "ProtectSystem": "strict"} {
		if got := line(key); got != want {
			t.Errorf("%s=%s", key, got)
		}
	}
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("no systemd-analyze here: nobody else has read lanyard.service")
		return
	}
	here := filepath.Join(etc, "lanyard.service")
	put(t, here, []byte(instead(t, unit, "/usr/local/bin/lanyard", binary(t))))
	if out, err := exec.Command(tool, "verify", here).CombinedOutput(); err != nil || bytes.Contains(out, []byte("lanyard.service:")) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
