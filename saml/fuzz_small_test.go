package saml_test

import (
	"encoding/pem"
	"html"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/saml"
)

// FuzzFields: what is read of a query is what every other reader of it sees: each parameter once, with the same value.
func FuzzFields(f *testing.F) {
	for _, s := range []string{"SAMLRequest=a%2Bb&RelayState=x+y", "RelayState=", "RelayState", "a=1&SAMLRequest=2&a=3", "SAMLRequest=1&SAMLRequest=2", "%52elayState=1", "RelayState=%zz", "Relay%00State=1",
		"RelayState=1;SAMLRequest=2", "&&=&", "SAMLREQUEST=1", "RelayState=%C3%A9%00", "SigAlg=http%3a%2f%2Fx&Signature=AA=="} {
		f.Add(s)
	}
	if got, err := saml.Fields("SAMLRequest=a%2Bb&RelayState=x+y"); err != nil || got["SAMLRequest"] != "a+b" || got["RelayState"] != "x y" {
		f.Fatalf("%q, %v", got, err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := saml.Fields(raw)
		if err != nil {
			return
		}
		all, _ := url.ParseQuery(raw) // leaves out what it cannot read, and what has a semicolon in it
		for name, values := range all {
			if value, there := got[name]; there && (len(values) != 1 || values[0] != value) {
				t.Errorf("%q: %s is %q, and to others %q", raw, name, value, values)
			} else if !there && slices.Contains([]string{"SAMLRequest", "SAMLResponse", "RelayState", "SigAlg", "Signature", "SAMLEncoding"}, name) {
				t.Errorf("%q: %s is not seen", raw, name)
			}
		}
	})
}

var relayField = regexp.MustCompile(`name="RelayState" value="([^"]*)"`)

// FuzzLaunch: RelayState of a launch comes back in the form as it was sent, to the byte, or the launch is refused.
func FuzzLaunch(f *testing.F) {
	w := newWorld(f, storetest.SQLite)
	b := w.at(w.ana())
	launch := func(query string) (relay []string, status int) {
		r := b.get("/saml/launch/A?" + query)
		for _, m := range relayField.FindAllStringSubmatch(r.body, -1) {
			relay = append(relay, html.UnescapeString(m[1]))
		}
		return relay, r.status
	}
	for _, s := range []string{"", "x", "a b+c%2F&=?#<\">'\u00e9\u2603", "\r\n", "\x00", "\xff", "\u2028", "&quot;&#34;", "</form><script>", strings.Repeat("x", 9000), "\u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, state string) {
		relay, status := launch("RelayState=" + url.QueryEscape(state))
		switch {
		case status == 200 && len(relay) == 1 && relay[0] == state:
		case status == 200 && len(relay) == 0 && state == "":
		case status == 400 && len(relay) == 0 && (strings.Contains(state, "\x00") || len(state) > 8<<10):
		default:
			t.Fatalf("%q came back as %q, %d", state, relay, status)
		}
	})
}

// FuzzCertificate: what is read as a certificate is one, however it was pasted, and is the same one in every form.
func FuzzCertificate(f *testing.F) {
	der := keyA().der
	armored := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	for _, s := range []string{armored, b64(der), strings.ReplaceAll(armored, "\n", "\r\n  "), b64(der)[4:], armored + armored, "-----BEGIN CERTIFICATE-----", "AAAA", "", "=", b64(keyEC().der)} {
		f.Add(s)
	}
	for _, s := range []string{armored, b64(der)} {
		if c, err := saml.ReadCertificate(s); err != nil || string(c.Raw) != string(der) {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := saml.ReadCertificate(text)
		if err != nil {
			if c != nil || strings.Contains(err.Error(), "\n") || len(err.Error()) > 100 {
				t.Fatalf("%v, %q", c, err)
			}
			return
		}
		again, err := saml.ReadCertificate(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
		if err != nil || !again.Equal(c) {
			t.Fatalf("%q, armored: %v", text, err)
		}
	})
}

var instantForm = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]00:00)$`)

// FuzzInstant: a time is read if it has the form of Core §1.3.3 and is one, and means what Go says that it means.
func FuzzInstant(f *testing.F) {
	for _, s := range []string{"2026-11-24T12:00:00Z", "2026-11-24T12:00:00.123456789Z", "2026-11-24T12:00:00+00:00", "2026-11-24T12:00:00-00:00", "2026-02-30T12:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T1:00:00Z",
		"2026-11-24T12:00:00", "2026-11-24T12:00:60Z", "2026-11-24T12:00:00+01:00", "2026-11-24t12:00:00z", "2026-11-24T12:00:00.Z", "-2026-11-24T12:00:00Z", "2026-11-24T12:00:00,5Z", "0000-01-01T00:00:00Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := saml.ReadInstant(text)
		want, bad := time.Parse(time.RFC3339Nano, strings.Replace(text, "-00:00", "+00:00", 1))
		if read := bad == nil && instantForm.MatchString(text); read != (err == nil) || read && !got.Equal(want) {
			t.Errorf("%q is %v, %v; Go says %v, %v", text, got, err, want, bad)
		}
	})
}

var durationForm = regexp.MustCompile(`^-?P([0-9]+Y)?([0-9]+M)?([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+(\.[0-9]*)?S)?)?$`)

// FuzzDuration: an xs:duration is read if it has the form of one, and is never a number that means something else.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"P1D", "PT1.5S", "P1Y2M3DT4H5M6S", "-P1D", "P", "PT", "P1", "P1S", "PT1D", "P1H", "P1DT", "P-1D", "P1M1Y", "P99999999999999999999Y", "PT.5S", "PT1.5M", "P1D1D", strings.Repeat("9", 400)} {
		f.Add(s)
		if len(s) == 400 {
			f.Add("P" + s + "Y")
		}
	}
	if d, ok := saml.ReadDuration("P1DT1H1.5S"); !ok || d != 25*time.Hour+1500*time.Millisecond {
		f.Fatal(d, ok)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, ok := saml.ReadDuration(text)
		form := durationForm.MatchString(text) && strings.ContainsAny(text, "0123456789") && !strings.HasSuffix(text, "T")
		if ok != form {
			t.Errorf("%q: read %v (%v)", text, ok, d)
		}
		if ok && (d < 0) != (strings.HasPrefix(text, "-") && strings.ContainsAny(text, "123456789")) && math.Abs(float64(d)) > 1 {
			t.Errorf("%q is %v", text, d)
		}
	})
}
