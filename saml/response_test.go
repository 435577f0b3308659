package saml_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/saml"
	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestStatusResponse: an error, too, is valid, canonical and signed.
func TestStatusResponse(t *testing.T) {
	w := shared(t)
	a := w.browser().get(redirect(passive(w.request(spA)).String(), "&RelayState=r"))
	doc := a.response(t)
	canonical(t, doc)
	if err := validate(t, "protocol", doc); err != nil {
		t.Error(err)
	}
	if err := xmlsec1(t, doc, nsP+":Response", must(w.ring.Active()).Certificate); err != nil {
		t.Error(err)
	}
	if _, fields := a.form(); fields["RelayState"] != "r" {
		t.Errorf("RelayState %q", fields["RelayState"])
	}
	if strings.Contains(string(doc), "asked for") {
		t.Errorf("the reason is for the admin only: %s", doc)
	}
}

// TestResponseContent: SAML-RSP-01, as a strict service provider reads it.
func TestResponseContent(t *testing.T) {
	w := shared(t)
	q := w.request(spA)
	q.attrs = `AssertionConsumerServiceURL="` + acsA2 + `"`
	p := w.ana()
	e := w.success(t, w.at(p).get(redirect(q.String())), acsA2)
	now := w.clock.now()
	ms := func(t time.Time) string { return t.Format("2006-01-02T15:04:05.000Z") }
	assertion := find(t, e, "Assertion")
	data := find(t, assertion, "Subject", "SubjectConfirmation", "SubjectConfirmationData")
	conditions := find(t, assertion, "Conditions")
	statement := find(t, assertion, "AuthnStatement")
	for _, c := range []struct{ what, got, want string }{
		{"Response InResponseTo", attr(e, "InResponseTo"), q.id},
		{"Response Destination", attr(e, "Destination"), acsA2},
		{"Response IssueInstant", attr(e, "IssueInstant"), ms(now)},
		{"Response Version", attr(e, "Version"), "2.0"},
		{"Response Issuer", text(t, find(t, e, "Issuer")), entityID},
		{"Assertion Issuer", text(t, find(t, assertion, "Issuer")), entityID},
		{"Assertion IssueInstant", attr(assertion, "IssueInstant"), ms(now)},
		{"Method", attr(find(t, assertion, "Subject", "SubjectConfirmation"), "Method"), "urn:oasis:names:tc:SAML:2.0:cm:bearer"},
		{"Data InResponseTo", attr(data, "InResponseTo"), q.id},
		{"Data Recipient", attr(data, "Recipient"), acsA2},
		{"Data NotOnOrAfter", attr(data, "NotOnOrAfter"), ms(now.Add(5 * time.Minute))},
		{"Data NotBefore", attr(data, "NotBefore"), ""},
		{"Data Address", attr(data, "Address"), ""},
		{"NotBefore", attr(conditions, "NotBefore"), ms(now.Add(-3 * time.Minute))},
		{"NotOnOrAfter", attr(conditions, "NotOnOrAfter"), ms(now.Add(5 * time.Minute))},
		{"Audience", text(t, find(t, conditions, "AudienceRestriction", "Audience")), spA},
		{"AuthnInstant", attr(statement, "AuthnInstant"), ms(p.authTime)},
		{"SessionIndex", attr(statement, "SessionIndex"), "_index-" + p.id + w.apps["A"]},
		{"SessionNotOnOrAfter", attr(statement, "SessionNotOnOrAfter"), ""},
		{"class", text(t, find(t, statement, "AuthnContext", "AuthnContextClassRef")), saml.ClassPasswordProtected},
	} {
		if c.got != c.want {
			t.Errorf("%s is %q, want %q", c.what, c.got, c.want)
		}
	}
	if attr(e, "ID") == attr(assertion, "ID") || len(attr(e, "ID")) < 26 || len(attr(assertion, "ID")) < 26 {
		t.Errorf("IDs %q and %q", attr(e, "ID"), attr(assertion, "ID"))
	}
	for name, parent := range map[string]*xmlsec.Element{"Assertion": e, "AuthnStatement": assertion, "Conditions": assertion, "AudienceRestriction": conditions} {
		if n := len(parent.Children(xmlsec.Name{Space: nsA, Local: name})); n != 1 {
			t.Errorf("%d %s", n, name)
		}
	}
	// Signature right after Issuer (Core §2.3.3, §3.2.1).
	for _, signed := range []*xmlsec.Element{e, assertion} {
		var names []string
		for c := range signed.All() {
			names = append(names, c.Name.Local)
		}
		if names[0] != "Issuer" || names[1] != "Signature" {
			t.Errorf("the children are %v", names)
		}
	}
}

