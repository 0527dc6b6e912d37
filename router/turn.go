package router

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// turn is what a goroutine needs to route: a decoder, buffers to encode into,
// and the list of the sessions that it owes a flush. A session's reading
// goroutine takes one for each batch of messages that has arrived, and gives it
// back before it waits again, so an idle session holds none.
//
// One message is routed at a time: begin, then any number of deliveries of
// outbound messages (each between fresh and the next fresh), then observe.
type turn struct {
	router  *Router
	limits  *Limits // that the decoder is bound by
	decoder *codec.Decoder
	encoder *codec.Encoder
	arrived time.Time
	unread  int // deliveries since the clock was read

	transit wamp.Transit // the inbound message, for interceptors and observers
	out     wamp.Transit // the outbound one
	seen    Observation

	// Outbound messages, reused.
	event      wamp.Event
	invocation wamp.Invocation
	result     wamp.Result
	failure    wamp.Error

	// encoded holds the present outbound message, framed, for each serializer
	// and framing that a receiver has needed so far.
	encoded [4 * int(transport.Framings)]encoding
	used    []uint8                             // slots of encoded in use
	most    int                                 // how many receivers it may have
	buffer  []byte                              // holds the encodings that are not shared
	shared  [4 * int(transport.Framings)]*chunk // holds those that are, by slot; one after the other
	sharing []uint8                             // slots of shared in use

	owed     []*session // sessions to flush
	owedSize int        // bytes put since the last flush
	patient  bool       // flush may wait for receivers that are behind
	read     int        // bytes of the messages of this turn
	polled   int        // how often it was looked for more of them
	slow     []*session // those of them to wait for
	scratch  writeScratch

	published struct { // the publication before
		way
		matched  []*subscription
		disclose bool // its publisher, asked or not
	}
	called struct { // the call before
		way
		registration *registration // nil: none
		disclose     bool
	}
}

// way is what decides who gets a publication or call, but for its options and
// payload, and the turns that callees take.
type way struct {
	from    *session
	uri     wamp.URI
	changes uint64 // of the index that is asked
	plugins *plugins
}

// encoding is an outbound message for receivers of one serializer and framing.
type encoding struct {
	frame   []byte
	body    int           // the message's length without framing
	of      *chunk        // that the frame lies in; nil: it is not shared
	refusal *wamp.Refusal // why there is none
}

const (
	// Frames for manyReceivers or more, and those with a payload of at least
	// largeFrame, are shared between the queues of their receivers; copying a
	// smaller one costs less than handling one more buffer in each write.
	manyReceivers = 8
	largeFrame    = 16 << 10
	// usualEnvelope is about what an envelope takes, in bytes.
	usualEnvelope = 64
	// sharedChunk is how large the chunks of shared frames grow in a long batch.
	sharedChunk = 64 << 10
)

var turns = sync.Pool{New: func() any { return &turn{decoder: codec.NewDecoder(), encoder: codec.NewEncoder()} }}

func (r *Router) newTurn() *turn {
	t := turns.Get().(*turn)
	t.router = r
	t.arrived, t.unread, t.read, t.polled = time.Now(), clockEvery, 0, 0
	return t
}

// decode decodes a message within the limits of this moment.
func (t *turn) decode(s wamp.Serializer, body []byte) (wamp.Message, error) {
	if l := t.router.limits(); l != t.limits {
		t.limits = l
		t.decoder.Bound(l.Nesting, l.Elements)
	}
	return t.decoder.Decode(s, body)
}

// end flushes what is owed and gives the turn back.
func (t *turn) end() {
	t.flush()
	t.transit, t.out, t.seen = wamp.Transit{}, wamp.Transit{}, Observation{}
	t.event.Payload, t.invocation.Payload = wamp.Payload{}, wamp.Payload{}
	t.result.Payload, t.failure.Payload = wamp.Payload{}, wamp.Payload{}
	if cap(t.buffer) > 1<<20 {
		t.buffer = nil
	}
	clear(t.published.matched[:cap(t.published.matched)])
	t.published.way, t.called.way, t.called.registration = way{}, way{}, nil
	t.scratch.forget()
	t.router, t.patient = nil, false
	turns.Put(t)
}

// begin starts the routing of an inbound message.
func (t *turn) begin(from *session, uri wamp.URI, m wamp.Message) {
	t.transit = wamp.Transit{From: &from.peer, URI: uri, Message: m}
}

// fresh forgets the encodings of the outbound message before.
func (t *turn) fresh() {
	for _, slot := range t.used {
		t.encoded[slot] = encoding{}
	}
	t.used = t.used[:0]
	t.buffer = t.buffer[:0]
	t.most = 1
}

// slotOf numbers the kinds of frames that there are.
func slotOf(s wamp.Serializer, f transport.Framing) int {
	return int(s)*int(transport.Framings) + int(f)
}

