// Command bench measures this project's router beside other brokers: it builds
// and starts the router, drives it and any number of peers (WAMP routers, or
// nats-server) with the same work in turns, and prints medians and ratios.
//
//	go run ./integration/bench --nats /path/to/nats-server
//	go run ./integration/bench --peer crossbar=rs://127.0.0.1:8081,pid=123 --cases 'fanout/rawsocket'
//	go run ./integration/bench --growth
//
// Everything runs on loopback, and stops by itself. docs/performance.md says how
// to read what it prints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// options are the command line.
type options struct {
	peers    []*target
	nats     string
	cases    *regexp.Regexp
	pairs    int
	length   time.Duration
	quick    bool
	growth   bool
	json     string
	markdown string
	plots    string
	from     string
	profile  string
	list     bool
	window   int
	limit    time.Duration
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	o.cases = regexp.MustCompile("")
	flags.Func("peer", "`NAME=URL[,pid=N]` of a running broker to compare with: ws://, rs:// or nats://; again for more, or for more URLs of one NAME",
		func(s string) (err error) { o.peers, err = addPeer(o.peers, s); return err })
	flags.StringVar(&o.nats, "nats", "", "`PATH` of a nats-server to start and compare with")
	flags.Func("cases", "run only the cases (or curves, with --growth) whose names match `REGEXP`",
		func(s string) (err error) { o.cases, err = regexp.Compile(s); return err })
	flags.IntVar(&o.pairs, "pairs", 5, "how often each case is run with everyone, in turns")
	flags.DurationVar(&o.length, "time", 1500*time.Millisecond, "length of one run")
	flags.IntVar(&o.window, "window", 0, "publications or calls in flight, instead of what the case says")
	flags.BoolVar(&o.quick, "quick", false, "one short run of everything: to see that it works, not to measure")
	flags.BoolVar(&o.growth, "growth", false, "measure how costs grow, instead of the cases")
	flags.StringVar(&o.json, "json", "", "write what was measured to `FILE`")
	flags.StringVar(&o.markdown, "markdown", "", "write the table as Markdown to `FILE`; - is standard output")
	flags.StringVar(&o.plots, "plots", "", "with --growth: write the plots, as SVG, to `DIR`")
	flags.StringVar(&o.from, "from", "", "measure nothing: show what --json wrote to `FILE`")
	flags.StringVar(&o.profile, "profile", "", "write the router's CPU profile of each case to `DIR`; slows it down a little")
	flags.BoolVar(&o.list, "list", false, "list the cases and curves")
	flags.DurationVar(&o.limit, "limit", time.Hour, "stop after this time, whatever is left to do")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.quick {
		o.pairs, o.length = 1, 200*time.Millisecond
	}
	if o.pairs < 1 || o.length <= 0 {
		return o, errors.New("--pairs and --time must be positive")
	}
	return o, nil
}

// run is main, with the exit status as its result: 0 if all was measured, 1 if
// something failed, 2 if the command line is wrong.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "bench:", err)
		return 2
	}
	runtime.GOMAXPROCS(2) // the same load from every machine, as far as that goes
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	var work func(context.Context, options, io.Writer) error
	switch {
	case o.list:
		list(stdout)
		return 0
	case o.from != "":
		work = show
	case o.growth:
		work = grow
	default:
		work = compare
	}
	if err := work(ctx, o, stdout); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}
