package server_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// What PostgreSQL keeps in no text, NUL and bytes that are no UTF-8, is nobody's id at any door, and no fault of ours.
func TestStrangeIDs(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		h := newHouse(t, st)
		b := h.browser()
		b.signIn(b.get("/apps"), "ana", "correct horse battery")
		secret := strings.Repeat("A", 43)
		for _, id := range []string{"a\x00b", "\xff\xfe", "\u00e9", strings.Repeat("a", 3000)} {
			q := url.QueryEscape(id)
			for _, path := range []string{
				"/signin/link?link=" + q + "." + secret, "/setup?link=" + q + "." + secret, "/signin?ask=" + q, "/consent?ask=" + q, "/signout?ask=" + q,
				"/account?done=grants&app=" + q, "/account?done=" + q, "/apps?x=" + q, "/oauth2/continue?login=" + q, "/oauth2/continue?login=" + q + "&refused=1",
				"/oauth2/authorize?client_id=" + q, "/oauth2/logout?client_id=" + q, "/oauth2/register/" + q, "/saml/continue?login=" + q, "/saml/launch/" + q, "/saml/metadata?app=" + q, "/" + q,
			} {
				if p := b.get(path); p.status >= 500 {
					t.Errorf("GET %.60s: %d", path, p.status)
				}
			}
			form := url.Values{"id": {id}}
			for path, form := range map[string]url.Values{
				"/account/grants": form, "/account/grants#app": {"app": {id}}, "/account/sessions": form,
				"/signin/link?link=" + q + "." + secret: {"decision": {"allow"}}, "/setup?link=" + q + "." + secret: {"username": {"eve"}},
				"/account/password": {"current": {id}, "password": {id + "long enough"}, "repeat": {id + "long enough"}},
			} {
				if p := b.post(path, form, h.url); p.status >= 500 {
					t.Errorf("POST %.60s: %d", path, p.status)
				}
			}
			// As a cookie's id; a cookie that can not be sent is not sent.
			r, err := http.NewRequest("GET", h.url+"/apps", nil)
			must(t, err)
			r.Header.Set("Cookie", "lanyard-"+h.org.ID+"="+strings.ReplaceAll(id, "\x00", "")+"."+secret+"; lanyard-"+h.org.ID+"-browser="+strings.ReplaceAll(id, "\x00", "")+"."+secret)
			if p := (&browser{h.t, h.url, &http.Client{}}).do(r); p.status >= 500 {
				t.Errorf("as a cookie: %d", p.status)
			}
		}
		// The first administrator's own words.
		link, err := h.config(h.log).NewSignIn().SetupLink(t.Context(), h.org.ID)
		must(t, err)
		if link != "" {
			t.Fatal("there are people, and a link")
		}
		must(t, st.Write(t.Context(), func(tx *store.Tx) error {
			return errors.Join(tx.DropUser(h.org.ID, h.ana.ID), tx.DropUser(h.org.ID, h.ben.ID))
		}))
		link, err = h.config(h.log).NewSignIn().SetupLink(t.Context(), h.org.ID)
		must(t, err)
		for _, field := range []string{"username", "email", "givenName", "familyName", "password"} {
			form := url.Values{"username": {"root"}, "email": {"root@example.com"}, "givenName": {"Ro"}, "familyName": {"Ot"}, "password": {"correct horse battery"}}
			form.Set(field, form.Get(field)+"\x00")
			form["repeat"] = form["password"]
			if p := h.browser().post(link, form, h.url); p.status >= 500 {
				t.Errorf("set-up, %s: %d", field, p.status)
			}
		}
	})
}
