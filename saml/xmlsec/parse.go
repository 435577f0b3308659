package xmlsec

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// Limits bound what [Parse] looks at. Bytes and Elements are checked before anything is parsed or allocated. A limit of
// zero admits nothing.
type Limits struct {
	Bytes      int // of the whole document
	Elements   int // elements, comments and CDATA sections together
	Depth      int // elements inside each other, the root included
	Attributes int // on one element, namespace declarations included
}

// MessageLimits are for a protocol message, 64 KiB.
func MessageLimits() Limits {
	return Limits{Bytes: 64 << 10, Elements: 1000, Depth: 32, Attributes: 64}
}

// MetadataLimits are for the metadata of one or a few entities, 1 MiB.
func MetadataLimits() Limits {
	return Limits{Bytes: 1 << 20, Elements: 20_000, Depth: 64, Attributes: 128}
}

// AggregateLimits are for the metadata of a federation, 32 MiB.
func AggregateLimits() Limits {
	return Limits{Bytes: 32 << 20, Elements: 1_000_000, Depth: 64, Attributes: 128}
}

// unlimited is for bytes of our own making.
func unlimited() Limits { return Limits{math.MaxInt, math.MaxInt, math.MaxInt, math.MaxInt} }

const (
	maxScope = 256 // namespace declarations in force at one place; look-ups walk them
	maxURI   = 512 // bytes of a namespace URI; canonicalization may repeat it on every element

	xmlSpace   = "http://www.w3.org/XML/1998/namespace"
	xmlnsSpace = "http://www.w3.org/2000/xmlns/"
)

type parser struct {
	src   string // the whole document; names and most texts are pieces of it
	pos   int
	most  Limits
	root  *Element
	open  []frame
	scope []decl              // in force, innermost last
	ids   map[string]struct{} // every ID so far

	slab []Element // elements are cut from here
	raw  []rawAttr // of the start tag being read

	run   string          // text being gathered: one piece of src,
	built strings.Builder // or, if not empty, this
}

// frame is an element whose end tag has not come yet.
type frame struct {
	element *Element
	qname   string
	scope   int // length of scope outside of it
}

// Parse reads a document of a message or of metadata: XML 1.0 with namespaces, in UTF-8. What two readers could
// understand differently is refused: a document type, processing instructions, anything but white space and comments
// outside the one root, undeclared or rebound prefixes, relative namespace URIs, duplicate attributes and duplicate IDs
// (attributes named ID, Id or id, xml:id included), more than one of those on an element, and everything that is not
// well-formed. One byte-order mark and white space before the root may stand. Comments are dropped.
//
// Errors are sentences for an administrator, most with line and column.
func Parse(b []byte, most Limits) (*Element, error) {
	if len(b) > most.Bytes {
		return nil, fmt.Errorf("the document has %d bytes, at most %d are read", len(b), most.Bytes)
	}
	tags := 0
	for i, c := range b {
		if c == '<' && (i+1 == len(b) || b[i+1] != '/') {
			tags++
		}
	}
	if tags > most.Elements {
		return nil, fmt.Errorf("the document has %d elements and comments, at most %d are read", tags, most.Elements)
	}
	if len(b) >= 2 && (b[0] == 0xFE && b[1] == 0xFF || b[0] == 0xFF && b[1] == 0xFE || b[0] == 0 || b[1] == 0) {
		return nil, errors.New("the document is not in UTF-8 (it looks like UTF-16 or UTF-32)")
	}
	p := &parser{src: strings.TrimPrefix(string(b), "\uFEFF"), most: most}
	if i := illegal(p.src); i >= 0 {
		r, n := utf8.DecodeRuneInString(p.src[i:])
		if r == utf8.RuneError && n <= 1 {
			return nil, p.fail(i, "the document is not valid UTF-8")
		}
		return nil, p.fail(i, "the character U+%04X is not allowed in XML", r)
	}
	p.slab = make([]Element, 0, tags)
	if err := p.document(); err != nil {
		return nil, err
	}
	p.root.doc = &document{size: len(p.src)}
	return p.root, nil
}

// fail makes the error for what stands at offset at.
func (p *parser) fail(at int, format string, args ...any) error {
	at = min(at, len(p.src))
	line := 1 + strings.Count(p.src[:at], "\n")
	column := 1 + utf8.RuneCountInString(p.src[strings.LastIndexByte(p.src[:at], '\n')+1:at])
	return fmt.Errorf("line %d, column %d: %s", line, column, fmt.Sprintf(format, args...))
}

func (p *parser) document() error {
	if err := p.declaration(); err != nil {
		return err
	}
	for p.pos < len(p.src) {
		i := strings.IndexByte(p.src[p.pos:], '<')
		if i < 0 {
			i = len(p.src) - p.pos
		}
		if i > 0 {
			if err := p.text(p.pos, p.pos+i); err != nil {
				return err
			}
			p.pos += i
			continue
		}
		if err := p.markup(); err != nil {
			return err
		}
	}
	switch {
	case len(p.open) > 0:
		return p.fail(p.pos, "the document ends inside <%s>", clip(p.open[len(p.open)-1].qname))
	case p.root == nil && blank(p.src):
		return errors.New("the document is empty")
	case p.root == nil:
		return errors.New("the document has no root element")
	}
	return nil
}

