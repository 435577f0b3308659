package store

import (
	"strconv"
	"strings"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/keys"
)

// Kinds of definition, as [Tx.Changed] and [Cached] know them. Users, sessions, grants and tokens are none: they are read
// with every use.
const (
	kindOrg   = "org"
	kindNamed = "named"
	kindApp   = "app" // with its installation, and the names of what that one names
	kindKey   = "key"
)

// How many definitions a node keeps. Those above are read again when they are asked for.
const (
	maxOrgs = 1000
	maxApps = 20_000
)

// definitions is what the views of the house keep.
type definitions struct {
	orgs      Cached[*idp.Org]         // by id
	orgNames  Cached[string]           // ids by name
	named     Cached[*namedThings]     // by cacheKey(org, kind)
	apps      Cached[*idp.Connected]   // by cacheKey(org, id)
	appNames  Cached[string]           // ids by cacheKey(org, apiName)
	clients   Cached[string]           // ids by client_id
	entities  Cached[[]string]         // ids by cacheKey(org, entityID)
	installed Cached[[]*idp.Connected] // all of an org, by org
	rings     Cached[*keys.Ring]       // by cacheKey(org, use)
	used      lastUses
}

// define readies the caches. It is called once, when the store is opened.
func (s *Store) define() {
	d := &s.definitions
	d.orgs.Store, d.orgs.Kind, d.orgs.Max, d.orgs.Load = s, kindOrg, maxOrgs, s.loadOrg
	d.orgNames.Store, d.orgNames.Kind, d.orgNames.Max, d.orgNames.Load = s, kindOrg, maxOrgs, s.loadOrgName
	d.named.Store, d.named.Kind, d.named.Max, d.named.Load = s, kindNamed, 4*maxOrgs, s.loadNamed
	d.apps.Store, d.apps.Kind, d.apps.Max, d.apps.Load = s, kindApp, maxApps, s.loadApp
	d.appNames.Store, d.appNames.Kind, d.appNames.Max, d.appNames.Load = s, kindApp, maxApps, s.loadAppName
	d.clients.Store, d.clients.Kind, d.clients.Max, d.clients.Load = s, kindApp, maxApps, s.loadClient
	d.entities.Store, d.entities.Kind, d.entities.Max, d.entities.Load = s, kindApp, maxApps, s.loadEntity
	d.installed.Store, d.installed.Kind, d.installed.Max, d.installed.Load = s, kindApp, maxOrgs, s.loadInstalled
	d.rings.Store, d.rings.Kind, d.rings.Max, d.rings.Load = s, kindKey, 2*maxOrgs, s.loadRing
}

// cacheKey puts the parts of a cache's key together. Ids and kinds have no NUL, and only the last part comes from outside.
func cacheKey(parts ...string) string { return strings.Join(parts, "\x00") }

func cutKey(key string) (first, rest string) {
	first, rest, _ = strings.Cut(key, "\x00")
	return first, rest
}

func placeholder(n int) string { return "$" + strconv.Itoa(n) }

// Taken says that somebody else has a name that only one may have. It is an [ErrExists].
type Taken struct {
	What  string // username, email, apiName, clientID, acs, name
	Value string
	By    string // who has it, as people call them; empty: it is not for this org to know
}

func (t *Taken) Error() string {
	if t.By == "" {
		return "store: " + t.What + " " + strconv.Quote(t.Value) + " is taken"
	}
	return "store: " + t.What + " " + strconv.Quote(t.Value) + " is taken by " + t.By
}

// Is makes a Taken an ErrExists.
func (t *Taken) Is(target error) bool { return target == ErrExists }
