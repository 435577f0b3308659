package xmlsec_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// request is an AuthnRequest with @ where its signature goes.
const request = `<samlp:AuthnRequest xmlns:samlp="` + samlp + `" ID="_r1" IssueInstant="2026-11-24T12:00:00Z" Version="2.0">` +
	`<saml:Issuer xmlns:saml="` + saml + `">https://sp.example/meta</saml:Issuer>@` +
	`<samlp:NameIDPolicy AllowCreate="true"></samlp:NameIDPolicy></samlp:AuthnRequest>`

const (
	excC14NAlg   = "http://www.w3.org/2001/10/xml-exc-c14n#"
	envelopedAlg = ds + "enveloped-signature"
	rsaSHA256    = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	ecdsaSHA256  = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
	sha256Alg    = "http://www.w3.org/2001/04/xmlenc#sha256"
)

// signatureText is what a service provider sends, pretty-printed. @D and @V become the digest and the signature.
const signatureText = `<ds:Signature xmlns:ds="` + ds + `">
  <ds:SignedInfo>
    <ds:CanonicalizationMethod Algorithm="` + excC14NAlg + `"/>
    <ds:SignatureMethod Algorithm="` + rsaSHA256 + `"/>
    <ds:Reference URI="#_r1">
      <ds:Transforms>
        <ds:Transform Algorithm="` + envelopedAlg + `"/>
        <ds:Transform Algorithm="` + excC14NAlg + `"/>
      </ds:Transforms>
      <ds:DigestMethod Algorithm="` + sha256Alg + `"/>
      <ds:DigestValue>@D</ds:DigestValue>
    </ds:Reference>
  </ds:SignedInfo>
  <ds:SignatureValue>@V</ds:SignatureValue>
  <ds:KeyInfo><ds:KeyName>ignored</ds:KeyName></ds:KeyInfo>
</ds:Signature>`

// forgery is a document with a signature of any shape, whose cryptography is right: only its shape can be refused.
type forgery struct {
	doc     string   // with @ for the signature; empty: request
	edits   []string // old, new, old, new, … in signatureText before it is made
	later   []string // the same, in the whole document, after
	key     crypto.Signer
	hash    crypto.Hash // 0: SHA-256
	digests string      // the canonical bytes to digest; empty: those of doc
}

func (f forgery) make(t testing.TB) string {
	t.Helper()
	edit := func(s string, edits []string) string {
		for i := 0; i < len(edits); i += 2 {
			if !strings.Contains(s, edits[i]) {
				t.Fatalf("%q is not in %s", edits[i], s)
			}
			s = strings.Replace(s, edits[i], edits[i+1], 1)
		}
		return s
	}
	doc := f.doc
	if doc == "" {
		doc = request
	}
	if f.hash == 0 {
		f.hash = crypto.SHA256
	}
	if f.key == nil {
		f.key = rsaKey().key
	}
	content := f.digests
	if content == "" {
		content = string(parse(t, strings.Replace(doc, "@", "", 1)).Canonical())
	}
	sum := sha256.Sum256([]byte(content))
	text := edit(signatureText, f.edits)
	text = strings.Replace(text, "@D", base64.StdEncoding.EncodeToString(sum[:]), 1)
	doc = strings.Replace(doc, "@", text, 1)
	// The apex of SignedInfo is the same wherever it stands, as it is exclusive.
	info := find(parse(t, strings.Replace(doc, "@V", "AAAA", 1)), "SignedInfo")
	if info == nil {
		t.Fatal("no SignedInfo to sign")
	}
	value := signBytes(t, f.key, f.hash, info.Canonical())
	return edit(strings.Replace(doc, "@V", base64.StdEncoding.EncodeToString(value), 1), f.later)
}

// signBytes signs as XML Signature §6.4 says.
func signBytes(t testing.TB, key crypto.Signer, hash crypto.Hash, b []byte) []byte {
	t.Helper()
	h := hash.New()
	h.Write(b)
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return must(rsa.SignPKCS1v15(rand.Reader, k, hash, h.Sum(nil)))
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, k, h.Sum(nil))
		if err != nil {
			t.Fatal(err)
		}
		return joined(k, r, s)
	}
	t.Fatalf("no signature by %T", key)
	return nil
}

func joined(k *ecdsa.PrivateKey, r, s *big.Int) []byte {
	n := (k.Params().N.BitLen() + 7) / 8
	return append(r.FillBytes(make([]byte, n)), s.FillBytes(make([]byte, n))...)
}

// find returns the first element of that local name.
func find(e *xmlsec.Element, local string) *xmlsec.Element {
	if e.Name.Local == local {
		return e
	}
	for c := range e.All() {
		if found := find(c, local); found != nil {
			return found
		}
	}
	return nil
}
