package store

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/oidc"
)

// grantDoc is what no query looks into.
type grantDoc struct {
	Client   string    `json:"client"`
	SID      string    `json:"sid,omitempty"`
	Kind     string    `json:"kind"`
	Scopes   []string  `json:"scopes"`
	AuthTime time.Time `json:"auth_time,omitzero"`
	ACR      string    `json:"acr,omitempty"`
	AMR      []string  `json:"amr,omitempty"`
	Family   []byte    `json:"family,omitempty"`
}

const grantColumns = `g.id, g.app, g.usr, g.session, g.generation, g.hash, g.previous, g.successor, g.rotated, g.unused, g.absolute, g.created, g.last_used, g.doc`

// livingGrant joins a grant g with its holder u, as long as both are alive: the epochs it was made under are the present
// ones, and no end of its own is reached. $1 is the org, $3 now.
const livingGrant = ` grants g
	JOIN org o ON o.id = g.org AND o.epoch = g.org_epoch
	JOIN usr u ON u.org = g.org AND u.id = g.usr AND u.epoch = g.usr_epoch
	JOIN app a ON a.org = g.org AND a.id = g.app AND a.epoch = g.app_epoch
	LEFT JOIN installation i ON i.org = g.org AND i.app = g.app`

const livingWhere = ` AND COALESCE(i.epoch, -1) = g.installation_epoch AND (g.unused = 0 OR g.unused > $3) AND (g.absolute = 0 OR g.absolute > $3)`

// grantScan takes a row of grantColumns and userColumns.
type grantScan struct {
	g    oidc.Grant
	text string
	user userScan
}

func (s *grantScan) dest() []any {
	g := &s.g
	return append([]any{&g.ID, &g.App, &g.User, &g.Session, &g.Generation, &g.Hash, &g.Previous, &g.Successor, &g.Rotated, &g.Unused, &g.Absolute,
		&g.Created, &g.LastUsed, &s.text}, s.user.dest()...)
}

func (s *grantScan) grant() (*oidc.Grant, error) {
	var d grantDoc
	if err := json.Unmarshal([]byte(s.text), &d); err != nil {
		return nil, err
	}
	u, err := s.user.user()
	g := &s.g
	g.Client, g.SID, g.Kind, g.Scopes, g.AuthTime, g.ACR, g.AMR, g.Family = d.Client, d.SID, d.Kind, d.Scopes, d.AuthTime, d.ACR, d.AMR, d.Family
	g.Holder = u
	return g, err
}

// Grant reads a living grant by id with its Holder, a *idp.User.
func (v OIDC) Grant(ctx context.Context, org, id string) (*oidc.Grant, error) {
	var s grantScan
	err := v.s.Read(ctx).QueryRow(`SELECT `+grantColumns+`, `+userColumns+` FROM`+livingGrant+
		` WHERE g.org = $1 AND g.id = $2`+livingWhere, org, id, v.s.Now()).Scan(s.dest()...)
	if err != nil {
		return nil, protocol(err)
	}
	return s.grant()
}

var livingToken = `SELECT t.hash, t.scopes, t.created, t.expires, ` + grantColumns + `, ` + userColumns +
	` FROM token t JOIN` + strings.Replace(livingGrant, "grants g", "grants g ON g.org = t.org AND g.id = t.grant_id", 1) +
	` WHERE t.org = $1 AND t.id = $2 AND t.expires > $3` + livingWhere

// Token reads a living access token by id with its living grant and Holder, a *idp.User, in one query.
func (v OIDC) Token(ctx context.Context, org, id string) (*oidc.Token, *oidc.Grant, error) {
	t := oidc.Token{ID: id}
	var s grantScan
	var scopes string
	err := v.s.Read(ctx).QueryRow(livingToken, org, id, v.s.Now()).
		Scan(append([]any{&t.Hash, &scopes, &t.Created, &t.Expires}, s.dest()...)...)
	if err != nil {
		return nil, nil, protocol(err)
	}
	g, err := s.grant()
	t.Grant, t.Scopes = s.g.ID, strings.Fields(scopes)
	return &t, g, err
}

