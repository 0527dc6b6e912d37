package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// sendOptions are what publish and call have in common: a URI, and arguments for it.
type sendOptions struct {
	options
	arguments
	values []any
	kwargs map[string]any
}

// parse reads the command line: the URI of a topic or procedure (what), arguments,
// and options. define defines the options that only this command has.
func (o *sendOptions) parse(e *cli, args []string, what string, define func(*flag.FlagSet)) error {
	f := e.flags(func(f *flag.FlagSet) {
		o.options.add(f)
		o.arguments.add(f)
		define(f)
		f.DurationVar(&o.timeout, "timeout", 30*time.Second, "")
	})
	o.cli = e
	rest, err := e.parse(f, args)
	switch {
	case err != nil:
		return err
	case len(rest) == 0:
		return usageError("missing %s", what)
	}
	o.uri = wamp.URI(rest[0])
	o.values, o.kwargs, err = o.arguments.values(rest[1:], e.stdin)
	return err
}

// receiveOptions are what subscribe and register have in common: a URI or pattern,
// whether to reconnect, and when to end.
type receiveOptions struct {
	options
	reconnect bool
	count     int
}

// parse reads the command line and returns the arguments after the URI of a topic or
// procedure (what). define defines the options that only this command has.
func (o *receiveOptions) parse(e *cli, args []string, what string, define func(*flag.FlagSet)) (rest []string, err error) {
	var match string
	f := e.flags(func(f *flag.FlagSet) {
		o.options.add(f)
		f.StringVar(&match, "match", "exact", "")
		f.BoolVar(&o.reconnect, "reconnect", false, "")
		f.IntVar(&o.count, "count", 0, "")
		f.DurationVar(&o.timeout, "timeout", 0, "")
		define(f)
	})
	o.cli = e
	if rest, err = e.parse(f, args); err != nil {
		return nil, err
	}
	if len(rest) == 0 {
		return nil, usageError("missing %s", what)
	}
	var ok bool
	if o.match, ok = wamp.ParseMatch(match); !ok {
		return nil, usageError("--match must be exact, prefix or wildcard")
	}
	if o.count < 0 {
		return nil, usageError("--count must not be negative")
	}
	o.uri = wamp.URI(rest[0])
	return rest[1:], nil
}

// join joins the realm; with --reconnect the session reconnects.
func (o *receiveOptions) join(ctx context.Context, e *cli) (*client.Session, error) {
	return o.dial(ctx, func(c *client.Config) {
		e.reportErrors(c)
		if o.reconnect {
			c.Reconnect, c.OnState = new(client.Reconnect), e.reportState
		}
	})
}

// reportState prints that the connection was lost, or restored.
func (e *cli) reportState(state client.State, reason error) {
	switch state {
	case client.Reconnecting:
		fmt.Fprintf(e.stderr, "seal: connection lost, reconnecting: %s\n", printable(userMessage(reason)))
	case client.Connected:
		fmt.Fprintln(e.stderr, "seal: reconnected")
	}
}
