package router

import (
	"context"
	"errors"
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

	dirty         []*session // sessions whose queues this batch must flush
	pendingBytes  int        // bytes put since the last flush
	overHalf      bool       // a receiver's queue is more than half full: see makeRoom
	mayWait       bool       // flush may wait for slow receivers
	readBytes     int        // bytes of messages read in this batch
	polls         int        // how often hasMore has polled the socket
	slowReceivers []*session // sessions that flush may have to wait for
	listed        bool       // the current PUBLISH has lists of receivers
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

// encoding is an outbound message for receivers of one serializer and framing.
type encoding struct {
	frame   []byte
	body    int              // the message's length without framing
	chunk   *sendqueue.Chunk // that holds frame; nil: the batch's buffer does
	refusal *wamp.Refusal    // why there is no frame
}

const (
	// Frames for manyReceivers or more, and frames with a payload of at least
	// largeFrame, are shared between the queues of their receivers; copying a
	// smaller one costs less than handling one more buffer in each write.
	manyReceivers = 8
	largeFrame    = 16 << 10
	// typicalEnvelope is the usual size of an envelope, in bytes.
	typicalEnvelope = 64
	// sharedChunk is the size that chunks of shared frames grow to in a long batch.
	sharedChunk = 64 << 10
)

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
	b.router, b.mayWait = nil, false
	batchPool.Put(b)
}

// begin starts the routing of an inbound message.
func (b *batch) begin(from *session, uri wamp.URI, m wamp.Message) {
	b.inbound = wamp.RoutedMessage{From: &from.peer, URI: uri, Message: m}
}

// resetEncodings discards the encodings of the previous outbound message.
func (b *batch) resetEncodings() {
	for _, slot := range b.used {
		b.encoded[slot] = encoding{}
	}
	b.used = b.used[:0]
	b.buffer = b.buffer[:0]
	b.maxReceivers = 1
}

// slotOf numbers the combinations of serializer and framing.
func slotOf(s wamp.Serializer, f transport.Framing) int {
	return int(s)*int(transport.Framings) + int(f)
}

// encode returns m as a frame for receivers like to. It encodes once for each
// serializer and framing until resetEncodings is called. payload is m's, or nil.
func (b *batch) encode(m wamp.Message, payload *wamp.Payload, to *session) *encoding {
	framing := to.out.Conn.Framing()
	slot := slotOf(to.peer.Serializer, framing)
	e := &b.encoded[slot]
	if e.frame != nil || e.refusal != nil {
		return e
	}
	b.used = append(b.used, uint8(slot))
	s, size := to.peer.Serializer, 0
	if payload != nil {
		if from := payload.Serializer(); from != s && from != 0 {
			b.convert(e, m, payload, framing, s)
			return e
		}
		size = payload.WireSize()
	}
	b.frame(e, m, framing, s, size)
	return e
}

// convert is frame for a payload of m that has to be converted to another serializer.
func (b *batch) convert(e *encoding, m wamp.Message, payload *wamp.Payload, framing transport.Framing, s wamp.Serializer) {
	converted, err := codec.Convert(payload, s)
	if err != nil {
		e.refusal = asRefusal(err)
		return
	}
	original := *payload
	*payload = converted
	b.frame(e, m, framing, s, converted.WireSize())
	*payload = original
}

// frame encodes m, whose payload takes size bytes, as a frame into e.
func (b *batch) frame(e *encoding, m wamp.Message, framing transport.Framing, s wamp.Serializer, size int) {
	buffer := b.buffer
	slot := slotOf(s, framing)
	if size >= largeFrame || b.maxReceivers >= manyReceivers {
		e.chunk = b.sharedChunkFor(slot, size+512)
		buffer = e.chunk.Buf
	}
	start := len(buffer)
	buffer = framing.Begin(buffer, size+typicalEnvelope)
	body := len(buffer)
	buffer, err := b.encoder.Append(buffer, s, m)
	if err != nil {
		e.refusal = asRefusal(err)
		return
	}
	e.body = len(buffer) - body
	if e.body > framing.MaxMessage() {
		e.refusal = tooLarge
		return
	}
	buffer = framing.Finish(buffer, start, body, transport.OpMessage)
	e.frame = buffer[start:]
	switch {
	case e.chunk == nil:
		b.buffer = buffer
	case cap(buffer) == cap(e.chunk.Buf):
		e.chunk.Buf = buffer
	default:
		// A long envelope: the encoder has moved to a larger array.
		moved := new(sendqueue.Chunk)
		moved.Adopt(buffer, true)
		e.chunk.Release()
		e.chunk, b.shared[slot] = moved, moved
	}
}

// sharedChunkFor returns a chunk with room for size bytes for the next shared frame of
// a slot. The first chunk after a flush is no larger than needed, as its frame may be
// the only one before the next flush.
func (b *batch) sharedChunkFor(slot, size int) *sendqueue.Chunk {
	before := b.shared[slot]
	room := size
	switch {
	case before == nil:
		b.sharedSlots = append(b.sharedSlots, uint8(slot))
	case cap(before.Buf)-len(before.Buf) >= size:
		return before
	default:
		room = max(size, min(4*cap(before.Buf), sharedChunk))
		before.Release()
	}
	c := sendqueue.NewChunk(room, true)
	b.shared[slot] = c
	return c
}

