// Package server puts the rooms together: the router, what stands before it, and the outgoing client.
//
//	server.go    New: the wiring and the routes of every room
//	outside.go   what every request passes before the router: recover, reference, caller, org, path, log
//	below.go     the path that the org's addresses lie below, taken off on the way in and put in front on the way out
//	published.go what is told without a database too
//	caller.go    whose address a request comes from
//	fetch.go     the one outgoing HTTP client
//	work.go      what a running server does by itself: sweep, rotate keys
//	forms.go     our own forms: what they must be, and that they are ours
//	health.go    /healthz and /readyz
//	metrics.go   /metrics: what is counted, and who may read it
//	redact.go    what a line of the log may not say
package server

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/gate"
	"github.com/lanyard-sso/lanyard/idp/people"
	"github.com/lanyard-sso/lanyard/idp/portal"
	"github.com/lanyard-sso/lanyard/idp/signin"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/keys"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
	"github.com/lanyard-sso/lanyard/templates"
)

// Config is what a server is made of.
type Config struct {
	Store          *store.Store
	Sealer         *keys.Sealer
	People         *people.People
	Now            func() time.Time
	Log            *slog.Logger
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	Fetcher        *Fetcher       // the way out; nil: one that reaches no private address
	// Leaving tells if the server is about to end: then it is not ready, and every answer ends its connection. nil: never.
	Leaving func() bool
	// Metrics counts what is done, nil: nothing does. MetricsHere has /metrics answer on this machine; otherwise whoever
	// made the server shows them somewhere else.
	Metrics     *Metrics
	MetricsHere bool
	TLSUntil    func() time.Time // when the certificate that browsers are shown ends; nil: TLS is spoken elsewhere
}

// NewSignIn returns the room of the person at the browser, which the command line needs too (the set-up link).
func (c Config) NewSignIn() *signin.Handler {
	return &signin.Handler{Store: c.Store, People: c.People, Sealer: c.Sealer.For("ask"), Now: c.Now, Log: c.Log}
}

// New returns the whole server.
func New(c Config) http.Handler {
	in := c.NewSignIn()
	g := gate.Gate{Store: c.Store, SignIn: in, Now: c.Now, Log: c.Log}
	s := &server{Config: c}
	if c.Fetcher == nil {
		c.Fetcher = NewFetcher(nil)
	}

	protocols := mux.NewRouter().SkipClean(true).UseEncodedPath()
	(&oidc.Handler{
		Site: s.oidcSite, Store: c.Store.OIDC(), Users: gate.OIDC{Gate: g}, Now: c.Now, NewID: newID, Log: c.Log,
		Fetch: c.Fetcher.Keys,
	}).Mount(protocols)
	(&saml.Handler{
		Site: s.samlSite, Store: c.Store.SAML(), Users: gate.SAML{Gate: g}, Now: c.Now, NewID: newID, Log: c.Log,
	}).Mount(protocols)

	// Our own forms: a state-changing request that another site caused is refused. Never around the protocols, whose
	// callers are other sites by nature.
	pages := mux.NewRouter().SkipClean(true).UseEncodedPath()
	in.Mount(pages)
	(&portal.Handler{Store: c.Store, SignIn: in, Now: c.Now, Log: c.Log}).Mount(pages)
	pages.PathPrefix("/assets/").Handler(templates.Assets()).Methods("GET", "HEAD")

	for _, r := range []*mux.Router{protocols, pages} {
		r.Use(routed)
		r.NotFoundHandler = http.HandlerFunc(s.notFound)
		r.MethodNotAllowedHandler = http.HandlerFunc(s.notAllowed(r))
		if err := r.Walk(named); err != nil {
			panic(err)
		}
	}
	return s.outside(s.split(protocols, s.ownForms(pages)))
}

type server struct {
	Config
	known atomic.Pointer[below] // where the org lay when it was last looked up
	site  atomic.Pointer[layout]
}

// split sends the protocols' addresses to their router and everything else to the pages.
func (s *server) split(protocols, pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.URL.Path
		switch {
		case strings.HasPrefix(p, "/oauth2/"), strings.HasPrefix(p, "/saml/"),
			p == "/.well-known/openid-configuration", p == "/.well-known/oauth-authorization-server":
			protocols.ServeHTTP(w, r)
		default:
			pages.ServeHTTP(w, r)
		}
	})
}

// named sees that the list of our paths' first words is whole.
func named(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
	if path, err := route.GetPathTemplate(); err == nil && path != "/" && !Ours(path) {
		return fmt.Errorf("server: %s is not among the names", path)
	}
	return nil
}

