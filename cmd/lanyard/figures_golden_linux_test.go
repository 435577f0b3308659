package main_test

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// madeUp is a report whose numbers nobody measured.
func madeUp() *report {
	ms := func(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }
	world := func(kind string, times float64) *result {
		w := &result{kind: kind, starts: []time.Duration{ms(31), ms(30 * times), ms(900)}, idle: 30 << 20, worked: 90 << 20, raw: []time.Duration{ms(0.701), ms(0.7), ms(0.9)}}
		for i, f := range flows {
			v := times * (0.03 + float64(i)*0.2)
			g := figure{flow: f, ratios: []float64{v * 9, v, v / 9}, cpu: []time.Duration{ms(v * 0.7)}, allocs: 123.4 * times, bytes: 45678 * times, statements: "SELECT a+b, [UPDATE c, INSERT d]"}
			for n := range 100 {
				g.alone.took = append(g.alone.took, ms(float64(n+1)/10))
				g.many.took = append(g.many.took, ms(float64(n+1)*1.5))
			}
			switch {
			case f.name == "discovery":
				g.statements = ""
			case f.name == "userinfo" && kind == "postgres":
				g = figure{flow: f, absent: true}
			}
			w.figures = append(w.figures, g)
		}
		return w
	}
	return &report{
		when: time.Date(2026, 3, 4, 23, 0, 0, 0, time.FixedZone("", -3600)), commit: "0123456789ab", command: "LARGE=1 make bench",
		machine: []string{"A Processor, 2 cores, 8 GiB of memory; Linux 6.1", "data on /dev/x (ext4); go1.26 linux/amd64"}, size: 18_300_000,
		empty: []*result{world("sqlite", 1), world("postgres", 1.1)}, large: []*result{world("sqlite", 1.1), world("postgres", 1.4)},
		fill: []filled{{"sqlite", "1,000 users", 754 * time.Second, 12_345_678_901}, {"postgres", "2,000 users", time.Minute, 9_000_000_000}},
		rooms: []byte("goos: linux\npkg: github.com/lanyard-sso/lanyard/keys\nBenchmarkRawSignature-2   	 261	 1768907 ns/op	 512 B/op	 2 allocs/op\n" +
			"BenchmarkOpen-2           	 1328294	       334.0 ns/op	      73 B/op	       3 allocs/op\nPASS\nok  	keys	2.500s\n" +
			"pkg: github.com/lanyard-sso/lanyard/saml/xmlsec\nBenchmarkParse2kB-2        	   13215	     46054 ns/op	  34.79 MB/s	   14216 B/op	      92 allocs/op\n" +
			"BenchmarkWrite/64 	    6618	     48482 ns/op	     833 B/op	      29 allocs/op\n"),
	}
}

var updateGolden = flag.Bool("update", false, "write the golden files of the figures' report anew")

// The report is written between its marks and nowhere else, and drawn, as testdata/figures has it.
func TestFiguresReport(t *testing.T) {
	r := madeUp()
	text := "# Head\n\nProse.\n"
	for _, name := range []string{"large", "taken", "costs", "times", "statements", "allocations"} {
		text += "\n<!-- figures: " + name + " -->\nold\n<!-- end -->\n\nBetween.\n"
	}
	var err error
	for range 2 { // the second time there is something to replace
		for _, s := range r.sections() {
			if text, err = replaceSection(text, s.name, s.text); err != nil {
				t.Fatal(err)
			}
		}
	}
	for file, got := range map[string]string{"testdata/figures/report.md": text, "testdata/figures/plot.svg": string(r.plot())} {
		if *updateGolden {
			must(0, os.WriteFile(file, []byte(got), 0o644))
		}
		if diff := gocmp.Diff(string(must(os.ReadFile(file))), got); diff != "" {
			t.Errorf("%s (-want +got; -update writes it):\n%s", file, diff)
		}
	}

	r.large = nil
	if got := r.sections(); len(got) != 5 {
		t.Errorf("without a large store there are %d parts, want 5: what was written of one stays", len(got))
	}
	for name, text := range map[string]string{
		"no such part": "<!-- figures: b -->\n<!-- end -->", "twice": strings.Repeat("<!-- figures: a -->\n<!-- end -->\n", 2),
		"no end": "<!-- figures: a -->\n", "the next one's end": "<!-- figures: a -->\n<!-- figures: b -->\n<!-- end -->\n",
	} {
		if got, err := replaceSection(text, "a", "x"); err == nil {
			t.Errorf("%s: written: %q", name, got)
		}
	}
}

// The parts that a run writes are in BENCHMARKS.md.
func TestFiguresParts(t *testing.T) {
	text := string(must(os.ReadFile(benchmarksFile)))
	for _, s := range madeUp().sections() {
		if _, err := replaceSection(text, s.name, s.text); err != nil {
			t.Error(err)
		}
	}
}
