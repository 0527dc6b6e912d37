package codec

import (
	"bytes"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// What a decoder has read before makes no difference to what it reads: not the
// message, not its payload, not the error.
func TestDecodersForget(t *testing.T) {
	good, bad := vectors(t)
	for _, a := range good {
		first := a.frame(t)
		switch decoded(t, &a).(type) {
		case *wamp.Publish, *wamp.Call, *wamp.Yield: // those that are kept
		default:
			continue
		}
		for _, b := range append(good, bad...) {
			if a.serializer() != b.serializer() {
				continue
			}
			second := b.frame(t)
			checkForgets(t, a.serializer(), first, second)
			checkForgets(t, a.serializer(), first, append(bytes.Clone(first), second...))
			if half := len(first) / 2; len(second) > half {
				checkForgets(t, a.serializer(), first, append(bytes.Clone(first[:half]), second[half:]...))
			}
		}
		for n := range first {
			checkForgets(t, a.serializer(), first, first[:n:n])
			changed := bytes.Clone(first)
			changed[n] ^= byte(1 + n%255)
			checkForgets(t, a.serializer(), first, changed)
		}
	}
}

func FuzzDecodersForget(f *testing.F) {
	good, bad := vectors(f)
	for i, v := range append(good, bad...) {
		f.Add(byte(v.serializer()), good[i%len(good)].frame(f), v.frame(f))
		f.Add(byte(v.serializer()), v.frame(f), v.frame(f))
	}
	f.Fuzz(func(t *testing.T, s byte, first, second []byte) {
		checkForgets(t, wamp.Serializer(s), first, second)
	})
}

// checkForgets decodes second after three times first, and by itself.
func checkForgets(t *testing.T, s wamp.Serializer, first, second []byte) {
	t.Helper()
	d := NewDecoder()
	for range 3 {
		_, _ = d.Decode(s, first)
	}
	got, gotErr := d.Decode(s, second)
	want, wantErr := NewDecoder().Decode(s, second)
	if gotErr != nil || wantErr != nil {
		if gotErr == nil || wantErr == nil || gotErr.Error() != wantErr.Error() {
			t.Fatalf("%q, after %q: %v; by itself: %v", second, first, gotErr, wantErr)
		}
		return
	}
	if gotCarrier, ok := got.(wamp.Carrier); ok {
		p, _ := gotCarrier.Carried()
		q, _ := want.(wamp.Carrier).Carried()
		if p.Digest() != q.Digest() || p.Size() != q.Size() || p.Shape() != q.Shape() || p.Opaque() != q.Opaque() ||
			p.Args() != q.Args() || p.Kwargs() != q.Kwargs() || p.Elements() != q.Elements() {
			t.Fatalf("%q, after %q: payload %v; by itself: %v", second, first, p, q)
		}
	}
	x, xErr := Append(nil, s, got)
	y, yErr := Append(nil, s, want)
	if (xErr == nil) != (yErr == nil) || !bytes.Equal(x, y) || got.Type() != want.Type() {
		t.Fatalf("%q, after %q: %q; by itself: %q", second, first, x, y)
	}
}

// A message that is sent again is known by its envelope, whatever its request id
// and its payload.
func TestRepeatIsKnown(t *testing.T) {
	options := wamp.Attributes{PPTScheme: "wamp", PPTSerializer: "cbor"}
	for _, s := range wamp.Serializers {
		for _, m := range []wamp.Carrier{
			&wamp.Publish{Request: 1, Topic: "com.example.topic", Options: wamp.PublishOptions{Attributes: options}},
			&wamp.Call{Request: 1, Procedure: "com.example.procedure", Options: wamp.CallOptions{Attributes: options}},
			&wamp.Yield{Request: 1, Options: wamp.ResultDetails{Attributes: options}},
		} {
			d := NewDecoder()
			for i, id := range []wamp.ID{7, 300, 70_000, 1 << 53} {
				payload, _ := m.Carried()
				*payload = BinaryPayload(s, wamp.FormPassthru, make([]byte, 10*i))
				switch m := m.(type) {
				case *wamp.Publish:
					m.Request = id
				case *wamp.Call:
					m.Request = id
				case *wamp.Yield:
					m.Request = id
				}
				frame, err := Append(nil, s, m)
				if err != nil {
					t.Fatal(err)
				}
				got, err := d.Decode(s, frame)
				if err != nil {
					t.Fatal(err)
				}
				if back, err := Append(nil, s, got); err != nil || !bytes.Equal(back, frame) {
					t.Errorf("%v %T: %q became %q, %v", s, m, frame, back, err)
				}
				if known := d.in.decodeCached() != nil; known != (i > 0) {
					t.Errorf("%v %T: at the message of index %d: known: %v", s, m, i, known)
				}
			}
		}
	}
}

// What an encoder has written before makes no difference to what it writes.
func TestEncodersForget(t *testing.T) {
	good, _ := vectors(t)
	for _, a := range good {
		for _, b := range good {
			switch decoded(t, &b).(type) {
			case *wamp.Event, *wamp.Invocation, *wamp.Result: // those that are kept
			default:
				continue
			}
			if s := a.serializer(); s == b.serializer() {
				for _, id := range []wamp.ID{1, 300, 1 << 53} {
					checkEncoderForgets(t, s, decoded(t, &a), decoded(t, &b), id)
				}
			}
		}
	}
}

func decoded(t *testing.T, v *vector) wamp.Message {
	t.Helper()
	m, err := NewDecoder().Decode(v.serializer(), v.frame(t))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func checkEncoderForgets(t *testing.T, s wamp.Serializer, first, second wamp.Message, id wamp.ID) {
	t.Helper()
	e := NewEncoder()
	for range 3 {
		if _, err := e.Append(nil, s, first); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		got, gotErr := e.Append([]byte("before"), s, second)
		want, wantErr := NewEncoder().Append([]byte("before"), s, second)
		if !bytes.Equal(got, want) || (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("%T %q, %v, after %T; by itself: %q, %v", second, got, gotErr, first, want, wantErr)
		}
		switch m := second.(type) {
		case *wamp.Event:
			m.Publication, id = id, m.Subscription
		case *wamp.Invocation:
			m.Request, id = id, m.Registration
		case *wamp.Result:
			m.Request, id = id, m.Request
		}
	}
}

// An event, invocation or result that is sent again is known, whatever its id
// and payload; one with other details or another fixed id is not.
func TestResendIsKnown(t *testing.T) {
	for _, s := range wamp.Serializers {
		details := wamp.Attributes{PPTScheme: "wamp", PPTSerializer: "cbor"}
		event := &wamp.Event{Subscription: 5, Details: wamp.EventDetails{Attributes: details}}
		invocation := &wamp.Invocation{Registration: 5, Details: wamp.InvocationDetails{Attributes: details}}
		result := &wamp.Result{Details: wamp.ResultDetails{Attributes: details}}
		for _, m := range []wamp.Carrier{event, invocation, result} {
			e := NewEncoder()
			for i, id := range []wamp.ID{1, 300, 1 << 53} {
				p, _ := m.Carried()
				*p = BinaryPayload(s, wamp.FormPassthru, make([]byte, 100*i))
				event.Publication, invocation.Request, result.Request = id, id, id
				if known := e.e.appendCached(m); known != (i > 1) {
					t.Errorf("%v %T: message %d is known: %v", s, m, i, known)
				}
				if _, err := e.Append(nil, s, m); err != nil {
					t.Fatal(err)
				}
			}
			event.Details.Topic, invocation.Details.Timeout, result.Details.Progress = "com.example.other", 1, true
			if e.e.appendCached(m) {
				t.Errorf("%v %T: known with other details", s, m)
			}
			event.Details.Topic, invocation.Details.Timeout, result.Details.Progress = "", 0, false
			event.Subscription, invocation.Registration = 6, 6
			if known := e.e.appendCached(m); known != (m == wamp.Carrier(result)) {
				t.Errorf("%v %T: known: %v, though the fixed id is another", s, m, known)
			}
			event.Subscription, invocation.Registration = 5, 5
		}
	}
}

// What was read within wider bounds is not known any more within narrower ones,
// be it a dict or a whole message.
func TestNarrowerBoundsForget(t *testing.T) {
	for _, frame := range []string{
		`[16,1,{"forward_for":[1,2,3]},"com.example.topic",[]]`,
		`[48,1,{"x_unknown":[[[1]]]},"com.example.procedure",[]]`,
	} {
		d := NewDecoder()
		for range 3 {
			if _, err := d.Decode(wamp.JSON, []byte(frame)); err != nil {
				t.Fatal(err)
			}
		}
		d.Bound(2, 2)
		if _, err := d.Decode(wamp.JSON, []byte(frame)); err == nil {
			t.Errorf("%s: taken, though it is over the bounds", frame)
		}
	}
}

// Appending to a list of a message changes no other message.
func TestListsAreNotShared(t *testing.T) {
	frame := []byte(`[16,1,{"exclude":[1,2,3],"eligible_authid":["a","b","c"],"forward_for":[1,2,3]},"com.example.topic"]`)
	d := NewDecoder()
	var lists [2]wamp.PublishOptions
	for i := range lists {
		m, err := d.Decode(wamp.JSON, frame)
		if err != nil {
			t.Fatal(err)
		}
		o := &m.(*wamp.Publish).Options
		o.Exclude = append(o.Exclude, wamp.ID(10+i))
		o.EligibleAuthID = append(o.EligibleAuthID, string(rune('x'+i)))
		o.ForwardFor = append(o.ForwardFor, 10+i)
		lists[i] = *o
	}
	if o := &lists[0]; o.Exclude[3] != 10 || o.EligibleAuthID[3] != "x" || o.ForwardFor[3] != 10 {
		t.Errorf("the first message has become %+v", o)
	}
}
