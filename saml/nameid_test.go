package saml_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lanyard-sso/lanyard/saml"
)

const formatX509 = "urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName"

// TestNameIDFormat follows SURFACE.md §4, NameID.
func TestNameIDFormat(t *testing.T) {
	const (
		email, persistent, transient, unspecified = saml.FormatEmail, saml.FormatPersistent, saml.FormatTransient, saml.FormatUnspecified
		bad                                       = "refused"
	)
	for _, c := range []struct {
		name     string
		app      string
		force    bool
		metadata []string
		asked    string
		want     string
		setting  string // named in the event
	}{
		{name: "nothing at all", want: email},
		{name: "nothing asked, the app's", app: persistent, metadata: []string{email}, want: persistent},
		{name: "nothing asked, first of the metadata that can be filled", metadata: []string{formatX509, transient, email}, want: transient},
		{name: "nothing asked, none of the metadata can be filled", metadata: []string{formatX509}, want: email},
		{name: "unspecified asked, the app's", app: persistent, asked: unspecified, want: persistent},
		{name: "unspecified asked, metadata says unspecified first", metadata: []string{unspecified, email}, asked: unspecified, want: unspecified},
		{name: "none", app: saml.FormatNone, want: saml.FormatNone},
		{name: "none, unspecified asked", app: saml.FormatNone, asked: unspecified, want: saml.FormatNone},
		{name: "none, persistent asked", app: saml.FormatNone, asked: persistent, want: persistent},
		{name: "none, forced", app: saml.FormatNone, force: true, asked: persistent, want: saml.FormatNone},
		{name: "forced", app: email, force: true, asked: persistent, want: email},
		{name: "forced to nothing", force: true, asked: persistent, want: persistent},
		{name: "the app's asked", app: formatX509, asked: formatX509, want: formatX509},
		{name: "what would be sent anyway asked", asked: email, want: email},
		{name: "in the metadata", metadata: []string{email}, asked: email, want: email},
		{name: "in the metadata beside the app's", app: persistent, metadata: []string{email}, asked: email, want: email},
		{name: "transient always", app: email, asked: transient, want: transient},
		{name: "persistent always", app: email, asked: persistent, want: persistent},
		{name: "email, not in the metadata", metadata: []string{persistent}, asked: email, want: bad, setting: "nameID.format"},
		{name: "email, the app's another", app: persistent, asked: email, want: bad, setting: "nameID.force"},
		{name: "in the metadata, can not be filled", metadata: []string{formatX509}, asked: formatX509, want: bad, setting: "nameID.source"},
		{name: "unknown", asked: "urn:x", want: bad, setting: "nameID.format"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sp := &saml.ServiceProvider{NameIDFormat: c.app, ForceNameIDFormat: c.force, NameIDFormats: c.metadata}
			got, err := sp.NameIDFormatFor(c.asked)
			if c.want != bad {
				if err != nil || got != c.want {
					t.Errorf("%q, %v; want %q", got, err, c.want)
				}
				return
			}
			var e *saml.Error
			if !errors.As(err, &e) || e.Sub != saml.StatusInvalidNameIDPolicy || !strings.Contains(e.Reason, c.setting) {
				t.Errorf("%q, %v; want InvalidNameIDPolicy with %s", got, err, c.setting)
			}
		})
	}
}

