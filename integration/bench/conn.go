package main

import (
	"errors"
	"net"
	"time"
)

// kind is what a frame is, as far as a load generator cares.
type kind uint8

const (
	kindOther   kind = iota // nothing to do with it
	kindJoined              // WELCOME; NATS's PONG, which follows what it confirms
	kindDone                // SUBSCRIBED, REGISTERED
	kindEvent               // EVENT; MSG
	kindInvoked             // INVOCATION; MSG with a reply subject
	kindResult              // RESULT; MSG
	kindPing                // wants an answer
	kindRefused             // ABORT, ERROR, GOODBYE, -ERR, a closing handshake: the end of the run
)

// frame is what the head of one frame says.
type frame struct {
	kind kind
	size int    // of all of it, in bytes
	id   uint64 // the first id: INVOCATION's, RESULT's
	data []byte // the body of a kindPing or kindRefused, the reply subject of a NATS message
}

// dialect is how one kind of server is spoken to, in one serializer.
type dialect interface {
	// handshake opens the session on a new connection.
	handshake(c *conn) error
	// head looks at the frame that b begins with. It is false if b is too short
	// to tell, or if the frame is one whose body matters and is not all there.
	head(b []byte) (frame, bool)
	// pong appends the answer to a kindPing.
	pong(dst []byte, f *frame) []byte
	// subscribe appends a request to dst; with last set, one that is answered
	// by one more frame of kind confirmed().
	subscribe(dst []byte, id int, topic topic, last bool) []byte
	register(dst []byte, id int, procedure string, last bool) []byte
	confirmations(requests int) (kind, int)
	// publications and calls make slabs of one message for each name.
	publications(topics []string, w payload) *slab
	calls(procedures []string, w payload, caller int) *slab
	// listen prepares a caller for the results of its calls.
	listen(c *conn, caller int) error
	// answerer makes a function that appends the answer to an invocation.
	answerer(w payload) func(dst []byte, f *frame) []byte
}

// payload is what messages carry.
type payload struct {
	size int
	form string // "passthru" or "transparency"
}

// topic is a topic or a pattern of topics.
type topic struct {
	uri, match string
}

// conn is a connection whose incoming frames are looked at, not copied: only
// their heads matter.
type conn struct {
	net.Conn
	dialect dialect
	buf     []byte
	lo, hi  int // what is unread in buf
	// idle, if set, is called before each read from the socket: when all that
	// has come was seen.
	idle func() error
}

// patience is how long a handshake or a confirmation may take.
const patience = 20 * time.Second

// dial connects and opens a session. The buffer is for reading.
func dial(d dialect, address string, buffer int) (*conn, error) {
	nc, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, dialect: d, buf: make([]byte, buffer)}
	_ = c.SetDeadline(time.Now().Add(patience))
	if err := d.handshake(c); err != nil {
		_ = c.Close()
		return nil, err
	}
	_ = c.SetDeadline(time.Time{})
	return c, nil
}

// next returns the next frame. Pings are answered, and refusals are errors.
// f.data is valid until the next call.
func (c *conn) next() (frame, error) {
	for {
		f, ok := frame{}, false
		if c.lo < c.hi {
			f, ok = c.dialect.head(c.buf[c.lo:c.hi])
		}
		if !ok {
			if err := c.fill(); err != nil {
				return f, err
			}
			continue
		}
		if err := c.skip(&f); err != nil {
			return f, err
		}
		switch f.kind {
		case kindPing:
			if _, err := c.Write(c.dialect.pong(nil, &f)); err != nil {
				return f, err
			}
		case kindRefused:
			return f, errors.New("refused: " + printable(f.data))
		default:
			return f, nil
		}
	}
}

// fill reads more behind what is there.
func (c *conn) fill() error {
	if c.idle != nil {
		if err := c.idle(); err != nil {
			return err
		}
	}
	if c.lo > 0 {
		c.hi = copy(c.buf, c.buf[c.lo:c.hi])
		c.lo = 0
	}
	if c.hi == len(c.buf) {
		return errors.New("a frame does not fit into the buffer")
	}
	n, err := c.Read(c.buf[c.hi:])
	c.hi += n
	if n > 0 {
		return nil
	}
	return err
}

// skip goes behind the frame, of which only a part may have come yet.
func (c *conn) skip(f *frame) error {
	if f.size <= c.hi-c.lo {
		c.lo += f.size
		return nil
	}
	if len(f.data) > 0 {
		f.data = append([]byte(nil), f.data...)
	}
	rest := f.size - (c.hi - c.lo)
	c.lo, c.hi = 0, 0
	for rest > 0 {
		if c.idle != nil {
			if err := c.idle(); err != nil {
				return err
			}
		}
		n, err := c.Read(c.buf)
		if n == 0 && err != nil {
			return err
		}
		if n > rest {
			c.lo, c.hi = rest, n
		}
		rest -= n
	}
	return nil
}

// await reads until n frames of a kind have come.
func (c *conn) await(k kind, n int) error {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	for n > 0 {
		f, err := c.next()
		if err != nil {
			return err
		}
		if f.kind == k {
			n--
		}
	}
	return nil
}

// request sends n requests, which append makes, and waits until all are confirmed.
func (c *conn) request(n int, add func(dst []byte, i int, last bool) []byte) error {
	const atOnce = 500 // so that neither side's socket buffers fill up
	for from := 0; from < n; from += atOnce {
		to := min(n, from+atOnce)
		var b []byte
		for i := from; i < to; i++ {
			b = add(b, i, i == to-1)
		}
		if _, err := c.Write(b); err != nil {
			return err
		}
		if err := c.await(c.dialect.confirmations(to - from)); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) subscribe(topics ...topic) error {
	return c.request(len(topics), func(dst []byte, i int, last bool) []byte {
		return c.dialect.subscribe(dst, i+1, topics[i], last)
	})
}

func (c *conn) register(procedures ...string) error {
	return c.request(len(procedures), func(dst []byte, i int, last bool) []byte {
		return c.dialect.register(dst, i+1, procedures[i], last)
	})
}

// drain reads until the connection ends, for connections that are only written
// to, or that just have to stay.
func (c *conn) drain() error {
	for {
		if _, err := c.next(); err != nil {
			return err
		}
	}
}

func printable(b []byte) string {
	out := make([]byte, 0, len(b))
	for _, c := range b[:min(len(b), 200)] {
		if c < ' ' || c > '~' {
			c = '.'
		}
		out = append(out, c)
	}
	return string(out)
}
