package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
)

// SignIn is what idp/signin remembers: sessions, browsers, failures, consents, links.
type SignIn struct{ s *Store }

// SignIn returns the view of the person at the browser.
func (s *Store) SignIn() SignIn { return SignIn{s} }

// sessionDoc is what no query looks into.
type sessionDoc struct {
	Started time.Time `json:"started"`
	Level   int       `json:"level"`
	AMR     []string  `json:"amr"`
	Salt    string    `json:"salt"`
	IP      string    `json:"ip"`
	Agent   string    `json:"agent"`
}

const sessionColumns = `s.org, s.id, s.usr, s.hash, s.auth_time, s.seen, s.expires, s.doc`

// sessionRow scans sessionColumns and what else stands behind them.
func sessionRow(r Row, more ...any) (*idp.Session, []byte, error) {
	var s idp.Session
	var hash []byte
	var doc string
	dest := append([]any{&s.Org, &s.ID, &s.User, &hash, &s.AuthTime, &s.Seen, &s.Expires, &doc}, more...)
	if err := r.Scan(dest...); err != nil {
		return nil, nil, err
	}
	var d sessionDoc
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		return nil, nil, err
	}
	s.Started, s.Level, s.AMR, s.Salt, s.IP, s.Agent = d.Started, d.Level, d.AMR, d.Salt, d.IP, d.Agent
	return &s, hash, nil
}

// A session is alive while the epochs it was made under are the present ones. Whether it is idle or too old is asked by
// whoever reads it, with the org's own limits.
const sessionJoin = ` FROM session s JOIN usr u ON u.org = s.org AND u.id = s.usr JOIN org o ON o.id = s.org
	WHERE s.usr_epoch = u.epoch AND s.org_epoch = o.epoch AND s.org = $1`

// Session reads a living session with its user and the hash of its secret, or ErrNotFound.
func (v SignIn) Session(ctx context.Context, org, id string) (*idp.Session, []byte, *idp.User, error) {
	var u userScan
	s, hash, err := sessionRow(v.s.Read(ctx).QueryRow(`SELECT `+sessionColumns+`, `+userColumns+sessionJoin+` AND s.id = $2`, org, id), u.dest()...)
	if err != nil {
		return nil, nil, nil, err
	}
	user, err := u.user()
	return s, hash, user, err
}

// Sessions lists the living sessions of a user that have not reached their absolute end, the newest first.
func (v SignIn) Sessions(ctx context.Context, org, usr string) ([]*idp.Session, error) {
	all, err := All(v.s.Read(ctx), func(r Row) (*idp.Session, error) {
		s, _, err := sessionRow(r)
		return s, err
	}, `SELECT `+sessionColumns+sessionJoin+` AND s.usr = $2 AND s.expires > $3 ORDER BY s.id DESC LIMIT 500`, org, usr, v.s.Now())
	return all, err
}

// Touch writes a session's last use.
func (v SignIn) Touch(ctx context.Context, org, id string, seen time.Time) error {
	return v.s.Write(ctx, func(tx *Tx) error {
		return tx.Do(`UPDATE session SET seen = $3 WHERE org = $1 AND id = $2 AND seen < $3`, org, id, seen)
	})
}

// Proof is a successful sign-in and all that goes with it.
type Proof struct {
	Session  *idp.Session // ID empty: a new session; else the same person's session goes on
	Hash     []byte       // SHA-256 of its new secret
	Replaces string       // the session this browser had before; ended if it is another one
	Browser  []byte       // hash of the browser's secret: known for this user from now on
	Throttle []string     // the counts of this attempt, taken back
	Rehash   string       // the password hashed anew, stored if it is still Was
	Was      string
	Changes  bool   // Rehash is another password: it must still be Was, and all other sessions of the user end
	Link     string // id of the sign-in link that is spent for it
	Code     string // of the event
	App      string // on the way to it; empty: this house
}

