package saml_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/saml"
	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

const (
	nsDS     = "http://www.w3.org/2000/09/xmldsig#"
	excC14N  = "http://www.w3.org/2001/10/xml-exc-c14n#"
	envelope = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
)

// forgery is an enveloped signature in the making, right in every part that is not altered.
type forgery struct {
	reference  string // the whole Reference, of which %URI%, %TRANSFORMS% and %DIGEST% are filled in
	uri        string
	transforms string
	digest     string // instead of the right one
	algorithm  string
	mac        []byte // the key of an HMAC instead of a signature
	info       func(string) string
	value      func(string) string // what stands in SignatureValue
	wrap       func(string) string // the whole Signature
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// forge signs q as f says.
func forge(t testing.TB, q authnRequest, key crypto.Signer, f forgery) string {
	t.Helper()
	e, err := xmlsec.Parse([]byte(q.String()), xmlsec.MessageLimits())
	if err != nil {
		t.Fatal(err)
	}
	content := string(e.Canonical())
	if f.reference == "" {
		f.reference = `<ds:Reference URI="%URI%"><ds:Transforms>%TRANSFORMS%</ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod><ds:DigestValue>%DIGEST%</ds:DigestValue></ds:Reference>`
	}
	if f.uri == "" {
		f.uri = "#" + q.id
	}
	if f.transforms == "" {
		f.transforms = `<ds:Transform Algorithm="` + envelope + `"></ds:Transform><ds:Transform Algorithm="` + excC14N + `"></ds:Transform>`
	}
	if f.digest == "" {
		sum := sha256.Sum256([]byte(content))
		f.digest = b64(sum[:])
	}
	if f.algorithm == "" {
		f.algorithm = rsaSHA256
	}
	ref := strings.NewReplacer("%URI%", f.uri, "%TRANSFORMS%", f.transforms, "%DIGEST%", f.digest).Replace(f.reference)
	info := `<ds:SignedInfo xmlns:ds="` + nsDS + `"><ds:CanonicalizationMethod Algorithm="` + excC14N + `"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="` + f.algorithm + `"></ds:SignatureMethod>` + ref + `</ds:SignedInfo>`
	if f.info != nil {
		info = f.info(info)
	}
	signature := signOctets(info, key)
	if f.mac != nil {
		m := hmac.New(sha256.New, f.mac)
		m.Write([]byte(info))
		signature = m.Sum(nil)
	}
	if strings.HasSuffix(f.algorithm, "rsa-sha1") {
		sum := sha1.Sum([]byte(info))
		signature = must(key.Sign(rand.Reader, sum[:], crypto.SHA1))
	}
	value := b64(signature)
	if f.value != nil {
		value = f.value(value)
	}
	sig := `<ds:Signature xmlns:ds="` + nsDS + `">` + info + `<ds:SignatureValue>` + value + `</ds:SignatureValue></ds:Signature>`
	if f.wrap != nil {
		sig = f.wrap(sig)
	}
	return strings.Replace(content, "</saml:Issuer>", "</saml:Issuer>"+sig, 1)
}

// TestSignatureAccepted: P2, P3 and the rest of what is signed as it should be.
func TestSignatureAccepted(t *testing.T) {
	for name, send := range map[string]func(t *testing.T, w *world, b *browser) *answer{
		"P2 Redirect": func(_ *testing.T, w *world, b *browser) *answer {
			return b.get(redirectSigned(w.request(spA).String(), "-", keyA().key))
		},
		"P2 Redirect in lower case": func(_ *testing.T, w *world, b *browser) *answer {
			octets := lower("SAMLRequest=" + url.QueryEscape(deflate(w.request(spA).String())) + "&RelayState=" + url.QueryEscape("a/b=c ä") + "&SigAlg=" + url.QueryEscape(rsaSHA256))
			return b.get("/saml/sso?" + signedQuery(octets, keyA().key))
		},
		"P2 POST": func(t *testing.T, w *world, b *browser) *answer {
			return b.post("/saml/sso", posted(w.request(spA).enveloped(t, keyA())))
		},
		"P3 second key": func(_ *testing.T, w *world, b *browser) *answer {
			return b.get(redirectSigned(w.request(spA).String(), "x", keyA2().key))
		},
		"P3 SAML-SIG-16 expired certificate without use": func(t *testing.T, w *world, b *browser) *answer {
			return b.post("/saml/sso", posted(w.request(spA).enveloped(t, keyExpired())))
		},
		"SAML-SIG-16 certificate that is not valid yet": func(_ *testing.T, w *world, b *browser) *answer {
			return b.get(redirectSigned(w.request(spA).String(), "-", keyFuture().key))
		},
		"ECDSA": func(_ *testing.T, w *world, b *browser) *answer {
			return b.get(redirectSigned(w.request(spA).String(), "-", keyEC().key))
		},
		"empty RelayState that was signed": func(_ *testing.T, w *world, b *browser) *answer {
			return b.get(redirectSigned(w.request(spA).String(), "", keyA().key))
		},
		"SAML-SIG-06 parameters in another order": func(_ *testing.T, w *world, b *browser) *answer {
			q := strings.Split(redirectSigned(w.request(spA).String(), "x", keyA().key)[len("/saml/sso?"):], "&")
			return b.get("/saml/sso?" + strings.Join([]string{q[3], q[2], q[1], q[0], "other=1"}, "&"))
		},
		"SAML-SIG-06 + for a space": func(_ *testing.T, w *world, b *browser) *answer {
			return b.get("/saml/sso?" + signedQuery("SAMLRequest="+url.QueryEscape(deflate(w.request(spA).String()))+"&RelayState=a+b&SigAlg="+url.QueryEscape(rsaSHA256), keyA().key))
		},
		"SAML-SIG-06 escapes that are not needed": func(_ *testing.T, w *world, b *browser) *answer {
			return b.get("/saml/sso?" + signedQuery("SAMLRequest="+url.QueryEscape(deflate(w.request(spA).String()))+"&RelayState=%61%62&SigAlg="+url.QueryEscape(rsaSHA256), keyA().key))
		},
		"both ways at once": func(t *testing.T, w *world, b *browser) *answer {
			return b.get(redirectSigned(w.request(spA).enveloped(t, keyA2()), "-", keyA().key))
		},
		"forged as it should be": func(t *testing.T, w *world, b *browser) *answer {
			return b.post("/saml/sso", posted(forge(t, w.request(spA), keyA().key, forgery{})))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := shared(t)
			p := w.ana()
			b := w.at(p)
			w.success(t, b.follow(t, send(t, w, b), p), acsA)
		})
	}
	t.Run("BEN-7 requireSignedRequests and AuthnRequestsSigned", func(t *testing.T) {
		w := shared(t)
		for entity, acs := range map[string]string{spR: acsR, spS: acsS} {
			w.success(t, w.at(w.ana()).get(redirectSigned(w.request(entity).String(), "-", keyA().key)), acs)
		}
	})
}

