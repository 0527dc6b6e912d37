package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// refusals collects what a Server turned away.
type refusals chan *wamp.Refusal

func (r refusals) next(t testing.TB) *wamp.Refusal {
	t.Helper()
	select {
	case refusal := <-r:
		return refusal
	case <-time.After(patience):
		t.Fatal("nothing was turned away")
		return nil
	}
}

func newServer() (*Server, refusals) {
	r := make(refusals, 100)
	return &Server{Handle: echo, Rejected: func(refusal *wamp.Refusal, from *Info) {
		if from == nil || from.Address == "" {
			panic("turned away, and from nowhere")
		}
		select {
		case r <- refusal:
		default: // more than a test asks for
		}
	}}, r
}

// Every transport, every serializer: messages of all sizes, both ways.
func TestDial(t *testing.T) {
	s, _ := newServer()
	s.Limits.MaxMessage = 16 << 20
	plain := serve(t, s, ListenOptions{})
	server, client := testTLS(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, s, l, ListenOptions{})
	path := t.TempDir() + "/s"
	u, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, s, u, ListenOptions{NoWebSocket: true})

	for _, url := range []string{
		"ws://" + plain, "ws://" + plain + "/ws?x=y", "rs://" + plain, "tcp://" + plain, "raw://" + plain,
		"wss://" + l.Addr().String() + "/ws", "rss://" + l.Addr().String(), "unix://" + path,
	} {
		for _, serializer := range wamp.Serializers {
			c := dial(t, url, DialOptions{Serializer: serializer, TLS: client})
			if c.Info().Serializer != serializer {
				t.Errorf("%s, %v: %v is spoken", url, serializer, c.Info().Serializer)
			}
			sizes := []int{0, 1, 125, 126, 16 << 10, 1 << 20}
			if serializer == wamp.CBOR {
				sizes = append(sizes, 16<<20-1)
			}
			for _, n := range sizes {
				body := bytes.Repeat([]byte("x"), n)
				sent := make(chan error, 1)
				go func() {
					_, err := c.Write([][]byte{c.Framing().AppendFrame(nil, OpMessage, body)}, patience)
					sent <- err
				}()
				if f := receive(t, c); f.Op != OpMessage || !bytes.Equal(f.Body, body) {
					t.Errorf("%s, %v: %d bytes came back as %d", url, serializer, n, len(f.Body))
				}
				if err := <-sent; err != nil {
					t.Error(err)
				}
			}
			send(t, c, OpPing, []byte("ping"))
			if f := receive(t, c); f.Op != OpPong || string(f.Body) != "ping" {
				t.Errorf("%s: PING came back as %d %q", url, f.Op, f.Body)
			}
			c.Close()
		}
	}
}

// The RawSocket handshake, byte by byte (WAMP, "RawSocket Transport").
func TestRawSocketHandshake(t *testing.T) {
	s, turned := newServer()
	s.Limits.MaxMessage = 3 << 19 // announced as 1 MiB: 2^20 is nibble 11
	address := serve(t, s, ListenOptions{Serializers: []wamp.Serializer{wamp.MsgPack, wamp.CBOR}})
	for _, c := range []struct {
		name, sent, want string
		refusal          *wamp.Refusal
	}{
		{"MessagePack", "7ff20000", "7fb20000", nil},
		{"CBOR", "7f030000", "7fb30000", nil},
		{"with a message right behind it", "7ff20000 00000001 61", "7fb20000 00000001 61", nil},
		{"with a broken frame right behind it", "7ff20000 80000000", "7fb20000", nil},
		{"a serializer that is not spoken here", "7ff10000", "7f100000", refuseSerializer},
		{"a serializer that nobody speaks", "7ff60000", "7f100000", refuseSerializer},
		{"the illegal serializer", "7ff00000", "7f100000", refuseSerializer},
		{"reserved bits", "7ff20001", "7f300000", refuseReserved},
		{"more reserved bits", "7ff28000", "7f300000", refuseReserved},
		{"another first byte", "7e", "", refuseForeign},
		{"TLS on a plain port", "160301", "", refuseForeign},
		{"an early end", "7ff2", "", refuseGone},
	} {
		t.Run(c.name, func(t *testing.T) {
			nc := dialNet(t, address)
			nc.Write(unhex(t, c.sent))
			nc.(*net.TCPConn).CloseWrite()
			got, err := io.ReadAll(nc)
			if errors.Is(err, syscall.ECONNRESET) {
				err = nil // it closed with bytes of ours unread
			}
			if want := hex.EncodeToString(unhex(t, c.want)); err != nil || hex.EncodeToString(got) != want {
				t.Errorf("got %x, %v; want %s", got, err, want)
			}
			if c.refusal != nil {
				if r := turned.next(t); r != c.refusal {
					t.Errorf("turned away for %q, want %q", r.Text, c.refusal.Text)
				}
			}
		})
	}
}

