package saml_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

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

// canonical demands that doc is its own exclusive canonical form, as libxml2 makes it.
func canonical(t testing.TB, doc []byte) {
	t.Helper()
	cmd := exec.Command(tool(t, "xmllint"), "--nonet", "--exc-c14n", "-")
	cmd.Stdin = bytes.NewReader(doc)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("xmllint: %v", err)
	}
	if got := bytes.TrimRight(out, "\n"); !bytes.Equal(got, bytes.TrimRight(doc, "\n")) {
		t.Errorf("the document is not canonical:\n%s\nbut\n%s", clip(string(doc)), clip(string(got)))
	}
}

// The schemas of Debian's opensaml-schemas name others by addresses on the web; a catalog leads to those on disk.
const (
	schemas = "/usr/share/xml/opensaml/saml-schema-"
	catalog = `<?xml version="1.0"?>
<catalog xmlns="urn:oasis:names:tc:entity:xmlns:xml:catalog">
<system systemId="http://www.w3.org/TR/2002/REC-xmldsig-core-20020212/xmldsig-core-schema.xsd" uri="file:///usr/share/xml/xmltooling/xmldsig-core-schema.xsd"/>
<system systemId="http://www.w3.org/TR/2002/REC-xmlenc-core-20021210/xenc-schema.xsd" uri="file:///usr/share/xml/xmltooling/xenc-schema.xsd"/>
<system systemId="http://www.w3.org/2001/xml.xsd" uri="file:///usr/share/xml/xmltooling/xml.xsd"/>
</catalog>
`
)

// validate tells if doc is what the schema (protocol or metadata) allows.
func validate(t testing.TB, schema string, doc []byte) error {
	t.Helper()
	xsd := schemas + schema + "-2.0.xsd"
	if _, err := os.Stat(xsd); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("opensaml-schemas is not installed: %v", err)
		}
		t.Skipf("opensaml-schemas is not installed: %v", err)
	}
	file := filepath.Join(t.TempDir(), "catalog.xml")
	if err := os.WriteFile(file, []byte(catalog), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool(t, "xmllint"), "--nonet", "--noout", "--schema", xsd, "-")
	cmd.Env = append(os.Environ(), "XML_CATALOG_FILES="+file)
	cmd.Stdin = bytes.NewReader(doc)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// xmlsec1 verifies the signature of the first element named in doc (its expanded name, a colon before the last part).
func xmlsec1(t testing.TB, doc []byte, element string, cert []byte) error {
	t.Helper()
	dir := t.TempDir()
	file, pemFile := filepath.Join(dir, "doc.xml"), filepath.Join(dir, "cert.pem")
	for name, b := range map[string][]byte{file: doc, pemFile: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	local := element[strings.LastIndexByte(element, ':')+1:]
	cmd := exec.Command(tool(t, "xmlsec1"), "--verify", "--pubkey-cert-pem", pemFile, "--enabled-key-data", "rsa",
		"--id-attr:ID", element, "--node-xpath", "(//*[local-name()='"+local+"'])[1]/*[local-name()='Signature']", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
