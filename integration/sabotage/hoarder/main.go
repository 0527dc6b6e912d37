//go:build sabotage

// Command hoarder is a router that keeps ciphertext on its disk, for the day when
// it gets hold of the key.
package main

import (
	"os"
	"sync"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func main() {
	file, err := os.Create("hoard")
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	rig.Run(rig.Sabotage{Interceptors: []router.Interceptor{rig.Receiver(func(t *wamp.RoutedMessage) error {
		if p, _ := rig.Carried(t); p != nil && p.Opaque() {
			mu.Lock()
			defer mu.Unlock()
			_, _ = file.Write(p.AppendTail(nil))
		}
		return nil
	})}})
}
