package gate_test

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
)

var email = saml.Need{Format: saml.FormatEmail}

// closed are the ways in which an app is closed to Ana, and the words of the event.
var closed = []struct {
	name        string
	close       func(h *house)
	event, rule string
}{
	{"blocked", func(h *house) {
		h.install(h.apps[0], idp.Installation{PermittedUsers: idp.AdminApproved, Users: []idp.Permitted{{User: h.ana.ID}}})
		h.block(0, true)
	}, "AppBlocked", "app-blocked"},
	{"not installed", func(h *house) {
		h.write(func(tx *store.Tx) error { return tx.DropInstallation(h.org.ID, h.apps[0].ID) })
	}, "NoAccess", "app-not-installed"},
	{"not permitted", func(h *house) {
		h.install(h.apps[0], idp.Installation{PermittedUsers: idp.AdminApproved, Groups: []string{"another"}})
	}, "NoAccess", "permitted-users"},
	{"permitted until a moment ago", func(h *house) {
		h.install(h.apps[0], idp.Installation{PermittedUsers: idp.AdminApproved, Users: []idp.Permitted{{User: h.ana.ID, Until: h.Now()}}})
	}, "NoAccess", "permitted-users"},
}

func TestSAML(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		current := func(need saml.Need) (*saml.Subject, saml.Missing, error) {
			return h.saml.Current(b.here(), h.sp(0), need)
		}
		missing := func(what string, need saml.Need, want saml.Missing) {
			t.Helper()
			if s, missing, err := current(need); s != nil || missing != want || err != nil {
				t.Errorf("%s: %+v, %q, %v; want %q", what, s, missing, err, want)
			}
		}
		missing("nobody", email, saml.MissingSignIn)
		b.signIn("ana")
		proved := h.Now()
		h.pass(time.Minute)
		s, _, err := current(email)
		must(t, err)
		want := &saml.Subject{
			User: h.ana.ID, Session: s.Session, SessionIndex: s.SessionIndex, AuthnInstant: proved, // SAML-RSP-10: not the time of the request
			NameID: saml.NameID{Format: saml.FormatEmail, Value: "ana@example.com"}, Class: saml.ClassPasswordProtected,
			Attributes: s.Attributes,
		}
		if diff := cmp.Diff(want, s); diff != "" || len(s.Attributes) != 3 {
			t.Errorf("%s", diff)
		}
		missing("SAML-REQ-16 proved before", saml.Need{Since: proved.Add(time.Microsecond)}, saml.MissingSignIn)
		if s, missing, err := current(saml.Need{Since: proved, Format: saml.FormatEmail}); s == nil || missing != "" || err != nil {
			t.Errorf("proved just then: %q %v", missing, err)
		}
		// SAML-REQ-15: only what a password truly satisfies.
		for _, c := range []struct {
			classes       []string
			compare, want string
		}{
			{nil, "", saml.ClassPasswordProtected},
			{[]string{saml.ClassPassword}, "exact", saml.ClassPassword},
			{[]string{saml.ClassMFA, saml.ClassUnspecified}, "exact", saml.ClassUnspecified},
			{[]string{saml.ClassPassword}, "minimum", saml.ClassPasswordProtected},
			{[]string{saml.ClassMFA}, "exact", ""},
			{[]string{saml.ClassMFA}, "minimum", ""},
			{[]string{saml.ClassPassword}, "better", ""},
			{[]string{"urn:x"}, "exact", ""},
		} {
			need := saml.Need{Format: saml.FormatEmail, Classes: c.classes, Compare: c.compare}
			s, missing, err := current(need)
			must(t, err)
			switch {
			case c.want == "" && (s != nil || missing != saml.MissingContext):
				t.Errorf("%s %v: %q", c.compare, c.classes, missing)
			case c.want != "" && (s == nil || s.Class != c.want):
				t.Errorf("%s %v: %+v", c.compare, c.classes, s)
			}
		}
		for setting, want := range map[string]string{"lenient": "", "strict": "", saml.ClassMFA: saml.ClassMFA} { // an admin's word
			sp := *h.sp(0)
			sp.AuthnContext = setting
			s, missing, err := h.saml.Current(b.here(), &sp, saml.Need{Format: saml.FormatEmail, Classes: []string{"urn:x"}})
			if err != nil || want == "" && missing != saml.MissingContext || want != "" && s.Class != want {
				t.Errorf("%s: %+v %q %v", setting, s, missing, err)
			}
		}
		var e *saml.Error
		if s, _, err := current(saml.Need{Format: saml.FormatPersistent}); s != nil || !errors.As(err, &e) || e.Sub != saml.StatusInvalidNameIDPolicy {
			t.Errorf("SAML-REQ-14: %+v, %v", s, err)
		}
		for _, c := range closed {
			c.close(h)
			var denied *saml.Denied
			s, missing, err := current(email)
			if s != nil || missing != "" || !errors.As(err, &denied) || denied.Code != c.event || denied.User != h.ana.ID || !strings.HasPrefix(denied.Reason, c.rule+": ") {
				t.Errorf("%s: %+v, %q, %v", c.name, s, missing, err)
			}
			h.block(0, false)
		}
		// SAML asks nobody for consent: who may authorize themself may enter.
		h.install(h.apps[0], idp.Installation{PermittedUsers: idp.SelfAuthorize})
		if s, _, err := current(email); s == nil || err != nil {
			t.Errorf("self-authorize: %v", err)
		}
		h.write(func(tx *store.Tx) error { return tx.SetActive(h.org.ID, h.ana.ID, false) })
		missing("AUTH-07 deactivated", email, saml.MissingSignIn)
	})
}

