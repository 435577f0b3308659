package apps_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/mux"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/apps"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
)

// benefits is an app with everything, and nothing wrong.
func benefits() (*idp.App, *idp.Installation) {
	a := &idp.App{
		Org: "o1", Name: "Your Benefits", APIName: "Your_Benefits", ContactEmail: "hr-apps@example.com", StartURL: "https://benefits.example.com/",
		InfoURL: "https://intranet.example.com/benefits", RunsOn: "saas",
		SAML: &saml.ServiceProvider{
			EntityID: "https://benefits.example.com/saml", SignAssertion: true,
			ACS: []saml.Endpoint{
				{URL: "https://benefits.example.com/acs", Binding: saml.BindingPOST, Index: 0},
				{URL: "http://localhost:8080/acs", Binding: saml.BindingPOST, Index: 1},
			},
			NameIDFormat: saml.FormatEmail,
		},
		Release: idp.Release{NameID: "email", Attributes: []idp.Attribute{
			{Name: "department", Source: "attributes.department"},
			{Name: "roles", Source: "groups", Filter: "^app-", Rename: map[string]string{"app-hr": "HR"}, Join: ";"},
			{Name: "tenant", Constant: "acme"},
		}},
		OAuth: apps.NewClient("web"),
	}
	o := a.OAuth
	o.ID, o.AuthorizationCode, o.Refresh, o.ClientCredentials = "benefits", true, true, true
	o.RedirectURIs = []string{"https://benefits.example.com/callback", "http://127.0.0.1:8080/callback"}
	o.PostLogoutRedirectURIs = []string{"https://benefits.example.com/bye"}
	o.Scopes, o.DefaultScopes = []string{"openid", "email", "refresh_token", "orders"}, []string{"openid"}
	o.Mould = &oidc.Mould{Limit: 100, Grants: []string{oidc.GrantClientCredentials}, Scopes: []string{"orders"}, RunAs: "auto", Permit: "everyone"}
	return a, &idp.Installation{PermittedUsers: idp.AdminApproved, Groups: []string{"g1"}, Users: []idp.Permitted{{User: "u1"}}}
}

