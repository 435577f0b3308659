package oidc

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxURIs     = 50
	maxName     = 200 // characters
	maxContacts = 10
	maxContact  = 254
	maxSoftware = 200
	maxList     = 20
)

// metadataRungs is the ladder that judges client metadata, whoever wrote it: a client that registers itself or an admin.
// What a client may have of what it asks for is another question (see cast).
var metadataRungs = []struct {
	name  string
	check func(*Metadata) error
}{
	{"client_name", (*Metadata).askNames},                         // RFC 7591 §2
	{"contacts", (*Metadata).askContacts},                         // RFC 7591 §2
	{"application_type", (*Metadata).askType},                     // Registration §2
	{"redirect_uris", (*Metadata).askRedirects},                   // RFC 7591 §2, RFC 9700 §2.1, RFC 8252 §7
	{"post_logout_redirect_uris", (*Metadata).askPostLogout},      // RP-Initiated Logout §3.1
	{"client_uri", (*Metadata).askPages},                          // RFC 7591 §2, §5
	{"grant_types", (*Metadata).askGrants},                        // RFC 7591 §2
	{"response_types", (*Metadata).askResponses},                  // RFC 7591 §2.1
	{"token_endpoint_auth_method", (*Metadata).askAuthentication}, // RFC 7591 §2
	{"scope", (*Metadata).askScopes},                              // RFC 7591 §2
	{"software_id", (*Metadata).askSoftware},                      // RFC 7591 §2
}

