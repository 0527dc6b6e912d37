package router

import (
	"slices"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// A session that takes less than it is sent is dealt with in three steps, none
// of which can be drawn out by what the session does:
//
//  1. Senders wait for it, at the end of their batches, while more than half of
//     Limits.Queue waits: SlowDown in all, until it has taken half a queue more;
//     and not at all if it has taken nothing for a tenth of that (outbox.behind,
//     awaitSlow).
//  2. If its queue is full, or it takes nothing for Limits.Stall, or all queues
//     together are over Limits.Queues and it is furthest behind, it is cut off:
//     what waits is dropped, ABORT takes its place (session.cutOff, outbox.cut).
//  3. It has Limits.Farewell to read that; then the connection is closed
//     (outbox.linger).
//
// Nothing is dropped for a session that goes on.

// lag is what an outbox knows of a peer that does not take everything at once.
type lag struct {
	taken    int           // bytes that the peer took since it lags
	waited   time.Duration // for it, by senders, since taken was waitedAt
	waitedAt int
	progress time.Time     // when the peer last took something
	room     chan struct{} // closed when size falls to roomAt; nil if nobody waits
	roomAt   int
}

// lagging returns the outbox's lag, which begins if there is none.
func (o *outbox) lagging() *lag {
	if o.lag == nil {
		o.lag = &lag{progress: time.Now()}
	}
	return o.lag
}

// roomFor returns a channel that is closed when at most size bytes wait, or the
// outbox takes nothing any more.
func (l *lag) roomFor(size int) <-chan struct{} {
	if l.room == nil {
		l.room = make(chan struct{})
	}
	l.roomAt = size
	return l.room
}

// behind reports whether senders should wait for the peer.
func (o *outbox) behind() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.size <= o.limits.Queue/2 || o.state == outboxClosed || o.closing {
		return false
	}
	l := o.lagging()
	if l.taken-l.waitedAt >= o.limits.Queue/2 {
		l.waited, l.waitedAt = 0, l.taken
	}
	return l.waited < o.limits.BackpressureTimeout
}

// maxSlowReceivers is for how many receivers a sender waits at once.
const maxSlowReceivers = 64

// noteSlow remembers to wait for a session at the next flush, if it is behind.
func (b *batch) noteSlow(s *session) {
	if !b.mayWait || len(b.slowReceivers) >= maxSlowReceivers {
		return
	}
	if s.out.behind() && !slices.Contains(b.slowReceivers, s) {
		b.slowReceivers = append(b.slowReceivers, s)
	}
}

// awaitSlow lets the sender wait for all of t.slow at once.
func (b *batch) awaitSlow() {
	begin := time.Now()
	for i, s := range b.slowReceivers {
		b.observe(Observation{Kind: Slowed, Realm: s.peer.Realm, Peer: &s.peer, Routed: &b.inbound, Refusal: senderWaits})
		s.out.awaitRoom(begin)
		b.slowReceivers[i] = nil
	}
	b.slowReceivers = b.slowReceivers[:0]
}

// awaitRoom waits until at most half of the limit waits, the session is gone, or
// the senders' patience with it is over: they have waited for slowDown, or the
// peer has taken nothing for a tenth of that. It has been waited for since begin.
func (o *outbox) awaitRoom(begin time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for charged := begin; o.size > o.limits.Queue/2 && o.state != outboxClosed && !o.closing; {
		now, l, most := time.Now(), o.lagging(), o.limits.BackpressureTimeout
		l.waited += now.Sub(charged)
		charged = now
		left := min(most/10-now.Sub(l.progress), most-l.waited)
		if left <= 0 {
			l.waited = most
			return
		}
		o.wait(l.roomFor(o.limits.Queue/2), left)
	}
}

// wait waits until room is closed, or for limit. mu is held, but meanwhile.
func (o *outbox) wait(room <-chan struct{}, limit time.Duration) {
	timer := time.NewTimer(limit)
	o.mu.Unlock()
	select {
	case <-room:
	case <-timer.C:
	}
	timer.Stop()
	o.mu.Lock()
}

