package oidc

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
)

// badCode is the one answer to everything that is wrong with a code.
func badCode(event, reason string) *Error {
	return &Error{Code: InvalidGrant, Description: "The code is unknown, was used before, has expired, or was given to somebody else.", Event: event, Reason: reason}
}

// grantCode turns a code into tokens (RFC 6749 §4.1.3, RFC 7636 §4.6).
func (h *Handler) grantCode(r *http.Request, site *Site, c *Client, p params) (*tokens, error) {
	ctx, now := r.Context(), h.Now()
	if p["code"] == "" {
		return nil, invalidRequest("The request brings no code.")
	}
	b, ok := readBearer(frontCode, p["code"])
	if !ok {
		return nil, badCode("InvalidCode", "what was sent is no code")
	}
	code, err := h.Store.Code(ctx, site.Org, b.id)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && !b.is(code.Hash):
		return nil, badCode("InvalidCode", "unknown code")
	case err != nil:
		return nil, err
	case code.ClientID != c.ID:
		return nil, badCode("InvalidCode", "the code was given to another client")
	case code.Redeemed:
		return nil, h.reused(r, site, c, code)
	case !now.Before(code.Expires):
		return nil, badCode("CodeExpired", "the code has expired")
	}
	if err := code.askURI(p); err != nil {
		return nil, err
	}
	if err := code.askVerifier(p); err != nil {
		return nil, err
	}
	g := code.Grant
	g.Scopes = common(g.Scopes, c.Scopes)
	s, err := h.Users.Again(ctx, c, &g, UseToken)
	if err != nil {
		return nil, err
	}
	g.Created, g.LastUsed = now, now
	if g.Scopes = c.allowed(g.Scopes, s); len(g.Scopes) == 0 {
		return nil, badCode("InvalidCode", "every scope of it was taken from the app since")
	}
	signer, err := site.signer(g.Scopes)
	if err != nil {
		return nil, err
	}
	var refresh refreshToken
	if c.Refresh && slices.ContainsFunc(g.Scopes, offline) {
		refresh = newRefreshToken(g.ID, h.NewID(), h.NewID())
		g.Generation, g.Hash, g.Family, g.Unused = 1, refresh.hash(), refresh.familyHash(), now.Add(refreshUnused)
		if c.openRefresh() {
			g.Absolute = now.Add(refreshAbsolute)
		}
	}
	token, t := h.newToken(site, c, &g, g.Scopes)
	if err := h.Store.Redeem(ctx, site.Org, code.ID, Issue{Grant: &g, Token: token, Event: "OauthWebServer"}); errors.Is(err, ErrSpent) {
		return nil, h.reused(r, site, c, code)
	} else if errors.Is(err, ErrNotFound) {
		return nil, badCode("InvalidCode", "the person or the app is gone meanwhile")
	} else if err != nil {
		return nil, err
	}
	t.RefreshToken = refresh.value
	return t, h.identify(site, signer, c, &g, s, g.Nonce, t)
}

// reused ends what the first use of the code gave. RFC 6749 §4.1.2: "If an authorization code is used more than once, the
// authorization server MUST deny the request and SHOULD revoke (when possible) all tokens previously issued based on that
// authorization code."
func (h *Handler) reused(r *http.Request, site *Site, c *Client, code *Code) error {
	const reason = "the code was used twice"
	err := h.Store.DropGrant(r.Context(), site.Org, code.Grant.ID, Refusal{App: c.App, User: code.Grant.User, Code: "OauthGrantEnded", Reason: reason})
	if err != nil {
		return err
	}
	e := badCode("InvalidCode", reason)
	e.User = code.Grant.User
	return e
}

// askURI holds the client to the address it asked with. RFC 6749 §4.1.3: redirect_uri is "REQUIRED, if the "redirect_uri"
// parameter was included in the authorization request […], and their values MUST be identical."
func (c *Code) askURI(p params) error {
	sent := p["redirect_uri"]
	given := sent != ""
	if given && sent != c.RedirectURI || !given && c.GivenURI {
		return badCode("InvalidCode", "redirect_uri differs from that of the authorization request")
	}
	return nil
}

// askVerifier lets whoever began the flow finish it, and nobody else.
func (c *Code) askVerifier(p params) error {
	verifier := p["code_verifier"]
	if c.CodeChallenge == "" {
		if verifier != "" {
			// RFC 9700 §4.8.2: "a token request containing a code_verifier parameter is only accepted if a code_challenge
			// parameter was present in the authorization request".
			return badCode("InvalidCode", "a code_verifier came for a code without a code_challenge")
		}
		return nil
	}
	if len(verifier) < 43 || len(verifier) > 128 || !verifierChars(verifier) {
		return badCode("InvalidCode", "the code_verifier is missing or can not be one")
	}
	sum := sha256.Sum256([]byte(verifier))
	if subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(c.CodeChallenge)) != 1 {
		return badCode("InvalidCode", "the code_verifier is not that of the code_challenge")
	}
	return nil
}

// verifierChars tells if s is of unreserved characters. RFC 7636 §4.1.
func verifierChars(s string) bool { return wordy(s, ".~") }
