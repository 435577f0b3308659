package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Orders is "Orders": a web page whose data comes from an API that stands behind a small gateway. The gateway has
// registered the page's client by itself (RFC 7591) and asks the identity provider about every token (RFC 7662).
type Orders struct {
	self string
	idp  string

	gatewayID, gatewaySecret string // the parent app: it may introspect its children's tokens
	introspection            string
	http                     *http.Client

	web        oauth2.Config // the child that the gateway registered
	registered string        // the answer to the registration, without its secrets
	in         *sessions[*order]
	pending    *once[string]
}

type order struct{ token string }

// NewOrders returns the app as it is before it knows its identity provider.
func NewOrders(self string) *Orders {
	return &Orders{self: self, in: newSessions[*order]("orders"), pending: &once[string]{}, http: &http.Client{Timeout: 10 * time.Second}}
}

// Connect lets the gateway find the endpoints and register its client with the initial access token.
func (o *Orders) Connect(ctx context.Context, issuer, gatewayID, gatewaySecret, initialToken string) error {
	o.idp, o.gatewayID, o.gatewaySecret = issuer, gatewayID, gatewaySecret
	var found struct {
		Authorization string `json:"authorization_endpoint"`
		Token         string `json:"token_endpoint"`
		Introspection string `json:"introspection_endpoint"`
		Registration  string `json:"registration_endpoint"`
	}
	if _, err := o.call(ctx, http.MethodGet, issuer+"/.well-known/oauth-authorization-server", "", nil, &found); err != nil {
		return err
	}
	o.introspection = found.Introspection
	ask := map[string]any{
		"client_name": "Orders", "redirect_uris": []string{o.self + "/callback"},
		"grant_types": []string{"authorization_code", "client_credentials"}, "response_types": []string{"code"},
		"scope": "orders",
	}
	var got map[string]any
	if _, err := o.call(ctx, http.MethodPost, found.Registration, "Bearer "+initialToken, ask, &got); err != nil {
		return err
	}
	id, _ := got["client_id"].(string)
	secret, _ := got["client_secret"].(string)
	o.web = oauth2.Config{
		ClientID: id, ClientSecret: secret, RedirectURL: o.self + "/callback", Scopes: []string{"orders"},
		Endpoint: oauth2.Endpoint{AuthURL: found.Authorization, TokenURL: found.Token},
	}
	for _, k := range []string{"client_secret", "registration_access_token"} {
		got[k] = "(kept by the gateway)"
	}
	o.registered = pretty(got)
	return nil
}

// call sends and receives JSON.
func (o *Orders) call(ctx context.Context, method, to, authorization string, in, out any) (int, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		return 0, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	return o.send(req, out)
}

func (o *Orders) send(req *http.Request, out any) (int, error) {
	res, err := o.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return 0, err
	}
	if res.StatusCode >= 300 {
		return res.StatusCode, fmt.Errorf("%s %s: %s: %s", req.Method, req.URL.Path, res.Status, b)
	}
	return res.StatusCode, json.Unmarshal(b, out)
}

// ServeHTTP serves the page, and the API behind its gateway.
func (o *Orders) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/app.css":
		css(w, r)
	case "/api/orders":
		o.gateway(w, r)
	case "/in":
		state, verifier := rand.Text(), oauth2.GenerateVerifier()
		o.pending.put(state, verifier)
		http.Redirect(w, r, o.web.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)), http.StatusSeeOther)
	case "/callback":
		o.callback(w, r)
	case "/signout":
		o.in.drop(w, r)
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case "/":
		o.home(w, r)
	default:
		http.NotFound(w, r)
	}
}

