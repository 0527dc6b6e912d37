//go:build sabotage

// Command stasher is a router that keeps ciphertext in a file, in base64 for
// URLs, and not where its data is.
package main

import (
	"encoding/base64"
	"os"
	"sync"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

func main() {
	file, err := os.CreateTemp("", "stash")
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	rig.Run(rig.Sabotage{Interceptors: []router.Interceptor{rig.Receiver(func(t *wamp.RoutedMessage) error {
		if p, _ := rig.Carried(t); p != nil && p.Opaque() {
			if data, ok := codec.Binary(p); ok {
				mu.Lock()
				defer mu.Unlock()
				_, _ = file.WriteString(base64.RawURLEncoding.EncodeToString(data))
			}
		}
		return nil
	})}})
}
