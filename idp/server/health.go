package server

import "net/http"

// healthz says that the process answers.
func (s *server) healthz(w http.ResponseWriter, r *http.Request) { plain(w, http.StatusOK, "ok\n") }

// readyz says that requests are served: the database answers and what is cached can be believed.
func (s *server) readyz(w http.ResponseWriter, r *http.Request) {
	if err := s.Store.Ready(); err != nil {
		plain(w, http.StatusServiceUnavailable, "not ready\n")
		return
	}
	plain(w, http.StatusOK, "ready\n")
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // nobody to tell
}
