package store

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
)

// Events is what changed, admitted or refused.
type Events struct{ s *Store }

// Events returns the view of what happened.
func (s *Store) Events() Events { return Events{s} }

// Event writes ev in the step that it tells of. What ev leaves open (ID, Time, IP, Reference, Actor, Outcome ok) is
// filled from the clock and the caller that ctx carries.
func (tx *Tx) Event(ctx context.Context, ev idp.Event) error {
	tx.store.fill(ctx, &ev)
	if ev.Outcome == "" {
		ev.Outcome = idp.OK
	}
	tx.told = append(tx.told, Told{ev.Code, ev.Outcome})
	return putEvent(tx, ev)
}

// fill adds what the event leaves open and holds every text to what a database can keep and a page can show.
func (s *Store) fill(ctx context.Context, ev *idp.Event) {
	caller := idp.CallerOf(ctx)
	if ev.ID == "" {
		ev.ID = s.newID()
	}
	if ev.Time.IsZero() {
		ev.Time = s.Now()
	}
	if ev.IP == "" && caller.IP.IsValid() {
		ev.IP = caller.IP.String()
	}
	if ev.Reference == "" {
		ev.Reference = caller.Reference
	}
	if ev.Actor == "" {
		ev.Actor = caller.Actor
	}
	const most = 1000 // bytes: reasons quote what strangers sent
	for _, t := range []*string{&ev.Code, &ev.User, &ev.App, &ev.IP, &ev.Reason, &ev.Reference, &ev.Actor} {
		*t = plainText(*t, most)
	}
}

// plainText is s without control characters and broken UTF-8 (PostgreSQL takes no U+0000), at most so many bytes.
func plainText(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// newReference is what a refusal is found by where no request gave one.
func newReference() string {
	const letters = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789" // 32 of [A-Z0-9], none like another
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	for i := range b {
		b[i] = letters[b[i]&31]
	}
	return string(b)
}

// putEvent writes ev. Written again it only tells more: the count of a summary.
func putEvent(tx *Tx, ev idp.Event) error {
	return tx.Do(`INSERT INTO event (id, org, at, code, usr, app, ip, outcome, reason, reference, actor)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (id) DO UPDATE SET usr = $5, app = $6, ip = $7, reason = $9`,
		ev.ID, ev.Org, ev.Time, ev.Code, ev.User, ev.App, ev.IP, ev.Outcome, ev.Reason, ev.Reference, ev.Actor)
}

// EventFilter says which events; what is empty does not matter.
type EventFilter struct {
	App, User string // ids
	Code      string
	Reference string
	Since     time.Time
	Before    string // an event's id: only those before it, for the next page
	Limit     int    // 0: 100
}

// List returns events, the newest first, with the user's username and the app's API name where these still exist. Ids
// stay where they do not.
func (e Events) List(ctx context.Context, org string, f EventFilter) ([]idp.Event, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	where, args := "e.org = $1", []any{org}
	if f.App == "" && f.User == "" && f.Reference == "" {
		where = "e.org || '' = $1" // no index on it: the newest lie at the end of the table, and SQLite would sort all of the org
	}
	and := func(condition string, v any) {
		args = append(args, v)
		where += " AND " + condition + placeholder(len(args))
	}
	for _, c := range []struct{ condition, value string }{
		{"e.app = ", f.App}, {"e.usr = ", f.User}, {"e.code = ", f.Code}, {"e.reference = ", f.Reference}, {"e.id < ", f.Before},
	} {
		if c.value != "" {
			and(c.condition, c.value)
		}
	}
	if !f.Since.IsZero() {
		and("e.at >= ", f.Since)
	}
	args = append(args, f.Limit)
	return All(e.s.Read(ctx), func(r Row) (ev idp.Event, err error) {
		ev.Org = org
		err = r.Scan(&ev.ID, &ev.Time, &ev.Code, &ev.User, &ev.App, &ev.IP, &ev.Outcome, &ev.Reason, &ev.Reference, &ev.Actor)
		return ev, err
	}, `SELECT e.id, e.at, e.code, COALESCE(u.username, e.usr), COALESCE(a.api_name, e.app), e.ip, e.outcome, e.reason, e.reference, e.actor
		FROM event e LEFT JOIN usr u ON u.org = e.org AND u.id = e.usr LEFT JOIN app a ON a.org = e.org AND a.id = e.app
		WHERE `+where+` ORDER BY e.id DESC LIMIT `+placeholder(len(args)), args...)
}
