// Package signin is the person at the browser: who they are, how they prove it, what they agree to, and how they leave.
// It is the only room that sets and reads cookies.
//
//	/signin      page.go      name and password
//	/consent     consent.go   what an app may do for the person
//	/signout     signout.go
//	/setup       setup.go     the first administrator, by a one-time link
//	/signin/link link.go      somebody without a password, by a one-time link
//
// session.go holds the session and its cookie, browser.go the secret that marks a browser, ask.go the sealed question
// that the other rooms send a browser here with, throttle.go what guessing costs.
package signin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/lanyard-sso/lanyard/idp/people"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/keys"
	"github.com/lanyard-sso/lanyard/templates"
)

// Handler serves the pages of this room and answers the others' question who is at the browser. All fields are set
// once, before Mount.
type Handler struct {
	Store  *store.Store
	People *people.People
	Sealer *keys.Sealer // of a purpose of its own: it seals with every redirect
	Now    func() time.Time
	Log    *slog.Logger
}

// Mount adds the room's routes to r.
func (h *Handler) Mount(r *mux.Router) {
	r.HandleFunc("/signin", h.page).Methods("GET", "HEAD")
	r.HandleFunc("/signin", h.enter).Methods("POST")
	r.HandleFunc("/signin/link", h.linkPage).Methods("GET", "HEAD")
	r.HandleFunc("/signin/link", h.enterByLink).Methods("POST")
	r.HandleFunc("/consent", h.consentPage).Methods("GET", "HEAD")
	r.HandleFunc("/consent", h.decide).Methods("POST")
	r.HandleFunc("/signout", h.signOutPage).Methods("GET", "HEAD")
	r.HandleFunc("/signout", h.leave).Methods("POST")
	r.HandleFunc("/setup", h.setupPage).Methods("GET", "HEAD")
	r.HandleFunc("/setup", h.setup).Methods("POST")
}

// secret returns a fresh secret of 256 bits and the hash that the store keeps of it.
func secret() (text string, hash []byte) {
	b := make([]byte, 32)
	rand.Read(b) // never fails (crypto/rand)
	text = base64.RawURLEncoding.EncodeToString(b)
	return text, hashOf(text)
}

func hashOf(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// split takes a value of the form id.secret apart; ok tells if both have that form and no other length or alphabet.
func split(value string) (id, secret string, ok bool) {
	id, secret, ok = strings.Cut(value, ".")
	if !ok || !store.IsID(id) || len(secret) != 43 {
		return "", "", false
	}
	if _, err := base64.RawURLEncoding.Strict().DecodeString(secret); err != nil {
		return "", "", false
	}
	return id, secret, true
}

func same(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// fail writes the page for an error that is nobody's decision: the store is busy or broken.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, title := http.StatusInternalServerError, "problem.internal"
	switch {
	case errors.Is(err, store.ErrBusy):
		status, title = http.StatusServiceUnavailable, "problem.busy"
		w.Header().Set("Retry-After", "2")
	case errors.Is(err, store.ErrNotReady):
		status, title = http.StatusServiceUnavailable, "problem.unavailable"
		w.Header().Set("Retry-After", "10")
	}
	h.problem(w, r, status, title, err.Error())
}

// problem records a refusal and shows it with its reference. key names two texts: key.title and key.sentence.
func (h *Handler) problem(w http.ResponseWriter, r *http.Request, status int, key, reason string) {
	ref := h.refuse(r, codeOf(key), "", "", reason)
	templates.Write(w, r, status, templates.Problem{
		Title: key + ".title", Sentence: key + ".sentence", Reference: ref, Status: status,
	})
}

func codeOf(key string) string {
	switch key {
	case "problem.internal", "problem.busy", "problem.unavailable":
		return "InternalError"
	}
	return "InvalidRequest"
}
