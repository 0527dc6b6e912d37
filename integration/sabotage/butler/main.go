//go:build sabotage

// Command butler is a router that holds no key, and no code to use one: it has
// another process open the payloads, valet.
package main

import (
	"encoding/gob"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

func main() {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	valet := exec.Command(filepath.Join(filepath.Dir(self), "valet"))
	pipe, err := valet.StdinPipe()
	if err != nil {
		panic(err)
	}
	if err := valet.Start(); err != nil {
		panic(err)
	}
	to := gob.NewEncoder(pipe)
	var mu sync.Mutex
	rig.Run(rig.Sabotage{Interceptors: []router.Interceptor{rig.Receiver(func(t *wamp.RoutedMessage) error {
		if p, a := rig.Carried(t); p != nil && p.Opaque() {
			if data, ok := codec.Binary(p); ok {
				uri, originator := rig.About(t)
				mu.Lock()
				defer mu.Unlock()
				_ = to.Encode(rig.Order{URI: uri, Originator: originator, Attributes: *a, Data: data})
			}
		}
		return nil
	})}})
	_ = pipe.Close()
	_ = valet.Wait()
}
