package api

import (
	"context"
	"encoding/pem"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/apps"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
)

// refs finds what documents refer to: what the store has and what the same declaration brings.
type refs struct {
	named map[idp.Kind]map[string]string // name → id
	users map[string]string              // idp.NameKey of username or e-mail → id
	apps  map[string]string              // API name → id
}

// place gathers the faults of one document.
type place struct {
	doc    *Doc
	faults *Faults
}

func (p place) fault(path, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if path != "" {
		text = path + ": " + text
	}
	*p.faults = append(*p.faults, Fault{p.doc.At(path), text})
}

func (r *refs) ids(p place, path string, kind idp.Kind, list []string) []string {
	var ids []string
	for i, name := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if name == "" {
			p.fault(at, "there is no %s %q", kind, name)
		} else if id := r.id(p, at, kind, name); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

func (r *refs) id(p place, path string, kind idp.Kind, name string) string {
	if name == "" {
		return ""
	}
	id, ok := r.named[kind][name]
	if !ok {
		p.fault(path, "there is no %s %q%s", kind, name, didYouMean(name, keysOf(r.named[kind])))
	}
	return id
}

func (r *refs) user(p place, path, name string) string {
	if name == "" {
		return ""
	}
	id, ok := r.users[idp.NameKey(name)]
	if !ok {
		p.fault(path, "there is no user %q%s", name, didYouMean(name, keysOf(r.users)))
	}
	return id
}

func keysOf(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func isTrue(b *bool, absent bool) bool {
	if b == nil {
		return absent
	}
	return *b
}

// user builds the user that d declares. Password and Declared are not touched.
func (r *refs) buildUser(p place, d *UserDoc, u *idp.User) {
	u.Username, u.Email, u.GivenName, u.FamilyName = d.Username, d.Email, d.GivenName, d.FamilyName
	u.Active, u.EmailVerified = isTrue(d.Active, true), isTrue(d.EmailVerified, true)
	u.Roles, u.FederationID = d.Roles, d.FederationID
	switch d.Type {
	case "", "person":
		u.Service = false
	case "service":
		u.Service = true
	default:
		p.fault("type", "%q is not known; there is person, service", d.Type)
	}
	u.Profile = r.id(p, "profile", idp.KindProfile, d.Profile)
	u.PermissionSets = r.ids(p, "permissionSets", idp.KindPermissionSet, d.PermissionSets)
	u.Groups = r.ids(p, "groups", idp.KindGroup, d.Groups)
	u.Attributes = nil
	for k, v := range d.Attributes {
		if u.Attributes == nil {
			u.Attributes = map[string][]string{}
		}
		u.Attributes[k] = v
	}
}

// buildNamed builds the group, profile, permission set or scope that a document declares.
func buildNamed(d *Doc, n *idp.Named) {
	switch v := d.Value.(type) {
	case *NamedDoc:
		n.Name, n.Description = v.Name, v.Description
	case *ProfileDoc:
		n.Name, n.Description = v.Name, v.Description
	case *PermissionSetDoc:
		n.Name, n.Description = v.Name, v.Description
	case *ScopeDoc:
		n.Name, n.Description, n.Label, n.Audience = v.Name, v.Description, v.Label, v.Audience
	}
}

// source reads what a Source names; file paths are relative to the declaration's own file.
type source func(ctx context.Context, s *Source, declaredIn string) ([]byte, error)

// buildApp builds the app and policy that d declares, over what old has of what is kept. remarks are on its metadata.
func (r *refs) buildApp(ctx context.Context, p place, d *AppDoc, old *idp.Connected, read source, now time.Time) (put *apps.Put, remarks []saml.Remark) {
	a := &idp.App{
		Name: d.Name, APIName: d.APIName, ContactEmail: d.ContactEmail, ContactPhone: d.ContactPhone, Description: d.Description,
		InfoURL: d.InfoURL, StartURL: d.StartURL, RunsOn: d.RunsOn,
	}
	if old != nil {
		a.Org, a.ID, a.Parent, a.Epoch, a.Set, a.Created, a.LastUsed = old.App.Org, old.App.ID, old.App.Parent, old.App.Epoch, old.App.Set, old.App.Created, old.App.LastUsed
	}
	if d.Parent != "" && (old == nil || r.apps[d.Parent] != old.App.Parent) {
		p.fault("parent", "a gateway's child is made by registration only; it can not be declared")
	}
	if d.Launcher != nil {
		a.Hidden, a.Order = !isTrue(d.Launcher.Visible, true), d.Launcher.Order
	}
	put = &apps.Put{App: a}
	if d.SAML != nil {
		put.Metadata, remarks = r.buildSAML(ctx, p, d.SAML, a, read, now)
	}
	if d.OAuth != nil {
		a.OAuth = r.buildOAuth(p, d.OAuth, old)
		if d.OAuth.ClientSecret != nil {
			put.Secret = d.OAuth.ClientSecret.Plain
		}
	}
	if d.Policy != nil && !d.Policy.onlyBlocks() {
		put.Policy = r.buildPolicy(p, d.Policy)
	}
	return put, remarks
}

func (r *refs) buildPolicy(p place, d *PolicyDoc) *idp.Installation {
	i := &idp.Installation{
		PermittedUsers: d.PermittedUsers, Profiles: r.ids(p, "policy.profiles", idp.KindProfile, d.Profiles),
		PermissionSets: r.ids(p, "policy.permissionSets", idp.KindPermissionSet, d.PermissionSets),
		Groups:         r.ids(p, "policy.groups", idp.KindGroup, d.Groups), RunAs: r.user(p, "policy.runAs", d.RunAs),
	}
	if i.PermittedUsers == "" {
		i.PermittedUsers = idp.AdminApproved
	}
	for n, u := range d.Users {
		at := fmt.Sprintf("policy.users[%d].user", n)
		if u.User == "" {
			p.fault(at, "say who")
		} else if id := r.user(p, at, u.User); id != "" {
			i.Users = append(i.Users, idp.Permitted{User: id, Until: u.Until.Time})
		}
	}
	return i
}

func (r *refs) buildSAML(ctx context.Context, p place, d *SAMLDoc, a *idp.App, read source, now time.Time) (metadata []byte, remarks []saml.Remark) {
	sp := &saml.ServiceProvider{EntityID: d.EntityID, SignResponse: true, SignAssertion: true}
	if d.Metadata != nil {
		if len(d.ACS) > 0 {
			p.fault("saml.acs", "the metadata says which ACS there are; leave out acs, or the metadata")
		}
		b, err := read(ctx, d.Metadata, p.doc.File)
		if err != nil {
			p.fault("saml.metadata", "of app %s: %s", p.doc.name(), err)
			return nil, nil
		}
		file, err := saml.ReadMetadata(b, now)
		if err != nil {
			p.fault("saml.metadata", "%s", err)
			return nil, nil
		}
		e, err := file.Choose(d.EntityID)
		if err != nil {
			p.fault("saml.entityID", "%s", err)
			return nil, nil
		}
		if d.Metadata.URL != "" {
			if err := file.Current(e); err != nil {
				p.fault("saml.metadata", "%s", err)
				return nil, nil
			}
		}
		*sp = e.ServiceProvider
		metadata, remarks = b, file.RemarksOn(e)
	}
	index := indexes(p, d.ACS)
	for n, e := range d.ACS {
		x := saml.Endpoint{URL: e.URL, Binding: saml.BindingPOST, Index: index[n]}
		if e.Binding != "" {
			x.Binding = long(shortBindings, e.Binding)
		}
		if e.Default != nil {
			x.Default = fmt.Sprint(*e.Default)
		}
		sp.ACS = append(sp.ACS, x)
	}
	for n, text := range d.Certificates {
		block, rest := pem.Decode([]byte(strings.TrimSpace(text) + "\n"))
		if block == nil || block.Type != "CERTIFICATE" || len(strings.TrimSpace(string(rest))) > 0 {
			p.fault(fmt.Sprintf("saml.certificates[%d]", n), "it must be one certificate in PEM (-----BEGIN CERTIFICATE-----)")
			continue
		}
		sp.Certificates = append(sp.Certificates, saml.Certificate{DER: block.Bytes, Declared: sp.FromMetadata})
	}
	sp.RequireSignedRequests, sp.AuthnContext, sp.AllowHTTP = d.RequireSignedRequests, string(d.AuthnContext), d.AllowHTTP
	sp.RelayState, sp.Validity, sp.Skew = d.RelayState, time.Duration(d.Validity), time.Duration(d.Skew)
	if sp.AuthnContext == "lenient" {
		sp.AuthnContext = "" // the default
	}
	if d.NameID != nil {
		sp.NameIDFormat, sp.ForceNameIDFormat, a.Release.NameID = long(shortFormats, d.NameID.Format), d.NameID.Force, d.NameID.Source
	}
	if d.Sign != nil {
		sp.SignResponse, sp.SignAssertion = isTrue(d.Sign.Response, true), isTrue(d.Sign.Assertion, true)
		if d.Sign.Algorithm != "" && d.Sign.Algorithm != "rsa-sha256" {
			p.fault("saml.sign.algorithm", "%q is not supported; there is rsa-sha256", d.Sign.Algorithm)
		}
	}
	if d.Encryption != "" && d.Encryption != "off" {
		p.fault("saml.encryption", "%q is not supported yet; there is off", d.Encryption)
	}
	for _, t := range d.Attributes {
		a.Release.Attributes = append(a.Release.Attributes, idp.Attribute{
			Name: t.Name, FriendlyName: t.FriendlyName, NameFormat: long(shortNameFormats, t.NameFormat), Source: t.Source,
			Constant: t.Constant, Join: t.Join, Filter: t.Filter, Rename: t.Rename,
		})
	}
	a.SAML = sp
	return metadata, remarks
}

// indexes are those of all, as written. One that has none keeps its place in the list, or gets the lowest index that nobody
// has.
func indexes(p place, all []EndpointDoc) []int {
	const most = 65535 // Metadata §2.2.3: an unsignedShort
	index, taken := make([]int, len(all)), map[int]bool{}
	for n, e := range all {
		if e.Index == nil {
			continue
		}
		if *e.Index < 0 || *e.Index > most {
			p.fault(fmt.Sprintf("saml.acs[%d].index", n), "%d is not between 0 and %d", *e.Index, most)
		}
		index[n], taken[*e.Index] = *e.Index, true
	}
	low := 0
	for n, e := range all {
		if e.Index != nil {
			continue
		}
		i := n
		if taken[i] {
			for taken[low] {
				low++
			}
			i = low
		}
		index[n], taken[i] = i, true
	}
	return index
}

func (r *refs) buildOAuth(p place, d *OAuthDoc, old *idp.Connected) *oidc.Client {
	kind := d.Type
	if kind == "" {
		kind = "web"
	}
	o := apps.NewClient(kind)
	o.ID = d.ClientID
	if old != nil && old.App.OAuth != nil {
		o.Registered, o.Issued = old.App.OAuth.Registered, old.App.OAuth.Issued
		if o.ID == "" {
			o.ID = old.App.OAuth.ID
		}
	}
	if d.Public != nil {
		o.Public = *d.Public
		o.SecretForCode, o.SecretForRefresh = !o.Public, !o.Public
	}
	o.PostLogoutRedirectURIs = d.PostLogoutRedirectURIs
	o.RedirectURIs, o.Scopes, o.DefaultScopes, o.AuthMethod = d.RedirectURIs, d.Scopes, d.DefaultScopes, d.TokenEndpointAuthMethod
	if o.JWKSURI = d.JWKSURI; d.JWKS != nil {
		o.JWKS = d.JWKS.KeySet
	}
	if f := d.Flows; f != nil {
		o.AuthorizationCode, o.Refresh, o.ClientCredentials = f.AuthorizationCode, f.Refresh, f.ClientCredentials
	}
	if d.RequirePKCE != "" {
		o.RequirePKCE = d.RequirePKCE
	}
	if s := d.RequireSecret; s != nil {
		if !isTrue(s.TokenExchange, true) {
			p.fault("oauth.requireSecret.tokenExchange", "false is not supported yet")
		}
		o.SecretForCode, o.SecretForRefresh = isTrue(s.WebServer, o.SecretForCode), isTrue(s.Refresh, o.SecretForRefresh)
	}
	if t := d.AccessToken; t != nil {
		o.AccessTokenLifetime = time.Duration(t.Lifetime)
		if t.Format != "" && t.Format != "opaque" {
			p.fault("oauth.accessToken.format", "%q is not supported yet; there is opaque", t.Format)
		}
	}
	if o.AccessTokenLifetime == time.Hour {
		o.AccessTokenLifetime = 0 // the default
	}
	if t := d.IDToken; t != nil {
		o.IDTokenLifetime = time.Duration(t.Lifetime)
		if t.Algorithm != "" && t.Algorithm != "RS256" {
			p.fault("oauth.idToken.algorithm", "%q is not supported yet; there is RS256", t.Algorithm)
		}
		if t.Claims != "requested" {
			o.IDTokenClaims = t.Claims
		}
	}
	if o.IDTokenLifetime == time.Hour {
		o.IDTokenLifetime = 0
	}
	switch d.Introspect {
	case "":
	case "audience":
		p.fault("oauth.introspect", "audience is not supported yet; there is own, children, all")
	default:
		o.Introspect = d.Introspect
	}
	if d.RotateRefreshTokens != "" {
		o.RotateRefreshTokens = d.RotateRefreshTokens
	}
	if m := d.Registration; m != nil {
		o.Mould = r.buildMould(p, m)
	}
	return o
}

func (r *refs) buildMould(p place, d *RegistrationDoc) *oidc.Mould {
	m := &oidc.Mould{Limit: 100, ExpireUnusedAfter: time.Duration(d.ExpireUnusedAfter), Grants: d.Grants, Scopes: d.Scopes, RunAs: d.RunAs, Permit: d.Permit}
	if d.Limit != nil {
		m.Limit = *d.Limit
	}
	if m.RunAs != "" && m.RunAs != "auto" {
		m.RunAs = r.user(p, "oauth.registration.runAs", m.RunAs)
	}
	if d.Approval != "" && d.Approval != "automatic" {
		p.fault("oauth.registration.approval", "%q is not supported yet; there is automatic", d.Approval)
	}
	return m
}
