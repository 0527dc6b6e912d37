package router

import "time"

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
	// Queue is how many bytes may wait for one session. Default 4 MiB.
	Queue int
	// SlowDown is how long, at most, a sender waits for one slow receiver
	// before that receiver is cut off. Default 1 s.
	SlowDown time.Duration
	// Stall is how long a receiver may take no byte at all. Default 2 s.
	Stall time.Duration
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
}

func (l Limits) withDefaults() Limits {
	def(&l.Hello, 5*time.Second)
	def(&l.FirstMessage, 16<<10)
	def(&l.Message, 1<<20)
	def(&l.Sessions, 65536)
	def(&l.Queue, 4<<20)
	def(&l.SlowDown, time.Second)
	def(&l.Stall, 2*time.Second)
	def(&l.PingEvery, 25*time.Second)
	def(&l.PingTimeout, 10*time.Second)
	def(&l.Subscriptions, 1024)
	def(&l.Registrations, 1024)
	def(&l.Calls, 4096)
	def(&l.WaitingCalls, 1024)
	return l
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
