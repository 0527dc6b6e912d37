package main

import (
	"context"
	"flag"

	"github.com/blindfold-wamp/blindfold/demo"
)

const demoUsage = `usage: seal demo [OPTIONS]

Serves a page with a sealed chat of two peers, and the router's own view of what
they say in the middle. Keys are made in the page and never leave it. Starts a
router of its own, on the loopback, unless told to use another; that one has to
allow pages of this address (listeners: origins). Ends with Ctrl-C.

examples:
  seal demo
  seal demo --router wss://router.example.com/ws --realm realm1
`

func runDemo(ctx context.Context, e *env, args []string) error {
	o := demo.Options{Out: e.stdout}
	f := e.flags(func(f *flag.FlagSet) {
		f.StringVar(&o.Listen, "listen", "127.0.0.1:8090", "`ADDRESS` of the page")
		f.StringVar(&o.Router, "router", "", "WebSocket `URL` of a router to use")
		f.StringVar(&o.Realm, "realm", "realm1", "`REALM` to join")
	})
	rest, err := e.parse(f, args)
	switch {
	case err != nil:
		return err
	case len(rest) > 0:
		return wrong("demo takes options only")
	}
	return demo.Run(ctx, o)
}
