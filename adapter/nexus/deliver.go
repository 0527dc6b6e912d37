package nexus

import (
	"maps"
	"time"

	nexus "github.com/gammazero/nexus/v3/wamp"

	"github.com/blindfold-wamp/blindfold/adapter"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// write brings the client what nexus sends, until Close.
func (p *peer) write() {
	p.Each(p.deliver, p.client.Flush)
	p.client.Close()
}

// deliver sends a message of nexus's, unless the client must not have it.
func (p *peer) deliver(m nexus.Message) {
	switch m := m.(type) {
	case *nexus.Event:
		p.event(m)
	case *nexus.Invocation:
		p.invocation(m)
	case *nexus.Result:
		p.result(m)
	case *nexus.Error:
		p.failure(m)
	case *nexus.Welcome:
		p.welcome(m)
		p.answer()
	case *nexus.Challenge:
		p.plain(m)
		p.answer()
	case *nexus.Abort:
		p.client.Ends(router.EndRefused, refusalOf(m.Reason))
		p.plain(m)
		p.answer()
	case *nexus.Goodbye:
		how := router.EndKilled
		if m.Reason == nexus.ErrSystemShutdown {
			how = router.EndShutdown
		}
		p.client.Ends(how, nil)
		p.plain(m)
	case *nexus.Subscribed:
		p.held.Subscribed(wamp.ID(m.Request), wamp.ID(m.Subscription))
		p.plain(m)
	case *nexus.Interrupt:
		if text(m.Options, "mode") != nexus.CancelModeKill {
			p.held.Procedure(wamp.ID(m.Request), true) // nobody waits for an answer
		}
		p.plain(m)
	default:
		p.plain(m)
	}
}

// answer lets read go on with the handshake.
func (p *peer) answer() {
	select {
	case p.answered <- struct{}{}:
	default:
	}
}

// welcome adds the features that come with the interceptors to WELCOME. What nexus says
// of its own is shared by all its sessions, and not to be changed.
func (p *peer) welcome(m *nexus.Welcome) {
	details := maps.Clone(m.Details)
	roles, _ := nexus.AsDict(details["roles"])
	roles = maps.Clone(roles)
	for _, name := range []string{"broker", "dealer"} {
		role := maps.Clone(nexus.DictChild(roles, name))
		features := maps.Clone(nexus.DictChild(role, "features"))
		for _, f := range p.router.adapter.Features() {
			features[f.String()] = true
		}
		role["features"] = features
		roles[name] = role
	}
	details["roles"] = roles
	me := &p.client.Peer
	me.Session = wamp.ID(m.ID)
	me.AuthID, me.AuthRole = text(details, "authid"), text(details, "authrole")
	me.AuthMethod, me.AuthProvider = text(details, "authmethod"), text(details, "authprovider")
	p.client.Welcome()
	p.plain(&nexus.Welcome{ID: m.ID, Details: details})
}

// plain sends what no client has sent.
func (p *peer) plain(m nexus.Message) *wamp.Refusal {
	frame, size, r := p.frame(m)
	if r != nil {
		return r
	}
	return p.client.SendFrame(frame, size, nil, nil)
}

// event sends an event. m.Details is not read: see item.
func (p *peer) event(m *nexus.Event) {
	it, payload := carried(m.Arguments, p.client.Peer.Serializer)
	if it == nil { // nexus's broker itself: an event of its meta API, which it has done with
		if r := p.plain(m); r != nil {
			p.dropped(&wamp.RoutedMessage{}, r)
		}
		return
	}
	e := wamp.Event{Subscription: wamp.ID(m.Subscription), Publication: wamp.ID(m.Publication), Payload: payload,
		Details: eventDetails(it, &p.client.Peer, p.held.IsPattern(wamp.ID(m.Subscription)))}
	about := &wamp.RoutedMessage{From: it.from, URI: it.uri, Message: &e}
	r := p.router.adapter.Deliver(about, &p.client.Peer)
	if r == nil {
		key := frameKey{m.Subscription, p.client.Peer.Serializer, p.client.Framing(), e.Details.Publisher != 0}
		f := it.frames.get(key, func() ([]byte, int, *wamp.Refusal) {
			if !it.values {
				return adapter.Frame(nil, &e, key.serializer, key.framing)
			}
			return p.frame(&nexus.Event{Subscription: m.Subscription, Publication: m.Publication,
				Details: detailsOf(&e.Details), Arguments: m.Arguments, ArgumentsKw: m.ArgumentsKw})
		})
		if r = f.refusal; r == nil {
			r = p.client.SendFrame(f.frame, f.size, f.chunk, it.sender)
		}
	}
	if r != nil {
		p.dropped(about, r)
	}
}

// eventDetails makes EVENT.Details anew.
func eventDetails(it *item, to *wamp.Peer, pattern bool) wamp.EventDetails {
	d := wamp.EventDetails{Attributes: it.attributes}
	if pattern {
		d.Topic = it.uri
	}
	if it.disclose && it.from != nil && to.Roles.Subscriber.Has(wamp.PublisherIdentification) {
		d.Publisher, d.PublisherAuthID, d.PublisherAuthRole = it.from.Session, it.from.AuthID, it.from.AuthRole
	}
	return d
}

// detailsOf is eventDetails for nexus.
func detailsOf(e *wamp.EventDetails) nexus.Dict {
	d := nexus.Dict{}
	if e.Topic != "" {
		d["topic"] = string(e.Topic)
	}
	if e.Publisher != 0 {
		d["publisher"], d["publisher_authid"], d["publisher_authrole"] = nexus.ID(e.Publisher), e.PublisherAuthID, e.PublisherAuthRole
	}
	addPPT(d, &e.Attributes)
	return d
}

// addPPT adds the attributes that nexus carries itself. It panics on any but strings.
func addPPT(d nexus.Dict, a *wamp.Attributes) {
	for key, value := range map[string]string{"ppt_scheme": a.PPTScheme, "ppt_serializer": a.PPTSerializer, "ppt_cipher": a.PPTCipher, "ppt_keyid": a.PPTKeyID} {
		if value != "" {
			d[key] = value
		}
	}
}

func (p *peer) dropped(about *wamp.RoutedMessage, r *wamp.Refusal) {
	p.router.adapter.Observe(router.Observation{Kind: router.Dropped, Realm: p.client.Peer.Realm, Peer: &p.client.Peer, Routed: about, Refusal: r})
}

// invocation sends an INVOCATION. If the client can't have it, the call ends with the
// reason, as if the client had answered.
func (p *peer) invocation(m *nexus.Invocation) {
	it, payload := carried(m.Arguments, p.client.Peer.Serializer)
	timeout, _ := nexus.AsInt64(m.Details["timeout"])
	out := &wamp.Invocation{Request: wamp.ID(m.Request), Registration: wamp.ID(m.Registration), Payload: payload, Details: wamp.InvocationDetails{
		Caller: id(m.Details, "caller"), CallerAuthID: text(m.Details, "caller_authid"), CallerAuthRole: text(m.Details, "caller_authrole"),
		Procedure: wamp.URI(text(m.Details, "procedure")), ReceiveProgress: truth(m.Details, "receive_progress"),
		Progress: truth(m.Details, "progress"), Timeout: uint64(timeout),
	}}
	if r := p.forward(m, it, out, p.held.Invoking(wamp.ID(m.Request), procedureOf(m))); r != nil {
		p.held.Procedure(wamp.ID(m.Request), true)
		p.Inject(failure(nexus.INVOCATION, m.Request, r))
	}
}

// procedureOf returns what was called.
func procedureOf(m *nexus.Invocation) wamp.URI {
	if it := itemOf(m.Arguments); it != nil {
		return it.uri
	}
	return wamp.URI(text(m.Details, "procedure"))
}

// result sends a RESULT, or the reason why the client can't have it. If that was a
// progressive one, the call is over, for its caller and for its callee.
func (p *peer) result(m *nexus.Result) {
	progress := truth(m.Details, "progress")
	if _, ended := p.held.Answered(wamp.ID(m.Request), !progress); ended {
		return
	}
	it, payload := carried(m.Arguments, p.client.Peer.Serializer)
	out := &wamp.Result{Request: wamp.ID(m.Request), Payload: payload, Details: wamp.ResultDetails{Progress: progress}}
	r := p.forward(m, it, out, nil)
	if r == nil {
		return
	}
	if progress {
		p.held.EndCall(wamp.ID(m.Request))
		p.Inject(&nexus.Cancel{Request: m.Request, Options: nexus.Dict{"mode": nexus.CancelModeKillNoWait}})
	}
	p.plain(failure(nexus.CALL, m.Request, r))
}

// failure sends an ERROR. One that nexus itself has made is its refusal.
func (p *peer) failure(m *nexus.Error) {
	c, ended := (*adapter.Call)(nil), false
	switch m.Type {
	case nexus.CALL:
		if c, ended = p.held.Answered(wamp.ID(m.Request), true); ended {
			return
		}
	case nexus.SUBSCRIBE:
		p.held.Subscribed(wamp.ID(m.Request), 0)
	}
	it, payload := carried(m.Arguments, p.client.Peer.Serializer)
	if _, refused := reasons[m.Error]; it == nil && refused {
		about := &wamp.RoutedMessage{From: &p.client.Peer, Message: wamp.New(wamp.MessageType(m.Type))}
		if c != nil {
			about.URI, about.Message = c.First.Procedure, &c.First
		}
		p.client.Refused(about, refusalOf(m.Error))
	}
	out := &wamp.Error{RequestType: wamp.MessageType(m.Type), Request: wamp.ID(m.Request), Error: wamp.URI(m.Error), Payload: payload,
		Details: wamp.ErrorDetails{Message: text(m.Details, "message")}}
	if r := p.forward(m, it, out, nil); r != nil {
		p.plain(failure(m.Type, m.Request, r))
	}
}

// forward sends what another client has sent, with the attributes that it came with,
// unless there is a refusal already, and counts it: it has one receiver, and that it has
// one at all is known only now.
func (p *peer) forward(m nexus.Message, it *item, out wamp.Carrier, r *wamp.Refusal) *wamp.Refusal {
	if it == nil || it.from == nil {
		if r == nil {
			r = p.plain(m)
		}
		return r
	}
	_, attributes := out.Carried()
	*attributes = it.attributes
	about := &wamp.RoutedMessage{From: it.from, URI: it.uri, Message: out}
	switch {
	case r != nil:
	case it.values:
		r = p.plain(m)
	default:
		if r = p.router.adapter.Deliver(about, &p.client.Peer); r == nil {
			r = p.client.Send(out, it.sender)
		}
	}
	p.router.count(it, about, r)
	return r
}

// count tells the observers what became of a message that has one receiver.
func (r *Router) count(it *item, about *wamp.RoutedMessage, refusal *wamp.Refusal) {
	o := router.Observation{Kind: router.Routed, Realm: it.from.Realm, Peer: it.from, Routed: about, Deliveries: 1, Elapsed: time.Since(it.arrived)}
	if refusal != nil {
		o = router.Observation{Kind: router.Refused, Realm: it.from.Realm, Peer: it.from, Routed: about, Refusal: refusal}
	}
	r.adapter.Observe(o)
}

// refusalOf returns what an ERROR or ABORT of nexus's own is counted as.
func refusalOf(uri nexus.URI) *wamp.Refusal {
	reason, ok := reasons[uri]
	if !ok {
		reason = wamp.ReasonProtocol
	}
	return &wamp.Refusal{Reason: reason, URI: wamp.URI(uri), Text: "refused by nexus"}
}

var reasons = map[nexus.URI]wamp.Reason{
	nexus.ErrNoSuchProcedure: wamp.ReasonNoTarget, nexus.ErrNoSuchSubscription: wamp.ReasonNoTarget,
	nexus.ErrNoSuchRegistration: wamp.ReasonNoTarget, nexus.ErrNoSuchRealm: wamp.ReasonNoTarget,
	nexus.ErrInvalidURI: wamp.ReasonURI, nexus.ErrProcedureAlreadyExists: wamp.ReasonRegistered,
	nexus.ErrNotAuthorized: wamp.ReasonUnauthorized, nexus.ErrAuthorizationFailed: wamp.ReasonUnauthorized,
	nexus.ErrAuthenticationFailed: wamp.ReasonUnauthorized, nexus.ErrOptionDisallowedDiscloseMe: wamp.ReasonOption,
	nexus.ErrSystemShutdown: wamp.ReasonShutdown,
}

// frame makes a frame of what nexus's codec writes.
func (p *peer) frame(m nexus.Message) ([]byte, int, *wamp.Refusal) {
	body, err := serialized(p.client.Peer.Serializer, m)
	if err != nil {
		return nil, 0, &wamp.Refusal{Reason: wamp.ReasonInconvertible, URI: wamp.ErrInvalidArgument,
			Text: "the payload has no counterpart in " + p.client.Peer.Serializer.String()}
	}
	frame := p.client.Framing().AppendFrame(nil, transport.OpMessage, body)
	if frame == nil {
		return nil, 0, router.MessageTooLarge
	}
	return frame, len(body), nil
}
