package idp

import (
	"context"
	"net/netip"
	"time"
)

// Outcomes of an event.
const (
	OK      = "ok"
	Refused = "refused"
)

// Event is something that changed, admitted or refused.
type Event struct {
	ID        string    `json:"id"`
	Org       string    `json:"-"`
	Time      time.Time `json:"time"`
	Code      string    `json:"code"`
	User      string    `json:"user"` // id of whom it concerns; shown as username
	App       string    `json:"app"`  // id; shown as API name
	IP        string    `json:"ip"`
	Outcome   string    `json:"outcome"`
	Reason    string    `json:"reason"`
	Reference string    `json:"reference"`
	Actor     string    `json:"actor"` // who did it: a username, "cli", or the app's client_id
}

// Caller is what is known of a request before anybody is known by it.
type Caller struct {
	Reference string     // [A-Z0-9]{8}, on every refusal page and in every line of the log
	IP        netip.Addr // of the person, behind trusted proxies; invalid: not to be told, so rules that need it refuse
	Agent     string
	Actor     string // who acts, where that is no matter of a session: "cli"
}

// Network is what strangers are counted under: the address, and of IPv6 the network, for one line has 2⁶⁴ addresses.
// Invalid where there is no address.
func (c *Caller) Network() netip.Prefix {
	bits := c.IP.BitLen()
	if c.IP.Is6() {
		bits = 64
	}
	p, _ := c.IP.WithZone("").Prefix(bits) // of no address: invalid
	return p
}

type callerKey struct{}

// WithCaller returns a context that carries c.
func WithCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns the caller that ctx carries; an empty one where it carries none.
func CallerOf(ctx context.Context) *Caller {
	if c, ok := ctx.Value(callerKey{}).(*Caller); ok {
		return c
	}
	return &Caller{}
}
