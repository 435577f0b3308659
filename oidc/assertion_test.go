package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/oidc"
)

const (
	jwtBearer     = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	invalidClient = "invalid_client"
)

// b64 is base64url as JOSE writes it.
func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// keyPair is a client's key. What it signs and how its public half is written is done here by hand, by the words of
// RFC 7515 and 7518, so that what is tested does not vouch for itself.
type keyPair struct {
	kid    string
	signer crypto.Signer
}

var keyPairs = sync.OnceValue(func() map[string]*keyPair {
	all := map[string]*keyPair{}
	add := func(name string, s crypto.Signer, err error) {
		if err != nil {
			panic(err)
		}
		all[name] = &keyPair{name, s}
	}
	for _, name := range []string{"rsa", "other rsa"} {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		add(name, k, err)
	}
	for name, c := range map[string]elliptic.Curve{"p256": elliptic.P256(), "other p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		add(name, k, err)
	}
	_, k, err := ed25519.GenerateKey(rand.Reader)
	add("ed25519", k, err)
	return all
})

func key(name string) *keyPair { return keyPairs()[name] }

// public is the public half as a JWK.
func (k *keyPair) public() object {
	switch p := k.signer.Public().(type) {
	case *rsa.PublicKey:
		return object{"kty": "RSA", "kid": k.kid, "n": b64(p.N.Bytes()), "e": b64(big.NewInt(int64(p.E)).Bytes())}
	case *ecdsa.PublicKey:
		size := (p.Curve.Params().BitSize + 7) / 8
		point, err := p.Bytes() // 4, x, y
		if err != nil {
			panic(err)
		}
		return object{"kty": "EC", "kid": k.kid, "crv": p.Curve.Params().Name, "x": b64(point[1 : 1+size]), "y": b64(point[1+size:])}
	case ed25519.PublicKey:
		return object{"kty": "OKP", "kid": k.kid, "crv": "Ed25519", "x": b64(p)}
	}
	panic("no such key")
}

func without(o object, names ...string) object {
	o = maps.Clone(o)
	for _, n := range names {
		delete(o, n)
	}
	return o
}

func with(o object, pairs ...any) object {
	o = maps.Clone(o)
	for i := 0; i < len(pairs); i += 2 {
		o[pairs[i].(string)] = pairs[i+1]
	}
	return o
}

