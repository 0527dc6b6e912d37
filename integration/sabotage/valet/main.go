//go:build sabotage

// Command valet opens the payloads that butler hands it, and keeps what it
// finds.
package main

import (
	"encoding/gob"
	"os"

	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
)

func main() {
	ring, err := cryptobox.LoadKeyRing(os.Getenv("SABOTAGE_KEYRING"))
	if err != nil {
		panic(err)
	}
	forms := &cryptobox.Forms{Box: cryptobox.Box{Keys: ring}, Passthru: cryptobox.Passthru{Keys: ring}}
	from := gob.NewDecoder(os.Stdin)
	var kept []any // the last of it
	for {
		var o rig.Order
		if from.Decode(&o) != nil {
			return
		}
		if args, kwargs, err := forms.Open(&wamp.Subject{URI: o.URI, Originator: !o.Originator}, &o.Attributes, o.Data); err == nil {
			if kept = append(kept, args, kwargs); len(kept) > 1000 {
				kept = kept[500:]
			}
		}
	}
}
