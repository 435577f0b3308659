package saml_test

import (
	"bytes"
	"encoding/pem"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"crypto/x509"

	crewjam "github.com/crewjam/saml"
	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/keys"
	"github.com/lanyard-sso/lanyard/saml"
)

// TestMetadata: ours is valid, canonical, and says what is there and nothing else.
func TestMetadata(t *testing.T) {
	w := shared(t)
	a := w.browser().get("/saml/metadata")
	if a.status != http.StatusOK || a.res.Header.Get("Content-Type") != "application/samlmetadata+xml" {
		t.Fatalf("status %d, %v", a.status, a.res.Header)
	}
	canonical(t, []byte(a.body))
	if err := validate(t, "metadata", []byte(a.body)); err != nil {
		t.Error(err)
	}
	var d crewjam.EntityDescriptor
	if err := xml.Unmarshal([]byte(a.body), &d); err != nil {
		t.Fatal(err)
	}
	role := d.IDPSSODescriptors[0]
	if d.EntityID != entityID || role.WantAuthnRequestsSigned != nil {
		t.Errorf("entityID %q, WantAuthnRequestsSigned %v", d.EntityID, role.WantAuthnRequestsSigned)
	}
	var endpoints [][2]string
	for _, e := range role.SingleSignOnServices {
		endpoints = append(endpoints, [2]string{e.Binding, e.Location})
	}
	if diff := cmp.Diff([][2]string{{saml.BindingRedirect, base + "/saml/sso"}, {saml.BindingPOST, base + "/saml/sso"}}, endpoints); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var certs []string
	for _, k := range role.KeyDescriptors {
		if k.Use != "signing" {
			t.Errorf("a key for %q", k.Use)
		}
		certs = append(certs, k.KeyInfo.X509Data.X509Certificates[0].Data)
	}
	var want []string
	for _, k := range w.ring.Published() {
		want = append(want, b64(k.Certificate))
	}
	if diff := cmp.Diff(want, certs); diff != "" || len(certs) != 2 {
		t.Errorf("every published key is announced, the active one first (-want +got)\n%s", diff)
	}
	if len(role.SingleLogoutServices) != 0 {
		t.Error("single logout is not built")
	}
	if active := must(w.ring.Active()); active.State != keys.Active || certs[0] != b64(active.Certificate) {
		t.Error("the first key is not the active one")
	}
	// We read what we write: it is an identity provider's.
	if _, err := saml.ReadMetadata([]byte(a.body), w.clock.now()); err == nil || !strings.Contains(err.Error(), "no service provider") {
		t.Errorf("read as a service provider's: %v", err)
	}
}

func TestMetadataIsCached(t *testing.T) {
	w := shared(t)
	for _, target := range []string{"/saml/metadata", "/saml/certificate.pem"} {
		a := w.browser().get(target)
		tag := a.res.Header.Get("ETag")
		if cc := a.res.Header.Get("Cache-Control"); !strings.Contains(cc, "max-age") || tag == "" {
			t.Errorf("%s: Cache-Control %q, ETag %q", target, cc, tag)
		}
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Header.Set("If-None-Match", tag)
		if a := w.browser().do(r); a.status != http.StatusNotModified || a.body != "" {
			t.Errorf("%s: status %d", target, a.status)
		}
		if a := w.browser().do(httptest.NewRequest(http.MethodHead, target, nil)); a.status != http.StatusOK || a.body != "" {
			t.Errorf("HEAD %s: status %d", target, a.status)
		}
	}
}

func TestCertificate(t *testing.T) {
	w := shared(t)
	a := w.browser().get("/saml/certificate.pem")
	block, rest := pem.Decode([]byte(a.body))
	if block == nil || len(rest) > 0 || !bytes.Equal(block.Bytes, must(w.ring.Active()).Certificate) {
		t.Fatalf("%s", a.body)
	}
	cert := must(x509.ParseCertificate(block.Bytes))
	if got, err := saml.ReadCertificate(a.body); err != nil || !got.Equal(cert) {
		t.Errorf("ReadCertificate: %v", err)
	}
}
