package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"strings"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
)

// names finds the names by which documents refer to what the store knows by id.
type names struct {
	named map[idp.Kind]map[string]string // id → name
	users map[string]string              // id → username
	apps  map[string]string              // id → API name
}

func (n *names) of(kind idp.Kind, ids []string) []string {
	var out []string
	for _, id := range ids {
		if name, ok := n.named[kind][id]; ok {
			out = append(out, name)
		}
	}
	return out
}

func (n *names) one(kind idp.Kind, id string) string { return n.named[kind][id] }

// userDoc is the document that declares u.
func (n *names) userDoc(u *idp.User, persistent map[string]string) *UserDoc {
	d := &UserDoc{
		head: head{Kind: "User"}, Username: u.Username, Email: u.Email, GivenName: u.GivenName, FamilyName: u.FamilyName,
		Profile: n.one(idp.KindProfile, u.Profile), PermissionSets: n.of(idp.KindPermissionSet, u.PermissionSets),
		Groups: n.of(idp.KindGroup, u.Groups), Roles: u.Roles, FederationID: u.FederationID, PersistentIDs: persistent,
	}
	if !u.Active {
		d.Active = new(bool)
	}
	if u.Service {
		d.Type = "service"
	}
	if !u.EmailVerified && u.Email != "" {
		d.EmailVerified = new(bool)
	}
	for k, v := range u.Attributes {
		if d.Attributes == nil {
			d.Attributes = map[string]Strings{}
		}
		d.Attributes[k] = v
	}
	return d
}

// namedDoc is the document that declares x.
func namedDoc(x *idp.Named) any {
	base := NamedDoc{head: head{Kind: string(x.Kind)}, Name: x.Name, Description: x.Description}
	switch x.Kind {
	case idp.KindProfile:
		return &ProfileDoc{NamedDoc: base}
	case idp.KindPermissionSet:
		return &PermissionSetDoc{NamedDoc: base}
	case idp.KindScope:
		return &ScopeDoc{NamedDoc: base, Label: x.Label, Audience: x.Audience}
	}
	return &base
}

// appDoc is the document that declares c. metadata are the bytes its SAML half was read from: with them, it is said by
// them; without, field by field.
func (n *names) appDoc(c *idp.Connected, metadata []byte) *AppDoc {
	a := &c.App
	d := &AppDoc{
		head: head{Kind: "App"}, Name: a.Name, APIName: a.APIName, ContactEmail: a.ContactEmail, ContactPhone: a.ContactPhone,
		Description: a.Description, InfoURL: a.InfoURL, StartURL: a.StartURL, RunsOn: a.RunsOn, Parent: n.apps[a.Parent],
	}
	if a.Hidden || a.Order != 0 {
		d.Launcher = &Launcher{Order: a.Order}
		if a.Hidden {
			d.Launcher.Visible = new(bool)
		}
	}
	if a.SAML != nil {
		d.SAML = samlDoc(a, metadata)
	}
	if a.OAuth != nil {
		d.OAuth = n.oauthDoc(a.OAuth)
	}
	if i := c.Installation; i != nil && i.PermittedUsers != "" {
		d.Policy = n.policyDoc(i)
	}
	if c.Blocked() {
		if d.Policy == nil {
			d.Policy = &PolicyDoc{}
		}
		yes := true
		d.Policy.Blocked = &yes
	}
	return d
}

func (n *names) policyDoc(i *idp.Installation) *PolicyDoc {
	d := &PolicyDoc{
		PermittedUsers: i.PermittedUsers, Profiles: n.of(idp.KindProfile, i.Profiles),
		PermissionSets: n.of(idp.KindPermissionSet, i.PermissionSets), Groups: n.of(idp.KindGroup, i.Groups), RunAs: n.users[i.RunAs],
	}
	for _, u := range i.Users {
		if name, ok := n.users[u.User]; ok {
			d.Users = append(d.Users, PermittedUser{name, Date{u.Until}})
		}
	}
	return d
}

// The short names of what SAML names by URN.
var (
	shortFormats = map[string]string{
		"none": saml.FormatNone, "unspecified": saml.FormatUnspecified, "emailAddress": saml.FormatEmail,
		"persistent": saml.FormatPersistent, "transient": saml.FormatTransient,
	}
	shortBindings    = map[string]string{"HTTP-POST": saml.BindingPOST, "HTTP-Redirect": saml.BindingRedirect}
	shortNameFormats = map[string]string{"unspecified": saml.AttrUnspecified, "uri": saml.AttrURI, "basic": saml.AttrBasic}
)

func short(names map[string]string, urn string) string {
	for s, u := range names {
		if u == urn {
			return s
		}
	}
	return urn
}

