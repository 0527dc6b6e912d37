package adapter

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// Client is one connection. Read, Body and Envelope belong to one goroutine, Send, SendFrame,
// Flush and Close to another one; the rest may be called concurrently with everything.
// Both goroutines must go on until Read has returned an error and Close has returned.
type Client struct {
	// Peer is who the client is. It must be complete before Welcome is called, and not
	// change afterwards.
	Peer wamp.Peer

	adapter *Adapter
	conn    transport.Conn
	out     sendqueue.Queue

	welcomed atomic.Bool
	ending   atomic.Bool // the client has been told the end: nothing else goes out
	ended    atomic.Pointer[ended]
	behind   atomic.Pointer[Client] // a receiver of what this client sent, to be waited for

	// Of the goroutine that reads.
	decoder  *codec.Decoder
	body     []byte    // of the message that was read last
	deadline time.Time // for a session, or for a sign of life; zero: none is set
	lifted   bool      // the limits of the handshake
	heard    bool      // since the deadline was set
	pinged   bool
	reading  chan struct{} // closed when Read has returned an error

	// Of the goroutine that sends.
	buffer  []byte
	scratch sendqueue.Scratch
}

// ended is how a session ended, and why, if it was refused.
type ended struct {
	how     router.End
	refusal *wamp.Refusal
}

// Client returns the client of a connection, which is the Client's from now on.
func (a *Adapter) Client(conn transport.Conn) *Client {
	info := conn.Info()
	c := &Client{
		Peer:    wamp.Peer{Serializer: info.Serializer, Transport: info.Transport, Address: info.Address, MaxMessage: info.MaxSend},
		adapter: a, conn: conn, decoder: codec.NewDecoder(), reading: make(chan struct{}),
	}
	c.decoder.Bound(a.options.Limits.Nesting, a.options.Limits.Elements)
	c.out.Conn, c.out.OnStall = conn, func() { c.disconnect(router.WriteTimedOut) }
	c.out.SetLimits(&a.queue)
	start := info.Since
	if start.IsZero() {
		start = time.Now()
	}
	c.deadline = start.Add(a.options.Limits.Hello)
	_ = conn.SetReadDeadline(c.deadline)
	conn.SetReadLimit(a.options.Limits.FirstMessage)
	return c
}

// Info describes the connection.
func (c *Client) Info() *transport.Info { return c.conn.Info() }

// Framing returns how frames for the client are built: see Frame.
func (c *Client) Framing() transport.Framing { return c.conn.Framing() }

// Welcome notes that the client has a session, before it is told.
func (c *Client) Welcome() {
	c.welcomed.Store(true)
	c.adapter.Observe(router.Observation{Kind: router.SessionOpened, Realm: c.Peer.Realm, Peer: &c.Peer})
}

// Welcomed reports whether the client has a session.
func (c *Client) Welcomed() bool { return c.welcomed.Load() }

// errEnded is what Read returns once the client has been told the end.
var errEnded = errors.New("adapter: the session has ended")

// Read returns the next message. It is valid until the next Read. Frames of the
// transport are answered, and what breaks the protocol ends the session: an error is the
// end of reading, and the client has been told why, if it is to know.
func (c *Client) Read() (wamp.Message, error) {
	m, err := c.read()
	if err != nil {
		close(c.reading)
	}
	return m, err
}

func (c *Client) read() (wamp.Message, error) {
	for {
		if c.ending.Load() {
			return nil, errEnded
		}
		c.awaitReceiver()
		if !c.lifted && c.welcomed.Load() {
			c.lifted = true
			c.conn.SetReadLimit(c.adapter.options.Limits.Message)
			c.rearm(c.adapter.options.Limits.PingEvery)
		}
		frame, err := c.conn.Read()
		if c.ending.Load() {
			return nil, errEnded
		}
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) && c.silent() {
				continue
			}
			return nil, c.broken(err)
		}
		c.heard = true
		if c.pinged {
			c.pinged = false
			c.rearm(c.adapter.options.Limits.PingEvery)
		}
		switch frame.Op {
		case transport.OpPing:
			c.control(transport.OpPong, frame.Body)
		case transport.OpClose:
			c.control(transport.OpClose, frame.Body)
			c.ended.CompareAndSwap(nil, &ended{how: router.EndConnectionLost})
			c.ending.Store(true)
			return nil, io.EOF
		case transport.OpMessage:
			c.body = frame.Body
			m, err := c.decoder.Decode(c.Peer.Serializer, frame.Body)
			if err != nil {
				return nil, c.Violation(&wamp.RoutedMessage{From: &c.Peer}, inconvertible(err))
			}
			switch m.(type) {
			case *wamp.Goodbye, *wamp.Abort:
				c.ended.CompareAndSwap(nil, &ended{how: router.EndGoodbye})
			}
			return m, nil
		}
	}
}

