// Package transport carries whole WAMP messages over WebSocket, RawSocket (TCP,
// Unix sockets, TLS) and memory. It knows frames, limits and sockets, and
// nothing of what a message says.
package transport

import (
	"crypto/tls"
	"errors"
	"net/http"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Op is what a frame is for.
type Op uint8

// The frames that a Conn hands up and takes down.
const (
	OpMessage Op = iota // one WAMP message
	OpPing              // asks for an OpPong with the same body
	OpPong
	OpClose // WebSocket's closing handshake; RawSocket has none
)

// Frame is one frame as read from a Conn.
type Frame struct {
	Op   Op
	Body []byte
}

// Conn is a connection after its transport handshake: it carries the messages
// of one serializer, both ways.
//
// Read, Buffered and Poll belong to one goroutine; TryWrite and Write to one at a
// time; the rest may be called concurrently with everything.
type Conn interface {
	// Info describes the connection. It does not change.
	Info() *Info
	// Framing returns how frames of this connection are built. Two connections
	// with the same Framing can share the bytes of one frame.
	Framing() Framing

	// Read waits for the next frame and returns it whole. The body is valid
	// until the next Read. A timeout set with SetReadDeadline shows as an
	// error for which errors.Is(err, os.ErrDeadlineExceeded); reading can go on
	// after it with nothing lost. A peer that breaks the transport's rules
	// shows as a *ProtocolError. io.EOF is an orderly end.
	Read() (Frame, error)
	// Buffered reports whether a whole frame, or the proof of a broken one, has
	// arrived already, so that the next Read will not wait.
	Buffered() bool
	// Poll takes in what has arrived meanwhile, without waiting, and reports what
	// Buffered then does. Like Read, it ends the validity of the body before.
	// Connections that can't read without waiting (TLS) have nothing more.
	Poll() bool
	SetReadDeadline(t time.Time) error
	// SetReadLimit sets the size of the largest message that Read accepts, in
	// bytes. It can't be raised over the limit that the connection was made
	// with (Limits.MaxMessage); 0 stands for that one. A connection that a
	// Server hands over starts with Limits.MaxFirst. It belongs to the
	// goroutine that reads.
	SetReadLimit(bytes int)

	// TryWrite writes as many of the bytes of segments, in order, as the
	// connection takes without waiting, and returns their number. It never
	// blocks. On connections that can't write without waiting (TLS) it
	// returns 0, nil. segments are only read.
	TryWrite(segments [][]byte) (int, error)
	// Write writes all segments, waiting as long as the peer takes some of it
	// at least every stall, and returns how many bytes were written. segments
	// are only read.
	Write(segments [][]byte, stall time.Duration) (int, error)

	// CloseWrite ends the sending direction after all that was written: the
	// peer reads it, and then the end. It counts as a write.
	CloseWrite() error
	// Linger reads and throws away what still arrives, until the peer has ended
	// its side too, limit has passed, or 32 MiB came. Closing a socket with
	// something unread in it would make the kernel throw away what the peer has
	// not read yet (RFC 1122, section 4.2.2.13); so this comes between the last
	// message and Close. It counts as a Read.
	Linger(limit time.Duration)
	// Close closes the connection at once and makes Read and Write return.
	// It may be called more than once.
	Close() error
}

// Info is what is known of a connection from its handshake.
type Info struct {
	Transport string // "websocket", "rawsocket" or "memory"
	Network   string // "tcp", "tls", "unix" or "memory"
	// Address is the peer's, for logs and rates: of a proxy's client where the
	// proxy is one of ListenOptions.Proxies.
	Address string
	// Since is when the connection was accepted; zero for one that wasn't.
	Since      time.Time
	Serializer wamp.Serializer
	// MaxSend is the largest message the peer accepts, in bytes; 0 is no limit.
	MaxSend int
	// TLS is the connection's state, or nil without TLS.
	TLS *tls.ConnectionState
	// Header is what authentication goes by of the HTTP request header of a
	// WebSocket handshake, or nil.
	Header http.Header
	// Origin of a browser's WebSocket handshake, or "".
	Origin string
}

// ProtocolError says that the peer broke the rules of its transport.
type ProtocolError struct {
	// Text names what was wrong, and never repeats what the peer sent.
	Text string
	// CloseCode is the WebSocket status code that answers it (RFC 6455,
	// section 7.4.1), or 0 on other transports.
	CloseCode uint16
	// TooBig is set if the frame was over the limit on messages.
	TooBig bool
}

func (e *ProtocolError) Error() string { return "transport: " + e.Text }

// ErrClosed is what a Conn returns after its own Close.
var ErrClosed = errors.New("transport: connection closed")
