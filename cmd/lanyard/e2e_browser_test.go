package main_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// browser walks pages as a person's does: it keeps cookies, leaves them behind when another site posts here
// (SameSite=Lax), says where a request comes from, follows redirects, and fills in forms. It stops where the way leads
// out of the house: what would have been sent there is the page's. Other sites that it is told of it walks through.
type browser struct {
	t     *testing.T
	home  *url.URL
	jar   http.CookieJar
	http  *http.Client
	at    *node             // answers for the house: the first node, unless told otherwise
	sites map[string]string // other hosts that are there, and where each answers
	free  *sync.Map         // names of cookies that are sent along when another site posts (SameSite=None)
}

func (o *org) browser() *browser {
	b := &browser{t: o.t, home: must(url.Parse(o.url)), jar: must(cookiejar.New(nil)), at: o.nodes[0], sites: o.sites, free: &sync.Map{}}
	b.http = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, cmp.Or(b.sites[addr], b.at.addr))
		},
			DisableKeepAlives: true, // a connection kept would lead to the node before
			TLSClientConfig:   &tls.Config{RootCAs: o.roots},
		},
		Timeout: 30 * time.Second,
	}
	return b
}

// copy is another window of the same browser, for use beside it.
func (b *browser) copy() *browser {
	c := *b
	return &c
}

// page is what a browser shows, or the request by which it left the house (status 0).
type page struct {
	t         *testing.T
	status    int
	url       *url.URL
	header    http.Header
	body      string
	way       []string       // the paths that led here, redirects included
	locations []string       // the addresses that redirects named on the way
	cookies   []*http.Cookie // set on the way
}

// site is what browsers go by: 127.0.0.1 and localhost are two.
func site(u *url.URL) string { return u.Scheme + "://" + u.Hostname() }

func origin(u *url.URL) string { return u.Scheme + "://" + u.Host }

// get opens an address as if it was typed, or followed from another site.
func (b *browser) get(to string) *page {
	b.t.Helper()
	return b.walk("GET", to, nil, nil)
}

// post posts a form that a page at from shows; from is "" for a caller that is no browser.
func (b *browser) post(to string, form url.Values, from string) *page {
	b.t.Helper()
	u := b.home
	if from == "" {
		u = nil
	} else if from != "here" {
		u = must(url.Parse(from))
	}
	return b.walk("POST", to, form, u)
}

