package cluster

import (
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// link is the router.ClusterLink of one realm.
type link struct {
	node   *Node
	realm  *router.ClusterRealm
	prefix string // of the subjects of topics, before one of the subjectKinds

	mu        sync.Mutex
	interests map[interestKey]*interest
	retaining [2]*nats.Subscription
}

type interestKey struct {
	match wamp.Match
	topic wamp.URI
}

// interest is what this node's sessions have subscribed to.
type interest struct {
	subscribers  int
	subscription *nats.Subscription // nil: NATS has refused it
}

// Node implements router.ClusterLink.
func (l *link) Node() string { return l.node.id }

// Publish implements router.ClusterLink: one NATS message, whatever the number of
// nodes.
func (l *link) Publish(p *router.Publication) *wamp.Refusal {
	n := l.node
	if !n.available() {
		n.drop(dropUnavailable, 1)
		return router.ClusterUnavailable
	}
	if p.Retain == router.RetainNothing && n.alone() {
		return nil
	}
	e := envelope{kind: kindEvent, origin: n.id, sequence: n.sequence.Add(1), peer: p.Publisher,
		publication: p.ID, disclose: p.Disclose, trust: p.Trust, retain: p.Retain, stamp: p.Stamp}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	subject := topicSubject(append(append((*buffer)[:0], l.prefix...), kindOfSubject(p)...), p.Message.Topic)
	body, err := e.append(subject, p.Message)
	*buffer = body[:0]
	if err != nil {
		n.drop(dropUnencodable, 1)
		return notForCluster
	}
	msg := nats.Msg{Subject: string(subject), Data: body[len(subject):]}
	if p.Retain != router.RetainNothing {
		msg.Reply = n.nodeSubject(n.id) + ".kept"
	}
	return n.send(&msg)
}

// Kinds of subjects of topics. What changes what is retained goes to every node, and is
// kept by JetStream: of each topic the last for everybody, and the last for some.
const (
	subjectEvent       = "e."
	subjectRetained    = "r."
	subjectRetainedFor = "l."
)

func kindOfSubject(p *router.Publication) string {
	switch {
	case p.Retain == router.RetainNothing:
		return subjectEvent
	case p.Message.Options.Listed():
		return subjectRetainedFor
	}
	return subjectRetained
}

// buffers hold messages until nats.go has copied them.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

var (
	notForCluster = &wamp.Refusal{Reason: wamp.ReasonInconvertible, URI: wamp.ErrInvalidArgument,
		Text: "the message can't be encoded for another node of the cluster"}
	tooLarge = &wamp.Refusal{Reason: wamp.ReasonSize, URI: wamp.ErrPayloadSizeExceeded,
		Text: "the message is larger than the NATS servers of the cluster carry (their max_payload)"}
)

// send hands a message to NATS, which copies it.
func (n *Node) send(m *nats.Msg) *wamp.Refusal {
	if int64(len(m.Data)) > n.conn.MaxPayload() {
		n.drop(dropTooLarge, 1)
		return tooLarge
	}
	if err := n.conn.PublishMsg(m); err != nil {
		n.drop(dropUnavailable, 1)
		return router.ClusterUnavailable
	}
	n.count.messagesOut.Add(1)
	n.count.bytesOut.Add(uint64(len(m.Data)))
	return nil
}

// alone reports whether no other node lives.
func (n *Node) alone() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.members) == 0
}

// Interest implements router.ClusterLink.
func (l *link) Interest(match wamp.Match, topic wamp.URI, more bool) {
	key := interestKey{match, topic}
	l.mu.Lock()
	i := l.interests[key]
	if !more {
		if i.subscribers--; i.subscribers == 0 {
			delete(l.interests, key)
			if i.subscription != nil {
				_ = i.subscription.Unsubscribe()
			}
		}
		l.mu.Unlock()
		return
	}
	if i == nil {
		i = new(interest)
		l.interests[key] = i
	}
	i.subscribers++
	if i.subscription == nil && l.node.events != nil {
		l.subscribe(key, i)
	}
	l.mu.Unlock()
	// Another session may have begun the same a moment ago, so all wait.
	if l.node.conn.IsConnected() { // nats.go asks for all subscriptions again when it is
		_ = l.node.flushing.do(func() error { return l.node.conn.FlushTimeout(l.node.o.Lease) })
	}
}

// subscribe asks NATS for what an interest is about. l.mu is held.
func (l *link) subscribe(key interestKey, i *interest) {
	var err error
	i.subscription, err = l.node.conn.ChanSubscribe(interestSubject(l.prefix+subjectEvent, key.match, key.topic), l.node.events.arrived)
	if err != nil {
		l.node.o.Logger.Error("cannot subscribe to what other nodes publish", "error", err)
	}
}

// start subscribes to what was asked for before the node was started.
func (l *link) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, i := range l.interests {
		if i.subscription == nil {
			l.subscribe(key, i)
		}
	}
	for i, kind := range []string{subjectRetained, subjectRetainedFor} {
		var err error
		if l.retaining[i], err = l.node.conn.ChanSubscribe(l.prefix+kind+">", l.node.events.arrived); err != nil {
			l.node.o.Logger.Error("cannot subscribe to what other nodes retain", "error", err)
		}
	}
}

// linkOf returns the realm that the subject of an event is of.
func (n *Node) linkOf(subject string) *link {
	realm, _, _ := strings.Cut(strings.TrimPrefix(subject, n.o.Subject+"."), ".")
	return n.byToken[realm]
}

func (l *link) routeEvent(in *router.Inbound, e *envelope, m wamp.Message) {
	publish, ok := m.(*wamp.Publish)
	if !ok {
		l.node.drop(dropUnknown, 1)
		return
	}
	in.Publish(l.realm, e.publicationOf(publish))
}

// Send implements router.ClusterLink.
func (l *link) Send(node string, m *router.RemoteMessage) *wamp.Refusal {
	n := l.node
	if !n.available() || !n.isLive(node) {
		n.drop(dropUnavailable, 1)
		return router.ClusterUnavailable
	}
	e := envelope{kind: kindCall, origin: n.id, sequence: n.sequence.Add(1), peer: m.From,
		realm: l.realm.Name(), procedure: m.Procedure, callee: m.Callee, more: m.More}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	body, err := e.append((*buffer)[:0], m.Message)
	*buffer = body[:0]
	if err != nil {
		n.drop(dropUnencodable, 1)
		return notForCluster
	}
	return n.send(&nats.Msg{Subject: n.nodeSubject(node), Data: body})
}
