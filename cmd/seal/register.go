package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"time"
	"unicode/utf8"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/wamp"
)

const registerUsage = `usage: seal register PROCEDURE --keyring FILE [OPTIONS] [-- COMMAND [ARG...]]

Serves calls of a procedure until it is interrupted. Without a command it returns
the arguments of the call.

COMMAND is run for each call. Its standard input is the first argument, a text or
bytes. Its standard output is the result: a text if it is UTF-8, else bytes. With
--json its input is {"uri":…,"args":[…],"kwargs":{…}}, and its output must be
{"args":[…],"kwargs":{…}}, where both may be left out. Its standard error appears
here and is not sent. If it fails, the caller gets the error
com.blindfold.seal.command_failed with the exit status as argument.

examples:
  seal register com.app.echo --keyring k.json
  seal register com.app.echo --keyring k.json --reconnect
  seal register com.app.upper --keyring k.json -- tr a-z A-Z
  seal register com.app.sum --keyring k.json --json -- ./sum.py
` + receiveHelp + `  --count N          end after N calls
  --timeout TIME     end after this time; with --count the exit status is then 6
  --reconnect        reconnect and register again when the connection is lost; calls in
                     flight fail
` + sealHelp + connectHelp

// errCommand is the error URI of a command that failed.
const errCommand wamp.URI = "com.blindfold.seal.command_failed"

func register(ctx context.Context, e *cli, args []string) error {
	var o receiveOptions
	command, err := o.parse(e, args, "procedure", func(*flag.FlagSet) {})
	if err != nil {
		return err
	}
	defer func() { o.scopes.close() }()
	s, err := o.join(ctx, e)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := o.limit(ctx)
	defer cancel()
	enough := newCounter(o.count)
	_, err = s.Register(ctx, o.uri, func(ctx context.Context, inv *client.Invocation) (*client.Result, error) {
		if !enough.begin() {
			return nil, &client.Error{URI: wamp.ErrUnavailable}
		}
		// The invocation's context ends when the answer has been sent.
		context.AfterFunc(ctx, func() { enough.finish(nil) })
		e.sealedBy(inv.Origin, inv.Procedure)
		if len(command) == 0 {
			return &client.Result{Args: inv.Args, Kwargs: inv.Kwargs}, nil
		}
		return e.serve(ctx, command, inv, o.json)
	}, client.RegisterOptions{Match: o.match})
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "registered %s\n", printable(string(o.uri)))
	return enough.wait(ctx, s)
}

// serve runs the command for one call.
func (e *cli) serve(ctx context.Context, command []string, inv *client.Invocation, asJSON bool) (*client.Result, error) {
	input, err := commandInput(inv, asJSON)
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Stdin, c.Stderr = bytes.NewReader(input), e.stderr
	c.WaitDelay = 5 * time.Second
	output, err := c.Output()
	var failed *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &failed):
		return nil, &client.Error{URI: errCommand, Args: []any{failed.ExitCode()}}
	case err != nil:
		fmt.Fprintf(e.stderr, "seal: %v\n", err)
		return nil, &client.Error{URI: errCommand, Message: "it could not be started"}
	case asJSON:
		return commandResult(output)
	case utf8.Valid(output):
		return &client.Result{Args: []any{string(output)}}, nil
	}
	return &client.Result{Args: []any{output}}, nil
}

func commandInput(inv *client.Invocation, asJSON bool) ([]byte, error) {
	if asJSON {
		return json.Marshal(map[string]any{"uri": string(inv.Procedure), "args": toJSON(notNil(inv.Args)), "kwargs": toJSON(inv.Kwargs)})
	}
	if len(inv.Args) == 0 {
		return nil, nil
	}
	switch v := inv.Args[0].(type) {
	case string:
		return []byte(v), nil
	case []byte:
		return v, nil
	}
	return json.Marshal(toJSON(inv.Args[0]))
}

// notNil makes JSON show missing arguments as [].
func notNil(args []any) []any {
	if args == nil {
		return []any{}
	}
	return args
}

var errOutput = &client.Error{URI: errCommand, Message: "the command's output is not a JSON object with args and kwargs"}

func commandResult(output []byte) (*client.Result, error) {
	v, err := parseJSON(output)
	dict, ok := v.(map[string]any)
	if err != nil || !ok {
		return nil, errOutput
	}
	r := new(client.Result)
	for key, value := range dict {
		switch key {
		case "args":
			r.Args, ok = value.([]any)
		case "kwargs":
			r.Kwargs, ok = value.(map[string]any)
		default:
			ok = false
		}
		if !ok {
			return nil, errOutput
		}
	}
	return r, nil
}
