package main_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	crewjam "github.com/crewjam/saml"
	"github.com/google/go-cmp/cmp"
	dsig "github.com/russellhaering/goxmldsig"
)

// samlOrg is a house with Ana, who may use the SAML apps, and Ben, who may use none.
func samlOrg(t *testing.T, o *org) {
	t.Helper()
	_, cert := spKey()
	o.apply("kind: Group\nname: finance", "kind: Group\nname: works-council", person("ben", ""),
		person("ana", "givenName: Ana\nfamilyName: Lima\ngroups: [finance, works-council]\nattributes: {department: Finance, sites: [Berlin, Porto]}"),
		app("Your Benefits", "benefits.example", "attributes:\n  - {name: department, source: attributes.department}\n  - {name: sites, source: attributes.sites}\n"+
			"  - {name: memberOf, source: groups}\n  - {name: company, constant: Example plc}\n", "groups: [finance]"),
		app("Signed", "signed.example", "requireSignedRequests: true\ncertificates:\n  - |"+indent(pemOf(cert), 4), "groups: [finance]"),
		app("Keyed", "keyed.example", "certificates:\n  - |"+indent(pemOf(cert), 4), "groups: [finance]"),
		app("Dropped", "dropped.example", "", "groups: [finance]"),
		app("Council", "council.example", "", "users: [{user: ana}]"),
	)
	o.serve()
}

// app declares a SAML app by entity ID and ACS.
func app(name, host, more, policy string) string {
	return fmt.Sprintf("kind: App\nname: %s\nstartURL: https://%s/\nsaml:\n  entityID: https://%s/meta\n  acs: [{url: \"https://%s/acs\", index: 0, default: true}, {url: \"https://%s/acs2\", index: 1}]%s\npolicy:\n  %s\n",
		name, host, host, host, host, indent(more, 2), policy)
}

