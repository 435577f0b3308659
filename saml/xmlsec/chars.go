package xmlsec

import (
	"strings"
	"unicode/utf8"
)

// illegal returns the offset of the first byte of s that XML 1.0 §2.2 does not let a document hold (invalid UTF-8
// included), or -1.
func illegal(s string) int {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
				return i
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n <= 1 || r == 0xFFFE || r == 0xFFFF {
			return i
		}
		i += n
	}
	return -1
}

// isChar is the production Char of XML 1.0 §2.2.
func isChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 && r <= 0x10FFFF
}

// isNameStart is the production NameStartChar of XML 1.0 §2.3 without the colon, which Namespaces §3 takes out, and
// without the byte-order mark, which nobody sees.
func isNameStart(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
	case r <= 0x2FF:
		return r >= 0xC0 && r != 0xD7 && r != 0xF7
	case r <= 0x1FFF:
		return r >= 0x370 && r != 0x37E
	case r <= 0xD7FF:
		return r == 0x200C || r == 0x200D || r >= 0x2070 && r <= 0x218F || r >= 0x2C00 && r <= 0x2FEF || r >= 0x3001
	}
	return r >= 0xF900 && r <= 0xFDCF || r >= 0xFDF0 && r <= 0xFFFD && r != '\uFEFF' || r >= 0x10000 && r <= 0xEFFFF
}

// isNamePart is the production NameChar of XML 1.0 §2.3 without the colon.
func isNamePart(r rune) bool {
	return isNameStart(r) || r >= '0' && r <= '9' || r == '-' || r == '.' || r == 0xB7 || r >= 0x300 && r <= 0x36F || r == 0x203F || r == 0x2040
}

// isNCName is the production NCName of Namespaces §3.
func isNCName(s string) bool {
	for i, r := range s {
		if r == utf8.RuneError || !isNamePart(r) || i == 0 && !isNameStart(r) {
			return false
		}
	}
	return s != ""
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func blank(s string) bool { return strings.Trim(s, " \t\r\n") == "" }

// isAbsolute tells if s may name a namespace: a URI with a scheme (RFC 3986 §3.1), in the characters of RFC 3986 §2.
// Canonicalizers fail on anything else (C14N §1.3: relative namespace URIs), and a failed canonicalization whose empty
// output is digested is a signature over nothing. Brackets and & are left out: libxml2 minds the first and does not
// escape the second.
func isAbsolute(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || scheme == "" || strings.Count(s, "#") > 1 {
		return false
	}
	for i := range len(scheme) {
		if c := scheme[i]; !isLetter(c) && (i == 0 || !isDigit(c) && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	if authority, has := strings.CutPrefix(rest, "//"); has && !isAuthority(authority) {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case isLetter(c), isDigit(c), strings.IndexByte("-._~:/?#@!$'()*+,;=", c) >= 0:
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
		default:
			return false
		}
	}
	return true
}

// isAuthority tells if s begins with an authority (RFC 3986 §3.2): one @ at most, and a port in digits where there is a
// colon. RFC 3986 lets the port be empty or as long as it likes; libxml2 does not.
func isAuthority(s string) bool {
	if end := strings.IndexAny(s, "/?#"); end >= 0 {
		s = s[:end]
	}
	if _, host, found := strings.Cut(s, "@"); found {
		s = host
	}
	_, port, found := strings.Cut(s, ":")
	if strings.Contains(s, "@") || found && (port == "" || len(port) > 5) {
		return false
	}
	for i := range len(port) {
		if !isDigit(port[i]) {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isHex(c byte) bool    { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// clip makes a stranger's name fit into a sentence.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	n := most
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
