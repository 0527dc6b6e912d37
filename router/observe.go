package router

import (
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

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

// routed reports to the observers that the inbound message has been routed.
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

// refused reports to the observers that the inbound message was refused.
func (b *batch) refused(from *session, r *wamp.Refusal) {
	b.observe(Observation{Kind: Refused, Realm: from.peer.Realm, Peer: &from.peer, Routed: &b.inbound, Refusal: r})
}

// dropped reports to the observers that one delivery of an event was skipped.
func (b *batch) dropped(to *session, r *wamp.Refusal) {
	b.observe(Observation{Kind: Dropped, Realm: to.peer.Realm, Peer: &to.peer, Routed: &b.inbound, Refusal: r})
}
