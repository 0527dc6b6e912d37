package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

func TestAddressesBoundConnections(t *testing.T) {
	var a addresses
	now := time.Unix(1000, 0)
	l := Limits{PerAddress: 2}
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for i, want := range []*wamp.Refusal{nil, nil, refuseAddress} {
		if got := a.acquire(one, l, now); got != want {
			t.Errorf("connection %d: %v", i, got)
		}
	}
	if got := a.acquire(two, l, now); got != nil {
		t.Errorf("another address: %v", got)
	}
	a.release(one)
	if got := a.acquire(one, l, now); got != nil {
		t.Errorf("after one has left: %v", got)
	}
	// A /64 network is one, and an IPv4 address written as IPv6 is itself.
	six := func(s string) *wamp.Refusal { return a.acquire(netip.MustParseAddr(s), l, now) }
	if six("2001:db8::1") != nil || six("2001:db8::2") != nil || six("2001:db8::3") != refuseAddress || six("2001:db8:0:1::1") != nil {
		t.Error("IPv6 addresses are not counted by their /64")
	}
	if six("::ffff:192.0.2.1") != refuseAddress {
		t.Error("a mapped address is another one")
	}
	// Unix sockets have none.
	for range 5 {
		if a.acquire(netip.Addr{}, l, now) != nil {
			t.Error("a Unix socket is counted")
		}
	}
}

func TestAddressesBoundRates(t *testing.T) {
	var a addresses
	now := time.Unix(1000, 0)
	l := Limits{ConnectRate: 2}
	one := netip.MustParseAddr("192.0.2.1")
	try := func() bool {
		ok := a.acquire(one, l, now) == nil
		if ok {
			a.release(one)
		}
		return ok
	}
	allowed := func(tries int) (n int) {
		for range tries {
			if try() {
				n++
			}
		}
		return n
	}
	if allowed(3) != 2 {
		t.Error("the first burst is not two")
	}
	now = now.Add(500 * time.Millisecond)
	if allowed(2) != 1 {
		t.Error("half a second does not give one back")
	}
	now = now.Add(time.Hour)
	if allowed(3) != 2 {
		t.Error("an hour gives back more than a burst")
	}
	// What can be forgotten is.
	for i := range 5000 {
		now = now.Add(time.Second)
		from := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		if a.acquire(from, l, now) == nil {
			a.release(from)
		}
	}
	if len(a.known) > 2000 {
		t.Errorf("%d addresses are remembered", len(a.known))
	}
}

func TestForwardedFor(t *testing.T) {
	opts := &ListenOptions{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for header, want := range map[string]string{
		"192.0.2.7":                     "192.0.2.7",
		"198.51.100.1, 192.0.2.7":       "192.0.2.7", // the client wrote the first
		"192.0.2.7, 10.1.2.3":           "192.0.2.7", // two proxies
		"192.0.2.7:4711":                "192.0.2.7",
		"[2001:db8::1]:4711":            "2001:db8::1",
		"192.0.2.7, nonsense, 10.0.0.1": "10.0.0.1",
		"nonsense":                      "",
		"":                              "",
		"10.9.9.9":                      "10.9.9.9",
	} {
		u := upgrade{opts: opts, trusted: true}
		u.recordHeader("X-Forwarded-For", header)
		got, ok := u.client()
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%q: %v, %v, want %q", header, got, ok, want)
		}
		u = upgrade{opts: opts}
		u.recordHeader("X-Forwarded-For", header)
		if _, ok := u.client(); ok || u.header != nil {
			t.Errorf("%q is believed though nobody is listed", header)
		}
	}
}

// serveOne serves a listener with opts and limits, and returns its address and
// what it handed over.
func serveOne(t *testing.T, l Limits, opts ListenOptions, handle func(Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Handle: handing(handle), Limits: l}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ln, opts) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return ln.Addr().String()
}

func TestOverTheLimitOfAnAddress(t *testing.T) {
	hold := make(chan struct{})
	address := serveOne(t, Limits{PerAddress: 1}, ListenOptions{}, func(Conn) { <-hold })
	defer close(hold)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	first, err := Dial(ctx, "rs://"+address, DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	var refused *HandshakeError
	if _, err := Dial(ctx, "rs://"+address, DialOptions{}); !errors.As(err, &refused) || refused.Code != rawErrConnections {
		t.Errorf("RawSocket: %v", err)
	}
	if _, err := Dial(ctx, "ws://"+address, DialOptions{}); !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable {
		t.Errorf("WebSocket: %v", err)
	}
}

func TestAProxysClientIsWhoIsCounted(t *testing.T) {
	hold := make(chan struct{})
	got := make(chan *Info, 3)
	opts := ListenOptions{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	address := serveOne(t, Limits{PerAddress: 1}, opts, func(c Conn) { got <- c.Info(); <-hold })
	defer close(hold)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dial := func(client string) error {
		c, err := Dial(ctx, "ws://"+address, DialOptions{Header: http.Header{"X-Forwarded-For": {client}}})
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
		}
		return err
	}
	for _, client := range []string{"192.0.2.1", "192.0.2.2"} {
		if err := dial(client); err != nil {
			t.Fatal(err)
		}
		if info := <-got; info.Address != client {
			t.Errorf("address %q, want %q", info.Address, client)
		}
	}
	if err := dial("192.0.2.1"); err == nil {
		t.Error("a second connection of one client")
	}
}

// What was said last can be read, though the peer sent much that nobody read.
func TestLinger(t *testing.T) {
	const last = "the last word"
	address := serveOne(t, Limits{}, ListenOptions{}, func(c Conn) {
		frame := c.Framing().AppendFrame(nil, OpMessage, []byte(last))
		if _, err := c.Write([][]byte{frame}, time.Second); err != nil {
			t.Error(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Error(err)
		}
		c.Linger(patience)
	})
	for range 20 {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		hello := newRawHello(maxMessage, wamp.JSON)
		if _, err := nc.Write(hello[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write(make([]byte, 4<<20)); err != nil {
			t.Fatalf("the connection broke while sending: %v", err)
		}
		if err := nc.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(nc)
		if err != nil || !strings.HasSuffix(string(all), last) {
			t.Fatalf("%q, %v", all, err)
		}
		_ = nc.Close()
	}
}
