//go:build sabotage

// Command flipper is a router that flips a bit of one payload in a thousand.
package main

import (
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func main() {
	var count atomic.Int64
	rig.Run(rig.Sabotage{Conn: rig.Rewrite(func(_ wamp.Serializer, data []byte) bool {
		if count.Add(1)%1000 != 0 {
			return false
		}
		data[len(data)/2] ^= 1
		return true
	}).Wrap()})
}
