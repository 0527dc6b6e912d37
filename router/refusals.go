package router

import (
	"errors"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// These refusals are told and counted by this router. Programs that connect clients to
// another one (package adapter) tell and count them alike. They must not be changed.
var (
	HelloTimedOut        = helloTimeout         // no session in Limits.Hello
	HelloFirst           = helloFirst           // another message came before HELLO
	PingTimedOut         = pingTimedOut         // no sign of life in Limits.PingTimeout
	WriteTimedOut        = writeTimedOut        // no byte was taken in Limits.WriteTimeout
	QueueFull            = queueFull            // more than Limits.Queue waits
	SenderWaits          = senderWaits          // for a receiver, for up to Limits.BackpressureTimeout
	MessageTooLarge      = tooLarge             // for its receiver
	UnexpectedMessage    = unexpectedMessage    // a type that is not for a router, or not at this time
	TooManySubscriptions = tooManySubscriptions // Limits.Subscriptions
	TooManyCalls         = tooManyCalls         // Limits.Calls
)

// InterceptorRefusal returns what an Interceptor's error amounts to, and whether the
// Interceptor meant it: any error but a *wamp.Refusal is a failure of its own, to be
// logged.
func InterceptorRefusal(err error) (refusal *wamp.Refusal, meant bool) {
	if errors.As(err, &refusal) {
		return refusal, true
	}
	return refusedByInterceptor, false
}

// BrokenFrame returns the refusal that a transport's protocol error amounts to, before
// or after WELCOME.
func BrokenFrame(e *transport.ProtocolError, welcomed bool) *wamp.Refusal {
	if welcomed {
		return brokenFrame(e, wamp.LimitMessage)
	}
	return brokenFrame(e, wamp.LimitFirstMessage)
}
