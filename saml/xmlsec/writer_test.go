package xmlsec_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// written is what a Writer makes of element calls drawn by n, and the texts it was given. prefixed tells if an element has
// two attributes with prefixes.
func written(t *testing.T, n uint64) (out []byte, texts string, prefixed bool) {
	t.Helper()
	g := &generator{Rand: rand.New(rand.NewPCG(n, 4))}
	text := func() string {
		var b strings.Builder
		for range g.IntN(8) {
			b.WriteString(g.one("a", "b", "<", ">", "&", `"`, "'", "\t", "\n", "\r", " ", "]]>", "<!--", "\u0085", "\u2028", "\u00E9", "\U0001F600", "\uFFFD", "&amp;"))
		}
		return b.String()
	}
	w := xmlsec.NewWriter(nil, table())
	var element func(depth int)
	element = func(depth int) {
		names := []string{"Z", "a", "b", "\u00E9", "xml:lang", "xsi:nil", "xsi:a", "ds:b", "md:a"}
		g.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		var attrs []string
		with := 0
		for _, name := range names[:g.IntN(6)] {
			value := text()
			attrs = append(attrs, name, value)
			if value != "" && strings.Contains(name, ":") {
				with++
			}
		}
		prefixed = prefixed || with > 1
		w.Start(g.one("ds", "md", "saml", "samlp", "xsi"), g.one("A", "B", "Issuer", "\u00E9"), attrs...)
		for range g.IntN(4) {
			if depth < 5 && g.odds(2) {
				element(depth + 1)
				continue
			}
			s := text()
			texts += s
			w.Text(s)
		}
		w.End()
	}
	element(0)
	out, err := w.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return out, texts, prefixed
}

// TestWriterIsCanonical: what a Writer writes is its own canonical form, by our account, by libxml2's and by goxmldsig's, in
// 10,000 documents, and carries the texts it was given.
func TestWriterIsCanonical(t *testing.T) {
	docs := make([][]byte, generatedDocuments)
	goxmldsig := 0
	for i := range docs {
		out, texts, prefixed := written(t, uint64(i))
		docs[i] = out
		e, err := xmlsec.Parse(out, xmlsec.MetadataLimits())
		if err != nil {
			t.Fatalf("document %d: %v\n%s", i, err, out)
		}
		if got := e.Canonical(); !bytes.Equal(got, out) {
			t.Fatalf("document %d\nwrote     %q\ncanonical %q", i, out, got)
		}
		if got := allText(t, out); got != texts {
			t.Fatalf("document %d: texts %q came out as %q", i, texts, got)
		}
		if !prefixed { // see oddPrefixes
			if got, err := goxmldsigForm(string(out), ""); err != nil || !bytes.Equal(got, out) {
				t.Fatalf("document %d\nwrote     %q\ngoxmldsig %q %v", i, out, got, err)
			}
			goxmldsig++
		}
	}
	if goxmldsig < generatedDocuments/4 {
		t.Errorf("goxmldsig saw only %d documents", goxmldsig)
	}
	forms, minds := libxml2(t, docs)
	for i, out := range docs {
		if minds[i] != "" || forms[i] != strings.Trim(string(out), "\n") {
			t.Fatalf("document %d\nwrote   %q\nlibxml2 %q %s", i, out, forms[i], minds[i])
		}
	}
}

// allText is all text in doc, as encoding/xml reads it.
func allText(t *testing.T, doc []byte) string {
	var b strings.Builder
	dec := xml.NewDecoder(bytes.NewReader(doc))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			b.Write(text)
		}
	}
}

// TestWriterInjection: SAML-RSP-04, a value stays a value.
func TestWriterInjection(t *testing.T) {
	for _, value := range []string{
		`</saml:AttributeValue></saml:Attribute><saml:Attribute Name="role"><saml:AttributeValue>admin`,
		`"><saml:Attribute Name="role`, `' x='`, `]]>`, `<![CDATA[`, `<!--`, `-->`, `&amp;`, `&#60;`, `<?x?>`, "\r\n", "\ttab", " lead and trail ", "O'Neil \U0001F600 \u202Eabc",
	} {
		w := xmlsec.NewWriter(nil, table())
		w.Start("saml", "Attribute", "Name", value)
		w.Element("saml", "AttributeValue", value)
		w.End()
		out, err := w.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		e := parse(t, string(out))
		if n := strings.Count(string(out), "<"); n != 4 {
			t.Errorf("%q: %d tags", value, n)
		}
		if got, _ := e.Attr("Name"); got != value {
			t.Errorf("attribute %q came out as %q", value, got)
		}
		got, err := e.Child(xmlsec.Name{Space: saml, Local: "AttributeValue"}).Text()
		if err != nil || got != value {
			t.Errorf("text %q came out as %q, error %v", value, got, err)
		}
	}
}

