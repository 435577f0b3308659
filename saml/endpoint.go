package saml

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// CheckEndpoint tells in a sentence why a browser is never sent to address; nil if one may be. It must be an absolute
// https or http address without a user, a password or a fragment.
func CheckEndpoint(address string) error {
	const most = 4096
	switch {
	case address == "":
		return errors.New("the address is empty")
	case len(address) > most:
		return fmt.Errorf("the address has more than %d bytes", most)
	case strings.Contains(address, "#"):
		return fmt.Errorf("the address %q has a fragment", clip(address))
	}
	for i := range len(address) {
		if c := address[i]; c <= ' ' || c == 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return fmt.Errorf("the address %q holds a character that no URL may have", clip(address))
		}
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return fmt.Errorf("the address %q is no URL", clip(address))
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("the address %q is neither https nor http", clip(address))
	case u.Hostname() == "" || u.Opaque != "":
		return fmt.Errorf("the address %q names no host", clip(address))
	case u.User != nil:
		return fmt.Errorf("the address %q holds a user name", clip(address))
	}
	return nil
}

// PlainHTTP tells if what is sent to address, which passed CheckEndpoint, can be read on its way: http to anything but
// this very machine.
func PlainHTTP(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" {
		return false
	}
	if u.Hostname() == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err != nil || !ip.IsLoopback()
}

// usable tells in a sentence why no response goes to address; nil if one may.
func (sp *ServiceProvider) usable(address string) error {
	if err := CheckEndpoint(address); err != nil {
		return err
	}
	if PlainHTTP(address) && !sp.AllowHTTP {
		return fmt.Errorf("the ACS %q is plain http, on which responses can be read and stolen: let the service provider use https, or set saml.allowHTTP on the app", clip(address))
	}
	return nil
}

// posts yields the endpoints that a response can be sent to: Profiles §4.1.2 has HTTP-POST and HTTP-Artifact, and the
// latter is not offered.
func (sp *ServiceProvider) posts() []Endpoint {
	var all []Endpoint
	for _, e := range sp.ACS {
		if e.Binding == BindingPOST {
			all = append(all, e)
		}
	}
	return all
}

// find returns the ACS that c chooses. Addresses are compared byte for byte.
func (sp *ServiceProvider) find(c acsChoice) (Endpoint, error) {
	all := sp.posts()
	if len(all) == 0 {
		return Endpoint{}, errors.New("the app has no ACS for HTTP-POST")
	}
	switch {
	case c.hasIndex:
		for _, e := range all {
			if e.Index == c.index {
				return e, nil
			}
		}
		// Never the default instead: the request would be answered somewhere its sender did not name.
		return Endpoint{}, fmt.Errorf("the app has no ACS for HTTP-POST with index %d", c.index)
	case c.hasURL:
		for _, e := range all {
			if e.URL == c.url {
				return e, nil
			}
		}
		return Endpoint{}, fmt.Errorf("the app has no ACS %q for HTTP-POST", clip(c.url))
	}
	return defaultOf(all), nil
}

// defaultOf chooses among all, of which there is one. Metadata §2.2.3: "the default endpoint is the first such endpoint
// with the isDefault attribute set to true. If no such endpoints exist, the default endpoint is the first such endpoint
// without the isDefault attribute set to false. If no such endpoints exist, the default endpoint is the first element in
// the sequence."
func defaultOf(all []Endpoint) Endpoint {
	for _, e := range all {
		if e.Default == "true" || e.Default == "1" {
			return e
		}
	}
	for _, e := range all {
		if e.Default != "false" && e.Default != "0" {
			return e
		}
	}
	return all[0]
}
