package wamp

import "time"

// Subject is the context of a sealed payload: what both ends know about it and a seal
// can bind. The client makes it and passes it to its Sealer.
type Subject struct {
	// Type is the message on the sender's side of the router: TypePublish (for
	// EVENT too), TypeCall (INVOCATION), TypeYield (RESULT) or TypeError.
	Type MessageType
	// URI is the topic, the procedure (of YIELD and RESULT too), or the error URI
	// of an ERROR.
	URI URI
	// Originator is the side of the sealing or opening peer: true for
	// a publisher or caller, which seals PUBLISH and CALL and opens RESULT and
	// ERROR; false for a subscriber or callee.
	Originator bool
	// Progress is that of the options or details: more of this call follows.
	Progress bool
	// Call is the call that the message belongs to, and nil for events.
	Call *SealedCall
	// Listed says that lists of receivers (exclude, eligible …) keep an event from some
	// subscribers; ToSelf says that its publisher gets it, too (exclude_me).
	Listed, ToSelf bool
	// Stored says that, according to the router, the event was retained or is from the
	// history.
	Stored bool
	// Origin is set by Open, where the Sealer knows it.
	Origin *Origin
}

// SealedCall is one call on one side of the router. All messages of the call have the same.
type SealedCall struct {
	Procedure URI
	// State is the Sealer's own: nil at first.
	State any
}

// Origin is what a payload's seal proves about it. It comes from the Sealer, not from
// the router.
type Origin struct {
	// Sender is the name of the sealing peer, and Key its public key (base64url). Known
	// says that the name is one of the receiver's own contacts; otherwise it is the one
	// that the scope's owner gave.
	Sender, Key string
	Known       bool
	// Time is when it was sealed, by the sender's clock.
	Time time.Time
	// Missing is how many messages of the sender on this URI are missing directly
	// before it. First says that it is the first message of the sender on this URI that
	// this receiver has: the missing ones may be from before the receiver joined.
	Missing uint64
	First   bool
	// Late says that later messages arrived before it, which reported it as missing.
	Late bool
	// Stored says that it was retained or is from the history, according to the router:
	// it may be a repetition.
	Stored bool
}
