package main_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	nextLine  = regexp.MustCompile(`\n[^\t]`)
	logged    = regexp.MustCompile(`(?m)^.*LOG:  (?:execute [^:]*|statement): `)
	verbTable = regexp.MustCompile(`(?i)^(INSERT INTO|UPDATE|DELETE FROM|SELECT .*? FROM) (\w+)`)
	joined    = regexp.MustCompile(`(?i) JOIN (\w+)`)
)

// statements has each row done once while PostgreSQL logs what it is asked (LANYARD_FIGURES_POSTGRES_LOG).
func (p *plan) statements(b *testing.B, w *world, r *result) {
	file := os.Getenv("LANYARD_FIGURES_POSTGRES_LOG")
	if file == "" {
		return
	}
	w.start(p.server, "LANYARD_DATABASE="+w.dsn+"&options=-c%20log_statement%3Dall")
	defer w.stop()
	for i := range r.figures {
		f := &r.figures[i]
		if f.absent {
			continue
		}
		from := 0
		for range 3 { // the first times fill caches and touch what is touched once a minute
			from = len(must(os.ReadFile(file)))
			if _, err := drive(w, 1, 0, f.do); err != nil {
				b.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		f.statements = named(string(must(os.ReadFile(file))[from:]))
	}
}

// named writes what was logged in a short form, a transaction in brackets.
func named(log string) string {
	var all []string
	at := logged.FindAllStringIndex(log, -1)
	for i, a := range at {
		end := len(log)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		text := log[a[1]:end]
		if n := nextLine.FindStringIndex(text); n != nil { // a statement's own lines begin with a tab
			text = text[:n[0]]
		}
		text = strings.Join(strings.Fields(text), " ")
		switch strings.ToLower(text) {
		case "begin":
			all = append(all, "[")
			continue
		case "commit", "rollback":
			all = append(all, "]")
			continue
		}
		m := verbTable.FindStringSubmatch(text)
		if m == nil || m[2] == "change" { // each node asks it five times a second, whatever happens
			continue
		}
		verb, _, _ := strings.Cut(m[1], " ")
		name := verb + " " + m[2]
		for _, j := range joined.FindAllStringSubmatch(text, -1) {
			name += "+" + j[1]
		}
		all = append(all, name)
	}
	return strings.NewReplacer("[, ", "[", ", ]", "]").Replace(strings.Join(all, ", "))
}