// TestValidity: an app's own times, and the end of its session.
func TestValidity(t *testing.T) {
	w := shared(t)
	w.change(t, "A", func(sp *saml.ServiceProvider) { sp.Validity, sp.Skew = 2*time.Minute, time.Minute })
	e := w.success(t, w.at(w.ana()).get("/saml/launch/A"), acsA)
	conditions := find(t, e, "Assertion", "Conditions")
	now := w.clock.now()
	if a, b := attr(conditions, "NotBefore"), attr(conditions, "NotOnOrAfter"); a != now.Add(-time.Minute).Format("2006-01-02T15:04:05.000Z") || b != now.Add(2*time.Minute).Format("2006-01-02T15:04:05.000Z") {
		t.Errorf("from %s to %s", a, b)
	}
}

// TestNoNameID: an app may be told of nobody.
func TestNoNameID(t *testing.T) {
	w := shared(t)
	w.change(t, "A", func(sp *saml.ServiceProvider) { sp.NameIDFormat = saml.FormatNone })
	a := w.at(w.ana()).get("/saml/launch/A")
	w.success(t, a, acsA)
	if strings.Contains(string(a.response(t)), "NameID") {
		t.Error("there is a NameID")
	}
	if err := validate(t, "protocol", a.response(t)); err != nil {
		t.Error(err)
	}
}

// TestQualifiers: only persistent and transient identifiers have them, and a transient one is another each time.
func TestQualifiers(t *testing.T) {
	w := shared(t)
	seen := map[string]bool{}
	for _, format := range []string{saml.FormatPersistent, saml.FormatTransient, saml.FormatTransient, saml.FormatEmail} {
		q := w.request(spA)
		q.inner = `<samlp:NameIDPolicy Format="` + format + `"/>`
		id := find(t, w.success(t, w.at(w.ana()).get(redirect(q.String())), acsA), "Assertion", "Subject", "NameID")
		want := [2]string{entityID, spA}
		if format == saml.FormatEmail {
			want = [2]string{}
		}
		if got := [2]string{attr(id, "NameQualifier"), attr(id, "SPNameQualifier")}; got != want || attr(id, "Format") != format {
			t.Errorf("%s: %v, format %s", format, got, attr(id, "Format"))
		}
		if v := text(t, id); seen[v] {
			t.Errorf("%s came twice", v)
		} else {
			seen[v] = true
		}
	}
}

// TestUniqueIDs: SAML-RSP-02, as far as a test may take.
func TestUniqueIDs(t *testing.T) {
	w := shared(t)
	seen := map[string]bool{}
	id := regexp.MustCompile(`(?:[^a-zA-Z]ID)="([^"]*)"`)
	b := w.at(w.ana())
	for range 200 {
		for _, m := range id.FindAllStringSubmatch(string(b.get("/saml/launch/A").response(t)), -1) {
			if seen[m[1]] {
				t.Fatalf("the ID %s came twice", m[1])
			}
			seen[m[1]] = true
		}
	}
	if len(seen) != 400 {
		t.Errorf("%d IDs", len(seen))
	}
}

