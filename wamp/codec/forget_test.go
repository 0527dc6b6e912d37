package codec

import (
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// A decoder that has forgotten holds nothing of what it decoded.
func TestForget(t *testing.T) {
	for _, s := range wamp.Serializers {
		d := NewDecoder()
		for _, m := range []wamp.Message{
			&wamp.Authenticate{Signature: "a secret"},
			&wamp.Publish{Request: 1, Topic: "com.app.topic", Payload: BinaryPayload(s, wamp.FormPassthru, []byte("x")),
				Options: wamp.PublishOptions{Attributes: wamp.Attributes{PPTScheme: "wamp"}}},
		} {
			frame, err := Append(nil, s, m)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Decode(s, frame); err != nil {
				t.Fatal(err)
			}
		}
		if d.in.strings == (interner{}) {
			t.Fatalf("%s: nothing was kept before", s)
		}
		d.Forget()
		if d.in.strings != (interner{}) || d.in.dicts.publish.bytes != nil || d.in.frame != nil || d.in.publish.Topic != "" {
			t.Errorf("%s: something is kept", s)
		}
		if d.in.maxDepth != maxEnvelopeDepth || d.in.maxItems != maxEnvelopeItems {
			t.Errorf("%s: the bounds are lost", s)
		}
	}
}
