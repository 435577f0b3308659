package xmlsec

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Namespace is a prefix and what it stands for.
type Namespace struct{ Prefix, URI string }

// Writer writes one document whose bytes are its own exclusive canonical form: a namespace is declared on the elements
// that first use its prefix and on no other, attributes are in canonical order whatever order they are given in, and
// escaping is canonical. So a digest is taken of the bytes as they stand, and a signature is spliced in by
// [Writer.EndSigned].
//
// A character that XML can not carry (XML 1.0 §2.2; invalid UTF-8) is an error, never replaced: two users must not get
// one NameID. The first error sticks, what is written after it is nothing, and [Writer.Bytes] returns it.
//
// Nobody looks into values: a QName in one (xsi:type="xs:string") must not be written, because exclusive canonicalization
// does not declare its prefix.
type Writer struct {
	out     []byte
	table   []Namespace
	open    []written
	scratch []byte // a signature before it is spliced in
	err     error
}

// written is an element whose end has not been written.
type written struct {
	prefix, local string
	id            string
	start         int    // offset of its '<'
	at            int    // offset for its signature, 0 for none
	inForce       uint64 // namespaces declared on it and around it, by their place in table
	own           uint64 // namespaces declared on it
	borrowed      uint64 // namespaces that it or something in it uses and that are declared around it
}

const (
	maxNamespaces  = 64 // in a Writer's table: bits
	maxWriterAttrs = 16 // on one element
)

// NewWriter makes a writer into the room that buf has, which may be nil. namespaces are all the prefixes that may be
// used, ordered by prefix; there is no default namespace.
func NewWriter(buf []byte, namespaces []Namespace) *Writer {
	w := &Writer{out: buf[:0], table: namespaces, open: make([]written, 0, 16)}
	if len(namespaces) > maxNamespaces {
		w.fail(fmt.Errorf("xmlsec: more than %d namespaces", maxNamespaces))
	}
	for i, n := range namespaces {
		if !isNCName(n.Prefix) || strings.HasPrefix(n.Prefix, "xml") || !isAbsolute(n.URI) || i > 0 && namespaces[i-1].Prefix >= n.Prefix {
			w.fail(fmt.Errorf("xmlsec: namespace %q is malformed or out of order", n.Prefix))
		}
	}
	return w
}

