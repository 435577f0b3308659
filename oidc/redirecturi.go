package oidc

import (
	"net"
	"net/url"
	"strconv"
	"strings"
)

// redirectsTo tells if uri, as it was sent, is one that c is registered with. RFC 9700 §2.1: "authorization servers MUST
// utilize exact string matching except for port numbers in localhost redirection URIs of native apps". Bytes are
// compared, never a parsed form.
func (c *Client) redirectsTo(uri string) bool {
	for _, registered := range c.RedirectURIs {
		if uri == registered || c.Type == "native" && sameLoopback(registered, uri) {
			return true
		}
	}
	return false
}

// sameLoopback tells if two loopback addresses differ in nothing but their port. RFC 8252 §7.3: "The authorization
// server MUST allow any port to be specified at the time of the request for loopback IP redirect URIs"; RFC 9700 §2.1 counts
// localhost among them.
func sameLoopback(a, b string) bool {
	hostA, restA, okA := cutPort(a)
	hostB, restB, okB := cutPort(b)
	return okA && okB && hostA == hostB && restA == restB
}

// cutPort takes the port out of a loopback address.
func cutPort(uri string) (host, rest string, ok bool) {
	for _, h := range []string{"http://127.0.0.1", "http://[::1]", "http://localhost"} {
		if after, found := strings.CutPrefix(uri, h); found {
			host, rest = h, after
		}
	}
	if host == "" {
		return "", "", false
	}
	if after, found := strings.CutPrefix(rest, ":"); found {
		digits := len(after) - len(strings.TrimLeft(after, "0123456789"))
		if n, err := strconv.ParseUint(after[:digits], 10, 16); err != nil || n == 0 || after[0] == '0' {
			return "", "", false
		}
		rest = after[digits:]
	}
	return host, rest, rest == "" || rest[0] == '/' || rest[0] == '?'
}

const maxURI = 2048

// reserved is the parameters of an authorization response: in a registered query they would be there twice.
var reserved = []string{"code", "state", "iss", "error", "error_description", "error_uri", "access_token", "token_type",
	"expires_in", "scope", "id_token", "session_state", "response"}

// noApp is the schemes that are no app's own.
var noApp = map[string]bool{
	"about": true, "blob": true, "chrome": true, "chrome-extension": true, "data": true, "file": true, "filesystem": true,
	"ftp": true, "intent": true, "jar": true, "javascript": true, "mailto": true, "moz-extension": true, "resource": true,
	"sms": true, "tel": true, "urn": true, "vbscript": true, "view-source": true, "ws": true, "wss": true,
}

// CheckRedirectURI tells what is wrong with an address that answers are to be sent to, in words for whoever registers
// it; nil if nothing is. A native app may have a scheme of its own (RFC 8252 §7.1); anybody else is reached over https,
// or over http on the machine itself.
func CheckRedirectURI(uri string, native bool) error {
	u, why := ofClient(uri, native)
	if why == "" {
		why = clash(u, reserved...)
	}
	if why != "" {
		return &Error{Code: InvalidRedirectURI, Description: "redirect URI " + plain(clip(uri)) + ": " + why + "."}
	}
	return nil
}

// ofClient takes an address apart that a browser may be sent to for a client, or tells what is wrong with it.
func ofClient(uri string, native bool) (u *url.URL, why string) {
	u, why = outward(uri)
	if why != "" {
		return nil, why
	}
	switch {
	case u.Scheme == "https" || u.Scheme == "http":
		why = web(u)
	case !native:
		why = "only a native app has a scheme of its own"
	case noApp[u.Scheme]:
		why = "the scheme " + u.Scheme + " is no app's own"
	}
	return u, why
}

// outward takes an address apart that leads out of the house, if it is one of the plainest form: what two readers could
// read differently is refused.
func outward(uri string) (u *url.URL, why string) {
	if uri == "" {
		return nil, "it is empty"
	}
	if len(uri) > maxURI {
		return nil, "it is longer than 2048 bytes"
	}
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c > '~' || strings.IndexByte("\"*<>\\^`{|}", c) >= 0 {
			return nil, "it has a character that does not belong into an address"
		}
	}
	if strings.Contains(uri, "#") {
		return nil, "it has a fragment" // RFC 6749 §3.1.2: "The endpoint URI MUST NOT include a fragment component."
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return nil, "it can not be read"
	case u.Scheme == "" || !strings.HasPrefix(uri, u.Scheme+":"):
		return nil, "it does not begin with a scheme in lower case"
	case u.User != nil:
		return nil, "it has a user name"
	}
	return u, ""
}

// web tells what is wrong with an http or https address.
func web(u *url.URL) string {
	host := u.Hostname()
	_, badPort := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case u.Opaque != "" || host == "":
		return "it has no host"
	case strings.Contains(u.Host, "%"):
		return "its host is encoded"
	case strings.HasSuffix(u.Host, ":"), u.Port() != "" && badPort != nil:
		return "its port is none"
	case u.Scheme == "http" && !loopback(host):
		return "it is not https"
	}
	return ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// clash tells if the registered query already has a parameter that the answer adds.
func clash(u *url.URL, reserved ...string) string {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "its query can not be read"
	}
	for _, name := range reserved {
		if query.Has(name) {
			return "its query has the parameter " + name + ", which belongs to the answer"
		}
	}
	return ""
}

// with returns uri with more parameters behind what it has, which stays as it is, byte for byte.
func with(uri string, more url.Values) string {
	switch {
	case !strings.Contains(uri, "?"):
		uri += "?"
	case !strings.HasSuffix(uri, "?") && !strings.HasSuffix(uri, "&"):
		uri += "&"
	}
	return uri + more.Encode()
}
