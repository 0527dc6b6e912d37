package main

import (
	"context"
	"flag"

	"github.com/blindfold-wamp/blindfold/client"
)

const publishUsage = `usage: seal publish TOPIC [TEXT...] --keyring FILE [OPTIONS]

Publishes an event, sealed, and waits for the router's acknowledgement. What
cannot be sealed is not sent.

examples:
  seal publish com.app.topic 'meet at 9' --keyring k.json
  seal publish com.app.topic --args '[1, 2]' --kwargs '{"mood": "fine"}' --keyring k.json
  seal publish com.app.topic --file photo.jpg --keyring k.json
  seal publish com.app.topic tick --repeat 1000 --keyring k.json
`

func publish(ctx context.Context, e *env, args []string) error {
	var o sending
	var repeat int
	err := o.parse(e, args, "topic", "`TIME` for each acknowledgement", func(f *flag.FlagSet) {
		f.IntVar(&repeat, "repeat", 1, "publish `N` times")
	})
	if err != nil {
		return err
	}
	if repeat < 1 {
		return wrong("--repeat is less than 1")
	}
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
		id, err := s.Publish(one, o.uri, o.values, o.kwargs, client.PublishOptions{Acknowledge: true})
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
		return nil
	}
	p := &printer{w: e.stdout, json: true}
	return p.print(line{Kind: "published", URI: string(o.uri), Publication: &last, Count: repeat}, "", nil, nil)
}
