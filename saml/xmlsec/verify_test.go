package xmlsec_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// signedContent is the canonical form of what request says.
func signedContent() string { return strings.Replace(request, "@", "", 1) }

// TestVerifyAccepts: P2, P3 and what real signers write.
func TestVerifyAccepts(t *testing.T) {
	wrapped := func(eol string) []string { // SignatureValue as xmlsec1 and Java write it
		return []string{"<ds:SignatureValue>", "<ds:SignatureValue>" + eol}
	}
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	p521 := must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	ec := func(alg string) []string { return []string{rsaSHA256, alg} }
	tests := []struct {
		name string
		f    forgery
	}{
		{"as it is", forgery{}},
		{"LF in SignatureValue", forgery{later: wrapped("\n")}},
		{"CR LF in SignatureValue", forgery{later: wrapped("&#13;\n")}},
		{"Ids", forgery{edits: []string{"<ds:SignedInfo>", `<ds:SignedInfo Id="i">`, "<ds:SignatureValue>", `<ds:SignatureValue Id="v">`, "<ds:Reference", `<ds:Reference Id="r"`}}},
		{"no KeyInfo", forgery{edits: []string{"<ds:KeyInfo><ds:KeyName>ignored</ds:KeyName></ds:KeyInfo>", ""}}},
		{"another prefix", forgery{doc: strings.NewReplacer("samlp:", "p:", ":samlp=", ":p=").Replace(request)}},
		{"RSA-SHA384", forgery{edits: ec("http://www.w3.org/2001/04/xmldsig-more#rsa-sha384"), hash: crypto.SHA384}},
		{"RSA-SHA512", forgery{edits: ec("http://www.w3.org/2001/04/xmldsig-more#rsa-sha512"), hash: crypto.SHA512}},
		{"ECDSA P-256", forgery{edits: ec(ecdsaSHA256), key: ecKey().key}},
		{"ECDSA P-384", forgery{edits: ec("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"), key: p384, hash: crypto.SHA384}},
		{"ECDSA P-521", forgery{edits: ec("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512"), key: p521, hash: crypto.SHA512}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc := tt.f.make(t)
			key := tt.f.key
			if key == nil {
				key = rsaKey().key
			}
			// Other keys stand before the right one: of other kinds, too short, and another of the same kind.
			keys := []crypto.PublicKey{otherKey().key.Public(), ecKey().key.Public(), p384.Public(), "no key", key.Public()}
			e, err := xmlsec.Verify(parse(t, doc), keys)
			if err != nil {
				t.Fatal(err)
			}
			want := signedContent()
			if tt.f.doc != "" {
				want = strings.Replace(tt.f.doc, "@", "", 1)
			}
			if got := string(e.Canonical()); got != want {
				t.Errorf("returned %s", got)
			}
			if xmlsec.HasSignature(e) || !xmlsec.HasSignature(parse(t, doc)) {
				t.Error("HasSignature is wrong")
			}
		})
	}
}

// TestVerifyECDSAIsNotASN1: XML Signature §6.4.3; a DER signature, as crypto.Signer makes, is not one.
func TestVerifyECDSAIsNotASN1(t *testing.T) {
	f := forgery{edits: []string{rsaSHA256, ecdsaSHA256}, key: ecKey().key}
	doc := f.make(t)
	info := sha256.Sum256(find(parse(t, doc), "SignedInfo").Canonical())
	der := must(ecKey().key.Sign(rand.Reader, info[:], crypto.SHA256))
	a, b := strings.Index(doc, "<ds:SignatureValue>")+len("<ds:SignatureValue>"), strings.Index(doc, "</ds:SignatureValue>")
	if _, err := xmlsec.Verify(parse(t, doc), ecKey().keys()); err != nil {
		t.Fatal(err)
	}
	doc = doc[:a] + base64.StdEncoding.EncodeToString(der) + doc[b:]
	if _, err := xmlsec.Verify(parse(t, doc), ecKey().keys()); err == nil {
		t.Error("an ASN.1 signature is accepted")
	}
}