func TestCheck(t *testing.T) {
	type change func(*idp.App, *idp.Installation)
	for _, c := range []struct {
		name   string
		change change
		want   []string // paths of the faults, in order
		text   string   // in one of them
	}{
		{"MAN-1 everything right", func(*idp.App, *idp.Installation) {}, nil, ""},
		{"a bookmark", func(a *idp.App, _ *idp.Installation) { a.SAML, a.OAuth, a.Release = nil, nil, idp.Release{} }, nil, ""},
		{"no name", func(a *idp.App, _ *idp.Installation) { a.Name = " " }, []string{"name"}, "needs a name"},
		{"control character in the name", func(a *idp.App, _ *idp.Installation) { a.Name = "a\u0085b" }, []string{"name"}, ""},
		{"name of a book's length", func(a *idp.App, _ *idp.Installation) { a.Name = strings.Repeat("a", 201) }, []string{"name"}, ""},
		{"API name with a space", func(a *idp.App, _ *idp.Installation) { a.APIName = "Your Benefits" }, []string{"apiName"}, "single underscores"},
		{"API name with two underscores", func(a *idp.App, _ *idp.Installation) { a.APIName = "Your__Benefits" }, []string{"apiName"}, ""},
		{"API name beginning with a digit", func(a *idp.App, _ *idp.Installation) { a.APIName = "1st" }, []string{"apiName"}, ""},
		{"API name ending with an underscore", func(a *idp.App, _ *idp.Installation) { a.APIName = "a_" }, []string{"apiName"}, ""},
		{"contact", func(a *idp.App, _ *idp.Installation) { a.ContactEmail = "hr-apps" }, []string{"contactEmail"}, "hr-apps@example.com"},
		{"no contact", func(a *idp.App, _ *idp.Installation) { a.ContactEmail = "" }, nil, ""},
		{"start at a script", func(a *idp.App, _ *idp.Installation) { a.StartURL = "javascript:alert(1)" }, []string{"startURL"}, ""},
		{"info at no host", func(a *idp.App, _ *idp.Installation) { a.InfoURL = "https:///x" }, []string{"infoURL"}, ""},
		{"runs on the moon", func(a *idp.App, _ *idp.Installation) { a.RunsOn = "moon" }, []string{"runsOn"}, "there is saas, server, native, device, gateway"},

		{"no entity ID", func(a *idp.App, _ *idp.Installation) { a.SAML.EntityID = "" }, []string{"saml.entityID"}, ""},
		{"entity ID with a space", func(a *idp.App, _ *idp.Installation) { a.SAML.EntityID = "a b" }, []string{"saml.entityID"}, ""},
		{"entity ID too long", func(a *idp.App, _ *idp.Installation) { a.SAML.EntityID = strings.Repeat("a", 1025) }, []string{"saml.entityID"}, ""},
		{"no ACS", func(a *idp.App, _ *idp.Installation) { a.SAML.ACS = nil }, []string{"saml.acs"}, ""},
		{"no ACS for POST", func(a *idp.App, _ *idp.Installation) {
			a.SAML.ACS = a.SAML.ACS[:1]
			a.SAML.ACS[0].Binding = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Artifact"
		}, []string{"saml.acs"}, "HTTP-POST"},
		{"ACS over plain http", func(a *idp.App, _ *idp.Installation) { a.SAML.ACS[1].URL = "http://benefits.example.com/acs" }, []string{"saml.acs[1].url"}, "saml.allowHTTP"},
		{"ACS over plain http, allowed", func(a *idp.App, _ *idp.Installation) {
			a.SAML.ACS[1].URL, a.SAML.AllowHTTP = "http://benefits.example.com/acs", true
		}, nil, ""},
		{"one of the metadata's ACS over plain http", func(a *idp.App, _ *idp.Installation) {
			a.SAML.ACS[1].URL, a.SAML.FromMetadata = "http://benefits.example.com/acs", true
		}, nil, ""},
		{"all of the metadata's ACS over plain http", func(a *idp.App, _ *idp.Installation) {
			a.SAML.ACS, a.SAML.FromMetadata = []saml.Endpoint{{URL: "http://benefits.example.com/acs", Binding: saml.BindingPOST}}, true
		}, nil, ""},
		{"101 ACS", func(a *idp.App, _ *idp.Installation) { a.SAML.ACS = manyACS(101) }, []string{"saml.acs"}, "more than 100"},
		{"1000 ACS of metadata", func(a *idp.App, _ *idp.Installation) { a.SAML.ACS, a.SAML.FromMetadata = manyACS(1000), true }, nil, ""},
		{"1001 ACS of metadata", func(a *idp.App, _ *idp.Installation) { a.SAML.ACS, a.SAML.FromMetadata = manyACS(1001), true }, []string{"saml.acs"}, "more than 1000"},
		{"ACS with a fragment", func(a *idp.App, _ *idp.Installation) { a.SAML.ACS[0].URL += "#x" }, []string{"saml.acs[0].url"}, "fragment"},
		{"two ACS of one index", func(a *idp.App, _ *idp.Installation) { a.SAML.ACS[1].Index = 0 }, []string{"saml.acs[1].index"}, ""},
		{"two ACS without an index", func(a *idp.App, _ *idp.Installation) { a.SAML.ACS[0].Index, a.SAML.ACS[1].Index = -1, -1 }, nil, ""},
		{"binding", func(a *idp.App, _ *idp.Installation) { a.SAML.ACS[0].Binding = "POST" }, []string{"saml.acs[0].binding"}, ""},
		{"certificate", func(a *idp.App, _ *idp.Installation) { a.SAML.Certificates = []saml.Certificate{{DER: []byte("x")}} }, []string{"saml.certificates[0]"}, ""},
		{"SAML-MD-06 certificate with a key of 1024 bit", func(a *idp.App, _ *idp.Installation) {
			a.SAML.Certificates = []saml.Certificate{{DER: certificateOf(2048)}, {DER: certificateOf(1024)}}
			a.SAML.RequireSignedRequests = true
		}, []string{"saml.certificates[1]"}, "1024 bits, at least 2048"},
		{"SAML-MD-06 weak certificate beside metadata", func(a *idp.App, _ *idp.Installation) {
			a.SAML.Certificates = []saml.Certificate{{DER: certificateOf(2048)}, {DER: certificateOf(1024), Declared: true}}
			a.SAML.FromMetadata = true
		}, []string{"saml.certificates[0]"}, "1024 bits, at least 2048"},
		{"SAML-MD-06 DSA certificate", func(a *idp.App, _ *idp.Installation) {
			a.SAML.Certificates = []saml.Certificate{{DER: dsaCertificate()}}
		}, []string{"saml.certificates[0]"}, "DSA"},
		{"signed requests without a certificate", func(a *idp.App, _ *idp.Installation) { a.SAML.RequireSignedRequests = true }, []string{"saml.requireSignedRequests"}, ""},
		{"metadata says that requests are signed, without a certificate", func(a *idp.App, _ *idp.Installation) {
			a.SAML.AuthnRequestsSigned, a.SAML.FromMetadata = true, true
		}, nil, ""},
		{"unsigned", func(a *idp.App, _ *idp.Installation) { a.SAML.SignAssertion = false }, []string{"saml.sign"}, ""},
		{"NameID from nowhere", func(a *idp.App, _ *idp.Installation) { a.Release.NameID = "mail" }, []string{"saml.nameID.source"}, "attributes.NAME"},
		{"NameID from groups", func(a *idp.App, _ *idp.Installation) { a.Release.NameID = "groups" }, []string{"saml.nameID.source"}, "several values"},
		{"transient NameID from email", func(a *idp.App, _ *idp.Installation) { a.SAML.NameIDFormat = saml.FormatTransient }, []string{"saml.nameID.source"}, ""},
		{"NameID of an unknown format", func(a *idp.App, _ *idp.Installation) { a.SAML.NameIDFormat = "mail" }, []string{"saml.nameID.format"}, ""},
		{"NameID of another format without a source", func(a *idp.App, _ *idp.Installation) {
			a.SAML.NameIDFormat, a.Release.NameID = "urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName", ""
		}, []string{"saml.nameID.format"}, "saml.nameID.source"},
		{"NameID of another format with a source", func(a *idp.App, _ *idp.Installation) {
			a.SAML.NameIDFormat = "urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName"
		}, nil, ""},
		{"no NameID", func(a *idp.App, _ *idp.Installation) { a.SAML.NameIDFormat = saml.FormatNone }, nil, ""},
		{"force without a format", func(a *idp.App, _ *idp.Installation) { a.SAML.NameIDFormat, a.SAML.ForceNameIDFormat = "", true }, []string{"saml.nameID.force"}, ""},
		{"context", func(a *idp.App, _ *idp.Installation) { a.SAML.AuthnContext = "loose" }, []string{"saml.authnContext"}, ""},
		{"context always", func(a *idp.App, _ *idp.Installation) { a.SAML.AuthnContext = saml.ClassPassword }, nil, ""},
		{"RelayState", func(a *idp.App, _ *idp.Installation) { a.SAML.RelayState = "a\nb" }, []string{"saml.relayState"}, ""},
		{"validity", func(a *idp.App, _ *idp.Installation) { a.SAML.Validity = 2 * time.Hour }, []string{"saml.validity"}, "between 1m and 1h"},
		{"skew", func(a *idp.App, _ *idp.Installation) { a.SAML.Skew = -1 }, []string{"saml.skew"}, ""},
		{"attribute without a name", func(a *idp.App, _ *idp.Installation) { a.Release.Attributes[0].Name = "" }, []string{"saml.attributes[0].name"}, ""},
		{"attribute twice", func(a *idp.App, _ *idp.Installation) { a.Release.Attributes[1].Name = "department" }, []string{"saml.attributes[1].name"}, ""},
		{"attribute from nowhere", func(a *idp.App, _ *idp.Installation) { a.Release.Attributes[0].Source = "password" }, []string{"saml.attributes[0].source"}, ""},
		{"attribute with neither", func(a *idp.App, _ *idp.Installation) { a.Release.Attributes[0].Source = "" }, []string{"saml.attributes[0]"}, ""},
		{"attribute with both", func(a *idp.App, _ *idp.Installation) { a.Release.Attributes[0].Constant = "x" }, []string{"saml.attributes[0]"}, ""},
		{"filter on a constant", func(a *idp.App, _ *idp.Installation) { a.Release.Attributes[2].Filter = "x" }, []string{"saml.attributes[2]"}, ""},
		{"filter", func(a *idp.App, _ *idp.Installation) { a.Release.Attributes[1].Filter = "(" }, []string{"saml.attributes[1].filter"}, ""},
		{"filter of RE2's", func(a *idp.App, _ *idp.Installation) { a.Release.Attributes[1].Filter = `(a)\1` }, []string{"saml.attributes[1].filter"}, ""},
		{"filter too long", func(a *idp.App, _ *idp.Installation) { a.Release.Attributes[1].Filter = strings.Repeat("a", 257) }, []string{"saml.attributes[1].filter"}, ""},
		{"rename", func(a *idp.App, _ *idp.Installation) { a.Release.Attributes[1].Rename["x"] = "a\x00" }, []string{"saml.attributes[1].rename"}, ""},
		{"name format", func(a *idp.App, _ *idp.Installation) { a.Release.Attributes[0].NameFormat = "basic" }, []string{"saml.attributes[0].nameFormat"}, ""},
		{"release without SAML", func(a *idp.App, _ *idp.Installation) { a.SAML = nil }, []string{"saml"}, ""},

		{"client ID", func(a *idp.App, _ *idp.Installation) { a.OAuth.ID = "a b" }, []string{"oauth.clientID"}, ""},
		{"client type", func(a *idp.App, _ *idp.Installation) { a.OAuth.Type = "" }, []string{"oauth.type"}, ""},
		{"OA-RED-03 plain http", func(a *idp.App, _ *idp.Installation) { a.OAuth.RedirectURIs[0] = "http://app.example/cb" }, []string{"oauth.redirectURIs[0]"}, ""},
		{"OA-RED-03 script", func(a *idp.App, _ *idp.Installation) { a.OAuth.RedirectURIs[1] = "javascript:alert(1)" }, []string{"oauth.redirectURIs[1]"}, ""},
		{"OA-RED-07", func(a *idp.App, _ *idp.Installation) { a.OAuth.RedirectURIs[0] += "?code=x&state=y&iss=z" }, []string{"oauth.redirectURIs[0]"}, ""},
		{"fragment", func(a *idp.App, _ *idp.Installation) { a.OAuth.RedirectURIs[0] += "#" }, []string{"oauth.redirectURIs[0]"}, "fragment"},
		{"own scheme of a web app", func(a *idp.App, _ *idp.Installation) { a.OAuth.RedirectURIs[0] = "com.example.app:/cb" }, []string{"oauth.redirectURIs[0]"}, ""},
		{"own scheme of a native app", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.Type, a.OAuth.RedirectURIs[0] = "native", "com.example.app:/cb"
		}, nil, ""},
		{"OA-DCR-02 signed out to a script", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.PostLogoutRedirectURIs = []string{"https://benefits.example.com/?code=1", "javascript:alert(1)"}
		}, []string{"oauth.postLogoutRedirectURIs[1]"}, "post-logout redirect URI"},
		{"signed out over plain http", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.PostLogoutRedirectURIs = []string{"http://app.example/"}
		}, []string{"oauth.postLogoutRedirectURIs[0]"}, "not https"},
		{"signed out to a fragment", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.PostLogoutRedirectURIs = []string{"https://app.example/#bye"}
		}, []string{"oauth.postLogoutRedirectURIs[0]"}, "fragment"},
		{"signed out with two states", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.PostLogoutRedirectURIs = []string{"https://app.example/?state=x"}
		}, []string{"oauth.postLogoutRedirectURIs[0]"}, "state"},
		{"signed out to an own scheme, web", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.PostLogoutRedirectURIs = []string{"com.example.app:/bye"}
		}, []string{"oauth.postLogoutRedirectURIs[0]"}, ""},
		{"signed out to an own scheme, native", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.Type, a.OAuth.PostLogoutRedirectURIs = "native", []string{"com.example.app:/bye", "http://127.0.0.1:8080/bye"}
		}, nil, ""},
		{"signed out twice to the same", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.PostLogoutRedirectURIs = []string{"https://app.example/", "https://app.example/"}
		}, []string{"oauth.postLogoutRedirectURIs[1]"}, ""},
		{"signed out to too many", func(a *idp.App, _ *idp.Installation) { a.OAuth.PostLogoutRedirectURIs = make([]string, 51) }, []string{"oauth.postLogoutRedirectURIs"}, ""},
		{"redirect URI twice", func(a *idp.App, _ *idp.Installation) { a.OAuth.RedirectURIs[1] = a.OAuth.RedirectURIs[0] }, []string{"oauth.redirectURIs[1]"}, ""},
		{"code flow to nowhere", func(a *idp.App, _ *idp.Installation) { a.OAuth.RedirectURIs = nil }, []string{"oauth.redirectURIs"}, ""},
		{"service to nowhere", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.Type, a.OAuth.RedirectURIs, a.OAuth.AuthorizationCode = "service", nil, false
		}, nil, ""},
		{"scope nobody declared", func(a *idp.App, _ *idp.Installation) { a.OAuth.Scopes[3] = "order" }, []string{"oauth.scopes[3]"}, "kind: Scope"},
		{"scope twice", func(a *idp.App, _ *idp.Installation) { a.OAuth.Scopes[1] = "openid" }, []string{"oauth.scopes[1]"}, ""},
		{"default scope beyond the scopes", func(a *idp.App, _ *idp.Installation) { a.OAuth.DefaultScopes[0] = "phone" }, []string{"oauth.defaultScopes[0]"}, ""},
		{"public client acting by itself", func(a *idp.App, _ *idp.Installation) { a.OAuth.Public = true }, []string{"oauth.flows.clientCredentials"}, ""},
		{"PKCE", func(a *idp.App, _ *idp.Installation) { a.OAuth.RequirePKCE = "false" }, []string{"oauth.requirePKCE"}, ""},
		{"secret method of a public client", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.Public, a.OAuth.ClientCredentials, a.OAuth.AuthMethod = true, false, oidc.MethodBasic
		}, []string{"oauth.tokenEndpointAuthMethod"}, ""},
		{"none of a client that must show a secret", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.ClientCredentials, a.OAuth.AuthMethod = false, oidc.MethodNone
		}, []string{"oauth.tokenEndpointAuthMethod"}, ""},
		{"keys", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.AuthMethod, a.OAuth.JWKS = oidc.MethodPrivateKey, clientKeys
		}, nil, ""},
		{"keys at an address", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.AuthMethod, a.OAuth.JWKSURI = oidc.MethodPrivateKey, "https://app.example/keys?v=1"
		}, nil, ""},
		{"keys at a plain address: that is judged when it is read", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.AuthMethod, a.OAuth.JWKSURI = oidc.MethodPrivateKey, "http://app.internal:8080/keys"
		}, nil, ""},
		{"key method without keys", func(a *idp.App, _ *idp.Installation) { a.OAuth.AuthMethod = oidc.MethodPrivateKey }, []string{"oauth.tokenEndpointAuthMethod"}, "jwksURI"},
		{"keys in two places", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.AuthMethod, a.OAuth.JWKS, a.OAuth.JWKSURI = oidc.MethodPrivateKey, clientKeys, "https://app.example/keys"
		}, []string{"oauth.jwksURI"}, "not both"},
		{"keys for another method", func(a *idp.App, _ *idp.Installation) { a.OAuth.JWKS = clientKeys }, []string{"oauth.jwks"}, "private_key_jwt only"},
		{"address of keys for another method", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.AuthMethod, a.OAuth.JWKSURI = oidc.MethodBasic, "https://app.example/keys"
		}, []string{"oauth.jwksURI"}, "private_key_jwt only"},
		{"no key", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.AuthMethod, a.OAuth.JWKS = oidc.MethodPrivateKey, keySet(`{"keys":[]}`)
		}, []string{"oauth.jwks"}, "no key to sign with"},
		{"keys of a public client", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.Public, a.OAuth.ClientCredentials, a.OAuth.AuthMethod, a.OAuth.JWKS = true, false, oidc.MethodPrivateKey, clientKeys
		}, []string{"oauth.tokenEndpointAuthMethod"}, "public: false"},
		{"keys at a file", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.AuthMethod, a.OAuth.JWKSURI = oidc.MethodPrivateKey, "file:///etc/passwd"
		}, []string{"oauth.jwksURI"}, "no web address"},
		{"keys at an address with a password", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.AuthMethod, a.OAuth.JWKSURI = oidc.MethodPrivateKey, "https://u:p@app.example/keys"
		}, []string{"oauth.jwksURI"}, "user name"},
		{"keys at half an address", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.AuthMethod, a.OAuth.JWKSURI = oidc.MethodPrivateKey, "http:///keys"
		}, []string{"oauth.jwksURI"}, "no host"},
		{"introspect", func(a *idp.App, _ *idp.Installation) { a.OAuth.Introspect = "everything" }, []string{"oauth.introspect"}, ""},
		{"rotate", func(a *idp.App, _ *idp.Installation) { a.OAuth.RotateRefreshTokens = "yes" }, []string{"oauth.rotateRefreshTokens"}, ""},
		{"access token's life", func(a *idp.App, _ *idp.Installation) { a.OAuth.AccessTokenLifetime = time.Second }, []string{"oauth.accessToken.lifetime"}, ""},
		{"ID token's life", func(a *idp.App, _ *idp.Installation) { a.OAuth.IDTokenLifetime = 721 * time.Minute }, []string{"oauth.idToken.lifetime"}, "between 1m and 12h"},
		{"ID token's claims", func(a *idp.App, _ *idp.Installation) { a.OAuth.IDTokenClaims = "all" }, []string{"oauth.idToken.claims"}, ""},
		{"mould", func(a *idp.App, _ *idp.Installation) {
			a.OAuth.Mould = &oidc.Mould{Limit: 0, ExpireUnusedAfter: time.Minute, Grants: []string{"password", oidc.GrantClientCredentials}, Scopes: []string{"order"}, Permit: "some"}
		}, []string{
			"oauth.registration.limit", "oauth.registration.expireUnusedAfter", "oauth.registration.grants[0]", "oauth.registration.scopes[0]",
			"oauth.registration.permit", "oauth.registration.runAs",
		}, ""},

		{"no policy", func(_ *idp.App, i *idp.Installation) { i.PermittedUsers = "" }, []string{"policy.permittedUsers"}, ""},
		{"everyone and some", func(_ *idp.App, i *idp.Installation) { i.PermittedUsers = idp.SelfAuthorize }, []string{"policy.groups", "policy.users"}, "self-authorize"},
		{"user twice", func(_ *idp.App, i *idp.Installation) { i.Users = append(i.Users, i.Users[0]) }, []string{"policy.users[1]"}, ""},
		{"many things", func(a *idp.App, i *idp.Installation) {
			a.Name, a.SAML.EntityID, a.OAuth.ID, i.PermittedUsers = "", "", "", "x"
		}, []string{"name", "saml.entityID", "oauth.clientID", "policy.permittedUsers"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, i := benefits()
			c.change(a, i)
			faults := apps.Check(a, i, []string{"orders"})
			var got []string
			for _, f := range faults {
				got = append(got, f.Path)
			}
			if !slices.Equal(got, c.want) {
				t.Fatalf("faults:\n%s\nwant at %q", faults, c.want)
			}
			if !strings.Contains(faults.Error(), c.text) {
				t.Errorf("faults:\n%s\nwant the words %q", faults, c.text)
			}
		})
	}
}

