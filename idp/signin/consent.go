package signin

import (
	"errors"
	"net/http"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/templates"
)

// consentFor opens the question and finds the person and the app; what is not right is answered here.
func (h *Handler) consentFor(w http.ResponseWriter, r *http.Request) (a Ask, s *Signed, c *idp.Connected, ok bool) {
	a, err := h.openAsk(r)
	if err == nil && (a.App == "" || len(a.Scopes) == 0) {
		err = errAsk
	}
	if err != nil {
		h.stale(w, r, a, err.Error())
		return a, nil, nil, false
	}
	if s, err = h.Current(r); err != nil {
		h.fail(w, r, err)
		return a, nil, nil, false
	}
	if s == nil {
		http.Redirect(w, r, a.Back, http.StatusSeeOther) // the request knows what is missing
		return a, nil, nil, false
	}
	c, err = h.Store.Apps().Connected(r.Context(), idp.OrgOf(r.Context()).ID, a.App)
	if errors.Is(err, store.ErrNotFound) {
		h.stale(w, r, a, "the app is gone")
		return a, nil, nil, false
	}
	if err != nil {
		h.fail(w, r, err)
		return a, nil, nil, false
	}
	return a, s, c, true
}

// consentPage shows what the app asks for. What is granted comes from the sealed question, never from the form.
func (h *Handler) consentPage(w http.ResponseWriter, r *http.Request) {
	a, s, c, ok := h.consentFor(w, r)
	if !ok {
		return
	}
	scopes, err := h.ScopeTexts(r, a.Scopes)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	org := idp.OrgOf(r.Context()).ID
	a.Person = s.User.ID
	p := templates.Consent{
		App: c.App.Name, Host: a.Host, Publisher: c.App.ContactEmail, Scopes: scopes, User: s.User.Name(),
		Action: "/consent?ask=" + h.sealAsk(org, a),
		NotYou: "/signin?ask=" + h.sealAsk(org, Ask{App: a.App, Since: h.Now(), Other: true, Back: a.Back}),
	}
	if c.App.OAuth != nil && c.App.OAuth.Registered != nil {
		p.Policy, p.Terms = c.App.OAuth.Registered.PolicyURI, c.App.OAuth.Registered.TosURI
	}
	templates.Write(w, r, http.StatusOK, p)
}

// ScopeTexts finds the words a person reads for each scope: ours for the built-in ones, the org's own for the others.
func (h *Handler) ScopeTexts(r *http.Request, scopes []string) ([]templates.ScopeText, error) {
	var texts []templates.ScopeText
	for _, name := range scopes {
		if key := "scope." + name; templates.Has(key) {
			texts = append(texts, templates.ScopeText{Name: name, Label: templates.Text(key)})
			continue
		}
		n, err := h.Store.People().Named(r.Context(), idp.OrgOf(r.Context()).ID, idp.KindScope, name)
		switch {
		case errors.Is(err, store.ErrNotFound):
			n = &idp.Named{Label: name}
		case err != nil:
			return nil, err
		}
		if n.Label == "" {
			n.Label = name
		}
		texts = append(texts, templates.ScopeText{Name: name, Label: n.Label})
	}
	return texts, nil
}

// decide takes the answer. It is kept with the person, not with the request that asked.
func (h *Handler) decide(w http.ResponseWriter, r *http.Request) {
	if !h.parse(w, r) {
		return
	}
	a, s, c, ok := h.consentFor(w, r)
	if !ok {
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if a.Person != s.User.ID {
		http.Redirect(w, r, a.Back, http.StatusSeeOther) // somebody else has signed in here since: they are asked themself
		return
	}
	if r.PostForm.Get("decision") != "allow" {
		http.Redirect(w, r, with(a.Back, "refused"), http.StatusSeeOther)
		return
	}
	if err := h.Store.SignIn().PutConsent(r.Context(), idp.OrgOf(r.Context()).ID, s.User.ID, c.App.ID, a.Scopes, h.Now()); err != nil {
		h.fail(w, r, err)
		return
	}
	http.Redirect(w, r, a.Back, http.StatusSeeOther)
}
