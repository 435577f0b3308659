package templates_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/templates"
)

func get(method, path string) *http.Response {
	w := httptest.NewRecorder()
	templates.Assets().ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Result()
}

// What the pages ask for is there, may be kept for ever, and is all there is.
func TestAssets(t *testing.T) {
	media := map[string]string{"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
	_, body := write(t, samples()["AutoPost"])
	paths := regexp.MustCompile(`"(/assets/[a-z]+\.[0-9a-f]{12}\.([a-z]+))"`).FindAllStringSubmatch(body, -1)
	if len(paths) != len(media) {
		t.Fatalf("the page asks for %v", paths)
	}
	for _, p := range paths {
		r := get(http.MethodGet, p[1])
		h := r.Header
		if r.StatusCode != http.StatusOK || h.Get("Content-Type") != media[p[2]] || h.Get("Cache-Control") != "public, max-age=31536000, immutable" ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cross-Origin-Resource-Policy") != "same-origin" || r.ContentLength == 0 {
			t.Errorf("%s: %d %v", p[1], r.StatusCode, h)
		}
		// Another version's page: ours, but not to keep under that name.
		old := regexp.MustCompile(`[0-9a-f]{12}`).ReplaceAllString(p[1], "000000000000")
		if r := get(http.MethodGet, old); r.StatusCode != http.StatusOK || r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Content-Type") != media[p[2]] {
			t.Errorf("%s: %d %v", old, r.StatusCode, r.Header)
		}
	}
	for _, p := range []string{"/assets/", "/assets/lanyard.css", "/assets/x.0.css", "/assets/../texts/en.json", "/assets/lanyard.1.2.css", "/lanyard.0.css", "/assets//assets/lanyard.0.css"} {
		if r := get(http.MethodGet, p); r.StatusCode != http.StatusNotFound || r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", p, r.StatusCode, r.Header)
		}
	}
	if r := get(http.MethodPost, paths[0][1]); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d", r.StatusCode)
	}
}

// Nothing a page shows is fetched from elsewhere.
func TestNothingFromElsewhere(t *testing.T) {
	for _, file := range append(glob(t, "assets/*"), glob(t, "pages/*.html")...) {
		s := strings.ReplaceAll(read(t, file), `xmlns="http://www.w3.org/2000/svg"`, "")
		if m := regexp.MustCompile(`(?i)https?:|@import|url\(|//[a-z]`).FindString(s); m != "" {
			t.Errorf("%s has %q", file, m)
		}
	}
}

// WCAG 2.2 §1.4.3 and §1.4.11: 4.5 : 1 for text, 3 : 1 for the edges of fields and buttons and for the focus ring.
func TestContrast(t *testing.T) {
	css := read(t, "assets/lanyard.css")
	light, dark, ok := strings.Cut(css[:strings.Index(css, "*, ::before")], "prefers-color-scheme: dark")
	if !ok {
		t.Fatal("no dark tokens")
	}
	token := regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`)
	for theme, block := range map[string]string{"light": light, "dark": dark} {
		colour := map[string]string{}
		for _, m := range token.FindAllStringSubmatch(block, -1) {
			colour[m[1]] = m[2]
		}
		for _, pair := range []struct {
			front, back string
			least       float64
		}{
			{"ink", "paper", 4.5}, {"ink", "card", 4.5}, {"ink", "soft", 4.5}, {"muted", "paper", 4.5}, {"muted", "card", 4.5},
			{"accent", "card", 4.5}, {"accent", "paper", 4.5}, {"accent", "soft", 4.5}, {"accent-over", "card", 4.5},
			{"on-accent", "accent", 4.5}, {"on-accent", "accent-over", 4.5}, {"bad", "bad-soft", 4.5}, {"bad", "card", 3},
			{"edge", "card", 3}, {"edge", "paper", 3}, {"accent", "paper", 3},
		} {
			if got := contrast(t, colour[pair.front], colour[pair.back]); got < pair.least {
				t.Errorf("%s: %s on %s is %.2f : 1, wanted %.1f", theme, pair.front, pair.back, got, pair.least)
			}
		}
	}
	for i := range 8 {
		m := regexp.MustCompile(fmt.Sprintf(`\.tint-%d \{ background: #([0-9a-f]{6}); \}`, i)).FindStringSubmatch(css)
		if m == nil {
			t.Fatalf("no .tint-%d", i)
		}
		if got := contrast(t, "ffffff", m[1]); got < 4.5 {
			t.Errorf("tint %d: %.2f : 1", i, got)
		}
	}
}

// contrast is the contrast ratio of WCAG 2.2.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(hex string) float64 {
		n, err := strconv.ParseUint(hex, 16, 32)
		if err != nil {
			t.Fatalf("colour %q: %v", hex, err)
		}
		l := 0.0
		for i, weight := range []float64{.0722, .7152, .2126} {
			c := float64(n>>(8*i)&0xff) / 255
			if c <= .04045 {
				c /= 12.92
			} else {
				c = math.Pow((c+.055)/1.055, 2.4)
			}
			l += weight * c
		}
		return l
	}
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + .05) / (min(la, lb) + .05)
}
