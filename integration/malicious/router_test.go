package malicious

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

func TestMain(m *testing.M) { routertest.Main(m) }

// router is a router that routes as it should, but that what it delivers goes
// through meddle.
type router struct {
	t testing.TB

	mu            sync.Mutex
	peers         []*peer
	subscriptions map[wamp.URI]*topic
	procedures    map[wamp.URI]*procedure
	calls         map[wamp.ID]*call // by the request of the invocation
	last          wamp.ID
	// meddle gets what is to be delivered and returns what is delivered instead. It
	// is called with mu held.
	meddle func(d delivery) []delivery
	// recorded is all that was ever delivered.
	recorded []delivery
}

type topic struct {
	id   wamp.ID
	subs []*peer
}

type procedure struct {
	id     wamp.ID
	callee *peer
}

// call is a call under way.
type call struct {
	caller  *peer
	request wamp.ID
	callee  *peer
}

// peer is a client's connection.
type peer struct {
	name string
	conn transport.Conn
	sent map[wamp.ID]wamp.ID // its calls: their request to that of the invocation
}

// delivery is a message on its way to a client.
type delivery struct {
	to *peer
	m  wamp.Message
	// from is who answers, for an answer.
	from *peer
}

func newRouter(t testing.TB) *router {
	return &router{t: t, subscriptions: make(map[wamp.URI]*topic), procedures: make(map[wamp.URI]*procedure), calls: make(map[wamp.ID]*call)}
}

// meddleWith sets what is done to deliveries.
func (r *router) meddleWith(f func(d delivery) []delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meddle = f
}

// join connects a client.
func (r *router) join(name string, c client.Config) *client.Session {
	r.t.Helper()
	near, far := transport.Pipe(wamp.CBOR)
	p := &peer{name: name, conn: far, sent: make(map[wamp.ID]wamp.ID)}
	r.mu.Lock()
	r.peers = append(r.peers, p)
	r.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.serve(p)
	}()
	s, err := client.Join(routertest.Context(r.t), near, c)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = s.Close()
		_ = far.Close()
		<-done
	})
	return s
}

func (r *router) peer(name string) *peer {
	for _, p := range r.peers {
		if p.name == name {
			return p
		}
	}
	r.t.Fatalf("there is no %s", name)
	return nil
}

func (r *router) serve(p *peer) {
	for {
		f, err := p.conn.Read()
		if err != nil {
			return
		}
		if f.Op != transport.OpMessage {
			continue
		}
		m, err := codec.NewDecoder().Decode(wamp.CBOR, append([]byte(nil), f.Body...))
		if err != nil {
			r.t.Errorf("a client sends what is no message: %v", err)
			return
		}
		if !r.treat(p, m) {
			return
		}
	}
}

func (r *router) next() wamp.ID {
	r.last++
	return r.last
}

// treat routes a message. It reports whether the session goes on.
func (r *router) treat(p *peer, m wamp.Message) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	everything := wamp.Role{Present: true, Features: ^wamp.Features(0)}
	switch m := m.(type) {
	case *wamp.Hello:
		p.write(r.t, &wamp.Welcome{Session: r.next(), Details: wamp.WelcomeDetails{Roles: wamp.Roles{Broker: everything, Dealer: everything}}})
	case *wamp.Goodbye:
		p.write(r.t, &wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
		return false
	case *wamp.Subscribe:
		s := r.subscriptions[m.Topic]
		if s == nil {
			s = &topic{id: r.next()}
			r.subscriptions[m.Topic] = s
		}
		s.subs = append(s.subs, p)
		p.write(r.t, &wamp.Subscribed{Request: m.Request, Subscription: s.id})
	case *wamp.Register:
		r.procedures[m.Procedure] = &procedure{r.next(), p}
		p.write(r.t, &wamp.Registered{Request: m.Request, Registration: r.procedures[m.Procedure].id})
	case *wamp.Publish:
		r.publish(p, m)
	case *wamp.Call:
		r.invoke(p, m)
	case *wamp.Yield:
		r.answer(m.Request, !m.Options.Progress, func(c *call) delivery {
			return delivery{c.caller, &wamp.Result{Request: c.request, Details: m.Options, Payload: m.Payload}, p}
		})
	case *wamp.Error:
		r.answer(m.Request, true, func(c *call) delivery {
			return delivery{c.caller, &wamp.Error{RequestType: wamp.TypeCall, Request: c.request, Details: m.Details, Error: m.Error, Payload: m.Payload}, p}
		})
	}
	return true
}

