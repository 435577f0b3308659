// Package xmlsec is the XML ground of SAML: it reads messages and metadata of strangers into a tree that can mean only
// one thing, says which element a signature covers, and writes documents whose bytes are what gets signed.
//
//	Parse             parse.go, markup.go, chars.go   XML 1.0, Namespaces 1.0, without DTD and processing instructions
//	Element           element.go                      the tree, read only
//	Canonical         canonical.go                    Exclusive XML Canonicalization 1.0 (exc-c14n)
//	Verify            verify.go, shape.go             XML Signature 1.1; SAML Core §5.4
//	VerifyDetached    algorithm.go                    SAML Bindings §3.4.4.1
//	CheckKey          algorithm.go                    which keys count at all
//	Writer            writer.go, escape.go            canonical bytes, no tree
//	Writer.EndSigned  sign.go                         an enveloped signature, spliced in
//
// # Why there is a parser here
//
// Signature wrapping, comment truncation and "void canonicalization" all live in the gap between two readings of the same
// bytes: the one that was verified and the one that was used. So there is one parser, one tree and one canonicalizer, and
// [Verify] hands back a tree made anew from the very bytes it digested. encoding/xml does not normalize attribute values
// and lets through duplicate attributes, second roots, undeclared prefixes and document types, so anything built on it needs
// a second reader in front of it, which is the gap again. XML without DTD is small enough to be read right: this parser
// refuses more than a conforming one and, as the tests hold against libxml2, never accepts what a conforming one refuses.
//
// # Why goxmldsig does not verify
//
// It reads ECDSA signatures as ASN.1 where XML Signature §6.4.3 says r‖s, picks the key by the KeyInfo of the message,
// finds a Signature anywhere in the tree, accepts SHA-1, several References and inclusive canonicalization, and its
// canonicalizer errs where attributes of two prefixes meet, where xmlns="" stands and in the white space of values. Driving
// it safely takes the whole of shape.go before it and a rewritten message in its hands; what it would still contribute, a
// digest and a call into crypto/rsa, is the small part. It is the second opinion of the tests instead, together with
// xmlsec1: both must accept what this package signs, and this package must accept what they sign.
package xmlsec