func TestSAML(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		samlOrg(t, o)
		benefits := newSP(t, "benefits.example").meet(o)
		b := o.browser()

		// BEN-1, P5: by Redirect, with sign-in; RelayState is 80 bytes of anything.
		relay := "a b+c%2F&=?#<\">'é☃\\;:" + strings.Repeat("x", 52)
		q := benefits.request()
		p := b.get(benefits.redirect(q, relay)).asks(t)
		if !strings.Contains(p.body, "to continue to Your Benefits") {
			t.Errorf("BEN-1: the page does not say for what one signs in:\n%s", p.body)
		}
		a, fields := benefits.accept(b.signIn(p, "ana"), q.ID)
		if fields.Get("RelayState") != relay {
			t.Errorf("P5: RelayState came back as %q", fields.Get("RelayState"))
		}
		if id := a.Subject.NameID; id.Value != "ana@example.com" || id.Format != "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress" {
			// The request of crewjam/saml asks for transient, which anybody may.
			if id.Format != "urn:oasis:names:tc:SAML:2.0:nameid-format:transient" || id.Value == "" {
				t.Errorf("BEN-1: NameID %+v", id)
			}
		}
		first := a.AuthnStatements[0]
		if first.SessionIndex == "" || first.AuthnContext.AuthnContextClassRef.Value != "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport" {
			t.Errorf("BEN-1: %+v", first)
		}

		// BEN-10: the defaults and what the admin chose, each value on its own.
		for name, want := range map[string][]string{
			"username": {"ana"}, "email": {"ana@example.com"}, "department": {"Finance"}, "sites": {"Berlin", "Porto"},
			"memberOf": {"finance", "works-council"}, "company": {"Example plc"},
		} {
			if diff := cmp.Diff(want, values(a, name)); diff != "" {
				t.Errorf("BEN-10: %s (-want +got)\n%s", name, diff)
			}
		}
		if v := values(a, "userId"); len(v) != 1 || v[0] == "" || v[0] == "ana" {
			t.Errorf("BEN-10: userId %q", v)
		}

		// BEN-4: the session answers at once; ForceAuthn asks again, and it is a new sign-in.
		q = benefits.request()
		p = b.get(benefits.redirect(q, ""))
		if a, _ = benefits.accept(p, q.ID); len(p.way) != 1 || !a.AuthnStatements[0].AuthnInstant.Equal(first.AuthnInstant) {
			t.Errorf("BEN-4: answered by %v, AuthnInstant %v, was %v", p.way, a.AuthnStatements[0].AuthnInstant, first.AuthnInstant)
		}
		// SAML-REQ-16: the address at which the flow goes on skips nothing.
		q = benefits.request(forceAuthn)
		p = b.post("/saml/sso", benefits.post(q, ""), benefits.site()).asks(t)
		resume := p.resume()
		b.get(resume).asks(t)
		time.Sleep(10 * time.Millisecond)
		p = b.fill(p, "username", "ana", "password", password)
		if a, _ = benefits.accept(p, q.ID); !a.AuthnStatements[0].AuthnInstant.After(first.AuthnInstant) {
			t.Errorf("SAML-REQ-16: AuthnInstant %v is not new", a.AuthnStatements[0].AuthnInstant)
		}
		b.get(resume).refused(t, "SAML-REQ-16: the flow again, as by Back", 400)

		// BEN-2: by POST, which brings no cookie of ours, and still finds the session.
		q = benefits.request()
		p = b.post("/saml/sso", benefits.post(q, "deep/link"), benefits.site())
		if _, fields = benefits.accept(p, q.ID); fields.Get("RelayState") != "deep/link" || p.status != 200 {
			t.Errorf("BEN-2: RelayState %q (%d)", fields.Get("RelayState"), p.status)
		}
		c := o.browser()
		q = benefits.request()
		p = c.signIn(c.post("/saml/sso", benefits.post(q, ""), benefits.site()), "ana@example.com")
		benefits.accept(p, q.ID)
		// P6: base64 with line ends.
		q = benefits.request()
		p = b.post("/saml/sso", url.Values{"SAMLRequest": {wrapped(bytesOf(q))}}, benefits.site())
		benefits.accept(p, q.ID)

		// BEN-3
		p = b.get("/saml/launch/Your_Benefits?RelayState=" + url.QueryEscape("/plans?year=2026&x=ü"))
		if _, fields = benefits.accept(p, ""); fields.Get("RelayState") != "/plans?year=2026&x=ü" {
			t.Errorf("BEN-3: RelayState %q", fields.Get("RelayState"))
		}
		c = o.browser()
		benefits.accept(c.signIn(c.get("/saml/launch/Your_Benefits"), "ana"), "")

		// The same with gosaml2, which makes requests of its own.
		other := benefits.other()
		u, err := other.BuildAuthURL("r")
		if err != nil {
			t.Fatal(err)
		}
		p = b.get(u)
		_, _, fields = p.saml()
		info, err := other.RetrieveAssertionInfo(fields.Get("SAMLResponse"))
		if err != nil {
			t.Fatalf("gosaml2: %v (%s)", err, benefits.status(p))
		}
		if info.WarningInfo.InvalidTime || info.WarningInfo.NotInAudience || info.NameID != "ana@example.com" || info.Values.Get("department") != "Finance" {
			t.Errorf("gosaml2 reads %+v %+v", info, info.WarningInfo)
		}

		// P1: no ACS in the request; P4: a clock that is three minutes off.
		for what, alter := range map[string]func(*crewjam.AuthnRequest){
			"P1":               func(r *crewjam.AuthnRequest) { r.AssertionConsumerServiceURL, r.ProtocolBinding = "", "" },
			"P4":               func(r *crewjam.AuthnRequest) { r.IssueInstant = r.IssueInstant.Add(-3 * time.Minute) },
			"P4 the other way": func(r *crewjam.AuthnRequest) { r.IssueInstant = r.IssueInstant.Add(3 * time.Minute) },
		} {
			q = benefits.request(alter)
			p = b.get(benefits.redirect(q, ""))
			if _, to, _ := p.saml(); to != benefits.AcsURL.String() {
				t.Errorf("%s: answered at %s", what, to)
			}
			benefits.accept(p, q.ID)
		}

		// IsPassive: an answer either way, never a page of ours.
		q = benefits.request(isPassive)
		benefits.accept(b.get(benefits.redirect(q, "")), q.ID)
		if got := benefits.status(o.browser().get(benefits.redirect(benefits.request(isPassive), ""))); got != "Responder NoPassive" {
			t.Errorf("SAML-REQ-17: %s", got)
		}
		q = benefits.request(isPassive, forceAuthn)
		if got := benefits.status(b.get(benefits.redirect(q, ""))); got != "Responder NoPassive" {
			t.Errorf("SAML-REQ-17 with ForceAuthn: %s", got)
		}
		// SAML-REQ-15: what cannot be proved is not claimed.
		q = benefits.request(func(r *crewjam.AuthnRequest) {
			r.RequestedAuthnContext = &crewjam.RequestedAuthnContext{Comparison: "exact", AuthnContextClassRef: "https://refeds.org/profile/mfa"}
		})
		if got := benefits.status(b.get(benefits.redirect(q, ""))); got != "Responder NoAuthnContext" {
			t.Errorf("SAML-REQ-15: %s", got)
		}
	})
}

