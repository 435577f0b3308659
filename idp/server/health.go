package server

import (
	"net/http"
	"strings"
)

// health answers /healthz and /readyz, at the root and below the org's path. They are asked of the whole server and must
// answer when nothing else does. ok tells if r was for them.
func (s *server) health(w http.ResponseWriter, r *http.Request) (ok bool) {
	p := r.URL.EscapedPath()
	if p != "/healthz" && p != "/readyz" && (strings.HasSuffix(p, "/healthz") || strings.HasSuffix(p, "/readyz")) {
		p = s.below(r.Context()).cut(p)
	}
	if p != "/healthz" && p != "/readyz" {
		return false
	}
	if rec, ok := w.(*recorder); ok {
		rec.route = p
	}
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		plain(w, http.StatusMethodNotAllowed, "GET or HEAD\n")
	case p == "/healthz": // the process answers
		plain(w, http.StatusOK, "ok\n")
	case s.Leaving != nil && s.Leaving(): // it still serves, but nobody should begin anything here
		plain(w, http.StatusServiceUnavailable, "leaving\n")
	case s.Store.Ready() != nil: // the database does not answer, or what is cached can not be believed
		plain(w, http.StatusServiceUnavailable, "not ready\n")
	default:
		plain(w, http.StatusOK, "ready\n")
	}
	return true
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // nobody to tell
}
