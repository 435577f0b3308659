package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Authentication methods of clients (RFC 7591 §2).
const (
	MethodBasic      = "client_secret_basic"
	MethodPost       = "client_secret_post"
	MethodPrivateKey = "private_key_jwt" // Core §9
	MethodNone       = "none"
)

var (
	provingMethods = []string{MethodBasic, MethodPost, MethodPrivateKey}
	authMethods    = []string{MethodBasic, MethodPost, MethodPrivateKey, MethodNone}
)

const (
	maxClientID = 256
	maxSecret   = 1024
)

// credentials is how a request says which client sent it.
type credentials struct {
	method    string
	id        string
	secret    string
	raw       string // the secret as it stood in a Basic header, before it was form-decoded
	assertion *assertion
}

// badClient is the one answer to everything that is wrong with a client's word for itself, whichever part it was.
func badClient(reason string) *Error {
	return &Error{Code: InvalidClient, Description: "The client is unknown, or it did not authenticate itself as it should.",
		Status: http.StatusUnauthorized, Event: "InvalidClientCredentials", Reason: reason}
}

// client finds out which client sent the request and makes sure of it. needSecret says if c must bring its secret here, or
// a client assertion in its place; one that is brought is verified in any case. The client is known in the error too, for the event, once it is found.
func (h *Handler) client(r *http.Request, site *Site, p params, needSecret func(c *Client) bool) (*Client, error) {
	got, err := readCredentials(r, p)
	if err != nil {
		return nil, err
	}
	c, err := h.lookup(r.Context(), site, got.id)
	if errors.Is(err, ErrNotFound) {
		sameSecret(nil, got.secret) // an unknown client takes as long as a wrong secret
		return nil, badClient("unknown client_id " + clip(got.id))
	}
	if err != nil {
		return nil, err
	}
	if got.method == MethodNone {
		if needSecret(c) {
			return c, badClient("the client must send its secret")
		}
		return c, nil
	}
	if got.assertion != nil {
		return c, h.prove(r.Context(), got.assertion, asked{h.Now(), site, site.Base + r.URL.Path, p["client_id"], c})
	}
	right, raw := sameSecret(c.Secrets, got.secret), sameSecret(c.Secrets, got.raw)
	switch {
	case !right && raw:
		return c, badClient("the client secret was sent as it is, and must be form-encoded in a Basic header (RFC 6749 §2.3.1)")
	case !right:
		return c, badClient("wrong client secret")
	}
	// RFC 9700 §2.5, and what every confusion of methods began with: a client that has a method may use no other.
	if c.AuthMethod != "" && c.AuthMethod != got.method {
		return c, badClient("the client is registered for " + c.AuthMethod + " and used " + got.method)
	}
	return c, nil
}

// lookup finds the client, without asking the store for what can not be one.
func (h *Handler) lookup(ctx context.Context, site *Site, id string) (*Client, error) {
	if id == "" || len(id) > maxClientID || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
		return nil, ErrNotFound
	}
	return h.Store.Client(ctx, site.Org, id)
}

// keepsSecret tells if c has a secret, or a private key, to prove itself with.
func (c *Client) keepsSecret() bool { return !c.Public && c.AuthMethod != MethodNone }

// mustProve tells if c's codes need PKCE (RFC 7636): where auto, those of every client that can redeem one without a
// secret worth the name.
func (c *Client) mustProve() bool {
	return c.RequirePKCE == "true" || !c.keepsSecret() || !c.SecretForCode || c.Type == "native"
}

// openRefresh tells if c can refresh without a secret, so that the token alone is the right to it.
func (c *Client) openRefresh() bool { return !c.keepsSecret() || !c.SecretForRefresh }

// always is for endpoints where a client without a secret has no business.
func always(*Client) bool { return true }

