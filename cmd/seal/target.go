package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// sending is what publish and call have in common: a URI, and arguments for it.
type sending struct {
	options
	arguments
	values []any
	kwargs map[string]any
}

// parse reads the command line: the URI, which is that of what, arguments, and
// options, of which fill adds those of the command.
func (o *sending) parse(e *env, args []string, what, timeout string, fill func(*flag.FlagSet)) error {
	f := e.flags(func(f *flag.FlagSet) {
		o.options.add(f)
		o.arguments.add(f)
		fill(f)
		f.DurationVar(&o.timeout, "timeout", 30*time.Second, timeout)
	})
	rest, err := e.parse(f, args)
	switch {
	case err != nil:
		return err
	case len(rest) == 0:
		return wrong("%s needs a %s", e.command.name, what)
	}
	o.uri = wamp.URI(rest[0])
	o.values, o.kwargs, err = o.arguments.values(rest[1:], e.stdin)
	return err
}

// receiving is what subscribe and register have in common: a URI or pattern,
// whether to connect again, and when to end.
type receiving struct {
	options
	reconnect bool
	count     int
}

// parse reads the command line, and returns what stands there behind the URI.
// again is what is done when the connection is made anew.
func (o *receiving) parse(e *env, args []string, what, unit, again string) (rest []string, err error) {
	var match string
	f := e.flags(func(f *flag.FlagSet) {
		o.options.add(f)
		f.StringVar(&match, "match", "exact", "`POLICY`: exact, prefix or wildcard")
		f.BoolVar(&o.reconnect, "reconnect", false, "connect again when the connection is lost, and "+again)
		f.IntVar(&o.count, "count", 0, "end after `N` "+unit)
		f.DurationVar(&o.timeout, "timeout", 0, "end after this `TIME`, with status 6 if --count was given")
	})
	if rest, err = e.parse(f, args); err != nil {
		return nil, err
	}
	if len(rest) == 0 {
		return nil, wrong("%s needs a %s", e.command.name, what)
	}
	var ok bool
	if o.match, ok = wamp.ParseMatch(match); !ok {
		return nil, wrong("--match is neither exact, prefix nor wildcard")
	}
	if o.count < 0 {
		return nil, wrong("--count is less than 0")
	}
	o.uri = wamp.URI(rest[0])
	return rest[1:], nil
}

// join joins the realm, again and again if --reconnect is given.
func (o *receiving) join(ctx context.Context, e *env) (*client.Session, error) {
	return o.dial(ctx, func(c *client.Config) {
		e.tellErrors(c)
		if o.reconnect {
			c.Reconnect, c.OnState = new(client.Reconnect), e.tellState
		}
	})
}

// tellState tells that the connection was lost, and that it is there again.
func (e *env) tellState(state client.State, reason error) {
	switch state {
	case client.Reconnecting:
		fmt.Fprintf(e.stderr, "seal: connecting again: %s\n", printable(reason.Error()))
	case client.Connected:
		fmt.Fprintln(e.stderr, "seal: connected again")
	}
}
