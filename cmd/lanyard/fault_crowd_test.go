package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/lanyard-sso/lanyard/idp/people"
)

// crowd is many people and apps that use a Lanyard at once and write down what was acknowledged to them: each thing of the ledger
// says afterwards if it is as it was promised.
type crowd struct {
	t       *testing.T
	o       *org
	file    string        // the binary for commands
	at      func() string // who answers a new connection: host:port
	http    *http.Client
	pause   time.Duration // between two things that one of them does
	initial string        // the gateway's token
	sso     atomic.Pointer[sp]
	id      func(idToken string) error             // who looks at every ID token; may be nil
	assert  func(response []byte, id string) error // and at every assertion
	left    []*registered                          // still there, for those who come later
	in      [crowdUsers]*session                   // of people who use apps

	mu      sync.Mutex
	ledger  []held
	made    map[string]bool   // by apply: three users; false: it was not acknowledged
	tally   map[int]int       // statuses; 0: no answer
	strange map[string]string // what was answered that is neither yes nor no nor 503
	took    []time.Duration
}

// held is a thing of the ledger.
type held interface {
	// check compares it with what the server says; what was unsure is known afterwards. "" where all is well.
	check(c *crowd) string
	kind() string
}

type state int

const (
	unsure state = iota // asked for, and no answer came
	there
	over
)

func (s state) String() string { return [...]string{"unsure", "there", "over"}[s] }

const (
	crowdUsers = 12 // people who stay signed in and use apps, each at one browser
	comers     = 48 // people who come, sign in and go
)

// faultOrg declares what the crowd uses.
func faultOrg(o *org, file string) {
	o.t.Helper()
	docs := []string{
		"kind: Group\nname: staff", "kind: Scope\nname: orders\nlabel: See your orders",
		client("Pocket", "pocket", "\"http://127.0.0.1/cb\"", "type: native\npublic: true\nscopes: [openid, email, refresh_token]\nflows: {authorizationCode: true, refresh: true}", "{groups: [staff]}"),
		client("Wellness Tracker", "wellness", "https://wellness.example/cb",
			"clientSecret: {plain: "+secret+"}\nscopes: [openid, email, refresh_token]\nflows: {authorizationCode: true, refresh: true}", "{groups: [staff]}"),
		app("Your Benefits", "benefits.example", "", "groups: [staff]"),
		"kind: App\nname: Orders Gateway\noauth:\n  clientID: gateway\n  clientSecret: {plain: " + secret + "}\n  type: service\n  scopes: [orders]\n  flows: {clientCredentials: true}\n" +
			"  introspect: children\n  registration: {limit: 100, grants: [client_credentials], scopes: [orders], runAs: auto, permit: everyone}\npolicy: {users: [{user: u0}]}",
	}
	for i := range crowdUsers + comers {
		docs = append(docs, strings.Replace(person(fmt.Sprintf("u%d", i), "groups: [staff]"), "{plain: "+password+"}", "{hash: '"+passwordHash()+"'}", 1))
	}
	if out, code := o.command(file, strings.Join(docs, "\n---\n"), nil, "apply", "-f", "-"); code != 0 {
		o.t.Fatalf("apply: exit %d\n%s", code, out)
	}
}

// passwordHash is the password, hashed once for all.
var passwordHash = sync.OnceValue(func() string { return must(people.New(nil).Hash(context.Background(), password)) })

// newCrowd makes the crowd of a declared and running Lanyard.
func newCrowd(o *org, file string, at func() string) *crowd {
	o.t.Helper()
	c := &crowd{t: o.t, o: o, file: file, at: at, made: map[string]bool{}, tally: map[int]int{}, strange: map[string]string{}}
	c.http = &http.Client{Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64, DialContext: dialTo(func() string { return c.at() })},
	}
	o.t.Cleanup(c.http.CloseIdleConnections)
	out, code := o.command(file, "", nil, "gateway", "token", "create", "--app", "Orders_Gateway", "--name", "faults")
	if code != 0 {
		o.t.Fatalf("gateway token: %s", out)
	}
	c.initial = strings.TrimSpace(out)
	o.nodes = []*node{{addr: at(), url: o.url}}
	c.sso.Store(newSP(o.t, "benefits.example").meet(o))
	return c
}

func dialTo(at func() string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, at())
	}
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (a *reply) text(key string) string { s, _ := a.json[key].(string); return s }

