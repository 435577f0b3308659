package saml_test

import (
	"crypto"
	"encoding/base64"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/saml"
	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

const (
	nsP = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsA = "urn:oasis:names:tc:SAML:2.0:assertion"
)

// answer is what a browser got.
type answer struct {
	res      *http.Response
	status   int
	location string
	body     string
}

var (
	formAction = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	hidden     = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	shownRef   = regexp.MustCompile(`<code aria-describedby="reference">([A-Z0-9]{8})</code>`)
	startLink  = regexp.MustCompile(`<a class="first wide" href="([^"]*)">`)
)

// form reads the form of an auto-post page as a browser would submit it; no action: there is none.
func (a *answer) form() (action string, fields map[string]string) {
	if m := formAction.FindStringSubmatch(a.body); m != nil {
		action = html.UnescapeString(m[1])
	}
	fields = map[string]string{}
	for _, m := range hidden.FindAllStringSubmatch(a.body, -1) {
		fields[html.UnescapeString(m[1])] = html.UnescapeString(m[2])
	}
	return action, fields
}

// response returns the document that the page posts.
func (a *answer) response(t testing.TB) []byte {
	t.Helper()
	_, fields := a.form()
	b, err := base64.StdEncoding.DecodeString(fields["SAMLResponse"])
	if err != nil || len(b) == 0 {
		t.Fatalf("no SAMLResponse (%v); status %d, Location %q\n%s", err, a.status, a.location, clip(a.body))
	}
	return b
}

func clip(s string) string { return s[:min(len(s), 1500)] }

// local demands a refusal here: no redirect, no form, no script, and an event behind the reference.
func (w *world) local(t testing.TB, a *answer, code, reason string) idp.Event {
	t.Helper()
	if a.status < 400 || a.status > 499 {
		t.Fatalf("status %d (Location %q), want a page of refusal\n%s", a.status, a.location, clip(a.body))
	}
	if a.location != "" || strings.Contains(a.body, "<form") || strings.Contains(a.body, "<script") || strings.Contains(a.body, "SAMLResponse") {
		t.Fatalf("a refusal leads elsewhere: Location %q\n%s", a.location, clip(a.body))
	}
	m := shownRef.FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no reference on the page\n%s", clip(a.body))
	}
	ev := w.event(t, m[1])
	if ev.Code != code || !strings.HasPrefix(ev.Reason, reason) || ev.Outcome != idp.Refused {
		t.Fatalf("the event is %s (%s) %q, want %s %q…", ev.Code, ev.Outcome, ev.Reason, code, reason)
	}
	return ev
}

// proto demands an error that is told to acs, signed, without an assertion. It returns the event behind it.
func (w *world) proto(t testing.TB, a *answer, acs, requestID, sub, reason string) idp.Event {
	t.Helper()
	action, _ := a.form()
	if a.status != http.StatusOK || action != acs {
		t.Fatalf("status %d, form to %q, want one to %q\n%s", a.status, action, acs, clip(a.body))
	}
	doc := a.response(t)
	e := w.verify(t, doc)
	if v, _ := e.Attr("InResponseTo"); v != requestID {
		t.Errorf("InResponseTo %q, want %q", v, requestID)
	}
	if v, _ := e.Attr("Destination"); v != acs {
		t.Errorf("Destination %q, want %q", v, acs)
	}
	if strings.Contains(string(doc), "Assertion>") {
		t.Fatalf("an error with an assertion: %s", clip(string(doc)))
	}
	status := e.Child(xmlsec.Name{Space: nsP, Local: "Status"})
	top := status.Child(xmlsec.Name{Space: nsP, Local: "StatusCode"})
	if v, _ := top.Attr("Value"); v != saml.StatusRequester && v != saml.StatusResponder {
		t.Errorf("the status is %q", v)
	}
	var got string
	if second := top.Child(xmlsec.Name{Space: nsP, Local: "StatusCode"}); second != nil {
		got, _ = second.Attr("Value")
	}
	if got != sub {
		t.Errorf("the second-level status is %q, want %q", got, sub)
	}
	message, err := status.Child(xmlsec.Name{Space: nsP, Local: "StatusMessage"}).Text()
	if err != nil {
		t.Fatal(err)
	}
	ev := w.event(t, message[strings.LastIndex(message, " ")+1:])
	if !strings.HasPrefix(ev.Reason, reason) || ev.Outcome != idp.Refused {
		t.Errorf("the event is %s %q, want %q…", ev.Code, ev.Reason, reason)
	}
	return ev
}

// success demands a response with an assertion that goes to acs, and returns it as it stands, signature and all.
func (w *world) success(t testing.TB, a *answer, acs string) *xmlsec.Element {
	t.Helper()
	action, _ := a.form()
	if a.status != http.StatusOK || action != acs {
		t.Fatalf("status %d, Location %q, form to %q, want one to %q\n%s", a.status, a.location, action, acs, clip(a.body))
	}
	e, err := xmlsec.Parse(a.response(t), xmlsec.MessageLimits())
	if err != nil {
		t.Fatal(err)
	}
	if top, _ := find(t, e, "Status", "StatusCode").Attr("Value"); top != saml.StatusSuccess {
		t.Fatalf("the status is %q", top)
	}
	if e.Child(xmlsec.Name{Space: nsA, Local: "Assertion"}) == nil {
		t.Fatal("a success without an assertion")
	}
	return e
}

// nothing demands that no assertion came out.
func nothing(t testing.TB, a *answer) {
	t.Helper()
	if _, fields := a.form(); fields["SAMLResponse"] != "" && strings.Contains(string(a.response(t)), "Assertion>") {
		t.Fatalf("an assertion came out: %s", a.response(t))
	}
}

// verify returns what our signature over the root covers.
func (w *world) verify(t testing.TB, doc []byte) *xmlsec.Element {
	t.Helper()
	e, err := xmlsec.Parse(doc, xmlsec.MessageLimits())
	if err != nil {
		t.Fatalf("%v\n%s", err, clip(string(doc)))
	}
	k := must(w.ring.Active())
	e, err = xmlsec.Verify(e, []crypto.PublicKey{k.Public})
	if err != nil {
		t.Fatalf("our own signature: %v\n%s", err, clip(string(doc)))
	}
	return e
}

// find goes down from e by local names, each of which must be there.
func find(t testing.TB, e *xmlsec.Element, path ...string) *xmlsec.Element {
	t.Helper()
	for _, local := range path {
		var next *xmlsec.Element
		for c := range e.All() {
			if c.Name.Local == local {
				next = c
				break
			}
		}
		if next == nil {
			t.Fatalf("<%s> has no <%s>", e.Name.Local, local)
		}
		e = next
	}
	return e
}

func text(t testing.TB, e *xmlsec.Element) string {
	t.Helper()
	s, err := e.Text()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func attr(e *xmlsec.Element, name string) string {
	v, _ := e.Attr(name)
	return v
}
