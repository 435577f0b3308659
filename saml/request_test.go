package saml_test

import (
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/xml"
	"math/big"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/lanyard-sso/lanyard/saml"
)

const (
	spA = "https://sp-a.example/meta"
	spB = "https://sp-b.example/meta"
	spS = "https://sp-s.example/meta"
	spR = "https://sp-r.example/meta"
	spD = "https://sp-d.example/meta"
	spK = "https://sp-k.example/meta"
	spV = "https://vendor.example/meta"

	acsA  = "https://sp-a.example/acs"
	acsA2 = "https://sp-a.example/acs2"
	acsB  = "https://sp-b.example/acs"
	acsS  = "https://sp-s.example/acs"
	acsR  = "https://sp-r.example/acs"
	acsD  = "https://sp-d.example/acs"
	acsK  = "https://sp-k.example/acs"

	startA = "https://sp-a.example/start"

	rsaSHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
)

// pair is a key with its certificate.
type pair struct {
	key crypto.Signer
	der []byte
}

func (p pair) cert(use string) saml.Certificate { return saml.Certificate{Use: use, DER: p.der} }

func newPair(key crypto.Signer, from, to int) pair {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sp"},
		NotBefore: time.Date(from, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(to, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	return pair{key, must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))}
}

func newRSA() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) }

var (
	keyA       = sync.OnceValue(func() pair { return newPair(newRSA(), 2020, 2040) })
	keyA2      = sync.OnceValue(func() pair { return newPair(newRSA(), 2020, 2040) })
	keyExpired = sync.OnceValue(func() pair { return newPair(newRSA(), 2000, 2001) })
	keyFuture  = sync.OnceValue(func() pair { return newPair(newRSA(), 2090, 2095) })
	keyCrypt   = sync.OnceValue(func() pair { return newPair(newRSA(), 2020, 2040) })
	keyB       = sync.OnceValue(func() pair { return newPair(newRSA(), 2020, 2040) })
	keyEC      = sync.OnceValue(func() pair { return newPair(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), 2020, 2040) })
)

func acs(url string, index int, isDefault string) saml.Endpoint {
	return saml.Endpoint{URL: url, Binding: saml.BindingPOST, Index: index, Default: isDefault}
}

// serviceProviders are the apps of every world. Vendor 1 and 2 are two customers of one vendor.
func serviceProviders() []saml.ServiceProvider {
	sp := func(name, entity string, endpoints ...saml.Endpoint) saml.ServiceProvider {
		return saml.ServiceProvider{APIName: name, Name: "App " + name, EntityID: entity, ACS: endpoints, SignResponse: true, SignAssertion: true}
	}
	a := sp("A", spA, acs(acsA, 0, "true"), acs(acsA2, 1, ""),
		saml.Endpoint{URL: "https://sp-a.example/artifact", Binding: "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact", Index: 2})
	a.Start = startA
	a.Certificates = []saml.Certificate{keyA().cert("signing"), keyA2().cert("signing"), keyExpired().cert(""), keyFuture().cert("signing"), keyEC().cert("signing"), keyCrypt().cert("encryption")}
	a.NameIDFormats = []string{saml.FormatEmail}
	b := sp("B", spB, acs(acsB, 0, ""))
	b.Certificates = []saml.Certificate{keyB().cert("signing")}
	s := sp("S", spS, acs(acsS, 0, ""))
	s.AuthnRequestsSigned, s.Certificates = true, []saml.Certificate{keyA().cert("signing")}
	r := sp("R", spR, acs(acsR, 0, ""))
	r.RequireSignedRequests, r.Certificates = true, []saml.Certificate{keyA().cert("")}
	v1, v2 := sp("V1", spV, acs("https://one.vendor.example/acs", 0, "true")), sp("V2", spV, acs("https://two.vendor.example/acs", 0, "true"))
	v1.Certificates, v2.Certificates = []saml.Certificate{keyA().cert("signing")}, []saml.Certificate{keyB().cert("signing")}
	return []saml.ServiceProvider{a, b, s, r, sp("D", spD, acs(acsD, 0, "")), sp("K", spK, acs(acsK, 0, "")), v1, v2}
}

