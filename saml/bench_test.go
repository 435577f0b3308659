package saml_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/saml"
)

// BenchmarkRawSignature is the unit in which DESIGN.md §6 counts.
func BenchmarkRawSignature(b *testing.B) {
	w := newWorld(b, storetest.SQLite)
	k := must(must(w.ring.Active()).Signer())
	sum := sha256.Sum256([]byte("x"))
	for b.Loop() {
		must(k.Sign(rand.Reader, sum[:], crypto.SHA256))
	}
}

// BenchmarkResponse is a whole answer: Redirect in, ladder, one transaction, document, page.
func BenchmarkResponse(b *testing.B) {
	for _, s := range signings[:3] {
		b.Run(s.name, func(b *testing.B) {
			w := newWorld(b, storetest.SQLite)
			w.change(b, "A", func(sp *saml.ServiceProvider) { sp.SignResponse, sp.SignAssertion = s.response, s.assertion })
			br := w.at(w.ana())
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				target := redirect(w.request(spA).String())
				b.StartTimer()
				if a := br.get(target); a.status != 200 {
					b.Fatal(a.status)
				}
			}
		})
	}
}
