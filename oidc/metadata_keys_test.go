package oidc_test

import (
	"context"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/oidc"
)

// OA-DCR-10: what a JWK Set that somebody hands in may not have, said so that they can mend it.
func TestReadKeySet(t *testing.T) {
	ec, rs := key("p256").public(), key("rsa").public()
	bits := func(n uint) string { // an odd number of so many bits
		x := new(big.Int).Lsh(big.NewInt(1), n-1)
		return b64(x.Add(x, big.NewInt(1)).Bytes())
	}
	for name, c := range map[string]struct{ raw, fault string }{
		"no JSON":                             {"-----BEGIN PUBLIC KEY-----", "it is no JWK Set"},
		"a key instead of a set":              {string(text(ec)), "must have the member keys"},
		"an array":                            {"[]", "it is no JWK Set"},
		"keys twice":                          {`{"keys":[],"Keys":[]}`, "there twice"},
		"a member twice":                      {`{"keys":[{"kty":"EC","kty":"RSA"}]}`, "there twice"},
		"no object":                           {`{"keys":["x"]}`, "key 1 is no object"},
		"a private EC key":                    {set(with(ec, "d", "AAAA")), "key 1 is a secret: it has the private member d"},
		"a private key for encryption":        {set(with(ec, "d", "AAAA", "use", "enc")), "is a secret"},
		"a prime":                             {set(ec, with(rs, "p", "AAAA")), "key 2 is a secret: it has the private member p"},
		"a symmetric key":                     {set(object{"kty": "oct", "k": "AAAA"}), "private member k"},
		"unknown kty":                         {set(object{"kty": "XX"}), "can not be read"},
		"no kty":                              {set(without(ec, "kty")), "can not be read"},
		"unknown curve":                       {set(with(ec, "crv", "secp256k1")), "can not be read"},
		"X25519":                              {set(object{"kty": "OKP", "crv": "X25519", "x": b64(make([]byte, 32))}), "can not be read"},
		"a point off the curve":               {set(with(ec, "y", ec["x"])), "can not be read"},
		"half a point":                        {set(without(ec, "y")), "can not be read"},
		"OA-DCR-10 RSA-512":                   {set(object{"kty": "RSA", "n": bits(512), "e": "AQAB"}), "is an RSA key of 512 bits"},
		"RSA-2047":                            {set(object{"kty": "RSA", "n": bits(2047), "e": "AQAB"}), "is an RSA key of 2047 bits"},
		"RSA-16384":                           {set(object{"kty": "RSA", "n": bits(16384), "e": "AQAB"}), "is an RSA key of 16384 bits"},
		"RSA of exponent 2":                   {set(with(rs, "e", "Ag")), "exponent"},
		"RSA of a long exponent":              {set(with(rs, "e", "AQAAAAE")), "exponent"},
		"RSA without n":                       {set(without(rs, "n")), "RSA key of 0 bits"},
		"RSA of bad base64":                   {set(with(rs, "n", "!")), "no base64url"},
		"HS256":                               {set(with(ec, "alg", "HS256")), "is for no algorithm that is accepted"},
		"an alg of another kind":              {set(with(ec, "alg", "RS256")), "is for no algorithm that is accepted"},
		"an alg of encryption":                {set(with(rs, "alg", "RSA-OAEP-256")), "is for no algorithm that is accepted"},
		"key_ops without verify":              {set(with(ec, "key_ops", []string{"encrypt"})), "key_ops without verify"},
		"key_ops no list":                     {set(with(ec, "key_ops", "verify")), "key_ops without verify"},
		"another use":                         {set(with(ec, "use", "tls")), "use that is neither sig nor enc"},
		"kid no text":                         {set(with(ec, "kid", 1)), "member kid, which must be a text"},
		"a long kid":                          {set(with(ec, "kid", strings.Repeat("k", 257))), "kid longer than 256"},
		"one kid for two":                     {set(with(ec, "kid", "k"), with(rs, "kid", "k")), `two keys have the kid "k"`},
		"one key twice":                       {set(with(ec, "kid", "a"), rs, with(ec, "kid", "b")), "key 3 is there twice"},
		"many":                                {`{"keys":[` + strings.Repeat("{},", 100) + `{}]}`, "at most 100 keys"},
		"deep":                                {strings.Repeat(`{"keys":`, 1000), "too deep"},
		"fine":                                {set(ec, rs, key("ed25519").public(), key("p384").public()), ""},
		"fine with all that others write":     {set(with(ec, "use", "sig", "alg", "ES256", "key_ops", []string{"verify"}, "ext", true, "x5t", "x", "exp", 1)), ""},
		"fine without the key for encryption": {set(with(rs, "use", "enc", "alg", "RSA-OAEP-256"), ec), ""},
		"fine and empty":                      {`{"keys":[]}`, ""},
	} {
		got, err := oidc.ReadKeySet([]byte(c.raw))
		if c.fault == "" && err != nil || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("%s: %v, want %q", name, err, c.fault)
		}
		if c.fault != "" {
			continue
		}
		again := new(oidc.KeySet)
		written, err := json.Marshal(got)
		if err == nil {
			err = json.Unmarshal(written, again)
		}
		if err != nil || !again.Equal(got) || strings.Contains(string(written), "enc") || strings.Contains(string(written), "ext") {
			t.Errorf("%s: written %s, %v", name, written, err)
		}
	}
	var none *oidc.KeySet
	if got := jwks(ec, without(rs, "kid")); got.String() != "p256, rsa without a kid" || got.Empty() || got.Equal(none) || got.Equal(jwks(ec)) || !none.Equal(nil) {
		t.Errorf("%s", got)
	}
}

