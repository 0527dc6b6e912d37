package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"

	"github.com/blindfold-wamp/blindfold/client"
)

const callUsage = `usage: seal call PROCEDURE [TEXT...] --keyring FILE [OPTIONS]

Calls a procedure with sealed arguments and prints the result. An error of the
callee goes to standard error, with --json also to standard output; the exit
status is then 4.

examples:
  seal call com.app.echo hello --keyring k.json
  seal call com.app.sum --args '[1, 2, 3]' --keyring k.json --json
  seal call com.app.report --progress --timeout 5m --keyring k.json
` + sendHelp + `  --progress         print progressive results as they arrive, one per line
  --timeout TIME     cancel the call after this time (default 30s)
` + sealHelp + connectHelp

func call(ctx context.Context, e *cli, args []string) error {
	var o sendOptions
	var progress bool
	err := o.parse(e, args, "procedure", func(f *flag.FlagSet) {
		f.BoolVar(&progress, "progress", false, "")
	})
	if err != nil {
		return err
	}
	defer func() { o.scopes.close() }()
	s, err := o.dial(ctx, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	p := &printer{w: e.stdout, json: o.json}
	show := func(kind string, r *client.Result) error {
		return p.print(line{Kind: kind}.payload(r.Args, r.Kwargs, r.Sealed).origin(r.Origin), "", r.Args, r.Kwargs)
	}
	var options client.CallOptions
	var broken error
	if progress {
		options.OnProgress = func(r *client.Result) { broken = errors.Join(broken, show("progress", r)) }
	}
	ctx, cancel := o.limit(ctx)
	defer cancel()
	result, err := s.Call(ctx, o.uri, o.values, o.kwargs, options)
	var answered *client.Error
	switch {
	case err == nil:
		return errors.Join(broken, show("result", result))
	case o.json && errors.As(err, &answered):
		l := line{Kind: "error", URI: string(answered.URI), Message: answered.Message}.
			payload(answered.Args, answered.Kwargs, answered.Sealed).origin(answered.Origin)
		_ = json.NewEncoder(e.stdout).Encode(l)
	}
	return &callError{o.uri, err}
}
