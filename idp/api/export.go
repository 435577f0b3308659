package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// Export returns the documents that declare what the org has: everything an admin declared or made, or one thing as
// KIND/NAME. Secrets and passwords are not among it; a gateway's children only by name.
func Export(ctx context.Context, st *store.Store, org *idp.Org, one string) ([]any, error) {
	kind, name, named := strings.Cut(one, "/")
	if one != "" && (!named || name == "") {
		return nil, fmt.Errorf("%q does not say what to export; write KIND/NAME, like App/Your_Benefits", one)
	}
	n := &names{named: map[idp.Kind]map[string]string{}, users: map[string]string{}, apps: map[string]string{}}
	var docs []any
	known := false
	for _, k := range []idp.Kind{idp.KindGroup, idp.KindProfile, idp.KindPermissionSet, idp.KindScope} {
		n.named[k] = map[string]string{}
		all, err := st.People().AllNamed(ctx, org.ID, k)
		if err != nil {
			return nil, err
		}
		known = known || kind == string(k)
		for _, x := range all {
			n.named[k][x.ID] = x.Name
			if one == "" || kind == string(k) && name == x.Name {
				docs = append(docs, namedDoc(x))
			}
		}
	}
	switch {
	case one == "":
		users, err := allUsers(ctx, st, org, n)
		if err != nil {
			return nil, err
		}
		all, err := allApps(ctx, st, org, n)
		return append(append(docs, users...), all...), err
	case kind == "User":
		u, err := st.People().ByName(ctx, org.ID, name)
		if err != nil {
			return nil, missing(err, one)
		}
		return exportUser(ctx, st, n, u)
	case kind == "App":
		c, err := st.Apps().Find(ctx, org.ID, name)
		if err != nil {
			return nil, missing(err, one)
		}
		return exportApp(ctx, st, n, c)
	case !known:
		return nil, fmt.Errorf("unknown kind %q%s", kind, didYouMean(kind, kinds))
	case len(docs) == 0:
		return nil, missing(store.ErrNotFound, one)
	}
	return docs, nil
}

func missing(err error, one string) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("there is no %s", one)
	}
	return err
}

func exportUser(ctx context.Context, st *store.Store, n *names, u *idp.User) ([]any, error) {
	persistent, err := st.People().PersistentIDs(ctx, u.Org, u.ID)
	if err != nil {
		return nil, err
	}
	if len(persistent) == 0 {
		persistent = nil
	}
	return []any{n.userDoc(u, persistent)}, nil
}

func allUsers(ctx context.Context, st *store.Store, org *idp.Org, n *names) (docs []any, err error) {
	for after := ""; ; {
		page, err := st.People().List(ctx, org.ID, store.UserFilter{After: after, Limit: 500})
		if err != nil {
			return nil, err
		}
		for _, u := range page {
			after = u.ID
			n.users[u.ID] = u.Username
			if u.Parent != "" {
				continue
			}
			more, err := exportUser(ctx, st, n, u)
			if err != nil {
				return nil, err
			}
			docs = append(docs, more...)
		}
		if len(page) < 500 {
			return docs, nil
		}
	}
}

func exportApp(ctx context.Context, st *store.Store, n *names, c *idp.Connected) ([]any, error) {
	if err := n.learn(ctx, st, c); err != nil {
		return nil, err
	}
	metadata, err := st.Apps().Metadata(ctx, c.App.Org, c.App.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	return []any{n.appDoc(c, metadata)}, nil
}

func allApps(ctx context.Context, st *store.Store, org *idp.Org, n *names) (docs []any, err error) {
	for after := ""; ; {
		page, err := st.Apps().List(ctx, org.ID, store.AppFilter{After: after, Limit: 500})
		if err != nil {
			return nil, err
		}
		for _, c := range page {
			after = c.App.ID
			if c.App.Parent != "" {
				continue
			}
			more, err := exportApp(ctx, st, n, c)
			if err != nil {
				return nil, err
			}
			docs = append(docs, more...)
		}
		if len(page) < 500 {
			return docs, nil
		}
	}
}
