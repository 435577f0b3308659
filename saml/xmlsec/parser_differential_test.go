package xmlsec_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// mutants are documents one to three careless edits away from well-formed ones.
func mutants(n int) [][]byte {
	seeds := []string{
		`<?xml version="1.0" encoding="UTF-8"?><a xmlns="urn:a" xmlns:p="urn:p" ID="x" p:b='y'><!-- c --><p:c>t&amp;<![CDATA[d]]>&#65;</p:c><e/></a>`,
		"<samlp:Q xmlns:samlp=\"" + samlp + "\" ID=\"_1\"\n Version=\"2.0\"><saml:Issuer xmlns:saml=\"" + saml + "\">https://sp.example</saml:Issuer>\r\n<x y=\"&#10;\"/></samlp:Q>",
		`<a><b c="1" d="2"><e xmlns:q="urn:q" q:f=""/></b>text ]] &gt;</a>`,
		`<?xml version='1.0' standalone='no'?><r xml:id="i" xml:lang="en"><s Id="j"/><t id="k" xmlns=""/></r>`,
	}
	for i := uint64(0); len(seeds) < 100; i++ {
		if doc, has := generate(i, false); len(doc) < 400 && !has[oddName] {
			seeds = append(seeds, doc)
		}
	}
	pieces := []string{"<", ">", "&", ";", "\"", "'", "/", "!", "?", "-", "]", ":", "=", " ", "\n", "x", "0", "#", "]]>", "--", "<!--", "-->", "<![CDATA[",
		"xmlns:", "xmlns=\"\"", "&#0;", "&#x41;", "&lt;", "<a>", "</a>", "<a/>", "\u00B7", "\uFEFF", "\x00", "\x7F", "\x80", "p:", " ID=\"x\"", "<?x?>", "xml:", "\u037E", "\u00AA",
		"\r", "\t", "\x01", "\uFFFE", "\xED\xA0\x80", "&nbsp;", "&#xD800;", "&#x110000;", "&#xFFFF;", "&#-1;", "&#x;", "&;", "&#1;", "<!DOCTYPE a>", "<!DOCTYPE a [<!ENTITY e 'x'>]>",
		"<?xml version=\"1.0\"?>", " xmlns:p=\"rel\"", " xmlns:q=\"\"", " xmlns:xml=\"http://www.w3.org/XML/1998/namespace\"", " xmlns:x=\"http://www.w3.org/XML/1998/namespace\"",
		" xmlns:y=\"http://www.w3.org/2000/xmlns/\"", " xmlns:xmlns=\"urn:x\"", " xmlns:z=\"urn:z\"", " id=\"x\"", " xml:id=\"x\"", " xml:id=\"0\"", "<b></c>", "version=\"1.1\"",
		"encoding=\"ISO-8859-1\"", "standalone=\"maybe\"", "\u2028", "\u0300", "<\u0300/>", "<!ELEMENT a ANY>", "<a b='<'/>", "<a b=c/>", "<a b/>", "<x:y/>", "<a:b:c/>", "<:a/>", "<a:/>"}
	harmless := []string{" ", "\n", "x", "9", "-", "]", "&lt;", "&#x41;", "&#13;", "<!-- -->", "<![CDATA[<]]>", "\t", "\r\n", "&#x1F600;", "\u00E9", "<x/>", " y=\"z\"", "=", ".", "/", ":", "\u2028", "<q:x xmlns:q=\"urn:q\"/>",
		" xmlns:k=\"urn:k\"", "p", "q:", "_", "#", "%41", "@", "?"}
	r := rand.New(rand.NewPCG(1, 2))
	out := make([][]byte, 0, n)
	for range n {
		b := []byte(seeds[r.IntN(len(seeds))])
		for range 1 + r.IntN(2) {
			i := r.IntN(len(b))
			switch j := min(len(b), i+r.IntN(3)); r.IntN(10) {
			case 0: // a piece of it again, elsewhere
				to := r.IntN(len(b))
				b = slices.Insert(slices.Clone(b), to, b[i:min(len(b), i+r.IntN(30))]...)
			case 1: // a piece of it gone
				b = slices.Delete(slices.Clone(b), i, min(len(b)-1, i+r.IntN(10)))
			case 2, 3, 4, 5:
				b = slices.Insert(slices.Clone(b), i, []byte(harmless[r.IntN(len(harmless))])...)
			default:
				b = append(b[:i:i], append([]byte(pieces[r.IntN(len(pieces))]), b[j:]...)...)
			}
			if len(b) == 0 {
				b = []byte("<")
			}
		}
		out = append(out, b)
	}
	return out
}

