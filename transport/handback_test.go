package transport

import (
	"errors"
	"net"
	"testing"
	"time"
	"unsafe"
)

// undated fails where the deadline of the handshake is to be taken off, as a
// connection does that was closed meanwhile.
type undated struct{ net.Conn }

func (u undated) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		return net.ErrClosed
	}
	return u.Conn.SetReadDeadline(t)
}

// A connection that is closed at the very end of its handshake gives its memory
// back once: twice, and two connections would read into the same.
func TestMemoryIsHandedBackOnce(t *testing.T) {
	for range 20 {
		server, client := net.Pipe()
		answered := make(chan error, 1)
		go func() {
			_, err := client.Write([]byte{rawMagic, 0xf1, 0, 0})
			var reply [4]byte
			if err == nil {
				_, err = client.Read(reply[:])
			}
			answered <- err
		}()
		g := serverHandshake{net: undated{server}, opts: &ListenOptions{}, limits: Limits{}.withDefaults(), accepted: time.Now(), addresses: new(addresses)}
		c, refusal := g.run()
		if err := errors.Join(<-answered, client.Close(), server.Close()); err != nil {
			t.Fatal(err)
		}
		if c != nil || refusal != refuseGone {
			t.Fatalf("%v, %v", c, refusal)
		}
	}
	seen := make(map[*byte]bool)
	for range 100 {
		first := unsafe.SliceData(getBytes(0))
		if seen[first] {
			t.Fatal("the same memory is handed out twice")
		}
		seen[first] = true
	}
}
