package templates_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/templates"
)

// WEB-07: every page, whatever its status.
func TestHeaders(t *testing.T) {
	leadsOut := []string{"SignIn", "Consent", "Confirm", "AutoPost", "ChangePassword must"}
	for name, p := range samples() {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			templates.Write(w, httptest.NewRequest(http.MethodGet, "/", nil), http.StatusTeapot, p)
			if w.Code != http.StatusTeapot {
				t.Errorf("status %d", w.Code)
			}
			h := w.Header()
			policy := h.Get("Content-Security-Policy")
			length := h.Get("Content-Length")
			h.Del("Content-Security-Policy")
			h.Del("Content-Length")
			h.Del("Retry-After") // has a test of its own
			want := http.Header{
				"Cache-Control":                {"no-store"},
				"Content-Type":                 {"text/html; charset=utf-8"},
				"Cross-Origin-Opener-Policy":   {"same-origin"},
				"Cross-Origin-Resource-Policy": {"same-origin"},
				"Permissions-Policy":           {"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"},
				"Referrer-Policy":              {"same-origin"},
				"X-Content-Type-Options":       {"nosniff"},
				"X-Frame-Options":              {"DENY"},
			}
			if diff := cmp.Diff(want, h); diff != "" {
				t.Error(diff)
			}
			if length == "" || length == "0" {
				t.Errorf("Content-Length %q", length)
			}
			parts := strings.Split(policy, "; ")
			wantParts := []string{"default-src 'none'", "style-src 'self'", "img-src 'self' data:", "base-uri 'none'", "frame-ancestors 'none'", "object-src 'none'"}
			if name == "AutoPost" {
				scripts := find(parse(t, w.Body.String()), "script")
				if len(scripts) != 1 || len(scripts[0].attrs["nonce"]) < 22 {
					t.Fatalf("scripts %v", scripts)
				}
				wantParts = append(wantParts, "script-src 'nonce-"+scripts[0].attrs["nonce"]+"'")
			}
			if !slices.ContainsFunc(leadsOut, func(s string) bool { return strings.HasPrefix(name, s) }) {
				wantParts = append(wantParts, "form-action 'self'")
			}
			if !slices.Equal(parts, wantParts) {
				t.Errorf("policy %v\nwant   %v", parts, wantParts)
			}
		})
	}
}

func TestNonceIsNew(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		r, _ := write(t, samples()["AutoPost"])
		seen[r.Header.Get("Content-Security-Policy")] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d nonces in 100 pages", len(seen))
	}
}

