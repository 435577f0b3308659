package signin

import (
	"errors"
	"net/http"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/templates"
)

// SignOut is what is to end, and where its browser goes then. Where a person is asked first it travels sealed in the
// address of the page, like an Ask, under a name of its own: an Ask leads to paths of ours only.
type SignOut struct {
	Session string    `json:"-"`           // of User; empty: none is left
	User    string    `json:"-"`           //
	App     string    `json:"a,omitempty"` // id of the app that asks; empty: this house itself
	Other   bool      `json:"o,omitempty"` // the app takes the person for somebody else
	Back    string    `json:"b,omitempty"` // a path of ours, or an address that the asking protocol has judged; empty: the page that says it is done
	Person  string    `json:"p,omitempty"` // id of whom the page was shown to; nobody else's answer counts
	Until   time.Time `json:"e"`
}

const signOutPath = "/signout"

// SignOut ends a session, then sends the browser to o.Back. It is the one way out: the sign-out page takes it, and so does
// every protocol that can end a session.
func (h *Handler) SignOut(w http.ResponseWriter, r *http.Request, o SignOut) {
	org := idp.OrgOf(r.Context())
	if o.Session != "" {
		if err := h.Store.SignIn().End(r.Context(), org.ID, o.Session, o.User, o.App); err != nil {
			h.fail(w, r, err)
			return
		}
	}
	if o.Back == "" {
		o.Back = signOutPath
	}
	if len(cookies(r, org, "")) > 0 { // an image of another site's brings none, and takes none away
		setCookie(w, org, "", "", -1)
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, o.Back, http.StatusSeeOther)
}

// SendSignOut sends the browser to be asked whether it is to be signed out, which may lead on to o.Back.
func (h *Handler) SendSignOut(w http.ResponseWriter, r *http.Request, o SignOut) {
	o.Until = h.Now().Add(askLife)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, h.signOutAt(r, o), http.StatusSeeOther)
}

func signOutName(r *http.Request) string { return "signout\x00" + idp.OrgOf(r.Context()).ID }

func (h *Handler) signOutAt(r *http.Request, o SignOut) string {
	return signOutPath + "?ask=" + h.seal(signOutName(r), o)
}

// signOutFor opens the question; who came without one asks for themself. What is not right is answered here.
func (h *Handler) signOutFor(w http.ResponseWriter, r *http.Request) (o SignOut, ok bool) {
	text := r.URL.Query().Get("ask")
	if text == "" {
		return o, true
	}
	err := h.open(signOutName(r), text, &o)
	if err == nil && h.Now().After(o.Until) {
		err = errExpired
	}
	if err != nil {
		h.stale(w, r, Ask{App: o.App}, err.Error())
	}
	return o, err == nil
}

// signOutPage asks before it ends anything: a link, an image or a mail scanner must not sign anybody out, whoever wrote
// the address.
func (h *Handler) signOutPage(w http.ResponseWriter, r *http.Request) {
	o, ok := h.signOutFor(w, r)
	if !ok {
		return
	}
	s, err := h.Current(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if s == nil {
		templates.Write(w, r, http.StatusOK, templates.SignedOut{SignIn: "/signin"})
		return
	}
	p := templates.Confirm{Title: "signout.title", Text: "signout.text", Action: signOutPath, User: s.User.Name()}
	if !o.Until.IsZero() {
		o.Person = s.User.ID
		p.Action = h.signOutAt(r, o)
	}
	c, err := h.asker(r, &o)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if c != nil {
		p.App, p.Text = c.App.Name, "signout.app"
		if o.Other {
			p.Text = "signout.other"
		}
	}
	templates.Write(w, r, http.StatusOK, p)
}

// asker reads the app that asked, nil if there is none. One that was deleted or blocked since leads nobody anywhere.
func (h *Handler) asker(r *http.Request, o *SignOut) (*idp.Connected, error) {
	if o.App == "" {
		return nil, nil
	}
	c, err := h.Store.Apps().Connected(r.Context(), idp.OrgOf(r.Context()).ID, o.App)
	if errors.Is(err, store.ErrNotFound) {
		c, err = nil, nil
	}
	if c == nil || c.Blocked() {
		o.Back = ""
	}
	return c, err
}

// leave takes the answer.
func (h *Handler) leave(w http.ResponseWriter, r *http.Request) {
	o, ok := h.signOutFor(w, r)
	if !ok || !h.parse(w, r) {
		return
	}
	s, err := h.Current(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if _, err := h.asker(r, &o); err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	switch asked := !o.Until.IsZero(); {
	case r.PostForm.Get("decision") == "deny":
		http.Redirect(w, r, "/apps", http.StatusSeeOther)
		return
	case asked && s != nil && s.User.ID != o.Person:
		http.Redirect(w, r, h.signOutAt(r, o), http.StatusSeeOther) // somebody else has signed in here since: they are asked themself
		return
	case asked && o.Person == "":
		o.Back = "" // nobody was asked yet whether to be led away
	}
	if s != nil {
		o.Session, o.User = s.Session.ID, s.User.ID
	}
	h.SignOut(w, r, o)
}
