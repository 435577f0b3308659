package saml_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/saml"
)

// refused is a request that some rung refuses.
type refused struct {
	name   string
	rung   string
	code   string // of the event, for refusals here
	says   string // in the event's reason, for the admin
	sub    string // second-level status, for those the app is told
	acs    string // where those go; acsA if empty
	target func(w *world) string
	form   func(w *world) string // by POST instead
	as     func(w *world) *person
}

// get is a Redirect request of SP A with something altered.
func get(f func(q *authnRequest)) func(w *world) string {
	return func(w *world) string {
		q := w.request(spA)
		f(&q)
		return redirect(q.String())
	}
}

func attrs(s string) func(w *world) string { return get(func(q *authnRequest) { q.attrs = s }) }
func inner(s string) func(w *world) string { return get(func(q *authnRequest) { q.inner = s }) }
func acsURL(s string) func(w *world) string {
	return attrs(`AssertionConsumerServiceURL="` + esc(s) + `"`)
}

func instant(f func(now time.Time) string) func(w *world) string {
	return func(w *world) string {
		return get(func(q *authnRequest) { q.instant = f(w.clock.now()) })(w)
	}
}

// refusals are the cases of SECURITY.md §1.1, and one at least for every rung.
func refusals() []refused {
	const invalid = "InvalidAuthnRequest"
	all := []refused{
		{name: "SAML-REQ-01 evil ACS", rung: "AssertionConsumerService", code: "InvalidSp", target: acsURL("https://evil.example/acs")},
		{name: "SAML-REQ-03 ACS of another app", rung: "AssertionConsumerService", code: "InvalidSp", target: acsURL(acsB)},
		{name: "SAML-REQ-04 ACS of another binding", rung: "AssertionConsumerService", code: "InvalidSp", target: acsURL("https://sp-a.example/artifact")},
		{name: "SAML-REQ-05 index of another binding", rung: "AssertionConsumerService", code: "InvalidSp", target: attrs(`AssertionConsumerServiceIndex="2"`)},
		{name: "SAML-REQ-06 index and URL", rung: "Request", code: invalid, target: attrs(`AssertionConsumerServiceIndex="0" AssertionConsumerServiceURL="` + acsA + `"`)},
		{name: "SAML-REQ-06 index and evil URL", rung: "Request", code: invalid, target: attrs(`AssertionConsumerServiceIndex="0" AssertionConsumerServiceURL="https://evil.example/"`)},
		{name: "SAML-REQ-06 index and binding", rung: "Request", code: invalid, target: attrs(`AssertionConsumerServiceIndex="0" ProtocolBinding="` + saml.BindingPOST + `"`)},
		{name: "SAML-REQ-08 signed without Destination", rung: "Destination", code: "InvalidIdpEndpoint", target: func(w *world) string {
			q := w.request(spA)
			q.destination = "-"
			return redirectSigned(q.String(), "-", keyA().key)
		}},
		{name: "SAML-REQ-08 signed inside without Destination", rung: "Destination", code: "InvalidIdpEndpoint", form: func(w *world) string {
			q := w.request(spA)
			q.destination = "-"
			return posted(q.enveloped(t0, keyA()))
		}},
		{name: "SAML-XML-05 two roots", rung: "Document", code: invalid, target: func(w *world) string { return redirect(w.request(spA).String() + w.request(spA).String()) }},
		{name: "Version 1.1", rung: "Version", code: invalid, target: get(func(q *authnRequest) { q.version = "1.1" })},
		{name: "Version 2.1", rung: "Version", code: invalid, target: get(func(q *authnRequest) { q.version = "2.1" })},
		{name: "Version missing", rung: "Version", code: invalid, target: get(func(q *authnRequest) { q.version = "-" })},
		{name: "BEN-6 unknown issuer", rung: "Issuer", code: "UnableToResolve", target: get(func(q *authnRequest) { q.issuer = "https://nobody.example" })},
		{name: "Issuer missing", rung: "Issuer", code: invalid, target: get(func(q *authnRequest) { q.issuer = "-" })},
		{name: "Issuer empty", rung: "Issuer", code: invalid, target: get(func(q *authnRequest) { q.issuer = "" })},
		{name: "Issuer twice", rung: "Issuer", code: invalid, target: inner(`<saml:Issuer>` + spB + `</saml:Issuer>`)},
		{name: "Issuer longer by a space", rung: "Issuer", code: "UnableToResolve", target: get(func(q *authnRequest) { q.issuer = spA + " " })},
		{name: "Issuer of another format", rung: "Issuer", code: invalid, target: get(func(q *authnRequest) {
			q.issuer = "-"
			q.inner = `<saml:Issuer Format="` + saml.FormatEmail + `">` + spA + `</saml:Issuer>`
		})},
		{name: "Issuer with 10 kB", rung: "Issuer", code: invalid, target: get(func(q *authnRequest) { q.issuer = "https://" + strings.Repeat("x", 10_000) })},
		{name: "several apps, no ACS named", rung: "Issuer", code: "UnableToResolve", target: get(func(q *authnRequest) { q.issuer = spV })},
		{name: "several apps, ACS of none", rung: "Issuer", code: "InvalidSp", target: get(func(q *authnRequest) {
			q.issuer, q.attrs = spV, `AssertionConsumerServiceURL="`+acsA+`"`
		})},
		{name: "several apps, one index", rung: "Issuer", code: "UnableToResolve", target: get(func(q *authnRequest) {
			q.issuer, q.attrs = spV, `AssertionConsumerServiceIndex="0"`
		})},
		{name: "several apps, index and URL", rung: "Issuer", code: invalid, target: get(func(q *authnRequest) {
			q.issuer, q.attrs = spV, `AssertionConsumerServiceIndex="0" AssertionConsumerServiceURL="https://one.vendor.example/acs"`
		})},
		{name: "several apps, signed by another of them", rung: "Signature", code: "InvalidSignature", target: func(w *world) string {
			q := w.request(spV)
			q.attrs = `AssertionConsumerServiceURL="https://one.vendor.example/acs"`
			return redirectSigned(q.String(), "-", keyB().key)
		}},
		{name: "SAML-REQ-17 ForceAuthn TRUE", rung: "Request", code: invalid, target: attrs(`ForceAuthn="TRUE"`)},
		{name: "IsPassive empty", rung: "Request", code: invalid, target: attrs(`IsPassive=""`)},
		{name: "ProtocolBinding empty", rung: "Request", code: invalid, target: attrs(`ProtocolBinding=""`)},
		{name: "AttributeConsumingServiceIndex x", rung: "Request", code: invalid, target: attrs(`AttributeConsumingServiceIndex="x"`)},
		{name: "two Subjects", rung: "Request", code: invalid, target: inner(`<saml:Subject><saml:NameID>a</saml:NameID></saml:Subject><saml:Subject><saml:NameID>b</saml:NameID></saml:Subject>`)},
		{name: "two NameIDPolicies", rung: "Request", code: invalid, target: inner(`<samlp:NameIDPolicy/><samlp:NameIDPolicy/>`)},
		{name: "two RequestedAuthnContexts", rung: "Request", code: invalid, target: inner(`<samlp:RequestedAuthnContext/><samlp:RequestedAuthnContext/>`)},
		{name: "SAML-REQ-20 LogoutRequest", rung: "Message", code: invalid, form: func(w *world) string {
			return posted(strings.ReplaceAll(w.request(spA).String(), "AuthnRequest", "LogoutRequest"))
		}},
		{name: "SAML-REQ-20 Response", rung: "Message", code: invalid, form: func(w *world) string {
			return posted(strings.ReplaceAll(w.request(spA).String(), "AuthnRequest", "Response"))
		}},
		{name: "SAML-REQ-20 ArtifactResolve", rung: "Message", code: invalid, target: func(w *world) string {
			return redirect(strings.ReplaceAll(w.request(spA).String(), "AuthnRequest", "ArtifactResolve"))
		}},
		{name: "SAML-REQ-20 AuthnRequest of another namespace", rung: "Message", code: invalid, target: func(w *world) string {
			return redirect(strings.ReplaceAll(w.request(spA).String(), nsP, "urn:oasis:names:tc:SAML:1.0:protocol"))
		}},
		{name: "SAML-REQ-20 request and response by GET", rung: "Binding", code: invalid, target: func(w *world) string {
			return redirect(w.request(spA).String(), "&SAMLResponse=AAAA")
		}},
		{name: "SAML-REQ-20 request and response by POST", rung: "Binding", code: invalid, form: func(w *world) string {
			return posted(w.request(spA).String(), "&SAMLResponse=AAAA")
		}},
		{name: "SAML-REQ-20 both empty", rung: "Binding", code: invalid, target: func(*world) string { return "/saml/sso?SAMLRequest=&SAMLResponse=" }},
		{name: "SAML-REQ-20 empty", rung: "Binding", code: invalid, target: func(*world) string { return "/saml/sso?SAMLRequest=" }},
		{name: "SAML-REQ-20 nothing", rung: "Binding", code: invalid, target: func(*world) string { return "/saml/sso" }},
		{name: "SAML-REQ-20 nothing by POST", rung: "Binding", code: invalid, form: func(*world) string { return "" }},
		{name: "SAML-REQ-21 blocked app", rung: "Blocked", code: "AppBlocked", target: func(w *world) string { return redirect(w.request(spD).String()) }},
		{name: "SAML-REQ-21 blocked app by POST", rung: "Blocked", code: "AppBlocked", form: func(w *world) string { return posted(w.request(spD).String()) }},
		{name: "SAML-BND-06 stored javascript ACS", rung: "Address", code: "InvalidSp", target: func(w *world) string { return redirect(w.request("https://js.example").String()) }},
		{name: "plain http ACS", rung: "Address", code: "InvalidSp", says: "saml.allowHTTP", target: func(w *world) string { return redirect(w.request("https://http.example").String()) }},
		{name: "no ACS for HTTP-POST", rung: "AssertionConsumerService", code: "InvalidSp", target: func(w *world) string { return redirect(w.request("https://none.example").String()) }},

		{name: "SAML-REQ-04 ProtocolBinding Redirect", rung: "ProtocolBinding", sub: saml.StatusUnsupportedBinding, target: attrs(`ProtocolBinding="` + saml.BindingRedirect + `"`)},
		{name: "SAML-REQ-04 ProtocolBinding Artifact", rung: "ProtocolBinding", sub: saml.StatusUnsupportedBinding, acs: acsA2,
			target: attrs(`AssertionConsumerServiceURL="` + acsA2 + `" ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact"`)},
		{name: "SAML-REQ-04 ProtocolBinding PAOS", rung: "ProtocolBinding", sub: saml.StatusUnsupportedBinding, target: attrs(`ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:PAOS"`)},
		{name: "SAML-REQ-04 ProtocolBinding urn:x", rung: "ProtocolBinding", sub: saml.StatusUnsupportedBinding, target: attrs(`ProtocolBinding="urn:x"`)},
		{name: "Subject with SubjectConfirmation", rung: "Subject", target: inner(`<saml:Subject><saml:NameID>ana@example.com</saml:NameID><saml:SubjectConfirmation Method="urn:x"/></saml:Subject>`)},
		{name: "Subject with EncryptedID", rung: "Subject", sub: saml.StatusUnknownPrincipal, target: inner(`<saml:Subject><saml:EncryptedID/></saml:Subject>`)},
		{name: "Subject with two NameIDs", rung: "Subject", target: inner(`<saml:Subject><saml:NameID>a</saml:NameID><saml:NameID>b</saml:NameID></saml:Subject>`)},
		{name: "SAML-XML-07 NameID with a child", rung: "Subject", target: inner(`<saml:Subject><saml:NameID>ana@example.com<b/>.evil</saml:NameID></saml:Subject>`)},
		{name: "Subject with empty NameID", rung: "Subject", target: inner(`<saml:Subject><saml:NameID></saml:NameID></saml:Subject>`)},
		{name: "SAML-REQ-14 unknown format", rung: "NameIDPolicy", sub: saml.StatusInvalidNameIDPolicy, target: inner(`<samlp:NameIDPolicy Format="urn:x"/>`)},
		{name: "SAML-REQ-14 encrypted format", rung: "NameIDPolicy", sub: saml.StatusInvalidNameIDPolicy, target: inner(`<samlp:NameIDPolicy Format="urn:oasis:names:tc:SAML:2.0:nameid-format:encrypted"/>`)},
		{name: "SAML-REQ-14 SPNameQualifier of another app", rung: "NameIDPolicy", sub: saml.StatusInvalidNameIDPolicy, target: inner(`<samlp:NameIDPolicy Format="` + saml.FormatPersistent + `" SPNameQualifier="` + spB + `"/>`)},
		{name: "AllowCreate yes", rung: "NameIDPolicy", target: inner(`<samlp:NameIDPolicy AllowCreate="yes"/>`)},
		{name: "SAML-REQ-15 Comparison foo", rung: "RequestedAuthnContext", sub: saml.StatusNoAuthnContext,
			target: inner(`<samlp:RequestedAuthnContext Comparison="foo"><saml:AuthnContextClassRef>` + saml.ClassPassword + `</saml:AuthnContextClassRef></samlp:RequestedAuthnContext>`)},
		{name: "declarations only", rung: "RequestedAuthnContext", sub: saml.StatusNoAuthnContext,
			target: inner(`<samlp:RequestedAuthnContext><saml:AuthnContextDeclRef>urn:x</saml:AuthnContextDeclRef></samlp:RequestedAuthnContext>`)},
		{name: "class with a child", rung: "RequestedAuthnContext", sub: saml.StatusNoAuthnContext,
			target: inner(`<samlp:RequestedAuthnContext><saml:AuthnContextClassRef>` + saml.ClassPassword + `<x/></saml:AuthnContextClassRef></samlp:RequestedAuthnContext>`)},
		{name: "classes of more than 4 KiB together", rung: "RequestedAuthnContext", sub: saml.StatusNoAuthnContext,
			target: inner(`<samlp:RequestedAuthnContext>` + strings.Repeat(`<saml:AuthnContextClassRef>urn:`+strings.Repeat("x", 820)+`</saml:AuthnContextClassRef>`, 5) + `</samlp:RequestedAuthnContext>`)},
		{name: "100 classes", rung: "RequestedAuthnContext", sub: saml.StatusNoAuthnContext,
			target: inner(`<samlp:RequestedAuthnContext>` + strings.Repeat(`<saml:AuthnContextClassRef>urn:x</saml:AuthnContextClassRef>`, 100) + `</samlp:RequestedAuthnContext>`)},

		{name: "SAML-REQ-15 exact MFA with a password", rung: "AuthnContext", sub: saml.StatusNoAuthnContext, as: (*world).ana,
			target: inner(`<samlp:RequestedAuthnContext Comparison="exact"><saml:AuthnContextClassRef>` + saml.ClassMFA + `</saml:AuthnContextClassRef></samlp:RequestedAuthnContext>`)},
		{name: "SAML-REQ-15 unknown class", rung: "AuthnContext", sub: saml.StatusNoAuthnContext, as: (*world).ana,
			target: inner(`<samlp:RequestedAuthnContext><saml:AuthnContextClassRef>urn:x</saml:AuthnContextClassRef></samlp:RequestedAuthnContext>`)},
		{name: "better than a password with a password", rung: "AuthnContext", sub: saml.StatusNoAuthnContext, as: (*world).ana,
			target: inner(`<samlp:RequestedAuthnContext Comparison="better"><saml:AuthnContextClassRef>` + saml.ClassPassword + `</saml:AuthnContextClassRef></samlp:RequestedAuthnContext>`)},
		{name: "SAML-REQ-17 IsPassive without a session", rung: "IsPassive", sub: saml.StatusNoPassive, target: attrs(`IsPassive="true"`)},
		{name: "SAML-REQ-17 IsPassive and ForceAuthn", rung: "IsPassive", sub: saml.StatusNoPassive, as: (*world).ana, target: attrs(`IsPassive="1" ForceAuthn="1"`)},
		{name: "SAML-REQ-13 Subject is another", rung: "Principal", sub: saml.StatusUnknownPrincipal, as: (*world).ana,
			target: inner(`<saml:Subject><saml:NameID>victim@example.com</saml:NameID></saml:Subject>`)},
		{name: "SAML-XML-07 Subject is another after a comment", rung: "Principal", sub: saml.StatusUnknownPrincipal, as: (*world).ana,
			target: inner(`<saml:Subject><saml:NameID>ana@example.com<!-- -->.evil</saml:NameID></saml:Subject>`)},
		{name: "SAML-REQ-13 Subject where no NameID is sent", rung: "Principal", sub: saml.StatusUnknownPrincipal, as: (*world).ana, acs: "https://anonymous.example/acs",
			target: get(func(q *authnRequest) {
				q.issuer, q.inner = "https://anonymous.example", `<saml:Subject><saml:NameID>ana@example.com</saml:NameID></saml:Subject>`
			})},
	}
	for _, v := range []string{
		"https://sp-a.example/acs/", acsA + "?x=1", acsA + "#f", acsA + ";x", acsA + "%2f", "https://sp-a.example/x/../acs", "HTTPS://SP-A.example/acs",
		"https://sp-a.example:443/acs", "https://u@sp-a.example/acs", "https://sp-a.example.evil.tld/acs", acsA + ".evil", "\nhttps://sp-a.example/acs", "", acsA + "\n",
	} {
		all = append(all, refused{name: fmt.Sprintf("SAML-REQ-02 %q", v), rung: "AssertionConsumerService", code: "InvalidSp", target: acsURL(v)})
	}
	for _, v := range []string{"99", "-1", "0x1", " 1", "4294967297", "1.0", "", "+1", "1_0", "65536"} {
		rung, code := "Request", invalid
		if v == "99" {
			rung, code = "AssertionConsumerService", "InvalidSp"
		}
		all = append(all, refused{name: fmt.Sprintf("SAML-REQ-05 index %q", v), rung: rung, code: code, target: attrs(`AssertionConsumerServiceIndex="` + v + `"`)})
	}
	for _, v := range []string{"https://other.example/saml/sso", base + "/saml/sso/", base + "/saml/slo", base + "/acme/saml/sso", "", "https://IDP.example/saml/sso", base + "/saml/sso?x"} {
		all = append(all, refused{name: fmt.Sprintf("SAML-REQ-08 Destination %q", v), rung: "Destination", code: "InvalidIdpEndpoint", target: get(func(q *authnRequest) { q.destination = v })})
	}
	for name, f := range map[string]func(now time.Time) string{
		"1 h old":       func(now time.Time) string { return now.Add(-time.Hour).Format(time.RFC3339) },
		"1 h ahead":     func(now time.Time) string { return now.Add(time.Hour).Format(time.RFC3339) },
		"5 min 1 s old": func(now time.Time) string { return now.Add(-5*time.Minute - time.Second).Format(time.RFC3339) },
		"month 13":      func(time.Time) string { return "2026-13-01T00:00:00Z" },
		"no zone":       func(now time.Time) string { return now.Format("2006-01-02T15:04:05") },
		"another zone": func(now time.Time) string {
			return now.In(time.FixedZone("", 3600)).Format(time.RFC3339)
		},
		"year 1":               func(time.Time) string { return "0001-01-01T00:00:00Z" },
		"year 9999":            func(time.Time) string { return "9999-12-31T23:59:59Z" },
		"60 fractional digits": func(now time.Time) string { return now.Format("2006-01-02T15:04:05.") + strings.Repeat("1", 60) + "Z" },
		"no fractional digits": func(now time.Time) string { return now.Format("2006-01-02T15:04:05.") + "Z" },
		"a comma":              func(now time.Time) string { return now.Format("2006-01-02T15:04:05") + ",5Z" },
		"one digit of hour":    func(now time.Time) string { return now.Format("2006-01-02T") + "1:00:00Z" },
		"a space":              func(now time.Time) string { return now.Format("2006-01-02 15:04:05Z") },
		"empty":                func(time.Time) string { return "" },
		"missing":              func(time.Time) string { return "-" },
	} {
		all = append(all, refused{name: "SAML-REQ-09 " + name, rung: "IssueInstant", code: invalid, target: instant(f)})
	}
	for name, id := range map[string]string{
		"missing": "-", "empty": "", "begins with a digit": "1abc", "10 kB": strings.Repeat("a", 10_000), "257 characters": strings.Repeat("a", 257),
		"script": `a"><script>alert(1)</script>`, "colon": "a:b", "space": "a b",
	} {
		all = append(all, refused{name: "SAML-REQ-11 " + name, rung: "ID", code: invalid, target: get(func(q *authnRequest) { q.id = id })})
	}
	return all
}

