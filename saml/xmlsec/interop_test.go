package xmlsec_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	crewjam "github.com/crewjam/saml"
	saml2 "github.com/russellhaering/gosaml2"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// goxmldsigVerify verifies the signature of the root of doc as Go's service providers do.
func goxmldsigVerify(t testing.TB, doc []byte, cert []byte) error {
	t.Helper()
	tree := etree.NewDocument()
	if err := tree.ReadFromBytes(doc); err != nil {
		t.Fatal(err)
	}
	c := must(x509.ParseCertificate(cert))
	ctx := dsig.NewDefaultValidationContext(&dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{c}})
	ctx.Clock = dsig.NewFakeClockAt(c.NotBefore.Add(time.Second))
	_, err := ctx.Validate(tree.Root())
	return err
}

// TestVerifyGoxmldsig: what goxmldsig signs, we verify.
func TestVerifyGoxmldsig(t *testing.T) {
	tree := etree.NewDocument()
	if err := tree.ReadFromString(signedContent()); err != nil {
		t.Fatal(err)
	}
	for _, prefixes := range []string{"", "saml xs #default"} {
		ctx, err := dsig.NewSigningContext(rsaKey().key, [][]byte{rsaKey().cert})
		if err != nil {
			t.Fatal(err)
		}
		ctx.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(prefixes)
		signed, err := ctx.SignEnveloped(tree.Root())
		if err != nil {
			t.Fatal(err)
		}
		out := etree.NewDocument()
		out.SetRoot(signed)
		b, err := out.WriteToBytes()
		if err != nil {
			t.Fatal(err)
		}
		e, err := xmlsec.Verify(parse(t, string(b)), rsaKey().keys())
		if err != nil {
			t.Fatalf("PrefixList %q: %v\n%s", prefixes, err, b)
		}
		if got := string(e.Canonical()); got != signedContent() {
			t.Errorf("returned %s", got)
		}
	}
}

// TestVerifyCrewjam: the signed AuthnRequest of crewjam/saml verifies, and its Issuer comes out.
func TestVerifyCrewjam(t *testing.T) {
	base := must(url.Parse("https://sp.example/saml"))
	sp := crewjam.ServiceProvider{
		EntityID:        "https://sp.example/meta",
		Key:             rsaKey().key.(*rsa.PrivateKey),
		Certificate:     must(x509.ParseCertificate(rsaKey().cert)),
		MetadataURL:     *base,
		AcsURL:          *base,
		SignatureMethod: dsig.RSASHA256SignatureMethod,
		IDPMetadata:     &crewjam.EntityDescriptor{EntityID: "https://idp.example"},
	}
	req, err := sp.MakeAuthenticationRequest("https://idp.example/saml/sso", crewjam.HTTPPostBinding, crewjam.HTTPPostBinding)
	if err != nil {
		t.Fatal(err)
	}
	doc := etree.NewDocument()
	doc.SetRoot(req.Element())
	b, err := doc.WriteToBytes()
	if err != nil {
		t.Fatal(err)
	}
	e, err := xmlsec.Verify(parse(t, string(b)), rsaKey().keys())
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if issuer, err := e.Child(xmlsec.Name{Space: saml, Local: "Issuer"}).Text(); err != nil || issuer != sp.EntityID {
		t.Errorf("Issuer %q, error %v", issuer, err)
	}
}

// TestVerifyGosaml2: gosaml2 verifies here once it is told to canonicalize exclusively; its default, inclusive C14N 1.1, is
// refused and named.
func TestVerifyGosaml2(t *testing.T) {
	sp := &saml2.SAMLServiceProvider{
		IdentityProviderSSOURL: "https://idp.example/saml/sso",
		ServiceProviderIssuer:  "https://sp.example/meta",
		SignAuthnRequests:      true,
		SPKeyStore: dsig.TLSCertKeyStore(tls.Certificate{
			Certificate: [][]byte{rsaKey().cert}, PrivateKey: rsaKey().key,
		}),
	}
	for _, exclusive := range []bool{false, true} {
		if exclusive {
			sp.SignAuthnRequestsCanonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
		}
		doc, err := sp.BuildAuthRequestDocument()
		if err != nil {
			t.Fatal(err)
		}
		b, err := doc.WriteToBytes()
		if err != nil {
			t.Fatal(err)
		}
		_, err = xmlsec.Verify(parse(t, string(b)), rsaKey().keys())
		if exclusive && err != nil {
			t.Error(err)
		}
		if !exclusive && (err == nil || !strings.Contains(err.Error(), "xml-c14n11")) {
			t.Errorf("inclusive: error %v", err)
		}
		sp = &saml2.SAMLServiceProvider{
			IdentityProviderSSOURL: sp.IdentityProviderSSOURL,
			ServiceProviderIssuer:  sp.ServiceProviderIssuer,
			SignAuthnRequests:      true,
			SPKeyStore:             sp.SPKeyStore,
		}
	}
}

