package router

import (
	"context"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Interceptor sees every message that is routed: PUBLISH, CALL, YIELD, ERROR and
// what becomes of them. Interceptors run in the order of RealmConfig on the
// goroutine that reads from the sender, must not block, and must not keep what
// they are shown. Messages share what their options refer to: a list may be
// replaced, but not changed. They are called concurrently.
//
// An error refuses: a *wamp.Refusal says how it is told and counted; any other
// error is taken as a refusal for wamp.ReasonInterceptor, and is logged but not
// told.
type Interceptor interface {
	// Receive is called once for each inbound message, before anyone gets it.
	Receive(t *wamp.RoutedMessage) error
	// Deliver is called once for each receiver of the message, which is encoded
	// once for many of them, and so not to be changed, but for
	// wamp.Payload.PermitReframing. A refused EVENT
	// is skipped for this receiver; what is refused of a call ends the call
	// with that error.
	Deliver(t *wamp.RoutedMessage, to *wamp.Peer) error
}

// Announcer is an Interceptor that makes features of the advanced profile work:
// they are announced in WELCOME where it is installed.
type Announcer interface {
	Features() []wamp.Feature
}

// Observer watches a router. Observe is called on the goroutines that route, so
// it must be quick; it must not keep e. It is called concurrently.
type Observer interface {
	Observe(e *Observation)
}

// Kind is what an Observation is about.
type Kind uint8

// The kinds of observation.
const (
	SessionOpened       Kind = iota // Peer
	SessionClosed                   // Peer, End, and Refusal if End is EndRefused
	Routed                          // Transit, Deliveries, Elapsed: an inbound message was handed to its last receiver's queue
	Refused                         // Transit (its Message may be nil), Peer (the sender), Refusal
	Dropped                         // Transit, Peer (the receiver), Refusal: one delivery of an event was skipped
	Rejected                        // Refusal, Connection, and Realm, Method and Login if it got so far: a connection was turned away before it became a session
	Slowed                          // Refusal, Peer, Transit (its Message may be nil): a sender has to wait, for its rate or for a receiver (Peer) that is behind
	AuthenticatorFailed             // Realm, Method, Login, Connection, Refusal: an authenticator could not find out who somebody is; Text says why, to the operator
)

// Observation is one thing that happened in a router.
type Observation struct {
	Kind       Kind
	Realm      string
	Peer       *wamp.Peer
	Routed     *wamp.RoutedMessage
	Refusal    *wamp.Refusal
	Deliveries int
	// Connection is that of somebody without a session. Of one that was turned
	// away in its transport handshake, only Network, Address and Since are known
	// for certain.
	Connection *transport.Info
	// Method is the authmethod that was under way: one that the realm serves.
	Method string
	// Login is what is known of a login that did not succeed; nil: the client had
	// not said HELLO to a realm.
	Login *Login
	// End says how a session ended.
	End End
	// Elapsed is the time from the arrival of the bytes that the message's frame
	// came with to its handing over. It is taken of the first message of a batch,
	// and then once in 32 deliveries; otherwise it is 0.
	Elapsed time.Duration
}

// End is how a session ended.
type End string

// The ways in which a session ends.
const (
	EndGoodbye        End = "goodbye"         // the client said GOODBYE, or ABORT
	EndConnectionLost End = "connection_lost" // the connection ended without either
	EndKilled         End = "killed"          // by wamp.session.kill and its like
	EndShutdown       End = "shutdown"        // the router was closed
	EndRefused        End = "refused"         // the router ended it: Observation.Refusal says why
)

// Ends lists every End.
var Ends = [...]End{EndGoodbye, EndConnectionLost, EndKilled, EndShutdown, EndRefused}

// Login is what is known of a login, for the operator only.
type Login struct {
	// Claimed is HELLO.Details.authid: anything that a client likes to send, even
	// a password that somebody typed into the wrong field.
	Claimed string
	// AuthID is that of the principal whose proof was asked for; "" if there is none.
	AuthID string
	// Cause is why the login did not succeed, where that says more than the refusal.
	Cause string
}

// Denied is an error of an Authenticator that tells the operator more than the client.
type Denied struct {
	// Cause says why. It repeats nothing that the client sent.
	Cause string
	// AuthID is that of the principal whose proof was asked for; "" if there is none.
	AuthID string
	// Refusal is what the client is told.
	Refusal *wamp.Refusal
}

// Error returns the cause.
func (d *Denied) Error() string { return d.Cause }

// Unwrap returns the refusal.
func (d *Denied) Unwrap() error { return d.Refusal }

// Authenticator decides who a connection is. Authenticate may take its time: it
// runs on the goroutine of the one connection it is about, and ctx ends with
// the handshake's deadline.
//
// To say no, it returns an error that is or wraps a *wamp.Refusal, which the client is
// told; the rest of the error's text is for the operator (see auth.ErrDenied, Denied).
// Any other error means that it could not find out: the client is told that
// authentication failed, and the operator that the authenticator did.
type Authenticator interface {
	// Method is the authmethod it serves, as named in HELLO.Details.authmethods.
	Method() string
	Authenticate(ctx context.Context, h *Handshake) (*Identity, error)
}

// Handshake is what an Authenticator has to go by.
type Handshake struct {
	Hello      *wamp.Hello
	Connection *transport.Info
	// Session is the id that the session will have.
	Session wamp.ID
	// Challenge sends a CHALLENGE and waits for the AUTHENTICATE.
	Challenge func(extra map[string]any) (*wamp.Authenticate, error)

	failed func(error)
}

// Failed tells the operator, by the log and by metrics, that the authenticator
// could not find out who the client is. It is for authenticators that then go on
// as with anybody: an error that Authenticate returns and that is no
// *wamp.Refusal is told by itself.
func (h *Handshake) Failed(err error) {
	if h.failed != nil {
		h.failed(err)
	}
}

// Identity is who a session turned out to be.
type Identity struct {
	AuthID, AuthRole, Provider string
	Extra                      map[string]any // becomes WELCOME.Details.authextra
}

// Action is something that needs a permission.
type Action uint8

// The actions, named as in configurations.
const (
	ActionPublish Action = iota
	ActionSubscribe
	ActionCall
	ActionRegister
)

// String returns the action's name in the WAMP specification.
func (a Action) String() string {
	return [...]string{"publish", "subscribe", "call", "register"}[a]
}

// Authorizer says who may do what; all of a realm's must agree. It is asked for
// every PUBLISH and CALL, so what takes long should be remembered; see also
// Decision.Cacheable. After a reload it is asked about what sessions hold, with a
// context that has ended: an error then means that this is no time to find out.
type Authorizer interface {
	Authorize(ctx context.Context, who *wamp.Peer, action Action, uri wamp.URI, match wamp.Match) (Decision, error)
}

// Decision is an Authorizer's answer.
type Decision struct {
	Allow bool
	// Disclose makes the router disclose who published or called, asked or not.
	Disclose bool
	// Explicit says that what allows it is about exactly this URI, or about the
	// router's own names ("wamp." and what begins with it), and not about everything.
	// The router's procedures that act on other sessions ask for that, and
	// RealmConfig.ReservedProcedures do.
	Explicit bool
	// Cacheable says that the same question will get the same answer as long as
	// the Authorizer is in place. Then it may be asked once for many messages in
	// a row, and not for each.
	Cacheable bool
}

// RealmStats counts what a realm holds at one moment.
type RealmStats struct {
	Realm         string
	Subscriptions int
	Registrations int
	Invocations   int // calls in flight
}
