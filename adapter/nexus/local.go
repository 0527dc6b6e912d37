package nexus

import (
	"time"

	nexus "github.com/gammazero/nexus/v3/wamp"

	"github.com/blindfold-wamp/blindfold/adapter"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// local is a client that did not come by Accept, between nexus and the nexus.Peer that it
// is: a local one, or one of nexus's own servers. Two goroutines serve it until Close.
type local struct {
	client nexus.Peer
	router *Router
	held   *adapter.Held
	*adapter.Inbox[nexus.Message]
	*adapter.Mailbox[nexus.Message]

	decoder  *codec.Decoder // read's
	welcomed chan struct{}  // closed by write when who is complete
	who      wamp.Peer
}

func newLocal(r *Router, client nexus.Peer) *local {
	out := adapter.NewMailbox[nexus.Message]()
	return &local{client: client, router: r, held: adapter.NewHeld(r.adapter.Limits()), Inbox: adapter.NewInbox[nexus.Message](out.Closed()), Mailbox: out,
		decoder: codec.NewDecoder(), welcomed: make(chan struct{}),
		who: wamp.Peer{Serializer: wamp.CBOR, Transport: "other", Address: "other"}}
}

func (l *local) IsLocal() bool { return l.client.IsLocal() }

// Send does not wait, as nexus's own peers don't: what a client does not take is dropped.
// Its handlers are part of this process, and may wait for the router.
func (l *local) Send() chan<- nexus.Message { return l.SendAnyway() }

// read polices what the client sends, and hands it to nexus.
func (l *local) read() {
	defer l.End()
	for {
		select {
		case m, open := <-l.client.Recv():
			if !open {
				return
			}
			if m = l.receive(m); m != nil {
				l.Hand(m)
			}
		case <-l.Closed():
			return
		}
	}
}

// receive returns what nexus is to get in place of a message, or nil for nothing.
func (l *local) receive(m nexus.Message) nexus.Message {
	switch m := m.(type) {
	case *nexus.Hello:
		l.hello(m)
		return m
	case *nexus.Subscribe:
		if r := l.held.Subscribing(wamp.ID(m.Request), text(m.Options, "match")); r != nil {
			l.Put(failure(nexus.SUBSCRIBE, m.Request, r))
			return nil
		}
	case *nexus.Unsubscribe:
		l.held.Unsubscribing(wamp.ID(m.Subscription))
	case *nexus.Publish:
		return l.carrier(m, m.Request, truth(m.Options, "acknowledge"))
	case *nexus.Call:
		return l.carrier(m, m.Request, true)
	case *nexus.Yield:
		return l.carrier(m, m.Request, false)
	case *nexus.Error:
		return l.carrier(m, m.Request, false)
	}
	return m
}

// hello notes who comes. Local clients are of this process: they can cope with everything.
func (l *local) hello(m *nexus.Hello) {
	l.who.Realm = string(m.Realm)
	roles, _ := nexus.AsDict(nexus.NormalizeDict(m.Details)["roles"])
	for name := range roles {
		role := l.who.Roles.Named(name)
		if role == nil {
			continue
		}
		role.Present = true
		if l.IsLocal() {
			role.Features.Add(wamp.PayloadTransparency)
			role.Features.Add(wamp.PayloadPassthruMode)
		}
		for feature, on := range nexus.DictChild(nexus.DictChild(roles, name), "features") {
			if f, known := wamp.ParseFeature([]byte(feature)); known && on == true {
				role.Features.Add(f)
			}
		}
	}
}

// carrier asks the interceptors about a message that can carry a payload, as about one
// of a client that speaks CBOR. It returns what nexus is to get.
func (l *local) carrier(m nexus.Message, request nexus.ID, told bool) nexus.Message {
	select {
	case <-l.welcomed:
	case <-l.Closed():
		return nil
	}
	it := &item{from: &l.who, values: true, arrived: time.Now()}
	switch m := m.(type) {
	case *nexus.Publish:
		it.uri, it.disclose = wamp.URI(m.Topic), truth(m.Options, "disclose_me")
	case *nexus.Call:
		it.uri = wamp.URI(m.Procedure)
	case *nexus.Yield:
		it.uri = l.held.Procedure(wamp.ID(request), !truth(m.Options, "progress"))
	case *nexus.Error:
		it.uri = l.held.Procedure(wamp.ID(request), true)
	}
	p := partsOf(m)
	sealed, opaque := PayloadOf(*p.args)
	sent, err := l.encoded(m, sealed)
	about := &wamp.RoutedMessage{From: &l.who, URI: it.uri, Message: sent}
	if err != nil {
		return l.refuse(m, about, request, told, inexpressible)
	}
	if sent != nil { // or it can't leave this process
		if r := l.router.adapter.Receive(about); r != nil {
			return l.refuse(m, about, request, told, r)
		}
		payload, attributes := sent.Carried()
		it.attributes = *attributes
		it.payload, it.values = adapter.Hollow(payload), !opaque
		if opaque && sealed.data == nil { // another client's, sent on
			it.payload = sealed.payload
		}
	}
	if opaque {
		p.carry(nexus.List{&Payload{item: it, form: sealed.form, data: sealed.data}})
		return m
	}
	p.carry(beside(*p.args, it))
	addPPT(*p.options, &it.attributes) // of a client of nexus's own: nexus's to carry
	return m
}

var inexpressible = &wamp.Refusal{Reason: wamp.ReasonOption, URI: wamp.ErrInvalidArgument,
	Text: "an option has a type that it can't have"}

// encoded returns a message as if it had come over a wire, and nil if it can't go over
// one. An error says that it breaks the protocol.
func (l *local) encoded(m nexus.Message, sealed *Payload) (wamp.Carrier, error) {
	p := partsOf(m)
	if *p.options == nil {
		*p.options = nexus.Dict{}
	}
	args, kwargs := *p.args, *p.kwargs
	if sealed != nil {
		*p.args, *p.kwargs = nil, nil
	}
	body, err := serialized(wamp.CBOR, m)
	*p.args, *p.kwargs = args, kwargs
	if err != nil {
		return nil, nil
	}
	decoded, err := l.decoder.Decode(wamp.CBOR, body)
	if err != nil {
		return nil, err
	}
	sent := decoded.(wamp.Carrier)
	if sealed != nil {
		payload, attributes := sent.Carried()
		*attributes = sealed.attributes
		if *payload = sealed.payload; sealed.data != nil {
			*payload = codec.BinaryPayload(wamp.CBOR, sealed.form, sealed.data)
		}
	}
	return sent, nil
}

// refuse tells whoever waits that a message was refused, and returns what nexus gets in
// its place.
func (l *local) refuse(m nexus.Message, about *wamp.RoutedMessage, request nexus.ID, told bool, r *wamp.Refusal) nexus.Message {
	l.router.adapter.Observe(router.Observation{Kind: router.Refused, Realm: l.who.Realm, Peer: &l.who, Routed: about, Refusal: r})
	switch m.(type) {
	case *nexus.Yield, *nexus.Error:
		return failure(nexus.INVOCATION, request, r)
	}
	if told {
		l.Put(failure(m.MessageType(), request, r))
	}
	return nil
}

// write brings the client what nexus sends, until Close.
func (l *local) write() {
	l.Each(l.deliver, func() {})
	l.client.Close()
}

var foreign = &wamp.Refusal{Reason: wamp.ReasonUnsupported, URI: wamp.ErrFeatureNotSupported,
	Text: "the receiver is connected to a server of nexus's own, which takes no opaque payloads"}

// deliver gives the client a message, unless it must not have it.
func (l *local) deliver(m nexus.Message) {
	switch n := m.(type) {
	case *nexus.Welcome:
		l.who.Session, l.who.AuthID, l.who.AuthRole = wamp.ID(n.ID), text(n.Details, "authid"), text(n.Details, "authrole")
		close(l.welcomed)
	case *nexus.Subscribed:
		l.held.Subscribed(wamp.ID(n.Request), wamp.ID(n.Subscription))
	case *nexus.Event:
		if m = l.event(n); m == nil {
			return
		}
	case *nexus.Invocation:
		if r := l.forwarded(&n.Arguments, &wamp.Invocation{}, l.held.Invoking(wamp.ID(n.Request), procedureOf(n))); r != nil {
			l.held.Procedure(wamp.ID(n.Request), true)
			l.Inject(failure(nexus.INVOCATION, n.Request, r))
			return
		}
	case *nexus.Interrupt:
		if text(n.Options, "mode") != nexus.CancelModeKill {
			l.held.Procedure(wamp.ID(n.Request), true)
		}
	case *nexus.Result:
		if r := l.forwarded(&n.Arguments, &wamp.Result{}, nil); r != nil {
			if truth(n.Details, "progress") {
				l.Inject(&nexus.Cancel{Request: n.Request, Options: nexus.Dict{"mode": nexus.CancelModeKillNoWait}})
			}
			m = failure(nexus.CALL, n.Request, r)
		}
	case *nexus.Error:
		if n.Type == nexus.SUBSCRIBE {
			l.held.Subscribed(wamp.ID(n.Request), 0)
		}
		if r := l.forwarded(&n.Arguments, &wamp.Error{}, nil); r != nil {
			m = failure(nexus.CALL, n.Request, r)
		}
	}
	select {
	case l.client.Send() <- m:
	case <-l.Closed():
		select { // the last words
		case l.client.Send() <- m:
		default:
		}
	}
}

// event returns the event that the client gets, or nil. Nexus copies what it gives to
// local clients; for others, Details are made anew: see item.
func (l *local) event(m *nexus.Event) nexus.Message {
	it := itemOf(m.Arguments)
	if _, opaque := PayloadOf(m.Arguments); opaque && !l.IsLocal() {
		e := &wamp.Event{Payload: adapter.Hollow(&it.payload), Details: wamp.EventDetails{Attributes: it.attributes}}
		l.router.adapter.Observe(router.Observation{Kind: router.Dropped, Realm: l.who.Realm, Peer: &l.who, Refusal: foreign,
			Routed: &wamp.RoutedMessage{From: it.from, URI: it.uri, Message: e}})
		return nil
	}
	if it == nil || l.IsLocal() {
		return m
	}
	d := eventDetails(it, &l.who, l.held.IsPattern(wamp.ID(m.Subscription)))
	return &nexus.Event{Subscription: m.Subscription, Publication: m.Publication, Details: detailsOf(&d),
		Arguments: m.Arguments, ArgumentsKw: m.ArgumentsKw}
}

// forwarded counts what another client has sent, and says why this one can't have it, if
// r does not say so already.
func (l *local) forwarded(args *nexus.List, out wamp.Carrier, r *wamp.Refusal) *wamp.Refusal {
	it := itemOf(*args)
	if _, opaque := PayloadOf(*args); r == nil && opaque && !l.IsLocal() {
		r = foreign
	}
	*args = (*args)[:len(*args):len(*args)] // the client may append to it
	if it != nil && it.from != nil {
		payload, attributes := out.Carried()
		*payload, *attributes = adapter.Hollow(&it.payload), it.attributes
		l.router.count(it, &wamp.RoutedMessage{From: it.from, URI: it.uri, Message: out}, r)
	}
	return r
}
