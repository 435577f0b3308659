package main_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// mellonSite is a site of the Apache with mod_auth_mellon.
type mellonSite struct {
	Name, IdP, More string
	url             string
}

// mellon starts an Apache whose sites know this Lanyard by its metadata.
func mellon(t *testing.T, o *org, sites ...*mellonSite) apache {
	t.Helper()
	a := newApache(t, o, "mod_auth_mellon.so")
	metadata := o.browser().get("/saml/metadata").body
	a.write("idp.xml", metadata)
	redirect := regexp.MustCompile(`<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"[^>]*></md:SingleSignOnService>`)
	if !redirect.MatchString(metadata) {
		t.Fatalf("no address for Redirect in\n%s", metadata)
	}
	a.write("idp-post.xml", redirect.ReplaceAllString(metadata, ""))
	for _, s := range sites {
		s.url = a.site(o, s.Name)
	}
	// Key, certificate and metadata of the first, by mod_auth_mellon's own tool.
	tool := a.command("/usr/sbin/mellon_create_metadata", sites[0].url+"/meta", sites[0].url+"/mellon")
	if out, err := tool.CombinedOutput(); err != nil {
		t.Fatalf("mellon_create_metadata: %v\n%s", err, out)
	}
	for _, ending := range []string{"key", "cert", "xml"} {
		made := must(filepath.Glob(filepath.Join(a.dir, "https_*."+ending)))
		if len(made) != 1 {
			t.Fatalf("mellon_create_metadata made %v", made)
		}
		a.write("sp."+ending, string(must(os.ReadFile(made[0]))))
	}
	own := string(must(os.ReadFile(filepath.Join(a.dir, "sp.xml"))))
	for _, s := range sites[1:] {
		text := strings.ReplaceAll(own, sites[0].url, s.url)
		a.write(s.Name+".xml", text)
		a.write(s.Name+"-unsigned.xml", strings.Replace(text, `AuthnRequestsSigned="true"`, `AuthnRequestsSigned="false"`, 1))
	}
	a.begin("mellon.conf", map[string]any{"Sites": sites})
	return a
}

// handsOver has the page post itself on, as its script does.
func (b *browser) handsOver(p *page, field string) *page {
	b.t.Helper()
	whole := *p
	if !strings.Contains(p.body, "<main") {
		whole.body = "<main>" + p.body // one of mod_auth_mellon's
	}
	if forms := whole.forms(); p.status != 200 || len(forms) == 0 || !forms[0].values.Has(field) {
		b.t.Fatalf("no %s to hand over at %s (%d) by %v\n%s", field, p.url, p.status, p.way, p.body)
	}
	return b.fill(&whole)
}

