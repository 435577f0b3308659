package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/lanyard-sso/lanyard/idp"
)

// Apps is the connected apps of an org, each with the installation the org has of it. What the functions that keep what
// they read return is shared: read only.
type Apps struct{ s *Store }

// Apps returns the view of the connected apps.
func (s *Store) Apps() Apps { return Apps{s} }

// Connected returns the app of that id, or ErrNotFound. Its SAML and OAuth halves are complete: what is not in their
// JSON is filled in, secrets unsealed.
func (a Apps) Connected(ctx context.Context, org, id string) (*idp.Connected, error) {
	return a.s.definitions.apps.Get(ctx, cacheKey(org, id))
}

// ConnectedByName is Connected by API name.
func (a Apps) ConnectedByName(ctx context.Context, org, apiName string) (*idp.Connected, error) {
	id, err := a.s.definitions.appNames.Get(ctx, cacheKey(org, apiName))
	if err != nil {
		return nil, err
	}
	return a.Connected(ctx, org, id)
}

// ConnectedByClient is Connected by client_id.
func (a Apps) ConnectedByClient(ctx context.Context, org, clientID string) (*idp.Connected, error) {
	id, err := a.s.definitions.clients.Get(ctx, clientID)
	if err != nil {
		return nil, err
	}
	return a.Connected(ctx, org, id) // not found if it is another org's, though its id is unique on the whole server
}

