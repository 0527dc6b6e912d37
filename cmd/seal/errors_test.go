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
)

// What went wrong is told in one line that people understand, and by a status
// that scripts can tell apart.
func TestErrorsAreTold(t *testing.T) {
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
		"interrupted joining": {unreached(context.Canceled), exitFailed, "interrupted"},
		"out of time":         {context.DeadlineExceeded, exitTimeout, "the time was up"},
		"out of time joining": {unreached(context.DeadlineExceeded), exitTimeout, "did not answer in time"},
		"closed":              {unreached(io.EOF), exitConnection, "closed the connection"},
		"odd certificate":     {unreached(errors.New("odd certificate")), exitConnection, "odd certificate"},
	} {
		var b strings.Builder
		e := &env{stderr: &b, command: &commands[0]}
		if status := e.conclude(c.err); status != c.status {
			t.Errorf("%s: status %d, not %d", name, status, c.status)
		}
		if text := b.String(); !strings.HasPrefix(text, "seal: ") || !strings.Contains(text, c.text) || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: %q", name, text)
		}
	}
}
