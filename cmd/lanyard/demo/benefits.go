package demo

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"time"

	"github.com/crewjam/saml"
	"github.com/crewjam/saml/samlsp"
)

// Benefits is "Your Benefits", a SAML 2.0 service provider.
type Benefits struct {
	self    url.URL
	idp     string
	sp      *samlsp.Middleware
	in      *sessions[*benefit]
	pending *once[samlsp.TrackedRequest]
}

// benefit is what one person's assertion said.
type benefit struct {
	name       string
	nameID     string
	response   string
	attributes samlsp.Attributes
	launched   bool // started at the identity provider
}

func (b *benefit) GetAttributes() samlsp.Attributes { return b.attributes }

// NewBenefits returns the app as it is before it knows its identity provider: enough to tell its own metadata.
func NewBenefits(self string) (*Benefits, error) {
	u, err := url.Parse(self)
	if err != nil {
		return nil, err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	cert, err := selfSigned(key)
	if err != nil {
		return nil, err
	}
	b := &Benefits{self: *u, in: newSessions[*benefit]("benefits"), pending: &once[samlsp.TrackedRequest]{}}
	sp, err := samlsp.New(samlsp.Options{
		EntityID: self + "/saml/metadata", URL: *u, Key: key, Certificate: cert, SignRequest: true,
		AllowIDPInitiated: true, IDPMetadata: &saml.EntityDescriptor{},
	})
	if err != nil {
		return nil, err
	}
	sp.ServiceProvider.SignatureMethod = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256" // the library's default is SHA-1, which nobody should take
	sp.RequestTracker, sp.Session = benefitRequests{b}, benefitSessions{b}
	sp.OnError = b.failed
	b.sp = sp
	return b, nil
}

// Metadata is the document an admin uploads to register the app.
func (b *Benefits) Metadata() ([]byte, error) {
	m := b.sp.ServiceProvider.Metadata()
	for i := range m.SPSSODescriptors {
		var keep []saml.KeyDescriptor // it takes clear assertions: it is on this machine only
		for _, k := range m.SPSSODescriptors[i].KeyDescriptors {
			if k.Use == "signing" {
				keep = append(keep, k)
			}
		}
		m.SPSSODescriptors[i].KeyDescriptors = keep
	}
	return xml.MarshalIndent(m, "", "  ")
}

// Connect gives the app its identity provider's address and metadata.
func (b *Benefits) Connect(idp string, metadata []byte) error {
	m, err := samlsp.ParseMetadata(metadata)
	if err != nil {
		return err
	}
	b.idp, b.sp.ServiceProvider.IDPMetadata = idp, m
	return nil
}

// ServeHTTP serves the app.
func (b *Benefits) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/app.css":
		css(w, r)
	case "/saml/metadata", "/saml/acs":
		b.sp.ServeHTTP(w, r)
	case "/signout":
		b.in.drop(w, r)
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case "/in":
		b.sp.RequireAccount(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/", http.StatusSeeOther)
		})).ServeHTTP(w, r)
	case "/":
		b.home(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (b *Benefits) home(w http.ResponseWriter, r *http.Request) {
	p := page{App: "Your Benefits", Tagline: "Health, pension and time off, in one place.", Colour: "teal"}
	in, ok := b.in.get(r)
	if !ok {
		p.Lead = "This is a SAML 2.0 service provider. Signing in sends a signed AuthnRequest to Lanyard and comes back with an assertion."
		p.Actions = []action{{Label: "Sign in with SAML", URL: "/in"}}
		p.write(w, http.StatusOK)
		return
	}
	p.User = in.name
	p.Lead = "You are in: the response answered this app's own AuthnRequest."
	if in.launched {
		p.Lead = "You are in: the response was started at the identity provider, without an AuthnRequest."
	}
	p.Facts = []fact{{"Days off left", "17"}, {"Health plan", "Plus"}, {"Pension", "6 %"}, {"NameID", in.nameID}}
	var names []string
	for n := range in.attributes {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		p.Facts = append(p.Facts, fact{n, strings.Join(in.attributes[n], ", ")})
	}
	p.Received = []received{{"What this app received", "The Response, decoded and indented for reading.", in.response}}
	p.Actions = []action{{Label: "Back to the launcher", URL: b.idp + "/apps"}, {Label: "Leave this app", URL: "/signout", Quiet: true}}
	p.write(w, http.StatusOK)
}

func (b *Benefits) failed(w http.ResponseWriter, _ *http.Request, err error) {
	why := err.Error()
	if e, ok := err.(*saml.InvalidResponseError); ok {
		why = e.PrivateErr.Error()
	}
	page{App: "Your Benefits", Colour: "teal", Error: "The response was not accepted: " + why,
		Actions: []action{{Label: "Try again", URL: "/"}}}.write(w, http.StatusForbidden)
}

// benefitSessions is where samlsp leaves an accepted assertion.
type benefitSessions struct{ *Benefits }

func (s benefitSessions) CreateSession(w http.ResponseWriter, r *http.Request, a *saml.Assertion) error {
	doc, err := base64.StdEncoding.DecodeString(r.PostForm.Get("SAMLResponse"))
	if err != nil {
		return err
	}
	in := &benefit{response: prettyXML(doc), attributes: samlsp.Attributes{}, launched: true}
	if a.Subject == nil {
		return errors.New("the assertion has no subject")
	}
	if a.Subject.NameID != nil {
		in.nameID = a.Subject.NameID.Value
	}
	for _, c := range a.Subject.SubjectConfirmations {
		if c.SubjectConfirmationData != nil && c.SubjectConfirmationData.InResponseTo != "" {
			in.launched = false
		}
	}
	for _, st := range a.AttributeStatements {
		for _, at := range st.Attributes {
			for _, v := range at.Values {
				in.attributes[at.Name] = append(in.attributes[at.Name], v.Value)
			}
		}
	}
	in.name = in.nameID
	if n := in.attributes.Get("givenName"); n != "" {
		in.name = n
	}
	s.in.put(w, in)
	return nil
}

func (s benefitSessions) GetSession(r *http.Request) (samlsp.Session, error) {
	in, ok := s.in.get(r)
	if !ok {
		return nil, samlsp.ErrNoSession
	}
	return in, nil
}

func (s benefitSessions) DeleteSession(w http.ResponseWriter, r *http.Request) error {
	s.in.drop(w, r)
	return nil
}

// benefitRequests remembers AuthnRequests on the server: the POST that answers is cross-site and brings no Lax cookie.
type benefitRequests struct{ *Benefits }

func (t benefitRequests) TrackRequest(_ http.ResponseWriter, r *http.Request, id string) (string, error) {
	index := rand.Text()
	t.pending.put(index, samlsp.TrackedRequest{Index: index, SAMLRequestID: id, URI: r.URL.Path})
	return index, nil
}

func (t benefitRequests) StopTrackingRequest(_ http.ResponseWriter, _ *http.Request, index string) error {
	t.pending.take(index)
	return nil
}

func (t benefitRequests) GetTrackedRequests(r *http.Request) []samlsp.TrackedRequest {
	if v, ok := t.pending.peek(r.Form.Get("RelayState")); ok {
		return []samlsp.TrackedRequest{v}
	}
	return nil
}

func (t benefitRequests) GetTrackedRequest(_ *http.Request, index string) (*samlsp.TrackedRequest, error) {
	v, ok := t.pending.peek(index)
	if !ok {
		return nil, http.ErrNoCookie
	}
	return &v, nil
}

func selfSigned(key *rsa.PrivateKey) (*x509.Certificate, error) {
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Your Benefits (demo)"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate of the demo: %w", err)
	}
	return x509.ParseCertificate(der)
}
