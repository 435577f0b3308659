package store

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/oidc"
)

// OIDC is what oidc remembers. Its files: oidc.go the clients, logins and codes; grants.go grants and tokens; children.go
// the clients that register themselves.
type OIDC struct{ s *Store }

// OIDC returns the view of OAuth and OpenID Connect.
func (s *Store) OIDC() OIDC { return OIDC{s} }

var _ oidc.Store = OIDC{}

// protocol gives an error of this room the name it has in oidc.
func protocol(err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return oidc.ErrNotFound
	case errors.Is(err, ErrFlood):
		return errors.Join(oidc.ErrFlood, err)
	case errors.Is(err, ErrBusy), errors.Is(err, ErrNotReady), errors.Is(err, ErrClosed):
		return errors.Join(oidc.ErrBusy, err)
	}
	return err
}

// spent is protocol where a Gate that found nothing means that somebody else was first.
func spent(err error) error {
	if errors.Is(err, ErrGone) {
		return oidc.ErrSpent
	}
	return protocol(err)
}

// null passes no bytes as NULL.
func null(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// NewID returns a time-ordered id for a row.
func (v OIDC) NewID() string { return v.s.NewID() }

// Client returns the client by client_id, as its parent lets it be.
func (v OIDC) Client(ctx context.Context, org, clientID string) (*oidc.Client, error) {
	c, err := oauthOf(v.s.Apps().ConnectedByClient(ctx, org, clientID))
	return v.judged(ctx, org, c, err)
}

// ClientOfApp returns the client by the id of its app, as its parent lets it be.
func (v OIDC) ClientOfApp(ctx context.Context, org, app string) (*oidc.Client, error) {
	c, err := oauthOf(v.s.Apps().Connected(ctx, org, app))
	return v.judged(ctx, org, c, err)
}

// judged holds a child to its parent, each time it is found: both come from the cache.
func (v OIDC) judged(ctx context.Context, org string, c *oidc.Client, err error) (*oidc.Client, error) {
	if err != nil || c.Parent == "" {
		return c, err
	}
	parent, err := oauthOf(v.s.Apps().Connected(ctx, org, c.Parent))
	if err != nil && !errors.Is(err, oidc.ErrNotFound) {
		return nil, err
	}
	return c.Under(parent), nil
}

func oauthOf(c *idp.Connected, err error) (*oidc.Client, error) {
	if err != nil {
		return nil, protocol(err)
	}
	if c.App.OAuth == nil {
		return nil, oidc.ErrNotFound
	}
	return c.App.OAuth, nil
}

const loginKind = "oidc"

// AddLogin stores l and sets l.ID.
func (v OIDC) AddLogin(ctx context.Context, org string, l *oidc.Login) (err error) {
	l.ID, err = v.remember(ctx, org, loginKind, l.App, l.Browser, l.Created, l.Expires, l)
	return err
}

// maxRemembered is how much of one request is kept. Nobody needs to be known to have it kept.
const maxRemembered = 16 << 10

// remember stores a request of a kind and returns its id; "" if it could not.
func (v OIDC) remember(ctx context.Context, org, kind, app string, browser []byte, created, expires time.Time, l any) (string, error) {
	var doc strings.Builder
	write := json.NewEncoder(&doc)
	write.SetEscapeHTML(false) // what is never part of a page need not be six times as long
	if err := write.Encode(l); err != nil {
		return "", err
	}
	if doc.Len() > maxRemembered {
		return "", oidc.ErrLarge
	}
	if err := v.s.remembers(ctx, doc.Len()); err != nil {
		return "", protocol(err)
	}
	id := v.s.NewID()
	err := v.s.Write(ctx, func(tx *Tx) error {
		return tx.Do(`INSERT INTO login (org, id, kind, app, browser, answered, created, expires, doc)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, org, id, kind, app, null(browser), false, created, expires, doc.String())
	})
	if err != nil {
		return "", protocol(err)
	}
	return id, nil
}

// BindLogin returns the login, bound to the browser from its first call on.
func (v OIDC) BindLogin(ctx context.Context, org, id string, browser []byte) (*oidc.Login, error) {
	l := oidc.Login{ID: id, Browser: browser}
	answered, err := v.bind(ctx, org, loginKind, id, browser, &l.App, &l)
	switch {
	case err != nil:
		return nil, err
	case answered:
		return &l, oidc.ErrSpent
	}
	return &l, nil
}

// bind reads a remembered request of a kind into app and doc, bound to the browser from its first call on.
func (v OIDC) bind(ctx context.Context, org, kind, id string, browser []byte, app *string, doc any) (answered bool, err error) {
	var bound []byte
	var text string
	read := func() error {
		return v.s.Read(ctx).QueryRow(`SELECT app, browser, answered, doc FROM login WHERE org = $1 AND id = $2 AND kind = $3 AND expires > $4`,
			org, id, kind, v.s.Now()).Scan(app, &bound, &answered, &text)
	}
	err = read()
	if err == nil && len(bound) == 0 {
		err = v.s.Write(ctx, func(tx *Tx) error {
			return tx.Do(`UPDATE login SET browser = $3 WHERE org = $1 AND id = $2 AND browser IS NULL`, org, id, browser)
		})
		if err == nil { // or another browser has been faster
			err = read()
		}
	}
	switch {
	case err != nil:
		return false, protocol(err)
	case string(bound) != string(browser):
		return false, oidc.ErrBrowser
	}
	return answered, json.Unmarshal([]byte(text), doc)
}

const logoutKind = "oidc-logout"

// AddLogout stores l and sets l.ID.
func (v OIDC) AddLogout(ctx context.Context, org string, l *oidc.Logout) (err error) {
	l.ID, err = v.remember(ctx, org, logoutKind, l.App, l.Browser, l.Created, l.Expires, l)
	return err
}

// BindLogout returns the request for sign-out, bound to the browser from its first call on. None is ever answered for
// good: each time it is asked anew who is there.
func (v OIDC) BindLogout(ctx context.Context, org, id string, browser []byte) (*oidc.Logout, error) {
	l := oidc.Logout{ID: id, Browser: browser}
	if _, err := v.bind(ctx, org, logoutKind, id, browser, &l.App, &l); err != nil {
		return nil, err
	}
	return &l, nil
}

// DropLogin spends the login without an answer.
func (v OIDC) DropLogin(ctx context.Context, org, id string) error {
	return spent(v.s.Write(ctx, func(tx *Tx) error { return answerLogin(tx, org, id) }))
}

// answerLogin is the gate through which one answer of a login goes.
func answerLogin(tx *Tx, org, id string) error {
	return tx.Gate(`UPDATE login SET answered = $4 WHERE org = $1 AND id = $2 AND kind = $3 AND answered <> $4`, org, id, loginKind, true)
}

// codeDoc is what no query looks into.
type codeDoc struct {
	ClientID      string     `json:"client"`
	RedirectURI   string     `json:"uri"`
	GivenURI      bool       `json:"given"`
	CodeChallenge string     `json:"challenge,omitempty"`
	Created       time.Time  `json:"created"`
	Expires       time.Time  `json:"expires"`
	Grant         oidc.Grant `json:"grant"`
	Epochs        epochs     `json:"epochs"` // a code is a grant in waiting: it dies with what would have ended the grant
}

// keepCode is how long a code is remembered after its end: one that is shown again ends what it gave.
const keepCode = time.Hour

// AddCode stores c and spends the login it answers.
func (v OIDC) AddCode(ctx context.Context, org string, c *oidc.Code, login string) error {
	return spent(v.s.Write(ctx, func(tx *Tx) error {
		if login != "" {
			if err := answerLogin(tx, org, login); err != nil {
				return err
			}
		}
		var now epochs
		if err := tx.QueryRow(`SELECT `+epochColumns+presentEpochs, org, c.Grant.User, c.Grant.App).Scan(now.dest()...); err != nil {
			return err
		}
		doc, err := json.Marshal(codeDoc{c.ClientID, c.RedirectURI, c.GivenURI, c.CodeChallenge, c.Created, c.Expires, c.Grant, now})
		if err != nil {
			return err
		}
		if err := tx.Do(`INSERT INTO code (org, id, hash, app, usr, grant_id, redeemed, expires, doc) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			org, c.ID, c.Hash, c.Grant.App, c.Grant.User, c.Grant.ID, false, c.Expires.Add(keepCode), string(doc)); err != nil {
			return err
		}
		return tx.Event(ctx, idp.Event{Org: org, Code: "OauthAuthorize", User: c.Grant.User, App: c.Grant.App, Reason: strings.Join(c.Grant.Scopes, " ")})
	}))
}

