package signin

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// What guessing costs. Every attempt is counted before the password is looked at, so that guesses sent at once do not
// slip through, and taken back when it succeeds. All counts are temporary: nobody is locked out for good.
const (
	throttleWindow = 15 * time.Minute // failures older than this are forgotten
	accountFree    = 5                // failures of one account before waiting begins: 1 s, 2 s, 4 s …
	addressFree    = 50               // failures from one address, of any accounts
	throttleMost   = 10 * time.Minute // the longest wait
)

// attempt counts an attempt to sign in as username. wait > 0: too many before, this one is refused and not counted. A
// browser at which u has signed in before has a count of its own, so nobody else's guesses can lock it out.
func (h *Handler) attempt(r *http.Request, username string, u *idp.User) (names []string, wait time.Duration, err error) {
	ctx, o := r.Context(), idp.OrgOf(r.Context())
	key := idp.NameKey(username)
	browser := Marked(r)
	known := false
	if browser != nil {
		// Asked for unknown names too: the same work for all.
		if known, err = h.Store.SignIn().Known(ctx, o.ID, browser, idOf(u)); err != nil {
			return nil, 0, err
		}
	}
	limits := []store.Limit{
		{Name: "account:" + digest(key), Free: accountFree, Window: throttleWindow, Most: throttleMost},
		{Name: "address:" + idp.CallerOf(ctx).Network().String(), Free: addressFree, Window: throttleWindow, Most: throttleMost},
	}
	if known {
		limits = []store.Limit{{Name: "browser:" + digest(string(browser)+key), Free: accountFree, Window: throttleWindow, Most: throttleMost}}
	}
	wait, err = h.Store.SignIn().Attempt(ctx, o.ID, limits)
	for _, l := range limits {
		names = append(names, l.Name)
	}
	return names, wait, err
}

// digest names a count by what strangers wrote, in a form and length that any database keeps.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
