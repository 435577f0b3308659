package signin

import (
	"errors"
	"net/http"
	"time"

	"github.com/lanyard-sso/lanyard/idp/people"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// ChangePassword changes the password of s, who must show the present one: one step that also ends all their other
// sessions and gives this one a new secret. problem is the catalogue key of what is wrong with the input. Guesses at the
// present password are counted like those at the sign-in page; with "signin.throttled", wait says how long to wait.
func (h *Handler) ChangePassword(w http.ResponseWriter, r *http.Request, s *Signed, current, next string) (problem string, wait time.Duration, err error) {
	switch {
	case len(current) > maxPassword || len(next) > maxPassword:
		return "password.long", 0, nil
	case current == next:
		return "password.same", 0, nil
	}
	ctx := r.Context()
	// What is wrong with the new one is no guess at the present one, so it comes first.
	phc, err := h.People.Chosen(ctx, s.User, next)
	var fault *people.Fault
	if errors.As(err, &fault) {
		return fault.Key, 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	names, wait, err := h.attempt(r, s.User.Username, s.User)
	if err != nil {
		return "", 0, err
	}
	if wait > 0 {
		h.refuse(r, "TooManyAttempts", s.User.ID, "", "too many wrong present passwords when changing it")
		return "signin.throttled", wait, nil
	}
	ok, _, err := h.People.Check(ctx, s.User.Password, current)
	if err != nil {
		return "", 0, err
	}
	if !ok {
		h.refuse(r, "InvalidUserCredentials", s.User.ID, "", "wrong present password when changing it")
		return "password.current", 0, nil
	}
	err = h.start(w, r, s.User, s, store.Proof{Code: "changePassword", Throttle: names, Rehash: phc, Was: s.User.Password, Changes: true})
	if errors.Is(err, store.ErrGone) { // changed, or signed out, at this moment
		return "password.current", 0, nil
	}
	return "", 0, err
}
