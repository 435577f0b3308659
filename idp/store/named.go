package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/lanyard-sso/lanyard/idp"
)

// namedThings is all groups, profiles, permission sets or scopes of an org.
type namedThings struct {
	all    []*idp.Named // by name
	byName map[string]*idp.Named
	byID   map[string]*idp.Named
}

// AllNamed returns the groups, profiles, permission sets or scopes of an org, sorted by name. What it returns is shared:
// read only.
func (p People) AllNamed(ctx context.Context, org string, kind idp.Kind) ([]*idp.Named, error) {
	t, err := p.s.definitions.named.Get(ctx, cacheKey(org, string(kind)))
	if err != nil {
		return nil, err
	}
	return t.all, nil
}

// Named returns the one of that name, compared by bytes, or ErrNotFound. What it returns is shared: read only.
func (p People) Named(ctx context.Context, org string, kind idp.Kind, name string) (*idp.Named, error) {
	t, err := p.s.definitions.named.Get(ctx, cacheKey(org, string(kind)))
	if err != nil {
		return nil, err
	}
	if n := t.byName[name]; n != nil {
		return n, nil
	}
	return nil, ErrNotFound
}

// Names returns the names of ids, sorted; those that were deleted are left out.
func (p People) Names(ctx context.Context, org string, kind idp.Kind, ids []string) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	t, err := p.s.definitions.named.Get(ctx, cacheKey(org, string(kind)))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, id := range ids {
		if n := t.byID[id]; n != nil {
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (s *Store) loadNamed(ctx context.Context, key string) (*namedThings, error) {
	org, kind := cutKey(key)
	all, err := All(s.Read(ctx), scanNamed, `SELECT org, kind, id, name, doc FROM named WHERE org = $1 AND kind = $2`, org, kind)
	if err != nil {
		return nil, err
	}
	t := &namedThings{all: all, byName: map[string]*idp.Named{}, byID: map[string]*idp.Named{}}
	slices.SortFunc(all, func(a, b *idp.Named) int { return cmp.Compare(a.Name, b.Name) })
	for _, n := range all {
		t.byName[n.Name], t.byID[n.ID] = n, n
	}
	return t, nil
}

func scanNamed(r Row) (*idp.Named, error) {
	var n idp.Named
	var kind, doc string
	if err := r.Scan(&n.Org, &kind, &n.ID, &n.Name, &doc); err != nil {
		return nil, err
	}
	name := n.Name
	if err := json.Unmarshal([]byte(doc), &n); err != nil {
		return nil, err
	}
	n.Kind, n.Name = idp.Kind(kind), name
	return &n, nil
}

// Named reads one by name within the step, or ErrNotFound.
func (tx *Tx) Named(org string, kind idp.Kind, name string) (*idp.Named, error) {
	return One(tx, scanNamed, `SELECT org, kind, id, name, doc FROM named WHERE org = $1 AND kind = $2 AND name = $3`, org, string(kind), name)
}

// AllNamed reads all of a kind within the step, sorted by name.
func (tx *Tx) AllNamed(org string, kind idp.Kind) ([]*idp.Named, error) {
	all, err := All(tx, scanNamed, `SELECT org, kind, id, name, doc FROM named WHERE org = $1 AND kind = $2`, org, string(kind))
	slices.SortFunc(all, func(a, b *idp.Named) int { return cmp.Compare(a.Name, b.Name) })
	return all, err
}

// AddNamed makes a group, profile, permission set or scope and sets its ID. It is a [*Taken] if there is one of that name.
func (tx *Tx) AddNamed(n *idp.Named) error {
	if n.ID == "" {
		n.ID = tx.store.newID()
	}
	doc, err := json.Marshal(n)
	if err != nil {
		return err
	}
	err = tx.Gate(`INSERT INTO named (org, kind, id, name, doc) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		n.Org, string(n.Kind), n.ID, n.Name, string(doc))
	if errors.Is(err, ErrGone) {
		return &Taken{What: "name", Value: n.Name, By: "another " + string(n.Kind)}
	}
	if err != nil {
		return err
	}
	return tx.Changed(kindNamed)
}

// PutNamed replaces one by its ID. ErrGone: there is none. A name that another has is an ErrExists.
func (tx *Tx) PutNamed(n *idp.Named) error {
	doc, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := tx.Gate(`UPDATE named SET name = $4, doc = $5 WHERE org = $1 AND kind = $2 AND id = $3`,
		n.Org, string(n.Kind), n.ID, n.Name, string(doc)); err != nil {
		return err
	}
	return tx.namedChanged()
}

// DropNamed deletes one by ID. Nobody has it any more, and no policy permits by it: ids are never given twice, and what
// still holds this one is read without it. ErrGone: there is none.
func (tx *Tx) DropNamed(org string, kind idp.Kind, id string) error {
	if err := tx.Gate(`DELETE FROM named WHERE org = $1 AND kind = $2 AND id = $3`, org, string(kind), id); err != nil {
		return err
	}
	if err := tx.Do(`DELETE FROM member WHERE org = $1 AND kind = $2 AND ref = $3`, org, string(kind), id); err != nil {
		return err
	}
	return tx.namedChanged()
}

// namedChanged also drops the apps, which are kept with the names that their policies need.
func (tx *Tx) namedChanged() error {
	if err := tx.Changed(kindApp); err != nil {
		return err
	}
	return tx.Changed(kindNamed)
}
