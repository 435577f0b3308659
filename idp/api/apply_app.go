package api

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/apps"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/saml"
)

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

// app compares an app and its policy.
func (a *applying) app(ctx context.Context, p place, v *AppDoc, name string) error {
	old, before := a.old[name], len(a.faults)
	put, remarks := a.refs.buildApp(ctx, p, v, old, a.source, a.Store.Now())
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
	if o := put.App.OAuth; o != nil && strings.HasPrefix(o.JWKSURI, "http:") {
		a.plan.note("App/%s: jwksURI is plain http, so keys are read from it only if it lies at an address that lanyard serve --allow-fetch names", put.App.APIName)
	}
	block := v.Policy != nil && isTrue(v.Policy.Blocked, false)
	switch i := put.Policy; {
	case i == nil:
		a.plan.note("App/%s is open to nobody: it has no policy", put.App.APIName)
	case i.PermittedUsers == idp.AdminApproved && len(i.Profiles)+len(i.PermissionSets)+len(i.Groups)+len(i.Users) == 0:
		a.plan.note("App/%s is open to nobody: its policy names nobody", put.App.APIName)
	}
	if old == nil {
		a.plan.line("+", "App", put.App.APIName)
		a.remark(put, remarks)
		a.do(&p, func(tx *store.Tx) error {
			if err := a.Apps.Add(ctx, tx, put); err != nil {
				return err
			}
			return a.block(ctx, tx, put.App, block)
		})
		return nil
	}
	return a.changeApp(ctx, p, v, old, put, remarks, block)
}

// remark notes what there is to say of metadata that comes for the first time.
func (a *applying) remark(put *apps.Put, remarks []saml.Remark) {
	for _, r := range remarks {
		a.plan.note("App/%s: %s %s", put.App.APIName, r.Text, r.Fix)
	}
}

func (a *applying) block(ctx context.Context, tx *store.Tx, app *idp.App, block bool) error {
	if !block {
		return nil
	}
	_, err := a.Apps.Block(ctx, tx, app, true)
	return err
}

func (a *applying) changeApp(ctx context.Context, p place, v *AppDoc, old *idp.Connected, put *apps.Put, remarks []saml.Remark, block bool) error {
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
			a.remark(put, remarks)
		}
	}
	if s := v.OAuth; s != nil && s.ClientSecret != nil && !hasSecret(old, s.ClientSecret.Plain) {
		changes = append(changes, Change{"oauth.clientSecret", hidden, hidden})
	}
	switch {
	case block && !old.Blocked():
		changes = append(changes, Change{"policy.blocked", "false", "true"})
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
