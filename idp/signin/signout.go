package signin

import (
	"net/http"

	"github.com/lanyard-sso/lanyard/templates"
)

// SignOut is where a browser goes once its session has ended.
type SignOut struct {
	Back string // a path of ours, or an address the asking protocol has judged
}

// SignOut ends the session at the browser that sent r, then sends the browser to o.Back. It is the one way out: the
// sign-out page takes it, and so does every protocol that can end a session.
func (h *Handler) SignOut(w http.ResponseWriter, r *http.Request, o SignOut) {
	if err := h.end(r.Context(), w, r); err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, o.Back, http.StatusSeeOther)
}

// signOutPage asks before it ends anything: a link, an image or a mail scanner must not sign anybody out.
func (h *Handler) signOutPage(w http.ResponseWriter, r *http.Request) {
	s, err := h.Current(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if s == nil {
		templates.Write(w, r, http.StatusOK, templates.SignedOut{SignIn: "/signin"})
		return
	}
	templates.Write(w, r, http.StatusOK, templates.Confirm{
		Title: "signout.title", Text: "signout.text", Action: "/signout",
	})
}

func (h *Handler) leave(w http.ResponseWriter, r *http.Request) {
	if !h.parse(w, r) {
		return
	}
	if r.PostForm.Get("decision") == "deny" {
		http.Redirect(w, r, "/apps", http.StatusSeeOther)
		return
	}
	h.SignOut(w, r, SignOut{Back: "/signout"})
}
