package saml

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// Uses of a Certificate, Metadata §2.4.1.1. An empty one counts for both.
const (
	UseSigning    = "signing"
	UseEncryption = "encryption"
)

// signingKeys are the keys that may have signed a message of the app: those for signing and those without a use.
func (sp *ServiceProvider) signingKeys() []crypto.PublicKey {
	var keys []crypto.PublicKey
	for _, c := range sp.Certificates {
		if c.Use != UseSigning && c.Use != "" {
			continue
		}
		// Only the key counts (Metadata Interoperability Profile §2.6.1).
		if key, err := keyOf(c.DER); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// keyOf is the key of a certificate; an error says in a sentence why nothing is verified with it.
func keyOf(der []byte) (crypto.PublicKey, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("it is no certificate that can be read: %w", err)
	}
	if cert.PublicKeyAlgorithm == x509.DSA {
		return nil, errors.New("its key can not be used: it is a DSA key")
	}
	if err := xmlsec.CheckKey(cert.PublicKey); err != nil {
		return nil, fmt.Errorf("its key can not be used: %w", err)
	}
	return cert.PublicKey, nil
}

// CheckCertificate tells in a sentence why nothing is verified with the key of a certificate; nil if it can be.
func CheckCertificate(der []byte) error {
	_, err := keyOf(der)
	return err
}

// noKey says why a signed request of the app can not be verified.
func (sp *ServiceProvider) noKey() error {
	for _, c := range sp.Certificates {
		if c.Use == UseEncryption {
			continue
		}
		if err := CheckCertificate(c.DER); err != nil {
			return fmt.Errorf("the request is signed, and none of the app's certificates for signing can be used (of the first: %w): give it another", err)
		}
	}
	if sp.FromMetadata {
		return errors.New("the request is signed, and the app has no key to verify it with: its metadata holds none for signing that can be used; declare the certificate in saml.certificates")
	}
	return errors.New("the request is signed, and the app has no key to verify it with: add its signing certificate (saml.certificates)")
}