// TestWriterRefuses: SAML-RSP-06, what XML can not carry is an error and never replaced; so are mistakes of the caller.
func TestWriterRefuses(t *testing.T) {
	start := func(w *xmlsec.Writer) { w.Start("saml", "A", "ID", "x") }
	tests := []struct {
		name, want string
		f          func(w *xmlsec.Writer)
	}{
		{"SAML-RSP-06 NUL", "U+0000", func(w *xmlsec.Writer) { w.Element("saml", "A", "a\x00b") }},
		{"SAML-RSP-06 U+0001", "the value of A has the character U+0001", func(w *xmlsec.Writer) { w.Element("saml", "A", "secret\x01b") }},
		{"SAML-RSP-06 U+FFFE", "U+FFFE", func(w *xmlsec.Writer) { w.Element("saml", "A", "\uFFFE") }},
		{"SAML-RSP-06 U+FFFF", "U+FFFF", func(w *xmlsec.Writer) { w.Element("saml", "A", "\uFFFF") }},
		{"SAML-RSP-06 invalid UTF-8", "UTF-8", func(w *xmlsec.Writer) { w.Element("saml", "A", "\xFF") }},
		{"SAML-RSP-06 cut UTF-8", "UTF-8", func(w *xmlsec.Writer) { w.Element("saml", "A", "\xE2\x82") }},
		{"SAML-RSP-06 surrogate", "UTF-8", func(w *xmlsec.Writer) { w.Element("saml", "A", "\xED\xA0\x80") }},
		{"SAML-RSP-06 in an attribute", "A Name", func(w *xmlsec.Writer) { w.Element("saml", "A", "", "Name", "\x1F") }},
		{"nothing", "nothing was written", func(*xmlsec.Writer) {}},
		{"open", "A is not ended", start},
		{"end without a start", "without a start", func(w *xmlsec.Writer) { w.End() }},
		{"end twice", "without a start", func(w *xmlsec.Writer) { start(w); w.End(); w.End() }},
		{"second root", "second root", func(w *xmlsec.Writer) { start(w); w.End(); start(w); w.End() }},
		{"text outside", "outside", func(w *xmlsec.Writer) { w.Text("x") }},
		{"unknown prefix", `"q"`, func(w *xmlsec.Writer) { w.Element("q", "A", "") }},
		{"no prefix", `""`, func(w *xmlsec.Writer) { w.Element("", "A", "") }},
		{"unknown prefix of an attribute", `"q"`, func(w *xmlsec.Writer) { w.Element("saml", "A", "", "q:b", "1") }},
		{"not a name", "no name", func(w *xmlsec.Writer) { w.Element("saml", "A b='1'", "") }},
		{"not a name of an attribute", "no name", func(w *xmlsec.Writer) { w.Element("saml", "A", "", `b="1" c`, "1") }},
		{"xmlns", "no name", func(w *xmlsec.Writer) { w.Element("saml", "A", "", "xmlns", "urn:x") }},
		{"xmlns:p", "xmlns", func(w *xmlsec.Writer) { w.Element("saml", "A", "", "xmlns:p", "urn:x") }},
		{"half a pair", "pairs", func(w *xmlsec.Writer) { w.Element("saml", "A", "", "b") }},
		{"twice", "twice", func(w *xmlsec.Writer) { w.Element("saml", "A", "", "b", "1", "c", "2", "b", "3") }},
		{"nothing to sign", "nothing to sign", func(w *xmlsec.Writer) { w.SignHere() }},
		{"no place", "no place", func(w *xmlsec.Writer) { start(w); w.EndSigned(rsaKey().signer()) }},
		{"no ID", "no ID", func(w *xmlsec.Writer) { w.Start("saml", "A"); w.SignHere(); w.EndSigned(rsaKey().signer()) }},
		{"ID is no name", "is no name", func(w *xmlsec.Writer) {
			w.Start("saml", "A", "ID", `"><x`)
			w.SignHere()
			w.EndSigned(rsaKey().signer())
		}},
		{"no key", "no key", func(w *xmlsec.Writer) { start(w); w.SignHere(); w.EndSigned(xmlsec.Signer{}) }},
		{"EC key", "only RSA", func(w *xmlsec.Writer) { start(w); w.SignHere(); w.EndSigned(ecKey().signer()) }},
		{"signed with what is declared around", "declared around", func(w *xmlsec.Writer) {
			w.Start("saml", "Response")
			start(w)
			w.SignHere()
			w.EndSigned(rsaKey().signer())
			w.End()
		}},
		{"signed with what is declared around, deep inside", "declared around", func(w *xmlsec.Writer) {
			w.Start("samlp", "Response")
			start(w)
			w.SignHere()
			w.Start("saml", "B")
			w.Element("md", "C", "", "samlp:x", "1")
			w.End()
			w.EndSigned(rsaKey().signer())
			w.End()
		}},
		{"ds around the signature", "ds is in force", func(w *xmlsec.Writer) {
			w.Start("ds", "Object", "ID", "x")
			w.SignHere()
			w.EndSigned(rsaKey().signer())
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := xmlsec.NewWriter(nil, table())
			tt.f(w)
			out, err := w.Bytes()
			if err == nil {
				t.Fatalf("wrote %s", out)
			}
			if out != nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %q, want one with %q", err, tt.want)
			}
		})
	}
}

func TestWriterTable(t *testing.T) {
	for name, bad := range map[string][]xmlsec.Namespace{
		"out of order": {{Prefix: "b", URI: "urn:b"}, {Prefix: "a", URI: "urn:a"}},
		"twice":        {{Prefix: "a", URI: "urn:b"}, {Prefix: "a", URI: "urn:a"}},
		"default":      {{Prefix: "", URI: "urn:b"}},
		"relative":     {{Prefix: "a", URI: "b"}},
		"xml":          {{Prefix: "xml", URI: "urn:b"}},
		"too many":     make([]xmlsec.Namespace, 65),
	} {
		w := xmlsec.NewWriter(nil, bad)
		w.Element("a", "A", "")
		if out, err := w.Bytes(); err == nil {
			t.Errorf("%s: wrote %s", name, out)
		}
	}
}

// TestWriterSkipsEmpty: an attribute without a value is not written.
func TestWriterSkipsEmpty(t *testing.T) {
	w := xmlsec.NewWriter(make([]byte, 10, 100), table())
	w.Element("samlp", "Response", "", "InResponseTo", "", "Version", "2.0", "ID", "_1")
	out, err := w.Bytes()
	if want := `<samlp:Response xmlns:samlp="` + samlp + `" ID="_1" Version="2.0"></samlp:Response>`; err != nil || string(out) != want {
		t.Errorf("%s, error %v", out, err)
	}
}
