package eventstore

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// sealed is a stored event with an opaque payload, lists of receivers and attributes.
func sealed(s wamp.Serializer) *Event {
	m := &wamp.Publish{Request: 1, Topic: "com.example.topic", Options: wamp.PublishOptions{
		ExcludeMe: wamp.False, EligibleAuthID: []string{"alice", "bob"},
		Attributes: wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "json"}}}
	event := &wamp.Event{Publication: 7, Payload: codec.BinaryPayload(s, wamp.FormTransparency, []byte("\x00sealed\xff")),
		Details: wamp.EventDetails{Attributes: m.Options.Attributes}}
	return New(event, m, 3)
}

func TestRecordRoundTrip(t *testing.T) {
	for _, s := range wamp.Serializers {
		e := sealed(s)
		record, err := e.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(record)
		if err != nil {
			t.Fatal(s, err)
		}
		if got.At != e.At || got.From != 3 || got.Event.Publication != 7 || !reflect.DeepEqual(got.Receivers, e.Receivers) ||
			got.Event.Details.Topic != "com.example.topic" || got.Event.Details.Attributes != e.Event.Details.Attributes || !got.Event.Payload.Opaque() {
			t.Errorf("%v: read back as something else", s)
		}
		again, err := got.Append(nil)
		if err != nil || !bytes.Equal(again, record) {
			t.Errorf("%v: another record the second time", s)
		}
	}
}

// A file may be damaged. Whatever Parse takes can be stored again.
func FuzzParse(f *testing.F) {
	for _, s := range wamp.Serializers {
		record, err := sealed(s).Append(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(record)
		f.Add(record[:len(record)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Parse(b)
		if err != nil {
			return
		}
		if _, err := e.Append(nil); err != nil {
			t.Errorf("what was read can't be stored: %v", err)
		}
	})
}
