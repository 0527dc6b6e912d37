package transport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// pair returns the two ends of a connection over a real socket.
func pair(t testing.TB, network string, f Framing) (ours *conn, theirs net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = t.TempDir() + "/s"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	theirs, err = net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); theirs.Close() })
	theirs.SetDeadline(time.Now().Add(patience))
	return newConn(newStream(nc), new(buffer), Info{}, f, 16<<20, 16<<20), theirs
}

// streams are the ways on which bytes travel, with a peer for each.
func streams(t *testing.T, test func(t *testing.T, ours Conn, theirs io.ReadWriteCloser)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ours, theirs := pair(t, network, FramingRaw)
			test(t, ours, theirs)
		})
	}
	t.Run("tls", func(t *testing.T) {
		inner, outer := pair(t, "tcp", FramingRaw)
		server, client := testTLS(t)
		s := tls.Server(netConnOf(inner), server)
		c := tls.Client(outer, client)
		shaken := make(chan error, 1)
		go func() { shaken <- s.Handshake() }()
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := <-shaken; err != nil {
			t.Fatal(err)
		}
		test(t, newConn(newStream(s), new(buffer), Info{}, FramingRaw, 16<<20, 16<<20), c)
	})
	t.Run("memory", func(t *testing.T) {
		a, b := Pipe(wamp.CBOR)
		t.Cleanup(func() { a.Close(); b.Close() })
		ours := &conn{stream: a.(*conn).stream, frames: rawFrames{}, framing: FramingRaw, limit: 16 << 20, maxLimit: 16 << 20}
		test(t, ours, &pipePeer{stream: b.(*conn).stream})
	})
}

// pipePeer reads and writes the bytes of a Pipe.
type pipePeer struct {
	stream stream
	in     buffer
}

func (p *pipePeer) Read(dst []byte) (int, error) {
	if p.in.r == p.in.w {
		if err := p.stream.fill(&p.in, 0); err != nil {
			return 0, err
		}
	}
	n := copy(dst, p.in.bytes())
	p.in.take(n)
	return n, nil
}
func (p *pipePeer) Write(b []byte) (int, error) { return p.stream.write([][]byte{b}, patience) }
func (p *pipePeer) Close() error                { return p.stream.close() }

// A deadline in the middle of a frame loses nothing of it.
func TestReadGoesOnAfterDeadline(t *testing.T) {
	streams(t, func(t *testing.T, ours Conn, theirs io.ReadWriteCloser) {
		frame := FramingRaw.AppendFrame(nil, OpMessage, bytes.Repeat([]byte("0123456789"), 3000))
		rest := frame
		for _, n := range []int{0, 1, 3, 4, 10, 5000, 20000} {
			if _, err := theirs.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
			ours.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := ours.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("before the end of the frame: %v", err)
			}
		}
		theirs.Write(rest)
		ours.SetReadDeadline(time.Now().Add(patience))
		if f, err := ours.Read(); err != nil || !bytes.Equal(f.Body, frame[4:]) {
			t.Fatalf("after it: %d bytes, %v", len(f.Body), err)
		}
		ours.SetReadDeadline(time.Now().Add(-time.Second))
		if _, err := ours.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("with a deadline in the past: %v", err)
		}
	})
}

