package routertest

import (
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

const (
	Topic     wamp.URI = "com.example.topic"
	Procedure wamp.URI = "com.example.procedure"
	Failure   wamp.URI = "com.example.error"
)

// Peer is a client that sends and receives single messages, and no more: tests
// decide on each. Package client is the one for programs.
type Peer struct {
	T           testing.TB
	Name        string
	Conn        transport.Conn
	ID          wamp.ID
	Welcome     wamp.WelcomeDetails
	LastRequest wamp.ID
}

// Timeout is how long a peer waits for what must come.
const Timeout = 20 * time.Second

// AllFeatures announces every feature for every role.
func AllFeatures(h *wamp.Hello) {
	all := ^wamp.Features(0)
	r := &h.Details.Roles
	for _, role := range []*wamp.Role{&r.Publisher, &r.Subscriber, &r.Caller, &r.Callee} {
		*role = wamp.Role{Present: true, Features: all}
	}
}

// NoFeatures announces the roles, and no feature.
func NoFeatures(h *wamp.Hello) {
	r := &h.Details.Roles
	for _, role := range []*wamp.Role{&r.Publisher, &r.Subscriber, &r.Caller, &r.Callee} {
		role.Features = 0
	}
}

// Hello opens the session: it announces all features, unless change says otherwise.
func (p *Peer) Hello(change ...func(*wamp.Hello)) {
	p.T.Helper()
	h := &wamp.Hello{Realm: Realm}
	AllFeatures(h)
	for _, f := range change {
		f(h)
	}
	p.Send(h)
	w := Expect[*wamp.Welcome](p)
	p.ID, p.Welcome = w.Session, w.Details
}

func (p *Peer) serializer() wamp.Serializer { return p.Conn.Info().Serializer }

// NextID returns the next request id.
func (p *Peer) NextID() wamp.ID {
	p.LastRequest++
	return p.LastRequest
}

// Send encodes and sends a message.
func (p *Peer) Send(m wamp.Message) {
	p.T.Helper()
	body, err := codec.Append(nil, p.serializer(), m)
	if err != nil {
		p.T.Fatalf("%s: %v", p.Name, err)
	}
	p.SendRaw(body)
}

// SendRaw sends a body as it is.
func (p *Peer) SendRaw(body []byte) {
	p.T.Helper()
	frame := p.Conn.Framing().AppendFrame(nil, transport.OpMessage, body)
	if _, err := p.Conn.Write([][]byte{frame}, Timeout); err != nil {
		p.T.Fatalf("%s: write: %v", p.Name, err)
	}
}

// Receive returns the next message, which is the caller's to keep.
func (p *Peer) Receive() wamp.Message {
	p.T.Helper()
	m, err := p.TryReceive()
	if err != nil {
		p.T.Fatalf("%s: read: %v", p.Name, err)
	}
	return m
}

// TryReceive is Receive for a connection that may end.
func (p *Peer) TryReceive() (wamp.Message, error) {
	_ = p.Conn.SetReadDeadline(time.Now().Add(Timeout))
	for {
		f, err := p.Conn.Read()
		if err != nil {
			return nil, err
		}
		if f.Op == transport.OpMessage {
			return codec.NewDecoder().Decode(p.serializer(), append([]byte(nil), f.Body...))
		}
	}
}

// Expect receives a message, which must be of type M.
func Expect[M wamp.Message](p *Peer) M {
	p.T.Helper()
	m := p.Receive()
	want, ok := m.(M)
	if !ok {
		p.T.Fatalf("%s: want %v, got %v: %+v", p.Name, want.Type(), m.Type(), m)
	}
	return want
}

// ExpectError receives the ERROR for a request.
func (p *Peer) ExpectError(request wamp.ID, uri wamp.URI) *wamp.Error {
	p.T.Helper()
	e := Expect[*wamp.Error](p)
	if e.Request != request || e.Error != uri {
		p.T.Fatalf("%s: want ERROR %s for request %d, got %s for %d: %s", p.Name, uri, request, e.Error, e.Request, e.Details.Message)
	}
	return e
}

// ExpectAbort receives an ABORT, and then the end of the connection.
func (p *Peer) ExpectAbort(uri wamp.URI) *wamp.Abort {
	p.T.Helper()
	a := Expect[*wamp.Abort](p)
	if a.Reason != uri {
		p.T.Fatalf("%s: want ABORT %s, got %s: %s", p.Name, uri, a.Reason, a.Details.Message)
	}
	for {
		if m, err := p.TryReceive(); err != nil {
			return a
		} else {
			p.T.Fatalf("%s: %v after ABORT", p.Name, m.Type())
		}
	}
}

// ExpectNothing shows that nothing is on its way to the peer: what it asks for
// itself comes next.
func (p *Peer) ExpectNothing() {
	p.T.Helper()
	request := p.NextID()
	p.Send(&wamp.Unsubscribe{Request: request, Subscription: 1})
	p.ExpectError(request, wamp.ErrNoSuchSubscription)
}

// Subscribe subscribes and returns the subscription.
func (p *Peer) Subscribe(topic wamp.URI, match wamp.Match) wamp.ID {
	p.T.Helper()
	m := &wamp.Subscribe{Request: p.NextID(), Topic: topic}
	if match != wamp.MatchExact {
		m.Options.Match = match.String()
	}
	p.Send(m)
	return Expect[*wamp.Subscribed](p).Subscription
}

// Register registers and returns the registration.
func (p *Peer) Register(procedure wamp.URI, options wamp.RegisterOptions) wamp.ID {
	p.T.Helper()
	p.Send(&wamp.Register{Request: p.NextID(), Procedure: procedure, Options: options})
	return Expect[*wamp.Registered](p).Registration
}

// Publish sends an acknowledged PUBLISH and returns its request id.
func (p *Peer) Publish(topic wamp.URI, a wamp.Attributes, payload wamp.Payload) wamp.ID {
	p.T.Helper()
	m := &wamp.Publish{Request: p.NextID(), Topic: topic, Payload: payload}
	m.Options.Acknowledge = wamp.True
	m.Options.Attributes = a
	p.Send(m)
	return m.Request
}

// Call sends a CALL that takes progressive results and returns its request id.
func (p *Peer) Call(procedure wamp.URI, a wamp.Attributes, payload wamp.Payload) wamp.ID {
	p.T.Helper()
	m := &wamp.Call{Request: p.NextID(), Procedure: procedure, Payload: payload}
	m.Options.Attributes = a
	m.Options.ReceiveProgress = wamp.True
	p.Send(m)
	return m.Request
}

// Clear makes a clear payload of values.
func (p *Peer) Clear(args ...any) wamp.Payload {
	p.T.Helper()
	payload, err := codec.EncodePayload(p.serializer(), args, nil)
	if err != nil {
		p.T.Fatal(err)
	}
	return payload
}

// Opaque makes an opaque payload of bytes, and the attributes to go with it.
func (p *Peer) Opaque(form wamp.Form, data []byte) (wamp.Attributes, wamp.Payload) {
	return AttributesOf(form), codec.BinaryPayload(p.serializer(), form, data)
}

// AttributesOf are those that usual clients send with a form.
func AttributesOf(form wamp.Form) wamp.Attributes {
	if form == wamp.FormPassthru {
		return wamp.Attributes{PPTScheme: "wamp", PPTSerializer: "cbor", PPTCipher: "xsalsa20poly1305", PPTKeyID: "k1"}
	}
	return wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "json"}
}

