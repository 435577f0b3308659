package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// Fetcher gets documents that admins name by URL. It is the only way out of the house.
type Fetcher struct {
	client *http.Client
}

// NewFetcher returns a fetcher that reaches no private, loopback or special address but those in allow. The address is
// checked when it is dialled, so a name that resolves to another address later gains nothing.
func NewFetcher(allow []netip.Prefix) *Fetcher {
	var v4, v6 []netip.Prefix
	for _, p := range allow {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	guard := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	d := &net.Dialer{Timeout: 5 * time.Second, ControlContext: func(ctx context.Context, network, address string, c syscall.RawConn) error {
		if err := guard.Safe(network, address, c); err != nil {
			return err
		}
		if ctx.Value(plainHop{}) != nil && !listed(allow, address) {
			return errPlain
		}
		return nil
	}}
	return &Fetcher{client: &http.Client{
		Timeout: 5 * time.Second,
		Transport: hops{&http.Transport{
			Proxy: nil, DialContext: d.DialContext, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 5 * time.Second,
			DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		}},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 2 {
				return errors.New("more than two redirects")
			}
			return webAddress(r.URL)
		},
	}}
}

// Keys is Get for keys that somebody is to be believed by, and for metadata, which holds some. They come over TLS, so that nobody on the way puts in others;
// over plain http only from an address that is allowed by name.
func (f *Fetcher) Keys(ctx context.Context, rawURL string, most int64) ([]byte, error) {
	return f.Get(context.WithValue(ctx, guarded{}, true), rawURL, most)
}

type (
	guarded  struct{} // in the context of a fetch: plain http is not enough
	plainHop struct{} // in the context of a hop of such a fetch: this one is plain http
)

var errPlain = errors.New("plain http")

// hops tells the dialler which hops of a guarded fetch are plain http: redirects are hops of their own.
type hops struct{ next http.RoundTripper }

func (h hops) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" && r.Context().Value(guarded{}) != nil {
		r = r.WithContext(context.WithValue(r.Context(), plainHop{}, true))
	}
	return h.next.RoundTrip(r)
}

// listed tells if address, host:port, is in one of the ranges.
func listed(allow []netip.Prefix, address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && slices.ContainsFunc(allow, func(p netip.Prefix) bool { return p.Contains(at.Addr().Unmap().WithZone("")) })
}

// Get fetches rawURL, at most most bytes. The error says what is wrong and, for a private address, what to give to allow it.
func (f *Fetcher) Get(ctx context.Context, rawURL string, most int64) ([]byte, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("%q is no URL", rawURL)
	}
	if err := webAddress(u); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return nil, err
	}
	res, err := f.client.Do(req)
	if err != nil {
		if errors.Is(err, ssrf.ErrProhibitedIP) {
			return nil, private(u.Host, err)
		}
		if errors.Is(err, errPlain) {
			return nil, refusedPlain(u.Host, err)
		}
		return nil, f.late(rawURL, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", rawURL, res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	if err != nil {
		return nil, f.late(rawURL, err)
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", rawURL, most)
	}
	return b, nil
}

// late says in plain words that there was no answer, or not all of it, in time.
func (f *Fetcher) late(rawURL string, err error) error {
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s did not answer within %g s", rawURL, f.client.Timeout.Seconds())
	}
	return err
}

// dialled is the address, alone in its range, that err is about.
func dialled(err error) (p netip.Prefix, ok bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Addr == nil {
		return p, false
	}
	at, err := netip.ParseAddrPort(op.Addr.String())
	ip := at.Addr().Unmap().WithZone("")
	return netip.PrefixFrom(ip, ip.BitLen()), err == nil
}

// refusedPlain says why keys are not fetched, and what would help.
func refusedPlain(host string, err error) error {
	where, help := host, "allow its address with --allow-fetch"
	if p, ok := dialled(err); ok {
		where, help = p.Addr().String(), help+" "+p.String()
	}
	return fmt.Errorf("the way to %s is plain http, and whoever stands in between could put in keys of their own; give an https address, or if the way there is yours, %s", where, help)
}

// private says which address may not be fetched from, and what to give to allow it.
func private(host string, err error) error {
	if p, ok := dialled(err); ok {
		return fmt.Errorf("%s is at the private address %s; if that is meant, allow it with --allow-fetch %s", host, p.Addr(), p)
	}
	return fmt.Errorf("%s is at a private address; if that is meant, allow it with --allow-fetch and its range: %w", host, err)
}

func webAddress(u *url.URL) error {
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return fmt.Errorf("%s is no http(s) address without a name and password in it", u.Redacted())
	}
	return nil
}
