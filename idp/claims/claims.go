// Package claims says what an app may learn about a person: the one place where a user's data turns into what leaves the
// house. Nothing is told that is not named here.
//
//	claims.go    where a value comes from
//	saml.go      the NameID and the attributes of an assertion
//	openid.go    the claims of OpenID Connect, by scope
package claims

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// MaxGroups is how many groups an app is told of. Of a person in more it is told none, and an event says so: a part of the
// truth would be another answer to "may they?".
const MaxGroups = 200

// person is a user with the names of what they belong to, looked up where they are asked for.
type person struct {
	*idp.User
	ctx context.Context
	st  *store.Store
	app *idp.Connected
}

// Sources names every place a value can come from, for error messages; attributes.NAME stands for all of the user's own.
var sources = []string{"userId", "username", "email", "givenName", "familyName", "name", "federationID", "groups", "profile", "permissionSets", "roles", "attributes.NAME"}

// Source tells if name is a place that a value can come from, and if not, which there are.
func Source(name string) (ok bool, known []string) {
	if k, found := strings.CutPrefix(name, "attributes."); found && k != "" {
		return true, nil
	}
	return slices.Contains(sources[:len(sources)-1], name), slices.Clone(sources)
}

// values returns what stands at a source; none is nil.
func (p person) values(source string) ([]string, error) {
	one := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	if name, ok := strings.CutPrefix(source, "attributes."); ok {
		return clean(p.Attributes[name]), nil
	}
	switch source {
	case "userId":
		return one(p.ID), nil
	case "username":
		return clean(one(p.Username)), nil
	case "email":
		return clean(one(p.Email)), nil
	case "givenName":
		return clean(one(p.GivenName)), nil
	case "familyName":
		return clean(one(p.FamilyName)), nil
	case "name":
		return clean(one(p.Name())), nil
	case "federationID":
		return clean(one(p.FederationID)), nil
	case "roles":
		return p.Roles, nil
	case "groups":
		return p.names(idp.KindGroup, p.Groups)
	case "permissionSets":
		return p.names(idp.KindPermissionSet, p.PermissionSets)
	case "profile":
		return p.names(idp.KindProfile, one(p.Profile))
	}
	return nil, nil
}

// names are the names of what the person belongs to, in one order.
func (p person) names(kind idp.Kind, ids []string) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	if kind == idp.KindGroup && len(ids) > MaxGroups {
		p.st.Events().Refuse(p.ctx, idp.Event{Org: p.Org, Code: "TooManyGroups", User: p.ID, App: p.app.App.ID,
			Reason: fmt.Sprintf("%s is in %d groups; at most %d are told, so none were", p.Username, len(ids), MaxGroups)})
		return nil, nil
	}
	names, err := p.st.People().Names(p.ctx, p.Org, kind, ids)
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	return clean(names), nil
}

// clean leaves out what no XML document can carry. Such values are refused on the way in; this is for those that came
// another way.
func clean(values []string) []string {
	var out []string
	for _, v := range values {
		if v != "" && utf8.ValidString(v) && !strings.ContainsFunc(v, func(r rune) bool {
			return r < 0x20 && r != '\t' && r != '\n' || r == 0x7f || r == 0xfffe || r == 0xffff
		}) {
			out = append(out, v)
		}
	}
	return out
}