func wrapped(doc []byte) string {
	text, out := base64.StdEncoding.EncodeToString(doc), ""
	for len(text) > 76 {
		out, text = out+text[:76]+"\r\n", text[76:]
	}
	return out + text
}

// Who may not, does not get in, whichever way he comes, and the page's reference leads to the reason.
func TestSAMLRefusals(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		samlOrg(t, o)
		benefits := newSP(t, "benefits.example").meet(o)
		ana := o.in("ana")

		// BEN-5, SAML-REQ-22
		for _, w := range []struct {
			what string
			open func(b *browser) *page
		}{
			{"BEN-5 by Redirect", func(b *browser) *page { return b.get(benefits.redirect(benefits.request(), "")) }},
			{"BEN-5 by POST", func(b *browser) *page {
				return b.post("/saml/sso", benefits.post(benefits.request(), ""), benefits.site())
			}},
			{"BEN-5 by launch", func(b *browser) *page { return b.get("/saml/launch/Your_Benefits") }},
		} {
			for _, b := range []*browser{o.browser(), o.in("ben")} {
				p := w.open(b)
				if p.url.Path == "/signin" {
					p = b.signIn(p, "ben")
				}
				ref := p.refused(t, w.what, 403)
				if !strings.Contains(p.body, "Your Benefits") {
					t.Errorf("%s: the page does not name the app", w.what)
				}
				if ev := o.events("--ref", ref); len(ev) != 1 || ev[0].Code != "NoAccess" || ev[0].Outcome != "refused" || ev[0].User != "ben" || ev[0].App != "Your_Benefits" || !strings.Contains(ev[0].Reason, "permitted-users") {
					t.Errorf("%s: events %+v", w.what, ev)
				}
			}
		}

		// BEN-6
		stranger := newSP(t, "stranger.example").meet(o)
		ref := ana.get(stranger.redirect(stranger.request(), "")).refused(t, "BEN-6: unknown SP", 400)
		if ev := o.events("--ref", ref); len(ev) != 1 || ev[0].Code != "UnableToResolve" {
			t.Errorf("BEN-6: events %+v", ev)
		}
		for what, alter := range map[string]func(*crewjam.AuthnRequest){
			"BEN-6: foreign ACS":       func(r *crewjam.AuthnRequest) { r.AssertionConsumerServiceURL = "https://evil.example/acs" },
			"BEN-6: other app's ACS":   func(r *crewjam.AuthnRequest) { r.AssertionConsumerServiceURL = "https://council.example/acs" },
			"BEN-6: ACS with a query":  func(r *crewjam.AuthnRequest) { r.AssertionConsumerServiceURL += "?x=1" },
			"SAML-REQ-08: Destination": func(r *crewjam.AuthnRequest) { r.Destination = "https://other.example/saml/sso" },
			"SAML-REQ-09: an hour old": func(r *crewjam.AuthnRequest) { r.IssueInstant = r.IssueInstant.Add(-time.Hour) },
		} {
			q := benefits.request(alter)
			query := strings.SplitN(benefits.redirect(q, ""), "?", 2)[1]
			ref := ana.get("/saml/sso?"+query).refused(t, what, 400)
			if ev := o.events("--ref", ref); len(ev) != 1 || ev[0].Outcome != "refused" || ev[0].Reason == "" {
				t.Errorf("%s: events %+v", what, ev)
			}
		}
		// An answered request is not answered again.
		q := benefits.request()
		benefits.accept(ana.get(benefits.redirect(q, "")), q.ID)
		p := ana.get(benefits.redirect(q, ""))
		p.refused(t, "replay", 400)
		if !strings.Contains(p.body, `href="https://benefits.example/"`) {
			t.Errorf("replay: the page does not offer the app's start URL\n%s", p.body)
		}

		// SAML-REQ-21: a blocked app, by all three ways.
		dropped := newSP(t, "dropped.example").meet(o)
		late := o.browser()
		begun := late.get(dropped.redirect(dropped.request(), "")).asks(t)
		o.run("app", "block", "Dropped")
		ref = ana.get(dropped.redirect(dropped.request(), "")).refused(t, "SAML-REQ-21 by the app", 403)
		if ev := o.events("--ref", ref); len(ev) != 1 || ev[0].Code != "AppBlocked" {
			t.Errorf("SAML-REQ-21: events %+v", ev)
		}
		ana.get("/saml/launch/Dropped").refused(t, "SAML-REQ-21 by launch", 403)
		late.signIn(begun, "ana").refused(t, "SAML-REQ-21 begun before", 403)
		o.run("app", "unblock", "Dropped")
		// A node that is busy may read a change late, but never later than a second (DESIGN.md §5).
		for by := time.Now().Add(time.Second); ; time.Sleep(50 * time.Millisecond) {
			q = dropped.request()
			if p = ana.get(dropped.redirect(q, "")); p.status == 200 || time.Now().After(by) {
				break
			}
		}
		dropped.accept(p, q.ID)

		// SAML-REQ-22: unassigned, then switched off, between the page and the password.
		council := newSP(t, "council.example").meet(o)
		late = o.browser()
		begun = late.get(council.redirect(council.request(), "")).asks(t)
		o.apply(app("Council", "council.example", "", "users: [{user: ben}]"))
		late.signIn(begun, "ana").refused(t, "SAML-REQ-22 unassigned meanwhile", 403)
		late = o.browser()
		begun = late.get(benefits.redirect(benefits.request(), "")).asks(t)
		o.run("user", "deactivate", "ana")
		if p = late.signIn(begun, "ana"); p.status != 422 || strings.Contains(p.body, "SAMLResponse") {
			t.Errorf("SAML-REQ-22 switched off meanwhile: %d\n%s", p.status, p.body)
		}
		ana.get(benefits.redirect(benefits.request(), "")).asks(t) // the session she had is dead too
	})
}

