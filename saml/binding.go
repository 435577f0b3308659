package saml

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Limits of what arrives (SURFACE.md §4). The inflated message has that of xmlsec.MessageLimits.
const (
	maxQuery      = 16 << 10
	maxBody       = 128 << 10
	maxInflated   = 64 << 10
	maxRelayState = 8 << 10
)

// encodingDeflate is the only SAMLEncoding (Bindings §3.4.4.1), and the one meant where none is named.
const encodingDeflate = "urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE"

// message is a protocol message as it arrived.
type message struct {
	binding       string
	document      []byte
	relayState    string
	hasRelayState bool
	signature     *detached // HTTP-Redirect; nil: none was sent
}

// detached is a signature over the query string (Bindings §3.4.4.1).
type detached struct {
	algorithm string
	octets    []byte // what it covers, as it was sent
	value     []byte
}

// errTooLarge is a request that was not read to its end.
var errTooLarge = errors.New("the body is larger than 128 KiB")

// readMessage reads the message that r carries: by HTTP-Redirect if r is a GET, by HTTP-POST otherwise.
func readMessage(w http.ResponseWriter, r *http.Request) (*message, error) {
	if len(r.URL.RawQuery) > maxQuery {
		return nil, fmt.Errorf("the query is longer than %d bytes", maxQuery)
	}
	query, err := readFields(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodGet {
		return readRedirect(query)
	}
	if len(query) > 0 {
		return nil, errors.New("a message by HTTP-POST has parameters in its address")
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return nil, errors.New("the body is not application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, errors.New("the body could not be read to its end")
	}
	form, err := readFields(string(body))
	if err != nil {
		return nil, err
	}
	return readPost(form)
}

// fields are the parameters of the bindings, still encoded as they were sent. Others may stand beside them.
type fields map[string]string

var fieldNames = []string{"SAMLRequest", "SAMLResponse", "RelayState", "SigAlg", "Signature", "SAMLEncoding"}

// readFields takes a query string or form apart without changing an octet of it. A parameter of the bindings that is
// there twice, or whose name is written in escapes, is refused: two readers could see two different messages.
func readFields(raw string) (fields, error) {
	found := fields{}
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		if err != nil {
			return nil, errors.New("the name of a parameter is not encoded as it should be")
		}
		if !slices.Contains(fieldNames, plain) {
			continue
		}
		if plain != name {
			return nil, fmt.Errorf("the name of the parameter %s is written in escapes", plain)
		}
		if _, twice := found[name]; twice {
			return nil, fmt.Errorf("the parameter %s is there twice", name)
		}
		found[name] = value
	}
	return found, nil
}

// value decodes a parameter.
func (f fields) value(name string) (value string, there bool, err error) {
	raw, there := f[name]
	value, err = url.QueryUnescape(raw)
	if err != nil {
		return "", there, fmt.Errorf("the parameter %s is not encoded as it should be", name)
	}
	return value, there, nil
}

// request returns the one protocol message, which must be a request.
func (f fields) request() ([]byte, error) {
	if _, there := f["SAMLResponse"]; there {
		return nil, errors.New("a SAMLResponse was sent to where only a SAMLRequest is read")
	}
	text, _, err := f.value("SAMLRequest")
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, errors.New("there is no SAMLRequest")
	}
	// Line ends may stand in it (RFC 2045 §6.8), but no stray bits at its end.
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errors.New("the SAMLRequest is not base64")
	}
	return b, nil
}

// relayState decodes RelayState. NUL is refused because no HTML form can give it back.
func (f fields) relayState() (value string, there bool, err error) {
	value, there, err = f.value("RelayState")
	switch {
	case err != nil:
		return "", false, err
	case len(value) > maxRelayState:
		return "", false, fmt.Errorf("RelayState has %d bytes, at most %d are kept", len(value), maxRelayState)
	case strings.ContainsRune(value, 0):
		return "", false, errors.New("RelayState holds a NUL, which can not be sent back")
	}
	return value, there, nil
}

