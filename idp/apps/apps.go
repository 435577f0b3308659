// Package apps is the life of a connected app: the operations that the API, the console and the command line share. Each
// is one call, one transaction and one event.
//
//	apps.go      make, change and delete an app; block it, install it, change its secret
//	check.go     what a whole app and its policy may be, every fault with the path of its key in a declaration
//	name.go      API names, client ids and secrets that are made here
//	permit.go    who may use an app, as one word of the command line
//	handout.go   everything the other side asks for
//	gateway.go   the initial access tokens of a gateway's app
//	explain.go   why a person may or may not use an app
//
// What takes a *store.Tx is a part of somebody else's step; the rest are steps of their own.
package apps
