package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/apps"
	"github.com/lanyard-sso/lanyard/idp/people"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/keys"
)

// Declarer makes an org what documents say of it. All fields are set once.
type Declarer struct {
	Store  *store.Store
	Apps   *apps.Apps
	People *people.People
	Sealer *keys.Sealer
	Fetch  func(ctx context.Context, url string, most int64) ([]byte, error) // metadata by URL
}

// Options of an Apply.
type Options struct {
	DryRun      bool
	Set         string // who declares: what it made and no longer names is what Prune deletes
	Prune       bool
	PruneUsers  bool
	Confirm     func(*Plan) (bool, error) // asked before anything is deleted; nil: yes
	InlineFiles bool                      // files may not be read (the documents came from elsewhere)
}

// ErrDeclined says that Confirm said no; nothing was changed.
var ErrDeclined = errors.New("nothing was changed")

// Apply makes the org what docs say: all of it in one step, or, on any fault, nothing.
func (d *Declarer) Apply(ctx context.Context, org *idp.Org, docs []*Doc, o Options) (*Plan, error) {
	a := &applying{Declarer: d, org: org, Options: o, plan: &Plan{Lines: []Line{}, Notes: []string{}}}
	if err := a.read(ctx, docs); err != nil {
		return nil, err
	}
	if err := a.resolve(ctx, docs); err != nil {
		return nil, err
	}
	if len(a.faults) > 0 {
		return nil, a.faults
	}
	if o.Prune {
		if err := a.prune(ctx); err != nil {
			return nil, err
		}
	}
	if o.DryRun || a.plan.Empty() {
		return a.plan, nil
	}
	if a.plan.Delete > 0 && o.Confirm != nil {
		if ok, err := o.Confirm(a.plan); err != nil || !ok {
			return a.plan, errors.Join(ErrDeclined, err)
		}
	}
	if err := a.hash(ctx); err != nil {
		return nil, err
	}
	err := d.Store.Write(ctx, func(tx *store.Tx) error {
		for _, s := range a.steps {
			if err := s.run(tx); err != nil {
				return &stepError{s, err}
			}
		}
		return nil
	})
	return a.plan, a.explain(err)
}

// applying is one Apply under way.
type applying struct {
	*Declarer
	Options
	org    *idp.Org
	plan   *Plan
	faults Faults
	refs   refs
	names  names
	scopes []string
	steps  []step
	hashes []*hashing
	seen   map[string]bool // KIND/NAME of what docs declare
	named  map[string]*idp.Named
	users  map[string]*idp.User // of the store, by NameKey of the username
	old    map[string]*idp.Connected
}

// step is one thing done in the transaction. It may run more than once.
type step struct {
	p   *place
	run func(tx *store.Tx) error
}

type stepError struct {
	step
	err error
}

