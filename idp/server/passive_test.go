package server_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// AUTH-08, ASVS 7.3.1: a page that asks again and again whether somebody is signed in keeps no session alive; a person who
// goes to an app does.
func TestPassive(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := newHouse(t, st)
		b := h.browser()
		b.signIn(b.get("/apps"), "ana", "correct horse battery")
		authorize := func(prompt string) url.Values {
			return url.Values{"response_type": {"code"}, "client_id": {"wellness"}, "redirect_uri": {"https://wellness.example/cb"}, "scope": {"openid"}, "prompt": {prompt}}
		}
		for _, c := range []struct {
			name string
			use  bool
			send func() page
		}{
			{"prompt=none", false, func() page { return b.get("/oauth2/authorize?" + authorize("none").Encode()) }},
			{"prompt=none by POST", false, func() page { return b.post("/oauth2/authorize", authorize("none"), "") }},
			{"no prompt", true, func() page { return b.get("/oauth2/authorize?" + authorize("").Encode()) }},
			{"IsPassive", false, func() page { return b.get(redirectRequest(t, h, "_passive", ` IsPassive="true"`)) }},
			{"not passive", true, func() page { return b.get(redirectRequest(t, h, "_active", "")) }},
		} {
			seen := time.Now().Add(-time.Hour).Truncate(time.Second)
			must(t, st.Write(t.Context(), func(tx *store.Tx) error {
				return tx.Do(`UPDATE session SET seen = $2 WHERE org = $1`, h.org.ID, seen)
			}))
			p := c.send()
			all, err := st.SignIn().Sessions(t.Context(), h.org.ID, h.ana.ID)
			must(t, err)
			if len(all) != 1 {
				t.Fatalf("%s: %d sessions", c.name, len(all))
			}
			if used := !all[0].Seen.Equal(seen); used != c.use {
				t.Errorf("%s: a use of the session: %t (%d at %s, %s)", c.name, used, p.status, p.url, p.header.Get("Location"))
			}
		}
	})
}
