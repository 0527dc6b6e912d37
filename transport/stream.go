package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// stream carries the bytes of frames: a socket, TLS over a socket, or one end of a Pipe.
// Conn says which methods may be called concurrently.
type stream interface {
	// fill waits for bytes and puts them into b, at least one. want is the size
	// of the frame at the start of b, or 0. While it waits with an empty b, b
	// holds no memory.
	fill(b *buffer, want int) error
	// poll puts bytes that have arrived into b, without waiting. An error is returned
	// by the next fill. A stream that may have to wait (TLS) does nothing.
	poll(b *buffer)
	tryWrite(segments [][]byte) (int, error)
	write(segments [][]byte, stall time.Duration) (int, error)
	setReadDeadline(t time.Time) error
	closeWrite() error
	close() error
}

// frameReader finds the frames in a stream of bytes.
type frameReader interface {
	// next takes the frame at the start of b. n is how many bytes of b it took. ok
	// reports whether they completed a frame to return. If n is 0, more bytes are
	// needed: want in all, or 0 if that is not known yet.
	next(b []byte, limit int) (f Frame, ok bool, n, want int, err *ProtocolError)
	// ready reports whether next would come to a frame or an error with what
	// is in b.
	ready(b []byte, limit int) bool
	// release frees the memory of the frame that was returned last.
	release()
}

// conn is a Conn over a stream.
type conn struct {
	info     Info
	stream   stream
	frames   frameReader
	in       buffer
	err      error // what every Read from now on returns
	ended    bool  // the peer has ended its side
	limit    int   // on the size of messages
	maxLimit int   // what limit can be raised to
	framing  Framing
	slot     *connSlot // in the server that it came from; nil: it came from none
}

func (c *conn) Info() *Info      { return &c.info }
func (c *conn) Framing() Framing { return c.framing }

func (c *conn) SetReadLimit(bytes int) {
	if bytes <= 0 || bytes > c.maxLimit {
		bytes = c.maxLimit
	}
	c.limit = bytes
}

func (c *conn) SetReadDeadline(t time.Time) error { return closedError(c.stream.setReadDeadline(t)) }

func (c *conn) Read() (Frame, error) {
	if c.err != nil {
		return Frame{}, c.err
	}
	c.frames.release()
	for {
		f, ok, n, want, perr := c.frames.next(c.in.bytes(), c.limit)
		c.in.take(n)
		switch {
		case perr != nil:
			return Frame{}, c.fail(perr)
		case ok:
			if f.Op == OpClose {
				// Nothing may follow it (RFC 6455, section 5.5.1). The body
				// stays where it is until the next Read fails.
				c.err = io.EOF
			}
			return f, nil
		case n > 0:
			continue
		}
		if err := c.stream.fill(&c.in, want); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return Frame{}, os.ErrDeadlineExceeded
			}
			c.ended = err == io.EOF
			if err == io.EOF && len(c.in.bytes()) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return Frame{}, c.fail(closedError(err))
		}
	}
}

// fail makes every later Read return err.
func (c *conn) fail(err error) error {
	c.err = err
	c.frames.release()
	c.in.release()
	return err
}

func (c *conn) Buffered() bool {
	if c.err != nil {
		return true
	}
	b := c.in.bytes()
	return len(b) > 0 && c.frames.ready(b, c.limit)
}

func (c *conn) Poll() bool {
	if c.Buffered() {
		return true
	}
	c.stream.poll(&c.in)
	return c.Buffered()
}

func (c *conn) TryWrite(segments [][]byte) (int, error) {
	n, err := c.stream.tryWrite(segments)
	if err != nil {
		err = closedError(err)
	}
	return n, err
}

func (c *conn) Write(segments [][]byte, stall time.Duration) (int, error) {
	n, err := c.stream.write(segments, stall)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, os.ErrDeadlineExceeded
	}
	return n, closedError(err)
}

func (c *conn) CloseWrite() error { return closedError(c.stream.closeWrite()) }

func (c *conn) Linger(limit time.Duration) {
	c.frames.release()
	c.in.release()
	if c.err != nil && (errors.Is(c.err, ErrClosed) || c.err == io.EOF && c.ended) {
		return
	}
	c.err = ErrClosed
	linger(c.stream, &c.in, limit)
}

// maxLinger is how many bytes are read and discarded: as many as a peer may have in
// flight when it learns that the connection ends.
const maxLinger = 2 * maxMessage

func linger(s stream, in *buffer, limit time.Duration) {
	defer in.release()
	if s.setReadDeadline(time.Now().Add(limit)) != nil {
		return
	}
	for n := 0; n < maxLinger && s.fill(in, 0) == nil; {
		n += len(in.bytes())
		in.take(len(in.bytes()))
	}
}

func (c *conn) Close() error {
	err := c.stream.close()
	c.slot.release()
	return err
}

func closedError(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return ErrClosed
	}
	return err
}

// size returns the number of bytes in segments.
func size(segments [][]byte) int {
	n := 0
	for _, s := range segments {
		n += len(s)
	}
	return n
}
