package saml

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/mux"

	"github.com/lanyard-sso/lanyard/templates"
)

// Mount puts the addresses of this room on r.
func (h *Handler) Mount(r *mux.Router) {
	r.HandleFunc("/saml/sso", h.sso).Methods("GET", "POST")
	r.HandleFunc("/saml/continue", h.resume).Methods("GET")
	r.HandleFunc("/saml/launch/{app}", h.launch).Methods("GET")
	r.HandleFunc("/saml/metadata", h.metadata).Methods("GET", "HEAD")
	r.HandleFunc("/saml/certificate.pem", h.certificate).Methods("GET", "HEAD")
}

const (
	loginLife = time.Hour // of a remembered request
	// An ID is remembered as long as its request would pass IssueInstant, and then as long as a login that was
	// remembered for the same request can still be answered.
	spentLife = 15*time.Minute + loginLife
)

// ssoURL is where AuthnRequests are sent.
func (s *Site) ssoURL() string { return s.Base + "/saml/sso" }

// begin starts the judgement of r.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request) *judgement {
	return &judgement{ctx: r.Context(), w: w, r: r, site: h.Site(r.Context()), store: h.Store, now: h.Now()}
}

// sso judges an AuthnRequest. By GET it is answered at once if nothing is missing. By POST it comes from another site and
// carries no cookie of ours (SameSite=Lax), so nobody knows yet who is at the browser: it is remembered and taken up again
// by a GET of our own.
func (h *Handler) sso(w http.ResponseWriter, r *http.Request) {
	j := h.begin(w, r)
	if !h.climb(j, func(rung Rung) bool { return rung.Side != Person }) {
		return
	}
	if j.message.binding == BindingRedirect {
		h.answer(j)
		return
	}
	if h.remember(j) {
		templates.SecurityHeaders(w.Header())
		w.Header().Set("Location", back(&j.login))
		w.WriteHeader(http.StatusSeeOther) // never 307, which would post the request again
	}
}

// resume takes a remembered request or launch up again, as often as something was missing.
func (h *Handler) resume(w http.ResponseWriter, r *http.Request) {
	j := h.begin(w, r)
	l, err := h.Store.BindLogin(j.ctx, j.site.Org, loginID(r), h.Users.Browser(w, r))
	if l != nil {
		j.login = *l
		sp, notFound := h.Store.ServiceProvider(j.ctx, j.site.Org, l.App)
		switch {
		case notFound == nil:
			j.sp = sp
		case !errors.Is(notFound, ErrNotFound):
			h.fault(j, notFound)
			return
		case err == nil:
			h.page(j, "problem.app", http.StatusBadRequest, Refusal{App: l.App, Code: "UnableToResolve", Reason: "the app was deleted before its request was answered"})
			return
		}
	}
	switch {
	case errors.Is(err, ErrSpent):
		h.answered(j)
	case errors.Is(err, ErrBrowser):
		h.page(j, "problem.browser", http.StatusBadRequest, Refusal{Code: "InvalidAuthnRequest", Reason: "the login belongs to another browser"})
	case errors.Is(err, ErrNotFound):
		h.page(j, "problem.expired", http.StatusBadRequest, Refusal{Code: "InvalidAuthnRequest", Reason: "the login is unknown or older than an hour"})
	case err != nil:
		h.fault(j, err)
	default:
		if h.climb(j, func(rung Rung) bool { return rung.again }) {
			h.answer(j)
		}
	}
}

// loginID reads which login to take up; empty, which none is called, if r does not name one in a way we do.
func loginID(r *http.Request) string {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(q["login"]) != 1 {
		return ""
	}
	id := q.Get("login")
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && c != '-' && c != '_' {
			return ""
		}
	}
	return id
}

// answer answers j.login if the person at the browser has all it needs; otherwise they are asked for it.
func (h *Handler) answer(j *judgement) {
	l := &j.login
	need := Need{Since: l.Since, Classes: l.Classes, Compare: l.Compare, Hint: l.Subject, Format: l.Format, Policy: l.Policy, Passive: l.Passive}
	var err error
	j.subject, j.missing, err = h.Users.Current(j.r, j.sp, need)
	var denied *Denied
	var e *Error
	switch {
	case errors.As(err, &denied):
		h.deny(j, denied)
	case errors.As(err, &e):
		h.tell(j, e)
	case err != nil:
		h.fault(j, err)
	case !h.climb(j, func(rung Rung) bool { return rung.Side == Person }):
	case j.missing == "":
		h.issue(j)
	case h.remember(j):
		h.Users.Ask(j.w, j.r, j.sp, need, j.missing, back(l))
	}
}

// back is the path at which l is taken up again.
func back(l *Login) string { return "/saml/continue?login=" + url.QueryEscape(l.ID) }

// remember stores j.login unless it is stored already. If that fails it answers, and returns false.
func (h *Handler) remember(j *judgement) bool {
	l := &j.login
	if l.ID != "" {
		return true
	}
	if l.RequestID != "" {
		spent, err := h.Store.Spent(j.ctx, j.site.Org, l.App, l.RequestID)
		switch {
		case err != nil:
			h.fault(j, err)
			return false
		case spent:
			h.answered(j)
			return false
		}
	}
	l.Created, l.Expires = j.now, j.now.Add(loginLife)
	err := h.Store.AddLogin(j.ctx, j.site.Org, l)
	switch {
	case errors.Is(err, ErrFlood):
		h.flooded(j, err)
	case err != nil:
		h.fault(j, err)
	}
	return err == nil
}

// issue spends the request and then sends the response. Whoever loses the race for it signs nothing.
func (h *Handler) issue(j *judgement) {
	s, l := j.subject, &j.login
	key, err := j.site.signer()
	if err == nil {
		err = s.sendable(l.Format)
	}
	if err != nil {
		h.fault(j, err)
		return
	}
	err = h.Store.Answer(j.ctx, j.site.Org, Answer{
		App: j.sp.App, User: s.User, Session: s.Session, Login: l.ID, RequestID: l.RequestID, SpentUntil: j.now.Add(spentLife),
		NameID: s.NameID, SessionIndex: s.SessionIndex, Launched: l.RequestID == "",
	})
	switch {
	case errors.Is(err, ErrSpent):
		h.answered(j)
		return
	case err != nil:
		h.fault(j, err)
		return
	}
	document, err := h.writeResponse(j, key)
	if err != nil {
		h.fault(j, err)
		return
	}
	h.post(j, document)
}
