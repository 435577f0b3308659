package saml

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
	"github.com/lanyard-sso/lanyard/templates"
)

// confirmBearer is the only way a subject is confirmed here (Profiles §3.3).
const confirmBearer = "urn:oasis:names:tc:SAML:2.0:cm:bearer"

var errNoKeys = fmt.Errorf("%w: the org's SAML keys can not be had", ErrBusy)

// signer returns the org's active key.
func (s *Site) signer() (xmlsec.Signer, error) {
	if s.Keys == nil {
		return xmlsec.Signer{}, errNoKeys
	}
	k, err := s.Keys.Active()
	if err != nil {
		return xmlsec.Signer{}, err
	}
	signer, err := k.Signer()
	return xmlsec.Signer{Signer: signer, Certificate: k.Certificate}, err
}

// namespaces of a response.
func namespaces() []xmlsec.Namespace {
	return []xmlsec.Namespace{{Prefix: "ds", URI: nsSignature}, {Prefix: "saml", URI: nsAssertion}, {Prefix: "samlp", URI: nsProtocol}}
}

// unsendable is something about a person that no response can carry.
type unsendable struct{ what string }

func (e *unsendable) Error() string { return e.what }

// sendable tells what of s a response can not carry, before anything is spent for it. A character that XML does not have
// is never replaced: two people would become one.
func (s *Subject) sendable(format string) error {
	switch {
	case (s.NameID.Value == "") != (s.NameID.Format == FormatNone):
		return &unsendable{fmt.Sprintf("the NameID for the format %s is empty, or there is one for none", format)}
	case s.Class == "" || s.SessionIndex == "":
		return errors.New("the subject has no authentication context or no session index")
	case !legal(s.NameID.Value) || !legal(s.NameID.NameQualifier) || !legal(s.NameID.SPNameQualifier):
		return &unsendable{"the NameID holds a character that XML can not carry"}
	}
	for _, a := range s.Attributes {
		if a.Name == "" || !legal(a.Name) || !legal(a.FriendlyName) || !legal(a.NameFormat) {
			return &unsendable{fmt.Sprintf("the name of the attribute %q is empty or holds a character that XML can not carry", clip(a.Name))}
		}
		for _, v := range a.Values {
			if !legal(v) {
				return &unsendable{fmt.Sprintf("the attribute %q holds a character that XML can not carry", clip(a.Name))}
			}
		}
	}
	return nil
}

// legal tells if XML can carry s (XML 1.0 §2.2).
func legal(s string) bool {
	for i, r := range s {
		switch {
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0xFFFE, r == 0xFFFF:
			return false
		case r == utf8.RuneError:
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return false
			}
		}
	}
	return true
}

// writeResponse writes the response to j.login about j.subject (Core §3.3.3; Profiles §4.1.4.2).
func (h *Handler) writeResponse(j *judgement, key xmlsec.Signer) ([]byte, error) {
	w := xmlsec.NewWriter(make([]byte, 0, 16<<10), namespaces())
	h.startResponse(w, j)
	w.Start("samlp", "Status")
	w.Element("samlp", "StatusCode", "", "Value", StatusSuccess)
	w.End()
	h.writeAssertion(w, j, key)
	if j.sp.SignResponse {
		w.EndSigned(key)
	} else {
		w.End()
	}
	return w.Bytes()
}

// writeStatus writes a response that says why there is no assertion (Core §3.2.2). It is always signed.
func (h *Handler) writeStatus(j *judgement, key xmlsec.Signer, e *Error, reference string) ([]byte, error) {
	w := xmlsec.NewWriter(make([]byte, 0, 8<<10), namespaces())
	h.startResponse(w, j)
	w.Start("samlp", "Status")
	w.Start("samlp", "StatusCode", "Value", e.Status)
	if e.Sub != "" {
		w.Element("samlp", "StatusCode", "", "Value", e.Sub)
	}
	w.End()
	w.Element("samlp", "StatusMessage", "The request was refused. Reference: "+reference)
	w.End()
	w.EndSigned(key)
	return w.Bytes()
}

