package gate_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
)

// Who came by a sign-in link has proved no password: no app is told so, and an app that asks for one has it asked for.
func TestSignInLinkProvesNoPassword(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		link, err := h.saml.SignIn.Link(t.Context(), h.ana, time.Hour, "")
		must(t, err)
		page := b.do("GET", link, nil)
		_, form, _ := strings.Cut(page.Body.String(), `action="`)
		form, _, _ = strings.Cut(form, `"`)
		b.do("POST", strings.ReplaceAll(form, "&amp;", "&"), url.Values{"decision": {"allow"}})

		s, _, err := h.oidc.Current(b.here(), h.client(0), oidc.Need{Scopes: []string{"openid"}})
		if err != nil || s == nil || s.ACR != "" || len(s.AMR) > 0 {
			t.Errorf("OpenID Connect: %+v %v", s, err)
		}
		a, _, err := h.saml.Current(b.here(), h.sp(0), email)
		if err != nil || a == nil || a.Class != saml.ClassUnspecified {
			t.Errorf("SAML: %+v %v", a, err)
		}
		for _, c := range []struct {
			class, compare string
			want           saml.Missing
		}{
			{saml.ClassUnspecified, "exact", ""},
			{saml.ClassPasswordProtected, "exact", saml.MissingSignIn},
			{saml.ClassPassword, "minimum", saml.MissingSignIn},
			{saml.ClassMFA, "exact", saml.MissingContext},
		} {
			need := saml.Need{Format: saml.FormatEmail, Classes: []string{c.class}, Compare: c.compare}
			if a, missing, err := h.saml.Current(b.here(), h.sp(0), need); missing != c.want || (a != nil) != (c.want == "") || err != nil {
				t.Errorf("%s %s: %+v %q %v", c.compare, c.class, a, missing, err)
			}
		}
		// Asked for a password, whoever is there sees the form, and does not go round in a circle.
		need := saml.Need{Format: saml.FormatEmail, Classes: []string{saml.ClassPasswordProtected}, Compare: "exact", Since: h.Now()}
		h.pass(time.Second)
		w := httptest.NewRecorder()
		h.saml.Ask(w, b.here(), h.sp(0), need, saml.MissingSignIn, "/saml/continue?login=x")
		at := w.Header().Get("Location")
		if page := b.do("GET", at, nil); page.Code != 200 || !strings.Contains(page.Body.String(), `name="password"`) {
			t.Fatalf("the form: %d", page.Code)
		}
		if back := b.do("POST", at, url.Values{"username": {"ana"}, "password": {password}}).Header().Get("Location"); back != "/saml/continue?login=x" {
			t.Errorf("back to %q", back)
		}
		if a, missing, err := h.saml.Current(b.here(), h.sp(0), need); err != nil || a == nil || a.Class != saml.ClassPasswordProtected {
			t.Errorf("by password now: %+v %q %v", a, missing, err)
		}
		if s, _, err := h.oidc.Current(b.here(), h.client(0), oidc.Need{Scopes: []string{"openid"}}); err != nil || s.ACR != idp.ACRPassword {
			t.Errorf("by password now: %+v %v", s, err)
		}
	})
}
