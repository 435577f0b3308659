package portal

import (
	"errors"
	"net/http"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/signin"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/templates"
)

// account shows where the person is signed in and which apps act for them.
func (h *Handler) account(w http.ResponseWriter, r *http.Request, s *signin.Signed) {
	ctx := r.Context()
	p := templates.Account{User: s.User.Name(), Username: s.User.Username, Email: s.User.Email, Now: h.Now()}
	done := r.URL.Query().Get("done")
	if key := "account.done." + done; templates.Has(key) {
		p.Notice = key
	}
	sessions, err := h.Store.SignIn().Sessions(ctx, s.User.Org, s.User.ID)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	for _, o := range sessions {
		if h.Now().Sub(o.Seen) > idp.OrgOf(ctx).Idle() {
			continue // nobody is signed in there any more
		}
		p.Sessions = append(p.Sessions, templates.SessionRow{
			ID: o.ID, Current: o.ID == s.Session.ID, Started: o.Started, LastSeen: o.Seen, Device: o.Agent, IP: o.IP,
		})
	}
	if err := h.given(r, s, &p); err != nil {
		h.fail(w, r, err)
		return
	}
	if done == "grants" {
		p.Left(r.URL.Query().Get("app"))
	}
	templates.Write(w, r, http.StatusOK, p)
}

// given adds to p what the person gave to apps: each living grant, and each consent to an app that has no grant now but
// would get one without asking.
func (h *Handler) given(r *http.Request, s *signin.Signed, p *templates.Account) error {
	ctx := r.Context()
	add := func(app string, scopes []string, row templates.GrantRow) error {
		c, err := h.Store.Apps().Connected(ctx, s.User.Org, app)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		texts, err := h.SignIn.ScopeTexts(r, scopes)
		for _, t := range texts {
			row.Scopes = append(row.Scopes, t.Label)
		}
		row.App, row.AppID = c.App.Name, app
		p.Grants = append(p.Grants, row)
		return err
	}
	grants, err := h.Store.Apps().GrantsOf(ctx, s.User.Org, s.User.ID)
	if err != nil {
		return err
	}
	living := map[string]bool{}
	for _, g := range grants {
		living[g.App] = true
		if err := add(g.App, g.Scopes, templates.GrantRow{ID: g.ID, Since: g.Created, LastUsed: g.LastUsed}); err != nil {
			return err
		}
	}
	consents, err := h.Store.SignIn().Consents(ctx, s.User.Org, s.User.ID)
	if err != nil {
		return err
	}
	for _, c := range consents {
		if living[c.App] {
			continue
		}
		if err := add(c.App, c.Scopes, templates.GrantRow{Since: c.Given}); err != nil {
			return err
		}
	}
	return nil
}

// endSessions ends one session of the person, or all others.
func (h *Handler) endSessions(w http.ResponseWriter, r *http.Request, s *signin.Signed) {
	if !h.form(w, r) {
		return
	}
	var err error
	id := r.PostForm.Get("id")
	switch {
	case r.PostForm.Get("others") != "":
		err = h.Store.SignIn().EndOthers(r.Context(), s.User.Org, s.User.ID, s.Session.ID)
	case id == s.Session.ID:
		h.SignIn.SignOut(w, r, signin.SignOut{Back: "/signout"})
		return
	case store.IsID(id):
		err = h.Store.SignIn().End(r.Context(), s.User.Org, id, s.User.ID, "")
	}
	h.done(w, r, err, "sessions")
}

// endGrant takes back what the person gave an app, one grant or all of it: the tokens die, and the app must ask again.
func (h *Handler) endGrant(w http.ResponseWriter, r *http.Request, s *signin.Signed) {
	if !h.form(w, r) {
		return
	}
	var err error
	what := "grants"
	switch id, app := r.PostForm.Get("id"), r.PostForm.Get("app"); {
	case store.IsID(app):
		if _, err = h.Store.Apps().Connected(r.Context(), s.User.Org, app); err == nil {
			err = h.Store.Apps().RevokeGrants(r.Context(), s.User.Org, app, s.User.ID)
		}
	case store.IsID(id):
		if app, err = h.Store.Apps().RevokeGrant(r.Context(), s.User.Org, s.User.ID, id); err == nil {
			what += "&app=" + app
		}
	}
	h.done(w, r, err, what)
}

// done shows the account again with what was done. What was already gone is done too.
func (h *Handler) done(w http.ResponseWriter, r *http.Request, err error, what string) {
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		h.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/account?done="+what, http.StatusSeeOther)
}

func (h *Handler) form(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		status, key := http.StatusBadRequest, "problem.bad"
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			status, key = http.StatusRequestEntityTooLarge, "problem.large"
		}
		ref := h.Store.Events().Refuse(r.Context(), idp.Event{Org: idp.OrgOf(r.Context()).ID, Code: "InvalidRequest", Reason: err.Error()})
		templates.Write(w, r, status, templates.Problem{Sentence: key, Reference: ref, Status: status})
		return false
	}
	return true
}