func (h *Handler) startResponse(w *xmlsec.Writer, j *judgement) {
	w.Start("samlp", "Response", "Destination", j.login.ACS, "ID", h.newID(), "InResponseTo", j.login.RequestID,
		"IssueInstant", instant(j.now), "Version", "2.0")
	w.Element("saml", "Issuer", j.site.EntityID)
	w.SignHere() // Core §3.2.2: right after Issuer
}

// newID makes an ID of at least 128 random bits (Core §1.3.4). It begins with a letter or underscore, as xs:ID must.
func (h *Handler) newID() string { return "_" + h.NewID() }

// Defaults of an assertion's validity (SURFACE.md §4).
const (
	validity = 5 * time.Minute
	skew     = 3 * time.Minute
)

// writeAssertion writes one assertion with one authentication statement (Core §2.3.3).
func (h *Handler) writeAssertion(w *xmlsec.Writer, j *judgement, key xmlsec.Signer) {
	s, l, sp := j.subject, &j.login, j.sp
	valid, back := sp.Validity, sp.Skew
	if valid <= 0 {
		valid = validity
	}
	if back <= 0 {
		back = skew
	}
	// Counted from issue, never from the request: signing in may take long.
	until := instant(j.now.Add(valid))

	w.Start("saml", "Assertion", "ID", h.newID(), "IssueInstant", instant(j.now), "Version", "2.0")
	w.Element("saml", "Issuer", j.site.EntityID)
	w.SignHere()

	w.Start("saml", "Subject")
	if s.NameID.Format != FormatNone {
		w.Element("saml", "NameID", s.NameID.Value, "Format", s.NameID.Format,
			"NameQualifier", s.NameID.NameQualifier, "SPNameQualifier", s.NameID.SPNameQualifier)
	}
	w.Start("saml", "SubjectConfirmation", "Method", confirmBearer)
	// No Address: behind proxies it is somebody else's.
	w.Element("saml", "SubjectConfirmationData", "", "InResponseTo", l.RequestID, "NotOnOrAfter", until, "Recipient", l.ACS)
	w.End()
	w.End()

	w.Start("saml", "Conditions", "NotBefore", instant(j.now.Add(-back)), "NotOnOrAfter", until)
	w.Start("saml", "AudienceRestriction")
	w.Element("saml", "Audience", sp.EntityID)
	w.End()
	w.End()

	var sessionEnd string
	if !s.NotOnOrAfter.IsZero() {
		sessionEnd = instant(s.NotOnOrAfter)
	}
	w.Start("saml", "AuthnStatement", "AuthnInstant", instant(s.AuthnInstant), "SessionIndex", s.SessionIndex,
		"SessionNotOnOrAfter", sessionEnd)
	w.Start("saml", "AuthnContext")
	w.Element("saml", "AuthnContextClassRef", s.Class)
	w.End()
	w.End()

	writeAttributes(w, s.Attributes)
	// Profiles §4.1.4.5: the assertion "MUST be signed" unless the response is.
	if sp.SignAssertion || !sp.SignResponse {
		w.EndSigned(key)
	} else {
		w.End()
	}
}

// writeAttributes writes an AttributeStatement, which must have an attribute (Core §2.7.3).
func writeAttributes(w *xmlsec.Writer, all []Attribute) {
	open := false
	for _, a := range all {
		if len(a.Values) == 0 {
			continue // it would say that the person has none, which is more than is known
		}
		if !open {
			w.Start("saml", "AttributeStatement")
			open = true
		}
		w.Start("saml", "Attribute", "FriendlyName", a.FriendlyName, "Name", a.Name, "NameFormat", a.NameFormat)
		for _, v := range a.Values {
			w.Element("saml", "AttributeValue", v)
		}
		w.End()
	}
	if open {
		w.End()
	}
}

// post sends a response to the ACS through the browser (Bindings §3.5.4).
func (h *Handler) post(j *judgement, document []byte) {
	templates.Write(j.w, j.r, http.StatusOK, templates.AutoPost{
		URL:          j.login.ACS,
		SAMLResponse: base64.StdEncoding.EncodeToString(document),
		RelayState:   j.login.RelayState,
		// An empty one would be one that the app did not send.
		HasRelayState: j.login.HasRelayState && j.login.RelayState != "",
		App:           j.sp.Name,
	})
}
