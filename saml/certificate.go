package saml

import (
	"crypto"
	"crypto/x509"

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
		// Only the key counts (Metadata Interoperability Profile §2.6.1). One that can not be read was refused when it
		// was entered, and verifies nothing.
		if cert, err := x509.ParseCertificate(c.DER); err == nil && xmlsec.CheckKey(cert.PublicKey) == nil {
			keys = append(keys, cert.PublicKey)
		}
	}
	return keys
}
