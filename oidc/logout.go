package oidc

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Logout is a judged request for sign-out (RP-Initiated Logout §2).
type Logout struct {
	ID       string `json:"-"` // set by AddLogout, time-ordered
	Browser  []byte `json:"-"` // hash of the secret of the browser it belongs to; nil: the first that comes back
	App      string `json:"-"` // the house's id of the app that asks; empty: not known
	Created  time.Time
	Expires  time.Time
	ClientID string // empty: not known
	Hinted   bool   // an ID token of ours came with it, which was about …
	Sub      string // … this person …
	SID      string // … in this session
	URI      string // where the browser is wanted back, to the byte; empty: nowhere that is to be trusted
	State    string
	HasState bool
}

// SignOut is what a request for sign-out comes to.
type SignOut struct {
	Client  *Client  // the client that asks; nil: not known
	Subject *Subject // whose session ends, as Here named it; nil: nobody is there
	Ask     bool     // the person decides first
	Other   bool     // the client takes them for somebody else
	Back    string   // where the browser goes then: an address that was judged; empty: a page of the house
}

// maxBack is how long the address with its state may be, in bytes: sealed into the question whether to leave, it must
// still be an address that is taken here.
const maxBack = 8 << 10

// logoutRungs judge a request for sign-out. Whatever one of them refuses is a page here: nobody is sent anywhere, and
// nobody is signed out. Nothing is said of logout_hint and ui_locales: the person at the browser is known without the
// one, and there is one language.
var logoutRungs = []rung{
	{"parameters", (*request).readParameters},            // RP-Initiated Logout §2, RFC 6749 §3.1
	{"id_token_hint", (*request).askLogoutHint},          // RP-Initiated Logout §2, §4
	{"client_id", (*request).askLogoutClient},            // RP-Initiated Logout §2
	{"post_logout_redirect_uri", (*request).askLogoutTo}, // RP-Initiated Logout §3
}

// askLogoutHint reads who asks, and for whom. §2: "When an id_token_hint parameter is present, the OP MUST validate that
// it was the issuer of the ID Token", and: "The OP SHOULD accept ID Tokens […] even when the exp time has passed."
func (q *request) askLogoutHint() error {
	text := q.params["id_token_hint"]
	if text == "" {
		return nil
	}
	hint, err := q.h.readHint(q.http.Context(), q.site, text)
	if err != nil {
		return err
	}
	q.client = hint.client
	q.logout.Hinted, q.logout.Sub, q.logout.SID = true, hint.sub, hint.sid
	return nil
}

// askLogoutClient finds the client that names itself. §2: "When both client_id and id_token_hint are present, the OP MUST
// verify that the Client Identifier matches the one used when issuing the ID Token."
func (q *request) askLogoutClient() (err error) {
	id := q.params["client_id"]
	switch {
	case id == "": // RFC 6749 §3.1: "Parameters sent without a value MUST be treated as if they were omitted"
	case q.client == nil:
		q.client, err = q.h.lookup(q.http.Context(), q.site, id)
		if errors.Is(err, ErrNotFound) {
			return &Error{Code: InvalidClient, Description: "The client is not known.", Event: "UnableToResolve",
				Reason: "no client is called " + strconv.Quote(clip(id))}
		}
	case q.client.ID != id:
		return invalidRequest("The id_token_hint is another client's.")
	}
	if err == nil && q.client != nil {
		q.logout.App, q.logout.ClientID = q.client.App, q.client.ID
	}
	return err
}

// askLogoutTo judges where the browser is wanted back. §3: "The OP MUST NOT perform post-logout redirection if the
// post_logout_redirect_uri value supplied does not exactly match one of the previously registered
// post_logout_redirect_uris values." Nor without anything by which the client is known: then it is as if there were none.
func (q *request) askLogoutTo() error {
	uri := q.params["post_logout_redirect_uri"]
	if uri == "" || q.client == nil {
		return nil
	}
	if !slices.Contains(q.client.PostLogoutRedirectURIs, uri) {
		return &Error{Code: InvalidRequest, Description: "The post_logout_redirect_uri is not registered for this client.",
			Event: "InvalidIdpEndpoint", Reason: "not registered: " + strconv.Quote(clip(uri))}
	}
	q.logout.URI = uri
	q.logout.State, q.logout.HasState = q.params["state"], q.params.has("state")
	if len(q.logout.back()) > maxBack {
		return invalidRequest("The state is too long to be sent back in an address.")
	}
	return nil
}

