package oidc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// How the keys at a client's jwks_uri are had. A copy is kept, so that a request waits for another server only when there
// is no other way, and then for a bounded time, in bounded company. No transaction is open and no lock is held meanwhile.
const (
	maxKeyDocument = 256 << 10
	keysFresh      = 5 * time.Minute  // a copy so young is used
	keysRenew      = 10 * time.Minute // until then it is used while a new one is being fetched
	keysLast       = 12 * time.Hour   // until then it is used while the address gives none: a night
	keysPause      = 30 * time.Second // between two readings of one address, however many unknown keys are asked for
	keysRetry      = 10 * time.Second // after a reading that failed; twice that after the next, at most
	keysRetryMost  = time.Minute
	keysWait       = 5 * time.Second                 // a request waits no longer
	keysRead       = keysWait - 100*time.Millisecond // a reading is over before that, so that all who wait hear what came of it

	maxKeyDocuments = 1000 // addresses remembered; the one that was used least lately is forgotten
	maxReadings     = 32   // at a time
	maxAtHost       = 16   // of them, at one host: whoever has many clients there must not take the readings of all
	maxWaiting      = 50   // requests that wait for one address; so never more than 1600 in all
)

// clientKeys is the keys that were read from clients' addresses. Its zero value holds none.
type clientKeys struct {
	mu       sync.Mutex
	at       map[string]*keysAt
	readings int            // under way
	hosts    map[string]int // of them, at each host
}

// crowded is a reading that has to wait because there are so many. That is our affair, not what a client did wrong.
type crowded string

func (c crowded) Error() string      { return string(c) }
func (crowded) Is(target error) bool { return target == ErrBusy }

// hostOf is where uri leads, as far as readings are counted by it.
func hostOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// keysAt is what is known of one address.
type keysAt struct {
	copy    []jose.JSONWebKey
	version int           // of the copy: how many there have been; 0: none yet
	got     time.Time     // when the copy was read
	tried   time.Time     // when the last reading ended
	err     error         // of the last reading
	fails   int           // readings that failed since the copy
	used    time.Time     // when it was last asked for
	reading chan struct{} // closed when the reading under way ends; nil: none is
	waiting int
}

// next is when the address may be read again.
func (k *keysAt) next() time.Time {
	switch {
	case k.tried.IsZero():
		return k.tried
	case k.fails == 0:
		return k.tried.Add(keysPause)
	}
	return k.tried.Add(min(keysRetry<<min(k.fails-1, 8), keysRetryMost))
}

// fetchKeys returns the keys at uri. seen is the version of the copy that did not do; 0 is for any. The error says what
// is the matter, for the admin.
func (h *Handler) fetchKeys(ctx context.Context, uri string, seen int) (keys []jose.JSONWebKey, version int, err error) {
	c, now := &h.clientKeys, h.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.of(uri, now)
	age := now.Sub(k.got)
	if k.version > seen && (seen > 0 || age < keysFresh) {
		return k.copy, k.version, nil
	}
	failed := c.start(h, uri, k, now)
	if k.version > 0 && seen == 0 && age < keysRenew {
		return k.copy, k.version, nil
	}
	if failed == nil {
		failed = c.wait(ctx, k)
	}
	switch age = h.Now().Sub(k.got); {
	case k.version > seen && (seen > 0 || age < keysLast):
		return k.copy, k.version, nil
	case failed != nil:
		return nil, 0, failed
	case k.err != nil:
		return nil, 0, k.err
	}
	return nil, 0, errors.New("they were not to be had") // never: a reading ends with a copy or an error
}

// of finds or makes the place of uri.
func (c *clientKeys) of(uri string, now time.Time) *keysAt {
	k := c.at[uri]
	if k == nil {
		if len(c.at) >= maxKeyDocuments {
			c.forget()
		}
		if c.at == nil {
			c.at = map[string]*keysAt{}
		}
		k = &keysAt{}
		c.at[uri] = k
	}
	k.used = now
	return k
}

