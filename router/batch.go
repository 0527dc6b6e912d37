package router

import (
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// batch is what a goroutine needs to route messages: a decoder, buffers to encode into,
// and the list of sessions whose queues it must flush. A session's reading goroutine
// takes one for each batch of messages that has arrived and returns it before it waits
// again, so an idle session holds none.
//
// A batch routes one message at a time: begin, then deliveries of any number of
// outbound messages (resetEncodings before each), then routed, refused or dropped for
// the observers.
type batch struct {
	router     *Router
	limits     *limitsInForce // that the decoder has been given
	decoder    *codec.Decoder
	encoder    *codec.Encoder
	arrived    time.Time
	sinceClock int // deliveries since the clock was read

	inbound     wamp.RoutedMessage // the inbound message, as interceptors and observers see it
	outbound    wamp.RoutedMessage // the outbound one, as interceptors see it
	observation Observation

	// Outbound messages, reused.
	event      wamp.Event
	invocation wamp.Invocation
	result     wamp.Result
	callError  wamp.Error

	// encoded holds the current outbound message, framed, for each serializer and
	// framing that a receiver has needed so far.
	encoded      [4 * int(transport.Framings)]encoding
	used         []uint8                                       // slots of encoded that are set
	maxReceivers int                                           // upper bound of the message's receivers
	buffer       []byte                                        // backs encodings that are not shared
	shared       [4 * int(transport.Framings)]*sendqueue.Chunk // current chunk of shared encodings, by slot
	sharedSlots  []uint8                                       // slots of shared that are set

	dirty         []*session  // sessions whose queues this batch must flush
	pendingBytes  int         // bytes put since the last flush
	overHalf      bool        // a receiver's queue is more than half full: see makeRoom
	budget        *waitBudget // how long flush may wait for slow receivers; nil: not at all
	sentBytes     int         // bytes of the outbound messages since the last flush, each counted once
	largest       int         // bytes of the largest encoding of the current outbound message
	readBytes     int         // bytes of messages read in this batch
	polls         int         // how often hasMore has polled the socket
	slowReceivers []*session  // sessions that flush may have to wait for
	listed        bool        // the current PUBLISH has lists of receivers
	receivers     receivers
	retention     uint64 // of the current PUBLISH; 0: not retained
	scratch       sendqueue.Scratch

	lastPublish struct { // look-up of the last publication
		// routeKey identifies a look-up and its authorization. While it is the same,
		// their results are, too.
		routeKey
		matched  []*subscription
		disclose bool // by the authorizers' decision
	}
	lastCall struct { // look-up of the last call
		routeKey
		registration *registration // nil: none
		disclose     bool
	}
}

// routeKey is what decides who gets a publication or call, but for its options and
// payload, and the turns that callees take.
type routeKey struct {
	from    *session
	uri     wamp.URI
	changes uint64 // uriindex.Index.Changes before the look-up
	hooks   *hooks
}

var batchPool = sync.Pool{New: func() any { return &batch{decoder: codec.NewDecoder(), encoder: codec.NewEncoder()} }}

func (r *Router) newBatch() *batch {
	b := batchPool.Get().(*batch)
	b.router = r
	b.arrived, b.sinceClock, b.readBytes, b.polls = time.Now(), clockEvery, 0, 0
	return b
}

// decode decodes a message within the current limits.
func (b *batch) decode(s wamp.Serializer, body []byte) (wamp.Message, error) {
	if l := b.router.limits(); l != b.limits {
		b.limits = l
		b.decoder.Bound(l.Nesting, l.Elements)
	}
	return b.decoder.Decode(s, body)
}

// end flushes and returns the batch to its pool.
func (b *batch) end() {
	b.flush()
	b.inbound, b.outbound, b.observation = wamp.RoutedMessage{}, wamp.RoutedMessage{}, Observation{}
	b.event.Payload, b.invocation.Payload = wamp.Payload{}, wamp.Payload{}
	b.result.Payload, b.callError.Payload = wamp.Payload{}, wamp.Payload{}
	if cap(b.buffer) > 1<<20 {
		b.buffer = nil
	}
	clear(b.lastPublish.matched[:cap(b.lastPublish.matched)])
	b.lastPublish.routeKey, b.lastCall.routeKey, b.lastCall.registration = routeKey{}, routeKey{}, nil
	b.scratch.Forget()
	b.router, b.budget = nil, nil
	batchPool.Put(b)
}

// begin starts the routing of an inbound message.
func (b *batch) begin(from *session, uri wamp.URI, m wamp.Message) {
	b.inbound = wamp.RoutedMessage{From: &from.peer, URI: uri, Message: m}
}

// deliver delivers the outbound message m to one receiver: it asks the interceptors,
// encodes and queues. uri is the topic or procedure that m is about.
func (b *batch) deliver(from *wamp.Peer, uri wamp.URI, m wamp.Carrier, to *session) *wamp.Refusal {
	return b.deliverWithin(nil, from, uri, m, to)
}

// deliverWithin is deliver for a message of a call that another goroutine may end at
// the same time. The message is queued before the one that ends the call, or refused
// with callEnded.
func (b *batch) deliverWithin(call *invocation, from *wamp.Peer, uri wamp.URI, m wamp.Carrier, to *session) *wamp.Refusal {
	if to.remote != nil {
		return b.deliverRemote(call, from, uri, m, to)
	}
	payload, _ := m.Carried()
	if interceptors := to.realm.hooks.Load().interceptors; len(interceptors) > 0 {
		b.outbound = wamp.RoutedMessage{From: from, URI: uri, Message: m}
		for _, i := range interceptors {
			if err := i.Deliver(&b.outbound, &to.peer); err != nil {
				return b.router.interceptorRefusal(err)
			}
		}
	}
	return b.enqueue(m, payload, to, call)
}

// enqueue queues a message for one receiver, or returns why it can't be. payload is m's
// if it came from a client, and nil if it is the router's own, which is in the
// receiver's serializer already. call is nil except for deliverWithin.
func (b *batch) enqueue(m wamp.Message, payload *wamp.Payload, to *session, call *invocation) *wamp.Refusal {
	e := b.encode(m, payload, to)
	if e.refusal != nil {
		return e.refusal
	}
	if to.peer.MaxMessage > 0 && e.body > to.peer.MaxMessage {
		return tooLarge
	}
	if call == nil {
		b.putFrame(to, e.frame, e.chunk)
		return nil
	}
	put, pending := call.enqueue(to, e.frame, e.chunk)
	if !pending {
		return callEnded
	}
	b.afterPut(to, put, len(e.frame))
	return nil
}

var callEnded = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrCanceled, Text: "the call has ended"}

