package store

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
)

// DefaultOrg is the name of the org that is made at first start.
const DefaultOrg = "default"

// Orgs is the tenants.
type Orgs struct{ s *Store }

// Orgs returns the view of the tenants.
func (s *Store) Orgs() Orgs { return Orgs{s} }

// orgDoc is what no query looks into.
type orgDoc struct {
	Issuer          string        `json:"issuer"`
	EntityID        string        `json:"entityID"`
	SessionIdle     time.Duration `json:"sessionIdle,omitempty"`
	SessionAbsolute time.Duration `json:"sessionAbsolute,omitempty"`
}

// Org returns the org of that id, or ErrNotFound. What it returns is shared: read only.
func (o Orgs) Org(ctx context.Context, id string) (*idp.Org, error) {
	return o.s.definitions.orgs.Get(ctx, id)
}

// ByName returns the org of that name, or ErrNotFound. What it returns is shared: read only.
func (o Orgs) ByName(ctx context.Context, name string) (*idp.Org, error) {
	id, err := o.s.definitions.orgNames.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	return o.Org(ctx, id)
}

// Default returns the org that was made at first start; ErrNotFound before that.
func (o Orgs) Default(ctx context.Context) (*idp.Org, error) { return o.ByName(ctx, DefaultOrg) }

// AddOrg makes an org and sets its ID. Its Issuer and EntityID, where they are empty, are made from its URL, and never
// change again (SURFACE.md §1). Without a URL they stay open until [Orgs.Settle]. ErrExists: the name is taken.
func (o Orgs) AddOrg(ctx context.Context, org *idp.Org) error {
	org.URL = strings.TrimSuffix(org.URL, "/")
	if org.Issuer == "" {
		org.Issuer = org.URL
	}
	if org.EntityID == "" && org.Issuer != "" {
		org.EntityID = org.Issuer + "/saml/metadata"
	}
	if org.ID == "" {
		org.ID = newOrgID()
	}
	doc, err := json.Marshal(orgDoc{org.Issuer, org.EntityID, org.SessionIdle, org.SessionAbsolute})
	if err != nil {
		return err
	}
	return o.s.Write(ctx, func(tx *Tx) error {
		err := tx.Gate(`INSERT INTO org (id, name, url, epoch, doc) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			org.ID, org.Name, org.URL, org.Epoch, string(doc))
		if errors.Is(err, ErrGone) {
			return &Taken{What: "name", Value: org.Name, By: "another org"}
		}
		if err != nil {
			return err
		}
		if err := tx.Event(ctx, idp.Event{Org: org.ID, Code: "insertOrg", Reason: org.Name + " at " + org.URL}); err != nil {
			return err
		}
		return tx.Changed(kindOrg)
	})
}

// MoveOrg changes the org's public address and keeps its Issuer and EntityID. ErrGone: there is no such org.
func (o Orgs) MoveOrg(ctx context.Context, id, url string) error {
	url = strings.TrimSuffix(url, "/")
	return o.s.Write(ctx, func(tx *Tx) error {
		if err := tx.Gate(`UPDATE org SET url = $2 WHERE id = $1`, id, url); err != nil {
			return err
		}
		if err := tx.Event(ctx, idp.Event{Org: id, Code: "moveOrg", Reason: "to " + url}); err != nil {
			return err
		}
		return tx.Changed(kindOrg)
	})
}

// newOrgID returns 40 random bits in 8 characters: it stands in cookies' names and in front of every access token.
func newOrgID() string {
	b := make([]byte, 5)
	_, _ = rand.Read(b) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))
}

func (s *Store) loadOrg(ctx context.Context, id string) (*idp.Org, error) {
	o := &idp.Org{ID: id}
	var doc string
	err := s.Read(ctx).QueryRow(`SELECT name, url, epoch, doc FROM org WHERE id = $1`, id).Scan(&o.Name, &o.URL, &o.Epoch, &doc)
	if err != nil {
		return nil, err
	}
	var d orgDoc
	if err := json.Unmarshal([]byte(doc), &d); err != nil {
		return nil, err
	}
	o.Issuer, o.EntityID, o.SessionIdle, o.SessionAbsolute = d.Issuer, d.EntityID, d.SessionIdle, d.SessionAbsolute
	return o, nil
}

func (s *Store) loadOrgName(ctx context.Context, name string) (id string, err error) {
	err = s.Read(ctx).QueryRow(`SELECT id FROM org WHERE name = $1`, name).Scan(&id)
	return id, err
}