// Poll never waits; what it says is there can be read without waiting; and it loses
// nothing, whole frame or not, whatever comes after.
func TestPoll(t *testing.T) {
	streams(t, func(t *testing.T, ours Conn, theirs io.ReadWriteCloser) {
		ours.SetReadDeadline(time.Now().Add(patience)) // ends a Poll that waits
		if ours.Poll() {
			t.Fatal("something is there before anything was sent")
		}
		frame := FramingRaw.AppendFrame(nil, OpMessage, bytes.Repeat([]byte("0123456789"), 3000))
		for _, n := range []int{2, 4, 10_000, len(frame)} {
			ours.SetReadDeadline(time.Now().Add(patience))
			sent := 0
			for deadline := time.Now().Add(patience); ; {
				ready := ours.Poll()
				if ready && sent == len(frame) {
					break
				}
				switch {
				case ready:
					t.Fatalf("ready with %d of %d bytes", sent, len(frame))
				case sent < len(frame):
					k := min(n, len(frame)-sent)
					if _, err := theirs.Write(frame[sent : sent+k]); err != nil {
						t.Fatal(err)
					}
					sent += k
				case time.Now().After(deadline):
					t.Fatal("what was sent does not come")
				}
				if sent == len(frame) && isTLS(ours) {
					break
				}
			}
			if !isTLS(ours) {
				ours.SetReadDeadline(time.Unix(1, 0)) // Read must not wait
			}
			if f, err := ours.Read(); err != nil || !bytes.Equal(f.Body, frame[4:]) {
				t.Fatalf("in parts of %d: %d bytes, %v", n, len(f.Body), err)
			}
		}
		theirs.Close()
		ours.Poll()
		ours.SetReadDeadline(time.Now().Add(patience))
		if _, err := ours.Read(); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
	})
}

