package templates_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/templates"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// samples has every page, and those that look different in more than one state more than once.
func samples() map[string]templates.Page {
	return map[string]templates.Page{
		"SignIn":           templates.SignIn{App: "Your Benefits", Action: "/signin?ask=x", Cancel: "/saml/continue?login=x"},
		"SignIn home":      templates.SignIn{Action: "/signin"},
		"SignIn wrong":     templates.SignIn{App: "Your Benefits", Action: "/signin?ask=x", Username: "ana", Problem: "signin.wrong"},
		"SignIn throttled": templates.SignIn{Action: "/signin", Username: "ana", Problem: "signin.throttled", Wait: 30},
		"SignIn expired":   templates.SignIn{Action: "/signin", Problem: "signin.expired"},
		"SignIn known":     templates.SignIn{App: "Your Benefits", Action: "/signin?ask=x", Username: "ana", Known: true, NotYou: "/signin?ask=x&switch=1"},
		"Setup":            templates.Setup{Action: "/setup?token=x"},
		"Setup problem":    templates.Setup{Action: "/setup?token=x", Username: "a b", Email: "ana@example.com", GivenName: "Ana", FamilyName: "Lima", Problem: "setup.username"},
		"SetupClosed":      templates.SetupClosed{},
		"Consent": templates.Consent{App: "Wellness Tracker", Host: "wellness.example.com", Publisher: "Wellness Inc.", User: "Ana Lima",
			Policy: "https://wellness.example.com/privacy", Terms: "http://wellness.example.com/terms",
			Scopes: []templates.ScopeText{{Name: "email", Label: "See your email address"}, {Name: "orders"}}, Action: "/consent?ask=x", NotYou: "/signin?ask=x"},
		"Confirm":          templates.Confirm{Title: "setup.title", Text: "setup.lead", Action: "/x"},
		"Confirm sign-out": templates.Confirm{Title: "signout.title", Text: "signout.text", Action: "/signout"},
		"Confirm app":      templates.Confirm{Title: "signout.title", Text: "signout.app", Action: "/signout?ask=x", App: "Your Benefits", User: "Ana Lima"},
		"Confirm other":    templates.Confirm{Title: "signout.title", Text: "signout.other", Action: "/signout?ask=x", App: "Your Benefits", User: "Ana Lima"},
		"Problem sign-out": templates.Problem{Sentence: "problem.signout", Reference: "AB12CD34", Status: 400, SignOut: "/signout"},
		"SignedOut":        templates.SignedOut{SignIn: "/signin"},
		"Problem": templates.Problem{Sentence: "problem.denied.sentence", App: "Your Benefits", Reference: "AB12CD34", Status: 403,
			Start: "https://benefits.example.com/", Retry: "/saml/continue?login=x"},
		"Problem bare": templates.Problem{Sentence: "problem.notfound.sentence"},
		"Apps": templates.Apps{User: "Ana Lima", Tiles: []templates.Tile{{Name: "Your Benefits", Description: "Health and pension", URL: "/saml/launch/Your_Benefits"},
			{Name: "Orders", URL: "https://orders.example.com/"}}},
		"Apps none":       templates.Apps{User: "Ana Lima"},
		"Apps none admin": templates.Apps{User: "Ana Lima", Admin: true},
		"Account": templates.Account{User: "Ana Lima", Username: "ana", Email: "ana@example.com", Notice: "account.done.grants", Now: noon,
			Sessions: []templates.SessionRow{{ID: "s1", Current: true, Started: noon, LastSeen: noon, Device: "Firefox on Linux", IP: "192.0.2.7"},
				{ID: "s2", Started: noon.Add(-time.Hour), LastSeen: noon.Add(-time.Minute)}},
			Grants: []templates.GrantRow{{App: "Wellness Tracker", Scopes: []string{"See your email address"}, Since: noon, ID: "g1"},
				{App: "Orders", Since: noon, LastUsed: noon, ID: "g2"},
				{App: "Timesheets", AppID: "a3", Scopes: []string{"email"}, Since: noon}}},
		"Account left": templates.Account{User: "Ana Lima", Username: "ana", Notice: "account.done.grants", Now: noon,
			Rest:   []templates.GrantRow{{App: "Orders", AppID: "a2", ID: "g2"}, {App: "Orders", AppID: "a2", ID: "g3"}},
			Grants: []templates.GrantRow{{App: "Orders", AppID: "a2", ID: "g2"}, {App: "Orders", AppID: "a2", ID: "g3"}}},
		"Account bare":           templates.Account{User: "Ana Lima", Username: "ana", Sessions: []templates.SessionRow{{ID: "s1", Current: true}}},
		"ChangePassword":         templates.ChangePassword{Action: "/account/password", User: "ana"},
		"ChangePassword problem": templates.ChangePassword{Action: "/account/password", User: "ana", Problem: "password.differ"},
		"ChangePassword must":    templates.ChangePassword{Action: "/password?ask=x", User: "ana", Must: true},
		"AutoPost": templates.AutoPost{URL: "https://benefits.example.com/acs", SAMLResponse: "PHg+", RelayState: "r", HasRelayState: true,
			App: "Your Benefits"},
	}
}

