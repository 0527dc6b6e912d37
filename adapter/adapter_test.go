package adapter

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

func TestMain(m *testing.M) { routertest.Main(m) }

// observer keeps what it is told.
type observer struct {
	mu   sync.Mutex
	seen []string
}

func (o *observer) Observe(e *router.Observation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	what := map[router.Kind]string{router.SessionOpened: "opened", router.SessionClosed: "closed", router.Refused: "refused",
		router.Rejected: "rejected", router.Dropped: "dropped", router.Slowed: "slowed"}[e.Kind]
	if e.Kind == router.SessionClosed && e.End != router.EndRefused {
		what += " " + string(e.End)
	}
	if e.Refusal != nil {
		what += " " + string(e.Refusal.Reason) + " " + string(e.Refusal.Limit)
	}
	o.seen = append(o.seen, strings.TrimSpace(what))
}

func (o *observer) want(t *testing.T, want ...string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if got := strings.Join(o.seen, ", "); got != strings.Join(want, ", ") {
		t.Errorf("observed %q, want %q", got, strings.Join(want, ", "))
	}
}

// connect returns a client of an adapter, welcomed or not, and the other end.
func connect(t *testing.T, a *Adapter, welcomed bool) (*Client, *routertest.Peer) {
	t.Helper()
	theirs, ours := transport.Pipe(wamp.CBOR)
	t.Cleanup(func() { _ = theirs.Close() })
	c := a.Client(ours)
	if welcomed {
		c.Peer.Session, c.Peer.Realm = 1, routertest.Realm
		c.Welcome()
	}
	return c, &routertest.Peer{T: t, Name: "peer", Conn: theirs}
}

// serve reads until the end, and closes the client.
func serve(c *Client, handle func(wamp.Message)) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, err := c.Read()
			if err != nil {
				break
			}
			handle(m)
		}
		c.Close()
	}()
	return done
}

func TestClientExchangesMessages(t *testing.T) {
	var o observer
	c, peer := connect(t, New(Options{Observers: []router.Observer{&o}}), true)
	done := serve(c, func(m wamp.Message) {
		p := m.(*wamp.Publish)
		if string(c.Envelope(nil)) == string(c.Body()) {
			t.Error("the envelope has the payload, too")
		}
		if r := c.Send(&wamp.Event{Subscription: 1, Publication: 2, Payload: p.Payload}, nil); r != nil {
			t.Error(r)
		}
		c.Flush()
	})
	for range 3 {
		peer.Send(&wamp.Publish{Request: 1, Topic: "com.t", Payload: peer.Clear("hi")})
		e := routertest.Expect[*wamp.Event](peer)
		if args, _, err := e.Payload.Decode(); err != nil || args[0] != "hi" {
			t.Error(args, err)
		}
	}
	ping := peer.Conn.Framing().AppendFrame(nil, transport.OpPing, []byte("x"))
	_, err := peer.Conn.Write([][]byte{ping}, time.Second)
	routertest.NoError(t, err)
	if f, err := peer.Conn.Read(); err != nil || f.Op != transport.OpPong || string(f.Body) != "x" {
		t.Errorf("%+v %v", f, err)
	}
	_ = peer.Conn.Close()
	<-done
	o.want(t, "opened", "closed connection_lost")
}

func TestClientEndsForAViolation(t *testing.T) {
	for name, c := range map[string]struct {
		welcomed bool
		limits   router.Limits
		send     func(*routertest.Peer)
		reason   wamp.URI // of ABORT; "": none
		observed []string
	}{
		"broken message": {true, router.Limits{}, func(p *routertest.Peer) { p.SendRaw([]byte{0x81, 0x18, 99}) }, wamp.ErrProtocolViolation,
			[]string{"opened", "refused protocol_violation", "closed protocol_violation"}},
		"broken before WELCOME": {false, router.Limits{}, func(p *routertest.Peer) { p.SendRaw([]byte{0}) }, wamp.ErrProtocolViolation, []string{"rejected protocol_violation"}},
		"too large":             {true, router.Limits{Message: 100}, func(p *routertest.Peer) { p.SendRaw(make([]byte, 101)) }, "", []string{"opened", "refused size message", "closed size message"}},
		"too large a HELLO":     {false, router.Limits{FirstMessage: 100}, func(p *routertest.Peer) { p.SendRaw(make([]byte, 101)) }, "", []string{"rejected size first_message"}},
		"no HELLO":              {false, router.Limits{Hello: 10 * time.Millisecond}, func(*routertest.Peer) {}, wamp.ErrTimeout, []string{"rejected protocol_violation hello"}},
		"no sign of life": {true, router.Limits{PingEvery: 5 * time.Millisecond, PingTimeout: 5 * time.Millisecond}, func(*routertest.Peer) {}, wamp.ErrTimeout,
			[]string{"opened", "refused protocol_violation ping_timeout", "closed protocol_violation ping_timeout"}},
	} {
		t.Run(name, func(t *testing.T) {
			var o observer
			client, peer := connect(t, New(Options{Observers: []router.Observer{&o}, Limits: c.limits}), c.welcomed)
			done := serve(client, func(m wamp.Message) { t.Errorf("read: %+v", m) })
			c.send(peer)
			m, err := peer.TryReceive()
			if abort, ok := m.(*wamp.Abort); c.reason != "" && (!ok || abort.Reason != c.reason) || c.reason == "" && err == nil {
				t.Errorf("got %+v, %v", m, err)
			}
			_ = peer.Conn.Close()
			<-done
			o.want(t, c.observed...)
		})
	}
}

