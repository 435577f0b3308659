package oidc

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/lanyard-sso/lanyard/templates"
)

const (
	loginLife = time.Hour
	codeLife  = time.Minute
)

// authorize judges an authorization request (Core §3.1.2.2) and answers it if nothing is missing. A POST from another
// site carries no cookie of ours, so nobody can be known by it: it is remembered and goes on at continue.
func (h *Handler) authorize(w http.ResponseWriter, r *http.Request) {
	site := h.Site(r.Context())
	q := &request{h: h, http: r, site: site, now: h.Now()}
	if err := q.climb(pageRungs); err != nil {
		h.page(w, r, site, q.client, err)
		return
	}
	if err := q.climb(clientRungs); err != nil {
		h.toClient(w, r, site, q.client, &q.login, err)
		return
	}
	if r.Method == http.MethodPost {
		if err := h.Store.AddLogin(r.Context(), site.Org, &q.login); err != nil {
			h.toClient(w, r, site, q.client, &q.login, err)
			return
		}
		redirect(w, site.Base+back(&q.login))
		return
	}
	h.answer(w, r, site, q.client, &q.login)
}

// back is where the browser returns to with what was missing.
func back(l *Login) string { return "/oauth2/continue?login=" + url.QueryEscape(l.ID) }

// resume goes on with a remembered request, in the browser it belongs to and in no other. All that can have changed since
// it was judged is asked again.
func (h *Handler) resume(w http.ResponseWriter, r *http.Request) {
	ctx, site := r.Context(), h.Site(r.Context())
	p := params{}
	if err := p.add(r.URL.RawQuery); err != nil {
		h.page(w, r, site, nil, err)
		return
	}
	if p.has("logout") {
		h.resumeLogout(w, r, site, p["logout"])
		return
	}
	l, spent := h.bind(w, r, site, p["login"])
	if l == nil {
		h.page(w, r, site, nil, spent)
		return
	}
	c, err := h.lookup(ctx, site, l.ClientID)
	switch {
	case errors.Is(err, ErrNotFound):
		err = &Error{Code: InvalidClient, Event: "UnableToResolve", Reason: "client: " + l.ClientID + " is gone"}
	case err == nil && spent != nil:
		err = spent
	case err == nil:
		err = standing(c, l)
	}
	if err != nil {
		h.page(w, r, site, c, err)
		return
	}
	if err := c.still(l); err != nil {
		h.toClient(w, r, site, c, l, err)
		return
	}
	if p["refused"] == "1" {
		h.toClient(w, r, site, c, l, &Error{Code: AccessDenied, Description: "end-user denied authorization", Event: "AppAccessDenied"})
		return
	}
	h.answer(w, r, site, c, l)
}

// bind finds the remembered request for this browser.
func (h *Handler) bind(w http.ResponseWriter, r *http.Request, site *Site, id string) (*Login, error) {
	if id == "" || len(id) > maxBearID || !wordy(id, "") {
		return nil, ErrNotFound
	}
	return h.Store.BindLogin(r.Context(), site.Org, id, h.Users.Browser(w, r))
}

// standing asks again, before anything is sent to the client, if the client may still be answered there.
func standing(c *Client, l *Login) error {
	if c.Blocked {
		return blocked()
	}
	if !c.redirectsTo(l.RedirectURI) {
		return &Error{Code: InvalidRequest, Description: "The redirect_uri is not registered for this client.", Event: "InvalidIdpEndpoint",
			Reason: "redirect_uri: not registered any more: " + l.RedirectURI}
	}
	return nil
}

// still asks again what the client may have.
func (c *Client) still(l *Login) error {
	if !c.AuthorizationCode {
		return &Error{Code: UnauthorizedClient, Description: "The authorization code flow is off for this client."}
	}
	for _, s := range l.Scopes {
		if !holds(c.Scopes, s) {
			return &Error{Code: InvalidScope, Description: "The scope " + s + " is not allowed for this client any more.", Event: "InvalidScope"}
		}
	}
	return nil
}

func (l *Login) need() Need {
	return Need{Since: l.Since, ConsentSince: l.ConsentSince, Scopes: l.Scopes, ACR: l.ACR, Hint: l.Hint, Sub: l.Sub, None: l.None}
}

// answer gives the client its code if the person at the browser has brought all that is needed; else it sends the browser
// to get the first thing that is missing.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, site *Site, c *Client, l *Login) {
	need := l.need()
	s, missing, err := h.Users.Current(r, c, need)
	if err == nil && missing == "" {
		missing = need.unmet(s)
	}
	if err != nil {
		h.toClient(w, r, site, c, l, err)
		return
	}
	if missing != "" {
		h.ask(w, r, site, c, l, missing)
		return
	}
	now := h.Now()
	code := newBearer(frontCode, h.Store.NewID(), h.NewID())
	err = h.Store.AddCode(r.Context(), site.Org, &Code{
		ID: code.id, Hash: code.hash(), ClientID: c.ID, RedirectURI: l.RedirectURI, GivenURI: l.GivenURI, CodeChallenge: l.CodeChallenge,
		Created: now, Expires: now.Add(codeLife),
		Grant: Grant{
			ID: h.Store.NewID(), App: c.App, Client: c.ID, User: s.User, Session: s.Session, SID: s.SID, Kind: KindCode,
			Scopes: c.allowed(l.Scopes, s), Nonce: l.Nonce, AuthTime: s.AuthTime, ACR: s.ACR, AMR: s.AMR, Created: now,
		},
	}, l.ID)
	if errors.Is(err, ErrNotFound) {
		err = &Error{Code: AccessDenied, Description: "The person or the app is gone.", Event: "NoAccess", User: s.User}
	}
	if err != nil {
		h.toClient(w, r, site, c, l, err)
		return
	}
	redirect(w, with(l.RedirectURI, l.response(site, url.Values{"code": {code.value}})))
}