// Start makes or renews the session of p and sets its ID. ErrGone: the user is gone or inactive, the session has ended,
// or the password to change is another one by now.
func (v SignIn) Start(ctx context.Context, p Proof) error {
	s := p.Session
	doc, err := json.Marshal(sessionDoc{s.Started, s.Level, s.AMR, s.Salt, s.IP, s.Agent})
	if err != nil {
		return err
	}
	id := s.ID
	if id == "" {
		id = v.s.NewID()
	}
	err = v.s.Write(ctx, func(tx *Tx) error {
		var orgEpoch, usrEpoch int64
		err := tx.QueryRow(`SELECT o.epoch, u.epoch FROM usr u JOIN org o ON o.id = u.org WHERE u.org = $1 AND u.id = $2 AND u.active AND NOT u.service`,
			s.Org, s.User).Scan(&orgEpoch, &usrEpoch)
		if errors.Is(err, ErrNotFound) {
			return ErrGone
		}
		if err != nil {
			return err
		}
		if p.Link != "" {
			if err := tx.takeSignInLink(s.Org, p.Link, s.User, orgEpoch, usrEpoch); err != nil {
				return err
			}
		}
		if s.ID == "" {
			_, err = tx.Exec(`INSERT INTO session (org, id, hash, usr, org_epoch, usr_epoch, auth_time, seen, expires, doc)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
				s.Org, id, p.Hash, s.User, orgEpoch, usrEpoch, s.AuthTime, s.Seen, s.Expires, string(doc))
		} else {
			err = tx.Gate(`UPDATE session SET hash = $3, org_epoch = $5, usr_epoch = $6, auth_time = $7, seen = $8, expires = $9, doc = $10
				WHERE org = $1 AND id = $2 AND usr = $4`,
				s.Org, id, p.Hash, s.User, orgEpoch, usrEpoch, s.AuthTime, s.Seen, s.Expires, string(doc))
		}
		if err != nil {
			return err
		}
		if p.Replaces != "" && p.Replaces != id {
			if err := endSession(tx, s.Org, p.Replaces); err != nil {
				return err
			}
		}
		if p.Browser != nil {
			if err := tx.Do(`INSERT INTO browser (org, hash, usr, seen) VALUES ($1, $2, $3, $4)
				ON CONFLICT (org, hash, usr) DO UPDATE SET seen = $4`, s.Org, p.Browser, s.User, s.Seen); err != nil {
				return err
			}
		}
		for _, name := range p.Throttle {
			// Many people share an address: a success takes back its own attempt there and the wait that it began, not
			// everybody's failures.
			q := `DELETE FROM throttle WHERE org = $1 AND name = $2`
			if strings.HasPrefix(name, "address:") {
				q = `UPDATE throttle SET failures = failures - 1, until = 0 WHERE org = $1 AND name = $2 AND failures > 0`
			}
			if err := tx.Do(q, s.Org, name); err != nil {
				return err
			}
		}
		switch {
		case p.Changes:
			if err := tx.Gate(`UPDATE usr SET password = $3, changed = $5 WHERE org = $1 AND id = $2 AND password = $4`,
				s.Org, s.User, p.Rehash, p.Was, v.s.Now()); err != nil {
				return err
			}
			if _, err := endOthers(tx, s.Org, s.User, id); err != nil {
				return err
			}
		case p.Rehash != "":
			if err := tx.Do(`UPDATE usr SET password = $3 WHERE org = $1 AND id = $2 AND password = $4`, s.Org, s.User, p.Rehash, p.Was); err != nil {
				return err
			}
		}
		return tx.Event(ctx, idp.Event{Org: s.Org, Code: p.Code, User: s.User, App: p.App, Outcome: idp.OK})
	})
	if err == nil {
		s.ID = id
	}
	return err
}

func endSession(tx *Tx, org, id string) error {
	for _, q := range []string{
		`DELETE FROM session WHERE org = $1 AND id = $2`,
		`DELETE FROM participant WHERE org = $1 AND session = $2`,
	} {
		if err := tx.Do(q, org, id); err != nil {
			return err
		}
	}
	return nil
}

// End ends a session of that user, as app asked or, where that is empty, they themself or an admin. Ending what is ended
// is no error. What the session gave its apps lives on, but for codes that were not redeemed yet: an app that may act for
// its person while they are away does so until they, or an admin, take that back.
func (v SignIn) End(ctx context.Context, org, id, usr, app string) error {
	return v.s.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(`DELETE FROM session WHERE org = $1 AND id = $2 AND usr = $3`, org, id, usr)
		if err != nil || n == 0 {
			return err
		}
		if err := endSession(tx, org, id); err != nil {
			return err
		}
		return tx.Event(ctx, idp.Event{Org: org, Code: "SignOut", User: usr, App: app, Outcome: idp.OK})
	})
}

// EndOthers ends all sessions of the user but keep, which may be empty.
func (v SignIn) EndOthers(ctx context.Context, org, usr, keep string) error {
	return v.s.Write(ctx, func(tx *Tx) error {
		n, err := endOthers(tx, org, usr, keep)
		if err != nil || n == 0 {
			return err
		}
		return tx.Event(ctx, idp.Event{Org: org, Code: "SignOutOthers", User: usr, Outcome: idp.OK})
	})
}

func endOthers(tx *Tx, org, usr, keep string) (n int64, err error) {
	if err := tx.Do(`DELETE FROM participant WHERE org = $1 AND session <> $3
		AND session IN (SELECT id FROM session WHERE org = $1 AND usr = $2)`, org, usr, keep); err != nil {
		return 0, err
	}
	return tx.Exec(`DELETE FROM session WHERE org = $1 AND usr = $2 AND id <> $3`, org, usr, keep)
}

// Known tells if the user has signed in at that browser before.
func (v SignIn) Known(ctx context.Context, org string, browser []byte, usr string) (bool, error) {
	var one int64
	err := v.s.Read(ctx).QueryRow(`SELECT seen FROM browser WHERE org = $1 AND hash = $2 AND usr = $3`, org, browser, usr).Scan(&one)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Limit is one count that an attempt is held to.
type Limit struct {
	Name   string
	Free   int64         // failures before waiting begins
	Window time.Duration // failures older than this are forgotten
	Most   time.Duration // the longest wait
}

type throttled time.Duration

func (throttled) Error() string { return "store: throttled" }

// Attempt counts one attempt under every limit before its outcome is known. wait > 0: one of them has been reached, and
// nothing was counted. Of attempts at once, on any nodes, each sees those before it: counting is what locks the row.
func (v SignIn) Attempt(ctx context.Context, org string, limits []Limit) (wait time.Duration, err error) {
	now := v.s.Now()
	err = v.s.Write(ctx, func(tx *Tx) error {
		for _, l := range limits {
			var failures int64
			var until time.Time
			err := tx.QueryRow(`INSERT INTO throttle (org, name, failures, since, until) VALUES ($1, $2, 1, $3, 0)
				ON CONFLICT (org, name) DO UPDATE SET
					failures = CASE WHEN throttle.since < $4 THEN 1 ELSE throttle.failures + 1 END,
					since = CASE WHEN throttle.since < $4 THEN $3 ELSE throttle.since END
				RETURNING failures, until`, org, l.Name, now, now.Add(-l.Window)).Scan(&failures, &until)
			if err != nil {
				return err
			}
			if until.After(now) {
				return throttled(until.Sub(now)) // and all that was counted is undone
			}
			if failures < l.Free {
				continue
			}
			pause := l.Most
			if n := failures - l.Free; n < 20 {
				pause = min(l.Most, time.Second<<n)
			}
			if err := tx.Do(`UPDATE throttle SET until = $3 WHERE org = $1 AND name = $2`, org, l.Name, now.Add(pause)); err != nil {
				return err
			}
		}
		return nil
	})
	var t throttled
	if errors.As(err, &t) {
		return time.Duration(t), nil
	}
	return 0, err
}

// Consent reads what the user agreed to for the app, and when last, or ErrNotFound.
func (v SignIn) Consent(ctx context.Context, org, usr, app string) (scopes []string, given time.Time, err error) {
	var list string
	err = v.s.Read(ctx).QueryRow(`SELECT scopes, given FROM consent WHERE org = $1 AND usr = $2 AND app = $3`, org, usr, app).Scan(&list, &given)
	return strings.Fields(list), given, err
}

// Consents lists what the user agreed to, the newest first.
func (v SignIn) Consents(ctx context.Context, org, usr string) ([]idp.Consent, error) {
	return All(v.s.Read(ctx), func(r Row) (c idp.Consent, err error) {
		var list string
		err = r.Scan(&c.App, &list, &c.Given)
		c.Scopes = strings.Fields(list)
		return c, err
	}, `SELECT app, scopes, given FROM consent WHERE org = $1 AND usr = $2 ORDER BY given DESC, app LIMIT 500`, org, usr)
}

// PutConsent adds scopes to what the user agreed to for the app.
func (v SignIn) PutConsent(ctx context.Context, org, usr, app string, scopes []string, now time.Time) error {
	return v.s.Write(ctx, func(tx *Tx) error {
		var list string
		err := tx.QueryRow(`SELECT scopes FROM consent WHERE org = $1 AND usr = $2 AND app = $3`, org, usr, app).Scan(&list)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		all := strings.Fields(list)
		for _, s := range scopes {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
		if err := tx.Do(`INSERT INTO consent (org, usr, app, scopes, given) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (org, usr, app) DO UPDATE SET scopes = $4, given = $5`, org, usr, app, strings.Join(all, " "), now); err != nil {
			return err
		}
		return tx.Event(ctx, idp.Event{Org: org, Code: "OauthConsent", User: usr, App: app, Outcome: idp.OK, Reason: strings.Join(scopes, " ")})
	})
}

const linkSetup = "setup"

// Link reads the hash of a living set-up link's secret, or ErrNotFound.
func (v SignIn) Link(ctx context.Context, org, id string) (hash []byte, err error) {
	err = v.s.Read(ctx).QueryRow(`SELECT hash FROM link WHERE org = $1 AND id = $2 AND kind = $3 AND expires > $4`,
		org, id, linkSetup, v.s.Now()).Scan(&hash)
	return hash, err
}

// TakeSetupLink spends a set-up link in the step that makes the first administrator. ErrGone: somebody was first.
func (tx *Tx) TakeSetupLink(org, id string) error {
	return tx.Gate(`DELETE FROM link WHERE org = $1 AND id = $2 AND kind = $3`, org, id, linkSetup)
}
