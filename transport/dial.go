package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// DialOptions says how Dial connects. The zero value will do.
type DialOptions struct {
	// Serializer to speak; 0 stands for wamp.JSON.
	Serializer wamp.Serializer
	// TLS is used for wss and rss; nil stands for the defaults.
	TLS *tls.Config
	// MaxMessage is the size of the largest message accepted, in bytes, from
	// 512 to 16 MiB. 0 stands for 16 MiB.
	MaxMessage int
	// Header is sent with a WebSocket handshake.
	Header http.Header
}

// Dial connects to a router and does the transport handshake. ctx bounds both.
// It knows ws://host[:port]/path and wss:// (WebSocket), rs://host:port (also
// written tcp:// and raw://) and rss:// (RawSocket), and unix:///path (RawSocket).
func Dial(ctx context.Context, url string, o DialOptions) (Conn, error) {
	return nil, errors.ErrUnsupported
}
