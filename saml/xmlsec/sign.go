package xmlsec

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
)

// Signer signs. Signatures are RSA PKCS #1 v1.5 with SHA-256, which every service provider reads.
type Signer struct {
	Signer      crypto.Signer // of an RSA key of at least 2048 bits
	Certificate []byte        // DER, sent in the KeyInfo; nil: none is sent
}

// A signature, canonical as it stands in its document. As the apex of its own canonicalization SignedInfo declares ds,
// which in the document Signature does for it.
const (
	sigStart  = `<ds:Signature xmlns:ds="` + dsig + `">`
	infoApex  = `<ds:SignedInfo xmlns:ds="` + dsig + `">`
	infoStart = `<ds:SignedInfo>`
	infoHead  = `<ds:CanonicalizationMethod Algorithm="` + algExcC14N + `"></ds:CanonicalizationMethod>` +
		`<ds:SignatureMethod Algorithm="` + algRSASHA256 + `"></ds:SignatureMethod><ds:Reference URI="#`
	infoBody = `"><ds:Transforms><ds:Transform Algorithm="` + algEnveloped + `"></ds:Transform>` +
		`<ds:Transform Algorithm="` + algExcC14N + `"></ds:Transform></ds:Transforms>` +
		`<ds:DigestMethod Algorithm="` + algSHA256 + `"></ds:DigestMethod><ds:DigestValue>`
	infoEnd   = `</ds:DigestValue></ds:Reference></ds:SignedInfo>`
	valueOpen = `<ds:SignatureValue>`
	valueEnd  = `</ds:SignatureValue>`
	certStart = `<ds:KeyInfo><ds:X509Data><ds:X509Certificate>`
	certEnd   = `</ds:X509Certificate></ds:X509Data></ds:KeyInfo>`
	sigEnd    = `</ds:Signature>`
)

// appendSignature appends the signature over an element that has this ID and whose canonical bytes have this digest.
func appendSignature(dst []byte, digest [sha256.Size]byte, id string, k Signer) ([]byte, error) {
	if k.Signer == nil {
		return nil, errors.New("xmlsec: no key to sign with")
	}
	pub, ok := k.Signer.Public().(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("xmlsec: only RSA keys sign")
	}
	if err := CheckKey(pub); err != nil {
		return nil, fmt.Errorf("xmlsec: %w", err)
	}
	if !isNCName(id) {
		return nil, fmt.Errorf("xmlsec: the ID %q is no name", clip(id))
	}
	dst = append(append(dst, sigStart...), infoStart...)
	from := len(dst)
	dst = append(append(append(dst, infoHead...), id...), infoBody...)
	dst = append(base64.StdEncoding.AppendEncode(dst, digest[:]), infoEnd...)
	h := sha256.New()
	h.Write([]byte(infoApex))
	h.Write(dst[from:])
	value, err := k.Signer.Sign(rand.Reader, h.Sum(nil), crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("xmlsec: signing: %w", err)
	}
	dst = append(base64.StdEncoding.AppendEncode(append(dst, valueOpen...), value), valueEnd...)
	if k.Certificate != nil {
		dst = append(base64.StdEncoding.AppendEncode(append(dst, certStart...), k.Certificate), certEnd...)
	}
	return append(dst, sigEnd...), nil
}

// SignHere marks the place where the signature of the innermost open element will stand (Core §2.3.3, §3.2.1: right after
// Issuer).
func (w *Writer) SignHere() {
	switch n := len(w.open); {
	case w.err != nil:
	case n == 0:
		w.fail(errors.New("xmlsec: nothing to sign is open"))
	default:
		w.open[n-1].at = len(w.out)
	}
}

// EndSigned ends the innermost open element, which has an ID and a place marked by [Writer.SignHere], and signs it. One
// element may be signed inside another: the outer signature covers the inner one. A signed element stands for itself, so
// it is an error if it uses a namespace that is declared around it.
func (w *Writer) EndSigned(k Signer) {
	e := w.end()
	switch {
	case w.err != nil:
		return
	case e.at == 0 || e.id == "":
		w.fail(fmt.Errorf("xmlsec: %s has no ID, or no place for a signature", e.local))
		return
	case e.borrowed != 0:
		w.fail(fmt.Errorf("xmlsec: %s uses a namespace declared around it and can not be signed", e.local))
		return
	}
	for i, n := range w.table {
		if n.Prefix == "ds" && e.inForce&(1<<i) != 0 {
			w.fail(fmt.Errorf("xmlsec: ds is in force around the signature of %s", e.local))
			return
		}
	}
	sig, err := appendSignature(w.scratch[:0], sha256.Sum256(w.out[e.start:]), e.id, k)
	if err != nil {
		w.fail(err)
		return
	}
	w.scratch = sig
	w.out = slices.Insert(w.out, e.at, sig...)
}
