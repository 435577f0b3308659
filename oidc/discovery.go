package oidc

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/lanyard-sso/lanyard/templates"
)

// maxAge is how long a document that anybody may read is kept by its readers, in seconds. A key is announced 24 hours
// before it signs, so this may be hours; it is short because a rotation can be forced.
const maxAge = 300

// builtIn is the scopes every org has.
var builtIn = []string{"openid", "profile", "email", "address", "phone", "groups", "offline_access", "refresh_token", "api", "full", "id", "web"}

// claimNames is what the ID token and userinfo can hold.
var claimNames = []string{
	"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid",
	"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website",
	"gender", "birthdate", "zoneinfo", "locale", "updated_at", "email", "email_verified",
	"address", "phone_number", "phone_number_verified", "groups",
}

// metadata is the server's description of itself. What is not built is not named.
type metadata struct {
	Issuer              string   `json:"issuer"`
	Authorization       string   `json:"authorization_endpoint"`
	Token               string   `json:"token_endpoint"`
	Userinfo            string   `json:"userinfo_endpoint"`
	Keys                string   `json:"jwks_uri"`
	Registration        string   `json:"registration_endpoint"`
	Introspection       string   `json:"introspection_endpoint"`
	Revocation          string   `json:"revocation_endpoint"`
	EndSession          string   `json:"end_session_endpoint"`
	Scopes              []string `json:"scopes_supported"`
	ResponseTypes       []string `json:"response_types_supported"`
	ResponseModes       []string `json:"response_modes_supported"`
	GrantTypes          []string `json:"grant_types_supported"`
	ACR                 []string `json:"acr_values_supported,omitempty"`
	Prompts             []string `json:"prompt_values_supported"`
	SubjectTypes        []string `json:"subject_types_supported"`
	IDTokenAlgorithms   []string `json:"id_token_signing_alg_values_supported"`
	Challenges          []string `json:"code_challenge_methods_supported"`
	TokenAuth           []string `json:"token_endpoint_auth_methods_supported"`
	IntrospectionAuth   []string `json:"introspection_endpoint_auth_methods_supported"`
	RevocationAuth      []string `json:"revocation_endpoint_auth_methods_supported"`
	TokenAlgs           []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAlgs   []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevocationAlgs      []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	Claims              []string `json:"claims_supported"`
	ClaimsParameter     bool     `json:"claims_parameter_supported"`
	RequestParameter    bool     `json:"request_parameter_supported"`
	RequestURIParameter bool     `json:"request_uri_parameter_supported"` // absent would mean true
	ResponseIssuer      bool     `json:"authorization_response_iss_parameter_supported"`
}

// discovery answers both well-known addresses with the same document (Discovery §4.2, RFC 8414 §3.2).
func (h *Handler) discovery(w http.ResponseWriter, r *http.Request) {
	site := h.Site(r.Context())
	if site.Unsure { // readers keep it
		h.refuse(w, r, site, nil, ErrBusy)
		return
	}
	telling(&h.told.discovery, site, site.discovery).ServeHTTP(w, r)
}

func (site *Site) discovery() []byte {
	scopes := slices.Clone(builtIn)
	for _, s := range site.Scopes {
		scopes = append(scopes, s.Name)
	}
	at := func(path string) string { return site.Base + "/oauth2/" + path }
	b, err := json.Marshal(metadata{
		Issuer: site.Issuer, Authorization: at("authorize"), Token: at("token"), Userinfo: at("userinfo"), Keys: at("keys"),
		Registration: at("register"), Introspection: at("introspect"), Revocation: at("revoke"), EndSession: at("logout"),
		Scopes: scopes, ResponseTypes: []string{"code"}, ResponseModes: []string{"query"}, GrantTypes: grantTypes,
		ACR: site.ACR, Prompts: []string{"none", "login", "consent", "select_account"},
		SubjectTypes: []string{"public"}, IDTokenAlgorithms: []string{"RS256"}, Challenges: []string{"S256"},
		TokenAuth: authMethods, IntrospectionAuth: provingMethods, RevocationAuth: authMethods,
		TokenAlgs: algorithmNames, IntrospectionAlgs: algorithmNames, RevocationAlgs: algorithmNames,
		Claims: claimNames, ResponseIssuer: true,
	})
	if err != nil {
		panic("oidc: " + err.Error()) // strings only
	}
	return b
}

// jwks publishes the keys that ID tokens are verified with.
func (h *Handler) jwks(w http.ResponseWriter, r *http.Request) {
	site := h.Site(r.Context())
	if site.Keys == nil {
		h.refuse(w, r, site, nil, ErrBusy)
		return
	}
	telling(&h.told.keys, site.Keys, site.Keys.JWKS).ServeHTTP(w, r)
}

// document is what anybody may read from anywhere, scripts of other sites too, and keep for a while.
type document struct {
	of   any // what it tells of, a pointer
	body []byte
	tag  string
}

// telling returns the document that is kept at p if it tells of the same thing, and a new one otherwise, which is kept.
func telling(p *atomic.Pointer[document], of any, write func() []byte) *document {
	if d := p.Load(); d != nil && d.of == of {
		return d
	}
	b := write()
	sum := sha256.Sum256(b)
	d := &document{of: of, body: b, tag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	p.Store(d)
	return d
}

func (d *document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	templates.SecurityHeaders(header)
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	header.Set("Cache-Control", "public, max-age="+strconv.Itoa(maxAge))
	header.Set("ETag", d.tag)
	// RFC 9110 §13.1.2. In a list too, and weakened by a proxy that compresses.
	if known := r.Header.Get("If-None-Match"); known == "*" || strings.Contains(known, d.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(d.body)))
	_, _ = w.Write(d.body) // the reader has gone: nobody is left to be told
}
