// Command report reads what `go test -json` prints and writes what a person wants to read: one line a package,
// the output of what failed, each reason for a skip once, the slowest packages, and the counts last.
// It exits 1 if anything failed and, when CI is set, if a test was skipped for another reason than those that maySkip knows.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// event is a line of `go test -json` (go doc test2json, go help buildjson).
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

type report struct {
	passed, failed, skipped int
	output                  map[string]map[string]string // package, test ("" for the package itself) → what it printed
	reasons                 map[string][]string          // reason for a skip → tests
	broken                  map[string]bool              // packages with a failed test
	slow                    []event
}

func main() {
	r := report{output: map[string]map[string]string{}, reasons: map[string][]string{}, broken: map[string]bool{}}
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			r.read(line)
		}
		if err != nil {
			break
		}
	}
	if !r.close(os.Getenv("CI") != "") {
		os.Exit(1)
	}
}

func (r *report) read(line string) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil {
		fmt.Print(line)
		return
	}
	if e.Action == "build-output" {
		fmt.Print(e.Output)
		return
	}
	of := r.output[e.Package]
	if of == nil {
		of = map[string]string{}
		r.output[e.Package] = of
	}
	switch e.Action {
	case "output":
		of[e.Test] += e.Output
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e, of)
		} else {
			r.endTest(e, of[e.Test])
			delete(of, e.Test)
		}
	}
}

func (r *report) endTest(e event, output string) {
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		r.broken[e.Package] = true
		fmt.Print(output)
	case "skip":
		// A fuzz test's seed may be skipped as uninteresting; that says nothing about this machine.
		if strings.HasPrefix(e.Test, "Fuzz") && strings.Contains(e.Test, "/") {
			return
		}
		r.skipped++
		reason := "no reason given"
		for _, l := range strings.Split(output, "\n") {
			l = strings.TrimSpace(l)
			if l != "" && !strings.HasPrefix(l, "---") && !strings.HasPrefix(l, "===") {
				reason = l
			}
		}
		// "file_test.go:12: reason"
		if _, after, ok := strings.Cut(reason, ".go:"); ok {
			if _, after, ok = strings.Cut(after, ": "); ok {
				reason = after
			}
		}
		r.reasons[reason] = append(r.reasons[reason], room(e.Package)+" "+e.Test)
	}
}

func (r *report) endPackage(e event, of map[string]string) {
	r.slow = append(r.slow, e)
	if e.Action == "fail" {
		for test, output := range of { // what a panic or a time-out left unfinished
			if test != "" {
				fmt.Print(output)
			}
		}
		fmt.Print(of[""])
		if of[""] == "" {
			fmt.Printf("FAIL\t%s\n", e.Package)
		}
		if !r.broken[e.Package] { // it did not build, or ended by itself
			r.failed++
		}
	} else {
		for _, l := range strings.SplitAfter(of[""], "\n") {
			if strings.HasPrefix(l, "ok ") {
				fmt.Print(l)
			}
		}
	}
	delete(r.output, e.Package)
}

// close prints the summary and says whether all is well.
func (r *report) close(ci bool) bool {
	well := r.failed == 0
	if r.passed+r.failed == 0 {
		fmt.Println("no test ran")
		well = false
	}
	slices.SortFunc(r.slow, func(a, b event) int { return int(1000 * (b.Elapsed - a.Elapsed)) })
	fmt.Print("slowest packages:")
	for _, e := range r.slow[:min(5, len(r.slow))] {
		fmt.Printf("  %s %.1fs", room(e.Package), e.Elapsed)
	}
	fmt.Println()
	for _, reason := range slices.Sorted(maps.Keys(r.reasons)) {
		tests, verdict := r.reasons[reason], "skipped"
		if ci && !maySkip(reason) {
			verdict, well = "skipped, which CI does not allow", false
		}
		fmt.Printf("%s: %s: %d tests (first: %s)\n", verdict, reason, len(tests), tests[0])
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	return well
}

// maySkip tells if a test may be skipped in CI too: the corpus is not part of this repository, and a shallow checkout has not
// the code of earlier releases, whose nodes the upgrade tests would run beside the new one.
func maySkip(reason string) bool {
	return strings.Contains(reason, "LANYARD_CORPUS") || strings.Contains(reason, "is not in this checkout's history")
}

// room is a package's path within the module.
func room(pkg string) string {
	_, after, ok := strings.Cut(pkg, "/lanyard/")
	if !ok {
		return pkg
	}
	return after
}