func TestSecurityHeaders(t *testing.T) {
	h := http.Header{"Cache-Control": {"public"}}
	templates.SecurityHeaders(h)
	want := http.Header{
		"Cache-Control":                {"no-store"},
		"Content-Security-Policy":      {"default-src 'none'; base-uri 'none'; frame-ancestors 'none'"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Permissions-Policy":           {"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"},
		"Referrer-Policy":              {"same-origin"},
		"X-Content-Type-Options":       {"nosniff"},
		"X-Frame-Options":              {"DENY"},
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Error(diff)
	}
}

func TestRetryAfter(t *testing.T) {
	for _, p := range []templates.Page{
		templates.SignIn{Problem: "signin.throttled", Wait: 90},
		templates.ChangePassword{Problem: "signin.throttled", Wait: 90},
	} {
		if r, _ := write(t, p); r.Header.Get("Retry-After") != "90" {
			t.Errorf("%T: Retry-After %q", p, r.Header.Get("Retry-After"))
		}
	}
	if r, _ := write(t, templates.SignIn{}); r.Header.Get("Retry-After") != "" {
		t.Errorf("Retry-After %q where nobody has to wait", r.Header.Get("Retry-After"))
	}
}

var hostile = []string{
	`"><svg onload=1>`, `'><img src=x onerror=1>`, `</title></main><script>alert(1)</script>`, `javascript:alert(1)`, `JaVaScRiPt:alert(1)`,
	"java\tscript:alert(1)", " javascript:alert(1)", `vbscript:x`, `data:text/html,<script>alert(1)</script>`, `{{7*7}}`, `${7*7}`, `{0}`, `<!--`,
	"\u202etxet\u202c", "a\x00b\xff", `//evil.example`, `/\evil.example`, strings.Repeat("W", 10<<10),
}

// WEB-05, WEB-06, OA-AZ-10, SAML-MD-10: every field of every page holds what an attacker chose, save those that are keys.
func TestEscaping(t *testing.T) {
	keys := []string{"Problem", "Title", "Sentence", "Notice", "Text", "Allow", "Deny"}
	for name, p := range samples() {
		t.Run(name, func(t *testing.T) {
			filled := func(with string) string {
				v := reflect.New(reflect.TypeOf(p)).Elem()
				v.Set(reflect.ValueOf(p))
				fill(v, with, keys)
				if name == "AutoPost" {
					v.FieldByName("URL").SetString("https://sp.example/acs")
				}
				_, body := write(t, v.Interface().(templates.Page))
				return body
			}
			elements := len(parse(t, filled("/x")))
			for _, bad := range hostile {
				body := filled(bad)
				all := parse(t, body)
				if len(all) > elements {
					t.Errorf("%q made elements:\n%s", bad, body)
				}
				if strings.ContainsAny(find(all, "main")[0].text, "\u202e\u202c\x00") {
					t.Errorf("%q turns the text around it", bad)
				}
				for _, e := range all {
					for _, a := range []string{"href", "action", "src"} {
						u, err := url.Parse(e.attrs[a])
						if err != nil || u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" {
							t.Errorf("%q: <%s %s=%q>", bad, e.name, a, e.attrs[a])
						}
						if e.name == "a" && u.Host != "" && u.Scheme == "" {
							t.Errorf("%q: <a href=%q> leads out", bad, e.attrs[a])
						}
					}
				}
			}
		})
	}
}

// fill sets every string within v, except the fields of a page that are keys.
func fill(v reflect.Value, s string, keys []string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && !slices.Contains(keys, f.Name) {
				fill(v.Field(i), s, keys)
			}
		}
	case reflect.Slice:
		copied := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(copied, v)
		v.Set(copied)
		for i := range v.Len() {
			fill(v.Index(i), s, keys)
		}
	}
}

// A link that could lead anywhere but to a web address or a path of ours is not shown at all.
func TestLinks(t *testing.T) {
	tests := []struct {
		url   string
		shown bool
	}{
		{"https://benefits.example.com/a?b=c", true},
		{"http://localhost:8080/", true},
		{"/saml/launch/x?RelayState=y", true},
		{"", false},
		{"javascript:alert(1)", false},
		{"JAVASCRIPT:alert(1)", false},
		{"java\nscript:alert(1)", false},
		{"data:text/html,x", false},
		{"//evil.example/", false},
		{`/\evil.example/`, false},
		{"/\t/evil.example/", false},
		{"https:evil", false},
		{"mailto:a@example.com", false},
		{"relative", false},
	}
	for _, tt := range tests {
		pages := map[string]templates.Page{
			"Start":  templates.Problem{Sentence: "problem.expired.sentence", Start: tt.url},
			"Retry":  templates.Problem{Sentence: "problem.expired.sentence", Retry: tt.url},
			"Cancel": templates.SignIn{Cancel: tt.url},
			"NotYou": templates.SignIn{Known: true, Username: "ana", NotYou: tt.url},
			"SignIn": templates.SignedOut{SignIn: tt.url},
			"Tile":   templates.Apps{Tiles: []templates.Tile{{Name: "x", URL: tt.url}}},
		}
		for field, p := range pages {
			_, body := write(t, p)
			var hrefs []string
			for _, e := range find(parse(t, body), "a") {
				if slices.Contains(e.path, "main") {
					hrefs = append(hrefs, e.attrs["href"])
				}
			}
			want := []string{tt.url}
			switch {
			case tt.shown:
			case field == "Start" || field == "Retry":
				want = []string{"/apps"} // the way out of a page that has no other
			default:
				want = nil
			}
			if !slices.Equal(hrefs, want) {
				t.Errorf("%s %q: links %q, want %q", field, tt.url, hrefs, want)
			}
		}
	}
}
