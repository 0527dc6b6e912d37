package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// few is a run of some hundred messages; the time only bounds a run that hangs.
var few = bound{length: time.Minute, most: 500}

func router(t *testing.T, b *builder) *process {
	t.Helper()
	p, err := b.start(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return p
}

// Every case runs against the built router, and nothing is lost.
func TestCases(t *testing.T) {
	p := router(t, &builder{dir: t.TempDir()})
	for _, c := range cases(true) {
		t.Run(c.Name, func(t *testing.T) {
			e, ok := p.endpoint(c.transport, c.serializer)
			if !ok {
				t.Fatal("no URL for it")
			}
			var s sample
			var err error
			switch {
			case c.fanout != nil:
				s, err = c.fanout.run(t.Context(), e, few)
			case c.calling != nil:
				b := few
				if c.calling.pace > 0 { // that one is bounded by time alone
					b.length = 100 * time.Millisecond
				}
				s, err = c.calling.run(t.Context(), e, b)
				if s.P50 <= 0 || s.P99 < s.P50 {
					t.Errorf("latencies are %v and %v", s.P50, s.P99)
				}
			default:
				s, err = idling{sessions: 50}.run(t.Context(), e, p.collect)
				s.Ops = 1
			}
			if err != nil {
				t.Error(err)
			}
			if s.Ops < 1 {
				t.Error("nothing was measured")
			}
		})
	}
}

// Every curve can be grown.
func TestCurves(t *testing.T) {
	b := &builder{dir: t.TempDir(), limits: limitsToGrow}
	for _, c := range curves() {
		t.Run(c.Name, func(t *testing.T) {
			sizes := []int{1, 10}
			switch c.Name {
			case "memory":
				sizes = []int{100}
			case "payload":
				sizes = []int{64, c.most}
			}
			got := plotted{Name: c.Name, Title: c.title}
			g := &growing{router(t, b), few}
			if err := c.grow(t.Context(), g, sizes, func(s string, x int, y float64) { got.add(s, float64(x), y+1) }); err != nil {
				t.Fatal(err)
			}
			if len(got.Series) == 0 || len(got.Series[0].Points) != len(sizes) {
				t.Errorf("measured %v", got.Series)
			}
			if svg := got.svg(); strings.Count(svg, "<circle") != len(sizes)*len(got.Series) {
				t.Errorf("the plot lacks points: %s", svg)
			}
		})
	}
}

// lossy is a NATS server for one publisher and one subscriber that drops the
// message number drop.
func lossy(t *testing.T, drop int) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	subscriber := make(chan net.Conn, 1)
	serve := func(c net.Conn) {
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, "INFO {}\r\n")
		var pending []byte
		buf := make([]byte, 4096)
		passed := 0
		var to net.Conn
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			pending = append(pending, buf[:n]...)
			for {
				line, rest, ok := bytes.Cut(pending, []byte("\r\n"))
				if !ok {
					break
				}
				var subject string
				var size int
				switch {
				case bytes.HasPrefix(line, []byte("PING")):
					_, _ = io.WriteString(c, "PONG\r\n")
				case bytes.HasPrefix(line, []byte("SUB")):
					subscriber <- c
				default:
					if n, _ := fmt.Sscanf(string(line), "PUB %s %d", &subject, &size); n != 2 {
						break
					}
					if len(rest) < size+2 {
						ok = false
						break
					}
					if to == nil {
						to = <-subscriber
					}
					if passed++; passed != drop {
						_, _ = fmt.Fprintf(to, "MSG %s 1 %d\r\n%s", subject, size, rest[:size+2])
					}
					rest = rest[size+2:]
				}
				if !ok {
					break
				}
				pending = rest
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}

// A message that a server loses is noticed, wherever in the run it was.
func TestLossIsNoticed(t *testing.T) {
	for _, drop := range []int{0, 1, warmUp + 10} {
		w := fanout{payload: payload{size: 16}, topics: []string{"topic"}, subscribers: 1, window: 16, stall: 500 * time.Millisecond}
		_, err := w.run(t.Context(), endpoint{address: lossy(t, drop), dialect: natsDialect{}}, bound{time.Minute, 300})
		if (err == nil) != (drop == 0) {
			t.Errorf("with message %d lost: %v", drop, err)
		}
	}
}

// A subscriber that is cut off ends the run.
func TestCutOffIsNoticed(t *testing.T) {
	p := router(t, &builder{dir: t.TempDir()})
	e, _ := p.endpoint("rawsocket", wamp.CBOR)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := newCrowd(ctx, e)
	defer c.end()
	k, err := c.join(4096)
	if err != nil {
		t.Fatal(err)
	}
	c.run("subscriber", events(k, newGate(1), 0))
	if _, err := k.Write([]byte{0xff, 0xff, 0xff, 0xff}); err != nil { // no RawSocket frame
		t.Fatal(err)
	}
	<-c.ctx.Done()
	if err := context.Cause(c.ctx); !strings.Contains(err.Error(), "subscriber") {
		t.Error(err)
	}
}

// What is patched in place is what the codec reads.
func TestSlab(t *testing.T) {
	for _, s := range wamp.Serializers {
		for _, websocket := range []bool{false, true} {
			d := &wampDialect{websocket: websocket, serializer: s}
			slab := d.publications([]string{"com.example.a", "com.example.b"}, payload{300, "passthru"})
			for id := uint64(1); id < 1000; id += 300 {
				b, n := slab.take(3, id)
				for i := range n {
					var body []byte
					if body, b = unwrap(t, websocket, b); body == nil {
						t.Fatalf("%s, websocket %v: no frame", s, websocket)
					}
					m, err := codec.NewDecoder().Decode(s, body)
					if err != nil {
						t.Fatalf("%s, websocket %v: %v", s, websocket, err)
					}
					p := m.(*wamp.Publish)
					if p.Request != wamp.ID(id)+wamp.ID(i) || !p.Payload.Opaque() || p.Payload.Size() != 300 {
						t.Errorf("%s, websocket %v: request %d of %d, %v", s, websocket, p.Request, id, &p.Payload)
					}
				}
				if len(b) > 0 {
					t.Errorf("%d bytes are left", len(b))
				}
			}
		}
	}
}

// unwrap takes a frame, of less than 64 KiB, off b.
func unwrap(t *testing.T, websocket bool, b []byte) (body, rest []byte) {
	t.Helper()
	if !websocket {
		n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		return b[4 : 4+n], b[4+n:]
	}
	at, n := 2, int(b[1]&0x7f)
	if n == 126 {
		at, n = 4, int(b[2])<<8|int(b[3])
	}
	for i := range n {
		body = append(body, b[at+4+i]^b[at+i&3])
	}
	return body, b[at+4+n:]
}

// Heads are read however the bytes come in.
func TestHeads(t *testing.T) {
	type want struct {
		kind kind
		id   uint64
		data string
	}
	check := func(name string, d dialect, b []byte, want want) {
		t.Helper()
		for n := range len(b) + 1 {
			f, ok := d.head(b[:n])
			if n == len(b) && !ok {
				t.Errorf("%s: no head", name)
			}
			if ok && (f.kind != want.kind || f.size != len(b) || want.id != 0 && f.id != want.id || string(f.data) != want.data) {
				t.Errorf("%s: %+v after %d bytes, want %+v", name, f, n, want)
			}
		}
	}
	for _, s := range wamp.Serializers {
		d := &wampDialect{serializer: s}
		sealed, attributes := d.sealed(payload{1000, "passthru"})
		for _, id := range []wamp.ID{1, 24, 200, 60_000, 1 << 20, wide} {
			check("INVOCATION", d, d.frame(nil, &wamp.Invocation{Request: id, Registration: 7, Payload: sealed,
				Details: wamp.InvocationDetails{Attributes: attributes}}), want{kindInvoked, uint64(id), ""})
			check("RESULT", d, d.frame(nil, &wamp.Result{Request: id}), want{kindResult, uint64(id), ""})
			check("EVENT", d, d.frame(nil, &wamp.Event{Subscription: id, Publication: 5}), want{kindEvent, uint64(id), ""})
		}
		check("PING", d, []byte{1, 0, 0, 2, 'h', 'i'}, want{kindPing, 0, "hi"})
		d.websocket = true
		check("ping", d, []byte{0x89, 2, 'h', 'i'}, want{kindPing, 0, "hi"})
		check("pong", d, []byte{0x8a, 2, 'h', 'i'}, want{kindOther, 0, "hi"})
	}
	check("MSG", natsDialect{}, []byte("MSG a.b 1 5\r\nhello\r\n"), want{kindEvent, 0, ""})
	check("MSG with a reply", natsDialect{}, []byte("MSG a.b 1 in.box 5\r\nhello\r\n"), want{kindInvoked, 0, "in.box"})
	check("PING", natsDialect{}, []byte("PING\r\n"), want{kindPing, 0, ""})
	check("-ERR", natsDialect{}, []byte("-ERR 'no'\r\n"), want{kindRefused, 0, "-ERR 'no'"})
}

// Load is sent to this machine only.
func TestPeers(t *testing.T) {
	for s, good := range map[string]bool{
		"a=rs://127.0.0.1:8081":          true,
		"a=ws://localhost:8080/ws,pid=1": true,
		"a=nats://[::1]:4222":            true,
		"a=rs://192.0.2.1:8081":          false,
		"a=ws://example.com:80/":         false,
		"a=http://127.0.0.1:80":          false,
		"rs://127.0.0.1:8081":            false,
		"a=rs://127.0.0.1:8081,pid=x":    false,
	} {
		if _, err := addPeer(nil, s); (err == nil) != good {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// What was measured comes out again, with its ratios.
func TestReport(t *testing.T) {
	r := &results{Targets: []string{"blindfold", "nats"}, Yardstick: "nats", Pairs: 3, Cases: []outcome{{
		Name: "fanout", Bars: bars{Rate: 1.3, CPU: 0.7},
		Runs: map[string][]sample{
			"blindfold": {{Ops: 300, Seconds: 1, CPU: 1}, {Ops: 200, Seconds: 1, CPU: 1}, {Ops: 400, Seconds: 1, CPU: 1}},
			"nats":      {{Ops: 100, Seconds: 1, CPU: 1}, {Ops: 100, Seconds: 1, CPU: 0.1}, {Error: "lost"}},
		}}}}
	var b strings.Builder
	r.table(&b)
	for _, want := range []string{"300/s", "rate 2.50 ≥ 1.3 ✓", "CPU 2.67 ≤ 0.7 ✗", "(lost)"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
}