func write(t *testing.T, p templates.Page) (*http.Response, string) {
	t.Helper()
	w := httptest.NewRecorder()
	templates.Write(w, httptest.NewRequest(http.MethodGet, "/", nil), http.StatusOK, p)
	return w.Result(), w.Body.String()
}

// A server below a path: every address of ours on every page has it in front, once; those of others stay as they are.
func TestBase(t *testing.T) {
	address := regexp.MustCompile(`(?:href|src|action)="([^"]*)"`)
	for name, p := range samples() {
		_, plain := write(t, p)
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		templates.Write(w, r.WithContext(templates.WithBase(r.Context(), "/a/sso")), http.StatusOK, p)
		got, want := address.FindAllStringSubmatch(w.Body.String(), -1), address.FindAllStringSubmatch(plain, -1)
		if len(got) < 2 || len(got) != len(want) {
			t.Fatalf("%s: %d addresses, %d without a base", name, len(got), len(want))
		}
		for i := range got {
			if strings.HasPrefix(want[i][1], "/") {
				want[i][1] = "/a/sso" + want[i][1]
			}
			if got[i][1] != want[i][1] {
				t.Errorf("%s: %q, want %q", name, got[i][1], want[i][1])
			}
		}
	}
}

var (
	tag       = regexp.MustCompile(`<(/?)([a-z][a-z0-9]*)((?:\s+[^<>]*)?)/?>`)
	attribute = regexp.MustCompile(`([a-zA-Z-]+)(?:="([^"]*)")?`)
)

// element is a start tag; path names the elements it stands in.
type element struct {
	name  string
	attrs map[string]string
	path  []string
	text  string // all text within
}

// parse reads a page of ours, which closes every element, and fails the test if it does not.
func parse(t *testing.T, body string) []*element {
	t.Helper()
	var all, open []*element
	last := 0
	for _, m := range tag.FindAllStringSubmatchIndex(body, -1) {
		for _, e := range open {
			e.text += html.UnescapeString(body[last:m[0]])
		}
		last = m[1]
		name := body[m[4]:m[5]]
		if m[2] != m[3] { // an end tag
			if len(open) == 0 || open[len(open)-1].name != name {
				t.Fatalf("</%s> closes nothing at …%s", name, body[max(0, m[0]-80):m[1]])
			}
			open = open[:len(open)-1]
			continue
		}
		e := &element{name: name, attrs: map[string]string{}}
		for _, o := range open {
			e.path = append(e.path, o.name)
		}
		for _, a := range attribute.FindAllStringSubmatch(body[m[6]:m[7]], -1) {
			if _, twice := e.attrs[a[1]]; twice {
				t.Errorf("<%s> has %s twice", name, a[1])
			}
			e.attrs[a[1]] = html.UnescapeString(a[2])
		}
		all = append(all, e)
		void := slices.Contains([]string{"meta", "link", "input"}, name) || strings.HasSuffix(body[m[0]:m[1]], "/>")
		if !void {
			open = append(open, e)
		}
	}
	if len(open) > 0 {
		t.Fatalf("<%s> is never closed", open[len(open)-1].name)
	}
	return all
}

