package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/scope"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// statusError is an error with its own exit status. If err is nil, nothing is
// printed.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// usageError returns an error of the command line.
func usageError(format string, args ...any) error {
	return &statusError{exitUsage, fmt.Errorf(format, args...)}
}

// keyError returns an error of keys.
func keyError(err error) error { return &statusError{exitKey, err} }

// statusOf returns the exit status of an error, as the usage documents it.
func statusOf(err error) int {
	var own *statusError
	var sealing *client.SealError
	var box *cryptobox.Error
	var scoped *scope.Error
	var lost *client.DisconnectedError
	var handshake *transport.HandshakeError
	var network *net.OpError // not net.Error: every error of a file is one
	var nowhere *net.DNSError
	var answered *client.Error
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.As(err, &own):
		return own.status
	case errors.As(err, &sealing), errors.As(err, &box), errors.As(err, &scoped):
		return exitKey
	case errors.As(err, &answered) && answered.Unwrap() == nil:
		if keyURI(answered.URI) {
			return exitKey
		}
		return exitRefused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return exitTimeout
	case errors.As(err, &lost), errors.As(err, &handshake), errors.As(err, &network), errors.As(err, &nowhere):
		return exitConnection
	}
	return exitFailed
}

// callError is an error of a call.
type callError struct {
	procedure wamp.URI
	err       error
}

func (e *callError) Error() string { return e.err.Error() }
func (e *callError) Unwrap() error { return e.err }

// userMessage returns the text to print for an error: what happened, why, and what
// to do about it.
func userMessage(err error) string {
	var call *callError
	var sealing *client.SealError
	var scoped *scope.Error
	var lost *client.DisconnectedError
	var answered *client.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, context.DeadlineExceeded):
		return "timed out"
	case errors.As(err, &lost):
		return lostMessage(lost)
	case errors.As(err, &sealing):
		return sealMessage(sealing)
	case errors.As(err, &scoped):
		return withURI(scoped.Text, scoped.URI)
	case errors.As(err, &answered) && answered.Unwrap() == nil:
		if errors.As(err, &call) {
			if text := callMessage(call.procedure, answered); text != "" {
				return withURI(text, answered.URI)
			}
		}
		return answerMessage(answered)
	}
	return strings.TrimPrefix(err.Error(), "client: ")
}

func withURI(text string, uri wamp.URI) string { return text + " (" + string(uri) + ")" }

func lostMessage(e *client.DisconnectedError) string {
	reason := "the connection was closed"
	if e.Cause != nil {
		reason = userMessage(e.Cause)
	}
	if e.InFlight {
		return "the connection was lost before the answer arrived; the request may have taken effect: " + reason
	}
	return "not connected: " + reason
}

// sealMessage describes a payload that was not sealed or not opened.
func sealMessage(e *client.SealError) string {
	what, why := "could not be sealed", strings.TrimPrefix(e.Err.Error(), "client: ")
	if e.Opening {
		what = "could not be opened"
	}
	var box *cryptobox.Error
	switch {
	case errors.Is(e.Err, client.ErrClear):
		return fmt.Sprintf("message on %s refused: it came in the clear, which --clear accepts only where there is no key", e.URI)
	case errors.Is(e.Err, client.ErrNoKey):
		why = "there is no key for this URI: add one with seal keygen, or give --clear if the message is not secret"
	case errors.Is(e.Err, client.ErrNoSealer):
		why = "it is sealed, and no key was given: give --keyring or --key"
	case errors.Is(e.Err, client.ErrNotOneBinary):
		why = "it is not sealed in a form that seal knows"
	case errors.Is(e.Err, client.ErrNotSealed):
		why = "what it answers was sealed, but there is no key to seal the answer with"
	case errors.Is(e.Err, client.ErrUnsupported):
		why = "the router does not announce this form of sealed payloads: try the other --form, or another router"
	case errors.As(e.Err, &box):
		why = box.Text
		switch {
		case *box == *cryptobox.ErrNoKey && e.Opening:
			why = "there is no key for this URI: give the keyring that the sender uses"
		case *box == *cryptobox.ErrDecrypt:
			why = "it was sealed with another key than the one given here: both sides need the same keyring"
		case *box == *cryptobox.ErrURIMismatch:
			why = "it was sealed for another URI, so somebody has moved it here"
		}
	}
	return fmt.Sprintf("payload of %s %s: %s", e.URI, what, why)
}

