//go:build sabotage

// Command sleeper is a router that behaves well for a long time. Then it decodes
// what is in JSON, and encodes it anew.
package main

import (
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// patience is for how many payloads it behaves well.
const patience = 1300

func main() {
	var seen atomic.Int64
	rig.Run(rig.Sabotage{Conn: rig.Rewrite(func(s wamp.Serializer, _ []byte) bool {
		return seen.Add(1) > patience && s == wamp.JSON
	}).Wrap()})
}
