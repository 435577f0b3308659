package signin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/people"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/templates"
)

const setupLife = 24 * time.Hour

// SetupLink returns a path by which the first administrator of the org can be made, once and within 24 hours, or "" if
// the org has users. Whoever asks again, on any node, is given the same one as long as it lives.
func (h *Handler) SetupLink(ctx context.Context, org string) (string, error) {
	text, hash := secret()
	id, text, err := h.Store.SignIn().SetupLink(ctx, org, text, hash, h.Now().Add(setupLife))
	if errors.Is(err, store.ErrExists) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return "/setup?link=" + id + "." + text, nil
}

// link checks the link in the address without spending it: a mail scanner that opens it takes nothing.
func (h *Handler) link(w http.ResponseWriter, r *http.Request) (id string, ok bool) {
	id, text, ok := split(r.URL.Query().Get("link"))
	if ok {
		hash, err := h.Store.SignIn().Link(r.Context(), idp.OrgOf(r.Context()).ID, id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			h.fail(w, r, err)
			return "", false
		}
		ok = err == nil && same(hash, hashOf(text))
	}
	if !ok {
		h.refuse(r, "InvalidSetupLink", "", "", "the set-up link is unknown, used or older than 24 hours")
		templates.Write(w, r, http.StatusNotFound, templates.SetupClosed{})
	}
	return id, ok
}

func (h *Handler) setupPage(w http.ResponseWriter, r *http.Request) {
	if _, ok := h.link(w, r); !ok {
		return
	}
	templates.Write(w, r, http.StatusOK, templates.Setup{Action: r.URL.RequestURI()})
}

// setup makes the first administrator and signs them in. Of two at once, one wins.
func (h *Handler) setup(w http.ResponseWriter, r *http.Request) {
	if !h.parse(w, r) {
		return
	}
	id, ok := h.link(w, r)
	if !ok {
		return
	}
	f := r.PostForm
	u := &idp.User{
		Org: idp.OrgOf(r.Context()).ID, Username: strings.TrimSpace(f.Get("username")), Email: strings.TrimSpace(f.Get("email")),
		GivenName: strings.TrimSpace(f.Get("givenName")), FamilyName: strings.TrimSpace(f.Get("familyName")),
		Active: true, EmailVerified: true, Roles: []string{"admin"},
	}
	again := func(problem string) {
		templates.Write(w, r, http.StatusUnprocessableEntity, templates.Setup{
			Action: r.URL.RequestURI(), Username: u.Username, Email: u.Email, GivenName: u.GivenName, FamilyName: u.FamilyName,
			Problem: problem,
		})
	}
	if f.Get("password") != f.Get("repeat") {
		again("password.differ")
		return
	}
	err := h.People.CreateFirst(r.Context(), u, f.Get("password"), id)
	var fault *people.Fault
	switch {
	case errors.As(err, &fault):
		again(fault.Key)
	case errors.Is(err, store.ErrExists): // a service user has the name
		again("setup.username")
	case errors.Is(err, store.ErrGone):
		templates.Write(w, r, http.StatusNotFound, templates.SetupClosed{})
	case err != nil:
		h.fail(w, r, err)
	default:
		old, err := h.Current(r)
		if err == nil {
			err = h.start(w, r, u, old, store.Proof{Code: "UsernamePasswordUiLogin"})
		}
		if err != nil {
			h.fail(w, r, err)
			return
		}
		http.Redirect(w, r, "/apps", http.StatusSeeOther)
	}
}
