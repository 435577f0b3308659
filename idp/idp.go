// Package idp holds the words of the house: the org and its people, the connected app and its installation, the
// session and the event, with the pure rules over them. It stores nothing and serves nothing.
//
//	org.go      Org, Scope and the other things an org declares by name
//	user.go     User and how names are compared
//	app.go      App, Release, Installation
//	session.go  Session, levels of sign-in
//	event.go    Event, Caller and the context that carries it
//	text.go     what a text, an address and the source of a value may be
package idp
