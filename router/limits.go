package router

import (
	"time"

	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Limits bound what one session, and all of them together, can make the router hold. A
// zero field stands for its default.
type Limits struct {
	// Hello is how long a new connection may take until it has authenticated. Default 5
	// s.
	Hello time.Duration
	// FirstMessage is the maximum size, in bytes, of a message before WELCOME. Default
	// 16 KiB.
	FirstMessage int
	// Message is the maximum size, in bytes, of a message after WELCOME. Default 1 MiB,
	// at most 16 MiB.
	Message int
	// Sessions is the maximum number of sessions. Default 65,536.
	Sessions int
	// Queue is how many bytes may wait for one session that does not read them. While
	// more than half of it waits, senders wait; beyond it, each sender adds at most one
	// message. Default 4 MiB, and at least four times Message.
	Queue int
	// QueueTotal is how many bytes may wait for all sessions together; the last 16 KiB
	// of each session don't count. If more wait, the sessions that are furthest behind
	// are disconnected. Default 1 GiB.
	QueueTotal int
	// BackpressureTimeout is how long senders wait, in all, for a receiver with more
	// than half of Queue waiting, until it has read as many bytes again. They do not
	// wait for a receiver that has read nothing for a tenth of that time. Default 1 s.
	BackpressureTimeout time.Duration
	// WriteTimeout is how long a receiver may read no byte at all. Default 2 s.
	WriteTimeout time.Duration
	// CloseTimeout is how long a session that the router has ended has to read the
	// reason before the connection is closed. Default 5 s.
	CloseTimeout time.Duration
	// PingEvery and PingTimeout: a session that has been silent for PingEvery is
	// pinged, and ended if it stays silent for another PingTimeout. Defaults 25 s and
	// 10 s; a negative PingEvery turns pings off.
	PingEvery, PingTimeout time.Duration
	// Subscriptions and Registrations of one session. Default 1,024 each.
	Subscriptions, Registrations int
	// Calls is how many calls of one session may be in flight. Default 4,096.
	Calls int
	// WaitingCalls is how many calls may wait for callees at their concurrency limit,
	// for each registration. Default 1,024.
	WaitingCalls int
	// MetaEvents is how many bytes of meta events may wait to be published in a realm.
	// Beyond that, the sessions that cause them wait. Default 1 MiB.
	MetaEvents int
	// Nesting and Elements bound what is skipped in envelopes (nested containers, and
	// elements of one unknown option) and the arguments of the router's own procedures.
	// Defaults 32 and 4,096, which are also the maximum.
	Nesting, Elements int
	// URIBytes and URIComponents bound URIs. Defaults 255 and 32, which are also the
	// maximum.
	URIBytes, URIComponents int
	// MessageRate is how many messages per second a session may send, after a first
	// burst of as many. Reading of more is delayed. Default 0: no limit.
	MessageRate int
}

// limitsInForce are Limits and the values derived from them.
type limitsInForce struct {
	Limits
	customURI bool             // URIBytes and URIComponents are lower than their defaults
	queue     sendqueue.Limits // of each session's send queue
}

func newLimits(l Limits) *limitsInForce {
	l = l.WithDefaults()
	return &limitsInForce{
		Limits:    l,
		customURI: l.URIBytes < wamp.MaxURILength || l.URIComponents < wamp.MaxURIComponents,
		queue: sendqueue.Limits{Bytes: l.Queue, BackpressureTimeout: l.BackpressureTimeout,
			WriteTimeout: l.WriteTimeout, CloseTimeout: l.CloseTimeout},
	}
}

// values returns the limits of payloads that the router decodes for its own use.
func (l *limitsInForce) values() wamp.ValueLimits {
	return wamp.ValueLimits{Nesting: l.Nesting, Elements: l.Elements}
}

// nextPing returns when a session that is silent from now on is to be pinged; the zero
// time: never.
func (l *limitsInForce) nextPing() time.Time {
	if l.PingEvery <= 0 {
		return time.Time{}
	}
	return time.Now().Add(l.PingEvery)
}

// linger returns how long a connection may stay open after its last message.
func (l *limitsInForce) linger(deadline time.Time) time.Duration {
	return max(0, min(l.CloseTimeout, time.Until(deadline)))
}

// WithDefaults returns the limits with the defaults in place of zeros.
func (l Limits) WithDefaults() Limits {
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

// DefaultLimits returns the limits that the zero Limits stands for.
func DefaultLimits() Limits { return Limits{}.WithDefaults() }
