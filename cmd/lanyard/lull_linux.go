package main

import (
	"net"

	"golang.org/x/sys/unix"
)

// takeNoMore makes l seem unreachable to whoever begins a connection now: the kernel drops the SYN, the caller repeats
// it after a second, finds the port closed, and goes elsewhere with nothing sent. Connections whose handshake is under
// way are still taken. Merely closing l would reset those that the kernel has accepted and this process has not: their
// requests may be on the way, and a proxy can not repeat what may have been done.
func takeNoMore(l *net.TCPListener) error {
	const flags, syn = 13, 0x02 // RFC 9293 section 3.1; in a listener's filter the TCP header comes first
	drop := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: syn, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff}, // all of it
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	if err := raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(drop)), Filter: &drop[0]})
	}); err != nil {
		return err
	}
	return refused
}