// CallWith sends a CALL with options and returns its request id.
func (p *Peer) CallWith(procedure wamp.URI, form wamp.Form, data string, o wamp.CallOptions) wamp.ID {
	p.T.Helper()
	a, payload := p.Payload(form, data)
	o.Attributes = a
	m := &wamp.Call{Request: p.NextID(), Procedure: procedure, Payload: payload, Options: o}
	p.Send(m)
	return m.Request
}

// Yield answers an invocation.
func (p *Peer) Yield(i *wamp.Invocation, form wamp.Form, data string, progress bool) {
	p.T.Helper()
	a, payload := p.Payload(form, data)
	p.Send(&wamp.Yield{Request: i.Request, Payload: payload, Options: wamp.ResultDetails{Progress: progress, Attributes: a}})
}

// Payload makes a payload that carries data: in a form, or clear.
func (p *Peer) Payload(form wamp.Form, data string) (wamp.Attributes, wamp.Payload) {
	p.T.Helper()
	if form == wamp.FormNone {
		return wamp.Attributes{}, p.Clear(data)
	}
	return p.Opaque(form, []byte(data))
}

// WantPayload checks that a message carries data as it was sent.
func (p *Peer) WantPayload(m wamp.Carrier, form wamp.Form, data string) {
	p.T.Helper()
	got, attributes := m.Carried()
	wantAttributes, want := p.Payload(form, data)
	if *attributes != wantAttributes || got.Digest() != want.Digest() || got.Opaque() != want.Opaque() {
		p.T.Fatalf("%s: %v carries %v %+v, not what was sent", p.Name, m.Type(), got, *attributes)
	}
}

