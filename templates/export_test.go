package templates

import "bytes"

// What the tests beside this package need to see of it.

// Device says in words which browser a User-Agent is.
func Device(agent string) string { return device("en", agent) }

// The ways in which a stranger's words are shown.
var (
	Name     = name
	Initials = initials
	Tint     = tint
)

// Posts are what p's template makes of it, and what is sent.
func Posts(p AutoPost) (template, sent string) {
	v := view{Page: p, Lang: "en", File: "autopost", Nonce: "NONCE", base: "/sso"}
	var whole, cut bytes.Buffer
	render(&whole, v)
	p.write(&cut, v)
	return whole.String(), cut.String()
}
