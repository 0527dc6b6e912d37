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
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// statusError is an error with an exit status of its own. Without err there is
// nothing left to tell.
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

// wrong is an error of the command line.
func wrong(format string, args ...any) error {
	return &statusError{exitUsage, fmt.Errorf(format, args...)}
}

// keyError is an error of keys.
func keyError(err error) error { return &statusError{exitKey, err} }

// statusOf returns the exit status of an error, as the usage documents it.
func statusOf(err error) int {
	var own *statusError
	var sealing *client.SealError
	var box *cryptobox.Error
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
	case errors.As(err, &sealing), errors.As(err, &box):
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

// words returns what to tell people of an error.
func words(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, context.DeadlineExceeded):
		return "the time was up"
	}
	return strings.TrimPrefix(err.Error(), "client: ")
}

// keyURI reports whether a peer tells with uri that it has not the right key.
func keyURI(uri wamp.URI) bool {
	return uri == wamp.ErrNoPayloadCodec || uri == wamp.ErrDecryptError || uri == wamp.ErrTrustedURIMismatch
}
