package main_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// P15, small: two hundred at once, of all kinds, get their answers, and none of them is ours to blame.
func TestManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		oidcOrg(t, o)
		o.apply(app("Your Benefits", "benefits.example", "", "groups: [staff]"), "kind: User\nusername: svc\ntype: service",
			"kind: App\nname: Batch\noauth:\n  clientID: batch\n  clientSecret: {plain: "+secret+"}\n  type: service\n  scopes: [orders]\n  flows: {clientCredentials: true}\npolicy: {users: [{user: svc}], runAs: svc}")
		var people []string
		for i := range 20 {
			people = append(people, person(fmt.Sprintf("u%d", i), ""))
		}
		o.apply(people...)
		s, w, batch := newSP(t, "benefits.example").meet(o), wellness(t, o), newRP(t, o, "batch", secret, "")
		ana := o.in("ana")
		_, token := w.signIn(ana.get(w.start()))
		kinds := []func(i int) int{
			func(int) int {
				status, _ := w.send(must(http.NewRequest("GET", o.url+"/.well-known/openid-configuration", nil)))
				return status
			},
			func(int) int { return o.browser().get("/signin").status },
			func(int) int { return ana.copy().get(s.redirect(s.request(), "")).status },
			func(int) int { return ana.copy().get("/apps").status },
			func(int) int {
				p := ana.copy().get(w.start())
				status, _ := w.call("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {p.url.Query().Get("code")}, "redirect_uri": {w.RedirectURL}})
				return status
			},
			func(int) int {
				status, _ := w.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.RefreshToken}})
				return status
			},
			func(int) int {
				status, _ := w.call("/oauth2/introspect", url.Values{"token": {token.AccessToken}})
				return status
			},
			func(int) int {
				status, _ := batch.call("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"orders"}})
				return status
			},
			func(int) int { return ana.copy().get("/saml/launch/Your_Benefits").status },
			func(i int) int { // each for themself: many at once for one would be guessing
				b := o.browser()
				return b.fill(b.get("/signin"), "username", fmt.Sprintf("u%d", i/10), "password", password).status
			},
		}
		var mu sync.Mutex
		var took []time.Duration
		race(200, func(i int) bool {
			begin := time.Now()
			status := kinds[i%len(kinds)](i)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(begin))
			if status != 200 {
				t.Errorf("kind %d: %d", i%len(kinds), status)
			}
			return true
		})
		slices.Sort(took)
		t.Logf("200 at once: median %v, slowest %v", took[len(took)/2], took[len(took)-1])
		if strings.Contains(o.nodes[0].log.String(), `"level":"ERROR"`) {
			t.Error("there are errors in the log")
		}
	})
}
