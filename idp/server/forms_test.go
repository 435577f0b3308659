package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// WEB-01, WEB-16: what changes something here is a form, sent by a page of ours or by something that is no browser and acts
// for nobody. Ours is the public address, whatever Host a proxy asks with.
func TestOwnForms(t *testing.T) {
	h := newHouse(t, storetest.New(t, storetest.SQLite))
	b := h.browser()
	b.signIn(b.get("/apps"), "ana", "correct horse battery")
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		name   string
		cookie bool
		header []string
		status int
	}{
		{"our page", true, []string{"Content-Type", form, "Origin", h.url, "Sec-Fetch-Site", "same-origin"}, 303},
		{"our page, an older browser", true, []string{"Content-Type", form, "Origin", h.url}, 303},
		{"our page by a proxy that asks with its own Host", true, []string{"Content-Type", form, "Origin", h.url, "Host", "upstream:8080"}, 303},
		{"with a charset", true, []string{"Content-Type", form + "; charset=UTF-8", "Origin", h.url}, 303},
		{"another site that knows the proxy's Host", true, []string{"Content-Type", form, "Origin", "http://evil.example", "Host", "upstream:8080"}, 403},
		{"neither Origin nor Sec-Fetch-Site", true, []string{"Content-Type", form}, 403},
		{"neither, a stranger's Referer", true, []string{"Content-Type", form, "Referer", "http://evil.example/" + h.url}, 403},
		{"neither, a Referer that begins like ours", true, []string{"Content-Type", form, "Referer", h.url + ".evil.example/"}, 403},
		{"neither, a Referer with a name in it", true, []string{"Content-Type", form, "Referer", strings.Replace(h.url, "://", "://x@", 1)}, 403},
		{"neither, our Referer", true, []string{"Content-Type", form, "Referer", h.url + "/account"}, 303},
		{"neither, and no cookie: asked to sign in", false, []string{"Content-Type", form}, 303},
		{"text", true, []string{"Content-Type", "text/plain", "Origin", h.url}, 415},
		{"parts", true, []string{"Content-Type", "multipart/form-data; boundary=x", "Origin", h.url}, 415},
		{"JSON", true, []string{"Content-Type", "application/json", "Origin", h.url}, 415},
		{"two types", true, []string{"Content-Type", form, "Content-Type", "text/plain", "Origin", h.url}, 415},
		{"no type", true, []string{"Origin", h.url}, 415},
		{"compressed", true, []string{"Content-Type", form, "Content-Encoding", "gzip", "Origin", h.url}, 415},
	} {
		r, err := http.NewRequest("POST", h.url+"/account/grants", strings.NewReader("id=x"))
		must(t, err)
		for i := 0; i < len(c.header); i += 2 {
			if c.header[i] == "Host" {
				r.Host = c.header[i+1]
				continue
			}
			r.Header.Add(c.header[i], c.header[i+1])
		}
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		if c.cookie {
			for _, k := range b.Jar.Cookies(r.URL) {
				r.AddCookie(k)
			}
		}
		res, err := client.Do(r)
		must(t, err)
		res.Body.Close()
		to := res.Header.Get("Location")
		if want := map[bool]string{true: "/account?done=grants", false: "/signin?ask="}[c.cookie]; res.StatusCode != c.status || c.status == 303 && !strings.HasPrefix(to, want) {
			t.Errorf("%s: %d %s, want %d", c.name, res.StatusCode, to, c.status)
		}
	}
}