// Redeem spends the code of that id and stores what it became.
func (v OIDC) Redeem(ctx context.Context, org, code string, i oidc.Issue) error {
	return spent(v.s.Write(ctx, func(tx *Tx) error {
		var text string
		err := tx.QueryRow(`UPDATE code SET redeemed = $3 WHERE org = $1 AND id = $2 AND redeemed <> $3 RETURNING doc`, org, code, true).Scan(&text)
		if errors.Is(err, ErrNotFound) {
			return ErrGone
		}
		if err != nil {
			return err
		}
		var made codeDoc
		if err := json.Unmarshal([]byte(text), &made); err != nil {
			return err
		}
		now, err := addGrant(tx, org, i)
		if err != nil {
			return err
		}
		if now != made.Epochs {
			return ErrNotFound // everything from before was ended meanwhile, if only for a moment
		}
		return issued(ctx, tx, org, i)
	}))
}

// AddGrant stores a grant that needs no code, with its token.
func (v OIDC) AddGrant(ctx context.Context, org string, i oidc.Issue) error {
	return protocol(v.s.Write(ctx, func(tx *Tx) error {
		if _, err := addGrant(tx, org, i); err != nil {
			return err
		}
		return issued(ctx, tx, org, i)
	}))
}

// epochs are those that a grant is made under.
type epochs struct {
	Org          int64 `json:"org"`
	User         int64 `json:"user"`
	App          int64 `json:"app"`
	Installation int64 `json:"installation"`
}

// presentEpochs follows a SELECT of the epochs that a grant of user $2 to app $3 in org $1 is made under; no row: one of them is gone.
const (
	epochColumns  = `o.epoch, u.epoch, a.epoch, COALESCE(i.epoch, -1)`
	presentEpochs = ` FROM org o
		JOIN usr u ON u.org = o.id AND u.id = $2
		JOIN app a ON a.org = o.id AND a.id = $3
		LEFT JOIN installation i ON i.org = o.id AND i.app = a.id
		WHERE o.id = $1`
)

func (e *epochs) dest() []any { return []any{&e.Org, &e.User, &e.App, &e.Installation} }

// addGrant inserts the grant under the present epochs, and returns them. ErrNotFound: its person or app is gone.
func addGrant(tx *Tx, org string, i oidc.Issue) (now epochs, err error) {
	g := i.Grant
	doc, err := json.Marshal(grantDoc{g.Client, g.SID, g.Kind, g.Scopes, g.AuthTime, g.ACR, g.AMR, g.Family})
	if err != nil {
		return now, err
	}
	err = tx.QueryRow(`INSERT INTO grants (org, usr, app, org_epoch, usr_epoch, app_epoch, installation_epoch, id, session,
			generation, hash, previous, successor, rotated, unused, absolute, created, last_used, ends, doc)
		SELECT $1, $2, $3, `+epochColumns+`, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16`+presentEpochs+`
		RETURNING org_epoch, usr_epoch, app_epoch, installation_epoch`,
		org, g.User, g.App, g.ID, g.Session,
		g.Generation, null(g.Hash), null(g.Previous), null(g.Successor), g.Rotated, g.Unused, g.Absolute, g.Created, g.LastUsed, ends(i), string(doc)).
		Scan(now.dest()...)
	return now, err
}

// ends is when nothing of the grant can be alive any more.
func ends(i oidc.Issue) time.Time {
	end := i.Token.Expires
	if i.Grant.Generation > 0 && i.Grant.Unused.After(end) {
		end = i.Grant.Unused
	}
	if a := i.Grant.Absolute; !a.IsZero() && a.Before(end) {
		end = a
	}
	return end
}

