// Command seal is the end-to-end client on the command line: it makes keys,
// publishes, subscribes, calls and serves calls, all sealed, and verifies that a
// router is blind. Exit statuses are documented in the usage below.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

const usage = `seal sends and receives WAMP messages that the router between the peers cannot
read, and checks that it can't.

usage: seal COMMAND [OPTIONS]

commands:
  keygen      make keys
  subscribe   print the events of a topic
  publish     publish an event
  register    serve a procedure: by echo, or by a command
  call        call a procedure
  verify      check that a router is blind
  demo        a sealed chat in the browser, and the router's view of it
  version     print the version

"seal COMMAND --help" explains a command, with examples.

A secret from one terminal to another:

  seal keygen --out k.json                                 # then copy k.json to the other side
  seal subscribe com.app.topic --keyring k.json            # one terminal
  seal publish com.app.topic 'meet at 9' --keyring k.json  # the other

exit status:
  0  done; for verify: every check that was not optional holds
  1  something failed; for verify: a check failed
  2  the command line is wrong
  3  no connection to the router, or it was lost
  4  the router or the peer answered with an error
  5  a key is missing or wrong: what was to be sent was not, or what came could not be opened
  6  the time was up
  7  verify: no check failed, and one that is not optional could not be run
`

// The exit statuses.
const (
	exitOK = iota
	exitFailed
	exitUsage
	exitConnection
	exitRefused
	exitKey
	exitTimeout
	exitNotRun
)

// command is one of seal's commands. run returns what went wrong, which
// statusOf turns into the exit status.
type command struct {
	name    string
	summary string // what it does, and its arguments, for --help
	run     func(ctx context.Context, e *env, args []string) error
}

var commands = []command{
	{"keygen", keygenUsage, keygen},
	{"subscribe", subscribeUsage, subscribe},
	{"publish", publishUsage, publish},
	{"register", registerUsage, register},
	{"call", callUsage, call},
	{"verify", verifyUsage, runVerify},
	{"demo", demoUsage, runDemo},
}

// env is what a command works with.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	command        *command
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], &env{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}))
}

// run is main, with the exit status as its result.
func run(ctx context.Context, args []string, e *env) int {
	if len(args) == 0 {
		fmt.Fprint(e.stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "help", "--help", "-help", "-h":
		fmt.Fprint(e.stdout, usage)
		return exitOK
	case "version", "--version":
		fmt.Fprintln(e.stdout, "seal", version())
		return exitOK
	}
	for i := range commands {
		if commands[i].name == args[0] {
			e.command = &commands[i]
			return e.conclude(e.command.run(ctx, e, args[1:]))
		}
	}
	fmt.Fprintf(e.stderr, "seal: no such command; see seal --help\n")
	return exitUsage
}

// conclude tells an error, and returns the exit status.
func (e *env) conclude(err error) int {
	status := statusOf(err)
	var silent *statusError
	if err == nil || errors.Is(err, flag.ErrHelp) || errors.As(err, &silent) && silent.err == nil {
		return status
	}
	fmt.Fprintf(e.stderr, "seal: %s\n", printable(words(err)))
	if status == exitUsage {
		fmt.Fprintf(e.stderr, "see: seal %s --help\n", e.command.name)
	}
	return status
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}
