package transport

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Limits bounds what a connection may cost.
type Limits struct {
	// MaxMessage is the size of the largest message accepted, in bytes, from
	// 512 to 16 MiB. 0 stands for 1 MiB.
	MaxMessage int
	// MaxFirst is the same for the messages before Conn.SetReadLimit raises
	// it, which is when the peer is known. 0 stands for 16 KiB.
	MaxFirst int
	// HandshakeTimeout is how long a connection may take from being accepted
	// to the end of its transport handshake. 0 stands for 5 s.
	HandshakeTimeout time.Duration
}

// ListenOptions says what is spoken on a listener. The zero value speaks
// everything.
type ListenOptions struct {
	// NoWebSocket and NoRawSocket turn one of them off. Where both are on, the
	// first byte decides.
	NoWebSocket, NoRawSocket bool
	// Paths lists the paths on which WebSocket is answered; nil stands for "/"
	// and "/ws".
	Paths []string
	// Origins lists what pages may connect, beside those that came from this
	// very host: origins ("https://example.org"), or "*" for all. Clients that
	// aren't browsers send no origin, and are not asked for one.
	Origins []string
	// Serializers lists what may be spoken; nil stands for all.
	Serializers []wamp.Serializer
	// MaxConnections bounds the connections of this listener; 0 is no bound.
	MaxConnections int
}

// Server accepts connections, does their transport handshakes, and hands them
// over. Its fields must not be changed once it serves.
type Server struct {
	// Handle is called for each connection that completed its handshake, on a
	// goroutine of its own. The connection is closed when it returns.
	Handle func(Conn)
	Limits Limits
	// HTTP says what ServeHTTP answers. Its Paths, NoWebSocket and NoRawSocket
	// are ignored.
	HTTP ListenOptions
	// Logger may be nil.
	Logger *slog.Logger
}

// Serve accepts connections on l until Close or CloseListeners, or until l
// fails for good. It returns net.ErrClosed after the former.
func (s *Server) Serve(l net.Listener, opts ListenOptions) error { return errors.ErrUnsupported }

// CloseListeners makes every Serve return, and leaves the connections alone.
func (s *Server) CloseListeners() error { return errors.ErrUnsupported }

// Close closes the listeners and all connections, and waits until every Handle
// has returned: it must not be called from one.
func (s *Server) Close() error { return errors.ErrUnsupported }

// ServeHTTP upgrades a request to WebSocket, for those who have a server for
// HTTP already. The connection then belongs to s.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {}