// encode returns m as a frame for receivers like to. It is made once for each
// serializer and framing until fresh is called. payload is m's, or nil.
func (t *turn) encode(m wamp.Message, payload *wamp.Payload, to *session) *encoding {
	framing := to.out.conn.Framing()
	slot := slotOf(to.peer.Serializer, framing)
	e := &t.encoded[slot]
	if e.frame != nil || e.refusal != nil {
		return e
	}
	t.used = append(t.used, uint8(slot))
	s, size := to.peer.Serializer, 0
	if payload != nil {
		if from := payload.Serializer(); from != s && from != 0 {
			t.convert(e, m, payload, framing, s)
			return e
		}
		size = payload.WireSize()
	}
	t.frame(e, m, framing, s, size)
	return e
}

// convert is frame for a payload, m's, that has to be converted.
func (t *turn) convert(e *encoding, m wamp.Message, payload *wamp.Payload, framing transport.Framing, s wamp.Serializer) {
	converted, err := codec.Convert(payload, s)
	if err != nil {
		e.refusal = asRefusal(err)
		return
	}
	original := *payload
	*payload = converted
	t.frame(e, m, framing, s, converted.WireSize())
	*payload = original
}

// frame makes e the message m as a frame. Its payload takes size bytes.
func (t *turn) frame(e *encoding, m wamp.Message, framing transport.Framing, s wamp.Serializer, size int) {
	buffer := t.buffer
	slot := slotOf(s, framing)
	if size >= largeFrame || t.most >= manyReceivers {
		e.of = t.sharedFor(slot, size+512)
		buffer = e.of.buf
	}
	start := len(buffer)
	buffer = framing.Begin(buffer, size+usualEnvelope)
	body := len(buffer)
	buffer, err := t.encoder.Append(buffer, s, m)
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
	case e.of == nil:
		t.buffer = buffer
	case cap(buffer) == cap(e.of.buf):
		e.of.buf = buffer
	default:
		// A long envelope: the encoder has moved to a larger array.
		moved := new(chunk)
		moved.own(buffer, true)
		e.of.release()
		e.of, t.shared[slot] = moved, moved
	}
}

// sharedFor returns the chunk for the next shared frame of a slot, with room for
// size bytes. The first after a flush is no larger than it must be, as it may be the
// last before the next.
func (t *turn) sharedFor(slot, size int) *chunk {
	before := t.shared[slot]
	room := size
	switch {
	case before == nil:
		t.sharing = append(t.sharing, uint8(slot))
	case cap(before.buf)-len(before.buf) >= size:
		return before
	default:
		room = max(size, min(4*cap(before.buf), sharedChunk))
		before.release()
	}
	c := newChunk(room, true)
	t.shared[slot] = c
	return c
}

var tooLarge = &wamp.Refusal{Reason: wamp.ReasonSize, URI: wamp.ErrPayloadSizeExceeded,
	Text: "the message is larger than its receiver accepts"}

// deliver hands the outbound message m to one receiver: asks the interceptors,
// encodes, queues. uri is the topic or procedure that it belongs to.
func (t *turn) deliver(from *wamp.Peer, uri wamp.URI, m wamp.Carrier, to *session) *wamp.Refusal {
	return t.deliverWithin(nil, from, uri, m, to)
}

// deliverWithin is deliver for a message of a call that somebody else may end
// meanwhile: it is queued before whoever ends the call tells of that, or refused with
// hasEnded.
func (t *turn) deliverWithin(call *invocation, from *wamp.Peer, uri wamp.URI, m wamp.Carrier, to *session) *wamp.Refusal {
	payload, _ := m.Carried()
	if interceptors := to.realm.plugins.Load().interceptors; len(interceptors) > 0 {
		t.out = wamp.Transit{From: from, URI: uri, Message: m}
		for _, i := range interceptors {
			if err := i.Deliver(&t.out, &to.peer); err != nil {
				return t.router.interceptorRefusal(err)
			}
		}
	}
	return t.pass(m, payload, to, call)
}

// pass queues a message for one receiver, or says why it can't have it. payload is
// m's if it came from a client, and nil if it is the router's own, which is in the
// receiver's serializer. call is nil but for deliverWithin.
func (t *turn) pass(m wamp.Message, payload *wamp.Payload, to *session, call *invocation) *wamp.Refusal {
	e := t.encode(m, payload, to)
	if e.refusal != nil {
		return e.refusal
	}
	if to.peer.MaxMessage > 0 && e.body > to.peer.MaxMessage {
		return tooLarge
	}
	if call == nil {
		t.queue(to, e.frame, e.of)
		return nil
	}
	put, pending := call.put(to, e.frame, e.of)
	if !pending {
		return hasEnded
	}
	t.wasPut(to, put, len(e.frame))
	return nil
}

var hasEnded = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrCanceled, Text: "the call has ended"}

