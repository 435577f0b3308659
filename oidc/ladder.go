package oidc

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// request is a request for authorization, or for sign-out, on its ladder. What a rung has found out the next may rely on.
type request struct {
	h      *Handler
	http   *http.Request
	site   *Site
	now    time.Time
	params params
	client *Client
	login  Login
	logout Logout
}

// rung is one check of the ladder.
type rung struct {
	name  string
	check func(*request) error
}

// pageRungs are climbed while it is not known whom to trust: a refusal is a page here, never a redirect. RFC 6749
// §4.1.2.1: "the authorization server […] MUST NOT automatically redirect the user-agent to the invalid redirection URI."
var pageRungs = []rung{
	{"parameters", (*request).readParameters}, // RFC 6749 §3.1
	{"client", (*request).findClient},         // RFC 6749 §4.1.2.1
	{"blocked", (*request).askBlocked},        // the house
	{"redirect_uri", (*request).askRedirect},  // RFC 6749 §3.1.2, RFC 9700 §2.1, RFC 8252 §7.3
}

// clientRungs are climbed once the address of the answer is trusted: a refusal is sent there.
var clientRungs = []rung{
	{"request", (*request).askRequestObject},      // Core §6.1, §6.2, §7.2.1
	{"response_type", (*request).askResponseType}, // RFC 6749 §3.1.1
	{"flow", (*request).askFlow},                  // RFC 6749 §4.1.2.1 unauthorized_client
	{"response_mode", (*request).askResponseMode}, // Multiple Response Types §2.1
	{"scope", (*request).askScope},                // RFC 6749 §3.3
	{"code_challenge", (*request).askChallenge},   // RFC 7636 §4.3, §4.4.1
	{"nonce", (*request).askNonce},                // Core §3.1.2.1
	{"prompt", (*request).askPrompt},              // Core §3.1.2.1
	{"max_age", (*request).askMaxAge},             // Core §3.1.2.1
	{"acr_values", (*request).askACR},             // Core §3.1.2.1
	{"id_token_hint", (*request).askHint},         // Core §3.1.2.1
	{"claims", (*request).askClaims},              // Core §5.5.1
}

const (
	maxParameter = 8 << 10
	maxHint      = 32 << 10 // an ID token of ours may hold many groups
	maxNonce     = 1 << 10
	maxACR       = 20
	maxLogin     = 256
)

