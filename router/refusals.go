package router

import (
	"errors"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Refusals of this router for use by programs that connect clients to
// another one (package adapter). They must not be changed.
var (
	HelloTimedOut        = helloTimeout         // no session in Limits.Hello
	HelloFirst           = helloFirst           // another message came before HELLO
	PingTimedOut         = pingTimedOut         // no answer to a ping in Limits.PingTimeout
	WriteTimedOut        = writeTimedOut        // no byte was read in Limits.WriteTimeout
	QueueFull            = queueFull            // more than Limits.Queue waits
	SenderWaits          = senderWaits          // for a receiver, for up to Limits.BackpressureTimeout
	MessageTooLarge      = tooLarge             // for its receiver
	UnexpectedMessage    = unexpectedMessage    // a type that a client must not send to a router, or not then
	TooManySubscriptions = tooManySubscriptions // Limits.Subscriptions
	TooManyCalls         = tooManyCalls         // Limits.Calls
)

// InterceptorRefusal returns the refusal for an Interceptor's error. meant reports
// whether the Interceptor returned a *wamp.Refusal; any other error is a failure, to be
// logged.
func InterceptorRefusal(err error) (refusal *wamp.Refusal, meant bool) {
	if errors.As(err, &refusal) {
		return refusal, true
	}
	return refusedByInterceptor, false
}

// BrokenFrame returns the refusal for a transport's protocol error, before or after
// WELCOME.
func BrokenFrame(e *transport.ProtocolError, welcomed bool) *wamp.Refusal {
	if welcomed {
		return brokenFrame(e, wamp.LimitMessage)
	}
	return brokenFrame(e, wamp.LimitFirstMessage)
}
