package saml

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// Namespaces.
const (
	nsProtocol  = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsAssertion = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsMetadata  = "urn:oasis:names:tc:SAML:2.0:metadata"
	nsSignature = "http://www.w3.org/2000/09/xmldsig#"
)

// formatEntity is the name format of an Issuer (Core §8.3.6).
const formatEntity = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"

// authnRequest is what an AuthnRequest asks (Core §3.4.1), as far as it is answered.
type authnRequest struct {
	id           string
	issuer       string
	forceAuthn   bool
	isPassive    bool
	acs          acsChoice
	subject      *xmlsec.Element // nil: none
	nameIDPolicy *xmlsec.Element
	authnContext *xmlsec.Element
}

// acsChoice is where the answer is to go.
type acsChoice struct {
	url      string
	hasURL   bool
	binding  string // ProtocolBinding, empty for none
	index    int
	hasIndex bool
}

// readAuthnRequest reads an AuthnRequest strictly: a value that its type does not allow is refused, never guessed. What
// is optional and has no effect here (Conditions, Scoping, Extensions, ProviderName) is passed over.
func readAuthnRequest(e *xmlsec.Element) (*authnRequest, error) {
	var q authnRequest
	var err error
	if q.id, err = readID(e); err != nil {
		return nil, err
	}
	if q.issuer, err = readIssuer(e); err != nil {
		return nil, err
	}
	if q.acs, err = readACSChoice(e); err != nil {
		return nil, err
	}
	if q.forceAuthn, err = readBoolean(e, "ForceAuthn"); err != nil {
		return nil, err
	}
	if q.isPassive, err = readBoolean(e, "IsPassive"); err != nil {
		return nil, err
	}
	if _, _, err = readIndex(e, "AttributeConsumingServiceIndex"); err != nil {
		return nil, err
	}
	if q.subject, err = e.Only(xmlsec.Name{Space: nsAssertion, Local: "Subject"}); err != nil {
		return nil, err
	}
	if q.nameIDPolicy, err = e.Only(xmlsec.Name{Space: nsProtocol, Local: "NameIDPolicy"}); err != nil {
		return nil, err
	}
	q.authnContext, err = e.Only(xmlsec.Name{Space: nsProtocol, Local: "RequestedAuthnContext"})
	return &q, err
}

// readACSChoice reads the three attributes that choose an ACS.
func readACSChoice(e *xmlsec.Element) (c acsChoice, err error) {
	c.url, c.hasURL = e.Attr("AssertionConsumerServiceURL")
	var hasBinding bool
	c.binding, hasBinding = e.Attr("ProtocolBinding")
	if c.index, c.hasIndex, err = readIndex(e, "AssertionConsumerServiceIndex"); err != nil {
		return c, err
	}
	switch {
	case hasBinding && c.binding == "":
		return c, errors.New("ProtocolBinding is empty")
	case c.hasIndex && (c.hasURL || hasBinding):
		// Core §3.4.1: AssertionConsumerServiceIndex "is mutually exclusive with the AssertionConsumerServiceURL and
		// ProtocolBinding attributes".
		return c, errors.New("AssertionConsumerServiceIndex stands beside AssertionConsumerServiceURL or ProtocolBinding")
	}
	return c, nil
}

// readID reads the ID: an NCName (Core §1.3.4) of at most 256 characters, in ASCII, as every implementation makes them.
func readID(e *xmlsec.Element) (string, error) {
	id, ok := e.Attr("ID")
	switch {
	case !ok || id == "":
		return "", errors.New("there is no ID")
	case len(id) > 256:
		return "", errors.New("the ID has more than 256 characters")
	}
	for i := range len(id) {
		c := id[i]
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c == '_':
		case i > 0 && (c >= '0' && c <= '9' || c == '-' || c == '.'):
		default:
			return "", errors.New("the ID is not an NCName")
		}
	}
	return id, nil
}

// readIssuer reads who sent e. The text is taken whole and as it stands.
func readIssuer(e *xmlsec.Element) (string, error) {
	issuer, err := e.Only(xmlsec.Name{Space: nsAssertion, Local: "Issuer"})
	if err != nil {
		return "", err
	}
	if issuer == nil {
		return "", errors.New("there is no Issuer")
	}
	// Profiles §4.1.4.1: "the Format attribute MUST be omitted or have a value of …:nameid-format:entity".
	if format, ok := issuer.Attr("Format"); ok && collapse(format) != formatEntity {
		return "", fmt.Errorf("the Issuer has the Format %q", clip(format))
	}
	text, err := issuer.Text()
	if err != nil {
		return "", err
	}
	if text == "" || len(text) > maxEntityID {
		return "", fmt.Errorf("the Issuer must have 1 to %d bytes", maxEntityID)
	}
	return text, nil
}

// maxEntityID is how long an entity ID may be, in bytes (Metadata §2.2.1 says 1024 characters).
const maxEntityID = 4096

// collapse takes the white space from around an xs:anyURI that is compared with one of the specification's own. XML Schema
// Part 2 §4.3.6: the type's white space is "collapse", for documents that are indented as well. An address is never
// collapsed: it is compared to the byte.
func collapse(uri string) string { return strings.Trim(uri, " \t\r\n") }

// readBoolean reads an xs:boolean; absent is false.
func readBoolean(e *xmlsec.Element, name string) (bool, error) {
	switch text, ok := e.Attr(name); {
	case !ok, text == "false", text == "0":
		return false, nil
	case text == "true", text == "1":
		return true, nil
	default:
		return false, fmt.Errorf("%s is %q, which is no boolean", name, clip(text))
	}
}

// readIndex reads an xs:unsignedShort, digits only.
func readIndex(e *xmlsec.Element, name string) (index int, there bool, err error) {
	text, there := e.Attr(name)
	if !there {
		return 0, false, nil
	}
	n, err := strconv.ParseUint(text, 10, 16) // takes neither sign, space, underscore nor a base
	if err != nil {
		return 0, true, fmt.Errorf("%s is %q, which is no number from 0 to 65535", name, clip(text))
	}
	return int(n), true, nil
}

// readInstant reads a time as Core §1.3.3 demands it: xs:dateTime "in UTC form". At most nine digits of a second.
func readInstant(text string) (time.Time, error) {
	const layout = "2006-01-02T15:04:05"
	bad := fmt.Errorf("%q is not a time in UTC like 2026-01-31T12:00:00Z", clip(text))
	if len(text) <= len(layout) || len(text) > len(layout)+len(".123456789+00:00") {
		return time.Time{}, bad
	}
	rest := text[len(layout):]
	nanos := 0
	if rest[0] == '.' {
		n := 1
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		if n == 1 || n > 10 {
			return time.Time{}, bad
		}
		nanos, _ = strconv.Atoi((rest[1:n] + "00000000")[:9]) // digits
		rest = rest[n:]
	}
	if rest != "Z" && rest != "+00:00" && rest != "-00:00" {
		return time.Time{}, bad
	}
	for i, c := range []byte(text[:len(layout)]) { // time.Parse takes "1:02:03" too
		if digit := c >= '0' && c <= '9'; digit != (layout[i] >= '0' && layout[i] <= '9') || !digit && c != layout[i] {
			return time.Time{}, bad
		}
	}
	t, err := time.Parse(layout, text[:len(layout)])
	if err != nil {
		return time.Time{}, bad
	}
	return t.Add(time.Duration(nanos)), nil
}

// instant writes a time as Core §1.3.3 demands it, to the millisecond.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
