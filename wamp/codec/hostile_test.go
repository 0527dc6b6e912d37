package codec

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// prefix returns what a PUBLISH begins with, up to its Arguments.
func prefix(s wamp.Serializer, elements int) []byte {
	switch s {
	case wamp.JSON:
		return []byte(`[16,1,{},"com.a",`)
	case wamp.MsgPack:
		return append([]byte{0x90 | byte(4+elements), 16, 1, 0x80, 0xa5}, "com.a"...)
	}
	return append([]byte{0x80 | byte(4+elements), 16, 1, 0xa0, 0x65}, "com.a"...)
}

// publish returns a PUBLISH with the tail given.
func publish(s wamp.Serializer, elements int, tail []byte) []byte {
	frame := append(prefix(s, elements), tail...)
	if s == wamp.JSON {
		frame = append(frame, ']')
	}
	return frame
}

// Ten million bytes of nothing but beginnings are refused, and cost no memory.
func TestHostileRuns(t *testing.T) {
	const size = 10 << 20
	for _, s := range wamp.Serializers {
		for _, c := range []byte("[{\"\\0\x91\x81\x9f\xbf\x5f\x7f\xc1\xdd\xd8\xdc\xff\x00") {
			run := bytes.Repeat([]byte{c}, size)
			for where, frame := range map[string][]byte{
				"alone":       run,
				"in the tail": publish(s, 1, append([]byte{map[wamp.Serializer]byte{wamp.JSON: '[', wamp.MsgPack: 0x91, wamp.CBOR: 0x81}[s]}, run...)),
			} {
				d := NewDecoder()
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_, err := d.Decode(s, frame)
				runtime.ReadMemStats(&after)
				if err == nil {
					t.Errorf("%v: a run of %#x %s is taken for a message", s, c, where)
				}
				if got := after.TotalAlloc - before.TotalAlloc; got > 64<<10 {
					t.Errorf("%v: refusing a run of %#x %s allocated %d bytes", s, c, where, got)
				}
			}
		}
	}
}

func nested(s wamp.Serializer, depth int) []byte {
	open, end := "[", "]"
	switch s {
	case wamp.MsgPack:
		open, end = "\x91", ""
	case wamp.CBOR:
		open, end = "\x81", ""
	}
	inner := map[wamp.Serializer]string{wamp.JSON: "[]", wamp.MsgPack: "\x90", wamp.CBOR: "\x80"}[s]
	return []byte(strings.Repeat(open, depth-1) + inner + strings.Repeat(end, depth-1))
}

func TestDepth(t *testing.T) {
	for _, s := range wamp.Serializers {
		if _, err := NewDecoder().Decode(s, publish(s, 1, nested(s, maxPayloadDepth))); err != nil {
			t.Errorf("%v: %v", s, err)
		}
		_, err := NewDecoder().Decode(s, publish(s, 1, nested(s, maxPayloadDepth+1)))
		if err == nil || !strings.Contains(err.Error(), "Arguments is malformed") || !strings.Contains(err.Error(), faultDepth) {
			t.Errorf("%v: %v", s, err)
		}
		for _, key := range []string{"x_unknown", "forward_for"} {
			for depth, ok := range map[int]bool{maxEnvelopeDepth: true, maxEnvelopeDepth + 1: false} {
				_, err := NewDecoder().Decode(s, withOption(s, key, nested(s, depth)))
				if (err == nil) != ok {
					t.Errorf("%v: %s nested %d deep: %v", s, key, depth, err)
				}
			}
		}
	}
}

// withOption returns a PUBLISH with one option, given as encoded.
func withOption(s wamp.Serializer, key string, value []byte) []byte {
	w := writerOf(s)
	e := encoding{w: w, s: s}
	outer, at := e.open(kindArray)
	e.uint(16)
	e.uint(1)
	dict, dictAt := e.open(kindMap)
	e.key(key)
	e.before()
	e.dst = append(e.dst, value...)
	e.close(dict, dictAt)
	e.text("com.a")
	e.close(outer, at)
	return e.dst
}

func TestEnvelopeIsBounded(t *testing.T) {
	for _, s := range wamp.Serializers {
		for _, key := range []string{"x_unknown", "forward_for", "exclude"} {
			for n, ok := range map[int]bool{maxEnvelopeItems - 1: true, maxEnvelopeItems + 1: false} {
				e := encoding{w: writerOf(s), s: s}
				outer, at := e.open(kindArray)
				for range n {
					e.uint(1)
				}
				e.close(outer, at)
				_, err := NewDecoder().Decode(s, withOption(s, key, e.dst))
				if (err == nil) != ok {
					t.Errorf("%v: %s of %d elements: %v", s, key, n, err)
				}
			}
		}
	}
}

// What a peer sends never comes back in an error's text.
func TestErrorsEchoNothing(t *testing.T) {
	const secret = "s3cr3t"
	for _, frame := range []string{
		`["` + secret + `"]`,
		`[16,"` + secret + `"]`,
		`[16,1,{"` + secret + `":s3cr3t}]`,
		`[16,1,{"` + secret + `":1,"retain":"` + secret + `"},"com.a"]`,
		`[16,1,{"retain":true,"` + secret + `":[}},"com.a"]`,
		`[16,1,{},["` + secret + `"]]`,
		`[16,1,{},"com.a","` + secret + `"]`,
		`[16,1,{},"com.a",["\u0000` + secret + `!"]]`,
		`[1,"r",{"roles":{"caller":{"features":{"` + secret + `":}}}}]`,
		`[1,"r",{"authextra":{"` + secret + `":1,"` + secret + `":2}}]`,
	} {
		_, err := NewDecoder().Decode(wamp.JSON, []byte(frame))
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", frame, err)
		}
	}
}
