package saml

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// maxKeys is how many keys of a service provider are kept: every one of them is tried on a signature.
const maxKeys = 20

// readKeys reads the KeyDescriptors (Metadata §2.4.1.1). A key that can not be used is left out with a remark.
func (r *reader) readKeys(sp *ServiceProvider, role *xmlsec.Element) {
	all := role.Children(mdName("KeyDescriptor"))
	if len(all) == 0 {
		r.remark("no-key", "The service provider has no key: a signed request from it can not be verified, and is refused.",
			"If it signs its requests, declare its certificate beside the metadata, in saml.certificates.")
	}
	for i, k := range all {
		if i == maxKeys {
			r.remark("too-many-keys", fmt.Sprintf("The service provider has %d keys; the first %d are kept.", len(all), maxKeys),
				"Ask the service provider to remove old keys.")
			break
		}
		c, ok := r.readKey(k)
		if ok && !has(sp.Certificates, c) {
			sp.Certificates = append(sp.Certificates, c)
		}
	}
	r.encryptionKeys(sp)
}

func has(all []Certificate, c Certificate) bool {
	for _, other := range all {
		if other.Use == c.Use && bytes.Equal(other.DER, c.DER) {
			return true
		}
	}
	return false
}

// readKey reads one KeyDescriptor, and tells if its key can be used.
func (r *reader) readKey(k *xmlsec.Element) (Certificate, bool) {
	use, _ := k.Attr("use")
	if use != "" && use != UseSigning && use != UseEncryption {
		r.remark("unknown-key-use", fmt.Sprintf("A key has the use %q, which is not known; it is left out.", clip(use)),
			"Ask the service provider to correct its metadata.")
		return Certificate{}, false
	}
	what := "The key for " + use
	if use == "" {
		what = "The key without a use, which counts for signing and encryption,"
	}
	text, err := certificateText(k)
	if err != nil {
		r.remark("key-without-certificate", what+" has no certificate; it is left out.",
			"Ask the service provider for metadata that holds X509Certificate elements.")
		return Certificate{}, false
	}
	cert, err := ReadCertificate(text)
	if err != nil {
		r.remark("unreadable-certificate", fmt.Sprintf("%s can not be read (%v); it is left out.", what, err),
			"Ask the service provider for a certificate that is X.509 in base64.")
		return Certificate{}, false
	}
	if err := xmlsec.CheckKey(cert.PublicKey); err != nil {
		code, fix := "unsupported-key", "Ask the service provider for an RSA key of 2048 bits or more."
		if _, ok := cert.PublicKey.(*rsa.PublicKey); ok {
			code = "weak-key"
		}
		if cert.PublicKeyAlgorithm == x509.DSA {
			err = errors.New("it is a DSA key")
		}
		r.remark(code, fmt.Sprintf("%s is not safe to use (%v); it is left out.", what, err), fix)
		return Certificate{}, false
	}
	switch {
	case r.now.After(cert.NotAfter):
		r.remark("expired-certificate", fmt.Sprintf("%s has a certificate that expired on %s. Only the key counts, so it is used.", what, cert.NotAfter.UTC().Format(time.DateOnly)),
			"Nothing has to be done; ask the service provider if it has a newer one.")
	case r.now.Before(cert.NotBefore):
		r.remark("future-certificate", fmt.Sprintf("%s has a certificate that is valid from %s only. Only the key counts, so it is used.", what, cert.NotBefore.UTC().Format(time.DateOnly)),
			"Nothing has to be done.")
	}
	if cert.SignatureAlgorithm == x509.SHA1WithRSA || cert.SignatureAlgorithm == x509.ECDSAWithSHA1 {
		r.remark("sha1", what+" has a certificate that is itself signed with SHA-1. Only the key counts, so it is used.",
			"Nothing has to be done.")
	}
	return Certificate{Use: use, DER: cert.Raw}, true
}

// certificateText finds the certificate of a KeyDescriptor. Where there are several the first one has the key, the others
// are those that issued it (Metadata Interoperability Profile §2.6.1).
func certificateText(k *xmlsec.Element) (string, error) {
	for _, info := range k.Children(xmlsec.Name{Space: nsSignature, Local: "KeyInfo"}) {
		for _, data := range info.Children(xmlsec.Name{Space: nsSignature, Local: "X509Data"}) {
			if c := data.Child(xmlsec.Name{Space: nsSignature, Local: "X509Certificate"}); c != nil {
				return c.Text()
			}
		}
	}
	return "", errors.New("there is no X509Certificate")
}

// ReadCertificate reads a certificate as people paste it: base64 with or without the lines of PEM around it.
func ReadCertificate(text string) (*x509.Certificate, error) {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") {
			b.WriteString(strings.Join(strings.Fields(line), ""))
		}
	}
	der, err := base64.StdEncoding.DecodeString(b.String())
	switch {
	case err != nil:
		return nil, errors.New("it is not base64")
	case len(der) == 0:
		return nil, errors.New("it is empty")
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errors.New("it is not an X.509 certificate")
	}
	return cert, nil
}

// encryptionKeys remarks on keys that assertions could not be encrypted with.
func (r *reader) encryptionKeys(sp *ServiceProvider) {
	curves := false
	for _, c := range sp.Certificates {
		if c.Use == UseSigning {
			continue
		}
		cert, err := x509.ParseCertificate(c.DER)
		if err != nil {
			continue
		}
		switch cert.PublicKey.(type) {
		case *rsa.PublicKey:
			return
		case *ecdsa.PublicKey:
			curves = true
		}
	}
	if curves {
		r.remark("ec-encryption", "The only keys for encryption are on elliptic curves; assertions can not be encrypted with them.",
			"Ask the service provider for an RSA key for encryption.")
	}
}

// requestsSigned settles if unsigned requests are refused. If the service provider has keys and none of them can be used,
// that can not be demanded: nothing it sends could be verified.
func (r *reader) requestsSigned(sp *ServiceProvider, role *xmlsec.Element, says bool) {
	if !says {
		return
	}
	usable, offered := len(sp.signingKeys()) > 0, false
	for _, k := range role.Children(mdName("KeyDescriptor")) {
		if use, _ := k.Attr("use"); use != UseEncryption {
			offered = true
		}
	}
	sp.AuthnRequestsSigned = usable || !offered
	switch {
	case usable:
		r.remark("requests-signed", "The service provider says that it signs its requests: unsigned ones will be refused.",
			"Nothing has to be done.")
	case offered:
		r.remark("no-usable-key", "The service provider says that it signs its requests, but none of its keys can be used: signed requests will be refused, and are not demanded.",
			"Ask the service provider for an RSA key of 2048 bits or more; or declare its certificate in saml.certificates and set saml.requireSignedRequests.")
	default:
		r.remark("no-usable-key", "The service provider says that it signs its requests, but has no key for it: all its requests will be refused.",
			"Ask the service provider for metadata with its key, or declare its certificate beside the metadata, in saml.certificates.")
	}
}
