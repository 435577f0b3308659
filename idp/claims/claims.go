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
	"strings"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// person is a user with the names of what they belong to, looked up where they are asked for.
type person struct {
	*idp.User
	ctx context.Context
	st  *store.Store
	app *idp.Connected
}

// values returns what stands at a source (idp.Source); none is nil.
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
		return clean(p.Roles), nil
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
	names, err := p.st.People().Names(p.ctx, p.Org, kind, ids)
	return clean(names), err
}

// maxGroups is how many groups an app is told of. Of a person in more it is told none, and an event says so: a part of
// the truth would be another answer to "may they?".
const maxGroups = 200

// tooMany tells if n groups are more than an app is told of, and then says so to the admin.
func (p person) tooMany(n int) bool {
	if n <= maxGroups {
		return false
	}
	p.st.Events().Refuse(p.ctx, idp.Event{
		Org: p.Org, Code: "TooManyGroups", User: p.ID, App: p.app.App.ID,
		Reason: fmt.Sprintf("%s is in %d groups; at most %d are told, so none were", p.Username, n, maxGroups),
	})
	return true
}

// clean leaves out what can not be sent as it is. Such values are refused on the way in; this is for those that came
// another way. Nothing is replaced: that could make one value of two.
func clean(values []string) []string {
	var out []string
	for _, v := range values {
		if v != "" && idp.Text(v) {
			out = append(out, v)
		}
	}
	return out
}