// stricter are the rules by which we refuse what libxml2 reads: what our refusal says, what must then be in the document, and
// a document that shows it.
var stricter = []struct{ rule, says, in, example string }{
	{"no document type", "a document type", `<!DOCTYPE`, `<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>`},
	{"no processing instruction", "a processing instruction", `<\?`, `<a><?x?></a>`},
	{"one ID on an element", "more than one ID", `(?is)id\s*=.*id\s*=`, `<a ID="x" Id="y"/>`},
	{"an ID once in a document", "is given twice", `(?is)id\s*=.*id\s*=`, `<a ID="x"><b ID="x"/></a>`},
	{"xml:id is a name as it stands", "xml:id is not a name", `xml:id`, `<a xml:id=" x"/>`},
	{"UTF-8", "the encoding", `encoding`, `<?xml version="1.0" encoding="US-ASCII"?><a/>`},
	{"UTF-8", "it looks like UTF-16", "\x00", "\xFF\xFE<\x00a\x00/\x00>\x00"},
	{"namespaces are absolute URIs", "is not an absolute URI", `xmlns`, `<a xmlns:p="urn"/>`},
	{"namespaces are absolute URIs", "is not an absolute URI", `xmlns`, `<a xmlns:p="//a/b"/>`},
	{"no byte-order mark in a name", "", `(?s).\x{FEFF}`, "<\uFEFFa/>"},
	{"no NUL", "U+0000", "\x00", "<a/>\x00<b"}, // libxml2 ends there
	{"the limits", "at most", `^<a>`, "<a>" + strings.Repeat("<b/>", 1000) + "</a>"},
	{"the limits", "deep", `^<a>`, strings.Repeat("<a>", 40) + strings.Repeat("</a>", 40)},
}

// TestParseLikeLibxml2: of 20,000 documents, most of them broken, we read none that libxml2 minds, we refuse none that it
// reads but by a rule named in stricter, and what both read has one canonical form.
func TestParseLikeLibxml2(t *testing.T) {
	docs := mutants(2 * generatedDocuments)
	mutated := len(docs)
	for _, s := range stricter {
		docs = append(docs, []byte(s.example))
	}
	forms, minds := libxml2(t, docs)
	both, neither, rules := 0, 0, map[string]int{}
	for i, b := range docs {
		e, err := xmlsec.Parse(b, xmlsec.MessageLimits())
		switch {
		case err == nil && minds[i] != "":
			t.Errorf("libxml2 minds %q: %s", b, minds[i])
		case err == nil:
			both++
			if got := string(e.Canonical()); got != forms[i] {
				t.Errorf("%q\nours    %q\nlibxml2 %q", b, got, forms[i])
			}
		case minds[i] != "":
			neither++
		default:
			rule := ""
			for _, r := range stricter {
				if strings.Contains(err.Error(), r.says) && regexp.MustCompile(r.in).Match(b) {
					rule = r.rule
				}
			}
			if rule == "" {
				t.Errorf("refused by no rule: %v\n%q", err, b)
			}
			rules[rule]++
			continue
		}
		if i >= mutated {
			t.Errorf("%q is no example of %q: ours %v, libxml2 %q", b, stricter[i-mutated].rule, err, minds[i])
		}
	}
	t.Logf("%d read by both, %d by neither; refused by a rule of ours: %v", both, neither, rules)
	if both < mutated/20 {
		t.Errorf("only %d documents are read", both)
	}
}

// TestNeverLaxerThanGo: what we read, encoding/xml reads too.
func TestNeverLaxerThanGo(t *testing.T) {
	for _, b := range mutants(2 * generatedDocuments) {
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
