package saml_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/xml"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"testing"

	crewjam "github.com/crewjam/saml"
	"github.com/google/go-cmp/cmp"
	saml2 "github.com/russellhaering/gosaml2"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/lanyard-sso/lanyard/saml"
)

// signings are the ways in which a response can be signed.
var signings = []struct {
	name                string
	response, assertion bool
}{{"assertion", false, true}, {"response", true, false}, {"both", true, true}, {"neither said", false, false}}

// TestServiceProviders: crewjam/saml and gosaml2 take our responses, xmlsec1 verifies them, and the schema allows them.
func TestServiceProviders(t *testing.T) {
	w := shared(t)
	metadata := w.browser().get("/saml/metadata").body
	var idp crewjam.EntityDescriptor
	if err := xml.Unmarshal([]byte(metadata), &idp); err != nil {
		t.Fatal(err)
	}
	cert := must(w.ring.Active()).Certificate
	crewjam.TimeNow = w.clock.now
	crewjam.Clock = dsig.NewFakeClockAt(w.clock.now())
	for _, s := range signings {
		for _, launched := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s launched=%v", s.name, launched), func(t *testing.T) {
				w.change(t, "A", func(sp *saml.ServiceProvider) { sp.SignResponse, sp.SignAssertion = s.response, s.assertion })
				p := w.ana()
				p.attrs = []saml.Attribute{
					{Name: "email", NameFormat: saml.AttrUnspecified, Values: []string{p.email}},
					{Name: "urn:oid:2.5.4.11", FriendlyName: "ou", NameFormat: saml.AttrURI, Values: []string{"Finance", "R&D <1>", ""}},
					{Name: "none", Values: nil},
				}
				q := w.request(spA)
				target := redirect(q.String())
				if launched {
					target, q.id = "/saml/launch/A", ""
				}
				a := w.at(p).get(target)
				w.success(t, a, acsA)
				doc := a.response(t)
				canonical(t, doc)
				if err := validate(t, "protocol", doc); err != nil {
					t.Errorf("%v\n%s", err, doc)
				}
				if bytes.Contains(doc, []byte(`Name="none"`)) {
					t.Error("an attribute without values is sent")
				}
				for _, e := range []struct {
					name   string
					signed bool
				}{{nsP + ":Response", s.response}, {nsA + ":Assertion", s.assertion || !s.response}} {
					err := xmlsec1(t, doc, e.name, cert)
					if e.signed && err != nil {
						t.Errorf("xmlsec1 on %s: %v", e.name, err)
					} else if !e.signed && err == nil {
						t.Errorf("%s is signed", e.name)
					}
				}

				sp := crewjam.ServiceProvider{EntityID: spA, AcsURL: *must(url.Parse(acsA)), MetadataURL: *must(url.Parse(spA)), IDPMetadata: &idp, AllowIDPInitiated: launched}
				assertion, err := sp.ParseXMLResponse(doc, []string{q.id}, sp.AcsURL)
				if err != nil {
					t.Fatalf("crewjam/saml: %v", err.(*crewjam.InvalidResponseError).PrivateErr)
				}
				if got := assertion.Subject.NameID; got.Value != p.email || got.Format != saml.FormatEmail || got.NameQualifier != "" {
					t.Errorf("crewjam/saml reads %+v", got)
				}
				var values []string
				for _, v := range assertion.AttributeStatements[0].Attributes[1].Values {
					values = append(values, v.Value)
				}
				if diff := cmp.Diff([]string{"Finance", "R&D <1>", ""}, values); diff != "" {
					t.Errorf("crewjam/saml reads (-want +got)\n%s", diff)
				}

				other := &saml2.SAMLServiceProvider{
					IdentityProviderIssuer: entityID, ServiceProviderIssuer: spA, AssertionConsumerServiceURL: acsA, AudienceURI: spA,
					IDPCertificateStore: &dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{must(x509.ParseCertificate(cert))}},
					Clock:               dsig.NewFakeClockAt(w.clock.now()),
				}
				_, fields := a.form()
				info, err := other.RetrieveAssertionInfo(fields["SAMLResponse"])
				if err != nil {
					t.Fatalf("gosaml2: %v", err)
				}
				if info.WarningInfo.InvalidTime || info.WarningInfo.NotInAudience || info.NameID != p.email || info.Values.Get("email") != p.email {
					t.Errorf("gosaml2 reads %+v, %+v", info, info.WarningInfo)
				}
				if info.SessionIndex == "" || info.AuthnInstant == nil || info.SessionNotOnOrAfter != nil {
					t.Errorf("gosaml2 reads %+v", info)
				}
			})
		}
	}
}

