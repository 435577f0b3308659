package xmlsec_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// TestCorpusMetadata: what real service providers publish is read, but for one file that is not well-formed
// and one that no canonicalizer takes.
func TestCorpusMetadata(t *testing.T) {
	dir := corpus(t)
	refused := map[string]string{
		"mellon-docs.xml":   "line 1, column 19: < stands inside the tag <EntityDescriptor>",
		"stockholm-bad.xml": `line 6, column 60: the namespace URI "xsi" is not an absolute URI`,
	}
	n := 0
	for _, folder := range []string{"vendors", "libraries", "weird"} {
		files, err := filepath.Glob(filepath.Join(dir, folder, "*.xml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			n++
			t.Run(filepath.Base(file), func(t *testing.T) {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				e, err := xmlsec.Parse(b, xmlsec.MetadataLimits())
				if want, bad := refused[filepath.Base(file)]; bad {
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Fatalf("error %v, want one with %q", err, want)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				want, err := excC14N(t, b)
				if err != nil {
					t.Fatal(err)
				}
				if got := string(e.Canonical()); got != want {
					t.Errorf("canonical form differs from libxml2's\n got %s\nwant %s", clip(got), clip(want))
				}
			})
		}
	}
	if n < 40 {
		t.Errorf("only %d files in the corpus", n)
	}
}

// TestCorpusAttacks: every known attack is refused, or comes out whole, even if the key that the message itself carries
// is the trusted one.
func TestCorpusAttacks(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpus(t), "attack", "messages", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d attack messages in the corpus", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(file, ".base64") {
				b, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(b)), ""))
				if err != nil {
					t.Fatal(err)
				}
			}
			start := time.Now()
			e, err := xmlsec.Parse(b, xmlsec.MessageLimits())
			if err == nil {
				if !xmlsec.HasSignature(e) {
					t.Fatal("the signature was not seen")
				}
				_, err = xmlsec.Verify(e, embeddedKeys(b))
			}
			if err == nil {
				t.Fatal("accepted")
			}
			if d := time.Since(start); d > time.Second {
				t.Errorf("took %v", d)
			}
			t.Log(err)
		})
	}
}

// embeddedKeys are the keys of all certificates in a message.
func embeddedKeys(b []byte) []crypto.PublicKey {
	var keys []crypto.PublicKey
	for _, m := range regexp.MustCompile(`(?s)<(?:\w+:)?X509Certificate[^>]*>([^<]*)<`).FindAllSubmatch(b, -1) {
		der, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(m[1]), nil)))
		if err != nil {
			continue
		}
		if cert, err := x509.ParseCertificate(der); err == nil {
			keys = append(keys, cert.PublicKey)
		}
	}
	return keys
}

// TestCorpusAttackMetadata: SAML-MD-01, and comments do not cut an entity ID short (SAML-XML-07).
func TestCorpusAttackMetadata(t *testing.T) {
	dir := filepath.Join(corpus(t), "attack")
	for _, name := range []string{"xxe-http.xml", "xxe-parameter.xml"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := xmlsec.Parse(b, xmlsec.MetadataLimits()); err == nil || !strings.Contains(err.Error(), "document type") {
			t.Errorf("%s: %v", name, err)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "comment-in-entityid-value.xml"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := xmlsec.Parse(b, xmlsec.MetadataLimits())
	if err != nil {
		t.Fatal(err)
	}
	const md = "urn:oasis:names:tc:SAML:2.0:metadata"
	role := e.Child(xmlsec.Name{Space: md, Local: "SPSSODescriptor"})
	format, err := role.Child(xmlsec.Name{Space: md, Local: "NameIDFormat"}).Text()
	if err != nil || format != "urn:oasis:names:tc:SAML:2.0:nameid-format:transient" {
		t.Errorf("NameIDFormat %q, error %v", format, err)
	}
}