// ConnectedByEntity returns the apps that carry the entity ID, blocked ones too; there may be several, or none.
func (a Apps) ConnectedByEntity(ctx context.Context, org, entityID string) ([]*idp.Connected, error) {
	ids, err := a.s.definitions.entities.Get(ctx, cacheKey(org, entityID))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []*idp.Connected
	for _, id := range ids {
		c, err := a.Connected(ctx, org, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// Installed returns all apps of the org that are installed in it, in no order. The slice is the caller's.
func (a Apps) Installed(ctx context.Context, org string) ([]*idp.Connected, error) {
	all, err := a.s.definitions.installed.Get(ctx, org)
	return slices.Clone(all), err
}

// Metadata returns the SAML metadata that the app was made from, byte for byte, or ErrNotFound.
func (a Apps) Metadata(ctx context.Context, org, id string) ([]byte, error) {
	var b []byte
	err := a.s.Read(ctx).QueryRow(`SELECT metadata FROM app WHERE org = $1 AND id = $2`, org, id).Scan(&b)
	if err == nil && len(b) == 0 {
		err = ErrNotFound
	}
	return b, err
}

// AppFilter says which apps; what is empty does not matter.
type AppFilter struct {
	Parent string // id: its children only
	After  string // an app's id: only those made after it, for the next page
	Limit  int    // 0: 100
}

// List returns apps in the order they were made, read anew each time, so with their last use. Their secrets stay sealed.
func (a Apps) List(ctx context.Context, org string, f AppFilter) ([]*idp.Connected, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	where, args := "", []any{org, f.After, f.Limit}
	if f.Parent != "" {
		where, args = " AND a.parent = $4", append(args, f.Parent)
	}
	return a.s.scanApps(ctx, appQuery+` AND a.id > $2`+where+` ORDER BY a.id LIMIT $3`, false, args...)
}

// Present is Connected read anew, with its last use. Its secrets stay sealed.
func (a Apps) Present(ctx context.Context, org, id string) (*idp.Connected, error) {
	all, err := a.s.scanApps(ctx, appQuery+` AND a.id = $2`, false, org, id)
	if err == nil && len(all) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Find returns the app that people call name: by API name, client_id, or, where only one app has it, entity ID or
// display name. ErrNotFound: none. [ErrAmbiguous]: several.
func (a Apps) Find(ctx context.Context, org, name string) (*idp.Connected, error) {
	for _, by := range []func(context.Context, string, string) (*idp.Connected, error){a.ConnectedByName, a.ConnectedByClient} {
		c, err := by(ctx, org, name)
		if !errors.Is(err, ErrNotFound) {
			return c, err
		}
	}
	all, err := a.ConnectedByEntity(ctx, org, name)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 && storable(name) {
		all, err = a.s.scanApps(ctx, appQuery+` AND a.name = $2 LIMIT 2`, true, org, name)
	}
	switch {
	case err != nil:
		return nil, err
	case len(all) == 0:
		return nil, ErrNotFound
	case len(all) > 1:
		return nil, ErrAmbiguous
	}
	return all[0], nil
}

// ErrAmbiguous means that a name fits several things.
var ErrAmbiguous = errors.New("store: several have that name")

// A missing installation has epoch -1 wherever epochs are compared, so that one that comes or goes ends what was issued.
const appQuery = `SELECT a.org, a.id, a.name, a.api_name, a.parent, a.epoch, a.doc, a.secret, a.created, a.last_used,
	COALESCE(i.blocked, FALSE), COALESCE(i.epoch, -1), COALESCE(i.doc, '')
	FROM app a LEFT JOIN installation i ON i.org = a.org AND i.app = a.id WHERE a.org = $1`

// scanApps reads apps by appQuery. open: with their secrets unsealed.
func (s *Store) scanApps(ctx context.Context, query string, open bool, args ...any) ([]*idp.Connected, error) {
	var sealed [][]byte
	all, err := All(s.Read(ctx), func(r Row) (*idp.Connected, error) {
		c, secret, err := scanApp(r)
		sealed = append(sealed, secret)
		return c, err
	}, query, args...)
	if err != nil {
		return nil, err
	}
	for i, c := range all {
		if open && c.App.OAuth != nil && len(sealed[i]) > 0 {
			secret, err := s.openSecret(c.App.Org, c.App.ID, sealed[i])
			if err != nil {
				return nil, err
			}
			c.App.OAuth.Secrets = [][]byte{secret}
		}
		if err := s.nameRefs(ctx, c); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func scanApp(r Row) (c *idp.Connected, secret []byte, err error) {
	c = &idp.Connected{}
	a := &c.App
	var i idp.Installation
	var doc, policy string
	err = r.Scan(&a.Org, &a.ID, &a.Name, &a.APIName, &a.Parent, &a.Epoch, &doc, &secret, &a.Created, &a.LastUsed, &i.Blocked, &i.Epoch, &policy)
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal([]byte(doc), a); err != nil {
		return nil, nil, err
	}
	if policy != "" {
		if err := json.Unmarshal([]byte(policy), &i); err != nil {
			return nil, nil, err
		}
	}
	if policy != "" || i.Blocked {
		i.Org, i.App = a.Org, a.ID
		c.Installation = &i
	}
	if sp := a.SAML; sp != nil {
		sp.App, sp.APIName, sp.Name, sp.Start, sp.Blocked = a.ID, a.APIName, a.Name, a.StartURL, c.Blocked()
	}
	if o := a.OAuth; o != nil {
		o.App, o.Parent, o.Name, o.Start, o.Blocked = a.ID, a.Parent, a.Name, a.StartURL, c.Blocked()
	}
	return c, secret, nil
}

// nameRefs fills in the names of what the installation names, and leaves out what was deleted.
func (s *Store) nameRefs(ctx context.Context, c *idp.Connected) error {
	i := c.Installation
	if i == nil {
		return nil
	}
	c.Names = map[string]string{}
	for _, f := range []struct {
		kind idp.Kind
		ids  *[]string
	}{{idp.KindProfile, &i.Profiles}, {idp.KindPermissionSet, &i.PermissionSets}, {idp.KindGroup, &i.Groups}} {
		if len(*f.ids) == 0 {
			continue
		}
		things, err := s.definitions.named.Get(ctx, cacheKey(c.App.Org, string(f.kind)))
		if err != nil {
			return err
		}
		*f.ids = slices.DeleteFunc(*f.ids, func(id string) bool {
			n := things.byID[id]
			if n != nil {
				c.Names[id] = n.Name
			}
			return n == nil
		})
	}
	return nil
}

func (s *Store) loadApp(ctx context.Context, key string) (*idp.Connected, error) {
	org, id := cutKey(key)
	if !storable(id) {
		return nil, ErrNotFound
	}
	all, err := s.scanApps(ctx, appQuery+` AND a.id = $2`, true, org, id)
	if err == nil && len(all) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func (s *Store) loadAppName(ctx context.Context, key string) (id string, err error) {
	org, name := cutKey(key)
	if !storable(name) {
		return "", ErrNotFound
	}
	err = s.Read(ctx).QueryRow(`SELECT id FROM app WHERE org = $1 AND api_name = $2`, org, name).Scan(&id)
	return id, err
}

func (s *Store) loadClient(ctx context.Context, clientID string) (id string, err error) {
	if !storable(clientID) {
		return "", ErrNotFound
	}
	err = s.Read(ctx).QueryRow(`SELECT app FROM client WHERE id = $1`, clientID).Scan(&id)
	return id, err
}

func (s *Store) loadEntity(ctx context.Context, key string) ([]string, error) {
	org, entityID := cutKey(key)
	if !storable(entityID) {
		return nil, ErrNotFound
	}
	ids, err := All(s.Read(ctx), func(r Row) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	}, `SELECT app FROM acs WHERE org = $1 AND entity_id = $2`, org, entityID) // with ORDER BY app SQLite would read all of the org
	if err == nil && len(ids) == 0 {
		err = ErrNotFound
	}
	slices.Sort(ids)
	return slices.Compact(ids), err
}

func (s *Store) loadInstalled(ctx context.Context, org string) ([]*idp.Connected, error) {
	all, err := s.scanApps(ctx, appQuery+` AND i.doc <> ''`, false, org)
	slices.SortFunc(all, func(a, b *idp.Connected) int { return cmp.Compare(a.App.ID, b.App.ID) })
	return all, err
}

// storable tells if s can be in the database at all. What a stranger sent may be anything.
func storable(s string) bool {
	return len(s) <= 2048 && utf8.ValidString(s) && !strings.Contains(s, "\x00")
}

// lastUses remembers when this node last wrote that an app was used, so that it does so once a minute.
type lastUses struct {
	mu sync.Mutex
	at map[string]time.Time
}

// due tells if a use at now is to be written. It is then taken as written.
func (l *lastUses) due(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.at[key]) < time.Minute {
		return false
	}
	if l.at == nil || len(l.at) >= maxApps {
		l.at = map[string]time.Time{}
	}
	l.at[key] = now
	return true
}

// TouchUsed writes that the app is used, within the step that uses it, at most once a minute.
func (tx *Tx) TouchUsed(org, app string) error {
	now := tx.store.Now()
	if !tx.store.definitions.used.due(cacheKey(org, app), now) {
		return nil
	}
	return tx.Do(`UPDATE app SET last_used = $3 WHERE org = $1 AND id = $2 AND last_used < $3`, org, app, now)
}
