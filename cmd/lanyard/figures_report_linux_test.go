package main_test

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// report is what one run found out. finish writes it into the parts of BENCHMARKS.md between
//
//	<!-- figures: NAME -->
//	<!-- end -->
//
// and draws the plot. What stands elsewhere in the file is people's.
type report struct {
	write   bool
	when    time.Time
	commit  string
	command string
	machine []string
	size    int64
	empty   []*result // a kind of database each
	large   []*result // as many, or none
	fill    []filled
	rooms   []byte // what the rooms' own benchmarks printed
}

// filled is how long it took to make a large store.
type filled struct {
	kind string
	what string // how many of which
	took time.Duration
	size int64 // on disk
}

const (
	benchmarksFile = "../../BENCHMARKS.md"
	plotFile       = "../../.github/figures.svg"
)

func newReport(b *testing.B, p *plan) *report {
	r := &report{write: p.write, when: time.Now(), commit: commit(), command: "make bench", machine: machine(b, p.dir), size: must(os.Stat(p.bin)).Size()}
	if p.large {
		r.command = "LARGE=1 " + r.command
	}
	if file := os.Getenv("LANYARD_FIGURES_ROOMS"); file != "" {
		r.rooms = must(os.ReadFile(file))
	}
	return r
}

// commit names what was measured.
func commit() string {
	out, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := string(bytes.TrimSpace(out))
	if out, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no", ":/*.go", ":/go.mod").Output(); err != nil || len(out) > 0 {
		name += ", with changes"
	}
	return name
}

func (r *report) finish(b *testing.B) {
	if !r.write {
		return
	}
	text := string(must(os.ReadFile(benchmarksFile)))
	var err error
	for _, s := range r.sections() {
		if text, err = replaceSection(text, s.name, s.text); err != nil {
			b.Fatal(err)
		}
	}
	must(0, os.WriteFile(benchmarksFile, []byte(text), 0o644))
	must(0, os.WriteFile(plotFile, r.plot(), 0o644))
}

// replaceSection puts text into the part of doc of that name, which must be there once.
func replaceSection(doc, name, text string) (string, error) {
	begin, end := "<!-- figures: "+name+" -->\n", "<!-- end -->"
	if n := strings.Count(doc, begin); n != 1 {
		return "", fmt.Errorf("BENCHMARKS.md has %d parts %q, want one", n, strings.TrimSpace(begin))
	}
	before, rest, _ := strings.Cut(doc, begin)
	old, after, ok := strings.Cut(rest, end)
	if !ok || strings.Contains(old, "<!--") {
		return "", fmt.Errorf("BENCHMARKS.md: the part %q has no end", name)
	}
	return before + begin + text + end + after, nil
}

type section struct{ name, text string }

func (r *report) sections() []section {
	all := []section{{"taken", r.taken() + "\n![Each figure as a share of what is to be reached](.github/figures.svg)\n"}, {"costs", r.costs()}, {"times", r.times()}, {"statements", r.statementLists()}, {"allocations", r.allocations()}}
	if len(r.large) > 0 {
		all = append(all, section{"large", r.taken() + "\n" + r.largeStore()})
	}
	return all
}

func (r *report) taken() string {
	raw := []time.Duration{}
	for _, w := range slices.Concat(r.empty, r.large) {
		raw = append(raw, w.raw...)
	}
	return fmt.Sprintf("Taken %s at %s by `%s` on %s. A raw signature took %s.\n",
		r.when.UTC().Format(time.DateOnly), r.commit, r.command, strings.Join(r.machine, "; "), short(median(raw)))
}

// row is a line of the table of costs: of each world a value, all in the same unit.
type row struct {
	name   string
	reach  float64 // 0: no figure was set
	unit   string
	values []float64 // negative: not there
}

// rows are all figures of those worlds.
func (r *report) rows(worlds []*result) (all []row) {
	add := func(name string, reach float64, unit string, value func(w *result) float64) {
		row := row{name: name, reach: reach, unit: unit}
		for _, w := range worlds {
			row.values = append(row.values, value(w))
		}
		all = append(all, row)
	}
	for i, f := range worlds[0].figures {
		add(f.name, f.reach, "", func(w *result) float64 {
			if g := w.figures[i]; !g.absent {
				return median(g.ratios)
			}
			return -1
		})
	}
	const mebibyte = 1 << 20
	add("start to first answered discovery request", 100, " ms", func(w *result) float64 { return float64(median(w.starts)) / 1e6 })
	add("memory at rest (RSS)", 40, " MiB", func(w *result) float64 { return float64(w.idle) / mebibyte })
	add(memoryAfter, 0, " MiB", func(w *result) float64 { return float64(w.worked) / mebibyte })
	add("binary, stripped", 30, " MB", func(*result) float64 { return float64(r.size) / 1e6 })
	return all
}

const memoryAfter = "memory ten seconds after all of the above"

// number writes v with as many digits as it is worth.
func number(v float64) string {
	switch {
	case v < 0.0995:
		return strconv.FormatFloat(v, 'f', 3, 64)
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

// short writes a duration with three digits.
func short(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "µs"}} {
		if d >= u.unit {
			return strconv.FormatFloat(float64(d)/float64(u.unit), 'f', max(0, 3-len(strconv.Itoa(int(d/u.unit)))), 64) + " " + u.name
		}
	}
	return strconv.Itoa(int(d)) + " ns"
}

// table writes a table whose columns but the first are numbers.
func table(head []string, lines [][]string) string {
	var b strings.Builder
	write := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	write(head)
	b.WriteString("|---" + strings.Repeat("|--:", len(head)-1) + "|\n")
	for _, l := range lines {
		write(l)
	}
	return b.String()
}

var kindNames = map[string]string{"sqlite": "SQLite", "postgres": "PostgreSQL"}

// heads is the head of a table with the same columns for each world.
func heads(first []string, worlds []*result, form ...string) []string {
	for _, w := range worlds {
		for _, f := range form {
			first = append(first, strings.ReplaceAll(f, "KIND", kindNames[w.kind]))
		}
	}
	return first
}

func (r *report) costs() string {
	var lines [][]string
	for _, row := range r.rows(r.empty) {
		line := []string{row.name, ""}
		if row.reach > 0 {
			line[1] = "≤ " + strconv.FormatFloat(row.reach, 'g', -1, 64) + row.unit
		}
		for _, v := range row.values {
			line = append(line, judged(v, row.reach, row.unit))
		}
		lines = append(lines, line)
	}
	return table(heads([]string{"work", "to reach"}, r.empty, "KIND"), lines)
}

// judged is a value, in bold where it is above what is to be reached.
func judged(v, reach float64, unit string) string {
	switch {
	case v < 0:
		return "–"
	case reach > 0 && v > reach:
		return "**" + number(v) + unit + "**"
	}
	return number(v) + unit
}

func (r *report) times() string {
	var lines [][]string
	for i, f := range r.empty[0].figures {
		line := []string{f.name}
		for _, w := range r.empty {
			g := w.figures[i]
			if g.absent {
				line = append(line, "–", "–", "–")
				continue
			}
			pair := func(l load) string { return short(l.at(50)) + " / " + short(l.at(99)) }
			line = append(line, short(median(g.cpu)), pair(g.alone), pair(g.many))
		}
		lines = append(lines, line)
	}
	return table(heads([]string{"work"}, r.empty, "KIND: CPU", "1 in flight", "8 in flight"), lines)
}

func (r *report) statementLists() string {
	var b strings.Builder
	for _, w := range r.empty {
		for _, g := range w.figures {
			if w.kind == "postgres" && !g.absent {
				fmt.Fprintf(&b, "- %s: %s\n", g.name, cmp.Or(g.statements, "none"))
			}
		}
	}
	return b.String()
}

var benchmarkLine = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op\s.*?(\d+) B/op\s+(\d+) allocs/op`)

// allocations lists what a flow takes of memory in the server, and what the rooms' own benchmarks printed.
func (r *report) allocations() string {
	var lines [][]string
	for i, f := range r.empty[0].figures {
		line := []string{f.name}
		for _, w := range r.empty {
			g := w.figures[i]
			if g.absent {
				line = append(line, "–", "–")
				continue
			}
			line = append(line, strconv.FormatFloat(g.allocs, 'f', 0, 64), strconv.FormatFloat(g.bytes/1024, 'f', 1, 64))
		}
		lines = append(lines, line)
	}
	text := table(heads([]string{"work, in the server"}, r.empty, "KIND: allocations", "KiB"), lines)
	lines = nil
	room := ""
	for s := bufio.NewScanner(bytes.NewReader(r.rooms)); s.Scan(); {
		if p, ok := strings.CutPrefix(s.Text(), "pkg: github.com/lanyard-sso/lanyard/"); ok {
			room = p
		}
		m := benchmarkLine.FindStringSubmatch(s.Text())
		if m == nil || m[1] == "RawSignature" {
			continue
		}
		lines = append(lines, []string{"`" + room + "` " + m[1], short(time.Duration(must(strconv.ParseFloat(m[2], 64)))), m[3], m[4]})
	}
	return text + "\n" + table([]string{"benchmark of a room", "time", "B/op", "allocs/op"}, lines)
}

// largeStore compares the large stores with the empty ones of the same run.
func (r *report) largeStore() string {
	var b strings.Builder
	for _, f := range r.fill {
		fmt.Fprintf(&b, "- %s: %s; filled in %s, %.1f GB on disk\n", kindNames[f.kind], f.what, f.took.Round(time.Second), float64(f.size)/1e9)
	}
	b.WriteString("\n")
	empty, large := r.rows(r.empty), r.rows(r.large)
	var lines [][]string
	for i, row := range large {
		if row.name == "binary, stripped" {
			continue
		}
		line := []string{row.name}
		for k, v := range row.values {
			was := empty[i].values[k]
			if v < 0 || was <= 0 {
				line = append(line, "–", "–", "–")
				continue
			}
			reach := largeReach
			if row.name == memoryAfter { // it grows with what is kept of 10,000 apps, as it should
				reach = 0
			}
			line = append(line, number(was)+row.unit, number(v)+row.unit, judged(v/was, reach, "×"))
		}
		lines = append(lines, line)
	}
	b.WriteString(table(heads([]string{"work"}, r.large, "KIND: empty", "large", "ratio"), lines))
	return b.String()
}

// largeReach is how many times its value on an empty store a figure may have on a large one.
const largeReach = 1.2
