package server

import (
	"context"
	"net/http"

	"github.com/lanyard-sso/lanyard/idp/store"
)

// publishing returns ctx, marked where r asks for what everybody may read and all relying parties and service providers
// need: keys and descriptions. A node that has lost its database goes on telling these from what it keeps, so that what
// was signed can be verified all the while. Nothing is decided by it.
func (s *server) publishing(ctx context.Context, r *http.Request) context.Context {
	p := r.URL.EscapedPath()
	if b := s.known.Load(); b != nil {
		p = b.cut(p)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return ctx
	}
	switch p {
	case "/oauth2/keys", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/saml/metadata", "/saml/certificate.pem":
		return store.EvenOld(ctx)
	}
	return ctx
}
