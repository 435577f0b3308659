package oidc

import (
	"net/http"
	"net/url"

	"github.com/lanyard-sso/lanyard/templates"
)

// share lets scripts read this answer if they are of a site that c is answered at, and c lives in browsers (Core §5.3: "The
// UserInfo Endpoint SHOULD support the use of Cross-Origin Resource Sharing"). It is decided when it is known which client
// the request is about, never by what the request says of itself; a request with cookies is none of these.
func (c *Client) share(w http.ResponseWriter, r *http.Request) {
	if c == nil || c.Type != "browser" {
		return
	}
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	for _, uri := range c.RedirectURIs {
		u, err := url.Parse(uri)
		if err == nil && (u.Scheme == "https" || u.Scheme == "http") && origin == u.Scheme+"://"+u.Host {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			return
		}
	}
}

// preflight tells a browser that it may ask here for a script. Whether the script may read the answer is told with that.
func preflight(w http.ResponseWriter, _ *http.Request) {
	header := w.Header()
	templates.SecurityHeaders(header)
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Allow-Methods", "GET, POST")
	header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	header.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}
