package nexus

import (
	"errors"

	"github.com/gammazero/nexus/v3/transport/serialize"
	nexus "github.com/gammazero/nexus/v3/wamp"

	"github.com/blindfold-wamp/blindfold/wamp"
)

var serializers = map[wamp.Serializer]serialize.Serializer{
	wamp.JSON: &serialize.JSONSerializer{}, wamp.MsgPack: &serialize.MessagePackSerializer{}, wamp.CBOR: &serialize.CBORSerializer{},
}

// deserialize is nexus's way of reading a message, for what our codec has let through.
// Its reflection panics on some values, which is not ours to change.
func deserialize(s wamp.Serializer, body []byte) (m nexus.Message, err error) {
	defer func() {
		if recover() != nil {
			m, err = nil, errors.New("nexus cannot read it")
		}
	}()
	return serializers[s].Deserialize(body)
}

// serialized is nexus's way of writing a message, for what no client has sent: what the
// router itself says, and the values of local clients.
func serialized(s wamp.Serializer, m nexus.Message) (body []byte, err error) {
	defer func() {
		if recover() != nil {
			body, err = nil, errors.New("nexus cannot write it")
		}
	}()
	return serializers[s].Serialize(m)
}

// parts are those of a message that can carry a payload.
type parts struct {
	options *nexus.Dict
	args    *nexus.List
	kwargs  *nexus.Dict
}

func partsOf(m nexus.Message) parts {
	switch m := m.(type) {
	case *nexus.Publish:
		return parts{&m.Options, &m.Arguments, &m.ArgumentsKw}
	case *nexus.Call:
		return parts{&m.Options, &m.Arguments, &m.ArgumentsKw}
	case *nexus.Yield:
		return parts{&m.Options, &m.Arguments, &m.ArgumentsKw}
	case *nexus.Error:
		return parts{&m.Details, &m.Arguments, &m.ArgumentsKw}
	}
	return parts{}
}

// carry replaces the Arguments. What an item has leaves the options.
func (p parts) carry(args nexus.List) {
	*p.args = args
	for _, key := range [...]string{"enc_algo", "enc_key", "enc_serializer", "ppt_scheme", "ppt_serializer", "ppt_cipher", "ppt_keyid"} {
		delete(*p.options, key)
	}
}

func id(d nexus.Dict, key string) wamp.ID {
	v, _ := nexus.AsID(d[key])
	return wamp.ID(v)
}

func text(d nexus.Dict, key string) string {
	v, _ := nexus.AsString(d[key])
	return v
}

func truth(d nexus.Dict, key string) bool {
	v, _ := d[key].(bool)
	return v
}

// failure is the ERROR for a request that was refused. An item beside it says that it
// was counted.
func failure(of nexus.MessageType, request nexus.ID, r *wamp.Refusal) *nexus.Error {
	return &nexus.Error{Type: of, Request: request, Error: nexus.URI(r.URI),
		Details: nexus.Dict{"message": r.Text}, Arguments: beside(nexus.List{r.Text}, &item{values: true})}
}
