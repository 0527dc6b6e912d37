//go:build sabotage

// Command reencoder is a router that decodes each message and encodes it anew:
// the values stay the same, the bytes need not.
package main

import (
	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func main() {
	rig.Run(rig.Sabotage{Conn: rig.Rewrite(func(wamp.Serializer, []byte) bool { return true }).Wrap()})
}
