package xmlsec

import (
	"crypto"
	"crypto/subtle"
	"errors"
	"fmt"
)

// HasSignature tells if a ds:Signature stands anywhere in the document. One that is there must verify: a signature that is
// ignored is a downgrade.
func HasSignature(root *Element) bool { return countSignatures(root) > 0 }

// Verify verifies the one enveloped signature of a document and returns the root element anew, parsed from the very bytes
// that were digested, the Signature gone. Callers read only that.
//
// The signature must be the only one in the document, a child of the root, and refer to the root by its ID, with the
// enveloped-signature transform and then exclusive canonicalization without comments (an InclusiveNamespaces PrefixList is
// honoured), RSA PKCS #1 v1.5 or ECDSA with SHA-256, SHA-384 or SHA-512. keys are exact: the message's KeyInfo is not
// looked at, nor is any certificate's expiry or issuer (SAML V2.0 Metadata Interoperability Profile §2.6.1). A key that
// [CheckKey] refuses counts as absent.
func Verify(root *Element, keys []crypto.PublicKey) (*Element, error) {
	if root.doc == nil {
		return nil, errors.New("only a whole document can be verified")
	}
	s, err := readSignature(root)
	if err != nil {
		return nil, err
	}
	most := disproportion*root.doc.size + 1<<10
	info := canonicalizer{
		inclusive: s.infoList,
		scope:     append(append([]decl(nil), root.decls...), s.element.decls...),
		most:      most,
	}
	if info.element(s.signedInfo); info.err != nil {
		return nil, info.err
	}
	if err := VerifyDetached(s.method, info.out, s.value, keys); err != nil {
		return nil, err
	}
	content := canonicalizer{inclusive: s.list, skip: s.element, most: most}
	if content.element(root); content.err != nil {
		return nil, content.err
	}
	h := s.hash.New()
	if none := h.Sum(nil); subtle.ConstantTimeCompare(none, s.digest) == 1 || len(content.out) == 0 {
		return nil, errors.New("the signature covers nothing")
	}
	h.Write(content.out)
	if subtle.ConstantTimeCompare(h.Sum(nil), s.digest) != 1 {
		return nil, errors.New("what the signature covers was changed")
	}
	signed, err := Parse(content.out, unlimited())
	if err != nil {
		return nil, fmt.Errorf("what the signature covers is not a document: %w", err)
	}
	return signed, nil
}

// disproportion is how many times longer than the document its canonical form may be.
const disproportion = 16