// A client that does not read is told why it is cut off. Nobody waits for it who has not
// sent to it, and those who have wait for a bounded time.
func TestSlowClient(t *testing.T) {
	var o observer
	a := New(Options{Observers: []router.Observer{&o}, Limits: router.Limits{Message: 8 << 10, Queue: 32 << 10, BackpressureTimeout: 20 * time.Millisecond}})
	slow, peer := connect(t, a, true)
	sender, sending := connect(t, a, true)
	event := &wamp.Event{Subscription: 1, Publication: 2, Payload: peer.Clear(strings.Repeat("x", 4<<10))}
	done := serve(slow, func(wamp.Message) {})
	sent := serve(sender, func(wamp.Message) {
		if r := slow.Send(event, sender); r != nil {
			t.Error(r)
		}
		slow.Flush()
		sender.Send(&wamp.Published{Request: 1, Publication: 1}, nil)
		sender.Flush()
	})
	for range 40 { // of 4 KiB, where 64 KiB are in the pipe and 32 KiB may wait
		sending.Send(&wamp.Publish{Request: 1, Topic: "com.t"})
		routertest.Expect[*wamp.Published](sending)
	}
	for m := peer.Receive(); m.Type() != wamp.TypeAbort; m = peer.Receive() {
		if m.Type() != wamp.TypeEvent {
			t.Fatalf("%+v", m)
		}
	}
	_ = peer.Conn.Close()
	<-done
	_ = sending.Conn.Close()
	<-sent
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := strings.Join(o.seen, ", ")
	for _, want := range []string{"slowed queue_full backpressure_timeout", "dropped queue_full queue", "closed queue_full queue"} {
		if !strings.Contains(seen, want) {
			t.Errorf("observed %s, and not %s", seen, want)
		}
	}
}

func TestFrame(t *testing.T) {
	clear, err := codec.EncodePayload(wamp.CBOR, []any{"hi"}, nil)
	routertest.NoError(t, err)
	frame, size, r := Frame([]byte("before"), &wamp.Event{Subscription: 1, Publication: 2, Payload: clear}, wamp.JSON, transport.FramingRaw)
	if r != nil || string(frame) != "before\x00\x00\x00\x12[36,1,2,{},[\"hi\"]]" || size != 18 {
		t.Errorf("%q %d %v", frame, size, r)
	}
	opaque := codec.BinaryPayload(wamp.CBOR, wamp.FormTransparency, []byte{1})
	e := &wamp.Event{Subscription: 1, Publication: 2, Payload: opaque}
	if frame, _, r = Frame([]byte("before"), e, wamp.JSON, transport.FramingRaw); r == nil || r.Reason != wamp.ReasonConversion || string(frame) != "before" {
		t.Errorf("%q %v", frame, r)
	}
	if e.Payload.Serializer() != wamp.CBOR {
		t.Error("the message was changed")
	}
	large := codec.BinaryPayload(wamp.CBOR, wamp.FormTransparency, make([]byte, 1<<24))
	if _, _, r = Frame(nil, &wamp.Event{Subscription: 1, Publication: 2, Payload: large}, wamp.CBOR, transport.FramingRaw); r != router.MessageTooLarge {
		t.Errorf("%v", r)
	}
}

// An interceptor's own error is no refusal that it meant.
type failing struct{ err error }

func (f failing) Receive(*wamp.RoutedMessage) error             { return f.err }
func (f failing) Deliver(*wamp.RoutedMessage, *wamp.Peer) error { return f.err }

