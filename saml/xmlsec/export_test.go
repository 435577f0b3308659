package xmlsec

import "math"

// CanonicalWith is the exclusive canonical form of e with an InclusiveNamespaces PrefixList ("" for #default). around are
// the elements that e stands in, outermost first; it is their declarations that the list may bring in.
func CanonicalWith(e *Element, prefixes []string, around ...*Element) []byte {
	c := canonicalizer{inclusive: prefixes, most: math.MaxInt}
	for _, a := range around {
		c.scope = append(c.scope, a.decls...)
	}
	c.element(e)
	return c.out
}
