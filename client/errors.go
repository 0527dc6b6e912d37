package client

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// ErrURI is a target for errors.Is: errors.Is(err, client.ErrURI(wamp.ErrCanceled))
// reports whether err is, or wraps, an error of that URI.
type ErrURI wamp.URI

func (e ErrURI) Error() string { return string(e) }

// Error is an ERROR or ABORT of the router or of another client. A handler returns
// one to answer with an error URI of its own.
type Error struct {
	URI wamp.URI
	// Message is for people: the message of the details, or else the first argument if
	// that is a string. If a handler returns an Error without Args, Message is sent as
	// the only argument.
	Message string
	Args    []any
	Kwargs  map[string]any
	// Sealed is true if Args and Kwargs were opened by the Sealer: then the error is the
	// other client's own and was not forged on the way.
	Sealed bool
	// Origin says who sealed it, and when, if the Sealer knows.
	Origin *wamp.Origin

	cause error // of an error that arose on this side
}

// Error returns the URI and the message.
func (e *Error) Error() string {
	if e.Message == "" {
		return string(e.URI)
	}
	return string(e.URI) + ": " + e.Message
}

// Unwrap returns the cause of an error that arose on this side, such as the end of a
// context, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is the ErrURI of e.
func (e *Error) Is(target error) bool { return isURI(target, e.URI) }

func isURI(target error, uri wamp.URI) bool {
	u, ok := target.(ErrURI)
	return ok && wamp.URI(u) == uri
}

// SealError says that a payload could not be sealed, and was not sent, or that it
// could not be opened, and reached no handler.
type SealError struct {
	// URI is the topic, procedure or error URI that the payload belongs to.
	URI     wamp.URI
	Opening bool
	// Reason is the WAMP error URI for it.
	Reason wamp.URI
	// Err is the Sealer's error, or one of ErrNoSealer, ErrNoKey, ErrClear, ErrNotOneBinary,
	// ErrNotSealed and ErrUnsupported.
	Err error
}

// Values of SealError.Err, besides a Sealer's error.
var (
	ErrNoSealer     = errors.New("client: the payload is sealed, and Config.Sealer is not set")
	ErrClear        = errors.New("client: the payload is in the clear, and the URI has a key or is not listed by AllowClear")
	ErrNoKey        = errors.New("client: the sealer has no key for the URI, and AllowClear does not list it")
	ErrNotOneBinary = errors.New("client: the payload is not one binary")
	ErrNotSealed    = errors.New("client: the call was sealed, but there is no key to seal the answer")
	ErrUnsupported  = errors.New("client: the router does not announce this form of sealed payloads")
)

// Error returns the URI and the reason.
func (e *SealError) Error() string {
	what := "sealed"
	if e.Opening {
		what = "opened"
	}
	return fmt.Sprintf("client: payload of %s could not be %s: %v", e.URI, what, e.Err)
}

// Unwrap returns e.Err.
func (e *SealError) Unwrap() error { return e.Err }

// ErrorURI returns e.Reason.
func (e *SealError) ErrorURI() wamp.URI { return e.Reason }

// Is reports whether target is the ErrURI of e.Reason.
func (e *SealError) Is(target error) bool { return isURI(target, e.Reason) }

// ErrClosed is returned by all methods after Close.
var ErrClosed = errors.New("client: the session is closed")

// DisconnectedError says that there is no connection, or that it was lost.
type DisconnectedError struct {
	// InFlight is true if the request may have reached the router, so that it may have
	// taken effect. Otherwise nothing was sent.
	InFlight bool
	// Cause is the reason of the loss: an *Error if the router ended the session with
	// GOODBYE or ABORT, else an error of the transport.
	Cause error
}

// Error returns the cause.
func (e *DisconnectedError) Error() string {
	if e.InFlight {
		return fmt.Sprintf("client: connection lost with the request in flight: %v", e.Cause)
	}
	return fmt.Sprintf("client: not connected: %v", e.Cause)
}

// Unwrap returns e.Cause.
func (e *DisconnectedError) Unwrap() error { return e.Cause }

// AuthConflictError says that two methods of Config.Auth, or one method and
// Config.AuthID or AuthRole, need different values of the same detail of HELLO. Nothing was
// sent. SCRAM and Autobahn's SCRAM cannot be offered together, nor can methods
// with different channel bindings or different authids.
type AuthConflictError struct {
	Method string // the later one
	Detail string // of HELLO
}

// Error returns the method and the detail.
func (e *AuthConflictError) Error() string {
	return fmt.Sprintf("client: Config.Auth: %s needs another %s than the methods before it", e.Method, e.Detail)
}

// OverflowError says that a consumer was too slow and its queue is full
// (Limits.Queue, Limits.QueueBytes). For a subscription it is reported once for each
// series of lost events, and Event.Lost counts them. A call or an invocation ends
// with it.
type OverflowError struct {
	URI wamp.URI // the topic or procedure
}

// Error returns the URI.
func (e *OverflowError) Error() string {
	return fmt.Sprintf("client: queue full for %s: its handler is too slow", e.URI)
}

// Is reports whether target is ErrURI(wamp.ErrLimitExceeded).
func (e *OverflowError) Is(target error) bool { return isURI(target, wamp.ErrLimitExceeded) }

// RestoreError says that a subscription or registration could not be restored after a
// reconnect.
type RestoreError struct {
	URI wamp.URI
	Err error
}

// Error returns the URI and the reason.
func (e *RestoreError) Error() string {
	return fmt.Sprintf("client: %s could not be restored: %v", e.URI, e.Err)
}

// Unwrap returns e.Err.
func (e *RestoreError) Unwrap() error { return e.Err }

// PanicError says that a handler panicked. The call that it was to answer ended with
// wamp.error.runtime_error; an event counts as handled.
type PanicError struct {
	URI   wamp.URI // the topic or procedure
	Value any      // what it panicked with
	Stack []byte   // of its goroutine
}

// Error returns the URI and what the handler panicked with.
func (e *PanicError) Error() string {
	return fmt.Sprintf("client: the handler of %s panicked: %v\n%s", e.URI, e.Value, e.Stack)
}

func panicked(uri wamp.URI, v any) *PanicError {
	return &PanicError{URI: uri, Value: v, Stack: debug.Stack()}
}

// uriOf returns the error URI of err, or def if it has none.
func uriOf(err error, def wamp.URI) wamp.URI {
	var u interface{ ErrorURI() wamp.URI }
	var refusal *wamp.Refusal
	switch {
	case errors.As(err, &u) && u.ErrorURI() != "":
		return u.ErrorURI()
	case errors.As(err, &refusal):
		return refusal.URI
	}
	return def
}

// invalid is the error of a bad argument; nothing was sent.
func invalid(uri wamp.URI, text string, cause error) *Error {
	return &Error{URI: uri, Message: text, cause: cause}
}

// violation is the error of a message from the router that breaks the protocol.
func violation(text string) *Error {
	return &Error{URI: wamp.ErrProtocolViolation, Message: text}
}