func (b *browser) walk(method, to string, form url.Values, from *url.URL) *page {
	b.t.Helper()
	if strings.HasPrefix(to, "/") {
		to = b.home.Path + to // what a test names is below the public address
	}
	u, err := b.home.Parse(to)
	if err != nil {
		b.t.Fatalf("%s: %v", to, err)
	}
	var way, locations []string
	var cookies []*http.Cookie
	for range 20 {
		if u.Host != b.home.Host && b.sites[u.Host] == "" {
			return &page{t: b.t, url: u, way: way, locations: locations, cookies: cookies}
		}
		way = append(way, u.Path)
		var body io.Reader
		if method == "POST" {
			body = strings.NewReader(form.Encode())
		}
		r, err := http.NewRequest(method, u.String(), body)
		if err != nil {
			b.t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8") // some show nobody else a way to sign in
		crossSite := from != nil && site(from) != site(u)
		if method == "POST" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		switch {
		case from == nil:
			r.Header.Set("Sec-Fetch-Site", "none")
		case crossSite:
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		case origin(from) != origin(u):
			r.Header.Set("Sec-Fetch-Site", "same-site")
		default:
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		if method == "POST" && from != nil {
			r.Header.Set("Origin", origin(from))
		}
		if method == "POST" && from == nil {
			r.Header.Del("Sec-Fetch-Site") // not a browser
		}
		for _, c := range b.jar.Cookies(u) {
			free, _ := b.free.Load(c.Name)
			if method == "GET" || !crossSite || free == true {
				r.AddCookie(c)
			}
		}
		res, err := b.http.Do(r)
		if err != nil {
			b.t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			b.t.Fatal(err)
		}
		b.jar.SetCookies(u, res.Cookies())
		for _, c := range res.Cookies() {
			b.free.Store(c.Name, c.SameSite == http.SameSiteNoneMode)
		}
		cookies = append(cookies, res.Cookies()...)
		p := &page{t: b.t, status: res.StatusCode, url: u, header: res.Header, body: string(text), way: way, locations: locations, cookies: cookies}
		switch res.StatusCode {
		case 301, 302, 303:
			method, form = "GET", nil
		case 307, 308:
			b.t.Errorf("OA-AZ-09: %s redirects with %d, which posts again", u, res.StatusCode)
		default:
			return p
		}
		locations = append(locations, res.Header.Get("Location"))
		if u, err = u.Parse(res.Header.Get("Location")); err != nil {
			b.t.Fatalf("Location: %v", err)
		}
	}
	b.t.Fatalf("twenty redirects: %s", strings.Join(way, " "))
	return nil
}

var (
	formElement  = regexp.MustCompile(`(?s)<form\b([^>]*)>(.*?)</form>`)
	inputElement = regexp.MustCompile(`(?s)<input\b([^>]*)>`)
	attribute    = regexp.MustCompile(`([a-zA-Z-]+)="([^"]*)"`)
)

type form struct {
	action string
	values url.Values
	body   string
}

func attributes(text string) map[string]string {
	all := map[string]string{}
	for _, m := range attribute.FindAllStringSubmatch(text, -1) {
		all[strings.ToLower(m[1])] = html.UnescapeString(m[2])
	}
	return all
}

// forms finds the page's forms, those of its main part only: the header's has the sign-out button.
func (p *page) forms() (all []form) {
	_, main, _ := strings.Cut(p.body, "<main")
	for _, m := range formElement.FindAllStringSubmatch(main, -1) {
		f := form{action: attributes(m[1])["action"], values: url.Values{}, body: m[2]}
		for _, i := range inputElement.FindAllStringSubmatch(m[2], -1) {
			a := attributes(i[1])
			f.values.Add(a["name"], a["value"])
		}
		all = append(all, f)
	}
	return all
}

// fill fills in the page's first form and sends it off: pairs of names and values.
func (b *browser) fill(p *page, pairs ...string) *page {
	b.t.Helper()
	all := p.forms()
	if len(all) == 0 {
		b.t.Fatalf("no form at %s (%d)\n%s", p.url, p.status, p.body)
	}
	f := all[0]
	for i := 0; i < len(pairs); i += 2 {
		f.values.Set(pairs[i], pairs[i+1])
	}
	to, err := p.url.Parse(f.action)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.walk("POST", to.String(), f.values, p.url)
}

// signIn signs in at the page that asks for it.
func (b *browser) signIn(p *page, username string) *page {
	b.t.Helper()
	p.asks(b.t)
	return b.fill(p, "username", username, "password", password)
}

// asks demands that the page is the sign-in page.
func (p *page) asks(t *testing.T) *page {
	t.Helper()
	if p.status != 200 || !strings.HasSuffix(p.url.Path, "/signin") || !strings.Contains(p.body, `name="password"`) {
		t.Fatalf("not asked to sign in: %d %s by %v\n%s", p.status, p.url, p.way, p.body)
	}
	return p
}

// in opens a browser in which a person is signed in.
func (o *org) in(username string) *browser {
	o.t.Helper()
	b := o.browser()
	if p := b.signIn(b.get("/apps"), username); p.url.Path != b.home.Path+"/apps" || p.status != 200 {
		o.t.Fatalf("%s was not let in: %d %s\n%s", username, p.status, p.url, p.body)
	}
	return b
}

// saml returns the response that the page is about to post, with the form around it.
func (p *page) saml() (doc []byte, to string, fields url.Values) {
	p.t.Helper()
	for _, f := range p.forms() {
		if f.values.Has("SAMLResponse") {
			doc, err := base64.StdEncoding.DecodeString(f.values.Get("SAMLResponse"))
			if err != nil {
				p.t.Fatal(err)
			}
			return doc, f.action, f.values
		}
	}
	p.t.Fatalf("no response at %s (%d) by %v\n%s", p.url, p.status, p.way, p.body)
	return nil, "", nil
}

var referenceText = regexp.MustCompile(`<code[^>]*>([A-Z0-9]{8})</code>`)

// refused demands a page that refuses, from which nothing gets out, and returns its reference.
func (p *page) refused(t *testing.T, what string, status int) (reference string) {
	t.Helper()
	m := referenceText.FindStringSubmatch(p.body)
	if p.status != status || strings.Contains(p.body, "SAMLResponse") || p.header.Get("Location") != "" || m == nil {
		t.Errorf("%s: %d at %s by %v, not a page that refuses with %d and a reference\n%s", what, p.status, p.url, p.way, status, p.body)
		return ""
	}
	return m[1]
}

var resumeAddress = regexp.MustCompile(`/(saml|oauth2)/continue\?login=[A-Za-z0-9_.-]+`)

// resume returns the address at which a request that was sent by POST is taken up again: the one that could be copied
// out of a browser's history.
func (p *page) resume() string {
	p.t.Helper()
	for _, l := range p.locations {
		if m := resumeAddress.FindString(l); m != "" {
			return m
		}
	}
	p.t.Fatalf("no remembered request among %q", p.locations)
	return ""
}
