package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
)

// idToken says who g is about (Core §2), signed by signer. nonce is empty on a refresh.
func (h *Handler) idToken(site *Site, signer jose.Signer, c *Client, g *Grant, s *Subject, nonce, access string) (string, error) {
	now, life := h.Now(), c.IDTokenLifetime
	if life == 0 {
		life = time.Hour
	}
	all := map[string]any{}
	if c.IDTokenClaims == "standard" {
		maps.Copy(all, s.Claims)
	}
	for name, v := range map[string]any{
		"iss": site.Issuer, "sub": g.User, "aud": c.ID, "iat": now.Unix(), "exp": now.Add(life).Unix(),
		"auth_time": g.AuthTime.Unix(), "at_hash": leftHalf(access),
	} {
		all[name] = v
	}
	for name, v := range map[string]string{"nonce": nonce, "acr": g.ACR, "sid": g.SID} {
		if delete(all, name); v != "" {
			all[name] = v
		}
	}
	if delete(all, "amr"); len(g.AMR) > 0 {
		all["amr"] = g.AMR
	}
	payload, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// leftHalf is at_hash. Core §3.1.3.6: "the base64url encoding of the left-most half of the hash of the octets of the
// ASCII representation of the access_token value".
func leftHalf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// signer finds what an ID token is signed with where openid is among scopes; nil: none is due. It is asked for before
// anything is spent.
func (site *Site) signer(scopes []string) (jose.Signer, error) {
	if !slices.Contains(scopes, "openid") {
		return nil, nil
	}
	if site.Keys == nil {
		return nil, fmt.Errorf("%w: no keys to sign with", ErrBusy)
	}
	key, err := site.Keys.Active()
	if err != nil {
		return nil, err
	}
	private, err := key.Signer()
	if err != nil {
		return nil, err
	}
	// A new signer costs a thousandth of the signature; what is dear, the parsed key, the ring keeps.
	return jose.NewSigner(jose.SigningKey{
		Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: cryptosigner.Opaque(private), KeyID: key.ID},
	}, (&jose.SignerOptions{}).WithType("JWT"))
}

// hint is what an id_token_hint says: whom it is about, in which session, and whose token it is.
type hint struct {
	sub, sid string
	client   *Client
}

// readHint reads an ID token of ours that a client shows to say whom it means. Core §3.1.2.1: it is accepted "when the ID
// Token was issued by the OP", also after its end, as long as the key that signed it is known; here for any client of the
// org. It proves nothing: neither who is at the browser nor who has sent it there.
func (h *Handler) readHint(ctx context.Context, site *Site, text string) (hint, error) {
	bad := func(reason string) (hint, error) {
		return hint{}, &Error{Code: InvalidRequest, Description: "The id_token_hint is no ID token of ours.", Reason: reason}
	}
	token, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return bad("it can not be read")
	}
	if site.Keys == nil {
		return hint{}, fmt.Errorf("%w: no keys to verify with", ErrBusy)
	}
	header := token.Signatures[0].Header
	key := site.Keys.Find(header.KeyID)
	if key == nil {
		return bad("no key of ours is called " + clip(header.KeyID))
	}
	payload, err := token.Verify(key.Public)
	if err != nil {
		return bad("its signature is not ours")
	}
	var is struct {
		Issuer   string          `json:"iss"`
		Subject  string          `json:"sub"`
		Audience string          `json:"aud"`
		Session  string          `json:"sid"`
		Issued   int64           `json:"iat"`
		Expires  int64           `json:"exp"`
		Events   json.RawMessage `json:"events"`
	}
	if err := json.Unmarshal(payload, &is); err != nil || is.Issuer != site.Issuer || is.Subject == "" {
		return bad("it is not of this issuer")
	}
	// Other kinds of tokens have other types (RFC 8725 §3.11). Core §2: iat and exp are REQUIRED in an ID token; events,
	// which makes a logout token, is in none.
	if header.ExtraHeaders[jose.HeaderType] != "JWT" || is.Issued == 0 || is.Expires == 0 || is.Events != nil {
		return bad("it is of another kind")
	}
	c, err := h.lookup(ctx, site, is.Audience)
	if errors.Is(err, ErrNotFound) {
		return bad("its client is gone")
	}
	return hint{is.Subject, is.Session, c}, err
}
