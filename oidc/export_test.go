package oidc

import "context"

// What the tests beside this package need to see of it.

var (
	ReadObject   = readObject
	SameLoopback = sameLoopback
	With         = with
	Plain        = plain
)

// ReadBasic reads a Basic Authorization header.
func ReadBasic(header string) (id, secret string, ok bool) {
	id, secret, _, ok = readBasic(header)
	return id, secret, ok
}

// Fronts is what stands in front of the kinds of bearer values.
var Fronts = []string{frontCode, frontRefresh, frontInitial, frontRegistration, "ORG!"}

// ReadBearer takes a value apart.
func ReadBearer(front, value string) (id, secret string, ok bool) {
	b, ok := readBearer(front, value)
	return b.id, b.secret, ok
}

// IsBearer tells if hash is of the secret of value.
func IsBearer(front, value string, hash []byte) bool {
	b, ok := readBearer(front, value)
	return ok && b.is(hash)
}

// NewBearer puts a value together.
func NewBearer(front, id, secret string) (value string, hash []byte) {
	b := newBearer(front, id, secret)
	return b.value, b.hash()
}

// NewRefresh makes a refresh token and what a grant keeps of it.
func NewRefresh(grant, family, step string) (value string, g *Grant) {
	t := newRefreshToken(grant, family, step)
	return t.value, &Grant{ID: grant, Generation: 1, Family: t.familyHash(), Hash: t.hash()}
}

// OfGrant tells if value is, or once was, a refresh token of g, and if it is the present one.
func OfGrant(value string, g *Grant) (ever, now bool) {
	t, ok := readRefreshToken(value)
	return ok && t.of(g), ok && t.is(g.Hash)
}

// Sealed hides successor with value, Opened shows it again.
func Sealed(value, successor string) ([]byte, error) {
	t, _ := readRefreshToken(value)
	return t.seal(successor)
}

// Opened shows what was Sealed with value.
func Opened(value string, sealed []byte) (string, error) {
	t, _ := readRefreshToken(value)
	return t.open(sealed)
}

// RedirectsTo tells if c may be answered at uri.
func RedirectsTo(c *Client, uri string) bool { return c.redirectsTo(uri) }

// Cast makes what the mould of parent allows of m.
func Cast(parent *Client, m *Metadata) (*Client, error) { return parent.cast(m) }

// AuthorizeRungs is the names of the rungs of an authorization request, in order; those before sep answer with a page.
func AuthorizeRungs() (pages, clients []string) {
	for _, r := range pageRungs {
		pages = append(pages, r.name)
	}
	for _, r := range clientRungs {
		clients = append(clients, r.name)
	}
	return pages, clients
}

// AssertionRungs is the names of the rungs of a client assertion.
func AssertionRungs() (names []string) {
	for _, r := range assertionRungs {
		names = append(names, r.name)
	}
	return names
}

// ReadAssertion takes an assertion apart and says whose it is; signed tells if one of keys signed it, as it says it is.
func ReadAssertion(raw string, keys *KeySet) (id string, signed bool, err error) {
	a, err := readAssertion(raw)
	if err != nil {
		return "", false, err
	}
	if a.askAlgorithm(asked{}) != "" || a.askKeyID(asked{}) != "" {
		return a.id, false, nil
	}
	return a.id, a.verify(keys.keys) == "", nil
}

// FetchKeys returns the keys at uri by their kids.
func FetchKeys(ctx context.Context, h *Handler, uri string, seen int) (kids []string, version int, err error) {
	keys, version, err := h.fetchKeys(ctx, uri, seen)
	for _, k := range keys {
		kids = append(kids, k.KeyID)
	}
	return kids, version, err
}

// Remembered is how many addresses of keys h remembers.
func Remembered(h *Handler) int { return len(h.clientKeys.at) }

// MetadataRungs is the names of the rungs of client metadata.
func MetadataRungs() (names []string) {
	for _, r := range metadataRungs {
		names = append(names, r.name)
	}
	return names
}

// LogoutRungs is the names of the rungs of a request for sign-out.
func LogoutRungs() (names []string) {
	for _, r := range logoutRungs {
		names = append(names, r.name)
	}
	return names
}

// ReadHint reads an id_token_hint.
func ReadHint(ctx context.Context, h *Handler, site *Site, text string) (sub, sid, client string, err error) {
	hint, err := h.readHint(ctx, site, text)
	if err != nil {
		return "", "", "", err
	}
	return hint.sub, hint.sid, hint.client.ID, nil
}