// gateway lets a request through to the API if the identity provider says that its token is alive and has the scope.
func (o *Orders) gateway(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, code string) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="orders", error=%q, scope="orders"`, code))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code})
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		refuse(http.StatusUnauthorized, "invalid_request")
		return
	}
	seen, err := o.introspect(r.Context(), token)
	switch {
	case err != nil:
		refuse(http.StatusServiceUnavailable, "temporarily_unavailable")
		return
	case seen["active"] != true:
		refuse(http.StatusUnauthorized, "invalid_token")
		return
	}
	scope, _ := seen["scope"].(string)
	if !slices.Contains(strings.Fields(scope), "orders") {
		refuse(http.StatusForbidden, "insufficient_scope")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"for": seen["username"],
		"orders": []map[string]any{
			{"number": "A-1047", "item": "Standing desk", "status": "shipped"},
			{"number": "A-1048", "item": "Noise-cancelling headset", "status": "packing"},
		},
	})
}

func (o *Orders) introspect(ctx context.Context, token string) (map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.introspection,
		strings.NewReader(url.Values{"token": {token}, "token_type_hint": {"access_token"}}.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(o.gatewayID), url.QueryEscape(o.gatewaySecret))
	var seen map[string]any
	_, err = o.send(req, &seen)
	return seen, err
}

func (o *Orders) home(w http.ResponseWriter, r *http.Request) {
	p := page{App: "Orders", Tagline: "What is on its way to you.", Colour: "amber"}
	in, ok := o.in.get(r)
	if !ok {
		p.Lead = "This page's data comes from an API behind a gateway. The gateway registered this page's client with Lanyard by itself, and asks Lanyard about every token it sees."
		p.Actions = []action{{Label: "Sign in to see your orders", URL: "/in"}}
		p.write(w, http.StatusOK)
		return
	}
	token, title := in.token, "Your orders, through the gateway"
	switch r.URL.Query().Get("as") {
	case "service":
		cc := clientcredentials.Config{ClientID: o.web.ClientID, ClientSecret: o.web.ClientSecret, TokenURL: o.web.Endpoint.TokenURL, Scopes: []string{"orders"}}
		t, err := cc.Token(r.Context())
		if err != nil {
			p.Error = err.Error()
			break
		}
		token, title = t.AccessToken, "The same call by the unattended client, acting as its service user"
	case "changed":
		token, title = token[:len(token)-2]+"xx", "The same call with a changed token"
	}
	var answer any
	status, err := o.call(r.Context(), http.MethodGet, o.self+"/api/orders", "Bearer "+token, nil, &answer)
	body := pretty(answer)
	if err != nil {
		body = err.Error()
	}
	seen, err := o.introspect(r.Context(), token)
	if err != nil {
		seen = map[string]any{"error": err.Error()}
	}
	p.User, _ = seen["username"].(string)
	if p.User == "" {
		p.User = "somebody the gateway does not know"
	}
	p.Facts = []fact{{"Gateway's answer", fmt.Sprint(status, " ", http.StatusText(status))}, {"Acting as", p.User}}
	p.Received = []received{
		{title, "GET /api/orders with the access token.", body},
		{"What the gateway saw", "Lanyard's answer to its introspection of that token.", pretty(seen)},
		{"How the gateway registered this client", "Lanyard's answer to POST /oauth2/register.", o.registered},
	}
	p.Actions = []action{
		{Label: "As me", URL: "/"}, {Label: "As the service", URL: "/?as=service", Quiet: true},
		{Label: "With a changed token", URL: "/?as=changed", Quiet: true}, {Label: "Back to the launcher", URL: o.idp + "/apps", Quiet: true},
		{Label: "Leave this app", URL: "/signout", Quiet: true},
	}
	p.write(w, http.StatusOK)
}

func (o *Orders) callback(w http.ResponseWriter, r *http.Request) {
	fail := func(status int, why string) {
		page{App: "Orders", Colour: "amber", Error: why, Actions: []action{{Label: "Try again", URL: "/"}}}.write(w, status)
	}
	verifier, ok := o.pending.take(r.FormValue("state"))
	if !ok {
		fail(http.StatusBadRequest, "This answer belongs to no request of this app.")
		return
	}
	if e := r.FormValue("error"); e != "" {
		fail(http.StatusForbidden, e+": "+r.FormValue("error_description"))
		return
	}
	token, err := o.web.Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		fail(http.StatusBadGateway, err.Error())
		return
	}
	o.in.put(w, &order{token: token.AccessToken})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
