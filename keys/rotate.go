package keys

import (
	"errors"
	"fmt"
	"time"
)

// Lifetimes says how long a key stays in each state.
type Lifetimes struct {
	Announce time.Duration // in Next, at least; zero: 24 hours
	Active   time.Duration // in Active, before time alone rotates it; zero: 90 days. Token keys only
	// Retire is how long in Retiring: as long as something signed by the key can be valid,
	// and as long as another node or a reader's cache may be behind. Zero: for ever.
	Retire time.Duration
}

func (l Lifetimes) announce() time.Duration {
	if l.Announce <= 0 {
		return 24 * time.Hour
	}
	return l.Announce
}

func (l Lifetimes) active() time.Duration {
	if l.Active <= 0 {
		return 90 * 24 * time.Hour
	}
	return l.Active
}

// Change is one thing a rotation does. Changes are applied in their order and in one
// transaction, each only if the key is still in state From, so that of two nodes that
// compute the same only one does it.
type Change struct {
	ID   string // the key concerned; empty: a new key is to be made in state To
	From State  // where the key is now; empty with ID
	To   State  // where it goes, Changed becoming now; empty with Gone
	Gone bool   // the record is to be deleted
}

// TooSoon is the refusal to make a key active that has not been announced long enough:
// whoever has cached what we publish would not know it yet.
type TooSoon struct {
	ID   string        // the next key
	Wait time.Duration // until it may become active
}

func (e *TooSoon) Error() string {
	wait := e.Wait.Truncate(time.Second)
	if wait < e.Wait {
		wait += time.Second
	}
	return fmt.Sprintf("keys: the next key has not been announced long enough: it can become active in %s", wait)
}

// Step is a rotation that somebody asked for. records are all keys of one org and use.
//
// With a next key: active → retiring, next → active, and for token keys a new next is to
// be made, so that there always is one. Unless force is set it returns *TooSoon while next
// has been announced for less than Lifetimes.Announce.
//
// Without one the step is to announce: make a next. That is where SAML rotations begin, as
// there is one SAML key in metadata until somebody begins one: the first `key rotate
// --use saml` publishes a second certificate beside the active one, admins give it to the
// apps that hold a pasted copy, and the second moves over. Force does not skip the
// announcement of a SAML key, only the wait after it. Forced token keys always move: with
// no next key the new one is made active at once, since whoever forces it wants to be rid
// of the old one.
func Step(records []Record, l Lifetimes, now time.Time, force bool) ([]Change, error) {
	a, err := arrange(records)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, errors.New("keys: there is no key to rotate")
	}
	if len(a.next) == 0 {
		if a.use == OIDC && force {
			return append(a.retire(), Change{To: Active}, Change{To: Next}), nil
		}
		return []Change{{To: Next}}, nil
	}
	if wait := a.wait(l, now); wait > 0 && !force {
		return nil, &TooSoon{ID: a.next[0].ID, Wait: wait}
	}
	changes := a.move()
	if a.use == OIDC && len(a.next) == 1 {
		changes = append(changes, Change{To: Next})
	}
	return changes, nil
}

// Due says what time alone asks for; records are all keys of one org and use. A retiring
// key is dropped after Lifetimes.Retire. Token keys also rotate when the active one is
// older than Lifetimes.Active and the next has been announced long enough, and makeNext is
// set when no next key is (left). SAML keys do neither: most apps hold a pasted
// certificate. Nothing is due where there are no keys, since no key is ever made silently
// in place of a lost one, nor for records that cannot be right (see NewRing).
func Due(records []Record, l Lifetimes, now time.Time) (changes []Change, makeNext bool) {
	a, err := arrange(records)
	if err != nil || len(records) == 0 {
		return nil, false
	}
	for _, r := range a.retiring {
		if l.Retire > 0 && now.Sub(r.Changed) >= l.Retire {
			changes = append(changes, Change{ID: r.ID, From: Retiring, Gone: true})
		}
	}
	if a.use != OIDC {
		return changes, false
	}
	if len(a.next) == 0 {
		return changes, true
	}
	old := a.active == nil || now.Sub(a.active.Changed) >= l.active()
	if old && a.wait(l, now) <= 0 {
		return append(changes, a.move()...), len(a.next) == 1
	}
	return changes, false
}

// wait is how long the next key must still be announced.
func (a *arranged) wait(l Lifetimes, now time.Time) time.Duration {
	return l.announce() - now.Sub(a.next[0].Created)
}

// retire comes before a new key becomes active, so that never two are.
func (a *arranged) retire() []Change {
	if a.active == nil {
		return nil
	}
	return []Change{{ID: a.active.ID, From: Active, To: Retiring}}
}

func (a *arranged) move() []Change {
	return append(a.retire(), Change{ID: a.next[0].ID, From: Next, To: Active})
}
