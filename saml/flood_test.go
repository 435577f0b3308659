package saml_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/saml"
)

// TestFlood: from where too many requests wait for their person, no more are remembered; whoever is signed in is answered all
// the same, and so is everybody elsewhere.
func TestFlood(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		p := w.ana()
		b := w.at(p)
		caller := idp.WithCaller(t.Context(), &idp.Caller{IP: b.ip})
		for _, size := range []int{4 << 20, 64 << 10, 0} {
			for n := 0; n < 100 && w.st.SAML().AddLogin(caller, w.org, &saml.Login{App: w.apps["A"], RelayState: strings.Repeat("r", size)}) == nil; n++ {
			}
		}
		stranger := w.browser()
		stranger.ip = b.ip
		for name, a := range map[string]*answer{
			"by POST":     b.post("/saml/sso", posted(w.request(spA).String())),
			"by Redirect": stranger.get(redirect(w.request(spA).String())),
			"a launch":    stranger.get("/saml/launch/A"),
		} {
			ev := w.local(t, a, "TooManyRequests", "saml: too many requests are unanswered")
			if a.status != http.StatusTooManyRequests || a.res.Header.Get("Retry-After") != "60" || ev.App != "A" {
				t.Errorf("%s: status %d, Retry-After %q, event %+v", name, a.status, a.res.Header.Get("Retry-After"), ev)
			}
		}
		w.success(t, b.get(redirect(w.request(spA).String())), acsA)
		elsewhere := w.browser()
		w.success(t, elsewhere.follow(t, elsewhere.post("/saml/sso", posted(w.request(spA).String())), p), acsA)
		w.clock.advance(time.Minute)
		w.success(t, b.follow(t, b.post("/saml/sso", posted(w.request(spA).String())), p), acsA)
	})
}
