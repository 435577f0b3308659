// Package keys holds the keys an org signs with and the one key that seals secrets at rest.
//
// A signing key has a life: it is announced before it signs, signs alone, and stays
// published until nothing signed by it is valid any more.
//
//	state      published   signs   ends when
//	next       yes         no      announced long enough, and its turn has come
//	active     yes         yes     a rotation: token keys by time, SAML keys by hand only
//	retiring   yes         no      nothing signed by it can still be valid
//	gone       no record
//
// The map:
//
//	seal.go     the master key, and sealing secrets with it     AES-256-GCM, HKDF (RFC 5869)
//	record.go   making a key: RSA-2048, certificate for SAML    RFC 5280, PKCS #8
//	ring.go     the keys of one org and use, parsed once        JWKS: RFC 7517 §4, §5; RFC 7518 §6.3.1
//	rotate.go   what a rotation, or time alone, would change    pure
//
// Whoever signs gets a crypto.Signer, never a key. A key serves one Use for all its life:
// the two rings of an org share nothing.
package keys