// readRedirect reads a message of the HTTP-Redirect binding (Bindings §3.4.4).
func readRedirect(f fields) (*message, error) {
	m := &message{binding: BindingRedirect}
	encoding, there, err := f.value("SAMLEncoding")
	if err != nil {
		return nil, err
	}
	if there && encoding != encodingDeflate {
		return nil, fmt.Errorf("the SAMLEncoding %q is not read", clip(encoding))
	}
	deflated, err := f.request()
	if err != nil {
		return nil, err
	}
	if m.document, err = inflate(deflated); err != nil {
		return nil, err
	}
	if m.relayState, m.hasRelayState, err = f.relayState(); err != nil {
		return nil, err
	}
	m.signature, err = f.detached()
	return m, err
}

// detached reads the signature, nil where there is none. Half of one is refused: it would be a way to make a signed
// request an unsigned one.
func (f fields) detached() (*detached, error) {
	algorithm, hasAlgorithm, err := f.value("SigAlg")
	if err != nil {
		return nil, err
	}
	text, hasValue, err := f.value("Signature")
	switch {
	case err != nil:
		return nil, err
	case !hasAlgorithm && !hasValue:
		return nil, nil
	case !hasValue || text == "":
		return nil, errors.New("there is a SigAlg without a Signature")
	case !hasAlgorithm || algorithm == "":
		return nil, errors.New("there is a Signature without a SigAlg")
	}
	d := &detached{algorithm: algorithm}
	if d.value, err = base64.StdEncoding.Strict().DecodeString(text); err != nil {
		return nil, errors.New("the Signature is not base64")
	}
	// Bindings §3.4.4.1: "The relying party MUST therefore perform the verification step using the original URL-encoded
	// values it received on the query string"; "the parameter values to be verified are ordered as required by the
	// signing rules", wherever in the address they stood.
	for _, name := range []string{"SAMLRequest", "RelayState", "SigAlg"} {
		raw, there := f[name]
		if !there {
			continue
		}
		if len(d.octets) > 0 {
			d.octets = append(d.octets, '&')
		}
		d.octets = append(append(append(d.octets, name...), '='), raw...)
	}
	return d, nil
}

// inflaters are flate's readers; each has 40 kB of tables, which are made once.
var inflaters sync.Pool

// inflate undoes DEFLATE (RFC 1951), as far as the limit.
func inflate(b []byte) ([]byte, error) {
	in := bytes.NewReader(b) // an io.ByteReader, of which flate reads not one byte too many
	z, _ := inflaters.Get().(io.Reader)
	if z == nil {
		z = flate.NewReader(in)
	} else if err := z.(flate.Resetter).Reset(in, nil); err != nil {
		return nil, err
	}
	defer inflaters.Put(z)
	out, err := io.ReadAll(io.LimitReader(z, maxInflated+1))
	switch {
	case err != nil:
		return nil, errors.New("the SAMLRequest is not DEFLATE without a zlib or gzip wrapper (RFC 1951)")
	case len(out) > maxInflated:
		return nil, fmt.Errorf("the SAMLRequest inflates to more than %d bytes", maxInflated)
	case in.Len() > 0:
		return nil, errors.New("the SAMLRequest goes on after the end of its DEFLATE stream")
	}
	return out, nil
}

// readPost reads a message of the HTTP-POST binding (Bindings §3.5.4).
func readPost(f fields) (*message, error) {
	m := &message{binding: BindingPOST}
	for _, name := range []string{"SigAlg", "Signature", "SAMLEncoding"} {
		if _, there := f[name]; there {
			return nil, fmt.Errorf("HTTP-POST has no parameter %s", name)
		}
	}
	var err error
	if m.document, err = f.request(); err != nil {
		return nil, err
	}
	m.relayState, m.hasRelayState, err = f.relayState()
	return m, err
}

// clip makes a stranger's words fit into a sentence.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "�")
}