// Ends notes how the router ends the session, before the client is told: a refusal, if
// how is router.EndRefused, says why. What ended it first counts.
func (c *Client) Ends(how router.End, r *wamp.Refusal) {
	if !c.welcomed.Load() && r != nil {
		c.Refused(nil, r)
	}
	c.ended.CompareAndSwap(nil, &ended{how, r})
}

// Body returns the encoded message that Read returned last. It is valid until the next
// Read.
func (c *Client) Body() []byte { return c.body }

// Envelope appends the message that Read returned last, without its payload, to dst.
// See codec.Decoder.
func (c *Client) Envelope(dst []byte) []byte { return c.decoder.AppendEnvelope(dst) }

// rearm sets the deadline for the next frame.
func (c *Client) rearm(wait time.Duration) {
	c.heard, c.deadline = false, time.Time{}
	if wait > 0 {
		c.deadline = time.Now().Add(wait)
	}
	_ = c.conn.SetReadDeadline(c.deadline)
	if c.ending.Load() { // disconnect has set another one meanwhile
		_ = c.conn.SetReadDeadline(past)
	}
}

// past makes a Read return.
var past = time.Unix(1, 0)

// silent deals with the end of a deadline, and reports whether to go on reading. The
// deadline is not moved for each message, so a session is pinged after one to two times
// Limits.PingEvery of silence.
func (c *Client) silent() bool {
	limits := &c.adapter.options.Limits
	switch {
	case !c.lifted:
		return c.welcomed.Load()
	case c.heard:
		c.rearm(limits.PingEvery)
	case !c.pinged:
		c.pinged = true
		c.control(transport.OpPing, nil)
		c.rearm(limits.PingTimeout)
	default:
		return false
	}
	return true
}

// broken ends a session whose connection can't be read any more.
func (c *Client) broken(err error) error {
	var protocol *transport.ProtocolError
	switch {
	case errors.As(err, &protocol):
		r := router.BrokenFrame(protocol, c.welcomed.Load())
		c.Refused(&wamp.RoutedMessage{From: &c.Peer}, r)
		c.ended.CompareAndSwap(nil, &ended{router.EndRefused, r})
		c.ending.Store(true)
		if protocol.CloseCode != 0 {
			c.control(transport.OpClose, transport.CloseBody(protocol.CloseCode, protocol.Text))
		}
		c.out.Abort(new(sendqueue.Scratch))
	case errors.Is(err, os.ErrDeadlineExceeded) && !c.welcomed.Load():
		return c.Violation(nil, router.HelloTimedOut)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return c.Violation(&wamp.RoutedMessage{From: &c.Peer}, router.PingTimedOut)
	default:
		c.ended.CompareAndSwap(nil, &ended{how: router.EndConnectionLost})
		c.ending.Store(true)
		c.out.Close()
	}
	return err
}

// Violation ends the session for what the client did, which t was about: it is counted,
// and told by ABORT (WAMP, "Protocol Violations"). It returns r, as an error.
func (c *Client) Violation(t *wamp.RoutedMessage, r *wamp.Refusal) error {
	c.Refused(t, r)
	if c.ending.Swap(true) {
		return r
	}
	c.ended.CompareAndSwap(nil, &ended{router.EndRefused, r})
	if frame, _, refusal := Frame(nil, abortFor(r), c.Peer.Serializer, c.conn.Framing()); refusal == nil {
		c.out.PutLast(frame)
	}
	c.closeFrame()
	c.out.Abort(new(sendqueue.Scratch))
	return r
}

// Refused tells the observers that a message of the client was refused.
func (c *Client) Refused(t *wamp.RoutedMessage, r *wamp.Refusal) {
	o := router.Observation{Kind: router.Refused, Realm: c.Peer.Realm, Peer: &c.Peer, Routed: t, Refusal: r}
	if !c.welcomed.Load() {
		o = router.Observation{Kind: router.Rejected, Refusal: r, Connection: c.conn.Info()}
	}
	c.adapter.Observe(o)
}

