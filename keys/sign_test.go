package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"github.com/lanyard-sso/lanyard/keys"
)

func TestSignerRefuses(t *testing.T) {
	wrong, err := keys.NewSealer(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	o := oidcKeys()
	reseal := func(plain []byte) keys.Record {
		r := o[0]
		r.Sealed = sealer(t).For("signing keys").Seal("key/default/oidc/"+r.ID, plain)
		return r
	}
	open := func(r keys.Record) []byte {
		der, err := sealer(t).For("signing keys").Open("key/default/oidc/"+r.ID, r.Sealed)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	swapped, moved := o[0], o[0]
	swapped.Sealed = o[1].Sealed
	moved.Org = "acme"
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curveDER, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		sealer *keys.Sealer
		record keys.Record
		says   string
	}{
		"SEC-02: another master key":    {wrong, o[0], keys.ErrSealed.Error()},
		"another row's sealed key":      {sealer(t), swapped, keys.ErrSealed.Error()},
		"another org's key":             {sealer(t), moved, keys.ErrSealed.Error()},
		"no PKCS #8":                    {sealer(t), reseal([]byte("Canary")), "no PKCS #8"},
		"a key that is not RSA":         {sealer(t), reseal(curveDER), "no RSA"},
		"a key that is not published":   {sealer(t), reseal(open(o[1])), "differ"},
		"nothing sealed":                {sealer(t), reseal(nil), "no PKCS #8"},
		"the column is empty (NULL, 0)": {sealer(t), func() keys.Record { r := o[0]; r.Sealed = nil; return r }(), keys.ErrSealed.Error()},
	} {
		r, err := keys.NewRing(test.sealer, []keys.Record{test.record})
		if err != nil {
			t.Fatalf("%s: publishing needs no unsealing, yet: %v", name, err)
		}
		k, err := r.Active()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the answer stays
			signer, err := k.Signer()
			if err == nil || signer != nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "Canary") {
				t.Errorf("%s: %v, %v; want an error that says %q", name, signer, err, test.says)
			}
		}
	}
}

func TestSign(t *testing.T) {
	k, err := ring(t, samlKeys()).Active()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := k.Signer()
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("<a></a>")
	digest := sha256.Sum256(message)
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(k.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CheckSignature(x509.SHA256WithRSA, message, signature); err != nil {
		t.Errorf("the certificate does not verify what its key signed: %v", err)
	}
	if _, err := signer.Sign(rand.Reader, digest[:], &rsa.PSSOptions{Hash: crypto.SHA256}); err != nil {
		t.Errorf("PS256: %v", err)
	}

	old := sha1.Sum(message)
	for name, opts := range map[string]crypto.SignerOpts{"SHA-1": crypto.SHA1, "MD5": crypto.MD5, "raw": crypto.Hash(0), "nil": nil} {
		if out, err := signer.Sign(rand.Reader, old[:], opts); err == nil || out != nil {
			t.Errorf("signed over %s", name)
		}
	}
	if _, ok := signer.(*rsa.PrivateKey); ok {
		t.Error("the signer is the private key")
	}
	if _, ok := signer.(crypto.Decrypter); ok {
		t.Error("a signing key decrypts")
	}
}

// LOG-02: neither a ring, a key nor a signer prints or marshals private parts.
func TestNothingPrintsAKey(t *testing.T) {
	record := oidcKeys()[0]
	der, err := sealer(t).For("signing keys").Open("key/default/oidc/"+record.ID, record.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	d := parsed.(*rsa.PrivateKey).D
	r := ring(t, []keys.Record{record})
	k, err := r.Active()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := k.Signer()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{r, k, *k, signer} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out := strings.ToLower(fmt.Sprintf("%v %+v %#v %s ", v, v, v, text))
		for _, secret := range []string{d.String()[:20], d.Text(16)[:16], fmt.Sprintf("%x", d.Bits()[0]), fmt.Sprintf("%d", d.Bits()[0])} {
			if strings.Contains(out, secret) {
				t.Errorf("%T prints the private key", v)
			}
		}
	}
}

// Sixteen at once get the same signer of a ring nobody has used before, and it works.
func TestRingConcurrently(t *testing.T) {
	r := ring(t, inStates(keys.Active, keys.Next))
	k, err := r.Active()
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("x"))
	signers := make([]crypto.Signer, 16)
	var wg sync.WaitGroup
	for i := range signers {
		wg.Go(func() {
			signer, err := k.Signer()
			if err != nil {
				t.Error(err)
				return
			}
			signers[i] = signer
			signature, err := signer.Sign(nil, digest[:], crypto.SHA256)
			if err != nil {
				t.Error(err)
				return
			}
			public := r.Find(k.ID).Public.(*rsa.PublicKey)
			if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature); err != nil {
				t.Error(err)
			}
			_, _ = r.JWKS(), r.Published()
		})
	}
	wg.Wait()
	for _, s := range signers {
		if s != signers[0] {
			t.Error("the key was unsealed more than once")
		}
	}
}

// token signs as oidc does, with the key as an opaque signer.
func token(t testing.TB, r *keys.Ring, claims string) string {
	t.Helper()
	k, err := r.Active()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := k.Signer()
	if err != nil {
		t.Fatal(err)
	}
	js, err := jose.NewSigner(jose.SigningKey{
		Algorithm: jose.RS256,
		Key:       jose.JSONWebKey{Key: cryptosigner.Opaque(signer), KeyID: k.ID},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := js.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

// verify checks a token as a relying party that holds this JWKS does.
func verify(jwks []byte, compact string) error {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(jwks, &set); err != nil {
		return err
	}
	signed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return err
	}
	found := set.Key(signed.Signatures[0].Header.KeyID)
	if len(found) != 1 {
		return errors.New("no such kid")
	}
	_, err = signed.Verify(found[0])
	return err
}
