package nexus

import (
	"time"

	nexus "github.com/gammazero/nexus/v3/wamp"

	"github.com/blindfold-wamp/blindfold/adapter"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// peer is a client that came by Accept, as nexus sees it: a nexus.Peer. Two goroutines
// serve it until Close: read, and write, which deliver.go has. Nexus's own takes from
// the inbox and routes.
type peer struct {
	router *Router
	client *adapter.Client
	held   *adapter.Held
	*adapter.Inbox[nexus.Message]
	*adapter.Mailbox[nexus.Message]

	answered chan struct{} // a step of the handshake was answered
	attached bool          // nexus has it, and will close it; only read uses it
}

func newPeer(r *Router, conn transport.Conn) *peer {
	out := adapter.NewMailbox[nexus.Message]()
	return &peer{
		router: r, client: r.adapter.Client(conn), held: adapter.NewHeld(r.adapter.Limits()),
		Inbox: adapter.NewInbox[nexus.Message](out.Closed()), Mailbox: out, answered: make(chan struct{}, 1),
	}
}

// IsLocal is false: nexus trusts local clients.
func (p *peer) IsLocal() bool { return false }

// read reads what the client sends, until its connection or nexus ends the session.
func (p *peer) read() {
	defer func() {
		p.End()
		if !p.attached {
			p.Close()
		}
	}()
	for {
		m, err := p.client.Read()
		if err != nil {
			return
		}
		p.receive(m)
	}
}

// receive hands one message to nexus, or refuses it.
func (p *peer) receive(m wamp.Message) {
	about := &wamp.RoutedMessage{From: &p.client.Peer, Message: m}
	switch m := m.(type) {
	case *wamp.Hello:
		if p.attached {
			_ = p.client.Violation(about, router.UnexpectedMessage)
			return
		}
		p.hello(m)
		return
	case *wamp.Authenticate:
		if p.client.Welcomed() || !p.attached {
			_ = p.client.Violation(about, router.UnexpectedMessage)
			return
		}
		p.step(p.client.Body())
		return
	}
	if !p.client.Welcomed() {
		_ = p.client.Violation(about, router.HelloFirst)
		return
	}
	switch m := m.(type) {
	case wamp.Carrier:
		p.carrier(m, about)
		return
	case *wamp.Subscribe:
		about.URI = m.Topic
		if r := p.held.Subscribing(m.Request, m.Options.Match); r != nil {
			p.client.Refused(about, r)
			p.Put(failure(nexus.SUBSCRIBE, nexus.ID(m.Request), r))
			return
		}
	case *wamp.Unsubscribe:
		p.held.Unsubscribing(m.Subscription)
	case *wamp.Abort:
		p.Hand(&nexus.Goodbye{Reason: nexus.URI(m.Reason), Details: nexus.Dict{}})
		return
	case *wamp.Register, *wamp.Unregister, *wamp.Cancel, *wamp.Goodbye:
	default:
		_ = p.client.Violation(about, router.UnexpectedMessage)
		return
	}
	p.pass(p.client.Body(), about, nil)
}

// hello gives nexus the client.
func (p *peer) hello(m *wamp.Hello) {
	me := &p.client.Peer
	me.Roles, me.Agent, me.Realm = m.Details.Roles, m.Details.Agent, string(m.Realm)
	p.attached = true
	info := p.client.Info()
	// What comes of it nexus tells the client, and logs.
	go p.router.attach(p, nexus.Dict{"type": info.Transport, "peer": info.Address, "protocol": "wamp.2." + info.Serializer.String()})
	p.step(p.client.Body())
}

// step hands over a message of the handshake, and waits for nexus's answer, which says
// how to read the next one.
func (p *peer) step(body []byte) {
	p.pass(body, &wamp.RoutedMessage{From: &p.client.Peer}, nil)
	select {
	case <-p.answered:
	case <-p.Closed():
	}
}

// pass hands a message to nexus, read by its own codec. change, if it is not nil, is
// called for what can carry a payload.
func (p *peer) pass(body []byte, about *wamp.RoutedMessage, change func(parts)) {
	m, err := deserialize(p.client.Peer.Serializer, body)
	if err != nil {
		_ = p.client.Violation(about, unreadable)
		return
	}
	if change != nil {
		change(partsOf(m))
	}
	p.Hand(m)
}

var unreadable = wamp.Violation("nexus cannot read this message")

// carrier asks the interceptors about a message that can carry a payload, and hands it
// over.
func (p *peer) carrier(m wamp.Carrier, about *wamp.RoutedMessage) {
	request, told, disclose := nexus.ID(0), false, false
	switch m := m.(type) {
	case *wamp.Publish:
		about.URI, request, told, disclose = m.Topic, nexus.ID(m.Request), m.Options.Acknowledge == wamp.True, m.Options.DiscloseMe == wamp.True
	case *wamp.Call:
		about.URI, request, told = m.Procedure, nexus.ID(m.Request), true
		if r := p.held.Calling(m); r != nil {
			p.refuse(about, request, true, r)
			return
		}
	case *wamp.Yield:
		about.URI, request = p.held.Procedure(m.Request, !m.Options.Progress), nexus.ID(m.Request)
	case *wamp.Error:
		if m.RequestType != wamp.TypeInvocation {
			_ = p.client.Violation(about, errorForInvocation)
			return
		}
		about.URI, request = p.held.Procedure(m.Request, true), nexus.ID(m.Request)
	default:
		_ = p.client.Violation(about, router.UnexpectedMessage)
		return
	}
	if r := p.router.adapter.Receive(about); r != nil {
		p.refuse(about, request, told, r)
		return
	}
	payload, attributes := m.Carried()
	it := &item{payload: payload.Clone(), attributes: *attributes, from: &p.client.Peer, sender: p.client,
		uri: about.URI, disclose: disclose, arrived: time.Now()}
	if !payload.Opaque() {
		p.pass(p.client.Body(), about, func(n parts) { n.carry(beside(*n.args, it)) })
		return
	}
	p.pass(p.client.Envelope(nil), about, func(n parts) { n.carry(nexus.List{&Payload{item: it}}) })
}

var errorForInvocation = wamp.Violation("ERROR.REQUEST.Type must be INVOCATION (68) in what a client sends")

// refuse refuses a message that can carry a payload.
func (p *peer) refuse(about *wamp.RoutedMessage, request nexus.ID, told bool, r *wamp.Refusal) {
	if r.Fatal {
		_ = p.client.Violation(about, r)
		return
	}
	p.client.Refused(about, r)
	switch t := about.Message.Type(); {
	case t == wamp.TypeYield || t == wamp.TypeError:
		p.Hand(failure(nexus.INVOCATION, request, r)) // the caller gets it
	case told:
		p.Put(failure(nexus.MessageType(t), request, r))
	}
}
