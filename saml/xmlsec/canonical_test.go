package xmlsec_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"pgregory.net/rapid"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// drawn builds a well-formed document out of what a rapid.T draws.
type drawn struct {
	t     *rapid.T
	b     strings.Builder
	scope []map[string]string
	ids   int
	// plain draws only what goxmldsig gets right: no tab, CR or LF as such in a value, no xmlns="", and one attribute
	// with a prefix on an element, not xml.
	plain bool
}

func (d *drawn) pick(label string, of ...string) string {
	return rapid.SampledFrom(of).Draw(d.t, label)
}

func (d *drawn) element(depth int) {
	scope := map[string]string{}
	if n := len(d.scope); n > 0 {
		for p, u := range d.scope[n-1] {
			scope[p] = u
		}
	}
	var parts []string
	for _, p := range []string{"", "p", "q", "r-1"} {
		if rapid.IntRange(0, 3).Draw(d.t, "declare") > 0 {
			continue
		}
		uri := d.pick("uri", "urn:a", "urn:b", "http://c.example/?x=1;y='%2F#f", "urn:a")
		if p == "" && !d.plain && rapid.Bool().Draw(d.t, "undeclare") {
			uri = ""
		}
		scope[p] = uri
		if p != "" {
			p = ":" + p
		}
		parts = append(parts, fmt.Sprintf(`xmlns%s="%s"`, p, uri))
	}
	d.scope = append(d.scope, scope)
	prefixes := []string{""}
	for _, p := range []string{"p", "q", "r-1"} {
		if scope[p] != "" {
			prefixes = append(prefixes, p+":")
		}
	}
	name := d.pick("prefix", prefixes...) + d.pick("local", "a", "b", "ID", "\u00E9")
	seen := map[string]bool{}
	for range rapid.IntRange(0, 4).Draw(d.t, "attributes") {
		with := append(prefixes[:len(prefixes):len(prefixes)], "xml:")
		if d.plain && seen["a prefix"] {
			with = with[:1]
		} else if d.plain {
			with = prefixes
		}
		prefix := d.pick("attribute prefix", with...)
		local := d.pick("attribute", "z", "y", "x", "Z", "lang", "ID")
		uri := scope[strings.TrimSuffix(prefix, ":")]
		if prefix == "" {
			uri = ""
		}
		if seen[uri+" "+local] || seen[prefix+local] {
			continue
		}
		seen[uri+" "+local], seen[prefix+local] = true, true
		seen["a prefix"] = seen["a prefix"] || prefix != ""
		value := d.chars(!d.plain)
		if local == "ID" {
			if seen["an ID"] || prefix != "" {
				continue
			}
			seen["an ID"] = true
			d.ids++
			value = fmt.Sprintf("id%d", d.ids)
		}
		parts = append(parts, fmt.Sprintf(`%s%s="%s"`, prefix, local, value))
	}
	rand.New(rand.NewPCG(uint64(len(parts)), uint64(d.b.Len()))).Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	d.b.WriteString("<" + name)
	for _, p := range parts {
		d.b.WriteString(" " + p)
	}
	d.b.WriteString(">")
	for range rapid.IntRange(0, 4).Draw(d.t, "children") {
		switch kind := d.pick("child", "text", "element", "element", "comment", "cdata", "blank"); {
		case kind == "element" && depth < 5:
			d.element(depth + 1)
		case kind == "comment":
			d.b.WriteString("<!-- <x>&amp; -->")
		case kind == "cdata":
			d.b.WriteString("<![CDATA[" + d.pick("cdata", "", "<&>", "]]", "x\r\ny\rz", "\"'") + "]]>")
		case kind == "blank":
			d.b.WriteString("\n  ")
		default:
			d.b.WriteString(d.chars(true))
		}
	}
	d.b.WriteString("</" + name + ">")
	d.scope = d.scope[:len(d.scope)-1]
}

func (d *drawn) chars(breaks bool) string {
	pieces := []string{"x", "&amp;", "&lt;", "&gt;", "'", "&quot;", "&#13;", "&#xA;", "&#9;", "\u00E9", "\U0001F600", " ", ">", "&#x41;"}
	if breaks {
		pieces = append(pieces, "\r\n", "\r", "\n", "\t")
	}
	return strings.ReplaceAll(strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 6).Draw(d.t, "text"), ""), "]]>", "")
}

func draw(t *rapid.T, plain bool) string {
	d := &drawn{t: t, plain: plain}
	d.element(0)
	return d.b.String()
}