// BEN-7, and the positive controls beside it.
func TestSAMLSignedRequests(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		samlOrg(t, o)
		ana := o.in("ana")
		unsigned, signed, keyed := newSP(t, "signed.example").meet(o), newSP(t, "signed.example").meet(o).signs(), newSP(t, "keyed.example").meet(o)

		for _, s := range []*sp{signed, newSP(t, "keyed.example").meet(o).signs()} {
			q := s.request()
			_, fields := s.accept(ana.get(s.redirect(q, "a b&c")), q.ID)
			if fields.Get("RelayState") != "a b&c" {
				t.Errorf("signed by Redirect: RelayState %q", fields.Get("RelayState"))
			}
			q = s.request()
			s.accept(ana.post("/saml/sso", s.post(q, ""), s.site()), q.ID)
		}
		// A certificate alone demands nothing.
		q := keyed.request()
		keyed.accept(ana.get(keyed.redirect(q, "")), q.ID)
		// P2: lower-case escapes are what some senders sign.
		q = keyed.request()
		query := strings.SplitN(keyed.redirect(q, ""), "?", 2)[1] + "&SigAlg=" + url.QueryEscape(dsig.RSASHA256SignatureMethod)
		query = regexp.MustCompile(`%[0-9A-F]{2}`).ReplaceAllStringFunc(query, strings.ToLower)
		keyed.accept(ana.get("/saml/sso?"+signedQuery(query)), q.ID)

		good := func() string { return strings.SplitN(signed.redirect(signed.request(), "r"), "?", 2)[1] }
		for _, c := range []struct{ what, query, code string }{
			{"SAML-SIG-01: unsigned", strings.SplitN(unsigned.redirect(unsigned.request(), ""), "?", 2)[1], "InvalidSignature"},
			{"SAML-SIG-02: signature removed", strings.Split(good(), "&Signature=")[0], "InvalidAuthnRequest"},
			{"SAML-SIG-02: algorithm removed", regexp.MustCompile(`&SigAlg=[^&]*`).ReplaceAllString(good(), ""), "InvalidAuthnRequest"},
			{"SAML-SIG-07: RelayState replaced", strings.Replace(good(), "RelayState=r", "RelayState=s", 1), "InvalidSignature"},
			{"SAML-SIG-07: RelayState removed", strings.Replace(good(), "&RelayState=r", "", 1), "InvalidSignature"},
			{"SAML-SIG-04: SHA-1", signedQuery(strings.Split(good(), "&SigAlg=")[0] + "&SigAlg=" + url.QueryEscape(dsig.RSASHA1SignatureMethod)), "InvalidSignature"},
		} {
			ref := ana.get("/saml/sso?"+c.query).refused(t, c.what, 400)
			if ev := o.events("--ref", ref); len(ev) != 1 || ev[0].Code != c.code {
				t.Errorf("%s: events %+v", c.what, ev)
			}
		}
		ana.post("/saml/sso", unsigned.post(unsigned.request(), ""), signed.site()).refused(t, "SAML-SIG-01: unsigned by POST", 400)
		f := signed.post(signed.request(), "")
		doc := string(must(base64.StdEncoding.DecodeString(f.Get("SAMLRequest"))))
		f.Set("SAMLRequest", base64.StdEncoding.EncodeToString([]byte(strings.Replace(doc, `Version="2.0"`, `Version="2.0" ForceAuthn="true"`, 1))))
		ana.post("/saml/sso", f, signed.site()).refused(t, "changed after it was signed", 400)
		// No demand, but a bad signature is refused all the same.
		query = strings.SplitN(keyed.redirect(keyed.request(), "r"), "?", 2)[1] + "&SigAlg=" + url.QueryEscape(dsig.RSASHA256SignatureMethod)
		ana.get("/saml/sso?"+strings.Replace(signedQuery(query), "RelayState=r", "RelayState=s", 1)).refused(t, "BEN-7: bad signature where none is demanded", 400)
	})
}

