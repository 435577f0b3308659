// Package templates is everything a person sees: pages, style and words. A room fills in one of the page structs and
// hands it to [Write], which is the only way a page leaves the house and which puts its security headers on it.
//
//	templates.go     Write, SecurityHeaders: how a page is sent, and under which rules (CSP Level 3, ASVS 5.0 §3.4)
//	pages.go         the pages a visitor sees: SignIn, Setup, Consent, Confirm, SignedOut, Problem, AutoPost
//	house.go         the pages a person sees who is signed in: Apps, Account, ChangePassword
//	text.go          the catalogue: Text, and the one function that chooses the language
//	show.go          how a value is shown: names, initials, times, addresses; device.go: browsers
//	assets.go        /assets/…: style sheet, script and icon, named by what they hold
//	pages/*.html     one file a page, all within layout.html
//	texts/en.json    every sentence
//
// The only script is the one that submits [AutoPost]. No page asks anything of another host.
//
// A field described as a key takes a key of the catalogue; its comment names those that are meant for it. K.title,
// K.sentence and K.next belong together.
package templates

import (
	"bytes"
	"context"
	"crypto/rand"
	"embed"
	"html/template"
	"net/http"
	"strconv"
	"sync"
)

//go:embed pages/*.html
var pageFiles embed.FS

// Page is one of the page structs of this package.
type Page interface{ about() about }

// about is what Write must know of a page.
type about struct {
	file     string // in pages, without .html
	leadsOut bool   // its form may end at another host, by itself or by a redirect
	house    bool   // for a person who is signed in: with navigation
	script   bool   // carries the auto-post script
	wait     int    // seconds after which to try again
	unfit    bool   // must not be shown
}

// view is what a template is given.
type view struct {
	Page   Page
	Lang   string
	Nonce  string
	File   string
	House  bool
	Status int
	Style  string
	Icon   string
	Script string
	base   string
}

// Write writes p with status and its security headers. Never cached (no-store). It answers in HTML whatever the request
// accepts. It panics if p names a key that the catalogue does not have.
func Write(w http.ResponseWriter, r *http.Request, status int, p Page) {
	a := p.about()
	if a.unfit {
		status, p = http.StatusInternalServerError, Problem{Sentence: "problem.internal.sentence"}
		a = p.about()
	}
	lang := language(r)
	v := view{Page: p, Lang: lang, File: a.file, House: a.house, Status: status, base: baseOf(r.Context())}
	v.Style, v.Icon = v.At(assetPath("lanyard.css")), v.At(assetPath("favicon.svg"))
	h := w.Header()
	SecurityHeaders(h)
	policy := "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
	if a.script {
		v.Nonce, v.Script = rand.Text(), v.At(assetPath("autopost.js"))
		policy += "; script-src 'nonce-" + v.Nonce + "'"
	}
	// Browsers apply form-action to every redirect that follows the form, the app's own included.
	if !a.leadsOut {
		policy += "; form-action 'self'"
	}
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if a.wait > 0 {
		h.Set("Retry-After", strconv.Itoa(a.wait))
	}

	body := bodies.Get().(*bytes.Buffer)
	defer putBody(body)
	if post, ok := p.(AutoPost); ok {
		post.write(body, v)
	} else {
		render(body, v)
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the browser has gone: nobody is left to be told
}

func render(b *bytes.Buffer, v view) {
	if err := parsed(v.Lang, v.File).Execute(b, v); err != nil {
		panic("templates: page " + v.File + ": " + err.Error())
	}
}

// bodies are where pages are written before they are sent; their memory is used again.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func putBody(b *bytes.Buffer) {
	if b.Cap() <= 64<<10 { // a page that is larger is rare
		clear(b.Bytes()) // it may have held a SAMLResponse
		b.Reset()
		bodies.Put(b)
	}
}

type baseKey struct{}

// WithBase returns a context for pages that are reached below a path, like /sso, "" for none: what stands in front of
// every path of ours that a page names.
func WithBase(ctx context.Context, base string) context.Context {
	return context.WithValue(ctx, baseKey{}, base)
}

func baseOf(ctx context.Context) string {
	base, _ := ctx.Value(baseKey{}).(string)
	return base
}

// SecurityHeaders sets the headers of an answer that is no page (JSON, a redirect, an empty 404). Whoever may be cached
// sets Cache-Control afterwards. Cross-Origin-Opener-Policy is not among them: it is for documents, and on a redirect it
// would cut an app's sign-in popup off from the window that opened it.
func SecurityHeaders(h http.Header) {
	for _, v := range security {
		h[v.name] = v.values
	}
}

// security has each name in its canonical form and each value in the slice that a header wants: every answer has all of
// them. Nothing writes into a header's slice; whoever adds to one gets a longer copy.
var security = func() (all []header) {
	for _, v := range [][2]string{
		{"Cache-Control", "no-store"},
		{"Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"},
		{"Cross-Origin-Resource-Policy", "same-origin"},
		{"Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"},
		{"Referrer-Policy", "same-origin"},
		{"X-Content-Type-Options", "nosniff"},
		{"X-Frame-Options", "DENY"},
	} {
		all = append(all, header{http.CanonicalHeaderKey(v[0]), []string{v[1]}})
	}
	return all
}()

type header struct {
	name   string
	values []string
}

// parsed returns the template of a page in a language. Each is parsed once, when it is first shown: start-up is measured.
func parsed(lang, file string) *template.Template {
	return pages()[lang][file]()
}

var pages = sync.OnceValue(func() map[string]map[string]func() *template.Template {
	entries, err := pageFiles.ReadDir("pages")
	if err != nil {
		panic("templates: " + err.Error())
	}
	all := map[string]map[string]func() *template.Template{}
	for lang := range catalogues() {
		all[lang] = map[string]func() *template.Template{}
		for _, e := range entries {
			all[lang][e.Name()[:len(e.Name())-len(".html")]] = sync.OnceValue(func() *template.Template {
				return template.Must(template.New("layout.html").Funcs(funcs(lang)).
					ParseFS(pageFiles, "pages/layout.html", "pages/"+e.Name()))
			})
		}
	}
	return all
})
