package transport

import (
	"crypto/tls"
	"io"
	"net"
	"time"
)

// chunk is how much a netStream writes at once: as much as a TLS record holds.
const chunk = 16 << 10

// farewell is how long closing TLS may take.
const farewell = 100 * time.Millisecond

// netStream is a stream over any net.Conn, such as TLS.
type netStream struct {
	conn net.Conn
	// first takes the bytes that end a wait, so that no buffer is held while
	// waiting. They are few: TLS keeps the rest of its record.
	first [16]byte
}

func (s *netStream) fill(b *buffer, want int) error {
	idle := b.r == b.w
	var p []byte
	if idle {
		b.release()
		p = s.first[:]
	} else {
		p = b.space(want)
	}
	n, err := s.conn.Read(p)
	switch {
	case n > 0 && idle:
		b.put(p[:n])
	case n > 0:
		b.advanceAndResize(n)
	case err == nil:
		// io.Reader allows this, but discourages it.
		err = io.ErrNoProgress
	default:
		return err
	}
	if n > 0 {
		// An error that comes with the last bytes is returned again by the next read.
		return nil
	}
	return err
}

func (s *netStream) poll(*buffer) {}

func (s *netStream) setReadDeadline(t time.Time) error { return s.conn.SetReadDeadline(t) }

// tryWrite writes nothing: no call of net.Conn is certain not to wait.
func (s *netStream) tryWrite([][]byte) (int, error) { return 0, nil }

func (s *netStream) write(segments [][]byte, stall time.Duration) (int, error) {
	buf := getBytes(classOf(chunk))
	defer putBytes(buf)
	written, n := 0, 0
	flush := func() error {
		// Each record has its own deadline: only a peer that does not take it
		// reaches the deadline.
		if err := s.conn.SetWriteDeadline(time.Now().Add(stall)); err != nil {
			return err
		}
		k, err := s.conn.Write(buf[:n])
		written += k
		n = 0
		return err
	}
	for _, p := range segments {
		for len(p) > 0 {
			k := copy(buf[n:], p)
			n += k
			p = p[k:]
			if n == len(buf) {
				if err := flush(); err != nil {
					return written, err
				}
			}
		}
	}
	if n > 0 {
		if err := flush(); err != nil {
			return written, err
		}
	}
	return written, s.conn.SetWriteDeadline(time.Time{})
}

// closeWrite ends the sending direction of TLS and then of TCP, because not every peer
// recognizes the end of TLS.
func (s *netStream) closeWrite() error {
	t, ok := s.conn.(*tls.Conn)
	if !ok {
		return s.conn.Close()
	}
	late := time.AfterFunc(farewell, func() { t.NetConn().Close() })
	defer late.Stop()
	err := t.CloseWrite()
	if c, ok := t.NetConn().(interface{ CloseWrite() error }); ok && err == nil {
		err = c.CloseWrite()
	}
	return err
}

func (s *netStream) close() error {
	if t, ok := s.conn.(*tls.Conn); ok {
		// Closing TLS sends an alert first, and may wait long for a peer that
		// does not read.
		late := time.AfterFunc(farewell, func() { t.NetConn().Close() })
		defer late.Stop()
	}
	return s.conn.Close()
}