// t0 stands in where nothing can go wrong.
var t0 = &testing.T{}

// odd are the apps that only refusals need.
func odd(w *world, t testing.TB) {
	sp := saml.ServiceProvider{SignAssertion: true}
	for _, v := range []struct{ entity, url string }{
		{"https://js.example", "javascript:alert(1)"}, {"https://http.example", "http://sp.example/acs"}, {"https://none.example", "https://none.example/artifact"}, {"https://anonymous.example", "https://anonymous.example/acs"},
		{"https://loop.example", "http://localhost:8000/acs"}, {"https://allowed.example", "http://intranet.example/acs"},
	} {
		sp.APIName, sp.Name, sp.EntityID = "Odd"+v.entity[8:10], "Odd", v.entity
		sp.ACS, sp.NameIDFormat, sp.AllowHTTP = []saml.Endpoint{acs(v.url, 0, "")}, "", v.entity == "https://allowed.example"
		if v.entity == "https://none.example" {
			sp.ACS[0].Binding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact"
		}
		if v.entity == "https://anonymous.example" {
			sp.NameIDFormat = saml.FormatNone
		}
		w.add(t, sp)
	}
	w.block(t, "D", true)
}

// TestLadder sends every refused request, and demands that each is refused where it should be, and that every rung
// refuses one at least.
func TestLadder(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		odd(w, t)
		hit := map[string]bool{}
		for _, c := range refusals() {
			ok := t.Run(c.name, func(t *testing.T) {
				b := w.browser()
				if c.as != nil {
					b = w.at(c.as(w))
				}
				var a *answer
				if c.form != nil {
					a = b.post("/saml/sso", c.form(w))
				} else {
					target := c.target(w)
					a = b.get(target)
				}
				if c.code != "" {
					if e := w.local(t, a, c.code, c.rung+": "); !strings.Contains(e.Reason, c.says) {
						t.Errorf("the event does not say %q: %s", c.says, e.Reason)
					}
					if strings.Contains(a.body, "alert(1)") {
						t.Error("what was sent is on the page")
					}
					return
				}
				to := c.acs
				if to == "" {
					to = acsA
				}
				doc := a.response(t)
				id := inResponseTo(t, doc)
				w.proto(t, a, to, id, c.sub, c.rung+": ")
			})
			if ok {
				hit[c.rung] = true
			}
		}
		side := saml.Here
		for _, rung := range saml.Ladder() {
			if !hit[rung.Name] {
				t.Errorf("no case shows what the rung %s refuses", rung.Name)
			}
			if rung.Section == "" {
				t.Errorf("the rung %s has no section", rung.Name)
			}
			if rung.Side < side {
				t.Errorf("the rung %s stands too high", rung.Name)
			}
			side = rung.Side
		}
	})
}