func set(keys ...object) string { return string(text(object{"keys": keys})) }

// FuzzKeySet: what is read survives being written, and nothing secret goes along.
func FuzzKeySet(f *testing.F) {
	f.Add(set(key("p256").public(), key("rsa").public(), key("ed25519").public()))
	f.Add(set(with(key("p256").public(), "d", "AAAA")))
	f.Add(set(with(key("p256").public(), "D", "AAAA")))
	f.Add(`{"keys":[{"kty":"oct","k":"AAAA"}]}`)
	f.Add(`{"keys":[],"keys":[]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := oidc.ReadKeySet([]byte(raw))
		if err != nil {
			return
		}
		written, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		again, err := oidc.ReadKeySet(written)
		if err != nil || !again.Equal(got) {
			t.Errorf("%s became %s: %v", raw, written, err)
		}
		var read struct{ Keys []map[string]any }
		if err := json.Unmarshal(written, &read); err != nil {
			t.Fatal(err)
		}
		for _, k := range read.Keys {
			for name := range k {
				if !strings.Contains(" kty kid use alg n e crv x y ", " "+name+" ") {
					t.Errorf("%s kept the member %s", written, name)
				}
			}
		}
	})
}

// A client registers itself with its keys, or with their address, and moves them on.
func TestRegisterKeys(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, bearer := h.gateway("gateway", nil)
		signed := func(client, name, alg string) string {
			return key(name).assert(alg, object{"alg": alg, "kid": key(name).kid}, h.claims(client))
		}
		machine := object{"grant_types": []string{"client_credentials"}, "scope": "orders", "token_endpoint_auth_method": "private_key_jwt"}
		ask := with(machine, "jwks", object{"keys": []object{with(key("rsa").public(), "use", "sig", "x5t", "ignored"), with(key("p256").public(), "use", "enc")}},
			"token_endpoint_auth_signing_alg", "PS256")
		a := h.register(bearer, ask)
		id, own := a.text("client_id"), "Bearer "+a.text("registration_access_token")
		if a.JSON["client_secret"] != nil || a.text("token_endpoint_auth_method") != "private_key_jwt" || a.text("token_endpoint_auth_signing_alg") != "PS256" {
			t.Errorf("registered: %s", a.Text)
		}
		told := func(a *answer) string {
			b, err := json.Marshal(a.JSON["jwks"])
			h.must(err)
			set, err := oidc.ReadKeySet(b)
			h.must(err)
			return set.String()
		}
		if told(a) != "rsa" || a.JSON["jwks_uri"] != nil {
			t.Errorf("the keys that are told: %s", a.Text)
		}
		h.ok(h.asserted(signed(id, "rsa", "PS256")))
		if c, err := h.st.OIDC().Client(t.Context(), h.org.ID, id); err != nil || c.Registered.JWKS != nil || c.JWKS.String() != "rsa" {
			t.Errorf("the keys are kept %v, %v", c, err)
		}
		bad := h.asserted(signed(id, "rsa", "RS256"))
		if h.fails(bad, 401, invalidClient); !strings.Contains(h.event(bad).Reason, "registered for the alg PS256 and used RS256") {
			t.Errorf("%s", h.event(bad).Reason)
		}
		h.fails(h.do("POST", "/oauth2/token", basic(id, ""), values("grant_type", "client_credentials")), 401, invalidClient)
		where := "/oauth2/register/" + id
		if a = h.ok(h.do("GET", where, own, nil)); told(a) != "rsa" {
			t.Errorf("read again: %s", a.Text)
		}

		// Another key, by RFC 7592: the old one is good for nothing any more, on any node.
		put := func(more object) *answer {
			o := with(machine, "client_id", id)
			for k, v := range more {
				o[k] = v
			}
			return h.do("PUT", where, own, o)
		}
		if a = h.ok(put(object{"jwks": object{"keys": []object{key("p256").public()}}})); told(a) != "p256" || a.JSON["token_endpoint_auth_signing_alg"] != nil {
			t.Errorf("moved on: %s", a.Text)
		}
		h.must(h.st.WaitSeen(t.Context()))
		h.ok(h.asserted(signed(id, "p256", "ES256")))
		h.fails(h.asserted(signed(id, "rsa", "PS256")), 401, invalidClient)
		// And from a set to an address.
		h.fetch = func(_ context.Context, url string, _ int64) ([]byte, error) {
			return []byte(set(key("ed25519").public())), nil
		}
		if a = h.ok(put(object{"jwks_uri": "https://rp.example/keys"})); a.JSON["jwks"] != nil || a.text("jwks_uri") != "https://rp.example/keys" {
			t.Errorf("moved to an address: %s", a.Text)
		}
		h.must(h.st.WaitSeen(t.Context()))
		h.ok(h.asserted(signed(id, "ed25519", "EdDSA")))

		// Nothing turns it into a client of another kind.
		for name, o := range map[string]object{
			"a secret": {"token_endpoint_auth_method": "client_secret_basic"}, "nothing asked for": {"token_endpoint_auth_method": nil},
			"none":    {"token_endpoint_auth_method": "none", "redirect_uris": []string{redirectURI}, "grant_types": []string{"authorization_code"}, "scope": "openid"},
			"no keys": {}, "both": {"jwks": object{"keys": []object{key("p256").public()}}, "jwks_uri": "https://rp.example/keys"},
		} {
			if h.fails(put(o), 400, "invalid_client_metadata"); t.Failed() {
				t.Fatal(name)
			}
		}
		h.ok(h.asserted(signed(id, "ed25519", "EdDSA")))
		a = h.register(bearer, without(machine, "token_endpoint_auth_method"))
		h.fails(h.do("PUT", "/oauth2/register/"+a.text("client_id"), "Bearer "+a.text("registration_access_token"),
			with(machine, "client_id", a.text("client_id"), "jwks", object{"keys": []object{key("p256").public()}})), 400, "invalid_client_metadata")

		// OA-DCR-02, -03, -10 at registration: nothing is fetched, whatever it names.
		h.fetch = func(_ context.Context, url string, _ int64) ([]byte, error) {
			t.Errorf("OA-DCR-03: %s was fetched at registration", url)
			return nil, errTest
		}
		for name, o := range map[string]object{
			"no keys": machine, "an empty set": with(machine, "jwks", object{"keys": []object{}}),
			"keys for encryption only":               with(machine, "jwks", object{"keys": []object{with(key("p256").public(), "use", "enc")}}),
			"both":                                   with(ask, "jwks_uri", "https://rp.example/keys"),
			"no key for the alg":                     with(ask, "token_endpoint_auth_signing_alg", "ES256"),
			"an alg we have not":                     with(ask, "token_endpoint_auth_signing_alg", "HS256"),
			"an alg we have not, for keys elsewhere": with(machine, "jwks_uri", "https://rp.example/keys", "token_endpoint_auth_signing_alg", "HS256"),
			"alg none":                               with(ask, "token_endpoint_auth_signing_alg", "none"),
			"a private key":                          with(machine, "jwks", object{"keys": []object{with(key("p256").public(), "d", "AAAA")}}),
			"plain http":                             with(machine, "jwks_uri", "http://rp.example/keys"),
			"a file":                                 with(machine, "jwks_uri", "file:///etc/passwd"),
			"a password":                             with(machine, "jwks_uri", "https://u:p@rp.example/"),
			"the kept alg in another case":           with(machine, "jwks_uri", "https://rp.example/keys", "Token_endpoint_auth_signing_alg", "ES256"),
		} {
			if h.fails(h.do("POST", "/oauth2/register", bearer, o), 400, "invalid_client_metadata"); t.Failed() {
				t.Fatal(name)
			}
		}
		for _, uri := range []string{"https://169.254.169.254/", "http://127.0.0.1:1/", "https://[::1]/", "https://localtest.me/"} {
			h.register(bearer, with(machine, "jwks_uri", uri))
		}
		// Of a client with a secret the keys are judged, and not kept.
		a = h.register(bearer, with(ask, "token_endpoint_auth_method", "client_secret_basic"))
		if a.JSON["jwks"] != nil || a.JSON["token_endpoint_auth_signing_alg"] != nil || a.text("client_secret") == "" {
			t.Errorf("a client with a secret: %s", a.Text)
		}
	})
}

// What a later version may have written into a set is left out, and the rest is good.
func TestKeysOfLater(t *testing.T) {
	var c oidc.Client
	if err := json.Unmarshal([]byte(`{"jwks":`+set(object{"kty": "LATER"}, key("p256").public())+`}`), &c); err != nil || c.JWKS.String() != "p256" {
		t.Errorf("%v, %v", c.JWKS, err)
	}
}