// ask sends a request. An error is that no answer came; a 5xx is an answer, and as good as none.
func (c *crowd) ask(method, to string, body url.Values, set func(*http.Request)) (*reply, error) {
	if !strings.HasPrefix(to, "http") {
		to = c.o.url + to
	}
	var r io.Reader
	if body != nil {
		r = strings.NewReader(body.Encode())
	}
	q, err := http.NewRequest(method, to, r)
	if err != nil {
		return nil, err
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	q.Header.Set("Accept", "text/html,*/*;q=0.8")
	if set != nil {
		set(q)
	}
	began := time.Now()
	res, err := c.http.Do(q)
	var b []byte
	if err == nil {
		b, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took = append(c.took, time.Since(began))
	if err != nil {
		c.tally[0]++
		return nil, err
	}
	a := &reply{status: res.StatusCode, header: res.Header, body: string(b)}
	if strings.Contains(res.Header.Get("Location"), "error=temporarily_unavailable") { // RFC 6749 §4.1.2.1: as 503, which cannot be told by a redirect
		a.status = http.StatusServiceUnavailable
	}
	c.tally[a.status]++
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		_ = json.Unmarshal(b, &a.json)
	}
	if a.status >= 500 {
		what := fmt.Sprintf("%d of %s", a.status, q.URL.Path)
		if a.status != http.StatusServiceUnavailable || strings.Contains(a.body, "goroutine") {
			c.strange[what] = a.body
		}
		return a, fmt.Errorf("%s", what)
	}
	return a, nil
}

func bearer(token string) func(*http.Request) {
	return func(q *http.Request) { q.Header.Set("Authorization", "Bearer "+token) }
}

func (c *crowd) keep(h held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger = append(c.ledger, h)
}

// session is a person's at a browser.
type session struct {
	user    string
	cookies map[string]string
	state   state
}

func (*session) kind() string { return "session" }

func (s *session) with(q *http.Request) {
	q.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", mrand.IntN(256), mrand.IntN(256), mrand.IntN(256))) // many people, many addresses
	if q.Header.Set("Sec-Fetch-Site", "none"); q.Method == http.MethodPost {
		q.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, name := range slices.Sorted(maps.Keys(s.cookies)) {
		q.AddCookie(&http.Cookie{Name: name, Value: s.cookies[name]})
	}
}

func (s *session) take(a *reply) {
	for _, k := range (&http.Response{Header: a.header}).Cookies() {
		if k.MaxAge < 0 {
			delete(s.cookies, k.Name)
		} else {
			s.cookies[k.Name] = k.Value
		}
	}
}

// signIn signs in; nil where it was not acknowledged.
func (c *crowd) signIn(user string) *session {
	s := &session{user: user, cookies: map[string]string{}}
	a, err := c.ask("GET", "/apps", nil, s.with)
	if err != nil || a.status != http.StatusSeeOther {
		return nil
	}
	s.take(a)
	to := a.header.Get("Location")
	if a, err = c.ask("GET", to, nil, s.with); err != nil {
		return nil
	}
	s.take(a)
	forms := (&page{body: a.body, t: c.t}).forms()
	if a.status != http.StatusOK || len(forms) == 0 {
		c.wrong("the sign-in page: %d", a.status)
		return nil
	}
	f := forms[0]
	f.values.Set("username", user)
	f.values.Set("password", password)
	if a, err = c.ask("POST", f.action, f.values, s.with); err != nil {
		return nil
	}
	if a.status == http.StatusTooManyRequests { // those that a kill interrupted count as failures
		return nil
	}
	if a.status != http.StatusSeeOther || len(a.header.Values("Set-Cookie")) == 0 {
		c.wrong("sign-in of %s: %d", user, a.status)
		return nil
	}
	s.take(a)
	s.state = there
	c.keep(s)
	return s
}

// wrong is an answer that must never come.
func (c *crowd) wrong(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what := fmt.Sprintf(format, args...)
	c.strange[what] = ""
}

func (s *session) check(c *crowd) string {
	a, err := c.ask("GET", "/apps", nil, s.with)
	if err != nil {
		return err.Error()
	}
	in := a.status == http.StatusOK
	switch {
	case s.state == there && !in:
		return "lost"
	case s.state == over && in:
		return "resurrected"
	}
	if s.state = over; in {
		s.state = there
	}
	return ""
}

func (c *crowd) signOut(s *session) {
	copied := &session{cookies: maps.Clone(s.cookies)}
	s.state = unsure
	a, err := c.ask("POST", "/signout", url.Values{"decision": {"allow"}}, copied.with)
	if err == nil && a.status == http.StatusSeeOther {
		s.state = over
	}
}

// code is an authorization code.
type code struct {
	value, verifier string
	made            time.Time
	state           state // there: to be redeemed
	grant           *grant
	replay          bool // at the end: it is shown again, which ends what it gave
}

func (*code) kind() string { return "code" }

const pocketBack = "http://127.0.0.1/cb"

// authorize gets a code.
func (c *crowd) authorize(s *session) *code {
	k := &code{verifier: oauth2.GenerateVerifier(), replay: mrand.IntN(3) == 0}
	q := url.Values{"response_type": {"code"}, "client_id": {"pocket"}, "redirect_uri": {pocketBack}, "scope": {"openid email refresh_token"},
		"state": {rand.Text()}, "nonce": {rand.Text()}, "code_challenge": {oauth2.S256ChallengeFromVerifier(k.verifier)}, "code_challenge_method": {"S256"}}
	a, err := c.ask("GET", "/oauth2/authorize?"+q.Encode(), nil, s.with)
	if err != nil {
		return nil
	}
	back, _ := url.Parse(a.header.Get("Location"))
	if back == nil || !back.Query().Has("code") {
		if s.state == there {
			c.wrong("authorize with a session: %d %s", a.status, a.header.Get("Location"))
		}
		return nil
	}
	k.value, k.made, k.state = back.Query().Get("code"), time.Now(), there
	c.keep(k)
	return k
}

// grant is what a code became.
type grant struct {
	access, refresh string
	made            time.Time // the access token
	tried           time.Time // when a refresh was sent that was not answered
	state           state
}

func (*grant) kind() string { return "grant" }

// redeem turns a code into a grant.
func (c *crowd) redeem(k *code) (*grant, *reply, error) {
	before := k.state
	k.state = unsure
	a, err := c.ask("POST", "/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"pocket"}, "redirect_uri": {pocketBack},
		"code": {k.value}, "code_verifier": {k.verifier}}, nil)
	if err != nil {
		return nil, a, err
	}
	k.state = over
	if a.status != http.StatusOK {
		if before == there && time.Since(k.made) < 30*time.Second {
			c.wrong("a fresh code: %d %s", a.status, a.body)
		}
		return nil, a, nil
	}
	if before == over {
		c.wrong("a code was redeemed twice")
	}
	if c.id != nil {
		if err := c.id(a.text("id_token")); err != nil {
			c.wrong("ID token: %v", err)
		}
	}
	g := &grant{access: a.text("access_token"), refresh: a.text("refresh_token"), made: time.Now(), state: there}
	k.grant = g
	c.keep(g)
	return g, a, nil
}

func (k *code) check(c *crowd) string {
	before := k.state
	if before == there && time.Since(k.made) > 40*time.Second || before == over && !k.replay {
		return ""
	}
	if g := k.grant; before == over && g != nil && g.state == there {
		if what := g.check(c); what != "" { // before what it gave dies
			return "its grant: " + what
		}
	}
	_, a, err := c.redeem(k)
	if err != nil {
		return err.Error()
	}
	switch {
	case before == there && a.status != http.StatusOK:
		return fmt.Sprintf("lost: %d %s", a.status, a.body)
	case before == over && a.status == http.StatusOK:
		return "redeemed twice"
	case a.status != http.StatusOK && a.text("error") != "invalid_grant":
		return fmt.Sprintf("%d %s", a.status, a.body)
	}
	if before == over && k.grant != nil {
		k.grant.state, k.replay = over, false
		return k.grant.check(c)
	}
	return ""
}

// turn refreshes.
func (c *crowd) turn(g *grant) (*reply, error) {
	before := g.state
	g.state = unsure
	a, err := c.ask("POST", "/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"pocket"}, "refresh_token": {g.refresh}}, nil)
	if err != nil {
		g.state = before // it may be turned already: the old token gets the same successor for 10 s
		if g.tried.IsZero() {
			g.tried = time.Now()
		}
		return a, err
	}
	if a.status != http.StatusOK {
		if before == there && g.tried.IsZero() {
			c.wrong("refresh: %d %s", a.status, a.body)
		}
		g.state = over
		return a, nil
	}
	g.state, g.tried = there, time.Time{}
	g.access, g.refresh, g.made = a.text("access_token"), a.text("refresh_token"), time.Now()
	return a, nil
}

func (g *grant) check(c *crowd) string {
	before, old := g.state, g.refresh
	late := !g.tried.IsZero() && time.Since(g.tried) > 8*time.Second
	if time.Since(g.made) < 50*time.Minute {
		a, err := c.ask("GET", "/oauth2/userinfo", nil, bearer(g.access))
		if err != nil {
			return err.Error()
		}
		switch {
		case before == there && a.status != http.StatusOK:
			return fmt.Sprintf("lost: userinfo %d", a.status)
		case before == over && a.status == http.StatusOK:
			return "resurrected: userinfo"
		}
	}
	a, err := c.turn(g)
	if err != nil {
		return err.Error()
	}
	switch {
	case late: // more than the grace later nobody knows
		return ""
	case before == there && a.status != http.StatusOK:
		return fmt.Sprintf("lost: refresh %d %s", a.status, a.body)
	case before == over && a.status == http.StatusOK:
		return "resurrected: refresh"
	case a.status != http.StatusOK:
		return ""
	}
	// The old one again: the same successor, never a second line.
	again := &grant{refresh: old, state: there}
	if b, err := c.turn(again); err == nil && (b.status != http.StatusOK || again.refresh != g.refresh) {
		return fmt.Sprintf("two living lines: %d", b.status)
	}
	return ""
}

// revoke ends a grant.
func (c *crowd) revoke(g *grant) {
	g.state = unsure
	a, err := c.ask("POST", "/oauth2/revoke", url.Values{"client_id": {"pocket"}, "token": {g.refresh}}, nil)
	if err == nil && a.status == http.StatusOK {
		g.state = over
	}
}

// registered is a client that registered itself.
type registered struct {
	id, uri, token string
	state          state
}

func (*registered) kind() string { return "client" }

func (c *crowd) register() *registered {
	body := []byte(`{"client_name":"crowd","grant_types":["client_credentials"],"scope":"orders"}`)
	a, err := c.ask("POST", "/oauth2/register", nil, func(q *http.Request) {
		bearer(c.initial)(q)
		q.Header.Set("Content-Type", "application/json")
		q.Body, q.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	})
	if err != nil || a.status != http.StatusCreated {
		return nil
	}
	r := &registered{id: a.text("client_id"), uri: a.text("registration_client_uri"), token: a.text("registration_access_token"), state: there}
	c.keep(r)
	return r
}

func (c *crowd) unregister(r *registered) {
	r.state = unsure
	a, err := c.ask("DELETE", r.uri, nil, bearer(r.token))
	if err == nil && a.status == http.StatusNoContent {
		r.state = over
	}
}

func (r *registered) check(c *crowd) string {
	a, err := c.ask("GET", r.uri, nil, bearer(r.token))
	if err != nil {
		return err.Error()
	}
	found := a.status == http.StatusOK
	switch {
	case r.state == there && !found:
		return fmt.Sprintf("lost: %d", a.status)
	case r.state == over && found:
		return "resurrected"
	}
	if r.state = over; found {
		r.state = there
	}
	return ""
}

// answered is an AuthnRequest.
type answered struct {
	address string
	by      *session
	state   state // over: answered
}

func (*answered) kind() string { return "AuthnRequest" }

// answer has an AuthnRequest answered.
func (c *crowd) answer(s *session) {
	sso := c.sso.Load()
	q := sso.request()
	r := &answered{address: sso.redirect(q, ""), by: s}
	a, err := c.ask("GET", r.address, nil, s.with)
	if err == nil && strings.Contains(a.body, "SAMLResponse") {
		r.state = over
		if c.assert != nil {
			doc, _, _ := (&page{body: a.body, t: c.t}).saml()
			if err := c.assert(doc, q.ID); err != nil {
				c.wrong("assertion: %v", err)
			}
		}
	} else if err == nil && s.state == there {
		c.wrong("SAML with a session: %d", a.status)
	}
	if r.state == unsure && mrand.IntN(4) > 0 { // in an outage there are thousands
		return
	}
	c.keep(r)
}

func (r *answered) check(c *crowd) string {
	if r.by.state != there {
		return ""
	}
	a, err := c.ask("GET", r.address, nil, r.by.with)
	if err != nil {
		return err.Error()
	}
	yes := strings.Contains(a.body, "SAMLResponse")
	if r.state == over && yes {
		return "answered twice"
	}
	if yes {
		r.state = over
	}
	return ""
}
