// Command router is the Blindfold server: a WAMP router that carries encrypted
// payloads without looking inside. It is configuration and wiring; what it
// wires is in the packages router, transport, auth, passthrough and metrics.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
)

const usage = `Blindfold is a WAMP router that carries encrypted payloads without looking inside.

usage: router [--config FILE] [--check | --print-config | --version]

Without --config it listens on loopback only: WebSocket on 127.0.0.1:8080 (paths
/ and /ws), RawSocket on 127.0.0.1:8081, a page for the operator, /metrics,
/healthz and /readyz on 127.0.0.1:8082; realm "realm1", anonymous.

`

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main, with the exit status as its result: 0 after a signal, 1 if
// something failed, 2 if the command line or the configuration is wrong.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("router", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	file := flags.String("config", "", "`FILE` with the configuration (YAML)")
	check := flags.Bool("check", false, "check the configuration, start nothing")
	print := flags.Bool("print-config", false, "print all settings, their defaults, and what they are for")
	version := flags.Bool("version", false, "print the version")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "router: unexpected argument %q; see --help\n", flags.Arg(0))
		return 2
	case *version:
		fmt.Fprintln(stdout, "blindfold", buildVersion())
		return 0
	case *print:
		fmt.Fprint(stdout, defaultsYAML)
		return 0
	}
	c := defaults()
	if *file != "" {
		var err error
		if c, err = load(*file); err != nil {
			fmt.Fprintln(stderr, err)
			return 2
		}
	}
	if *check {
		fmt.Fprintln(stdout, "the configuration is good")
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	hangup := make(chan os.Signal, 1) // before anything listens: it would end the process
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	log := newLogger(c.log, stderr)
	s, err := start(c, log)
	if err != nil {
		fmt.Fprintf(stderr, "router: %s\n", strings.TrimPrefix(err.Error(), "router: "))
		return 1
	}
	var kept sync.WaitGroup
	kept.Go(func() { s.keepUp(ctx, *file, c, hangup) })
	s.describe(stdout)
	notify("READY=1")
	<-ctx.Done()
	stop() // a second signal ends the process at once
	notify("STOPPING=1")
	kept.Wait()
	log.Info("shutting down")
	s.shutdown()
	return 0
}

// newLogger writes text to a terminal and JSON elsewhere, unless told.
func newLogger(c logConfig, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.level}
	if c.format == "text" || c.format == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
