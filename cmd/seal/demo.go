package main

import (
	"context"
	"flag"

	"github.com/blindfold-wamp/blindfold/demo"
)

const demoUsage = `usage: seal demo [OPTIONS]

Serves a page with a sealed chat of two people and, between them, the router's view
of the same messages. The keys are generated in the page and never leave it. A second
page has a sealed scope whose members come and go, in the page and in terminals. It
starts its own router on a loopback address, or uses the one of --router, which must
allow pages of this address (listeners: origins). Ctrl-C ends it.

examples:
  seal demo
  seal demo --router wss://router.example.com/ws --realm realm1

options:
  --listen ADDRESS   address of the page (default 127.0.0.1:8090)
  --router URL       WebSocket URL of a router to use
  --realm REALM      the realm to join (default realm1)
`

func runDemo(ctx context.Context, e *cli, args []string) error {
	o := demo.Options{Out: e.stdout}
	f := e.flags(func(f *flag.FlagSet) {
		f.StringVar(&o.Listen, "listen", "127.0.0.1:8090", "")
		f.StringVar(&o.Router, "router", "", "")
		f.StringVar(&o.Realm, "realm", "realm1", "")
	})
	rest, err := e.parse(f, args)
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return usageError("unexpected argument %q", printable(rest[0]))
	}
	return demo.Run(ctx, o)
}
