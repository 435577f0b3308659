package keys_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lanyard-sso/lanyard/keys"
)

var start = time.Date(2026, 11, 24, 10, 30, 0, 123456789, time.FixedZone("", 3600))

// Making a key takes long, so most tests share these.
var (
	oidcKeys = sync.OnceValue(func() []keys.Record { return made(keys.OIDC, keys.Active, keys.Next, keys.Next) })
	samlKeys = sync.OnceValue(func() []keys.Record { return made(keys.SAML, keys.Active, keys.Next) })
)

func made(use keys.Use, states ...keys.State) []keys.Record {
	s, err := keys.NewSealer(counting())
	if err != nil {
		panic(err)
	}
	var all []keys.Record
	for i, state := range states {
		r, err := s.Make("default", use, state, "sso.example.com", start.Add(time.Duration(i)*time.Minute))
		if err != nil {
			panic(err)
		}
		all = append(all, r)
	}
	return all
}

func TestMake(t *testing.T) {
	now := start.UTC().Truncate(time.Microsecond)
	for _, r := range []keys.Record{oidcKeys()[0], samlKeys()[0]} {
		if r.Org != "default" || r.State != keys.Active || !r.Created.Equal(now) || r.Created != r.Changed || r.Created.Location() != time.UTC {
			t.Errorf("%s: made %q %q created %v changed %v", r.Use, r.Org, r.State, r.Created, r.Changed)
		}
		sum := sha256.Sum256(r.Public)
		if r.ID != hex.EncodeToString(sum[:])[:32] {
			t.Errorf("%s: ID %q is not of the public key", r.Use, r.ID)
		}
		public, err := x509.ParsePKIXPublicKey(r.Public)
		if err != nil {
			t.Fatal(err)
		}
		if k := public.(*rsa.PublicKey); k.N.BitLen() != 2048 || k.E != 65537 {
			t.Errorf("%s: key of %d bits, e = %d", r.Use, k.N.BitLen(), k.E)
		}
	}
	if len(oidcKeys()[0].Certificate) != 0 {
		t.Error("a token key has a certificate")
	}
}

// The place a key is sealed for is part of every database there is.
func TestSealedForItsRow(t *testing.T) {
	for _, r := range []keys.Record{oidcKeys()[0], samlKeys()[0]} {
		der, err := sealer(t).For("signing keys").Open("key/default/"+string(r.Use)+"/"+r.ID, r.Sealed)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			t.Fatal(err)
		}
		k := private.(*rsa.PrivateKey)
		// SEC-01: nothing the store keeps holds a private part in clear.
		for _, kept := range [][]byte{r.Sealed, r.Public, r.Certificate} {
			for _, secret := range [][]byte{der[:40], k.D.Bytes(), k.Primes[0].Bytes(), k.Primes[1].Bytes()} {
				if bytes.Contains(kept, secret[:16]) {
					t.Errorf("SEC-01: a %s record shows a private part", r.Use)
				}
			}
		}
	}
}

func TestCertificate(t *testing.T) {
	serials := map[string]bool{}
	for _, r := range samlKeys() {
		c, err := x509.ParseCertificate(r.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
			t.Errorf("not signed by its own key: %v", err)
		}
		if c.SignatureAlgorithm != x509.SHA256WithRSA || c.Version != 3 {
			t.Errorf("version %d signed with %v", c.Version, c.SignatureAlgorithm)
		}
		if !bytes.Equal(c.RawSubjectPublicKeyInfo, r.Public) || !bytes.Equal(c.RawIssuer, c.RawSubject) {
			t.Error("not self-signed over the record's public key")
		}
		if c.Subject.String() != "CN=sso.example.com" || c.IsCA || c.KeyUsage != x509.KeyUsageDigitalSignature {
			t.Errorf("subject %s, CA %t, usage %b", c.Subject, c.IsCA, c.KeyUsage)
		}
		created := r.Created.Truncate(time.Second)
		if !c.NotBefore.Equal(created.AddDate(0, 0, -1)) || !c.NotAfter.Equal(created.AddDate(10, 0, 0)) {
			t.Errorf("valid %v to %v, made %v", c.NotBefore, c.NotAfter, created)
		}
		// RFC 5280 §4.1.2.2: positive, at most 20 octets; CAs are held to 64 random bits.
		if n := c.SerialNumber.BitLen(); c.SerialNumber.Sign() != 1 || n < 65 || n > 159 {
			t.Errorf("serial of %d bits, sign %d", n, c.SerialNumber.Sign())
		}
		serials[c.SerialNumber.String()] = true
	}
	if len(serials) != len(samlKeys()) {
		t.Error("two certificates share a serial")
	}
}

func TestCertificateCommonNameIsCut(t *testing.T) {
	r, err := sealer(t).Make("default", keys.SAML, keys.Next, strings.Repeat("é", 200), start)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(r.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if n := utf8.RuneCountInString(c.Subject.CommonName); n != 64 {
		t.Errorf("a common name of %d characters", n)
	}
}

func TestMakeRefuses(t *testing.T) {
	for _, test := range []struct {
		name, org, common string
		use               keys.Use
		state             keys.State
	}{
		{"unknown use", "default", "x", "tls", keys.Active},
		{"no use", "default", "x", "", keys.Active},
		{"no state", "default", "x", keys.OIDC, ""},
		{"retiring at once", "default", "x", keys.OIDC, keys.Retiring},
		{"no org", "", "x", keys.OIDC, keys.Active},
		{"SAML without a name", "default", "", keys.SAML, keys.Active},
		{"a name that is not UTF-8", "default", "a\xffb", keys.SAML, keys.Active},
	} {
		if r, err := sealer(t).Make(test.org, test.use, test.state, test.common, start); err == nil || r.ID != "" {
			t.Errorf("%s: made %q, %v", test.name, r.ID, err)
		}
	}
}