func TestOIDC(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		openid := oidc.Need{Scopes: []string{"openid", "email"}}
		current := func(need oidc.Need) (*oidc.Subject, oidc.Missing, error) {
			return h.oidc.Current(b.here(), h.client(0), need)
		}
		missing := func(what string, need oidc.Need, want oidc.Missing) {
			t.Helper()
			if s, missing, err := current(need); s != nil || missing != want || err != nil {
				t.Errorf("%s: %+v, %q, %v; want %q", what, s, missing, err, want)
			}
		}
		missing("nobody", openid, oidc.MissingSignIn)
		b.signIn("ana")
		proved := h.Now()
		h.pass(time.Minute)
		s, _, err := current(openid)
		must(t, err)
		want := &oidc.Subject{
			User: h.ana.ID, Username: "ana", Session: s.Session, SID: s.SID, AuthTime: proved, ACR: idp.ACRPassword, AMR: []string{"pwd"},
			Scopes: []string{"openid", "email"}, Claims: map[string]any{"email": "ana@example.com", "email_verified": true},
		}
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("%s", diff)
		}
		missing("OA-PR-02 proved before", oidc.Need{Since: proved.Add(time.Microsecond)}, oidc.MissingSignIn)
		missing("another person is meant", oidc.Need{Sub: "somebody"}, oidc.MissingAccount)
		if s, _, err := current(oidc.Need{Sub: h.ana.ID}); s == nil || err != nil {
			t.Errorf("she is meant: %v", err)
		}
		// Named by an admin: nobody asks for consent, whatever the request says.
		if s, missing, err := current(oidc.Need{Scopes: []string{"openid"}, ConsentSince: h.Now()}); s == nil || err != nil {
			t.Errorf("admin-approved: %q %v", missing, err)
		}
		for _, c := range closed {
			c.close(h)
			var denied *oidc.Denied
			s, missing, err := current(openid)
			if s != nil || missing != "" || !errors.As(err, &denied) || denied.Code != "access_denied" || denied.Event != c.event ||
				denied.User != h.ana.ID || !strings.HasPrefix(denied.Reason, c.rule+": ") || strings.Contains(denied.Description, c.rule) {
				t.Errorf("%s: %+v, %q, %v", c.name, s, missing, err)
			}
			h.block(0, false)
		}

		// Self-authorize: consent, remembered for the app and for what was asked.
		h.install(h.apps[0], idp.Installation{PermittedUsers: idp.SelfAuthorize})
		h.install(h.apps[1], idp.Installation{PermittedUsers: idp.SelfAuthorize})
		missing("no consent yet", openid, oidc.MissingConsent)
		must(t, h.st.SignIn().PutConsent(t.Context(), h.org.ID, h.ana.ID, h.apps[0].ID, []string{"openid", "email"}, h.Now()))
		given := h.Now()
		h.pass(time.Minute)
		for _, scopes := range [][]string{{"openid", "email"}, {"email"}, nil} {
			if s, missing, err := current(oidc.Need{Scopes: scopes}); s == nil || err != nil || !slices.Equal(s.Scopes, scopes) {
				t.Errorf("remembered, %q: %q %v", scopes, missing, err)
			}
		}
		missing("OA-CO-03 a new scope", oidc.Need{Scopes: []string{"openid", "profile"}}, oidc.MissingConsent)
		missing("OA-CO-03 prompt=consent", oidc.Need{Scopes: []string{"openid"}, ConsentSince: given.Add(time.Microsecond)}, oidc.MissingConsent)
		if s, _, err := current(oidc.Need{Scopes: []string{"openid"}, ConsentSince: given}); s == nil || err != nil {
			t.Errorf("consented just then: %v", err)
		}
		if s, missing, err := h.oidc.Current(b.here(), h.client(1), openid); s != nil || missing != oidc.MissingConsent || err != nil {
			t.Errorf("consent to another app counts: %+v %q %v", s, missing, err)
		}
		// What a closed app asks for is no matter of consent.
		h.block(1, true)
		if _, missing, err := h.oidc.Current(b.here(), h.client(1), openid); missing != "" || err == nil {
			t.Errorf("consent to a blocked app: %q", missing)
		}
		h.write(func(tx *store.Tx) error { return tx.SetActive(h.org.ID, h.ana.ID, false) })
		missing("AUTH-07 deactivated", openid, oidc.MissingSignIn)
	})
}