// P12: people are called all kinds of things, and every service provider can still verify what it is told.
func TestSAMLNames(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		long := strings.Repeat("Maximiliana ", 16) + "Berger"
		o.apply("kind: User\nusername: x1\nemail: o'hara@example.com\ngivenName: \"Síle \\U0001F469\\U0001F3FD\u200d\\U0001F680\"\nfamilyName: \"O'Hara & <Sons> \\\"Ltd\\\"\"\npassword: {plain: "+password+"}",
			"kind: User\nusername: x2\nemail: x2@example.com\ngivenName: \"יעל\"\nfamilyName: \"الحسن\"\npassword: {plain: "+password+"}",
			"kind: User\nusername: x3\nemail: x3@example.com\ngivenName: \""+long+"\"\nfamilyName: Ng\npassword: {plain: "+password+"}",
			app("Your Benefits", "benefits.example", "attributes: [{name: given, source: givenName}, {name: family, source: familyName}]", "permittedUsers: self-authorize"),
			"kind: App\nname: Wellness Tracker\noauth:\n  clientID: wellness\n  clientSecret: {plain: a-client-secret-of-wellness}\n  redirectURIs: [https://wellness.example/cb]\n  scopes: [openid, profile, email]\n  flows: {authorizationCode: true}\npolicy: {permittedUsers: self-authorize}",
		)
		o.serve()
		s := newSP(t, "benefits.example").meet(o)
		rp := newRP(t, o, "wellness", "a-client-secret-of-wellness", "https://wellness.example/cb", "openid", "profile", "email")
		for _, x := range []struct{ user, email, given, family string }{
			{"x1", "o'hara@example.com", "Síle 👩🏽\u200d🚀", `O'Hara & <Sons> "Ltd"`},
			{"x2", "x2@example.com", "יעל", "الحسن"},
			{"x3", "x3@example.com", long, "Ng"},
		} {
			b := o.in(x.user)
			q := s.request()
			a, _ := s.accept(b.get(s.redirect(q, "")), q.ID)
			if g, f, e := values(a, "given"), values(a, "family"), values(a, "email"); len(g) != 1 || g[0] != x.given || f[0] != x.family || e[0] != x.email {
				t.Errorf("P12: SAML tells %q %q %q", g, f, e)
			}
			if p := b.get("/account"); p.status != 200 {
				t.Errorf("P12: /account: %d", p.status)
			}
			_, token := rp.signIn(b.fill(b.get(rp.start()), "decision", "allow"))
			if c := rp.userinfo(token); c["given_name"] != x.given || c["family_name"] != x.family || c["email"] != x.email {
				t.Errorf("P12: userinfo tells %v", c)
			}
		}
	})
}
