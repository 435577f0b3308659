package main_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// signer is a client that proves itself with its key, on go-jose and golang.org/x/oauth2.
type signer struct {
	o       *org
	id, kid string
	key     crypto.Signer
	alg     jose.SignatureAlgorithm
}

func (o *org) signer(id, kid string) *signer {
	return &signer{o, id, kid, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), jose.ES256}
}

// keys is the JWK Set a client shows.
func (s *signer) keys() string {
	return string(must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: s.kid, Use: "sig", Algorithm: string(s.alg)}}})))
}

func (s *signer) assertion(at time.Time) string {
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: jose.JSONWebKey{Key: s.key, KeyID: s.kid}}, (&jose.SignerOptions{}).WithType("client-authentication+jwt")))
	return must(jwt.Signed(signer).Claims(jwt.Claims{Issuer: s.id, Subject: s.id, Audience: jwt.Audience{s.o.url}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(at), Expiry: jwt.NewNumericDate(at.Add(2 * time.Minute))}).Serialize())
}

// token asks for a token with that assertion, as a program would that uses the library for it.
func (s *signer) token(assertion string) (code string, status int) {
	c := clientcredentials.Config{ClientID: s.id, TokenURL: s.o.url + "/oauth2/token", AuthStyle: oauth2.AuthStyleInParams, Scopes: []string{"api"},
		EndpointParams: url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion}}}
	_, err := c.Token(context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Timeout: time.Minute, Transport: elsewhereEachTime{}}))
	if err == nil {
		return "", 200
	}
	return oauthError(err)
}

// elsewhereEachTime sends every request as a proxy does for another address each time: of one address the events tell ten
// refusals a minute and count the others.
type elsewhereEachTime struct{}

func (elsewhereEachTime) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	b := make([]byte, 3)
	_, _ = rand.Read(b) // never fails
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("100.%d.%d.%d", b[0], b[1], b[2]))
	return http.DefaultTransport.RoundTrip(r)
}

// batch declares a client that acts by itself and proves itself as auth says.
func batch(id, auth string) string {
	return "kind: App\nname: " + id + "\noauth:\n  clientID: " + id + "\n  type: service\n  scopes: [api]\n  flows: {clientCredentials: true}" + indent(auth, 2) +
		"\npolicy: {permittedUsers: self-authorize, runAs: svc}\n"
}

// keyServer shows clients' keys, each at a path of its own, and can be broken in every way.
type keyServer struct {
	*httptest.Server
	mu sync.Mutex
	at map[string]http.HandlerFunc
}

func newKeyServer(t *testing.T) *keyServer {
	k := &keyServer{at: map[string]http.HandlerFunc{}}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.mu.Lock()
		f := k.at[r.URL.Path]
		k.mu.Unlock()
		if f == nil {
			f = http.NotFound
		}
		f(w, r)
	}))
	t.Cleanup(func() { k.CloseClientConnections(); k.Close() })
	return k
}

func (k *keyServer) is(path string, f http.HandlerFunc) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at[path] = f
}

func (k *keyServer) shows(path, keys string) {
	k.is(path, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, keys) })
}

