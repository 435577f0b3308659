package demo

import (
	"context"
	"crypto/rand"
	"net/http"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Wellness is "Wellness Tracker", an OpenID Connect relying party.
type Wellness struct {
	self    string
	idp     string
	oauth   oauth2.Config
	verify  *oidc.IDTokenVerifier
	op      *oidc.Provider
	in      *sessions[*wellness]
	pending *once[wellnessRequest]
}

type wellness struct {
	name, sub, method string
	claims, userinfo  string // as a person reads them
}

type wellnessRequest struct{ nonce, verifier string }

// NewWellness returns the app as it is before it knows its identity provider.
func NewWellness(self string) *Wellness {
	return &Wellness{self: self, in: newSessions[*wellness]("wellness"), pending: &once[wellnessRequest]{}}
}

// Callback is the app's redirect_uri.
func (a *Wellness) Callback() string { return a.self + "/callback" }

// Connect lets the app discover its identity provider.
func (a *Wellness) Connect(ctx context.Context, issuer, clientID, clientSecret string) error {
	op, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return err
	}
	a.idp, a.op = issuer, op
	a.verify = op.Verifier(&oidc.Config{ClientID: clientID})
	a.oauth = oauth2.Config{
		ClientID: clientID, ClientSecret: clientSecret, Endpoint: op.Endpoint(), RedirectURL: a.Callback(),
		Scopes: []string{"openid", "profile", "email", "groups"},
	}
	return nil
}

// ServeHTTP serves the app.
func (a *Wellness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/app.css":
		css(w, r)
	case "/signout":
		a.in.drop(w, r)
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case "/in":
		state, q := rand.Text(), wellnessRequest{nonce: rand.Text(), verifier: oauth2.GenerateVerifier()}
		a.pending.put(state, q)
		http.Redirect(w, r, a.oauth.AuthCodeURL(state, oidc.Nonce(q.nonce), oauth2.S256ChallengeOption(q.verifier)), http.StatusSeeOther)
	case "/callback":
		a.callback(w, r)
	case "/":
		a.home(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (a *Wellness) home(w http.ResponseWriter, r *http.Request) {
	p := page{App: "Wellness Tracker", Tagline: "Steps, sleep and a little encouragement.", Colour: "violet"}
	in, ok := a.in.get(r)
	if !ok {
		p.Lead = "This is an OpenID Connect relying party. Signing in runs the authorization code flow with PKCE."
		p.Actions = []action{{Label: "Sign in with OpenID Connect", URL: "/in"}}
		p.write(w, http.StatusOK)
		return
	}
	p.User = in.name
	p.Lead = "You are in: the ID token's signature, issuer, audience and nonce were verified through discovery and JWKS."
	p.Facts = []fact{{"Steps today", "8,214"}, {"Sleep", "7 h 20 min"}, {"sub", in.sub}, {"Signed in by", in.method}}
	p.Received = []received{
		{"ID token", "Its claims, after the signature was verified.", in.claims},
		{"UserInfo", "What the access token fetched.", in.userinfo},
	}
	p.Actions = []action{{Label: "Back to the launcher", URL: a.idp + "/apps"}, {Label: "Leave this app", URL: "/signout", Quiet: true}}
	p.write(w, http.StatusOK)
}

func (a *Wellness) callback(w http.ResponseWriter, r *http.Request) {
	fail := func(status int, why string) {
		page{App: "Wellness Tracker", Colour: "violet", Error: why, Actions: []action{{Label: "Try again", URL: "/"}}}.write(w, status)
	}
	q, ok := a.pending.take(r.FormValue("state"))
	if !ok {
		fail(http.StatusBadRequest, "This answer belongs to no request of this app.")
		return
	}
	if e := r.FormValue("error"); e != "" {
		fail(http.StatusForbidden, e+": "+r.FormValue("error_description"))
		return
	}
	if r.FormValue("iss") != a.idp { // RFC 9207
		fail(http.StatusBadRequest, "The answer came from another issuer.")
		return
	}
	token, err := a.oauth.Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(q.verifier))
	if err != nil {
		fail(http.StatusBadGateway, err.Error())
		return
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := a.verify.Verify(r.Context(), raw)
	if err != nil {
		fail(http.StatusForbidden, err.Error())
		return
	}
	if id.Nonce != q.nonce {
		fail(http.StatusForbidden, "The ID token has another nonce.")
		return
	}
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		fail(http.StatusBadGateway, err.Error())
		return
	}
	info, err := a.op.UserInfo(r.Context(), oauth2.StaticTokenSource(token))
	if err != nil {
		fail(http.StatusBadGateway, err.Error())
		return
	}
	var more map[string]any
	if err := info.Claims(&more); err != nil {
		fail(http.StatusBadGateway, err.Error())
		return
	}
	in := &wellness{sub: id.Subject, claims: pretty(claims), userinfo: pretty(more), name: id.Subject, method: "?"}
	if n, ok := more["name"].(string); ok {
		in.name = n
	}
	if amr, ok := claims["amr"].([]any); ok && len(amr) > 0 {
		in.method, _ = amr[0].(string)
	}
	a.in.put(w, in)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
