package codec

import (
	"bytes"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// The envelope of every good vector is a message of its own, with the same elements
// and no payload, and with the options that nobody knows.
func TestAppendEnvelope(t *testing.T) {
	good, _ := vectors(t)
	carriers := 0
	for _, v := range good {
		frame := v.frame(t)
		for _, again := range []bool{false, true} { // the second time, the decoder knows the envelope
			d := NewDecoder()
			m, err := d.Decode(v.serializer(), frame)
			if again && err == nil {
				for range 3 {
					m, err = d.Decode(v.serializer(), frame)
				}
			}
			carrier, ok := m.(wamp.Carrier)
			if err != nil || !ok {
				continue
			}
			carriers++
			payload, _ := carrier.Carried()
			envelope := d.AppendEnvelope([]byte("before"))
			if len(envelope) > len("before")+len(frame)-payload.WireSize() {
				t.Errorf("%s: %d bytes of a frame of %d with a payload of %d", v.Name, len(envelope), len(frame), payload.WireSize())
			}
			*payload = wamp.Payload{}
			want, err := Append(nil, v.serializer(), m)
			if err != nil {
				t.Fatal(err)
			}
			cut, err := NewDecoder().Decode(v.serializer(), bytes.TrimPrefix(envelope, []byte("before")))
			if err != nil {
				t.Errorf("%s: %v: %q", v.Name, err, envelope)
				continue
			}
			got, err := Append(nil, v.serializer(), cut)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %q, want %q (%v)", v.Name, got, want, err)
			}
		}
	}
	if carriers < 20 {
		t.Errorf("only %d messages that carry payloads", carriers)
	}
	d := NewDecoder()
	if _, err := d.Decode(wamp.JSON, []byte(`[49,1,{"x_own":1}] `)); err != nil {
		t.Fatal(err)
	}
	if got := string(d.AppendEnvelope(nil)); got != `[49,1,{"x_own":1}] ` {
		t.Errorf("%q", got)
	}
	if _, err := d.Decode(wamp.JSON, []byte(` [16, 1, {"x_own": [1]} , "com.t" , [1] , null ] `)); err != nil {
		t.Fatal(err)
	}
	if got := string(d.AppendEnvelope(nil)); got != ` [16, 1, {"x_own": [1]} , "com.t"]` {
		t.Errorf("%q", got)
	}
}
