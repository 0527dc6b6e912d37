package router

import (
	"context"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Interceptor sees every message that is routed: PUBLISH, CALL, YIELD, ERROR and the
// messages that they become. Interceptors run in the order of RealmConfig, on the
// goroutine that reads from the sender. They must not block, and must not keep what
// they are shown. Messages share what their options refer to: a list may be replaced,
// but not changed. They are called concurrently.
//
// An error refuses the message. A *wamp.Refusal says what the sender gets and how it is
// counted. Any other error counts as wamp.ReasonInterceptor; its text is logged, and
// not sent.
type Interceptor interface {
	// Receive is called once for each inbound message, before it is delivered.
	Receive(t *wamp.RoutedMessage) error
	// Deliver is called once for each receiver of a message. It must not change the
	// message, which is encoded once for many receivers, except by
	// wamp.Payload.PermitReframing. A refused EVENT is skipped for this receiver; a
	// refused message of a call ends the call with that error.
	Deliver(t *wamp.RoutedMessage, to *wamp.Peer) error
}

// Announcer is an Interceptor that provides features of the advanced profile. They are
// announced in WELCOME.
type Announcer interface {
	Features() []wamp.Feature
}

// Observer watches a router. Observe is called on the goroutines that route, so it must
// be quick. It must not keep e. It is called concurrently.
type Observer interface {
	Observe(e *Observation)
}

// Kind is what an Observation is about.
type Kind uint8

// The kinds of observation.
const (
	SessionOpened       Kind = iota // Peer
	SessionClosed                   // Peer, End, and Refusal if End is EndRefused
	Routed                          // Routed, Deliveries, Elapsed: an inbound message is in the queues of all its receivers
	Refused                         // Routed (its Message may be nil), Peer (the sender), Refusal
	Dropped                         // Routed, Peer (the receiver), Refusal: one delivery of an event was skipped
	Rejected                        // Refusal, Connection, and Realm, Method and Login as far as known: a connection was rejected before it became a session
	Slowed                          // Refusal, Peer, Routed (its Message may be nil): a sender has to wait because of its rate or for a slow receiver (Peer)
	AuthenticatorFailed             // Realm, Method, Login, Connection, Refusal: an authenticator failed to decide; Refusal.Text says why, for the operator
)

// Observation is one thing that happened in a router.
type Observation struct {
	Kind       Kind
	Realm      string
	Peer       *wamp.Peer
	Routed     *wamp.RoutedMessage
	Refusal    *wamp.Refusal
	Deliveries int
	// Connection is set for connections without a session. If one was rejected in its
	// transport handshake, only Network, Address and Since are certain.
	Connection *transport.Info
	// Method is the authmethod in use: one that the realm serves.
	Method string
	// Login describes a login that did not succeed; nil: the client has not sent HELLO
	// for an existing realm.
	Login *Login
	// End says how a session ended.
	End End
	// Elapsed is the time from the arrival of the message's bytes until it was in the
	// last queue. It is measured for the first message of a batch and then once in 32
	// deliveries; otherwise it is 0.
	Elapsed time.Duration
}

// End is how a session ended.
type End string

// The ways in which a session ends.
const (
	EndGoodbye        End = "goodbye"         // the client said GOODBYE, or ABORT
	EndConnectionLost End = "connection_lost" // the connection ended without either
	EndKilled         End = "killed"          // by wamp.session.kill or a similar procedure
	EndShutdown       End = "shutdown"        // the router was closed
	EndRefused        End = "refused"         // the router ended it: Observation.Refusal says why
)

// Ends lists every End.
var Ends = [...]End{EndGoodbye, EndConnectionLost, EndKilled, EndShutdown, EndRefused}

// Login describes a login, for the operator only.
type Login struct {
	// Claimed is HELLO.Details.authid: any text that the client chose to send, even a
	// password typed into the wrong field.
	Claimed string
	// AuthID is that of the principal whose proof was requested; "" if none was.
	AuthID string
	// Cause is why the login did not succeed, if the refusal does not say everything.
	Cause string
}

// Denied is an error of an Authenticator that gives the operator more detail than the
// client.
type Denied struct {
	// Cause says why. It repeats nothing that the client sent.
	Cause string
	// AuthID is that of the principal whose proof was requested; "" if none was.
	AuthID string
	// Refusal is sent to the client.
	Refusal *wamp.Refusal
}

// Error returns the cause.
func (d *Denied) Error() string { return d.Cause }

// Unwrap returns the refusal.
func (d *Denied) Unwrap() error { return d.Refusal }

// Authenticator identifies the client of a connection. Authenticate may block: it runs
// on the goroutine of that connection only, and ctx ends at the handshake's deadline.
//
// To deny a login, it returns an error that is or wraps a *wamp.Refusal. The client
// gets the refusal; the rest of the error's text is for the operator (see
// auth.ErrDenied, Denied). Any other error means that the authenticator could not
// decide: the client gets wamp.error.authentication_failed, and the error's text is for
// the operator.
type Authenticator interface {
	// Method returns the authmethod that it serves, as in HELLO.Details.authmethods.
	Method() string
	Authenticate(ctx context.Context, h *Handshake) (*Identity, error)
}

// Handshake is what an Authenticator decides by.
type Handshake struct {
	Hello      *wamp.Hello
	Connection *transport.Info
	// Session is the id that the session will have.
	Session wamp.ID
	// Challenge sends a CHALLENGE and waits for the AUTHENTICATE.
	Challenge func(extra map[string]any) (*wamp.Authenticate, error)

	failed func(error)
}

// Failed reports to the operator, in the log and metrics, that the authenticator could
// not identify the client. It is for authenticators that then continue, so that the
// client can't see a difference. An error that Authenticate returns and that is no
// *wamp.Refusal is reported without it.
func (h *Handshake) Failed(err error) {
	if h.failed != nil {
		h.failed(err)
	}
}

// Identity is the result of a successful authentication.
type Identity struct {
	AuthID, AuthRole, Provider string
	Extra                      map[string]any // becomes WELCOME.Details.authextra
}

// Action is an action that needs a permission.
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

// Authorizer decides who may do what; all of a realm's must agree. It is asked for
// every PUBLISH and CALL, so slow decisions should be cached; see also
// Decision.Cacheable. After a reload it is asked about existing subscriptions and
// registrations, with a context that has ended: an error then means that the decision
// can't be made at once.
type Authorizer interface {
	Authorize(ctx context.Context, who *wamp.Peer, action Action, uri wamp.URI, match wamp.Match) (Decision, error)
}

// Decision is an Authorizer's answer.
type Decision struct {
	Allow bool
	// Disclose makes the router disclose the publisher or caller, even if not requested.
	Disclose bool
	// Explicit says that the permission is for exactly this URI, or for the router's
	// own names ("wamp." and names that begin with it), and not for everything. The
	// router's procedures that act on other sessions require that, and so do
	// RealmConfig.ReservedProcedures.
	Explicit bool
	// Cacheable says that the same question gets the same answer as long as the
	// Authorizer is installed. Then it may be asked once for many messages in a row.
	Cacheable bool
}

// RealmStats counts what a realm holds at one moment.
type RealmStats struct {
	Realm         string
	Subscriptions int
	Registrations int
	Invocations   int // calls in flight
}
