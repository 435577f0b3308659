package xmlsec_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

const (
	saml  = "urn:oasis:names:tc:SAML:2.0:assertion"
	samlp = "urn:oasis:names:tc:SAML:2.0:protocol"
	ds    = "http://www.w3.org/2000/09/xmldsig#"
)

// table is the one that the saml package would give.
func table() []xmlsec.Namespace {
	return []xmlsec.Namespace{
		{Prefix: "ds", URI: ds},
		{Prefix: "md", URI: "urn:oasis:names:tc:SAML:2.0:metadata"},
		{Prefix: "saml", URI: saml},
		{Prefix: "samlp", URI: samlp},
		{Prefix: "xsi", URI: "http://www.w3.org/2001/XMLSchema-instance"},
	}
}

// pair is a key with its certificate.
type pair struct {
	key  crypto.Signer
	cert []byte
}

func (p pair) signer() xmlsec.Signer    { return xmlsec.Signer{Signer: p.key, Certificate: p.cert} }
func (p pair) keys() []crypto.PublicKey { return []crypto.PublicKey{p.key.Public()} }

var (
	rsaKey   = sync.OnceValue(func() pair { return newPair(must(rsa.GenerateKey(rand.Reader, 2048))) })
	otherKey = sync.OnceValue(func() pair { return newPair(must(rsa.GenerateKey(rand.Reader, 2048))) })
	ecKey    = sync.OnceValue(func() pair { return newPair(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))) })
)

// newPair makes a certificate for key that expired in 2001: nobody here may mind.
func newPair(key crypto.Signer) pair {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "test"},
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	return pair{key, must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func parse(t testing.TB, doc string) *xmlsec.Element {
	t.Helper()
	e, err := xmlsec.Parse([]byte(doc), xmlsec.MetadataLimits())
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, clip(doc))
	}
	return e
}

func clip(s string) string { return s[:min(len(s), 2000)] }

// tool returns the path of a program that the test needs. Where it is missing the test is skipped, in CI it fails.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", name)
	} else if err != nil {
		t.Skipf("%s is not installed", name)
	}
	return path
}

// excC14N is what libxml2 makes of doc, less the comments, which xmllint keeps.
func excC14N(t testing.TB, doc []byte) (string, error) {
	t.Helper()
	cmd := exec.Command(tool(t, "xmllint"), "--nonet", "--exc-c14n", "-")
	cmd.Stdin = bytes.NewReader(doc)
	out, err := cmd.Output()
	s := regexp.MustCompile(`(?s)<!--.*?-->`).ReplaceAllString(string(out), "")
	return strings.Trim(s, "\n"), err // a comment outside the root is set apart by a line end
}

// xmlsec1 verifies the signature of the element named (its expanded name, colon for the last part) in doc.
func xmlsec1(t testing.TB, doc []byte, element string, cert []byte) error {
	t.Helper()
	dir := t.TempDir()
	file, pemFile := filepath.Join(dir, "doc.xml"), filepath.Join(dir, "cert.pem")
	for name, b := range map[string][]byte{file: doc, pemFile: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	name := element[strings.LastIndexByte(element, ':')+1:]
	cmd := exec.Command(tool(t, "xmlsec1"), "--verify", "--pubkey-cert-pem", pemFile, "--enabled-key-data", "rsa",
		"--id-attr:ID", element, "--node-xpath", "(//*[local-name()='"+name+"'])[1]/*[local-name()='Signature']", file)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("xmlsec1: %s", out)
	}
	return err
}

// corpus is the folder of real service providers' metadata and of known attacks.
func corpus(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("LANYARD_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "sp-metadata")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the corpus is not here (LANYARD_CORPUS): %v", err)
	}
	return dir
}
