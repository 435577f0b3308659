package oidc_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/oidc"
)

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// OA-CA-03: a Basic header has one form.
func TestReadBasic(t *testing.T) {
	raw := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, c := range []struct{ header, id, secret string }{
		{basic("app", "s3cret"), "app", "s3cret"},
		{basic("a:b/ü", "p%ss word+:&"), "a:b/ü", "p%ss word+:&"},
		{strings.Replace(basic("app", "s3cret"), "Basic", "bASIC", 1), "app", "s3cret"}, // RFC 9110 §11.1: schemes have no case
		{raw("app:"), "app", ""},
		{raw("app:a:b"), "app", "a:b"},
	} {
		if id, secret, ok := oidc.ReadBasic(c.header); !ok || id != c.id || secret != c.secret {
			t.Errorf("%q: %q, %q, %t", c.header, id, secret, ok)
		}
	}
	good := basic("app", "s3cret!")
	for name, header := range map[string]string{
		"no value": "Basic", "empty value": "Basic ", "another scheme": strings.Replace(good, "Basic", "Bearer", 1),
		"bad base64": "Basic !!!!", "no padding": strings.TrimRight(raw("app:s"), "="), "base64url": "Basic YXBwOj8_Pz8_",
		"non-canonical bits": "Basic YTp=", "no colon": raw("app"), "no id": raw(":secret"),
		"NUL": raw("a\x00pp:x"), "encoded NUL": raw("a%00pp:x"), "newline": raw("app:x\n"), "encoded newline": raw("app:x%0a"),
		"two spaces": strings.Replace(good, " ", "  ", 1), "TAB": strings.Replace(good, " ", "\t", 1), "trailing space": good + " ",
		"line break within": good[:10] + "\r\n" + good[10:], "bad escape": raw("app:100%"), "not UTF-8": raw("app:\xff"), "64 kB": raw("app:" + strings.Repeat("a", 64<<10)),
	} {
		if id, secret, ok := oidc.ReadBasic(header); ok {
			t.Errorf("OA-CA-03: %s: taken as %q, %q", name, id, secret)
		}
	}
}

// FuzzBasic: what is read is what was written, and nothing else reads the same.
func FuzzBasic(f *testing.F) {
	f.Add(basic("app", "s3cret"))
	f.Add("Basic YTp=")
	f.Add("Basic\tYTpi")
	f.Add("basic YSUzQWI6Yw==")
	f.Fuzz(func(t *testing.T, header string) {
		id, secret, ok := oidc.ReadBasic(header)
		if !ok {
			return
		}
		if again, secretAgain, ok := oidc.ReadBasic(basic(id, secret)); !ok || again != id || secretAgain != secret {
			t.Errorf("%q: %q, %q does not survive", header, id, secret)
		}
		raw, err := base64.StdEncoding.DecodeString(header[6:])
		if err != nil || base64.StdEncoding.EncodeToString(raw) != header[6:] {
			t.Errorf("%q is loose base64", header)
		}
	})
}

// RFC 6749 §2.3.1: a secret that was not form-encoded is not taken, and the event says that this is what was wrong.
func TestUnencodedSecret(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		app := h.client("rp", nil).App
		h.must(h.st.Write(t.Context(), func(tx *store.Tx) error {
			return tx.SetSecret(h.org.ID, app, h.st.Apps().SealSecret(h.org.ID, app, []byte("50+50")))
		}))
		ask := func(secret string) *answer {
			header := "Basic " + base64.StdEncoding.EncodeToString([]byte("rp:"+secret))
			return h.do("POST", "/oauth2/token", header, values("grant_type", "client_credentials", "scope", "orders"))
		}
		h.ok(ask(url.QueryEscape("50+50")))
		a := ask("50+50")
		h.fails(a, 401, "invalid_client")
		if ev := h.event(a); !strings.Contains(ev.Reason, "must be form-encoded") {
			t.Errorf("event %q", ev.Reason)
		}
		a = ask("50%2B51")
		h.fails(a, 401, "invalid_client")
		if ev := h.event(a); ev.Reason != "wrong client secret" {
			t.Errorf("event %q", ev.Reason)
		}
	})
}
