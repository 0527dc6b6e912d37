package main

import (
	"context"
	"encoding/json"
	"errors"
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
through it, and searches for these, and for the keys, wherever they could be:

  1  byte identity     each payload leaves with the bytes that it came with
  2  non-interference  random bytes in its place are treated just the same
  3  memory            neither canaries nor keys in the router's memory (--pid, --exec)
  4  residue           nor in its answers, metrics, logs, data, and memory afterwards
  5  ingress           nor in all that the router has ever read (--exec; needs strace)
  6  build             nothing in its executable can decrypt (--binary, --pid, --exec)
  7  refusals          what needs reading is refused, and plaintext where it may not be

With --exec, which must come last, it runs the router itself. A lone blindfold
gets a configuration for all checks; "{config}" among ARGs stands for the path
of one. A check that lacks what it needs is not run. The last line counts the
checks that were run. docs/threat-model.md says what each check proves and what
it does not.

exit status:
  0  every check was run, and passed (but for those named by --optional, or left
     out by --only, which need not be run)
  1  a check failed
  7  no check failed, and some were not run: from outside, with --url alone, that
     is so for memory, ingress and build

examples:
  seal verify --exec ./blindfold
  seal verify --exec ./blindfold --config router.yaml
  seal verify --url ws://127.0.0.1:8080/ws --pid 4711 --log router.log \
              --metrics http://127.0.0.1:8082/metrics --optional ingress
  seal verify --url wss://wamp.example.com/ws --optional memory,ingress,build
`

func runVerify(ctx context.Context, e *cli, args []string) error {
	o := options{clear: true}
	var target verify.Target
	var urls, logs, data, optional, only list
	var sealed, validated string
	f := e.flags(func(f *flag.FlagSet) {
		f.Var(&urls, "url", "")
		o.addJoin(f)
		f.IntVar(&target.Messages, "messages", 10_000, "")
		f.IntVar(&target.PID, "pid", 0, "")
		f.StringVar(&target.Binary, "binary", "", "")
		f.Var(&logs, "log", "")
		f.Var(&data, "data", "")
		f.StringVar(&target.Metrics, "metrics", "", "")
		f.StringVar(&sealed, "required", "", "")
		f.StringVar(&validated, "validated", "", "")
		f.StringVar(&target.Keyring, "keyring", "", "")
		f.Var(&only, "only", "")
		f.Var(&optional, "optional", "")
	})
	args, target.Command = cutExec(args)
	rest, err := e.parse(f, args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usageError("verify takes options only, and a command behind --exec")
	}
	target.URLs, target.Logs, target.Data = urls, logs, data
	if target.Optional, err = checkNames("--optional", optional); err != nil {
		return err
	}
	if target.Only, err = checkNames("--only", only); err != nil {
		return err
	}
	target.RequiresSealed, target.Validated = wamp.URI(sealed), wamp.URI(validated)
	if err := o.fillTarget(&target); err != nil {
		return err
	}
	progress := newBar(e.stderr)
	target.Progress = func(check verify.Check, done, total int) { progress.show(string(check), done, total) }
	report, err := verify.Run(ctx, target)
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
		e.report(report)
	}
	switch err := report.Err(); {
	case errors.Is(err, verify.ErrFailed):
		return &statusError{status: exitFailed}
	case errors.Is(err, verify.ErrIncomplete):
		return &statusError{status: exitNotRun}
	}
	return nil
}

// checkNames returns the checks that an option names.
func checkNames(option string, values []string) (out []verify.Check, err error) {
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			check := verify.Check(strings.TrimSpace(name))
			if !slices.Contains(verify.Checks(), check) {
				return nil, usageError("%s: unknown check %q; the checks are %q", option, printable(name), verify.Checks())
			}
			out = append(out, check)
		}
	}
	return out, nil
}

// cutExec returns the command behind --exec.
func cutExec(args []string) (before, command []string) {
	at := slices.IndexFunc(args, func(s string) bool { return s == "--exec" || s == "-exec" })
	if at < 0 {
		return args, nil
	}
	return args[:at], args[at+1:]
}

// fillTarget fills in how to join.
func (o *options) fillTarget(target *verify.Target) error {
	var err error
	if o.auth == "cookie" {
		return usageError("--auth cookie: verify cannot send cookies; use another method")
	}
	if target.TLS, err = o.tls(); err != nil {
		return err
	}
	if target.Auth, err = o.authenticators(); err != nil {
		return err
	}
	target.Realm, target.AuthID = wamp.URI(o.realm), o.authID
	if !target.Realm.Valid(wamp.MatchExact) {
		return usageError("--realm is not a URI")
	}
	if len(target.Command) == 0 && len(target.URLs) == 0 {
		return usageError("missing --url or --exec")
	}
	return nil
}

// report prints a report for people.
func (e *cli) report(r *verify.Report) {
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
	fmt.Fprintf(e.stdout, "\n%s: %s\n", r.Verdict, r)
}
