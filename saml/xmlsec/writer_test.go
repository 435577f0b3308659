package xmlsec_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// TestWriterIsCanonical: what a Writer writes is its own canonical form, by our account and by libxml2's, and carries the
// texts it was given.
func TestWriterIsCanonical(t *testing.T) {
	tool(t, "xmllint")
	rapid.Check(t, func(r *rapid.T) {
		prefix := rapid.SampledFrom([]string{"ds", "md", "saml", "samlp", "xsi"})
		text := rapid.StringOf(rapid.SampledFrom([]rune("ab<>&\"'\t\n\r ]\u0085\u2028\u00E9\U0001F600\uFFFD")))
		w := xmlsec.NewWriter(nil, table())
		var texts []string
		var element func(depth int)
		element = func(depth int) {
			var attrs []string
			for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"Z", "a", "b", "xml:lang", "xsi:nil", "xsi:a", "ds:b", "md:a"}), 0, 6, rapid.ID).Draw(r, "names") {
				attrs = append(attrs, name, text.Draw(r, "value"))
			}
			w.Start(prefix.Draw(r, "prefix"), rapid.SampledFrom([]string{"A", "B", "Issuer"}).Draw(r, "local"), attrs...)
			for range rapid.IntRange(0, 3).Draw(r, "children") {
				if depth < 4 && rapid.Bool().Draw(r, "element") {
					element(depth + 1)
					continue
				}
				s := text.Draw(r, "text")
				texts = append(texts, s)
				w.Text(s)
			}
			w.End()
		}
		element(0)
		out, err := w.Bytes()
		if err != nil {
			r.Fatal(err)
		}
		e, err := xmlsec.Parse(out, xmlsec.MetadataLimits())
		if err != nil {
			r.Fatalf("%v\n%s", err, out)
		}
		if got := e.Canonical(); !bytes.Equal(got, out) {
			r.Fatalf("wrote     %q\ncanonical %q", out, got)
		}
		if got, err := excC14N(t, out); err != nil || got != strings.Trim(string(out), "\n") {
			r.Fatalf("wrote   %q\nlibxml2 %q %v", out, got, err)
		}
		if got := allText(r, out); got != strings.Join(texts, "") {
			r.Fatalf("texts %q came out as %q", texts, got)
		}
	})
}

// allText is all text in doc, as encoding/xml reads it.
func allText(t *rapid.T, doc []byte) string {
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