// authnRequest is an AuthnRequest in the making. A field that is "-" is left out, the texts in attrs and inner stand as
// they are.
type authnRequest struct {
	id, version, instant, destination, issuer string
	attrs, inner                              string
}

func (w *world) request(issuer string) authnRequest {
	return authnRequest{id: "_" + rand.Text(), version: "2.0", instant: w.clock.now().Format(time.RFC3339), destination: base + "/saml/sso", issuer: issuer}
}

func (q authnRequest) String() string {
	var b strings.Builder
	b.WriteString(`<samlp:AuthnRequest xmlns:saml="` + nsA + `" xmlns:samlp="` + nsP + `"`)
	for _, a := range [][2]string{{"ID", q.id}, {"Version", q.version}, {"IssueInstant", q.instant}, {"Destination", q.destination}} {
		if a[1] != "-" {
			b.WriteString(" " + a[0] + `="` + esc(a[1]) + `"`)
		}
	}
	b.WriteString(" " + q.attrs + ">")
	if q.issuer != "-" {
		b.WriteString("<saml:Issuer>" + esc(q.issuer) + "</saml:Issuer>")
	}
	b.WriteString(q.inner + "</samlp:AuthnRequest>")
	return b.String()
}

func esc(s string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		panic(err)
	}
	return b.String()
}

func deflate(doc string) string {
	var b bytes.Buffer
	z := must(flate.NewWriter(&b, flate.BestCompression))
	must(z.Write([]byte(doc)))
	if err := z.Close(); err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// redirect is the address at which doc is sent unsigned, with what follows appended.
func redirect(doc string, more ...string) string {
	return "/saml/sso?SAMLRequest=" + url.QueryEscape(deflate(doc)) + strings.Join(more, "")
}

// lower writes percent-encoding as .NET does.
func lower(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], strings.ToLower(string(b[i+1:i+3])))
		}
	}
	return string(b)
}

// signedQuery signs octets as Bindings §3.4.4.1 says and returns the whole query.
func signedQuery(octets string, key crypto.Signer) string {
	return octets + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(signOctets(octets, key)))
}

func signOctets(octets string, key crypto.Signer) []byte {
	sum := sha256.Sum256([]byte(octets))
	if k, ok := key.(*ecdsa.PrivateKey); ok {
		r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
		if err != nil {
			panic(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	return must(key.Sign(rand.Reader, sum[:], crypto.SHA256))
}

// redirectSigned is the address at which doc is sent signed. relay "-" is none.
func redirectSigned(doc, relay string, key crypto.Signer) string {
	octets := "SAMLRequest=" + url.QueryEscape(deflate(doc))
	if relay != "-" {
		octets += "&RelayState=" + url.QueryEscape(relay)
	}
	alg := rsaSHA256
	if _, ok := key.(*ecdsa.PrivateKey); ok {
		alg = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
	}
	return "/saml/sso?" + signedQuery(octets+"&SigAlg="+url.QueryEscape(alg), key)
}

// posted is the form in which doc is posted.
func posted(doc string, more ...string) string {
	return "SAMLRequest=" + url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(doc))) + strings.Join(more, "")
}

// enveloped returns q signed with an enveloped signature, as another library makes it.
func (q authnRequest) enveloped(t testing.TB, key pair) string {
	t.Helper()
	tree := etree.NewDocument()
	if err := tree.ReadFromString(q.String()); err != nil {
		t.Fatal(err)
	}
	ctx := must(dsig.NewSigningContext(key.key, [][]byte{key.der}))
	ctx.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	tree.SetRoot(must(ctx.SignEnveloped(tree.Root())))
	return must(tree.WriteToString())
}
