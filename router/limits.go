package router

import (
	"time"

	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Limits bound what one session, and all of them, can make the router hold. A
// zero field stands for its default.
type Limits struct {
	// Hello is the time a new connection has to send its HELLO and to finish
	// authentication. Default 5 s.
	Hello time.Duration
	// FirstMessage is the size, in bytes, of a message before the session is
	// welcomed. Default 16 KiB.
	FirstMessage int
	// Message is the size of a message after that. Default 1 MiB, up to 16 MiB.
	Message int
	// Sessions is how many sessions there may be. Default 65,536.
	Sessions int
	// Queue is how many bytes may wait for one session that does not take them. Senders
	// that find more than half of it waiting wait; beyond it each puts one message at
	// most. Default 4 MiB, and at least four messages.
	Queue int
	// TotalQueue is how many bytes may wait for all sessions together; of each
	// session the last 16 KiB don't count. Where more wait, the sessions that are
	// furthest behind are cut off. Default 1 GiB.
	QueueTotal int
	// BackpressureTimeout is how long senders wait for a receiver that has more than half
	// of Queue waiting, in all, until it has taken as many bytes again; if it
	// takes none for a tenth of that, they wait no more. Default 1 s.
	BackpressureTimeout time.Duration
	// WriteTimeout is how long a receiver may take no byte at all. Default 2 s.
	WriteTimeout time.Duration
	// CloseTimeout is how long a session that was ended by the router has to read
	// why, before the connection is closed. Default 5 s.
	CloseTimeout time.Duration
	// PingEvery and PingTimeout: a session that has been silent for PingEvery is
	// pinged, and ended if it stays silent for PingTimeout more. Defaults 25 s
	// and 10 s; negative PingEvery means never.
	PingEvery, PingTimeout time.Duration
	// Subscriptions and Registrations of one session. Default 1,024 each.
	Subscriptions, Registrations int
	// Calls is how many calls of one session may be in flight. Default 4,096.
	Calls int
	// WaitingCalls is how many calls may wait for the callees of one registration
	// that limit their concurrency. Default 1,024.
	WaitingCalls int
	// MetaEvents is how many bytes of events of the meta API may wait to be published,
	// of a realm. Beyond that, the sessions wait that make the changes. Default 1 MiB.
	MetaEvents int
	// Nesting and Elements bound what is passed over in envelopes: containers in
	// each other, and elements of one option that isn't known; and what the router
	// makes of arguments for procedures of its own. Defaults 32 and 4,096, which are
	// also the most.
	Nesting, Elements int
	// URIBytes and URIComponents bound URIs. Defaults 255 and 32, which are also
	// the most.
	URIBytes, URIComponents int
	// MessageRate is how many messages a session may send in a second, beyond a
	// first burst of as many: more are read later. Default 0: no bound.
	MessageRate int
}

// limitsInForce are Limits with what follows from them.
type limitsInForce struct {
	Limits
	customURI bool             // URIBytes and URIComponents are lower than their defaults
	queue     sendqueue.Limits // the part that each session's send queue goes by
}

func newLimits(l Limits) *limitsInForce {
	l = l.withDefaults()
	return &limitsInForce{
		Limits:    l,
		customURI: l.URIBytes < wamp.MaxURILength || l.URIComponents < wamp.MaxURIComponents,
		queue: sendqueue.Limits{Bytes: l.Queue, BackpressureTimeout: l.BackpressureTimeout,
			WriteTimeout: l.WriteTimeout, CloseTimeout: l.CloseTimeout},
	}
}

// values are the bounds of what the router makes of payloads for its own use.
func (l *limitsInForce) values() wamp.ValueLimits {
	return wamp.ValueLimits{Nesting: l.Nesting, Elements: l.Elements}
}

// nextPing is when a session has been silent for PingEvery from now on; the zero time:
// never.
func (l *limitsInForce) nextPing() time.Time {
	if l.PingEvery <= 0 {
		return time.Time{}
	}
	return time.Now().Add(l.PingEvery)
}

// linger bounds the time that a connection stays open after its last message.
func (l *limitsInForce) linger(deadline time.Time) time.Duration {
	return max(0, min(l.CloseTimeout, time.Until(deadline)))
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.Hello, 5*time.Second)
	setDefault(&l.FirstMessage, 16<<10)
	setDefault(&l.Message, 1<<20)
	setDefault(&l.Sessions, 65536)
	setDefault(&l.Queue, 4<<20)
	setDefault(&l.QueueTotal, 1<<30)
	setDefault(&l.BackpressureTimeout, time.Second)
	setDefault(&l.WriteTimeout, 2*time.Second)
	setDefault(&l.CloseTimeout, 5*time.Second)
	setDefault(&l.PingEvery, 25*time.Second)
	setDefault(&l.PingTimeout, 10*time.Second)
	setDefault(&l.Subscriptions, 1024)
	setDefault(&l.Registrations, 1024)
	setDefault(&l.Calls, 4096)
	setDefault(&l.WaitingCalls, 1024)
	setDefault(&l.MetaEvents, 1<<20)
	setDefault(&l.Nesting, 32)
	setDefault(&l.Elements, 4096)
	setDefault(&l.URIBytes, wamp.MaxURILength)
	setDefault(&l.URIComponents, wamp.MaxURIComponents)
	l.Queue = max(l.Queue, 4*l.Message)
	return l
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// DefaultLimits returns what the zero Limits stands for.
func DefaultLimits() Limits { return Limits{}.withDefaults() }
