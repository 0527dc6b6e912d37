package main

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
)

const subscribeUsage = `usage: seal subscribe TOPIC --keyring FILE [OPTIONS]

Prints the events of a topic until it is interrupted. An event that cannot be
opened, or arrives in the clear although it has a key, is reported on standard
error instead.

examples:
  seal subscribe com.app.topic --keyring k.json
  seal subscribe com.app. --match prefix --keyring k.json --json
  seal subscribe com.app.topic --keyring k.json --count 1 --timeout 1m
  seal subscribe com.app.secret.topic --scope
` + receiveHelp + `  --retained         begin with the event that the router retains, if there is one
  --count N          end after N events
  --timeout TIME     end after this time; with --count the exit status is then 6
  --reconnect        reconnect and subscribe again when the connection is lost; events
                     in between are missed
` + sealHelp + connectHelp

func subscribe(ctx context.Context, e *cli, args []string) error {
	var o receiveOptions
	var retained bool
	rest, err := o.parse(e, args, "topic", func(f *flag.FlagSet) { f.BoolVar(&retained, "retained", false, "") })
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return usageError("unexpected argument %q", printable(rest[0]))
	}
	defer func() { o.scopes.close() }()
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
		if !enough.begin() {
			return
		}
		publication := uint64(event.Publication)
		l := line{Kind: "event", URI: string(event.Topic), Publication: &publication}
		if event.Lost > 0 {
			fmt.Fprintf(e.stderr, "seal: %d events were lost before this one\n", event.Lost)
		}
		label := string(event.Topic)
		if by := e.sealedBy(event.Origin, event.Topic); by != "" {
			label += " [" + by + "]"
		}
		enough.finish(p.print(l.payload(event.Args, event.Kwargs, event.Sealed).origin(event.Origin), label, event.Args, event.Kwargs))
	}, client.SubscribeOptions{Match: o.match, GetRetained: retained})
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "subscribed to %s\n", printable(string(o.uri)))
	return enough.wait(ctx, s)
}

// reportErrors prints the errors of events and invocations.
func (e *cli) reportErrors(c *client.Config) {
	c.OnError = func(err error) {
		fmt.Fprintf(e.stderr, "seal: %s\n", printable(userMessage(err)))
	}
}

// counter ends a command after n events or calls; 0 means never.
type counter struct {
	mu      sync.Mutex
	limited bool
	left    int // may still begin
	running int
	done    chan error
}

func newCounter(n int) *counter { return &counter{limited: n > 0, left: n, done: make(chan error, 1)} }

// begin reports whether one more may be handled; finish must follow.
func (c *counter) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limited && c.left == 0 {
		return false
	}
	c.left--
	c.running++
	return true
}

// finish counts one that was handled. An error ends the command.
func (c *counter) finish(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	if err != nil || c.limited && c.left == 0 && c.running == 0 {
		select {
		case c.done <- err:
		default:
		}
	}
}

// wait waits for the end of the count, of the session, or of ctx. A signal is a
// normal end, and so is --timeout without --count.
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
