package saml

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// metadataLife is how long a copy of our metadata or certificate may be used without asking again, in seconds. Keys are
// announced much longer before they sign.
const metadataLife = "max-age=300"

// metadata answers with what a service provider must know of us.
func (h *Handler) metadata(w http.ResponseWriter, r *http.Request) {
	j := h.begin(w, r)
	document, err := j.site.Metadata()
	if err != nil {
		h.fault(j, err)
		return
	}
	serve(w, r, "application/samlmetadata+xml", document) // Metadata appendix A
}

// certificate answers with the certificate of the key that signs, as service providers want it pasted.
func (h *Handler) certificate(w http.ResponseWriter, r *http.Request) {
	j := h.begin(w, r)
	if j.site.Keys == nil {
		h.fault(j, errNoKeys)
		return
	}
	k, err := j.site.Keys.Active()
	if err != nil {
		h.fault(j, err)
		return
	}
	serve(w, r, "application/x-pem-file", k.PEM())
}

// serve answers with something public that may be cached.
func serve(w http.ResponseWriter, r *http.Request, contentType string, b []byte) {
	sum := sha256.Sum256(b)
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", metadataLife)
	header.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:16])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// Metadata returns the org's own metadata (Metadata §2.4.3). Every published key is in it, the active one first, so a
// rotation is announced here. WantAuthnRequestsSigned is left out: each app decides.
func (s *Site) Metadata() ([]byte, error) {
	if s.Keys == nil {
		return nil, errNoKeys
	}
	w := xmlsec.NewWriter(make([]byte, 0, 8<<10), []xmlsec.Namespace{{Prefix: "ds", URI: nsSignature}, {Prefix: "md", URI: nsMetadata}})
	w.Start("md", "EntityDescriptor", "entityID", s.EntityID)
	w.Start("md", "IDPSSODescriptor", "protocolSupportEnumeration", nsProtocol)
	for _, k := range s.Keys.Published() {
		w.Start("md", "KeyDescriptor", "use", "signing")
		w.Start("ds", "KeyInfo")
		w.Start("ds", "X509Data")
		w.Element("ds", "X509Certificate", base64.StdEncoding.EncodeToString(k.Certificate))
		w.End()
		w.End()
		w.End()
	}
	for _, f := range []string{FormatEmail, FormatPersistent, FormatTransient, FormatUnspecified} {
		w.Element("md", "NameIDFormat", f)
	}
	for _, binding := range []string{BindingRedirect, BindingPOST} {
		w.Element("md", "SingleSignOnService", "", "Binding", binding, "Location", s.ssoURL())
	}
	w.End()
	w.End()
	return w.Bytes()
}
