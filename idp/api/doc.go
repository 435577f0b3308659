// Package api is how an org is declared: documents in YAML (JSON is YAML too), one representation of a thing everywhere.
//
//	schema.go    the kinds of document, key by key
//	decode.go    from text to documents, with the line of every fault
//	values.go    values with a form of their own: durations, days, one or several texts
//	suggest.go   did you mean
//	encode.go    and back
//	build.go     from documents to what the store keeps
//	show.go      and back
//	apply.go     making an org what documents say, in one step; apply_user.go, apply_app.go, prune.go
//	plan.go      what that changes, told before and after
//	export.go    the documents of what an org has
package api
