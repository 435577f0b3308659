package main_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/oidc"
	"github.com/lanyard-sso/lanyard/saml"
)

// raceKind is a kind of value that is used once. A race is one value, wanted by both nodes at the same moment.
type raceKind struct {
	name    string
	share   int // of a thousand races
	prepare func(h *raceHouse, pair int) (value string, err error)
	take    func(h *raceHouse, st *store.Store, pair int, value string) error
	lost    []error // how a node is told that it lost
}

// raceHouse is what the racing steps need.
type raceHouse struct {
	a, b    *store.Store
	org     string
	user    *idp.User
	app     string
	parents [racePairs]*oidc.Client
	made    [racePairs]int // children of each
}

const racePairs = 8 // of one step on each node, at once

func hash32() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return b
}

func (h *raceHouse) issue(st *store.Store, grant string, generation int64) oidc.Issue {
	now := time.Now()
	return oidc.Issue{
		Grant: &oidc.Grant{
			ID: grant, App: h.app, Client: "race", User: h.user.ID, Kind: oidc.KindCode, Scopes: []string{"openid"}, AuthTime: now,
			Created: now, LastUsed: now, Generation: generation, Hash: hash32(), Previous: hash32(), Successor: hash32(), Rotated: now, Unused: now.Add(time.Hour),
		},
		Token: &oidc.Token{ID: st.NewID(), Hash: hash32(), Grant: grant, Scopes: []string{"openid"}, Created: now, Expires: now.Add(time.Hour)},
		Event: "OauthWebServer",
	}
}

func (h *raceHouse) code(id string) *oidc.Code {
	now := time.Now()
	return &oidc.Code{ID: id, Hash: hash32(), ClientID: "race", RedirectURI: "https://race.example/cb", Created: now, Expires: now.Add(time.Hour), Grant: *h.issue(h.a, id, 1).Grant}
}

