package saml_test

import (
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/saml"
)

// TestMetadataApp: an app made from metadata works: what metadata says is what the ladder obeys.
func TestMetadataApp(t *testing.T) {
	w := shared(t)
	d, err := saml.ReadMetadata([]byte(sp("", `AuthnRequestsSigned="true"`, key("", b64(keyExpired().der))+postACS)), today)
	if err != nil {
		t.Fatal(err)
	}
	e := d.Entities[0]
	e.APIName, e.Name = "FromMetadata", "From metadata"
	w.add(t, e.ServiceProvider)
	w.success(t, w.at(w.ana()).get(redirectSigned(w.request("https://sp.example").String(), "-", keyExpired().key)), "https://sp.example/acs")
	w.local(t, w.at(w.ana()).get(redirect(w.request("https://sp.example").String())), "InvalidSignature", "Signature: ")
}

// TestMetadataWithoutKey: an app whose metadata says that it signs, without a key, is let in with nothing until its key
// is known.
func TestMetadataWithoutKey(t *testing.T) {
	w := newWorld(t, storetest.SQLite)
	d, err := saml.ReadMetadata([]byte(strings.ReplaceAll(sp("", `AuthnRequestsSigned="true"`, postACS), "sp.example", "keyless.example")), today)
	if err != nil {
		t.Fatal(err)
	}
	e := d.Entities[0]
	e.APIName, e.Name = "Keyless", "Keyless"
	w.add(t, e.ServiceProvider)
	signed := func() string {
		return redirectSigned(w.request("https://keyless.example").String(), "-", keyA().key)
	}
	w.local(t, w.at(w.ana()).get(redirect(w.request("https://keyless.example").String())), "InvalidSignature", "Signature: the request is not signed, and the app's metadata says AuthnRequestsSigned")
	w.local(t, w.at(w.ana()).get(signed()), "InvalidSignature", "Signature: the request is signed, and the app has no key")

	e.APIName, e.EntityID = "Keyed", "https://keyed.example"
	e.Certificates = []saml.Certificate{{DER: keyA().der, Declared: true}}
	w.add(t, e.ServiceProvider)
	w.success(t, w.at(w.ana()).get(redirectSigned(w.request("https://keyed.example").String(), "-", keyA().key)), "https://keyless.example/acs")
}

// TestOnlyUnusableKeys: the event of a signed request says that the app has certificates, and why they are no good.
func TestOnlyUnusableKeys(t *testing.T) {
	w := newWorld(t, storetest.SQLite)
	weak := newPair(must(rsa.GenerateKey(rand.Reader, 1024)), 2020, 2040)
	w.add(t, saml.ServiceProvider{APIName: "Weak", Name: "Weak", EntityID: "https://weak.example", ACS: []saml.Endpoint{acs("https://weak.example/acs", 0, "")},
		SignAssertion: true, RequireSignedRequests: true, Certificates: []saml.Certificate{{Use: saml.UseEncryption, DER: keyA().der}, {DER: weak.der}}})
	w.local(t, w.at(w.ana()).get(redirectSigned(w.request("https://weak.example").String(), "-", weak.key)), "InvalidSignature",
		"Signature: the request is signed, and none of the app's certificates for signing can be used (of the first: its key can not be used: the RSA key has 1024 bits")
	d, err := saml.ReadMetadata([]byte(strings.ReplaceAll(sp("", `AuthnRequestsSigned="true"`, key("", b64(weak.der))+postACS), "sp.example", "left.example")), today)
	if err != nil {
		t.Fatal(err)
	}
	e := d.Entities[0]
	e.APIName, e.Name = "Left", "Left"
	w.add(t, e.ServiceProvider)
	w.local(t, w.at(w.ana()).get(redirectSigned(w.request("https://left.example").String(), "-", weak.key)), "InvalidSignature",
		"Signature: the request is signed, and the app has no key to verify it with: its metadata holds none for signing that can be used")
}

// TestAggregateWithBadEntity: what is wrong with one entity keeps nobody from another.
func TestAggregateWithBadEntity(t *testing.T) {
	in := func(entities ...string) string {
		return `<md:EntitiesDescriptor xmlns:md="` + nsMD + `">` + strings.Join(entities, "") + `</md:EntitiesDescriptor>`
	}
	named := func(host, content string) string {
		return strings.ReplaceAll(sp("", "", content+postACS), "sp.example", host)
	}
	const relative = `<md:SingleLogoutService Binding="` + saml.BindingRedirect + `" Location="/slo"/>`
	good, bad := named("good.example", ""), named("bad.example", relative)
	twice := named("twice.example", "")

	d, err := saml.ReadMetadata([]byte(in(bad, twice, good, twice, named("worse.example", relative))), today)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := d.Choose("https://good.example"); err != nil || e.ACS[0].URL != "https://good.example/acs" {
		t.Errorf("the good one: %v, %v", e, err)
	}
	for id, want := range map[string]string{"https://bad.example": "SingleLogoutService of", "https://twice.example": "twice"} {
		if e, err := d.Choose(id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", id, e, err)
		}
		told := 0
		for _, r := range d.Remarks {
			if r.Entity == id && r.Code == "unusable-entity" && strings.Contains(r.Text, want) && r.Fix != "" {
				told++
			}
		}
		if told != 1 {
			t.Errorf("%s: %d remarks tell", id, told)
		}
	}
	if e, err := d.Choose(""); err == nil || !strings.Contains(err.Error(), "choose one") {
		t.Errorf("of several that are described: %v, %v", e, err)
	}
	for name, doc := range map[string]string{"the only one": in(bad), "the only one, twice": in(good, good), "no good one": in(bad, named("worse.example", relative))} {
		if _, err := saml.ReadMetadata([]byte(doc), today); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