// TestCanonicalLikeLibxml2: our canonical form is libxml2's, and its own canonical form.
func TestCanonicalLikeLibxml2(t *testing.T) {
	tool(t, "xmllint")
	rapid.Check(t, func(r *rapid.T) {
		doc := draw(r, false)
		e, err := xmlsec.Parse([]byte(doc), xmlsec.MetadataLimits())
		if err != nil {
			r.Fatalf("%v\n%s", err, doc)
		}
		got := e.Canonical()
		want, err := excC14N(t, []byte(doc))
		if err != nil {
			r.Fatalf("xmllint: %v\n%s", err, doc)
		}
		if string(got) != want {
			r.Fatalf("document %q\n got %q\nwant %q", doc, got, want)
		}
		again, err := xmlsec.Parse(got, xmlsec.MetadataLimits())
		if err != nil {
			r.Fatal(err)
		}
		if !bytes.Equal(again.Canonical(), got) {
			r.Fatalf("not stable: %q then %q", got, again.Canonical())
		}
	})
}

// TestCanonicalLikeGoxmldsig: goxmldsig, which Go's service providers verify with, sees the same bytes.
func TestCanonicalLikeGoxmldsig(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		text := draw(r, true)
		e, err := xmlsec.Parse([]byte(text), xmlsec.MetadataLimits())
		if err != nil {
			r.Fatalf("%v\n%s", err, text)
		}
		doc := etree.NewDocument()
		if err := doc.ReadFromString(text); err != nil {
			r.Fatal(err)
		}
		want, err := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("").Canonicalize(doc.Root())
		if err != nil {
			r.Fatal(err)
		}
		if got := e.Canonical(); !bytes.Equal(got, want) {
			r.Fatalf("document %q\n got %q\nwant %q", text, got, want)
		}
	})
}

// mutants are documents one or two careless bytes away from well-formed ones.
func mutants(n int) [][]byte {
	seeds := []string{
		`<?xml version="1.0" encoding="UTF-8"?><a xmlns="urn:a" xmlns:p="urn:p" ID="x" p:b='y'><!-- c --><p:c>t&amp;<![CDATA[d]]>&#65;</p:c><e/></a>`,
		"<samlp:Q xmlns:samlp=\"" + samlp + "\" ID=\"_1\"\n Version=\"2.0\"><saml:Issuer xmlns:saml=\"" + saml + "\">https://sp.example</saml:Issuer>\r\n<x y=\"&#10;\"/></samlp:Q>",
		`<a><b c="1" d="2"><e xmlns:q="urn:q" q:f=""/></b>text ]] &gt;</a>`,
	}
	pieces := []string{"<", ">", "&", ";", "\"", "'", "/", "!", "?", "-", "]", ":", "=", " ", "\n", "x", "0", "#", "]]>", "--", "<!--", "-->", "<![CDATA[",
		"xmlns:", "xmlns=\"\"", "&#0;", "&#x41;", "&lt;", "<a>", "</a>", "<a/>", "\u00B7", "\uFEFF", "\x00", "\x7F", "\x80", "p:", " ID=\"x\"", "<?x?>", "xml:", "\u037E", "\u00AA"}
	r := rand.New(rand.NewPCG(1, 2))
	out := make([][]byte, 0, n)
	for range n {
		b := []byte(seeds[r.IntN(len(seeds))])
		for range 1 + r.IntN(2) {
			i := r.IntN(len(b))
			j := min(len(b), i+r.IntN(3))
			b = append(b[:i:i], append([]byte(pieces[r.IntN(len(pieces))]), b[j:]...)...)
		}
		out = append(out, b)
	}
	return out
}

// TestNeverLaxerThanLibxml2: what we read, libxml2 reads without complaint, and sees the same in it.
func TestNeverLaxerThanLibxml2(t *testing.T) {
	lint := tool(t, "xmllint")
	dir := t.TempDir()
	docs := map[string][]byte{}
	args := []string{"--nonet", "--noout"}
	for i, b := range mutants(20_000) {
		if _, err := xmlsec.Parse(b, xmlsec.MessageLimits()); err != nil {
			continue
		}
		name := filepath.Join(dir, fmt.Sprintf("%d.xml", i))
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		docs[name] = b
		args = append(args, name)
	}
	if len(docs) < 500 {
		t.Fatalf("only %d documents left to compare", len(docs))
	}
	out, _ := exec.Command(lint, args...).CombinedOutput() // says what it minds, of which file
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(line, ":")
		if b, ok := docs[name]; ok {
			t.Errorf("libxml2 minds %q: %s", b, line)
		}
	}
	n := 0
	for name, b := range docs {
		if n++; n > 150 {
			break
		}
		want, err := excC14N(t, b)
		if got := string(parse(t, string(b)).Canonical()); err != nil || got != want {
			t.Errorf("%s %q: xmllint error %v\n got %q\nwant %q", name, b, err, got, want)
		}
	}
}

// TestNeverLaxerThanGo: what we read, encoding/xml reads too.
func TestNeverLaxerThanGo(t *testing.T) {
	for _, b := range mutants(20_000) {
		if _, err := xmlsec.Parse(b, xmlsec.MessageLimits()); err != nil {
			continue
		}
		dec := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(b, []byte("\uFEFF"))))
		for {
			if _, err := dec.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Errorf("encoding/xml minds %q: %v", b, err)
				break
			}
		}
	}
}
