package xmlsec_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// FuzzParse: what is read has a canonical form that is read again and is its own canonical form.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`<a/>`,
		"\uFEFF<?xml version='1.0' encoding=\"utf-8\" standalone='no'?>\r\n<!-- c --><a b='1'>&lt;<![CDATA[<]]></a>",
		`<p:a xmlns:p="urn:p" xmlns="urn:d" p:x="&#9;&#x10FFFF;" ID="i"><b xmlns=""/><p:c xmlns:p="urn:q">t</p:c></p:a>`,
		`<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>`,
		`<a xmlns:x="./x"/>`, `<x:y:z/>`, `<a:b xmlns:a=""/>`, `<a :b="1"/>`, `<!x<!-- -->y>`, `<a xmlns:xmlns="u"/>`,
		`<a>x<?y?>z</a>`, `<a ID="1" Id="2"/>`, `<a/><b/>`, "<a>\xFF</a>", `<a b="1"c="2"/>`,
		`<a xml:lang="en" xmlns:xml="http://www.w3.org/XML/1998/namespace" xml:id="n"/>`,
		strings.Replace(request, "@", signatureText, 1),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := xmlsec.Parse(b, xmlsec.MessageLimits())
		if err != nil {
			if e != nil || len(err.Error()) > 400 {
				t.Fatalf("element %v, error %q", e, err)
			}
			return
		}
		c := e.Canonical()
		again, err := xmlsec.Parse(c, xmlsec.Limits{Bytes: len(c), Elements: 1000, Depth: 32, Attributes: 129}) // a prefix each, and that of the element
		if err != nil {
			t.Fatalf("%q has the canonical form %q: %v", b, c, err)
		}
		if d := again.Canonical(); !bytes.Equal(c, d) {
			t.Fatalf("%q has the canonical form %q, and that %q", b, c, d)
		}
		if again.Name != e.Name {
			t.Fatalf("%v became %v", e.Name, again.Name)
		}
		if xmlsec.HasSignature(e) != xmlsec.HasSignature(again) {
			t.Fatal("a signature came or went")
		}
	})
}

// fixedKey is the key of the golden file: fuzz seeds must mean the same in every process.
func fixedKey(t testing.TB) pair {
	block := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		p, _ := pem.Decode(b)
		return p.Bytes
	}
	return pair{must(x509.ParsePKCS8PrivateKey(block("key.pem"))).(crypto.Signer), block("cert.pem")}
}

// FuzzVerify: whatever is done to a signed document, what comes out is what was signed.
func FuzzVerify(f *testing.F) {
	k := fixedKey(f)
	signed := forgery{key: k.key}.make(f)
	bare := strings.Replace(request, "@", "", 1)
	f.Add([]byte(signed))
	f.Add([]byte(bare))
	f.Add([]byte(strings.Replace(signed, "sp.example", "evil.example", 1)))
	f.Add([]byte(strings.Replace(signed, "</ds:Signature>", "<ds:Object>"+bare+"</ds:Object></ds:Signature>", 1)))
	f.Add([]byte(strings.Replace(strings.Replace(request, "_r1", "_evil", 1), "@", signed, 1)))
	f.Add([]byte(strings.Replace(signed, "<ds:DigestValue>", "<ds:DigestValue><!-- -->", 1)))
	f.Add(must(os.ReadFile(filepath.Join("testdata", "response.xml"))))
	w := xmlsec.NewWriter(nil, table())
	writeAssertion(w, "_a1", "ana@example.org")
	w.EndSigned(k.signer())
	f.Add(must(w.Bytes()))
	good := map[string]bool{bare: true}
	for _, doc := range [][]byte{must(w.Bytes())} {
		good[string(must(xmlsec.Verify(parse(f, string(doc)), k.keys())).Canonical())] = true
	}
	if _, err := xmlsec.Verify(parse(f, signed), k.keys()); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		root, err := xmlsec.Parse(b, xmlsec.MessageLimits())
		if err != nil {
			return
		}
		e, err := xmlsec.Verify(root, k.keys())
		if err != nil {
			return
		}
		if c := string(e.Canonical()); !good[c] {
			t.Fatalf("verified: %s", c)
		}
	})
}

// FuzzVerifyDetached: only the octets that were signed verify, by the algorithm they were signed with.
func FuzzVerifyDetached(f *testing.F) {
	k := fixedKey(f)
	sig := signBytes(f, k.key, crypto.SHA256, []byte(query))
	f.Add(rsaSHA256, []byte(query), sig)
	f.Add(ecdsaSHA256, []byte(query), sig)
	f.Add(rsaSHA256, []byte(strings.ToLower(query)), sig)
	f.Add(ds+"rsa-sha1", []byte(query), sig)
	f.Add(rsaSHA256, []byte(query), sig[1:])
	f.Add("", []byte{}, []byte{})
	keys := []crypto.PublicKey{ecKey().key.Public(), k.key.Public()}
	f.Fuzz(func(t *testing.T, alg string, octets, signature []byte) {
		if xmlsec.VerifyDetached(alg, octets, signature, keys) == nil && (alg != rsaSHA256 || string(octets) != query || !bytes.Equal(signature, sig)) {
			t.Fatalf("%s verifies %q", alg, octets)
		}
	})
}

// FuzzWriter: a text is refused or comes out of the parser as it went in.
func FuzzWriter(f *testing.F) {
	for _, s := range []string{"", "x", hardName, "\x00", "\uFFFE", "\xFF", "]]>", "<!--", "\r\n", " "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w := xmlsec.NewWriter(nil, table())
		w.Element("saml", "A", s, "Name", s)
		out, err := w.Bytes()
		if err != nil {
			return
		}
		e, err := xmlsec.Parse(out, xmlsec.AggregateLimits())
		if err != nil {
			t.Fatalf("%q wrote %q: %v", s, out, err)
		}
		if got, err := e.Text(); got != s || err != nil {
			t.Fatalf("%q came out as %q, error %v", s, got, err)
		}
		if got, _ := e.Attr("Name"); got != s {
			t.Fatalf("%q came out of an attribute as %q", s, got)
		}
		if !bytes.Equal(e.Canonical(), out) {
			t.Fatalf("%q wrote %q, canonical %q", s, out, e.Canonical())
		}
	})
}
