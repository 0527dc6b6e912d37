package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/blindfold-wamp/blindfold/internal/ownhost"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// maxRequest bounds the request of a WebSocket handshake, with its header.
const maxRequest = 16 << 10

// subprotocol is what the names of WebSocket subprotocols start with; the
// serializer follows.
const subprotocol = "wamp.2."

// The reasons why a handshake is refused. The texts never repeat what the peer sent.
var (
	refuseTimeout     = &wamp.Refusal{Reason: wamp.ReasonProtocol, URI: wamp.ErrProtocolViolation, Text: "handshake not completed in time", Fatal: true, Limit: wamp.LimitHello}
	refuseGone        = rejected(wamp.ReasonProtocol, wamp.ErrProtocolViolation, "connection lost in the handshake")
	refuseForeign     = rejected(wamp.ReasonProtocol, wamp.ErrProtocolViolation, "neither WebSocket nor RawSocket")
	refuseReserved    = rejected(wamp.ReasonProtocol, wamp.ErrProtocolViolation, "RawSocket handshake with reserved bits set")
	refuseSerializer  = rejected(wamp.ReasonProtocol, wamp.ErrProtocolViolation, "no serializer in common")
	refuseRequest     = rejected(wamp.ReasonProtocol, wamp.ErrProtocolViolation, "not a request for WebSocket")
	refuseRequestSize = rejected(wamp.ReasonSize, wamp.ErrProtocolViolation, "request header over the limit")
	refusePath        = rejected(wamp.ReasonProtocol, wamp.ErrProtocolViolation, "no WebSocket at this path")
	refuseOrigin      = rejected(wamp.ReasonUnauthorized, wamp.ErrNotAuthorized, "origin not allowed")
	refuseConnections = limitRejection(wamp.LimitConnections, "too many connections")
	refuseAddress     = limitRejection(wamp.LimitAddressConnections, "too many connections from this address")
	refuseRate        = limitRejection(wamp.LimitConnectRate, "too many connections in a second from this address")
)

func limitRejection(limit wamp.Limit, text string) *wamp.Refusal {
	return &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrLimitExceeded, Text: text, Fatal: true, Limit: limit}
}

func rejected(reason wamp.Reason, uri wamp.URI, text string) *wamp.Refusal {
	return &wamp.Refusal{Reason: reason, URI: uri, Text: text, Fatal: true}
}

// serverHandshake is the transport handshake of one accepted connection.
type serverHandshake struct {
	net       net.Conn
	stream    stream
	in        buffer
	info      Info // as far as it is known
	accepted  time.Time
	deadline  time.Time // of the whole handshake
	limits    Limits
	opts      *ListenOptions
	addresses *addresses
	from      netip.Addr    // who the peer is; invalid for a Unix socket
	proxied   bool          // the connection is from a trusted proxy
	counted   netip.Addr    // the address that it was counted under, if valid
	rejection *wamp.Refusal // why the connection is refused, if there is no room for it
	answered  bool          // there is something for the peer to read
}

// run does the handshake. The connection that it returns starts with the bytes that the
// peer has already sent after the handshake.
func (g *serverHandshake) run() (*conn, *wamp.Refusal) {
	g.deadline = g.accepted.Add(g.limits.HandshakeTimeout)
	g.info = *infoOf(g.net, g.accepted)
	g.from, g.proxied = g.opts.peer(g.net.RemoteAddr())
	if !g.proxied && g.rejection == nil {
		g.countAddress(g.from)
	}
	if t, ok := g.net.(*tls.Conn); ok {
		ctx, cancel := context.WithDeadline(context.Background(), g.deadline)
		err := t.HandshakeContext(ctx)
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
			return nil, refuseTimeout
		case err != nil:
			return nil, tlsRefusal(err)
		}
		state := t.ConnectionState()
		g.info.Network, g.info.TLS = "tls", &state
	}
	g.stream = newStream(g.net)
	if err := g.stream.setReadDeadline(g.deadline); err != nil {
		return nil, refuseGone
	}
	if refusal := g.readAtLeast(1); refusal != nil {
		return nil, refusal
	}
	var c *conn
	var refusal *wamp.Refusal
	switch first := g.in.bytes()[0]; {
	case first == rawMagic && !g.opts.NoRawSocket:
		c, refusal = g.rawSocket()
	case first >= 'A' && first <= 'Z' && !g.opts.NoWebSocket:
		c, refusal = g.webSocket()
	default:
		refusal = refuseForeign
	}
	if refusal == nil && g.stream.setReadDeadline(time.Time{}) != nil {
		refusal = refuseGone
	}
	if refusal != nil {
		g.in.release()
		return nil, refusal
	}
	return c, nil
}

// countAddress counts the connection under its address, if there is room for it.
func (g *serverHandshake) countAddress(from netip.Addr) {
	if g.rejection = g.addresses.acquire(from, g.limits, time.Now()); g.rejection == nil {
		g.counted = from
	}
}

