package codec

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// What a decoder keeps for the next message is bounded, whatever it has read: the number
// stands in docs/limits.md.
func TestDecoderMemory(t *testing.T) {
	const most = 256 << 10
	var unknown strings.Builder
	for i := range 4095 {
		fmt.Fprintf(&unknown, `"k%d":1,`, i)
	}
	frames := [][]byte{[]byte(`[16,1,{` + unknown.String() + `"k":1},"com.a",["x"]]`)}
	for i := range 2000 {
		uri := fmt.Sprintf("com.t%d.%s", i, strings.Repeat("x", 230))
		for _, f := range []string{
			`[16,1,{"exclude_authid":["%s"],"enc_key":"%s"},"%s"]`,
			`[48,1,{"ppt_keyid":"%s","ppt_scheme":"%s"},"%s"]`,
		} {
			frames = append(frames, fmt.Appendf(nil, f, uri, uri, uri), fmt.Appendf(nil, f, uri, uri, uri))
		}
	}
	decoders := make([]*Decoder, 8)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range decoders {
		decoders[i] = NewDecoder()
		for _, frame := range frames {
			if _, err := decoders[i].Decode(wamp.JSON, frame); err != nil {
				t.Fatal(err)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / int64(len(decoders))
	t.Logf("%d bytes", each)
	if each > most || each < most/8 {
		t.Errorf("a decoder keeps %d bytes", each)
	}
	runtime.KeepAlive(decoders)
	runtime.KeepAlive(frames)
}
