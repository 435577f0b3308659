package store_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/keys"
)

func states(t testing.TB, st *store.Store, org string, use keys.Use) map[keys.State]int {
	t.Helper()
	all, err := st.Keys().List(t.Context(), org, use)
	if err != nil {
		t.Fatal(err)
	}
	n := map[keys.State]int{}
	for _, r := range all {
		n[r.State]++
	}
	return n
}

// Nodes that start at once make one set of keys.
func TestEnsureKeys(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		o := addOrg(t, st)
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				if err := st.Keys().EnsureKeys(t.Context(), o); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if got := states(t, st, o.ID, keys.OIDC); fmt.Sprint(got) != "map[active:1 next:1]" {
			t.Errorf("token keys: %v", got)
		}
		if got := states(t, st, o.ID, keys.SAML); fmt.Sprint(got) != "map[active:1]" {
			t.Errorf("SAML keys: %v", got)
		}
		if n := len(events(t, st, o.ID, store.EventFilter{Code: "insertSigningKey"})); n != 2 {
			t.Errorf("%d events, want 2", n)
		}
		ring, err := st.Keys().Ring(t.Context(), o.ID, keys.SAML)
		if err != nil {
			t.Fatal(err)
		}
		k, err := ring.Active()
		if err != nil || k.Certificate == nil {
			t.Fatalf("no certificate: %v", err)
		}
		if _, err := k.Signer(); err != nil {
			t.Error(err)
		}
		// With keys there, none is made.
		if err := st.Keys().EnsureKeys(t.Context(), o); err != nil {
			t.Error(err)
		}
		if n := len(ring.Published()); n != 1 {
			t.Errorf("%d SAML keys", n)
		}
	})
}

func TestRotateKeys(t *testing.T) {
	var ahead atomic.Int64
	clock := func(c *store.Config) { c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) } }
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		ahead.Store(0)
		o := addOrg(t, st)
		if err := st.Keys().EnsureKeys(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		_, err := st.Keys().Rotate(t.Context(), o, keys.OIDC, false)
		var soon *keys.TooSoon
		if !errors.As(err, &soon) {
			t.Errorf("a key announced just now: %v", err)
		}
		ahead.Add(int64(24 * time.Hour))
		if _, err := st.Keys().Rotate(t.Context(), o, keys.OIDC, false); err != nil {
			t.Error(err)
		}
		if got := states(t, st, o.ID, keys.OIDC); fmt.Sprint(got) != "map[active:1 next:1 retiring:1]" {
			t.Errorf("after a day: %v", got)
		}
		// SAML: the first step announces, the second moves. Time alone does neither.
		for i, want := range []string{"map[active:1 next:1]", "map[active:1 retiring:1]"} {
			if _, err := st.Keys().Rotate(t.Context(), o, keys.SAML, i == 1); err != nil {
				t.Error(err)
			}
			if got := states(t, st, o.ID, keys.SAML); fmt.Sprint(got) != want {
				t.Errorf("SAML step %d: %v, want %s", i, got, want)
			}
		}
		// Two nodes do what is due at the same moment, once.
		ahead.Add(int64(91 * 24 * time.Hour))
		var wait sync.WaitGroup
		for range 2 {
			wait.Go(func() {
				if err := st.Keys().Due(t.Context(), o); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if got := states(t, st, o.ID, keys.OIDC); fmt.Sprint(got) != "map[active:1 next:1 retiring:1]" {
			t.Errorf("after 90 days: %v", got)
		}
		if got := states(t, st, o.ID, keys.SAML); fmt.Sprint(got) != "map[active:1]" {
			t.Errorf("SAML after 90 days: %v", got)
		}
	}, clock)
}

// jwks finds the key by its kid in what is published.
func jwks(set []byte, kid string) (*rsa.PublicKey, error) {
	var doc struct {
		Keys []struct{ Kid, N, E string }
	}
	if err := json.Unmarshal(set, &doc); err != nil {
		return nil, err
	}
	for _, k := range doc.Keys {
		if k.Kid != kid {
			continue
		}
		n, err1 := base64.RawURLEncoding.DecodeString(k.N)
		e, err2 := base64.RawURLEncoding.DecodeString(k.E)
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, errors.Join(err1, err2)
	}
	return nil, fmt.Errorf("no key %s is published", kid)
}

// Tokens are signed and verified through JWKS while the keys are rotated 50 times; no verification fails.
func TestRotateWhileSigning(t *testing.T) {
	rotateWhileSigning(t, 50, storetest.New(t, storetest.SQLite, ahead))
}

// On two nodes, each of which verifies what the other signed. A key is announced: both have seen it before it signs.
func TestRotateOnTwoNodes(t *testing.T) {
	a, b := storetest.Two(t, ahead)
	rotateWhileSigning(t, 6, a, b)
}

// ahead is a clock that runs on by itself: an hour each millisecond.
func ahead(c *store.Config) {
	began := time.Now()
	c.Now = func() time.Time { return began.Add(time.Since(began) * 3_600_000) }
}

func rotateWhileSigning(t *testing.T, rotations int, nodes ...*store.Store) {
	o := addOrg(t, nodes[0])
	if err := nodes[0].Keys().EnsureKeys(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var verified atomic.Int64
	kids := sync.Map{}
	var wait sync.WaitGroup
	for i := range nodes {
		wait.Go(func() {
			for n := 0; !stop.Load() && !t.Failed(); n++ {
				ring, err := nodes[i].Keys().Ring(t.Context(), o.ID, keys.OIDC)
				if err != nil {
					t.Error(err)
					return
				}
				key, err := ring.Active()
				if err != nil {
					t.Error(err)
					return
				}
				signer, err := key.Signer()
				if err != nil {
					t.Error(err)
					return
				}
				sum := sha256.Sum256([]byte(fmt.Sprint(i, n)))
				sig, err := signer.Sign(rand.Reader, sum[:], crypto.SHA256)
				if err != nil {
					t.Error(err)
					return
				}
				for _, other := range nodes {
					ring, err := other.Keys().Ring(t.Context(), o.ID, keys.OIDC)
					if err != nil {
						t.Error(err)
						return
					}
					public, err := jwks(ring.JWKS(), key.ID)
					if err == nil {
						err = rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], sig)
					}
					if err != nil {
						t.Errorf("signed by %s: %v", key.ID, err)
						return
					}
					verified.Add(1)
				}
				kids.Store(key.ID, true)
				time.Sleep(2 * time.Millisecond) // leave the cores to the key making
			}
		})
	}
	for i := range rotations {
		time.Sleep(30 * time.Millisecond) // more than a day
		if _, err := nodes[0].Keys().Rotate(t.Context(), o, keys.OIDC, false); err != nil {
			t.Error(err)
		}
		if len(nodes) > 1 || i%10 == 5 {
			time.Sleep(1100 * time.Millisecond) // no node believes what it read a second ago
		}
		if i%10 == 5 { // what is retired for a day goes
			if err := nodes[0].Keys().Due(t.Context(), o); err != nil {
				t.Error(err)
			}
		}
	}
	stop.Store(true)
	wait.Wait()
	used := 0
	kids.Range(func(any, any) bool { used++; return true })
	if used < rotations/2 || verified.Load() < 100 {
		t.Errorf("%d keys signed, %d verifications: too few to mean anything", used, verified.Load())
	}
	if got := states(t, nodes[0], o.ID, keys.OIDC); got[keys.Active] != 1 || got[keys.Next] != 1 || got[keys.Retiring] >= rotations {
		t.Errorf("keys: %v", got)
	}
}
