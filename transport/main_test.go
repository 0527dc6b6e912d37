package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/blindfold-wamp/blindfold/wamp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// script is a stream that plays back chunks, and then its end. A nil chunk is a
// read deadline that passed.
type script struct {
	chunks [][]byte
	end    error
}

func (s *script) fill(b *buffer, want int) error {
	if b.r == b.w {
		b.release()
	}
	if len(s.chunks) == 0 {
		return s.end
	}
	c := s.chunks[0]
	if c == nil {
		s.chunks = s.chunks[1:]
		return os.ErrDeadlineExceeded
	}
	n := copy(b.space(want), c)
	b.advanceAndResize(n)
	if n == len(c) {
		s.chunks = s.chunks[1:]
	} else {
		s.chunks[0] = c[n:]
	}
	return nil
}

func (s *script) poll(b *buffer) {
	if len(s.chunks) > 0 && s.chunks[0] != nil {
		_ = s.fill(b, 0)
	}
}

func (s *script) tryWrite([][]byte) (int, error)             { return 0, nil }
func (s *script) write([][]byte, time.Duration) (int, error) { return 0, io.ErrClosedPipe }
func (s *script) setReadDeadline(time.Time) error            { return nil }
func (s *script) closeWrite() error                          { return nil }
func (s *script) close() error                               { return nil }

// play returns a connection that reads chunks as the receiving side of f: a
// server's is given masked framings.
func play(f Framing, limit int, chunks ...[]byte) *conn {
	s := &script{chunks: chunks, end: io.EOF}
	if f == FramingMemory {
		return &conn{stream: s, frames: memoryFrames{}, framing: f, limit: limit, maxLimit: limit}
	}
	return newConn(s, new(buffer), Info{Serializer: serializerOf(f)}, opposite(f), limit, limit)
}

func serializerOf(f Framing) wamp.Serializer {
	if f == FramingText || f == FramingMaskedText {
		return wamp.JSON
	}
	return wamp.CBOR
}

// opposite returns the framing in which the reader of f's frames writes.
func opposite(f Framing) Framing {
	switch f {
	case FramingText:
		return FramingMaskedText
	case FramingBinary:
		return FramingMaskedBinary
	case FramingMaskedText:
		return FramingText
	case FramingMaskedBinary:
		return FramingBinary
	}
	return f
}

// serve runs a Server on a loopback port and returns its address.
func serve(t testing.TB, s *Server, opts ListenOptions) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, s, l, opts)
	return l.Addr().String()
}

func serveOn(t testing.TB, s *Server, l net.Listener, opts ListenOptions) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l, opts) }()
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
}

// handing returns a Handle that closes connections when f is done with them.
func handing(f func(Conn)) func(Conn) {
	return func(c Conn) {
		defer c.Close()
		f(c)
	}
}

// echo is a Handle that answers as a session would.
func echo(c Conn) {
	defer c.Close()
	var out []byte
	c.SetReadLimit(0)
	for {
		f, err := c.Read()
		var p *ProtocolError
		switch {
		case errors.As(err, &p) && p.CloseCode != 0:
			c.Write([][]byte{c.Framing().AppendFrame(nil, OpClose, CloseBody(p.CloseCode, p.Text))}, time.Second)
			return
		case err != nil:
			return
		}
		op := f.Op
		if op == OpPing {
			op = OpPong
		} else if op == OpPong {
			continue
		}
		out = c.Framing().AppendFrame(out[:0], op, f.Body)
		n, err := c.TryWrite([][]byte{out})
		if err == nil && n < len(out) {
			_, err = c.Write([][]byte{out[n:]}, patience)
		}
		if err != nil {
			return
		}
	}
}

func dial(t testing.TB, url string, o DialOptions) Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := Dial(ctx, url, o)
	if err != nil {
		t.Fatalf("Dial %s: %v", url, err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(patience))
	return c
}

func dialNet(t testing.TB, address string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

func send(t testing.TB, c Conn, op Op, body []byte) {
	t.Helper()
	frame := c.Framing().AppendFrame(nil, op, body)
	if n, err := c.Write([][]byte{frame}, patience); err != nil || n != len(frame) {
		t.Fatalf("Write: %d of %d bytes, %v", n, len(frame), err)
	}
}

func receive(t testing.TB, c Conn) Frame {
	t.Helper()
	f, err := c.Read()
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return f
}
