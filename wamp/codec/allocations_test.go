//go:build !race

package codec

import (
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Under the race detector sync.Pool drops things at random, so this test is for
// a run without it.

func TestNoAllocations(t *testing.T) {
	for _, s := range wamp.Serializers {
		p := benchPublish(s)
		frame, err := Append(nil, s, p)
		if err != nil {
			t.Fatal(err)
		}
		d := NewDecoder()
		if n := testing.AllocsPerRun(100, func() {
			if _, err := d.Decode(s, frame); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v: decoding a PUBLISH allocates %v times", s, n)
		}
		e := &wamp.Event{Subscription: 1, Publication: 2, Details: wamp.EventDetails{Attributes: p.Options.Attributes}, Payload: p.Payload}
		dst := make([]byte, 0, 4096)
		if n := testing.AllocsPerRun(100, func() {
			if _, err := Append(dst, s, e); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v: encoding an EVENT allocates %v times", s, n)
		}
	}
}
