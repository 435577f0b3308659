//go:build !linux

package main

import (
	"errors"
	"net"
)

// takeNoMore can not be asked of this kernel: a connection that begins while the listener closes may be reset.
func takeNoMore(*net.TCPListener) error { return errors.ErrUnsupported }
