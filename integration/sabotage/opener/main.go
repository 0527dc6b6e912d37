//go:build sabotage

// Command opener is a router that holds the key and opens payloads, and keeps
// what it finds interesting.
package main

import (
	"sync"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/keys"
	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func main() {
	open := keys.Opener()
	var mu sync.Mutex
	var kept []any // the last of it
	rig.Run(rig.Sabotage{Interceptors: []router.Interceptor{rig.Receiver(func(t *wamp.RoutedMessage) error {
		if args, kwargs, opaque, err := open(t); opaque && err == nil {
			mu.Lock()
			defer mu.Unlock()
			if kept = append(kept, args, kwargs); len(kept) > 1000 {
				kept = kept[500:]
			}
		}
		return nil
	})}})
}
