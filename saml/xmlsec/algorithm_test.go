package xmlsec_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

const query = "SAMLRequest=fZJBT%2bMwEIX&RelayState=a%20b&SigAlg=http%3a%2f%2fwww.w3.org%2f2001%2f04%2fxmldsig-more%23rsa-sha256"

// TestVerifyDetached: SAML-SIG-04, -06 and -07: the octets as sent, an algorithm on the list, a key of its kind.
func TestVerifyDetached(t *testing.T) {
	rsaSig := signBytes(t, rsaKey().key, crypto.SHA256, []byte(query))
	ecSig := signBytes(t, ecKey().key, crypto.SHA256, []byte(query))
	cert := rsaKey().cert
	both := []crypto.PublicKey{ecKey().key.Public(), otherKey().key.Public(), rsaKey().key.Public()}
	tests := []struct {
		name, alg, octets string
		sig               []byte
		keys              []crypto.PublicKey
		want              string // empty: accepted
	}{
		{"RSA", rsaSHA256, query, rsaSig, both, ""},
		{"ECDSA", ecdsaSHA256, query, ecSig, both, ""},
		{"RSA-SHA512", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", query, signBytes(t, rsaKey().key, crypto.SHA512, []byte(query)), both, ""},
		{"SAML-SIG-06 other encoding", rsaSHA256, strings.ReplaceAll(query, "%2f", "%2F"), rsaSig, both, "changed"},
		{"SAML-SIG-06 other order", rsaSHA256, query[strings.Index(query, "&")+1:] + "&" + query[:strings.Index(query, "&")], rsaSig, both, "changed"},
		{"SAML-SIG-07 RelayState replaced", rsaSHA256, strings.Replace(query, "a%20b", "c", 1), rsaSig, both, "changed"},
		{"SAML-SIG-07 RelayState removed", rsaSHA256, strings.Replace(query, "RelayState=a%20b&", "", 1), rsaSig, both, "changed"},
		{"SAML-SIG-07 RelayState emptied", rsaSHA256, strings.Replace(query, "a%20b", "", 1), rsaSig, both, "changed"},
		{"SAML-SIG-02 empty signature", rsaSHA256, query, nil, both, "changed"},
		{"SAML-SIG-04 empty algorithm", "", query, rsaSig, both, "not accepted"},
		{"SAML-SIG-04 rsa-sha1", ds + "rsa-sha1", query, rsaSig, both, "not accepted"},
		{"SAML-SIG-04 hmac-sha256 keyed with the certificate", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", query, cert, both, "not accepted"},
		{"SAML-SIG-04 another fragment", rsaSHA256 + "#", query, rsaSig, both, "not accepted"},
		{"SAML-SIG-04 ecdsa with an RSA key", ecdsaSHA256, query, rsaSig, rsaKey().keys(), "no key"},
		{"SAML-SIG-04 rsa with an EC key", rsaSHA256, query, rsaSig, ecKey().keys(), "no key"},
		{"SAML-SIG-15 another key", rsaSHA256, query, rsaSig, otherKey().keys(), "another key"},
		{"no keys", rsaSHA256, query, rsaSig, nil, "no key"},
		{"short ECDSA", ecdsaSHA256, query, ecSig[:63], both, "another key"},
		{"ECDSA with a tail", ecdsaSHA256, query, append(slices.Clone(ecSig), 0), both, "another key"},
		{"ECDSA of zeros", ecdsaSHA256, query, make([]byte, 64), both, "another key"},
		{"ECDSA padded", ecdsaSHA256, query, slices.Concat([]byte{0}, ecSig[:32], []byte{0}, ecSig[32:]), both, "another key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := xmlsec.VerifyDetached(tt.alg, []byte(tt.octets), tt.sig, tt.keys)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestCheckKey: SAML-MD-06; none of these may panic, and none verifies anything.
func TestCheckKey(t *testing.T) {
	one := big.NewInt(1)
	good := rsaKey().key.Public().(*rsa.PublicKey)
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224 := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	p256 := ecKey().key.Public().(*ecdsa.PublicKey)
	rsaOf := func(bits uint, e int) *rsa.PublicKey {
		return &rsa.PublicKey{N: new(big.Int).Add(new(big.Int).Lsh(one, bits-1), one), E: e}
	}
	tests := []struct {
		name, want string
		key        crypto.PublicKey
	}{
		{"RSA 2048", "", good},
		{"RSA 4096", "", rsaOf(4096, 65537)},
		{"RSA 8192", "", rsaOf(8192, 3)},
		{"P-256", "", p256},
		{"P-521", "", must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)).Public()},
		{"RSA 512", "512 bits", rsaOf(512, 65537)},
		{"RSA 1024", "1024 bits", rsaOf(1024, 65537)},
		{"RSA 2047", "2047 bits", rsaOf(2047, 65537)},
		{"RSA 8193", "8193 bits", rsaOf(8193, 65537)},
		{"e = 1", "malformed", rsaOf(2048, 1)},
		{"e = 0", "malformed", rsaOf(2048, 0)},
		{"e even", "malformed", rsaOf(2048, 65536)},
		{"e negative", "malformed", rsaOf(2048, -3)},
		{"even modulus", "malformed", &rsa.PublicKey{N: new(big.Int).Lsh(one, 2047), E: 65537}},
		{"P-224", "curve", p224.Public()},
		{"point not on the curve", "malformed", &ecdsa.PublicKey{Curve: elliptic.P256(), X: one, Y: one}}, //nolint:staticcheck // as bad as it can be made
		{"Ed25519", "not accepted", ed},
		{"nothing", "not accepted", nil},
		{"private", "not accepted", rsaKey().key},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := xmlsec.CheckKey(tt.key)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			for _, alg := range []string{rsaSHA256, ecdsaSHA256} {
				if xmlsec.VerifyDetached(alg, []byte("x"), make([]byte, 64), []crypto.PublicKey{tt.key}) == nil {
					t.Error("verifies rubbish")
				}
			}
		})
	}
	// A short key is refused although its signature is good.
	short := must(rsa.GenerateKey(rand.Reader, 1024))
	if xmlsec.VerifyDetached(rsaSHA256, []byte(query), signBytes(t, short, crypto.SHA256, []byte(query)), []crypto.PublicKey{short.Public()}) == nil {
		t.Error("a signature by 1024 bits is accepted")
	}
}
