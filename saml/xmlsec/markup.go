package xmlsec

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// rawAttr is an attribute or namespace declaration as it stands in a start tag.
type rawAttr struct {
	at                   int
	qname, prefix, local string
	value                string
}

// comment drops the comment at pos (XML 1.0 §2.5). It leaves no trace in the text.
func (p *parser) comment() error {
	at := p.pos
	i := strings.Index(p.src[at+len("<!--"):], "--")
	if i < 0 {
		return p.fail(at, "a comment has no end")
	}
	end := at + len("<!--") + i
	if !strings.HasPrefix(p.src[end:], "-->") {
		return p.fail(end, "-- stands inside a comment")
	}
	if n := len(p.open); n > 0 {
		p.open[n-1].element.split = true
	}
	p.pos = end + len("-->")
	return nil
}

// cdata reads the CDATA section at pos (XML 1.0 §2.7).
func (p *parser) cdata() error {
	at := p.pos
	if len(p.open) == 0 {
		return p.fail(at, "a CDATA section stands outside the root element")
	}
	p.open[len(p.open)-1].element.split = true
	s := p.src[at+len("<![CDATA["):]
	i := strings.Index(s, "]]>")
	if i < 0 {
		return p.fail(at, "a CDATA section has no end")
	}
	p.pos = at + len("<![CDATA[") + i + len("]]>")
	for s = s[:i]; s != ""; {
		i := strings.IndexByte(s, '\r')
		if i < 0 {
			p.add(s)
			break
		}
		p.add(s[:i])
		s = p.lineEnd(s[i:])
	}
	return nil
}

// reference reads the reference at offset at: its replacement and its length. Without a DTD only the five entities of
// XML 1.0 §4.6 exist.
func (p *parser) reference(at int) (string, int, error) {
	const longest = 12 // "&#x0010FFFF;"
	s := p.src[at:min(len(p.src), at+longest)]
	end := strings.IndexByte(s, ';')
	if end < 0 {
		return "", 0, p.fail(at, "& stands alone or before an unknown entity")
	}
	switch name := s[1:end]; name {
	case "amp":
		return "&", end + 1, nil
	case "lt":
		return "<", end + 1, nil
	case "gt":
		return ">", end + 1, nil
	case "quot":
		return `"`, end + 1, nil
	case "apos":
		return "'", end + 1, nil
	default:
		digits, base := strings.TrimPrefix(name, "#"), 10
		if strings.HasPrefix(digits, "x") {
			digits, base = digits[1:], 16
		}
		if !strings.HasPrefix(name, "#") {
			return "", 0, p.fail(at, "the entity %q is not defined", clip(s[:end+1]))
		}
		n, err := strconv.ParseUint(digits, base, 32) // takes neither sign nor, with a base given, underscore
		if err != nil || n > utf8.MaxRune || !isChar(rune(n)) {
			return "", 0, p.fail(at, "%q is not a character that XML allows", clip(s[:end+1]))
		}
		return string(rune(n)), end + 1, nil
	}
}

// qname reads a qualified name at pos (Namespaces §3).
func (p *parser) qname() (qname, prefix, local string, err error) {
	at := p.pos
	local = p.ncname()
	if local != "" && p.next(":") {
		prefix, local = local, p.ncname()
	}
	if local == "" || strings.HasPrefix(p.src[p.pos:], ":") {
		return "", "", "", p.fail(at, "a name is malformed")
	}
	return p.src[at:p.pos], prefix, local, nil
}

// ncname reads as much of a name without colon as stands at pos; nothing if none does.
func (p *parser) ncname() string {
	at := p.pos
	for i, r := range p.src[at:] {
		if !isNamePart(r) || i == 0 && !isNameStart(r) {
			break
		}
		p.pos = at + i + utf8.RuneLen(r)
	}
	return p.src[at:p.pos]
}

// space skips white space and tells if there was any.
func (p *parser) space() bool {
	from := p.pos
	for p.pos < len(p.src) && isSpace(p.src[p.pos]) {
		p.pos++
	}
	return p.pos > from
}

// next tells if s stands at pos, and skips it then.
func (p *parser) next(s string) bool {
	ok := strings.HasPrefix(p.src[p.pos:], s)
	if ok {
		p.pos += len(s)
	}
	return ok
}

