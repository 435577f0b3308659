package keys_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
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
