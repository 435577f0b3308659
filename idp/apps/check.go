package apps

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/saml"
)

// Fault is one thing that can not be. Path is the key as a declaration writes it: oauth.redirectURIs[0].
type Fault struct{ Path, Text string }

func (f Fault) Error() string { return f.Path + ": " + f.Text }

// Faults is everything that can not be, in the order of a declaration.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

// checking gathers faults.
type checking struct {
	app    *idp.App
	scopes []string // of the org, the built-in ones among them
	faults Faults
}

func (c *checking) fault(path, text string, args ...any) {
	c.faults = append(c.faults, Fault{path, fmt.Sprintf(text, args...)})
}

// oneOf holds a word to those there are.
func (c *checking) oneOf(path, word string, words ...string) {
	if !slices.Contains(words, word) {
		known := slices.DeleteFunc(slices.Clone(words), func(s string) bool { return s == "" })
		c.fault(path, "%q is not known; there is %s", clip(word), strings.Join(known, ", "))
	}
}

const (
	maxName = 200  // bytes, of an app and of anything it names
	maxText = 2000 // of a description
)

// text holds a text to what can be stored, shown and sent.
func (c *checking) text(path, s string, most int) {
	switch {
	case len(s) > most:
		c.fault(path, "it is longer than %d bytes", most)
	case !idp.Text(s):
		c.fault(path, "%q has control characters or is not UTF-8", clip(s))
	}
}

// page holds an address that people are led to.
func (c *checking) page(path, address string) {
	if address == "" {
		return
	}
	if err := saml.CheckEndpoint(address); err != nil {
		c.fault(path, "%s", err)
	}
}

// Check tells everything that is wrong with an app and its policy; nil: nothing. scopes are those the org declares, i is
// nil for an app that is not installed. What another app has already is only known when it is stored.
func Check(a *idp.App, i *idp.Installation, scopes []string) Faults {
	c := &checking{app: a, scopes: append(idp.BuiltInScopes(), scopes...)}
	switch {
	case strings.TrimSpace(a.Name) == "":
		c.fault("name", "an app needs a name")
	case a.Name != strings.TrimSpace(a.Name):
		c.fault("name", "%q begins or ends with a space", clip(a.Name))
	default:
		c.text("name", a.Name, maxName)
	}
	if !isAPIName(a.APIName) {
		c.fault("apiName", "%q must be letters, digits and single underscores, begin with a letter, and not end with an underscore; at most %d of them",
			clip(a.APIName), maxAPIName)
	}
	if a.ContactEmail != "" && !idp.EmailAddress(a.ContactEmail) {
		c.fault("contactEmail", "%q is no e-mail address like hr-apps@example.com", clip(a.ContactEmail))
	}
	c.text("contactPhone", a.ContactPhone, maxName)
	c.text("description", a.Description, maxText)
	c.page("infoURL", a.InfoURL)
	c.page("startURL", a.StartURL)
	c.oneOf("runsOn", a.RunsOn, "", "saas", "server", "native", "device", "gateway")
	c.saml()
	c.oauth()
	c.policy(i)
	return c.faults
}

func (c *checking) policy(i *idp.Installation) {
	if i == nil {
		return
	}
	c.oneOf("policy.permittedUsers", i.PermittedUsers, idp.AdminApproved, idp.SelfAuthorize)
	if i.PermittedUsers == idp.SelfAuthorize {
		// Whoever writes both believes that it is closed.
		for _, f := range []struct {
			key string
			n   int
		}{{"profiles", len(i.Profiles)}, {"permissionSets", len(i.PermissionSets)}, {"groups", len(i.Groups)}, {"users", len(i.Users)}} {
			if f.n > 0 {
				c.fault("policy."+f.key, "with self-authorize every active user may use the app, so nobody is named; say admin-approved")
			}
		}
	}
	seen := map[string]bool{}
	for n, u := range i.Users {
		if seen[u.User] {
			c.fault(fmt.Sprintf("policy.users[%d]", n), "the user is named twice")
		}
		seen[u.User] = true
	}
}

// taken turns what another app has already into a Fault at the key that names it.
func taken(err error, a *idp.App) error {
	var t *store.Taken
	if !errors.As(err, &t) {
		return err
	}
	by := t.By
	if by == "" {
		by = "an app of another org"
	}
	path, text := t.What, fmt.Sprintf("%q is taken by %s", t.Value, by)
	switch t.What {
	case "clientID":
		path = "oauth.clientID"
	case "acs":
		path = "saml.acs"
		for n, e := range a.SAML.ACS {
			if e.URL == t.Value {
				path = fmt.Sprintf("saml.acs[%d].url", n)
			}
		}
		text = fmt.Sprintf("%q with the entity ID %q is the ACS of %s already", t.Value, a.SAML.EntityID, by)
	}
	return Faults{{path, text}}
}

func clip(s string) string {
	const most = 100
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

func decomposed(s string) string { return norm.NFKD.String(s) }
