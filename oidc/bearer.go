package oidc

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"
)

// A bearer value is "id.secret": the id finds the row, the secret proves the right to it, and the row holds only the
// secret's SHA-256. What stands in front of the id tells the kinds apart, so that none is ever taken for another. An
// access token has its org there, "ORG!id.secret".
const (
	frontCode         = "c_"
	frontRefresh      = "r_"
	frontInitial      = "i_"
	frontRegistration = "g_"
)

const (
	maxBearer = 512
	maxBearID = 64
	minSecret = 22 // 128 bits in base64
)

// bearer is a value that has the form of its kind. Whether it is good only its row can tell.
type bearer struct {
	value  string
	id     string
	secret string
}

// hash is what the row of b holds.
func (b bearer) hash() []byte {
	sum := sha256.Sum256([]byte(b.secret))
	return sum[:]
}

// is tells in constant time if hash is of b's secret. A row without a hash is never meant.
func (b bearer) is(hash []byte) bool {
	return len(hash) == sha256.Size && subtle.ConstantTimeCompare(b.hash(), hash) == 1
}

// newBearer puts a value together.
func newBearer(front, id, secret string) bearer {
	return bearer{value: front + id + "." + secret, id: id, secret: secret}
}

// readBearer takes value apart if it has the form of the kind that front stands for. Nothing is decoded or folded: two
// values that differ in one byte are two values.
func readBearer(front, value string) (bearer, bool) {
	if len(value) > maxBearer {
		return bearer{}, false
	}
	rest, ok := strings.CutPrefix(value, front)
	if !ok {
		return bearer{}, false
	}
	id, secret, ok := strings.Cut(rest, ".")
	if !ok || len(id) == 0 || len(id) > maxBearID || len(secret) < minSecret || !wordy(id, "") || !wordy(secret, "~") {
		return bearer{}, false
	}
	return bearer{value: value, id: id, secret: secret}, true
}

// wordy tells if s is of letters, digits, hyphens, underscores and the characters of more.
func wordy(s, more string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', strings.IndexByte(more, c) >= 0:
		default:
			return false
		}
	}
	return true
}

// NewInitialToken makes an initial access token of the parent app (RFC 7591 §1.2): the row to store under id, and the
// value to show once. secret holds at least 128 random bits.
func NewInitialToken(id, app, name, secret string, now time.Time) (t *RegistrationToken, value string) {
	b := newBearer(frontInitial, id, secret)
	return &RegistrationToken{ID: id, Hash: b.hash(), App: app, Kind: KindInitial, Name: name, Created: now}, b.value
}

// InitialTokenID returns the id of the row that value claims to belong to, for an admin who revokes by value.
func InitialTokenID(value string) (id string, ok bool) {
	b, ok := readBearer(frontInitial, value)
	return b.id, ok
}

// A refresh token's secret is "family~step~mark". All generations of a grant share the family, whose hash the grant
// keeps; the mark is a MAC of the step under the family. So a token of an older generation is told from a forged or
// garbled one: the first ends the grant, the others are merely refused.
type refreshToken struct {
	bearer
	family string
	whole  bool // the mark is right
}

func newRefreshToken(grant, family, step string) refreshToken {
	return refreshToken{newBearer(frontRefresh, grant, family+"~"+step+"~"+mark(grant, family, step)), family, true}
}

func readRefreshToken(value string) (refreshToken, bool) {
	b, ok := readBearer(frontRefresh, value)
	if !ok {
		return refreshToken{}, false
	}
	parts := strings.Split(b.secret, "~")
	if len(parts) != 3 {
		return refreshToken{}, false
	}
	want := mark(b.id, parts[0], parts[1])
	return refreshToken{b, parts[0], subtle.ConstantTimeCompare([]byte(parts[2]), []byte(want)) == 1}, true
}

func mark(grant, family, step string) string {
	m := hmac.New(sha256.New, []byte(family))
	m.Write([]byte(grant + "~" + step))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:16])
}

// familyHash is what the grant keeps of the family.
func (t refreshToken) familyHash() []byte {
	sum := sha256.Sum256([]byte(t.family))
	return sum[:]
}

// of tells if t is, or once was, a token of g.
func (t refreshToken) of(g *Grant) bool {
	return t.whole && len(g.Family) == sha256.Size && subtle.ConstantTimeCompare(t.familyHash(), g.Family) == 1
}

// seal hides the successor of t so that only who holds t can see it: a copy of the database opens nothing.
func (t refreshToken) seal(successor string) ([]byte, error) {
	a, err := t.sealer()
	if err != nil {
		return nil, err
	}
	return a.Seal(nil, nil, []byte(successor), []byte(t.id)), nil
}

// open shows the successor that was sealed with t.
func (t refreshToken) open(sealed []byte) (string, error) {
	a, err := t.sealer()
	if err != nil {
		return "", err
	}
	b, err := a.Open(nil, nil, sealed, []byte(t.id))
	return string(b), err
}

func (t refreshToken) sealer() (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(t.secret), nil, "lanyard refresh successor", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
