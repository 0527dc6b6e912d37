// Command seal is a WAMP client for the command line whose messages the router
// cannot read: it generates keys, publishes, subscribes, calls and registers. It
// also verifies that a router is blind. The exit statuses are in the usage below.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/blindfold-wamp/blindfold/internal/buildversion"
	"github.com/blindfold-wamp/blindfold/internal/cmdline"
)

const usage = `seal sends and receives WAMP messages that the router between the peers cannot
read, and checks that it can't.

usage: seal COMMAND [OPTIONS]

commands:
  keygen      generate keys
  identity    make and show who you are to the members of a scope
  contact     keep the identities of others
  scope       make, change and join scopes: URIs that only members can read
  subscribe   print the events of a topic
  publish     publish an event
  register    serve a procedure, by a command or as an echo
  call        call a procedure
  verify      check that a router is blind
  demo        a sealed chat in the browser, and the router's view of it
  version     print the version
  help        print this text

"seal COMMAND --help" describes a command, its options and examples.

A secret from one terminal to another:

  seal keygen --out k.json                                 # then copy k.json to the other side
  seal subscribe com.app.topic --keyring k.json            # in one terminal
  seal publish com.app.topic 'meet at 9' --keyring k.json  # in the other

exit status:
  0  success; verify: every check was run, and passed
  1  failure; verify: a check failed
  2  the command line is wrong
  3  no connection to the router, or the connection was lost
  4  the router or the other side answered with an error
  5  a key is missing or wrong: nothing was sent, or what arrived was not opened
  6  timeout
  7  verify: no check failed, but some were not run
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

// command is one of seal's commands. statusOf turns the error that run returns into
// the exit status.
type command struct {
	name string
	help string // printed by --help
	run  func(ctx context.Context, e *cli, args []string) error
}

var commands = []command{
	{"keygen", keygenUsage, keygen},
	{"identity", identityUsage, identity},
	{"contact", contactUsage, contact},
	{"scope", scopeUsage, runScope},
	{"subscribe", subscribeUsage, subscribe},
	{"publish", publishUsage, publish},
	{"register", registerUsage, register},
	{"call", callUsage, call},
	{"verify", verifyUsage + verifyHelp, runVerify},
	{"demo", demoUsage, runDemo},
}

// cli is the environment of a command.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	command        *command
	options        *flag.FlagSet // of the command
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], &cli{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}))
}

// run is main without os.Exit. It returns the exit status.
func run(ctx context.Context, args []string, e *cli) int {
	if len(args) == 0 {
		fmt.Fprint(e.stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "help", "--help", "-help", "-h":
		fmt.Fprint(e.stdout, usage)
		return exitOK
	case "version", "--version":
		fmt.Fprintln(e.stdout, "seal", buildversion.Get())
		return exitOK
	}
	for i := range commands {
		if commands[i].name == args[0] {
			e.command = &commands[i]
			return e.exit(e.command.run(ctx, e, args[1:]))
		}
	}
	names := []string{"help", "version"}
	for _, c := range commands {
		names = append(names, c.name)
	}
	fmt.Fprintf(e.stderr, "seal: unknown command %q%s\nsee: seal --help\n", args[0], cmdline.DidYouMean("", args[0], names))
	return exitUsage
}

// exit prints an error and returns the exit status.
func (e *cli) exit(err error) int {
	status := statusOf(err)
	var silent *statusError
	if err == nil || errors.Is(err, flag.ErrHelp) || errors.As(err, &silent) && silent.err == nil {
		return status
	}
	fmt.Fprintf(e.stderr, "seal: %s\n", printable(userMessage(err)))
	if status == exitUsage {
		fmt.Fprintf(e.stderr, "see: seal %s --help\n", e.command.name)
	}
	return status
}
