// Package transporttest has connections for the tests of those who write to some.
package transporttest

import (
	"bytes"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
)

// SlowConn is a Conn that is only written to. Its methods may be called concurrently;
// its fields are to be changed before, or under the queue that writes to it.
type SlowConn struct {
	transport.Conn
	Take   func() int    // how many bytes one write takes
	Err    error         // what writes fail with; nil: they don't
	Writes int           // how often it was written to
	Closed chan struct{} // closed by Close

	mu   sync.Mutex
	got  bytes.Buffer
	once sync.Once
}

// NewSlowConn returns one that takes as many bytes in a write as take says.
func NewSlowConn(take func() int) *SlowConn {
	return &SlowConn{Take: take, Closed: make(chan struct{})}
}

// TryWrite implements transport.Conn.
func (c *SlowConn) TryWrite(segments [][]byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Writes++
	if c.Err != nil {
		return 0, c.Err
	}
	n, room := 0, c.Take()
	for _, s := range segments {
		s = s[:min(len(s), room-n)]
		c.got.Write(s)
		n += len(s)
	}
	return n, nil
}

// Write implements transport.Conn, and waits for ever.
func (c *SlowConn) Write(segments [][]byte, _ time.Duration) (int, error) {
	n := 0
	for _, s := range segments {
		for len(s) > 0 {
			m, err := c.TryWrite([][]byte{s})
			if err != nil {
				return n, err
			}
			s, n = s[m:], n+m
		}
	}
	return n, nil
}

// Close implements transport.Conn.
func (c *SlowConn) Close() error {
	c.once.Do(func() { close(c.Closed) })
	return nil
}

// CloseWrite implements transport.Conn.
func (c *SlowConn) CloseWrite() error { return c.Close() }

// Bytes returns what was written.
func (c *SlowConn) Bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.got.Bytes())
}