// CallMeta calls a procedure of the router's own and returns what it answers.
func (p *Peer) CallMeta(procedure wamp.URI, kwargs map[string]any, args ...any) ([]any, map[string]any) {
	p.T.Helper()
	request := p.SendCallMeta(procedure, kwargs, args...)
	r := Expect[*wamp.Result](p)
	if r.Request != request {
		p.T.Fatalf("%s: a result of another call", p.Name)
	}
	values, kw, err := r.Payload.Decode()
	if err != nil {
		p.T.Fatal(err)
	}
	return values, kw
}

// SendCallMeta is CallMeta without waiting for the answer. It returns the request id.
func (p *Peer) SendCallMeta(procedure wamp.URI, kwargs map[string]any, args ...any) wamp.ID {
	p.T.Helper()
	payload, err := codec.EncodePayload(p.serializer(), args, kwargs)
	if err != nil {
		p.T.Fatal(err)
	}
	m := &wamp.Call{Request: p.NextID(), Procedure: procedure, Payload: payload}
	p.Send(m)
	return m.Request
}

// CallMetaOne is CallMeta for procedures that answer with one value.
func (p *Peer) CallMetaOne(procedure wamp.URI, args ...any) any {
	p.T.Helper()
	values, _ := p.CallMeta(procedure, nil, args...)
	if len(values) != 1 {
		p.T.Fatalf("%s: %s answers %v", p.Name, procedure, values)
	}
	return values[0]
}

// MetaEvent receives an event of the router's own on a subscription, and returns its
// arguments.
func (p *Peer) MetaEvent(subscription wamp.ID) []any {
	p.T.Helper()
	e := Expect[*wamp.Event](p)
	if e.Subscription != subscription {
		p.T.Fatalf("%s: an event of another subscription: %+v", p.Name, e)
	}
	args, _, err := e.Payload.Decode()
	if err != nil {
		p.T.Fatal(err)
	}
	return args
}

// Leave closes a peer's session, politely.
func (p *Peer) Leave() {
	p.T.Helper()
	p.Send(&wamp.Goodbye{Reason: wamp.CloseNormal})
	Expect[*wamp.Goodbye](p)
	if m, err := p.TryReceive(); err == nil {
		p.T.Fatalf("%s: %v after GOODBYE", p.Name, m.Type())
	}
}

// Announced returns whether the router announced a feature, by role.
func (p *Peer) Announced(f wamp.Feature) (broker, dealer bool) {
	return p.Welcome.Roles.Broker.Has(f), p.Welcome.Roles.Dealer.Has(f)
}

// AddTestament leaves a testament: a payload of a form is handed over as its
// binary, beside the attributes.
func (p *Peer) AddTestament(topic wamp.URI, form wamp.Form, data, scope string) wamp.ID {
	p.T.Helper()
	kwargs := map[string]any{"scope": scope}
	var payload any = []any{data}
	switch form {
	case wamp.FormTransparency: // in place of the list
		kwargs["publish_options"] = map[string]any{"enc_algo": "cryptobox", "enc_serializer": "json"}
		payload = []byte(data)
	case wamp.FormPassthru: // alone in the list
		a := AttributesOf(form)
		kwargs["publish_options"] = map[string]any{"ppt_scheme": a.PPTScheme, "ppt_serializer": a.PPTSerializer,
			"ppt_cipher": a.PPTCipher, "ppt_keyid": a.PPTKeyID}
		payload = []any{[]byte(data)}
	}
	return p.SendCallMeta("wamp.session.add_testament", kwargs, topic, payload, map[string]any{})
}
