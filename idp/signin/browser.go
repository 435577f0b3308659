package signin

import (
	"net/http"

	"github.com/lanyard-sso/lanyard/idp"
)

// cookieName is name as the org's browsers hold it: bound to the host where https allows it (RFC 6265bis §4.1.3.2).
func cookieName(o *idp.Org, name string) string {
	if name != "" {
		name = "-" + name
	}
	if o.Secure() {
		return "__Host-lanyard-" + o.ID + name
	}
	return "lanyard-" + o.ID + name
}

func setCookie(w http.ResponseWriter, o *idp.Org, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName(o, name), Value: value, Path: "/", MaxAge: maxAge,
		Secure: o.Secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// cookies returns all values of a cookie: a neighbour may have planted one beside ours, which must not win.
func cookies(r *http.Request, o *idp.Org, name string) []string {
	var values []string
	for _, c := range r.CookiesNamed(cookieName(o, name)) {
		if len(values) == 4 {
			break
		}
		values = append(values, c.Value)
	}
	return values
}

const browserMaxAge = 400 * 24 * 3600 // what browsers allow at most

// Browser returns the hash of the secret that marks the browser which sent r, giving it one if it has none. A login is
// bound to it, and throttling knows by it where a person has signed in before. It says nothing of who is there.
func (h *Handler) Browser(w http.ResponseWriter, r *http.Request) []byte {
	o := idp.OrgOf(r.Context())
	if hash := Marked(r); hash != nil {
		return hash
	}
	text, hash := secret()
	value := "b." + text
	setCookie(w, o, "browser", value, browserMaxAge)
	// What follows in this very request must see the same browser.
	r.AddCookie(&http.Cookie{Name: cookieName(o, "browser"), Value: value})
	return hash
}

// Marked is Browser for a request that may not set a cookie; nil: not marked.
func Marked(r *http.Request) []byte {
	for _, v := range cookies(r, idp.OrgOf(r.Context()), "browser") {
		if id, s, ok := split(v); ok && id == "b" {
			return hashOf(s)
		}
	}
	return nil
}