func long(names map[string]string, s string) string {
	if u, ok := names[s]; ok {
		return u
	}
	return s
}

func samlDoc(a *idp.App, metadata []byte) *SAMLDoc {
	sp := a.SAML
	d := &SAMLDoc{
		EntityID: sp.EntityID, RequireSignedRequests: sp.RequireSignedRequests, AuthnContext: AuthnContext(sp.AuthnContext), AllowHTTP: sp.AllowHTTP,
		RelayState: sp.RelayState, Validity: Duration(sp.Validity), Skew: Duration(sp.Skew),
	}
	described := metadata != nil && sp.FromMetadata
	if described {
		d.Metadata = &Source{Inline: string(metadata)}
	} else {
		for _, e := range sp.ACS {
			d.ACS = append(d.ACS, endpointDoc(e))
		}
	}
	for _, c := range sp.Certificates {
		if c.Declared || !described {
			d.Certificates = append(d.Certificates, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER})))
		}
	}
	if sp.NameIDFormat != "" || a.Release.NameID != "" || sp.ForceNameIDFormat {
		d.NameID = &NameIDDoc{Format: short(shortFormats, sp.NameIDFormat), Source: a.Release.NameID, Force: sp.ForceNameIDFormat}
	}
	if !sp.SignResponse || !sp.SignAssertion {
		d.Sign = &SignDoc{Response: &sp.SignResponse, Assertion: &sp.SignAssertion}
	}
	for _, t := range a.Release.Attributes {
		f := ""
		if t.NameFormat != "" && t.NameFormat != saml.AttrUnspecified {
			f = short(shortNameFormats, t.NameFormat)
		}
		d.Attributes = append(d.Attributes, AttributeDoc{t.Name, t.FriendlyName, f, t.Source, t.Constant, t.Join, t.Filter, t.Rename})
	}
	return d
}

func endpointDoc(e saml.Endpoint) EndpointDoc {
	d := EndpointDoc{URL: e.URL}
	if e.Binding != saml.BindingPOST {
		d.Binding = short(shortBindings, e.Binding)
	}
	if e.Index >= 0 {
		d.Index = &e.Index
	}
	if e.Default != "" {
		yes := e.Default == "true"
		d.Default = &yes
	}
	return d
}

func (n *names) oauthDoc(o *oidc.Client) *OAuthDoc {
	d := &OAuthDoc{
		ClientID: o.ID, Type: o.Type, RedirectURIs: o.RedirectURIs, PostLogoutRedirectURIs: o.PostLogoutRedirectURIs, Scopes: o.Scopes, DefaultScopes: o.DefaultScopes,
		Flows:                   &FlowsDoc{AuthorizationCode: o.AuthorizationCode, Refresh: o.Refresh, ClientCredentials: o.ClientCredentials},
		TokenEndpointAuthMethod: o.AuthMethod, JWKSURI: o.JWKSURI,
	}
	if o.JWKS != nil {
		d.JWKS = &JWKS{o.JWKS}
	}
	if o.RequirePKCE != "auto" {
		d.RequirePKCE = o.RequirePKCE
	}
	if o.Introspect != "own" {
		d.Introspect = o.Introspect
	}
	if o.RotateRefreshTokens != "auto" {
		d.RotateRefreshTokens = o.RotateRefreshTokens
	}
	usual := o.Type == "native" || o.Type == "browser"
	if o.Public != usual {
		d.Public = &o.Public
	}
	if o.SecretForCode == o.Public || o.SecretForRefresh == o.Public {
		d.RequireSecret = &RequireSecretDoc{WebServer: &o.SecretForCode, Refresh: &o.SecretForRefresh}
	}
	if o.AccessTokenLifetime != 0 {
		d.AccessToken = &AccessTokenDoc{Lifetime: Duration(o.AccessTokenLifetime)}
	}
	if o.IDTokenLifetime != 0 || o.IDTokenClaims == "standard" {
		d.IDToken = &IDTokenDoc{Lifetime: Duration(o.IDTokenLifetime)}
		if o.IDTokenClaims == "standard" {
			d.IDToken.Claims = "standard"
		}
	}
	if m := o.Mould; m != nil {
		d.Registration = &RegistrationDoc{Limit: &m.Limit, ExpireUnusedAfter: Duration(m.ExpireUnusedAfter), Grants: m.Grants, Scopes: m.Scopes, RunAs: m.RunAs, Permit: m.Permit}
		if name, ok := n.users[m.RunAs]; ok {
			d.Registration.RunAs = name
		}
	}
	return d
}

// digest names a document of bytes in a plan.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256 " + strings.ToLower(hex.EncodeToString(sum[:6])) + "…"
}
