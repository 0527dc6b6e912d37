package cluster

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// samples are one message of each kind that nodes send, in each serializer.
func samples(t testing.TB) (all [][]byte) {
	t.Helper()
	peer := wamp.Peer{Session: 7, AuthID: "alice", AuthRole: "staff", Serializer: wamp.JSON,
		Roles: wamp.Roles{Caller: wamp.Role{Present: true, Features: wamp.NewFeatures(wamp.CallCanceling)}, Subscriber: wamp.Role{Present: true}}}
	for _, s := range wamp.Serializers {
		a := wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "json"}
		payload := codec.BinaryPayload(s, wamp.FormTransparency, []byte("\x00sealed\xff"))
		event := envelope{kind: kindEvent, origin: "node", sequence: 1 << 40, peer: peer, publication: 9, disclose: true,
			trust: wamp.TrustLevel(3), retain: router.RetainNoMore, stamp: 1 << 60}
		call := envelope{kind: kindCall, origin: "node", sequence: 2, peer: peer, realm: "realm1", procedure: "com.example.p", callee: 11, more: true}
		for _, c := range []struct {
			e envelope
			m wamp.Message
		}{
			{event, &wamp.Publish{Request: 1, Topic: "com.example.topic", Options: wamp.PublishOptions{Eligible: []wamp.ID{1, 2}, Attributes: a}, Payload: payload}},
			{call, &wamp.Invocation{Request: 1, Registration: 2, Details: wamp.InvocationDetails{Progress: true, Attributes: a}, Payload: payload}},
			{call, &wamp.Interrupt{Request: 1, Options: wamp.CancelOptions{Mode: "kill"}}},
			{call, &wamp.Result{Request: 1, Details: wamp.ResultDetails{Attributes: a}, Payload: payload}},
			{call, &wamp.Error{RequestType: wamp.TypeCall, Request: 1, Error: wamp.ErrCanceled}},
		} {
			b, err := c.e.append(nil, c.m)
			if err != nil {
				t.Fatal(err)
			}
			d := decoder{messages: codec.NewDecoder()}
			e, m, err := d.decode(b)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*e, c.e) {
				t.Errorf("%+v became %+v", c.e, *e)
			}
			if carrier, ok := m.(wamp.Carrier); ok && m.Type() != wamp.TypeError {
				if p, _ := carrier.Carried(); !p.Opaque() {
					t.Errorf("%v: the payload is not opaque any more", m.Type())
				}
			}
			all = append(all, b)
		}
	}
	return all
}

// What nodes send is read as what was sent; another version is refused, whatever is in
// it; and so is what ends early.
func TestEnvelope(t *testing.T) {
	for _, b := range samples(t) {
		d := decoder{messages: codec.NewDecoder()}
		for n := range b {
			if _, _, err := d.decode(b[:n]); err == nil {
				t.Fatalf("the first %d bytes of %d are taken for a message", n, len(b))
			}
		}
		for _, v := range []byte{0, version + 1, 255} {
			other := append([]byte{v}, b[1:]...)
			if _, _, err := d.decode(other); !errors.Is(err, errVersion) {
				t.Errorf("version %d: %v", v, err)
			}
		}
	}
}

// Whatever is taken can be sent again, and is then read as the same.
func FuzzEnvelope(f *testing.F) {
	for _, b := range samples(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := decoder{messages: codec.NewDecoder()}
		e, m, err := d.decode(b)
		if err != nil {
			return
		}
		first := *e
		once, err := first.append(nil, m)
		if err != nil {
			return // such as the messages that only clients send
		}
		e, m, err = (&decoder{messages: codec.NewDecoder()}).decode(once)
		if err != nil {
			t.Fatalf("what was read can't be read again: %v", err)
		}
		if !reflect.DeepEqual(*e, first) {
			t.Errorf("%+v became %+v", first, *e)
		}
		if twice, err := e.append(nil, m); err != nil || !bytes.Equal(twice, once) {
			t.Errorf("another message the second time: %v", err)
		}
	})
}