// TestSignatureRefused: SECURITY.md §1.2, BEN-7.
func TestSignatureRefused(t *testing.T) {
	type send func(t *testing.T, w *world, b *browser) *answer
	query := func(f func(w *world) string) send {
		return func(_ *testing.T, w *world, b *browser) *answer { return b.get("/saml/sso?" + f(w)) }
	}
	doc := func(w *world) string { return "SAMLRequest=" + url.QueryEscape(deflate(w.request(spA).String())) }
	alg := func(uri string) string { return "&SigAlg=" + url.QueryEscape(uri) }
	enveloped := func(f forgery) send {
		return func(t *testing.T, w *world, b *browser) *answer {
			return b.post("/saml/sso", posted(forge(t, w.request(spA), keyA().key, f)))
		}
	}
	mac := func(key []byte) send {
		return query(func(w *world) string {
			octets := doc(w) + alg("http://www.w3.org/2000/09/xmldsig#hmac-sha256")
			m := hmac.New(sha256.New, key)
			m.Write([]byte(octets))
			return octets + "&Signature=" + url.QueryEscape(b64(m.Sum(nil)))
		})
	}
	cert := must(x509.ParseCertificate(keyA().der))
	transform := func(s string) forgery {
		return forgery{transforms: `<ds:Transform Algorithm="` + envelope + `"></ds:Transform>` + s + `<ds:Transform Algorithm="` + excC14N + `"></ds:Transform>`}
	}
	named := func(uri string) string { return `<ds:Transform Algorithm="` + uri + `"></ds:Transform>` }
	emptyDigest := sha256.Sum256(nil)

	cases := map[string]send{
		"SAML-SIG-01 S unsigned by Redirect": func(_ *testing.T, w *world, b *browser) *answer { return b.get(redirect(w.request(spS).String())) },
		"SAML-SIG-01 S unsigned by POST": func(_ *testing.T, w *world, b *browser) *answer {
			return b.post("/saml/sso", posted(w.request(spS).String()))
		},
		"SAML-SIG-01 R unsigned by Redirect": func(_ *testing.T, w *world, b *browser) *answer { return b.get(redirect(w.request(spR).String())) },
		"SAML-SIG-01 R unsigned by POST": func(_ *testing.T, w *world, b *browser) *answer {
			return b.post("/saml/sso", posted(w.request(spR).String()))
		},
		"app without a key": func(_ *testing.T, w *world, b *browser) *answer {
			return b.get(redirectSigned(w.request(spK).String(), "-", keyA().key))
		},

		"SAML-SIG-02 no Signature":    query(func(w *world) string { return doc(w) + alg(rsaSHA256) }),
		"SAML-SIG-02 no SigAlg":       query(func(w *world) string { return doc(w) + "&Signature=AAAA" }),
		"SAML-SIG-02 empty Signature": query(func(w *world) string { return doc(w) + alg(rsaSHA256) + "&Signature=" }),
		"SAML-SIG-02 empty SigAlg":    query(func(w *world) string { return doc(w) + "&SigAlg=&Signature=AAAA" }),
		"SAML-SIG-02 both empty":      query(func(w *world) string { return doc(w) + "&SigAlg=&Signature=" }),
		"SAML-SIG-02 without a value": query(func(w *world) string { return doc(w) + alg(rsaSHA256) + "&Signature" }),
		"SAML-SIG-02 not base64":      query(func(w *world) string { return doc(w) + alg(rsaSHA256) + "&Signature=!!!!" }),
		"garbage Signature":           query(func(w *world) string { return doc(w) + alg(rsaSHA256) + "&Signature=AAAA" }),
		"SimpleSign fields in a POST": func(_ *testing.T, w *world, b *browser) *answer {
			return b.post("/saml/sso", posted(w.request(spA).String(), alg(rsaSHA256), "&Signature=AAAA"))
		},
		"SAML-SIG-05 name in escapes":  query(func(w *world) string { return strings.Replace(doc(w), "SAMLRequest", "%53AMLRequest", 1) }),
		"SAML-SIG-05 two SAMLRequests": query(func(w *world) string { return doc(w) + "&" + doc(w) }),
		"SAML-SIG-05 second one in escapes, signed": query(func(w *world) string {
			return signedQuery(doc(w)+alg(rsaSHA256), keyA().key) + "&" + strings.Replace(doc(w), "SAMLRequest", "%53AMLRequest", 1)
		}),
		"SAML-SIG-05 two SigAlgs": query(func(w *world) string { return signedQuery(doc(w)+alg(rsaSHA256), keyA().key) + alg(rsaSHA256) }),
		"SAML-SIG-05 two RelayStates": query(func(w *world) string {
			return signedQuery(doc(w)+"&RelayState=a"+alg(rsaSHA256), keyA().key) + "&RelayState=b"
		}),

		"SAML-SIG-04 rsa-sha1": query(func(w *world) string {
			octets := doc(w) + alg("http://www.w3.org/2000/09/xmldsig#rsa-sha1")
			sum := sha1.Sum([]byte(octets))
			return octets + "&Signature=" + url.QueryEscape(b64(must(keyA().key.Sign(rand.Reader, sum[:], crypto.SHA1))))
		}),
		"SAML-SIG-04 dsa-sha1": query(func(w *world) string {
			return signedQuery(doc(w)+alg("http://www.w3.org/2000/09/xmldsig#dsa-sha1"), keyA().key)
		}),
		"SAML-SIG-04 rsa-md5": query(func(w *world) string {
			return signedQuery(doc(w)+alg("http://www.w3.org/2001/04/xmldsig-more#rsa-md5"), keyA().key)
		}),
		"SAML-SIG-04 unknown":            query(func(w *world) string { return signedQuery(doc(w)+alg("urn:x"), keyA().key) }),
		"SAML-SIG-04 hmac with the DER":  mac(keyA().der),
		"SAML-SIG-04 hmac with the PEM":  mac(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: keyA().der})),
		"SAML-SIG-04 hmac with the SPKI": mac(cert.RawSubjectPublicKeyInfo),
		"SAML-SIG-04 ecdsa with the RSA key": query(func(w *world) string {
			return signedQuery(doc(w)+alg("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"), keyA().key)
		}),
		"SAML-SIG-04 ecdsa in ASN.1": query(func(w *world) string {
			octets := doc(w) + alg("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256")
			return octets + "&Signature=" + url.QueryEscape(b64(asn1(octets)))
		}),
		"SAML-SIG-04 enveloped rsa-sha1":          enveloped(forgery{algorithm: "http://www.w3.org/2000/09/xmldsig#rsa-sha1"}),
		"SAML-SIG-04 enveloped hmac with the DER": enveloped(forgery{algorithm: "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", mac: keyA().der}),
		"SAML-SIG-04 enveloped empty":             enveloped(forgery{info: func(s string) string { return strings.Replace(s, rsaSHA256, "", 1) }}),

		"SAML-SIG-06 signed in another order": query(func(w *world) string {
			d := doc(w)
			sig := signOctets("RelayState=x&"+d+alg(rsaSHA256), keyA().key)
			return "RelayState=x&" + d + alg(rsaSHA256) + "&Signature=" + url.QueryEscape(b64(sig))
		}),
		"SAML-SIG-06 encoded anew": query(func(w *world) string {
			return strings.Replace(signedQuery(doc(w)+"&RelayState=a%2fb"+alg(rsaSHA256), keyA().key), "a%2fb", "a%2Fb", 1)
		}),
		"SAML-SIG-07 RelayState replaced": query(func(w *world) string {
			return strings.Replace(signedQuery(doc(w)+"&RelayState=good"+alg(rsaSHA256), keyA().key), "=good", "=evil", 1)
		}),
		"SAML-SIG-07 RelayState removed": query(func(w *world) string {
			return strings.Replace(signedQuery(doc(w)+"&RelayState=good"+alg(rsaSHA256), keyA().key), "&RelayState=good", "", 1)
		}),
		"SAML-SIG-07 RelayState added":       query(func(w *world) string { return signedQuery(doc(w)+alg(rsaSHA256), keyA().key) + "&RelayState=evil" }),
		"SAML-SIG-07 empty RelayState added": query(func(w *world) string { return signedQuery(doc(w)+alg(rsaSHA256), keyA().key) + "&RelayState=" }),
		"SAML-SIG-07 RelayState emptied": query(func(w *world) string {
			return strings.Replace(signedQuery(doc(w)+"&RelayState=good"+alg(rsaSHA256), keyA().key), "=good", "=", 1)
		}),

		"SAML-SIG-09 empty URI":  enveloped(forgery{reference: `<ds:Reference URI=""><ds:Transforms>%TRANSFORMS%</ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod><ds:DigestValue>%DIGEST%</ds:DigestValue></ds:Reference>`}),
		"SAML-SIG-09 another ID": enveloped(forgery{uri: "#other"}),
		"SAML-SIG-09 elsewhere":  enveloped(forgery{uri: "http://127.0.0.1:1/x"}),
		"SAML-SIG-09 xpointer":   enveloped(forgery{uri: "#xpointer(id('x'))"}),
		"SAML-SIG-09 two References": enveloped(forgery{info: func(s string) string {
			i, j := strings.Index(s, "<ds:Reference"), strings.Index(s, "</ds:SignedInfo>")
			return s[:j] + s[i:j] + s[j:]
		}}),
		"SAML-SIG-09 two Signatures":          enveloped(forgery{wrap: func(s string) string { return s + s }}),
		"SAML-SIG-09 Signature in Extensions": enveloped(forgery{wrap: func(s string) string { return "<samlp:Extensions>" + s + "</samlp:Extensions>" }}),
		"SAML-SIG-09 two SignedInfos": enveloped(forgery{wrap: func(s string) string {
			i, j := strings.Index(s, "<ds:SignedInfo"), strings.Index(s, "<ds:SignatureValue>")
			return s[:j] + s[i:j] + s[j:]
		}}),
		"SAML-SIG-10 XSLT":                      enveloped(transform(`<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><x></x></ds:Transform>`)),
		"SAML-SIG-10 XPath":                     enveloped(transform(`<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>1</ds:XPath></ds:Transform>`)),
		"SAML-SIG-10 XPath Filter 2":            enveloped(transform(named("http://www.w3.org/2002/06/xmldsig-filter2"))),
		"SAML-SIG-10 base64":                    enveloped(transform(named("http://www.w3.org/2000/09/xmldsig#base64"))),
		"SAML-SIG-10 decrypt":                   enveloped(transform(named("http://www.w3.org/2002/07/decrypt#XML"))),
		"SAML-SIG-10 no enveloped":              enveloped(forgery{transforms: named(excC14N)}),
		"SAML-SIG-10 inclusive c14n":            enveloped(forgery{transforms: named(envelope) + named("http://www.w3.org/TR/2001/REC-xml-c14n-20010315")}),
		"SAML-SIG-10 10 000 transforms":         enveloped(transform(strings.Repeat(named(excC14N), 10_000))),
		"SAML-SIG-12 digest of nothing":         enveloped(forgery{digest: b64(emptyDigest[:])}),
		"SAML-SIG-13 comment in SignatureValue": enveloped(forgery{value: func(s string) string { return s[:10] + "<!-- -->" + s[10:] }}),
		"SAML-SIG-13 CDATA in SignatureValue":   enveloped(forgery{value: func(s string) string { return "<![CDATA[" + s + "]]>" }}),
		"SAML-SIG-13 PI in SignatureValue":      enveloped(forgery{value: func(s string) string { return s[:10] + "<?x?>" + s[10:] }}),
		"SAML-SIG-13 element in SignatureValue": enveloped(forgery{value: func(s string) string { return s[:10] + "<x></x>" + s[10:] }}),
		"SAML-SIG-13 empty SignatureValue":      enveloped(forgery{value: func(string) string { return "" }}),
		"SAML-SIG-13 comment in DigestValue":    enveloped(forgery{reference: `<ds:Reference URI="%URI%"><ds:Transforms>%TRANSFORMS%</ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod><ds:DigestValue><!-- evil -->%DIGEST%</ds:DigestValue></ds:Reference>`}),
		"SAML-SIG-13 HMACOutputLength 0": enveloped(forgery{info: func(s string) string {
			return strings.Replace(s, "</ds:SignatureMethod>", "<ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>", 1)
		}}),
		"SAML-SIG-15 another app's key": func(_ *testing.T, w *world, b *browser) *answer {
			return b.get(redirectSigned(w.request(spA).String(), "-", keyB().key))
		},
		"SAML-SIG-15 another app's key, POST": func(t *testing.T, w *world, b *browser) *answer {
			return b.post("/saml/sso", posted(w.request(spA).enveloped(t, keyB())))
		},
		"SAML-SIG-15 the key for encryption": func(_ *testing.T, w *world, b *browser) *answer {
			return b.get(redirectSigned(w.request(spA).String(), "-", keyCrypt().key))
		},
		"SAML-SIG-15 a key that was taken away": func(t *testing.T, w *world, b *browser) *answer {
			w.change(t, "A", func(sp *saml.ServiceProvider) { sp.Certificates = []saml.Certificate{keyA().cert("signing")} })
			return b.get(redirectSigned(w.request(spA).String(), "-", keyA2().key))
		},
		"one of two signatures is bad": func(t *testing.T, w *world, b *browser) *answer {
			return b.get(redirectSigned(w.request(spA).enveloped(t, keyB()), "-", keyA().key))
		},
		"changed after signing": func(t *testing.T, w *world, b *browser) *answer {
			return b.post("/saml/sso", posted(strings.Replace(w.request(spA).enveloped(t, keyA()), "<samlp:AuthnRequest ", `<samlp:AuthnRequest ForceAuthn="false" `, 1)))
		},
		"SAML-SIG-17 signed metadata inside": func(t *testing.T, w *world, b *browser) *answer {
			q := w.request(spA)
			inside := q
			inside.id = "_inside"
			q.inner = "<samlp:Extensions>" + strings.ReplaceAll(inside.enveloped(t, keyA()), "AuthnRequest", "LogoutRequest") + "</samlp:Extensions>"
			return b.post("/saml/sso", posted(q.String()))
		},
		"XSW: the signed request wrapped in an evil one": func(t *testing.T, w *world, b *browser) *answer {
			q := w.request(spA)
			evil := q
			evil.id, evil.attrs = "_evil", `AssertionConsumerServiceURL="`+acsA2+`"`
			evil.inner = "<samlp:Extensions>" + q.enveloped(t, keyA()) + "</samlp:Extensions>"
			return b.post("/saml/sso", posted(evil.String()))
		},
		"XSW: the signature moved to an evil request": func(t *testing.T, w *world, b *browser) *answer {
			q := w.request(spA)
			signed := q.enveloped(t, keyA())
			i, j := strings.Index(signed, "<ds:Signature"), strings.Index(signed, "</ds:Signature>")+len("</ds:Signature>")
			evil := q
			evil.attrs, evil.inner = `AssertionConsumerServiceURL="`+acsA2+`"`, signed[i:j]
			return b.post("/saml/sso", posted(evil.String()))
		},
	}
	for name, send := range cases {
		t.Run(name, func(t *testing.T) {
			w := shared(t)
			began := time.Now()
			a := send(t, w, w.at(w.ana()))
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
			code := "InvalidSignature"
			if refusedEarlier(name) {
				code = "InvalidAuthnRequest"
			}
			ev := w.local(t, a, code, "")
			if name == "app without a key" && !strings.Contains(ev.Reason, "add its signing certificate") {
				t.Errorf("the admin is not told what to do: %s", ev.Reason)
			}
		})
	}
}