// TestInjection: SAML-RSP-04, -05, P12. What people call themselves stays text.
func TestInjection(t *testing.T) {
	w := shared(t)
	cert := must(w.ring.Active()).Certificate
	for _, v := range []string{
		`</saml:AttributeValue></saml:Attribute><saml:Attribute Name="role"><saml:AttributeValue>admin`,
		"admin@corp<!-- -->.evil", "admin@corp<?x?>.evil", "trailing space ", "line\nend", "carriage\rreturn", "tab\t", "]]>", "&lt;&#x41;",
		`"a@corp, x"@evil`, "ａdmin＠corp", "O'Brien", "😀", "\u202eright to left\u202c", strings.Repeat("ä", 200), strings.Repeat("x", 64<<10), " ",
	} {
		p := w.ana()
		p.email = v
		a := w.at(p).get(redirect(w.request(spA).String()))
		doc := a.response(t)
		e := must(xmlsec.Parse(doc, xmlsec.MetadataLimits()))
		if got := text(t, find(t, e, "Assertion", "Subject", "NameID")); got != v {
			t.Errorf("NameID %.60q, want %.60q", got, v)
		}
		all := find(t, e, "Assertion", "AttributeStatement").Children(xmlsec.Name{Space: nsA, Local: "Attribute"})
		if len(all) != 2 || text(t, find(t, all[1], "AttributeValue")) != v {
			t.Errorf("%d attributes for %.60q", len(all), v)
		}
		canonical(t, doc)
		if err := xmlsec1(t, doc, nsP+":Response", cert); err != nil {
			t.Errorf("%.60q: %v", v, err)
		}
	}
	// The name of an app is on the page, not in the document.
	w.change(t, "A", func(sp *saml.ServiceProvider) { sp.Name = `<script>alert(1)</script>` })
	if a := w.at(w.ana()).get("/saml/launch/A"); strings.Contains(a.body, "<script>alert") {
		t.Error("an app's name is markup")
	}
}

// TestUnsendable: SAML-RSP-06. What XML can not carry is refused before anything is spent; nothing is sent.
func TestUnsendable(t *testing.T) {
	w := shared(t)
	for name, spoil := range map[string]func(p *person){
		"control in NameID": func(p *person) { p.email = "a\x01b@example.com" },
		"NUL":               func(p *person) { p.email = "a\x00b@example.com" },
		"U+FFFE":            func(p *person) { p.email = "a\ufffe@example.com" },
		"not UTF-8":         func(p *person) { p.email = "a\xff@example.com" },
		"control in value":  func(p *person) { p.attrs = []saml.Attribute{{Name: "x", Values: []string{"ok", "\x01"}}} },
		"control in name":   func(p *person) { p.attrs = []saml.Attribute{{Name: "x\x01", Values: []string{"ok"}}} },
		"no name":           func(p *person) { p.attrs = []saml.Attribute{{Values: []string{"ok"}}} },
		"empty NameID":      func(p *person) { p.nameID = &saml.NameID{Format: saml.FormatEmail} },
		"NameID for none":   func(p *person) { p.nameID = &saml.NameID{Format: saml.FormatNone, Value: "x"} },
		"no NameID":         func(p *person) { p.nameID = &saml.NameID{} },
	} {
		t.Run(name, func(t *testing.T) {
			p := w.ana()
			spoil(p)
			q := w.request(spA)
			a := w.at(p).get(redirect(q.String()))
			if a.status != 500 || strings.Contains(a.body, "SAMLResponse") {
				t.Fatalf("status %d\n%s", a.status, clip(a.body))
			}
			if ev := w.event(t, shownRef.FindStringSubmatch(a.body)[1]); ev.Code != "InvalidSettings" || ev.User != p.id {
				t.Errorf("the event is %+v", ev)
			}
			w.success(t, w.at(w.ana()).get(redirect(q.String())), acsA)
		})
	}
}

