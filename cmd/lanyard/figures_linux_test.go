package main_test

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// The figures of DESIGN.md §6, as `make bench` takes them (.ci/bench): the stripped binary is a child on a core of its own with
// GOMAXPROCS=1, this process drives it from another core over keep-alive HTTP with 8 in flight, the child's CPU time comes from
// the kernel, and raw signatures are timed on the child's core before and after each of 5 rounds. PostgreSQL runs on the driver's
// core and is not counted. No test: without -bench nothing of it runs.
//
//	figures_linux_test.go             the plan: which worlds, what is measured of each
//	figures_world_linux_test.go       a world: a database, a server on it, and who may ask it what
//	figures_large_linux_test.go       a world that grows
//	figures_flows_linux_test.go       the rows
//	figures_drive_linux_test.go       the driver
//	figures_machine_linux_test.go     cores, clocks, memory, disk
//	figures_statements_linux_test.go  which SQL a row runs, as PostgreSQL logs it
//	figures_report_linux_test.go      the tables in BENCHMARKS.md
//	figures_plot_linux_test.go        .github/figures.svg

// plan is what the environment says; .ci/bench sets it.
type plan struct {
	dir    string        // LANYARD_FIGURES_DIR: a folder on a disk
	rounds int           // LANYARD_FIGURES_ROUNDS
	round  time.Duration // LANYARD_FIGURES_ROUND: how long one is
	rows   *regexp.Regexp
	kinds  []string
	write  bool   // LANYARD_FIGURES_WRITE: into BENCHMARKS.md
	large  bool   // LANYARD_FIGURES_LARGE: large stores too
	perf   string // LANYARD_FIGURES_PERF: a folder for what perf(1) sees of the server, row by row

	server, driver int // cores
	unit           unit
	bin            string
}

func newPlan(b *testing.B) *plan {
	env := func(name, otherwise string) string { return cmp.Or(os.Getenv("LANYARD_FIGURES_"+name), otherwise) }
	p := &plan{
		dir: env("DIR", "../../.cache/bench"), rounds: must(strconv.Atoi(env("ROUNDS", "5"))), round: must(time.ParseDuration(env("ROUND", "1s"))),
		rows: regexp.MustCompile(env("ROWS", "")), kinds: strings.Fields(env("KINDS", storetest.SQLite+" "+storetest.Postgres)),
		write: env("WRITE", "") != "", large: env("LARGE", "") != "", perf: env("PERF", ""), server: runtime.NumCPU() - 1,
	}
	if p.server == p.driver {
		b.Skip("the driver and the server need a core each")
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		b.Fatal(err)
	}
	p.dir = must(filepath.Abs(p.dir))
	p.bin = filepath.Join(p.dir, "lanyard")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", p.bin, ".") // as `make build`
	if p.perf != "" {
		build.Args = slices.Delete(build.Args, 3, 5) // with its symbols
	}
	if dir := os.Getenv("LANYARD_PROFILE"); dir != "" {
		p.bin = filepath.Join(dir, "lanyard") // its place is in the profile
		build.Args[slices.Index(build.Args, "-o")+1] = p.bin
		build.Args = slices.Insert(build.Args, 2, "-tags", "profile")
	}
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%s", out)
	}
	p.unit = newUnit()
	return p
}

// figure is one row, measured.
type figure struct {
	flow
	absent     bool            // the server does not have it
	ratios     []float64       // raw signatures, a round each
	cpu        []time.Duration // of one flow, a round each
	alone      load            // one in flight
	many       load            // eight
	allocs     float64         // in the server, a flow
	bytes      float64
	statements string
}

// result is all that was measured of one world.
type result struct {
	kind    string
	figures []figure
	starts  []time.Duration
	idle    int64 // resident memory at rest after the start, and after the load
	worked  int64
	raw     []time.Duration // raw signatures
}