func (p *parser) endTag() error {
	at := p.pos
	p.pos += len("</")
	qname, _, _, err := p.qname()
	if err != nil {
		return err
	}
	n := len(p.open)
	switch {
	case n == 0:
		return p.fail(at, "</%s> closes nothing", clip(qname))
	case p.open[n-1].qname != qname:
		return p.fail(at, "</%s> stands where </%s> must", clip(qname), clip(p.open[n-1].qname))
	}
	p.space()
	if !p.next(">") {
		return p.fail(at, "the tag </%s> is malformed", clip(qname))
	}
	p.close()
	return nil
}

// close ends the innermost open element.
func (p *parser) close() {
	p.flush()
	n := len(p.open) - 1
	p.scope = p.scope[:p.open[n].scope]
	p.open = p.open[:n]
}

func (p *parser) startTag() error {
	at := p.pos
	p.pos++
	qname, prefix, local, err := p.qname()
	if err != nil {
		return err
	}
	switch {
	case p.root != nil && len(p.open) == 0:
		return p.fail(at, "a second root element <%s>", clip(qname))
	case len(p.open) >= p.most.Depth:
		return p.fail(at, "elements stand more than %d deep", p.most.Depth)
	}
	empty, err := p.attributes(qname)
	if err != nil {
		return err
	}
	p.slab = append(p.slab, Element{Prefix: prefix})
	e := &p.slab[len(p.slab)-1]
	if len(p.open) > 0 {
		p.flush()
		parent := p.open[len(p.open)-1].element
		parent.nodes = append(parent.nodes, node{element: e})
	} else {
		p.root = e
	}
	p.open = append(p.open, frame{element: e, qname: qname, scope: len(p.scope)})
	if err := p.declare(e); err != nil {
		return err
	}
	uri, ok := lookup(p.scope, prefix)
	switch {
	case prefix == "xml":
		uri = xmlSpace
	case prefix != "" && !ok:
		return p.fail(at, "the prefix %q is not declared", clip(prefix))
	}
	e.Name = Name{uri, local}
	if err := p.resolve(e); err != nil {
		return err
	}
	if empty {
		p.close()
	}
	return nil
}

// attributes reads the rest of a start tag into raw and tells if it was an empty-element tag.
func (p *parser) attributes(element string) (empty bool, err error) {
	p.raw = p.raw[:0]
	for {
		spaced := p.space()
		switch {
		case p.next(">"):
			return false, nil
		case p.next("/>"):
			return true, nil
		case p.pos == len(p.src):
			return false, p.fail(p.pos, "the document ends inside the tag <%s>", clip(element))
		case p.src[p.pos] == '<':
			return false, p.fail(p.pos, "< stands inside the tag <%s>", clip(element))
		case !spaced:
			return false, p.fail(p.pos, "the tag <%s> is malformed", clip(element))
		case len(p.raw) >= p.most.Attributes:
			return false, p.fail(p.pos, "<%s> has more than %d attributes", clip(element), p.most.Attributes)
		}
		a := rawAttr{at: p.pos}
		if a.qname, a.prefix, a.local, err = p.qname(); err != nil {
			return false, err
		}
		for i := range p.raw {
			if p.raw[i].qname == a.qname {
				return false, p.fail(a.at, "<%s> has the attribute %s twice", clip(element), clip(a.qname))
			}
		}
		p.space()
		if !p.next("=") {
			return false, p.fail(p.pos, "the attribute %s has no value", clip(a.qname))
		}
		p.space()
		if a.value, err = p.value(a.qname); err != nil {
			return false, err
		}
		p.raw = append(p.raw, a)
	}
}

// value reads a quoted attribute value and normalizes it as CDATA (XML 1.0 §3.3.3).
func (p *parser) value(attr string) (string, error) {
	if p.pos == len(p.src) || p.src[p.pos] != '"' && p.src[p.pos] != '\'' {
		return "", p.fail(p.pos, "the value of %s is not quoted", clip(attr))
	}
	from := p.pos + 1
	n := strings.IndexByte(p.src[from:], p.src[p.pos])
	if n < 0 {
		return "", p.fail(p.pos, "the value of %s has no end", clip(attr))
	}
	s := p.src[from : from+n]
	p.pos = from + n + 1
	if i := strings.IndexByte(s, '<'); i >= 0 {
		return "", p.fail(from+i, "< stands in the value of %s", clip(attr))
	}
	if !strings.ContainsAny(s, "&\t\r\n") {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case '&':
			r, n, err := p.reference(from + i)
			if err != nil {
				return "", err
			}
			b.WriteString(r)
			i += n
		case '\t', '\n', '\r':
			b.WriteByte(' ')
			if i++; c == '\r' && i < len(s) && s[i] == '\n' { // one line end
				i++
			}
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), nil
}
