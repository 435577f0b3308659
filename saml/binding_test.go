package saml_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// squeeze compresses with w and returns base64.
func squeeze(w func(io.Writer) io.WriteCloser, doc string) string {
	var b bytes.Buffer
	z := w(&b)
	must(io.WriteString(z, doc))
	if err := z.Close(); err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

func query(message string) string { return "/saml/sso?SAMLRequest=" + url.QueryEscape(message) }

// TestXML: SECURITY.md §1.3, by both bindings.
func TestXML(t *testing.T) {
	w := shared(t)
	good := func() string { return w.request(spA).String() }
	within := func(s string) string {
		return strings.Replace(good(), "</samlp:AuthnRequest>", s+"</samlp:AuthnRequest>", 1)
	}
	lol := `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>`
	issuer := func(s string) string {
		q := w.request(spA)
		q.issuer, q.inner = "-", "<saml:Issuer>"+s+"</saml:Issuer>"
		return q.String()
	}
	cases := map[string]string{
		"SAML-XML-01 DOCTYPE":                   "<!DOCTYPE a>" + good(),
		"SAML-XML-01 internal entity":           `<!DOCTYPE a [<!ENTITY x "y">]>` + good(),
		"SAML-XML-01 external file":             `<!DOCTYPE a SYSTEM "file:///etc/passwd">` + good(),
		"SAML-XML-01 external http":             `<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1:1/">]>` + good(),
		"SAML-XML-01 parameter entity":          `<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:1/">%x;]>` + good(),
		"SAML-XML-01 DOCTYPE after the root":    good() + "<!DOCTYPE a>",
		"SAML-XML-02 billion laughs":            lol + within("&c;"),
		"SAML-XML-04 UTF-16 that is UTF-8":      `<?xml version="1.0" encoding="UTF-16"?>` + good(),
		"SAML-XML-04 Latin-1":                   `<?xml version="1.0" encoding="ISO-8859-1"?>` + good(),
		"SAML-XML-05 text before":               "x" + good(),
		"SAML-XML-05 text after":                good() + "x",
		"SAML-XML-05 root after":                good() + "<x/>",
		"SAML-XML-05 two BOMs":                  "\ufeff\ufeff" + good(),
		"SAML-XML-06 ID twice":                  strings.Replace(good(), " ID=", ` ID="a" ID=`, 1),
		"SAML-XML-06 ID of a namespace behind":  strings.Replace(good(), " Version=", ` xmlns:q="urn:q" q:ID="evil" Version=`, 1),
		"SAML-XML-06 ID of a namespace before":  strings.Replace(good(), " ID=", ` xmlns:q="urn:q" q:ID="evil" ID=`, 1),
		"SAML-XML-06 Id":                        strings.Replace(good(), " ID=", ` Id="evil" ID=`, 1),
		"SAML-XML-06 id":                        strings.Replace(good(), " ID=", ` id="evil" ID=`, 1),
		"SAML-XML-06 xml:id":                    strings.Replace(good(), " ID=", ` xml:id="evil" ID=`, 1),
		"SAML-XML-07 PI in Issuer":              issuer("https://sp-a.example/me<?x y?>ta"),
		"SAML-XML-07 element in Issuer":         issuer("https://sp-a.example/meta<b/>.evil"),
		"SAML-XML-07 entity in Issuer":          issuer("https://sp-a.example/meta&x;"),
		"SAML-XML-08 three parts":               within("<x:y:z/>"),
		"SAML-XML-08 empty namespace":           within(`<a:b xmlns:a=""/>`),
		"SAML-XML-08 attribute without prefix":  strings.Replace(good(), " ID=", ` :b="1" ID=`, 1),
		"SAML-XML-08 declaration":               within("<!x<!-- -->y>"),
		"SAML-XML-08 xmlns:xmlns":               within(`<a xmlns:xmlns="u"/>`),
		"SAML-XML-08 xml bound again":           within(`<a xmlns:xml="u"/>`),
		"SAML-XML-08 undefined prefix":          within("<q:x/>"),
		"not XML":                               "hello",
		"empty":                                 " ",
		"cut off":                               good()[:100],
		"not UTF-8":                             within("\xff"),
		"control character":                     within("<x>\x01</x>"),
		"control character as a reference":      within("<x>&#1;</x>"),
		"attribute without quotes":              strings.Replace(good(), ` Version="2.0"`, " Version=2.0", 1),
		"another alphabet in a name of the ID":  strings.Replace(good(), ` ID="`, ` ID="ä`, 1),
		"colon in the root":                     strings.ReplaceAll(good(), "samlp:AuthnRequest", ":AuthnRequest"),
		"AuthnRequest within an AuthnRequest":   "<x>" + good() + "</x>",
		"comment that never ends":               within("<!-- "),
		"processing instruction before":         "<?x?>" + good(),
		"declaration twice":                     `<?xml version="1.0"?><?xml version="1.0"?>` + good(),
		"XML 1.1":                               `<?xml version="1.1"?>` + good(),
		"SAML-XML-02 1 001 elements":            within(strings.Repeat("<x/>", 1001)),
		"SAML-XML-02 33 deep":                   within(strings.Repeat("<x>", 33) + strings.Repeat("</x>", 33)),
		"SAML-XML-02 100 attributes":            within("<x " + many(100, "a%d='' ") + "/>"),
		"SAML-XML-02 100 declarations":          within("<x " + many(100, "xmlns:a%d='urn:x' ") + "/>"),
		"SAML-XML-02 one megabyte of text":      within(strings.Repeat("x", 1<<20)),
		"SAML-XML-02 one megabyte of a comment": within("<!--" + strings.Repeat("x", 1<<20) + "-->"),
	}
	for name, doc := range cases {
		t.Run(name, func(t *testing.T) {
			b := w.at(w.ana())
			for _, a := range []*answer{b.get(redirect(doc)), b.post("/saml/sso", posted(doc))} {
				w.local(t, a, "InvalidAuthnRequest", "")
			}
		})
	}
}

func many(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// TestBinding: SAML-BND-02 and what else only the bindings know of.
func TestBinding(t *testing.T) {
	w := shared(t)
	good := w.request(spA).String()
	raw := must(base64.StdEncoding.DecodeString(deflate(good)))
	zlibbed := squeeze(func(b io.Writer) io.WriteCloser { return zlib.NewWriter(b) }, good)
	gzipped := squeeze(func(b io.Writer) io.WriteCloser { return gzip.NewWriter(b) }, good)
	plain := base64.StdEncoding.EncodeToString([]byte(good))
	for name, target := range map[string]string{
		"SAML-BND-02 bytes after the end": query(base64.StdEncoding.EncodeToString(append(bytes.Clone(raw), 'x'))),
		"SAML-BND-02 a second stream":     query(base64.StdEncoding.EncodeToString(append(bytes.Clone(raw), raw...))),
		"SAML-BND-01 just too much":       redirect("<x>" + strings.Repeat(" ", 64<<10) + "</x>"),
		"SAML-BND-02 cut off":             query(base64.StdEncoding.EncodeToString(raw[:len(raw)-1])),
		"SAML-BND-02 zlib":                query(zlibbed),
		"SAML-BND-02 gzip":                query(gzipped),
		"SAML-BND-02 not deflated":        query(plain),
		"SAML-BND-02 SAMLEncoding urn:x":  redirect(good, "&SAMLEncoding=urn:x"),
		"SAML-BND-02 SAMLEncoding empty":  redirect(good, "&SAMLEncoding="),
		"not base64":                      query("§§§"),
		"base64 for addresses":            query(strings.NewReplacer("+", "-", "/", "_").Replace(deflate(good)) + "-_-_"),
		"base64 with stray bits":          query("QR=="),
		"bad escape in the value":         "/saml/sso?SAMLRequest=%zz",
		"bad escape in a name":            redirect(good, "&%zz=1"),
		"name written in escapes":         redirect(good, "&Relay%53tate=x"),
		"too long":                        redirect(good, "&x="+strings.Repeat("x", 16<<10)),
		"RelayState over 8 KiB":           redirect(good, "&RelayState="+strings.Repeat("x", 8<<10+1)),
		"RelayState with NUL":             redirect(good, "&RelayState=a%00b"),
		"RelayState badly encoded":        redirect(good, "&RelayState=%"),
	} {
		t.Run(name, func(t *testing.T) {
			w.local(t, w.at(w.ana()).get(target), "InvalidAuthnRequest", "Binding: ")
		})
	}
	for name, form := range map[string]string{
		"SAML-BND-02 deflated by POST":  "SAMLRequest=" + url.QueryEscape(deflate(good)),
		"SAMLEncoding in a form":        posted(good, "&SAMLEncoding=urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE"),
		"SAMLRequest twice in a form":   posted(good) + "&" + posted(good),
		"SAML-BND-04 RelayState 64 KiB": posted(good, "&RelayState="+strings.Repeat("x", 64<<10)),
	} {
		t.Run(name, func(t *testing.T) {
			w.local(t, w.at(w.ana()).post("/saml/sso", form), "InvalidAuthnRequest", "")
		})
	}
	t.Run("a form and a query", func(t *testing.T) {
		w.local(t, w.at(w.ana()).post("/saml/sso?RelayState=x", posted(good)), "InvalidAuthnRequest", "Binding: ")
	})
	t.Run("another content type", func(t *testing.T) {
		for _, ct := range []string{"", "application/json", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded, text/plain"} {
			r := httptest.NewRequest(http.MethodPost, "/saml/sso", strings.NewReader(posted(good)))
			r.Header.Set("Content-Type", ct)
			w.local(t, w.at(w.ana()).do(r), "InvalidAuthnRequest", "Binding: ")
		}
	})
	t.Run("SAML-XML-02 a body of 10 MiB", func(t *testing.T) {
		a := w.at(w.ana()).post("/saml/sso", posted(good, "&x="+strings.Repeat("x", 10<<20)))
		w.local(t, a, "InvalidAuthnRequest", "Binding: ")
		if a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d", a.status)
		}
	})
}

// TestBombs: SAML-BND-01. What inflates to megabytes is not inflated.
func TestBombs(t *testing.T) {
	w := shared(t)
	bomb := func(n int) string {
		var b bytes.Buffer
		z := must(flate.NewWriter(&b, flate.BestCompression))
		chunk := bytes.Repeat([]byte{' '}, 64<<10)
		for range n / len(chunk) {
			must(z.Write(chunk))
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(b.Bytes())
	}
	ten := query(bomb(10 << 20))
	nested := query(squeeze(func(b io.Writer) io.WriteCloser { return must(flate.NewWriter(b, 9)) }, bomb(10<<20)))
	elements := redirect("<x>" + strings.Repeat("<x/>", 200_000) + "</x>")
	if len(ten) > 16<<10 || len(elements) > 16<<10 {
		t.Fatalf("the bombs are too long to be sent: %d, %d", len(ten), len(elements))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	var all sync.WaitGroup
	for i := range 256 {
		all.Go(func() {
			a := w.browser().get([]string{ten, nested, elements}[i%3])
			if a.status != http.StatusBadRequest {
				t.Errorf("status %d", a.status)
			}
		})
	}
	all.Wait()
	runtime.ReadMemStats(&after)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("256 bombs took %v", took)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 256<<20 {
		t.Errorf("256 bombs cost %d MiB of allocations", got>>20)
	}
	w.success(t, w.at(w.ana()).get(redirect(w.request(spA).String())), acsA)
}

// TestRelayState: P5, SAML-BND-04. It comes back exactly.
func TestRelayState(t *testing.T) {
	w := shared(t)
	for name, relay := range map[string]string{
		"P5 80 bytes":          "https://sp-a.example/deep?a=1&b=%20+\"'<>ä→😀 \\ ;,:@ 0123456789 abcdefghijklmnop"[:80],
		"8 KiB":                strings.Repeat("r", 8<<10),
		"script":               `"><svg/onload=alert(1)>`,
		"reference":            "&#x22;&quot;&amp;",
		"escapes":              "%252f%00%0d%0aSet-Cookie: a=b",
		"plus":                 "a+b c",
		"emoji":                "😀",
		"right to left":        "\u202eevil",
		"not UTF-8":            "caf\xe9 \xed\xa0\x80",
		"an address of evil":   "https://evil.example",
		"script as an address": "javascript:alert(1)",
	} {
		t.Run(name, func(t *testing.T) {
			p := w.ana()
			b := w.at(p)
			more := "&RelayState=" + url.QueryEscape(relay)
			for way, a := range map[string]*answer{
				"Redirect": b.get(redirect(w.request(spA).String(), more)),
				"POST":     b.follow(t, b.post("/saml/sso", posted(w.request(spA).String(), more)), p),
				"launch":   b.get("/saml/launch/A?RelayState=" + url.QueryEscape(relay)),
				"error":    b.get(redirect(get2(w, `ProtocolBinding="urn:x"`), more)),
				"sign-in, Redirect": func() *answer {
					n := w.browser()
					return n.follow(t, n.get(redirect(w.request(spA).String(), more)), p)
				}(),
			} {
				action, fields := a.form()
				if got, there := fields["RelayState"]; !there || got != relay || action != acsA {
					t.Errorf("%s: sent %q, got %q to %q", way, relay, got, action)
				}
				if strings.Contains(a.body, "<svg/onload") || a.location != "" || a.res.Header.Get("Set-Cookie") != "" && way != "POST" && way != "sign-in, Redirect" {
					t.Errorf("%s: it got out of its field: %v", way, a.res.Header)
				}
			}
		})
	}
	t.Run("none and empty are not sent", func(t *testing.T) {
		for _, more := range []string{"", "&RelayState="} {
			if _, fields := w.at(w.ana()).get(redirect(w.request(spA).String(), more)).form(); len(fields) != 1 {
				t.Errorf("%q: %v", more, fields)
			}
		}
	})
}

func get2(w *world, attrs string) string {
	q := w.request(spA)
	q.attrs = attrs
	return q.String()
}

// TestPostedWithLineEnds: P6.
func TestPostedWithLineEnds(t *testing.T) {
	w := shared(t)
	text := base64.StdEncoding.EncodeToString([]byte(w.request(spA).String()))
	var b strings.Builder
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	b.WriteString(text)
	p := w.ana()
	br := w.at(p)
	w.success(t, br.follow(t, br.post("/saml/sso", "SAMLRequest="+url.QueryEscape(b.String())), p), acsA)
}

// TestAttackMessages posts every message that broke somebody.
func TestAttackMessages(t *testing.T) {
	w := shared(t)
	files, err := filepath.Glob(filepath.Join(corpus(t), "attack", "messages", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no attacks in the corpus (%v)", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b := must(os.ReadFile(file))
			doc := strings.TrimSpace(string(b))
			if strings.HasSuffix(file, ".base64") {
				doc = string(must(base64.StdEncoding.DecodeString(strings.Join(strings.Fields(doc), ""))))
			}
			began := time.Now()
			w.local(t, w.at(w.ana()).post("/saml/sso", posted(doc)), "InvalidAuthnRequest", "")
			if took := time.Since(began); took > time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// corpus is the folder of real service providers' metadata and of known attacks.
func corpus(t testing.TB) string {
	t.Helper()
	dir := corpusDir()
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the corpus is not here (LANYARD_CORPUS): %v", err)
	}
	return dir
}

func corpusDir() string {
	if dir := os.Getenv("LANYARD_CORPUS"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "shared", "sp-metadata")
}