// unmet holds the house to what the request demands, whatever it says.
func (n Need) unmet(s *Subject) Missing {
	switch {
	case s.AuthTime.Before(n.Since):
		return MissingSignIn
	case n.Sub != "" && s.User != n.Sub:
		return MissingAccount
	}
	return ""
}

// allowed returns those of scopes that the house grants now and c may have now.
func (c *Client) allowed(scopes []string, s *Subject) []string {
	var out []string
	for _, name := range scopes {
		if slices.Contains(s.Scopes, name) && holds(c.Scopes, name) {
			out = append(out, name)
		}
	}
	return out
}

// ask sends the browser for what is missing, or tells the client so if nobody may be asked.
func (h *Handler) ask(w http.ResponseWriter, r *http.Request, site *Site, c *Client, l *Login, missing Missing) {
	if l.None {
		code, description := InteractionRequired, "The person would have to do something first."
		switch missing {
		case MissingSignIn, MissingAccount:
			code, description = LoginRequired, "The person would have to sign in first."
		case MissingConsent:
			code, description = ConsentRequired, "The person would have to consent first."
		}
		h.toClient(w, r, site, c, l, &Error{Code: code, Description: description})
		return
	}
	if l.ID == "" {
		// Two tabs that a browser without a mark opens at once would get two marks, and keep one. continue binds those.
		l.Browser = h.Users.Marked(r)
		if err := h.Store.AddLogin(r.Context(), site.Org, l); err != nil {
			h.toClient(w, r, site, c, l, err)
			return
		}
	}
	h.Users.Ask(w, r, c, l.need(), missing, back(l))
}

// response adds to an authorization response what every one has. RFC 9207 §2: "an authorization server […] MUST indicate
// its identity by including the iss parameter in the authorization response", errors included.
func (l *Login) response(site *Site, v url.Values) url.Values {
	if l.HasState {
		v.Set("state", l.State)
	}
	v.Set("iss", site.Issuer)
	return v
}

// toClient tells the client that it gets no code, at the address that is trusted by now. A remembered request is spent by
// that, unless the fault is ours and it can be tried again.
func (h *Handler) toClient(w http.ResponseWriter, r *http.Request, site *Site, c *Client, l *Login, err error) {
	if errors.Is(err, ErrSpent) || errors.Is(err, ErrBrowser) || errors.Is(err, ErrFlood) {
		h.page(w, r, site, c, err)
		return
	}
	e := judged(err)
	if l.ID != "" && e.Code != ServerError && e.Code != TemporarilyUnavailable {
		if err := h.Store.DropLogin(r.Context(), site.Org, l.ID); err != nil {
			h.page(w, r, site, c, err)
			return
		}
	}
	reference := h.Store.Refuse(r.Context(), site.Org, e.refusal(c))
	h.log(r, e, reference)
	redirect(w, with(l.RedirectURI, l.response(site, url.Values{"error": {e.Code}, "error_description": {e.sentence(reference)}})))
}

// page shows a refusal to the person, where nobody else is trusted with it.
func (h *Handler) page(w http.ResponseWriter, r *http.Request, site *Site, c *Client, err error) {
	p, status, e := problem(err)
	h.show(w, r, site, c, p, status, e)
}

// problem finds the page that tells a person of err.
func problem(err error) (p templates.Problem, status int, e *Error) {
	p, status, e = templates.Problem{Sentence: "problem.request"}, http.StatusBadRequest, judged(err)
	switch {
	case errors.Is(err, ErrBrowser):
		p.Sentence = "problem.browser"
		e = &Error{Event: "OauthError", Reason: "the login belongs to another browser"}
	case errors.Is(err, ErrSpent):
		p.Sentence = "problem.answered"
		e = &Error{Event: "OauthError", Reason: "the login was answered before"}
	case errors.Is(err, ErrNotFound):
		p.Sentence = "problem.expired"
		e = &Error{Event: "OauthError", Reason: "the login is unknown or has expired"}
	case errors.Is(err, ErrFlood):
		p.Sentence, status = "problem.throttled", http.StatusTooManyRequests
		e = &Error{Event: "TooManyRequests", Reason: err.Error()}
	case e.Code == ServerError:
		p.Sentence, status = "problem.internal", http.StatusInternalServerError
	case e.Code == TemporarilyUnavailable:
		p.Sentence, status = "problem.unavailable", http.StatusServiceUnavailable
	case e.Event == "AppBlocked":
		p.Sentence = "problem.blocked"
	case e.Event == "InvalidIdpEndpoint":
		p.Sentence = "problem.address"
	case e.Event == "UnableToResolve":
		p.Sentence = "problem.app"
	}
	return p, status, e
}

// show records the refusal and writes its page.
func (h *Handler) show(w http.ResponseWriter, r *http.Request, site *Site, c *Client, p templates.Problem, status int, e *Error) {
	if c != nil {
		p.App, p.Start = c.Name, c.Start
	}
	p.Reference = h.Store.Refuse(r.Context(), site.Org, e.refusal(c))
	h.log(r, e, p.Reference)
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "60")
	}
	templates.Write(w, r, status, p)
}