// declaration reads the XML declaration, if there is one (XML 1.0 §2.8).
func (p *parser) declaration() error {
	const start = "<?xml"
	if !strings.HasPrefix(p.src, start) || len(p.src) == len(start) || !isSpace(p.src[len(start)]) {
		return nil
	}
	end := strings.Index(p.src, "?>")
	if end < 0 {
		return p.fail(0, "the XML declaration has no end")
	}
	rest := p.src[len(start):end]
	for i, name := range []string{"version", "encoding", "standalone"} {
		value, after, ok := pseudoAttr(rest, name)
		if !ok && i == 0 {
			return p.fail(0, "the XML declaration has no version")
		}
		if !ok {
			continue
		}
		rest = after
		switch {
		case name == "version" && value != "1.0":
			return p.fail(0, "XML version %q is not read, only 1.0", clip(value))
		case name == "encoding" && !strings.EqualFold(value, "UTF-8"):
			return p.fail(0, "the encoding %q is not read, only UTF-8", clip(value))
		case name == "standalone" && value != "yes" && value != "no":
			return p.fail(0, "the XML declaration is malformed")
		}
	}
	if !blank(rest) {
		return p.fail(0, "the XML declaration is malformed")
	}
	p.pos = end + len("?>")
	return nil
}

// pseudoAttr reads ` name="value"` off the front of s.
func pseudoAttr(s, name string) (value, rest string, ok bool) {
	const space = " \t\r\n"
	t := strings.TrimLeft(s, space)
	if len(t) == len(s) || !strings.HasPrefix(t, name) {
		return "", s, false
	}
	t, ok = strings.CutPrefix(strings.TrimLeft(t[len(name):], space), "=")
	t = strings.TrimLeft(t, space)
	if !ok || t == "" || t[0] != '"' && t[0] != '\'' {
		return "", s, false
	}
	i := strings.IndexByte(t[1:], t[0])
	if i < 0 {
		return "", s, false
	}
	return t[1 : 1+i], t[i+2:], true
}

// markup reads what begins with the '<' at pos.
func (p *parser) markup() error {
	at, rest := p.pos, p.src[p.pos:]
	switch {
	case strings.HasPrefix(rest, "</"):
		return p.endTag()
	case strings.HasPrefix(rest, "<!--"):
		return p.comment()
	case strings.HasPrefix(rest, "<![CDATA["):
		return p.cdata()
	case strings.HasPrefix(rest, "<!DOCTYPE"):
		return p.fail(at, "a document type (<!DOCTYPE …>) is not allowed")
	case strings.HasPrefix(rest, "<!"):
		return p.fail(at, "a declaration (<!…>) is not allowed")
	case strings.HasPrefix(rest, "<?xml") && len(rest) > 5 && isSpace(rest[5]) && p.root == nil && blank(p.src[:at]):
		return p.fail(at, "white space stands before the XML declaration")
	case strings.HasPrefix(rest, "<?"):
		return p.fail(at, "a processing instruction (<?…?>) is not allowed")
	}
	return p.startTag()
}

// text reads the character data src[from:to], which holds no '<'.
func (p *parser) text(from, to int) error {
	s := p.src[from:to]
	if len(p.open) == 0 {
		switch {
		case blank(s):
			return nil
		case p.root == nil:
			return p.fail(from+len(s)-len(strings.TrimLeft(s, " \t\r\n")), "text stands before the root element")
		}
		return p.fail(from+len(s)-len(strings.TrimLeft(s, " \t\r\n")), "text stands after the root element")
	}
	// XML 1.0 §2.4: ]]> "MUST, for compatibility, be escaped"
	if i := strings.Index(s, "]]>"); i >= 0 {
		return p.fail(from+i, "]]> stands in text")
	}
	for s != "" {
		i := strings.IndexAny(s, "&\r")
		if i < 0 {
			p.add(s)
			return nil
		}
		p.add(s[:i])
		at := to - len(s) + i
		if s[i] == '\r' {
			s = p.lineEnd(s[i:])
			continue
		}
		r, n, err := p.reference(at)
		if err != nil {
			return err
		}
		p.add(r)
		s = s[i+n:]
	}
	return nil
}

// lineEnd adds the line end that s begins with (XML 1.0 §2.11: CR LF and CR are LF) and returns what follows it.
func (p *parser) lineEnd(s string) string {
	p.add("\n")
	return strings.TrimPrefix(s[1:], "\n")
}

// add appends s to the text being gathered.
func (p *parser) add(s string) {
	switch {
	case s == "":
	case p.built.Len() > 0:
		p.built.WriteString(s)
	case p.run == "":
		p.run = s
	default:
		p.built.WriteString(p.run)
		p.built.WriteString(s)
	}
}

// flush makes the text gathered a child of the innermost open element.
func (p *parser) flush() {
	s := p.run
	if p.built.Len() > 0 {
		s = p.built.String()
		p.built.Reset()
	}
	p.run = ""
	if s != "" {
		e := p.open[len(p.open)-1].element
		e.nodes = append(e.nodes, node{text: s})
	}
}