// certificateOf makes one with an RSA key of so many bits.
func certificateOf(bits int) []byte {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return der
}

// dsaCertificate is one with a DSA key, which Go does not make.
func dsaCertificate() []byte {
	der, err := base64.StdEncoding.DecodeString("" +
		"MIICzTCCAnugAwIBAgIUWJgILxaqETIKS0cadagBherjmDswCwYJYIZIAWUDBAMCMAwxCjAIBgNVBAMMAXgwHhcNMjYxMTI5MDI0MTM4WhcNMzYxMTI2MDI0MTM4WjAMMQowCAYDVQQD" +
		"DAF4MIIBvjCCATMGByqGSM44BAEwggEmAoGBAJuGVgBZUPqh74bfAwqdkGqdIRViTkry8DPLUjOe+4/hhpsl8Btg6gxuMsY7iyRzQ5GxoH4r0WTBJ9HFC7IsjvYwk+qwvXcZZolzOVzt" +
		"KNn5m2Ln6VOZbU3IDrNLKvq5M4kasJ0zyC8E59hloweuEAExRQbZNAECYm3X5p9CUGUpAh0AsfEJVFeNrafl1OU5aPmi6zXcLEvr6oq5jWlk9wKBgC/MPUtAbuJVBmEl3Hd4cNdqhG3x" +
		"Feg634d6+jxiwLXeTGxLVW0jQVLjgmOIUVvASD3q83zZiZIK9bTt4I87EP/CM0N6nKi1/9l/RlwT51TQeEFvH9TYdO0J9Rv0uyNs2Hfydx9ETVBbI1bXHD6rUOHZXiR/ViUqASG80DS+" +
		"DuW8A4GEAAKBgDCH7QVhgB43UZXn6lw4867Y2BB3IaiBbQawTalXX2ArLoBuJtc4w5kZp5iP1cYiSuP4j8cQye9KQntnSapC3bRZ8VzDJJmmydK3z/F8enYosLmK+F9rS4mXALZ49pPS" +
		"z4j06Lv6sDbtQLM0QWJmKThlMWCPHNAK6XTYAhllG5jIo1MwUTAdBgNVHQ4EFgQUSBuGZ/NoY+CmUDeeHn8F1qjJJi8wHwYDVR0jBBgwFoAUSBuGZ/NoY+CmUDeeHn8F1qjJJi8wDwYD" +
		"VR0TAQH/BAUwAwEB/zALBglghkgBZQMEAwIDPwAwPAIccmKUtjpdOQC/YVzPgifhOVX7WkuFzahTVH82uAIcJUo8GbvsRaq3aPkT06/GQR8srwgGHjxTtbQ54Q==")
	if err != nil {
		panic(err)
	}
	return der
}

