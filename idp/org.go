package idp

import "time"

// Org is one tenant: its own people, apps, keys and addresses.
type Org struct {
	ID       string `json:"id"` // short, random, in every row and in the session cookie's name
	Name     string `json:"name"`
	URL      string `json:"url"`      // public address, no trailing slash; may move
	Issuer   string `json:"issuer"`   // of OpenID Connect, written once
	EntityID string `json:"entityID"` // of SAML, written once

	SessionIdle     time.Duration `json:"sessionIdle"`     // 0: 8 hours
	SessionAbsolute time.Duration `json:"sessionAbsolute"` // 0: 24 hours

	Epoch int64 `json:"-"`
}

// Kind is a kind of thing an org declares by name.
type Kind string

// The kinds kept as Named.
const (
	KindGroup         Kind = "Group"
	KindProfile       Kind = "Profile"
	KindPermissionSet Kind = "PermissionSet"
	KindScope         Kind = "Scope"
)

// Named is a group, profile, permission set or scope.
type Named struct {
	Org  string `json:"-"`
	Kind Kind   `json:"-"`
	ID   string `json:"-"`
	Name string `json:"name"`

	Label       string   `json:"label,omitempty"`       // scopes: the words a person reads
	Audience    string   `json:"audience,omitempty"`    // scopes: the API it is for
	Description string   `json:"description,omitempty"` // all
	Permissions []string `json:"permissions,omitempty"` // profiles and permission sets
	Set         string   `json:"set,omitempty"`         // the set of declarations that made it
}
