package apps

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// Permit makes a policy of the words of the command line: everyone, nobody, or any of group:G, profile:P,
// permissionSet:S, user:U. An unknown word or name is told as Faults.
func (a *Apps) Permit(ctx context.Context, org string, words []string) (*idp.Installation, error) {
	i := &idp.Installation{Org: org, PermittedUsers: idp.AdminApproved}
	var faults Faults
	for n, word := range words {
		path := fmt.Sprintf("permit[%d]", n)
		kind, name, named := strings.Cut(word, ":")
		var ids *[]string
		var thing idp.Kind
		switch {
		case (word == "everyone" || word == "nobody") && len(words) == 1:
			if word == "everyone" {
				i.PermittedUsers = idp.SelfAuthorize
			}
			return i, nil
		case word == "everyone" || word == "nobody":
			faults = append(faults, Fault{path, word + " stands alone"})
			continue
		case named && kind == "group":
			ids, thing = &i.Groups, idp.KindGroup
		case named && kind == "profile":
			ids, thing = &i.Profiles, idp.KindProfile
		case named && kind == "permissionSet":
			ids, thing = &i.PermissionSets, idp.KindPermissionSet
		case named && kind == "user":
			u, err := a.Store.People().ByName(ctx, org, name)
			if errors.Is(err, store.ErrNotFound) {
				faults = append(faults, Fault{path, fmt.Sprintf("there is no user %q", clip(name))})
				continue
			}
			if err != nil {
				return nil, err
			}
			i.Users = append(i.Users, idp.Permitted{User: u.ID})
			continue
		default:
			faults = append(faults, Fault{path, fmt.Sprintf("%q is not known; there is everyone, group:NAME, profile:NAME, permissionSet:NAME, user:NAME and nobody", clip(word))})
			continue
		}
		found, err := a.Store.People().Named(ctx, org, thing, name)
		if errors.Is(err, store.ErrNotFound) {
			faults = append(faults, Fault{path, fmt.Sprintf("there is no %s %q", thing, clip(name))})
			continue
		}
		if err != nil {
			return nil, err
		}
		*ids = append(*ids, found.ID)
	}
	switch {
	case len(words) == 0:
		return nil, Faults{{"permit", "say who may use the app: everyone, group:NAME, profile:NAME, permissionSet:NAME, user:NAME or nobody"}}
	case len(faults) > 0:
		return nil, faults
	}
	return i, nil
}
