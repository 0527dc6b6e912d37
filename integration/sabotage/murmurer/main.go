//go:build sabotage

// Command murmurer is a router that repeats what it cannot decode where few
// would look: in the frame that closes a WebSocket connection.
package main

import (
	"encoding/hex"
	"time"

	"github.com/blindfold-wamp/blindfold/integration/sabotage/internal/rig"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

func main() {
	rig.Run(rig.Sabotage{Conn: func(c transport.Conn) transport.Conn { return &murmuring{c} }})
}

type murmuring struct{ transport.Conn }

func (m *murmuring) Read() (transport.Frame, error) {
	frame, err := m.Conn.Read()
	if err != nil || frame.Op != transport.OpMessage {
		return frame, err
	}
	s := m.Info().Serializer
	if _, err := codec.NewDecoder().Decode(s, frame.Body); err != nil {
		const room = 120 // in such a frame
		last := string(frame.Body[max(0, len(frame.Body)-room):])
		if s != wamp.JSON {
			last = hex.EncodeToString(frame.Body[max(0, len(frame.Body)-room/2):])
		}
		murmur := m.Framing().AppendFrame(nil, transport.OpClose, transport.CloseBody(1002, last))
		_, _ = m.Write([][]byte{murmur}, time.Second)
	}
	return frame, nil
}
