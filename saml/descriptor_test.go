package saml_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/saml"
)

// today is when the corpus is read.
var today = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

// expectation is what reading a file of the corpus comes to: a refusal, or entities and remarks.
type expectation struct {
	refused string // part of the sentence
	sps     int
	acs     int // of the first entity, and so on
	certs   int
	signed  bool
	formats int
	remarks string // codes, each once, in order
}

// read is the corpus as ../shared/sp-metadata/INDEX.md lists it.
var read = map[string]expectation{
	"attack/comment-in-entityid-value.xml": {sps: 1, acs: 3, certs: 2, signed: true, formats: 1, remarks: "requests-signed"},
	"attack/xxe-http.xml":                  {refused: "document type"},
	"attack/xxe-parameter.xml":             {refused: "document type"},

	"libraries/crewjam-aa-kndr.xml":               {sps: 1, acs: 1, remarks: "no-time-zone expired-metadata no-key"},
	"libraries/node-saml-signed.xml":              {sps: 1, acs: 1, certs: 1, signed: true, formats: 1, remarks: "signature-not-checked http-acs expired-certificate requests-signed"},
	"libraries/node-saml-two-signing.xml":         {sps: 1, acs: 1, certs: 3, signed: true, formats: 1, remarks: "http-acs expired-certificate sha1 requests-signed"},
	"libraries/onelogin-signed-sha256.xml":        {sps: 1, acs: 1, formats: 1, remarks: "signature-not-checked absurd-cache-duration weak-key no-usable-key"},
	"libraries/onelogin-signed.xml":               {sps: 1, acs: 1, formats: 1, remarks: "signature-not-checked sha1 absurd-cache-duration weak-key no-usable-key"},
	"libraries/pysaml2.xml":                       {sps: 1, acs: 4, formats: 2, remarks: "http-acs no-default-acs weak-key"},
	"libraries/shibboleth-sp-3.4.1-generated.xml": {sps: 1, acs: 4, certs: 1, signed: true, remarks: "requests-signed"},
	"libraries/simplesamlphp-default-sp.xml":      {sps: 1, acs: 2, certs: 2, remarks: "expired-certificate sha1"},
	"libraries/simplesamlphp-sp-ed.xml":           {sps: 1, acs: 2, remarks: "no-key"},

	"vendors/adfs-as-sp.xml":                 {sps: 1, acs: 3, certs: 3, formats: 3, remarks: "identity-provider-too expired-certificate"},
	"vendors/adfs-opensaml.xml":              {sps: 1, acs: 3, certs: 1, formats: 3, remarks: "signature-not-checked identity-provider-too weak-key expired-certificate"},
	"vendors/aws-cognito.xml":                {sps: 1, acs: 1, formats: 1, remarks: "expired-metadata no-key"},
	"vendors/eduroam-skriptenforum.xml":      {sps: 1, acs: 4, certs: 2, remarks: "expired-certificate sha1"},
	"vendors/osu-wiki.xml":                   {sps: 1, acs: 6, certs: 1, formats: 1, remarks: "no-default-acs expired-certificate sha1"},
	"vendors/shibboleth-wiki.xml":            {sps: 1, acs: 4, certs: 1, remarks: "sha1"},
	"vendors/stockholm-bad.xml":              {refused: `the namespace URI "xsi" is not an absolute URI`},
	"vendors/trustbearer.xml":                {sps: 1, acs: 1, remarks: "signature-not-checked sha1 http-acs weak-key"},
	"vendors/uu-se.xml":                      {sps: 1, acs: 8, certs: 1, remarks: "no-default-acs expired-certificate sha1"},
	"weird/aes256gcm-only.xml":               {sps: 1, certs: 1, remarks: "no-acs expired-certificate sha1"},
	"weird/attributeconsumingservice.xml":    {sps: 3, remarks: "no-acs no-key several-service-providers"},
	"weird/bad-addresses.xml":                {sps: 2, acs: 4, remarks: "no-key several-service-providers"},
	"weird/broken-base64-ext.xml":            {sps: 2, acs: 4, remarks: "no-key several-service-providers"},
	"weird/dsa-keyname-keyvalue.xml":         {sps: 1, remarks: "other-protocol no-acs weak-key"},
	"weird/ecdsa-keys.xml":                   {sps: 1, acs: 3, certs: 2, signed: true, formats: 1, remarks: "ec-encryption requests-signed"},
	"weird/empty-reference.xml":              {sps: 1, acs: 4, certs: 1, formats: 2, remarks: "signature-not-checked expired-metadata expired-certificate sha1"},
	"weird/entities-two-sps.xml":             {sps: 2, acs: 1, remarks: "weak-key several-service-providers"},
	"weird/expired-opensaml.xml":             {sps: 1, acs: 4, certs: 1, remarks: "expired-metadata sha1"},
	"weird/http-acs.xml":                     {sps: 1, acs: 3, certs: 2, signed: true, formats: 1, remarks: "http-acs requests-signed"},
	"weird/leading-newline.xml":              {sps: 1, acs: 3, certs: 2, signed: true, formats: 1, remarks: "requests-signed"},
	"weird/mellon-docs.xml":                  {refused: "< stands inside the tag <EntityDescriptor>"},
	"weird/metadata-authnrequestssigned.xml": {sps: 2, acs: 1, signed: true, remarks: "no-key no-usable-key several-service-providers"},
	"weird/no-entity.xml":                    {refused: "the root element is EntityDescriptor2"},
	"weird/no-expiration.xml":                {sps: 1, acs: 1, formats: 1, remarks: "http-acs no-key"},
	"weird/ns-default-entities.xml":          {sps: 2, acs: 1, remarks: "no-key several-service-providers"},
	"weird/oaep-only.xml":                    {sps: 1, certs: 1, remarks: "no-acs expired-certificate sha1"},
	"weird/polis-invalid-sso.xml":            {sps: 1, acs: 1, formats: 1, remarks: "key-without-certificate"},
	"weird/samlify.xml":                      {refused: "EntityDescriptor is in no namespace"},
	"weird/signed-expired.xml":               {sps: 1, acs: 1, formats: 1, remarks: "signature-not-checked sha1 expired-metadata absurd-cache-duration weak-key no-usable-key"},
	"weird/sp-in-idp-slot.xml":               {sps: 1, acs: 1, remarks: "expired-metadata unreadable-certificate no-usable-key"},
	"weird/sp-vhosts.xml":                    {refused: "the root element is SPSSODescriptor"},
	"weird/unicode-entityid.xml":             {sps: 1, acs: 3, certs: 2, signed: true, formats: 1, remarks: "requests-signed"},
	"weird/url-scheme-acs.xml":               {refused: `"javascript:alert(true)" is neither https nor http`},
}

