package main_test

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// TestREADME types every command of README.md, in its order, and looks at what each promises.
func TestREADME(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	o := newOrg(t, storetest.SQLite)
	o.env = os.Environ() // what the reader has: nothing is set, the data lies in ./lanyard-data
	if err := os.Symlink(binary(t), filepath.Join(o.dir, "lanyard")); err != nil {
		t.Fatal(err)
	}
	benefits := newSP(t, "benefits.example")
	metadata := must(xml.Marshal(benefits.Metadata()))
	if err := os.WriteFile(filepath.Join(o.dir, "benefits-sp.xml"), metadata, 0o600); err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	n := 0
	for _, block := range shellBlock.FindAllStringSubmatch(string(text), -1) {
		for _, line := range strings.Split(strings.TrimSpace(block[1]), "\n") {
			n++
			switch {
			case line == "make test", line == "make build", line == "go run ./cmd/lanyard demo": // this is running, was done, has a test of its own
			case strings.HasPrefix(line, "./lanyard serve"):
				args := strings.Fields(strings.Replace(line, "127.0.0.1:8080", "127.0.0.1:0", 1))[2:]
				s := o.serve(args...)
				b := o.browser()
				p := b.get(o.setupLink(s))
				if p = b.fill(p, "username", "rosa", "email", "rosa@example.com", "password", password, "repeat", password); p.url.Path != "/apps" {
					t.Fatalf("%s: the first administrator: %d\n%s", line, p.status, p.body)
				}
			case strings.Contains(line, "./lanyard "):
				cmd := exec.Command("sh", "-c", line)
				cmd.Dir, cmd.Env = o.dir, o.env
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Errorf("%s: %v\n%s", line, err, out)
				}
				said[line] = string(out)
			default:
				t.Errorf("%q is no command of ours", line)
			}
		}
	}
	if n < 15 {
		t.Fatalf("%d commands in README.md: this test looks in the wrong place", n)
	}
	for _, want := range []struct{ command, says string }{
		{"metadata lint", "It can be imported"},
		{"app create \"Your Benefits\"", o.url + "/saml/sso"},
		{"app connect Your_Benefits", "BEGIN CERTIFICATE"},
		{"app connect Your_Benefits", o.url + "/saml/metadata"},
		{"app connect Your_Benefits", "rosa@example.com"},
		{"explain --user ana --app Your_Benefits", "allow"},
		{"event list --app Your_Benefits", "insertConnectedApplication"},
		{"app connect Wellness_Tracker", o.url + "/.well-known/openid-configuration"},
		{"explain --user ana --app Wellness_Tracker", "consent"},
		{"apply -f lanyard.yaml --dry-run", "no changes"},
	} {
		found := false
		for line, out := range said {
			if strings.Contains(line, want.command) {
				if found = true; !strings.Contains(out, want.says) {
					t.Errorf("%s does not say %q:\n%s", line, want.says, out)
				}
			}
		}
		if !found {
			t.Errorf("README.md has no command %s any more: change this test", want.command)
		}
	}

	// And the two apps work, for the user that was made.
	b := o.browser()
	benefits.meet(o)
	q := benefits.request()
	p := b.get(benefits.redirect(q, "")).asks(t)
	benefits.accept(b.fill(p, "username", "ana", "password", word(t, string(text))), q.ID)
	benefits.accept(b.get("/saml/launch/Your_Benefits"), "")
	var id string
	for line, out := range said {
		if strings.Contains(line, "app connect Wellness_Tracker") {
			id = regexp.MustCompile(`OIDC_CLIENT_ID=(\S+)`).FindStringSubmatch(out)[1]
		}
	}
	for line, out := range said {
		if strings.Contains(line, "app secret Wellness_Tracker") {
			w := newRP(t, o, id, strings.TrimSpace(out), "https://wellness.example.com/callback", "openid", "profile", "email")
			p := b.get(w.start())
			if p.url.Path == "/consent" {
				p = b.fill(p, "decision", "allow")
			}
			if _, token := w.signIn(p); w.userinfo(token)["email"] != "ana@example.com" {
				t.Errorf("the first OpenID Connect app learns %v", w.userinfo(token))
			}
		}
	}
}

// word is the password that README.md gives the first user.
func word(t *testing.T, text string) string {
	t.Helper()
	m := regexp.MustCompile(`echo '([^']+)' \| ./lanyard user create`).FindStringSubmatch(text)
	if m == nil {
		t.Fatal("README.md gives its first user no password")
	}
	return m[1]
}
