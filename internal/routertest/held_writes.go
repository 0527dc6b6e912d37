package routertest

import (
	"slices"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
)

// HeldWrites is a group of connections that hold back what they are to write until
// one of them has to wait for something to read.
type HeldWrites struct{ conns []*batched }

type batched struct {
	transport.Conn
	of   *HeldWrites
	held [][]byte
}

// On adds a connection to the group; what it returns is used in its place.
func (h *HeldWrites) On(conn transport.Conn) transport.Conn {
	c := &batched{Conn: conn, of: h}
	h.conns = append(h.conns, c)
	return c
}

// Off removes a connection that On has returned.
func (h *HeldWrites) Off(conn transport.Conn) {
	h.conns = slices.DeleteFunc(h.conns, func(c *batched) bool { return c == conn })
}

func (c *batched) Write(segments [][]byte, _ time.Duration) (n int, err error) {
	for _, s := range segments {
		n += len(s)
	}
	c.held = append(c.held, segments...)
	return n, nil
}

func (c *batched) Read() (transport.Frame, error) {
	if !c.Buffered() {
		for _, other := range c.of.conns {
			if _, err := other.Conn.Write(other.held, Timeout); err != nil {
				return transport.Frame{}, err
			}
			clear(other.held)
			other.held = other.held[:0]
		}
	}
	return c.Conn.Read()
}