// A deadline set meanwhile ends a Read that waits.
func TestDeadlineEndsWaitingRead(t *testing.T) {
	streams(t, func(t *testing.T, ours Conn, theirs io.ReadWriteCloser) {
		ended := make(chan error, 1)
		go func() {
			_, err := ours.Read()
			ended <- err
		}()
		runtime.Gosched()
		ours.SetReadDeadline(time.Now())
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestCloseEndsReadAndWrite(t *testing.T) {
	streams(t, func(t *testing.T, ours Conn, theirs io.ReadWriteCloser) {
		ended := make(chan error, 2)
		go func() {
			_, err := ours.Read()
			ended <- err
		}()
		go func() {
			big := make([]byte, 64<<20)
			_, err := ours.Write([][]byte{big}, patience)
			ended <- err
		}()
		one := make([]byte, 1)
		if _, err := io.ReadFull(theirs, one); err != nil { // so that writing has begun
			t.Fatal(err)
		}
		ours.Close()
		ours.Close()
		for range 2 {
			if err := <-ended; !errors.Is(err, ErrClosed) {
				t.Errorf("%v", err)
			}
		}
		if _, err := ours.TryWrite([][]byte{{1}}); !errors.Is(err, ErrClosed) && !isTLS(ours) {
			t.Errorf("TryWrite after Close: %v", err)
		}
	})
}

func isTLS(c Conn) bool { _, ok := c.(*conn).stream.(*netStream); return ok }

// The peer's orderly end is io.EOF; within a frame it is not orderly.
func TestPeerEnds(t *testing.T) {
	streams(t, func(t *testing.T, ours Conn, theirs io.ReadWriteCloser) {
		theirs.Write(FramingRaw.AppendFrame(nil, OpMessage, []byte("last")))
		theirs.Close()
		ours.SetReadDeadline(time.Now().Add(patience))
		if f, err := ours.Read(); err != nil || string(f.Body) != "last" {
			t.Fatalf("%q, %v", f.Body, err)
		}
		for range 2 {
			if _, err := ours.Read(); err != io.EOF {
				t.Fatalf("%v", err)
			}
		}
	})
	streams(t, func(t *testing.T, ours Conn, theirs io.ReadWriteCloser) {
		theirs.Write([]byte{0, 0, 0, 9, 1})
		theirs.Close()
		ours.SetReadDeadline(time.Now().Add(patience))
		if _, err := ours.Read(); err != io.ErrUnexpectedEOF {
			t.Fatalf("%v", err)
		}
	})
}

// A peer that takes nothing ends Write, and what it took is counted. TryWrite
// says so at once.
func TestWriteToPeerThatDoesNotRead(t *testing.T) {
	streams(t, func(t *testing.T, ours Conn, theirs io.ReadWriteCloser) {
		big := make([]byte, 64<<20)
		segments := [][]byte{big[:100], {}, big[100:5000], big[5000:]}
		tried, err := ours.TryWrite(segments)
		if err != nil || tried == len(big) || tried == 0 && !isTLS(ours) {
			t.Fatalf("TryWrite: %d, %v", tried, err)
		}
		n, err := ours.Write([][]byte{big[tried:]}, 20*time.Millisecond)
		if !errors.Is(err, os.ErrDeadlineExceeded) || n >= len(big) {
			t.Fatalf("Write: %d, %v", n, err)
		}
		if n, err := ours.TryWrite(segments); n != 0 || err != nil {
			t.Fatalf("TryWrite, full: %d, %v", n, err)
		}
	})
}

// A slow peer is not a stalled one; and every byte arrives in order, through
// any mix of segments.
func TestWriteToSlowPeer(t *testing.T) {
	streams(t, func(t *testing.T, ours Conn, theirs io.ReadWriteCloser) {
		big := make([]byte, 6<<20)
		for i := range big {
			big[i] = byte(i % 251)
		}
		var segments [][]byte
		for i, rest := 0, big; len(rest) > 0; i++ {
			n := min(len(rest), []int{1, 0, 10, 70000, 100, 3, 9999}[i%7])
			segments = append(segments, rest[:n])
			rest = rest[n:]
		}
		ended := make(chan error, 1)
		go func() {
			tried, err := ours.TryWrite(segments)
			if err == nil {
				var s socketSegments = segments
				_, err = ours.Write(s.after(tried), patience)
			}
			ended <- err
		}()
		got, part := 0, make([]byte, 100_000)
		for got < len(big) {
			n, err := theirs.Read(part)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(part[:n], big[got:got+n]) {
				t.Fatalf("wrong bytes at %d", got)
			}
			got += n
			runtime.Gosched()
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	})
}

type socketSegments [][]byte

func (s socketSegments) after(n int) [][]byte {
	for i, p := range s {
		if n < len(p) {
			return append([][]byte{p[n:]}, s[i+1:]...)
		}
		n -= len(p)
	}
	return nil
}

// Reading and writing allocate nothing, and while waiting nothing is held.
func TestHotPathAllocatesNothing(t *testing.T) {
	for _, f := range []Framing{FramingRaw, FramingText, FramingBinary} {
		for _, network := range []string{"tcp", "unix"} {
			ours, theirs := pair(t, network, f)
			in := opposite(f).AppendFrame(nil, OpMessage, []byte("a message of some bytes"))
			out := f.AppendFrame(nil, OpMessage, []byte("a message of some bytes"))
			one, many := [][]byte{out}, [][]byte{out, out, out, out, out, out, out, out, out, out}
			sink := make([]byte, 64<<10)
			echo := func(segments [][]byte) {
				if _, err := theirs.Write(in); err != nil {
					t.Fatal(err)
				}
				if _, err := ours.Read(); err != nil {
					t.Fatal(err)
				}
				n, err := ours.TryWrite(segments)
				if err != nil || n != size(segments) {
					t.Fatalf("%d bytes, %v", n, err)
				}
				if _, err := io.ReadFull(theirs, sink[:n]); err != nil {
					t.Fatal(err)
				}
			}
			for _, segments := range [][][]byte{one, many} {
				if n := testing.AllocsPerRun(200, func() { echo(segments) }); n >= 1 && !raceEnabled {
					t.Errorf("framing %d, %s: %v allocations", f, network, n)
				}
			}
			// A goroutine that is stopped until the deadline has passed does not wait.
			for wait := time.Millisecond; wait == time.Millisecond || ours.in.mem != nil && wait < time.Second; wait *= 4 {
				ours.SetReadDeadline(time.Now().Add(wait))
				if _, err := ours.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal(err)
				}
			}
			if ours.in.mem != nil {
				t.Errorf("framing %d, %s: %d bytes held while waiting", f, network, len(ours.in.mem))
			}
		}
	}
}
