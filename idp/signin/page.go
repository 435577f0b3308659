package signin

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/templates"
)

const (
	maxForm     = 64 << 10
	maxUsername = 256
	maxPassword = 4096
)

// page shows the sign-in form, or sends on who has nothing to prove.
func (h *Handler) page(w http.ResponseWriter, r *http.Request) {
	a, err := h.openAsk(r)
	if err != nil {
		h.stale(w, r, a, err.Error())
		return
	}
	s, err := h.Current(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	other := r.URL.Query().Get("other") != ""
	if s != nil && !other && !s.Session.AuthTime.Before(a.Since) {
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, a.Back, http.StatusSeeOther)
		return
	}
	h.Browser(w, r)
	if other || a.Other {
		s = nil
	}
	h.form(w, r, http.StatusOK, a, s, "", "", 0)
}

// stale tells somebody who came with a question that is no longer one, or never was ours, where to begin again.
func (h *Handler) stale(w http.ResponseWriter, r *http.Request, a Ask, reason string) {
	p := templates.Problem{Sentence: "signin.stale", Retry: "/apps", Status: http.StatusBadRequest}
	if a.App != "" {
		if c, err := h.Store.Apps().Connected(r.Context(), idp.OrgOf(r.Context()).ID, a.App); err == nil {
			p.App, p.Start = c.App.Name, c.App.StartURL
		}
	}
	p.Reference = h.refuse(r, "InvalidRequest", "", a.App, reason)
	templates.Write(w, r, p.Status, p)
}

// form writes the sign-in page. s is the person who must prove themself again, nil for anybody.
func (h *Handler) form(w http.ResponseWriter, r *http.Request, status int, a Ask, s *Signed, username, problem string, wait time.Duration) {
	p := templates.SignIn{Action: self(r), Username: username, Problem: problem, Wait: int((wait + time.Second - 1) / time.Second)}
	if a.App != "" {
		c, err := h.Store.Apps().Connected(r.Context(), idp.OrgOf(r.Context()).ID, a.App)
		if err == nil {
			p.App = c.App.Name
		} else if !errors.Is(err, store.ErrNotFound) {
			h.fail(w, r, err)
			return
		}
	}
	if strings.HasPrefix(a.Back, "/oauth2/continue?") { // SAML's way back takes no refusal
		p.Cancel = with(a.Back, "refused")
	}
	if s != nil {
		p.Known, p.Username, p.NotYou = true, s.User.Username, with(self(r), "other")
	} else if p.Username == "" {
		p.Username = a.Hint
	}
	templates.Write(w, r, status, p)
}

// self is the address of this page with its question, and nothing else of the URL.
func self(r *http.Request) string {
	if ask := r.URL.Query().Get("ask"); ask != "" {
		return r.URL.Path + "?ask=" + ask // opened before, so it is base64url
	}
	return r.URL.Path
}

// enter takes the sign-in form. A wrong name and a wrong password get the same answer after the same work.
func (h *Handler) enter(w http.ResponseWriter, r *http.Request) {
	a, err := h.openAsk(r)
	if err != nil {
		h.stale(w, r, a, err.Error())
		return
	}
	if !h.parse(w, r) {
		return
	}
	username, password := strings.TrimSpace(r.PostForm.Get("username")), r.PostForm.Get("password")
	if username == "" || password == "" || len(username) > maxUsername || len(password) > maxPassword {
		h.form(w, r, http.StatusUnprocessableEntity, a, nil, clip(username), "signin.wrong", 0)
		return
	}
	ctx, o := r.Context(), idp.OrgOf(r.Context())
	old, err := h.Current(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	u, err := h.Store.People().ByName(ctx, o.ID, username)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		h.fail(w, r, err)
		return
	}
	names, wait, err := h.attempt(r, username, u)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if wait > 0 {
		h.refuse(r, "TooManyAttempts", idOf(u), a.App, "too many failed sign-ins")
		h.form(w, r, http.StatusTooManyRequests, a, nil, username, "signin.throttled", wait)
		return
	}
	hash := ""
	if u != nil && u.Active && !u.Service {
		hash = u.Password
	}
	ok, rehash, err := h.People.Check(ctx, hash, password)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if !ok {
		h.refuse(r, "InvalidUserCredentials", idOf(u), a.App, why(u, username))
		h.form(w, r, http.StatusUnprocessableEntity, a, nil, username, "signin.wrong", 0)
		return
	}
	err = h.start(w, r, u, old, store.Proof{Code: "UsernamePasswordUiLogin", App: a.App, Throttle: names, Rehash: rehash, Was: hash})
	if errors.Is(err, store.ErrGone) {
		h.refuse(r, "InvalidUserCredentials", u.ID, a.App, "the user, or the session before, ended at this moment")
		h.form(w, r, http.StatusUnprocessableEntity, a, nil, username, "signin.wrong", 0)
		return
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, a.Back, http.StatusSeeOther)
}

// parse reads the form within its limits; what does not fit is answered here.
func (h *Handler) parse(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		h.problem(w, r, http.StatusRequestEntityTooLarge, "problem.large", err.Error())
	case err != nil:
		h.problem(w, r, http.StatusBadRequest, "problem.bad", err.Error())
	}
	return err == nil
}

func clip(s string) string {
	if len(s) > maxUsername {
		return ""
	}
	return s
}

func idOf(u *idp.User) string {
	if u == nil {
		return ""
	}
	return u.ID
}

func why(u *idp.User, username string) string {
	switch {
	case u == nil:
		return "no user is called " + strconv.Quote(username)
	case u.Service:
		return "a service user can not sign in"
	case !u.Active:
		return "the user is not active"
	case u.Password == "":
		return "the user has no password"
	}
	return "wrong password"
}

// refuse records a refusal and returns its reference.
func (h *Handler) refuse(r *http.Request, code, user, app, reason string) string {
	return h.Store.Events().Refuse(r.Context(), idp.Event{
		Org: idp.OrgOf(r.Context()).ID, Code: code, User: user, App: app, Reason: reason,
	})
}
