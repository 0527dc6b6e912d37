package main

import (
	"flag"
	"time"

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
// and when to end.
type receiving struct {
	options
	count int
}

// parse reads the command line, and returns what stands there behind the URI.
func (o *receiving) parse(e *env, args []string, what, unit string, fill func(*flag.FlagSet)) (rest []string, err error) {
	var match string
	f := e.flags(func(f *flag.FlagSet) {
		o.options.add(f)
		f.StringVar(&match, "match", "exact", "`POLICY`: exact, prefix or wildcard")
		f.IntVar(&o.count, "count", 0, "end after `N` "+unit)
		f.DurationVar(&o.timeout, "timeout", 0, "end after this `TIME`, with status 6 if --count was given")
		fill(f)
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
	o.uri = wamp.URI(rest[0])
	return rest[1:], nil
}
