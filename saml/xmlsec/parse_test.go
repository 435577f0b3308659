package xmlsec_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// declarations declares n prefixes.
func declarations(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(` xmlns:` + strings.Repeat("p", i+1) + `="urn:x"`)
	}
	return b.String()
}

// TestParseRefuses: each document is refused, with a sentence that names what is wrong.
func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, doc, want string }{
		{"SAML-XML-01 DOCTYPE alone", `<!DOCTYPE a><a/>`, "document type"},
		{"SAML-XML-01 internal entity", `<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>`, "document type"},
		{"SAML-XML-01 external file", `<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>`, "document type"},
		{"SAML-XML-01 external http", `<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd"><a/>`, "document type"},
		{"SAML-XML-01 parameter entity", `<!DOCTYPE a [<!ENTITY % p "x">%p;]><a/>`, "document type"},
		{"SAML-XML-01 DOCTYPE after the root", `<a/><!DOCTYPE a>`, "document type"},
		{"SAML-XML-01 DOCTYPE in the root", `<a><!DOCTYPE a></a>`, "document type"},
		{"SAML-XML-01 ENTITY in the root", `<a><!ENTITY x "y"></a>`, "declaration"},
		{"SAML-XML-01 lower case", `<!doctype a><a/>`, "declaration"},

		{"SAML-XML-04 declared UTF-16", `<?xml version="1.0" encoding="UTF-16"?><a/>`, `"UTF-16"`},
		{"SAML-XML-04 declared Latin 1", `<?xml version="1.0" encoding="ISO-8859-1"?><a/>`, `"ISO-8859-1"`},
		{"SAML-XML-04 UTF-16", "\xFE\xFF\x00<\x00a\x00/\x00>", "not in UTF-8"},
		{"SAML-XML-04 UTF-16 without mark", "<\x00a\x00/\x00>\x00", "not in UTF-8"},
		{"SAML-XML-04 UTF-7", `<?xml version="1.0" encoding="UTF-7"?>+ADw-a/+AD4-`, `"UTF-7"`},
		{"SAML-XML-04 invalid UTF-8", "<a>\xC3\x28</a>", "line 1, column 4: the document is not valid UTF-8"},
		{"SAML-XML-04 overlong", "<a>\xC0\xBC</a>", "UTF-8"},
		{"SAML-XML-04 surrogate", "<a>\xED\xA0\x80</a>", "UTF-8"},
		{"SAML-XML-04 XML 1.1", `<?xml version="1.1"?><a/>`, `"1.1"`},
		{"no version", `<?xml encoding="UTF-8"?><a/>`, "version"},
		{"declaration order", `<?xml version="1.0" standalone="no" encoding="UTF-8"?><a/>`, "malformed"},
		{"standalone", `<?xml version="1.0" standalone="maybe"?><a/>`, "malformed"},
		{"declaration without end", `<?xml version="1.0"`, "no end"},
		{"declaration unquoted", `<?xml version=1.0?><a/>`, "version"},

		{"SAML-XML-05 junk before the root", `x<a/>`, "line 1, column 1: text stands before the root"},
		{"SAML-XML-05 reference before the root", `&#32;<a/>`, "before the root"},
		{"SAML-XML-05 CDATA before the root", `<![CDATA[ ]]><a/>`, "CDATA"},
		{"SAML-XML-05 second root", `<a/><b/>`, "second root element <b>"},
		{"SAML-XML-05 same root twice", `<a/><a/>`, "second root"},
		{"SAML-XML-05 trailing text", "<a/>\n x", "line 2, column 2: text stands after the root"},
		{"SAML-XML-05 BOM twice", "\uFEFF\uFEFF<a/>", "before the root"},
		{"SAML-XML-05 BOM after white space", " \uFEFF<a/>", "before the root"},
		{"SAML-XML-05 white space before the declaration", "\n<?xml version=\"1.0\"?><a/>", "white space stands before the XML declaration"},
		{"SAML-XML-05 closing tag first", `</a>`, "closes nothing"},
		{"SAML-XML-05 closing tag after", `<a/></a>`, "closes nothing"},

		{"SAML-XML-06 same attribute", `<a ID="a" ID="b"/>`, "ID twice"},
		{"SAML-XML-06 same attribute, same value", `<a b="1" b="1"/>`, "b twice"},
		{"SAML-XML-06 ID then q:ID", `<a ID="good" xmlns:q="urn:u" q:ID="evil"/>`, "more than one ID"},
		{"SAML-XML-06 q:ID then ID", `<a xmlns:q="urn:u" q:ID="evil" ID="good"/>`, "more than one ID"},
		{"SAML-XML-06 ID and Id", `<a ID="x" Id="y"/>`, "more than one ID"},
		{"SAML-XML-06 ID and id", `<a ID="x" id="y"/>`, "more than one ID"},
		{"SAML-XML-06 ID and xml:id", `<a ID="x" xml:id="y"/>`, "more than one ID"},
		{"SAML-XML-06 one value twice", `<a ID="x"><b ID="x"/></a>`, `the ID "x" is given twice`},
		{"SAML-XML-06 one value by two names", `<a ID="x"><b Id="x"/></a>`, "twice"},
		{"SAML-XML-06 one value as ID and xml:id", `<a ID="x"><b xml:id="x"/></a>`, "twice"},
		{"SAML-XML-06 one value by reference", `<a ID="x"><b ID="&#x78;"/></a>`, "twice"},
		{"SAML-XML-06 xml:id with spaces", `<a xml:id=" x "/>`, "xml:id"},
		{"SAML-XML-06 xml:id that is no name", `<a xml:id="1"/>`, "xml:id"},
		{"SAML-XML-06 expanded name", `<a xmlns:p="urn:u" xmlns:q="urn:u" p:x="1" q:x="2"/>`, "by two prefixes"},

		{"SAML-XML-07 processing instruction in text", `<a>admin@x.com<?x y?>.evil.com</a>`, "processing instruction"},
		{"SAML-XML-07 processing instruction before the root", `<?xml-stylesheet href="x"?><a/>`, "processing instruction"},
		{"SAML-XML-07 processing instruction after the root", `<a/><?x?>`, "processing instruction"},
		{"SAML-XML-07 second declaration", `<a><?xml version="1.0"?></a>`, "processing instruction"},
		{"SAML-XML-07 comment in an attribute", `<a b="x<!-- -->y"/>`, "< stands in the value of b"},
		{"SAML-XML-07 unknown entity", `<a>x&nbsp;y</a>`, `"&nbsp;" is not defined`},

		{"SAML-XML-08 two colons", `<x:y:z xmlns:x="urn:x"/>`, "name"},
		{"SAML-XML-08 undeclared by empty", `<a:b xmlns:a=""/>`, "nothing"},
		{"SAML-XML-08 attribute without prefix", `<a :b="1"/>`, "name"},
		{"SAML-XML-08 attribute without local name", `<a b:="1"/>`, "name"},
		{"SAML-XML-08 element without prefix", `<:a/>`, "name"},
		{"SAML-XML-08 element without local name", `<a:/>`, "name"},
		{"SAML-XML-08 directive with a comment", `<!x<!-- -->y><a/>`, "declaration"},
		{"SAML-XML-08 xmlns:xmlns", `<a xmlns:xmlns="urn:u"/>`, "reserved"},
		{"SAML-XML-08 xml rebound", `<a xmlns:xml="urn:u"/>`, "reserved"},
		{"SAML-XML-08 xml namespace by another prefix", `<a xmlns:x="http://www.w3.org/XML/1998/namespace"/>`, "reserved"},
		{"SAML-XML-08 xml namespace by default", `<a xmlns="http://www.w3.org/XML/1998/namespace"/>`, "reserved"},
		{"SAML-XML-08 xmlns namespace", `<a xmlns:x="http://www.w3.org/2000/xmlns/"/>`, "reserved"},
		{"SAML-XML-08 element in xmlns", `<xmlns:a/>`, "not declared"},
		{"SAML-XML-08 undefined prefix of an element", `<p:a/>`, `the prefix "p" is not declared`},
		{"SAML-XML-08 undefined prefix of an attribute", `<a p:b="1"/>`, `the prefix "p" is not declared`},
		{"SAML-XML-08 prefix of a sibling", `<a><b xmlns:p="urn:u"/><p:c/></a>`, "not declared"},
		{"SAML-SIG-12 relative namespace", `<a xmlns:x="./x"/>`, `"./x" is not an absolute URI`},
		// libxml2 reads these, and then canonicalizes the document into nothing.
		{"SAML-SIG-12 namespace with a port of letters", `<a xmlns:x="http://a:b/"/>`, `is not an absolute URI`},
		{"SAML-SIG-12 namespace with an empty port", `<a xmlns:x="http://a:/"/>`, `is not an absolute URI`},
		{"SAML-SIG-12 namespace with two ports", `<a xmlns:x="http://a:1:2"/>`, `is not an absolute URI`},
		{"SAML-SIG-12 namespace with an endless port", `<a xmlns:x="http://a:9999999999"/>`, `is not an absolute URI`},
		{"SAML-SIG-12 namespace with two users", `<a xmlns:x="http://u@v@a/"/>`, `is not an absolute URI`},
		{"SAML-SIG-12 relative default namespace", `<a xmlns="x"/>`, "absolute"},
		{"SAML-SIG-12 scheme missing", `<a xmlns=":x"/>`, "absolute"},
		{"SAML-SIG-12 space before the scheme", `<a xmlns=" urn:x"/>`, "absolute"},
		{"SAML-SIG-12 not a URI", `<a xmlns="urn:x y"/>`, "absolute"},
		{"SAML-SIG-12 two fragments", `<a xmlns="urn:x#y#z"/>`, "absolute"},
		{"SAML-SIG-12 bad percent encoding", `<a xmlns="urn:x%2g"/>`, "absolute"},
		{"many namespaces in force", strings.Repeat(`<a`+declarations(9)+`>`, 31), "more than 256 namespace declarations"},
		{"long namespace", `<a xmlns="urn:` + strings.Repeat("x", 600) + `"/>`, "longer than"},

		{"SAML-RSP-06 NUL", "<a>x\x00y</a>", "U+0000"},
		{"SAML-RSP-06 U+0001", "<a b='\x01'/>", "U+0001"},
		{"SAML-RSP-06 U+FFFE", "<a>\uFFFE</a>", "U+FFFE"},
		{"SAML-RSP-06 in a comment", "<a><!--\x08--></a>", "U+0008"},
		{"reference to NUL", `<a>&#0;</a>`, "not a character"},
		{"reference to U+0001", `<a b="&#x1;"/>`, "not a character"},
		{"reference to a surrogate", `<a>&#xD800;</a>`, "not a character"},
		{"reference beyond Unicode", `<a>&#x110000;</a>`, "not a character"},
		{"reference overflow", `<a>&#x100000041;</a>`, ""},
		{"reference negative", `<a>&#-65;</a>`, "not a character"},
		{"reference plus", `<a>&#+65;</a>`, "not a character"},
		{"reference underscore", `<a>&#6_5;</a>`, "not a character"},
		{"reference upper-case X", `<a>&#X41;</a>`, "not a character"},
		{"reference empty", `<a>&#;</a>`, "not a character"},
		{"reference empty hexadecimal", `<a>&#x;</a>`, "not a character"},
		{"ampersand", `<a>x & y</a>`, "& stands alone"},
		{"ampersand at the end of a value", `<a b="&"/>`, "&"},
		{"reference over the end of a value", `<a b="&am" c="p;"/>`, "&"},
		{"]]> in text", `<a>]]></a>`, "]]>"},
		{"CDATA without end", `<a><![CDATA[x</a>`, "CDATA section has no end"},
		{"comment without end", `<a><!-- x</a>`, "comment has no end"},
		{"-- in a comment", `<a><!-- x -- y --></a>`, "inside a comment"},
		{"comment --->", `<a><!-- x ---></a>`, "inside a comment"},
		{"comment <!-->", `<a><!--></a>`, "comment"},
		{"empty", ``, "empty"},
		{"white space only", " \n", "empty"},
		{"comment only", `<!-- x -->`, "no root element"},
		{"declaration only", `<?xml version="1.0"?>`, "no root element"},
		{"unclosed", `<a><b></b>`, "ends inside <a>"},
		{"crossed", `<a><b></a></b>`, "</a> stands where </b> must"},
		{"closed by another prefix", `<p:a xmlns:p="urn:u" xmlns:q="urn:u"></q:a>`, "</q:a> stands where </p:a> must"},
		{"tag without end", `<a b="1"`, "ends inside the tag <a>"},
		{"closing tag with attribute", `<a></a b="1">`, "malformed"},
		{"no space between attributes", `<a b="1"c="2"/>`, "malformed"},
		{"attribute without value", `<a b/>`, "no value"},
		{"attribute unquoted", `<a b=1/>`, "not quoted"},
		{"attribute without end", `<a b="1/>`, "no end"},
		{"slash inside", `<a / b="1">`, "malformed"},
		{"space before the name", `< a/>`, "name"},
		{"digit first", `<1a/>`, "name"},
		{"name with U+00D7", "<a\u00D7/>", "malformed"},
		{"lone <", `<a>x < y</a>`, "name"},
		{"< at the end", `<a><`, "name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := xmlsec.Parse([]byte(tt.doc), xmlsec.MessageLimits())
			if err == nil {
				t.Fatalf("accepted as %s", e.Canonical())
			}
			if e != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want one with %q", err, tt.want)
			}
		})
	}
}