// TestSatisfied follows SURFACE.md §4, levels, and Core §3.3.2.2.1.
func TestSatisfied(t *testing.T) {
	var (
		password = []string{saml.ClassPasswordProtected, saml.ClassPassword, saml.ClassUnspecified}
		totp     = append([]string{saml.ClassMFA, saml.ClassTimeSyncToken}, password...)
		passkey  = []string{saml.ClassPasskey, saml.ClassMFA, saml.ClassUnspecified}
		always   = []string{"urn:custom"}
	)
	for _, c := range []struct {
		name    string
		asked   []string
		compare string
		have    []string
		want    string // empty: not satisfied
	}{
		{"nothing asked", nil, "", password, saml.ClassPasswordProtected},
		{"nothing asked, always", nil, "", always, "urn:custom"},
		{"nothing proved", nil, "", nil, ""},
		{"exact", []string{saml.ClassPassword}, "exact", password, saml.ClassPassword},
		{"exact is the default", []string{saml.ClassMFA}, "", password, ""},
		{"exact, the first of those asked for", []string{"urn:x", saml.ClassUnspecified, saml.ClassPassword}, "exact", password, saml.ClassUnspecified},
		{"exact MFA with a password", []string{saml.ClassMFA}, "exact", password, ""},
		{"exact MFA with TOTP", []string{saml.ClassMFA}, "exact", totp, saml.ClassMFA},
		{"exact MFA with a passkey", []string{saml.ClassMFA}, "exact", passkey, saml.ClassMFA},
		{"exact password with a passkey", []string{saml.ClassPassword}, "exact", passkey, ""},
		{"exact of an own class", []string{"urn:custom"}, "exact", always, "urn:custom"},
		{"minimum password with a password", []string{saml.ClassPassword}, "minimum", password, saml.ClassPasswordProtected},
		{"minimum password with TOTP", []string{saml.ClassPassword}, "minimum", totp, saml.ClassMFA},
		{"minimum MFA with a password", []string{saml.ClassMFA}, "minimum", password, ""},
		{"minimum of several", []string{saml.ClassMFA, saml.ClassPassword}, "minimum", password, saml.ClassPasswordProtected},
		{"minimum unknown", []string{"urn:x"}, "minimum", passkey, ""},
		{"minimum unknown and password", []string{"urn:x", saml.ClassPassword}, "minimum", passkey, saml.ClassPasskey},
		{"minimum unspecified", []string{saml.ClassUnspecified}, "minimum", password, saml.ClassPasswordProtected},
		{"minimum of an own class", []string{"urn:custom"}, "minimum", always, "urn:custom"},
		{"minimum password with an own class", []string{saml.ClassPassword}, "minimum", always, ""},
		{"maximum password with a password", []string{saml.ClassPassword}, "maximum", password, saml.ClassPasswordProtected},
		{"maximum password with TOTP", []string{saml.ClassPassword}, "maximum", totp, ""},
		{"maximum of several", []string{saml.ClassPassword, saml.ClassMFA}, "maximum", totp, saml.ClassMFA},
		{"better than a password with a password", []string{saml.ClassPassword}, "better", password, ""},
		{"better than a password with TOTP", []string{saml.ClassPassword}, "better", totp, saml.ClassMFA},
		{"better than unspecified with a password", []string{saml.ClassUnspecified}, "better", password, saml.ClassPasswordProtected},
		{"better than all of several", []string{saml.ClassPassword, saml.ClassMFA}, "better", totp, ""},
		{"better than an unknown one", []string{"urn:x"}, "better", passkey, ""},
		{"better than MFA with a passkey", []string{saml.ClassMFA}, "better", passkey, saml.ClassPasskey},
		{"another comparison", []string{saml.ClassPassword}, "foo", password, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := saml.Satisfied(c.asked, c.compare, c.have)
			if got != c.want || ok != (c.want != "") {
				t.Errorf("%q, %v; want %q", got, ok, c.want)
			}
		})
	}
}

// TestSatisfiedNeverLies: the class sent is one that the sign-in satisfies, whatever is asked.
func TestSatisfiedNeverLies(t *testing.T) {
	classes := []string{saml.ClassUnspecified, saml.ClassPassword, saml.ClassPasswordProtected, saml.ClassTimeSyncToken, saml.ClassMFA, saml.ClassPasskey, "urn:x", ""}
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfN(rapid.SampledFrom(classes), 0, 5)
		asked, have := some.Draw(t, "asked"), some.Draw(t, "have")
		compare := rapid.SampledFrom([]string{"", "exact", "minimum", "maximum", "better", "foo"}).Draw(t, "compare")
		got, ok := saml.Satisfied(asked, compare, have)
		found := false
		for _, h := range have {
			found = found || h == got
		}
		if ok && !found || !ok && got != "" {
			t.Fatalf("%q is sent", got)
		}
	})
}

// TestWhiteSpace: around an xs:anyURI it says nothing, as documents are indented; in an address it is refused.
func TestWhiteSpace(t *testing.T) {
	const around = "&#10;\t  "
	class := `<samlp:RequestedAuthnContext><saml:AuthnContextClassRef>` + "\n\t  " + saml.ClassPasswordProtected + "\r\n " + `</saml:AuthnContextClassRef></samlp:RequestedAuthnContext>`
	w := shared(t)
	for name, f := range map[string]func(q *authnRequest){
		"class": func(q *authnRequest) { q.inner = class },
		"policy": func(q *authnRequest) {
			q.inner = `<samlp:NameIDPolicy Format="` + around + saml.FormatPersistent + around + `"/>`
		},
		"issuer": func(q *authnRequest) {
			q.issuer, q.inner = "-", `<saml:Issuer Format="`+around+`urn:oasis:names:tc:SAML:2.0:nameid-format:entity ">`+spA+`</saml:Issuer>`
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := w.success(t, w.at(w.ana()).get(get(f)(w)), acsA)
			if name == "policy" && attr(find(t, e, "Assertion", "Subject", "NameID"), "Format") != saml.FormatPersistent {
				t.Error("another format than was asked for")
			}
		})
	}
	for name, f := range map[string]func(q *authnRequest){
		"InvalidSp":           func(q *authnRequest) { q.attrs = `AssertionConsumerServiceURL="` + acsA + ` "` },
		"InvalidAuthnRequest": func(q *authnRequest) { q.attrs = `AssertionConsumerServiceIndex=" 1"` },
		"UnableToResolve":     func(q *authnRequest) { q.issuer = spA + " " },
	} {
		t.Run(name, func(t *testing.T) { w.local(t, w.at(w.ana()).get(get(f)(w)), name, "") })
	}
	// What is only white space is no class.
	a := w.at(w.ana()).get(inner(`<samlp:RequestedAuthnContext><saml:AuthnContextClassRef> </saml:AuthnContextClassRef></samlp:RequestedAuthnContext>`)(w))
	w.proto(t, a, acsA, inResponseTo(t, a.response(t)), saml.StatusNoAuthnContext, "RequestedAuthnContext: an AuthnContextClassRef is empty")
}
