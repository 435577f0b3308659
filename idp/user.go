package idp

import (
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// User is a person, or a service that acts like one.
type User struct {
	Org string `json:"-"`
	ID  string `json:"-"` // opaque, never reused: the sub of OpenID Connect

	Username      string `json:"-"`
	Email         string `json:"-"`
	Active        bool   `json:"-"`
	Service       bool   `json:"-"` // type: service; can not sign in
	Epoch         int64  `json:"-"`
	Password      string `json:"-"` // PHC string; empty: none, nobody signs in by password
	EmailVerified bool   `json:"emailVerified,omitempty"`

	GivenName      string              `json:"givenName,omitempty"`
	FamilyName     string              `json:"familyName,omitempty"`
	Profile        string              `json:"profile,omitempty"`        // id
	PermissionSets []string            `json:"permissionSets,omitempty"` // ids
	Groups         []string            `json:"groups,omitempty"`         // ids
	Roles          []string            `json:"roles,omitempty"`          // rights in this house: admin
	Attributes     map[string][]string `json:"attributes,omitempty"`
	FederationID   string              `json:"federationID,omitempty"`
	Declared       string              `json:"declared,omitempty"` // digest of the password value the declaration last set
	Set            string              `json:"set,omitempty"`      // the set of declarations that made it
	Parent         string              `json:"parent,omitempty"`   // service users: the app it was made for and is deleted with

	Created time.Time `json:"-"`
	Changed time.Time `json:"-"`
}

// Name is what pages call the user.
func (u *User) Name() string {
	if n := strings.TrimSpace(u.GivenName + " " + u.FamilyName); n != "" {
		return n
	}
	return u.Username
}

// RoleAdmin is the role of those who have the rights of an administrator of this house.
const RoleAdmin = "admin"

// Admin tells if the user has the rights of an administrator of this house.
func (u *User) Admin() bool { return slices.Contains(u.Roles, RoleAdmin) }

// NameKey is the form in which usernames and e-mail addresses are compared: two names with one key are one name.
func NameKey(name string) string {
	return norm.NFKC.String(strings.ToLower(norm.NFKC.String(strings.TrimSpace(name))))
}
