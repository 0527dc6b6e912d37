package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/blindfold-wamp/blindfold/verify"
	"github.com/blindfold-wamp/blindfold/wamp"
)

const verifyUsage = `usage: seal verify --url URL [OPTIONS]
       seal verify [OPTIONS] --exec ROUTER [ARG...]

Checks that a router is blind. Sends sealed traffic full of random canaries
through it, and looks for these, and for the keys, wherever they could be:

  1  byte identity     each payload leaves with the bytes that it came with
  2  non-interference  random bytes in its place are treated just the same
  3  memory            neither canaries nor keys in the router's memory (--pid, --exec)
  4  residue           nor in logs, error texts, metrics, data, what is left in memory
  5  ingress           nor in all that the router has ever read (--exec; needs strace)
  6  build             nothing in its executable can decrypt (--binary, --pid, --exec)
  7  refusals          what needs reading is refused, and plaintext where it may not be

With --exec, which must come last, it runs the router itself. A lone cmd/router
gets a configuration for all checks; "{config}" among ARGs stands for the path
of one. Otherwise checks whose options are missing are left out. docs/threat-model.md
says what each check proves and what it does not.

Exit status 0: all checks hold; 1: one failed; 7: none failed, and one could not
be run that is not left out by --optional or for want of its options.

examples:
  seal verify --exec ./router
  seal verify --exec ./router --config router.yaml
  seal verify --url ws://127.0.0.1:8080/ws --pid 4711 --metrics http://127.0.0.1:8082/metrics --log router.log
  seal verify --url wss://wamp.example.com/ws --realm realm1 --json
`

func runVerify(ctx context.Context, e *cli, args []string) error {
	o := options{clear: true}
	var v verify.Options
	var urls, logs, data, optional list
	var required, validated string
	f := e.flags(func(f *flag.FlagSet) {
		f.Var(&urls, "url", "`URL` of the router (may be repeated): ws, wss, rs, rss, or unix")
		o.addJoin(f)
		f.IntVar(&v.Messages, "messages", 10_000, "how many payloads to compare")
		f.IntVar(&v.PID, "pid", 0, "the router's process `ID` (Linux)")
		f.StringVar(&v.Binary, "binary", "", "the router's executable `FILE`")
		f.Var(&logs, "log", "`FILE` that the router logs to, at its most verbose (may be repeated)")
		f.Var(&data, "data", "`FOLDER` that the router keeps its data in (may be repeated)")
		f.StringVar(&v.Metrics, "metrics", "", "`URL` of the router's Prometheus metrics")
		f.StringVar(&required, "required", "", "a `URI` on which the router requires opaque payloads")
		f.StringVar(&validated, "validated", "", "a `URI` on which the router validates payloads")
		f.StringVar(&v.Keyring, "keyring", "", "seal with the keys of this `FILE`, and look for them; default: keys made for the occasion")
		f.Var(&optional, "optional", "`CHECK` that need not be run, by name (may be repeated)")
	})
	args, v.Exec = cutExec(args)
	rest, err := e.parse(f, args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usageError("verify takes options only, and a command behind --exec")
	}
	v.URLs, v.Logs, v.Data = urls, logs, data
	for _, names := range optional {
		v.Optional = append(v.Optional, strings.Split(names, ",")...)
	}
	for _, name := range v.Optional {
		if !slices.Contains(verify.Checks, name) {
			return usageError("--optional: there is no check %s; there are %s", printable(name), strings.Join(verify.Checks, ", "))
		}
	}
	v.Required, v.Validated = wamp.URI(required), wamp.URI(validated)
	if err := o.fillVerify(&v); err != nil {
		return err
	}
	progress := newBar(e.stderr)
	v.Progress = progress.show
	report, err := verify.Run(ctx, v)
	progress.clear()
	if err != nil {
		return err
	}
	if o.json {
		out := json.NewEncoder(e.stdout)
		out.SetEscapeHTML(false)
		if err := out.Encode(report); err != nil {
			return err
		}
	} else {
		e.table(report)
	}
	switch {
	case report.Blind:
		return nil
	case report.Incomplete():
		return &statusError{status: exitNotRun}
	}
	return &statusError{status: exitFailed}
}

// cutExec returns the command behind --exec.
func cutExec(args []string) (before, command []string) {
	at := slices.IndexFunc(args, func(s string) bool { return s == "--exec" || s == "-exec" })
	if at < 0 {
		return args, nil
	}
	return args[:at], args[at+1:]
}

// fillVerify takes over how to join.
func (o *options) fillVerify(v *verify.Options) error {
	var err error
	if o.auth == "cookie" {
		return usageError("--auth cookie: verify cannot send cookies; use another method")
	}
	if v.TLS, err = o.tls(); err != nil {
		return err
	}
	if v.Auth, err = o.authenticators(); err != nil {
		return err
	}
	v.Realm, v.AuthID = wamp.URI(o.realm), o.authID
	if !v.Realm.Valid(wamp.MatchExact) {
		return usageError("--realm is not a URI")
	}
	if len(v.Exec) == 0 && len(v.URLs) == 0 {
		return usageError("missing --url or --exec")
	}
	return nil
}

// table prints a report for people.
func (e *cli) table(r *verify.Report) {
	for _, text := range r.Router {
		fmt.Fprintln(e.stdout, printable(text))
	}
	fmt.Fprintln(e.stdout)
	for _, c := range r.Results {
		fmt.Fprintf(e.stdout, "%d  %-17s %-8s %s\n", c.Number, c.Check, c.Status, printable(c.Summary))
		for _, text := range c.Evidence {
			if text != c.Summary {
				fmt.Fprintf(e.stdout, "%31s%s\n", "- ", printable(text))
			}
		}
	}
	fmt.Fprintln(e.stdout)
	switch {
	case r.Blind:
		fmt.Fprintln(e.stdout, "blind, as far as was checked")
	case r.Incomplete():
		fmt.Fprintln(e.stdout, "not shown: a check could not be run")
	default:
		fmt.Fprintln(e.stdout, "NOT BLIND, or not what it should be: a check failed")
	}
}
