package xmlsec_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// generator writes one well-formed document. Equal numbers write equal documents, so a failure is repeated by its number.
type generator struct {
	*rand.Rand
	b     strings.Builder
	scope []map[string]string // what each prefix stands for, innermost last
	ids   int
	// plain leaves out what goxmldsig is known to get wrong; has names what of that is in the document otherwise.
	plain bool
	has   map[string]bool
}

// What goxmldsig gets wrong, or etree before it.
const (
	oddSpace    = "white space in the value of an attribute"
	oddDefault  = `xmlns=""`
	oddPrefixes = "two attributes with prefixes on one element, or one of xml:"
	oddName     = "a name of the fifth edition of XML 1.0"
	oddOutside  = "something beside the root element"
)

// generate writes document number n.
func generate(n uint64, plain bool) (doc string, has map[string]bool) {
	g := &generator{Rand: rand.New(rand.NewPCG(n, 20261124)), plain: plain, has: map[string]bool{}}
	g.document()
	return g.b.String(), g.has
}

func (g *generator) one(of ...string) string { return of[g.IntN(len(of))] }
func (g *generator) odds(n int) bool         { return g.IntN(n) == 0 }

// odd tells if something that goxmldsig gets wrong may be written, once in n times, and remembers it.
func (g *generator) odd(what string, n int) bool {
	if g.plain || !g.odds(n) {
		return false
	}
	g.has[what] = true
	return true
}

func (g *generator) document() {
	if g.odd(oddOutside, 10) {
		g.b.WriteString("\uFEFF")
	}
	if g.odds(3) {
		g.b.WriteString(g.one(`<?xml version="1.0"?>`, "<?xml version='1.0'\r\n encoding='utf-8' ?>", `<?xml version = "1.0" encoding="UTF-8" standalone="yes"?>`))
	}
	for g.odd(oddOutside, 5) {
		g.b.WriteString(g.one("\r\n", "<!-- before <a>&b; -->", " \t"))
	}
	if g.odds(50) {
		g.nest(5 + g.IntN(20))
	} else {
		g.element(0)
	}
	for g.odd(oddOutside, 5) {
		g.b.WriteString(g.one("\n", "<!-- after - -->", "<!---->"))
	}
}

// nest writes elements deep inside each other that pass two prefixes to and fro.
func (g *generator) nest(depth int) {
	n := 0
	for ; depth > 0; depth-- {
		a, b := "urn:a", "urn:b"
		if n%2 == 1 {
			a, b = b, a
		}
		fmt.Fprintf(&g.b, `<p:n%d xmlns:p="%s" xmlns:q="%s" xmlns="%s" q:x="%d">`, n, a, b, b, depth)
		n++
	}
	g.b.WriteString("<leaf/>" + g.chars(true))
	for n--; n >= 0; n-- {
		fmt.Fprintf(&g.b, "</p:n%d>", n)
	}
}

var generatedURIs = []string{"urn:a", "urn:b", "urn:a", "http://c.example/?x=1;y='%2F#f", "URN:A", "http://www.w3.org/2000/09/xmldsig#", "urn:a:b"}

func (g *generator) element(depth int) {
	scope := map[string]string{}
	if n := len(g.scope); n > 0 {
		scope = maps.Clone(g.scope[n-1])
	}
	var parts []string
	declare := func(prefix, uri string) {
		scope[prefix] = uri
		if prefix != "" {
			prefix = ":" + prefix
		}
		parts = append(parts, "xmlns"+prefix+g.equals()+g.quote(uri))
	}
	switch {
	case g.odds(8) && scope["p"] != "" && scope["q"] != "": // the prefixes change places
		p, q := scope["p"], scope["q"]
		declare("p", q)
		declare("q", p)
	default:
		for _, p := range []string{"", "p", "q", "r-1", "\u00E9"} {
			switch {
			case !g.odds(4):
			case p == "" && g.odd(oddDefault, 2):
				declare(p, "")
			default:
				declare(p, g.one(generatedURIs...))
			}
		}
	}
	g.scope = append(g.scope, scope)
	prefixes := []string{""}
	for _, p := range []string{"p", "q", "r-1", "\u00E9"} {
		if scope[p] != "" {
			prefixes = append(prefixes, p+":")
		}
	}
	name := g.one(prefixes...) + g.one("a", "b", "ID", "\u00E9", "_", "a.b-c\u00B7")
	if g.odd(oddName, 20) {
		name += "\U00010000"
	}
	parts = append(parts, g.attributes(scope, prefixes)...)
	g.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	g.b.WriteString("<" + name)
	for _, p := range parts {
		g.b.WriteString(g.one(" ", " ", " ", "\n", "\t ", "\r\n  ") + p)
	}
	if g.odds(6) {
		g.b.WriteString(g.one("/>", " />", "\n/>"))
	} else {
		g.b.WriteString(g.one(">", ">", " >", "\r\n>"))
		g.children(depth)
		g.b.WriteString("</" + name + g.one("", "", " ", "\n") + ">")
	}
	g.scope = g.scope[:len(g.scope)-1]
}

