package keys

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rsa"
	"crypto/sha1" // only as the fingerprint that some consoles still ask to compare
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"sync"
)

var (
	// ErrNoActive is returned where something must be signed and no key is active.
	ErrNoActive = errors.New("keys: no key is active")
	// ErrNotActive is returned by Signer of a key that does not sign (yet, or any more).
	ErrNotActive = errors.New("keys: only the active key signs")
)

// Key is a published key of a Ring. It is immutable and safe for concurrent use; its
// private half is not reachable from it.
type Key struct {
	ID          string // the kid
	Use         Use
	State       State
	Public      crypto.PublicKey // an *rsa.PublicKey
	Certificate []byte           // DER; SAML only

	signer func() (crypto.Signer, error) // unseals once; nil unless active
}

// Signer returns what signs with k: PKCS #1 v1.5 or PSS over SHA-256, SHA-384 or SHA-512,
// any other digest is refused. It is made once and safe for concurrent use. The error is
// ErrNotActive, ErrSealed, or says that the unsealed key is not the published one.
func (k *Key) Signer() (crypto.Signer, error) {
	if k.signer == nil {
		return nil, ErrNotActive
	}
	return k.signer()
}

// PEM returns the certificate as a PEM block, or nil where the key has none.
func (k *Key) PEM() []byte {
	if len(k.Certificate) == 0 {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.Certificate})
}

// Fingerprints returns the certificate's SHA-256 and SHA-1 as openssl prints them
// ("AB:CD:…"), or nothing where the key has none.
func (k *Key) Fingerprints() (s256, s1 string) {
	if len(k.Certificate) == 0 {
		return "", ""
	}
	a, b := sha256.Sum256(k.Certificate), sha1.Sum(k.Certificate)
	return colons(a[:]), colons(b[:])
}

func colons(sum []byte) string {
	var out []byte
	for i, b := range sum {
		if i > 0 {
			out = append(out, ':')
		}
		out = fmt.Appendf(out, "%02X", b)
	}
	return string(out)
}

// Ring is the keys of one org and use, parsed once. It is immutable and safe for
// concurrent use.
type Ring struct {
	active *Key
	keys   []*Key
	byID   map[string]*Key
	jwks   []byte
}

// NewRing parses the records of one org and use; there may be none. No private key is
// unsealed before the first Signer, so a ring that only publishes costs little. Records of
// different orgs or uses, two active ones, two with one ID, a key that is not RSA of 2048
// bits or more, or a SAML key whose certificate is not its own are an error.
func NewRing(s *Sealer, records []Record) (*Ring, error) {
	set, err := arrange(records)
	if err != nil {
		return nil, err
	}
	ring := &Ring{byID: make(map[string]*Key, len(records))}
	for _, r := range set.published() {
		k, err := parse(r)
		if err != nil {
			return nil, fmt.Errorf("keys: key %q of org %q: %w", r.ID, r.Org, err)
		}
		if r.State == Active {
			k.signer = sync.OnceValues(func() (crypto.Signer, error) { return unseal(s, r) })
			ring.active = k
		}
		ring.keys = append(ring.keys, k)
		ring.byID[k.ID] = k
	}
	ring.jwks, err = marshalJWKS(ring.keys)
	return ring, err
}

// Active returns the key to sign with, or ErrNoActive.
func (r *Ring) Active() (*Key, error) {
	if r.active == nil {
		return nil, ErrNoActive
	}
	return r.active, nil
}

// Published returns what belongs into metadata and JWKS: the active key first, because
// some readers take only the first, then the next, then the retiring, youngest first.
func (r *Ring) Published() []*Key { return slices.Clone(r.keys) }

// Find returns the published key with this kid, compared by bytes, or nil.
func (r *Ring) Find(kid string) *Key { return r.byID[kid] }

// JWKS returns the published keys as a JWK Set (RFC 7517 §5): public members only, each
// with kid, use "sig" and alg "RS256". It was marshalled once; callers must not change it.
// SAML keys are never in one: their ring's set is empty.
func (r *Ring) JWKS() []byte { return r.jwks }

func parse(r *Record) (*Key, error) {
	public, err := x509.ParsePKIXPublicKey(r.Public)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	key, ok := public.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < keyBits {
		return nil, fmt.Errorf("public key is not RSA of %d bits or more", keyBits)
	}
	if r.Use == SAML {
		certificate, err := x509.ParseCertificate(r.Certificate)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		if !bytes.Equal(certificate.RawSubjectPublicKeyInfo, r.Public) {
			return nil, errors.New("certificate is of another key")
		}
	}
	return &Key{ID: r.ID, Use: r.Use, State: r.State, Public: key, Certificate: r.Certificate}, nil
}

