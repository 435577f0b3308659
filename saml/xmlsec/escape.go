package xmlsec

// appendText appends s as the text of an element (C14N §2.3).
func appendText(dst []byte, s string) []byte {
	from := 0
	for i := range len(s) {
		var r string
		switch s[i] {
		case '&':
			r = "&amp;"
		case '<':
			r = "&lt;"
		case '>':
			r = "&gt;"
		case '\r':
			r = "&#xD;"
		default:
			continue
		}
		dst = append(append(dst, s[from:i]...), r...)
		from = i + 1
	}
	return append(dst, s[from:]...)
}

// appendValue appends s as the value of an attribute, without its quotes (C14N §2.3).
func appendValue(dst []byte, s string) []byte {
	from := 0
	for i := range len(s) {
		var r string
		switch s[i] {
		case '&':
			r = "&amp;"
		case '<':
			r = "&lt;"
		case '"':
			r = "&quot;"
		case '\t':
			r = "&#x9;"
		case '\n':
			r = "&#xA;"
		case '\r':
			r = "&#xD;"
		default:
			continue
		}
		dst = append(append(dst, s[from:i]...), r...)
		from = i + 1
	}
	return append(dst, s[from:]...)
}

// appendDecl appends a namespace declaration.
func appendDecl(dst []byte, prefix, uri string) []byte {
	dst = append(dst, " xmlns"...)
	if prefix != "" {
		dst = append(append(dst, ':'), prefix...)
	}
	dst = append(dst, `="`...)
	return append(appendValue(dst, uri), '"')
}

// appendQName appends a name as it is written.
func appendQName(dst []byte, prefix, local string) []byte {
	if prefix != "" {
		dst = append(append(dst, prefix...), ':')
	}
	return append(dst, local...)
}
