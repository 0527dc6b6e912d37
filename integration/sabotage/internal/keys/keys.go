//go:build sabotage

// Package keys opens payloads with the keys of somebody who should have kept them.
package keys

import (
	"os"

	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// Opener returns a function that opens the payload of a message with the keys
// that the environment variable SABOTAGE_KEYRING leads to: somebody's whom the
// owner of the secret should not have trusted.
func Opener() func(t *wamp.RoutedMessage) (args []any, kwargs map[string]any, opaque bool, err error) {
	ring, err := cryptobox.LoadKeyRing(os.Getenv("SABOTAGE_KEYRING"))
	if err != nil {
		panic(err)
	}
	forms := &cryptobox.Forms{Box: cryptobox.Box{Keys: ring}, Passthru: cryptobox.Passthru{Keys: ring}}
	return func(t *wamp.RoutedMessage) ([]any, map[string]any, bool, error) {
		p, a := rig.Carried(t)
		if p == nil || !p.Opaque() {
			return nil, nil, false, nil
		}
		data, ok := codec.Binary(p)
		if !ok {
			return nil, nil, false, nil
		}
		uri, originator := rig.About(t)
		args, kwargs, err := forms.Open(&wamp.Subject{URI: uri, Originator: !originator}, a, data)
		return args, kwargs, true, err
	}
}
