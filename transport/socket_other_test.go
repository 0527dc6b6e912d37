//go:build !linux

package transport

import "net"

func netConnOf(c *conn) net.Conn { return c.stream.(*netStream).conn }
