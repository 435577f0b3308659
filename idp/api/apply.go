package api

import (
	"context"
	"errors"
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

// errDry undoes what a dry run did to see whether it can be done.
var errDry = errors.New("a dry run")

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
	if a.plan.Empty() {
		return a.plan, nil
	}
	if !o.DryRun && a.plan.Delete > 0 && o.Confirm != nil {
		if ok, err := o.Confirm(a.plan); err != nil || !ok {
			return a.plan, errors.Join(ErrDeclined, err)
		}
	}
	if !o.DryRun {
		if err := a.hash(ctx); err != nil {
			return nil, err
		}
	}
	err := d.Store.Write(ctx, func(tx *store.Tx) error {
		for _, s := range a.steps {
			if err := s.run(tx); err != nil {
				return &stepError{s, err}
			}
		}
		if !o.DryRun {
			return nil
		}
		if err := tx.KeepAdmins(); err != nil {
			return err
		}
		return errDry
	})
	switch {
	case err == nil, errors.Is(err, errDry):
		return a.plan, nil
	}
	return nil, a.explain(err)
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
		if t.What == "persistentID" {
			s.p.fault("persistentIDs", "%q is taken by another user, or this user has another value already; neither ever changes (Core §8.3.7)", t.Value)
			break
		}
		s.p.fault(t.What, "%q is taken by %s", t.Value, by)
	default:
		return err
	}
	return a.faults
}

func (a *applying) do(p *place, f func(tx *store.Tx) error) { a.steps = append(a.steps, step{p, f}) }

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
		if u == nil || idp.NameKey(u.Username) != key { // somebody's e-mail address is no name to change them by
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