// attributes writes attributes, no two of one expanded name and at most one ID.
func (g *generator) attributes(scope map[string]string, prefixes []string) (parts []string) {
	seen, prefixed, hasID := map[string]bool{}, 0, false
	for range g.IntN(6) {
		prefix := g.one(append(prefixes[:len(prefixes):len(prefixes)], "xml:")...)
		local := g.one("z", "y", "x", "Z", "lang", "ID", "aa", "\u00E9")
		if prefix == "xml:" {
			local = g.one("lang", "space", "base", "id")
		}
		isID := local == "ID" || local == "id"
		uri := scope[strings.TrimSuffix(prefix, ":")]
		switch prefix {
		case "":
			uri = ""
		case "xml:":
			uri = "xml"
		}
		if seen[uri+" "+local] || isID && hasID || g.plain && (prefix == "xml:" || prefix != "" && prefixed > 0) {
			continue
		}
		seen[uri+" "+local] = true
		if prefix != "" {
			prefixed++
		}
		if prefixed > 1 || prefix == "xml:" {
			g.has[oddPrefixes] = true
		}
		value := g.chars(false)
		switch {
		case isID:
			hasID = true
			g.ids++
			value = "id" + strconv.Itoa(g.ids)
		case prefix == "xml:" && local == "space":
			value = g.one("default", "preserve")
		case prefix == "xml:":
			value = g.one("en", "de", "")
		}
		parts = append(parts, prefix+local+g.equals()+g.quote(value))
	}
	return parts
}

func (g *generator) equals() string { return g.one("=", "=", "=", " = ", "\n=") }

// quote puts a value between one kind of quote or the other.
func (g *generator) quote(s string) string {
	q, ref := `"`, g.one("&quot;", "&#34;", "&#x22;")
	if g.odds(3) {
		q, ref = "'", g.one("&apos;", "&#39;", "&#x27;")
	}
	return q + strings.ReplaceAll(s, q, ref) + q
}

func (g *generator) children(depth int) {
	for range g.IntN(5) {
		switch kind := g.IntN(8); {
		case kind < 3 && depth < 6:
			g.element(depth + 1)
		case kind == 3:
			g.b.WriteString(g.one("<!-- <x>&amp; -->", "<!---->", "<!--\r\n- -->"))
		case kind == 4:
			g.b.WriteString("<![CDATA[" + g.one("", "<&>", "]]", "]", "x\r\ny\rz", "\"'&amp;", "\U0001F600", "]]]]><![CDATA[>") + "]]>")
		case kind == 5:
			g.b.WriteString(g.one("\n  ", "\r\n\t", " "))
		default:
			g.b.WriteString(g.chars(true))
		}
	}
}

// chars writes text, of an element or of an attribute.
func (g *generator) chars(text bool) string {
	pieces := []string{"x", "Y", "&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "'", `"`, "&#13;", "&#xA;", "&#9;", "&#xd;", "\u00E9", "e\u0301", "\U0001F600", "\U0010FFFD",
		" ", ">", "&#x41;", "&#0065;", "&#x1F600;", "\uFFFD", "\u0085", "\u2028", "\u00A0", "\uE000", "\x7F", "&amp;amp;", "&#38;lt;", "]", "]]", "--", "&#x2028;", "\u202E"}
	var b strings.Builder
	for range g.IntN(7) {
		switch {
		case text && g.odds(6):
			b.WriteString(g.one("\r\n", "\r", "\n", "\t", "\r\r\n"))
		case !text && g.odd(oddSpace, 8):
			b.WriteString(g.one("\r\n", "\r", "\n", "\t", "\r\r\n"))
		default:
			b.WriteString(g.one(pieces...))
		}
	}
	s := strings.ReplaceAll(b.String(), "]]>", "]]&gt;")
	if strings.HasSuffix(s, "]") { // what comes next may be >
		s += "."
	}
	return s
}

// libxml2 has xmllint canonicalize documents, all in one process. It returns the exclusive canonical form of each, less the
// comments, which xmllint keeps, and what it minds of each.
func libxml2(t testing.TB, docs [][]byte) (forms, minds []string) {
	t.Helper()
	// Between two documents stands one whose form is known. No document here has an element of that name.
	const between = "lanyard.between"
	dir := t.TempDir()
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("-", []byte("<"+between+"/>"))
	forms, minds = make([]string, len(docs)), make([]string, len(docs))
	for from := 0; from < len(docs); from += 10_000 { // a command line has its limit
		to := min(len(docs), from+10_000)
		args := []string{"--nonet", "--exc-c14n"}
		for i := from; i < to; i++ {
			name := strconv.Itoa(i)
			write(name, docs[i])
			args = append(args, name, "./-")
		}
		cmd := exec.Command(tool(t, "xmllint"), args...)
		var out, said strings.Builder
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &said
		_ = cmd.Run() // its status is that of the last one it minded
		parts := strings.Split(out.String(), "<"+between+"></"+between+">")
		if len(parts) != to-from+1 {
			t.Fatalf("xmllint wrote %d documents of %d", len(parts)-1, to-from)
		}
		comment := regexp.MustCompile(`(?s)<!--.*?-->`)
		for i, part := range parts[:to-from] {
			// A comment outside the root is set apart by a line end.
			forms[from+i] = strings.Trim(comment.ReplaceAllString(part, ""), "\n")
		}
		for line := range strings.Lines(said.String()) {
			// Neither is about well-formedness: xml:id, and xml:space (XML 1.0 §2.10: "an error").
			if strings.Contains(line, ": validity error : xml:id : ") || strings.Contains(line, ": parser warning : Invalid value ") && strings.Contains(line, "for xml:space") {
				continue
			}
			name, what, ok := strings.Cut(line, ":")
			if i, err := strconv.Atoi(name); ok && err == nil && i >= from && i < to && minds[i] == "" {
				minds[i] = strings.TrimSpace(what)
			}
		}
	}
	return forms, minds
}
