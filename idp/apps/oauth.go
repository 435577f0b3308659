package apps

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/oidc"
)

const (
	maxClientID  = 256
	minSecret    = 6
	maxSecret    = 256
	maxRedirects = 50
	maxScopes    = 200
	maxChildren  = 100_000
)

func (c *checking) oauth() {
	o := c.app.OAuth
	if o == nil {
		return
	}
	if !isClientID(o.ID) {
		c.fault("oauth.clientID", "%q must be 1 to %d letters, digits and . _ ~ -", clip(o.ID), maxClientID)
	}
	c.oneOf("oauth.type", o.Type, "web", "native", "browser", "service")
	c.addresses("oauth.redirectURIs", o.RedirectURIs, o.Type == "native", oidc.CheckRedirectURI)
	if len(o.RedirectURIs) == 0 && o.AuthorizationCode {
		c.fault("oauth.redirectURIs", "the authorization code flow needs an address to answer to")
	}
	c.addresses("oauth.postLogoutRedirectURIs", o.PostLogoutRedirectURIs, o.Type == "native", oidc.CheckPostLogoutURI)
	c.scopesOf("oauth.scopes", o.Scopes, c.scopes, "is declared nowhere: declare it as kind: Scope")
	c.scopesOf("oauth.defaultScopes", o.DefaultScopes, o.Scopes, "is not among oauth.scopes")
	if o.ClientCredentials && (o.Public || o.AuthMethod == oidc.MethodNone) {
		c.fault("oauth.flows.clientCredentials", "a client that keeps no secret can not act by itself (RFC 6749 §4.4)")
	}
	c.oneOf("oauth.requirePKCE", o.RequirePKCE, "", "auto", "true")
	c.oneOf("oauth.tokenEndpointAuthMethod", o.AuthMethod, "", oidc.MethodBasic, oidc.MethodPost, oidc.MethodPrivateKey, oidc.MethodNone)
	if o.Public && o.AuthMethod != "" && o.AuthMethod != oidc.MethodNone {
		c.fault("oauth.tokenEndpointAuthMethod", "a public client keeps nothing to prove itself with; say none, or public: false")
	}
	c.keys(o)
	if o.AuthMethod == oidc.MethodNone && !o.Public && (o.SecretForCode || o.SecretForRefresh) {
		c.fault("oauth.tokenEndpointAuthMethod", "none means that no secret is shown, but requireSecret asks for one; say public: true if the client keeps none")
	}
	c.oneOf("oauth.introspect", o.Introspect, "own", "children", "all")
	c.oneOf("oauth.rotateRefreshTokens", o.RotateRefreshTokens, "", "auto", "on", "off")
	c.oneOf("oauth.idToken.claims", o.IDTokenClaims, "", "requested", "standard")
	c.within("oauth.accessToken.lifetime", o.AccessTokenLifetime, time.Minute, 24*time.Hour)
	c.within("oauth.idToken.lifetime", o.IDTokenLifetime, time.Minute, 720*time.Minute)
	c.mould(o.Mould)
}

// keys holds the keys of a client to being there where they are used, and nowhere else.
func (c *checking) keys(o *oidc.Client) {
	used := o.AuthMethod == oidc.MethodPrivateKey
	switch {
	case o.JWKS != nil && o.JWKSURI != "":
		c.fault("oauth.jwksURI", "the keys are in oauth.jwks or at oauth.jwksURI, not both")
	case used && o.JWKS == nil && o.JWKSURI == "":
		c.fault("oauth.tokenEndpointAuthMethod", "private_key_jwt needs the client's public keys: oauth.jwks, or the address they are at, oauth.jwksURI")
	case !used && o.JWKS != nil:
		c.fault("oauth.jwks", "keys are used by tokenEndpointAuthMethod: private_key_jwt only")
	case !used && o.JWKSURI != "":
		c.fault("oauth.jwksURI", "keys are used by tokenEndpointAuthMethod: private_key_jwt only")
	case o.JWKS != nil && o.JWKS.Empty():
		c.fault("oauth.jwks", "there is no key to sign with")
	}
	if o.JWKSURI != "" {
		if err := oidc.CheckKeysURI(o.JWKSURI); err != nil {
			c.fault("oauth.jwksURI", "%s", err)
		}
	}
}

// addresses holds the addresses that browsers are sent to for a client (OA-RED-07).
func (c *checking) addresses(key string, list []string, native bool, check func(uri string, native bool) error) {
	if len(list) > maxRedirects {
		c.fault(key, "there are more than %d", maxRedirects)
		return
	}
	for n, uri := range list {
		path := fmt.Sprintf("%s[%d]", key, n)
		if slices.Contains(list[:n], uri) {
			c.fault(path, "%q is named twice", clip(uri))
			continue
		}
		if err := check(uri, native); err != nil {
			text := err.Error()
			var e *oidc.Error
			if errors.As(err, &e) {
				text = strings.TrimSuffix(e.Description, ".")
			}
			c.fault(path, "%s", text)
		}
	}
}

// scopesOf holds a list of scopes to those that can be given.
func (c *checking) scopesOf(key string, list, known []string, otherwise string) {
	if len(list) > maxScopes {
		c.fault(key, "there are more than %d", maxScopes)
		return
	}
	for n, s := range list {
		path := fmt.Sprintf("%s[%d]", key, n)
		switch {
		case slices.Contains(list[:n], s):
			c.fault(path, "%q is named twice", clip(s))
		case !slices.Contains(known, s):
			c.fault(path, "the scope %q %s", clip(s), otherwise)
		}
	}
}

func (c *checking) mould(m *oidc.Mould) {
	if m == nil {
		return
	}
	const key = "oauth.registration"
	if m.Limit < 1 || m.Limit > maxChildren {
		c.fault(key+".limit", "%d is not between 1 and %d", m.Limit, maxChildren)
	}
	if m.ExpireUnusedAfter != 0 && m.ExpireUnusedAfter < time.Hour {
		c.fault(key+".expireUnusedAfter", "%s is less than an hour", m.ExpireUnusedAfter)
	}
	if len(m.Grants) == 0 {
		c.fault(key+".grants", "a client without a grant type can do nothing")
	}
	for n, g := range m.Grants {
		c.oneOf(fmt.Sprintf("%s.grants[%d]", key, n), g, oidc.GrantCode, oidc.GrantRefresh, oidc.GrantClientCredentials)
	}
	c.scopesOf(key+".scopes", m.Scopes, c.scopes, "is declared nowhere: declare it as kind: Scope")
	c.oneOf(key+".permit", m.Permit, "", "everyone", "nobody")
	if m.RunAs == "" && slices.Contains(m.Grants, oidc.GrantClientCredentials) {
		c.fault(key+".runAs", "clients that act by themselves act as a user: say auto, or whom")
	}
}

// isClientID tells if s can be a client_id: what every form, header and URL carries as it is.
func isClientID(s string) bool {
	if s == "" || len(s) > maxClientID {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._~-", r)
	})
}

// checkSecret holds a client secret that somebody brought along. RFC 6749 appendix A.2: "client-secret = *VSCHAR".
func checkSecret(s string) *Fault {
	if len(s) < minSecret || len(s) > maxSecret || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return &Fault{"oauth.clientSecret", fmt.Sprintf("a client secret is %d to %d printable ASCII characters", minSecret, maxSecret)}
	}
	return nil
}
