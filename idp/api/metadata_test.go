package api_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/idp/api"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/saml"
)

// certificate makes one on P-256, as DER and as PEM that is indented to stand in a declaration.
func certificate(t *testing.T) (der []byte, text string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sp"}, NotAfter: time.Now().AddDate(10, 0, 0)}
	if der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
		t.Fatal(err)
	}
	text = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return der, "|\n" + strings.ReplaceAll("      "+strings.TrimSpace(text), "\n", "\n      ") + "\n"
}

// described is metadata of one service provider on one line.
func described(roleAttrs string, keys ...[]byte) string {
	all := ""
	for _, der := range keys {
		all += `<KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>` +
			base64.StdEncoding.EncodeToString(der) + `</X509Certificate></X509Data></KeyInfo></KeyDescriptor>`
	}
	return `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://sp.example.com/meta"><SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol" ` + roleAttrs + `>` + all +
		`<AssertionConsumerService Binding="` + saml.BindingPOST + `" Location="https://sp.example.com/acs" index="0"/></SPSSODescriptor></EntityDescriptor>`
}

func fromMetadata(metadata, more string) string {
	return "kind: App\nname: SP\npolicy: {permittedUsers: self-authorize}\nsaml:\n  metadata: {inline: '" + metadata + "'}\n" + more
}

// Certificates beside metadata add to its keys, and are told from them in the export.
func TestCertificatesBesideMetadata(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		theirs, _ := certificate(t)
		ours, text := certificate(t)
		metadata := described(`AuthnRequestsSigned="true"`)
		h.apply(t, fromMetadata(metadata, "")) // it has no key, and all that it sends is refused
		keys := func(h house) (all [][]byte) {
			t.Helper()
			c, err := h.Store.Apps().Find(t.Context(), h.org.ID, "SP")
			if err != nil || !c.App.SAML.AuthnRequestsSigned {
				t.Fatal(c, err)
			}
			for _, k := range c.App.SAML.Certificates {
				all = append(all, k.DER)
			}
			return all
		}
		if got := keys(h); len(got) != 0 {
			t.Errorf("%d keys", len(got))
		}
		for _, in := range []struct {
			metadata string
			want     [][]byte
		}{{metadata, [][]byte{ours}}, {described(`AuthnRequestsSigned="true"`, theirs), [][]byte{theirs, ours}}} {
			declared := fromMetadata(in.metadata, "  certificates:\n    - "+text)
			if got := h.apply(t, declared); !strings.Contains(got, "~ App/SP saml.") {
				t.Errorf("the plan is %s", got)
			}
			if !slices.EqualFunc(keys(h), in.want, slices.Equal) {
				t.Errorf("%d keys, want %d", len(keys(h)), len(in.want))
			}
			h.plan(t, declared, "no changes")
			exported := h.export(t)
			if n := strings.Count(exported, "BEGIN CERTIFICATE"); n != 1 {
				t.Errorf("the export declares %d certificates:\n%s", n, exported)
			}
			h.plan(t, exported, "no changes")
			other := declarer(t, storetest.New(t, storetest.SQLite))
			other.apply(t, exported)
			if diff := cmp.Diff(exported, other.export(t)); diff != "" || !slices.EqualFunc(keys(other), in.want, slices.Equal) {
				t.Errorf("in a house made of the export:\n%s", diff)
			}
		}
		if got := h.apply(t, fromMetadata(described(`AuthnRequestsSigned="true"`, theirs), "")); !strings.Contains(got, "~ App/SP saml.certificates") {
			t.Errorf("the plan is %s", got)
		}
		if got := keys(h); len(got) != 1 || !slices.Equal(got[0], theirs) {
			t.Errorf("taken away again: %d keys", len(got))
		}
		h.refused(t, fromMetadata(metadata, "  acs: [{url: 'https://sp.example.com/acs'}]\n"),
			"f:6: saml.acs: the metadata says which ACS there are; leave out acs, or the metadata")
	})
}

// What is odd about metadata is told when it comes, as a note; of an aggregate only what is of the file or of the app.
func TestMetadataRemarks(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		other := strings.NewReplacer("sp.example.com", "other.example.com", "/acs", "/acs&#32;").Replace(described(""))
		both := `<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" validUntil="2020-01-01T00:00:00Z">` + described("") + other + `</EntitiesDescriptor>`
		const (
			noKey   = "! App/SP: The service provider has no key: a signed request from it can not be verified, and is refused. If it signs its requests, declare its certificate beside the metadata, in saml.certificates.\n"
			expired = "! App/SP: The metadata was valid until 2020-01-01. Ask the service provider for current metadata; keys and addresses may have changed.\n"
		)
		declared := fromMetadata(both, "  entityID: https://sp.example.com/meta\n")
		for _, o := range []api.Options{{DryRun: true}, {}} {
			p, err := h.try(t, declared, o)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := p.String(), "+ App/SP\n"+expired+noKey+"1 to add, 0 to change, 0 to delete\n"; got != want {
				t.Errorf("the plan is\n%s\nwant\n%s", got, want)
			}
			if len(p.Notes) != 2 {
				t.Errorf("the notes are %q", p.Notes)
			}
		}
		h.plan(t, declared, "no changes")
		if got := h.apply(t, fromMetadata(described(""), "")); !strings.Contains(got, "→ sha256") || !strings.Contains(got, noKey) || strings.Contains(got, expired) {
			t.Errorf("another file: %s", got)
		}
	})
}

// SAML-MD-04: metadata that a machine brings is believed for as long as it says and no longer; what an admin hands over is
// imported with a remark.
func TestMetadataByURLIsCurrent(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		const declared = "kind: App\nname: SP\npolicy: {permittedUsers: self-authorize}\nsaml:\n  entityID: https://sp.example.com/meta\n  metadata: {url: 'https://sp.example.com/meta'}\n"
		in := func(attrs, content string) string {
			return `<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" ` + attrs + `>` + content + `</EntitiesDescriptor>`
		}
		other := strings.NewReplacer("sp.example.com", "other.example.com", "protocolSupport", `validUntil="2020-01-01T00:00:00Z" protocolSupport`).Replace(described(""))
		for name, c := range map[string]struct{ metadata, want string }{
			"expired":            {described(`validUntil="2020-01-01T00:00:00Z"`), "The metadata was valid until 2020-01-01"},
			"expired, as a file": {in(`validUntil="2020-01-01T00:00:00Z"`, described("")), "The metadata was valid until 2020-01-01"},
			"no zone":            {described(`validUntil="2090-01-01T00:00:00"`), "no time zone"},
			"no time":            {described(`validUntil="soon"`), "which is no time"},
		} {
			h.Fetch = func(context.Context, string, int64) ([]byte, error) { return []byte(c.metadata), nil }
			_, err := h.try(t, declared, api.Options{})
			if err == nil || !strings.HasPrefix(err.Error(), "f:6: saml.metadata: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", name, err)
			}
			if p, err := h.try(t, fromMetadata(c.metadata, "  entityID: https://sp.example.com/meta\n"), api.Options{DryRun: true}); err != nil || !strings.Contains(p.String(), c.want) {
				t.Errorf("%s, handed over: %v, %v", name, p, err)
			}
		}
		for name, metadata := range map[string]string{"current": described(`validUntil="2090-01-01T00:00:00Z"`), "another's end": in("", described("")+other)} {
			h.Fetch = func(context.Context, string, int64) ([]byte, error) { return []byte(metadata), nil }
			if _, err := h.try(t, declared, api.Options{DryRun: true}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
