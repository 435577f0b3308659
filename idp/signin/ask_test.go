package signin_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/signin"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// WEB-09: whoever asks for a sign-in, the browser is only ever led to a path of this house.
func TestBack(t *testing.T) {
	h := quick(t)
	b := h.browser()
	b.signIn("/signin", "ana", anaPassword, "/apps")
	for back, want := range map[string]string{
		"/saml/continue?login=x": "/saml/continue?login=x", "/account?x=1": "/account?x=1", "/": "/", "/a//evil.example": "/a/evil.example", "/..//evil.example": "/evil.example",
		"": "/apps", "apps": "/apps", "//evil.example": "/apps", "///evil.example": "/apps", `/\evil.example`: "/apps", `\\evil.example`: "/apps",
		"/\tevil": "/apps", "/\r\nSet-Cookie: a=b": "/apps", "https:evil.example": "/apps", "https:///evil.example": "/apps",
		"https://evil.example/": "/apps", "javascript:alert(1)": "/apps", "data:text/html,x": "/apps", "//evil.example/%2f..": "/apps",
		"/%2f/evil.example": "/apps", "/%09/evil.example": "/%09/evil.example", "/%zz": "/apps", "?x=1": "/apps", "#x": "/apps",
		"/signin?next=/signin?next=//evil.example": "/signin?next=/signin?next=//evil.example", "/\x00": "/apps",
	} {
		w := b.get(h.ask(h.room.SendSignIn, signin.Ask{Back: back}))
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != want {
			t.Errorf("%q leads to %d %q, want %q", back, w.Code, w.Header().Get("Location"), want)
		}
	}
}

// quick is a house on SQLite for what has nothing to do with the database.
func quick(t testing.TB) *house {
	t.Helper()
	c := &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	return newHouse(t, storetest.New(t, storetest.SQLite, func(config *store.Config) { config.Now = c.Now }), c, "https://id.example.com")
}

// A question that this house did not write, or wrote for another org or more than an hour ago, is answered by a page that
// tells where to begin again, at GET and at POST alike.
func TestAskIsSealed(t *testing.T) {
	h := quick(t)
	b := h.browser()
	good := h.ask(h.room.SendSignIn, signin.Ask{App: h.app.ID, Back: "/account", Hint: "ana"})
	sealed := strings.TrimPrefix(good, "/signin?ask=")
	if w := b.get(good); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Wellness Tracker") || !strings.Contains(w.Body.String(), `value="ana"`) {
		t.Fatalf("a good question: %d\n%s", w.Code, w.Body)
	}
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	must(t, err)
	flipped := func(i int) string {
		c := append([]byte(nil), raw...)
		c[i] ^= 1
		return base64.RawURLEncoding.EncodeToString(c)
	}
	h.org = &idp.Org{ID: "another", URL: h.org.URL}
	foreign := strings.TrimPrefix(h.ask(h.room.SendSignIn, signin.Ask{Back: "/account"}), "/signin?ask=")
	h.org, err = h.st.Orgs().Default(t.Context())
	must(t, err)
	for name, ask := range map[string]string{
		"first byte": flipped(0), "last byte": flipped(len(raw) - 1), "middle": flipped(len(raw) / 2), "shorter": sealed[:len(sealed)-2],
		"empty seal": "AAAA", "no base64": "!", "padded": sealed + "=", "newline": sealed[:8] + "\n" + sealed[8:], "64 kB": strings.Repeat("A", 64<<10),
		"another org's": foreign, "loose bits": looseBits(sealed), "plain JSON": base64.RawURLEncoding.EncodeToString([]byte(`{"b":"/account"}`)),
	} {
		for _, path := range []string{"/signin", "/consent"} {
			target := path + "?ask=" + url.QueryEscape(ask)
			w := b.get(target)
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "REFERENC") || w.Header().Get("Location") != "" {
				t.Errorf("%s: GET %s: %d", name, path, w.Code)
			}
			w = b.post(target, "username", "ana", "password", anaPassword, "decision", "allow")
			if w.Code != http.StatusBadRequest || b.session() != nil {
				t.Errorf("%s: POST %s: %d", name, path, w.Code)
			}
		}
	}
	// An hour-old page.
	h.pass(time.Hour)
	if w := b.get(good); w.Code != http.StatusOK {
		t.Errorf("after an hour: %d", w.Code)
	}
	h.pass(time.Second)
	for _, w := range []*httptest.ResponseRecorder{b.get(good), b.post(good, "username", "ana", "password", anaPassword)} {
		if w.Code != http.StatusBadRequest || b.session() != nil || !strings.Contains(w.Body.String(), `href="https://wellness.example/"`) || !strings.Contains(w.Body.String(), `href="/apps"`) {
			t.Errorf("after more than an hour: %d\n%s", w.Code, w.Body)
		}
	}
}

// looseBits is the same bytes in another spelling, which a lenient decoder takes, where there is one.
func looseBits(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(s)%4 == 0 {
		return "!"
	}
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[last|1])
}

func FuzzBack(f *testing.F) {
	for _, s := range []string{"/apps", "//evil", `/\evil`, "/\tevil", "https:evil", "/a?b=//c", "/%2fevil", "/a\\b", "/..//evil"} {
		f.Add(s)
	}
	h := quick(f)
	b := h.browser()
	b.signIn("/signin", "ana", anaPassword, "/apps")
	f.Fuzz(func(t *testing.T, back string) {
		w := b.get(h.ask(h.room.SendSignIn, signin.Ask{Back: back}))
		if w.Code != http.StatusSeeOther {
			t.Fatalf("%q: %d", back, w.Code)
		}
		to := w.Header().Get("Location")
		u, err := url.Parse(to)
		if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\t\r\n") {
			t.Errorf("%q leads to %q", back, to)
		}
	})
}
