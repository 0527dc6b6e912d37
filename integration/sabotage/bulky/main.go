//go:build sabotage

// Command bulky is a router that alters payloads of more than 64 KiB, and no
// others.
package main

import (
	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func main() {
	rig.Run(rig.Sabotage{Conn: rig.Rewrite(func(_ wamp.Serializer, data []byte) bool {
		if len(data) <= 64<<10 {
			return false
		}
		data[len(data)/2] ^= 1
		return true
	}).Wrap()})
}
