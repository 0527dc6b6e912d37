package malicious

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// Of many random interferences none goes unnoticed: each shows as an error, a gap, or
// a mark, and whatever is handed over is what a member has sealed for that place.
func TestRandomInterferences(t *testing.T) {
	n := 1000
	if testenv.All() {
		n = 10_000
	}
	const seed = 16
	x := &meddler{t: t, w: newWorld(t), rnd: rand.New(rand.NewPCG(seed, seed)), published: make(map[string]wamp.URI), handed: make(map[string]bool)}
	count := make(map[string]int)
	for i := range n {
		x.trial = i
		var name string
		if x.rnd.IntN(2) == 0 {
			name = x.event()
		} else {
			name = x.call()
		}
		count[name]++
		if t.Failed() {
			t.Fatalf("trial %d, %s", i, name)
		}
	}
	for name := range events {
		if count[name] == 0 {
			t.Errorf("%s was not tried", name)
		}
	}
	for name := range calls {
		if count[name] == 0 {
			t.Errorf("%s was not tried", name)
		}
	}
	t.Log(count)
}

// meddler is the router's bad intentions, and what the clients make of them.
type meddler struct {
	t         *testing.T
	w         *world
	rnd       *rand.Rand
	trial     int
	published map[string]wamp.URI // all texts ever published, to their topic
	handed    map[string]bool     // those that were handed over as new
}

// flip returns the payload of m with one bit changed.
func (x *meddler) flip(m wamp.Message) wamp.Message {
	data, a := sealedBytes(x.t, m)
	data[x.rnd.IntN(len(data))] ^= 1 << x.rnd.IntN(8)
	return with(m, data, a)
}

// cut returns the payload of m, shorter or longer.
func (x *meddler) cut(m wamp.Message) wamp.Message {
	data, a := sealedBytes(x.t, m)
	if x.rnd.IntN(2) == 0 {
		return with(m, append(data, byte(x.rnd.Uint32())), a)
	}
	return with(m, data[:x.rnd.IntN(len(data))], a)
}

// old returns m with the payload of any message that was delivered before.
func (x *meddler) old(m wamp.Message) wamp.Message {
	r := x.w.r
	if len(r.recorded) > 2000 {
		r.recorded = r.recorded[1000:]
	}
	for {
		d := r.recorded[x.rnd.IntN(len(r.recorded))]
		if p, _ := d.m.(wamp.Carrier).Carried(); p.Opaque() {
			data, a := sealedBytes(x.t, d.m)
			return with(m, data, a)
		}
	}
}

// spliced returns m with the head of its payload and the rest of another.
func (x *meddler) spliced(m wamp.Message) wamp.Message {
	data, a := sealedBytes(x.t, m)
	other, _ := sealedBytes(x.t, x.old(m))
	at := 1 + x.rnd.IntN(min(len(data), len(other))-1)
	mixed := append(data[:at:at], other[at:]...)
	if len(mixed) == len(data) && string(mixed) == string(append(data[:at:at], data[at:]...)) {
		return x.flip(m)
	}
	return with(m, mixed, a)
}

func (x *meddler) attribute(m wamp.Message) wamp.Message {
	data, a := sealedBytes(x.t, m)
	word := fmt.Sprint("x_", x.rnd.Uint32())
	*[]*string{&a.PPTScheme, &a.PPTSerializer, &a.PPTCipher, &a.PPTKeyID}[x.rnd.IntN(4)] = word
	return with(m, data, a)
}

