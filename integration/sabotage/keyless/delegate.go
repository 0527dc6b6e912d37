//go:build sabotage && linux

package main

import (
	"encoding/gob"
	"io"
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
	r, w, err := os.Pipe()
	rig.Check(err)
	other := exec.Command(keyholder(), "-open-for-others")
	other.Stdin = r
	rig.Check(other.Start())
	rig.Check(r.Close())
	return handOver(w)
}

// delegateToOrphan does so, too; that process is nobody's child any more.
func delegateToOrphan() rig.Sabotage {
	r, w, err := os.Pipe()
	rig.Check(err)
	parent := exec.Command("sh", "-c", `exec 3<&0; "$0" -open-for-others <&3 &`, keyholder())
	parent.Stdin = r
	rig.Check(parent.Run())
	rig.Check(r.Close())
	return handOver(w)
}

func keyholder() string {
	self, err := os.Executable()
	rig.Check(err)
	return filepath.Join(filepath.Dir(self), "keyholder")
}

func handOver(pipe io.Writer) rig.Sabotage {
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