// sign signs what, with alg, as JWS says it.
func (k *keyPair) sign(alg, what string) string {
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	if alg == "EdDSA" {
		sig, err := k.signer.Sign(nil, []byte(what), crypto.Hash(0))
		if err != nil {
			panic(err)
		}
		return b64(sig)
	}
	d := hash.New()
	d.Write([]byte(what))
	sum := d.Sum(nil)
	var sig []byte
	var err error
	switch s := k.signer.(type) {
	case *rsa.PrivateKey:
		if sig, err = rsa.SignPKCS1v15(nil, s, hash, sum); alg[0] == 'P' {
			sig, err = rsa.SignPSS(rand.Reader, s, hash, sum, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
	case *ecdsa.PrivateKey:
		size := (s.Curve.Params().BitSize + 7) / 8
		var r, t *big.Int
		if r, t, err = ecdsa.Sign(rand.Reader, s, sum); err == nil {
			sig = append(r.FillBytes(make([]byte, size)), t.FillBytes(make([]byte, size))...)
		}
	}
	if err != nil {
		panic(err)
	}
	return b64(sig)
}

func text(v any) []byte {
	if s, ok := v.(string); ok {
		return []byte(s)
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// assert makes an assertion of any header and claims: an object, or a string for what no object is.
func (k *keyPair) assert(alg string, header, claims any) string {
	what := b64(text(header)) + "." + b64(text(claims))
	return what + "." + k.sign(alg, what)
}

// claims is what a client says of itself, now.
func (h *house) claims(client string) object {
	now := h.clock.Now()
	return object{"iss": client, "sub": client, "aud": h.url, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": newID()}
}

func jwks(keys ...object) *oidc.KeySet {
	set, err := oidc.ReadKeySet(text(object{"keys": keys}))
	if err != nil {
		panic(err)
	}
	return set
}

// signing registers a client that proves itself by keys.
func (h *house) signing(name string, set *oidc.KeySet, alter func(*oidc.Client)) *oidc.Client {
	h.t.Helper()
	return h.client(name, func(c *oidc.Client, _ *idp.Installation) {
		c.AuthMethod, c.JWKS = oidc.MethodPrivateKey, set
		if alter != nil {
			alter(c)
		}
	})
}

// asserted sends a token request by client credentials, with an assertion.
func (h *house) asserted(assertion string, pairs ...string) *answer {
	h.t.Helper()
	return h.assertedTo("/oauth2/token", assertion, append([]string{"grant_type", "client_credentials", "scope", "orders"}, pairs...)...)
}

func (h *house) assertedTo(path, assertion string, pairs ...string) *answer {
	h.t.Helper()
	return h.do("POST", path, "", values(append([]string{"client_assertion_type", jwtBearer, "client_assertion", assertion}, pairs...)...))
}

// Every algorithm, at every address that a client proves itself at.
func TestAssertion(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		var public []object
		for _, name := range slices.Sorted(maps.Keys(keyPairs())) {
			public = append(public, key(name).public())
		}
		h.signing("rp", jwks(public...), nil)
		h.client("secret", nil)
		for alg, name := range map[string]string{
			"RS256": "rsa", "RS384": "rsa", "RS512": "rsa", "PS256": "rsa", "PS384": "rsa", "PS512": "rsa",
			"ES256": "p256", "ES384": "p384", "ES512": "p521", "EdDSA": "ed25519",
		} {
			k := key(name)
			if a := h.asserted(k.assert(alg, object{"alg": alg, "kid": k.kid}, h.claims("rp"))); a.Status != 200 || a.text("access_token") == "" {
				t.Errorf("%s: %d %s", alg, a.Status, a.Text)
			}
		}
		k := key("p256")
		assertion := func(pairs ...any) string {
			return k.assert("ES256", object{"alg": "ES256", "typ": "JWT"}, with(h.claims("rp"), pairs...))
		}
		// Who says that it knows the newer rules, and what was right before them.
		h.ok(h.asserted(k.assert("ES256", object{"alg": "ES256", "typ": "client-authentication+jwt"}, h.claims("rp"))))
		h.ok(h.asserted(k.assert("ES256", object{"alg": "ES256", "typ": "application/client-authentication+JWT"}, h.claims("rp"))))
		h.ok(h.asserted(assertion("aud", h.url+"/oauth2/token"), "client_id", "rp"))
		h.ok(h.asserted(assertion("aud", []string{h.url})))
		h.ok(h.assertedTo("/oauth2/introspect", assertion("aud", h.url+"/oauth2/introspect"), "token", "x"))
		h.ok(h.assertedTo("/oauth2/introspect", assertion("aud", h.url+"/oauth2/token"), "token", "x"))
		// An answer with a token it got is told about it, and the token ends with it.
		access := h.ok(h.asserted(assertion())).text("access_token")
		if a := h.ok(h.assertedTo("/oauth2/introspect", assertion(), "token", access)); a.JSON["active"] != true {
			t.Errorf("its own token: %s", a.Text)
		}
		h.ok(h.assertedTo("/oauth2/revoke", assertion(), "token", access))
		if a := h.ok(h.assertedTo("/oauth2/introspect", assertion(), "token", access)); a.JSON["active"] != false {
			t.Errorf("a revoked token: %s", a.Text)
		}
		h.fails(h.assertedTo("/oauth2/revoke", k.assert("ES256", object{"alg": "ES256"}, with(h.claims("rp"), "aud", "https://other.example")), "token", "x"), 401, invalidClient)
		// A code flow from end to end; a client that signs needs no PKCE.
		b := h.browser("ana")
		a := h.ok(h.assertedTo("/oauth2/token", assertion(), "grant_type", "authorization_code", "code", b.code("rp", "scope", "openid refresh_token"), "redirect_uri", redirectURI))
		a = h.ok(h.assertedTo("/oauth2/token", assertion(), "grant_type", "refresh_token", "refresh_token", a.text("refresh_token")))
		// Tokens of ours are no assertions (OA-JWT-06), whoever they are about.
		for name, ours := range map[string]string{"an ID token": a.text("id_token"), "an access token": a.text("access_token"), "a refresh token": a.text("refresh_token")} {
			if h.fails(h.asserted(ours, "client_id", "rp"), 401, invalidClient); t.Failed() {
				t.Fatal(name)
			}
		}
		// The secret method's clients are not touched by all this, and a code of the one is not the other's.
		code := b.code("secret", "scope", "openid")
		h.fails(h.assertedTo("/oauth2/token", assertion(), "grant_type", "authorization_code", "code", code, "redirect_uri", redirectURI), 400, invalidGrant)
	})
}

// Somebody else's library says the same: go-jose's JWT builder, as its documentation shows it.
func TestAssertionOfALibrary(t *testing.T) {
	h := on(t)
	h.signing("rp", jwks(key("rsa").public()), nil)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.PS256, Key: jose.JSONWebKey{Key: key("rsa").signer, KeyID: "rsa"}}, (&jose.SignerOptions{}).WithType("JWT"))
	h.must(err)
	now := h.clock.Now()
	raw, err := jwt.Signed(signer).Claims(jwt.Claims{Issuer: "rp", Subject: "rp", Audience: jwt.Audience{h.url}, ID: newID(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(time.Minute))}).Serialize()
	h.must(err)
	h.ok(h.asserted(raw))
}

// OA-CA-01, -02, -06, -08, OA-JWT-01, -02, -03, -04, -06, -08, -10: what an assertion is refused for, each with the reason
// that an admin reads. Every rung has a case.
func TestAssertionRefused(t *testing.T) {
	h := on(t)
	rsaKey, ec := key("rsa"), key("p256")
	h.signing("rp", jwks(rsaKey.public(), ec.public(), key("p384").public()), nil)
	h.signing("nameless", jwks(without(rsaKey.public(), "kid")), nil)
	h.signing("pss", jwks(with(rsaKey.public(), "alg", "PS256")), nil)
	h.signing("many", jwks(func() (all []object) {
		for range 11 {
			k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			h.must(err)
			all = append(all, without((&keyPair{"", k}).public(), "kid"))
		}
		return append(all, without(ec.public(), "kid"))
	}()...), nil)
	h.client("any", nil)
	h.client("basic", func(c *oidc.Client, _ *idp.Installation) { c.AuthMethod = oidc.MethodBasic })
	h.client("none", func(c *oidc.Client, _ *idp.Installation) { c.AuthMethod = oidc.MethodNone })
	covered := map[string]bool{}
	now := h.clock.Now().Unix()
	es := object{"alg": "ES256", "kid": ec.kid}
	claims := func(pairs ...any) object { return with(h.claims("rp"), pairs...) }
	good := ec.assert("ES256", es, claims())
	parts := strings.Split(good, ".")
	der, err := x509.MarshalPKIXPublicKey(rsaKey.signer.Public())
	h.must(err)
	hs := func(key []byte) string { // OA-JWT-01: the public key, taken for a shared secret
		what := b64(text(object{"alg": "HS256", "kid": "rsa"})) + "." + b64(text(claims()))
		m := hmac.New(sha256.New, key)
		m.Write([]byte(what))
		return what + "." + b64(m.Sum(nil))
	}
	asn1, err := ec.signer.Sign(rand.Reader, func() []byte { s := sha256.Sum256([]byte(parts[0] + "." + parts[1])); return s[:] }(), crypto.SHA256)
	h.must(err)
	// The same header, written with bits that do not count: 28 bytes leave four of them in the last character.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	exact := b64(text(es))
	loose := exact[:len(exact)-1] + alphabet[strings.IndexByte(alphabet, exact[len(exact)-1])+1:][:1] + "." + parts[1]
	unsigned := func(header any) string { return b64(text(header)) + "." + b64(text(claims())) + "." }
	flattened := string(text(object{"payload": parts[1], "protected": parts[0], "signature": parts[2]}))
	for _, c := range []struct {
		id, rung  string
		assertion string
		reason    string
	}{
		// Before the ladder: it must be a JWS, read in one way only.
		{"OA-JWT-03 flattened", "", flattened, "three parts"},
		{"OA-JWT-03 general", "", string(text(object{"payload": parts[1], "signatures": []object{{"protected": parts[0], "signature": parts[2]}}})), "three parts"},
		{"two parts", "", parts[0] + "." + parts[1], "three parts"},
		{"a JWE", "", good + "..", "three parts"},
		{"OA-JWT-04", "", strings.Repeat("a.", 8000), "three parts"},
		{"OA-JWT-04 long", "", strings.Repeat("a", 17<<10), "larger than 16 KiB"},
		{"padded", "", parts[0] + "=." + parts[1] + "." + parts[2], "header is no base64url"},
		{"claims padded", "", parts[0] + "." + parts[1] + "=." + parts[2], "claims is no base64url"},
		{"a line break", "", parts[0] + ".\n" + parts[1] + "." + parts[2], "claims is no base64url"},
		{"another character", "", parts[0][:len(parts[0])-1] + "\x7f." + parts[1] + "." + parts[2], "no base64url"},
		{"loose bits", "", loose + "." + ec.sign("ES256", loose), "header is no base64url"},
		{"no signature", "", parts[0] + "." + parts[1] + ".", "signature is no base64url"},
		{"a signature of nothing", "", parts[0] + "." + parts[1] + ".!", "signature is no base64url"},
		{"header no JSON", "", ec.assert("ES256", "ES256", claims()), "header can not be read"},
		{"header an array", "", ec.assert("ES256", `["ES256"]`, claims()), "header can not be read"},
		{"OA-JWT-08 header twice", "", ec.assert("ES256", `{"alg":"none","alg":"ES256"}`, claims()), "there twice"},
		{"OA-JWT-08 header twice but for case", "", ec.assert("ES256", `{"alg":"ES256","ALG":"none"}`, claims()), "there twice"},
		{"OA-JWT-08 claims twice", "", ec.assert("ES256", es, `{"iss":"rp","sub":"rp","sub":"any"}`), "there twice"},
		{"OA-JWT-08 claims twice but for case", "", ec.assert("ES256", es, `{"iss":"rp","sub":"rp","aud":"x","Aud":"y"}`), "there twice"},
		{"claims behind", "", ec.assert("ES256", es, `{"iss":"rp","sub":"rp"} {}`), "claims can not be read"},
		{"claims not UTF-8", "", ec.assert("ES256", es, "{\"iss\":\"rp\xff\"}"), "claims can not be read"},
		{"nested", "", ec.assert("ES256", object{"alg": "ES256", "cty": "JWT"}, good), "claims can not be read"},
		{"no iss", "", ec.assert("ES256", es, without(claims(), "iss")), "both must be the client_id"},
		{"no sub", "", ec.assert("ES256", es, without(claims(), "sub")), "both must be the client_id"},
		{"iss of another", "", ec.assert("ES256", es, claims("iss", "any")), "both must be the client_id"},
		{"OA-CA-08", "", ec.assert("ES256", es, claims("sub", "ana")), "both must be the client_id"},
		{"sub no text", "", ec.assert("ES256", es, claims("sub", []string{"rp"})), "both must be the client_id"},
		{"unknown", "", ec.assert("ES256", es, claims("iss", "nobody", "sub", "nobody")), "unknown client_id nobody"},

		{"OA-JWT-01 none", "alg", unsigned(object{"alg": "none"}) + "AAAA", `alg is "none"`},
		{"OA-JWT-01 None", "alg", unsigned(object{"alg": "None"}) + "AAAA", `alg is "None"`},
		{"OA-JWT-01 nOnE", "alg", unsigned(object{"alg": "nOnE"}) + "AAAA", `alg is "nOnE"`},
		{"OA-JWT-01 empty", "alg", unsigned(object{"alg": ""}) + "AAAA", `alg is ""`},
		{"OA-JWT-01 missing", "alg", unsigned(object{}) + "AAAA", `alg is ""`},
		{"OA-JWT-01 no text", "alg", unsigned(object{"alg": 1}) + "AAAA", `alg is ""`},
		{"OA-JWT-01 HS256 with the PEM", "alg", hs(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), `alg is "HS256"`},
		{"OA-JWT-01 HS256 with the DER", "alg", hs(der), `alg is "HS256"`},
		{"OA-JWT-01 HS256 with n", "alg", hs([]byte(rsaKey.public()["n"].(string))), `alg is "HS256"`},
		{"another case", "alg", ec.assert("ES256", object{"alg": "es256"}, claims()), `alg is "es256"`},
		{"OA-JWT-06 access token", "typ", ec.assert("ES256", with(es, "typ", "at+jwt"), claims()), "no client assertion"},
		{"OA-JWT-06 logout token", "typ", ec.assert("ES256", with(es, "typ", "logout+jwt"), claims()), "no client assertion"},
		{"OA-JWT-06 DPoP proof", "typ", ec.assert("ES256", with(es, "typ", "dpop+jwt"), claims()), "no client assertion"},
		{"OA-JWT-06 request object", "typ", ec.assert("ES256", with(es, "typ", "application/oauth-authz-req+jwt"), claims()), "no client assertion"},
		{"typ no text", "typ", ec.assert("ES256", with(es, "typ", []string{"JWT"}), claims()), "no client assertion"},
		{"typ empty", "typ", ec.assert("ES256", with(es, "typ", ""), claims()), "no client assertion"},
		{"OA-JWT-03 crit", "crit", ec.assert("ES256", with(es, "crit", []string{"x"}, "x", 1), claims()), "no extension is understood"},
		{"OA-JWT-03 b64", "crit", ec.assert("ES256", with(es, "b64", false), claims()), "no extension is understood"},
		{"OA-JWT-02 jwk", "jwk", key("other p256").assert("ES256", object{"alg": "ES256", "jwk": key("other p256").public()}, claims()), "only registered keys count"},
		{"OA-JWT-02 jku", "jwk", ec.assert("ES256", with(es, "jku", "https://evil.example/keys"), claims()), "only registered keys count"},
		{"OA-JWT-02 x5u", "jwk", ec.assert("ES256", with(es, "x5u", "https://evil.example/keys"), claims()), "only registered keys count"},
		{"OA-JWT-02 x5c", "jwk", ec.assert("ES256", with(es, "x5c", []string{"AAAA"}), claims()), "only registered keys count"},
		{"kid no text", "kid", ec.assert("ES256", with(es, "kid", 1), claims()), "kid must be"},
		{"kid empty", "kid", ec.assert("ES256", with(es, "kid", ""), claims()), "kid must be"},
		{"kid long", "kid", ec.assert("ES256", with(es, "kid", strings.Repeat("k", 257)), claims()), "kid must be"},
		{"aud of another", "aud", ec.assert("ES256", es, claims("aud", "https://other.example")), "aud is"},
		{"no aud", "aud", ec.assert("ES256", es, without(claims(), "aud")), "aud is null"},
		{"aud and another", "aud", ec.assert("ES256", es, claims("aud", []string{h.url, "https://other.example"})), "aud is"},
		{"aud empty", "aud", ec.assert("ES256", es, claims("aud", []string{})), "aud is"},
		{"aud with a slash", "aud", ec.assert("ES256", es, claims("aud", h.url+"/")), "aud is"},
		{"aud another address of ours", "aud", ec.assert("ES256", es, claims("aud", h.url+"/oauth2/introspect")), "aud is"},
		{"aud the client", "aud", ec.assert("ES256", es, claims("aud", "rp")), "aud is"},
		{"par-test-token-endpoint-url-as-audience-fails", "aud", ec.assert("ES256", with(es, "typ", "client-authentication+jwt"), claims("aud", h.url+"/oauth2/token")), "aud is"},
		{"par-test-array-as-audience-fails", "aud", ec.assert("ES256", with(es, "typ", "client-authentication+jwt"), claims("aud", []string{h.url})), "aud is"},
		{"OA-CA-06 no exp", "exp", ec.assert("ES256", es, without(claims(), "exp")), "it has no exp"},
		{"OA-CA-06 +10 y", "exp", ec.assert("ES256", es, claims("exp", now+10*365*24*3600)), "more than 1h0m0s ahead"},
		{"exp in milliseconds", "exp", ec.assert("ES256", es, claims("exp", (now+60)*1000)), "exp"},
		{"exp a text", "exp", ec.assert("ES256", es, claims("exp", fmt.Sprint(now+60))), "exp is no time"},
		{"exp before 1970", "exp", ec.assert("ES256", es, claims("exp", -1)), "exp is no time"},
		{"exp beyond all numbers", "exp", ec.assert("ES256", es, `{"iss":"rp","sub":"rp","jti":"x","aud":"`+h.url+`","exp":1e300}`), "exp is no time"},
		{"expired", "exp", ec.assert("ES256", es, claims("exp", now-60)), "it expired"},
		{"OA-CA-06 iat +60 s", "iat", ec.assert("ES256", es, claims("iat", now+61)), "ahead of this server's clock"},
		{"iat a text", "iat", ec.assert("ES256", es, claims("iat", "now")), "iat is no time"},
		{"OA-CA-06 nbf +60 s", "nbf", ec.assert("ES256", es, claims("nbf", now+61)), "ahead of this server's clock"},
		{"nbf null", "nbf", ec.assert("ES256", es, claims("nbf", nil)), "nbf is no time"},
		{"OA-CA-06 no jti", "jti", ec.assert("ES256", es, without(claims(), "jti")), "jti must be"},
		{"jti empty", "jti", ec.assert("ES256", es, claims("jti", "")), "jti must be"},
		{"jti a number", "jti", ec.assert("ES256", es, claims("jti", 7)), "jti must be"},
		{"jti long", "jti", ec.assert("ES256", es, claims("jti", strings.Repeat("j", 257))), "jti must be"},
		{"OA-CA-01 a client with a secret", "client", ec.assert("ES256", es, claims("iss", "any", "sub", "any")), "registered for a secret and used private_key_jwt"},
		{"OA-CA-01 a client of another method", "client", ec.assert("ES256", es, claims("iss", "basic", "sub", "basic")), "registered for client_secret_basic and used"},
		{"OA-CA-01 a client of none", "client", ec.assert("ES256", es, claims("iss", "none", "sub", "none")), "registered for none and used"},

		// Behind the ladder: the key, and the jti.
		{"another's key", "", key("other p256").assert("ES256", es, claims()), "the signature is wrong"},
		{"another's key without a name", "", key("other rsa").assert("RS256", object{"alg": "RS256"}, claims()), "the signature is wrong"},
		{"changed after it was signed", "", parts[0] + "." + b64(text(claims())) + "." + parts[2], "the signature is wrong"},
		{"OA-JWT-02 kid unknown", "", ec.assert("ES256", with(es, "kid", "../../etc/passwd"), claims()), "no key with the kid"},
		{"OA-JWT-02 kid of SQL", "", ec.assert("ES256", with(es, "kid", "' OR 1=1 --"), claims()), "no key with the kid"},
		{"OA-JWT-02 kid with NUL", "", ec.assert("ES256", with(es, "kid", "p256\x00"), claims()), "no key with the kid"},
		{"the kid of a key of another kind", "", ec.assert("ES256", with(es, "kid", "rsa"), claims()), "no key for the alg"},
		{"a curve of another size", "", ec.assert("ES256", object{"alg": "ES384", "kid": "p256"}, claims()), "no key for the alg"},
		{"no key for the alg", "", key("ed25519").assert("EdDSA", object{"alg": "EdDSA"}, claims()), "no key for the alg EdDSA"},
		{"a key that is for another alg", "", rsaKey.assert("RS256", object{"alg": "RS256"}, with(h.claims("pss"))), "no key for the alg RS256"},
		{"OA-JWT-10 r=s=0", "", parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)), "the signature is wrong"},
		{"OA-JWT-10 DER", "", parts[0] + "." + parts[1] + "." + b64(asn1), "the signature is wrong"},
		{"another padding", "", rsaKey.assert("RS256", object{"alg": "PS256", "kid": "rsa"}, claims()), "the signature is wrong"},
		{"too many to try", "", ec.assert("ES256", object{"alg": "ES256"}, h.claims("many")), "none of the first 10 keys"},
	} {
		a := h.asserted(c.assertion)
		if h.fails(a, 401, invalidClient); t.Failed() {
			t.Fatalf("%s: %s", c.id, c.assertion)
		}
		ev := h.event(a)
		if ev.Code != "InvalidClientCredentials" || !strings.Contains(ev.Reason, c.reason) || len(ev.Reason) > 400 {
			t.Errorf("%s: event %s: %s", c.id, ev.Code, ev.Reason)
		}
		if strings.Contains(a.Text, c.reason) || strings.Contains(ev.Reason, parts[2]) {
			t.Errorf("%s: too much is told: %s, %s", c.id, a.Text, ev.Reason)
		}
		if c.rung != "" {
			covered[c.rung] = true
		}
	}
	// client_id: beside an assertion it is not needed, but may be no other's.
	a := h.asserted(ec.assert("ES256", es, claims()), "client_id", "any")
	if h.fails(a, 401, invalidClient); !strings.Contains(h.event(a).Reason, `client_id "any"`) {
		t.Errorf("client_id of another: %s", h.event(a).Reason)
	}
	covered["client_id"] = true
	for _, name := range oidc.AssertionRungs() {
		if !covered[name] {
			t.Errorf("no case is refused by the rung %s", name)
		}
	}
	// And none of all that has used up what is right.
	h.ok(h.asserted(good))
	h.ok(h.asserted(rsaKey.assert("RS256", object{"alg": "RS256", "kid": "a name of the client's own"}, h.claims("nameless"))))
	h.ok(h.asserted(rsaKey.assert("PS256", object{"alg": "PS256"}, h.claims("pss"))))
}

