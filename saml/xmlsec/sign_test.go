package xmlsec_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

var update = flag.Bool("update", false, "write the golden files anew")

// writeAssertion writes an assertion that is open before its end.
func writeAssertion(w *xmlsec.Writer, id, name string) {
	w.Start("saml", "Assertion", "Version", "2.0", "ID", id, "IssueInstant", "2026-11-24T12:00:00Z")
	w.Element("saml", "Issuer", "https://idp.example/saml/metadata")
	w.SignHere()
	w.Start("saml", "Subject")
	w.Element("saml", "NameID", name, "Format", "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress")
	w.Start("saml", "SubjectConfirmation", "Method", "urn:oasis:names:tc:SAML:2.0:cm:bearer")
	w.Element("saml", "SubjectConfirmationData", "", "Recipient", "https://sp.example/acs?a=1&b=2", "NotOnOrAfter", "2026-11-24T12:05:00Z", "InResponseTo", "_r1")
	w.End()
	w.End()
	w.Start("saml", "Conditions", "NotBefore", "2026-11-24T11:57:00Z", "NotOnOrAfter", "2026-11-24T12:05:00Z")
	w.Start("saml", "AudienceRestriction")
	w.Element("saml", "Audience", "https://sp.example/meta")
	w.End()
	w.End()
	w.Start("saml", "AuthnStatement", "AuthnInstant", "2026-11-24T11:00:00Z", "SessionIndex", "_s1")
	w.Start("saml", "AuthnContext")
	w.Element("saml", "AuthnContextClassRef", "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport")
	w.End()
	w.End()
	w.Start("saml", "AttributeStatement")
	for _, a := range []string{"mail", "displayName", "givenName", "sn", "employeeNumber"} {
		w.Start("saml", "Attribute", "Name", a, "NameFormat", "urn:oasis:names:tc:SAML:2.0:attrname-format:basic")
		w.Element("saml", "AttributeValue", name)
		w.End()
	}
	w.Start("saml", "Attribute", "Name", "groups")
	for i := range 5 {
		w.Element("saml", "AttributeValue", fmt.Sprintf("group %d", i))
	}
	w.End()
	w.End()
}

// writeResponse writes a Response around an assertion and signs what is asked for.
func writeResponse(w *xmlsec.Writer, name string, k xmlsec.Signer, assertion, response bool) {
	w.Start("samlp", "Response", "ID", "_p1", "InResponseTo", "_r1", "Version", "2.0", "IssueInstant", "2026-11-24T12:00:00Z", "Destination", "https://sp.example/acs?a=1&b=2")
	w.Element("saml", "Issuer", "https://idp.example/saml/metadata")
	w.SignHere()
	w.Start("samlp", "Status")
	w.Element("samlp", "StatusCode", "", "Value", "urn:oasis:names:tc:SAML:2.0:status:Success")
	w.End()
	writeAssertion(w, "_a1", name)
	if assertion {
		w.EndSigned(k)
	} else {
		w.End()
	}
	if response {
		w.EndSigned(k)
	} else {
		w.End()
	}
}

const hardName = "\"O'Neil\"\r\n\t<&> ]]> \u00E9 \U0001F600"

// TestSign: xmlsec1, goxmldsig and Verify accept what we sign, alone and one inside the other, whatever stands in it.
func TestSign(t *testing.T) {
	k := rsaKey()
	for name, what := range map[string][2]bool{"assertion": {true, false}, "response": {false, true}, "both": {true, true}} {
		t.Run(name, func(t *testing.T) {
			w := xmlsec.NewWriter(nil, table())
			writeResponse(w, hardName, k.signer(), what[0], what[1])
			out, err := w.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			root := parse(t, string(out))
			if got := root.Canonical(); !bytes.Equal(got, out) {
				t.Errorf("not canonical:\n%s\n%s", out, got)
			}
			if what[1] {
				if err := xmlsec1(t, out, samlp+":Response", k.cert); err != nil {
					t.Error(err)
				}
				if err := goxmldsigVerify(t, out, k.cert); err != nil {
					t.Error(err)
				}
			}
			if what[0] {
				if err := xmlsec1(t, out, saml+":Assertion", k.cert); err != nil {
					t.Error(err)
				}
				// An assertion that is cut out of the response verifies: the digest is the same.
				a, b := bytes.Index(out, []byte("<saml:Assertion")), bytes.Index(out, []byte("</samlp:Response>"))
				if err := goxmldsigVerify(t, out[a:b], k.cert); err != nil {
					t.Error(err)
				}
				e, err := xmlsec.Verify(parse(t, string(out[a:b])), k.keys())
				if err != nil {
					t.Fatal(err)
				}
				if got, err := find(e, "NameID").Text(); err != nil || got != hardName {
					t.Errorf("NameID %q, error %v", got, err)
				}
			}
			if what[1] && !what[0] {
				if _, err := xmlsec.Verify(root, k.keys()); err != nil {
					t.Error(err)
				}
			}
			// Core §2.3.3, §3.2.1: the Signature follows the Issuer.
			if strings.Count(string(out), "</saml:Issuer><ds:Signature ") != strings.Count(string(out), "<ds:Signature ") {
				t.Error("a signature does not follow an Issuer")
			}
		})
	}
}

// TestSignGolden pins the bytes that service providers receive.
func TestSignGolden(t *testing.T) {
	w := xmlsec.NewWriter(nil, table())
	writeResponse(w, "ana@example.org", fixedKey(t).signer(), true, true)
	out, err := w.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "response.xml")
	if *update {
		if err := os.WriteFile(file, out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out, want) {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	if got, err := excC14N(t, want); err != nil || got != string(want) {
		t.Errorf("the golden file is not its own canonical form (%v):\n%s", err, got)
	}
}

// broken is a signer that fails, as a KMS may.
type broken struct{ pub crypto.PublicKey }

func (b broken) Public() crypto.PublicKey { return b.pub }
func (broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("out of order")
}

// free signs with zeros, for nothing.
type free struct{ pub crypto.PublicKey }

func (f free) Public() crypto.PublicKey { return f.pub }
func (free) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return make([]byte, 256), nil
}

// TestSignErrors: nothing comes out unsigned when the key fails or is too short.
func TestSignErrors(t *testing.T) {
	for want, key := range map[string]crypto.Signer{
		"out of order": broken{rsaKey().key.Public()},
		"1024 bits":    must(rsa.GenerateKey(rand.Reader, 1024)),
	} {
		w := xmlsec.NewWriter(nil, table())
		writeAssertion(w, "_a1", "ana")
		w.EndSigned(xmlsec.Signer{Signer: key})
		if out, err := w.Bytes(); err == nil || out != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("wrote %q, error %v", out, err)
		}
	}
}