// forget takes away what was used least lately, never a reading under way.
func (c *clientKeys) forget() {
	oldest := ""
	for uri, k := range c.at {
		if k.reading == nil && (oldest == "" || k.used.Before(c.at[oldest].used)) {
			oldest = uri
		}
	}
	delete(c.at, oldest)
}

// start begins to read uri, unless that is under way. The error says why that must not be now.
func (c *clientKeys) start(h *Handler, uri string, k *keysAt, now time.Time) error {
	next, host := k.next(), hostOf(uri)
	switch {
	case k.reading != nil:
		return nil
	case now.Before(next):
		ago, in := now.Sub(k.tried).Round(time.Second), next.Sub(now).Round(time.Second)
		if k.err != nil {
			return fmt.Errorf("%w (tried %s ago; the next try is in %s at the earliest)", k.err, ago, in)
		}
		return fmt.Errorf("read %s ago; they are read again in %s at the earliest", ago, in)
	case c.readings >= maxReadings:
		return crowded(fmt.Sprintf("%d addresses of keys are being read just now, and no more are at a time", maxReadings))
	case c.hosts[host] >= maxAtHost:
		return crowded(fmt.Sprintf("%d addresses of keys at %s are being read just now, and no more are at a time", maxAtHost, host))
	}
	c.readings++
	if c.hosts == nil {
		c.hosts = map[string]int{}
	}
	c.hosts[host]++
	k.reading = make(chan struct{})
	go c.read(h, uri, k)
	return nil
}

// read reads uri. It is nobody's request: who asked for it may go, and others may still want it.
func (c *clientKeys) read(h *Handler, uri string, k *keysAt) {
	ctx, cancel := context.WithTimeout(context.Background(), keysRead)
	defer cancel()
	keys, err := h.readDocument(ctx, uri)
	c.mu.Lock()
	defer c.mu.Unlock()
	now := h.Now()
	if k.tried, k.err = now, err; err != nil {
		k.fails++
		h.Log.Warn("the keys of a client can not be read", "jwks_uri", uri, "error", err, "copy", k.version > 0)
	} else {
		k.copy, k.got, k.fails = keys, now, 0
		k.version++
	}
	c.readings--
	host := hostOf(uri)
	if c.hosts[host]--; c.hosts[host] == 0 {
		delete(c.hosts, host)
	}
	close(k.reading)
	k.reading = nil
}

// readDocument gets the JWK Set at uri. One with no key of use is good: a client that takes its keys away wants them gone.
func (h *Handler) readDocument(ctx context.Context, uri string) (keys []jose.JSONWebKey, err error) {
	defer func() { // in a request a panic would end that alone; here it would end the server
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if h.Fetch == nil {
		return nil, errors.New("this server fetches nothing")
	}
	raw, err := h.Fetch(ctx, uri, maxKeyDocument)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("no whole answer within %s", keysWait)
	}
	var request *url.Error
	if errors.As(err, &request) {
		return nil, request.Err // without the address, which is told beside it
	}
	if err != nil {
		return nil, err
	}
	keys, _, err = readKeys(raw)
	return keys, err
}

// wait lets go of the lock until the reading of k ends, or the time is up. The error says why nothing came of it.
func (c *clientKeys) wait(ctx context.Context, k *keysAt) error {
	if k.waiting >= maxWaiting {
		return crowded(fmt.Sprintf("%d requests wait for them already, and no more do at a time", maxWaiting))
	}
	reading := k.reading
	k.waiting++
	c.mu.Unlock()
	late := time.NewTimer(keysWait)
	var err error
	select {
	case <-reading:
	case <-late.C:
		err = fmt.Errorf("no whole answer within %s", keysWait)
	case <-ctx.Done():
		err = ctx.Err()
	}
	late.Stop()
	c.mu.Lock()
	k.waiting--
	return err
}
