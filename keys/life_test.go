package keys_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lanyard-sso/lanyard/keys"
)

// life plays the store for one org and use: it applies changes as their doc comment says
// and keeps book of what the properties need.
type life struct {
	t       *rapid.T
	use     keys.Use
	now     time.Time
	records []keys.Record
	made    int
	signed  map[string]time.Time // when a key stopped to sign
	gone    map[string]bool
}

func (l *life) add(state keys.State) {
	l.made++
	r := key(l.use, fmt.Sprint("k", l.made), state, 0)
	r.Created, r.Changed = l.now, l.now
	l.records = append(l.records, r)
}

func (l *life) apply(changes []keys.Change, forced bool) {
	for _, c := range changes {
		if c.ID == "" {
			if c.To == keys.Active && !forced {
				l.t.Fatal("a key is made active without anybody forcing it")
			}
			l.add(c.To)
			l.check()
			continue
		}
		at := -1
		for i, r := range l.records {
			if r.ID == c.ID {
				at = i
			}
		}
		if at < 0 || l.records[at].State != c.From {
			l.t.Fatalf("%+v is of no key in that state: %+v", c, l.records)
		}
		r := &l.records[at]
		switch {
		case c.Gone:
			if r.State != keys.Retiring || l.now.Sub(l.signed[r.ID]) < lifetimes.Retire {
				l.t.Fatalf("%s disappears, %s, %s after it signed", r.ID, r.State, l.now.Sub(l.signed[r.ID]))
			}
			l.gone[r.ID] = true
			l.records = append(l.records[:at], l.records[at+1:]...)
			continue
		case c.To == keys.Active:
			if r.State != keys.Next {
				l.t.Fatalf("%s was %s and becomes active", r.ID, r.State)
			}
			if announced := l.now.Sub(r.Created); announced < lifetimes.Announce && !forced {
				l.t.Fatalf("%s is active after %s", r.ID, announced)
			}
		case c.To == keys.Retiring:
			if r.State != keys.Active {
				l.t.Fatalf("%s was %s and retires", r.ID, r.State)
			}
			l.signed[r.ID] = l.now
		default:
			l.t.Fatalf("%+v is no change there is", c)
		}
		r.State, r.Changed = c.To, l.now
		l.check()
	}
}

// check holds after every single change, not only after a whole step.
func (l *life) check() {
	var active int
	for _, r := range l.records {
		if r.State == keys.Active {
			active++
		}
	}
	if active > 1 {
		l.t.Fatalf("%d active keys: %+v", active, l.records)
	}
}

func (l *life) count(state keys.State) (n int) {
	for _, r := range l.records {
		if r.State == state {
			n++
		}
	}
	return n
}

func TestLifeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &life{t: t, now: start, signed: map[string]time.Time{}, gone: map[string]bool{},
			use: rapid.SampledFrom([]keys.Use{keys.OIDC, keys.SAML}).Draw(t, "use")}
		l.add(keys.Active)
		durations := rapid.SampledFrom([]time.Duration{time.Microsecond, time.Minute, hour, 2 * hour, 24*hour - 1, 24 * hour, 40 * day, 90 * day})
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) { l.now = l.now.Add(durations.Draw(t, "by")) },
			"somebody rotates": func(t *rapid.T) {
				force := rapid.Bool().Draw(t, "force")
				changes, err := keys.Step(l.records, lifetimes, l.now, force)
				var soon *keys.TooSoon
				if errors.As(err, &soon) && !force {
					// What it says is true: a moment earlier it still refuses, then not.
					wait := soon.Wait
					if _, err := keys.Step(l.records, lifetimes, l.now.Add(wait-1), false); !errors.As(err, &soon) {
						t.Fatalf("it need not have waited %s: %v", wait, err)
					}
					if _, err := keys.Step(l.records, lifetimes, l.now.Add(wait), false); err != nil {
						t.Fatalf("waited, and still: %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				l.apply(changes, force)
				if next := l.count(keys.Next); l.use == keys.OIDC && next != 1 {
					t.Fatalf("%d next keys after a step", next)
				}
			},
			"the sweeper comes": func(t *rapid.T) {
				changes, makeNext := keys.Due(l.records, lifetimes, l.now)
				for _, c := range changes {
					if l.use == keys.SAML && !c.Gone {
						t.Fatalf("a SAML key moves on a timer: %+v", c)
					}
				}
				l.apply(changes, false)
				if makeNext {
					l.add(keys.Next)
				}
				if l.use == keys.SAML && makeNext {
					t.Fatal("a SAML rotation begins on a timer")
				}
				if again, makeNext := keys.Due(l.records, lifetimes, l.now); len(again) != 0 || makeNext {
					t.Fatalf("done, and still due: %+v, %t", again, makeNext)
				}
			},
			"": func(t *rapid.T) {
				if l.count(keys.Active) != 1 {
					t.Fatalf("no active key: %+v", l.records)
				}
				for _, r := range l.records {
					if l.gone[r.ID] {
						t.Fatalf("%s is back", r.ID)
					}
				}
			},
		})
	})
}