// TestVerifyXmlsec1: what xmlsec1 signs, as pysaml2, python3-saml and mod_auth_mellon do, verifies: with RSA and ECDSA, a
// wrapped SignatureValue, and an InclusiveNamespaces PrefixList.
func TestVerifyXmlsec1(t *testing.T) {
	program := tool(t, "xmlsec1")
	inclusive := func(list string) []string {
		return []string{`<ds:Transform Algorithm="` + excC14NAlg + `"/>`,
			`<ds:Transform Algorithm="` + excC14NAlg + `"><e:InclusiveNamespaces xmlns:e="` + excC14NAlg + `" PrefixList="` + list + `"/></ds:Transform>`}
	}
	method := func(list string) []string {
		return []string{`<ds:CanonicalizationMethod Algorithm="` + excC14NAlg + `"/>`,
			`<ds:CanonicalizationMethod Algorithm="` + excC14NAlg + `"><e:InclusiveNamespaces xmlns:e="` + excC14NAlg + `" PrefixList="` + list + `"/></ds:CanonicalizationMethod>`}
	}
	const (
		xs   = ` xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="urn:default"`
		deep = `<x xmlns=""><y xmlns="urn:other" xmlns:xs="urn:rebound"><samlp:z/></y></x>`
	)
	richer := strings.Replace(strings.Replace(request, ` ID=`, xs+` ID=`, 1), `</samlp:NameIDPolicy>`, deep+`</samlp:NameIDPolicy>`, 1)
	for name, tt := range map[string]struct {
		key   pair
		doc   string
		edits []string
	}{
		"RSA":                      {rsaKey(), request, nil},
		"ECDSA":                    {ecKey(), request, []string{rsaSHA256, ecdsaSHA256}},
		"SHA-512 digest":           {rsaKey(), request, []string{sha256Alg, "http://www.w3.org/2001/04/xmlenc#sha512"}},
		"PrefixList xs":            {rsaKey(), richer, inclusive("xs")},
		"PrefixList #default xs":   {rsaKey(), richer, inclusive("#default xs nobody")},
		"PrefixList of the method": {rsaKey(), richer, method("xs #default")},
		"no PrefixList":            {rsaKey(), richer, nil},
		"both PrefixLists":         {rsaKey(), richer, append(inclusive("saml xs"), method("xs")...)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			text := strings.NewReplacer("@D", "", "@V", "", "<ds:KeyInfo><ds:KeyName>ignored</ds:KeyName></ds:KeyInfo>", "").Replace(signatureText)
			for i := 0; i < len(tt.edits); i += 2 {
				text = strings.Replace(text, tt.edits[i], tt.edits[i+1], 1)
			}
			key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(tt.key.key))})
			for name, b := range map[string][]byte{"t.xml": []byte(strings.Replace(tt.doc, "@", text, 1)), "key.pem": key} {
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command(program, "--sign", "--privkey-pem", filepath.Join(dir, "key.pem"), "--id-attr:ID", samlp+":AuthnRequest", filepath.Join(dir, "t.xml"))
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			signed, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, &stderr)
			}
			e, err := xmlsec.Verify(parse(t, string(signed)), []crypto.PublicKey{tt.key.key.Public()})
			if err != nil {
				t.Fatalf("%v\n%s", err, signed)
			}
			if issuer, err := e.Child(xmlsec.Name{Space: saml, Local: "Issuer"}).Text(); err != nil || issuer != "https://sp.example/meta" {
				t.Errorf("Issuer %q, error %v", issuer, err)
			}
		})
	}
}

// TestCorpusSignedMetadata: signed metadata out of the world, with the key that it carries as the trusted one.
func TestCorpusSignedMetadata(t *testing.T) {
	for name, want := range map[string]string{
		"libraries/node-saml-signed.xml":       "",
		"libraries/onelogin-signed-sha256.xml": `the digest algorithm "http://www.w3.org/2000/09/xmldsig#sha1" is not accepted`,
		"weird/empty-reference.xml":            "does not refer to the root element",
	} {
		b, err := os.ReadFile(filepath.Join(corpus(t), name))
		if err != nil {
			t.Fatal(err)
		}
		e, err := xmlsec.Verify(parse(t, string(b)), embeddedKeys(b))
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want == "" && xmlsec.HasSignature(e):
			t.Errorf("%s: the signature was left in", name)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: error %v, want one with %q", name, err, want)
		}
	}
}
