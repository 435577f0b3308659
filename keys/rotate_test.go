package keys_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lanyard-sso/lanyard/keys"
)

const (
	hour = time.Hour
	day  = 24 * time.Hour
)

var lifetimes = keys.Lifetimes{Announce: 24 * hour, Active: 90 * day, Retire: 2 * hour}

// key is a record without keys: rotation reads no others of its fields. age is how long ago
// it was announced and came into its state.
func key(use keys.Use, id string, state keys.State, age time.Duration) keys.Record {
	return keys.Record{Org: "default", ID: id, Use: use, State: state, Created: start.Add(-age), Changed: start.Add(-age)}
}

func TestStep(t *testing.T) {
	const oidc, saml = keys.OIDC, keys.SAML
	type records = []keys.Record
	announce := keys.Change{To: keys.Next}
	retire := keys.Change{ID: "a", From: keys.Active, To: keys.Retiring}
	promote := keys.Change{ID: "n", From: keys.Next, To: keys.Active}
	for _, test := range []struct {
		name    string
		records records
		force   bool
		want    []keys.Change
		wait    time.Duration // of a *TooSoon
		says    string        // in any other error
	}{
		{name: "token keys move one step at once",
			records: records{key(oidc, "a", keys.Active, 90*day), key(oidc, "n", keys.Next, day), key(oidc, "r", keys.Retiring, hour)},
			want:    []keys.Change{retire, promote, announce}},
		{name: "token keys, announced a moment too short",
			records: records{key(oidc, "a", keys.Active, 90*day), key(oidc, "n", keys.Next, day-time.Microsecond)},
			wait:    time.Microsecond},
		{name: "token keys, announced just now",
			records: records{key(oidc, "a", keys.Active, 90*day), key(oidc, "n", keys.Next, 0)}, wait: day},
		{name: "token keys, announced in the future by another clock",
			records: records{key(oidc, "a", keys.Active, 90*day), key(oidc, "n", keys.Next, -hour)}, wait: 25 * hour},
		{name: "token keys, forced", force: true,
			records: records{key(oidc, "a", keys.Active, 0), key(oidc, "n", keys.Next, 0)},
			want:    []keys.Change{retire, promote, announce}},
		{name: "token keys without a next are announced first",
			records: records{key(oidc, "a", keys.Active, 90*day)}, want: []keys.Change{announce}},
		{name: "token keys without a next, forced, leave the old key at once", force: true,
			records: records{key(oidc, "a", keys.Active, 90*day)},
			want:    []keys.Change{retire, {To: keys.Active}, announce}},
		{name: "token keys with two next: the longer announced moves, none is made",
			records: records{key(oidc, "m", keys.Next, 0), key(oidc, "n", keys.Next, 2*day), key(oidc, "a", keys.Active, 0)},
			want:    []keys.Change{retire, promote}},
		{name: "token keys, none active",
			records: records{key(oidc, "n", keys.Next, 2*day)}, want: []keys.Change{promote, announce}},
		{name: "a SAML rotation begins by announcing",
			records: records{key(saml, "a", keys.Active, 900*day)}, want: []keys.Change{announce}},
		{name: "a SAML rotation begins by announcing, forced or not", force: true,
			records: records{key(saml, "a", keys.Active, 900*day)}, want: []keys.Change{announce}},
		{name: "a SAML rotation waits for the announcement",
			records: records{key(saml, "a", keys.Active, 900*day), key(saml, "n", keys.Next, hour)}, wait: 23 * hour},
		{name: "a SAML rotation ends with one active and no next",
			records: records{key(saml, "a", keys.Active, 900*day), key(saml, "n", keys.Next, day)},
			want:    []keys.Change{retire, promote}},
		{name: "a SAML rotation, forced to its end", force: true,
			records: records{key(saml, "a", keys.Active, 900*day), key(saml, "n", keys.Next, 0)},
			want:    []keys.Change{retire, promote}},
		{name: "no keys", force: true, says: "no key to rotate"},
		{name: "two active", force: true,
			records: records{key(oidc, "a", keys.Active, 0), key(oidc, "b", keys.Active, 0)}, says: "two active"},
		{name: "two uses", force: true,
			records: records{key(oidc, "a", keys.Active, 0), key(saml, "b", keys.Next, 0)}, says: "uses"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := keys.Step(test.records, lifetimes, start, test.force)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			var soon *keys.TooSoon
			switch {
			case test.wait != 0:
				if !errors.As(err, &soon) || soon.Wait != test.wait || soon.ID != "n" {
					t.Errorf("error %#v, want to wait %s", err, test.wait)
				}
			case test.says != "":
				if err == nil || errors.As(err, &soon) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("error %v, want one that says %q", err, test.says)
				}
			case err != nil:
				t.Error(err)
			}
		})
	}
}

