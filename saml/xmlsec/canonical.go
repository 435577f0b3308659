package xmlsec

import (
	"cmp"
	"errors"
	"math"
	"slices"
)

// Canonical returns the exclusive canonical form of e and all it contains, without comments and with an empty
// InclusiveNamespaces PrefixList.
func (e *Element) Canonical() []byte {
	c := canonicalizer{most: math.MaxInt}
	c.element(e)
	return c.out
}

// errLarge stops a canonicalization whose output outgrows its input: namespace declarations are repeated wherever they
// are used, which the author of the input chooses.
var errLarge = errors.New("the canonical form is out of proportion")

// canonicalizer writes a subtree as Exclusive XML Canonicalization 1.0 §3 says.
type canonicalizer struct {
	out       []byte
	skip      *Element // left out: the enveloped signature
	inclusive []string // prefixes of the InclusiveNamespaces PrefixList, "" for #default
	scope     []decl   // in force, kept only if inclusive is not empty
	rendered  []decl   // in force in the output
	attrs     []*Attr
	most      int // bytes of out
	err       error
}

func (c *canonicalizer) element(e *Element) {
	if c.err != nil {
		return
	}
	if len(c.out) > c.most {
		c.err = errLarge
		return
	}
	scope, rendered := len(c.scope), len(c.rendered)
	c.out = appendQName(append(c.out, '<'), e.Prefix, e.Name.Local)
	c.namespaces(e)
	c.attributes(e)
	c.out = append(c.out, '>')
	for i := range e.nodes {
		switch n := &e.nodes[i]; {
		case n.element == nil:
			c.out = appendText(c.out, n.text)
		case n.element != c.skip:
			c.element(n.element)
		}
	}
	c.out = append(appendQName(append(c.out, '<', '/'), e.Prefix, e.Name.Local), '>')
	c.scope, c.rendered = c.scope[:scope], c.rendered[:rendered]
}

// namespaces renders the namespaces that e visibly utilizes, and those of the PrefixList that are in force, where the
// output does not have them yet, in the order of their prefixes.
func (c *canonicalizer) namespaces(e *Element) {
	from := len(c.rendered)
	c.use(e.Prefix, e.Name.Space)
	for i := range e.Attrs {
		if a := &e.Attrs[i]; a.Prefix != "" {
			c.use(a.Prefix, a.Name.Space)
		}
	}
	if len(c.inclusive) > 0 {
		c.scope = append(c.scope, e.decls...)
		for _, prefix := range c.inclusive {
			if uri, ok := lookup(c.scope, prefix); ok {
				c.use(prefix, uri)
			}
		}
	}
	fresh := c.rendered[from:]
	slices.SortFunc(fresh, func(a, b decl) int { return cmp.Compare(a.prefix, b.prefix) })
	for _, d := range fresh {
		c.out = appendDecl(c.out, d.prefix, d.uri)
	}
}

func (c *canonicalizer) use(prefix, uri string) {
	if prefix == "xml" {
		return
	}
	// What nothing declares has no URI, which is what the default namespace is at the apex.
	if have, _ := lookup(c.rendered, prefix); have != uri {
		c.rendered = append(c.rendered, decl{prefix, uri})
	}
}

// attributes renders the attributes, ordered by namespace URI and then local name.
func (c *canonicalizer) attributes(e *Element) {
	c.attrs = c.attrs[:0]
	for i := range e.Attrs {
		c.attrs = append(c.attrs, &e.Attrs[i])
	}
	slices.SortFunc(c.attrs, func(a, b *Attr) int {
		return cmp.Or(cmp.Compare(a.Name.Space, b.Name.Space), cmp.Compare(a.Name.Local, b.Name.Local))
	})
	for _, a := range c.attrs {
		c.out = appendQName(append(c.out, ' '), a.Prefix, a.Name.Local)
		c.out = append(appendValue(append(c.out, `="`...), a.Value), '"')
	}
}
