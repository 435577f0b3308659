package idp

import (
	"time"

	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
)

// App is the definition of a connected app: what its developer says. Who may use it is said by an [Installation].
type App struct {
	Org     string `json:"-"`
	ID      string `json:"-"` // opaque, stable
	Name    string `json:"-"`
	APIName string `json:"-"` // letters, digits and single underscores; unique in the org
	Parent  string `json:"-"` // id of the app whose mould it came from; empty: an admin made it
	Epoch   int64  `json:"-"`

	ContactEmail string `json:"contactEmail,omitempty"`
	ContactPhone string `json:"contactPhone,omitempty"`
	Description  string `json:"description,omitempty"`
	InfoURL      string `json:"infoURL,omitempty"`
	StartURL     string `json:"startURL,omitempty"`
	RunsOn       string `json:"runsOn,omitempty"`
	Hidden       bool   `json:"hidden,omitempty"` // not in the launcher
	Order        int    `json:"order,omitempty"`  // in the launcher
	Set          string `json:"set,omitempty"`    // the set of declarations that made it

	SAML    *saml.ServiceProvider `json:"saml,omitempty"`
	OAuth   *oidc.Client          `json:"oauth,omitempty"`
	Release Release               `json:"release"`

	Created  time.Time `json:"-"`
	LastUsed time.Time `json:"-"` // to the minute; zero: never
}

// Release is what an app may learn about a person beside what its protocol always tells.
type Release struct {
	NameID     string      `json:"nameID,omitempty"` // source of the SAML NameID; empty: what its format implies
	Attributes []Attribute `json:"attributes,omitempty"`
}

// Attribute is one SAML attribute of a Release.
type Attribute struct {
	Name         string            `json:"name"`
	FriendlyName string            `json:"friendlyName,omitempty"`
	NameFormat   string            `json:"nameFormat,omitempty"` // a URN; empty: unspecified
	Source       string            `json:"source,omitempty"`     // username, email, attributes.NAME, groups, …
	Constant     string            `json:"constant,omitempty"`
	Join         string            `json:"join,omitempty"`   // several values become one
	Filter       string            `json:"filter,omitempty"` // regular expression, values that do not match are left out
	Rename       map[string]string `json:"rename,omitempty"`
}

// What an Installation says of its PermittedUsers.
const (
	AdminApproved = "admin-approved" // those named, without a question
	SelfAuthorize = "self-authorize" // any active user of the org; OAuth asks for consent
)

// Installation is an org's policy for an app. An app without one is open to nobody.
type Installation struct {
	Org            string      `json:"-"`
	App            string      `json:"-"`
	Blocked        bool        `json:"-"`
	Epoch          int64       `json:"-"`
	PermittedUsers string      `json:"permittedUsers"`           // empty: only the block stands here, the app is not installed
	Profiles       []string    `json:"profiles,omitempty"`       // ids
	PermissionSets []string    `json:"permissionSets,omitempty"` // ids
	Groups         []string    `json:"groups,omitempty"`         // ids
	Users          []Permitted `json:"users,omitempty"`
	RunAs          string      `json:"runAs,omitempty"` // id of the user that client credentials act as
}

// Permitted names one user who may use an app.
type Permitted struct {
	User  string    `json:"user"`           // id
	Until time.Time `json:"until,omitzero"` // exclusive; zero: without end
}

// Connected is an app with the installation its org has of it, as every decision needs them.
type Connected struct {
	App          App
	Installation *Installation     // nil: not installed, and not blocked
	Names        map[string]string // id → name of the profiles, permission sets and groups the installation names
}

// Blocked tells if nobody may enter now.
func (c *Connected) Blocked() bool { return c.Installation != nil && c.Installation.Blocked }
