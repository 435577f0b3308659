package xmlsec

import (
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const dsig = "http://www.w3.org/2000/09/xmldsig#"

// signature is a ds:Signature that says exactly what a SAML signature says (Core §5.4).
type signature struct {
	element    *Element
	signedInfo *Element
	method     string   // SignatureMethod
	infoList   []string // PrefixList of the CanonicalizationMethod
	list       []string // PrefixList of the exclusive canonicalization transform
	hash       crypto.Hash
	digest     []byte
	value      []byte
}

// readSignature reads the one signature of root. Anything that is not the one expected shape is an error; nothing has been
// digested or verified by then.
func readSignature(root *Element) (*signature, error) {
	switch n := countSignatures(root); {
	case n == 0:
		return nil, errors.New("the document is not signed")
	case n > 1:
		return nil, fmt.Errorf("the document holds %d signatures, one is expected", n)
	}
	e := root.Child(Name{dsig, "Signature"})
	if e == nil {
		return nil, errors.New("the signature is not a child of the root element")
	}
	if split(e) {
		return nil, errors.New("a comment or a CDATA section stands inside the signature")
	}
	s := &signature{element: e}
	// Object and whatever else is left out of Core §5.4.5 would be a place to hide things in.
	children, err := sequence(e, "SignedInfo", "SignatureValue", "KeyInfo?")
	if err != nil {
		return nil, err
	}
	if err := attributes(e, "Id?"); err != nil {
		return nil, err
	}
	s.signedInfo = children[0]
	if s.value, err = base64Leaf(children[1]); err != nil {
		return nil, err
	}
	if err := attributes(children[1], "Id?"); err != nil {
		return nil, err
	}
	return s, s.readSignedInfo(root)
}

func (s *signature) readSignedInfo(root *Element) error {
	if err := attributes(s.signedInfo, "Id?"); err != nil {
		return err
	}
	children, err := sequence(s.signedInfo, "CanonicalizationMethod", "SignatureMethod", "Reference")
	if err != nil {
		return err
	}
	if s.infoList, err = exclusive(children[0]); err != nil {
		return err
	}
	if s.method, err = algorithm(children[1]); err != nil {
		return err
	}
	if _, err := sequence(children[1]); err != nil { // an HMACOutputLength, for one
		return err
	}
	return s.readReference(children[2], root)
}

func (s *signature) readReference(ref, root *Element) error {
	if err := attributes(ref, "URI", "Id?"); err != nil {
		return err
	}
	// Core §5.4.2: "Signatures MUST contain a single <ds:Reference> containing a same-document reference to the ID
	// attribute value of the root element"
	id, _ := root.Attr("ID")
	if uri, _ := ref.Attr("URI"); id == "" || uri != "#"+id {
		return errors.New("the signature does not refer to the root element by its ID")
	}
	children, err := sequence(ref, "Transforms", "DigestMethod", "DigestValue")
	if err != nil {
		return err
	}
	if err := attributes(children[0]); err != nil {
		return err
	}
	// Core §5.4.4: no transforms other than "the enveloped signature transform … or the exclusive canonicalization transforms"
	transforms, err := sequence(children[0], "Transform", "Transform")
	if err != nil {
		return err
	}
	switch alg, err := algorithm(transforms[0]); {
	case err != nil:
		return err
	case alg != algEnveloped:
		return fmt.Errorf("the first transform is %q, it must be the enveloped signature", clip(alg))
	}
	if _, err := sequence(transforms[0]); err != nil {
		return err
	}
	if s.list, err = exclusive(transforms[1]); err != nil {
		return err
	}
	alg, err := algorithm(children[1])
	if err != nil {
		return err
	}
	if s.hash, err = hashOf(alg); err != nil {
		return err
	}
	if _, err := sequence(children[1]); err != nil {
		return err
	}
	if err := attributes(children[2]); err != nil {
		return err
	}
	if s.digest, err = base64Leaf(children[2]); err != nil {
		return err
	}
	if len(s.digest) != s.hash.Size() {
		return errors.New("the digest has the wrong length")
	}
	return nil
}

// countSignatures counts the ds:Signature elements of a subtree.
func countSignatures(e *Element) int {
	n := 0
	if e.Name == (Name{dsig, "Signature"}) {
		n++
	}
	for c := range e.All() {
		n += countSignatures(c)
	}
	return n
}

// split tells if a comment or a CDATA section stood anywhere in a subtree.
func split(e *Element) bool {
	if e.split {
		return true
	}
	for c := range e.All() {
		if split(c) {
			return true
		}
	}
	return false
}

// sequence returns the child elements of e if they are exactly the ds elements named, in that order. A name that ends in
// "?" may be missing.
func sequence(e *Element, names ...string) ([]*Element, error) {
	if err := e.structural(); err != nil {
		return nil, err
	}
	children := slices.Collect(e.All())
	i := 0
	for _, name := range names {
		name, optional := strings.CutSuffix(name, "?")
		switch {
		case i < len(children) && children[i].Name == Name{dsig, name}:
			i++
		case !optional:
			return nil, fmt.Errorf("<%s> in the signature has no <%s> where it must be", clip(e.Name.Local), name)
		}
	}
	if i < len(children) {
		return nil, fmt.Errorf("<%s> in the signature has a <%s> that does not belong there", clip(e.Name.Local), clip(children[i].Name.Local))
	}
	return children, nil
}

// attributes returns an error unless e has exactly the attributes named, in no namespace. A name that ends in "?" may be
// missing.
func attributes(e *Element, names ...string) error {
	n := 0
	for _, name := range names {
		name, optional := strings.CutSuffix(name, "?")
		switch _, ok := e.Attr(name); {
		case ok:
			n++
		case !optional:
			return fmt.Errorf("<%s> in the signature has no %s", clip(e.Name.Local), name)
		}
	}
	if n != len(e.Attrs) {
		return fmt.Errorf("<%s> in the signature has an attribute that does not belong there", clip(e.Name.Local))
	}
	return nil
}

// algorithm returns the Algorithm of e, its only attribute.
func algorithm(e *Element) (string, error) {
	uri, _ := e.Attr("Algorithm")
	return uri, attributes(e, "Algorithm")
}

// exclusive reads an element whose algorithm must be exclusive canonicalization without comments, and returns the
// prefixes of its InclusiveNamespaces PrefixList (exc-c14n §4), "" for #default. OpenSAML sends such lists.
func exclusive(e *Element) ([]string, error) {
	switch alg, err := algorithm(e); {
	case err != nil:
		return nil, err
	case alg != algExcC14N:
		return nil, fmt.Errorf("the canonicalization %q is not accepted, only exclusive without comments", clip(alg))
	}
	list := e.Child(Name{algExcC14N, "InclusiveNamespaces"})
	if list == nil {
		_, err := sequence(e)
		return nil, err
	}
	if len(slices.Collect(e.All())) != 1 || len(list.nodes) != 0 || e.structural() != nil {
		return nil, errors.New("the canonicalization holds what does not belong there")
	}
	if err := attributes(list, "PrefixList"); err != nil {
		return nil, err
	}
	value, _ := list.Attr("PrefixList")
	prefixes := strings.Fields(value)
	if len(prefixes) > maxPrefixes {
		return nil, fmt.Errorf("the PrefixList has more than %d prefixes", maxPrefixes)
	}
	for i, p := range prefixes {
		switch {
		case p == "#default":
			prefixes[i] = ""
		case !isNCName(p):
			return nil, errors.New("the PrefixList is malformed")
		}
	}
	return prefixes, nil
}

const maxPrefixes = 32

// base64Leaf decodes the text of e. Line breaks may stand in it, as xmlsec1 and Java write them, but nothing else, and
// the last character has no stray bits.
func base64Leaf(e *Element) ([]byte, error) {
	text, err := e.Text()
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("<%s> is not base64", clip(e.Name.Local))
	}
	return b, nil
}
