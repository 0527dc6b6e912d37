//go:build sabotage

// Command dropper is a router that loses one payload in a thousand.
package main

import (
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

func main() {
	var count atomic.Int64
	rig.Run(rig.Sabotage{Conn: rig.Reader(func(s wamp.Serializer, body []byte) []byte {
		m, err := codec.NewDecoder().Decode(s, body)
		if err != nil {
			return body
		}
		if c, ok := m.(wamp.Carrier); ok {
			if p, _ := c.Carried(); p.Opaque() && count.Add(1)%1000 == 0 {
				return nil
			}
		}
		return body
	}).Wrap()})
}
