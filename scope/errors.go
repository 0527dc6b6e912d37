package scope

import (
	"strings"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Error says why a message, a bundle or a file was refused. Its text repeats
// nothing of what a peer sent. errors.Is tells the kinds apart.
type Error struct {
	// URI is ErrorPrefix and the error's name in the specification.
	URI wamp.URI
	// Text is for people.
	Text string
}

// ErrorPrefix begins the URIs of this package's errors.
const ErrorPrefix = "blindfold.error.scope."

func newError(name, text string) *Error { return &Error{ErrorPrefix + wamp.URI(name), text} }

// The errors of the specification ("Errors").
var (
	ErrMalformed     = newError("malformed", "does not parse, or breaks a rule of the format")
	ErrNoScope       = newError("no_scope", "no scope for this URI")
	ErrWrongScope    = newError("wrong_scope", "a bundle of another scope")
	ErrBadSignature  = newError("bad_signature", "not signed by who is named")
	ErrNotMember     = newError("not_member", "the scope's owner did not encrypt this epoch for this identity: it is no member, or not any more")
	ErrNotYet        = newError("not_yet", "the epoch has not begun, or this clock is slow")
	ErrExpired       = newError("expired", "the epoch is over and no newer one is known, or this clock is fast: fetch the scope again")
	ErrOldEpoch      = newError("old_epoch", "of an epoch that is over")
	ErrForked        = newError("forked", "does not continue the epochs known here: the scope has two histories")
	ErrUnknownEpoch  = newError("unknown_epoch", "of an epoch not known here: a newer list of members was held back, or is under way")
	ErrDecrypt       = newError("decrypt", "changed, or sealed with another key")
	ErrUnknownSender = newError("unknown_sender", "the sender is no member")
	ErrWrongKind     = newError("wrong_kind", "sealed as another kind of message")
	ErrWrongURI      = newError("wrong_uri", "sealed for another URI")
	ErrWrongCall     = newError("wrong_call", "belongs to another call")
	ErrWrongSender   = newError("wrong_sender", "not of the member that the call belongs to")
	ErrNoRight       = newError("no_right", "the sender may not do this in the scope")
	ErrRemoved       = newError("removed", "the sender is no member any more")
	ErrTooOld        = newError("too_old", "sealed too long ago: it was held back, or a clock is off by more than the window")
	ErrTooNew        = newError("too_new", "sealed in the future: a clock is off by more than the window")
	ErrRepeated      = newError("repeated", "was accepted before")
	ErrReordered     = newError("reordered", "came too far behind later ones")
	ErrMissing       = newError("missing", "something of this call is missing before it")
	ErrReflected     = newError("reflected", "one's own message came back")
	ErrStateLost     = newError("state_lost", "the state file of the scope is lost or unreadable")
	// ErrValue: a value can't be sealed, and nothing was. It is local, like those of files.
	ErrValue = &Error{wamp.ErrInvalidArgument, "value cannot be sealed"}
)

// Error returns the URI and the text.
func (e *Error) Error() string { return string(e.URI) + ": " + e.Text }

// ErrorURI returns the error URI to report.
func (e *Error) ErrorURI() wamp.URI { return e.URI }

// Name returns the error's name in the specification.
func (e *Error) Name() string { return strings.TrimPrefix(string(e.URI), ErrorPrefix) }

// Is reports whether target is an *Error of the same kind.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.URI == e.URI
}

func (e *Error) because(text string) *Error { return &Error{e.URI, e.Text + ": " + text} }
