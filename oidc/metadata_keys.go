package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxKeys is how many keys a client may name.
	maxKeys = 100
	// maxModulus bounds what one verification can cost. RFC 7518 §3.3: "A key of size 2048 bits or larger MUST be used with
	// these algorithms."
	minModulus, maxModulus = 2048, 4096
	maxKeyID               = 256
)

// KeySet is the public keys a client signs with (RFC 7517 §5), held to the members that are used of them. It is read
// once and never changed. Written as JSON it is a JWK Set again.
type KeySet struct {
	keys []jose.JSONWebKey
	text string
}

// ReadKeySet reads a JWK Set that somebody hands in, and says in a sentence for them what is wrong with it. Whoever sends
// a private or a symmetric key has shown it to everybody on the way, and must hear of it. Keys for encryption are left
// out: nothing is encrypted to a client.
func ReadKeySet(raw []byte) (*KeySet, error) {
	keys, faults, err := readKeys(raw)
	switch {
	case err != nil:
		return nil, err
	case len(faults) > 0:
		return nil, faults[0]
	}
	for i, k := range keys {
		for _, other := range keys[:i] {
			// RFC 7517 §4.5: "different keys within the JWK Set SHOULD use distinct "kid" values".
			if k.KeyID != "" && k.KeyID == other.KeyID {
				return nil, fmt.Errorf("two keys have the kid %q", clip(k.KeyID))
			}
			if thumbprint(k) == thumbprint(other) {
				return nil, fmt.Errorf("key %d is there twice", i+1)
			}
		}
	}
	return newKeySet(keys)
}

func newKeySet(keys []jose.JSONWebKey) (*KeySet, error) {
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey{}, keys...)}) // [] and not null, where there are none
	return &KeySet{keys: keys, text: string(text)}, err
}

func thumbprint(k jose.JSONWebKey) string {
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		panic("oidc: " + err.Error()) // readKey has seen to its kind
	}
	return string(sum)
}

// MarshalJSON writes the set as a JWK Set.
func (s *KeySet) MarshalJSON() ([]byte, error) { return []byte(s.text), nil }

// UnmarshalJSON reads what MarshalJSON wrote. A key that can not be used, because a later version wrote it, is left out.
func (s *KeySet) UnmarshalJSON(raw []byte) error {
	keys, _, err := readKeys(raw)
	if err != nil {
		return err
	}
	set, err := newKeySet(keys)
	if err == nil {
		*s = *set
	}
	return err
}

// Equal tells if both hold the same keys in the same order.
func (s *KeySet) Equal(other *KeySet) bool {
	if s == nil || other == nil {
		return s == other
	}
	return s.text == other.text
}

// holds tells if there is a key for signatures of alg; empty: of any.
func (s *KeySet) holds(alg string) bool {
	return slices.ContainsFunc(s.keys, func(k jose.JSONWebKey) bool { return alg == "" || fits(&k, jose.SignatureAlgorithm(alg)) })
}

// Empty tells if there is no key at all.
func (s *KeySet) Empty() bool { return len(s.keys) == 0 }

// String names the keys: the kid of each that has one, the kind of the others.
func (s *KeySet) String() string {
	names := make([]string, len(s.keys))
	for i, k := range s.keys {
		if names[i] = k.KeyID; k.KeyID == "" {
			names[i] = strings.SplitN(strings.TrimPrefix(fmt.Sprintf("%T", k.Key), "*"), ".", 2)[0] + " without a kid"
		}
	}
	return strings.Join(names, ", ")
}

// readKeys reads a JWK Set and returns the keys that a signature can be verified with, and what is wrong with each of the
// others. RFC 7517 §5: "Implementations SHOULD ignore JWKs within a JWK Set that use "kty" (key type) values that are not
// understood by them, that are missing required members, or for which values are out of the supported ranges."
func readKeys(raw []byte) (keys []jose.JSONWebKey, faults []error, err error) {
	set, err := readObject(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("it is no JWK Set: %w", err)
	}
	list, ok := set["keys"].([]any)
	if !ok || len(list) > maxKeys {
		return nil, nil, fmt.Errorf("it must have the member keys, an array of at most %d keys", maxKeys)
	}
	for i, v := range list {
		members, ok := v.(map[string]any)
		if !ok {
			faults = append(faults, fmt.Errorf("key %d is no object", i+1))
			continue
		}
		k, err := readKey(members)
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("key %d %w", i+1, err))
		case k != nil:
			keys = append(keys, *k)
		}
	}
	return keys, faults, nil
}

// privateMembers is what no public key has (RFC 7518 §6.2.2, §6.3.2, §6.4; RFC 8037 §2).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}

