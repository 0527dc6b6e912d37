package router

import (
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Cluster makes several routers (nodes) serve the same realms as one: package cluster
// implements it over NATS. Without it, a router is a single node.
type Cluster interface {
	// Join returns the link of a realm to the other nodes. New calls it once for
	// each realm, before there are sessions. The link must not call local before New
	// has returned.
	Join(local *ClusterRealm) ClusterLink
}

// ClusterLink is what a realm needs from the other nodes. Its methods may be called
// concurrently. If the other nodes can't be reached, they return a refusal, such as
// ClusterUnavailable, at once.
type ClusterLink interface {
	// Node returns this node's identity: a random text made at its start.
	Node() string
	// Publish sends a publication to the nodes that have subscribers for its topic, or
	// to all if it changes what is retained; then it is kept for those that come later.
	// It does not keep p or what p refers to.
	Publish(p *Publication) *wamp.Refusal
	// Interest says that this node has one more subscriber under (match, topic), or one
	// less. For one more, it returns once publications on other nodes arrive here, or
	// at once if the other nodes can't be reached; they then arrive once they can.
	Interest(match wamp.Match, topic wamp.URI, more bool)
	// Change replaces the entry of (match, uri) in the directory of registrations, by
	// compare-and-set: change gets the current entry, or nil, and returns the new one,
	// or nil for none. It may be called several times, and must not change old. Change
	// returns once ClusterRealm.Apply has seen the new entry.
	Change(match wamp.Match, uri wamp.URI, change func(old *Entry) (*Entry, *wamp.Refusal)) *wamp.Refusal
	// CatchUp waits until Apply has seen every change of the directory that was made
	// before the call.
	CatchUp() *wamp.Refusal
	// Send sends a message of a call to another node. It does not keep m.
	Send(node string, m *RemoteMessage) *wamp.Refusal
	// Ask lets each of the other nodes answer a procedure of the meta API
	// (ClusterRealm.Answer). It is refused if one of them does not answer in time.
	Ask(procedure wamp.URI, args []any, kwargs map[string]any) ([]RemoteAnswer, *wamp.Refusal)
}

// Publication is an event on its way from the publisher's node to others.
type Publication struct {
	Publisher wamp.Peer // Session, AuthID, AuthRole, Serializer and Roles
	ID        wamp.ID
	Disclose  bool
	Trust     wamp.Trust
	// Retain is what it does to what is retained of its topic. Stamp orders those that
	// do something: the publication of a topic with the highest stamp is the last.
	Retain  Retention
	Stamp   uint64
	Message *wamp.Publish
}

// RemoteMessage is a message of a call between the caller's node and the callee's.
type RemoteMessage struct {
	// From is the caller or callee that the message comes from: Session, AuthID,
	// AuthRole, Serializer and Roles.
	From wamp.Peer
	// Procedure of the call.
	Procedure wamp.URI
	// Callee is the session that an INVOCATION is for. If it has left, its node selects
	// another callee of the same registration.
	Callee wamp.ID
	// More says that an INVOCATION continues a progressive call.
	More bool
	// Message is an *wamp.Invocation or *wamp.Interrupt to the callee's node, and a
	// *wamp.Result or *wamp.Error to the caller's. Its Request is assigned by the
	// caller's node, and unique there.
	Message wamp.Message
}

// RemoteAnswer is another node's answer to a procedure of the meta API.
type RemoteAnswer struct {
	Args   []any
	Kwargs map[string]any
	Error  wamp.URI // "" if there is none
}

// Entry is a registration in the directory of a cluster.
type Entry struct {
	ID             wamp.ID
	URI            wamp.URI
	Match          wamp.Match
	Invoke         string // invocation policy, of all its callees
	ForwardTimeout bool
	Created        time.Time
	Callees        []Callee // in the order of registration; at least one
}

// Callee is one session in an Entry.
type Callee struct {
	Node        string
	Session     wamp.ID
	Concurrency uint64
	Features    wamp.Features // that it announced as a callee
}

// ClusterUnavailable refuses what needs other nodes while they can't be reached.
var ClusterUnavailable = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrClusterUnavailable,
	Text: "the other nodes of the cluster can't be reached: try again later"}

// clusterPeer returns what other nodes may know about a session.
func clusterPeer(p *wamp.Peer) wamp.Peer {
	return wamp.Peer{Session: p.Session, Realm: p.Realm, AuthID: p.AuthID, AuthRole: p.AuthRole,
		Serializer: p.Serializer, Roles: p.Roles}
}

// ClusterRealm is a realm as its link sees it. Apply and NodeGone must be called by one
// goroutine at a time, in the order of the events that they report; the other methods
// may be called concurrently.
type ClusterRealm struct {
	realm  *realm
	router *Router
}

// Name returns the realm's name.
func (c *ClusterRealm) Name() string { return c.realm.name }

// Retained returns the bounds of what the realm retains, or nil if it retains nothing.
func (c *ClusterRealm) Retained() *RetainedLimits {
	if c.realm.retained == nil {
		return nil
	}
	limits := c.realm.retained.limits
	return &limits
}

// Inbound routes messages that came from other nodes, in batches: Publish and Receive
// any number of times, then Flush. It belongs to one goroutine.
type Inbound struct {
	router *Router
	b      *batch
	budget waitBudget
}

// NewInbound returns an Inbound without anything to flush.
func (r *Router) NewInbound() *Inbound { return &Inbound{router: r} }

func (in *Inbound) batch() *batch {
	if in.b == nil {
		in.b = in.router.newBatch()
		in.b.budget = &in.budget
	}
	return in.b
}

// Flush sends what was routed. It waits, for a bounded time, for receivers that are
// behind.
func (in *Inbound) Flush() {
	if in.b != nil {
		in.b.end()
		in.b = nil
	}
}

// Publish delivers a publication from another node to the subscribers of this one.
func (in *Inbound) Publish(c *ClusterRealm, p *Publication) {
	c.realm.broker.publishRemote(in.batch(), c.realm, p, true)
}

// Retain takes over what a publication did to what is retained. Nobody gets it as an
// event: it is from before this node came, or may have been missed.
func (in *Inbound) Retain(c *ClusterRealm, p *Publication) {
	c.realm.broker.publishRemote(in.batch(), c.realm, p, false)
}

// Receive routes a message of a call that came from a node.
func (in *Inbound) Receive(c *ClusterRealm, node string, m *RemoteMessage) {
	in.batch()
	switch message := m.Message.(type) {
	case *wamp.Invocation:
		c.realm.remote.starting.Lock()
		c.realm.dealer.invocationFrom(in.b, c.realm, node, m, message)
		c.realm.remote.starting.Unlock()
	case *wamp.Interrupt:
		c.realm.dealer.interruptFrom(in.b, c.realm, node, message)
	case *wamp.Result:
		if callee := c.realm.remote.asked(message.Request); callee != nil && callee.remote.node == node {
			_ = c.realm.dealer.yield(in.b, callee, &wamp.Yield{Request: message.Request, Options: message.Details, Payload: message.Payload})
		}
	case *wamp.Error:
		if callee := c.realm.remote.asked(message.Request); callee != nil && callee.remote.node == node {
			message.RequestType = wamp.TypeInvocation
			_ = c.realm.dealer.calleeError(in.b, callee, message)
		}
	}
}
