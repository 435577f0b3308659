// Package api is how an org is declared: documents in YAML (JSON is YAML too), one representation of a thing everywhere.
//
//	schema.go    the kinds of document, key by key
//	decode.go    from text to documents, with the line of every fault
package api
