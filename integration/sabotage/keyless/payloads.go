//go:build sabotage && linux

package main

import (
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// alterLarge alters payloads of more than 64 KiB, and no others.
func alterLarge() rig.Sabotage {
	return rig.Sabotage{Conn: rig.Rewrite(func(_ wamp.Serializer, data []byte) bool {
		if len(data) <= 64<<10 {
			return false
		}
		data[len(data)/2] ^= 1
		return true
	}).Wrap()}
}

// alterLate forwards 1,300 payloads as it should. Then it decodes what is in JSON,
// and encodes it again.
func alterLate() rig.Sabotage {
	const untouched = 1300
	var seen atomic.Int64
	return rig.Sabotage{Conn: rig.Rewrite(func(s wamp.Serializer, _ []byte) bool {
		return seen.Add(1) > untouched && s == wamp.JSON
	}).Wrap()}
}

// dropSome loses one payload in a thousand.
func dropSome() rig.Sabotage {
	var count atomic.Int64
	return rig.Sabotage{Conn: rig.Reader(func(s wamp.Serializer, body []byte) []byte {
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
	}).Wrap()}
}

// flipBits flips a bit of one payload in a thousand.
func flipBits() rig.Sabotage {
	var count atomic.Int64
	return rig.Sabotage{Conn: rig.Rewrite(func(_ wamp.Serializer, data []byte) bool {
		if count.Add(1)%1000 != 0 {
			return false
		}
		data[len(data)/2] ^= 1
		return true
	}).Wrap()}
}

// reencode decodes each message and encodes it again: the values stay the same, the
// bytes need not.
func reencode() rig.Sabotage {
	return rig.Sabotage{Conn: rig.Rewrite(func(wamp.Serializer, []byte) bool { return true }).Wrap()}
}
