package keys_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/lanyard-sso/lanyard/keys"
)

// BenchmarkRawSignature is the unit that costs are counted in: one bare RSA-2048 signature.
func BenchmarkRawSignature(b *testing.B) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("x"))
	for b.Loop() {
		if _, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSign is the same through Active and Signer, as every token pays it.
func BenchmarkSign(b *testing.B) {
	r := ring(b, oidcKeys())
	digest := sha256.Sum256([]byte("x"))
	for b.Loop() {
		k, err := r.Active()
		if err != nil {
			b.Fatal(err)
		}
		signer, err := k.Signer()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := signer.Sign(nil, digest[:], crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNewRing is what a node pays when the keys have changed.
func BenchmarkNewRing(b *testing.B) {
	s := sealer(b)
	for b.Loop() {
		if _, err := keys.NewRing(s, oidcKeys()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnseal is NewRing and opening and parsing the active key, once a ring.
func BenchmarkUnseal(b *testing.B) {
	s := sealer(b)
	for b.Loop() {
		r, err := keys.NewRing(s, oidcKeys())
		if err != nil {
			b.Fatal(err)
		}
		k, err := r.Active()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := k.Signer(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen is what a sealed client secret costs to compare.
func BenchmarkOpen(b *testing.B) {
	s := sealer(b)
	sealed := s.Seal("app/default/1/secret", make([]byte, 43))
	for b.Loop() {
		if _, err := s.Open("app/default/1/secret", sealed); err != nil {
			b.Fatal(err)
		}
	}
}
