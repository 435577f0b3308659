package main_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// The scripts in testdata/script run the built binary as somebody at a terminal would:
//
//	lanyard ARG…      it ends with 0; with !, with 1
//	misuse ARG…       it ends with 2
//	serve ARG…        a server; answers at $URL once the command is done, ends with the script
func TestScripts(t *testing.T) {
	dir := filepath.Dir(binary(t))
	for _, kind := range []string{storetest.SQLite, storetest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			if kind == storetest.Postgres {
				_ = storetest.Empty(t, kind) // without a server this one is skipped, once
			}
			testscript.Run(t, testscript.Params{
				Dir:                 "testdata/script",
				RequireUniqueNames:  true,
				RequireExplicitExec: true,
				Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
					"lanyard": func(ts *testscript.TestScript, neg bool, args []string) {
						want := 0
						if neg {
							want = 1
						}
						ends(ts, want, args)
					},
					"misuse": func(ts *testscript.TestScript, _ bool, args []string) { ends(ts, 2, args) },
					"serve":  serve,
				},
				Condition: func(cond string) (bool, error) { return cond == kind, nil },
				Setup: func(env *testscript.Env) error {
					for _, v := range os.Environ() {
						if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "LANYARD_") {
							env.Setenv(name, "")
						}
					}
					env.Vars = append(env.Vars, "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"), "LANYARD_DRAIN_DELAY=0s")
					if kind == storetest.Postgres {
						key := make([]byte, 32)
						if _, err := rand.Read(key); err != nil {
							return err
						}
						env.Vars = append(env.Vars, "LANYARD_DATABASE="+storetest.Empty(t, kind), "LANYARD_MASTER_KEY="+base64.StdEncoding.EncodeToString(key))
					}
					return nil
				},
			})
		})
	}
}

func ends(ts *testscript.TestScript, want int, args []string) {
	err := ts.Exec("lanyard", args...)
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("lanyard %s: exit code %d, want %d", strings.Join(args, " "), code, want)
	}
}

// serve starts a server and waits for its line on standard output.
func serve(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command("lanyard", append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Path = ts.Getenv("PATH")[:strings.IndexByte(ts.Getenv("PATH"), os.PathListSeparator)] + "/lanyard"
	cmd.Err = nil
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = []string{"HOME=" + ts.Getenv("HOME")}
	for _, name := range []string{"LANYARD_DATABASE", "LANYARD_MASTER_KEY"} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	end := sync.OnceFunc(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			ts.Logf("serve: %v\n%s", err, stderr.String())
		}
	})
	ts.Defer(end)
	line, _ := bufio.NewReader(out).ReadString('\n')
	m := regexp.MustCompile(`^lanyard: serving (http://127\.0\.0\.1:\d+)\n$`).FindStringSubmatch(line)
	if m == nil {
		end()
		ts.Fatalf("serve said %q", line)
	}
	ts.Setenv("URL", m[1])
	ts.Setenv("LISTEN", strings.TrimPrefix(m[1], "http://"))
}

// Every command says what it is for and how it is used, with an example.
func TestHelp(t *testing.T) {
	lanyard := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(binary(t), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("lanyard %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	all := lanyard("--help")
	if got := lanyard(); got != all {
		t.Error("lanyard alone is not its help")
	}
	_, list, _ := strings.Cut(all, "Commands:\n")
	commands := regexp.MustCompile(`(?m)^  ([a-z][a-z -]*?)  +[A-Z]`).FindAllStringSubmatch(list, -1)
	if len(commands) < 30 {
		t.Fatalf("%d commands in the help, want all of them", len(commands))
	}
	for _, c := range commands {
		words := strings.Fields(c[1])
		help := lanyard(append(words, "--help")...)
		if !strings.Contains(help, "Example") || !strings.Contains(help, "    lanyard "+c[1]) && !strings.Contains(help, "| lanyard "+c[1]) {
			t.Errorf("lanyard %s --help has no example", c[1])
		}
		if got := lanyard(append([]string{"help"}, words...)...); got != help {
			t.Errorf("lanyard help %s is another text than lanyard %s --help", c[1], c[1])
		}
	}
}
