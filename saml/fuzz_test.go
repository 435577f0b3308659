package saml_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/saml"
)

// acceptable demands of an answer to whatever was sent that it is a refusal here, a question to the person, or a form to
// an address of the app, and never a fault of ours.
func acceptable(t *testing.T, a *answer) {
	t.Helper()
	switch {
	case a.status >= 400 && a.status < 500:
		if strings.Contains(a.body, "SAMLResponse") || a.location != "" {
			t.Fatalf("a refusal that leads elsewhere: %d %q", a.status, a.location)
		}
	case a.status == http.StatusSeeOther:
		if !strings.HasPrefix(a.location, "/signin?") && !strings.HasPrefix(a.location, "/saml/continue?login=") {
			t.Fatalf("sent to %q", a.location)
		}
	case a.status == http.StatusOK:
		action, fields := a.form()
		for _, own := range []string{acsA, acsA2, acsB, acsS, acsR, acsD, acsK, "https://one.vendor.example/acs", "https://two.vendor.example/acs"} {
			if action == own && fields["SAMLResponse"] != "" {
				return
			}
		}
		t.Fatalf("a form to %q", action)
	default:
		t.Fatalf("status %d\n%s", a.status, clip(a.body))
	}
}

// FuzzRedirect sends a query as it is.
func FuzzRedirect(f *testing.F) {
	w := newWorld(f, "sqlite")
	b := w.at(w.ana())
	for _, seed := range []string{
		redirect(w.request(spA).String(), "&RelayState=x"), redirectSigned(w.request(spA).String(), "x", keyA().key), redirectSigned(w.request(spS).String(), "-", keyEC().key),
		"/saml/sso?SAMLRequest=&SAMLResponse=", "/saml/sso?%53AMLRequest=x", "/saml/sso?SAMLRequest=AwA%3D", "/saml/sso?;=&&=&SigAlg",
	} {
		a := b.get(seed)
		acceptable(f2t(f), a)
		f.Add(seed[len("/saml/sso?"):])
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/saml/sso", nil)
		r.URL.RawQuery = query
		acceptable(t, b.do(r))
	})
}

// FuzzAuthnRequest posts a document and sends it deflated.
func FuzzAuthnRequest(f *testing.F) {
	w := newWorld(f, "sqlite")
	b := w.at(w.ana())
	q := w.request(spA)
	q.attrs = `ForceAuthn="1" IsPassive="false" AssertionConsumerServiceIndex="1" Consent="x"`
	q.inner = `<samlp:Extensions/><saml:Subject><saml:NameID>ana@example.com</saml:NameID></saml:Subject><samlp:NameIDPolicy Format="` + saml.FormatPersistent +
		`" AllowCreate="true"/><samlp:RequestedAuthnContext Comparison="minimum"><saml:AuthnContextClassRef>` + saml.ClassPassword + `</saml:AuthnContextClassRef></samlp:RequestedAuthnContext>`
	for _, seed := range []string{w.request(spA).String(), q.String(), w.request(spA).enveloped(f2t(f), keyA()), w.request(spV).String()} {
		if a := b.get(redirect(seed)); a.status >= 500 {
			f.Fatalf("status %d for %s", a.status, seed)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		acceptable(t, b.post("/saml/sso", posted(doc)))
		acceptable(t, b.get(redirect(doc)))
	})
}

// FuzzMetadata reads a file: a refusal is one sentence, and what is read is fit to become an app.
func FuzzMetadata(f *testing.F) {
	seeds := []string{sp(`validUntil="2020-01-01T00:00:00Z" cacheDuration="P1DT1S"`, `AuthnRequestsSigned="true"`, key("signing", b64(keyA().der))+key("", "AAAA")+postACS)}
	if files, err := filepath.Glob(filepath.Join("..", "..", "shared", "sp-metadata", "*", "*.xml")); err == nil {
		for _, file := range files {
			if b, err := os.ReadFile(file); err == nil && len(b) < 8<<10 {
				f.Add(b)
			}
		}
	}
	for _, seed := range seeds {
		if _, err := saml.ReadMetadata([]byte(seed), today); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := saml.ReadMetadata(b, today)
		if err != nil {
			if d != nil || err.Error() == "" || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%v, %q", d, err)
			}
			return
		}
		for _, e := range d.Entities {
			if e.EntityID == "" {
				t.Fatal("an entity without an ID")
			}
			for _, p := range append(e.ACS, e.SLO...) {
				if err := saml.CheckEndpoint(p.URL); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := e.NameIDFormatFor(""); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// f2t is a T for helpers that are used outside of the fuzzed function. What it reports ends the program.
func f2t(*testing.F) *testing.T { return t0 }