// callMessage describes the errors of a call whose URI alone says too little, or
// returns "".
func callMessage(procedure wamp.URI, e *client.Error) string {
	switch e.URI {
	case wamp.ErrDecryptError:
		return fmt.Sprintf("the callee could not open the call: its key for %s is not the one used here; both sides need the same keyring", procedure)
	case wamp.ErrNoPayloadCodec:
		return fmt.Sprintf("the callee could not open the call: it has no key for %s; give it the keyring that is used here", procedure)
	case wamp.ErrTrustedURIMismatch:
		return fmt.Sprintf("the callee refused the call: its payload was not sealed for %s", procedure)
	case wamp.ErrCleartextRefused:
		if e.Message == "" { // from the callee; the router explains itself
			return fmt.Sprintf("the callee accepts only sealed calls of %s: give --keyring instead of --clear", procedure)
		}
	case errCommand:
		return commandMessage(e)
	}
	return ""
}

// commandMessage describes how the command of a callee failed (seal register).
func commandMessage(e *client.Error) string {
	switch status := firstInteger(e.Args); {
	case e.Message != "":
		return "the callee's command failed: " + e.Message
	case len(e.Args) == 0:
		return "the callee's command failed; its exit status was not sent, because the callee has no key for this error URI"
	case status == -1:
		return "the callee's command was ended by a signal"
	case status >= 0:
		return fmt.Sprintf("the callee's command failed with exit status %d; its error output is on the callee's side", status)
	}
	return "the callee's command failed"
}

// firstInteger returns the first argument, or -2 if it is not an integer.
func firstInteger(args []any) int64 {
	if len(args) > 0 {
		switch n := args[0].(type) {
		case int64:
			return n
		case uint64:
			return int64(n)
		}
	}
	return -2
}

// answerMessage describes an ERROR, ABORT or GOODBYE: its message, or the meaning of
// its URI, and its arguments.
func answerMessage(e *client.Error) string {
	text := e.Message
	if text == "" {
		text = meanings[e.URI]
	}
	if text == "" {
		text = "the other side answered with an error"
		if args := describe(e.Args, e.Kwargs); args != "" {
			text += ": " + args
		}
	}
	return withURI(text, e.URI)
}

// meanings are the error URIs that may come without a message.
var meanings = map[wamp.URI]string{
	wamp.ErrCanceled:            "the call was canceled",
	wamp.ErrTimeout:             "the call took longer than its timeout",
	wamp.ErrUnavailable:         "the callee is not available: it has ended, or has too many calls",
	wamp.ErrNoSuchProcedure:     "no callee has registered this procedure",
	wamp.ErrNotAuthorized:       "this session has no permission for this",
	wamp.ErrRuntime:             "the callee failed without giving a reason",
	wamp.ErrPayloadSizeExceeded: "the message is larger than its receiver accepts",
	wamp.ErrDecryptError:        "the other side could not open the payload: it has another key for this URI",
	wamp.ErrNoPayloadCodec:      "the other side could not open the payload: it has no key for this URI",
	wamp.CloseSystemShutdown:    "the router is shutting down",
	wamp.CloseKilled:            "the session was ended by another session",
	wamp.CloseRealm:             "the realm was closed",
}

// keyURI reports whether uri means that the other side lacks the right key.
func keyURI(uri wamp.URI) bool {
	return uri == wamp.ErrNoPayloadCodec || uri == wamp.ErrDecryptError || uri == wamp.ErrTrustedURIMismatch
}
