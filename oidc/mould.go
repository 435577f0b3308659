package oidc

import "slices"

// Under returns c as it may be now that parent is what it is: at most as large as the mould, and blocked with an app that
// is blocked itself, is gone (nil) or registers no clients any more. What is stored of c stays as it is, and neither
// client is written to.
func (c *Client) Under(parent *Client) *Client {
	now := *c
	if parent == nil || parent.Blocked || parent.Mould == nil {
		now.Blocked = true
		return &now
	}
	mould := parent.Mould
	within := func(grant string) bool { return slices.Contains(mould.Grants, grant) }
	now.AuthorizationCode = c.AuthorizationCode && within(GrantCode)
	now.Refresh = c.Refresh && within(GrantRefresh)
	now.ClientCredentials = c.ClientCredentials && within(GrantClientCredentials)
	now.Scopes, now.DefaultScopes = common(c.Scopes, mould.Scopes), common(c.DefaultScopes, mould.Scopes)
	return &now
}

// common returns those of scopes that all holds, under either of their names. Where that is every one, nothing is copied.
func common(scopes, all []string) []string {
	beyond := func(s string) bool { return !holds(all, s) }
	if !slices.ContainsFunc(scopes, beyond) {
		return scopes
	}
	return slices.DeleteFunc(slices.Clone(scopes), beyond)
}