func (e *stepError) Error() string { return e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// explain places an error of a step at the document it came from.
func (a *applying) explain(err error) error {
	var s *stepError
	if !errors.As(err, &s) || s.p == nil {
		return err
	}
	var f apps.Faults
	var pf *people.Fault
	var t *store.Taken
	switch {
	case errors.As(err, &f):
		for _, x := range f {
			s.p.fault(x.Path, "%s", x.Text)
		}
	case errors.As(err, &pf):
		s.p.fault("", "%s", pf.Text)
	case errors.As(err, &t):
		by := t.By
		if by == "" {
			by = "somebody else"
		}
		s.p.fault(t.What, "%q is taken by %s", t.Value, by)
	default:
		return err
	}
	return a.faults
}

func (a *applying) do(p *place, f func(tx *store.Tx) error) { a.steps = append(a.steps, step{p, f}) }

// hashing is a declared password that must be hashed before the step.
type hashing struct {
	u     *idp.User
	plain string
}

func (a *applying) hash(ctx context.Context) error {
	for _, h := range a.hashes {
		phc, err := a.People.Hash(ctx, h.plain)
		if err != nil {
			return err
		}
		h.u.Password = phc
	}
	return nil
}

// read reads what the store has of what docs name, and gives everything new its id.
func (a *applying) read(ctx context.Context, docs []*Doc) error {
	a.refs = refs{named: map[idp.Kind]map[string]string{}, users: map[string]string{}, apps: map[string]string{}}
	a.names = names{named: map[idp.Kind]map[string]string{}, users: map[string]string{}, apps: map[string]string{}}
	a.seen, a.named, a.users, a.old = map[string]bool{}, map[string]*idp.Named{}, map[string]*idp.User{}, map[string]*idp.Connected{}
	for _, kind := range []idp.Kind{idp.KindGroup, idp.KindProfile, idp.KindPermissionSet, idp.KindScope} {
		a.refs.named[kind], a.names.named[kind] = map[string]string{}, map[string]string{}
		all, err := a.Store.People().AllNamed(ctx, a.org.ID, kind)
		if err != nil {
			return err
		}
		for _, n := range all {
			a.know(n)
			a.named[string(kind)+"/"+n.Name] = n
		}
	}
	for _, d := range docs {
		p := place{d, &a.faults}
		if err := a.readDoc(ctx, p, d); err != nil {
			return err
		}
	}
	return nil
}

func (a *applying) know(n *idp.Named) {
	a.refs.named[n.Kind][n.Name], a.names.named[n.Kind][n.ID] = n.ID, n.Name
	if n.Kind == idp.KindScope && !slices.Contains(a.scopes, n.Name) {
		a.scopes = append(a.scopes, n.Name)
	}
}

func (a *applying) readDoc(ctx context.Context, p place, d *Doc) error {
	if name := headOf(d).Org; name != "" && name != a.org.Name {
		p.fault("org", "%q is not supported yet; there is one org, %q", name, a.org.Name)
	}
	name, key := d.name(), d.key()
	if name == "" {
		p.fault("", "the %s has no %s", d.Kind, nameKey(d))
		return nil
	}
	if a.seen[d.Kind+"/"+key] {
		p.fault(nameKey(d), "%s %q is declared twice", d.Kind, name)
	}
	a.seen[d.Kind+"/"+key] = true
	switch v := d.Value.(type) {
	case *UserDoc:
		u, err := a.lookUp(ctx, v.Username)
		if err != nil {
			return err
		}
		if u == nil {
			u = &idp.User{ID: a.Store.NewID(), Username: v.Username, Email: v.Email}
		} else {
			a.users[key] = u
		}
		for _, n := range []string{v.Username, v.Email} {
			if n != "" {
				a.refs.users[idp.NameKey(n)] = u.ID
			}
		}
		a.names.users[u.ID] = u.Username
	case *AppDoc:
		c, err := a.Store.Apps().ConnectedByName(ctx, a.org.ID, key)
		if errors.Is(err, store.ErrNotFound) {
			c, err = nil, nil
		}
		if err != nil {
			return err
		}
		a.old[key] = c
		return a.readUsersOf(ctx, v, c)
	default:
		kind := idp.Kind(d.Kind)
		if _, ok := a.refs.named[kind][name]; !ok {
			a.know(&idp.Named{Kind: kind, ID: a.Store.NewID(), Name: name})
		}
	}
	return nil
}

// readUsersOf finds the users that an app's document, or its present policy, names.
func (a *applying) readUsersOf(ctx context.Context, v *AppDoc, c *idp.Connected) error {
	var named []string
	if v.Policy != nil {
		named = append(named, v.Policy.RunAs)
		for _, u := range v.Policy.Users {
			named = append(named, u.User)
		}
	}
	if v.OAuth != nil && v.OAuth.Registration != nil && v.OAuth.Registration.RunAs != "auto" {
		named = append(named, v.OAuth.Registration.RunAs)
	}
	for _, n := range named {
		if _, ok := a.refs.users[idp.NameKey(n)]; ok || n == "" {
			continue
		}
		u, err := a.lookUp(ctx, n)
		if err != nil {
			return err
		}
		if u != nil {
			a.refs.users[idp.NameKey(n)], a.names.users[u.ID] = u.ID, u.Username
		}
	}
	return a.names.learn(ctx, a.Store, c)
}

func (a *applying) lookUp(ctx context.Context, name string) (*idp.User, error) {
	u, err := a.Store.People().ByName(ctx, a.org.ID, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return u, err
}

// learn finds the names of what c refers to by id.
func (n *names) learn(ctx context.Context, st *store.Store, c *idp.Connected) error {
	if c == nil {
		return nil
	}
	var ids []string
	if i := c.Installation; i != nil {
		ids = append(ids, i.RunAs)
		for _, u := range i.Users {
			ids = append(ids, u.User)
		}
	}
	if c.App.OAuth != nil && c.App.OAuth.Mould != nil && c.App.OAuth.Mould.RunAs != "auto" {
		ids = append(ids, c.App.OAuth.Mould.RunAs)
	}
	for _, id := range ids {
		if _, ok := n.users[id]; ok || id == "" {
			continue
		}
		u, err := st.People().User(ctx, c.App.Org, id)
		switch {
		case err == nil:
			n.users[id] = u.Username
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
	}
	if p := c.App.Parent; p != "" {
		parent, err := st.Apps().Connected(ctx, c.App.Org, p)
		switch {
		case err == nil:
			n.apps[p] = parent.App.APIName
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
	}
	return nil
}

// resolve compares each document with what there is, in the order in which the store must be told.
func (a *applying) resolve(ctx context.Context, docs []*Doc) error {
	for _, kind := range []string{"Group", "Profile", "PermissionSet", "Scope", "User", "App"} {
		for _, d := range docs {
			if d.Kind != kind || d.name() == "" {
				continue
			}
			p := place{d, &a.faults}
			var err error
			switch v := d.Value.(type) {
			case *UserDoc:
				err = a.user(ctx, p, v)
			case *AppDoc:
				err = a.app(ctx, p, v, d.key())
			default:
				a.thing(ctx, p, d)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// thing compares a group, profile, permission set or scope.
func (a *applying) thing(ctx context.Context, p place, d *Doc) {
	n := &idp.Named{Org: a.org.ID, Kind: idp.Kind(d.Kind), Set: a.Set}
	buildNamed(d, n)
	n.ID = a.refs.named[n.Kind][n.Name]
	if !idp.Text(n.Name) || len(n.Name) > 200 {
		p.fault("name", "%q has control characters or more than 200 bytes", n.Name)
	}
	if n.Kind == idp.KindScope {
		a.checkScope(p, n)
	}
	old := a.named[d.Kind+"/"+n.Name]
	if old == nil {
		a.plan.line("+", d.Kind, n.Name)
		a.do(&p, func(tx *store.Tx) error {
			if err := tx.AddNamed(n); err != nil {
				return err
			}
			return a.event(ctx, tx, "insert"+d.Kind, n.Name)
		})
		return
	}
	n.Set = old.Set
	if changes := compare(namedDoc(old), namedDoc(n)); len(changes) > 0 {
		l := a.plan.line("~", d.Kind, n.Name, changes...)
		what := n.Name + ": " + l.what()
		n.Permissions = old.Permissions
		a.do(&p, func(tx *store.Tx) error {
			if err := tx.PutNamed(n); err != nil {
				return err
			}
			return a.event(ctx, tx, "change"+d.Kind, what)
		})
	}
}

func (a *applying) checkScope(p place, n *idp.Named) {
	if slices.Contains(idp.BuiltInScopes(), n.Name) {
		p.fault("name", "the scope %q is built in", n.Name)
	}
	for i := range len(n.Name) { // RFC 6749 §3.3: scope-token
		if c := n.Name[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			p.fault("name", "the scope %q has a character that no scope may have (RFC 6749 §3.3)", n.Name)
			return
		}
	}
}

func (a *applying) event(ctx context.Context, tx *store.Tx, code, reason string) error {
	return tx.Event(ctx, idp.Event{Org: a.org.ID, Code: code, Reason: reason, Outcome: idp.OK})
}

// user compares a user.
func (a *applying) user(ctx context.Context, p place, v *UserDoc) error {
	old := a.users[idp.NameKey(v.Username)]
	u := &idp.User{Org: a.org.ID, ID: a.refs.users[idp.NameKey(v.Username)], Set: a.Set}
	var oldDoc any = &UserDoc{}
	persistent := map[string]string{}
	if old != nil {
		*u = *old
		var err error
		if persistent, err = a.Store.People().PersistentIDs(ctx, a.org.ID, old.ID); err != nil {
			return err
		}
		oldDoc = a.names.userDoc(old, persistent)
	}
	a.refs.buildUser(p, v, u)
	if err := people.Check(u); err != nil {
		p.fault("", "%s", err)
	}
	now := map[string]string{}
	for k, x := range persistent {
		now[k] = x
	}
	for k, x := range v.PersistentIDs {
		now[k] = x
	}
	changes := compare(oldDoc, a.names.userDoc(u, now))
	newPassword, err := a.password(p, v.Password, u)
	if err != nil {
		return err
	}
	declared := v.PersistentIDs
	put := func(tx *store.Tx) error {
		for entity, value := range declared {
			if err := tx.PutPersistentID(u.Org, entity, u.ID, value); err != nil {
				return err
			}
		}
		return nil
	}
	if old == nil {
		a.plan.line("+", "User", u.Username)
		a.do(&p, func(tx *store.Tx) error {
			if err := a.People.Add(ctx, tx, u); err != nil {
				return err
			}
			return put(tx)
		})
		return nil
	}
	if newPassword {
		changes = append(changes, Change{"password", hidden, hidden})
	}
	if len(changes) == 0 {
		return nil
	}
	l := a.plan.line("~", "User", u.Username, changes...)
	what := l.what()
	activity := old.Active != u.Active
	a.do(&p, func(tx *store.Tx) error {
		if err := a.People.Change(ctx, tx, u, what); err != nil {
			return err
		}
		if activity {
			if err := a.People.SetActive(ctx, tx, u, u.Active); err != nil {
				return err
			}
		}
		if newPassword {
			if err := a.People.PutPassword(ctx, tx, u, u.Password); err != nil {
				return err
			}
		}
		return put(tx)
	})
	return nil
}

// password tells if the document's own value is another than the one it set last, so that a person's own change is not
// undone by the next apply.
func (a *applying) password(p place, d *Password, u *idp.User) (isNew bool, err error) {
	if d == nil {
		return false, nil
	}
	value := "plain:" + d.Plain
	switch {
	case (d.Plain == "") == (d.Hash == ""):
		p.fault("password", "say plain or hash, one of them")
		return false, nil
	case d.Hash != "":
		value = "hash:" + d.Hash
		if err := people.Import(d.Hash); err != nil {
			p.fault("password.hash", "%s", err)
			return false, nil
		}
	default:
		if err := people.CheckPassword(u, d.Plain); err != nil {
			p.fault("password.plain", "%s", err)
			return false, nil
		}
	}
	sum := sha256.Sum256([]byte(value))
	sealer, place := a.Sealer.For("declared-password"), u.Org+"/"+u.ID
	if sealed, err := base64.StdEncoding.DecodeString(u.Declared); err == nil && len(sealed) > 0 {
		if last, err := sealer.Open(place, sealed); err == nil && string(last) == string(sum[:]) {
			return false, nil
		}
	}
	u.Declared = base64.StdEncoding.EncodeToString(sealer.Seal(place, sum[:]))
	u.Password = d.Hash
	if d.Plain != "" {
		a.hashes = append(a.hashes, &hashing{u, d.Plain})
	}
	return true, nil
}

// app compares an app and its policy.
func (a *applying) app(ctx context.Context, p place, v *AppDoc, name string) error {
	old, before := a.old[name], len(a.faults)
	put := a.refs.buildApp(ctx, p, v, old, a.source, a.Store.Now())
	put.App.Org = a.org.ID
	if old == nil {
		put.App.Set = a.Set
	}
	if len(a.faults) > before {
		return nil // what its references are worth is not known
	}
	switch err := a.Apps.PrepareWith(ctx, put, a.scopes); {
	case errors.As(err, new(apps.Faults)):
		for _, f := range err.(apps.Faults) {
			p.fault(f.Path, "%s", f.Text)
		}
		return nil
	case err != nil:
		return err
	}
	block := v.Policy != nil && isTrue(v.Policy.Blocked, false)
	if put.Policy == nil {
		a.plan.note("App/%s is open to nobody: it has no policy", put.App.APIName)
	}
	if old == nil {
		a.plan.line("+", "App", put.App.APIName)
		a.do(&p, func(tx *store.Tx) error {
			if err := a.Apps.Add(ctx, tx, put); err != nil {
				return err
			}
			return a.block(ctx, tx, put.App, block)
		})
		return nil
	}
	return a.changeApp(ctx, p, v, old, put, block)
}

func (a *applying) block(ctx context.Context, tx *store.Tx, app *idp.App, block bool) error {
	if !block {
		return nil
	}
	_, err := a.Apps.Block(ctx, tx, app, true)
	return err
}

func (a *applying) changeApp(ctx context.Context, p place, v *AppDoc, old *idp.Connected, put *apps.Put, block bool) error {
	now := &idp.Connected{App: *put.App, Installation: put.Policy}
	was := *old
	if was.Installation != nil { // compared without the block, which only `app unblock` takes away
		i := *was.Installation
		i.Blocked = false
		was.Installation = &i
	}
	changes := compare(a.names.appDoc(&was, nil), a.names.appDoc(now, nil))
	if put.Metadata != nil {
		had, err := a.Store.Apps().Metadata(ctx, a.org.ID, old.App.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if string(had) == string(put.Metadata) {
			put.Metadata = nil
		} else {
			changes = append(changes, Change{"saml.metadata", digest(had), digest(put.Metadata)})
		}
	}
	if s := v.OAuth; s != nil && s.ClientSecret != nil && !hasSecret(old, s.ClientSecret.Plain) {
		changes = append(changes, Change{"oauth.clientSecret", hidden, hidden})
	}
	switch {
	case block && !old.Blocked():
		changes = append(changes, Change{"policy.blocked", "", "true"})
	case v.Policy != nil && v.Policy.Blocked != nil && !block && old.Blocked():
		a.plan.note("App/%s stays blocked: a declaration does not unblock; run: lanyard app unblock %s", old.App.APIName, old.App.APIName)
	}
	if len(changes) == 0 {
		return nil
	}
	l := a.plan.line("~", "App", put.App.APIName, changes...)
	what := l.what()
	definition, policy := split(changes)
	a.do(&p, func(tx *store.Tx) error {
		if definition {
			if err := a.Apps.Change(ctx, tx, put, what); err != nil {
				return err
			}
		}
		if policy {
			var err error
			if put.Policy != nil {
				err = a.Apps.Install(ctx, tx, put.App, put.Policy, what)
			} else {
				_, err = a.Apps.Uninstall(ctx, tx, put.App)
			}
			if err != nil {
				return err
			}
		}
		return a.block(ctx, tx, put.App, block)
	})
	return nil
}

// split tells whether changes are of the definition, of the policy, or of both.
func split(changes []Change) (definition, policy bool) {
	for _, c := range changes {
		if c.Key == "policy.blocked" {
			continue
		}
		if len(c.Key) > 6 && c.Key[:6] == "policy" {
			policy = true
		} else {
			definition = true
		}
	}
	return definition, policy
}

func hasSecret(c *idp.Connected, secret string) bool {
	return c.App.OAuth != nil && slices.ContainsFunc(c.App.OAuth.Secrets, func(s []byte) bool { return string(s) == secret })
}

const maxMetadata = 32 << 20

// source reads a document that a declaration names.
func (a *applying) source(ctx context.Context, s *Source, declaredIn string) ([]byte, error) {
	n := 0
	for _, v := range []string{s.File, s.URL, s.Inline} {
		if v != "" {
			n++
		}
	}
	switch {
	case n != 1:
		return nil, errors.New("say file, url or inline, one of them")
	case s.Inline != "":
		return []byte(s.Inline), nil
	case s.URL != "":
		return a.Fetch(ctx, s.URL, maxMetadata)
	case a.InlineFiles:
		return nil, errors.New("a file can not be read here; put it inline")
	}
	path := s.File
	if !filepath.IsAbs(path) && declaredIn != "-" {
		path = filepath.Join(filepath.Dir(declaredIn), path)
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s", path)
	}
	return b, err
}

// prune deletes what the same set made and no longer names.
func (a *applying) prune(ctx context.Context) error {
	after := ""
	for {
		page, err := a.Store.Apps().List(ctx, a.org.ID, store.AppFilter{After: after, Limit: 500})
		if err != nil {
			return err
		}
		for _, c := range page {
			after = c.App.ID
			app := c.App
			if app.Set != a.Set || app.Parent != "" || a.seen["App/"+app.APIName] {
				continue
			}
			a.plan.line("-", "App", app.APIName)
			a.do(nil, func(tx *store.Tx) error { return a.Apps.Delete(ctx, tx, &app) })
		}
		if len(page) < 500 {
			break
		}
	}
	if err := a.pruneUsers(ctx); err != nil {
		return err
	}
	for key, n := range a.named {
		if n.Set != a.Set || a.seen[key] {
			continue
		}
		a.plan.line("-", string(n.Kind), n.Name)
		a.do(nil, func(tx *store.Tx) error {
			if err := tx.DropNamed(a.org.ID, n.Kind, n.ID); err != nil {
				return err
			}
			return a.event(ctx, tx, "delete"+string(n.Kind), n.Name)
		})
	}
	return nil
}

func (a *applying) pruneUsers(ctx context.Context) error {
	after, kept := "", 0
	for {
		page, err := a.Store.People().List(ctx, a.org.ID, store.UserFilter{After: after, Limit: 500})
		if err != nil {
			return err
		}
		for _, u := range page {
			after = u.ID
			if u.Set != a.Set || u.Parent != "" || a.seen["User/"+idp.NameKey(u.Username)] {
				continue
			}
			if !a.PruneUsers {
				kept++
				continue
			}
			a.plan.line("-", "User", u.Username)
			a.do(nil, func(tx *store.Tx) error { return a.People.Delete(ctx, tx, u) })
		}
		if len(page) < 500 {
			break
		}
	}
	if kept > 0 {
		a.plan.note("%d users of this set are no longer declared and stay; --prune-users deletes them", kept)
	}
	return nil
}