func raceKinds() []raceKind {
	ctx := context.Background()
	spent := []error{oidc.ErrSpent}
	later := func() time.Time { return time.Now().Add(time.Hour) }
	return []raceKind{
		{"authorization code", 100, func(h *raceHouse, _ int) (string, error) {
			id := h.a.NewID()
			return id, h.a.OIDC().AddCode(ctx, h.org, h.code(id), "")
		}, func(h *raceHouse, st *store.Store, _ int, id string) error {
			return st.OIDC().Redeem(ctx, h.org, id, h.issue(st, id, 1))
		}, spent},
		{"refresh token", 100, func(h *raceHouse, _ int) (string, error) {
			id := h.a.NewID()
			return id, h.a.OIDC().AddGrant(ctx, h.org, h.issue(h.a, id, 1))
		}, func(h *raceHouse, st *store.Store, _ int, id string) error {
			return st.OIDC().Turn(ctx, h.org, 1, h.issue(st, id, 2))
		}, spent},
		{"remembered request, OpenID Connect", 80, func(h *raceHouse, _ int) (string, error) {
			l := &oidc.Login{App: h.app, Created: time.Now(), Expires: later()}
			err := h.a.OIDC().AddLogin(ctx, h.org, l)
			return l.ID, err
		}, func(h *raceHouse, st *store.Store, _ int, id string) error {
			return st.OIDC().AddCode(ctx, h.org, h.code(st.NewID()), id)
		}, spent},
		{"remembered request, SAML", 80, func(h *raceHouse, _ int) (string, error) {
			l := &saml.Login{App: h.app, Created: time.Now(), Expires: later()}
			err := h.a.SAML().AddLogin(ctx, h.org, l)
			return l.ID, err
		}, func(h *raceHouse, st *store.Store, _ int, id string) error {
			return st.SAML().Answer(ctx, h.org, saml.Answer{App: h.app, User: h.user.ID, Session: "s" + id, Login: id})
		}, []error{saml.ErrSpent}},
		{"AuthnRequest ID", 120, func(h *raceHouse, _ int) (string, error) { return rand.Text(), nil },
			func(h *raceHouse, st *store.Store, _ int, id string) error {
				return st.SAML().Answer(ctx, h.org, saml.Answer{App: h.app, User: h.user.ID, Session: "s" + id, RequestID: id, SpentUntil: later()})
			}, []error{saml.ErrSpent}},
		{"jti of a client assertion", 220, func(h *raceHouse, _ int) (string, error) { return rand.Text(), nil },
			func(h *raceHouse, st *store.Store, _ int, id string) error {
				return st.OIDC().SpendAssertion(ctx, h.org, h.app, id, later())
			}, spent},
		{"set-up link", 120, func(h *raceHouse, _ int) (string, error) {
			id := h.a.NewID()
			return id, h.a.Write(ctx, func(tx *store.Tx) error {
				_, err := tx.Exec(`INSERT INTO link (org, id, hash, kind, usr, expires) VALUES ($1, $2, $3, 'setup', '', $4)`, h.org, id, hash32(), later())
				return err
			})
		}, func(h *raceHouse, st *store.Store, _ int, id string) error {
			return st.Write(ctx, func(tx *store.Tx) error { return tx.TakeSetupLink(h.org, id) })
		}, []error{store.ErrGone}},
		{"initial access token", 60, func(h *raceHouse, _ int) (string, error) {
			id := h.a.NewID()
			return id, h.a.OIDC().AddInitialToken(ctx, h.org, &oidc.RegistrationToken{ID: id, Hash: hash32(), App: h.app, Kind: oidc.KindInitial, Name: id, Created: time.Now()})
		}, func(h *raceHouse, st *store.Store, _ int, id string) error {
			return st.OIDC().DropInitialToken(ctx, h.org, h.app, id)
		}, []error{store.ErrGone}},
		{"the last client a mould has room for", 55, func(h *raceHouse, pair int) (string, error) { return "", nil },
			func(h *raceHouse, st *store.Store, pair int, _ string) error {
				parent := *h.parents[pair]
				mould := *parent.Mould
				mould.Limit = h.made[pair] + 1
				parent.Mould = &mould
				c := &oidc.Client{ID: strings.ToLower(rand.Text()), Name: "Child", Type: "service", Scopes: []string{"orders"}, Registered: &oidc.Metadata{}}
				return st.OIDC().AddChild(ctx, h.org, &parent, c, []byte("secret"), &oidc.RegistrationToken{ID: st.NewID(), Hash: hash32(), Kind: oidc.KindRegistration, Created: time.Now()})
			}, []error{oidc.ErrLimit}},
		{"username", 65, func(h *raceHouse, _ int) (string, error) { return strings.ToLower(rand.Text()), nil },
			func(h *raceHouse, st *store.Store, _ int, name string) error {
				return st.Write(ctx, func(tx *store.Tx) error {
					return tx.AddUser(&idp.User{Org: h.org, Username: name, Email: name + "@example.com", Active: true})
				})
			}, []error{store.ErrExists}},
	}
}

