package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/blindfold-wamp/blindfold/internal/cmdline"
)

// flags returns the flag set of the command; define defines its options. The help
// text is written by hand (command.help).
func (e *cli) flags(define func(*flag.FlagSet)) *flag.FlagSet {
	e.options = flag.NewFlagSet("seal "+e.command.name, flag.ContinueOnError)
	define(e.options)
	return e.options
}

// parse parses the options, which may stand before, between and after the other
// arguments, and returns the latter. Everything after "--" is an argument.
func (e *cli) parse(f *flag.FlagSet, args []string) (rest []string, err error) {
	var after []string
	if at := slices.Index(args, "--"); at >= 0 {
		args, after = args[:at], args[at+1:]
	}
	for {
		err := cmdline.Parse(f, args)
		switch {
		case errors.Is(err, flag.ErrHelp):
			fmt.Fprint(e.stdout, e.command.help)
			return nil, err
		case err != nil:
			return nil, usageError("%w", err)
		case f.NArg() == 0:
			return append(rest, after...), nil
		}
		rest = append(rest, f.Arg(0))
		args = f.Args()[1:]
	}
}

// list is an option that may be repeated.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}