// Judge tells what is wrong with m, in words for whoever wrote it; nil if nothing is. It is pure.
func (m *Metadata) Judge() error {
	for _, r := range metadataRungs {
		err := r.check(m)
		var e *Error
		if errors.As(err, &e) {
			e.Reason = r.name + ": " + e.Description
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func badMetadata(description string) *Error {
	return &Error{Code: InvalidClientMetadata, Description: description}
}

func (m *Metadata) askNames() error {
	if !written(m.ClientName, maxName) {
		return badMetadata("client_name is longer than 200 characters, or not to be written.")
	}
	return nil
}

// written tells if s is at most so many characters, none of which moves the pen.
func written(s string, most int) bool {
	return utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError
	})
}

func (m *Metadata) askContacts() error {
	for _, c := range m.Contacts {
		if len(m.Contacts) > maxContacts || c == "" || !written(c, maxContact) {
			return badMetadata("contacts are at most 10 addresses of at most 254 characters.")
		}
	}
	return nil
}

func (m *Metadata) askType() error {
	switch m.ApplicationType {
	case "", "web", "native":
		return nil
	}
	return badMetadata("application_type is web or native.")
}

func (m *Metadata) askRedirects() error {
	if len(m.RedirectURIs) > maxURIs {
		return &Error{Code: InvalidRedirectURI, Description: "There are more than 50 redirect URIs."}
	}
	for _, uri := range m.RedirectURIs {
		if err := CheckRedirectURI(uri, m.ApplicationType == "native"); err != nil {
			return err
		}
	}
	// RFC 7591 §2: "Clients using flows with redirection MUST register their redirection URI values."
	if len(m.RedirectURIs) == 0 && slices.Contains(m.GrantTypes, GrantCode) {
		return &Error{Code: InvalidRedirectURI, Description: "The authorization code flow needs a redirect URI."}
	}
	return nil
}

func (m *Metadata) askPages() error {
	for _, p := range []struct{ name, uri string }{
		{"client_uri", m.ClientURI}, {"logo_uri", m.LogoURI}, {"policy_uri", m.PolicyURI}, {"tos_uri", m.TosURI},
	} {
		if p.uri == "" {
			continue
		}
		if err := checkPage(p.name, p.uri); err != nil {
			return err
		}
	}
	return nil
}

// checkPage judges an address that people or this server would be sent to.
func checkPage(name, uri string) error {
	u, why := outward(uri)
	if why == "" && u.Scheme != "https" && u.Scheme != "http" {
		why = "it is no web address"
	}
	if why == "" {
		why = web(u)
	}
	if why != "" {
		return badMetadata(name + ": " + why + ".")
	}
	return nil
}

func (m *Metadata) askGrants() error {
	if len(m.GrantTypes) > maxList {
		return badMetadata("There are too many grant_types.")
	}
	return nil
}

func (m *Metadata) askResponses() error {
	if len(m.ResponseTypes) > maxList {
		return badMetadata("There are too many response_types.")
	}
	// RFC 7591 §2.1: the server "SHOULD take steps to ensure that a client cannot register itself into an inconsistent
	// state".
	if len(m.ResponseTypes) > 0 && slices.Contains(m.GrantTypes, GrantCode) && !slices.Contains(m.ResponseTypes, "code") {
		return badMetadata("The grant type authorization_code goes with the response type code.")
	}
	return nil
}

func (m *Metadata) askAuthentication() error {
	if a := m.TokenEndpointAuthMethod; a != "" && !slices.Contains(authMethods, a) {
		return badMetadata("token_endpoint_auth_method is client_secret_basic, client_secret_post, private_key_jwt or none.")
	}
	if m.SigningAlg != "" && !slices.Contains(algorithmNames, m.SigningAlg) {
		return badMetadata("token_endpoint_auth_signing_alg is one of " + strings.Join(algorithmNames, ", ") + ".")
	}
	if m.TokenEndpointAuthMethod != MethodPrivateKey {
		return nil
	}
	// RFC 7591 §2: "The "jwks_uri" and "jwks" parameters MUST NOT both be present in the same request or response."
	if (m.JWKS == nil) == (m.JWKSURI == "") {
		return badMetadata("private_key_jwt needs jwks or jwks_uri, one of them.")
	}
	if m.JWKS != nil && !m.JWKS.holds(m.SigningAlg) {
		return badMetadata("jwks has no key to sign with, or none for the token_endpoint_auth_signing_alg.")
	}
	return nil
}

func (m *Metadata) askScopes() error {
	if _, err := readScope(m.Scope); err != nil || len(m.Scope) > maxParameter {
		return badMetadata("scope can not be read.")
	}
	return nil
}

func (m *Metadata) askSoftware() error {
	if !written(m.SoftwareID, maxSoftware) || !written(m.SoftwareVersion, maxSoftware) {
		return badMetadata("software_id and software_version are at most 200 characters.")
	}
	return nil
}

// cast makes what the mould of parent allows of what m asks for: more is cut to the mould, and Registered says what
// there really is. What can not work at all is refused. m was judged before.
func (parent *Client) cast(m *Metadata) (*Client, error) {
	mould, got := parent.Mould, *m
	within := func(grant string) bool { return slices.Contains(mould.Grants, grant) }
	asked := m.GrantTypes
	if len(asked) == 0 {
		// RFC 7591 §2: "If omitted, the default behavior is that the client will use only the "authorization_code" Grant
		// Type."
		if asked = []string{GrantCode}; !within(GrantCode) {
			asked = mould.Grants
		}
	}
	got.GrantTypes = nil
	public := m.TokenEndpointAuthMethod == MethodNone
	for _, g := range grantTypes {
		if slices.Contains(asked, g) && within(g) && (g != GrantClientCredentials || !public) {
			got.GrantTypes = append(got.GrantTypes, g)
		}
	}
	scopes, err := mould.scopes(m, slices.Contains(got.GrantTypes, GrantRefresh))
	if err != nil {
		return nil, err
	}
	code := slices.Contains(got.GrantTypes, GrantCode)
	if !code || !slices.ContainsFunc(scopes, offline) {
		got.GrantTypes = slices.DeleteFunc(got.GrantTypes, func(g string) bool { return g == GrantRefresh })
	}
	switch {
	case len(got.GrantTypes) == 0:
		return nil, badMetadata("None of the grant_types can be given to this client: possible are " + plain(strings.Join(mould.Grants, ", ")) + ".")
	case code && len(m.RedirectURIs) == 0:
		return nil, &Error{Code: InvalidRedirectURI, Description: "The authorization code flow needs a redirect URI."}
	}
	got.ResponseTypes = []string{}
	if code {
		got.ResponseTypes = []string{"code"}
	}
	got.Scope = strings.Join(scopes, " ")
	if got.ApplicationType == "" {
		got.ApplicationType = "web"
	}
	if got.TokenEndpointAuthMethod == "" {
		got.TokenEndpointAuthMethod = MethodBasic
	}
	c := &Client{
		Parent: parent.App, Name: m.ClientName, Type: clientType(&got), Public: public, RedirectURIs: m.RedirectURIs,
		PostLogoutRedirectURIs: m.PostLogoutRedirectURIs,
		Scopes:                 scopes, DefaultScopes: scopes, AuthorizationCode: code,
		Refresh:           slices.Contains(got.GrantTypes, GrantRefresh),
		ClientCredentials: slices.Contains(got.GrantTypes, GrantClientCredentials),
		RequirePKCE:       "auto", SecretForCode: true, SecretForRefresh: true, Introspect: "own", RotateRefreshTokens: "auto",
		AuthMethod: m.TokenEndpointAuthMethod, // who asked for none in particular may use either
	}
	if got.TokenEndpointAuthMethod == MethodPrivateKey {
		c.JWKS, c.JWKSURI = got.JWKS, got.JWKSURI
	} else {
		got.SigningAlg = ""
	}
	got.JWKS, got.JWKSURI = nil, ""
	c.Registered = &got
	return c, nil
}

// scopes is what a child may have: what it asks for within the mould, or all of the mould. Whoever asks for the refresh
// grant asks for its scope.
func (mould *Mould) scopes(m *Metadata, refresh bool) ([]string, error) {
	asked, err := readScope(m.Scope)
	if err != nil {
		return nil, err
	}
	if len(asked) == 0 {
		return slices.Clone(mould.Scopes), nil
	}
	got := slices.DeleteFunc(slices.Clone(asked), func(s string) bool { return !holds(mould.Scopes, s) })
	if len(got) == 0 {
		return nil, badMetadata("None of the scopes can be given to this client: possible are " + plain(strings.Join(mould.Scopes, " ")) + ".")
	}
	if i := slices.IndexFunc(mould.Scopes, offline); refresh && i >= 0 && !slices.ContainsFunc(got, offline) {
		got = append(got, mould.Scopes[i])
	}
	return got, nil
}

func clientType(m *Metadata) string {
	switch {
	case m.ApplicationType == "native":
		return "native"
	case !slices.Contains(m.GrantTypes, GrantCode):
		return "service"
	case m.TokenEndpointAuthMethod == MethodNone:
		return "browser"
	}
	return "web"
}

// known is the members of a registration request that mean something here.
var known = []string{
	"client_name", "redirect_uris", "grant_types", "response_types", "token_endpoint_auth_method", "application_type", "contacts",
	"client_uri", "logo_uri", "policy_uri", "tos_uri", "scope", "software_id", "software_version",
	"client_id", "client_secret", "software_statement", "jwks", "jwks_uri", "sector_identifier_uri", "initiate_login_uri",
	"backchannel_logout_uri", "frontchannel_logout_uri", "request_uris", "post_logout_redirect_uris", "token_endpoint_auth_signing_alg",
	"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at",
}

// sent is the body of a registration request.
type sent struct {
	Metadata
	clientID, clientSecret string
	hasSecret              bool
	forbidden              string // a member that an update must not have
}

// readMetadata reads the body of a registration request and judges it. RFC 7591 §2: "The authorization server MUST ignore
// any client metadata sent by the client that it does not understand"; addresses are judged also where what they are for
// is not offered.
func readMetadata(w http.ResponseWriter, r *http.Request) (*sent, error) {
	if !contentType(r, "application/json") {
		return nil, &Error{Code: InvalidClientMetadata, Description: "The body must be application/json.", Status: http.StatusUnsupportedMediaType}
	}
	raw, err := body(w, r)
	if err != nil {
		return nil, err
	}
	all, err := readObject(raw)
	if err != nil {
		return nil, badMetadata("The body is no JSON object that can be read: " + plain(err.Error()) + ".")
	}
	for name := range all {
		for _, k := range known {
			if name != k && strings.EqualFold(name, k) {
				return nil, badMetadata("The member " + plain(clip(name)) + " is written " + k + ".")
			}
		}
	}
	f := fields{all: all}
	s := &sent{Metadata: Metadata{
		ClientName: f.text("client_name"), RedirectURIs: f.list("redirect_uris"), GrantTypes: f.list("grant_types"),
		ResponseTypes: f.list("response_types"), TokenEndpointAuthMethod: f.text("token_endpoint_auth_method"),
		ApplicationType: f.text("application_type"), Contacts: f.list("contacts"), ClientURI: f.text("client_uri"),
		LogoURI: f.text("logo_uri"), PolicyURI: f.text("policy_uri"), TosURI: f.text("tos_uri"), Scope: f.text("scope"),
		SoftwareID: f.text("software_id"), SoftwareVersion: f.text("software_version"),
		SigningAlg: f.text("token_endpoint_auth_signing_alg"), JWKS: f.keys(), JWKSURI: f.text("jwks_uri"),
		PostLogoutRedirectURIs: f.list("post_logout_redirect_uris"),
	}, clientID: f.text("client_id"), clientSecret: f.text("client_secret")}
	_, s.hasSecret = all["client_secret"]
	f.others()
	if f.err != nil {
		return nil, f.err
	}
	for _, name := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
		if _, ok := all[name]; ok {
			s.forbidden = name
		}
	}
	return s, s.Judge()
}

