package main_test

import (
	"bytes"
	"fmt"
	"html"
	"regexp"
	"strconv"
)

// plot draws every figure that has a mark to reach, as a share of that mark: a bar for each database, and the mark as a line
// through all of them. It is seen on light and dark pages alike.
func (r *report) plot() []byte {
	var rows []row
	most := 1.2
	for _, row := range r.rows(r.empty) {
		if row.reach == 0 {
			continue
		}
		rows = append(rows, row)
		for _, v := range row.values {
			most = max(most, v/row.reach)
		}
	}
	most = min(most, 3) // longer bars are cut off, and say so
	const (
		width, left, right = 960, 380, 130
		top, bar, gap      = 58, 13, 16
	)
	group := bar*len(r.empty) + gap
	height := top + group*len(rows) + 30
	x := func(share float64) float64 { return left + min(share, most)/most*(width-left-right) }

	var b bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="Each figure as a share of what is to be reached">`, width, height, width, height)
	p(`<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; fill: #1f2328 }
.small { font-size: 11px; fill: #59636e }
.bar0 { fill: #0969da } .bar1 { fill: #8250df } .mark { stroke: #cf222e; stroke-width: 2 } .markword { fill: #cf222e; font-weight: 600 }
.over { font-weight: 600; fill: #cf222e }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .small { fill: #9198a1 }
.bar0 { fill: #4493f8 } .bar1 { fill: #ab7df8 } .mark { stroke: #f85149 } .markword, .over { fill: #f85149 }
}
</style>`)
	at := left
	for i, w := range r.empty {
		p(`<rect class="bar%d" x="%d" y="12" width="12" height="12" rx="2"/><text x="%d" y="23">%s</text>`, i, at, at+18, kindNames[w.kind])
		at += 110
	}
	p(`<text class="markword" x="%.1f" y="%d" text-anchor="middle">to reach</text>`, x(1), top-12)
	inCode := regexp.MustCompile("[(]?`[^`]*`[)]?")
	for i, row := range rows {
		y := top + i*group
		name := inCode.ReplaceAllString(row.name, "")
		if n := 52; len(name) > n {
			name = name[:n-1] + "…"
		}
		p(`<text x="%d" y="%d" text-anchor="end">%s</text>`, left-12, y+bar*len(row.values)/2+5, html.EscapeString(name))
		for k, v := range row.values {
			if v < 0 {
				continue
			}
			at, class := y+k*bar, "small"
			if v > row.reach {
				class = "small over"
			}
			p(`<rect class="bar%d" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, k, left, at+1, x(v/row.reach)-left, bar-2)
			more := ""
			if v/row.reach > most {
				more = "→ "
			}
			p(`<text class="%s" x="%.1f" y="%d">%s%s of %s%s</text>`, class, max(x(v/row.reach), x(1))+6, at+bar-3, more, number(v), strconv.FormatFloat(row.reach, 'g', -1, 64), row.unit)
		}
	}
	p(`<line class="mark" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, x(1), top-6, x(1), top+group*len(rows)-gap/2)
	p(`<text class="small" x="%d" y="%d">Work in raw signatures, with a session present; a shorter bar is better. Taken %s.</text>`, left, height-10, r.when.UTC().Format("2006-01-02"))
	p(`</svg>`)
	return b.Bytes()
}