// readKey reads one key; nil if it is for encryption. The error goes on where "key 1" began.
func readKey(all map[string]any) (*jose.JSONWebKey, error) {
	for _, name := range privateMembers {
		if _, ok := all[name]; ok {
			return nil, fmt.Errorf("is a secret: it has the private member %s. It is known to others now; make a new one, and give only its public half", name)
		}
	}
	if all["use"] == "enc" {
		return nil, nil
	}
	kept := map[string]any{}
	for _, name := range []string{"kty", "kid", "use", "alg", "n", "e", "crv", "x", "y"} {
		v, ok := all[name]
		if !ok {
			continue
		}
		if _, ok := v.(string); !ok {
			return nil, fmt.Errorf("has the member %s, which must be a text", name)
		}
		kept[name] = v
	}
	if use := kept["use"]; use != nil && use != "sig" {
		return nil, errors.New("has a use that is neither sig nor enc")
	}
	if ops, ok := all["key_ops"]; ok {
		if list, _ := ops.([]any); !slices.Contains(list, any("verify")) {
			return nil, errors.New("has key_ops without verify")
		}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	if n, _ := kept["n"].(string); kept["kty"] == "RSA" {
		modulus, err := unpadded(n)
		if err != nil {
			return nil, errors.New("has a member n that is no base64url")
		}
		if bits := new(big.Int).SetBytes(modulus).BitLen(); bits < minModulus || bits > maxModulus {
			return nil, fmt.Errorf("is an RSA key of %d bits; it must have %d to %d", bits, minModulus, maxModulus)
		}
	}
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(text); err != nil {
		return nil, errors.New("can not be read: it must be an RSA key, an elliptic curve key of P-256, P-384 or P-521, or an Ed25519 key, with all its public members")
	}
	if len(k.KeyID) > maxKeyID {
		return nil, fmt.Errorf("has a kid longer than %d characters", maxKeyID)
	}
	if key, ok := k.Key.(*rsa.PublicKey); ok && (key.E < 3 || key.E > math.MaxInt32 || key.E%2 == 0) {
		return nil, errors.New("is an RSA key of an exponent that is none")
	}
	if !slices.ContainsFunc(assertionAlgorithms, func(a jose.SignatureAlgorithm) bool { return fits(&k, a) }) {
		return nil, fmt.Errorf("is for no algorithm that is accepted: %s", strings.Join(algorithmNames, ", "))
	}
	return &k, nil
}

// assertionAlgorithms is what a client may sign with: asymmetric all of them, and none that is broken (RFC 8725 §3.1).
var assertionAlgorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.PS256, jose.ES256, jose.EdDSA, jose.RS384, jose.PS384, jose.ES384, jose.RS512, jose.PS512, jose.ES512,
}

var algorithmNames = func() (names []string) {
	for _, a := range assertionAlgorithms {
		names = append(names, string(a))
	}
	return names
}()

// fits tells if a signature of that algorithm can be verified with k. RFC 8725 §3.1: a key "MUST be used with exactly one
// algorithm"; a client that names it holds to that itself.
func fits(k *jose.JSONWebKey, alg jose.SignatureAlgorithm) bool {
	if k.Algorithm != "" && k.Algorithm != string(alg) {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(string(alg), "RS") || strings.HasPrefix(string(alg), "PS")
	case *ecdsa.PublicKey:
		return map[jose.SignatureAlgorithm]int{jose.ES256: 256, jose.ES384: 384, jose.ES512: 521}[alg] == key.Curve.Params().BitSize
	case ed25519.PublicKey:
		return alg == jose.EdDSA
	}
	return false
}

// keys reads the member jwks of a registration. It is judged also where it is not kept, because the client does not prove
// itself with keys.
func (f *fields) keys() *KeySet {
	if f.all["jwks"] == nil {
		return nil
	}
	text, err := json.Marshal(f.all["jwks"])
	if err == nil {
		var set *KeySet
		if set, err = ReadKeySet(text); err == nil {
			return set
		}
	}
	f.fail(badMetadata("jwks: " + plain(err.Error()) + "."))
	return nil
}

// CheckKeysURI judges the address that a client's keys are to be read from, in words for an admin. Plain http is judged
// when it is read: it depends on where the address lies.
func CheckKeysURI(uri string) error {
	u, why := outward(uri)
	if why == "" && u.Scheme != "https" && u.Scheme != "http" {
		why = "it is no web address"
	}
	if why == "" {
		// The host of a plain address is checked like that of any other.
		encrypted := *u
		encrypted.Scheme = "https"
		why = web(&encrypted)
	}
	if why != "" {
		return errors.New(why)
	}
	return nil
}

// unpadded decodes base64url as JOSE writes it (RFC 7515 §2): no padding, no loose bits, nothing skipped.
func unpadded(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") { // which the decoder would skip
		return nil, base64.CorruptInputError(0)
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}
