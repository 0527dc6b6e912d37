package spec

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// strange are payloads, clear and opaque, in encodings that are legal and that
// no encoder here would choose: whoever decoded and encoded them again would
// change their bytes.
var strange = []struct {
	name       string
	serializer wamp.Serializer
	options    string
	tail       string
}{
	{name: "spaced JSON", serializer: wamp.JSON, options: `{}`, tail: "[ 1.0e0 , \"\\u0041\" ,\t{ \"a\" :[ ] } ] , {\"k\"\n: -0 }"},
	{name: "escaped base64", serializer: wamp.JSON, options: `{"enc_algo":"cryptobox"}`, tail: `"\u0000c2VhbGVk"`},
	{name: "list with a spaced binary", serializer: wamp.JSON, options: `{"ppt_scheme":"wamp"}`, tail: `[  "\u0000c2VhbGVk"  ]`},
	{name: "MessagePack: str32, array32, int64 for 1", serializer: wamp.MsgPack, options: "\x80",
		tail: "\xdd\x00\x00\x00\x02\xd3\x00\x00\x00\x00\x00\x00\x00\x01\xdb\x00\x00\x00\x01a"},
	{name: "MessagePack: bin32", serializer: wamp.MsgPack, options: "\x81\xa8enc_algo\xa9cryptobox", tail: "\xc6\x00\x00\x00\x03abc"},
	{name: "MessagePack: array16 of bin16", serializer: wamp.MsgPack, options: "\x81\xaappt_scheme\xa4wamp", tail: "\xdc\x00\x01\xc5\x00\x03abc"},
	{name: "CBOR: indefinite list, long ints", serializer: wamp.CBOR, options: "\xa0", tail: "\x9f\x1b\x00\x00\x00\x00\x00\x00\x00\x01\x7faaab\xff\xff"},
	{name: "CBOR: indefinite bytes", serializer: wamp.CBOR, options: "\xa1\x68enc_algo\x69cryptobox", tail: "\x5f\x41a\x42bc\xff"},
	{name: "CBOR: tag 64", serializer: wamp.CBOR, options: "\xa1\x6appt_scheme\x64wamp", tail: "\x81\xd8\x40\x58\x03abc"},
}

// A payload for a receiver of the same serializer is not decoded, clear or
// opaque: its bytes come out as they went in.
func TestPayloadBytesAreUntouched(t *testing.T) {
	w := routertest.NewWorld(t)
	for _, s := range strange {
		t.Run(s.name, func(t *testing.T) {
			alice, bob := w.Join("alice", "rawsocket", s.serializer), w.Join("bob", "websocket", s.serializer)
			alice.T, bob.T = t, t
			bob.Subscribe(routertest.Topic, wamp.MatchExact)
			alice.SendRaw(strangePublish(s.serializer, s.options, s.tail))
			_ = bob.Conn.SetReadDeadline(time.Now().Add(routertest.Timeout))
			frame, err := bob.Conn.Read()
			if err != nil || frame.Op != transport.OpMessage {
				t.Fatalf("%v %v", frame.Op, err)
			}
			end := ""
			if s.serializer == wamp.JSON {
				end = "]"
			}
			if !bytes.HasSuffix(frame.Body, []byte(s.tail+end)) {
				t.Errorf("sent   %q\nbehind %q", s.tail, frame.Body)
			}
			for _, p := range []*routertest.Peer{alice, bob} {
				_ = p.Conn.Close()
			}
			w.WaitSessions(0)
		})
	}
}

func strangePublish(s wamp.Serializer, options, tail string) []byte {
	uri := string(routertest.Topic)
	switch s {
	case wamp.MsgPack:
		return []byte("\x95\x10\x01" + options + string([]byte{0xa0 | byte(len(uri))}) + uri + tail)
	case wamp.CBOR:
		return []byte("\x85\x10\x01" + options + string([]byte{0x60 | byte(len(uri))}) + uri + tail)
	}
	return fmt.Appendf(nil, `[16,1,%s,%q,%s]`, options, uri, tail)
}