// unseal returns the signer of r, whose public half is what r publishes: a signature that
// nobody can verify is worse than none.
func unseal(s *Sealer, r *Record) (crypto.Signer, error) {
	der, err := s.forKeys().Open(r.aad(), r.Sealed)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("keys: key %q: sealed is no PKCS #8 key", r.ID) // err could quote the key
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("keys: key %q: sealed is no RSA key", r.ID)
	}
	if public, err := x509.MarshalPKIXPublicKey(&private.PublicKey); err != nil || !bytes.Equal(public, r.Public) {
		return nil, fmt.Errorf("keys: key %q: sealed and published key differ", r.ID)
	}
	return &signer{private}, nil
}

// signer keeps the private key out of reach: a *rsa.PrivateKey is a crypto.Signer too, but
// whoever holds one can print it.
type signer struct{ private *rsa.PrivateKey }

func (s *signer) Public() crypto.PublicKey { return s.private.Public() }

func (s *signer) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts != nil {
		switch opts.HashFunc() {
		case crypto.SHA256, crypto.SHA384, crypto.SHA512:
			return s.private.Sign(random, digest, opts)
		}
	}
	return nil, errors.New("keys: signatures are made over SHA-256, SHA-384 or SHA-512 only")
}

// jwk has no place for a private member, so none can slip in.
type jwk struct {
	Type     string `json:"kty"`
	Use      string `json:"use"`
	Alg      string `json:"alg"`
	ID       string `json:"kid"`
	Modulus  string `json:"n"`
	Exponent string `json:"e"`
}

func marshalJWKS(all []*Key) ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, k := range all {
		public, ok := k.Public.(*rsa.PublicKey)
		if k.Use != OIDC || !ok {
			continue
		}
		set.Keys = append(set.Keys, jwk{
			Type: "RSA", Use: "sig", Alg: "RS256", ID: k.ID,
			// RFC 7518 §6.3.1.1: "the minimum number of octets", big-endian, base64url.
			Modulus:  base64.RawURLEncoding.EncodeToString(public.N.Bytes()),
			Exponent: base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
		})
	}
	return json.Marshal(set)
}

// arranged is the records of one org and use by state. next is in the order of
// announcement, retiring the youngest first.
type arranged struct {
	use            Use
	active         *Record
	next, retiring []*Record
}

// arrange sorts records, and refuses those that cannot be one org's keys of one use.
func arrange(records []Record) (arranged, error) {
	var a arranged
	seen := make(map[string]bool, len(records))
	for i := range records {
		r := records[i] // a copy: the caller may go on using its slice
		if i == 0 {
			a.use = r.Use
		}
		switch {
		case r.Use != OIDC && r.Use != SAML:
			return a, fmt.Errorf("keys: key %q has unknown use %q", r.ID, r.Use)
		case r.Use != a.use || r.Org != records[0].Org:
			return a, errors.New("keys: records of different orgs or uses")
		case r.ID == "" || seen[r.ID]:
			return a, fmt.Errorf("keys: missing or doubled key ID %q", r.ID)
		}
		seen[r.ID] = true
		switch r.State {
		case Next:
			a.next = append(a.next, &r)
		case Active:
			if a.active != nil {
				return a, fmt.Errorf("keys: two active keys, %q and %q", a.active.ID, r.ID)
			}
			a.active = &r
		case Retiring:
			a.retiring = append(a.retiring, &r)
		default:
			return a, fmt.Errorf("keys: key %q has unknown state %q", r.ID, r.State)
		}
	}
	slices.SortFunc(a.next, func(x, y *Record) int {
		return cmp.Or(x.Created.Compare(y.Created), cmp.Compare(x.ID, y.ID))
	})
	slices.SortFunc(a.retiring, func(x, y *Record) int {
		return cmp.Or(y.Changed.Compare(x.Changed), cmp.Compare(x.ID, y.ID))
	})
	return a, nil
}

func (a *arranged) published() []*Record {
	var all []*Record
	if a.active != nil {
		all = append(all, a.active)
	}
	return append(append(all, a.next...), a.retiring...)
}
