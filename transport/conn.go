// Package transport carries whole WAMP messages over WebSocket, RawSocket (TCP,
// Unix sockets, TLS) and memory. It handles frames, limits and sockets, and does not
// look into messages.
package transport

import (
	"crypto/tls"
	"errors"
	"net/http"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Op is the kind of a frame.
type Op uint8

// The kinds of frames that a Conn reads and writes.
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
	// error for which errors.Is(err, os.ErrDeadlineExceeded). Reading can continue
	// after it, and nothing is lost. If the peer breaks the transport's rules, the
	// error is a *ProtocolError. io.EOF is an orderly end.
	Read() (Frame, error)
	// Buffered reports whether a whole frame, or the proof of a broken one, has
	// arrived already, so that the next Read will not wait.
	Buffered() bool
	// Poll reads bytes that have arrived, without waiting, and returns the new result
	// of Buffered. Like Read, it ends the validity of the last body. Connections that
	// cannot read without waiting (TLS) read nothing.
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
	// Linger reads and discards bytes until the peer has ended its side too, limit has
	// passed, or 32 MiB have arrived. If a socket with unread bytes is closed, the
	// kernel discards bytes that the peer has not read yet (RFC 1122, section
	// 4.2.2.13). So call Linger between the last message and Close. It counts as a Read.
	Linger(limit time.Duration)
	// Close closes the connection at once and makes Read and Write return.
	// It may be called more than once.
	Close() error
}

// Info describes a connection after its handshake.
type Info struct {
	Transport string // "websocket", "rawsocket" or "memory"
	Network   string // "tcp", "tls", "unix" or "memory"
	// Address is the peer's, for logs and rates. Behind one of ListenOptions.Proxies it
	// is the address of the proxy's client.
	Address string
	// Since is when the connection was accepted; zero for one that wasn't.
	Since      time.Time
	Serializer wamp.Serializer
	// MaxSend is the largest message the peer accepts, in bytes; 0 is no limit.
	MaxSend int
	// TLS is the connection's state, or nil without TLS.
	TLS *tls.ConnectionState
	// Header has the fields of the HTTP request of a WebSocket handshake that
	// authentication needs, or is nil.
	Header http.Header
	// Origin of a browser's WebSocket handshake, or "".
	Origin string
}

// ProtocolError means that the peer broke the rules of its transport.
type ProtocolError struct {
	// Text describes the error, and never repeats what the peer sent.
	Text string
	// CloseCode is the WebSocket status code that answers it (RFC 6455,
	// section 7.4.1), or 0 on other transports.
	CloseCode uint16
	// TooBig is set if the frame was over the limit on messages.
	TooBig bool
}

func (e *ProtocolError) Error() string { return "transport: " + e.Text }

// ErrClosed is the error of a Conn after its own Close.
var ErrClosed = errors.New("transport: connection closed")
