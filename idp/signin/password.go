package signin

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/lanyard-sso/lanyard/idp/people"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// ChangePassword changes the password of s, who must show the present one, ends all their other sessions and gives this
// one a new secret. problem is the catalogue key of what is wrong with the input; guesses at the present password are
// counted like those at the sign-in page.
func (h *Handler) ChangePassword(w http.ResponseWriter, r *http.Request, s *Signed, current, next string) (problem string, err error) {
	if len(current) > maxPassword || len(next) > maxPassword {
		return "password.long", nil
	}
	ctx := r.Context()
	names, wait, err := h.attempt(r, s.User.Username, s.User)
	if err != nil {
		return "", err
	}
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		return "signin.throttled", nil
	}
	ok, _, err := h.People.Check(ctx, s.User.Password, current)
	if err != nil {
		return "", err
	}
	if !ok {
		h.refuse(r, "InvalidUserCredentials", s.User.ID, "", "wrong present password when changing it")
		return "password.current", nil
	}
	err = h.People.SetPassword(ctx, s.User, next)
	var fault *people.Fault
	if errors.As(err, &fault) {
		return fault.Key, nil
	}
	if err != nil {
		return "", err
	}
	if err := h.Store.SignIn().EndOthers(ctx, s.User.Org, s.User.ID, s.Session.ID); err != nil {
		return "", err
	}
	return "", h.start(w, r, s.User, s, store.Proof{Code: "SessionRenewed", Throttle: names})
}