func request(path string, fields ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: router.example:8080\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n", path)
	b.WriteString("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	return b.String() + "\r\n"
}

// toHost asks for another host.
func toHost(host, request string) string {
	return strings.Replace(request, "router.example:8080", host, 1)
}

const offerJSON = "Sec-WebSocket-Protocol: wamp.2.json"

func TestWebSocketHandshake(t *testing.T) {
	s, turned := newServer()
	address := serve(t, s, ListenOptions{Origins: []string{"https://app.example"}, Hosts: []string{"mine.example"}})
	any, anyTurned := newServer()
	anyAddress := serve(t, any, ListenOptions{Origins: []string{"*"}, Paths: []string{"/wamp"}})
	for _, c := range []struct {
		name, request string
		status        int
		refusal       *wamp.Refusal
		any           bool
	}{
		{"the specification's own key", request("/ws", offerJSON), 101, nil, false},
		{"the other path, with a query", request("/?a=b", offerJSON), 101, nil, false},
		{"several subprotocols", request("/ws", "Sec-WebSocket-Protocol: wamp.2.ubjson, wamp.2.json.batched, wamp.2.json"), 101, nil, false},
		{"subprotocols in two fields", request("/ws", "Sec-WebSocket-Protocol: mqtt", offerJSON), 101, nil, false},
		{"compression is offered", request("/ws", offerJSON, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"), 101, nil, false},
		{"from a page of this host", toHost("localhost:8080", request("/ws", offerJSON, "Origin: http://localhost:8080")), 101, nil, false},
		{"from a page of this host by its number", toHost("[::1]:8080", request("/ws", offerJSON, "Origin: http://[::1]:8080")), 101, nil, false},
		{"from a page of a name that leads here", request("/ws", offerJSON, "Origin: http://router.example:8080"), 403, refuseOrigin, false},
		{"from a page of a name that is listed", toHost("Mine.example:8080", request("/ws", offerJSON, "Origin: http://mine.example:8080")), 101, nil, false},
		{"from a page of no host", toHost("", request("/ws", offerJSON, "Origin: http://")), 403, refuseOrigin, false},
		{"two origins", request("/ws", offerJSON, "Origin: https://app.example", "Origin: https://app.example"), 400, refuseRequest, false},
		{"two hosts", request("/ws", offerJSON, "Host: localhost"), 400, refuseRequest, false},
		{"a control character", request("/ws", offerJSON, "Cookie: a\x00b"), 400, refuseRequest, false},
		{"from a page that is allowed", request("/ws", offerJSON, "Origin: https://app.example"), 101, nil, false},
		{"from anywhere, where all is allowed", request("/wamp", offerJSON, "Origin: https://evil.example"), 101, nil, true},
		{"from a foreign page", request("/ws", offerJSON, "Origin: https://evil.example"), 403, refuseOrigin, false},
		{"from a foreign port", request("/ws", offerJSON, "Origin: http://router.example:81"), 403, refuseOrigin, false},
		{"from a file", request("/ws", offerJSON, "Origin: null"), 403, refuseOrigin, false},
		{"wrong path", request("/other", offerJSON), 404, refusePath, false},
		{"a path that is not configured", request("/ws", offerJSON), 404, refusePath, true},
		{"unknown subprotocol", request("/ws", "Sec-WebSocket-Protocol: mqtt"), 400, refuseSerializer, false},
		{"no subprotocol", request("/ws"), 400, refuseSerializer, false},
		{"not an upgrade", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, refuseRequest, false},
		{"another method", strings.Replace(request("/ws", offerJSON), "GET", "POST", 1), 405, refuseRequest, false},
		{"another version", strings.Replace(request("/ws", offerJSON), "Version: 13", "Version: 8", 1), 426, refuseRequest, false},
		{"a malformed request", "GET\r\n\r\n", 400, refuseRequest, false},
		{"a malformed field", request("/ws", "nonsense"), 400, refuseRequest, false},
		{"a header without end", request("/ws", offerJSON, "X: "+strings.Repeat("x", maxRequest)), 431, refuseRequestSize, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			address, turned := address, turned
			if c.any {
				address, turned = anyAddress, anyTurned
			}
			nc := dialNet(t, address)
			io.WriteString(nc, c.request)
			r, err := http.ReadResponse(bufio.NewReader(nc), nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.StatusCode != c.status {
				t.Errorf("status %d, want %d", r.StatusCode, c.status)
			}
			if c.status == http.StatusSwitchingProtocols {
				if got := r.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
					t.Errorf("Sec-WebSocket-Accept: %s", got)
				}
				if got := r.Header.Get("Sec-WebSocket-Protocol"); got != "wamp.2.json" {
					t.Errorf("subprotocol %q", got)
				}
				if got := r.Header.Get("Sec-WebSocket-Extensions"); got != "" {
					t.Errorf("extensions %q", got)
				}
				return
			}
			if body, _ := io.ReadAll(r.Body); bytes.Contains(body, []byte("evil")) {
				t.Errorf("what was sent is echoed: %s", body)
			}
			if r := turned.next(t); r != c.refusal {
				t.Errorf("turned away for %q, want %q", r.Text, c.refusal.Text)
			}
		})
	}
}

// A page of the host that was asked for is the server's own only if the host is known
// to be the server's, whatever address the connection came to.
func TestOwnHost(t *testing.T) {
	listed := &ListenOptions{Hosts: []string{"mine.example"}}
	for name, c := range map[string]struct {
		u    upgrade
		want bool
	}{
		"a name":                {upgrade{host: "evil.example:8080"}, false},
		"a number":              {upgrade{host: "192.168.1.10:8080"}, true},
		"localhost":             {upgrade{host: "localhost"}, true},
		"a name that is listed": {upgrade{host: "mine.example:8080", opts: listed}, true},
		"one that is not":       {upgrade{host: "evil.example:8080", opts: listed}, false},
		"over TLS":              {upgrade{host: "any.example", secure: true}, true},
		"by a trusted proxy":    {upgrade{host: "any.example", trusted: true}, true},
	} {
		if c.u.opts == nil {
			c.u.opts = &ListenOptions{}
		}
		if own := c.u.ownHost(); (own == c.u.host) != c.want || !c.want && own != "" {
			t.Errorf("%s: own host %q", name, own)
		}
	}
}

// What a listener does not speak is not answered.
func TestListenerSpeaksOnlyWhatItIsToldTo(t *testing.T) {
	s, turned := newServer()
	web := serve(t, s, ListenOptions{NoRawSocket: true})
	raw := serve(t, s, ListenOptions{NoWebSocket: true})
	for _, url := range []string{"rs://" + web, "ws://" + raw} {
		if c, err := Dial(t.Context(), url, DialOptions{}); err == nil {
			c.Close()
			t.Errorf("%s was answered", url)
		}
		if r := turned.next(t); r != refuseForeign {
			t.Errorf("%s: turned away for %q", url, r.Text)
		}
	}
}

// What is known of a connection: and no more of its header than is needed.
func TestInfo(t *testing.T) {
	infos := make(chan Info, 1)
	s := &Server{Handle: handing(func(c Conn) { infos <- *c.Info() })}
	address := serve(t, s, ListenOptions{Origins: []string{"*"}})
	dial(t, "ws://"+address, DialOptions{Serializer: wamp.CBOR, Header: http.Header{
		"Cookie": {"a=b"}, "Origin": {"https://app.example"}, "X-Forwarded-For": {"192.0.2.1"}, "X-Other": {"x"},
	}})
	info := <-infos
	if info.Transport != "websocket" || info.Network != "tcp" || info.Serializer != wamp.CBOR || info.Origin != "https://app.example" {
		t.Errorf("%+v", info)
	}
	if len(info.Header) != 2 || info.Header.Get("Cookie") != "a=b" || info.Since.IsZero() {
		t.Errorf("header %v", info.Header)
	}
	c := dial(t, "rs://"+address, DialOptions{Serializer: wamp.MsgPack, MaxMessage: 5000})
	info = <-infos
	if info.Transport != "rawsocket" || info.MaxSend != 4096 || info.Header != nil {
		t.Errorf("%+v", info)
	}
	if _, _, err := net.SplitHostPort(info.Address); err != nil {
		t.Errorf("address %q", info.Address)
	}
	if got := c.Info().MaxSend; got != defaultMessage {
		t.Errorf("the server announced %d", got)
	}
}

// A peer that dawdles has as long as one that does nothing.
func TestHandshakeDeadline(t *testing.T) {
	for _, dribble := range []string{"", "7ff2", hex.EncodeToString([]byte(request("/ws", offerJSON)[:100]))} {
		s, turned := newServer()
		s.Limits.HandshakeTimeout = 30 * time.Millisecond
		nc := dialNet(t, serve(t, s, ListenOptions{}))
		stop := make(chan struct{})
		var writing sync.WaitGroup
		writing.Go(func() {
			for _, b := range unhex(t, dribble) {
				nc.Write([]byte{b})
				select {
				case <-time.After(10 * time.Millisecond):
				case <-stop:
					return
				}
			}
		})
		if r := turned.next(t); r != refuseTimeout {
			t.Errorf("turned away for %q", r.Text)
		}
		if b, err := io.ReadAll(nc); len(b) != 0 && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("answered %q, %v", b, err)
		}
		close(stop)
		writing.Wait()
	}
}

// After the handshake, its deadline is over.
func TestHandshakeDeadlineEnds(t *testing.T) {
	read := make(chan error, 2)
	s := &Server{Limits: Limits{HandshakeTimeout: 400 * time.Millisecond}, Handle: handing(func(c Conn) {
		_, err := c.Read()
		read <- err
	})}
	address := serve(t, s, ListenOptions{})
	for _, url := range []string{"ws://" + address, "rs://" + address} {
		c := dial(t, url, DialOptions{})
		time.Sleep(450 * time.Millisecond) // the deadline has to pass
		send(t, c, OpMessage, []byte("late"))
		if err := <-read; err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestMaxConnections(t *testing.T) {
	s, turned := newServer()
	address := serve(t, s, ListenOptions{MaxConnections: 2})
	a := dial(t, "rs://"+address, DialOptions{})
	dial(t, "ws://"+address, DialOptions{})
	var refused *HandshakeError
	if _, err := Dial(t.Context(), "rs://"+address, DialOptions{}); !errors.As(err, &refused) || refused.Code != rawErrConnections {
		t.Errorf("RawSocket: %v", err)
	}
	if r := turned.next(t); r != refuseConnections {
		t.Errorf("turned away for %q", r.Text)
	}
	if _, err := Dial(t.Context(), "ws://"+address, DialOptions{}); !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable {
		t.Errorf("WebSocket: %v", err)
	}
	if r := turned.next(t); r != refuseConnections {
		t.Errorf("turned away for %q", r.Text)
	}
	// Who leaves makes a place. The server notices when it does.
	a.Close()
	for end := time.Now().Add(patience); ; {
		c, err := Dial(t.Context(), "rs://"+address, DialOptions{})
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// A connection that breaks the rules is told why, and the others go on.
func TestServerAnswersBrokenFrames(t *testing.T) {
	s, _ := newServer()
	s.Limits.MaxMessage = 1000
	address := serve(t, s, ListenOptions{})
	bystander := dial(t, "ws://"+address, DialOptions{})
	for want, raw := range map[string][]byte{
		"03ea": {0x81, 0x01, 'x'},
		"03eb": FramingMaskedBinary.AppendFrame(nil, OpMessage, nil),
		"03ef": FramingMaskedText.AppendFrame(nil, OpMessage, []byte{0xff}),
		"03f1": FramingMaskedText.AppendFrame(nil, OpMessage, make([]byte, 1001))[:4],
	} {
		c := dial(t, "ws://"+address, DialOptions{})
		if _, err := c.Write([][]byte{raw}, patience); err != nil {
			t.Fatal(err)
		}
		f := receive(t, c)
		if f.Op != OpClose || hex.EncodeToString(f.Body[:2]) != want {
			t.Errorf("answered with %d %x, want close %s", f.Op, f.Body, want)
		}
		if _, err := c.Read(); err != io.EOF {
			t.Errorf("after the close: %v", err)
		}
	}
	send(t, bystander, OpMessage, []byte("still here"))
	if f := receive(t, bystander); string(f.Body) != "still here" {
		t.Errorf("%q", f.Body)
	}
}

// flaky is a listener that fails, and recovers.
type flaky struct {
	net.Listener
	mu    sync.Mutex
	fails []error
}

func (l *flaky) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.fails) > 0 {
		err := l.fails[0]
		l.fails = l.fails[1:]
		return nil, &net.OpError{Op: "accept", Err: err}
	}
	return l.Listener.Accept()
}

func TestAcceptRecovers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newServer()
	serveOn(t, s, &flaky{Listener: l, fails: []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED, syscall.ENOBUFS}}, ListenOptions{})
	c := dial(t, "rs://"+l.Addr().String(), DialOptions{})
	send(t, c, OpMessage, []byte("x"))
	receive(t, c)
}

func TestServeReportsLastingFailure(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newServer()
	broken := errors.New("broken")
	if err := s.Serve(&flaky{Listener: l, fails: []error{broken}}, ListenOptions{}); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	s.Close()
	if err := s.Serve(l, ListenOptions{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// CloseListeners leaves the connections, Close ends them.
func TestClose(t *testing.T) {
	s, _ := newServer()
	address := serve(t, s, ListenOptions{})
	c := dial(t, "ws://"+address, DialOptions{})
	waiting := dialNet(t, address) // in the midst of its handshake
	waiting.Write([]byte("GET "))
	if err := s.CloseListeners(); err != nil {
		t.Fatal(err)
	}
	send(t, c, OpMessage, []byte("x"))
	receive(t, c)
	if nc, err := net.Dial("tcp", address); err == nil {
		nc.Close()
		t.Error("still accepting")
	}
	s.Close()
	if _, err := c.Read(); err == nil {
		t.Error("still connected")
	}
}

// ServeHTTP upgrades within somebody else's server.
func TestServeHTTP(t *testing.T) {
	s, turned := newServer()
	s.HTTP.MaxConnections = 1
	mux := http.NewServeMux()
	mux.Handle("/any/path", s)
	for _, h := range []*httptest.Server{httptest.NewServer(mux), httptest.NewTLSServer(mux)} {
		address := strings.Replace(h.URL, "http", "ws", 1) + "/any/path"
		var config *tls.Config
		if h.TLS != nil {
			config = h.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
			config.NextProtos = nil
		}
		c := dial(t, address, DialOptions{Serializer: wamp.CBOR, TLS: config})
		send(t, c, OpMessage, []byte("hello"))
		if f := receive(t, c); string(f.Body) != "hello" {
			t.Errorf("%q", f.Body)
		}
		var refused *HandshakeError
		if _, err := Dial(t.Context(), address, DialOptions{TLS: config}); !errors.As(err, &refused) || refused.Status != 503 {
			t.Errorf("one too many: %v", err)
		}
		turned.next(t)
		if _, err := Dial(t.Context(), address, DialOptions{TLS: config, Header: http.Header{"Origin": {"http://evil.example"}}}); !errors.As(err, &refused) || refused.Status != 403 {
			t.Errorf("foreign origin: %v", err)
		}
		turned.next(t)
		r, err := h.Client().Get(h.URL + "/any/path")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != 400 {
			t.Errorf("not an upgrade: status %d", r.StatusCode)
		}
		turned.next(t)
		c.Close()
		for s.httpListenerOf().open.Load() != 0 {
			time.Sleep(time.Millisecond)
		}
		h.Close()
	}
	s.Close()
}

// The router's refusals are told apart, and ctx bounds it all.
func TestDialFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, scheme := range []string{"rs", "ws", "rss", "wss"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if _, err := Dial(ctx, scheme+"://"+l.Addr().String(), DialOptions{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s, a router that says nothing: %v", scheme, err)
		}
		cancel()
	}
	for _, url := range []string{"http://x", "ws//x", "rs://127.0.0.1", "\x00"} {
		if _, err := Dial(t.Context(), url, DialOptions{}); err == nil {
			t.Errorf("%q was dialled", url)
		}
	}
	s, _ := newServer()
	address := serve(t, s, ListenOptions{Serializers: []wamp.Serializer{wamp.CBOR}})
	var refused *HandshakeError
	if _, err := Dial(t.Context(), "rs://"+address, DialOptions{}); !errors.As(err, &refused) || refused.Code != rawErrSerializer {
		t.Errorf("%v", err)
	}
	if _, err := Dial(t.Context(), "ws://"+address, DialOptions{}); !errors.As(err, &refused) || refused.Status != 400 {
		t.Errorf("%v", err)
	}
	if _, err := Dial(t.Context(), "ws://"+address+"/none", DialOptions{Serializer: wamp.CBOR}); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("%v", err)
	}
}
