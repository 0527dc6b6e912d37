package codec

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// crowds are payloads of one list, of which one byte or two make a value each.
var crowds = map[string]struct {
	s    wamp.Serializer
	tail func(n int) []byte
}{
	"msgpack maps":  {wamp.MsgPack, func(n int) []byte { return append(msgpackList(n), bytes.Repeat([]byte{0x80}, n)...) }},
	"msgpack lists": {wamp.MsgPack, func(n int) []byte { return append(msgpackList(n), bytes.Repeat([]byte{0x90}, n)...) }},
	"msgpack dicts": {wamp.MsgPack, func(n int) []byte { return append(msgpackList(n/3), bytes.Repeat([]byte{0x81, 0xa0, 0xc0}, n/3)...) }},
	"cbor maps":     {wamp.CBOR, func(n int) []byte { return append(append([]byte{0x9f}, bytes.Repeat([]byte{0xa0}, n)...), 0xff) }},
	"json maps":     {wamp.JSON, func(n int) []byte { return []byte("[" + strings.Repeat("{},", n/3) + "{}]") }},
	"json numbers":  {wamp.JSON, func(n int) []byte { return []byte("[" + strings.Repeat("1,", n/2) + "1]") }},
}

func msgpackList(n int) []byte {
	return []byte{0xdd, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// What values are made of a payload within limits costs no more than four times the
// message, whatever it holds; and what exceeds them is refused by the name of the limit.
func TestDecodeWithin(t *testing.T) {
	limits := wamp.ValueLimits{Nesting: 32, Elements: 4096}
	for name, c := range crowds {
		for _, size := range []int{100_000, 1 << 20} {
			tail := c.tail(size)
			p := wamp.NewPayload(transcoders[c.s], tail, wamp.PayloadFacts{Shape: wamp.ShapeList, Elements: 1})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := p.DecodeWithin(limits)
			runtime.ReadMemStats(&after)
			var refusal *wamp.Refusal
			if !errors.As(err, &refusal) || refusal.Limit != wamp.LimitElements || refusal.Reason != wamp.ReasonLimit || refusal.Fatal {
				t.Errorf("%s: %v", name, err)
			}
			if cost := after.TotalAlloc - before.TotalAlloc; size == 1<<20 && cost > 4*uint64(len(tail)) || cost > 256*4096+uint64(len(tail)) {
				t.Errorf("%s: %d bytes for %d", name, cost, len(tail))
			}
		}
		// As many as there may be.
		n := map[string]int{"msgpack dicts": 4096 / 2 * 3, "json maps": 4095 * 3, "json numbers": 4095 * 2}[name]
		if n == 0 {
			n = 4096
		}
		p := wamp.NewPayload(transcoders[c.s], c.tail(n), wamp.PayloadFacts{Shape: wamp.ShapeList, Elements: 1})
		if args, _, err := p.DecodeWithin(limits); err != nil || len(args) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	deep := func(n int) wamp.Payload {
		return wamp.NewPayload(transcoders[wamp.JSON], []byte(strings.Repeat("[", n)+strings.Repeat("]", n)), wamp.PayloadFacts{Shape: wamp.ShapeList, Elements: 1})
	}
	p := deep(32)
	if _, _, err := p.DecodeWithin(limits); err != nil {
		t.Error(err)
	}
	p = deep(33)
	var refusal *wamp.Refusal
	if _, _, err := p.DecodeWithin(limits); !errors.As(err, &refusal) || refusal.Limit != wamp.LimitNesting {
		t.Errorf("nesting: %v", err)
	}
}
