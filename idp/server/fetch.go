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
	d := &net.Dialer{Timeout: 5 * time.Second, Control: guard.Safe}
	return &Fetcher{client: &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			Proxy: nil, DialContext: d.DialContext, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 5 * time.Second,
			DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 2 {
				return errors.New("more than two redirects")
			}
			return webAddress(r.URL)
		},
	}}
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
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", rawURL, res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", rawURL, most)
	}
	return b, nil
}

// private says which address may not be fetched from, and what to give to allow it.
func private(host string, err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Addr != nil {
		if at, perr := netip.ParseAddrPort(op.Addr.String()); perr == nil {
			ip := at.Addr().Unmap().WithZone("")
			return fmt.Errorf("%s is at the private address %s; if that is meant, allow it with --allow-fetch %s", host, ip, netip.PrefixFrom(ip, ip.BitLen()))
		}
	}
	return fmt.Errorf("%s is at a private address; if that is meant, allow it with --allow-fetch and its range: %w", host, err)
}

func webAddress(u *url.URL) error {
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return fmt.Errorf("%s is no http(s) address without a name and password in it", u.Redacted())
	}
	return nil
}
