//go:build sabotage && linux

package main

import (
	"encoding/gob"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// delegate has another process open the payloads: keyholder.
func delegate() rig.Sabotage {
	self, err := os.Executable()
	rig.Check(err)
	other := exec.Command(filepath.Join(filepath.Dir(self), "keyholder"), "-open-for-others")
	pipe, err := other.StdinPipe()
	rig.Check(err)
	rig.Check(other.Start())
	to := gob.NewEncoder(pipe)
	var mu sync.Mutex
	return intercept(func(t *wamp.RoutedMessage) error {
		if p, a := rig.Carried(t); p != nil && p.Opaque() {
			if data, ok := codec.Binary(p); ok {
				uri, originator := rig.About(t)
				mu.Lock()
				defer mu.Unlock()
				_ = to.Encode(rig.Handover{URI: uri, Originator: originator, Attributes: *a, Data: data})
			}
		}
		return nil
	})
}
