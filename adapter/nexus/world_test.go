package nexus

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	nexusrouter "github.com/gammazero/nexus/v3/router"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/metrics"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// world is a nexus router with what the adapter adds, and the ways to it.
type world struct {
	t        testing.TB
	router   *Router
	registry *prometheus.Registry
	server   *transport.Server
}

type settings struct {
	passthrough passthrough.Config
	limits      router.Limits
	realm       nexusrouter.RealmConfig
	transport   transport.Limits
}

// newWorld starts a router, which ends with the test.
func newWorld(t testing.TB, change ...func(*settings)) *world {
	t.Helper()
	s := settings{
		realm:     nexusrouter.RealmConfig{URI: routertest.Realm, AnonymousAuth: true, AllowDisclose: true},
		limits:    router.Limits{Message: 16 << 20, Queue: 64 << 20},
		transport: transport.Limits{MaxMessage: 16 << 20},
	}
	for _, f := range change {
		f(&s)
	}
	interceptor, err := passthrough.New(s.passthrough)
	routertest.NoError(t, err)
	w := &world{t: t, registry: prometheus.NewRegistry()}
	observer, err := metrics.New(w.registry, metrics.Options{Realms: []string{routertest.Realm}, Version: "test"})
	routertest.NoError(t, err)
	w.router, err = NewRouter(&nexusrouter.Config{RealmConfigs: []*nexusrouter.RealmConfig{&s.realm}}, log.New(io.Discard, "", 0),
		Options{Interceptors: []router.Interceptor{interceptor}, Observers: []router.Observer{observer}, Limits: s.limits})
	routertest.NoError(t, err)
	w.server = &transport.Server{Handle: w.router.Accept, Rejected: w.router.Rejected, Limits: s.transport}
	t.Cleanup(func() {
		w.router.Close()
		if err := w.server.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// listen returns the addresses of a listener for both transports.
func (w *world) listen() map[string]string {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	routertest.NoError(w.t, err)
	go func() { _ = w.server.Serve(l, transport.ListenOptions{}) }()
	return map[string]string{"websocket": "ws://" + l.Addr().String() + "/", "rawsocket": "rs://" + l.Addr().String()}
}

// dial connects in memory.
func (w *world) dial(s wamp.Serializer) *routertest.Peer {
	w.t.Helper()
	client, server := transport.Pipe(s)
	go w.router.Accept(server)
	w.t.Cleanup(func() { _ = client.Close() })
	return &routertest.Peer{T: w.t, Name: "stranger", Conn: client}
}

// join opens a session in memory.
func (w *world) join(name string, s wamp.Serializer, change ...func(*wamp.Hello)) *routertest.Peer {
	w.t.Helper()
	p := w.dial(s)
	p.Name = name
	p.Hello(change...)
	return p
}

// dialOver connects to a listener.
func (w *world) dialOver(url string, s wamp.Serializer) *routertest.Peer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := transport.Dial(ctx, url, transport.DialOptions{Serializer: s})
	routertest.NoError(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	return &routertest.Peer{T: w.t, Name: "stranger", Conn: conn}
}

// joinOver opens a session with a listener.
func (w *world) joinOver(url, name string, s wamp.Serializer) *routertest.Peer {
	w.t.Helper()
	p := w.dialOver(url, s)
	p.Name = name
	p.Hello()
	return p
}

func (w *world) scrape() string {
	rec := httptest.NewRecorder()
	metrics.Handler(w.registry, nil).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	return rec.Body.String()
}

// wantMetric waits for a line: what is counted at a receiver is counted after it was sent.
func (w *world) wantMetric(line string) {
	w.t.Helper()
	for deadline := time.Now().Add(routertest.Timeout); !strings.Contains(w.scrape(), line+"\n"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Errorf("metrics lack %q; there are\n%s", line, strings.Join(nonzero(w.scrape(), "blindfold_"), ""))
			return
		}
	}
}

// nonzero returns the lines of metrics with a prefix that say anything.
func nonzero(text string, prefixes ...string) (lines []string) {
	for l := range strings.Lines(text) {
		for _, prefix := range prefixes {
			if strings.HasPrefix(l, prefix) && !strings.HasSuffix(l, " 0\n") {
				lines = append(lines, l)
			}
		}
	}
	return lines
}

// expectNothing shows that nothing is on its way to the peer: what it asks for itself
// comes next.
func expectNothing(p *routertest.Peer) {
	p.T.Helper()
	p.ExpectError(p.Call("com.nobody", wamp.Attributes{}, wamp.Payload{}), wamp.ErrNoSuchProcedure)
}

// sendWith sends m, which has no payload, with a tail of so many elements.
func sendWith(p *routertest.Peer, m wamp.Message, tail string, elements int) {
	p.T.Helper()
	s := p.Conn.Info().Serializer
	body, err := codec.Append(nil, s, m)
	routertest.NoError(p.T, err)
	if s == wamp.JSON {
		body = append(append(append(body[:len(body)-1], " ,\t"...), tail...), " \n]"...)
	} else {
		body[0] += byte(elements)
		body = append(body, tail...)
	}
	p.SendRaw(body)
}

// wantTail receives a message of type M that must carry the attributes and end with the tail.
func wantTail[M wamp.Carrier](p *routertest.Peer, a wamp.Attributes, tail string) M {
	p.T.Helper()
	_ = p.Conn.SetReadDeadline(time.Now().Add(routertest.Timeout))
	for {
		f, err := p.Conn.Read()
		routertest.NoError(p.T, err)
		if f.Op != transport.OpMessage {
			continue
		}
		body := bytes.Clone(f.Body)
		m, err := codec.NewDecoder().Decode(p.Conn.Info().Serializer, body)
		routertest.NoError(p.T, err)
		carrier, ok := m.(M)
		if !ok {
			p.T.Fatalf("%s: got %v: %+v", p.Name, m.Type(), m)
		}
		if _, got := carrier.Carried(); *got != a {
			p.T.Errorf("%s: %v: attributes are %+v, want %+v", p.Name, m.Type(), *got, a)
		}
		if p.Conn.Info().Serializer == wamp.JSON {
			tail += "]"
		}
		if !bytes.HasSuffix(body, []byte(tail)) {
			p.T.Errorf("%s: %v: %q does not end with %q", p.Name, m.Type(), body, tail)
		}
		return carrier
	}
}

var (
	box = wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "json", EncKey: "k"}
	ppt = wamp.Attributes{PPTScheme: "x_own", PPTSerializer: "cbor", PPTCipher: "c", PPTKeyID: "id"}
)

// tails are payloads as no encoder that reads them would write them again, clear ones
// among them.
var tails = []struct {
	name  string
	s     wamp.Serializer
	a     wamp.Attributes
	tail  string
	elems int
}{
	{"box", wamp.JSON, box, `"\u0000AAEC\u0041w=="`, 1},
	{"bare binary without attributes", wamp.JSON, wamp.Attributes{}, `"\u0000AAEC"`, 1},
	{"ppt", wamp.JSON, ppt, `[ "\u0000AAEC\u0041w==" ]`, 1},
	{"ppt native", wamp.JSON, ppt, `[ {"args": [1.00, "\u0041"] ,"kwargs":{}} ]`, 1},
	{"ppt, empty kwargs", wamp.JSON, ppt, `[ "\u0000AAEC" ],{ }`, 2},
	{"clear", wamp.JSON, wamp.Attributes{}, `[ 1.00, "\u0041", 12345678901234567890123 ],{"a" : 1e1 }`, 2},
	{"box", wamp.MsgPack, box, "\xc6\x00\x00\x00\x03\x00\x01\x02", 1},
	{"bare binary without attributes", wamp.MsgPack, wamp.Attributes{}, "\xc5\x00\x01\xff", 1},
	{"ppt", wamp.MsgPack, ppt, "\xdc\x00\x01\xc6\x00\x00\x00\x01\xff", 1},
	{"ppt native", wamp.MsgPack, ppt, "\x91\x81\xd9\x01a\xcd\x00\x01", 1},
	{"clear", wamp.MsgPack, wamp.Attributes{}, "\x92\xd9\x01a\xcd\x00\x01", 1},
	{"box", wamp.CBOR, box, "\x5f\x42\x00\x01\x41\xff\xff", 1},
	{"bare binary without attributes", wamp.CBOR, wamp.Attributes{}, "\x5a\x00\x00\x00\x01\xff", 1},
	{"box in tag 64", wamp.CBOR, box, "\xd8\x40\x43\x00\x01\x02", 1},
	{"ppt", wamp.CBOR, ppt, "\x9f\x5a\x00\x00\x00\x01\xff\xff", 1},
	{"ppt native", wamp.CBOR, ppt, "\x81\xbf\x61a\x19\x00\x01\xff", 1},
	{"clear", wamp.CBOR, wamp.Attributes{}, "\x9f\x1b\x00\x00\x00\x00\x00\x00\x00\x01\xff", 1},
}
