package wamp

// Serializer names one of the message serializations of WAMP.
type Serializer uint8

// The serializers, numbered as RawSocket's handshake numbers them (WAMP,
// "RawSocket Transport").
const (
	JSON    Serializer = 1
	MsgPack Serializer = 2
	CBOR    Serializer = 3
)

// Serializers lists every serializer, in the order of their numbers.
var Serializers = [...]Serializer{JSON, MsgPack, CBOR}

// String returns the serializer's name as it stands in WebSocket subprotocols
// ("json" in "wamp.2.json"), or "unknown".
func (s Serializer) String() string {
	switch s {
	case JSON:
		return "json"
	case MsgPack:
		return "msgpack"
	case CBOR:
		return "cbor"
	}
	return "unknown"
}

// Valid reports whether s is one of Serializers.
func (s Serializer) Valid() bool { return s >= JSON && s <= CBOR }