// newID returns 160 random bits as lower-case letters and digits.
func newID() string {
	b := make([]byte, 20)
	rand.Read(b)
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))
}

// oidcSite returns the same value until something of it changes.
func (s *server) oidcSite(ctx context.Context) *oidc.Site {
	o := idp.OrgOf(ctx)
	ring, err := s.Store.Keys().Ring(ctx, o.ID, keys.OIDC)
	if err != nil {
		s.Log.ErrorContext(ctx, "token keys", "error", err)
		ring = nil
	}
	scopes, err := s.Store.People().AllNamed(ctx, o.ID, idp.KindScope)
	if err != nil {
		s.Log.ErrorContext(ctx, "scopes", "error", err)
		site := newSite(o, ring, nil)
		site.Unsure = true
		return site
	}
	if l := s.site.Load(); l != nil && l.org == o && l.ring == ring && same(l.scopes, scopes) {
		return l.site
	}
	l := &layout{o, ring, scopes, newSite(o, ring, scopes)}
	s.site.Store(l)
	return l.site
}

// layout is a site with what it was made of, all of it from caches that give the same pointers again.
type layout struct {
	org    *idp.Org
	ring   *keys.Ring
	scopes []*idp.Named
	site   *oidc.Site
}

func same[T any](a, b []T) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

func newSite(o *idp.Org, ring *keys.Ring, scopes []*idp.Named) *oidc.Site {
	site := &oidc.Site{Org: o.ID, Base: o.URL, Issuer: o.Issuer, ACR: []string{idp.ACRPassword}, Keys: ring}
	for _, n := range scopes {
		site.Scopes = append(site.Scopes, oidc.Scope{Name: n.Name, Label: n.Label, Audience: n.Audience})
	}
	return site
}

func (s *server) samlSite(ctx context.Context) *saml.Site {
	o := idp.OrgOf(ctx)
	site := &saml.Site{Org: o.ID, Base: o.URL, EntityID: o.EntityID}
	ring, err := s.Store.Keys().Ring(ctx, o.ID, keys.SAML)
	if err != nil {
		s.Log.ErrorContext(ctx, "SAML keys", "error", err)
		return site
	}
	site.Keys = ring
	return site
}

// notFound and notAllowed are the router's last words; mux runs no middleware for them.
func (s *server) notFound(w http.ResponseWriter, r *http.Request) {
	s.page(w, r, http.StatusNotFound, "problem.notfound")
}

func (s *server) notAllowed(router *mux.Router) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allow []string
		for _, m := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
			q := r.Clone(r.Context())
			q.Method = m
			var match mux.RouteMatch
			if router.Match(q, &match) && match.MatchErr == nil {
				allow = append(allow, m)
			}
		}
		w.Header().Set("Allow", strings.Join(allow, ", "))
		s.page(w, r, http.StatusMethodNotAllowed, "problem.method")
	}
}

func (s *server) crossOrigin(w http.ResponseWriter, r *http.Request) {
	ref := s.Store.Events().Refuse(r.Context(), idp.Event{
		Org: idp.OrgOf(r.Context()).ID, Code: "CrossOriginRequest", Reason: "a form of ours was sent by another site to " + r.URL.Path,
	})
	templates.Write(w, r, http.StatusForbidden, templates.Problem{
		Title: "problem.crossorigin.title", Sentence: "problem.crossorigin.sentence", Reference: ref, Status: http.StatusForbidden,
	})
}

// internal writes the page for a fault of our own, of which the log has more than anybody outside may see.
func (s *server) internal(w http.ResponseWriter, r *http.Request) {
	p := templates.Problem{Sentence: "problem.internal", Reference: idp.CallerOf(r.Context()).Reference, Status: http.StatusInternalServerError}
	if o := idp.OrgOf(r.Context()); o != nil {
		p.Reference = s.Store.Events().Refuse(r.Context(), idp.Event{Org: o.ID, Code: "InternalError", Reason: "a panic; the log has it"})
	}
	templates.Write(w, r, p.Status, p)
}

// page writes a refusal that needs no event: nothing was asked for that exists.
func (s *server) page(w http.ResponseWriter, r *http.Request, status int, key string) {
	templates.Write(w, r, status, templates.Problem{
		Title: key + ".title", Sentence: key + ".sentence", Reference: idp.CallerOf(r.Context()).Reference, Status: status,
	})
}