func newRaceHouse(t *testing.T, dsn string) *raceHouse {
	t.Helper()
	more := func(c *store.Config) { c.Conns = racePairs + 2 }
	h := &raceHouse{a: storetest.Open(t, dsn, more), b: storetest.Open(t, dsn, more)}
	o := &idp.Org{Name: store.DefaultOrg, URL: "https://id.example.com"}
	if err := h.a.Orgs().AddOrg(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	h.org = o.ID
	h.user = &idp.User{Org: h.org, Username: "ana", Email: "ana@example.com", Active: true}
	add := func(name string) *oidc.Client {
		a := &idp.App{Org: h.org, ID: h.a.NewID(), Name: name, APIName: name, OAuth: &oidc.Client{ID: name, Name: name, Type: "service", Scopes: []string{"openid", "orders"}}}
		a.OAuth.App = a.ID
		a.OAuth.Mould = &oidc.Mould{Limit: 1, Grants: []string{"client_credentials"}, Scopes: []string{"orders"}, RunAs: h.user.ID, Permit: "everyone"}
		if err := h.a.Write(t.Context(), func(tx *store.Tx) error {
			if err := tx.AddApp(a, nil, nil); err != nil {
				return err
			}
			return tx.PutInstallation(&idp.Installation{Org: h.org, App: a.ID, PermittedUsers: idp.SelfAuthorize})
		}); err != nil {
			t.Fatal(err)
		}
		return a.OAuth
	}
	if err := h.a.Write(t.Context(), func(tx *store.Tx) error { return tx.AddUser(h.user) }); err != nil {
		t.Fatal(err)
	}
	h.app = add("race").App
	for i := range h.parents {
		h.parents[i] = add(fmt.Sprintf("parent%d", i))
	}
	return h
}

// races runs n races of a kind and returns how many values had one winner, more, and none; and how often the node won that was told
// of the value second, which shows that both were at it.
func (h *raceHouse) races(t *testing.T, k raceKind, n int) (one, more, none, second int64) {
	t.Helper()
	var all sync.WaitGroup
	var single, double, zero, late, wrong atomic.Int64
	for pair := range racePairs {
		all.Go(func() {
			var values [2]chan string
			var results [2]chan error
			for node, st := range []*store.Store{h.a, h.b} {
				values[node], results[node] = make(chan string), make(chan error)
				go func() {
					for v := range values[node] {
						results[node] <- k.take(h, st, pair, v)
					}
				}()
			}
			defer close(values[0])
			defer close(values[1])
			for i := pair; i < n; i += racePairs {
				v, err := k.prepare(h, pair)
				if err != nil {
					t.Errorf("%s: %v", k.name, err)
					return
				}
				values[i%2] <- v
				values[1-i%2] <- v
				won := 0
				for node, r := range results {
					err := <-r
					lost := false
					for _, l := range k.lost {
						lost = lost || errors.Is(err, l)
					}
					if err == nil {
						if won++; node != i%2 {
							late.Add(1)
						}
					} else if !lost {
						if wrong.Add(1) < 5 {
							t.Errorf("%s: %v", k.name, err)
						}
					}
				}
				h.made[pair] += won
				switch won {
				case 1:
					single.Add(1)
				case 0:
					zero.Add(1)
				default:
					double.Add(1)
				}
			}
		})
	}
	all.Wait()
	return single.Load(), double.Load(), zero.Load(), late.Load()
}

// one million races on single-use values between two nodes on one PostgreSQL, and a hundred thousand between two processes' worth of
// writers on one SQLite file; 4,000 of each in `make test`. Each value is had once.
func TestFaultRaces(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{storetest.Postgres, storetest.SQLite} {
		t.Run(kind, func(t *testing.T) {
			h := newRaceHouse(t, storetest.DSN(t, kind))
			thousandth := times(4, map[string]int{storetest.Postgres: 1000, storetest.SQLite: 100}[kind])
			var table strings.Builder
			total, began := 0, time.Now()
			fmt.Fprintf(&table, "| %s | races | had by one | by both | by none | by who was told second | a second |\n|---|---|---|---|---|---|---|\n", kind)
			for _, k := range raceKinds() {
				for i := range h.made { // a mould's count is of this kind only
					if k.prepare != nil && strings.HasPrefix(k.name, "the last client") {
						h.made[i] = 0
					}
				}
				n := k.share * thousandth
				start, told := time.Now(), time.Now()
				var one, more, none, second int64
				for left := n; left > 0; left -= 5000 {
					o, m, z, l := h.races(t, k, min(left, 5000))
					one, more, none, second = one+o, more+m, none+z, second+l
					if time.Since(told) > 20*time.Second {
						told = time.Now()
						t.Logf("%s: %s: %d of %d, %d by both", kind, k.name, one+more+none, n, more)
					}
				}
				if more > 0 || none > 0 || one != int64(n) {
					t.Errorf("%s: %d of %d were won by both nodes, %d by none", k.name, more, n, none)
				}
				total += n
				fmt.Fprintf(&table, "| %s | %d | %d | %d | %d | %.0f %% | %.0f |\n", k.name, n, one, more, none, 100*float64(second)/float64(n), float64(n)/time.Since(start).Seconds())
			}
			fmt.Fprintf(&table, "| all | %d | | | | | %.0f |\n", total, float64(total)/time.Since(began).Seconds())
			t.Logf("%s\n%s", kind, &table)
		})
	}
}