// sameSecret compares without telling by its time how much was right, or how long a secret is.
func sameSecret(secrets [][]byte, sent string) bool {
	sum := sha256.Sum256([]byte(sent))
	found := 0
	for _, s := range append(slices.Clone(secrets), nil) { // at least one comparison
		have := sha256.Sum256(s)
		same := subtle.ConstantTimeCompare(have[:], sum[:])
		if len(s) > 0 {
			found |= same
		}
	}
	return found == 1
}

// readCredentials finds the one method that the request uses. RFC 6749 §2.3: "The client MUST NOT use more than one
// authentication method in each request."
func readCredentials(r *http.Request, p params) (credentials, error) {
	headers := r.Header.Values("Authorization")
	twice := invalidRequest("The client authenticated itself in two ways at once.")
	if len(headers) > 1 {
		return credentials{}, twice
	}
	// RFC 6749 §3.1: "Parameters sent without a value MUST be treated as if they were omitted from the request."
	if p["client_assertion"] != "" || p["client_assertion_type"] != "" {
		if len(headers) > 0 || p["client_secret"] != "" {
			return credentials{}, twice
		}
		if p["client_assertion_type"] != assertionType {
			return credentials{}, badClient("client_assertion_type is " + clip(p["client_assertion_type"]) + " and must be " + assertionType)
		}
		a, err := readAssertion(p["client_assertion"])
		if err != nil {
			return credentials{}, badClient("client assertion: " + err.Error())
		}
		return credentials{method: MethodPrivateKey, id: a.id, assertion: a}, nil
	}
	if len(headers) == 0 {
		if p["client_secret"] == "" {
			return credentials{method: MethodNone, id: p["client_id"]}, nil
		}
		if len(p["client_secret"]) > maxSecret {
			return credentials{}, badClient("a secret too long to be one")
		}
		return credentials{method: MethodPost, id: p["client_id"], secret: p["client_secret"]}, nil
	}
	if p["client_secret"] != "" {
		return credentials{}, twice
	}
	id, secret, raw, ok := readBasic(headers[0])
	if !ok {
		return credentials{}, badClient("malformed Authorization header: Basic, with the client_id and the secret form-encoded (RFC 6749 §2.3.1)")
	}
	if p["client_id"] != "" && p["client_id"] != id {
		return credentials{}, invalidRequest("The client_id in the body is another than that in the header.")
	}
	if secret == "" {
		return credentials{method: MethodNone, id: id}, nil
	}
	return credentials{method: MethodBasic, id: id, secret: secret, raw: raw}, nil
}

// readBasic reads a Basic Authorization header strictly: one space, canonical base64, and both halves form-encoded.
// RFC 6749 §2.3.1: "The client identifier is encoded using the "application/x-www-form-urlencoded" encoding algorithm
// […] and the encoded value is used as the username; the client password is encoded using the same algorithm and used as
// the password."
func readBasic(header string) (id, secret, raw string, ok bool) {
	const scheme = "Basic "
	if len(header) <= len(scheme) || len(header) > 8<<10 || !strings.EqualFold(header[:len(scheme)], scheme) {
		return "", "", "", false
	}
	text := header[len(scheme):]
	if strings.ContainsAny(text, "\r\n") { // which the decoder would skip
		return "", "", "", false
	}
	plain, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return "", "", "", false
	}
	id, raw, ok = strings.Cut(string(plain), ":")
	if !ok {
		return "", "", "", false
	}
	if id, ok = decodeForm(id); !ok || id == "" || len(id) > maxClientID {
		return "", "", "", false
	}
	if secret, ok = decodeForm(raw); !ok || len(secret) > maxSecret {
		return "", "", "", false
	}
	return id, secret, raw, true
}

// decodeForm undoes the form encoding; control characters can be no part of what it held.
func decodeForm(s string) (string, bool) {
	out, err := url.QueryUnescape(s)
	if err != nil || !utf8.ValidString(out) || strings.ContainsFunc(out, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return "", false
	}
	return out, true
}
