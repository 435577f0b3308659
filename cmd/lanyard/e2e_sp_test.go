package main_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"math/big"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	crypt "crypto"

	"github.com/beevik/etree"
	crewjam "github.com/crewjam/saml"
	saml2 "github.com/russellhaering/gosaml2"
	dsig "github.com/russellhaering/goxmldsig"
)

// spKey is the key of every service provider here, with its certificate.
var spKey = sync.OnceValues(func() (*rsa.PrivateKey, *x509.Certificate) {
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	return key, certify(key, time.Now().AddDate(1, 0, 0))
})

func certify(key *rsa.PrivateKey, until time.Time) *x509.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sp.example"}, NotBefore: until.AddDate(-2, 0, 0), NotAfter: until}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))))
}

func pemOf(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// sp is a service provider on crewjam/saml that knows the identity provider by its metadata.
type sp struct {
	*crewjam.ServiceProvider
	t    *testing.T
	idp  *url.URL
	cert *x509.Certificate // the identity provider's
}

func newSP(t *testing.T, host string) *sp {
	key, cert := spKey()
	base := must(url.Parse("https://" + host))
	return &sp{t: t, ServiceProvider: &crewjam.ServiceProvider{
		EntityID: base.String() + "/meta", Key: key, Certificate: cert, MetadataURL: *base.JoinPath("/meta"), AcsURL: *base.JoinPath("/acs"),
	}}
}

// signs has the service provider sign its requests.
func (s *sp) signs() *sp {
	s.SignatureMethod = dsig.RSASHA256SignatureMethod
	return s
}

// meet reads the identity provider's metadata.
func (s *sp) meet(o *org) *sp {
	s.t.Helper()
	p := o.browser().get("/saml/metadata")
	s.IDPMetadata = &crewjam.EntityDescriptor{}
	if err := xml.Unmarshal([]byte(p.body), s.IDPMetadata); err != nil {
		s.t.Fatalf("metadata (%d): %v\n%s", p.status, err, p.body)
	}
	s.idp = must(url.Parse(s.GetSSOBindingLocation(crewjam.HTTPRedirectBinding)))
	key := s.IDPMetadata.IDPSSODescriptors[0].KeyDescriptors[0].KeyInfo.X509Data.X509Certificates[0].Data
	s.cert = must(x509.ParseCertificate(must(base64.StdEncoding.DecodeString(strings.Join(strings.Fields(key), "")))))
	return s
}

// request makes an AuthnRequest, altered as the case wants it.
func (s *sp) request(alter ...func(*crewjam.AuthnRequest)) *crewjam.AuthnRequest {
	s.t.Helper()
	r, err := s.MakeAuthenticationRequest(s.idp.String(), crewjam.HTTPRedirectBinding, crewjam.HTTPPostBinding)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range alter {
		f(r)
	}
	return r
}

func forceAuthn(r *crewjam.AuthnRequest) { yes := true; r.ForceAuthn = &yes }
func isPassive(r *crewjam.AuthnRequest)  { yes := true; r.IsPassive = &yes }

// redirect is where the service provider sends the browser (signed, if it signs).
func (s *sp) redirect(r *crewjam.AuthnRequest, relayState string) string {
	s.t.Helper()
	u, err := r.Redirect(url.QueryEscape(relayState), s.ServiceProvider)
	if err != nil {
		s.t.Fatal(err)
	}
	return u.String()
}

// post is the form by which the service provider sends it by POST.
func (s *sp) post(r *crewjam.AuthnRequest, relayState string) url.Values {
	s.t.Helper()
	if s.SignatureMethod != "" {
		if err := s.SignAuthnRequest(r); err != nil {
			s.t.Fatal(err)
		}
	}
	p := &page{body: "<main>" + string(r.Post(relayState)), t: s.t}
	f := p.forms()[0].values
	f.Del("") // its button
	return f
}

// site is a page of the service provider's, from which a form is posted.
func (s *sp) site() string { return s.MetadataURL.String() }

// accept takes the response that the page is about to post, as the service provider would, and returns what it says.
// id is the request it answers; "" for none.
func (s *sp) accept(p *page, id string) (*crewjam.Assertion, url.Values) {
	s.t.Helper()
	doc, to, fields := p.saml()
	if to != s.AcsURL.String() {
		s.t.Fatalf("the response goes to %s, not to %s", to, s.AcsURL.String())
	}
	s.AllowIDPInitiated = id == ""
	a, err := s.ParseXMLResponse(doc, []string{id}, s.AcsURL)
	if err != nil {
		s.t.Fatalf("crewjam/saml: %v\n%s", err.(*crewjam.InvalidResponseError).PrivateErr, doc)
	}
	if got := a.Subject.SubjectConfirmations[0].SubjectConfirmationData.InResponseTo; got != id {
		s.t.Errorf("the response answers %q, not %q", got, id)
	}
	return a, fields
}

// status demands a response that is an error, and returns its codes, joined.
func (s *sp) status(p *page) string {
	s.t.Helper()
	doc, to, _ := p.saml()
	if to != s.AcsURL.String() || bytes.Contains(doc, []byte("<saml:Assertion")) || bytes.Contains(doc, []byte("NameID")) {
		s.t.Errorf("an error with an assertion, or to %s:\n%s", to, doc)
	}
	var r crewjam.Response
	if err := xml.Unmarshal(doc, &r); err != nil {
		s.t.Fatal(err)
	}
	var codes []string
	for c := &r.Status.StatusCode; c != nil; c = c.StatusCode {
		codes = append(codes, c.Value[strings.LastIndexByte(c.Value, ':')+1:])
	}
	return strings.Join(codes, " ")
}

// values returns an attribute's values, nil if it was not told.
func values(a *crewjam.Assertion, name string) (all []string) {
	for _, st := range a.AttributeStatements {
		for _, at := range st.Attributes {
			if at.Name == name {
				for _, v := range at.Values {
					all = append(all, v.Value)
				}
			}
		}
	}
	return all
}

// other is the same service provider on gosaml2.
func (s *sp) other() *saml2.SAMLServiceProvider {
	return &saml2.SAMLServiceProvider{
		IdentityProviderSSOURL: s.idp.String(), IdentityProviderIssuer: s.IDPMetadata.EntityID,
		ServiceProviderIssuer: s.EntityID, AudienceURI: s.EntityID, AssertionConsumerServiceURL: s.AcsURL.String(),
		IDPCertificateStore: &dsig.MemoryX509CertificateStore{Roots: []*x509.Certificate{s.cert}},
		NameIdFormat:        "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
	}
}

// signedQuery signs a Redirect query exactly as it is written, by Bindings §3.4.4.1: the octets are the sender's own.
func signedQuery(query string) string {
	key, _ := spKey()
	sum := sha256.Sum256([]byte(query))
	sig := must(rsa.SignPKCS1v15(rand.Reader, key, crypt.SHA256, sum[:]))
	return query + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(sig))
}

// bytesOf writes a request as a document.
func bytesOf(r *crewjam.AuthnRequest) []byte {
	d := etree.NewDocument()
	d.SetRoot(r.Element())
	return must(d.WriteToBytes())
}