// TestVerifyRefuses: every signature here verifies cryptographically; each has one thing that a SAML signature must not have.
func TestVerifyRefuses(t *testing.T) {
	edit := func(e ...string) forgery { return forgery{edits: e} }
	later := func(e ...string) forgery { return forgery{later: e} }
	const (
		envelope  = `<ds:Transform Algorithm="` + envelopedAlg + `"/>`
		exclusive = `<ds:Transform Algorithm="` + excC14NAlg + `"/>`
		method    = `<ds:SignatureMethod Algorithm="` + rsaSHA256 + `"/>`
		refEnd    = `</ds:Reference>`
	)
	reference := signatureText[strings.Index(signatureText, "<ds:Reference") : strings.Index(signatureText, refEnd)+len(refEnd)]
	transform := func(alg string) forgery {
		return edit(exclusive, exclusive+`<ds:Transform Algorithm="`+alg+`"/>`)
	}
	empty := sha256.Sum256(nil)
	tests := []struct {
		name, want string
		f          forgery
	}{
		{"SAML-SIG-04 rsa-sha1", "rsa-sha1", edit(rsaSHA256, ds+"rsa-sha1")},
		{"SAML-SIG-04 dsa-sha1", "dsa-sha1", edit(rsaSHA256, ds+"dsa-sha1")},
		{"SAML-SIG-04 rsa-md5", "rsa-md5", edit(rsaSHA256, "http://www.w3.org/2001/04/xmldsig-more#rsa-md5")},
		{"SAML-SIG-04 hmac-sha1", "hmac-sha1", edit(rsaSHA256, ds+"hmac-sha1")},
		{"SAML-SIG-04 hmac-sha256", "hmac-sha256", edit(rsaSHA256, "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256")},
		{"SAML-SIG-04 unknown", "urn:x", edit(rsaSHA256, "urn:x")},
		{"SAML-SIG-04 empty", `""`, edit(rsaSHA256, "")},
		{"SAML-SIG-04 no algorithm", "no Algorithm", edit(`<ds:SignatureMethod Algorithm="`+rsaSHA256+`"/>`, `<ds:SignatureMethod/>`)},
		{"SAML-SIG-04 ecdsa with an RSA key", "no key", edit(rsaSHA256, ecdsaSHA256)},
		{"digest sha1", "sha1", edit(sha256Alg, ds+"sha1")},
		{"digest of the wrong length", "length", edit(sha256Alg, "http://www.w3.org/2001/04/xmlenc#sha512")},
		{"SAML-SIG-09 empty URI", "does not refer to the root", edit(`URI="#_r1"`, `URI=""`)},
		{"SAML-SIG-09 no URI", "no URI", edit(` URI="#_r1"`, ``)},
		{"SAML-SIG-09 another element", "does not refer", edit(`URI="#_r1"`, `URI="#other"`)},
		{"SAML-SIG-09 elsewhere", "does not refer", edit(`URI="#_r1"`, `URI="http://127.0.0.1:1/x"`)},
		{"SAML-SIG-09 xpointer", "does not refer", edit(`URI="#_r1"`, `URI="#xpointer(id('_r1'))"`)},
		{"SAML-SIG-09 xpointer to all", "does not refer", edit(`URI="#_r1"`, `URI="#xpointer(/)"`)},
		{"SAML-SIG-09 two References", "does not belong", edit(reference, reference+strings.Replace(reference, "#_r1", "#x", 1))},
		{"SAML-SIG-09 two References, the other first", "does not belong", edit(reference, strings.Replace(reference, "#_r1", "#x", 1)+reference)},
		{"SAML-SIG-09 no Reference", "no <Reference>", edit(reference, "")},
		{"SAML-SIG-09 two SignedInfo", "no <SignatureValue>", edit("</ds:SignedInfo>", "</ds:SignedInfo><ds:SignedInfo/>")},
		{"SAML-SIG-09 two SignatureValue", "does not belong", edit("</ds:SignatureValue>", "</ds:SignatureValue><ds:SignatureValue>AAAA</ds:SignatureValue>")},
		{"SAML-SIG-09 two signatures", "2 signatures", later("</ds:Signature>", `</ds:Signature><ds:Signature xmlns:ds="`+ds+`"/>`)},
		{"SAML-SIG-09 a signature in the KeyInfo", "2 signatures", edit("<ds:KeyName>ignored</ds:KeyName>", "<ds:Signature/>")},
		{"SAML-SIG-10 XSLT", "does not belong", transform("http://www.w3.org/TR/1999/REC-xslt-19991116")},
		{"SAML-SIG-10 XPath", "does not belong", transform("http://www.w3.org/TR/1999/REC-xpath-19991116")},
		{"SAML-SIG-10 XPath filter", "does not belong", transform("http://www.w3.org/2002/06/xmldsig-filter2")},
		{"SAML-SIG-10 base64", "does not belong", transform(ds + "base64")},
		{"SAML-SIG-10 decrypt", "does not belong", transform("http://www.w3.org/2002/07/decrypt#XML")},
		{"SAML-SIG-10 XSLT in the place of another", "canonicalization", edit(exclusive, `<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>`)},
		{"SAML-SIG-10 XPath inside", "does not belong", edit(exclusive, `<ds:Transform Algorithm="`+excC14NAlg+`"><ds:XPath>1</ds:XPath></ds:Transform>`)},
		{"SAML-SIG-10 enveloped missing", "first transform", edit(envelope, "", exclusive, exclusive+exclusive)},
		{"SAML-SIG-10 only exclusive", "no <Transform>", edit(envelope, "")},
		{"SAML-SIG-10 only enveloped", "no <Transform>", edit(exclusive, "")},
		{"SAML-SIG-10 enveloped twice", "does not belong", edit(envelope, envelope+envelope)},
		{"SAML-SIG-10 turned around", "first transform", edit(envelope, exclusive, exclusive+"\n      </ds:Transforms>", envelope+"\n      </ds:Transforms>")},
		{"SAML-SIG-10 none", "no <Transforms>", edit("<ds:Transforms>", "<!--", "</ds:Transforms>", "-->", envelope, "", exclusive, "", "<!--\n        \n        \n      -->", "")},
		{"inclusive transform", "only exclusive", edit(exclusive, `<ds:Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>`)},
		{"transform with comments", "without comments", edit(exclusive, `<ds:Transform Algorithm="`+excC14NAlg+`WithComments"/>`)},
		{"inclusive method", "only exclusive", edit(`CanonicalizationMethod Algorithm="`+excC14NAlg+`"`, `CanonicalizationMethod Algorithm="http://www.w3.org/2006/12/xml-c14n11"`)},
		{"method with comments", "without comments", edit(`CanonicalizationMethod Algorithm="`+excC14NAlg+`"`, `CanonicalizationMethod Algorithm="`+excC14NAlg+`WithComments"`)},
		{"SAML-SIG-12 digest of nothing", "covers nothing", edit("@D", base64.StdEncoding.EncodeToString(empty[:]))},
		{"SAML-SIG-13 comment in DigestValue", "comment", later("<ds:DigestValue>", "<ds:DigestValue><!-- x -->")},
		{"SAML-SIG-13 comment in SignatureValue", "comment", later("</ds:SignatureValue>", "<!-- x --></ds:SignatureValue>")},
		{"SAML-SIG-13 comment in SignedInfo", "comment", later("<ds:SignedInfo>", "<ds:SignedInfo><!-- x -->")},
		{"SAML-SIG-13 CDATA in DigestValue", "CDATA", later("<ds:DigestValue>", "<ds:DigestValue><![CDATA[]]>")},
		{"SAML-SIG-13 blank in DigestValue", "not base64", edit("@D", " @D")},
		{"SAML-SIG-13 blank in SignatureValue", "not base64", edit("@V", "@V ")},
		{"SAML-SIG-13 child in DigestValue", "only text", edit("@D", "@D<x/>")},
		{"SAML-SIG-13 child in SignatureValue", "only text", edit("@V", "<x/>@V")},
		{"SAML-SIG-13 empty SignatureValue", "not base64", edit("@V", "")},
		{"SAML-SIG-13 empty DigestValue", "not base64", edit("@D", "")},
		{"SAML-SIG-13 stray bits", "not base64", edit("@D", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=")},
		{"SAML-SIG-13 HMACOutputLength", "does not belong", edit(method, `<ds:SignatureMethod Algorithm="`+rsaSHA256+`"><ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>`)},
		{"SAML-SIG-13 two DigestValue", "does not belong", edit("</ds:DigestValue>", "</ds:DigestValue><ds:DigestValue>AAAA</ds:DigestValue>")},
		{"SAML-SIG-13 text between", "only elements", edit("<ds:Transforms>", "x<ds:Transforms>")},
		{"Object", "does not belong", edit("</ds:KeyInfo>", "</ds:KeyInfo><ds:Object/>")},
		{"Type", "attribute", edit("<ds:Reference", `<ds:Reference Type="`+ds+`Manifest"`)},
		{"attribute of another namespace", "attribute", edit("<ds:Reference", `<ds:Reference xmlns:q="urn:q" q:URI="#x"`)},
		{"another namespace", "not signed", forgery{later: []string{`xmlns:ds="` + ds + `"`, `xmlns:ds="urn:x"`}}},
		{"PrefixList with rubbish", "PrefixList", edit(exclusive, `<ds:Transform Algorithm="`+excC14NAlg+`"><e:InclusiveNamespaces xmlns:e="`+excC14NAlg+`" PrefixList="a:b"/></ds:Transform>`)},
		{"PrefixList without end", "PrefixList", edit(exclusive, `<ds:Transform Algorithm="`+excC14NAlg+`"><e:InclusiveNamespaces xmlns:e="`+excC14NAlg+`" PrefixList="`+strings.Repeat("a ", 100)+`"/></ds:Transform>`)},
		{"no ID", "does not refer", forgery{doc: strings.Replace(request, ` ID="_r1"`, "", 1)}},
		{"empty ID", "does not refer", forgery{doc: strings.Replace(request, `_r1`, "", 1), edits: []string{"#_r1", "#"}}},
		{"Id instead of ID", "does not refer", forgery{doc: strings.Replace(request, ` ID="_r1"`, ` Id="_r1"`, 1)}},
		{"deeper", "not a child of the root", forgery{doc: strings.Replace(strings.Replace(request, "@", "", 1), `true">`, `true">@`, 1)}},
		{"SAML-SIG-15 tampered attribute", "was changed", later(`Version="2.0"`, `Version="2.1"`)},
		{"SAML-SIG-15 tampered text", "was changed", later(`sp.example`, `sp.evil`)},
		{"SAML-SIG-15 tampered SignedInfo", "another key", later(`<ds:SignedInfo>`, `<ds:SignedInfo> `)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc := tt.f.make(t)
			e, err := xmlsec.Verify(parse(t, doc), rsaKey().keys())
			if err == nil || e != nil {
				t.Fatalf("accepted\n%s", doc)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want one with %q", err, tt.want)
			}
		})
	}
}

// TestVerifyKeys: SAML-SIG-15 and SAML-MD-06, exact keys only.
func TestVerifyKeys(t *testing.T) {
	root := parse(t, forgery{}.make(t))
	for name, keys := range map[string][]crypto.PublicKey{
		"none":       nil,
		"another":    otherKey().keys(),
		"other kind": ecKey().keys(),
		"private":    {rsaKey().key},
	} {
		if _, err := xmlsec.Verify(root, keys); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	outer := parse(t, "<x>"+forgery{}.make(t)+"</x>")
	if _, err := xmlsec.Verify(find(outer, "AuthnRequest"), rsaKey().keys()); err == nil || !strings.Contains(err.Error(), "whole document") {
		t.Errorf("a part of a document: error %v", err)
	}
}

// TestVerifyManyTransforms: SAML-SIG-10, 10 000 of them; the limit on elements meets them before anybody looks.
func TestVerifyManyTransforms(t *testing.T) {
	doc := strings.Replace(request, "@", signatureText, 1)
	doc = strings.Replace(doc, "<ds:Transforms>", "<ds:Transforms>"+strings.Repeat(`<ds:Transform Algorithm="x"/>`, 10_000), 1)
	if _, err := xmlsec.Parse([]byte(doc), xmlsec.MessageLimits()); err == nil {
		t.Error("read")
	}
	e := parse(t, doc)
	if _, err := xmlsec.Verify(e, rsaKey().keys()); err == nil {
		t.Error("accepted")
	}
}

// TestVerifyDisproportion: a document whose canonical form is a bomb is refused although its SignedInfo is a good one.
func TestVerifyDisproportion(t *testing.T) {
	doc := forgery{}.make(t)
	uri := "urn:" + strings.Repeat("x", 500)
	doc = strings.Replace(doc, "<samlp:AuthnRequest", `<samlp:AuthnRequest xmlns:x="`+uri+`"`, 1)
	doc = strings.Replace(doc, "</samlp:AuthnRequest>", strings.Repeat("<x:a/>", 15_000)+"</samlp:AuthnRequest>", 1)
	if _, err := xmlsec.Verify(parse(t, doc), rsaKey().keys()); err == nil || !strings.Contains(err.Error(), "proportion") {
		t.Errorf("error %v", err)
	}
}

// TestSignatureWrapping: SAML-SIG-08, the eight classic permutations and some more. Whatever comes out says what was signed.
func TestSignatureWrapping(t *testing.T) {
	signed := forgery{}.make(t)
	a, b := strings.Index(signed, "<ds:Signature "), strings.Index(signed, "</ds:Signature>")+len("</ds:Signature>")
	sig, bare := signed[a:b], signed[:a]+signed[b:]
	evil := func(id, inside string) string {
		s := strings.Replace(strings.Replace(request, "_r1", id, 1), "sp.example", "evil.example", 1)
		return strings.Replace(s, "@", inside, 1)
	}
	into := func(outer, inner string) string {
		return strings.Replace(outer, "</ds:Signature>", inner+"</ds:Signature>", 1)
	}
	before := func(doc, s string) string {
		return strings.Replace(doc, "<samlp:NameIDPolicy", s+"<samlp:NameIDPolicy", 1)
	}
	object := func(s string) string { return "<ds:Object>" + s + "</ds:Object>" }
	ext := func(s string) string { return "<samlp:Extensions>" + s + "</samlp:Extensions>" }
	docs := map[string]string{}
	for _, id := range []string{"_r1", "_evil", ""} {
		docs["XSW1, evil root around the signature around the original, ID "+id] = evil(id, into(sig, object(bare)))
		docs["XSW2, original before its detached signature, ID "+id] = evil(id, bare+sig)
		docs["XSW2b, signature before the original, ID "+id] = evil(id, sig+bare)
		docs["XSW3, original with its signature as a child, ID "+id] = evil(id, signed)
		docs["XSW4, evil inside the original, ID "+id] = before(signed, evil(id, ""))
		docs["XSW5, evil with the signature, original at the end, ID "+id] = strings.Replace(evil(id, sig), "</samlp:AuthnRequest>", bare+"</samlp:AuthnRequest>", 1)
		docs["XSW6, original in the signature, no Object, ID "+id] = evil(id, into(sig, bare))
		docs["XSW7, evil in Extensions, ID "+id] = before(signed, ext(evil(id, "")))
		docs["XSW8, original in an Object in Extensions, ID "+id] = evil(id, ext(into(sig, object(bare))))
		docs["original in the KeyInfo, ID "+id] = evil(id, strings.Replace(sig, "<ds:KeyName>", bare+"<ds:KeyName>", 1))
		docs["original in SignatureValue, ID "+id] = evil(id, strings.Replace(sig, "</ds:SignatureValue>", bare+"</ds:SignatureValue>", 1))
		docs["two signatures, ID "+id] = evil(id, sig+sig)
		docs["evil in the signature of the original, ID "+id] = into(signed, object(evil(id, "")))
		docs["evil in the KeyInfo of the original, ID "+id] = strings.Replace(signed, "<ds:KeyName>", evil(id, "")+"<ds:KeyName>", 1)
	}
	accepted := 0
	for name, doc := range docs {
		root, err := xmlsec.Parse([]byte(doc), xmlsec.MessageLimits())
		if err != nil {
			continue
		}
		e, err := xmlsec.Verify(root, rsaKey().keys())
		if err != nil {
			continue
		}
		accepted++
		if got := string(e.Canonical()); got != signedContent() {
			t.Errorf("%s: what comes out is %s", name, got)
		}
	}
	if accepted != 2 { // what stands in the KeyInfo of the original is not signed, and does not come out
		t.Errorf("%d of %d accepted, 2 expected", accepted, len(docs))
	}
}

// TestVerifyByteFlips: no single changed byte goes unnoticed and changes what comes out.
func TestVerifyByteFlips(t *testing.T) {
	doc := []byte(forgery{}.make(t))
	accepted := 0
	for i := range doc {
		for _, c := range []byte{doc[i] ^ 1, doc[i] ^ 0x20, '<', ' '} {
			if c == doc[i] {
				continue
			}
			b := bytes.Clone(doc)
			b[i] = c
			root, err := xmlsec.Parse(b, xmlsec.MessageLimits())
			if err != nil {
				continue
			}
			e, err := xmlsec.Verify(root, rsaKey().keys())
			if err != nil {
				continue
			}
			accepted++
			if got := string(e.Canonical()); got != signedContent() {
				t.Fatalf("byte %d: what comes out is %s", i, got)
			}
		}
	}
	if accepted == 0 || accepted > 200 { // white space around the signed parts, the key's name
		t.Errorf("%d changed documents accepted", accepted)
	}
	t.Log(fmt.Sprint(accepted, " changes that mean nothing"))
}