func TestInterceptorsAreAsked(t *testing.T) {
	blind, err := passthrough.New(passthrough.Config{})
	routertest.NoError(t, err)
	a := New(Options{Interceptors: []router.Interceptor{blind}})
	if len(a.Features()) == 0 {
		t.Error("no features are announced")
	}
	about := &wamp.RoutedMessage{Message: &wamp.Publish{Topic: "com.t", Options: wamp.PublishOptions{Attributes: wamp.Attributes{EncAlgo: "rot13"}}}}
	if r := a.Receive(about); r == nil || r.Reason != wamp.ReasonAttributes {
		t.Errorf("%v", r)
	}
	a = New(Options{Interceptors: []router.Interceptor{failing{nil}, failing{io.ErrUnexpectedEOF}}})
	if r := a.Receive(about); r == nil || r.Reason != wamp.ReasonInterceptor || errors.Is(r, io.ErrUnexpectedEOF) {
		t.Errorf("%v", r)
	}
	if r := a.Deliver(about, &wamp.Peer{}); r == nil || r.Reason != wamp.ReasonInterceptor {
		t.Errorf("%v", r)
	}
}

// A router that drops what has no room, and several that send at a time: nothing is lost.
func TestMailboxHasRoom(t *testing.T) {
	b := NewMailbox[int]()
	var senders sync.WaitGroup
	const each = 5000
	for range 4 {
		senders.Go(func() {
			for n := range each {
				select {
				case b.Send() <- n:
				default:
					t.Error("dropped")
					return
				}
			}
		})
	}
	go func() { senders.Wait(); b.Close() }()
	sum, pauses := 0, 0
	b.Each(func(int) { sum++ }, func() { pauses++ })
	if sum != 4*each || pauses == 0 {
		t.Errorf("%d of %d messages, %d pauses", sum, 4*each, pauses)
	}
	for range 2 * mailboxSize { // nobody takes anything any more, and nobody waits
		select {
		case b.Send() <- 1:
		default:
		}
	}
}

func TestInbox(t *testing.T) {
	stop := make(chan struct{})
	b := NewInbox[string](stop)
	b.Inject("injected")
	if m := <-b.Recv(); m != "injected" {
		t.Error(m)
	}
	b.Inject("never taken")
	b.End()
	if m, open := <-b.Recv(); open {
		t.Errorf("%q came after the end", m)
	}
	b.Inject("too late")
	b = NewInbox[string](stop)
	close(stop)
	b.Hand("unwanted")
	b.End()
}

func TestHeld(t *testing.T) {
	h := NewHeld(&router.Limits{Subscriptions: 2, Calls: 1})
	for n, match := range []string{"exact", "prefix"} {
		if r := h.Subscribing(wamp.ID(n+1), match); r != nil {
			t.Error(r)
		}
	}
	if r := h.Subscribing(3, ""); r != router.TooManySubscriptions {
		t.Errorf("%v", r)
	}
	h.Subscribed(1, 101)
	h.Subscribed(2, 102)
	if h.IsPattern(101) || !h.IsPattern(102) {
		t.Error("which subscription is to a pattern?")
	}
	if r := h.Subscribing(4, "wildcard"); r != nil {
		t.Error(r)
	}
	h.Subscribed(4, 0) // it was refused
	h.Unsubscribing(102)
	if h.IsPattern(102) || h.IsPattern(0) {
		t.Error("a subscription that is gone is one to a pattern")
	}
	first := wamp.Attributes{PPTScheme: "wamp"}
	call := &wamp.Call{Request: 1, Procedure: "com.p", Options: wamp.CallOptions{Attributes: first}}
	if r := h.Calling(call); r != nil {
		t.Error(r)
	}
	more := &wamp.Call{Request: 1, Procedure: "com.p"}
	if r := h.Calling(more); r != nil || more.Options.Attributes != first || !more.Payload.Opaque() {
		t.Errorf("%v %+v", r, more)
	}
	if r := h.Calling(&wamp.Call{Request: 2}); r != router.TooManyCalls {
		t.Errorf("%v", r)
	}
	if c, ended := h.Answered(1, false); c == nil || ended || c.First.Procedure != "com.p" {
		t.Errorf("%+v %v", c, ended)
	}
	h.EndCall(1)
	if _, ended := h.Answered(1, true); !ended {
		t.Error("the call has not ended")
	}
	if c, ended := h.Answered(1, true); c != nil || ended {
		t.Error("the call is still known")
	}
	if r := h.Invoking(1, "com.p"); r != nil {
		t.Error(r)
	}
	if r := h.Invoking(2, "com.p"); r == nil || r.Limit != wamp.LimitCalls {
		t.Errorf("%v", r)
	}
	if uri := h.Procedure(1, true); uri != "com.p" || h.Procedure(1, true) != "" {
		t.Errorf("%q", uri)
	}
}