// logout judges a request for sign-out and answers it. A POST from another site carries no cookie of ours, so nobody can
// be known by it: it is remembered and goes on at continue.
func (h *Handler) logout(w http.ResponseWriter, r *http.Request) {
	site, now := h.Site(r.Context()), h.Now()
	q := &request{h: h, http: r, site: site, now: now, logout: Logout{Created: now, Expires: now.Add(loginLife)}}
	if err := q.climb(logoutRungs); err != nil {
		h.stay(w, r, site, q.client, err)
		return
	}
	if r.Method == http.MethodPost && q.client == nil && !q.logout.Hinted { // there is nothing to remember
		redirect(w, site.Base+"/signout")
		return
	}
	if r.Method == http.MethodPost {
		if err := h.Store.AddLogout(r.Context(), site.Org, &q.logout); err != nil {
			h.stay(w, r, site, q.client, err)
			return
		}
		redirect(w, site.Base+"/oauth2/continue?logout="+url.QueryEscape(q.logout.ID))
		return
	}
	h.leave(w, r, site, q.client, &q.logout)
}

// resumeLogout goes on with a remembered request, in the browser it belongs to and in no other. It may do so as often as
// it likes: who has signed in since is in another session, and is asked.
func (h *Handler) resumeLogout(w http.ResponseWriter, r *http.Request, site *Site, id string) {
	if id == "" || len(id) > maxBearID || !wordy(id, "") {
		h.stay(w, r, site, nil, ErrNotFound)
		return
	}
	l, err := h.Store.BindLogout(r.Context(), site.Org, id, h.Users.Browser(w, r))
	if err != nil {
		h.stay(w, r, site, nil, err)
		return
	}
	var c *Client
	if l.ClientID != "" {
		c, err = h.lookup(r.Context(), site, l.ClientID)
		switch {
		case errors.Is(err, ErrNotFound):
			err = &Error{Code: InvalidClient, Event: "UnableToResolve", Reason: "client: " + l.ClientID + " is gone"}
		case err == nil && l.URI != "" && !slices.Contains(c.PostLogoutRedirectURIs, l.URI):
			err = &Error{Code: InvalidRequest, Event: "InvalidIdpEndpoint", Reason: "post_logout_redirect_uri: not registered any more: " + l.URI}
		}
		if err != nil {
			h.stay(w, r, site, c, err)
			return
		}
	}
	h.leave(w, r, site, c, l)
}

// leave ends the session at the browser, or has its person asked. RP-Initiated Logout §2: "the OP MUST ask the End-User
// this question if an id_token_hint was not provided or if the supplied ID Token does not belong to the current OP session
// with the RP and/or currently logged in End-User."
//
// An ID token of the present session is all it takes, as the specification has it: whoever has stolen one can sign its
// person out, by a link that they follow. It can do nothing else, and not from an image or a frame, to which a browser
// gives no cookie of another site's.
func (h *Handler) leave(w http.ResponseWriter, r *http.Request, site *Site, c *Client, l *Logout) {
	s, err := h.Users.Here(r, c)
	if err != nil {
		h.stay(w, r, site, c, err)
		return
	}
	o := SignOut{Client: c, Subject: s, Back: l.back()}
	if s != nil {
		o.Other = l.Hinted && l.Sub != s.User
		o.Ask = o.Other || !l.Hinted || l.SID == "" || l.SID != s.SID
	}
	if s == nil && !l.Hinted || c != nil && c.Blocked {
		// Without a hint it takes a person's word to be led away. And one may always leave a blocked app, but nobody is
		// led to it.
		o.Back = ""
	}
	h.Users.SignOut(w, r, o)
}

// back is where the browser is led, with the state as it came (§3: "the OP passes this value back").
func (l *Logout) back() string {
	if l.URI == "" || !l.HasState {
		return l.URI
	}
	return with(l.URI, url.Values{"state": {l.State}})
}

// stay tells the person that nobody was signed out, and where they can do so themself.
func (h *Handler) stay(w http.ResponseWriter, r *http.Request, site *Site, c *Client, err error) {
	p, status, e := problem(err)
	switch p.Sentence {
	case "problem.request", "problem.browser", "problem.expired":
		p.Sentence = "problem.signout"
	}
	p.SignOut = "/signout"
	h.show(w, r, site, c, p, status, e)
}

// CheckPostLogoutURI tells what is wrong with an address that browsers are to be sent to after sign-out, in words for
// whoever registers it; nil if nothing is. It may be what a redirect URI may be, but for its query, to which the answer
// adds the state and nothing else.
func CheckPostLogoutURI(uri string, native bool) error {
	u, why := ofClient(uri, native)
	if why == "" {
		why = clash(u, "state")
	}
	if why != "" {
		return badMetadata("post-logout redirect URI " + plain(clip(uri)) + ": " + why + ".")
	}
	return nil
}

func (m *Metadata) askPostLogout() error {
	if len(m.PostLogoutRedirectURIs) > maxURIs {
		return badMetadata("There are more than 50 post-logout redirect URIs.")
	}
	for _, uri := range m.PostLogoutRedirectURIs {
		if err := CheckPostLogoutURI(uri, m.ApplicationType == "native"); err != nil {
			return err
		}
	}
	return nil
}
