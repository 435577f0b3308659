package keys_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
	young := key(oidc, "a", keys.Active, hour) // announced long ago, active for an hour
	young.Created = start.Add(-200 * day)
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
		{name: "the age of an active key counts from when it became active", l: lifetimes,
			records: records{young, key(oidc, "n", keys.Next, 2*day)}},
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
