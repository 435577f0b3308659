package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// output is the flag of every command that prints data.
type output struct {
	Output string `short:"o" enum:"table,json,yaml" default:"table" help:"How to print: table, json or yaml."`
}

// print writes v as JSON or YAML, or else what table writes.
func (o output) print(w io.Writer, v any, table func(w io.Writer)) error {
	switch o.Output {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(v)
	case "yaml":
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		var n yaml.Node // JSON is YAML: keys keep their order and their names
		if err := yaml.Unmarshal(b, &n); err != nil {
			return err
		}
		plain(&n)
		e := yaml.NewEncoder(w)
		e.SetIndent(2)
		if err := e.Encode(&n); err != nil {
			return err
		}
		return e.Close()
	}
	table(w)
	return nil
}

// plain takes JSON's braces and quotes off.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plain(c)
	}
}

// columns writes rows under headings, each column as wide as it needs.
func columns(w io.Writer, headings []string, rows [][]string, empty string) {
	if len(rows) == 0 {
		fmt.Fprintln(w, empty)
		return
	}
	all := append([][]string{headings}, rows...)
	for _, r := range rows {
		for i := range r {
			r[i] = printable(r[i])
		}
	}
	widths := make([]int, len(headings))
	for _, r := range all {
		for i, c := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for _, r := range all {
		var line strings.Builder
		for i, c := range r {
			line.WriteString(c)
			if i < len(r)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}

// facts writes one name and value a line.
func facts(w io.Writer, pairs ...string) {
	wide := 0
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			wide = max(wide, utf8.RuneCountInString(pairs[i]))
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(w, "%-*s  %s\n", wide, printable(pairs[i]), printable(pairs[i+1]))
		}
	}
}

// printable writes out what is no printable character, so that nothing that others sent moves the cursor, colours the
// terminal or turns a line around.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// when writes a moment to the second; never for none.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// short writes a duration without the parts that are nothing.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// size writes a number of bytes as people read it.
func size(n int64) string {
	switch f := float64(n); {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", f/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", f/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.0f KiB", f/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
