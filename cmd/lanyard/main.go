// Lanyard is a single-sign-on identity provider in one binary: SAML 2.0, OpenID Connect and OAuth 2, with one access
// policy an app.
//
//	main.go      the commands and their flags; exit codes 0 ok, 1 failed, 2 usage
//	house.go     opening the database and the org, the same for every command; master.go: the master key
//	print.go     table, JSON or YAML
//	serve.go     serve, and how it leaves; listen.go: where it listens, its TLS certificate; ready.go: ready
//	declare.go   apply, export
//	app.go       app …; create.go: app create, app connect
//	gateway.go   gateway token …
//	user.go      user …; breakglass.go: user signin-link, grant-admin, revoke-admin
//	backup.go    backup, restore
//	doctor.go    doctor; its checks are in doctor_*.go
//	admin.go     session …, grant …; org.go, key.go, event.go, explain.go
//	metadata.go  metadata lint
//	demo.go      demo; the sample apps are in demo/
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// version is set by the build.
var version = "development"

type cli struct {
	Config kong.ConfigFlag `help:"Read flags from this YAML file; its keys are the flags' names." placeholder:"FILE"`

	Demo     demoCmd     `cmd:"" help:"Run a throw-away identity provider with three sample apps."`
	Serve    serveCmd    `cmd:"" help:"Run the server."`
	Ready    readyCmd    `cmd:"" help:"Say whether the server on this machine is ready (a container's health check)."`
	Apply    applyCmd    `cmd:"" help:"Declare users, apps and policies from YAML."`
	Export   exportCmd   `cmd:"" help:"Print what is declared, as the YAML that declares it."`
	App      appCmd      `cmd:"" help:"Connected apps."`
	User     userCmd     `cmd:"" help:"Users."`
	Org      orgCmd      `cmd:"" help:"The org and its public address."`
	Session  sessionCmd  `cmd:"" help:"Who is signed in."`
	Grant    grantCmd    `cmd:"" help:"Which apps act for whom."`
	Key      keyCmd      `cmd:"" help:"Signing keys."`
	Gateway  gatewayCmd  `cmd:"" help:"API gateways that register their own clients."`
	Event    eventCmd    `cmd:"" help:"What happened."`
	Metadata metadataCmd `cmd:"" help:"SAML metadata of service providers."`
	Backup   backupCmd   `cmd:"" help:"Write the whole database to a file, while serve runs."`
	Restore  restoreCmd  `cmd:"" help:"Put a backup back; nothing that was ended since comes back to life."`
	Doctor   doctorCmd   `cmd:"" help:"Look for what is wrong, and say how to put it right."`
	Explain  explainCmd  `cmd:"" help:"Say whether a user may use an app, and which rule decides."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

type versionCmd struct{ output }

func (versionCmd) Help() string { return "Example:\n\n    lanyard version" }

func (c versionCmd) Run(g *globals) error {
	return c.print(g.out, map[string]string{"version": version}, func(w io.Writer) { fmt.Fprintln(w, "lanyard "+version) })
}

// globals is what every command is given.
type globals struct {
	ctx      context.Context
	in       io.Reader
	out, err io.Writer
}

// usage is an error of whoever typed the command.
type usage struct{ error }

func usagef(format string, args ...any) error { return usage{fmt.Errorf(format, args...)} }

func main() {
	for _, v := range os.Environ() { // set to nothing is not set
		if name, value, _ := strings.Cut(v, "="); value == "" && strings.HasPrefix(name, "LANYARD_") {
			_ = os.Unsetenv(name)
		}
	}
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, ends...)
	go func() {
		cancel(ended{<-asked})
		time.Sleep(time.Second) // who asks again does not wait for what is under way; twice at once is one asking
		signal.Stop(asked)
	}()
	os.Exit(run(os.Args[1:], &globals{ctx: ctx, in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// ended is why a command's context ended: the signal that asked for it.
type ended struct{ os.Signal }

func (e ended) Error() string { return "asked to end: " + e.String() }

type exit int

// run runs one command and returns its exit code.
func run(args []string, g *globals) (code int) {
	defer func() {
		if p := recover(); p != nil {
			e, ok := p.(exit)
			if !ok {
				panic(p)
			}
			code = int(e)
		}
	}()
	var c cli
	if len(args) == 0 || args[0] == "help" {
		args = append(args[min(1, len(args)):], "--help")
	}
	parser, err := kong.New(&c,
		kong.Name("lanyard"),
		kong.Description("Single sign-on for SAML 2.0 and OpenID Connect apps, with one access policy an app.\n\nStart with: lanyard demo"),
		kong.DefaultEnvars("LANYARD"), kong.Configuration(yamlFlags), kong.Writers(g.out, g.err),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Exit(func(n int) { panic(exit(n)) }), kong.Bind(g), kong.BindTo(g.ctx, (*context.Context)(nil)),
	)
	if err != nil {
		panic(err)
	}
	k, err := parser.Parse(args)
	if err != nil {
		var parse *kong.ParseError
		if errors.As(err, &parse) {
			k = parse.Context
		}
		return misused(g, err, k)
	}
	if err := k.Run(g); err != nil {
		var u usage
		if errors.As(err, &u) {
			return misused(g, err, k)
		}
		if g.ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = errors.New("interrupted")
		}
		if !errors.Is(err, errSaid) {
			for _, line := range strings.Split(trim(err), "\n") {
				fmt.Fprintf(g.err, "lanyard: %s\n", printable(line))
			}
		}
		return 1
	}
	return 0
}

// errSaid is a failure that the command has told in its own words.
var errSaid = errors.New("said")

// trim takes the names of rooms off the front of a message; they mean nothing to whoever reads it.
func trim(err error) string {
	s := err.Error()
	for _, room := range []string{"store: ", "keys: ", "apps: ", "people: "} {
		s = strings.TrimPrefix(s, room)
	}
	return s
}

// misused tells what is wrong with a command line and where to read on.
func misused(g *globals, err error, k *kong.Context) int {
	command := ""
	if k != nil {
		for _, p := range k.Path {
			if p.Command != nil {
				command += p.Command.Name + " "
			}
		}
	}
	fmt.Fprintf(g.err, "lanyard: %s\nSee: lanyard %s--help\n", err, command)
	return 2
}

// yamlFlags reads a config file: a mapping of flags' names to values. A key that is no flag is an error.
func yamlFlags(r io.Reader) (kong.Resolver, error) {
	values := map[string]any{}
	if err := yaml.NewDecoder(r).Decode(&values); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the config file: %w", err)
	}
	return configFile(values), nil
}

type configFile map[string]any

// Validate refuses a key that no command has a flag for.
func (c configFile) Validate(app *kong.Application) error {
	known := map[string]bool{}
	var walk func(n *kong.Node)
	walk = func(n *kong.Node) {
		for _, f := range n.Flags {
			known[f.Name] = true
		}
		for _, child := range n.Children {
			walk(child)
		}
	}
	walk(app.Node)
	for k, v := range c {
		if !known[k] {
			return fmt.Errorf("the config file: unknown key %q", k)
		}
		if _, ok := v.(map[string]any); ok || v == nil {
			return fmt.Errorf("the config file: %s must be a value or a list of values", k)
		}
	}
	return nil
}

// Resolve gives a flag the file's value, where neither the command line nor the environment has one.
func (c configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, ok := os.LookupEnv(name); ok {
			return nil, nil
		}
	}
	v, ok := c[flag.Name]
	if !ok {
		return nil, nil
	}
	if list, ok := v.([]any); ok {
		words := make([]string, len(list))
		for i, x := range list {
			words[i] = fmt.Sprint(x)
		}
		return strings.Join(words, ","), nil
	}
	return fmt.Sprint(v), nil
}
