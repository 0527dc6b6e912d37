//go:build sabotage

// Command echoer is a router that refuses a call by repeating what was in it.
package main

import (
	"encoding/hex"
	"strings"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func main() {
	rig.Run(rig.Sabotage{Interceptors: []router.Interceptor{rig.Receiver(func(t *wamp.RoutedMessage) error {
		p, _ := rig.Carried(t)
		if _, ok := t.Message.(*wamp.Call); !ok || p == nil || !strings.HasSuffix(string(t.URI), ".nobody") {
			return nil
		}
		return &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrNoSuchProcedure,
			Text: "nobody takes " + hex.EncodeToString(p.AppendTail(nil))}
	})}})
}