// climb asks the rungs in their order and says on which the request was refused.
func (q *request) climb(rungs []rung) error {
	for _, r := range rungs {
		err := r.check(q)
		var e *Error
		if errors.As(err, &e) {
			if e.Reason == "" {
				e.Reason = e.Description
			}
			e.Reason = r.name + ": " + e.Reason
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (q *request) readParameters() error {
	q.params = params{}
	if err := q.params.add(q.http.URL.RawQuery); err != nil {
		return err
	}
	if q.http.Method == http.MethodPost {
		if !contentType(q.http, "application/x-www-form-urlencoded") {
			return invalidRequest("The body must be application/x-www-form-urlencoded.")
		}
		raw, err := body(nil, q.http)
		if err != nil {
			return err
		}
		if err := q.params.add(string(raw)); err != nil {
			return err
		}
	}
	for name, v := range q.params {
		most := maxParameter
		if name == "id_token_hint" {
			most = maxHint
		}
		if len(v) > most {
			return invalidRequest("The parameter " + strconv.Quote(clip(name)) + " is too long.")
		}
	}
	return nil
}

func (q *request) findClient() (err error) {
	id := q.params["client_id"]
	q.client, err = q.h.lookup(q.http.Context(), q.site, id)
	if errors.Is(err, ErrNotFound) {
		return &Error{Code: InvalidClient, Description: "The client is not known.", Event: "UnableToResolve",
			Reason: "no client is called " + strconv.Quote(clip(id))}
	}
	if err != nil {
		return err
	}
	q.login = Login{App: q.client.App, ClientID: q.client.ID, Created: q.now, Expires: q.now.Add(loginLife), Hint: q.params["login_hint"]}
	if len(q.login.Hint) > maxLogin {
		q.login.Hint = ""
	}
	q.login.State, q.login.HasState = q.params["state"], q.params["state"] != ""
	return nil
}

func (q *request) askBlocked() error {
	if q.client.Blocked {
		return blocked()
	}
	return nil
}

func blocked() *Error {
	return &Error{Code: UnauthorizedClient, Description: "The app is blocked.", Event: "AppBlocked"}
}

func (q *request) askRedirect() error {
	uri, given := q.params["redirect_uri"]
	openID := slices.Contains(strings.Fields(q.params["scope"]), "openid")
	switch {
	case !given && len(q.client.RedirectURIs) == 1 && !openID:
		// RFC 6749 §3.1.2.3 leaves it out where only one is registered; Core §3.1.2.1 does not.
		uri = q.client.RedirectURIs[0]
	case !given:
		return invalidRequest("The request names no redirect_uri.")
	case !q.client.redirectsTo(uri):
		return &Error{Code: InvalidRequest, Description: "The redirect_uri is not registered for this client.", Event: "InvalidIdpEndpoint",
			Reason: "not registered: " + strconv.Quote(clip(uri))}
	}
	q.login.RedirectURI, q.login.GivenURI = uri, given
	return nil
}

// askRequestObject refuses what would change the meaning of everything else, were it ignored.
func (q *request) askRequestObject() error {
	for _, p := range []struct{ name, code string }{
		{"request", RequestNotSupported}, {"request_uri", RequestURINotSupported}, {"registration", RegistrationNotSupported},
	} {
		if q.params[p.name] != "" {
			return &Error{Code: p.code, Description: "The parameter " + p.name + " is not supported."}
		}
	}
	return nil
}

func (q *request) askResponseType() error {
	switch t := q.params["response_type"]; t {
	case "code":
		return nil
	case "":
		return invalidRequest("The request names no response_type.")
	default:
		return &Error{Code: UnsupportedResponseType, Description: "Only the response_type code is supported.", Reason: "asked for " + strconv.Quote(clip(t))}
	}
}

func (q *request) askFlow() error {
	if !q.client.AuthorizationCode {
		return &Error{Code: UnauthorizedClient, Description: "The authorization code flow is off for this client."}
	}
	return nil
}

func (q *request) askResponseMode() error {
	if m := q.params["response_mode"]; m != "" && m != "query" {
		return invalidRequest("Only the response_mode query is supported.")
	}
	return nil
}

func (q *request) askScope() (err error) {
	if q.login.Scopes, err = q.client.scopes(q.params["scope"]); err != nil {
		return err
	}
	if !q.client.Refresh {
		// Core §11: the server "MUST ignore the offline_access request" where it will give no refresh token.
		q.login.Scopes = slices.DeleteFunc(q.login.Scopes, offline)
	}
	if len(q.login.Scopes) == 0 {
		return &Error{Code: InvalidScope, Description: "The client gets no refresh token, and nothing else was asked for.", Event: "InvalidScope"}
	}
	return nil
}

// scopes is what c asks for: no more than it may have, and its default where it asks for nothing. RFC 6749 §3.3: "the
// authorization server MUST either process the request using a pre-defined default value or fail the request".
func (c *Client) scopes(asked string) ([]string, error) {
	wanted, err := readScope(asked)
	if err != nil {
		return nil, err
	}
	if len(wanted) == 0 {
		if wanted = c.DefaultScopes; len(wanted) == 0 {
			return nil, &Error{Code: InvalidScope, Description: "No scope was asked for, and the client has no default.", Event: "InvalidScope"}
		}
	}
	for _, s := range wanted {
		if !holds(c.Scopes, s) {
			return nil, &Error{Code: InvalidScope, Description: "The scope " + plain(clip(s)) + " is not allowed for this client.", Event: "InvalidScope"}
		}
	}
	return slices.Clone(wanted), nil
}

const maxScopes = 100

// readScope takes a scope parameter apart (RFC 6749 §3.3), each value once.
func readScope(s string) ([]string, error) {
	var all []string
	for name := range strings.SplitSeq(s, " ") {
		if name == "" || slices.Contains(all, name) {
			continue
		}
		// scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
		if len(all) == maxScopes || plain(name) != name {
			return nil, &Error{Code: InvalidScope, Description: "The scope can not be read.", Event: "InvalidScope"}
		}
		all = append(all, name)
	}
	return all, nil
}

// offline tells if s asks for a refresh token: by the name of Core §11 or by the older one.
func offline(s string) bool { return s == "offline_access" || s == "refresh_token" }

// holds tells if scope is among all, under either of its names.
func holds(all []string, scope string) bool {
	return slices.Contains(all, scope) || offline(scope) && slices.ContainsFunc(all, offline)
}

func (q *request) askChallenge() error {
	challenge, sent := q.params["code_challenge"]
	method := q.params["code_challenge_method"]
	missing := func(what string) error { return invalidRequest("PKCE: " + what) }
	switch {
	case !sent && method != "":
		return missing("a code_challenge_method came without a code_challenge.")
	case !sent && q.client.mustProve():
		return missing("this client must send a code_challenge.")
	case !sent:
		return nil
	case challenge == "":
		// Not as if it were omitted: whoever sends one means to be held to it.
		return missing("the code_challenge is empty.")
	case method != "S256":
		// RFC 7636 §4.3: a challenge without a method is plain, and plain shows the verifier to whoever sees the request.
		return missing("the code_challenge_method must be S256.")
	}
	// The challenge is 32 bytes in base64url: anything else no verifier can ever meet.
	if sum, err := base64.RawURLEncoding.Strict().DecodeString(challenge); err != nil || len(sum) != 32 || len(challenge) != 43 {
		return missing("the code_challenge is not the base64url of a SHA-256.")
	}
	q.login.CodeChallenge = challenge
	return nil
}

func (q *request) askNonce() error {
	q.login.Nonce = q.params["nonce"]
	if len(q.login.Nonce) > maxNonce {
		return invalidRequest("The nonce is longer than 1024 bytes.")
	}
	return nil
}

func (q *request) askPrompt() error {
	wanted := strings.Fields(q.params["prompt"])
	for _, p := range wanted {
		switch p {
		case "none":
			// Core §3.1.2.1: "If this parameter contains none with any other value, an error is returned."
			if len(wanted) > 1 {
				return invalidRequest("prompt=none stands alone.")
			}
			q.login.None = true
		case "login", "select_account": // who may choose another account proves who they are there
			q.login.Since = q.now
		case "consent":
			q.login.ConsentSince = q.now
		default:
			return invalidRequest("The prompt is not known.")
		}
	}
	return nil
}

func (q *request) askMaxAge() error {
	text, sent := q.params["max_age"]
	if !sent || text == "" {
		return nil
	}
	const longest = 100 * 365 * 24 * 60 * 60 // longer than any session: no demand at all
	age, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return invalidRequest("max_age is not a number of seconds.")
	}
	if age > longest {
		return nil
	}
	if since := q.now.Add(-time.Duration(age) * time.Second); since.After(q.login.Since) {
		q.login.Since = since
	}
	return nil
}

// askACR keeps of the voluntary acr_values (Core §3.1.2.1) those that a sign-in here can reach.
func (q *request) askACR() error {
	wanted := strings.Fields(q.params["acr_values"])
	if len(wanted) > maxACR {
		return invalidRequest("There are too many acr_values.")
	}
	q.login.ACR = slices.DeleteFunc(wanted, func(s string) bool { return !slices.Contains(q.site.ACR, s) })
	return nil
}

func (q *request) askHint() (err error) {
	if text := q.params["id_token_hint"]; text != "" {
		var hint hint
		hint, err = q.h.readHint(q.http.Context(), q.site, text)
		q.login.Sub = hint.sub
	}
	return err
}

// askClaims reads of the claims parameter only what must not be ignored: which person is meant. Core §5.5.1: "If the sub
// value is requested with a specific value […] the Authorization Server MUST only send a positive response if the
// End-User identified by that sub value has an active session with the Authorization Server or has been Authenticated as
// a result of the request."
func (q *request) askClaims() error {
	text := q.params["claims"]
	if text == "" {
		return nil
	}
	bad := invalidRequest("The claims parameter can not be read.")
	all, err := readObject([]byte(text))
	if err != nil {
		return bad
	}
	for _, where := range []string{"id_token", "userinfo"} {
		of, ok := all[where].(map[string]any)
		if !ok && all[where] != nil {
			return bad
		}
		sub, ok := of["sub"].(map[string]any)
		if !ok && of["sub"] != nil {
			return bad
		}
		if sub["values"] != nil {
			return invalidRequest("The claims parameter may name one sub, not several.")
		}
		value, ok := sub["value"].(string)
		switch {
		case !ok && sub["value"] != nil, ok && value == "":
			return bad
		case ok && q.login.Sub != "" && q.login.Sub != value:
			return invalidRequest("The request names two different subjects.")
		case ok:
			q.login.Sub = value
		}
	}
	return nil
}