// issued stores the token and tells of it.
func issued(ctx context.Context, tx *Tx, org string, i oidc.Issue) error {
	t := i.Token
	if err := tx.Do(`INSERT INTO token (org, id, hash, grant_id, scopes, created, expires) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		org, t.ID, t.Hash, t.Grant, strings.Join(t.Scopes, " "), t.Created, t.Expires); err != nil {
		return err
	}
	if err := tx.TouchUsed(org, i.Grant.App); err != nil {
		return err
	}
	return tx.Event(ctx, idp.Event{
		Org: org, Code: i.Event, User: i.Grant.User, App: i.Grant.App, Actor: i.Grant.Client, Reason: strings.Join(t.Scopes, " "),
	})
}

// Turn stores the grant's next generation, if the grant still has generation from, with its token.
func (v OIDC) Turn(ctx context.Context, org string, from int64, i oidc.Issue) error {
	g := i.Grant
	return spent(v.s.Write(ctx, func(tx *Tx) error {
		if err := tx.Gate(`UPDATE grants SET generation = $4, hash = $5, previous = $6, successor = $7, rotated = $8, unused = $9, last_used = $10, ends = $11
			WHERE org = $1 AND id = $2 AND generation = $3`,
			org, g.ID, from, g.Generation, g.Hash, null(g.Previous), null(g.Successor), g.Rotated, g.Unused, g.LastUsed, ends(i)); err != nil {
			return err
		}
		return issued(ctx, tx, org, i)
	}))
}

// Renew stores a token for a grant whose refresh token stays, and its new end.
func (v OIDC) Renew(ctx context.Context, org string, i oidc.Issue) error {
	g := i.Grant
	err := v.s.Write(ctx, func(tx *Tx) error {
		if err := tx.Gate(`UPDATE grants SET unused = $3, last_used = $4, ends = $5 WHERE org = $1 AND id = $2`,
			org, g.ID, g.Unused, g.LastUsed, ends(i)); err != nil {
			return err
		}
		return issued(ctx, tx, org, i)
	})
	if errors.Is(err, ErrGone) {
		return oidc.ErrNotFound
	}
	return protocol(err)
}

// DropGrant ends the grant and everything that hangs on it.
func (v OIDC) DropGrant(ctx context.Context, org, id string, r oidc.Refusal) error {
	return protocol(v.s.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(`DELETE FROM grants WHERE org = $1 AND id = $2`, org, id)
		if err != nil || n == 0 {
			return err
		}
		if err := tx.Do(`DELETE FROM token WHERE org = $1 AND grant_id = $2`, org, id); err != nil {
			return err
		}
		return tx.Event(ctx, idp.Event{Org: org, Code: r.Code, User: r.User, App: r.App, Reason: r.Reason})
	}))
}

// DropToken ends one access token.
func (v OIDC) DropToken(ctx context.Context, org, id string) error {
	return protocol(v.s.Write(ctx, func(tx *Tx) error {
		var app, usr string
		err := tx.QueryRow(`SELECT g.app, g.usr FROM token t JOIN grants g ON g.org = t.org AND g.id = t.grant_id WHERE t.org = $1 AND t.id = $2`,
			org, id).Scan(&app, &usr)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := tx.Do(`DELETE FROM token WHERE org = $1 AND id = $2`, org, id); err != nil {
			return err
		}
		return tx.Event(ctx, idp.Event{Org: org, Code: "OauthTokenRevoked", User: usr, App: app})
	}))
}

// Used notes that the grant is used now.
func (v OIDC) Used(ctx context.Context, org, grant string) error {
	now := v.s.Now()
	return protocol(v.s.Write(ctx, func(tx *Tx) error {
		return tx.Do(`UPDATE grants SET last_used = $3 WHERE org = $1 AND id = $2 AND last_used < $4`, org, grant, now, now.Add(-time.Minute))
	}))
}
