package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// callerIP is the address of whoever sent r: the TCP peer unless that is a trusted proxy, then the rightmost
// X-Forwarded-For entry that is not one. What can not be read is no address, and rules that need one refuse.
func callerIP(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	ip := peer.Addr().Unmap()
	if !within(ip, trusted) {
		return ip
	}
	var hops []string
	for _, h := range r.Header.Values("X-Forwarded-For") {
		hops = append(hops, strings.Split(h, ",")...)
	}
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil || hop.Zone() != "" {
			return netip.Addr{}
		}
		ip = hop.Unmap()
		if !within(ip, trusted) {
			return ip
		}
	}
	return ip
}

func within(ip netip.Addr, prefixes []netip.Prefix) bool {
	for _, p := range prefixes {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