func TestTooSoonSaysHowLong(t *testing.T) {
	for wait, says := range map[time.Duration]string{
		23*hour + 59*time.Minute + time.Second: "in 23h59m1s",
		time.Microsecond:                       "in 1s",
		2*time.Second + 1:                      "in 3s",
	} {
		if got := (&keys.TooSoon{Wait: wait}).Error(); !strings.HasSuffix(got, says) {
			t.Errorf("%s: %s, want %q", wait, got, says)
		}
	}
}

func TestDue(t *testing.T) {
	const oidc, saml = keys.OIDC, keys.SAML
	type records = []keys.Record
	drop := keys.Change{ID: "r", From: keys.Retiring, Gone: true}
	retire := keys.Change{ID: "a", From: keys.Active, To: keys.Retiring}
	promote := keys.Change{ID: "n", From: keys.Next, To: keys.Active}
	forEver := lifetimes
	forEver.Retire = 0
	for _, test := range []struct {
		name     string
		records  records
		l        keys.Lifetimes
		want     []keys.Change
		makeNext bool
	}{
		{name: "nothing yet", l: lifetimes,
			records: records{key(oidc, "a", keys.Active, 90*day-1), key(oidc, "n", keys.Next, 90*day), key(oidc, "r", keys.Retiring, 2*hour-1)}},
		{name: "all of it", l: lifetimes,
			records:  records{key(oidc, "a", keys.Active, 90*day), key(oidc, "n", keys.Next, day), key(oidc, "r", keys.Retiring, 2*hour)},
			want:     []keys.Change{drop, retire, promote},
			makeNext: true},
		{name: "the next was announced too late", l: lifetimes,
			records: records{key(oidc, "a", keys.Active, 200*day), key(oidc, "n", keys.Next, day-1)}},
		{name: "no next", l: lifetimes, makeNext: true,
			records: records{key(oidc, "a", keys.Active, 200*day)}},
		{name: "two next", l: lifetimes,
			records: records{key(oidc, "m", keys.Next, hour), key(oidc, "n", keys.Next, 2*day), key(oidc, "a", keys.Active, 90*day)},
			want:    []keys.Change{retire, promote}},
		{name: "no active, the next announced", l: lifetimes, makeNext: true,
			records: records{key(oidc, "n", keys.Next, day)}, want: []keys.Change{promote}},
		{name: "no active, the next not announced", l: lifetimes,
			records: records{key(oidc, "n", keys.Next, hour)}},
		{name: "SAML keys do not move and none is made", l: lifetimes,
			records: records{key(saml, "a", keys.Active, 3000*day)}},
		{name: "SAML keys do not move once a rotation is begun", l: lifetimes,
			records: records{key(saml, "a", keys.Active, 3000*day), key(saml, "n", keys.Next, 300*day)}},
		{name: "a SAML key that retired is dropped", l: lifetimes,
			records: records{key(saml, "a", keys.Active, hour), key(saml, "r", keys.Retiring, 2*hour)}, want: []keys.Change{drop}},
		{name: "nobody said how long to retire", l: forEver,
			records: records{key(saml, "a", keys.Active, hour), key(saml, "r", keys.Retiring, 9000*day)}},
		{name: "defaults: 90 days and 24 hours", makeNext: true,
			records: records{key(oidc, "a", keys.Active, 90*day), key(oidc, "n", keys.Next, 24*hour)}, want: []keys.Change{retire, promote}},
		{name: "defaults: not 90 days", records: records{key(oidc, "a", keys.Active, 90*day-1), key(oidc, "n", keys.Next, 24*hour)}},
		{name: "defaults: not 24 hours", records: records{key(oidc, "a", keys.Active, 90*day), key(oidc, "n", keys.Next, 24*hour-1)}},
		{name: "SEC-02: no keys, and none is made", l: lifetimes},
		{name: "two active", l: lifetimes, records: records{key(oidc, "a", keys.Active, 90*day), key(oidc, "b", keys.Active, 90*day)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, makeNext := keys.Due(test.records, test.l, start)
			if diff := cmp.Diff(test.want, got); diff != "" || makeNext != test.makeNext {
				t.Errorf("makeNext = %t\n%s", makeNext, diff)
			}
		})
	}
}

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
