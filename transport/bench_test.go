package transport

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// BenchmarkIdle tells what a connection costs that waits for a message, in
// bytes of memory that the process holds. The peers are raw sockets of the same
// process: what they cost is measured first, and taken off.
func BenchmarkIdle(b *testing.B) {
	const n = 8000
	for _, kind := range []string{"rawsocket", "websocket"} {
		b.Run(kind, func(b *testing.B) {
			for range b.N {
				ready := make(chan struct{}, n)
				s := &Server{Handle: handing(func(c Conn) {
					ready <- struct{}{}
					c.Read()
				})}
				opening, answer := "\x7f\xf1\x00\x00", 4
				if kind == "websocket" {
					opening, answer = request("/ws", offerJSON), 12
				}
				address := serve(b, s, ListenOptions{})
				peers := make([]net.Conn, n)
				var before uint64
				for i := range peers {
					if i == n/2 {
						before = resident(b)
					}
					peers[i] = dialNet(b, address)
					peers[i].Write([]byte(opening))
					peers[i].Read(make([]byte, answer))
					<-ready
				}
				b.ReportMetric(float64(resident(b)-before)/(n/2), "B/conn(both-ends)")
				for _, p := range peers {
					p.Close()
				}
				s.Close()
			}
		})
	}
}

// resident is how much memory of the process is in use, after a collection.
func resident(b *testing.B) uint64 {
	runtime.GC()
	runtime.GC()
	debug.FreeOSMemory()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	var kb uint64
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			fmt.Sscan(rest, &kb)
		}
	}
	return kb << 10
}

// BenchmarkRead is the way of a message from the read buffer to the session.
func BenchmarkRead(b *testing.B) {
	for _, f := range []Framing{FramingRaw, FramingMaskedText, FramingMaskedBinary} {
		for _, n := range []int{64, 1024} {
			b.Run(fmt.Sprintf("framing%d/%dB", f, n), func(b *testing.B) {
				frame := f.AppendFrame(nil, OpMessage, bytes.Repeat([]byte("x"), n))
				c := play(f, 1<<20)
				c.stream = &again{bytes.Repeat(frame, 60000/len(frame))}
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c.Read(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// again is a stream of the same frames over and over.
type again struct{ frames []byte }

func (s *again) poll(*buffer) {}
func (s *again) fill(b *buffer, want int) error {
	b.class = startClasses - 1
	b.advanceAndResize(copy(b.space(want), s.frames))
	return nil
}

func (s *again) tryWrite([][]byte) (int, error)             { return 0, nil }
func (s *again) write([][]byte, time.Duration) (int, error) { return 0, nil }
func (s *again) setReadDeadline(time.Time) error            { return nil }
func (s *again) close() error                               { return nil }
func (s *again) closeWrite() error                          { return nil }

// BenchmarkEcho is a message to a server and back, one at a time.
func BenchmarkEcho(b *testing.B) {
	s := &Server{Handle: echo}
	address := serve(b, s, ListenOptions{})
	for _, scheme := range []string{"rs", "ws"} {
		b.Run(scheme, func(b *testing.B) {
			c := dial(b, scheme+"://"+address, DialOptions{})
			frame := c.Framing().AppendFrame(nil, OpMessage, make([]byte, 64))
			segments := [][]byte{frame}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.TryWrite(segments); err != nil {
					b.Fatal(err)
				}
				if _, err := c.Read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStream is how many messages a server takes from one connection that
// writes batches.
func BenchmarkStream(b *testing.B) {
	for _, scheme := range []string{"rs", "ws"} {
		for _, n := range []int{64, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%dB", scheme, n), func(b *testing.B) {
				ended := make(chan int, 1)
				s := &Server{Handle: handing(func(c Conn) {
					count := 0
					c.SetReadLimit(0)
					for {
						if _, err := c.Read(); err != nil {
							ended <- count
							return
						}
						count++
					}
				})}
				c := dial(b, scheme+"://"+serve(b, s, ListenOptions{}), DialOptions{})
				frame := c.Framing().AppendFrame(nil, OpMessage, bytes.Repeat([]byte("x"), n))
				batch := max(1, 60000/len(frame))
				segments := [][]byte{bytes.Repeat(frame, batch)}
				b.SetBytes(int64(n * batch))
				b.ReportAllocs()
				sent := 0
				for b.Loop() {
					if _, err := c.Write(segments, patience); err != nil {
						b.Fatal(err)
					}
					sent += batch
				}
				c.Close()
				if got := <-ended; got != sent {
					b.Fatalf("%d of %d messages arrived", got, sent)
				}
			})
		}
	}
}