// send queues a message of the router's own for one receiver.
func (b *batch) send(to *session, m wamp.Message) {
	if to.remote != nil {
		_ = b.deliverRemote(nil, nil, "", m, to) // NodeGone ends what a lost node misses
		return
	}
	b.resetEncodings()
	e := b.encode(m, nil, to)
	if e.refusal != nil {
		b.router.log.Error("cannot encode", "type", m.Type().String(), "reason", e.refusal.Text)
		return
	}
	b.putFrame(to, e.frame, nil)
}

// sendLast queues GOODBYE or ABORT. The queue takes no message after it.
func (b *batch) sendLast(to *session, m wamp.Message) {
	b.resetEncodings()
	e := b.encode(m, nil, to)
	if e.refusal != nil {
		b.router.log.Error("cannot encode", "type", m.Type().String(), "reason", e.refusal.Text)
		return
	}
	b.afterPut(to, to.out.PutLast(e.frame), len(e.frame))
}

// putFrame puts a frame into a session's send queue, and disconnects the session if its
// queue is full.
func (b *batch) putFrame(to *session, frame []byte, of *sendqueue.Chunk) {
	b.afterPut(to, to.out.Put(frame, of), len(frame))
}

// afterPut handles the result of a put.
func (b *batch) afterPut(to *session, put sendqueue.PutResult, size int) {
	switch put {
	case sendqueue.PutNeedsFlush:
		b.dirty = append(b.dirty, to)
	case sendqueue.PutOverHalf:
		b.overHalf = true
		b.addSlow(to)
		if b.budget != nil && b.budget.over && to.out.Overdraw(size) {
			to.disconnectSlow(b, queueFull)
			return
		}
	case sendqueue.PutFull:
		to.disconnectSlow(b, queueFull)
		return
	}
	b.pendingBytes += size
	if r := b.router; r.queued.Load() > int64(r.limits().QueueTotal) {
		r.shedLoad(b)
	}
}
