package saml_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/lanyard-sso/lanyard/saml"
)

// understood demands that what was read is what may be read.
func understood(t *testing.T, r *http.Request) (ok bool) {
	t.Helper()
	id, relay, err := saml.Parse(r, today)
	var e *saml.Error
	switch {
	case err != nil && (!errors.As(err, &e) || e.Code == "" || len(e.Reason) > 1000 || !utf8.ValidString(e.Reason)):
		t.Fatalf("refused with %v", err)
	case err == nil && (id == "" || len(id) > 256 || strings.ContainsAny(id, "<>\"'& :") || len(relay) > 8<<10 || strings.Contains(relay, "\x00")):
		t.Fatalf("ID %q, RelayState of %d bytes", id, len(relay))
	}
	return err == nil
}

// fuzzed are requests of all kinds.
func fuzzed() []string {
	w := &world{clock: newClock()}
	q := w.request(spA)
	q.attrs = `ForceAuthn="1" IsPassive="false" AssertionConsumerServiceIndex="1" Consent="x"`
	q.inner = `<samlp:Extensions/><saml:Subject><saml:NameID>ana@example.com</saml:NameID></saml:Subject><samlp:NameIDPolicy Format="` + saml.FormatPersistent +
		`" AllowCreate="true"/><samlp:RequestedAuthnContext Comparison="minimum"><saml:AuthnContextClassRef>` + saml.ClassPassword + `</saml:AuthnContextClassRef></samlp:RequestedAuthnContext>`
	return []string{w.request(spA).String(), q.String(), w.request(spA).enveloped(t0, keyA())}
}

func redirected(query string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/saml/sso", nil)
	r.URL.RawQuery = query
	return r
}

// FuzzRedirect reads a query as it stands.
func FuzzRedirect(f *testing.F) {
	for _, doc := range fuzzed() {
		for _, seed := range []string{redirect(doc, "&RelayState=x"), redirectSigned(doc, "x", keyEC().key)} {
			seed = seed[len("/saml/sso?"):]
			if !understood(t0, redirected(seed)) {
				f.Fatalf("not understood: %s", seed)
			}
			f.Add(seed)
		}
	}
	for _, seed := range []string{"SAMLRequest=&SAMLResponse=", "%53AMLRequest=x", "SAMLRequest=AwA%3D", ";=&&=&SigAlg"} {
		if understood(t0, redirected(seed)) {
			f.Fatalf("understood: %s", seed)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) { understood(t, redirected(query)) })
}

// FuzzAuthnRequest reads a document that is posted, and the same deflated: they are understood alike.
func FuzzAuthnRequest(f *testing.F) {
	read := func(t *testing.T, doc string) bool {
		r := httptest.NewRequest(http.MethodPost, "/saml/sso", strings.NewReader(posted(doc)))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return understood(t, r)
	}
	for _, seed := range fuzzed() {
		if !read(t0, seed) {
			f.Fatalf("not understood: %s", seed)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		query := redirect(doc)[len("/saml/sso?"):]
		if p, r := read(t, doc), understood(t, redirected(query)); p != r && len(query) < 16<<10 {
			t.Fatalf("by POST %v, by Redirect %v", p, r)
		}
	})
}

// FuzzMetadata reads a file: a refusal is one sentence, and what is read is fit to become an app.
func FuzzMetadata(f *testing.F) {
	seeds := []string{sp(`validUntil="2020-01-01T00:00:00Z" cacheDuration="P1DT1S"`, `AuthnRequestsSigned="true"`, key("signing", b64(keyA().der))+key("", "AAAA")+postACS)}
	if files, err := filepath.Glob(filepath.Join(corpusDir(), "*", "*.xml")); err == nil {
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
