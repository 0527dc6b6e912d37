package eventstore

import (
	"bytes"
	"reflect"
	"runtime"
	"slices"
	"strings"
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
		got, err := new(Reader).Read(record)
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

// A file may be damaged. Whatever Read takes can be stored again.
func FuzzRead(f *testing.F) {
	for _, s := range wamp.Serializers {
		record, err := sealed(s).Append(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(record)
		f.Add(record[:len(record)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := new(Reader).Read(b)
		if err != nil {
			return
		}
		if _, err := e.Append(nil); err != nil {
			t.Errorf("what was read can't be stored: %v", err)
		}
	})
}

// The lists of receivers admit whom they admit as a PUBLISH's, in any order, and after
// they were stored.
func TestAdmits(t *testing.T) {
	to := &wamp.Peer{Session: 5, AuthID: "bob", AuthRole: "staff"}
	for i, c := range []struct {
		o    wamp.PublishOptions
		want bool
	}{
		{wamp.PublishOptions{}, true},
		{wamp.PublishOptions{Exclude: []wamp.ID{9, 5, 1}}, false},
		{wamp.PublishOptions{Exclude: []wamp.ID{9, 6, 1}}, true},
		{wamp.PublishOptions{Eligible: []wamp.ID{}}, false},
		{wamp.PublishOptions{Eligible: []wamp.ID{9, 5, 1}}, true},
		{wamp.PublishOptions{ExcludeAuthID: []string{"zoe", "bob", "ann"}}, false},
		{wamp.PublishOptions{EligibleAuthID: []string{"zoe", "ann"}}, false},
		{wamp.PublishOptions{EligibleAuthID: []string{"zoe", "bob", "ann"}, EligibleAuthRole: []string{"user", "staff"}}, true},
		{wamp.PublishOptions{EligibleAuthID: []string{"bob"}, EligibleAuthRole: []string{"user", "admin"}}, false},
		{wamp.PublishOptions{ExcludeAuthRole: []string{"user", "staff", "admin"}}, false},
	} {
		e := New(&wamp.Event{Publication: 7}, &wamp.Publish{Request: 1, Topic: "com.example.topic", Options: c.o}, 3)
		if e.Admits(to) != c.want {
			t.Errorf("%d: %t", i, !c.want)
		}
		record, err := e.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if e, err = new(Reader).Read(record); err != nil || e.Admits(to) != c.want {
			t.Errorf("%d, after it was stored: %v", i, err)
		}
	}
	long := make([]string, 4096)
	for i := range long {
		long[i] = strings.Repeat("x", 20) + string(rune('a'+i%26))
	}
	e := New(&wamp.Event{Publication: 7}, &wamp.Publish{Request: 1, Topic: "com.example.topic", Options: wamp.PublishOptions{ExcludeAuthID: long}}, 3)
	if !slices.IsSorted(e.Receivers.ExcludeAuthID) || &e.Receivers.ExcludeAuthID[0] == &long[0] {
		t.Error("a long list is gone through for each who asks, or was changed for others")
	}
}

// What a record costs to read is about what is in it, and not a decoder of its own.
func TestReaderAllocatesLittle(t *testing.T) {
	record, err := sealed(wamp.CBOR).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	var p Reader
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const n = 1000
	for range n {
		if _, err := p.Read(record); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / n; each > 2000 {
		t.Errorf("%d bytes are allocated for a record of %d", each, len(record))
	}
}