// Code reads the code by id, spent or not.
func (v OIDC) Code(ctx context.Context, org, id string) (*oidc.Code, error) {
	c := oidc.Code{ID: id}
	var text string
	err := v.s.Read(ctx).QueryRow(`SELECT hash, redeemed, doc FROM code WHERE org = $1 AND id = $2`, org, id).Scan(&c.Hash, &c.Redeemed, &text)
	if err != nil {
		return nil, protocol(err)
	}
	var d codeDoc
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return nil, err
	}
	c.ClientID, c.RedirectURI, c.GivenURI, c.CodeChallenge = d.ClientID, d.RedirectURI, d.GivenURI, d.CodeChallenge
	c.Created, c.Expires, c.Grant = d.Created, d.Expires, d.Grant
	return &c, nil
}

// SpendAssertion uses up a client assertion. Its jti is kept as a hash: it is the client's choice, and no key of ours.
func (v OIDC) SpendAssertion(ctx context.Context, org, app, jti string, until time.Time) error {
	sum := sha256.Sum256([]byte(jti))
	return spent(v.s.Write(ctx, func(tx *Tx) error {
		return tx.Gate(`INSERT INTO spent (org, kind, app, value, expires) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			org, "assertion", app, base64.RawURLEncoding.EncodeToString(sum[:]), until)
	}))
}

// Refuse records the refusal.
func (v OIDC) Refuse(ctx context.Context, org string, r oidc.Refusal) string {
	return v.s.Events().Refuse(ctx, idp.Event{Org: org, Code: r.Code, App: r.App, User: r.User, Reason: r.Reason})
}
