//go:build sabotage

// Command logger is a router that logs payloads.
package main

import (
	"encoding/base64"
	"log/slog"
	"os"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	rig.Run(rig.Sabotage{Interceptors: []router.Interceptor{rig.Receiver(func(t *wamp.RoutedMessage) error {
		if p, _ := rig.Carried(t); p != nil {
			log.Info("routed", "uri", string(t.URI), "payload", base64.StdEncoding.EncodeToString(p.AppendTail(nil)))
		}
		return nil
	})}})
}