func (w *Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// outAttr is an attribute on its way out.
type outAttr struct{ space, prefix, local, value string }

// Start begins an element. attrs are pairs of name and value; an attribute whose value is empty is left out (Core §1.3.1:
// SAML has no empty strings).
func (w *Writer) Start(prefix, local string, attrs ...string) {
	switch {
	case w.err != nil:
		return
	case len(attrs)%2 != 0 || len(attrs) > 2*maxWriterAttrs:
		w.fail(fmt.Errorf("xmlsec: the attributes of %s are not pairs, or too many", local))
		return
	case len(w.open) == 0 && len(w.out) > 0:
		w.fail(fmt.Errorf("xmlsec: %s would be a second root element", local))
		return
	case !isNCName(local):
		w.fail(fmt.Errorf("xmlsec: %q is no name", clip(local)))
		return
	}
	e := written{prefix: prefix, local: local, start: len(w.out)}
	used := w.bit(prefix)
	var sorted [maxWriterAttrs]outAttr
	list := sorted[:0]
	for i := 0; i < len(attrs); i += 2 {
		if attrs[i+1] == "" {
			continue
		}
		a := w.attr(local, attrs[i], attrs[i+1])
		if a.prefix != "" && a.prefix != "xml" {
			used |= w.bit(a.prefix)
		}
		if a.prefix == "" && a.local == "ID" {
			e.id = a.value
		}
		list = w.insert(list, a)
	}
	var around uint64
	if n := len(w.open); n > 0 {
		around = w.open[n-1].inForce
	}
	e.own = used &^ around
	e.inForce = used | around
	e.borrowed = used & around
	w.out = appendQName(append(w.out, '<'), prefix, local)
	for i, n := range w.table {
		if e.own&(1<<i) != 0 {
			w.out = appendDecl(w.out, n.Prefix, n.URI)
		}
	}
	for _, a := range list {
		w.out = appendQName(append(w.out, ' '), a.prefix, a.local)
		w.out = append(appendValue(append(w.out, `="`...), a.value), '"')
	}
	w.out = append(w.out, '>')
	w.open = append(w.open, e)
}

// bit is the place of prefix in the table.
func (w *Writer) bit(prefix string) uint64 {
	for i := range w.table {
		if w.table[i].Prefix == prefix {
			return 1 << i
		}
	}
	w.fail(fmt.Errorf("xmlsec: the prefix %q is not in the table", clip(prefix)))
	return 0
}

// attr checks the attribute name of element and finds what orders it.
func (w *Writer) attr(element, name, value string) outAttr {
	a := outAttr{local: name, value: value}
	if prefix, local, ok := strings.Cut(name, ":"); ok {
		a.prefix, a.local = prefix, local
		if prefix == "xml" {
			a.space = xmlSpace
		}
		for _, n := range w.table {
			if n.Prefix == prefix {
				a.space = n.URI
			}
		}
	}
	if !isNCName(a.local) || a.prefix == "" && a.local == "xmlns" {
		w.fail(fmt.Errorf("xmlsec: %q is no name of an attribute", clip(name)))
	}
	w.legal(value, element, name)
	return a
}

// insert puts a into list, which is in canonical order (C14N §2.2: by namespace URI, then local name).
func (w *Writer) insert(list []outAttr, a outAttr) []outAttr {
	i := len(list)
	list = append(list, a)
	for ; i > 0; i-- {
		b := &list[i-1]
		if b.space == a.space && b.local == a.local {
			w.fail(fmt.Errorf("xmlsec: the attribute %s is given twice", a.local))
		}
		if b.space < a.space || b.space == a.space && b.local <= a.local {
			break
		}
		list[i] = *b
	}
	list[i] = a
	return list
}

// legal makes an error of a value that XML can not carry. The value itself is somebody's and stays out of the error.
func (w *Writer) legal(value, element, attr string) {
	i := illegal(value)
	if i < 0 {
		return
	}
	where := element
	if attr != "" {
		where += " " + attr
	}
	if r, n := utf8.DecodeRuneInString(value[i:]); r != utf8.RuneError || n > 1 {
		w.fail(fmt.Errorf("xmlsec: the value of %s has the character U+%04X, which XML can not carry", where, r))
		return
	}
	w.fail(fmt.Errorf("xmlsec: the value of %s is not valid UTF-8", where))
}

// Text writes text into the innermost open element.
func (w *Writer) Text(s string) {
	n := len(w.open)
	switch {
	case w.err != nil:
		return
	case n == 0:
		w.fail(errors.New("xmlsec: text outside the root element"))
		return
	}
	w.legal(s, w.open[n-1].local, "")
	w.out = appendText(w.out, s)
}

// Element writes an element that holds only text.
func (w *Writer) Element(prefix, local, text string, attrs ...string) {
	w.Start(prefix, local, attrs...)
	w.Text(text)
	w.End()
}

// End ends the innermost open element.
func (w *Writer) End() { w.end() }

// end ends the innermost open element and returns it, with start 0 and no name if there is none.
func (w *Writer) end() (e written) {
	n := len(w.open) - 1
	switch {
	case w.err != nil:
		return written{}
	case n < 0:
		w.fail(errors.New("xmlsec: an end without a start"))
		return written{}
	}
	e = w.open[n]
	w.out = append(appendQName(append(w.out, '<', '/'), e.prefix, e.local), '>')
	w.open = w.open[:n]
	if n > 0 {
		parent := &w.open[n-1]
		parent.borrowed |= e.borrowed &^ parent.own
	}
	return e
}

// Bytes returns the document. It is an error if something is still open, or was wrong on the way.
func (w *Writer) Bytes() ([]byte, error) {
	switch {
	case w.err != nil:
		return nil, w.err
	case len(w.open) > 0:
		return nil, fmt.Errorf("xmlsec: %s is not ended", w.open[len(w.open)-1].local)
	case len(w.out) == 0:
		return nil, errors.New("xmlsec: nothing was written")
	}
	return w.out, nil
}