func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// A jwks_uri that hangs, dribbles, fails or pours, and the clients beside it. Keys that move on, and an assertion that a
// killed server remembers.
func TestFaultHungJWKSURI(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		k := newKeyServer(t)
		inline, moving, steady := o.signer("inline", "1"), o.signer("moving", "first"), o.signer("steady", "1")
		docs := []string{"kind: User\nusername: svc\ntype: service", batch("with-secret", "clientSecret: {plain: "+secret+"}"),
			batch("inline", "tokenEndpointAuthMethod: private_key_jwt\njwks: "+inline.keys())}
		broken := map[string]http.HandlerFunc{
			"hung": hangs,
			"dribbling": func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					_, _ = w.Write([]byte(" "))
					_ = http.NewResponseController(w).Flush()
					time.Sleep(200 * time.Millisecond)
				}
			},
			"failing": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
			"pouring": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 10<<20)) },
			"inside": func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://127.0.0.2:1/keys", http.StatusFound)
			},
		}
		why := map[string]string{"hung": "answer within 5", "dribbling": "answer within 5", "failing": "answered 500", "pouring": "is larger than 262144 bytes",
			"inside": "at the private address 127.0.0.2; if that is meant, allow it with --allow-fetch 127.0.0.2/32"}
		for id, f := range broken {
			k.is("/"+id, f)
			docs = append(docs, batch(id, "tokenEndpointAuthMethod: private_key_jwt\njwksURI: "+k.URL+"/"+id))
		}
		for _, s := range []*signer{moving, steady} {
			k.shows("/"+s.id, s.keys())
			docs = append(docs, batch(s.id, "tokenEndpointAuthMethod: private_key_jwt\njwksURI: "+k.URL+"/"+s.id))
		}
		o.apply(docs...)
		// Time passes on SQLite, whose clock is the machine's; that of PostgreSQL is the database's, and no test moves it.
		timely, ahead, clock := strings.HasSuffix(t.Name(), storetest.SQLite), time.Duration(0), newWrongClock(t, 0)
		step := func(d time.Duration) {
			ahead += d
			clock.set(ahead)
		}
		serve := func(addr string) *victim {
			return o.spawn(faultyBinary(t), addr, "--allow-fetch", "127.0.0.1/32", clock.env())
		}
		v := serve("")
		said := func(s *signer) string { return s.assertion(time.Now().Add(ahead)) }
		gets := func(what string, s *signer) {
			t.Helper()
			var code string
			var status int
			for range 40 { // after a step of the clock the server has to read that, and then makes sure of what it knows
				if code, status = s.token(said(s)); status == 200 {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
			t.Fatalf("%s: %d %s\n%v", what, status, code, o.events("--app", s.id))
		}
		told := func(what, id string, reasons ...string) {
			t.Helper()
			var all string
			for range 20 { // a refusal is written a moment after it was told
				all = ""
				for _, e := range o.events("--app", id) {
					all += e.Reason + "\n"
				}
				if !slices.ContainsFunc(reasons, func(r string) bool { return !strings.Contains(all, r) }) {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
			t.Errorf("%s: no event says %q:\n%s", what, reasons, all)
		}
		refused := func(what string, s *signer, reason string) {
			t.Helper()
			if code, status := s.token(said(s)); code != "invalid_client" || status != 401 {
				t.Errorf("%s: %d %q", what, status, code)
			}
			told(what, s.id, reason)
		}

		gets("keys declared", inline)
		gets("keys at an address", moving)
		gets("keys at an address", steady)
		// The client's keys move on (oidcc-refresh-token-rp-key-rotation).
		old := *moving
		moving.kid, moving.key = "second", o.signer("", "").key
		k.shows("/moving", moving.keys())
		gets("the key from before, until the keys are read again", &old)
		refused("a new key within the pause", moving, "read again in")
		if timely {
			step(31 * time.Second)
			gets("a new key", moving)
			refused("the key from before", &old, `no key with the kid "first"`)
		} else {
			moving = &old
		}

		// All five are broken from the first request on, and a hundred requests of the hung one come at once. Nobody else
		// notices.
		var wait sync.WaitGroup
		var refusal, other atomic.Int64 // the longest of each
		var crowded atomic.Int64
		done := make(chan struct{})
		for id := range broken {
			n := 1
			if id == "hung" {
				n = 100
			}
			s := o.signer(id, "1")
			for range n {
				wait.Go(func() {
					began := time.Now()
					code, status := s.token(said(s))
					if id == "hung" && code == "temporarily_unavailable" && status == 503 {
						crowded.Add(1) // not more than fifty wait for one address
						return
					}
					if code != "invalid_client" || status != 401 {
						t.Errorf("%s: %d %q", id, status, code)
					}
					d := time.Since(began)
					if d > 15*time.Second {
						t.Errorf("%s: refused after %s", id, d)
					}
					atMost(&refusal, d)
				})
			}
		}
		go func() {
			wait.Wait()
			if n := crowded.Load(); n > 50 {
				t.Errorf("%d of 100 were told that too many wait", n)
			}
			close(done)
		}()
		plain := clientcredentials.Config{ClientID: "with-secret", ClientSecret: secret, TokenURL: o.url + "/oauth2/token", Scopes: []string{"api"}}
		served := 0
		for hung := true; hung; {
			select {
			case <-done:
				hung = false
			default:
			}
			for what, ask := range map[string]func() bool{
				"a client with a secret":              func() bool { return second(plain.Token(context.Background())) == nil },
				"a client with keys declared":         func() bool { return status(inline.token(said(inline))) == 200 },
				"a client with keys at an address":    func() bool { return status(steady.token(said(steady))) == 200 },
				"the client whose keys have moved on": func() bool { return status(moving.token(said(moving))) == 200 },
			} {
				began := time.Now()
				if !ask() {
					t.Errorf("%s gets nothing while others' keys hang", what)
				}
				d := time.Since(began)
				if d > 4*time.Second {
					t.Errorf("%s waits %s while others' keys hang", what, d)
				}
				atMost(&other, d)
				served++
			}
			time.Sleep(50 * time.Millisecond)
		}
		if served < 12 {
			t.Errorf("only %d tokens were served while keys hung", served)
		}
		t.Logf("104 requests of clients whose keys cannot be read are refused within %s; meanwhile %d tokens for the others, each within %s",
			time.Duration(refusal.Load()).Round(10*time.Millisecond), served, time.Duration(other.Load()).Round(10*time.Millisecond))
		for id, reason := range why {
			told(id, id, "the keys at "+k.URL+"/"+id+" can not be read: ", reason)
		}
		told("hung", "hung", "50 requests wait for them already")

		// A copy is there: it is used while the address hangs, for hours; and who mends their address is served again.
		k.is("/steady", hangs)
		mended := o.signer("hung", "1")
		k.shows("/hung", mended.keys())
		if timely {
			step(8 * time.Minute)
			gets("the last good copy", steady)
			step(11 * time.Hour)
			gets("the last good copy, hours later", steady)
			gets("an address that was mended", mended)
		}

		// kill -9: what was used stays used.
		once := said(inline)
		if code, status := inline.token(once); status != 200 {
			t.Errorf("before the kill: %d %s", status, code)
		}
		v.kill()
		serve(v.addr)
		if code, status := inline.token(once); status != 401 || code != "invalid_client" {
			t.Errorf("an assertion was used twice, the second time after a kill: %d %s", status, code)
		}
		gets("after the kill", inline)
		gets("an address that was mended, at a new server", mended)
	})
}

func status(_ string, status int) int { return status }

// atMost makes most the larger of both.
func atMost(most *atomic.Int64, d time.Duration) {
	for was := most.Load(); int64(d) > was && !most.CompareAndSwap(was, int64(d)); was = most.Load() {
	}
}

// mod_auth_openidc proves itself with its key, which Lanyard reads where the module shows it.
func TestAuthOpenIDCByKey(t *testing.T) {
	t.Parallel()
	o := newOrg(t, storetest.SQLite)
	o.apply("kind: Group\nname: finance", person("ana", "groups: [finance]"))
	_, _, root := certificate()
	put(t, filepath.Join(o.dir, "root.pem"), []byte(root))
	o.env = append(o.env, "SSL_CERT_FILE="+filepath.Join(o.dir, "root.pem"))
	o.serveTLS("--allow-fetch", "127.0.0.1/32")
	a := newApache(t, o, "mod_auth_openidc.so")
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	a.write("client.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))})))
	a.write("client.pub", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key.Public()))})))
	s := &relyingSite{Name: "keyed", ID: "keyed", Secret: "not-used", More: "OIDCPrivateKeyFiles k1#" + a.dir + "/client.key\n\tOIDCPublicKeyFiles k1#" + a.dir + "/client.pub\n\tOIDCProviderTokenEndpointAuth private_key_jwt"}
	s.URL = a.site(o, s.Name)
	address := "https://127.0.0.1:" + a.port + "/oidc/callback?jwks=rsa"
	o.apply(client("Keyed", "keyed", s.URL+"/oidc/callback", "scopes: [openid, profile, email, groups, offline_access]\nflows: {authorizationCode: true, refresh: true}\ntokenEndpointAuthMethod: private_key_jwt\njwksURI: "+address, "{groups: [finance]}"))
	a.begin("authopenidc.conf", map[string]any{"Sites": []*relyingSite{s}, "Issuer": o.url})

	b := o.browser()
	p := b.signIn(b.get(s.URL+"/page").asks(t), "ana")
	told := p.told(t)
	if p.url.String() != s.URL+"/page" || told["OIDC_CLAIM_aud"] != "keyed" || told["OIDC_CLAIM_email"] != "ana@example.com" {
		t.Errorf("at %s the backend was told %v\n%v", p.url, told, o.events("--app", "keyed"))
	}
	if e := o.events("--app", "keyed", "--code", "OauthWebServer"); len(e) == 0 {
		t.Error("no code was redeemed")
	}
}
