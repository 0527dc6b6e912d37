// Command blindfold is a WAMP router that carries encrypted payloads without
// looking inside. It consists of configuration and wiring only: the work is done
// by the packages router, transport, auth, passthrough and metrics.
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

	"github.com/blindfold-wamp/blindfold/internal/buildversion"
	"github.com/blindfold-wamp/blindfold/internal/cmdline"
)

const usage = `Blindfold is a WAMP router that carries encrypted payloads without looking inside.

usage: blindfold [--config FILE] [--check]
       blindfold [--listen ADDRESS] [--admin ADDRESS] [--realm NAME]
       blindfold --print-config | --version
       blindfold credentials METHOD --authid ID
       blindfold debug sessions | session ID | refusals | trace
       blindfold ready [--url URL]
       blindfold cluster status [--url URL]

options:
  --config FILE    read the configuration (YAML) from FILE
  --check          check the configuration and exit
  --listen ADDRESS without --config: where to listen for WebSocket and RawSocket
  --admin ADDRESS  without --config: where the operator's page is; "" for nowhere
  --realm NAME     without --config: the name of the realm
  --print-config   print all settings with their defaults and what they are for
  --version        print the version
  --help           print this text

Without --config the router listens on this machine only:

  ws://127.0.0.1:8080/ws     WebSocket (/ and /ws)
  rs://127.0.0.1:8081        RawSocket
  http://127.0.0.1:8082      the operator's page, /metrics, /healthz, /readyz

with one realm, "realm1", that is open to anonymous clients.

signals:
  HUP              read the configuration again
  INT, TERM        shut down; calls in flight have 5 seconds to finish

exit status:
  0  ended by a signal; with --check: the configuration is valid
  1  the router could not start
  2  the command line or the configuration is wrong
`

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without os.Exit. It returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case "cluster":
			return runCluster(args[1:], stdout, stderr)
		case "credentials":
			return runCredentials(args[1:], stdout, stderr)
		case "ready":
			return runReady(args[1:], stdout, stderr)
		case "debug":
			return runDebug(args[1:], stdout, stderr)
		}
	}
	flags := flag.NewFlagSet("blindfold", flag.ContinueOnError)
	file := flags.String("config", "", "")
	check := flags.Bool("check", false, "")
	printConfig := flags.Bool("print-config", false, "")
	version := flags.Bool("version", false, "")
	c := defaults()
	flags.Func("listen", "", c.setListen)
	flags.Func("admin", "", c.setAdmin)
	flags.Func("realm", "", c.setRealm)
	err := cmdline.Parse(flags, args)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	flags.Visit(func(f *flag.Flag) {
		if err == nil && *file != "" && (f.Name == "listen" || f.Name == "admin" || f.Name == "realm") {
			err = fmt.Errorf("--%s has no effect with --config: change the file", f.Name)
		}
	})
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "blindfold: %v\nsee: blindfold --help\n", err)
		return 2
	case *version:
		fmt.Fprintln(stdout, "blindfold", buildversion.Get())
		return 0
	case *printConfig:
		fmt.Fprint(stdout, defaultsYAML)
		return 0
	}
	if *file != "" {
		if c, err = load(*file); err != nil {
			fmt.Fprintln(stderr, err)
			return 2
		}
	}
	if *check {
		for _, w := range c.warnings {
			fmt.Fprintln(stderr, w)
		}
		fmt.Fprintf(stdout, "the configuration is valid; its digest is %s\n", c.runningDigest())
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	hangup := make(chan os.Signal, 1) // installed before anything listens: by default SIGHUP ends the process
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	log := newLogger(c.log, stderr)
	warn(log, c)
	s, err := start(c, log)
	if err != nil {
		fmt.Fprintf(stderr, "blindfold: %s\n", strings.TrimPrefix(err.Error(), "router: "))
		return 1
	}
	var watching sync.WaitGroup
	watching.Go(func() { s.watchConfig(ctx, *file, c, hangup) })
	s.describe(stdout)
	notify("READY=1")
	<-ctx.Done()
	stop() // a second signal ends the process at once
	notify("STOPPING=1")
	watching.Wait()
	log.Info("shutting down")
	s.shutdown()
	return 0
}

// warn logs the warnings of a configuration.
func warn(log *slog.Logger, c *config) {
	for _, w := range c.warnings {
		log.Warn(w)
	}
}

// newLogger returns a logger that writes text or JSON, as c says; the default is
// text on a terminal and JSON elsewhere.
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