func find(all []*element, name string) (found []*element) {
	for _, e := range all {
		if e.name == name {
			found = append(found, e)
		}
	}
	return found
}

// What a keyboard and a screen reader need (WCAG 2.2 AA), and what the content security policy lets through.
func TestStructure(t *testing.T) {
	for name, p := range samples() {
		t.Run(name, func(t *testing.T) {
			_, body := write(t, p)
			if !strings.HasPrefix(body, "<!doctype html>\n<html lang=\"en\">") {
				t.Errorf("begins %.60q", body)
			}
			if strings.Contains(body, "{0}") || strings.Contains(body, "ZgotmplZ") || strings.Contains(body, "&lt;no value") {
				t.Errorf("something was not filled in:\n%s", body)
			}
			all := parse(t, body)
			for _, one := range []string{"title", "h1", "main"} {
				if n := len(find(all, one)); n != 1 {
					t.Errorf("%d <%s>", n, one)
				}
			}
			if title := find(all, "title")[0].text; !strings.HasSuffix(title, " – Lanyard") || len(title) < len("x – Lanyard") {
				t.Errorf("title %q", title)
			}
			ids, labels, level := map[string]bool{}, map[string]bool{}, 0
			for _, e := range all {
				if id, ok := e.attrs["id"]; ok {
					if ids[id] {
						t.Errorf("id %q twice", id)
					}
					ids[id] = true
				}
				if e.name == "label" {
					labels[e.attrs["for"]] = true
				}
				if len(e.name) == 2 && e.name[0] == 'h' && e.name[1] >= '1' && e.name[1] <= '6' {
					if n := int(e.name[1] - '0'); n > level+1 {
						t.Errorf("<%s> follows h%d", e.name, level)
					} else {
						level = n
					}
				}
			}
			for _, e := range all {
				refs := strings.Fields(e.attrs["aria-describedby"] + " " + e.attrs["aria-labelledby"] + " " + e.attrs["for"])
				if in, ok := strings.CutPrefix(e.attrs["href"], "#"); ok {
					refs = append(refs, in)
				}
				for _, ref := range refs {
					if !ids[ref] {
						t.Errorf("<%s> names the id %q, which is not there", e.name, ref)
					}
				}
				_, hidden := e.attrs["hidden"]
				switch e.name {
				case "input":
					if e.attrs["type"] != "hidden" && !hidden && !labels[e.attrs["id"]] {
						t.Errorf("input %q has no label", e.attrs["name"])
					}
					if e.attrs["aria-invalid"] == "true" && !strings.Contains(e.attrs["aria-describedby"], "problem") {
						t.Errorf("input %q is invalid and does not say why", e.attrs["name"])
					}
				case "a", "button", "h1", "h2", "h3", "label", "p", "li":
					if strings.TrimSpace(e.text) == "" {
						t.Errorf("<%s %v> is empty", e.name, e.attrs)
					}
				case "svg":
					if e.attrs["aria-hidden"] != "true" && !slices.Contains(e.path, "div") {
						t.Errorf("an svg is not hidden from screen readers")
					}
				case "form":
					if e.attrs["method"] != "post" {
						t.Errorf("a form is sent by %q", e.attrs["method"])
					}
				case "style", "iframe", "object", "base":
					t.Errorf("<%s>", e.name)
				case "script":
					if e.attrs["nonce"] == "" || e.attrs["src"] == "" || strings.TrimSpace(e.text) != "" {
						t.Errorf("a script within the page, or without a nonce: %v", e.attrs)
					}
				}
				for a := range e.attrs {
					if a == "style" || strings.HasPrefix(a, "on") {
						t.Errorf("<%s> has %s", e.name, a)
					}
				}
			}
			if p := body[strings.Index(body, "<main"):]; strings.Contains(p, `role="alert"`) && !strings.Contains(body, "<title>Error: ") {
				t.Error("the title does not say that there is an error")
			}
		})
	}
}