// refusedEarlier tells if something is wrong with a request before its signature is looked at.
func refusedEarlier(name string) bool {
	for _, s := range []string{"SAML-SIG-02", "SAML-SIG-05", "SimpleSign", "SIG-13 PI", "SIG-10 10 000"} {
		if strings.Contains(name, s) {
			return true
		}
	}
	return false
}

func asn1(octets string) []byte {
	sum := sha256.Sum256([]byte(octets))
	return must(ecdsa.SignASN1(rand.Reader, keyEC().key.(*ecdsa.PrivateKey), sum[:]))
}

// TestVoidCanonicalization: SAML-SIG-12. A namespace that makes canonicalization fail must not leave an empty digest behind.
func TestVoidCanonicalization(t *testing.T) {
	w := shared(t)
	q := w.request(spA)
	empty := sha256.Sum256(nil)
	signed := forge(t, q, keyA().key, forgery{digest: b64(empty[:])})
	for _, ns := range []string{"./x", "x", "../", "x y"} {
		doc := strings.Replace(signed, "<samlp:AuthnRequest ", fmt.Sprintf(`<samlp:AuthnRequest xmlns:x="%s" `, ns), 1)
		a := w.browser().post("/saml/sso", posted(doc))
		w.local(t, a, "InvalidAuthnRequest", "Document: ")
	}
}

// TestSignedRequestMeansWhatWasSigned: what is answered is read from the bytes that were digested.
func TestSignedRequestMeansWhatWasSigned(t *testing.T) {
	w := shared(t)
	q := w.request(spA)
	q.attrs = `AssertionConsumerServiceURL="` + acsA2 + `"`
	p := w.ana()
	b := w.at(p)
	e := w.success(t, b.follow(t, b.post("/saml/sso", posted(q.enveloped(t, keyA()))), p), acsA2)
	if attr(e, "InResponseTo") != q.id {
		t.Errorf("InResponseTo %q", attr(e, "InResponseTo"))
	}
}