// fields takes members out of an object and keeps the first fault.
type fields struct {
	all map[string]any
	err error
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// text returns a member that is a string; null is as good as absent.
func (f *fields) text(name string) string {
	s, ok := f.all[name].(string)
	if !ok && f.all[name] != nil {
		f.fail(badMetadata(name + " must be a string."))
	}
	return s
}

// list returns a member that is an array of strings.
func (f *fields) list(name string) []string {
	values, ok := f.all[name].([]any)
	if !ok && f.all[name] != nil {
		f.fail(badMetadata(name + " must be an array of strings."))
	}
	var out []string
	for _, v := range values {
		s, ok := v.(string)
		if !ok {
			f.fail(badMetadata(name + " must be an array of strings."))
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// others judges what is not kept: an address is an address, whether it is used or not.
func (f *fields) others() {
	for _, name := range []string{"jwks_uri", "sector_identifier_uri", "initiate_login_uri", "backchannel_logout_uri", "frontchannel_logout_uri"} {
		if uri := f.text(name); uri != "" {
			f.fail(checkPage(name, uri))
		}
	}
	for _, uri := range f.list("request_uris") {
		f.fail(checkPage("request_uris", uri))
	}
	// RFC 7591 §2: "The "jwks_uri" and "jwks" parameters MUST NOT both be present in the same request or response."
	if f.all["jwks"] != nil && f.all["jwks_uri"] != nil {
		f.fail(badMetadata("jwks and jwks_uri do not go together."))
	}
	if f.all["software_statement"] != nil {
		f.fail(&Error{Code: InvalidSoftwareStatement, Description: "Software statements are not accepted."})
	}
}