// Password managers go by these names.
func TestAutocomplete(t *testing.T) {
	tests := map[string]map[string]string{ // page, field, token
		"SignIn":              {"username": "username", "password": "current-password"},
		"SignIn known":        {"username": "username", "password": "current-password"},
		"Setup":               {"username": "username", "email": "email", "givenName": "given-name", "familyName": "family-name", "password": "new-password", "repeat": "new-password"},
		"ChangePassword":      {"username": "username", "current": "current-password", "password": "new-password", "repeat": "new-password"},
		"ChangePassword must": {"username": "username", "current": "current-password", "password": "new-password", "repeat": "new-password"},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			_, body := write(t, samples()[name])
			got := map[string]string{}
			for _, e := range find(parse(t, body), "input") {
				got[e.attrs["name"]] = e.attrs["autocomplete"]
				if strings.HasSuffix(e.attrs["autocomplete"], "-password") && (e.attrs["type"] != "password" || e.attrs["value"] != "") {
					t.Errorf("field %q has type %q and value %q", e.attrs["name"], e.attrs["type"], e.attrs["value"])
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// SURFACE: every confirmation is a form with a button decision=allow first, then deny.
func TestDecision(t *testing.T) {
	for _, name := range []string{"Consent", "Confirm", "Confirm sign-out"} {
		t.Run(name, func(t *testing.T) {
			_, body := write(t, samples()[name])
			var got []string
			for _, e := range find(parse(t, body), "button") {
				got = append(got, e.attrs["name"]+"="+e.attrs["value"])
			}
			if want := []string{"decision=allow", "decision=deny"}; !slices.Equal(got, want) {
				t.Errorf("buttons %v, want %v", got, want)
			}
		})
	}
}

func TestAutoPost(t *testing.T) {
	// SAML-BND-04: "<= 80 B echoed byte for byte, HTML-escaped".
	for _, relay := range []string{"", "r", `"><svg/onload=alert(1)>`, "&#x22;", "%00", "+", "%252f", "https://evil.example", "javascript:alert(1)", "🪪", strings.Repeat("é", 4096)} {
		for _, has := range []bool{true, false} {
			_, body := write(t, templates.AutoPost{URL: "https://sp.example/acs?a=1&b=2", SAMLResponse: "PHg+/w==", RelayState: relay, HasRelayState: has, App: "SP"})
			all := parse(t, body)
			if f := find(all, "form"); len(f) != 1 || f[0].attrs["action"] != "https://sp.example/acs?a=1&b=2" {
				t.Fatalf("%d forms, the first to %q", len(f), f[0].attrs["action"])
			}
			got := map[string]string{}
			for _, e := range find(all, "input") {
				got[e.attrs["name"]] = e.attrs["value"]
			}
			want := map[string]string{"SAMLResponse": "PHg+/w=="}
			if has {
				want["RelayState"] = relay
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("fields %v, want %v", got, want)
			}
		}
	}
}

// SAML-BND-06: an ACS that is no web address is "refused at registration and at run time".
func TestAutoPostLeadsNowhereElse(t *testing.T) {
	for _, bad := range []string{"", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", " javascript:alert(1)", "data:text/html,x", "/acs", "//sp.example/acs", "https:acs", "https:///acs", "file:///etc/passwd"} {
		w := httptest.NewRecorder()
		templates.Write(w, httptest.NewRequest(http.MethodGet, "/", nil), http.StatusOK, templates.AutoPost{URL: bad, SAMLResponse: "U0VDUkVU", App: "SP"})
		if body := w.Body.String(); w.Code != http.StatusInternalServerError || strings.Contains(body, "U0VDUkVU") || strings.Contains(body, "<form") || strings.Contains(body, "<script") {
			t.Errorf("URL %q: status %d\n%s", bad, w.Code, body)
		}
	}
}
