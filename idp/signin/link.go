package signin

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/templates"
)

// Link returns a path by which u signs in once, without a password, within life. One made before is dead, and this one
// is with all that u has now: it does not outlive that u is deactivated, or signed out everywhere by an epoch.
// store.ErrGone: u can not sign in.
func (h *Handler) Link(ctx context.Context, u *idp.User, life time.Duration, why string) (string, error) {
	text, hash := secret()
	id, err := h.Store.SignIn().AddSignInLink(ctx, u, hash, h.Now().Add(life), why)
	if err != nil {
		return "", err
	}
	return "/signin/link?link=" + id + "." + text, nil
}

// signInLink finds whom the link in the address signs in, without spending it; nil: it was answered here.
func (h *Handler) signInLink(w http.ResponseWriter, r *http.Request) (id string, u *idp.User) {
	id, text, ok := split(r.URL.Query().Get("link"))
	if ok {
		hash, found, err := h.Store.SignIn().SignInLink(r.Context(), idp.OrgOf(r.Context()).ID, id)
		switch {
		case err == nil && same(hash, hashOf(text)):
			return id, found
		case err != nil && !errors.Is(err, store.ErrNotFound):
			h.fail(w, r, err)
			return "", nil
		}
	}
	h.linkClosed(w, r, "", "the sign-in link is unknown, used, too old, or ended with what its user had")
	return "", nil
}

func (h *Handler) linkClosed(w http.ResponseWriter, r *http.Request, user, reason string) {
	p := templates.Problem{Sentence: "signin.link.closed", Status: http.StatusNotFound}
	p.Reference = h.refuse(r, "InvalidSigninLink", user, "", reason)
	templates.Write(w, r, p.Status, p)
}

// linkPage asks before it spends the link: who opens a link is often a scanner of mail, or somebody it was forwarded to.
func (h *Handler) linkPage(w http.ResponseWriter, r *http.Request) {
	_, u := h.signInLink(w, r)
	if u == nil {
		return
	}
	mark := base64.RawURLEncoding.EncodeToString(h.Browser(w, r)[:12])
	templates.Write(w, r, http.StatusOK, templates.Confirm{
		Title: "signin.link.title", Text: "signin.link.text", Action: "/signin/link?link=" + r.URL.Query().Get("link") + "&at=" + mark, User: u.Username,
	})
}

// enterByLink spends the link and signs its user in, in a session that is always a new one: nothing that was proved before
// at this browser goes on in it, and it says nothing of a password. Only the browser that was shown the page can say yes to it.
func (h *Handler) enterByLink(w http.ResponseWriter, r *http.Request) {
	if !h.parse(w, r) {
		return
	}
	id, u := h.signInLink(w, r)
	if u == nil {
		return
	}
	if r.PostForm.Get("decision") != "allow" { // whoever it is for may still use it
		http.Redirect(w, r, "/signin", http.StatusSeeOther)
		return
	}
	browser := Marked(r)
	mark, err := base64.RawURLEncoding.Strict().DecodeString(r.URL.Query().Get("at"))
	if err != nil || browser == nil || !same(mark, browser[:12]) {
		h.problem(w, r, http.StatusBadRequest, "problem.browser", "a sign-in link was said yes to at another browser than the one that was asked")
		return
	}
	old, err := h.Current(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	err = h.startByLink(w, r, id, u, old)
	if errors.Is(err, store.ErrGone) {
		h.linkClosed(w, r, u.ID, "the sign-in link was used, or ended, at this moment")
		return
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, "/apps", http.StatusSeeOther)
}

func (h *Handler) startByLink(w http.ResponseWriter, r *http.Request, link string, u *idp.User, old *Signed) error {
	ctx, o, now := r.Context(), idp.OrgOf(r.Context()), h.Now()
	text, hash := secret()
	salt, _ := secret()
	caller := idp.CallerOf(ctx)
	s := &idp.Session{
		Org: o.ID, User: u.ID, Started: now, AuthTime: now, Seen: now, Expires: now.Add(o.Absolute()),
		Level: 1, Salt: salt, IP: address(caller), Agent: shorten(caller.Agent),
	}
	p := store.Proof{Session: s, Hash: hash, Link: link, Code: "SigninLinkUiLogin"}
	if old != nil {
		p.Replaces = old.Session.ID
	}
	if err := h.Store.SignIn().Start(ctx, p); err != nil {
		return err
	}
	setCookie(w, o, "", s.ID+"."+text, 0)
	return nil
}
