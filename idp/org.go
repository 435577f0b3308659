package idp

import (
	"context"
	"strings"
	"time"
)

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

// Idle is how long a session of the org lives unused.
func (o *Org) Idle() time.Duration {
	if o.SessionIdle > 0 {
		return o.SessionIdle
	}
	return 8 * time.Hour
}

// Absolute is how long a session of the org lives at most.
func (o *Org) Absolute() time.Duration {
	if o.SessionAbsolute > 0 {
		return o.SessionAbsolute
	}
	return 24 * time.Hour
}

// Secure tells if the org is reached over https, so that its cookies can be held to it.
func (o *Org) Secure() bool { return strings.HasPrefix(o.URL, "https://") }

type orgKey struct{}

// WithOrg returns a context that carries the org at whose address a request arrived.
func WithOrg(ctx context.Context, o *Org) context.Context {
	return context.WithValue(ctx, orgKey{}, o)
}

// OrgOf returns the org that ctx carries; nil where it carries none, which only a fault in the wiring can cause.
func OrgOf(ctx context.Context) *Org {
	o, _ := ctx.Value(orgKey{}).(*Org)
	return o
}
