package claims

import (
	"context"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// OIDC returns the claims that scopes let the app of c see of u (Core §5.4), without sub. What is not known of a person
// is left out, never empty.
func OIDC(ctx context.Context, st *store.Store, c *idp.Connected, u *idp.User, scopes []string) (map[string]any, error) {
	p := person{u, ctx, st, c}
	told := map[string]any{}
	for _, s := range scopes {
		switch s {
		case "profile":
			p.profile(told)
		case "email":
			if v := clean([]string{u.Email}); v != nil {
				told["email"], told["email_verified"] = v[0], u.EmailVerified
			}
		case "phone":
			if v := p.attr("phone_number"); v != "" {
				told["phone_number"], told["phone_number_verified"] = v, p.attr("phone_number_verified") == "true"
			}
		case "address":
			p.address(told)
		case "groups":
			if err := p.groups(told); err != nil {
				return nil, err
			}
		}
	}
	return told, nil
}

// profile are the claims of Core §5.1 that the profile scope asks for; those the house has no field for come from
// attributes of the same name.
func (p person) profile(told map[string]any) {
	put := func(name, value string) {
		if v := clean([]string{value}); v != nil {
			told[name] = v[0]
		}
	}
	put("name", p.Name())
	put("given_name", p.GivenName)
	put("family_name", p.FamilyName)
	put("preferred_username", p.Username)
	for _, name := range []string{"middle_name", "nickname", "profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale"} {
		put(name, p.attr(name))
	}
	if !p.Changed.IsZero() {
		told["updated_at"] = p.Changed.Unix()
	}
}

// address is the address claim (Core §5.1.1).
func (p person) address(told map[string]any) {
	a := map[string]any{}
	for _, name := range []string{"formatted", "street_address", "locality", "region", "postal_code", "country"} {
		if v := p.attr(name); v != "" {
			a[name] = v
		}
	}
	if len(a) > 0 {
		told["address"] = a
	}
}

func (p person) attr(name string) string {
	if v := clean(p.Attributes[name]); len(v) > 0 {
		return v[0]
	}
	return ""
}

// groups are the names of the person's groups. To be in none is an empty list; to be in too many is no claim.
func (p person) groups(told map[string]any) error {
	names, err := p.names(idp.KindGroup, p.Groups)
	if err != nil {
		return err
	}
	if p.tooMany(len(names)) {
		return nil
	}
	if names == nil {
		names = []string{}
	}
	told["groups"] = names
	return nil
}