func median[T cmp.Ordered](all []T) T {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

func BenchmarkFigures(b *testing.B) {
	if b.N != 1 {
		b.Skip("takes minutes: -benchtime 1x")
	}
	p := newPlan(b)
	pinAll(p.driver)
	r := newReport(b, p)
	for _, kind := range p.kinds {
		fmt.Fprintf(os.Stderr, "%s, an empty store\n", kind)
		w := p.emptyWorld(b, kind)
		result := p.measure(b, w, kind)
		r.empty = append(r.empty, result)
		if kind == storetest.Postgres {
			p.statements(b, w, result)
		}
		if !p.large {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s, a large store\n", kind)
		began := time.Now()
		w.grow(largeUsers, largeApps, largeGrants, os.Stderr)
		r.fill = append(r.fill, filled{kind, largeWords, time.Since(began), w.size()})
		r.large = append(r.large, p.measure(b, w, kind))
	}
	r.finish(b)
}

func (p *plan) emptyWorld(b *testing.B, kind string) *world {
	dir := must(os.MkdirTemp(p.dir, "empty-"))
	b.Cleanup(func() { must(0, os.RemoveAll(dir)) })
	dsn := "sqlite:" + filepath.Join(dir, "lanyard.db")
	if kind == storetest.Postgres {
		dsn = storetest.DSN(b, kind)
	}
	w := newWorld(b, p.bin, dir, dsn)
	w.start(p.server)
	b.Cleanup(w.stop)
	w.enter()
	w.stop()
	return w
}

// measure takes all figures of a world.
func (p *plan) measure(b *testing.B, w *world, kind string) *result {
	r := &result{kind: kind}
	for range 10 {
		r.starts = append(r.starts, w.start(p.server))
		w.stop()
	}
	w.start(p.server)
	defer w.stop()
	time.Sleep(3 * time.Second)
	r.idle = memory(w.child.Process.Pid, "VmRSS")
	fmt.Fprintf(os.Stderr, "  %-60.60s %v\n  %-60.60s %.1f MiB\n", "start", median(r.starts), "idle memory", float64(r.idle)/(1<<20))
	for _, f := range flows {
		if p.rows.MatchString(f.name) {
			r.figures = append(r.figures, p.row(b, w, r, f))
		}
	}
	time.Sleep(10 * time.Second)
	r.worked = memory(w.child.Process.Pid, "VmRSS")
	fmt.Fprintf(os.Stderr, "  %-60.60s %.1f MiB\n", "memory ten seconds after all that", float64(r.worked)/(1<<20))
	return r
}

// row takes one figure.
func (p *plan) row(b *testing.B, w *world, r *result, f flow) figure {
	g := figure{flow: f}
	run := func(n int, while time.Duration) load {
		l, err := drive(w, n, while, f.do)
		if err != nil {
			if g.absent = strings.Contains(err.Error(), ": 404"); !g.absent {
				b.Fatalf("%s: %v\n%s", f.name, err, must(os.ReadFile(w.log.Name())))
			}
		}
		return l
	}
	run(inFlight, p.round/4) // caches, statements, templates
	if g.absent {
		return g
	}
	for end, last := time.Now().Add(20*time.Second), w.turns.Load()+int64(w.warm); w.turns.Load() < last && time.Now().Before(end); {
		run(inFlight, p.round/4)
	}
	allocs, bytes := w.allocated()
	g.alone = run(1, p.round)
	allocsThen, bytesThen := w.allocated()
	g.allocs, g.bytes = (allocsThen-allocs)/float64(g.alone.flows), (bytesThen-bytes)/float64(g.alone.flows)
	if p.perf != "" {
		defer p.record(b, w, f)()
	}
	for range p.rounds {
		before := p.unit.cost(p.server, 100)
		began := cpuTime(w.child.Process.Pid)
		l := run(inFlight, p.round)
		spent := cpuTime(w.child.Process.Pid) - began
		raw := (before + p.unit.cost(p.server, 100)) / 2
		each := spent / time.Duration(l.flows)
		g.ratios, g.cpu, r.raw = append(g.ratios, float64(each)/float64(raw)), append(g.cpu, each), append(r.raw, raw)
		g.many.took = append(g.many.took, l.took...)
	}
	g.many.flows = len(g.many.took)
	slices.Sort(g.many.took)
	fmt.Fprintf(os.Stderr, "  %-60.60s %.3f  %v  p50/p99 at 1: %v %v, at 8: %v %v  %.0f allocations, %.0f bytes\n", f.name, median(g.ratios), median(g.cpu).Round(time.Microsecond),
		g.alone.at(50), g.alone.at(99), g.many.at(50), g.many.at(99), g.allocs, g.bytes)
	return g
}

// record has perf watch the server until the returned function is called.
func (p *plan) record(b *testing.B, w *world, f flow) (stop func()) {
	name := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(f.name), "-")
	cmd := exec.Command("perf", "record", "-q", "-F", "2500", "-g", "-p", strconv.Itoa(w.child.Process.Pid), "-o", filepath.Join(p.perf, name))
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	return func() {
		must(0, cmd.Process.Signal(os.Interrupt))
		_ = cmd.Wait() // says that it was interrupted
	}
}
