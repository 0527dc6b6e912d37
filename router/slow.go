package router

import (
	"slices"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// A session that reads more slowly than it is sent to is handled in three steps, none
// of which the session can prolong:
//
//  1. While more than half of Limits.Queue waits, senders flush and wait for it between
//     two of their messages: for BackpressureTimeout in all, until it has read half a
//     queue more, and not while it has read nothing for a tenth of BackpressureTimeout
//     (batch.makeRoom, Queue.Behind, Queue.AwaitRoom). However many receivers are
//     slow, a sender waits no longer than its waitBudget.
//  2. If its queue is full and that time is used up, or senders whose waitBudget is used up
//     have put half a queue more than the half that may wait (Queue.Overdraw), or it reads nothing for
//     Limits.WriteTimeout, or all queues together are over Limits.QueueTotal and it is
//     furthest behind, it is disconnected: ABORT replaces what waits
//     (session.disconnectSlow, Queue.Cut).
//  3. It has Limits.CloseTimeout to read that; then the connection is closed
//     (Queue.Linger).
//
// Nothing is dropped for a session that continues, and none is disconnected for data
// that it had no time to read.

// maxSlowReceivers is how many receivers a sender waits for at the same time.
const maxSlowReceivers = 64

// addSlow lets the next flush check whether to wait for a session.
func (b *batch) addSlow(s *session) {
	if b.budget != nil && len(b.slowReceivers) < maxSlowReceivers && !slices.Contains(b.slowReceivers, s) {
		b.slowReceivers = append(b.slowReceivers, s)
	}
}

// addIfSlow is addSlow for a session that was flushed and is still behind.
func (b *batch) addIfSlow(s *session) {
	if b.budget != nil && s.out.Behind() {
		b.addSlow(s)
	}
}

// awaitSlow waits for all slow receivers at the same time, as long as the budget lasts.
func (b *batch) awaitSlow() {
	begin := time.Now()
	end := begin.Add(b.budget.left(b.router.limits()))
	for i, s := range b.slowReceivers {
		b.slowReceivers[i] = nil
		if !b.budget.over && s.out.Behind() {
			b.observe(Observation{Kind: Slowed, Realm: s.peer.Realm, Peer: &s.peer, Routed: &b.inbound, Refusal: senderWaits})
			s.out.AwaitRoom(begin, end)
		}
	}
	b.slowReceivers = b.slowReceivers[:0]
	b.budget.spend(time.Since(begin), b.router.limits())
}

// waitBudget limits how long one sender waits for receivers, however many are slow:
// BackpressureTimeout for each half queue that it sends, and twice that in advance. So a
// sender is never slowed to less than half a queue per BackpressureTimeout, and a receiver
// that takes as much from each sender is not disconnected. The zero value is a whole
// budget. It belongs to the goroutine that sends.
type waitBudget struct {
	spent time.Duration // time that the sender has waited and not earned again
	over  bool          // less than leastWait is left
}

// leastWait is the shortest time that a sender waits: less is saved up.
const leastWait = time.Millisecond

func (w *waitBudget) left(l *limitsInForce) time.Duration {
	return 2*l.BackpressureTimeout - w.spent
}

func (w *waitBudget) spend(d time.Duration, l *limitsInForce) {
	w.spent += d
	w.over = w.left(l) < leastWait
}

// earn counts what the sender has sent, in bytes: each message once, in its largest
// encoding.
func (w *waitBudget) earn(bytes int, l *limitsInForce) {
	if w.spent > 0 {
		w.spent = max(0, w.spent-time.Duration(float64(l.BackpressureTimeout)*float64(bytes)/float64(max(l.Queue/2, 1))))
		w.over = w.left(l) < leastWait
	}
}

// disconnectSlow ends a session that does not read: ABORT is the last message that it
// can get. b is the batch that detected it, or nil.
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
	own := s.router.newBatch()
	defer own.end()
	e := own.encode(&wamp.Abort{Reason: why.URI, Details: wamp.Closing{Message: why.Text}}, nil, s)
	if e.refusal == nil {
		s.out.Cut(s.out.Conn.Framing().AppendFrame(e.frame, transport.OpClose, closeNormal))
	}
	_ = s.out.Conn.SetReadDeadline(time.Unix(1, 0)) // so that its reading goroutine ends it now
}

// shedLoad disconnects the sessions that are furthest behind, until an eighth of
// Limits.QueueTotal is free.
func (r *Router) shedLoad(b *batch) {
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
		w.session.disconnectSlow(b, totalQueueFull)
	}
}

func slowReceiver(limit wamp.Limit, text string) *wamp.Refusal {
	return &wamp.Refusal{Reason: wamp.ReasonQueueFull, URI: wamp.ErrUnavailable, Text: text, Limit: limit}
}

var (
	queueFull      = slowReceiver(wamp.LimitQueue, "outbound queue full (limits.queue): the session reads more slowly than it is sent to")
	totalQueueFull = slowReceiver(wamp.LimitQueueTotal, "the router's limit of queued bytes is reached (limits.queue_total): this session was furthest behind")
	writeTimedOut  = slowReceiver(wamp.LimitWriteTimeout, "write timeout (limits.write_timeout): the session is not reading")
	senderWaits    = slowReceiver(wamp.LimitBackpressure, "a sender waits for this session, which reads more slowly than it is sent to")
)

// tokenBucket is a token bucket: the messages that a session may send now, refilled by
// Limits.MessageRate.
type tokenBucket struct {
	n     float64
	since time.Time // of n; zero: no message yet
}

// limitRate delays reading from a session that sends more than Limits.MessageRate.
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
	Text: "message rate exceeded (limits.messages_per_second): reading from the session is delayed"}
