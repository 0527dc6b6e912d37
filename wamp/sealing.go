package wamp

import "time"

// Subject is what a sealed payload belongs to: what both ends know of it, and
// a seal can bind. It is made by the client and given to its Sealer.
type Subject struct {
	// Type is the message on the sender's side of the router: TypePublish (for
	// EVENT too), TypeCall (INVOCATION), TypeYield (RESULT) or TypeError.
	Type MessageType
	// URI is the topic, the procedure (of YIELD and RESULT too), or the error URI
	// of an ERROR.
	URI URI
	// Originator tells the side that the sealing or opening peer is on: true for
	// a publisher or caller, which seals PUBLISH and CALL and opens RESULT and
	// ERROR; false for a subscriber or callee.
	Originator bool
	// Progress is that of the options or details: more of this call follows.
	Progress bool
	// Call is the call that the message belongs to, and nil for events.
	Call *SealedCall
	// Listed tells that lists of receivers (exclude, eligible …) keep an event
	// from some subscribers, ToSelf that its publisher gets it, too (exclude_me).
	Listed, ToSelf bool
	// Stored tells that the router says of an event that it was retained, or is
	// of the history.
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

// Origin is what the seal of a payload tells of it. It holds if the Sealer says
// so: it does not come from the router.
type Origin struct {
	// Sender is the name of who sealed it, and Key the public key (base64url). Known
	// tells that the name is one of the receiver's own contacts; otherwise it is the
	// one that the scope's owner gave.
	Sender, Key string
	Known       bool
	// Time is when it was sealed, by the sender's clock.
	Time time.Time
	// Missing is how many messages of the sender on this URI are missing
	// directly before it. First tells that it is the first that this receiver has of the sender on
	// this URI: what is missing may be from before it began.
	Missing uint64
	First   bool
	// Late tells that later ones came before it, which reported it as missing.
	Late bool
	// Stored tells that it was retained or is of the history, by the router's word: it may
	// be a repetition.
	Stored bool
}
