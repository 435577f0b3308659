package keys

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Use is what a key signs. Keys never serve two uses.
type Use string

// The uses there are.
const (
	OIDC Use = "oidc" // ID tokens, JWT access tokens, logout tokens
	SAML Use = "saml" // assertions, responses, metadata, logout messages
)

// State is where in its life a key is. A key that is gone has no record.
type State string

// The states there are.
const (
	Next     State = "next"     // announced: published, does not sign yet
	Active   State = "active"   // published, signs; at most one of an org and use
	Retiring State = "retiring" // published, signs no more
)

const keyBits = 2048

// Record is a key as the store keeps it. Nothing in it is secret without the master key.
type Record struct {
	Org, ID     string // ID is the kid, unique: the first 16 bytes of SHA-256(Public), in hex
	Use         Use
	State       State
	Sealed      []byte    // PKCS #8, sealed with the row's identity as associated data
	Public      []byte    // PKIX DER of the public key, so that publishing needs no unsealing
	Certificate []byte    // DER, self-signed, for ten years; SAML only
	Created     time.Time // when it was announced (or made, for one that was active at once)
	Changed     time.Time // when it came into its present State
}

// aad is the identity the private key is sealed for. ID and Use have no slash, so it is
// unambiguous whatever Org holds.
func (r *Record) aad() string {
	return "key/" + r.Org + "/" + string(r.Use) + "/" + r.ID
}

// Make makes a new RSA-2048 key in state Next, or Active for the first key of an org and
// use. commonName goes into the certificate of a SAML key, cut to 64 characters, and is
// not used otherwise. Times are cut to microseconds, as the store keeps them. It takes a
// tenth of a second or more: never inside a transaction.
func (s *Sealer) Make(org string, use Use, state State, commonName string, now time.Time) (Record, error) {
	if use != OIDC && use != SAML {
		return Record{}, fmt.Errorf("keys: unknown use %q", use)
	}
	if state != Next && state != Active {
		return Record{}, fmt.Errorf("keys: a key cannot be made in state %q", state)
	}
	if org == "" {
		return Record{}, errors.New("keys: a key needs an org")
	}
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return Record{}, fmt.Errorf("keys: making an RSA key: %w", err)
	}
	now = now.UTC().Truncate(time.Microsecond)
	r := Record{Org: org, Use: use, State: state, Created: now, Changed: now}
	if r.Public, err = x509.MarshalPKIXPublicKey(&private.PublicKey); err != nil {
		return Record{}, fmt.Errorf("keys: writing a public key: %w", err)
	}
	// Derived from the key, so two keys never share one and it can be checked by hand.
	sum := sha256.Sum256(r.Public)
	r.ID = hex.EncodeToString(sum[:16])
	if use == SAML {
		if r.Certificate, err = certify(private, commonName, now); err != nil {
			return Record{}, err
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Record{}, fmt.Errorf("keys: writing a private key: %w", err)
	}
	r.Sealed = s.forKeys().Seal(r.aad(), der)
	clear(der)
	return r, nil
}

// forKeys seals signing keys and nothing else.
func (s *Sealer) forKeys() *Sealer { return s.For("signing keys") }

// certify returns a self-signed certificate. It is a wrapping for a key that is trusted as
// such, so it claims as little as possible: no CA, no names, no extended use.
func certify(private *rsa.PrivateKey, commonName string, now time.Time) ([]byte, error) {
	if commonName == "" {
		return nil, errors.New("keys: a SAML key needs a common name for its certificate")
	}
	// RFC 5280 appendix A.1: ub-common-name INTEGER ::= 64; some libraries refuse more.
	if runes := []rune(commonName); len(runes) > 64 {
		commonName = string(runes[:64])
	}
	// RFC 5280 §4.1.2.2: "The serial number MUST be a positive integer", at most 20 octets;
	// here 16 octets of which 126 bits are random.
	serial := make([]byte, 16)
	_, _ = rand.Read(serial) // never fails: crypto/rand ends the process instead
	serial[0] = serial[0]&0x3f | 0x40
	template := &x509.Certificate{
		SerialNumber:       new(big.Int).SetBytes(serial),
		Subject:            pkix.Name{CommonName: commonName},
		NotBefore:          now.AddDate(0, 0, -1), // clocks differ
		NotAfter:           now.AddDate(10, 0, 0),
		KeyUsage:           x509.KeyUsageDigitalSignature,
		SignatureAlgorithm: x509.SHA256WithRSA,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, fmt.Errorf("keys: making a certificate: %w", err)
	}
	return der, nil
}
