package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/templates"
)

// outside is what every request passes before the router: nothing answers without a reference, a caller, an org, the
// security headers and one line in the log.
func (s *server) outside(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, asked := time.Now(), r.URL.Path // not the store's clock, which may be put right meanwhile
		caller := &idp.Caller{Reference: newReference(), IP: callerIP(r, s.TrustedProxies), Agent: r.UserAgent()}
		rec := &recorder{ResponseWriter: w}
		ctx := idp.WithCaller(r.Context(), caller)
		done := s.Metrics.began(r)
		defer func() {
			p := recover()
			if p != nil && p != http.ErrAbortHandler {
				s.Log.ErrorContext(ctx, "panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()), "reference", caller.Reference)
				if !rec.wrote {
					s.internal(rec, r.WithContext(ctx))
				}
			}
			rec.status = cmp.Or(rec.status, http.StatusOK)
			took := time.Since(began)
			done(rec, took)
			s.log(ctx, r.Method, asked, rec, took)
			if p == http.ErrAbortHandler {
				panic(p)
			}
		}()
		templates.SecurityHeaders(rec.Header())
		if r.ProtoMajor == 1 && (r.ProtoMinor == 0 || len(r.TransferEncoding) > 0) {
			// RFC 9112 §6.1, of Content-Length beside Transfer-Encoding: "the server MUST close the connection after
			// responding"; and net/http does not tell which came with both. A client that chunks is rare here.
			rec.Header().Set("Connection", "close")
		}
		if s.Leaving != nil && s.Leaving() {
			// Also for HTTP/2, where net/http makes a GOAWAY of it (RFC 9113 §6.8).
			rec.Header().Set("Connection", "close")
		}
		if s.health(rec, r) {
			return
		}
		if s.Metrics != nil && s.MetricsHere && r.URL.EscapedPath() == "/metrics" && s.mayRead(r) {
			rec.route = "/metrics"
			s.Metrics.Handler().ServeHTTP(rec, r)
			return
		}
		ctx = s.publishing(ctx, r)
		org, err := s.org(ctx, r)
		if err != nil {
			s.Log.ErrorContext(ctx, "org", "error", err)
			if b := s.known.Load(); b != nil {
				ctx = templates.WithBase(ctx, b.url)
			}
			s.page(rec, r.WithContext(ctx), http.StatusServiceUnavailable, "problem.busy")
			return
		}
		lies := s.learn(org)
		rec.base = lies.url
		ctx = templates.WithBase(idp.WithOrg(ctx, org), lies.url)
		r = r.WithContext(ctx)
		if org.Secure() {
			hsts := "max-age=31536000"
			if lies.url == "" { // otherwise the host is others' too, and its subdomains are none of our business
				hsts += "; includeSubDomains"
			}
			rec.Header().Set("Strict-Transport-Security", hsts)
		}
		switch {
		case len(r.URL.RequestURI()) > 16<<10:
			s.page(rec, r, http.StatusRequestURITooLong, "problem.long")
		case r.Method == http.MethodConnect, r.RequestURI == "*":
			rec.Header().Set("Allow", "GET, HEAD, POST")
			s.page(rec, r, http.StatusMethodNotAllowed, "problem.method")
		case !canonical(r):
			s.page(rec, r, http.StatusNotFound, "problem.notfound")
		default:
			inner := lies.inside(r)
			if inner.Body != nil { // rooms read less; this is for the one that forgets
				inner.Body = http.MaxBytesReader(w, inner.Body, 128<<10)
			}
			next.ServeHTTP(rec, inner)
		}
	})
}

// log writes the one line of a request: its path without its query, which carries codes, hints and RelayState.
func (s *server) log(ctx context.Context, method, path string, rec *recorder, took time.Duration) {
	const most = 200 // bytes of a path, which can be anything
	if len(path) > most {
		path = strings.ToValidUTF8(path[:most], "") + "…"
	}
	if len(method) > 20 {
		method = "…"
	}
	caller, org := idp.CallerOf(ctx), ""
	if o := idp.OrgOf(ctx); o != nil {
		org = o.ID
	}
	s.Log.LogAttrs(ctx, slog.LevelInfo, "request", slog.String("method", method), slog.String("route", rec.route), slog.String("path", path),
		slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes), slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.String("ip", caller.IP.String()), slog.String("org", org), slog.String("reference", caller.Reference))
}

// org finds whose address the request came to. There is one org; no URL is ever made from Host.
func (s *server) org(ctx context.Context, _ *http.Request) (*idp.Org, error) {
	return s.Store.Orgs().Default(ctx)
}

// canonical tells if the path is written in the one way we write it, so that no rule about paths can be walked around.
func canonical(r *http.Request) bool {
	p := r.URL.EscapedPath()
	if !strings.HasPrefix(p, "/") || strings.Contains(p, "//") || strings.ContainsAny(p, ";\\") {
		return false
	}
	for seg := range strings.SplitSeq(p, "/") {
		if seg == "." || seg == ".." {
			return false
		}
	}
	// An escape is fine only where the character could not stand by itself.
	for i := 0; i+2 < len(p); i++ {
		if p[i] != '%' {
			continue
		}
		switch c := unhex(p[i+1])<<4 | unhex(p[i+2]); {
		case c == '/', c == '\\', c == '.', c == ';', c == '%', c < 0x20, c == 0x7f,
			'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '~':
			return false
		}
	}
	return true
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0
}

// newReference returns eight letters and digits by which an admin finds the event behind a page.
func newReference() string {
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789" // 32, none that is mistaken for another
	var b [8]byte
	rand.Read(b[:])
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return string(b[:])
}

// recorder notes what was answered, and puts the path that the org lies below in front of every path of ours that a
// browser is sent to.
type recorder struct {
	http.ResponseWriter
	base   string
	route  string // the template by which it is answered; empty: none
	status int
	bytes  int64 // of the body
	wrote  bool
	mute   bool
}

func (r *recorder) WriteHeader(status int) {
	if !r.wrote && status >= 200 {
		r.status, r.wrote = status, true
		if to := r.Header().Get("Location"); r.base != "" && strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") {
			r.Header().Set("Location", r.base+to)
			r.Header().Del("Content-Type")
			r.mute = true // http.Redirect writes the address into a body too, which nobody reads
		}
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if !r.wrote {
		r.WriteHeader(http.StatusOK)
	}
	if r.mute {
		return len(b), nil
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
