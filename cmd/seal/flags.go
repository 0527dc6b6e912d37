package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// flags returns the flag set of a command; fill adds its options.
func (e *env) flags(fill func(*flag.FlagSet)) *flag.FlagSet {
	f := flag.NewFlagSet("seal "+e.command.name, flag.ContinueOnError)
	f.SetOutput(io.Discard) // what is wrong is told in one line
	fill(f)
	f.Usage = func() {
		fmt.Fprint(f.Output(), e.command.summary, "\noptions:\n")
		f.VisitAll(func(o *flag.Flag) {
			name, text := flag.UnquoteUsage(o)
			left := "  --" + o.Name
			if name != "" {
				left += " " + name
			}
			if o.DefValue != "" && o.DefValue != "false" && o.DefValue != "0" && o.DefValue != "0s" {
				text += " (default " + o.DefValue + ")"
			}
			fmt.Fprintf(f.Output(), "%-24s %s\n", left, strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", 25)))
		})
	}
	return f
}

// parse parses options wherever they stand among the other arguments, which it
// returns. Behind "--" all are arguments.
func (e *env) parse(f *flag.FlagSet, args []string) (rest []string, err error) {
	var behind []string
	for i, arg := range args {
		if arg == "--" {
			args, behind = args[:i], args[i+1:]
			break
		}
	}
	for {
		if err := f.Parse(args); err != nil {
			if err == flag.ErrHelp {
				f.SetOutput(e.stdout)
				f.Usage()
				return nil, err
			}
			return nil, wrong("%w", err)
		}
		if f.NArg() == 0 {
			return append(rest, behind...), nil
		}
		rest = append(rest, f.Arg(0))
		args = f.Args()[1:]
	}
}

// list is an option that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}
