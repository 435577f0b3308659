package gate

import (
	"net/http"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/access"
	"github.com/lanyard-sso/lanyard/idp/claims"
	"github.com/lanyard-sso/lanyard/idp/signin"
	"github.com/lanyard-sso/lanyard/saml"
)

// SAML answers saml.Users.
type SAML struct{ Gate }

var _ saml.Users = SAML{}

// Current answers for the person at the browser that sent r, as sp may see them.
func (g SAML) Current(r *http.Request, sp *saml.ServiceProvider, need saml.Need) (_ *saml.Subject, _ saml.Missing, err error) {
	defer func() { err = unless(err, saml.ErrBusy) }()
	ctx, org := r.Context(), idp.OrgOf(r.Context())
	s, err := g.person(r, need.Since, need.Passive)
	if err != nil {
		return nil, "", err
	}
	if s == nil {
		return nil, saml.MissingSignIn, nil
	}
	c, err := g.Store.Apps().Connected(ctx, org.ID, sp.App)
	if err != nil {
		return nil, "", err
	}
	if d := g.decide(ctx, c, s.User, s.Session); d.Decision == access.Deny {
		return nil, "", &saml.Denied{User: s.User.ID, Code: eventOf(d.Rule), Reason: string(d.Rule) + ": " + d.Reason}
	}
	class, ok := always(sp)
	if !ok {
		class, ok = saml.Satisfied(need.Classes, need.Compare, classes(s.Session))
	}
	if _, would := saml.Satisfied(need.Classes, need.Compare, byPassword()); !ok && would {
		return nil, saml.MissingSignIn, nil // the person came by a link
	}
	if !ok {
		return nil, saml.MissingContext, nil // a password is all there is to prove oneself by
	}
	nameID, attributes, err := claims.SAML(ctx, g.Store, c, s.User, need)
	if err != nil {
		return nil, "", err
	}
	return &saml.Subject{
		User: s.User.ID, Session: s.Session.ID, NameID: nameID, AuthnInstant: s.Session.AuthTime,
		SessionIndex: "_" + pairwise(s.Session, sp.App), Class: class, Attributes: attributes,
	}, "", nil
}

// Ask sends the browser to sign in.
func (g SAML) Ask(w http.ResponseWriter, r *http.Request, sp *saml.ServiceProvider, need saml.Need, _ saml.Missing, back string) {
	a := signin.Ask{App: sp.App, Since: need.Since, Hint: need.Hint, Back: back}
	if s, err := g.person(r, need.Since, false); err == nil && s != nil {
		a.Since = g.Now() // whoever is there has not proved enough
	}
	g.SignIn.SendSignIn(w, r, a)
}

// always is the class that an admin has the app told whatever was asked and done: some apps know no other.
func always(sp *saml.ServiceProvider) (class string, ok bool) {
	switch sp.AuthnContext {
	case "", "lenient", "strict":
		return "", false
	}
	return sp.AuthnContext, true
}

// classes is the set of authentication context classes that a session truly satisfies; the first is sent where nothing
// was asked (SURFACE.md §4). There are passwords, and links that prove none.
func classes(s *idp.Session) []string {
	if s.ByPassword() {
		return byPassword()
	}
	return []string{saml.ClassUnspecified}
}

func byPassword() []string {
	return []string{saml.ClassPasswordProtected, saml.ClassPassword, saml.ClassUnspecified}
}
