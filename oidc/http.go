package oidc

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"github.com/lanyard-sso/lanyard/templates"
)

const (
	maxBody       = 64 << 10
	maxParameters = 100
)

// Mount puts the addresses of this room on r.
func (h *Handler) Mount(r *mux.Router) {
	for path, m := range map[string]methods{
		"/oauth2/token":                           {"POST": h.token, "OPTIONS": preflight},
		"/oauth2/introspect":                      {"POST": h.introspect},
		"/oauth2/userinfo":                        {"GET": h.userinfo, "POST": h.userinfo, "OPTIONS": preflight},
		"/oauth2/keys":                            {"GET": h.jwks, "HEAD": h.jwks},
		"/oauth2/revoke":                          {"POST": h.revoke, "OPTIONS": preflight},
		"/oauth2/register":                        {"POST": h.register},
		"/oauth2/register/{client}":               {"GET": h.registered, "PUT": h.registered, "DELETE": h.registered},
		"/.well-known/openid-configuration":       {"GET": h.discovery, "HEAD": h.discovery},
		"/.well-known/oauth-authorization-server": {"GET": h.discovery, "HEAD": h.discovery},
	} {
		r.Handle(path, m)
	}
	r.Handle("/oauth2/authorize", pages{"GET": h.authorize, "POST": h.authorize})
	r.Handle("/oauth2/continue", pages{"GET": h.resume})
	r.Handle("/oauth2/logout", pages{"GET": h.logout, "POST": h.logout})
	r.HandleFunc("/oauth2/check", h.check)
}

// methods is what an address for programs answers. The router's own 405 has no Allow.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f, ok := m[r.Method]; ok {
		f(w, r)
		return
	}
	w.Header().Set("Allow", m.allow())
	writeError(w, &Error{Code: InvalidRequest, Status: http.StatusMethodNotAllowed}, "The method "+r.Method+" is not answered here.")
}

// allow lists the methods (RFC 9110 §10.2.1).
func (m methods) allow() string { return strings.Join(slices.Sorted(maps.Keys(m)), ", ") }

// pages is what an address for browsers answers.
type pages methods

func (p pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f, ok := p[r.Method]; ok {
		f(w, r)
		return
	}
	w.Header().Set("Allow", methods(p).allow())
	templates.Write(w, r, http.StatusMethodNotAllowed, templates.Problem{Sentence: "problem.method"})
}

// params is the parameters of a request, each once. RFC 6749 §3.1: "Parameters sent without a value MUST be treated
// as if they were omitted from the request"; only redirect_uri and code_challenge are refused when they are sent empty.
type params map[string]string

// has tells if the parameter was sent, even empty.
func (p params) has(name string) bool {
	_, ok := p[name]
	return ok
}

// add takes the parameters of raw. RFC 6749 §3.1: "Request and response parameters MUST NOT be included more than once." But for
// resource, which may be there several times (RFC 8707 §2) and has no effect here.
func (p params) add(raw string) error {
	if strings.Count(raw, "&") >= maxParameters {
		return invalidRequest("There are too many parameters.")
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return invalidRequest("The parameters are not encoded as they should be.")
	}
	for name, v := range values {
		if (len(v) > 1 || p.has(name)) && name != "resource" {
			return invalidRequest("The parameter " + strconv.Quote(clip(name)) + " was sent twice.")
		}
		if !utf8.ValidString(name) || !utf8.ValidString(strings.Join(v, "")) {
			return invalidRequest("The parameters are not UTF-8.")
		}
		p[name] = v[0]
	}
	return nil
}

// clip shortens what came from outside for a message.
func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

// form reads the body of a POST that must be a form, and nothing but it: what stands in a query lands in logs.
func form(w http.ResponseWriter, r *http.Request) (params, error) {
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return nil, invalidRequest("Parameters belong into the body, not into the address.")
	}
	if !contentType(r, "application/x-www-form-urlencoded") {
		return nil, &Error{Code: InvalidRequest, Description: "The body must be application/x-www-form-urlencoded.", Status: http.StatusUnsupportedMediaType}
	}
	raw, err := body(w, r)
	if err != nil {
		return nil, err
	}
	p := params{}
	return p, p.add(string(raw))
}

// contentType tells if the request has exactly one Content-Type, and that one.
func contentType(r *http.Request, want string) bool {
	all := r.Header.Values("Content-Type")
	if len(all) != 1 {
		return false
	}
	got, options, err := mime.ParseMediaType(all[0])
	charset := options["charset"]
	return err == nil && got == want && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

func body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, &Error{Code: InvalidRequest, Description: "The body is larger than 64 KiB.", Status: http.StatusRequestEntityTooLarge}
	}
	if err != nil {
		return nil, invalidRequest("The body could not be read.")
	}
	return raw, nil
}

// writeJSON answers with v. RFC 6749 §5.1: "The authorization server MUST include the HTTP "Cache-Control" response
// header field with a value of "no-store" in any response containing tokens, credentials, or other sensitive
// information, as well as the "Pragma" response header field with a value of "no-cache"."
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("oidc: " + err.Error()) // maps and structs of plain values
	}
	header := w.Header()
	templates.SecurityHeaders(header)
	header.Set("Pragma", "no-cache")
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // the caller has gone: nobody is left to be told
}

// writeError answers with e in the form of RFC 6749 §5.2.
func writeError(w http.ResponseWriter, e *Error, description string) {
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{e.Code, plain(description)})
}

// refuse records err as an event and answers a client with it; challenge does so where a bearer token is what was asked for.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, site *Site, c *Client, err error) {
	e := judged(err)
	reference := h.Store.Refuse(r.Context(), site.Org, e.refusal(c))
	h.log(r, e, reference)
	if e.Status == http.StatusUnauthorized {
		// RFC 9110 §15.5.2: "The server generating a 401 response MUST send a WWW-Authenticate header field".
		w.Header().Set("WWW-Authenticate", `Basic realm="`+site.Issuer+`", charset="UTF-8"`)
	}
	writeError(w, e, e.sentence(reference))
}

// log writes down what is our fault; everything else is in the events only.
func (h *Handler) log(r *http.Request, e *Error, reference string) {
	if e.Code == ServerError || e.Code == TemporarilyUnavailable {
		h.Log.ErrorContext(r.Context(), "oidc", "path", r.URL.Path, "error", e.Reason, "reference", reference)
	}
}

// redirect sends the browser on. RFC 9700 §4.12: never 307, which would repeat a form.
func redirect(w http.ResponseWriter, to string) {
	templates.SecurityHeaders(w.Header())
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}
