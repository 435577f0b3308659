package main_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// rp is a relying party on coreos/go-oidc and x/oauth2.
type rp struct {
	oauth2.Config
	t        *testing.T
	o        *org
	op       *oidc.Provider
	verifier *oidc.IDTokenVerifier
	pkce     string // the verifier of the next exchange; empty: no PKCE
	nonce    string
	state    string
	http     *http.Client
}

// newRP makes a client; no secret is a public one.
func newRP(t *testing.T, o *org, id, secret, redirect string, scopes ...string) *rp {
	t.Helper()
	r := &rp{t: t, o: o, nonce: "n-" + rand.Text(), state: "s-" + rand.Text()}
	r.at(o.nodes[0])
	op, err := oidc.NewProvider(r.ctx(), o.url)
	if err != nil {
		t.Fatalf("discovery: %v", err)
	}
	r.op, r.verifier = op, op.Verifier(&oidc.Config{ClientID: id})
	r.Config = oauth2.Config{ClientID: id, ClientSecret: secret, Endpoint: op.Endpoint(), RedirectURL: redirect, Scopes: scopes}
	if secret == "" {
		r.Endpoint.AuthStyle, r.pkce = oauth2.AuthStyleInParams, oauth2.GenerateVerifier()
	}
	return r
}

// at has the client talk to a node; the address it knows stays the same, as behind a balancer.
func (r *rp) at(n *node) {
	r.http = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, n.addr)
		}, MaxIdleConnsPerHost: 16, TLSClientConfig: &tls.Config{RootCAs: r.o.roots},
	}}
	r.t.Cleanup(r.http.CloseIdleConnections)
}

func (r *rp) ctx() context.Context { return oidc.ClientContext(context.Background(), r.http) }

func param(name, value string) oauth2.AuthCodeOption { return oauth2.SetAuthURLParam(name, value) }

// start is where the client sends the browser.
func (r *rp) start(more ...oauth2.AuthCodeOption) string {
	opts := []oauth2.AuthCodeOption{}
	if r.nonce != "" {
		opts = append(opts, oidc.Nonce(r.nonce))
	}
	if r.pkce != "" {
		opts = append(opts, oauth2.S256ChallengeOption(r.pkce))
	}
	return r.AuthCodeURL(r.state, append(opts, more...)...)
}

// back demands that the browser has left for the client's own address, and returns what it brings.
func (r *rp) back(p *page) url.Values {
	r.t.Helper()
	got := *p.url
	got.RawQuery = ""
	if want, _, _ := strings.Cut(r.RedirectURL, "?"); p.status != 0 || got.String() != want {
		r.t.Fatalf("not back at the client: %d %s by %v\n%s", p.status, p.url, p.way, p.body)
	}
	q := p.url.Query()
	if q.Get("iss") != r.o.url || q.Get("state") != r.state {
		r.t.Errorf("OA-AZ-03: iss %q, state %q", q.Get("iss"), q.Get("state"))
	}
	return q
}

// code is what the browser brings where it is let in.
func (r *rp) code(p *page) string {
	r.t.Helper()
	q := r.back(p)
	if q.Get("code") == "" {
		r.t.Fatalf("no code: %s", p.url)
	}
	return q.Get("code")
}

// refusal is the error that the browser brings where it is not.
func (r *rp) refusal(p *page) string {
	r.t.Helper()
	q := r.back(p)
	if q.Has("code") {
		r.t.Errorf("a code beside an error: %s", p.url)
	}
	return q.Get("error")
}

// exchange redeems a code.
func (r *rp) exchange(code string) (*oauth2.Token, error) {
	var opts []oauth2.AuthCodeOption
	if r.pkce != "" {
		opts = append(opts, oauth2.VerifierOption(r.pkce))
	}
	return r.Exchange(r.ctx(), code, opts...)
}

// claims are an ID token's, after it was verified.
type claims struct {
	Subject, Nonce, ACR string
	Audience            []string
	Issued, Expires     time.Time
	AuthTime            int64 `json:"auth_time"`
	all                 map[string]any
}

func (r *rp) verify(raw string) (*claims, error) {
	id, err := r.verifier.Verify(r.ctx(), raw)
	if err != nil {
		return nil, err
	}
	c := &claims{Subject: id.Subject, Nonce: id.Nonce, Audience: id.Audience, Issued: id.IssuedAt, Expires: id.Expiry}
	return c, errors.Join(id.Claims(c), id.Claims(&c.all))
}

// signIn takes the browser's code to the end: tokens, and an ID token that verifies where openid was asked for.
func (r *rp) signIn(p *page) (*claims, *oauth2.Token) {
	r.t.Helper()
	token, err := r.exchange(r.code(p))
	if err != nil {
		r.t.Fatalf("token: %v", err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, token
	}
	c, err := r.verify(raw)
	if err != nil {
		r.t.Fatalf("ID token: %v", err)
	}
	if c.Nonce != r.nonce {
		r.t.Errorf("nonce %q, not %q", c.Nonce, r.nonce)
	}
	return c, token
}

// oauthError is the code of an error of x/oauth2, with the status it came with.
func oauthError(err error) (code string, status int) {
	var e *oauth2.RetrieveError
	if !errors.As(err, &e) {
		return "", 0
	}
	return e.ErrorCode, e.Response.StatusCode
}

// refresh asks for new tokens with a refresh token.
func (r *rp) refresh(refresh string) (*oauth2.Token, error) {
	return r.TokenSource(r.ctx(), &oauth2.Token{RefreshToken: refresh}).Token()
}

// userinfo asks for the person's claims; nil where the token is refused.
func (r *rp) userinfo(token *oauth2.Token) map[string]any {
	r.t.Helper()
	info, err := r.op.UserInfo(r.ctx(), oauth2.StaticTokenSource(token))
	if err != nil {
		if !strings.HasPrefix(err.Error(), "401") && !strings.HasPrefix(err.Error(), "403") {
			r.t.Errorf("userinfo: %v", err)
		}
		return nil
	}
	var all map[string]any
	if err := info.Claims(&all); err != nil {
		r.t.Fatal(err)
	}
	return all
}

// call sends a form to an endpoint with the client's credentials by Basic, and reads the JSON it gets.
func (r *rp) call(path string, form url.Values) (status int, got map[string]any) {
	r.t.Helper()
	q := must(http.NewRequest("POST", r.o.url+path, strings.NewReader(form.Encode())))
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if r.ClientSecret != "" {
		q.SetBasicAuth(url.QueryEscape(r.ClientID), url.QueryEscape(r.ClientSecret))
	}
	return r.send(q)
}

func (r *rp) send(q *http.Request) (status int, got map[string]any) {
	r.t.Helper()
	res, err := r.http.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	body := must(io.ReadAll(res.Body))
	if len(body) > 0 && strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(body, &got); err != nil {
			r.t.Errorf("%s %s: %v\n%s", q.Method, q.URL.Path, err, body)
		}
	}
	return res.StatusCode, got
}

// active tells what introspection says of a token.
func (r *rp) active(token string) (bool, map[string]any) {
	r.t.Helper()
	status, got := r.call("/oauth2/introspect", url.Values{"token": {token}})
	if status != 200 {
		r.t.Fatalf("introspect: %d %v", status, got)
	}
	active, _ := got["active"].(bool)
	if !active && len(got) != 1 {
		r.t.Errorf("introspection says of a dead token %v", got)
	}
	return active, got
}