// Whoever holds any JWKS fetched within the announcement verifies every token, and every
// token verifies through today's JWKS until the key is dropped, 50 rotations long.
func TestRotateFiftyTimes(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 52 RSA keys")
	}
	s, now := sealer(t), start
	var records []keys.Record
	add := func(state keys.State) {
		r, err := s.Make("default", keys.OIDC, state, "", now)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	apply := func(changes []keys.Change) {
		for _, c := range changes {
			if c.ID == "" {
				add(c.To)
				continue
			}
			for i := range records {
				if records[i].ID == c.ID {
					records[i].State, records[i].Changed = c.To, now
					if c.Gone {
						records = append(records[:i], records[i+1:]...)
						break
					}
				}
			}
		}
	}
	type signed struct {
		compact string
		until   time.Time
	}
	type fetched struct {
		jwks  []byte
		until time.Time
	}
	var tokens []signed
	var sets []fetched
	signers := map[string]bool{}
	observe := func(when string) {
		r := ring(t, records)
		k, err := r.Active()
		if err != nil {
			t.Fatal(err)
		}
		signers[k.ID] = true
		tokens = append(tokens, signed{token(t, r, fmt.Sprintf(`{"iat":%d}`, now.Unix())), now.Add(time.Hour)})
		sets = append(sets, fetched{r.JWKS(), now.Add(lifetimes.Announce)})
		fresh := tokens[len(tokens)-1]
		for _, set := range sets[max(0, len(sets)-8):] {
			if now.After(set.until) {
				continue
			}
			if err := verify(set.jwks, fresh.compact); err != nil {
				t.Fatalf("%s: a JWKS still cached does not verify a new token: %v", when, err)
			}
		}
		for _, old := range tokens[max(0, len(tokens)-8):] {
			if now.After(old.until) {
				continue
			}
			if err := verify(r.JWKS(), old.compact); err != nil {
				t.Fatalf("%s: a token still valid does not verify: %v", when, err)
			}
		}
	}
	add(keys.Active)
	add(keys.Next)
	for i := range 50 {
		observe(fmt.Sprint("before ", i))
		now = now.Add(lifetimes.Announce)
		observe(fmt.Sprint("announced ", i))
		changes, err := keys.Step(records, lifetimes, now, false)
		if err != nil {
			t.Fatal(err)
		}
		apply(changes)
		observe(fmt.Sprint("rotated ", i))
		now = now.Add(time.Hour)
		observe(fmt.Sprint("an hour on ", i))
		now = now.Add(lifetimes.Retire - time.Hour)
		changes, makeNext := keys.Due(records, lifetimes, now)
		if len(changes) != 1 || !changes[0].Gone || makeNext {
			t.Fatalf("due: %+v, %t", changes, makeNext)
		}
		apply(changes)
		observe(fmt.Sprint("dropped ", i))
	}
	if len(signers) != 51 || len(records) != 2 {
		t.Errorf("%d keys signed, %d are left", len(signers), len(records))
	}
}
