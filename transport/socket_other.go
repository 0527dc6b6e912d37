//go:build !linux

package transport

import "net"

// newStream returns the stream over c.
func newStream(c net.Conn) stream { return &netStream{conn: c} }
