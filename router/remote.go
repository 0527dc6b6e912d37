package router

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/router/eventstore"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// A call between nodes has a session on each node that stands for the one on the
// other, so that the dealer handles it like any call: on the caller's node one for each
// remote callee, and on the callee's node one for each call from another node.
// Messages to such a session are sent to its node. It is not in the realm's table of
// sessions.

// remoteEnd makes a session stand for one on another node.
type remoteEnd struct {
	link ClusterLink
	node string
	held int // a callee's registrations
}

// remoteTable is what a realm knows about sessions on other nodes.
type remoteTable struct {
	lastRequest atomic.Uint64
	// starting is held while a call from another node is started: NodeGone ends none that
	// is half started.
	starting sync.Mutex

	mu      sync.Mutex
	callees map[remoteKey]*session
	// invocations of remote callees, by Request.
	invocations map[wamp.ID]*session
	// callers of calls that came from other nodes, by node and Request.
	callers map[remoteKey]*session
	// registering has the REGISTERs of sessions of this node that wait for Apply.
	registering map[*session]*pendingRegister
}

// remoteKey is a node and an id that is unique there.
type remoteKey struct {
	node string
	id   wamp.ID
}

func newRemoteTable() *remoteTable {
	return &remoteTable{callees: make(map[remoteKey]*session), invocations: make(map[wamp.ID]*session),
		callers: make(map[remoteKey]*session), registering: make(map[*session]*pendingRegister)}
}

func (x *remoteTable) setRegistering(s *session, p *pendingRegister) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.registering[s] = p
}

func (x *remoteTable) registeringOf(s *session) *pendingRegister {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.registering[s]
}

func (x *remoteTable) takeRegistering(s *session) *pendingRegister {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.registering[s]
	delete(x.registering, s)
	return p
}

// asked returns the remote callee of an invocation, or nil if it has ended.
func (x *remoteTable) asked(request wamp.ID) *session {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.invocations[request]
}

// newRequest assigns the Request of an invocation of a remote callee.
func (x *remoteTable) newRequest(callee *session) wamp.ID {
	id := wamp.ID(x.lastRequest.Add(1))
	x.mu.Lock()
	defer x.mu.Unlock()
	x.invocations[id] = callee
	return id
}

func (x *remoteTable) endRequest(id wamp.ID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.invocations, id)
}

func (x *remoteTable) caller(node string, request wamp.ID) *session {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.callers[remoteKey{node, request}]
}

// endCall removes the session that stands for the caller of a call that has ended.
func (x *remoteTable) endCall(caller *session, request wamp.ID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.callers, remoteKey{caller.remote.node, request})
}

// inCalls returns the sessions that stand for a node's sessions and have calls in
// flight. A callee that has unregistered may still have some.
func (x *remoteTable) inCalls(node string) map[*session]bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	found := make(map[*session]bool)
	for _, s := range x.invocations {
		if s.remote.node == node {
			found[s] = true
		}
	}
	for key, s := range x.callers {
		if key.node == node {
			found[s] = true
		}
	}
	return found
}

// newRemote makes a session that stands for one on another node.
func (m *realm) newRemote(r *Router, node string, peer wamp.Peer) *session {
	peer.Realm, peer.Transport, peer.Address = m.name, "cluster", ""
	if !peer.Serializer.Valid() {
		peer.Serializer = wamp.CBOR
	}
	return &session{realm: m, router: r, peer: peer, trust: m.trustIn(peer.AuthRole),
		remote: &remoteEnd{link: m.link, node: node}}
}

// deliverRemote sends a message to the node of the session that to stands for. That
// node asks the interceptors, as it knows the receiver.
func (b *batch) deliverRemote(call *invocation, from *wamp.Peer, uri wamp.URI, m wamp.Message, to *session) *wamp.Refusal {
	more := false
	if call != nil {
		pending, again := call.assign(to)
		if !pending {
			return callEnded
		}
		more = again
	}
	message := RemoteMessage{Procedure: uri, Callee: to.peer.Session, More: more, Message: m}
	if from != nil {
		message.From = clusterPeer(from)
	}
	return to.remote.link.Send(to.remote.node, &message)
}

// assign makes a session the callee of a call that has waited for one. again reports
// whether it was the callee already.
func (inv *invocation) assign(to *session) (pending, again bool) {
	inv.caller.mu.Lock()
	defer inv.caller.mu.Unlock()
	if inv.caller.calls[inv.request] != inv {
		return false, false
	}
	again = inv.callee == to
	if inv.callee == nil {
		inv.callee = to
	}
	return true, again
}

// publishRemote routes a publication from another node to the subscribers on this one,
// or only retains it, if it is older than this node. The interceptors see it here, too,
// as this node may have other rules than the publisher's.
func (br *broker) publishRemote(b *batch, m *realm, p *Publication, deliver bool) {
	from := &session{realm: m, router: b.router, peer: p.Publisher, trust: p.Trust}
	from.peer.Realm = m.name
	b.begin(from, p.Message.Topic, p.Message)
	b.lastPublish.routeKey = routeKey{}
	br.find(b, p.Message.Topic)
	keeps := p.Retain != RetainNothing && m.retained != nil
	if len(b.lastPublish.matched) == 0 && !keeps {
		return
	}
	if refusal := b.intercepted(m); refusal != nil {
		b.refused(from, refusal)
		return
	}
	br.fillEvent(b, from, p.Message, p.ID, p.Disclose)
	var keep *retainRequest
	if keeps {
		keep = &retainRequest{p.Retain, retainedEvent{event: eventstore.New(&b.event, p.Message, p.Publisher.Session), stamp: p.Stamp}}
	}
	if deliver {
		b.routed(from, br.deliverEvent(b, from, p.Message, keep))
	} else if keep != nil {
		b.retain(m, keep)
	}
}

