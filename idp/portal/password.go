package portal

import (
	"net/http"
	"time"

	"github.com/lanyard-sso/lanyard/idp/signin"
	"github.com/lanyard-sso/lanyard/templates"
)

// wellKnown sends password managers to the form (W3C "A Well-Known URL for Changing Passwords").
func (h *Handler) wellKnown(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/account/password", http.StatusSeeOther)
}

func (h *Handler) passwordPage(w http.ResponseWriter, r *http.Request, s *signin.Signed) {
	templates.Write(w, r, http.StatusOK, templates.ChangePassword{Action: "/account/password", User: s.User.Username})
}

// changePassword asks for the present password again, changes it and ends all other sessions. Apps keep what they were
// given: a voluntary change is no reason to break an integration.
func (h *Handler) changePassword(w http.ResponseWriter, r *http.Request, s *signin.Signed) {
	if !h.form(w, r) {
		return
	}
	again := func(status int, problem string, wait time.Duration) {
		templates.Write(w, r, status, templates.ChangePassword{
			Action: "/account/password", User: s.User.Username, Problem: problem, Wait: int((wait + time.Second - 1) / time.Second),
		})
	}
	if r.PostForm.Get("password") != r.PostForm.Get("repeat") {
		again(http.StatusUnprocessableEntity, "password.differ", 0)
		return
	}
	problem, wait, err := h.SignIn.ChangePassword(w, r, s, r.PostForm.Get("current"), r.PostForm.Get("password"))
	switch {
	case err != nil:
		h.fail(w, r, err)
	case wait > 0:
		again(http.StatusTooManyRequests, problem, wait)
	case problem != "":
		again(http.StatusUnprocessableEntity, problem, 0)
	default:
		http.Redirect(w, r, "/account?done=password", http.StatusSeeOther)
	}
}
