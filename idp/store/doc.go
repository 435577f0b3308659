// Package store holds everything Lanyard remembers, in SQLite (one file, one server) or PostgreSQL (any number of nodes).
// All SQL of the product is here; both databases get the same text.
//
//	open.go       Config, Open, Close; which of the two databases
//	query.go      reading: Reader, Row, One, All, and what may be passed to a query
//	write.go      Write and Tx: one step, one transaction
//	sqlite.go     SQLite: its files, its readers, and how they are opened; liteconn.go one connection
//	writer.go     SQLite's one writer, which lets all that wait share a commit
//	postgres.go   PostgreSQL: its pool, and transactions that run again when they collide; pgsession.go what runs on a connection
//	errors.go     the errors, and which of them a database's own error is
//	migrate.go    migrations/*.sql, all that are pending in one transaction under a lock
//	change.go     the table change: which definitions altered, on any node; Ready
//	cache.go      Cached: definitions by key, dropped when they alter
//	clock.go      the time that nodes share, and the one by which things are deleted
//	sweep.go      deleting what is dead, a little at a time
//	flood.go      what strangers may have remembered
//	orphans.go    deleting consents of apps that are gone
//	id.go         ids that sort by the time they were made
//	stats.go      what was written, told and turned away, counted
//	lock_*.go     one server on one SQLite file
//	backup.go     a copy of an SQLite file while it is used; restore.go putting it back, and ending what was given before
//	checkup.go    what doctor asks of the database; room_*.go how much room the disk has
//
// On these stand the views, each for its room:
//
//	house.go      what of the house is kept in caches, and Taken, the name that somebody else has
//	orgs.go       orgs
//	people.go     users; admins.go the last administrator stays; named.go groups, profiles, permission sets, scopes; persistent.go pairwise NameIDs
//	apps.go       connected apps as they are read; apps_put.go as they are changed; apps_grants.go what was given them
//	keys.go       signing keys
//	events.go     what happened; refusals.go the queue of what was refused
//	signin.go     sessions, browsers, guesses, consents; links.go what one signs in or sets up by, once
//	saml.go       what SAML remembers
//	oidc.go       what OAuth remembers; grants.go grants and tokens; children.go clients that register themselves
//
// A text of SQL for both: $1, $2, …; ON CONFLICT; RETURNING; TEXT, BIGINT, BYTEA, BOOLEAN. Times are microseconds since 1970, made
// by Go: a time.Time is passed and scanned as it is, and 0 is the zero time. Ids are made by Go. A BYTEA column is never passed a Go
// string: SQLite would keep it as text, or even as a number. An empty BYTEA may be read back as nil. No SELECT *: a
// newer node may have added a column. Texts other than ids are sorted in Go, because databases differ in how they compare letters.
package store