// OA-CA-01, -02: one method, and the parameters of RFC 7521 §4.2 as they are written there.
func TestAssertionMethod(t *testing.T) {
	h := on(t)
	h.signing("rp", jwks(key("p256").public()), nil)
	h.signing("loose", jwks(key("p256").public()), func(c *oidc.Client) { c.SecretForCode, c.SecretForRefresh = false, false })
	h.client("any", nil)
	said := func(client string) string {
		return key("p256").assert("ES256", object{"alg": "ES256"}, h.claims(client))
	}
	send := func(header string, pairs ...string) *answer {
		return h.do("POST", "/oauth2/token", header, values(append(pairs, "grant_type", "client_credentials", "scope", "orders")...))
	}
	for name, c := range map[string]struct {
		a      *answer
		status int
		code   string
	}{
		"OA-CA-02 Basic and assertion":         {send(basic("rp", secretOf("rp")), "client_assertion", said("rp"), "client_assertion_type", jwtBearer), 400, "invalid_request"},
		"OA-CA-02 secret and assertion":        {send("", "client_id", "rp", "client_secret", "x", "client_assertion", said("rp"), "client_assertion_type", jwtBearer), 400, "invalid_request"},
		"two assertions":                       {send("", "client_assertion", said("rp"), "client_assertion", said("rp"), "client_assertion_type", jwtBearer), 400, "invalid_request"},
		"no type":                              {send("", "client_assertion", said("rp")), 401, invalidClient},
		"another type":                         {send("", "client_assertion", said("rp"), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), 401, invalidClient},
		"the type in another case":             {send("", "client_assertion", said("rp"), "client_assertion_type", strings.ToUpper(jwtBearer)), 401, invalidClient},
		"the grant type of the same name":      {send("", "client_assertion", said("rp"), "client_assertion_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), 401, invalidClient},
		"a type alone":                         {send("", "client_id", "rp", "client_assertion_type", jwtBearer), 401, invalidClient},
		"OA-CA-01 client_id only":              {send("", "client_id", "rp"), 401, invalidClient},
		"OA-CA-01 a secret, for a client with": {send(basic("rp", secretOf("rp"))), 401, invalidClient},
		"OA-CA-01 an empty secret":             {send(basic("rp", "")), 401, invalidClient},
		"OA-CA-08 as a grant":                  {h.do("POST", "/oauth2/token", basic("any", secretOf("any")), values("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", said("rp"))), 400, "unsupported_grant_type"},
		"as a bearer token":                    {h.do("GET", "/oauth2/userinfo", "Bearer "+said("rp"), nil), 401, "invalid_token"},
	} {
		if h.fails(c.a, c.status, c.code); t.Failed() {
			t.Fatal(name)
		}
	}
	// Sent without a value is not sent (RFC 6749 §3.1).
	h.ok(send(basic("any", secretOf("any")), "client_assertion", "", "client_assertion_type", ""))
	h.ok(send("", "client_assertion", said("rp"), "client_assertion_type", jwtBearer, "client_secret", "", "client_id", ""))
	// requireSecret: an assertion counts as the secret. Where none is needed one may come, and is judged.
	b := h.browser("ana")
	redeem := func(client string, pairs ...string) *answer {
		code := b.code(client, "code_challenge", challenge(verifier), "code_challenge_method", "S256")
		return h.do("POST", "/oauth2/token", "", values(append(pairs, "grant_type", "authorization_code", "code", code, "redirect_uri", redirectURI, "code_verifier", verifier)...))
	}
	h.fails(redeem("rp", "client_id", "rp"), 401, invalidClient)
	h.ok(redeem("loose", "client_id", "loose"))
	h.ok(redeem("loose", "client_assertion", said("loose"), "client_assertion_type", jwtBearer))
	h.fails(redeem("loose", "client_assertion", said("loose")+"x", "client_assertion_type", jwtBearer), 401, invalidClient)
}

// OA-CA-06: the clock. Ten seconds ahead are a clock that is not quite right, a minute is another thing.
func TestAssertionTimes(t *testing.T) {
	h := on(t)
	h.signing("rp", jwks(key("p256").public()), nil)
	at := func(name string, d time.Duration) *answer {
		v := h.clock.Now().Add(d)
		return h.asserted(key("p256").assert("ES256", object{"alg": "ES256"}, with(h.claims("rp"), name, float64(v.UnixMilli())/1000)))
	}
	for _, c := range []struct {
		claim string
		d     time.Duration
		good  bool
	}{
		{"iat", 5 * time.Second, true}, {"iat", 10 * time.Second, true}, {"iat", 60 * time.Second, false}, {"iat", -24 * time.Hour, true},
		{"nbf", 5 * time.Second, true}, {"nbf", 10 * time.Second, true}, {"nbf", 60 * time.Second, false}, {"nbf", -24 * time.Hour, true},
		{"exp", time.Hour, true}, {"exp", time.Hour + time.Minute, false}, {"exp", -10 * time.Second, true}, {"exp", -31 * time.Second, false},
	} {
		if a := at(c.claim, c.d); (a.Status == 200) != c.good {
			t.Errorf("%s %s: %d %s", c.claim, c.d, a.Status, a.Text)
		}
	}
	h.ok(h.asserted(key("p256").assert("ES256", object{"alg": "ES256"}, without(h.claims("rp"), "iat"))))
}

// OA-CA-06, R-10: an assertion is used once: on this node, on another, at once on both, and when a clock steps back.
func TestAssertionOnce(t *testing.T) {
	twice(t, func(t *testing.T, h *house, second string) {
		h.signing("rp", jwks(key("p256").public()), nil)
		h.signing("other", jwks(key("p256").public()), nil)
		said := func(pairs ...any) string {
			return key("p256").assert("ES256", object{"alg": "ES256"}, with(h.claims("rp"), pairs...))
		}
		at := func(node, assertion string) *answer {
			return h.assertedTo(node+"/oauth2/token", assertion, "grant_type", "client_credentials", "scope", "orders")
		}
		once := said()
		h.ok(at(h.url, once))
		for _, node := range []string{h.url, second} {
			a := at(node, once)
			if h.fails(a, 401, invalidClient); !strings.Contains(h.event(a).Reason, "jti was used before") {
				t.Errorf("%s: %s", node, h.event(a).Reason)
			}
		}
		// Elsewhere than where it was used, and as often as there are addresses.
		h.fails(h.assertedTo("/oauth2/introspect", once, "token", "x"), 401, invalidClient)
		h.fails(h.assertedTo("/oauth2/revoke", once, "token", "x"), 401, invalidClient)
		// Signed anew with the same jti it is the same.
		same := said("jti", "the same")
		h.ok(at(h.url, same))
		h.fails(at(second, said("jti", "the same")), 401, invalidClient)
		h.ok(at(h.url, said("jti", "The same")))
		// jti is a client's own.
		h.ok(at(h.url, key("p256").assert("ES256", object{"alg": "ES256"}, with(h.claims("other"), "jti", "the same"))))
		h.ok(at(h.url, said("jti", "\u0000")))
		h.fails(at(h.url, said("jti", "\u0000")), 401, invalidClient)
		// A wrong signature uses up nothing.
		late := said()
		h.fails(at(h.url, late+"x"), 401, invalidClient)
		h.ok(at(second, late))

		const racers = 16
		for range 5 {
			raced := said()
			var wins sync.Map
			var wait sync.WaitGroup
			for i := range racers {
				wait.Go(func() {
					if a := at([]string{h.url, second}[i%2], raced); a.Status == 200 {
						wins.Store(i, true)
					} else if a.Status != 401 {
						t.Errorf("a racer got %d %s", a.Status, a.Text)
					}
				})
			}
			wait.Wait()
			n := 0
			wins.Range(func(any, any) bool { n++; return true })
			if n != 1 {
				t.Errorf("R-10: %d of %d uses at once were good", n, racers)
			}
		}

		// What is swept is what no clock within a quarter of an hour would still take.
		used := said("exp", h.clock.Now().Add(10*time.Minute).Unix())
		h.ok(at(h.url, used))
		sweep := func() int64 {
			n, err := h.st.Sweep(t.Context(), []store.Dead{{Table: "spent", Key: "org, kind, app, value", Where: "expires < $1"}})
			h.must(err)
			return n
		}
		h.clock.forward(20 * time.Minute)
		if n := sweep(); n < 5 {
			t.Errorf("only %d rows are swept", n)
		}
		h.clock.forward(-20 * time.Minute)
		h.fails(at(second, used), 401, invalidClient)
		h.clock.forward(time.Hour)
		if n := sweep(); n != 1 {
			t.Errorf("%d rows are swept in the end", n)
		}
	})
}

// twice runs f with two nodes on one database, of either kind.
func twice(t *testing.T, f func(t *testing.T, h *house, second string)) {
	t.Helper()
	for _, kind := range []string{storetest.SQLite, storetest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c, dsn := &clock{}, storetest.DSN(t, kind)
			h := build(t, storetest.Open(t, dsn, c.with), c)
			f(t, h, h.serve(storetest.Open(t, dsn, c.with)))
		})
	}
}

