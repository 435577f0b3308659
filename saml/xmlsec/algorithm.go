package xmlsec

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes that hashOf names
	_ "crypto/sha512"
	"errors"
	"fmt"
	"math/big"
)

// Algorithms that are written; those that are read stand in method and hashOf.
const (
	algExcC14N   = "http://www.w3.org/2001/10/xml-exc-c14n#"
	algEnveloped = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
	algRSASHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	algSHA256    = "http://www.w3.org/2001/04/xmlenc#sha256"
)

// Sizes of RSA keys, bits. A longer one only costs time.
const (
	minRSA = 2048
	maxRSA = 8192
)

// family is what a signature algorithm demands of a key.
type family int

const (
	familyRSA family = iota + 1
	familyECDSA
)

// method returns what the signature algorithm uri stands for. There is no SHA-1, MD5, HMAC or DSA, and no way to get it.
func method(uri string) (family, crypto.Hash, error) {
	switch uri {
	case algRSASHA256:
		return familyRSA, crypto.SHA256, nil
	case "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384":
		return familyRSA, crypto.SHA384, nil
	case "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512":
		return familyRSA, crypto.SHA512, nil
	case "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256":
		return familyECDSA, crypto.SHA256, nil
	case "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384":
		return familyECDSA, crypto.SHA384, nil
	case "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512":
		return familyECDSA, crypto.SHA512, nil
	}
	return 0, 0, fmt.Errorf("the signature algorithm %q is not accepted", clip(uri))
}

// hashOf returns the digest algorithm that uri stands for.
func hashOf(uri string) (crypto.Hash, error) {
	switch uri {
	case algSHA256:
		return crypto.SHA256, nil
	case "http://www.w3.org/2001/04/xmldsig-more#sha384":
		return crypto.SHA384, nil
	case "http://www.w3.org/2001/04/xmlenc#sha512":
		return crypto.SHA512, nil
	}
	return 0, fmt.Errorf("the digest algorithm %q is not accepted", clip(uri))
}

// CheckKey tells in a sentence why signatures by key are never accepted; nil if they may be. RSA from 2048 to 8192 bits
// and ECDSA on P-256, P-384 and P-521 may.
func CheckKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		switch bits := k.N.BitLen(); {
		case bits < minRSA:
			return fmt.Errorf("the RSA key has %d bits, at least %d are needed", bits, minRSA)
		case bits > maxRSA:
			return fmt.Errorf("the RSA key has %d bits, at most %d are accepted", bits, maxRSA)
		case k.N.Bit(0) == 0 || k.E < 3 || k.E&1 == 0:
			return errors.New("the RSA key is malformed")
		}
		return nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
		default:
			return errors.New("the ECDSA key is on a curve that is not accepted")
		}
		if _, err := k.ECDH(); err != nil {
			return errors.New("the ECDSA key is malformed")
		}
		return nil
	}
	return fmt.Errorf("keys of type %T are not accepted", key)
}

// VerifyDetached returns nil if signature is one by any of keys over octets: the query string of the HTTP-Redirect
// binding, exactly as it was sent ("SAMLRequest=value&RelayState=value&SigAlg=value", Bindings §3.4.4.1). sigAlg is the
// decoded SigAlg.
func VerifyDetached(sigAlg string, octets, signature []byte, keys []crypto.PublicKey) error {
	fam, hash, err := method(sigAlg)
	if err != nil {
		return err
	}
	h := hash.New()
	h.Write(octets)
	digest := h.Sum(nil)
	suitable := 0
	for _, key := range keys {
		if CheckKey(key) != nil {
			continue
		}
		switch k := key.(type) {
		case *rsa.PublicKey:
			if fam != familyRSA {
				continue
			}
			if rsa.VerifyPKCS1v15(k, hash, digest, signature) == nil {
				return nil
			}
		case *ecdsa.PublicKey:
			if fam != familyECDSA {
				continue
			}
			// XML Signature §6.4.3: the signature is r and s, each as long as the order of the curve, put together.
			if n := (k.Params().N.BitLen() + 7) / 8; len(signature) == 2*n &&
				ecdsa.Verify(k, digest, new(big.Int).SetBytes(signature[:n]), new(big.Int).SetBytes(signature[n:])) {
				return nil
			}
		}
		suitable++
	}
	if suitable == 0 {
		return errors.New("there is no key that could have made this signature")
	}
	return errors.New("the signature was made by another key, or what it covers was changed")
}
