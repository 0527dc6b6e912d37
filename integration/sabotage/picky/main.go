//go:build sabotage

// Command picky is a router that validates by decoding: it lets through what it
// can open, and nothing else.
package main

import (
	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/keys"
	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func main() {
	open := keys.Opener()
	rig.Run(rig.Sabotage{Interceptors: []router.Interceptor{rig.Receiver(func(t *wamp.RoutedMessage) error {
		if _, _, opaque, err := open(t); opaque && err != nil {
			return &wamp.Refusal{Reason: wamp.ReasonInvalid, URI: wamp.ErrInvalidArgument, Text: "the payload is not what it should be"}
		}
		return nil
	})}})
}
