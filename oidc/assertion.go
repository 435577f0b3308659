package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// assertionType is the one kind of client assertion there is (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// explicitType is the typ by which an assertion says what it is, and that it keeps the rules of
// draft-ietf-oauth-rfc7523bis, the one about aud among them.
const explicitType = "client-authentication+jwt"

const (
	maxAssertion  = 16 << 10
	maxJTI        = 256
	maxTries      = 10        // keys that are tried on one signature
	assertionLife = time.Hour // exp lies no further ahead
	// FAPI 2.0 Security Profile §5.3.2.1: iat and nbf up to 10 seconds ahead are to be accepted, and of more than 60 to be
	// refused.
	assertionSkew = 30 * time.Second
	// assertionKept is how long a spent assertion is remembered past its end: clocks of nodes differ, and step back.
	assertionKept = 15 * time.Minute
)

// assertion is a client's word for itself, signed with its key (RFC 7523 §3, Core §9 private_key_jwt).
type assertion struct {
	raw            string
	header, claims map[string]any
	id             string // of the client, as it says
	alg            jose.SignatureAlgorithm
	kid            string
	expires        time.Time
	jti            string
}

// assertionRungs is the ladder that judges an assertion before anything is asked of a key. Each says what is wrong, for the
// event.
var assertionRungs = []struct {
	name  string
	check func(*assertion, asked) string
}{
	{"alg", (*assertion).askAlgorithm},     // RFC 8725 §3.1
	{"typ", (*assertion).askType},          // RFC 8725 §3.11
	{"crit", (*assertion).askExtensions},   // RFC 7515 §4.1.11
	{"jwk", (*assertion).askForeignKeys},   // RFC 8725 §3.10
	{"kid", (*assertion).askKeyID},         // RFC 7515 §4.1.4
	{"client_id", (*assertion).askClient},  // RFC 7521 §4.2
	{"aud", (*assertion).askAudience},      // RFC 7523 §3 (3)
	{"exp", (*assertion).askExpiry},        // RFC 7523 §3 (4)
	{"iat", (*assertion).askIssued},        // RFC 7523 §3 (6)
	{"nbf", (*assertion).askNotBefore},     // RFC 7523 §3 (5)
	{"jti", (*assertion).askID},            // RFC 7523 §3 (7), Core §9
	{"client", (*assertion).askRegistered}, // RFC 9700 §2.5
}

// asked is what an assertion is judged by.
type asked struct {
	now      time.Time
	site     *Site
	endpoint string // the address the request came to
	clientID string // of the request; empty: it has none
	client   *Client
}

// readAssertion takes an assertion apart, strictly: a JWS in compact form whose header and claims are JSON objects that
// no two readers read differently. Nothing of it is believed yet.
func readAssertion(raw string) (*assertion, error) {
	if len(raw) > maxAssertion {
		return nil, fmt.Errorf("it is larger than %d KiB", maxAssertion>>10)
	}
	if strings.Count(raw, ".") != 2 {
		return nil, errors.New("it is no signed JWT in compact form, which has three parts")
	}
	parts := strings.Split(raw, ".")
	a := &assertion{raw: raw}
	for i, into := range []*map[string]any{&a.header, &a.claims} {
		name := [...]string{"header", "claims"}[i]
		text, err := unpadded(parts[i])
		if err != nil {
			return nil, fmt.Errorf("its %s is no base64url", name)
		}
		if *into, err = readObject(text); err != nil {
			return nil, fmt.Errorf("its %s can not be read: %w", name, err)
		}
	}
	if _, err := unpadded(parts[2]); err != nil || parts[2] == "" {
		return nil, errors.New("its signature is no base64url")
	}
	// RFC 7523 §3: "For client authentication, the subject MUST be the "client_id" of the OAuth client", and Core §9 the
	// same of iss.
	iss, _ := a.claims["iss"].(string)
	sub, _ := a.claims["sub"].(string)
	if iss == "" || iss != sub {
		return nil, fmt.Errorf("iss is %q and sub is %q, and both must be the client_id", clip(iss), clip(sub))
	}
	a.id = sub
	return a, nil
}

func (a *assertion) askAlgorithm(asked) string {
	alg, _ := a.header["alg"].(string)
	if a.alg = jose.SignatureAlgorithm(alg); !slices.Contains(assertionAlgorithms, a.alg) {
		return fmt.Sprintf("alg is %q; accepted are %s", clip(alg), strings.Join(algorithmNames, ", "))
	}
	return ""
}