// Apache 2.4 with mod_auth_mellon (lasso) as service provider.
func TestMellon(t *testing.T) {
	t.Parallel()
	o := newOrg(t, storetest.SQLite)
	o.apply("kind: Group\nname: finance", "kind: Group\nname: \"Bücher & O'Brien's\"", "kind: Group\nname: 東京",
		person("ana", "givenName: Ana\nfamilyName: Lima\ngroups: [finance, \"Bücher & O'Brien's\", 東京]\nattributes: {city: \"São Paulo; d'Ávila\"}"), person("ben", ""))
	o.serve()
	file := func(name string) string { return "MellonSPMetadataFile \"" + name + "\"" }
	benefits, posted := &mellonSite{Name: "benefits", IdP: "idp.xml"}, &mellonSite{Name: "posted", IdP: "idp-post.xml"}
	plain, liar := &mellonSite{Name: "plain", IdP: "idp.xml"}, &mellonSite{Name: "liar", IdP: "idp.xml"}
	strong, weak := &mellonSite{Name: "strong", IdP: "idp.xml"}, &mellonSite{Name: "weak", IdP: "idp.xml"}
	benefits.More = file("sp.xml") + "\n\t\tMellonCookieSameSite Lax" // what stands at the door does not matter for what comes by POST
	posted.More = "MellonSPentityId https://posted.example/meta"      // it makes its metadata by itself
	plain.More, liar.More = file("plain-unsigned.xml"), file("liar-unsigned.xml")
	strong.More, weak.More = file("strong.xml")+"\n\t\tMellonSignatureMethod rsa-sha512", file("weak.xml")+"\n\t\tMellonSignatureMethod rsa-sha1"
	a := mellon(t, o, benefits, posted, plain, liar, strong, weak)

	// One line makes the app; what it shall learn is declared beside it.
	o.run("app", "create", "Your Benefits", "--metadata", filepath.Join(a.dir, "sp.xml"), "--permit", "group:finance")
	o.apply(fmt.Sprintf("kind: App\nname: Your Benefits\nsaml:\n  metadata: {file: %s}\n  attributes:\n    - {name: groups, source: groups}\n    - {name: city, source: attributes.city}\npolicy: {groups: [finance]}", filepath.Join(a.dir, "sp.xml")))
	for _, s := range []*mellonSite{posted, plain, liar, strong, weak} {
		from := filepath.Join(a.dir, s.Name+".xml")
		switch s {
		case posted:
			p := o.browser().get(s.url + "/mellon/metadata")
			if p.status != 200 || !strings.Contains(p.body, "https://posted.example/meta") {
				t.Fatalf("mod_auth_mellon's own metadata: %d\n%s", p.status, p.body)
			}
			from = a.write("posted.xml", p.body)
		case plain:
			from = filepath.Join(a.dir, "plain-unsigned.xml")
		}
		o.run("app", "create", s.Name, "--metadata", from, "--permit", "group:finance")
	}

	// SP-initiated by Redirect, with sign-in; the way into the site is kept.
	b := o.browser()
	p := b.get(benefits.url + "/plans/2026?page=2&q=%C3%BC").asks(t)
	if !strings.Contains(p.body, "to continue to Your Benefits") {
		t.Errorf("the page does not say for what one signs in:\n%s", p.body)
	}
	p = b.signIn(p, "ana")
	doc, _, response := p.saml()
	if !strings.Contains(string(doc), ">Bücher &amp; O'Brien's<") {
		t.Errorf("the group is not written as XML has it:\n%s", doc)
	}
	p = b.handsOver(p, "SAMLResponse")
	if p.url.String() != benefits.url+"/plans/2026?page=2&q=%C3%BC" {
		t.Errorf("the way was not kept: %s", p.url)
	}
	told := p.told(t)
	for name, want := range map[string]string{
		"MELLON_username": "ana", "MELLON_email": "ana@example.com", "MELLON_groups_N": "3", "MELLON_city": "São Paulo; d'Ávila",
		"REMOTE_USER": told["MELLON_NAME_ID"],
	} {
		if told[name] != want {
			t.Errorf("the backend was told %s=%q, not %q", name, told[name], want)
		}
	}
	groups := map[string]bool{told["MELLON_groups_0"]: true, told["MELLON_groups_1"]: true, told["MELLON_groups_2"]: true}
	for _, g := range []string{"finance", "Bücher &amp; O'Brien's", "東京"} { // lasso leaves it escaped
		if !groups[g] {
			t.Errorf("the backend was not told of the group %q: %v", g, groups)
		}
	}
	if told["MELLON_userId"] == "" || told["MELLON_NAME_ID"] == "" {
		t.Errorf("the backend was told %v", told)
	}
	// The session holds: nobody is asked again, here or there.
	b.get(benefits.url + "/other").told(t)

	// What was handed over is not taken a second time: we give every assertion an ID by which mod_auth_mellon knows it.
	thief := o.browser()
	if p := thief.post(benefits.url+"/mellon/postResponse", response, o.url); p.status != 400 || !strings.Contains(a.said(), "has already been used") {
		t.Errorf("mod_auth_mellon took a response again: %d %s\n%s", p.status, p.url, p.body)
	}

	// SP-initiated by POST: mod_auth_mellon's page posts the request, which brings no cookie of ours.
	p = b.handsOver(b.get(posted.url+"/deep?x=1"), "SAMLRequest")
	p = b.handsOver(p, "SAMLResponse")
	if p.told(t)["MELLON_username"] != "ana" || p.url.String() != posted.url+"/deep?x=1" {
		t.Errorf("by POST: %s", p.url)
	}
	c := o.browser()
	p = c.handsOver(c.get(posted.url+"/"), "SAMLRequest").asks(t)
	c.handsOver(c.signIn(p, "ana"), "SAMLResponse").told(t)

	// IdP-initiated, to the start and to a place within.
	b = o.in("ana")
	p = b.handsOver(b.get("/saml/launch/Your_Benefits"), "SAMLResponse")
	if p.told(t)["MELLON_username"] != "ana" || p.url.String() != benefits.url+"/" {
		t.Errorf("launched to %s", p.url)
	}
	b = o.in("ana")
	p = b.handsOver(b.get("/saml/launch/Your_Benefits?RelayState="+url.QueryEscape(benefits.url+"/plans?year=2026")), "SAMLResponse")
	if p.told(t)["MELLON_username"] != "ana" || p.url.String() != benefits.url+"/plans?year=2026" {
		t.Errorf("launched to %s", p.url)
	}

	// Unsigned where nobody demands a signature; with a stronger one.
	b.handsOver(b.get(plain.url+"/"), "SAMLResponse").told(t)
	b.handsOver(b.get(strong.url+"/"), "SAMLResponse").told(t)
	// Unsigned where one is demanded; one that proves nothing any more; and who may not use the app.
	for _, w := range []struct {
		what, url, user string
		status          int
		code            string
	}{
		{"unsigned", liar.url + "/", "ana", 400, "InvalidSignature"},
		{"signed with SHA-1", weak.url + "/", "ana", 400, "InvalidSignature"},
		{"without access", benefits.url + "/", "ben", 403, "NoAccess"},
		{"without access, launched", "/saml/launch/Your_Benefits", "ben", 403, "NoAccess"},
	} {
		b := o.in(w.user)
		ref := b.get(w.url).refused(t, w.what, w.status)
		if e := o.events("--ref", ref); len(e) == 0 || e[0].Code != w.code {
			t.Errorf("%s: the event says %+v", w.what, e)
		}
	}
}
