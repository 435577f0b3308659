package oidc_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/oidc"
)

// FuzzLogout holds whatever is asked to what may come of it: nobody is led anywhere but to an address that the client is
// registered with, and a session ends only by an ID token of its own. TOKEN stands for that.
func FuzzLogout(f *testing.F) {
	h := on(f)
	h.leaver("rp")
	b := h.browser("ana")
	token := b.idToken("rp")
	signature := token[strings.LastIndex(token, ".")+1:][:300]
	here, err := url.Parse(h.url)
	h.must(err)
	cookies := b.Jar.Cookies(here)
	before := maps.Clone(h.door.sessions)
	router := mux.NewRouter()
	h.handler(h.st).Mount(router)
	send := func(method, path, query, form string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(form))
		r.URL.RawQuery = query
		if method == "POST" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r.WithContext(idp.WithOrg(r.Context(), h.org)))
		return w
	}
	judge := func(t testing.TB, query, form string, post bool) (outcome string) {
		method := "GET"
		if post {
			method = "POST"
		}
		query, form = strings.ReplaceAll(query, "TOKEN", token), strings.ReplaceAll(form, "TOKEN", token)
		w := send(method, "/oauth2/logout", query, form)
		if rest, ok := strings.CutPrefix(w.Header().Get("Location"), h.url+"/oauth2/continue?"); ok {
			w = send("GET", "/oauth2/continue", rest, "")
		}
		to, session := w.Header().Get("Location"), true
		h.door.set(func(d *door) {
			session = len(d.sessions) == len(before)
			maps.Copy(d.sessions, before)
		})
		switch {
		case w.Code == http.StatusBadRequest || w.Code == http.StatusRequestEntityTooLarge:
			if to != "" || !session {
				t.Fatalf("refused, and yet: %s, signed in %v", to, session)
			}
			return "refused"
		case w.Code != http.StatusSeeOther || strings.ContainsAny(to, "\r\n"):
			t.Fatalf("%d %q %s", w.Code, to, w.Body)
		}
		outcome = "led"
		if rest, ok := strings.CutPrefix(to, h.url+"/test/leave?"); ok {
			v, err := url.ParseQuery(rest)
			if err != nil {
				t.Fatal(err)
			}
			outcome, to = "asked", v.Get("back")
		}
		if to == h.url+"/signout" { // nothing was said, so there was nothing to remember
			outcome, to = "asked", ""
		}
		registered := to == "" || to == h.url+"/test/left"
		for _, uri := range []string{byeURI, "https://app.example/"} {
			rest, ok := strings.CutPrefix(to, uri)
			registered = registered || ok && (rest == "" || strings.HasPrefix(rest, "&state=") || strings.HasPrefix(rest, "?state="))
		}
		if !registered {
			t.Fatalf("led to %q", to)
		}
		if session != (outcome == "asked") || !session && !strings.Contains(query+form, signature) {
			t.Fatalf("%s, signed in: %v", outcome, session)
		}
		return outcome
	}
	for _, c := range []struct {
		outcome string
		v       url.Values
	}{
		{"asked", leaving()}, {"led", leaving("id_token_hint", "TOKEN")}, {"refused", leaving("id_token_hint", "TOKENA")},
		{"asked", leaving("client_id", "rp", "post_logout_redirect_uri", byeURI, "state", "s")},
		{"led", leaving("id_token_hint", "TOKEN", "post_logout_redirect_uri", byeURI, "state", "\r\nx", "client_id", "rp")},
		{"refused", leaving("id_token_hint", "TOKEN", "post_logout_redirect_uri", byeURI+"&x=1")},
		{"asked", leaving("post_logout_redirect_uri", "//evil.example", "logout_hint", "ana", "ui_locales", "de")},
	} {
		for _, post := range []bool{false, true} {
			query, form := c.v.Encode(), ""
			if post {
				query, form = form, query
			}
			if got := judge(f, query, form, post); got != c.outcome {
				f.Errorf("%v: %s, want %s", c.v, got, c.outcome)
			}
			f.Add(query, form, post)
		}
	}
	f.Add("id_token_hint=TOKEN&id_token_hint=TOKEN", "", false)
	f.Add("a=%zz;b", "a=b", true)
	f.Fuzz(func(t *testing.T, query, form string, post bool) { judge(t, query, form, post) })
}

// FuzzHint: what is taken for an ID token of ours says what one of ours says.
func FuzzHint(f *testing.F) {
	h := on(f)
	c := h.leaver("rp")
	token := h.browser("ana").idToken("rp")
	handler := h.handler(h.st)
	ctx := idp.WithOrg(f.Context(), h.org)
	site := handler.Site(ctx)
	sub, sid, client, err := oidc.ReadHint(ctx, handler, site, token)
	if err != nil || sub != h.people["ana"].ID || sid == "" || client != c.ID {
		f.Fatalf("%q %q %q %v", sub, sid, client, err)
	}
	parts := strings.Split(token, ".")
	for _, s := range []string{
		token, "", "..", token + ".", parts[0] + "." + parts[1] + ".", "eyJhbGciOiJub25lIn0." + parts[1] + ".", parts[0] + ".." + parts[2],
		`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + parts[1] + "." + parts[2], h.signed(rings()[1], "JWT", `{"iss":"x"}`),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		gotSub, gotSID, gotClient, err := oidc.ReadHint(ctx, handler, site, text)
		if err == nil && (gotSub != sub || gotSID != sid || gotClient != client || !strings.HasPrefix(text, parts[0]+"."+parts[1]+".")) {
			t.Errorf("%q is taken for an ID token about %q in %q for %q", text, gotSub, gotSID, gotClient)
		}
	})
}