// askType keeps tokens of other kinds out. Before typ was thought of, client assertions had none, or JWT.
func (a *assertion) askType(asked) string {
	v, ok := a.header["typ"]
	typ, isText := v.(string)
	typ = strings.ToLower(typ)
	// RFC 7515 §4.1.9: "A recipient using the media type value MUST treat it as if "application/" were prepended to any
	// "typ" value not containing a '/'."
	if short := strings.TrimPrefix(typ, "application/"); !strings.Contains(short, "/") {
		typ = short
	}
	if ok && (!isText || typ != "jwt" && typ != explicitType) {
		return fmt.Sprintf("typ is %s, so it is no client assertion: those have JWT, %s, or none", told(v), explicitType)
	}
	return ""
}

// askExtensions: no extension is understood here. RFC 7515 §4.1.11: "If any of the listed extension Header Parameters are
// not understood and supported by the recipient, then the JWS is invalid."
func (a *assertion) askExtensions(asked) string {
	for _, name := range []string{"crit", "b64"} {
		if _, ok := a.header[name]; ok {
			return "the header has " + name + ", and no extension is understood"
		}
	}
	return ""
}

// askForeignKeys: which key is right is said by who registered the client, never by who sends the assertion. Nothing
// that the header points at is fetched.
func (a *assertion) askForeignKeys(asked) string {
	for _, name := range []string{"jku", "jwk", "x5u", "x5c"} {
		if _, ok := a.header[name]; ok {
			return "the header brings a key (" + name + "); only registered keys count"
		}
	}
	return ""
}

func (a *assertion) askKeyID(asked) string {
	v, ok := a.header["kid"]
	kid, isText := v.(string)
	if a.kid = kid; ok && (!isText || kid == "" || len(kid) > maxKeyID) {
		return fmt.Sprintf("kid must be a text of 1 to %d characters", maxKeyID)
	}
	return ""
}

// askClient. RFC 7521 §4.2: "client_id OPTIONAL. […] If present, the value of the "client_id" parameter MUST identify the
// same client as is identified by the client assertion."
func (a *assertion) askClient(q asked) string {
	if q.clientID != "" && q.clientID != a.id {
		return fmt.Sprintf("the request has the client_id %q and the assertion is about %q", clip(q.clientID), clip(a.id))
	}
	return ""
}

// askAudience. By draft-ietf-oauth-rfc7523bis the issuer, as a text, is the only audience; that holds for whoever says by
// typ that it keeps those rules. For the many others the addresses that RFC 7523 §3 and RFC 9126 §2 name are good too, but
// nobody may name another server beside this one.
func (a *assertion) askAudience(q asked) string {
	aud := a.claims["aud"]
	typ, _ := a.header["typ"].(string)
	strict := strings.HasSuffix(strings.ToLower(typ), explicitType)
	if list, ok := aud.([]any); ok && len(list) == 1 && !strict {
		aud = list[0]
	}
	text, ok := aud.(string)
	if ok && text == q.site.Issuer {
		return ""
	}
	if ok && !strict && (text == q.site.Base+"/oauth2/token" || text == q.endpoint) {
		return ""
	}
	return fmt.Sprintf("aud is %s and must be %s, and nothing else", told(a.claims["aud"]), q.site.Issuer)
}

// told shows what was sent in a reason.
func told(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "unreadable"
	}
	return clip(string(text))
}

// moment reads a claim that is a time (RFC 7519 §2 NumericDate).
func (a *assertion) moment(name string) (t time.Time, there bool, fault string) {
	v, there := a.claims[name]
	if !there {
		return t, false, ""
	}
	seconds, ok := v.(float64)
	if !ok || !(seconds >= 0 && seconds < 1<<40) {
		return t, true, name + " is no time in seconds"
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)), true, ""
}

func (a *assertion) askExpiry(q asked) string {
	t, there, fault := a.moment("exp")
	switch {
	case fault != "":
		return fault
	case !there:
		return "it has no exp"
	case !q.now.Before(t.Add(assertionSkew)):
		return fmt.Sprintf("it expired at %s, %s ago", stamp(t), q.now.Sub(t).Round(time.Second))
	case t.After(q.now.Add(assertionLife + assertionSkew)):
		return fmt.Sprintf("exp is %s, more than %s ahead", stamp(t), assertionLife)
	}
	a.expires = t
	return ""
}

func (a *assertion) askIssued(q asked) string    { return a.past("iat", q.now) }
func (a *assertion) askNotBefore(q asked) string { return a.past("nbf", q.now) }