// send queues a message without a payload of a client's for one receiver.
func (t *turn) send(to *session, m wamp.Message) {
	t.fresh()
	e := t.encode(m, nil, to)
	if e.refusal != nil {
		t.router.log.Error("cannot encode", "type", m.Type().String(), "reason", e.refusal.Text)
		return
	}
	t.queue(to, e.frame, nil)
}

// queue puts a frame into a session's outbox, and cuts off a session that has
// not read for so long that its outbox is full.
func (t *turn) queue(to *session, frame []byte, of *chunk) {
	t.wasPut(to, to.out.put(frame, of), len(frame))
}

// wasPut does what is to be done after a frame was put.
func (t *turn) wasPut(to *session, put putResult, size int) {
	switch put {
	case putOwed:
		t.owed = append(t.owed, to)
	case putBehind:
		t.noteSlow(to)
	case putFull:
		to.cutOff(t, queueFull)
		return
	}
	t.owedSize += size
	if r := t.router; r.queued.Load() > int64(r.limits().Queues) {
		r.relieve(t)
	}
}

// observe tells the observers about something.
func (t *turn) observe(o Observation) {
	if len(t.router.observers) == 0 {
		return
	}
	t.seen = o
	for _, observer := range t.router.observers {
		observer.Observe(&t.seen)
	}
}

// routed tells the observers that the inbound message has been routed.
func (t *turn) routed(from *session, deliveries int) {
	if len(t.router.observers) == 0 {
		return
	}
	t.seen = Observation{Kind: Routed, Realm: from.peer.Realm, Peer: &from.peer, Transit: &t.transit,
		Deliveries: deliveries, Elapsed: t.sinceArrival(deliveries)}
	for _, observer := range t.router.observers {
		observer.Observe(&t.seen)
	}
}

// clockEvery is the number of deliveries after which the clock is read again: that
// costs as much as two of them.
const clockEvery = 32

// sinceArrival is the time since the batch arrived, or 0 if the clock is not to be
// read for this message.
func (t *turn) sinceArrival(deliveries int) time.Duration {
	if t.unread += 1 + deliveries; t.unread < clockEvery {
		return 0
	}
	t.unread = 0
	return time.Since(t.arrived)
}

// refused tells the observers that the inbound message was refused.
func (t *turn) refused(from *session, r *wamp.Refusal) {
	t.observe(Observation{Kind: Refused, Realm: from.peer.Realm, Peer: &from.peer, Transit: &t.transit, Refusal: r})
}

// dropped tells the observers that one delivery of an event was skipped.
func (t *turn) dropped(to *session, r *wamp.Refusal) {
	t.observe(Observation{Kind: Dropped, Realm: to.peer.Realm, Peer: &to.peer, Transit: &t.transit, Refusal: r})
}

// received asks the interceptors whether the inbound message may go on.
func (t *turn) received(realm *realm) *wamp.Refusal {
	for _, i := range realm.plugins.Load().interceptors {
		if err := i.Receive(&t.transit); err != nil {
			return t.router.interceptorRefusal(err)
		}
	}
	return nil
}

// authorized asks the authorizers whether a session may do something. Of the
// decision, Disclose and Standing are all their doing.
func (t *turn) authorized(s *session, action Action, uri wamp.URI, match wamp.Match) (Decision, *wamp.Refusal) {
	all := Decision{Allow: true, Standing: true}
	if s.own {
		return all, nil
	}
	for _, a := range s.realm.plugins.Load().authorizers {
		d, err := a.Authorize(context.Background(), &s.peer, action, uri, match)
		if err != nil {
			t.router.log.Warn("authorizer failed", "realm", s.peer.Realm, "error", err)
			return Decision{}, authorizationFailed
		}
		if !d.Allow {
			return Decision{}, notAuthorized
		}
		all.Disclose = all.Disclose || d.Disclose
		all.Standing = all.Standing && d.Standing
	}
	return all, nil
}

var (
	notAuthorized = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrNotAuthorized,
		Text: "this session's role has no permission for that"}
	authorizationFailed = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrAuthorizationFailed,
		Text: "the authorizer could not decide"}
	interceptorSaidNo = &wamp.Refusal{Reason: wamp.ReasonInterceptor, URI: wamp.ErrNotAuthorized,
		Text: "refused by the router's configuration"}
)

func (r *Router) interceptorRefusal(err error) *wamp.Refusal {
	var refusal *wamp.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	r.log.Warn("interceptor failed", "error", err)
	return interceptorSaidNo
}

// asRefusal returns err as what it is, or as a refusal to convert.
func asRefusal(err error) *wamp.Refusal {
	var refusal *wamp.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return &wamp.Refusal{Reason: wamp.ReasonInconvertible, URI: wamp.ErrInvalidArgument,
		Text: "the payload has no counterpart in the receiver's serializer"}
}
