package integration

import (
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// peer is a client of the tests: it sends the messages that it is told to and
// says what it gets, one by one. Package client is the one for programs.
type peer struct {
	t       testing.TB
	name    string
	conn    transport.Conn
	id      wamp.ID
	welcome wamp.WelcomeDetails
	request wamp.ID
}

// patience is how long a peer waits for what must come.
const patience = 20 * time.Second

// allFeatures announces every feature for every role.
func allFeatures(h *wamp.Hello) {
	all := ^wamp.Features(0)
	r := &h.Details.Roles
	for _, role := range []*wamp.Role{&r.Publisher, &r.Subscriber, &r.Caller, &r.Callee} {
		*role = wamp.Role{Present: true, Features: all}
	}
}

// noFeatures announces the roles, and no feature.
func noFeatures(h *wamp.Hello) {
	r := &h.Details.Roles
	for _, role := range []*wamp.Role{&r.Publisher, &r.Subscriber, &r.Caller, &r.Callee} {
		role.Features = 0
	}
}

func (p *peer) hello(change ...func(*wamp.Hello)) {
	p.t.Helper()
	h := &wamp.Hello{Realm: realm}
	allFeatures(h)
	for _, f := range change {
		f(h)
	}
	p.send(h)
	w := expect[*wamp.Welcome](p)
	p.id, p.welcome = w.Session, w.Details
}

func (p *peer) serializer() wamp.Serializer { return p.conn.Info().Serializer }

// next returns the next request id.
func (p *peer) next() wamp.ID {
	p.request++
	return p.request
}

func (p *peer) send(m wamp.Message) {
	p.t.Helper()
	body, err := codec.Append(nil, p.serializer(), m)
	if err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
	p.sendRaw(body)
}

func (p *peer) sendRaw(body []byte) {
	p.t.Helper()
	frame := p.conn.Framing().AppendFrame(nil, transport.OpMessage, body)
	if _, err := p.conn.Write([][]byte{frame}, patience); err != nil {
		p.t.Fatalf("%s: write: %v", p.name, err)
	}
}

// receive returns the next message, which is the caller's to keep.
func (p *peer) receive() wamp.Message {
	p.t.Helper()
	m, err := p.tryReceive()
	if err != nil {
		p.t.Fatalf("%s: read: %v", p.name, err)
	}
	return m
}

func (p *peer) tryReceive() (wamp.Message, error) {
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	for {
		f, err := p.conn.Read()
		if err != nil {
			return nil, err
		}
		if f.Op == transport.OpMessage {
			return codec.NewDecoder().Decode(p.serializer(), append([]byte(nil), f.Body...))
		}
	}
}

// expect receives a message, which must be of type M.
func expect[M wamp.Message](p *peer) M {
	p.t.Helper()
	m := p.receive()
	want, ok := m.(M)
	if !ok {
		p.t.Fatalf("%s: want %v, got %v: %+v", p.name, want.Type(), m.Type(), m)
	}
	return want
}

// expectError receives the ERROR for a request.
func (p *peer) expectError(request wamp.ID, uri wamp.URI) *wamp.Error {
	p.t.Helper()
	e := expect[*wamp.Error](p)
	if e.Request != request || e.Error != uri {
		p.t.Fatalf("%s: want ERROR %s for request %d, got %s for %d: %s", p.name, uri, request, e.Error, e.Request, e.Details.Message)
	}
	return e
}

// expectAbort receives an ABORT, and then the end of the connection.
func (p *peer) expectAbort(uri wamp.URI) *wamp.Abort {
	p.t.Helper()
	a := expect[*wamp.Abort](p)
	if a.Reason != uri {
		p.t.Fatalf("%s: want ABORT %s, got %s: %s", p.name, uri, a.Reason, a.Details.Message)
	}
	for {
		if m, err := p.tryReceive(); err != nil {
			return a
		} else {
			p.t.Fatalf("%s: %v after ABORT", p.name, m.Type())
		}
	}
}

// expectNothing shows that nothing is on its way to the peer: what it asks for
// itself comes next.
func (p *peer) expectNothing() {
	p.t.Helper()
	request := p.next()
	p.send(&wamp.Unsubscribe{Request: request, Subscription: 1})
	p.expectError(request, wamp.ErrNoSuchSubscription)
}

func (p *peer) subscribe(topic wamp.URI, match wamp.Match) wamp.ID {
	p.t.Helper()
	m := &wamp.Subscribe{Request: p.next(), Topic: topic}
	if match != wamp.MatchExact {
		m.Options.Match = match.String()
	}
	p.send(m)
	return expect[*wamp.Subscribed](p).Subscription
}

func (p *peer) register(procedure wamp.URI, options wamp.RegisterOptions) wamp.ID {
	p.t.Helper()
	p.send(&wamp.Register{Request: p.next(), Procedure: procedure, Options: options})
	return expect[*wamp.Registered](p).Registration
}

// publish sends an acknowledged PUBLISH and returns its request id.
func (p *peer) publish(topic wamp.URI, a wamp.Attributes, payload wamp.Payload) wamp.ID {
	p.t.Helper()
	m := &wamp.Publish{Request: p.next(), Topic: topic, Payload: payload}
	m.Options.Acknowledge = wamp.True
	m.Options.Attributes = a
	p.send(m)
	return m.Request
}

func (p *peer) call(procedure wamp.URI, a wamp.Attributes, payload wamp.Payload) wamp.ID {
	p.t.Helper()
	m := &wamp.Call{Request: p.next(), Procedure: procedure, Payload: payload}
	m.Options.Attributes = a
	m.Options.ReceiveProgress = wamp.True
	p.send(m)
	return m.Request
}

// clear makes a clear payload of values.
func (p *peer) clear(args ...any) wamp.Payload {
	p.t.Helper()
	payload, err := codec.EncodePayload(p.serializer(), args, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return payload
}

// sealed makes an opaque payload of bytes, and the attributes to go with it.
func (p *peer) sealed(form wamp.Form, data []byte) (wamp.Attributes, wamp.Payload) {
	return attributesOf(form), codec.BinaryPayload(p.serializer(), form, data)
}

// attributesOf are those that usual clients send with a form.
func attributesOf(form wamp.Form) wamp.Attributes {
	if form == wamp.FormPassthru {
		return wamp.Attributes{PPTScheme: "wamp", PPTSerializer: "cbor", PPTCipher: "xsalsa20poly1305", PPTKeyID: "k1"}
	}
	return wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "json"}
}