// reject ends a refused connection, and gives the peer time to read the answer.
func (g *serverHandshake) reject() {
	if g.answered && g.stream.closeWrite() == nil {
		linger(g.stream, &g.in, min(rejectLinger, time.Until(g.deadline)))
	}
	_ = g.net.Close()
	g.addresses.release(g.counted)
}

// rejectLinger is how long a refused peer has to read the reason.
const rejectLinger = time.Second

// readAtLeast waits until n bytes are there.
func (g *serverHandshake) readAtLeast(n int) *wamp.Refusal {
	for len(g.in.bytes()) < n {
		if err := g.stream.fill(&g.in, n); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return refuseTimeout
			}
			return refuseGone
		}
	}
	return nil
}

func (g *serverHandshake) answer(p []byte) *wamp.Refusal {
	if _, err := g.stream.write([][]byte{p}, time.Until(g.deadline)); err != nil {
		return refuseGone
	}
	g.answered = true
	return nil
}

// rawSocket answers the handshake of RawSocket (WAMP, "RawSocket Transport", "Handshake").
func (g *serverHandshake) rawSocket() (*conn, *wamp.Refusal) {
	if refusal := g.readAtLeast(len(rawHello{})); refusal != nil {
		return nil, refusal
	}
	hello := rawHello(g.in.bytes())
	g.in.take(len(hello))
	var refusal *wamp.Refusal
	var code byte
	switch {
	case hello.reserved():
		code, refusal = rawErrReserved, refuseReserved
	case !g.opts.acceptsSerializer(hello.serializer()):
		code, refusal = rawErrSerializer, refuseSerializer
	case g.rejection != nil:
		code, refusal = rawErrConnections, g.rejection
	}
	if refusal != nil {
		reply := newRawError(code)
		g.answer(reply[:])
		return nil, refusal
	}
	g.info.Transport, g.info.Serializer, g.info.MaxSend = "rawsocket", hello.serializer(), hello.maxSend()
	reply := newRawHello(g.limits.MaxMessage, g.info.Serializer)
	if refusal := g.answer(reply[:]); refusal != nil {
		return nil, refusal
	}
	return newConn(g.stream, &g.in, g.info, FramingRaw, g.limits.MaxFirst, g.limits.MaxMessage), nil
}

