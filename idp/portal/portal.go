// Package portal is the employee's own pages.
//
//	/apps                          apps.go      the launcher: the apps this person may enter
//	/account                       account.go   my sessions, apps that act for me
//	/account/password              password.go  change my password
//	/account/sessions              account.go   sign out one, or all others
//	/account/grants                account.go   take an app's access back
//	/.well-known/change-password   password.go  where password managers look
package portal

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/signin"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/templates"
)

// Handler serves the pages of this room. All fields are set once, before Mount.
type Handler struct {
	Store  *store.Store
	SignIn *signin.Handler
	Now    func() time.Time
	Log    *slog.Logger
}

// Mount adds the room's routes to r.
func (h *Handler) Mount(r *mux.Router) {
	r.HandleFunc("/", h.home).Methods("GET", "HEAD")
	r.HandleFunc("/apps", h.signedIn(h.apps)).Methods("GET", "HEAD")
	r.HandleFunc("/account", h.signedIn(h.account)).Methods("GET", "HEAD")
	r.HandleFunc("/account/sessions", h.signedIn(h.endSessions)).Methods("POST")
	r.HandleFunc("/account/grants", h.signedIn(h.endGrant)).Methods("POST")
	r.HandleFunc("/account/password", h.signedIn(h.passwordPage)).Methods("GET", "HEAD")
	r.HandleFunc("/account/password", h.signedIn(h.changePassword)).Methods("POST")
	r.HandleFunc("/.well-known/change-password", h.wellKnown).Methods("GET", "HEAD")
}

func (h *Handler) home(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/apps", http.StatusSeeOther)
}

type page func(http.ResponseWriter, *http.Request, *signin.Signed)

// signedIn asks for a sign-in first and comes back to the very page that was wanted; a form that was sent meanwhile is
// not sent again by itself.
func (h *Handler) signedIn(next page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, err := h.SignIn.Current(r)
		switch {
		case err != nil:
			h.fail(w, r, err)
		case s == nil && r.Method == http.MethodPost:
			h.SignIn.SendSignIn(w, r, signin.Ask{Back: "/account"})
		case s == nil:
			h.SignIn.SendSignIn(w, r, signin.Ask{Back: r.URL.RequestURI()})
		default:
			next(w, r, s)
		}
	}
}

// fail writes the page for an error that is nobody's decision.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, key := http.StatusInternalServerError, "problem.internal"
	switch {
	case errors.Is(err, store.ErrBusy):
		status, key = http.StatusServiceUnavailable, "problem.busy"
		w.Header().Set("Retry-After", "2")
	case errors.Is(err, store.ErrNotReady):
		status, key = http.StatusServiceUnavailable, "problem.unavailable"
		w.Header().Set("Retry-After", "10")
	}
	ref := h.Store.Events().Refuse(r.Context(), idp.Event{Org: idp.OrgOf(r.Context()).ID, Code: "InternalError", Reason: err.Error()})
	templates.Write(w, r, status, templates.Problem{Title: key + ".title", Sentence: key + ".sentence", Reference: ref, Status: status})
}