// account brings the router's total up to date, in granules, so that
// what never waits long costs nothing. mu is held.
func (o *outbox) account() {
	if o.total == nil {
		return
	}
	if n := int32(o.size / granule); n != o.accounted {
		o.total.Add(int64(n-o.accounted) * granule)
		o.accounted = n
	}
}

const granule = 16 << 10

// bound sets the limits that hold from now on.
func (o *outbox) bound(l *Limits) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.limits = l
}

// queued returns the bytes waiting.
func (o *outbox) queued() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size
}

// isCut reports whether the peer may still be reading why it was cut off.
func (o *outbox) isCut() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closing && o.lingers
}

// abort is finish for a peer that may go on sending, and is to read why nobody
// listens.
func (o *outbox) abort(scratch *writeScratch) {
	o.mu.Lock()
	o.lingers = true
	o.mu.Unlock()
	o.finish(scratch)
}

// linger waits until a connection that was finished, aborted or cut has taken
// what it is to read, at most for limit, and closes it.
func (o *outbox) linger(limit time.Duration) {
	end := time.Now().Add(limit)
	o.mu.Lock()
	if o.lingers {
		o.mu.Unlock()
		o.conn.Linger(limit)
		o.mu.Lock()
	}
	for o.closing && o.state == outboxWriting && time.Now().Before(end) {
		o.wait(o.lagging().roomFor(0), time.Until(end))
	}
	o.mu.Unlock()
	o.close()
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
		s.out.cut(s.out.conn.Framing().AppendFrame(e.frame, transport.OpClose, closeNormal))
	}
	_ = s.out.conn.SetReadDeadline(time.Unix(1, 0)) // it leaves now
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
			if n := s.out.queued(); n >= granule {
				all = append(all, waiting{s, n})
			}
		}
	}
	slices.SortFunc(all, func(a, b waiting) int { return b.bytes - a.bytes })
	enough := int64(r.limits().TotalQueue) / 8 * 7
	for _, w := range all {
		if r.queued.Load() <= enough {
			break
		}
		w.session.disconnectSlow(t, queuesFull)
	}
}

func slowReceiver(limit wamp.Limit, text string) *wamp.Refusal {
	return &wamp.Refusal{Reason: wamp.ReasonQueueFull, URI: wamp.ErrUnavailable, Text: text, Limit: limit}
}

var (
	queueFull     = slowReceiver(wamp.LimitQueue, "the session reads less than it is sent; its outbound queue is full")
	queuesFull    = slowReceiver(wamp.LimitTotalQueue, "the session reads less than it is sent, and the router has no more room for what waits")
	writeTimedOut = slowReceiver(wamp.LimitWriteTimeout, "the session does not read what it is sent")
	senderWaits   = slowReceiver(wamp.LimitBackpressure, "a sender waits for a session that reads less than it is sent")
)

// tokens are the messages that a session may send now.
type tokens struct {
	n     float64
	since time.Time
}

// limitRate lets a session wait that sends more messages than Limits.MessageRate.
func (s *session) limitRate(b *batch) {
	rate := float64(s.router.limits().MessageRate)
	if rate == 0 {
		return
	}
	now := time.Now()
	if s.tokens == nil {
		s.tokens = &tokens{n: rate, since: now}
	}
	s.tokens.n = min(rate, s.tokens.n+now.Sub(s.tokens.since).Seconds()*rate) - 1
	s.tokens.since = now
	if s.tokens.n >= 0 {
		return
	}
	b.observe(Observation{Kind: Slowed, Realm: s.peer.Realm, Peer: &s.peer, Routed: &b.inbound, Refusal: rateExceeded})
	b.flush()
	time.Sleep(time.Duration(-s.tokens.n / rate * float64(time.Second)))
}

var rateExceeded = &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrLimitExceeded, Limit: wamp.LimitMessageRate,
	Text: "the session sends more messages in a second than it may: the rest is read later"}
