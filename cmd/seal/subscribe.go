package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
)

const subscribeUsage = `usage: seal subscribe TOPIC --keyring FILE [OPTIONS]

Prints the events of a topic until it is interrupted. What cannot be opened, or
comes in the clear, is not printed but told on standard error.

examples:
  seal subscribe com.app.topic --keyring k.json
  seal subscribe com.app. --match prefix --keyring k.json --json
  seal subscribe com.app.topic --keyring k.json --count 1 --timeout 1m
`

func subscribe(ctx context.Context, e *env, args []string) error {
	var o receiving
	rest, err := o.parse(e, args, "topic", "events", "subscribe again; events in between are missed")
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return wrong("subscribe needs one topic")
	}
	s, err := o.join(ctx, e)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := o.limit(ctx)
	defer cancel()
	p := &printer{w: e.stdout, json: o.json}
	enough := newCounter(o.count)
	_, err = s.Subscribe(ctx, o.uri, func(_ context.Context, event *client.Event) {
		if !enough.take() {
			return
		}
		publication := uint64(event.Publication)
		l := line{Kind: "event", URI: string(event.Topic), Publication: &publication}
		if event.Lost > 0 {
			fmt.Fprintf(e.stderr, "seal: %d events were lost before this one\n", event.Lost)
		}
		enough.finish(p.print(l.payload(event.Args, event.Kwargs, event.Sealed), string(event.Topic), event.Args, event.Kwargs))
	}, client.SubscribeOptions{Match: o.match})
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "subscribed to %s\n", printable(string(o.uri)))
	return enough.wait(ctx, s)
}

// tellErrors tells what the session reports of events and calls.
func (e *env) tellErrors(c *client.Config) {
	c.OnError = func(err error) {
		fmt.Fprintf(e.stderr, "seal: %s\n", printable(err.Error()))
	}
}

// counter ends a command after so many events or calls, 0 for never.
type counter struct {
	mu      sync.Mutex
	limited bool
	left    int // to begin
	open    int // begun
	done    chan error
}

func newCounter(n int) *counter { return &counter{limited: n > 0, left: n, done: make(chan error, 1)} }

// take reports whether there is one more to treat; finish must follow.
func (c *counter) take() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limited && c.left == 0 {
		return false
	}
	c.left--
	c.open++
	return true
}

// finish counts one that was treated. An error ends the command.
func (c *counter) finish(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if err != nil || c.limited && c.left == 0 && c.open == 0 {
		select {
		case c.done <- err:
		default:
		}
	}
}

// wait waits for the end: of the count, of the session, or of the context,
// where a signal and, without a count, the time are ordinary ends.
func (c *counter) wait(ctx context.Context, s *client.Session) error {
	select {
	case err := <-c.done:
		return err
	case <-s.Done():
		if err := s.Err(); err != nil {
			return err
		}
		return nil
	case <-ctx.Done():
		if deadline, ok := ctx.Deadline(); c.limited && ok && !time.Now().Before(deadline) {
			return context.DeadlineExceeded
		}
		return nil
	}
}