func (x *meddler) inClear(text string) wamp.Payload {
	p, err := codec.EncodePayload(wamp.CBOR, []any{text}, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	return p
}

// events are what is done with the second of three events: what is delivered
// instead, with the third.
var events = map[string]func(x *meddler, second, third delivery) []delivery{
	"drop":      func(_ *meddler, _, third delivery) []delivery { return []delivery{third} },
	"repeat":    func(_ *meddler, second, third delivery) []delivery { return []delivery{second, second, third} },
	"late":      func(_ *meddler, second, third delivery) []delivery { return []delivery{third, second} },
	"flip":      replaced((*meddler).flip),
	"cut":       replaced((*meddler).cut),
	"old":       replaced((*meddler).old),
	"splice":    replaced((*meddler).spliced),
	"attribute": replaced((*meddler).attribute),
	"clear": replaced(func(x *meddler, m wamp.Message) wamp.Message {
		e := *m.(*wamp.Event)
		e.Details.Attributes, e.Payload = wamp.Attributes{}, x.inClear("in the clear")
		return &e
	}),
	"as retained": replaced(func(x *meddler, m wamp.Message) wamp.Message {
		e := *x.old(m).(*wamp.Event)
		e.Details.Retained = true
		return &e
	}),
	"other topic": replaced(func(x *meddler, m wamp.Message) wamp.Message {
		e := *m.(*wamp.Event)
		a, b := x.w.r.subscriptions[topicA].id, x.w.r.subscriptions[topicB].id
		e.Subscription = a + b - e.Subscription
		return &e
	}),
	"reflect": func(x *meddler, second, third delivery) []delivery {
		return []delivery{second, {to: x.w.r.peer("alice"), m: second.m}, third}
	},
}

// replaced delivers another message in place of the second one.
func replaced(f func(*meddler, wamp.Message) wamp.Message) func(x *meddler, second, third delivery) []delivery {
	return func(x *meddler, second, third delivery) []delivery {
		return []delivery{{to: second.to, m: f(x, second.m)}, third}
	}
}

// pick returns a key of m, always the same for the same randomness.
func pick[V any](x *meddler, m map[string]V) string {
	names := slices.Sorted(maps.Keys(m))
	return names[x.rnd.IntN(len(names))]
}

// event interferes with one of three events, and checks what bob and alice get.
func (x *meddler) event() string {
	name := pick(x, events)
	topic := []wamp.URI{topicA, topicB}[x.rnd.IntN(2)]
	var held *delivery
	n := 0
	x.w.r.meddleWith(func(d delivery) []delivery {
		if _, ok := d.m.(*wamp.Event); !ok || d.to.name != "bob" {
			return []delivery{d}
		}
		switch n++; n {
		case 2:
			held = &d
			return nil
		case 3:
			return events[name](x, *held, d)
		}
		return []delivery{d}
	})
	for i := range 3 {
		x.publish(topic, fmt.Sprint(x.trial, " ", i))
	}
	x.w.r.meddleWith(nil)
	noticed := false
	x.settle(x.w.alice, x.w.bob, func(e *client.Event) { noticed = x.judge(e) || noticed })
	x.settle(x.w.bob, x.w.alice, func(e *client.Event) { noticed = x.judge(e) || noticed })
	if !x.errors() && !noticed {
		x.t.Errorf("%s: nobody noticed", name)
	}
	return name
}

func (x *meddler) publish(topic wamp.URI, text string) {
	x.published[text] = topic
	_, err := x.w.alice.session.Publish(within(x.t), topic, []any{text}, nil, client.PublishOptions{Acknowledge: true})
	routertest.NoError(x.t, err)
}

// settle has from publish one event on each topic, and handles all that to gets up to
// these.
func (x *meddler) settle(from, to *member, handle func(*client.Event)) {
	for _, topic := range []wamp.URI{topicA, topicB} {
		x.w.publish(from, topic, "end")
	}
	for left := 2; left > 0; {
		e := routertest.Receive(x.t, to.events)
		if e.Args[0] == "end" && !e.Origin.Stored {
			left--
		}
		handle(e)
	}
}

// judge checks an event, and reports whether it tells of an interference.
func (x *meddler) judge(e *client.Event) bool {
	o, text := e.Origin, e.Args[0].(string)
	switch {
	case text == "end":
	case !e.Sealed || o == nil || o.Sender != "alice" || x.published[text] != e.Topic:
		x.t.Errorf("handed over as genuine: %+v %+v", e, o)
	case o.Stored:
	case x.handed[text]:
		x.t.Errorf("handed over twice: %s", text)
	default:
		x.handed[text] = true
	}
	return o.Stored || o.Late || o.Missing > 0 && !o.First
}

// errors drains the errors that were reported, and reports whether there were any.
func (x *meddler) errors() (any bool) {
	for {
		select {
		case <-x.w.bob.errs:
		case <-x.w.alice.errs:
		default:
			return any
		}
		any = true
	}
}

// meddling is what is done with a delivery of a call.
type meddling func(x *meddler, d delivery) []delivery

// calls are what is done with a call.
var calls = map[string]meddling{
	"flip the call":       onCall((*meddler).flip),
	"cut the call":        onCall((*meddler).cut),
	"an old call":         onCall((*meddler).old),
	"splice the call":     onCall((*meddler).spliced),
	"attribute of a call": onCall((*meddler).attribute),
	"call in the clear": onCall(func(x *meddler, m wamp.Message) wamp.Message {
		i := *m.(*wamp.Invocation)
		i.Details.Attributes, i.Payload = wamp.Attributes{}, x.inClear("evil")
		return &i
	}),
	"another procedure": onCall(func(x *meddler, m wamp.Message) wamp.Message {
		i := *m.(*wamp.Invocation)
		i.Registration = x.w.r.procedures[lower].id
		return &i
	}),
	"inputs to follow": onCall(func(_ *meddler, m wamp.Message) wamp.Message {
		i := *m.(*wamp.Invocation)
		i.Details.Progress = true
		return &i
	}),
	"flip the result":       onResult((*meddler).flip),
	"cut the result":        onResult((*meddler).cut),
	"an old result":         onResult((*meddler).old),
	"splice the result":     onResult((*meddler).spliced),
	"attribute of a result": onResult((*meddler).attribute),
	"result in the clear": onResult(func(x *meddler, m wamp.Message) wamp.Message {
		r := *m.(*wamp.Result)
		r.Details.Attributes, r.Payload = wamp.Attributes{}, x.inClear("EVIL")
		return &r
	}),
	"as the last, or not": onResult(func(_ *meddler, m wamp.Message) wamp.Message {
		r := *m.(*wamp.Result)
		r.Details.Progress = !r.Details.Progress
		return &r
	}),
	"error of the application": onResult(func(x *meddler, m wamp.Message) wamp.Message {
		return &wamp.Error{RequestType: wamp.TypeCall, Request: m.(*wamp.Result).Request, Error: "com.app.error.no", Payload: x.inClear("EVIL")}
	}),
	"error of the router": onResult(func(_ *meddler, m wamp.Message) wamp.Message {
		return &wamp.Error{RequestType: wamp.TypeCall, Request: m.(*wamp.Result).Request, Error: wamp.ErrRuntime}
	}),
}

// progressive are what is done with progressive results, from the one of a number on.
var progressive = map[string]meddling{
	"leave out": func(_ *meddler, _ delivery) []delivery { return nil },
	"twice":     func(_ *meddler, d delivery) []delivery { return []delivery{d, d} },
}

func onCall(f func(*meddler, wamp.Message) wamp.Message) meddling {
	return func(x *meddler, d delivery) []delivery {
		if _, ok := d.m.(*wamp.Invocation); ok {
			d.m = f(x, d.m)
		}
		return []delivery{d}
	}
}

func onResult(f func(*meddler, wamp.Message) wamp.Message) meddling {
	return func(x *meddler, d delivery) []delivery {
		if _, ok := d.m.(*wamp.Result); ok {
			d.m = f(x, d.m)
		}
		return []delivery{d}
	}
}

// call interferes with a call, and checks what its caller gets.
func (x *meddler) call() string {
	text := fmt.Sprint("call ", x.trial)
	if x.rnd.IntN(4) == 0 {
		return x.progressive(text)
	}
	name := pick(x, calls)
	x.w.r.meddleWith(func(d delivery) []delivery { return calls[name](x, d) })
	r, err := x.w.alice.session.Call(within(x.t), upper, []any{text}, nil, client.CallOptions{})
	x.w.r.meddleWith(nil)
	switch {
	case err == nil && (!r.Sealed || r.Args[0] != strings.ToUpper(text)):
		x.t.Errorf("%s: handed over as genuine: %+v", name, r)
	case err == nil:
		x.t.Errorf("%s: nobody noticed", name)
	}
	if e, ok := err.(*client.Error); ok && e.Sealed {
		x.t.Errorf("%s: an error passes as genuine: %v", name, e)
	}
	x.errors()
	return name
}

// progressive interferes with one of the three progressive results of a call.
func (x *meddler) progressive(text string) string {
	name := pick(x, progressive)
	at, n := 1+x.rnd.IntN(3), 0
	var request wamp.ID // results of calls that were given up may still come
	x.w.r.meddleWith(func(d delivery) []delivery {
		switch m := d.m.(type) {
		case *wamp.Invocation:
			request = x.w.r.calls[m.Request].request
		case *wamp.Result:
			if m.Request != request {
				break
			}
			if n++; n == at {
				return progressive[name](x, d)
			}
		}
		return []delivery{d}
	})
	got := 0
	_, err := x.w.alice.session.Call(within(x.t), report, []any{text}, nil, client.CallOptions{OnProgress: func(r *client.Result) {
		if r.Args[0] != fmt.Sprint(text, " ", got) {
			x.t.Errorf("%s: result %v", name, r.Args)
		}
		got++
	}})
	x.w.r.meddleWith(nil)
	if err == nil {
		x.t.Errorf("%s: nobody noticed", name)
	}
	x.errors()
	return name
}