// Send sends m, which answers or delivers what another client has sent, if from is not
// nil. A refusal says why the client can't have it.
func (c *Client) Send(m wamp.Message, from *Client) *wamp.Refusal {
	frame, size, r := Frame(c.buffer[:0], m, c.Peer.Serializer, c.conn.Framing())
	if r != nil {
		return r
	}
	if cap(frame) <= maxBuffer {
		c.buffer = frame
	}
	return c.SendFrame(frame, size, nil, from)
}

// maxBuffer is how much room for a frame a Client keeps.
const maxBuffer = 16 << 10

// SendFrame is Send for a message of so many bytes that is a frame already, such as one
// that several receivers get: see Frame. If of is not nil, the frame lies in it.
func (c *Client) SendFrame(frame []byte, size int, of *sendqueue.Chunk, from *Client) *wamp.Refusal {
	if c.ending.Load() {
		return nil
	}
	if c.Peer.MaxMessage > 0 && size > c.Peer.MaxMessage {
		return router.MessageTooLarge
	}
	switch put := c.out.Put(frame, of); {
	case put == sendqueue.PutFull, put == sendqueue.PutOverHalf && c.out.Len() > 2*c.adapter.queue.Bytes:
		// Senders that are no Clients don't wait, so there is an end to patience in bytes, too.
		c.disconnect(router.QueueFull)
	case put == sendqueue.PutOverHalf && from != nil && from != c:
		from.behind.Store(c)
	}
	return nil
}

// Flush writes what was sent, as far as the connection takes it without waiting.
// Something else writes the rest.
func (c *Client) Flush() { c.out.Flush(&c.scratch) }

// awaitReceiver lets a client that sends wait for a receiver that is behind.
func (c *Client) awaitReceiver() {
	to := c.behind.Load()
	if to == nil {
		return
	}
	c.behind.Store(nil)
	if begin := time.Now(); to.out.Behind() {
		c.adapter.Observe(router.Observation{Kind: router.Slowed, Realm: to.Peer.Realm, Peer: &to.Peer,
			Routed: &wamp.RoutedMessage{From: &c.Peer}, Refusal: router.SenderWaits})
		to.out.AwaitRoom(begin, begin.Add(c.adapter.queue.BackpressureTimeout))
	}
}

// disconnect ends the session of a client that does not read: ABORT is all that it can
// still get.
func (c *Client) disconnect(why *wamp.Refusal) {
	if c.ending.Swap(true) {
		return
	}
	c.ended.CompareAndSwap(nil, &ended{router.EndRefused, why})
	c.adapter.Observe(router.Observation{Kind: router.Dropped, Realm: c.Peer.Realm, Peer: &c.Peer, Refusal: why})
	if frame, _, refusal := Frame(nil, abortFor(why), c.Peer.Serializer, c.conn.Framing()); refusal == nil {
		c.out.Cut(c.conn.Framing().AppendFrame(frame, transport.OpClose, closeNormal))
	}
	_ = c.conn.SetReadDeadline(past)
}

// Close ends the session once what was sent is out: the connection's end in the way of
// its transport. It returns when the connection is closed, at most Limits.CloseTimeout
// after Read has returned an error.
func (c *Client) Close() {
	if !c.ending.Swap(true) {
		c.closeFrame()
	}
	c.Flush()
	c.out.Abort(&c.scratch)          // or what is unread would take what was sent with it
	_ = c.conn.SetReadDeadline(past) // Read returns: see rearm
	<-c.reading
	_ = c.conn.SetReadDeadline(time.Time{})
	if c.welcomed.Load() {
		c.Ends(router.EndShutdown, nil) // if nothing else did
		end := c.ended.Load()
		c.adapter.Observe(router.Observation{Kind: router.SessionClosed, Realm: c.Peer.Realm, Peer: &c.Peer, End: end.how, Refusal: end.refusal})
	}
	c.out.Linger(c.adapter.queue.CloseTimeout)
}

// closeNormal ends a WebSocket connection whose session has ended (RFC 6455, section
// 7.4.1). RawSocket has no such frame.
var closeNormal = transport.CloseBody(1000, "")

func (c *Client) closeFrame() { c.control(transport.OpClose, closeNormal) }

// control sends a frame of the transport, if that has it.
func (c *Client) control(op transport.Op, body []byte) {
	frame := c.conn.Framing().AppendFrame(nil, op, body)
	if len(frame) > 0 && c.out.PutControl(frame) == sendqueue.PutNeedsFlush {
		c.out.Flush(new(sendqueue.Scratch))
	}
}

func abortFor(r *wamp.Refusal) *wamp.Abort {
	return &wamp.Abort{Reason: r.URI, Details: wamp.Closing{Message: r.Text}}
}
