package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/gobwas/ws"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// DialOptions are the options of Dial. The zero value is usable.
type DialOptions struct {
	// Serializer to ask for; 0 stands for wamp.JSON.
	Serializer wamp.Serializer
	// TLS is used for wss and rss; nil stands for the defaults.
	TLS *tls.Config
	// MaxMessage is the size of the largest message accepted, in bytes, from
	// 512 to 16 MiB. 0 stands for 16 MiB.
	MaxMessage int
	// Header is sent with a WebSocket handshake.
	Header http.Header
}

// HandshakeError is the router's refusal of a transport handshake.
type HandshakeError struct {
	Text string
	// Status is the HTTP status of a WebSocket handshake, or 0.
	Status int
	// Code is the error code of a RawSocket handshake, or 0.
	Code byte
}

func (e *HandshakeError) Error() string { return "transport: " + e.Text }

var rawErrors = [16]string{
	1: "the router does not speak this serializer (RawSocket error 1)",
	2: "the router refuses the maximum message length (RawSocket error 2)",
	3: "the router saw reserved bits in the handshake (RawSocket error 3)",
	4: "the router has too many connections (RawSocket error 4)",
}

// Dial connects to a router and does the transport handshake. ctx bounds both.
// It knows ws://host[:port]/path and wss:// (WebSocket), rs://host:port (also
// written tcp:// and raw://) and rss:// (RawSocket), and unix:///path (RawSocket).
// If the router refuses, the error is a *HandshakeError.
func Dial(ctx context.Context, rawURL string, o DialOptions) (Conn, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	o.Serializer = cmp.Or(o.Serializer, wamp.JSON)
	if !o.Serializer.Valid() {
		return nil, errors.New("transport: unknown serializer")
	}
	o.MaxMessage = min(max(cmp.Or(o.MaxMessage, maxMessage), minMessage), maxMessage)

	network, address, port, secure, web := "tcp", u.Host, "", false, false
	switch u.Scheme {
	case "ws":
		port, web = "80", true
	case "wss":
		port, web, secure = "443", true, true
	case "rs", "tcp", "raw":
	case "rss":
		secure = true
	case "unix":
		network, address = "unix", u.Path
	default:
		return nil, errors.New("transport: unknown scheme in the URL: ws, wss, rs, rss or unix is expected")
	}
	if network == "tcp" && u.Port() == "" && port != "" {
		address = net.JoinHostPort(u.Hostname(), port)
	}

	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c, err := dialed(ctx, nc, u, secure, web, o)
	if err != nil {
		nc.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	return c, nil
}

// dialed does the handshakes over nc, until the deadline of ctx.
func dialed(ctx context.Context, nc net.Conn, u *url.URL, secure, web bool, o DialOptions) (_ *conn, err error) {
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		// If ctx has ended since, the deadline is or will be in the past.
		if !stop() && err == nil {
			err = ctx.Err()
		}
	}()
	info := Info{
		Transport: "rawsocket", Network: nc.RemoteAddr().Network(), Address: nc.RemoteAddr().String(),
		Serializer: o.Serializer,
	}
	if secure {
		config := o.TLS.Clone()
		if config == nil {
			config = new(tls.Config)
		}
		if config.ServerName == "" {
			config.ServerName = u.Hostname()
		}
		t := tls.Client(nc, config)
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		state := t.ConnectionState()
		info.Network, info.TLS = "tls", &state
		nc = t
	}
	if web {
		info.Transport = "websocket"
		return dialWebSocket(nc, u, info, o)
	}
	return dialRawSocket(nc, info, o)
}

func dialRawSocket(nc net.Conn, info Info, o DialOptions) (*conn, error) {
	hello := newRawHello(o.MaxMessage, o.Serializer)
	if _, err := nc.Write(hello[:]); err != nil {
		return nil, err
	}
	s := newStream(nc)
	var in buffer
	for len(in.bytes()) < len(hello) {
		if err := s.fill(&in, len(hello)); err != nil {
			return nil, err
		}
	}
	reply := rawHello(in.bytes())
	in.take(len(reply))
	switch code := reply[1] >> 4; {
	case reply[0] != rawMagic || reply.reserved():
		return nil, &HandshakeError{Text: "the peer does not speak RawSocket"}
	case reply.serializer() == 0:
		return nil, &HandshakeError{Text: cmp.Or(rawErrors[code], "the router refuses the connection"), Code: code}
	case reply.serializer() != o.Serializer:
		return nil, &HandshakeError{Text: "the router chose another serializer"}
	}
	info.MaxSend = reply.maxSend()
	return newConn(s, &in, info, FramingRaw, o.MaxMessage, o.MaxMessage), nil
}

// maxResponse bounds the answer to a WebSocket handshake, with what is read
// together with it.
const maxResponse = 64 << 10

func dialWebSocket(nc net.Conn, u *url.URL, info Info, o DialOptions) (*conn, error) {
	target := *u
	if target.Path == "" {
		target.Path = "/"
	}
	chosen := subprotocol + o.Serializer.String()
	br, hs, err := ws.Dialer{
		Protocols: []string{chosen},
		Header:    ws.HandshakeHeaderHTTP(o.Header),
	}.Upgrade(struct {
		io.Reader
		io.Writer
	}{io.LimitReader(nc, maxResponse), nc}, &target)
	var in buffer
	if br != nil {
		early, _ := br.Peek(br.Buffered())
		in.put(early)
		ws.PutReader(br)
	}
	var status ws.StatusError
	switch {
	case errors.As(err, &status):
		return nil, &HandshakeError{
			Text:   fmt.Sprintf("the router answered with HTTP status %d", int(status)),
			Status: int(status),
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("transport: WebSocket handshake: %w", err)
	case hs.Protocol != chosen:
		return nil, &HandshakeError{Text: "the router chose no subprotocol"}
	}
	f := FramingMaskedBinary
	if o.Serializer == wamp.JSON {
		f = FramingMaskedText
	}
	return newConn(newStream(nc), &in, info, f, o.MaxMessage, o.MaxMessage), nil
}
