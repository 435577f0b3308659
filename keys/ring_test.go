package keys_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/keys"
)

func ring(t testing.TB, records []keys.Record) *keys.Ring {
	t.Helper()
	r, err := keys.NewRing(sealer(t), records)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// inStates returns copies of the shared token keys, put into these states.
func inStates(states ...keys.State) []keys.Record {
	all := slices.Clone(oidcKeys()[:len(states)])
	for i := range all {
		all[i].State = states[i]
	}
	return all
}

func TestRing(t *testing.T) {
	records := inStates(keys.Retiring, keys.Next, keys.Active)
	r := ring(t, records)
	active, err := r.Active()
	if err != nil || active.ID != records[2].ID {
		t.Fatalf("Active = %v, %v", active, err)
	}
	var order []string
	for _, k := range r.Published() {
		order = append(order, k.ID)
		if r.Find(k.ID) != k || k.Use != keys.OIDC || k.Certificate != nil || k.PEM() != nil {
			t.Errorf("key %s: %+v", k.ID, k)
		}
		signer, err := k.Signer()
		if k.State == keys.Active {
			if err != nil || !k.Public.(*rsa.PublicKey).Equal(signer.Public()) {
				t.Errorf("the active key's signer: %v", err)
			}
		} else if err != keys.ErrNotActive || signer != nil {
			t.Errorf("a %s key gives a signer: %v", k.State, err)
		}
	}
	if diff := cmp.Diff([]string{records[2].ID, records[1].ID, records[0].ID}, order); diff != "" {
		t.Errorf("published is not active, next, retiring:\n%s", diff)
	}
	clear(r.Published())
	if r.Published()[0] != active {
		t.Error("a caller can change the ring")
	}
}

func TestRingDoesNotShareRecords(t *testing.T) {
	records := inStates(keys.Active)
	r := ring(t, records)
	records[0] = keys.Record{}
	k, err := r.Active()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Signer(); err != nil {
		t.Errorf("the ring depends on its caller's slice: %v", err)
	}
}

func TestEmptyRing(t *testing.T) {
	r := ring(t, nil)
	if _, err := r.Active(); err != keys.ErrNoActive {
		t.Errorf("Active: %v", err)
	}
	if got := string(r.JWKS()); got != `{"keys":[]}` || len(r.Published()) != 0 {
		t.Errorf("JWKS %s, %d published", got, len(r.Published()))
	}
}

// OA-JWT-02: a kid is looked up among this ring's keys and nowhere else.
func TestFindUnknownKid(t *testing.T) {
	r := ring(t, inStates(keys.Active))
	id := oidcKeys()[0].ID
	for name, kid := range map[string]string{
		"empty":                 "",
		"another ring's":        samlKeys()[0].ID,
		"a gone key's":          oidcKeys()[1].ID,
		"traversal":             "../../" + id,
		"SQL":                   id + "' OR '1'='1",
		"NUL":                   id + "\x00",
		"other case":            strings.ToUpper(id),
		"a prefix":              id[:8],
		"/dev/null":             "/dev/null",
		"a megabyte of letters": strings.Repeat("a", 1<<20),
	} {
		if k := r.Find(kid); k != nil {
			t.Errorf("%s: found %s", name, k.ID)
		}
	}
	if r.Find(id) == nil {
		t.Error("the active key is not found")
	}
}

// LIBRARIES "traps" 9: no private member may ever be published.
func TestJWKS(t *testing.T) {
	records := inStates(keys.Active, keys.Next, keys.Retiring)
	r := ring(t, records)
	if k, err := r.Active(); err != nil {
		t.Fatal(err)
	} else if _, err := k.Signer(); err != nil { // unsealed, the private key is near
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(r.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 3 {
		t.Fatalf("%d keys published", len(set.Keys))
	}
	for i, k := range set.Keys {
		var members []string
		for name := range k {
			members = append(members, name)
		}
		slices.Sort(members)
		if diff := cmp.Diff([]string{"alg", "e", "kid", "kty", "n", "use"}, members); diff != "" {
			t.Errorf("key %d has other members:\n%s", i, diff)
		}
		if k["kid"] != r.Published()[i].ID || k["kty"] != "RSA" || k["use"] != "sig" || k["alg"] != "RS256" || k["e"] != "AQAB" {
			t.Errorf("key %d: %v", i, k)
		}
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if bytes.Contains(r.JWKS(), []byte(`"`+private+`"`)) {
			t.Errorf("SEC-01: the set has a member %q", private)
		}
	}
	// A reader nobody here wrote finds the same keys in it.
	var theirs jose.JSONWebKeySet
	if err := json.Unmarshal(r.JWKS(), &theirs); err != nil {
		t.Fatal(err)
	}
	for _, k := range r.Published() {
		found := theirs.Key(k.ID)
		if len(found) != 1 || !found[0].Valid() || !found[0].IsPublic() || !k.Public.(*rsa.PublicKey).Equal(found[0].Key.(*rsa.PublicKey)) {
			t.Errorf("go-jose reads %v for %s", found, k.ID)
		}
	}
}

// SEC-10: a SAML key is never offered for tokens, whatever is wired to what.
func TestSAMLKeysAreInNoJWKS(t *testing.T) {
	if got := string(ring(t, samlKeys()).JWKS()); got != `{"keys":[]}` {
		t.Errorf("JWKS of SAML keys: %s", got)
	}
}

func TestNewRingRefuses(t *testing.T) {
	alter := func(base keys.Record, f func(*keys.Record)) keys.Record {
		f(&base)
		return base
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkix := func(public any) func(*keys.Record) {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		return func(r *keys.Record) { r.Public = der }
	}
	o, s := oidcKeys(), samlKeys()
	for name, test := range map[string]struct {
		records []keys.Record
		says    string
	}{
		"two active":           {inStates(keys.Active, keys.Active), "two active"},
		"two uses":             {[]keys.Record{o[0], s[1]}, "different orgs or uses"},
		"two orgs":             {[]keys.Record{o[0], alter(o[1], func(r *keys.Record) { r.Org = "acme" })}, "different orgs"},
		"one ID twice":         {[]keys.Record{o[1], o[1]}, "doubled"},
		"no ID":                {[]keys.Record{alter(o[1], func(r *keys.Record) { r.ID = "" })}, "missing"},
		"unknown state":        {inStates("gone"), "unknown state"},
		"unknown use":          {[]keys.Record{alter(o[0], func(r *keys.Record) { r.Use = "tls" })}, "unknown use"},
		"no public key":        {[]keys.Record{alter(o[0], func(r *keys.Record) { r.Public = nil })}, "public key"},
		"RSA-1024":             {[]keys.Record{alter(o[0], pkix(&small.PublicKey))}, "2048"},
		"a curve":              {[]keys.Record{alter(o[0], pkix(&curve.PublicKey))}, "not RSA"},
		"SAML, no certificate": {[]keys.Record{alter(s[0], func(r *keys.Record) { r.Certificate = nil })}, "certificate"},
		"another's certificate": {[]keys.Record{alter(s[0], func(r *keys.Record) { r.Certificate = s[1].Certificate })},
			"certificate is of another key"},
	} {
		if _, err := keys.NewRing(sealer(t), test.records); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v; want an error that says %q", name, err, test.says)
		}
	}
}

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

func TestCertificateForPeople(t *testing.T) {
	k := ring(t, samlKeys()).Published()[0]
	block, rest := pem.Decode(k.PEM())
	if block == nil || block.Type != "CERTIFICATE" || !bytes.Equal(block.Bytes, k.Certificate) || len(rest) != 0 {
		t.Errorf("PEM: %s", k.PEM())
	}
	s256, s1 := k.Fingerprints()
	if want := fmt.Sprintf("%X", sha256.Sum256(k.Certificate)); strings.ReplaceAll(s256, ":", "") != want || len(s256) != 95 {
		t.Errorf("SHA-256 fingerprint %s, want %s", s256, want)
	}
	if want := fmt.Sprintf("%X", sha1.Sum(k.Certificate)); strings.ReplaceAll(s1, ":", "") != want || len(s1) != 59 || s1[2] != ':' {
		t.Errorf("SHA-1 fingerprint %s, want %s", s1, want)
	}
	if a, b := ring(t, oidcKeys()).Published()[0].Fingerprints(); a+b != "" {
		t.Errorf("a token key has the fingerprints %s %s", a, b)
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
	signed, err := jose.ParseSigned(compact, []jose.SignatureAlgorithm{jose.RS256})
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
