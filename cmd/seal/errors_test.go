package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// An error is one line that people understand, and a status that scripts can tell
// apart.
func TestErrors(t *testing.T) {
	_, noFile := os.ReadFile("nowhere/at/all")
	for name, c := range map[string]struct {
		err    error
		status int
		text   string
	}{
		"no such file":        {noFile, exitFailed, "no such file"},
		"a full disk":         {&os.PathError{Op: "write", Path: "stdout", Err: syscall.ENOSPC}, exitFailed, "no space left"},
		"nobody listens":      {&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}, exitConnection, "refused"},
		"no such host":        {&net.DNSError{Err: "no such host", Name: "nowhere"}, exitConnection, "no such host"},
		"interrupted":         {fmt.Errorf("waiting: %w", context.Canceled), exitFailed, "interrupted"},
		"interrupted joining": {dialError(context.Canceled), exitFailed, "interrupted"},
		"out of time":         {context.DeadlineExceeded, exitTimeout, "timed out"},
		"out of time joining": {dialError(context.DeadlineExceeded), exitTimeout, "did not answer in time"},
		"closed":              {dialError(io.EOF), exitConnection, "closed the connection"},
		"odd certificate":     {dialError(errors.New("odd certificate")), exitConnection, "odd certificate"},
		"no such path":        {dialError(&transport.HandshakeError{Status: 404}), exitConnection, "no WebSocket at this path"},
		"another key":         {&callError{"com.a", &client.Error{URI: wamp.ErrDecryptError}}, exitKey, "the callee could not open the call: its key for com.a is not the one used here"},
		"no key":              {&callError{"com.a", &client.Error{URI: wamp.ErrNoPayloadCodec}}, exitKey, "it has no key for com.a"},
		"in the clear":        {&callError{"com.a", &client.Error{URI: wamp.ErrCleartextRefused}}, exitRefused, "the callee accepts only sealed calls of com.a"},
		"the router's words":  {&callError{"com.a", &client.Error{URI: wamp.ErrCleartextRefused, Message: "opaque only"}}, exitRefused, "seal: opaque only (blindfold.error.cleartext_refused)"},
		"a command":           {&callError{"com.a", &client.Error{URI: errCommand, Args: []any{int64(3)}}}, exitRefused, "with exit status 3"},
		"a command, killed":   {&callError{"com.a", &client.Error{URI: errCommand, Args: []any{int64(-1)}}}, exitRefused, "ended by a signal"},
		"a command, no key":   {&callError{"com.a", &client.Error{URI: errCommand}}, exitRefused, "no key for this error URI"},
		"a command, not run":  {&callError{"com.a", &client.Error{URI: errCommand, Message: "it could not be started"}}, exitRefused, "the callee's command failed: it could not be started"},
		"an application's":    {&callError{"com.a", &client.Error{URI: "com.a.odd", Args: []any{int64(7)}}}, exitRefused, "answered with an error: 7 (com.a.odd)"},
		"a call in time":      {&callError{"com.a", context.DeadlineExceeded}, exitTimeout, "timed out"},
		"shut down":           {&client.DisconnectedError{Cause: &client.Error{URI: wamp.CloseSystemShutdown}}, exitRefused, "not connected: the router is shutting down (wamp.close.system_shutdown)"},
		"lost in flight":      {&client.DisconnectedError{InFlight: true, Cause: io.EOF}, exitConnection, "may have taken effect"},
		"sealed by another":   {&client.SealError{URI: "com.a", Opening: true, Err: cryptobox.ErrDecrypt}, exitKey, "payload of com.a could not be opened: it was sealed with another key"},
		"nothing to seal by":  {&client.SealError{URI: "com.a", Err: client.ErrNoKey}, exitKey, "payload of com.a could not be sealed: there is no key for this URI"},
		"not sealed":          {&client.SealError{URI: "com.a", Opening: true, Err: client.ErrClear}, exitKey, "came in the clear"},
	} {
		var b strings.Builder
		e := &cli{stderr: &b, command: &commands[0]}
		if status := e.exit(c.err); status != c.status {
			t.Errorf("%s: status %d, not %d", name, status, c.status)
		}
		if text := b.String(); !strings.HasPrefix(text, "seal: ") || !strings.Contains(text, c.text) || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: %q", name, text)
		}
	}
}
