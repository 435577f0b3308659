package xmlsec_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// BenchmarkRawSignature is the unit that DESIGN.md §6 counts in.
func BenchmarkRawSignature(b *testing.B) {
	sum := sha256.Sum256([]byte("x"))
	key := rsaKey().key
	for b.Loop() {
		if _, err := key.Sign(rand.Reader, sum[:], crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkResponse(b *testing.B, k xmlsec.Signer, assertion, response bool) {
	b.ReportAllocs()
	buf := make([]byte, 0, 16<<10)
	for b.Loop() {
		w := xmlsec.NewWriter(buf, table())
		writeResponse(w, "ana@example.org", k, assertion, response)
		if _, err := w.Bytes(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B)         { benchmarkResponse(b, xmlsec.Signer{}, false, false) }
func BenchmarkWriteSign(b *testing.B)     { benchmarkResponse(b, rsaKey().signer(), true, false) }
func BenchmarkWriteSignBoth(b *testing.B) { benchmarkResponse(b, rsaKey().signer(), true, true) }

// BenchmarkWriteSignFree has a signer that costs nothing: what remains is the price of the XML.
func BenchmarkWriteSignFree(b *testing.B) {
	benchmarkResponse(b, xmlsec.Signer{Signer: free{rsaKey().key.Public()}, Certificate: rsaKey().cert}, true, false)
}

func BenchmarkParse2kB(b *testing.B) {
	doc := []byte(strings.Replace(request, "@", signatureText+strings.Repeat("<samlp:x y=\"1\">z</samlp:x>", 20), 1))
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := xmlsec.Parse(doc, xmlsec.MessageLimits()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	root, keys := parse(b, forgery{}.make(b)), rsaKey().keys()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := xmlsec.Verify(root, keys); err != nil {
			b.Fatal(err)
		}
	}
}