// A session has a name of its own towards each app, the same as long as it lives, and another in the next session.
func TestSessionNames(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		names := func() [4]string {
			t.Helper()
			var all [4]string
			for i := range 2 {
				s, _, err := h.saml.Current(b.here(), h.sp(i), email)
				must(t, err)
				o, _, err := h.oidc.Current(b.here(), h.client(i), oidc.Need{})
				must(t, err)
				all[i], all[2+i] = s.SessionIndex, o.SID
			}
			return all
		}
		b.signIn("ana")
		first := names()
		form := regexp.MustCompile(`^_?[a-z2-7]{32}$`)
		for i, n := range first {
			if !form.MatchString(n) || strings.HasPrefix(n, "_") != (i < 2) {
				t.Errorf("name %q", n)
			}
		}
		if first[0] == first[1] || first[2] == first[3] {
			t.Error("two apps can compare their names of the session")
		}
		h.pass(time.Hour)
		b.signIn("ana") // proved again, in the same session
		if again := names(); again != first {
			t.Errorf("%q became %q", first, again)
		}
		b.signOut()
		b.signIn("ana")
		for i, n := range names() {
			if n == first[i] {
				t.Errorf("another session has the name %q", n)
			}
		}
	})
}

// Ask leads to the page that gets what is missing, and from there back.
func TestAsk(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		to := func(f func(w *httptest.ResponseRecorder)) string {
			w := httptest.NewRecorder()
			f(w)
			return w.Header().Get("Location")
		}
		const back = "/oauth2/continue?login=x"
		ask := func(missing oidc.Missing, need oidc.Need) string {
			return to(func(w *httptest.ResponseRecorder) { h.oidc.Ask(w, b.here(), h.client(0), need, missing, back) })
		}
		sp := to(func(w *httptest.ResponseRecorder) {
			h.saml.Ask(w, b.here(), h.sp(0), saml.Need{Hint: "victim@example.com", Since: h.Now().Add(time.Hour)}, saml.MissingSignIn, "/saml/continue?login=x")
		})
		if body := b.do("GET", sp, nil).Body.String(); !strings.Contains(body, "to continue to One") || !strings.Contains(body, `value="victim@example.com"`) {
			t.Errorf("SAML: %s\n%s", sp, body)
		}
		b.signIn("ana")
		h.pass(time.Second)
		if w := b.do("GET", sp, nil); w.Code != 200 {
			t.Errorf("need.Since is lost: %d", w.Code)
		}
		if w := b.do("GET", ask(oidc.MissingSignIn, oidc.Need{}), nil); w.Header().Get("Location") != back {
			t.Errorf("signed in: %d to %q", w.Code, w.Header().Get("Location"))
		}
		if w := b.do("GET", ask(oidc.MissingSignIn, oidc.Need{Since: h.Now()}), nil); !strings.Contains(w.Body.String(), `value="ana"`) {
			t.Errorf("prove again: %d", w.Code)
		}
		if w := b.do("GET", ask(oidc.MissingAccount, oidc.Need{Sub: "somebody"}), nil); w.Code != 200 || strings.Contains(w.Body.String(), `value="ana"`) {
			t.Errorf("another account: %d\n%s", w.Code, w.Body)
		}
		w := b.do("GET", ask(oidc.MissingConsent, oidc.Need{Scopes: []string{"openid", "email"}}), nil)
		if body := w.Body.String(); !strings.Contains(body, "One asks for access") || !strings.Contains(body, "You will go on to one.example") || !strings.Contains(body, "See your email address") {
			t.Errorf("consent: %d\n%s", w.Code, body)
		}
		several := *h.client(0)
		several.RedirectURIs = []string{"com.example.app:/cb", "https://one.example/cb"}
		w = b.do("GET", to(func(w *httptest.ResponseRecorder) {
			h.oidc.Ask(w, b.here(), &several, oidc.Need{Scopes: []string{"openid"}}, oidc.MissingConsent, back)
		}), nil)
		if strings.Contains(w.Body.String(), "You will go on to") {
			t.Error("the page names one of several hosts")
		}
	})
}

// A browser has a mark once it was given one, and is given none by being asked.
func TestMarked(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		r := b.here()
		if got := h.oidc.Marked(r); got != nil || len(r.Cookies()) > 0 {
			t.Errorf("nobody marked it: %x, %v", got, r.Cookies())
		}
		b.do("GET", "/signin", nil)
		r = b.here()
		if got := h.oidc.Marked(r); got == nil || !bytes.Equal(got, h.oidc.Browser(httptest.NewRecorder(), r)) {
			t.Errorf("it is marked: %x", got)
		}
	})
}