// webSocket answers a request for an upgrade (RFC 6455, section 4.2).
func (g *serverHandshake) webSocket() (*conn, *wamp.Refusal) {
	end := -1
	for seen := 0; end < 0; {
		b := g.in.bytes()
		if end = bytes.Index(b[seen:], []byte("\r\n\r\n")); end >= 0 {
			end += seen + 4
			break
		}
		seen = max(0, len(b)-3)
		if len(b) >= maxRequest {
			end = maxRequest + 1
			break
		}
		if refusal := g.readAtLeast(len(b) + 1); refusal != nil {
			return nil, refusal
		}
	}
	if end > maxRequest {
		g.answer([]byte("HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
		return nil, refuseRequestSize
	}

	// The request is read from memory, so that what follows it stays, and the
	// answer is written by us, so that the deadline holds.
	if bytes.ContainsFunc(g.in.bytes()[:end], isControl) {
		g.in.take(end)
		if refusal := g.answer([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")); refusal != nil {
			return nil, refusal
		}
		return nil, refuseRequest
	}
	u := upgrade{opts: g.opts, trusted: g.proxied, secure: g.info.TLS != nil, admit: func(u *upgrade) *wamp.Refusal {
		if g.proxied && g.rejection == nil {
			if client, ok := u.client(); ok {
				g.from, g.info.Address = client, client.String()
			}
			g.countAddress(g.from)
		}
		return g.rejection
	}}
	var reply bytes.Buffer
	refusal := u.run(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(g.in.bytes()[:end]), &reply})
	g.in.take(end)
	if reply.Len() == 0 {
		reply.WriteString("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	}
	if r := g.answer(reply.Bytes()); refusal == nil {
		refusal = r
	}
	if refusal != nil {
		g.info.Origin = u.origin
		return nil, refusal
	}
	u.describe(&g.info)
	return newConn(g.stream, &g.in, g.info, wsFraming(g.info.Serializer), g.limits.MaxFirst, g.limits.MaxMessage), nil
}

// isControl reports whether a request must not contain the character (RFC 9110, section
// 5.5). Programs that read such a request disagree about it.
func isControl(r rune) bool { return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == 0x7F }

// upgrade has the contents of the request of a WebSocket handshake.
type upgrade struct {
	opts       *ListenOptions
	trusted    bool                         // the peer is a proxy that is believed
	secure     bool                         // over TLS: the browser has checked that host is the server's
	admit      func(*upgrade) *wamp.Refusal // asked last
	hosts      int
	host       string
	origins    int
	origin     string
	header     http.Header
	serializer wamp.Serializer
	refusal    *wamp.Refusal
}

func (u *upgrade) refuse(status int, refusal *wamp.Refusal) error {
	u.refusal = refusal
	return ws.RejectConnectionError(ws.RejectionStatus(status), ws.RejectionReason(refusal.Text))
}

func (u *upgrade) run(rw io.ReadWriter) *wamp.Refusal {
	_, err := ws.Upgrader{
		OnRequest: func(uri []byte) error {
			if path, _, _ := strings.Cut(string(uri), "?"); !u.opts.hasPath(path) {
				return u.refuse(http.StatusNotFound, refusePath)
			}
			return nil
		},
		OnHost: func(host []byte) error {
			u.hosts++
			u.host = string(host)
			return nil
		},
		OnHeader: func(key, value []byte) error {
			u.recordHeader(string(key), string(value))
			return nil
		},
		Protocol: func(name []byte) bool { return u.selectSubprotocol(string(name)) },
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			return nil, u.checkRequest()
		},
	}.Upgrade(rw)
	switch {
	case err == nil:
		return nil
	case u.refusal != nil:
		return u.refusal
	}
	return refuseRequest
}

// recordHeader keeps the fields that authentication and logs need. There may be very many
// others.
func (u *upgrade) recordHeader(key, value string) {
	switch key {
	case "Origin":
		u.origins++
		u.origin = value
	case "Cookie", "Authorization":
	case "X-Forwarded-For":
		if !u.trusted {
			return
		}
	default:
		return
	}
	if u.header == nil {
		u.header = make(http.Header, 1)
	}
	u.header.Add(key, value)
}

// selectSubprotocol takes the first offered subprotocol that is supported.
func (u *upgrade) selectSubprotocol(name string) bool {
	rest, ok := strings.CutPrefix(name, subprotocol)
	if !ok {
		return false
	}
	for _, s := range wamp.Serializers {
		if s.String() == rest && u.opts.acceptsSerializer(s) {
			u.serializer = s
			return true
		}
	}
	return false
}

// checkRequest returns an error if the request is refused. All of it has been read.
func (u *upgrade) checkRequest() error {
	switch {
	case u.hosts > 1 || u.origins > 1: // RFC 9112, section 3.2; RFC 6454, section 7.3
		return u.refuse(http.StatusBadRequest, refuseRequest)
	case !u.opts.originAllowed(u.origin, u.ownHost()):
		return u.refuse(http.StatusForbidden, refuseOrigin)
	case u.serializer == 0:
		return u.refuse(http.StatusBadRequest, refuseSerializer)
	}
	if refusal := u.admit(u); refusal != nil {
		return u.refuse(http.StatusServiceUnavailable, refusal)
	}
	return nil
}

// ownHost is the host whose pages may connect without being listed, or "". A page of the
// same host is trusted only if the host is known to be the server's: by its certificate,
// by a trusted proxy, or by ListenOptions.Hosts.
func (u *upgrade) ownHost() string {
	if u.secure || u.trusted || ownhost.Is(u.host, u.opts.Hosts) {
		return u.host
	}
	return ""
}

func (u *upgrade) describe(info *Info) {
	info.Transport, info.Serializer = "websocket", u.serializer
	info.Header, info.Origin = u.header, u.origin
}

func wsFraming(s wamp.Serializer) Framing {
	if s == wamp.JSON {
		return FramingText
	}
	return FramingBinary
}

// newConn returns the connection after a handshake. It takes over the bytes left in in,
// and their memory. So a handshake that fails afterwards must not release in.
func newConn(s stream, in *buffer, info Info, f Framing, first, most int) *conn {
	c := &conn{info: info, stream: s, in: *in, limit: min(first, most), maxLimit: most, framing: f}
	*in = buffer{}
	if f == FramingRaw {
		c.frames = rawFrames{}
	} else {
		c.frames = newWSFrames(f)
	}
	if c.in.r == c.in.w {
		c.in.release()
	}
	return c
}

func (o *ListenOptions) acceptsSerializer(s wamp.Serializer) bool {
	return s.Valid() && (o.Serializers == nil || slices.Contains(o.Serializers, s))
}

func (o *ListenOptions) hasPath(path string) bool {
	if o.Paths == nil {
		return path == "/" || path == "/ws"
	}
	return slices.Contains(o.Paths, path)
}

// originAllowed reports whether a page of that origin may connect (RFC 6455, section
// 10.2). Browsers always send one; other clients need not.
func (o *ListenOptions) originAllowed(origin, host string) bool {
	if origin == "" || slices.Contains(o.Origins, "*") {
		return true
	}
	if slices.ContainsFunc(o.Origins, func(s string) bool { return strings.EqualFold(s, origin) }) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && host != "" && strings.EqualFold(u.Host, host)
}