// past tells if a time that may be there lies ahead.
func (a *assertion) past(name string, now time.Time) string {
	t, there, fault := a.moment(name)
	if fault == "" && there && t.After(now.Add(assertionSkew)) {
		return fmt.Sprintf("%s is %s, %s ahead of this server's clock", name, stamp(t), t.Sub(now).Round(time.Second))
	}
	return fault
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// askID. Core §9: "jti REQUIRED. […] These tokens MUST only be used once".
func (a *assertion) askID(asked) string {
	if a.jti, _ = a.claims["jti"].(string); a.jti == "" || len(a.jti) > maxJTI {
		return fmt.Sprintf("jti must be a text of 1 to %d bytes", maxJTI)
	}
	return ""
}

// askRegistered: who may sign, and with what.
func (a *assertion) askRegistered(q asked) string {
	c := q.client
	switch {
	case c.AuthMethod == "":
		return "the client is registered for a secret and used " + MethodPrivateKey
	case c.AuthMethod != MethodPrivateKey:
		return "the client is registered for " + c.AuthMethod + " and used " + MethodPrivateKey
	case c.Registered != nil && c.Registered.SigningAlg != "" && c.Registered.SigningAlg != string(a.alg):
		return "the client is registered for the alg " + c.Registered.SigningAlg + " and used " + string(a.alg)
	}
	return ""
}

// prove makes sure that a is c's own word, said now, to us, for the first time. What costs least is asked first, and what
// can be used up last.
func (h *Handler) prove(ctx context.Context, a *assertion, q asked) error {
	for _, r := range assertionRungs {
		if fault := r.check(a, q); fault != "" {
			return badClient("client assertion: " + fault)
		}
	}
	fault, err := h.signed(ctx, a, q.client)
	if err != nil {
		return err
	}
	if fault != "" {
		return badClient("client assertion: " + fault)
	}
	until := a.expires.Add(assertionSkew + assertionKept)
	err = h.Store.SpendAssertion(ctx, q.site.Org, q.client.App, a.jti, until)
	if errors.Is(err, ErrSpent) {
		return badClient("client assertion: its jti was used before")
	}
	return err
}

// signed finds the key that a is signed with among c's. The error is that we can not look just now.
func (h *Handler) signed(ctx context.Context, a *assertion, c *Client) (fault string, err error) {
	if c.JWKS != nil {
		return a.verify(c.JWKS.keys), nil
	}
	keys, version, err := h.fetchKeys(ctx, c.JWKSURI, 0)
	if err != nil {
		return "the keys at " + c.JWKSURI + " can not be read: " + err.Error(), busy(err)
	}
	if fault = a.verify(keys); fault == "" {
		return "", nil
	}
	// The client may have another key since.
	if keys, _, err = h.fetchKeys(ctx, c.JWKSURI, version); err != nil {
		return fault + " (" + c.JWKSURI + ": " + err.Error() + ")", busy(err)
	}
	if fault = a.verify(keys); fault != "" {
		fault += " (" + c.JWKSURI + " was read just now)"
	}
	return fault, nil
}

// busy is err if it is ours.
func busy(err error) error {
	if errors.Is(err, ErrBusy) {
		return err
	}
	return nil
}

// verify tells if a is signed with one of the keys: the one it names or, where either has no name, one that fits.
func (a *assertion) verify(keys []jose.JSONWebKey) (fault string) {
	signed, err := jose.ParseSignedCompact(a.raw, []jose.SignatureAlgorithm{a.alg})
	if err != nil {
		return "its signature can not be read"
	}
	named, tried := 0, 0
	for _, k := range keys {
		if a.kid != "" && k.KeyID != "" && k.KeyID != a.kid {
			continue
		}
		if named++; !fits(&k, a.alg) {
			continue
		}
		if tried++; tried > maxTries {
			return fmt.Sprintf("it is signed with none of the first %d keys that fit; name the key by kid", maxTries)
		}
		// What is verified is what was judged, to the byte.
		if payload, err := signed.Verify(k.Key); err == nil {
			if text, err := unpadded(strings.Split(a.raw, ".")[1]); err == nil && bytes.Equal(text, payload) {
				return ""
			}
		}
	}
	switch {
	case named == 0 && a.kid != "":
		return fmt.Sprintf("the client has no key with the kid %q", clip(a.kid))
	case tried == 0:
		return "the client has no key for the alg " + string(a.alg)
	}
	return "the signature is wrong"
}
