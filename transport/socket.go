//go:build linux

package transport

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// newStream returns the stream over c: directly on the descriptor if c is a
// plain socket, through c otherwise.
func newStream(c net.Conn) stream {
	switch sc := c.(type) {
	case *net.TCPConn:
		return newSocket(c, sc)
	case *net.UnixConn:
		return newSocket(c, sc)
	}
	return &netStream{conn: c}
}

// socket reads and writes a socket's descriptor, where the runtime's poller
// waits for it. That way it holds no buffer while it waits, and can write
// without waiting.
type socket struct {
	conn net.Conn
	raw  syscall.RawConn

	// The state of the callbacks for raw. They are created once, so that a call
	// allocates nothing.
	onRead, onWrite func(fd uintptr) bool

	in      *buffer
	want    int
	polls   bool // reads bytes that have arrived, without waiting
	readErr error
	pollErr error // of a poll; the next fill returns it

	segments [][]byte
	skip     int // of the first segment, what has been written
	written  int
	wait     bool
	writeErr error
}

func newSocket(c net.Conn, sc syscall.Conn) stream {
	raw, err := sc.SyscallConn()
	if err != nil {
		return &netStream{conn: c}
	}
	s := &socket{conn: c, raw: raw}
	s.onRead, s.onWrite = s.readable, s.writable
	return s
}

func (s *socket) fill(b *buffer, want int) error {
	if err := s.pollErr; err != nil {
		s.pollErr = nil
		return err
	}
	s.in, s.want, s.readErr = b, want, nil
	err := s.raw.Read(s.onRead)
	s.in = nil
	if err == nil {
		err = s.readErr
	}
	return err
}

func (s *socket) poll(b *buffer) {
	s.in, s.want, s.readErr, s.polls = b, 0, nil, true
	if s.raw.Read(s.onRead) == nil {
		s.pollErr = s.readErr
	}
	s.in, s.polls = nil, false
}

// readable reads once. It returns false to wait for more.
func (s *socket) readable(fd uintptr) bool {
	b := s.in
	p := b.space(s.want)
	for {
		n, err := syscall.Read(int(fd), p)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			if b.r == b.w {
				b.release()
			}
			return s.polls
		case err != nil:
			s.readErr = os.NewSyscallError("read", err)
		case n == 0:
			s.readErr = io.EOF
		case s.polls:
			b.advance(n)
		default:
			b.advanceAndResize(n)
		}
		return true
	}
}

func (s *socket) tryWrite(segments [][]byte) (int, error) {
	s.segments, s.skip, s.wait = segments, 0, false
	n, err := s.send()
	s.segments = nil
	return n, err
}

func (s *socket) write(segments [][]byte, stall time.Duration) (int, error) {
	total := size(segments)
	s.segments, s.skip, s.wait = segments, 0, false
	written, err := s.send()
	if err == nil && written < total {
		s.wait = true
		for err == nil && written < total {
			// Each wait has its own deadline: only a peer that takes nothing
			// at all reaches it.
			var n int
			if err = s.conn.SetWriteDeadline(time.Now().Add(stall)); err == nil {
				n, err = s.send()
				written += n
			}
		}
		if e := s.conn.SetWriteDeadline(time.Time{}); err == nil {
			err = e
		}
	}
	s.segments = nil
	return written, err
}

func (s *socket) send() (int, error) {
	s.written, s.writeErr = 0, nil
	err := s.raw.Write(s.onWrite)
	if err == nil {
		err = s.writeErr
	}
	return s.written, err
}

// writable writes as much as the socket takes. It returns false to wait until
// it takes some.
func (s *socket) writable(fd uintptr) bool {
	for len(s.segments) > 0 {
		n, tried, err := writev(int(fd), s.segments, s.skip)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			return s.written > 0 || !s.wait
		case err != nil:
			s.writeErr = os.NewSyscallError("write", err)
			return true
		}
		s.written += n
		s.advance(n)
		if n < tried {
			return true
		}
	}
	return true
}

// advance skips n bytes, and the empty segments behind them.
func (s *socket) advance(n int) {
	n += s.skip
	for len(s.segments) > 0 && n >= len(s.segments[0]) {
		n -= len(s.segments[0])
		s.segments = s.segments[1:]
	}
	s.skip = n
}

func (s *socket) setReadDeadline(t time.Time) error { return s.conn.SetReadDeadline(t) }
func (s *socket) close() error                      { return s.conn.Close() }

func (s *socket) closeWrite() error {
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return s.conn.Close()
}

type iovecs [256]unix.Iovec

var iovecPool = sync.Pool{New: func() any { return new(iovecs) }}

// writev writes the segments, without the first skip bytes of the first, in one
// system call. tried is how many bytes it attempted.
func writev(fd int, segments [][]byte, skip int) (n, tried int, err error) {
	if len(segments) == 1 {
		p := segments[0][skip:]
		n, err = syscall.Write(fd, p)
		return max(n, 0), len(p), err
	}
	v := iovecPool.Get().(*iovecs)
	k := 0
	for _, p := range segments {
		p = p[skip:]
		skip = 0
		if len(p) == 0 {
			continue
		}
		v[k].Base = &p[0]
		v[k].SetLen(len(p))
		tried += len(p)
		if k++; k == len(v) {
			break
		}
	}
	if k > 0 {
		r, _, errno := syscall.Syscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(v)), uintptr(k))
		if errno != 0 {
			err = errno
		} else {
			n = int(r)
		}
	}
	clear(v[:k])
	iovecPool.Put(v)
	return n, tried, err
}