// publishToCluster sends a publication of this node to the others. keep may be nil.
func (b *batch) publishToCluster(from *session, m *wamp.Publish, publication wamp.ID, disclose bool, keep *retainRequest) *wamp.Refusal {
	link := from.realm.link
	if link == nil {
		return nil
	}
	p := Publication{Publisher: clusterPeer(&from.peer), ID: publication, Disclose: disclose, Trust: from.trust, Message: m}
	if keep != nil {
		p.Retain, p.Stamp = keep.action, keep.stamp
	}
	return link.Publish(&p)
}

// invocationFrom delivers a call from another node to a callee on this one.
func (d *dealer) invocationFrom(b *batch, m *realm, node string, r *RemoteMessage, message *wamp.Invocation) {
	call := &wamp.Call{Request: message.Request, Procedure: r.Procedure, Payload: message.Payload, Options: wamp.CallOptions{
		TransactionHash: message.Details.TransactionHash, Timeout: message.Details.Timeout, Attributes: message.Details.Attributes}}
	if message.Details.ReceiveProgress {
		call.Options.ReceiveProgress = wamp.True
	}
	if message.Details.Progress {
		call.Options.Progress = wamp.True
	}
	if r.More {
		if caller := m.remote.caller(node, message.Request); caller != nil {
			if inv := caller.callInFlight(message.Request); inv != nil {
				b.begin(caller, r.Procedure, call)
				_ = d.callContinued(b, caller, inv, call)
			}
		}
		return
	}
	caller := m.newRemote(b.router, node, r.From)
	b.begin(caller, r.Procedure, call)
	m.remote.mu.Lock()
	m.remote.callers[remoteKey{node, message.Request}] = caller
	m.remote.mu.Unlock()
	refusal := b.intercepted(m)
	if refusal == nil {
		refusal = noSuchProcedure
		if v, ok := d.byID.Load(message.Registration); ok {
			refusal = d.tryLocalCallees(b, caller, call, v.(*registration), r.Callee, &message.Details)
		}
		if _, there := d.procedures.Best(r.Procedure); there && refusal == noSuchProcedure {
			refusal = calleeLeft // others have registered it: the caller may call again
		}
	}
	if refusal != nil {
		m.remote.endCall(caller, message.Request)
		b.refused(caller, refusal)
		sendCallError(b, caller, message.Request, refusal)
		return
	}
	b.routed(caller, 1)
}

// tryLocalCallees offers a call from another node to the registration's callees on this
// one, starting with the one that it is for. details are those of the INVOCATION, as
// the caller's node made them.
func (d *dealer) tryLocalCallees(b *batch, from *session, m *wamp.Call, reg *registration, first wamp.ID, details *wamp.InvocationDetails) *wamp.Refusal {
	callees := reg.callees.Load()
	d.fillInvocation(b, from, m, reg, false)
	procedure := b.invocation.Details.Procedure
	b.invocation.Details = *details
	b.invocation.Details.Procedure = procedure
	if l := reg.concurrency.Load(); l != nil {
		return l.invokeFor(d, b, from, m, first)
	}
	at := max(0, slices.IndexFunc(*callees, func(s *session) bool { return s.peer.Session == first }))
	refusal := noSuchProcedure
	for i := range *callees {
		callee := (*callees)[(at+i)%len(*callees)]
		if callee.remote != nil {
			continue
		}
		r := d.tryCallee(b, from, m, reg, nil, callees, callee)
		if r == nil {
			return nil
		}
		if refusal == noSuchProcedure {
			refusal = r
		}
	}
	return refusal
}

// interruptFrom cancels a call from another node.
func (d *dealer) interruptFrom(b *batch, m *realm, node string, message *wamp.Interrupt) {
	caller := m.remote.caller(node, message.Request)
	if caller == nil {
		return
	}
	switch inv := caller.callInFlight(message.Request); {
	case inv != nil && message.Options.Reason == string(wamp.ErrTimeout):
		b.begin(caller, "", message)
		d.expire(b, inv)
		b.routed(caller, 1)
	default:
		_ = d.cancel(b, caller, &wamp.Cancel{Request: message.Request, Options: wamp.CancelOptions{Mode: message.Options.Mode}})
	}
}

// NodeGone ends the calls between this node and one that has failed or can't be
// reached. Its registrations end by Apply.
func (c *ClusterRealm) NodeGone(node string) {
	b := c.router.newBatch()
	defer b.end()
	c.realm.remote.starting.Lock()
	defer c.realm.remote.starting.Unlock()
	for s := range c.realm.remote.inCalls(node) {
		c.realm.dealer.leaveInvocations(b, s)
		c.realm.dealer.leaveCalls(b, s)
	}
}