// TestManyGroups: a list of 900 values verifies at service providers in Go, which read about 1,000 elements.
func TestManyGroups(t *testing.T) {
	w := shared(t)
	p := w.ana()
	p.attrs = []saml.Attribute{{Name: "groups", Values: nil}}
	for i := range 900 {
		p.attrs[0].Values = append(p.attrs[0].Values, fmt.Sprintf("group %d", i))
	}
	doc := w.at(p).get("/saml/launch/A").response(t)
	if err := xmlsec1(t, doc, nsA+":Assertion", must(w.ring.Active()).Certificate); err != nil {
		t.Error(err)
	}
	if n := bytes.Count(doc, []byte("<saml:AttributeValue>")); n != 900 {
		t.Errorf("%d values", n)
	}
}

// unsigned takes out what another key makes other.
var unsigned = regexp.MustCompile(`(<ds:(?:DigestValue|SignatureValue|X509Certificate)>)[^<]*`)

// TestGolden pins what an app receives (DESIGN.md idea 10).
func TestGolden(t *testing.T) {
	w := shared(t)
	n := 0
	w.handler.NewID = func() string { n++; return fmt.Sprintf("id-%026d", n) }
	q := w.request(spA)
	q.id = "_request"
	p := w.ana()
	p.attrs = []saml.Attribute{
		{Name: "userId", NameFormat: saml.AttrUnspecified, Values: []string{"u-ana"}},
		{Name: "urn:oid:2.5.4.11", FriendlyName: "ou", NameFormat: saml.AttrURI, Values: []string{"Finance", "R&D"}},
	}
	index := &saml.NameID{Format: saml.FormatPersistent, Value: "abc", NameQualifier: entityID, SPNameQualifier: spA}
	for _, g := range []struct {
		name string
		get  func() *answer
	}{
		{"response-both", func() *answer { return w.at(p).get(redirect(q.String())) }},
		{"response-launched-persistent", func() *answer { p.nameID = index; return w.at(p).get("/saml/launch/A") }},
		{"response-status", func() *answer { q.id = "_passive"; return w.browser().get(redirect(passive(q).String())) }},
	} {
		t.Run(g.name, func(t *testing.T) {
			doc := g.get().response(t)
			canonical(t, doc)
			doc = unsigned.ReplaceAll(doc, []byte("$1"))
			doc = regexp.MustCompile(`Reference: [A-Z0-9]{8}`).ReplaceAll(doc, []byte("Reference: REFERENC"))
			doc = regexp.MustCompile(`SessionIndex="[^"]*"`).ReplaceAll(doc, []byte(`SessionIndex="_index"`))
			file := filepath.Join("testdata", g.name+".xml")
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, append(doc, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want := bytes.TrimRight(must(os.ReadFile(file)), "\n")
			canonical(t, want)
			if diff := cmp.Diff(strings.ReplaceAll(string(want), "><", ">\n<"), strings.ReplaceAll(string(doc), "><", ">\n<")); diff != "" {
				t.Errorf("what the app receives changed (-want +got)\n%s", diff)
			}
		})
	}
}

// TestPage: SAML-BND-06. The page that posts can do nothing else.
func TestPage(t *testing.T) {
	w := shared(t)
	a := w.at(w.ana()).get(redirect(w.request(spA).String()))
	csp := a.res.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "script-src 'nonce-"} {
		if !strings.Contains(csp, want) {
			t.Errorf("no %s in %q", want, csp)
		}
	}
	if strings.Contains(csp, "form-action") {
		t.Error("form-action would hold the service provider's own redirect")
	}
	if n := strings.Count(a.body, "<form"); n != 1 {
		t.Errorf("%d forms", n)
	}
	if a.res.Header.Get("Cache-Control") != "no-store" {
		t.Error("the page may be cached")
	}
	for _, target := range []string{"/saml-post?url=javascript:alert(1)", "/saml/post", "/saml/launch/A?returnTo=https://evil.example&spentityid=x&AssertionConsumerServiceURL=https://evil.example"} {
		if action, _ := w.at(w.ana()).get(target).form(); action != "" && action != acsA {
			t.Errorf("%s posts to %q", target, action)
		}
	}
}
