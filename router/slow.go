package router

import (
	"slices"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// A session that takes less than it is sent is dealt with in three steps, none
// of which can be drawn out by what the session does:
//
//  1. Senders flush, and wait for it, between two of their messages, while more than
//     half of Limits.Queue waits: BackpressureTimeout in all, until it has taken half a
//     queue more; and not at all while it has taken nothing for a tenth of that
//     (batch.makeRoom, Queue.Behind, Queue.AwaitRoom).
//  2. If its queue is full and that time is over, or it takes nothing for
//     Limits.WriteTimeout, or all queues together are over Limits.QueueTotal and it is
//     furthest behind, it is cut off: what waits is dropped, ABORT takes its place
//     (session.disconnectSlow, Queue.Cut).
//  3. It has Limits.CloseTimeout to read that; then the connection is closed
//     (Queue.Linger).
//
// Nothing is dropped for a session that goes on, and none is cut off for what it had
// no time to take.

// maxSlowReceivers is for how many receivers a sender waits at once.
const maxSlowReceivers = 64

// addSlow remembers to look at the next flush whether a session is to be waited for.
func (b *batch) addSlow(s *session) {
	if b.mayWait && len(b.slowReceivers) < maxSlowReceivers && !slices.Contains(b.slowReceivers, s) {
		b.slowReceivers = append(b.slowReceivers, s)
	}
}

// addIfSlow is noteSlow for a session that was flushed, if it is behind.
func (b *batch) addIfSlow(s *session) {
	if b.mayWait && s.out.Behind() {
		b.addSlow(s)
	}
}

// awaitSlow lets the sender wait for all slow receivers at once.
func (b *batch) awaitSlow() {
	begin := time.Now()
	for i, s := range b.slowReceivers {
		b.slowReceivers[i] = nil
		if s.out.Behind() {
			b.observe(Observation{Kind: Slowed, Realm: s.peer.Realm, Peer: &s.peer, Routed: &b.inbound, Refusal: senderWaits})
			s.out.AwaitRoom(begin)
		}
	}
	b.slowReceivers = b.slowReceivers[:0]
}

// disconnectSlow ends a session that does not read: ABORT is all it can still get. t is
// the batch that found it so, if it is one's.
func (s *session) disconnectSlow(b *batch, why *wamp.Refusal) {
	if s.ending.Swap(true) {
		return
	}
	s.ended.CompareAndSwap(nil, why)
	o := Observation{Kind: Dropped, Realm: s.peer.Realm, Peer: &s.peer, Refusal: why}
	if b != nil {
		o.Routed = &b.inbound
	}
	s.router.notify(o)
	mine := s.router.newBatch()
	defer mine.end()
	e := mine.encode(&wamp.Abort{Reason: why.URI, Details: wamp.Closing{Message: why.Text}}, nil, s)
	if e.refusal == nil {
		s.out.Cut(s.out.Conn.Framing().AppendFrame(e.frame, transport.OpClose, closeNormal))
	}
	_ = s.out.Conn.SetReadDeadline(time.Unix(1, 0)) // it leaves now
}

// shedLoad cuts off those sessions that are furthest behind, until an eighth of
// Limits.Queues is free.
func (r *Router) shedLoad(t *batch) {
	if !r.shedding.TryLock() {
		return
	}
	defer r.shedding.Unlock()
	type waiting struct {
		session *session
		bytes   int
	}
	var all []waiting
	for _, m := range r.order {
		for _, s := range m.allSessions() {
			if n := s.out.Len(); n >= sendqueue.Granule {
				all = append(all, waiting{s, n})
			}
		}
	}
	slices.SortFunc(all, func(a, b waiting) int { return b.bytes - a.bytes })
	enough := int64(r.limits().QueueTotal) / 8 * 7
	for _, w := range all {
		if r.queued.Load() <= enough {
			break
		}
		w.session.disconnectSlow(t, totalQueueFull)
	}
}

func slowReceiver(limit wamp.Limit, text string) *wamp.Refusal {
	return &wamp.Refusal{Reason: wamp.ReasonQueueFull, URI: wamp.ErrUnavailable, Text: text, Limit: limit}
}

var (
	queueFull      = slowReceiver(wamp.LimitQueue, "the session reads less than it is sent; its outbound queue is full")
	totalQueueFull = slowReceiver(wamp.LimitQueueTotal, "the session reads less than it is sent, and the router has no more room for what waits")
	writeTimedOut  = slowReceiver(wamp.LimitWriteTimeout, "the session does not read what it is sent")
	senderWaits    = slowReceiver(wamp.LimitBackpressure, "a sender waits for a session that reads less than it is sent")
)

// tokenBucket are the messages that a session may send now, of Limits.MessageRate.
type tokenBucket struct {
	n     float64
	since time.Time // zero: it has sent none
}

// limitRate lets a session wait that sends more messages than Limits.MessageRate.
func (s *session) limitRate(b *batch, t *tokenBucket) {
	rate := float64(s.router.limits().MessageRate)
	if rate == 0 {
		return
	}
	now := time.Now()
	if t.since.IsZero() {
		*t = tokenBucket{n: rate, since: now}
	}
	t.n = min(rate, t.n+now.Sub(t.since).Seconds()*rate) - 1
	t.since = now
	if t.n >= 0 {
		return
	}
	b.observe(Observation{Kind: Slowed, Realm: s.peer.Realm, Peer: &s.peer, Routed: &b.inbound, Refusal: rateExceeded})
	b.flush()
	time.Sleep(time.Duration(-t.n / rate * float64(time.Second)))
}

var rateExceeded = &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrLimitExceeded, Limit: wamp.LimitMessageRate,
	Text: "the session sends more messages in a second than it may: the rest is read later"}
