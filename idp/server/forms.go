package server

import (
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/lanyard-sso/lanyard/idp"
)

// ownForms stands in front of our own pages: a request that changes something must be a form, and one of ours.
//
// Fetch §3.2 has browsers send Origin with every POST, and Sec-Fetch-Site since 2020–2023; by these
// http.CrossOriginProtection tells ours from others'. What has neither comes from no browser of today and passes there.
// It passes here only if it carries no cookie of ours, so that it acts for nobody, or names a page of ours as its Referer.
// Ours is the org's public address, whatever Host a proxy may have put into the request.
func (s *server) ownForms(pages http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(s.crossOrigin))
	protected := protection.Handler(pages)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		home := originOf(idp.OrgOf(r.Context()).URL)
		fetch, origin := r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Origin")
		switch {
		case r.Method == http.MethodGet, r.Method == http.MethodHead, r.Method == http.MethodOptions:
			pages.ServeHTTP(w, r)
		case fetch == "" && origin == "" && ourCookie(r) && originOf(r.Referer()) != home:
			s.crossOrigin(w, r)
		case r.Method == http.MethodPost && !isForm(r):
			s.page(w, r, http.StatusUnsupportedMediaType, "problem.bad")
		case fetch == "" && origin == home:
			pages.ServeHTTP(w, r)
		default:
			protected.ServeHTTP(w, r)
		}
	})
}

func ourCookie(r *http.Request) bool {
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, "__Host-lanyard-") || strings.HasPrefix(c.Name, "lanyard-") {
			return true
		}
	}
	return false
}

// isForm tells if r has a body that a form of ours can have, or none.
func isForm(r *http.Request) bool {
	all := r.Header.Values("Content-Type")
	if len(all) == 0 && r.ContentLength == 0 {
		return true
	}
	if len(all) != 1 || len(r.Header.Values("Content-Encoding")) > 0 {
		return false
	}
	media, _, err := mime.ParseMediaType(all[0])
	return err == nil && media == "application/x-www-form-urlencoded"
}

// originOf is scheme, host and port of an address, "" if it is none.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