func inResponseTo(t testing.TB, doc []byte) string {
	t.Helper()
	_, rest, ok := strings.Cut(string(doc), ` InResponseTo="`)
	if !ok {
		t.Fatalf("no InResponseTo in %s", clip(string(doc)))
	}
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// TestAccepted holds the positive controls beside the refusals: P1, P4, P6 and what only looks like something bad.
func TestAccepted(t *testing.T) {
	for _, c := range []struct {
		name   string
		acs    string
		target func(w *world) string
	}{
		{"P1 no ACS named: the default", acsA, get(func(*authnRequest) {})},
		{"ACS by URL", acsA2, acsURL(acsA2)},
		{"ACS by URL and binding", acsA2, attrs(`AssertionConsumerServiceURL="` + acsA2 + `" ProtocolBinding="` + saml.BindingPOST + `"`)},
		{"ACS by index", acsA2, attrs(`AssertionConsumerServiceIndex="1"`)},
		{"SAML-REQ-08 unsigned without Destination", acsA, get(func(q *authnRequest) { q.destination = "-" })},
		{"P4 clock off by 3 min", acsA, instant(func(now time.Time) string { return now.Add(-3 * time.Minute).Format(time.RFC3339) })},
		{"SAML-REQ-09 4 min ahead", acsA, instant(func(now time.Time) string { return now.Add(4 * time.Minute).Format(time.RFC3339) })},
		{"SAML-REQ-09 4 min old", acsA, instant(func(now time.Time) string { return now.Add(-4 * time.Minute).Format(time.RFC3339) })},
		{"7 fractional digits, as .NET writes", acsA, instant(func(now time.Time) string { return now.Format("2006-01-02T15:04:05") + ".1234567Z" })},
		{"UTC as an offset", acsA, instant(func(now time.Time) string { return now.Format("2006-01-02T15:04:05") + "+00:00" })},
		{"SAML-XML-07 Issuer with a comment is the whole text", acsA, get(func(q *authnRequest) {
			q.issuer, q.inner = "-", `<saml:Issuer>https://sp-a.exa<!-- x -->mple/meta</saml:Issuer>`
		})},
		{"Issuer with its format", acsA, get(func(q *authnRequest) {
			q.issuer, q.inner = "-", `<saml:Issuer Format="urn:oasis:names:tc:SAML:2.0:nameid-format:entity">`+spA+`</saml:Issuer>`
		})},
		{"what has no effect", acsA, get(func(q *authnRequest) {
			q.attrs = `ProviderName="x" Consent="urn:oasis:names:tc:SAML:2.0:consent:unspecified" AttributeConsumingServiceIndex="1" ForceAuthn="false" IsPassive="0"`
			q.inner = `<samlp:Extensions><x xmlns="urn:x"/></samlp:Extensions><saml:Conditions/><samlp:Scoping ProxyCount="0"/>`
		})},
		{"other parameters beside", acsA, func(w *world) string { return redirect(w.request(spA).String(), "&a=1&a=2&samlrequest=x") }},
		{"SAMLEncoding named", acsA, func(w *world) string {
			return redirect(w.request(spA).String(), "&SAMLEncoding=urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE")
		}},
		{"one of several apps by ACS", "https://two.vendor.example/acs", get(func(q *authnRequest) {
			q.issuer, q.attrs = spV, `AssertionConsumerServiceURL="https://two.vendor.example/acs"`
		})},
		{"one of several apps, signed by it", "https://two.vendor.example/acs", func(w *world) string {
			q := w.request(spV)
			q.attrs = `AssertionConsumerServiceURL="https://two.vendor.example/acs"`
			return redirectSigned(q.String(), "-", keyB().key)
		}},
		{"SAML-REQ-13 Subject is the person", acsA, inner(`<saml:Subject><saml:NameID>ana@example.com</saml:NameID></saml:Subject>`)},
		{"own SPNameQualifier", acsA, inner(`<samlp:NameIDPolicy Format="` + saml.FormatPersistent + `" SPNameQualifier="` + spA + `" AllowCreate="1"/>`)},
		{"minimum password", acsA, inner(`<samlp:RequestedAuthnContext Comparison="minimum"><saml:AuthnContextClassRef>` + saml.ClassPassword + `</saml:AuthnContextClassRef></samlp:RequestedAuthnContext>`)},
		{"classes of 4 KiB together", acsA, inner(`<samlp:RequestedAuthnContext><saml:AuthnContextClassRef>urn:` + strings.Repeat("x", 4092-len(saml.ClassPassword)) + `</saml:AuthnContextClassRef><saml:AuthnContextClassRef>` + saml.ClassPassword + `</saml:AuthnContextClassRef></samlp:RequestedAuthnContext>`)},
		{"IsPassive with a session", acsA, attrs(`IsPassive="true"`)},
		{"plain http on this machine", "http://localhost:8000/acs", func(w *world) string { return redirect(w.request("https://loop.example").String()) }},
		{"plain http that is allowed", "http://intranet.example/acs", func(w *world) string { return redirect(w.request("https://allowed.example").String()) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := shared(t)
			odd(w, t)
			w.success(t, w.at(w.ana()).get(c.target(w)), c.acs)
		})
	}
}

// TestACSDefaults follows Metadata §2.2.3.
func TestACSDefaults(t *testing.T) {
	for _, c := range []struct {
		name string
		acs  []saml.Endpoint
		want string
	}{
		{"true wins", []saml.Endpoint{acs("https://x.example/1", 0, ""), acs("https://x.example/2", 1, "true"), acs("https://x.example/3", 2, "true")}, "https://x.example/2"},
		{"else the first that is not false", []saml.Endpoint{acs("https://x.example/1", 0, "false"), acs("https://x.example/2", 1, ""), acs("https://x.example/3", 2, "")}, "https://x.example/2"},
		{"else the first", []saml.Endpoint{acs("https://x.example/1", 0, "false"), acs("https://x.example/2", 1, "false")}, "https://x.example/1"},
		{"only those for HTTP-POST", []saml.Endpoint{{URL: "https://x.example/1", Binding: saml.BindingRedirect, Default: "true"}, acs("https://x.example/2", 1, "")}, "https://x.example/2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := shared(t)
			w.add(t, saml.ServiceProvider{APIName: "X", Name: "X", EntityID: "https://x.example", ACS: c.acs, SignAssertion: true})
			w.success(t, w.at(w.ana()).get(redirect(w.request("https://x.example").String())), c.want)
		})
	}
}

// TestNoOtherMethods: nothing is answered but GET and POST.
func TestNoOtherMethods(t *testing.T) {
	w := shared(t)
	for _, c := range []struct{ method, target string }{
		{http.MethodHead, "/saml/sso"}, {http.MethodPut, "/saml/sso"}, {http.MethodPost, "/saml/continue"}, {http.MethodPost, "/saml/launch/A"}, {http.MethodPost, "/saml/metadata"},
	} {
		r, err := http.NewRequest(c.method, c.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a := w.at(w.ana()).do(r); a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %d", c.method, c.target, a.status)
		}
	}
}