// TestRequestsOfOthers: what crewjam/saml and gosaml2 send, signed and not, by both bindings, is understood and answered
// so that they take it.
func TestRequestsOfOthers(t *testing.T) {
	w := shared(t)
	var idp crewjam.EntityDescriptor
	if err := xml.Unmarshal([]byte(w.browser().get("/saml/metadata").body), &idp); err != nil {
		t.Fatal(err)
	}
	crewjam.TimeNow = w.clock.now
	crewjam.Clock = dsig.NewFakeClockAt(w.clock.now())
	own := must(x509.ParseCertificate(must(w.ring.Active()).Certificate))
	other := func() *saml2.SAMLServiceProvider {
		return &saml2.SAMLServiceProvider{
			IdentityProviderSSOURL: base + "/saml/sso", IdentityProviderIssuer: entityID, ServiceProviderIssuer: spA, AssertionConsumerServiceURL: acsA,
			AudienceURI: spA, NameIdFormat: saml.FormatPersistent, Clock: dsig.NewFakeClockAt(w.clock.now()),
			IDPCertificateStore:        &dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{own}},
			SPKeyStore:                 dsig.TLSCertKeyStore{PrivateKey: keyA().key, Certificate: [][]byte{keyA().der}},
			SignAuthnRequestsAlgorithm: dsig.RSASHA256SignatureMethod,
			// Its default, inclusive canonicalization, is none of the transforms that Core §5.4.4 allows.
			SignAuthnRequestsCanonicalizer: dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(""),
		}
	}
	for _, signed := range []bool{false, true} {
		sp := crewjam.ServiceProvider{EntityID: spA, AcsURL: *must(url.Parse(acsA)), MetadataURL: *must(url.Parse(spA)), IDPMetadata: &idp, AllowIDPInitiated: true}
		if signed {
			sp.Key, sp.Certificate, sp.SignatureMethod = keyA().key.(*rsa.PrivateKey), must(x509.ParseCertificate(keyA().der)), dsig.RSASHA256SignatureMethod
		}
		for name, send := range map[string]func(b *browser) *answer{
			"crewjam/saml Redirect": func(b *browser) *answer {
				return b.get(must(sp.MakeRedirectAuthenticationRequest("deep")).RequestURI())
			},
			"crewjam/saml POST": func(b *browser) *answer {
				return b.post("/saml/sso", fieldsOf(must(sp.MakePostAuthenticationRequest("deep"))))
			},
			"gosaml2 Redirect": func(b *browser) *answer {
				g := other()
				g.SignAuthnRequests = signed
				doc := must(g.BuildAuthRequestDocumentNoSig())
				return b.get(must(url.Parse(must(g.BuildAuthURLRedirect("deep", doc)))).RequestURI())
			},
			"gosaml2 POST": func(b *browser) *answer {
				g := other()
				g.SignAuthnRequests = signed
				return b.post("/saml/sso", fieldsOf(must(g.BuildAuthBodyPost("deep"))))
			},
		} {
			t.Run(fmt.Sprintf("%s signed=%v", name, signed), func(t *testing.T) {
				// Demanded, so that a signature that is not seen is noticed.
				w.change(t, "A", func(sp *saml.ServiceProvider) { sp.RequireSignedRequests = signed })
				b, p := w.browser(), w.ana()
				a := b.follow(t, send(b), p)
				w.success(t, a, acsA)
				_, fields := a.form()
				if fields["RelayState"] != "deep" {
					t.Errorf("RelayState %q", fields["RelayState"])
				}
				doc := a.response(t)
				if _, err := sp.ParseXMLResponse(doc, []string{inResponseTo(t, doc)}, sp.AcsURL); err != nil {
					t.Errorf("crewjam/saml: %v", err.(*crewjam.InvalidResponseError).PrivateErr)
				}
				if _, err := other().RetrieveAssertionInfo(fields["SAMLResponse"]); err != nil {
					t.Errorf("gosaml2: %v", err)
				}
			})
		}
	}
}

// fieldsOf is what a browser submits of somebody's form.
func fieldsOf(page []byte) string {
	form := url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`).FindAllSubmatch(page, -1) {
		form.Set(string(m[1]), html.UnescapeString(string(m[2])))
	}
	return form.Encode()
}
