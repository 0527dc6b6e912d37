//go:build sabotage

// Command flipper is a router that flips a bit of one payload in a thousand.
package main

import (
	"bytes"
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
		c, ok := m.(wamp.Carrier)
		if !ok {
			return body
		}
		p, a := c.Carried()
		data, ok := codec.Binary(p)
		if !ok || count.Add(1)%1000 != 0 {
			return body
		}
		data[len(data)/2] ^= 1
		*p = codec.BinaryPayload(s, wamp.FormOf(a, p), data)
		changed, err := codec.Append(nil, s, m)
		if err != nil {
			return body
		}
		return bytes.Clone(changed)
	}).Wrap()})
}