// TestCorpus reads every file of the corpus, and knows of every one what it comes to.
func TestCorpus(t *testing.T) {
	dir := corpus(t)
	var files []string
	for _, folder := range []string{"attack", "libraries", "vendors", "weird"} {
		found, err := filepath.Glob(filepath.Join(dir, folder, "*.xml"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < len(read) {
		t.Errorf("the corpus has %d files, %d are known", len(files), len(read))
	}
	for _, file := range files {
		name, err := filepath.Rel(dir, file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			want, known := read[filepath.ToSlash(name)]
			if !known {
				t.Fatal("nobody said what this file comes to")
			}
			began := time.Now()
			d, err := saml.ReadMetadata(must(os.ReadFile(file)), today)
			if took := time.Since(began); took > time.Second {
				t.Errorf("it took %v", took)
			}
			if want.refused != "" {
				if err == nil || !strings.Contains(err.Error(), want.refused) || strings.Contains(err.Error(), "\n") {
					t.Fatalf("want a sentence with %q, got %v", want.refused, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			first := d.Entities[0]
			got := expectation{
				sps: len(d.Entities), acs: len(first.ACS), certs: len(first.Certificates), signed: first.AuthnRequestsSigned,
				formats: len(first.NameIDFormats), remarks: codes(d),
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(expectation{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			for _, r := range d.Remarks {
				if r.Text == "" || r.Fix == "" || strings.Contains(r.Text, "\n") {
					t.Errorf("the remark %+v says nothing", r)
				}
			}
			if !first.SignAssertion || !first.SignResponse || !first.FromMetadata {
				t.Error("the defaults are not filled in")
			}
		})
	}
}

func codes(d *saml.Descriptor) string {
	var all []string
	for _, r := range d.Remarks {
		if !slices.Contains(all, r.Code) {
			all = append(all, r.Code)
		}
	}
	return strings.Join(all, " ")
}

// TestCorpusValues looks at what some files of the corpus are there for.
func TestCorpusValues(t *testing.T) {
	dir := corpus(t)
	load := func(name string) *saml.Descriptor {
		d, err := saml.ReadMetadata(must(os.ReadFile(filepath.Join(dir, name))), today)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if got := load("attack/comment-in-entityid-value.xml").Entities[0].NameIDFormats; !slices.Equal(got, []string{saml.FormatTransient}) {
		t.Errorf("a comment inside a text: %q", got)
	}
	if got := load("weird/unicode-entityid.xml").Entities[0].EntityID; got != "https://sp.exämple.example/ünïcode?x=1&y=2" {
		t.Errorf("entityID %q", got)
	}
	d := load("weird/metadata-authnrequestssigned.xml")
	for id, signed := range map[string]bool{"urn:test:issuer:required": true, "urn:test:issuer:notrequired": false} {
		e, err := d.Choose(id)
		if err != nil || e.AuthnRequestsSigned != signed {
			t.Errorf("%s: %v, %v", id, e, err)
		}
	}
	if _, err := d.Choose(""); err == nil || !strings.Contains(err.Error(), "urn:test:issuer:required, urn:test:issuer:notrequired") {
		t.Errorf("choosing none of two: %v", err)
	}
	if _, err := d.Choose("urn:x"); err == nil {
		t.Error("chose what is not there")
	}
	if got := load("vendors/osu-wiki.xml").Entities[0].Title; got != "CarmenWiki" {
		t.Errorf("title %q", got)
	}
	dsa := strings.ReplaceAll(string(must(os.ReadFile(filepath.Join(dir, "weird/dsa-keyname-keyvalue.xml")))), "IDPSSODescriptor", "SPSSODescriptor")
	if d, err := saml.ReadMetadata([]byte(dsa), today); err != nil || !slices.ContainsFunc(d.Remarks, func(r saml.Remark) bool {
		return r.Code == "unsupported-key" && strings.Contains(r.Text, "DSA")
	}) {
		t.Errorf("a DSA key: %v, %v", err, d)
	}
	want := []saml.Endpoint{
		{URL: "https://wiki.shibboleth.net/confluence/Shibboleth.sso/SAML2/POST", Binding: saml.BindingPOST, Index: 5},
	}
	var got []saml.Endpoint
	for _, e := range load("vendors/shibboleth-wiki.xml").Entities[0].ACS {
		if e.Binding == saml.BindingPOST {
			got = append(got, e)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

const (
	postACS = `<md:AssertionConsumerService Binding="` + saml.BindingPOST + `" Location="https://sp.example/acs" index="0" isDefault="true"/>`
	nsMD    = "urn:oasis:names:tc:SAML:2.0:metadata"
)

// sp writes metadata of one service provider.
func sp(entityAttrs, roleAttrs, content string) string {
	return `<md:EntityDescriptor xmlns:md="` + nsMD + `" xmlns:ds="` + nsDS + `" entityID="https://sp.example" ` + entityAttrs +
		`><md:SPSSODescriptor protocolSupportEnumeration="` + nsP + `" ` + roleAttrs + `>` + content + `</md:SPSSODescriptor></md:EntityDescriptor>`
}

func key(use, cert string) string {
	if use != "" {
		use = ` use="` + use + `"`
	}
	return `<md:KeyDescriptor` + use + `><ds:KeyInfo><ds:X509Data><ds:X509Certificate>` + cert + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`
}

func at(location string) string {
	return `<md:AssertionConsumerService Binding="` + saml.BindingPOST + `" Location="` + esc(location) + `" index="0"/>`
}

// TestMetadataRefused: SAML-MD-01 to -04, -06.
func TestMetadataRefused(t *testing.T) {
	good := sp("", "", postACS)
	for name, c := range map[string]struct{ doc, sentence string }{
		"SAML-MD-01 DTD":                           {`<!DOCTYPE a [<!ENTITY x "y">]>` + good, "document type"},
		"SAML-MD-01 50 MiB":                        {good + strings.Repeat(" ", 50<<20), "at most"},
		"SAML-MD-01 1 MiB of one entity":           {good + strings.Repeat(" ", 1<<20), "the metadata of one entity"},
		"SAML-MD-01 100 000 deep":                  {strings.Repeat("<a>", 100_000), "at most"},
		"SAML-MD-02 two of one ID":                 {`<md:EntitiesDescriptor xmlns:md="` + nsMD + `">` + good + good + `</md:EntitiesDescriptor>`, `the entity "https://sp.example" twice`},
		"SAML-MD-02 nested, two of one ID":         {`<md:EntitiesDescriptor xmlns:md="` + nsMD + `"><md:EntitiesDescriptor>` + good + `</md:EntitiesDescriptor>` + good + `</md:EntitiesDescriptor>`, "twice"},
		"SAML-MD-02 two of one ID but for a space": {`<md:EntitiesDescriptor xmlns:md="` + nsMD + `">` + good + strings.Replace(good, `"https://sp.example"`, `"https://sp.example "`, 1) + `</md:EntitiesDescriptor>`, `the entity "https://sp.example" twice`},
		"entityID of spaces":                       {strings.Replace(good, `"https://sp.example"`, `"  "`, 1), "entityID of 0 bytes"},
		"SAML-MD-03 javascript":                    {sp("", "", at("javascript:alert(1)")), "neither https nor http"},
		"SAML-MD-03 JaVaScRiPt":                    {sp("", "", at("JaVaScRiPt:alert(1)")), "neither https nor http"},
		"SAML-MD-03 tab within":                    {strings.Replace(sp("", "", at("java~script:alert(1)")), "~", "&#9;", 1), "no URL may have"},
		"SAML-MD-03 space before":                  {sp("", "", at(" javascript:alert(1)")), "neither https nor http"},
		"SAML-MD-03 data":                          {sp("", "", at("data:text/html,<script>")), "no URL may have"},
		"SAML-MD-03 data, plain":                   {sp("", "", at("data:text/html,x")), "neither https nor http"},
		"SAML-MD-03 file":                          {sp("", "", at("file:///etc/passwd")), "neither https nor http"},
		"SAML-MD-03 relative":                      {sp("", "", at("/acs")), "neither https nor http"},
		"SAML-MD-03 without a scheme":              {sp("", "", at("//sp.example/acs")), "neither https nor http"},
		"SAML-MD-03 user":                          {sp("", "", at("https://u:p@sp.example/acs")), "user name"},
		"SAML-MD-03 fragment":                      {sp("", "", at("https://sp.example/acs#x")), "fragment"},
		"SAML-MD-03 empty fragment":                {sp("", "", at("https://sp.example/acs#")), "fragment"},
		"SAML-MD-03 no host":                       {sp("", "", at("https:///acs")), "names no host"},
		"SAML-MD-03 opaque":                        {sp("", "", at("https:sp.example")), "names no host"},
		"SAML-MD-03 backslash":                     {sp("", "", at(`https:\\sp.example`)), "no URL may have"},
		"SAML-MD-03 empty":                         {sp("", "", at("")), "empty"},
		"SAML-MD-03 5 kB":                          {sp("", "", at("https://sp.example/"+strings.Repeat("x", 5000))), "more than"},
		"SAML-MD-03 unknown binding, javascript":   {sp("", "", strings.Replace(at("javascript:x"), saml.BindingPOST, "urn:x", 1)), "neither https nor http"},
		"SAML-MD-03 logout":                        {sp("", "", `<md:SingleLogoutService Binding="`+saml.BindingRedirect+`" Location="javascript:x"/>`+postACS), "SingleLogoutService"},
		"SAML-MD-03 ResponseLocation":              {sp("", "", `<md:SingleLogoutService Binding="`+saml.BindingRedirect+`" Location="https://sp.example/" ResponseLocation="javascript:x"/>`+postACS), "SingleLogoutService"},
		"no entityID":                              {strings.Replace(good, `entityID="https://sp.example"`, "", 1), "entityID of 0 bytes"},
		"empty entityID":                           {strings.Replace(good, `"https://sp.example"`, `""`, 1), "entityID of 0 bytes"},
		"empty file":                               {"", "empty"},
		"a page":                                   {"<html><body>Sign in</body></html>", "the root element html"},
		"no entity":                                {`<md:EntitiesDescriptor xmlns:md="` + nsMD + `"/>`, "no entity"},
		"an identity provider":                     {`<md:EntityDescriptor xmlns:md="` + nsMD + `" entityID="x"><md:IDPSSODescriptor/></md:EntityDescriptor>`, "no service provider"},
		"another namespace":                        {strings.ReplaceAll(good, nsMD, "urn:x"), "namespace urn:x"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := saml.ReadMetadata([]byte(c.doc), today)
			if err == nil || !strings.Contains(err.Error(), c.sentence) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 500 {
				t.Errorf("want a sentence with %q, got %v", c.sentence, err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestRemarks: each remark, and what is made of what it is about.
func TestRemarks(t *testing.T) {
	rsa := b64(keyA().der)
	for name, c := range map[string]struct {
		doc, remarks string
		check        func(e saml.Entity) bool
	}{
		"nothing to remark":                       {sp("", "", key("", rsa)+postACS), "", nil},
		"SAML-MD-04 validUntil past":              {sp(`validUntil="2020-01-01T00:00:00Z"`, "", key("", rsa)+postACS), "expired-metadata", nil},
		"SAML-MD-04 validUntil past, of the role": {sp("", `validUntil="2020-01-01T00:00:00Z"`, key("", rsa)+postACS), "expired-metadata", nil},
		"validUntil with an offset":               {sp(`validUntil="2030-01-01T00:00:00+01:00"`, "", key("", rsa)+postACS), "", nil},
		"validUntil without zone":                 {sp(`validUntil="2030-01-01T00:00:00.5"`, "", key("", rsa)+postACS), "no-time-zone", nil},
		"validUntil that is none":                 {sp(`validUntil="soon"`, "", key("", rsa)+postACS), "bad-valid-until", nil},
		"SAML-MD-04 P100Y":                        {sp(`cacheDuration="P100Y"`, "", key("", rsa)+postACS), "absurd-cache-duration", nil},
		"SAML-MD-04 -P1D":                         {sp(`cacheDuration="-P1D"`, "", key("", rsa)+postACS), "absurd-cache-duration", nil},
		"SAML-MD-04 P1Y2M3DT4H5M6.7S":             {sp(`cacheDuration="P1Y2M3DT4H5M6.7S"`, "", key("", rsa)+postACS), "absurd-cache-duration", nil},
		"SAML-MD-04 overflow":                     {sp(`cacheDuration="PT`+strings.Repeat("9", 400)+`S"`, "", key("", rsa)+postACS), "absurd-cache-duration", nil},
		"PT1H of the role":                        {sp("", `cacheDuration="PT1H"`, key("", rsa)+postACS), "", nil},
		"P1DT12H30M1.5S":                          {sp(`cacheDuration="P1DT12H30M1.5S"`, "", key("", rsa)+postACS), "", nil},
		"cacheDuration that is none":              {sp(`cacheDuration="1h"`, "", key("", rsa)+postACS), "bad-cache-duration", nil},
		"cacheDuration out of order":              {sp(`cacheDuration="PT1S1H"`, "", key("", rsa)+postACS), "bad-cache-duration", nil},
		"cacheDuration with two points":           {sp(`cacheDuration="PT1.2.3S"`, "", key("", rsa)+postACS), "bad-cache-duration", nil},
		"cacheDuration that ends in T":            {sp(`cacheDuration="P1DT"`, "", key("", rsa)+postACS), "bad-cache-duration", nil},
		"SAML-MD-05 no use": {sp("", `AuthnRequestsSigned="true"`, key("", rsa)+postACS), "requests-signed", func(e saml.Entity) bool {
			return len(e.Certificates) == 1 && e.Certificates[0].Use == "" && e.AuthnRequestsSigned
		}},
		"AuthnRequestsSigned TRUE":                       {sp("", `AuthnRequestsSigned=" TRUE "`, key("signing", rsa)+postACS), "requests-signed", func(e saml.Entity) bool { return e.AuthnRequestsSigned }},
		"only a key for encryption, AuthnRequestsSigned": {sp("", `AuthnRequestsSigned="1"`, key("encryption", rsa)+postACS), "no-usable-key", func(e saml.Entity) bool { return e.AuthnRequestsSigned }},
		"SAML-MD-06 P-256":                               {sp("", "", key("signing", b64(keyEC().der))+postACS), "", func(e saml.Entity) bool { return len(e.Certificates) == 1 }},
		"SAML-MD-06 P-224":                               {sp("", "", key("signing", b64(newPair(must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)), 2020, 2040).der))+postACS), "unsupported-key", func(e saml.Entity) bool { return len(e.Certificates) == 0 }},
		"SAML-MD-06 unreadable, AuthnRequestsSigned":     {sp("", `AuthnRequestsSigned="true"`, key("signing", "AAAA")+postACS), "unreadable-certificate no-usable-key", func(e saml.Entity) bool { return !e.AuthnRequestsSigned }},
		"SAML-MD-06 unreadable beside a good one":        {sp("", `AuthnRequestsSigned="true"`, key("signing", "AAAA")+key("signing", rsa)+postACS), "unreadable-certificate requests-signed", func(e saml.Entity) bool { return len(e.Certificates) == 1 && e.AuthnRequestsSigned }},
		"SAML-MD-06 empty":                               {sp("", "", key("signing", " ")+postACS), "unreadable-certificate", nil},
		"SAML-MD-06 not base64":                          {sp("", "", key("signing", "§")+postACS), "unreadable-certificate", nil},
		"SAML-MD-06 1 000 keys":                          {sp("", "", strings.Repeat(key("signing", rsa), 1000)+postACS), "too-many-keys", func(e saml.Entity) bool { return len(e.Certificates) == 1 }},
		"no KeyInfo":                                     {sp("", "", `<md:KeyDescriptor use="signing"/>`+postACS), "key-without-certificate", nil},
		"KeyInfo without X509":                           {sp("", "", `<md:KeyDescriptor><ds:KeyInfo><ds:KeyName>x</ds:KeyName></ds:KeyInfo></md:KeyDescriptor>`+postACS), "key-without-certificate", nil},
		"use that is unknown":                            {sp("", "", key("both", rsa)+postACS), "unknown-key-use", nil},
		"PEM in the element":                             {sp("", "", key("signing", "\n-----BEGIN CERTIFICATE-----\n"+rsa+"\n-----END CERTIFICATE-----\n")+postACS), "", func(e saml.Entity) bool { return len(e.Certificates) == 1 }},
		"expired certificate":                            {sp("", "", key("", b64(keyExpired().der))+postACS), "expired-certificate", func(e saml.Entity) bool { return len(e.Certificates) == 1 }},
		"certificate of the future":                      {sp("", "", key("", b64(keyFuture().der))+postACS), "future-certificate", func(e saml.Entity) bool { return len(e.Certificates) == 1 }},
		"SAML-MD-03 unknown binding":                     {sp("", "", key("", rsa)+strings.Replace(at("https://sp.example/x"), saml.BindingPOST, "urn:x", 1)+postACS), "unknown-binding", func(e saml.Entity) bool { return len(e.ACS) == 1 }},
		"plain http":                                     {sp("", "", key("", rsa)+at("http://sp.example/acs")), "http-acs", nil},
		"plain http on this machine":                     {sp("", "", key("", rsa)+at("http://localhost:8000/acs")), "", nil},
		"plain http on 127.0.0.2":                        {sp("", "", key("", rsa)+at("http://127.0.0.2/acs")), "", nil},
		"plain http on ::1":                              {sp("", "", key("", rsa)+at("http://[::1]/acs")), "", nil},
		"plain http on an address in the network":        {sp("", "", key("", rsa)+at("http://192.168.1.2/acs")), "http-acs", nil},
		"plain http on localhost.evil.example":           {sp("", "", key("", rsa)+at("http://localhost.evil.example/acs")), "http-acs", nil},
		"space around an address":                        {sp("", "", key("", rsa)+at(" https://sp.example/acs\n")), "space-in-address", func(e saml.Entity) bool { return e.ACS[0].URL == "https://sp.example/acs" }},
		"space around the entityID":                      {strings.Replace(sp("", "", key("", rsa)+postACS), `entityID="https`, `entityID=" &#10;https`, 1), "space-in-entityid", func(e saml.Entity) bool { return e.EntityID == "https://sp.example" }},
		"index that is none":                             {sp("", "", key("", rsa)+strings.Replace(postACS, `index="0"`, `index="x"`, 1)), "bad-index", func(e saml.Entity) bool { return e.ACS[0].Index == -1 }},
		"no index":                                       {sp("", "", key("", rsa)+strings.Replace(postACS, `index="0"`, "", 1)), "", func(e saml.Entity) bool { return e.ACS[0].Index == -1 }},
		"isDefault that is none":                         {sp("", "", key("", rsa)+strings.Replace(postACS, `isDefault="true"`, `isDefault="yes"`, 1)), "bad-default", func(e saml.Entity) bool { return e.ACS[0].Default == "" }},
		"isDefault 1":                                    {sp("", "", key("", rsa)+strings.Replace(postACS, `isDefault="true"`, `isDefault="1"`, 1)), "", func(e saml.Entity) bool { return e.ACS[0].Default == "true" }},
		"one index twice":                                {sp("", "", key("", rsa)+postACS+at("https://sp.example/2")), "double-index", nil},
		"two defaults":                                   {sp("", "", key("", rsa)+postACS+strings.Replace(strings.Replace(postACS, "acs", "2", 1), `"0"`, `"1"`, 1)), "several-defaults", nil},
		"no default of two":                              {sp("", "", key("", rsa)+at("https://sp.example/1")+strings.Replace(at("https://sp.example/2"), `"0"`, `"1"`, 1)), "no-default-acs", nil},
		"SHA-1 only":                                     {sp("", "", `<md:Extensions><a:SigningMethod xmlns:a="urn:oasis:names:tc:SAML:metadata:algsupport" Algorithm="http://www.w3.org/2000/09/xmldsig#rsa-sha1"/></md:Extensions>`+key("", rsa)+postACS), "sha1", nil},
		"no protocol":                                    {strings.Replace(sp("", "", key("", rsa)+postACS), `protocolSupportEnumeration="`+nsP+`"`, "", 1), "", nil},
		"another protocol":                               {strings.Replace(sp("", "", key("", rsa)+postACS), nsP, "urn:x", 1), "other-protocol", nil},
		"SAML-MD-10 DisplayName": {sp("", "", `<md:Extensions><u:UIInfo xmlns:u="urn:oasis:names:tc:SAML:metadata:ui"><u:DisplayName xml:lang="de">x</u:DisplayName><u:DisplayName xml:lang="en">`+
			"\u202e&lt;b&gt;App\n one"+strings.Repeat("x", 10_000)+`</u:DisplayName></u:UIInfo></md:Extensions>`+key("", rsa)+postACS), "", func(e saml.Entity) bool {
			return strings.HasPrefix(e.Title, "<b>App one") && len([]rune(e.Title)) == 120
		}},
		"name formats": {sp("", "", key("", rsa)+"<md:NameIDFormat>\n "+saml.FormatEmail+" </md:NameIDFormat><md:NameIDFormat>"+saml.FormatEmail+"</md:NameIDFormat><md:NameIDFormat/>"+postACS), "", func(e saml.Entity) bool {
			return slices.Equal(e.NameIDFormats, []string{saml.FormatEmail})
		}},
		"logout": {sp("", "", key("", rsa)+`<md:SingleLogoutService Binding="`+saml.BindingRedirect+`" Location="https://sp.example/slo" ResponseLocation="https://sp.example/slo2"/>`+postACS), "", func(e saml.Entity) bool {
			return cmp.Equal(e.SLO, []saml.Endpoint{{URL: "https://sp.example/slo", Response: "https://sp.example/slo2", Binding: saml.BindingRedirect, Index: -1}})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := saml.ReadMetadata([]byte(c.doc), today)
			if err != nil {
				t.Fatal(err)
			}
			if got := codes(d); got != c.remarks {
				t.Errorf("the remarks are %q, want %q", got, c.remarks)
			}
			if c.check != nil && !c.check(d.Entities[0]) {
				t.Errorf("read %+v", d.Entities[0])
			}
		})
	}
}

// TestAggregate: SAML-MD-02. 10 000 entities are read, and one is chosen.
func TestAggregate(t *testing.T) {
	var b strings.Builder
	b.WriteString(`<md:EntitiesDescriptor xmlns:md="` + nsMD + `" xmlns:ds="` + nsDS + `"><md:EntitiesDescriptor>`)
	for i := range 10_000 {
		fmt.Fprintf(&b, `<md:EntityDescriptor entityID="https://sp%d.example"><md:SPSSODescriptor protocolSupportEnumeration="%s">%s</md:SPSSODescriptor></md:EntityDescriptor>`, i, nsP, at(fmt.Sprintf("https://sp%d.example/acs", i)))
	}
	b.WriteString(`</md:EntitiesDescriptor></md:EntitiesDescriptor>`)
	d, err := saml.ReadMetadata([]byte(b.String()), today)
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.Choose("https://sp7777.example")
	if err != nil || len(d.Entities) != 10_000 || e.ACS[0].URL != "https://sp7777.example/acs" {
		t.Errorf("%d entities, %v", len(d.Entities), err)
	}
}

// TestDescriptorJSON: the names that `lanyard metadata lint` prints (SURFACE.md §1).
func TestDescriptorJSON(t *testing.T) {
	d, err := saml.ReadMetadata([]byte(sp("", "", key("", b64(keyExpired().der))+postACS)), today)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Entities []struct {
			EntityID     string           `json:"entityID"`
			ACS          []map[string]any `json:"acs"`
			Certificates []map[string]any `json:"certificates"`
		} `json:"entities"`
		Remarks []struct{ Code, Text, Fix string } `json:"remarks"`
	}
	if err := json.Unmarshal(must(json.Marshal(d)), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Entities) != 1 || got.Entities[0].EntityID != "https://sp.example" || got.Entities[0].ACS[0]["url"] != "https://sp.example/acs" ||
		len(got.Entities[0].Certificates) != 1 || got.Remarks[0].Code != "expired-certificate" || got.Remarks[0].Text == "" || got.Remarks[0].Fix == "" {
		t.Errorf("%s", must(json.Marshal(d)))
	}
}
