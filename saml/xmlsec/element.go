package xmlsec

import (
	"fmt"
	"iter"
)

// Name is an expanded name: a namespace URI, empty for none, and a local part.
type Name struct{ Space, Local string }

// Attr is one attribute. Namespace declarations are not attributes.
type Attr struct {
	Name   Name
	Prefix string
	Value  string // normalized (XML 1.0 §3.3.3), references replaced
}

// Element is one element of a document that [Parse] accepted. Nobody changes it.
type Element struct {
	Name   Name
	Prefix string
	Attrs  []Attr // in document order

	decls []decl    // namespaces declared on this very element
	nodes []node    // children in document order; no two texts stand side by side
	split bool      // a comment or a CDATA section stood directly in this element
	doc   *document // of the root only
}

// document is what only the root knows.
type document struct{ size int }

// node is a child: an element, or a text if there is none.
type node struct {
	element *Element
	text    string
}

// decl is one namespace declaration; an empty uri undeclares the default namespace.
type decl struct{ prefix, uri string }

// Attr returns the value of the attribute of that name in no namespace.
func (e *Element) Attr(local string) (value string, ok bool) {
	return e.AttrIn("", local)
}

// AttrIn returns the value of the attribute of that name in that namespace.
func (e *Element) AttrIn(space, local string) (value string, ok bool) {
	for i := range e.Attrs {
		if a := &e.Attrs[i]; a.Name.Local == local && a.Name.Space == space {
			return a.Value, true
		}
	}
	return "", false
}

// All yields the child elements in document order.
func (e *Element) All() iter.Seq[*Element] {
	return func(yield func(*Element) bool) {
		for i := range e.nodes {
			if c := e.nodes[i].element; c != nil && !yield(c) {
				return
			}
		}
	}
}

// Children returns the child elements of that name in document order.
func (e *Element) Children(name Name) []*Element {
	var found []*Element
	for c := range e.All() {
		if c.Name == name {
			found = append(found, c)
		}
	}
	return found
}

// Child returns the first child element of that name, nil if there is none. Where a second one would change the meaning,
// ask [Element.Only].
func (e *Element) Child(name Name) *Element {
	for c := range e.All() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Only returns the child element of that name, nil if there is none, and an error if there are several.
func (e *Element) Only(name Name) (*Element, error) {
	var only *Element
	for c := range e.All() {
		if c.Name != name {
			continue
		}
		if only != nil {
			return nil, fmt.Errorf("<%s> has more than one <%s>", clip(e.Name.Local), clip(name.Local))
		}
		only = c
	}
	return only, nil
}

// Text returns the whole text of an element without child elements, white space included. Comments and CDATA sections
// never split it. An element that has child elements has no text: that is an error.
func (e *Element) Text() (string, error) {
	switch {
	case len(e.nodes) == 0:
		return "", nil
	case len(e.nodes) == 1 && e.nodes[0].element == nil:
		return e.nodes[0].text, nil
	}
	return "", fmt.Errorf("<%s> has elements where only text may stand", clip(e.Name.Local))
}

// structural returns an error if a text other than white space stands between the children of e.
func (e *Element) structural() error {
	for i := range e.nodes {
		if n := &e.nodes[i]; n.element == nil && !blank(n.text) {
			return fmt.Errorf("<%s> has text where only elements may stand", clip(e.Name.Local))
		}
	}
	return nil
}

// qname is the name as it was written.
func (e *Element) qname() string {
	if e.Prefix == "" {
		return e.Name.Local
	}
	return e.Prefix + ":" + e.Name.Local
}