// FuzzAssertion: what is read is whole, and nobody makes a signature but who has the key.
func FuzzAssertion(f *testing.F) {
	k := key("p256")
	claims := object{"iss": "rp", "sub": "rp", "aud": "x", "jti": "1", "exp": 1}
	good := k.assert("ES256", object{"alg": "ES256", "kid": "p256"}, claims)
	signed, _, _ := strings.Cut(good, good[strings.LastIndex(good, "."):])
	set := jwks(k.public())
	f.Add(good)
	f.Add(k.assert("ES256", `{"alg":"none","alg":"ES256"}`, claims))
	f.Add(strings.Replace(good, ".", "=.", 1))
	f.Add(b64([]byte(`{"alg":"none"}`)) + "." + b64(text(claims)) + ".AAAA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, raw string) {
		id, isSigned, err := oidc.ReadAssertion(raw, set)
		if err != nil {
			return
		}
		parts := strings.Split(raw, ".")
		var c map[string]any
		if len(parts) != 3 || json.Unmarshal(decode(t, parts[1]), &c) != nil || c["iss"] != id || c["sub"] != id || id == "" {
			t.Errorf("%q is taken for %q's", raw, id)
		}
		for _, p := range parts {
			if b64(decode(t, p)) != p {
				t.Errorf("%q is loose base64", p)
			}
		}
		if isSigned && parts[0]+"."+parts[1] != signed {
			t.Errorf("forged: %q", raw)
		}
	})
}
