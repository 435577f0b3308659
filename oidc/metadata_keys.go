package oidc

import (
	"crypto/rsa"
	"encoding/json"

	"github.com/go-jose/go-jose/v4"
)

// maxKeys is how many keys a client may name.
const maxKeys = 100

// keys judges jwks. It is not kept, for no client authenticates itself with a key here; but whoever sends a private or
// symmetric key has shown it to everybody on the way, and must hear of it.
func (f *fields) keys() {
	set, ok := f.all["jwks"].(map[string]any)
	if !ok && f.all["jwks"] != nil {
		f.fail(badMetadata("jwks must be an object."))
	}
	if set == nil {
		return
	}
	list, ok := set["keys"].([]any)
	if !ok || len(list) > maxKeys {
		f.fail(badMetadata("jwks must have the member keys, an array of at most 100 keys."))
		return
	}
	for _, v := range list {
		text, err := json.Marshal(v)
		var k jose.JSONWebKey
		if err == nil {
			err = k.UnmarshalJSON(text)
		}
		modulus, isRSA := k.Key.(*rsa.PublicKey)
		if err != nil || !k.IsPublic() || isRSA && modulus.N.BitLen() < 2048 {
			f.fail(badMetadata("jwks has a key that is no public key of at least 2048 bit RSA, or of an elliptic curve."))
			return
		}
	}
}
