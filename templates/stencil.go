package templates

import (
	"bytes"
	"crypto/rand"
	"html/template"
	"strings"
	"sync"
)

// One AutoPost of an app differs from the next in three values only. So its template is run once, with marks in their
// places, and what lies between the marks is kept: running it costs a tenth of an RSA signature.

// marks stand for the nonce, the SAMLResponse and the RelayState. Nobody can guess them, and no escaping alters them.
var marks = [3]string{rand.Text(), rand.Text(), rand.Text()}

// stencilKey is all else that the page depends on.
type stencilKey struct {
	lang, base, app, url string
	relay                bool
}

// hole is what comes before a value of the page, and which of the marks it was.
type hole struct {
	before string
	mark   int
}

type stencil struct {
	holes []hole
	rest  string
}

// stencils are kept for so many apps; then all are made anew.
const maxStencils = 512

var stencils struct {
	sync.RWMutex
	all map[stencilKey]*stencil
}

// write writes what the template would.
func (p AutoPost) write(b *bytes.Buffer, v view) {
	key := stencilKey{v.Lang, v.base, p.App, p.URL, p.HasRelayState}
	stencils.RLock()
	s := stencils.all[key]
	stencils.RUnlock()
	if s == nil {
		s = p.cut(v)
		stencils.Lock()
		if stencils.all == nil || len(stencils.all) >= maxStencils {
			stencils.all = map[stencilKey]*stencil{}
		}
		stencils.all[key] = s
		stencils.Unlock()
	}
	for _, h := range s.holes {
		b.WriteString(h.before)
		switch h.mark {
		case 0:
			b.WriteString(v.Nonce) // letters and digits
		case 1:
			b.WriteString(template.HTMLEscapeString(p.SAMLResponse))
		case 2:
			b.WriteString(template.HTMLEscapeString(p.RelayState))
		}
	}
	b.WriteString(s.rest)
}

// cut runs the template with the marks and cuts it where they are. All of them stand within double quotes.
func (p AutoPost) cut(v view) *stencil {
	v.Nonce, p.SAMLResponse, p.RelayState = marks[0], marks[1], marks[2]
	v.Page = p
	var b bytes.Buffer
	render(&b, v)
	s := &stencil{rest: b.String()}
	for {
		next, at := -1, len(s.rest)
		for i, m := range marks {
			if n := strings.Index(s.rest, m); n >= 0 && n < at {
				next, at = i, n
			}
		}
		if next < 0 {
			return s
		}
		s.holes = append(s.holes, hole{s.rest[:at], next})
		s.rest = s.rest[at+len(marks[next]):]
	}
}
