package templates_test

import (
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/lanyard-sso/lanyard/templates"
)

// shown demands that a stranger's words are fit to be shown: one short line that turns no direction.
func shown(t *testing.T, from, s string) {
	t.Helper()
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > 160 || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
		t.Errorf("%q is shown as %q", from, s)
	}
}

// FuzzDevice: a User-Agent is shown as words of ours or as a name.
func FuzzDevice(f *testing.F) {
	const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	for _, s := range []string{firefox, "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "curl/8.5", "", "Mozilla/", "\u202eMozilla/5.0 Linux Firefox/1", strings.Repeat("x", 3000), "a\r\nb", "\xff"} {
		f.Add(s)
	}
	if got := templates.Device(firefox); !strings.Contains(got, "Firefox") || !strings.Contains(got, "Linux") {
		f.Fatal(got)
	}
	f.Fuzz(func(t *testing.T, agent string) {
		got := templates.Device(agent)
		shown(t, agent, got)
		if agent == "" && got == "" {
			t.Error("nobody is shown as nothing")
		}
	})
}

// FuzzName: a name is shown on one line, and what is shown is shown as it is.
func FuzzName(f *testing.F) {
	for _, s := range []string{"Your Benefits", "", " a \n b ", "\u202eevil", "\u2066x\u2069", strings.Repeat("é", 500), "\xff\xfe", "👩🏽\u200d🚀", "\u2028", "ana@example.com", "a\u0300", "ß"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := templates.Name(s)
		shown(t, s, got)
		if again := templates.Name(got); again != got {
			t.Errorf("%q is shown as %q, and that as %q", s, got, again)
		}
		if n := utf8.RuneCountInString(got); n > 120 {
			t.Errorf("%q is shown with %d characters", s, n)
		}
		initials := templates.Initials(s)
		shown(t, s, initials)
		if n := utf8.RuneCountInString(initials); n < 1 || n > 2 {
			t.Errorf("the initials of %q are %q", s, initials)
		}
		if tint := templates.Tint(s); tint < 0 || tint > 7 {
			t.Errorf("the tint of %q is %d", s, tint)
		}
	})
}

// FuzzAutoPost: what is put together from kept pieces is what the template makes of it.
func FuzzAutoPost(f *testing.F) {
	for _, s := range []string{"", "r", `"><script>alert(1)</script>`, "'&#43;+", "\x00\xff\u2028", "a\r\nb", "{{.Nonce}}", "https://sp.example/x?a=1&b=2#c"} {
		f.Add(s, "https://sp.example/acs?"+url.QueryEscape(s), s, s, true)
		f.Add("PHg+/w==", "https://sp.example/acs", s, "SP", false)
	}
	f.Fuzz(func(t *testing.T, response, acs, relay, app string, has bool) {
		want, got := templates.Posts(templates.AutoPost{URL: acs, SAMLResponse: response, RelayState: relay, HasRelayState: has, App: app})
		// The template writes + as &#43;, which is the same to a browser.
		plus := func(s string) string { return strings.ReplaceAll(s, "&#43;", "+") }
		if plus(got) != plus(want) {
			t.Errorf("the template makes\n%q\nand what is sent is\n%q", want, got)
		}
	})
}