// TestParseReads: what may stand is read, and means what XML says. want is the canonical form.
func TestParseReads(t *testing.T) {
	tests := []struct{ name, doc, want string }{
		{"declaration", `<?xml version="1.0" encoding="utf-8" standalone='yes' ?><a/>`, `<a></a>`},
		{"BOM", "\uFEFF<?xml version=\"1.0\"?>\n<a/>\n", `<a></a>`},
		{"white space around the root", "\r\n\t <a/>\n", `<a></a>`},
		{"comments around the root", `<!-- x --><a/><!-- y -->`, `<a></a>`},
		{"white space in tags", "<a\n b = '1'\tc=\"2\"\r\n></a\n>", `<a b="1" c="2"></a>`},
		{"references", `<a b="&#65;&#x42;&lt;&quot;&apos;">&amp;&lt;&gt;&quot;&apos;&#x1F600;</a>`,
			`<a b="AB&lt;&quot;'">&amp;&lt;&gt;"'` + "\U0001F600</a>"},
		{"line ends in text", "<a>1\r\n2\r3\n4&#13;</a>", "<a>1\n2\n3\n4&#xD;</a>"},
		{"line ends in CDATA", "<a><![CDATA[1\r\n2\r<&]]></a>", "<a>1\n2\n&lt;&amp;</a>"},
		{"normalized value", "<a b=\"1\t2\r\n3\r4\n5&#9;&#10;&#13;\"/>", `<a b="1 2 3 4 5&#x9;&#xA;&#xD;"></a>`},
		{"SAML-XML-07 comment in text", `<a>a<!-- -->b</a>`, `<a>ab</a>`},
		{"SAML-XML-07 CDATA in text", `<a>a<![CDATA[b]]>c</a>`, `<a>abc</a>`},
		{"]] and > apart", `<a>]]&gt; ]> <![CDATA[]]]]>></a>`, "<a>]]&gt; ]&gt; ]]&gt;</a>"},
		{"default namespace undone", `<a xmlns="urn:u"><b xmlns=""><c/></b></a>`, `<a xmlns="urn:u"><b xmlns=""><c></c></b></a>`},
		{"xml declared as what it is", `<a xmlns:xml="http://www.w3.org/XML/1998/namespace" xml:lang="en"/>`, `<a xml:lang="en"></a>`},
		{"namespaces of all forms", `<a xmlns:p="http://u:v@a:1/b:c@d?e:f@g" xmlns:q="x:" p:b="" q:b=""/>`, `<a xmlns:p="http://u:v@a:1/b:c@d?e:f@g" xmlns:q="x:" p:b="" q:b=""></a>`},
		{"one name in two namespaces", `<a b="1" p:b="2" xmlns:p="urn:p"/>`, `<a xmlns:p="urn:p" b="1" p:b="2"></a>`},
		{"prefix rebound inside", `<p:a xmlns:p="urn:1"><p:b xmlns:p="urn:2"/><p:c/></p:a>`,
			`<p:a xmlns:p="urn:1"><p:b xmlns:p="urn:2"></p:b><p:c></p:c></p:a>`},
		{"namespaces only where used", `<a xmlns:p="urn:p" xmlns:q="urn:q"><p:b/><p:c q:d=""/></a>`,
			`<a><p:b xmlns:p="urn:p"></p:b><p:c xmlns:p="urn:p" xmlns:q="urn:q" q:d=""></p:c></a>`},
		{"names beyond ASCII", "<\u00E9l\u00E9ment \u540D=\"1\"/>", "<\u00E9l\u00E9ment \u540D=\"1\"></\u00E9l\u00E9ment>"},
		{"C1 controls", "<a>\u0085\u2028</a>", "<a>\u0085\u2028</a>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := xmlsec.Parse([]byte(tt.doc), xmlsec.MessageLimits())
			if err != nil {
				t.Fatal(err)
			}
			if got := string(e.Canonical()); got != tt.want {
				t.Errorf("canonical form\n got %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestElement(t *testing.T) {
	e := parse(t, `<p:a xmlns:p="urn:p" ID="1" p:ID2="x" xml:lang="en"><p:b>o<!-- -->n<![CDATA[e]]></p:b> <b>two</b><p:b/><p:c>x<d/></p:c></p:a>`)
	name := func(local string) xmlsec.Name { return xmlsec.Name{Space: "urn:p", Local: local} }
	if e.Name != name("a") || e.Prefix != "p" {
		t.Errorf("name %v prefix %q", e.Name, e.Prefix)
	}
	if v, ok := e.Attr("ID"); v != "1" || !ok {
		t.Errorf("ID %q %v", v, ok)
	}
	if v, ok := e.Attr("ID2"); ok {
		t.Errorf("a prefixed attribute answers for one without prefix: %q", v)
	}
	if v, ok := e.AttrIn("http://www.w3.org/XML/1998/namespace", "lang"); v != "en" || !ok {
		t.Errorf("xml:lang %q %v", v, ok)
	}
	if text, err := e.Child(name("b")).Text(); text != "one" || err != nil {
		t.Errorf("text %q, error %v", text, err)
	}
	if text, err := e.Children(name("b"))[1].Text(); text != "" || err != nil {
		t.Errorf("text %q, error %v", text, err)
	}
	if _, err := e.Child(name("c")).Text(); err == nil {
		t.Error("SAML-XML-07: an element with a child has a text")
	}
	if e.Child(name("d")) != nil || e.Child(xmlsec.Name{Local: "a"}) != nil {
		t.Error("a child that is not there")
	}
	if _, err := e.Only(name("b")); err == nil {
		t.Error("Only takes one of two")
	}
	if c, err := e.Only(name("c")); c == nil || err != nil {
		t.Errorf("Only %v, error %v", c, err)
	}
	if c, err := e.Only(name("d")); c != nil || err != nil {
		t.Errorf("Only %v, error %v", c, err)
	}
	var order []string
	for c := range e.All() {
		order = append(order, c.Name.Local)
	}
	if strings.Join(order, "") != "bbbc" {
		t.Errorf("children %v", order)
	}
}

func TestLimits(t *testing.T) {
	most := xmlsec.Limits{Bytes: 60, Elements: 4, Depth: 2, Attributes: 2}
	for _, tt := range []struct {
		doc string
		ok  bool
	}{
		{`<a><b/><b/><b/></a>`, true},
		{`<a><b/><b/><b/><b/></a>`, false},
		{`<a><b/><!-- --><![CDATA[]]></a>`, true},
		{`<a><b/><!-- --><![CDATA[]]><!-- --></a>`, false},
		{`<a><b><c/></b></a>`, false},
		{`<a b="" c=""/>`, true},
		{`<a b="" c="" d=""/>`, false},
		{`<a xmlns:p="urn:p" c="" d=""/>`, false},
		{`<a>` + strings.Repeat("x", 53) + `</a>`, true},
		{`<a>` + strings.Repeat("x", 54) + `</a>`, false},
	} {
		if _, err := xmlsec.Parse([]byte(tt.doc), most); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.doc, err)
		}
	}
	if _, err := xmlsec.Parse([]byte(`<a/>`), xmlsec.Limits{}); err == nil {
		t.Error("zero limits admit a document")
	}
}

// TestBombs: SAML-XML-02 and SAML-MD-01, refused in under a second without memory to speak of.
func TestBombs(t *testing.T) {
	rep := strings.Repeat
	laughs := `<!DOCTYPE a [<!ENTITY l0 "ha">`
	for i := range 30 {
		laughs += `<!ENTITY l` + string(rune('A'+i)) + ` "` + rep("&l0;", 10) + `">`
	}
	number := func(n int, f func(i string) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(f(rep("x", i%7+1) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26)) + string(rune('a'+i/17576))))
		}
		return b.String()
	}
	bombs := map[string]string{
		"billion laughs":        laughs + `]><a>&lA;</a>`,
		"quadratic blow-up":     `<!DOCTYPE a [<!ENTITY e "` + rep("x", 50_000) + `">]><a>` + rep("&e;", 1000) + `</a>`,
		"100000 deep":           rep("<a>", 100_000) + rep("</a>", 100_000),
		"100000 deep, open":     rep("<a>", 100_000),
		"1 M attributes":        `<a ` + number(1_000_000, func(i string) string { return i + `="" ` }) + `/>`,
		"1 M namespaces":        `<a ` + number(1_000_000, func(i string) string { return "xmlns:" + i + `="urn:x" ` }) + `/>`,
		"10 MiB of text":        `<a>` + rep("x", 10<<20) + `</a>`,
		"1 M siblings":          `<a>` + rep("<b/>", 1_000_000) + `</a>`,
		"5 MiB comment":         `<a><!--` + rep("x", 5<<20) + `--></a>`,
		"50 MiB":                rep(" ", 50<<20) + `<a/>`,
		"1 M of <":              rep("<", 1_000_000),
		"1 M of <!--":           `<a>` + rep("<!--", 1_000_000),
		"namespaces at depth":   rep(`<a xmlns:`+rep("p", 40)+`="urn:x">`, 30) + `<b `,
		"attributes, 60 KB":     `<a ` + number(6000, func(i string) string { return i + `="" ` }) + `/>`,
		"1 MiB of attributes":   `<a ` + number(70_000, func(i string) string { return i + `="" ` }) + `/>`,
		"1 MiB of namespaces":   number(16_000, func(i string) string { return `<a xmlns:` + i + `="urn:x">` }),
		"1 MiB of siblings":     `<a>` + rep("<b/>", 250_000) + `</a>`,
		"1 MiB of references":   `<a>` + rep("&amp;", 200_000) + `<`,
		"1 MiB of CR":           `<a>` + rep("\r", 1_000_000) + `<`,
		"1 MiB of ]":            `<a>` + rep("]", 1_000_000) + `<`,
		"1 MiB of & in a value": `<a b="` + rep("&amp;", 200_000) + `"`,
		"1 MiB of -":            `<a><!--` + rep("- ", 500_000) + `</a>`,
		"1 MiB of <![CDATA[":    `<a>` + rep("<![CDATA[]]>", 80_000) + `</a>`,
	}
	for name, doc := range bombs {
		t.Run(name, func(t *testing.T) {
			for _, most := range []xmlsec.Limits{xmlsec.MessageLimits(), xmlsec.MetadataLimits()} {
				b := []byte(doc)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := time.Now()
				_, err := xmlsec.Parse(b, most)
				took := time.Since(start)
				runtime.ReadMemStats(&after)
				if err == nil {
					t.Fatal("accepted")
				}
				if took > time.Second {
					t.Errorf("took %v", took)
				}
				if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
					t.Errorf("allocated %d bytes", n)
				}
				if len(err.Error()) > 300 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
			}
		})
	}
}

// TestWorstAccepted: what the limits still let through costs little, canonicalization included.
func TestWorstAccepted(t *testing.T) {
	rep := strings.Repeat
	long := strings.ReplaceAll(declarations(120), "urn:x", "urn:"+rep("x", 500))
	for name, doc := range map[string]string{
		"references":            `<a>` + rep("&amp;", 200_000) + `</a>`,
		"line ends":             `<a b="` + rep("\r", 500_000) + `">` + rep("\r", 500_000) + `</a>`,
		"the outermost prefix":  `<a` + long + `>` + rep(`<b p:c=""/>`, 18_000) + `</a>`,
		"many attributes":       `<a` + long + `>` + rep(`<b `+strings.ReplaceAll(declarations(40), " xmlns:", " ")+`/>`, 800) + `</a>`,
		"elements without text": `<a>` + rep("<b></b>", 19_000) + `</a>`,
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			e, err := xmlsec.Parse([]byte(doc), xmlsec.MetadataLimits())
			if err != nil {
				t.Fatal(err)
			}
			n := len(e.Canonical())
			if took := time.Since(start); took > time.Second {
				t.Errorf("took %v for %d canonical bytes", took, n)
			}
		})
	}
}
