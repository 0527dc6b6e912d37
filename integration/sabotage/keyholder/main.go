//go:build sabotage

// Command keyholder is a router that has the key: -as says what it does with it.
// With -open-for-others it is no router, and opens what another one hands it.
package main

import (
	"encoding/gob"
	"os"
	"sync"

	"github.com/blindfold-wamp/blindfold/cryptobox"
	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "-open-for-others" {
		openForOthers()
		return
	}
	rig.Main(map[string]func() rig.Sabotage{"open": open, "pass-what-opens": passWhatOpens})
}

// keys are those that the environment variable SABOTAGE_KEYRING leads to: of
// somebody whom the owner of the secret should not have trusted.
func keys() *cryptobox.Forms {
	ring, err := cryptobox.LoadKeyRing(os.Getenv("SABOTAGE_KEYRING"))
	rig.Check(err)
	return &cryptobox.Forms{Box: cryptobox.Box{Keys: ring}, Passthru: cryptobox.Passthru{Keys: ring}}
}

// opener returns a function that opens the payload of a message.
func opener() func(t *wamp.RoutedMessage) (args []any, kwargs map[string]any, opaque bool, err error) {
	forms := keys()
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

// kept is the last of what was opened.
type kept struct {
	mu     sync.Mutex
	values []any
}

func (k *kept) add(args []any, kwargs map[string]any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.values = append(k.values, args, kwargs); len(k.values) > 1000 {
		k.values = k.values[500:]
	}
}

// open opens payloads, and keeps what is in them.
func open() rig.Sabotage {
	open := opener()
	var kept kept
	return rig.Sabotage{Interceptors: []router.Interceptor{rig.Receiver(func(t *wamp.RoutedMessage) error {
		if args, kwargs, opaque, err := open(t); opaque && err == nil {
			kept.add(args, kwargs)
		}
		return nil
	})}}
}

// passWhatOpens validates by decrypting: it lets through what it can open, and
// nothing else.
func passWhatOpens() rig.Sabotage {
	open := opener()
	return rig.Sabotage{Interceptors: []router.Interceptor{rig.Receiver(func(t *wamp.RoutedMessage) error {
		if _, _, opaque, err := open(t); opaque && err != nil {
			return &wamp.Refusal{Reason: wamp.ReasonInvalid, URI: wamp.ErrInvalidArgument, Text: "the payload is not what it should be"}
		}
		return nil
	})}}
}

func openForOthers() {
	forms := keys()
	from := gob.NewDecoder(os.Stdin)
	var kept kept
	for {
		var h rig.Handover
		if from.Decode(&h) != nil {
			return
		}
		if args, kwargs, err := forms.Open(&wamp.Subject{URI: h.URI, Originator: !h.Originator}, &h.Attributes, h.Data); err == nil {
			kept.add(args, kwargs)
		}
	}
}
