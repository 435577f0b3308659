package demo

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strings"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS []byte

// page is what a sample app shows: who is in, and what it was told about them.
type page struct {
	App, Tagline, Colour string // Colour is a class of page.css
	User                 string // empty: nobody is in
	Lead                 string
	Facts                []fact
	Received             []received
	Actions              []action
	Error                string
}

type fact struct{ Name, Value string }

type received struct{ Title, Note, Body string }

type action struct {
	Label, URL string
	Post       bool
	Quiet      bool
}

func (p page) write(w http.ResponseWriter, status int) {
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

func css(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(pageCSS)
}

// pretty returns JSON as a person reads it.
func pretty(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// prettyXML indents a document for reading; the result is for eyes only, no signature would survive it.
func prettyXML(doc []byte) string {
	d := xml.NewDecoder(bytes.NewReader(doc))
	var b strings.Builder
	depth, text, open := 0, "", false
	line := func() { b.WriteString("\n" + strings.Repeat("  ", depth)) }
	name := func(n xml.Name) string {
		if n.Space == "" {
			return n.Local
		}
		return n.Space + ":" + n.Local
	}
	for {
		t, err := d.RawToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			return string(doc)
		}
		switch t := t.(type) {
		case xml.StartElement:
			line()
			b.WriteString("<" + name(t.Name))
			for _, a := range t.Attr {
				fmt.Fprintf(&b, " %s=%q", name(a.Name), a.Value)
			}
			b.WriteString(">")
			depth, text, open = depth+1, "", true
		case xml.CharData:
			text += strings.TrimSpace(string(t))
		case xml.EndElement:
			depth--
			if text == "" && !open {
				line()
			}
			if len(text) > 160 {
				text = text[:60] + " … " + text[len(text)-20:]
			}
			b.WriteString(text + "</" + name(t.Name) + ">")
			text, open = "", false
		}
	}
	return strings.TrimSpace(b.String())
}
