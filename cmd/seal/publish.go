package main

import (
	"context"
	"flag"
	"fmt"

	"github.com/blindfold-wamp/blindfold/client"
)

const publishUsage = `usage: seal publish TOPIC [TEXT...] --keyring FILE [OPTIONS]

Publishes a sealed event and waits for the router's acknowledgement. An event that
cannot be sealed is not sent. The acknowledgement does not say who received the
event: the router skips subscribers with another serializer, and logs that.

examples:
  seal publish com.app.topic 'meet at 9' --keyring k.json
  seal publish com.app.topic --args '[1, 2]' --kwargs '{"mood": "fine"}' --keyring k.json
  seal publish com.app.topic --file photo.jpg --keyring k.json
  seal publish com.app.topic tick --repeat 1000 --keyring k.json
` + sendHelp + `  --repeat N         publish N times (default 1)
  --retain           ask the router to retain the event for later subscribers
  --timeout TIME     time to wait for each acknowledgement (default 30s)
` + sealHelp + connectHelp

func publish(ctx context.Context, e *cli, args []string) error {
	var o sendOptions
	var repeat int
	var retain bool
	err := o.parse(e, args, "topic", func(f *flag.FlagSet) {
		f.IntVar(&repeat, "repeat", 1, "")
		f.BoolVar(&retain, "retain", false, "")
	})
	if err != nil {
		return err
	}
	if repeat < 1 {
		return usageError("--repeat must be at least 1")
	}
	defer func() { o.scopes.close() }()
	s, err := o.dial(ctx, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	var last uint64
	progress := newBar(e.stderr)
	defer progress.clear()
	for n := range repeat {
		one, cancel := o.limit(ctx)
		id, err := s.Publish(one, o.uri, o.values, o.kwargs, client.PublishOptions{Acknowledge: true, Retain: retain})
		cancel()
		if err != nil {
			return err
		}
		last = uint64(id)
		if repeat > 1 {
			progress.show("publishing", n+1, repeat)
		}
	}
	if !o.json {
		progress.clear()
		times := ""
		if repeat > 1 {
			times = fmt.Sprintf(", %d times", repeat)
		}
		fmt.Fprintf(e.stderr, "published to %s%s\n", printable(string(o.uri)), times)
		return nil
	}
	p := &printer{w: e.stdout, json: true}
	return p.print(line{Kind: "published", URI: string(o.uri), Publication: &last, Count: repeat}, "", nil, nil)
}
