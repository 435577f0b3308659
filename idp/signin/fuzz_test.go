package signin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/signin"
)

// FuzzCookie: whatever cookies a browser sends, nobody is signed in there but who holds the session's own; and what a
// neighbour has planted beside it does not sign them out, unless it is more than four of the same name.
func FuzzCookie(f *testing.F) {
	h := quick(f)
	b := h.browser()
	b.signIn("/signin", "ana", anaPassword, "/apps")
	c := b.session()
	id, secret, _ := strings.Cut(c.Value, ".")
	current := func(header string) *signin.Signed {
		r := h.browser().request("GET", "/", nil)
		r.Header.Set("Cookie", header)
		s, err := h.room.Current(r.WithContext(h.context(r)))
		if err != nil {
			f.Fatal(err)
		}
		return s
	}
	if current(c.Name+"="+c.Value) == nil {
		f.Fatal("the session's own cookie is nobody")
	}
	for _, s := range []string{"", "x=y", c.Name + "=", c.Name + "=" + id, c.Name + "=" + id + ".", c.Name + "=" + id + "." + strings.Repeat("A", 43), c.Name + "=." + strings.Repeat("A", 43), c.Name + "=" + id + "." + looseBits(secret)[:43],
		c.Name + "=\"a.b\"", strings.Repeat(c.Name+"=x; ", 3), "=;=;", "\x00", c.Name + "-browser=b." + strings.Repeat("A", 43), strings.ToUpper(c.Name) + "=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if strings.Contains(header, secret) {
			return
		}
		if s := current(header); s != nil {
			t.Errorf("%q is %s", header, s.User.Username)
		}
		if strings.Count(header, ";") > 1000 { // net/http reads none of so many
			return
		}
		if strings.Count(header, "lanyard") < 4 && current(header+"; "+c.Name+"="+c.Value) == nil {
			t.Errorf("%q signs somebody out", header)
		}
	})
}

// FuzzAsk: no question but one that this house sealed is answered, in no spelling but its own.
func FuzzAsk(f *testing.F) {
	h := quick(f)
	own := h.ask(h.room.SendSignIn, signin.Ask{Back: "/apps?x=1"})
	_, sealed, _ := strings.Cut(own, "?ask=")
	consent, _ := strings.CutPrefix(h.ask(h.room.SendConsent, signin.Ask{Back: "/apps?x=1"}), "/consent?ask=")
	b := h.browser()
	if w := b.get("/signin?ask=" + sealed); w.Code != http.StatusOK {
		f.Fatalf("its own: %d", w.Code)
	}
	for _, s := range []string{sealed[1:], sealed + "A", sealed[:len(sealed)-4], looseBits(sealed), sealed + "=", sealed + "\n", strings.ToLower(sealed), "A", "AAAA", "%00", consent[:20], strings.Repeat("A", 5000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" || text == sealed || text == consent {
			return
		}
		if w := b.get("/signin?ask=" + url.QueryEscape(text)); w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), `name="password"`) {
			t.Errorf("%q: %d", text, w.Code)
		}
	})
}