func manyACS(n int) (all []saml.Endpoint) {
	for i := range n {
		all = append(all, saml.Endpoint{URL: fmt.Sprintf("https://benefits.example.com/acs%d", i), Binding: saml.BindingPOST, Index: i})
	}
	return all
}

// Nothing a stranger wrote makes a fault endless.
func TestCheckIsBounded(t *testing.T) {
	a, i := benefits()
	a.OAuth.RedirectURIs = make([]string, 1_000_000)
	a.OAuth.Scopes, a.SAML.ACS, a.Release.Attributes = make([]string, 1_000_000), make([]saml.Endpoint, 1_000_000), make([]idp.Attribute, 1_000_000)
	began := time.Now()
	faults := apps.Check(a, i, nil)
	if len(faults) > 20 || time.Since(began) > time.Second {
		t.Errorf("%d faults after %v", len(faults), time.Since(began))
	}
	a, i = benefits()
	a.APIName, a.SAML.EntityID, a.OAuth.ID = strings.Repeat("ä", 1<<20), strings.Repeat("x", 1<<20), strings.Repeat("x", 1<<20)
	if text := apps.Check(a, i, []string{"orders"}).Error(); len(text) > 2000 {
		t.Errorf("%d bytes of faults", len(text))
	}
}

func TestProposeName(t *testing.T) {
	for name, want := range map[string]string{
		"Your Benefits": "Your_Benefits", "Workday": "Workday", " a  b ": "a_b", "1st App": "X1st_App", "R&D (EU)": "R_D_EU", "__x__": "x",
		"Café Müller": "Cafe_Muller", "李": "App", "": "App", "-": "App", "a_b": "a_b", "a__b": "a_b", "9": "X9",
		strings.Repeat("ab ", 100): strings.TrimRight(strings.Repeat("ab_", 27)[:80], "_"),
	} {
		if got := apps.ProposeName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func FuzzProposeName(f *testing.F) {
	for _, s := range []string{"Your Benefits", "1st", "Café", "\xff", "_", "ﬁ x²", strings.Repeat("a ", 90)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		a := &idp.App{Name: "x", APIName: apps.ProposeName(name)}
		if faults := apps.Check(a, nil, nil); len(faults) > 0 {
			t.Errorf("%q became %q: %s", name, a.APIName, faults)
		}
		if again := apps.ProposeName(a.APIName); again != a.APIName {
			t.Errorf("%q became %q, and that %q", name, a.APIName, again)
		}
	})
}

// The built-in scopes are those that discovery names.
func TestBuiltInScopes(t *testing.T) {
	r := mux.NewRouter()
	(&oidc.Handler{Site: func(context.Context) *oidc.Site { return &oidc.Site{} }}).Mount(r)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/openid-configuration", nil))
	var doc struct {
		Scopes []string `json:"scopes_supported"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(doc.Scopes, idp.BuiltInScopes()) {
		t.Errorf("discovery names %q, built in are %q", doc.Scopes, idp.BuiltInScopes())
	}
}

// The example key of RFC 7517, appendix A.1.
var clientKeys = keySet(`{"keys":[{"kty":"EC","crv":"P-256","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`)

func keySet(raw string) *oidc.KeySet {
	set, err := oidc.ReadKeySet([]byte(raw))
	if err != nil {
		panic(err)
	}
	return set
}
