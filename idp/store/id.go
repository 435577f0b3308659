package store

import (
	"crypto/rand"
	"strings"
	"sync"
	"time"
)

// IDs makes ids of 26 characters, digits and lower-case letters, that sort by the time they were made: rows with such keys are
// inserted at the right edge of their tree. They can be guessed at to some degree and are no secret.
type IDs struct {
	Now func() time.Time

	mu   sync.Mutex
	last int64
}

// Crockford's digits: nothing in them is read for something else, and they sort as bytes in any collation.
const digits = "0123456789abcdefghjkmnpqrstvwxyz"

const (
	timeDigits = 11 // 55 bits of microseconds: until the year 3111
	idDigits   = timeDigits + 15
)

// IsID tells if s can be an id: what else somebody sends as one is nobody's, and not every database takes it to look it up.
func IsID(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, digits) == ""
}

// New returns an id greater than all those before it. (Between two nodes, clocks decide.)
func (ids *IDs) New() string {
	ids.mu.Lock()
	t := max(ids.Now().UnixMicro(), ids.last+1) // clocks are set back, and two calls can share a microsecond
	ids.last = t
	ids.mu.Unlock()

	var id [idDigits]byte
	for i := timeDigits - 1; i >= 0; i-- {
		id[i] = digits[t&31]
		t >>= 5
	}
	_, _ = rand.Read(id[timeDigits:]) // never fails
	for i := timeDigits; i < idDigits; i++ {
		id[i] = digits[id[i]&31]
	}
	return string(id[:])
}