var tooLarge = &wamp.Refusal{Reason: wamp.ReasonSize, URI: wamp.ErrPayloadSizeExceeded,
	Text: "the message is larger than its receiver accepts"}

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
	case sendqueue.PutFull:
		to.disconnectSlow(b, queueFull)
		return
	}
	b.pendingBytes += size
	if r := b.router; r.queued.Load() > int64(r.limits().QueueTotal) {
		r.shedLoad(b)
	}
}

// observe passes an observation to the observers.
func (b *batch) observe(o Observation) {
	if len(b.router.observers) == 0 {
		return
	}
	b.observation = o
	for _, observer := range b.router.observers {
		observer.Observe(&b.observation)
	}
}

// routed tells the observers that the inbound message has been routed.
func (b *batch) routed(from *session, deliveries int) {
	if len(b.router.observers) == 0 {
		return
	}
	b.observation = Observation{Kind: Routed, Realm: from.peer.Realm, Peer: &from.peer, Routed: &b.inbound,
		Deliveries: deliveries, Elapsed: b.sinceArrival(deliveries)}
	for _, observer := range b.router.observers {
		observer.Observe(&b.observation)
	}
}

// clockEvery is the number of deliveries after which the clock is read again: reading
// it costs as much as two deliveries.
const clockEvery = 32

// sinceArrival returns the time since the batch arrived, or 0 if the clock is not read
// for this message.
func (b *batch) sinceArrival(deliveries int) time.Duration {
	if b.sinceClock += 1 + deliveries; b.sinceClock < clockEvery {
		return 0
	}
	b.sinceClock = 0
	return time.Since(b.arrived)
}

// refused tells the observers that the inbound message was refused.
func (b *batch) refused(from *session, r *wamp.Refusal) {
	b.observe(Observation{Kind: Refused, Realm: from.peer.Realm, Peer: &from.peer, Routed: &b.inbound, Refusal: r})
}

// dropped tells the observers that one delivery of an event was skipped.
func (b *batch) dropped(to *session, r *wamp.Refusal) {
	b.observe(Observation{Kind: Dropped, Realm: to.peer.Realm, Peer: &to.peer, Routed: &b.inbound, Refusal: r})
}

// intercepted asks the interceptors whether the inbound message may be routed.
func (b *batch) intercepted(realm *realm) *wamp.Refusal {
	for _, i := range realm.hooks.Load().interceptors {
		if err := i.Receive(&b.inbound); err != nil {
			return b.router.interceptorRefusal(err)
		}
	}
	return nil
}

// authorized asks the authorizers whether a session may do something. Only Disclose and
// Cacheable of the decision are valid.
func (b *batch) authorized(s *session, action Action, uri wamp.URI, match wamp.Match) (Decision, *wamp.Refusal) {
	d, refusal, err := s.decision(context.Background(), action, uri, match)
	if err != nil {
		b.router.log.Warn("authorizer failed", "realm", s.peer.Realm, "error", err)
		refusal = authorizationFailed
	}
	return d, refusal
}

// decision combines the decisions of all authorizers. It returns an error if one of
// them does.
func (s *session) decision(ctx context.Context, action Action, uri wamp.URI, match wamp.Match) (Decision, *wamp.Refusal, error) {
	all := Decision{Allow: true, Cacheable: true}
	if s.internal {
		return all, nil, nil
	}
	hooks := s.realm.hooks.Load()
	for _, a := range hooks.authorizers {
		d, err := a.Authorize(ctx, &s.peer, action, uri, match)
		if err != nil {
			return Decision{}, nil, err
		}
		if !d.Allow {
			return Decision{}, notAuthorized, nil
		}
		all.Disclose = all.Disclose || d.Disclose
		all.Explicit = all.Explicit || d.Explicit
		all.Cacheable = all.Cacheable && d.Cacheable
	}
	if match == wamp.MatchExact && !all.Explicit && hooks.needsExplicit(action, uri) {
		return Decision{}, needsExplicitPermission, nil
	}
	return all, nil, nil
}

var (
	notAuthorized = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrNotAuthorized,
		Text: "this session's role has no permission for this action on this URI"}
	authorizationFailed = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrAuthorizationFailed,
		Text: "the authorizer could not decide"}
	refusedByInterceptor = &wamp.Refusal{Reason: wamp.ReasonInterceptor, URI: wamp.ErrNotAuthorized,
		Text: "refused by the router's configuration"}
)

func (r *Router) interceptorRefusal(err error) *wamp.Refusal {
	var refusal *wamp.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	r.log.Warn("interceptor failed", "error", err)
	return refusedByInterceptor
}

// asRefusal returns the refusal in err, or one that says that the payload can't be
// converted.
func asRefusal(err error) *wamp.Refusal {
	var refusal *wamp.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return &wamp.Refusal{Reason: wamp.ReasonInconvertible, URI: wamp.ErrInvalidArgument,
		Text: "the payload can't be converted to the receiver's serializer"}
}
