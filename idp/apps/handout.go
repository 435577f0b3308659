package apps

import (
	"context"
	"slices"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/keys"
	"github.com/lanyard-sso/lanyard/oidc"
)

// Handout is everything the other side asks for when an app is connected.
type Handout struct {
	Name           string       `json:"name"`
	APIName        string       `json:"apiName"`
	SAML           *SAMLHandout `json:"saml,omitempty"`
	OIDC           *OIDCHandout `json:"oidc,omitempty"`
	SignOut        string       `json:"signOutURL"`
	ChangePassword string       `json:"changePasswordURL"`
}

// SAMLHandout is what a service provider asks for.
type SAMLHandout struct {
	EntityID          string   `json:"entityID"`
	SSORedirect       string   `json:"ssoURLRedirect"`
	SSOPost           string   `json:"ssoURLPost"`
	Launch            string   `json:"launchURL"` // where a sign-on that starts here begins
	Metadata          string   `json:"metadataURL"`
	CertificateURL    string   `json:"certificateURL"`
	Certificate       string   `json:"certificate"` // PEM
	FingerprintSHA256 string   `json:"fingerprintSHA256"`
	FingerprintSHA1   string   `json:"fingerprintSHA1"`
	NameIDFormat      string   `json:"nameIDFormat"`
	Attributes        []Sample `json:"attributes"`
	// What they gave us, to compare.
	ServiceProvider string   `json:"serviceProvider"`
	ACS             []string `json:"acs"`
}

// Sample is an attribute with what it holds for a person.
type Sample struct {
	Name   string   `json:"name"`
	Values []string `json:"values,omitempty"`
}

// OIDCHandout is what a client asks for.
type OIDCHandout struct {
	Issuer        string   `json:"issuer"`
	Discovery     string   `json:"discovery"`
	Authorization string   `json:"authorizationEndpoint"`
	Token         string   `json:"tokenEndpoint"`
	Userinfo      string   `json:"userinfoEndpoint"`
	Keys          string   `json:"jwksURI"`
	Introspection string   `json:"introspectionEndpoint"`
	Revocation    string   `json:"revocationEndpoint"`
	EndSession    string   `json:"endSessionEndpoint"`             // where the client signs its person out
	Registration  string   `json:"registrationEndpoint,omitempty"` // a gateway's app
	ClientID      string   `json:"clientID"`
	ClientSecret  string   `json:"clientSecret,omitempty"` // how to read it
	AuthMethod    string   `json:"tokenEndpointAuthMethod"`
	ClientKeys    string   `json:"clientKeys,omitempty"` // where the keys come from that it proves itself with
	Scopes        []string `json:"scopes"`
	RedirectURIs  []string `json:"redirectURIs"`
	PostLogout    []string `json:"postLogoutRedirectURIs,omitempty"`
}

// Handout gathers what the other side of an app asks for, with the values of a sample user, who may be nil.
func (a *Apps) Handout(ctx context.Context, c *idp.Connected, sample *idp.User) (*Handout, error) {
	org, err := a.Store.Orgs().Org(ctx, c.App.Org)
	if err != nil {
		return nil, err
	}
	h := &Handout{
		Name: c.App.Name, APIName: c.App.APIName, SignOut: org.URL + "/signout", ChangePassword: org.URL + "/.well-known/change-password",
	}
	if c.App.SAML != nil {
		if h.SAML, err = a.samlHandout(ctx, org, c, sample); err != nil {
			return nil, err
		}
	}
	if o := c.App.OAuth; o != nil {
		h.OIDC = oidcHandout(org, &c.App, o)
	}
	return h, nil
}

func (a *Apps) samlHandout(ctx context.Context, org *idp.Org, c *idp.Connected, sample *idp.User) (*SAMLHandout, error) {
	ring, err := a.Store.Keys().Ring(ctx, org.ID, keys.SAML)
	if err != nil {
		return nil, err
	}
	key, err := ring.Active()
	if err != nil {
		return nil, err
	}
	sp := c.App.SAML
	format, err := sp.NameIDFormatFor("") // a request that asks for none
	if err != nil {
		return nil, err
	}
	h := &SAMLHandout{
		EntityID: org.EntityID, SSORedirect: org.URL + "/saml/sso", SSOPost: org.URL + "/saml/sso",
		Launch: org.URL + "/saml/launch/" + c.App.APIName, Metadata: org.URL + "/saml/metadata", CertificateURL: org.URL + "/saml/certificate.pem",
		Certificate: string(key.PEM()), NameIDFormat: format, ServiceProvider: sp.EntityID, ACS: []string{},
	}
	h.FingerprintSHA256, h.FingerprintSHA1 = key.Fingerprints()
	for _, e := range sp.ACS {
		if !slices.Contains(h.ACS, e.URL) {
			h.ACS = append(h.ACS, e.URL)
		}
	}
	h.Attributes, err = a.samples(ctx, c, sample)
	return h, err
}

// samples names the attributes of the app, with the values of a user if there is one.
func (a *Apps) samples(ctx context.Context, c *idp.Connected, u *idp.User) ([]Sample, error) {
	names := []string{"userId", "username", "email"}
	for _, own := range c.App.Release.Attributes {
		if !slices.Contains(names, own.Name) {
			names = append(names, own.Name)
		}
	}
	values := map[string][]string{}
	if u != nil && a.Sample != nil {
		told, err := a.Sample(ctx, c, u)
		if err != nil {
			return nil, err
		}
		for _, t := range told {
			values[t.Name] = t.Values
		}
	}
	all := make([]Sample, len(names))
	for i, n := range names {
		all[i] = Sample{n, values[n]}
	}
	return all, nil
}

// Authentication is the method by which an app's OAuth client proves itself, empty for either that takes a secret, and for
// private_key_jwt in words where its keys come from.
func Authentication(app *idp.App) (method, keys string) {
	switch o := app.OAuth; {
	case o.JWKS != nil:
		return o.AuthMethod, "declared here: " + o.JWKS.String()
	case o.JWKSURI != "":
		return o.AuthMethod, "read from " + o.JWKSURI
	case !keepsSecret(app):
		return oidc.MethodNone, ""
	default:
		return o.AuthMethod, ""
	}
}

func oidcHandout(org *idp.Org, app *idp.App, o *oidc.Client) *OIDCHandout {
	at := func(path string) string { return org.URL + "/oauth2/" + path }
	h := &OIDCHandout{
		Issuer: org.Issuer, Discovery: org.URL + "/.well-known/openid-configuration", Authorization: at("authorize"), Token: at("token"),
		Userinfo: at("userinfo"), Keys: at("keys"), Introspection: at("introspect"), Revocation: at("revoke"), EndSession: at("logout"),
		ClientID: o.ID, Scopes: o.Scopes, RedirectURIs: o.RedirectURIs, PostLogout: o.PostLogoutRedirectURIs,
	}
	if o.Mould != nil {
		h.Registration = at("register")
	}
	if h.AuthMethod, h.ClientKeys = Authentication(app); h.AuthMethod == "" {
		h.AuthMethod = oidc.MethodBasic
	}
	if keepsSecret(app) {
		h.ClientSecret = "lanyard app secret " + app.APIName
	}
	return h
}