func (r *router) publish(p *peer, m *wamp.Publish) {
	id := r.next()
	if s := r.subscriptions[m.Topic]; s != nil {
		for _, sub := range s.subs {
			if sub != p || m.Options.ExcludeMe == wamp.False {
				r.deliver(delivery{to: sub, m: &wamp.Event{Subscription: s.id, Publication: id, Details: wamp.EventDetails{Attributes: m.Options.Attributes}, Payload: m.Payload}})
			}
		}
	}
	if m.Options.Acknowledge == wamp.True {
		p.write(r.t, &wamp.Published{Request: m.Request, Publication: id})
	}
}

func (r *router) invoke(p *peer, m *wamp.Call) {
	proc := r.procedures[m.Procedure]
	id, again := p.sent[m.Request]
	if !again {
		id = r.next()
		p.sent[m.Request] = id
		r.calls[id] = &call{p, m.Request, proc.callee}
	}
	d := wamp.InvocationDetails{Attributes: m.Options.Attributes, Progress: m.Options.Progress == wamp.True, ReceiveProgress: m.Options.ReceiveProgress == wamp.True}
	r.deliver(delivery{to: proc.callee, m: &wamp.Invocation{Request: id, Registration: proc.id, Details: d, Payload: m.Payload}})
}

// answer delivers an answer to an invocation; the final one ends it.
func (r *router) answer(id wamp.ID, final bool, make func(c *call) delivery) {
	c := r.calls[id]
	if c == nil {
		return
	}
	if final {
		delete(r.calls, id)
	}
	r.deliver(make(c))
}

// deliver delivers what meddle makes of a message. A call that has ended gets
// nothing more: that would break the protocol, which clients notice anyway.
func (r *router) deliver(d delivery) {
	out := []delivery{d}
	if r.meddle != nil {
		out = r.meddle(d)
	}
	r.recorded = append(r.recorded, d)
	for _, d := range out {
		d.to.write(r.t, d.m)
	}
}

func (p *peer) write(t testing.TB, m wamp.Message) {
	body, err := codec.Append(nil, wamp.CBOR, m)
	if err != nil {
		t.Errorf("%T: %v", m, err)
		return
	}
	// A client that has gone is none of the tests' business.
	_, _ = p.conn.Write([][]byte{p.conn.Framing().AppendFrame(nil, transport.OpMessage, body)}, 20*time.Second)
}

// sealedBytes returns the payload of a message, and its attributes.
func sealedBytes(t testing.TB, m wamp.Message) ([]byte, wamp.Attributes) {
	p, a := m.(wamp.Carrier).Carried()
	data, ok := codec.Binary(p)
	if !ok {
		t.Fatalf("%T carries no binary", m)
	}
	return append([]byte(nil), data...), *a
}

// with returns a copy of a message with another payload.
func with(m wamp.Message, data []byte, a wamp.Attributes) wamp.Message {
	p := codec.BinaryPayload(wamp.CBOR, wamp.FormPassthru, data)
	switch m := m.(type) {
	case *wamp.Event:
		c := *m
		c.Payload, c.Details.Attributes = p, a
		return &c
	case *wamp.Invocation:
		c := *m
		c.Payload, c.Details.Attributes = p, a
		return &c
	case *wamp.Result:
		c := *m
		c.Payload, c.Details.Attributes = p, a
		return &c
	case *wamp.Error:
		c := *m
		c.Payload, c.Details.Attributes = p, a
		return &c
	}
	return m
}

func within(t testing.TB) context.Context { return routertest.Context(t) }
