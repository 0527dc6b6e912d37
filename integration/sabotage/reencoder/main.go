//go:build sabotage

// Command reencoder is a router that decodes each message and encodes it anew:
// the values stay the same, the bytes need not.
package main

import (
	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

func main() {
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
		if !ok {
			return body
		}
		*p = codec.BinaryPayload(s, wamp.FormOf(a, p), data)
		if again, err := codec.Append(nil, s, m); err == nil {
			return again
		}
		return body
	}).Wrap()})
}
