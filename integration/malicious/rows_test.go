package malicious

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/scope"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// Each test is one thing that a router can do, and what the application sees of it.

// once meddles with the n-th delivery (from 1) that fits, and passes all others.
func once[M wamp.Message](to string, n int, f func(d delivery, m M) []delivery) func(delivery) []delivery {
	return func(d delivery) []delivery {
		m, ok := d.m.(M)
		if !ok || d.to.name != to {
			return []delivery{d}
		}
		if n--; n != 0 {
			return []delivery{d}
		}
		return f(d, m)
	}
}

func drop[M wamp.Message](delivery, M) []delivery      { return nil }
func twice[M wamp.Message](d delivery, _ M) []delivery { return []delivery{d, d} }

func TestHonest(t *testing.T) {
	w := newWorld(t)
	w.publish(w.alice, topicA, "one")
	if e := w.wantEvent(w.bob, "one"); e.Origin.Sender != "alice" || e.Origin.Missing != 0 || time.Since(e.Origin.Time) > time.Minute {
		t.Errorf("%+v", e.Origin)
	}
	if got, err := w.call(upper, "abc"); err != nil || got != "ABC" {
		t.Error(got, err)
	}
	_, err := w.call(refuse, "x")
	var e *client.Error
	if !errors.As(err, &e) || e.URI != "com.app.error.no" || !e.Sealed || e.Origin.Sender != "bob" {
		t.Error(err)
	}
	var got []any
	r, err := w.alice.session.Call(within(t), report, []any{"r"}, nil, client.CallOptions{OnProgress: func(r *client.Result) { got = append(got, r.Args[0]) }})
	if err != nil || len(got) != 3 || r.Args[0] != "r end" {
		t.Error(got, r, err)
	}
	w.nothingMore(w.bob)
	w.nothingMore(w.alice)
}

func TestDropsAnEvent(t *testing.T) {
	w := newWorld(t)
	w.r.meddleWith(once("bob", 2, drop[*wamp.Event]))
	w.publish(w.alice, topicA, "one")
	w.publish(w.alice, topicA, "two")
	w.publish(w.alice, topicA, "three")
	w.wantEvent(w.bob, "one")
	if e := w.wantEvent(w.bob, "three"); e.Origin.Missing != 1 || e.Origin.First {
		t.Errorf("%+v", e.Origin)
	}
}

func TestDropsACall(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(within(t))
	w.r.meddleWith(once("bob", 1, func(d delivery, _ *wamp.Invocation) []delivery {
		cancel()
		return nil
	}))
	_, err := w.alice.session.Call(ctx, upper, []any{"x"}, nil, client.CallOptions{})
	if !errors.Is(err, client.ErrURI(wamp.ErrCanceled)) {
		t.Error(err)
	}
}

func TestDelaysBeyondTheWindow(t *testing.T) {
	w := newWorld(t)
	var held delivery
	w.r.meddleWith(once("bob", 2, func(d delivery, _ *wamp.Event) []delivery {
		held = d
		return nil
	}))
	w.publish(w.alice, topicA, "one")
	w.wantEvent(w.bob, "one")
	w.publish(w.alice, topicA, "two")
	w.wait(func() bool { return held.m != nil })
	w.bob.clock.move(scope.DefaultWindow + time.Second)
	held.to.write(t, held.m)
	w.wantError(w.bob, scope.ErrTooOld)
	w.nothingMore(w.bob)
}

// wait waits until the router has done something.
func (w *world) wait(holds func() bool) {
	w.t.Helper()
	routertest.WaitUntil(w.t.(*testing.T), "the router", func() bool {
		w.r.mu.Lock()
		defer w.r.mu.Unlock()
		return holds()
	})
}

func TestRepeatsAnEvent(t *testing.T) {
	w := newWorld(t)
	w.r.meddleWith(once("bob", 1, twice[*wamp.Event]))
	w.publish(w.alice, topicA, "one")
	w.wantEvent(w.bob, "one")
	w.wantError(w.bob, scope.ErrRepeated)
	w.nothingMore(w.bob)
}

func TestRepeatsACall(t *testing.T) {
	w := newWorld(t)
	w.r.meddleWith(once("bob", 1, func(d delivery, m *wamp.Invocation) []delivery {
		again := *m
		again.Request = w.r.next()
		return []delivery{d, {to: d.to, m: &again}}
	}))
	// Which of the two is handled first is the callee's business: one is, once.
	got, err := w.call(upper, "a")
	if err == nil && got != "A" || err != nil && !errors.Is(err, client.ErrURI(scope.ErrRepeated.URI)) {
		t.Error(got, err)
	}
	w.wantError(w.bob, scope.ErrRepeated)
	w.nothingMore(w.bob)
}

func TestReorders(t *testing.T) {
	w := newWorld(t)
	var held delivery
	w.r.meddleWith(func(d delivery) []delivery {
		switch {
		case d.to.name != "bob":
			return []delivery{d}
		case held.m == nil:
			held = d
			return nil
		}
		return []delivery{d, held}
	})
	w.publish(w.alice, topicA, "one")
	w.publish(w.alice, topicA, "two")
	if e := w.wantEvent(w.bob, "two"); e.Origin.Missing != 1 || !e.Origin.First {
		t.Errorf("%+v", e.Origin)
	}
	if e := w.wantEvent(w.bob, "one"); !e.Origin.Late {
		t.Errorf("%+v", e.Origin)
	}
}

func TestReordersBeyondTheWindow(t *testing.T) {
	w := newWorld(t)
	var held delivery
	w.r.meddleWith(once("bob", 1, func(d delivery, _ *wamp.Event) []delivery {
		held = d
		return nil
	}))
	w.publish(w.alice, topicA, "first")
	for range 1024 {
		w.publish(w.alice, topicA, "x")
		w.wantEvent(w.bob, "x")
	}
	held.to.write(t, held.m)
	w.wantError(w.bob, scope.ErrReordered)
	w.nothingMore(w.bob)
}

func TestReflects(t *testing.T) {
	w := newWorld(t)
	w.r.meddleWith(once("bob", 1, func(d delivery, m *wamp.Event) []delivery { return []delivery{d, {to: w.r.peer("alice"), m: m}} }))
	w.publish(w.alice, topicA, "one")
	w.wantEvent(w.bob, "one")
	w.wantError(w.alice, scope.ErrReflected)
	w.nothingMore(w.alice)
	// But for who asks for its own events.
	_, err := w.alice.session.Publish(within(t), topicB, []any{"mine"}, nil, client.PublishOptions{ExcludeMe: wamp.False})
	routertest.NoError(t, err)
	w.wantEvent(w.alice, "mine")
}

func TestMisdirectsToAnotherTopic(t *testing.T) {
	w := newWorld(t)
	w.r.meddleWith(once("bob", 1, func(d delivery, m *wamp.Event) []delivery {
		other := *m
		other.Subscription = w.r.subscriptions[topicB].id
		return []delivery{{to: d.to, m: &other}}
	}))
	w.publish(w.alice, topicA, "one")
	w.wantError(w.bob, scope.ErrWrongURI)
	w.nothingMore(w.bob)
}

func TestMisdirectsToAnotherProcedure(t *testing.T) {
	w := newWorld(t)
	w.r.meddleWith(once("bob", 1, func(d delivery, m *wamp.Invocation) []delivery {
		other := *m
		other.Registration = w.r.procedures[lower].id
		return []delivery{{to: d.to, m: &other}}
	}))
	_, err := w.call(upper, "one")
	var e *client.Error
	if !errors.As(err, &e) || e.URI != scope.ErrWrongURI.URI || e.Sealed {
		t.Error(err)
	}
	w.wantError(w.bob, scope.ErrWrongURI)
}

// The same people, prefix and topic in another realm: another scope.
func TestMisdirectsToAnotherRealm(t *testing.T) {
	w := newWorld(t)
	there := scope.NewOwner(w.alice.id, "realm2", prefix)
	routertest.NoError(t, there.Add("bob", &w.bob.id.Public, scope.AllRights))
	mine, err := scope.New(w.alice.id, w.alice.id.Key, "realm2", prefix, scope.Options{})
	routertest.NoError(t, err)
	his, err := scope.New(w.bob.id, w.alice.id.Key, "realm2", prefix, scope.Options{})
	routertest.NoError(t, err)
	routertest.NoError(t, there.Rotate(mine, func(b []byte) error {
		_, err := his.Accept(b)
		return err
	}))
	sealer, err := scope.NewSealer("realm2", his)
	routertest.NoError(t, err)
	errs, events := make(chan error, 10), make(chan *client.Event, 10)
	bob2 := w.r.join("bob2", client.Config{Realm: "realm2", Sealer: sealer, OnError: func(err error) { errs <- err }})
	_, err = bob2.Subscribe(within(t), topicA, func(_ context.Context, e *client.Event) { events <- e }, client.SubscribeOptions{})
	routertest.NoError(t, err)
	w.publish(w.alice, topicA, "one") // the router forwards it to the other realm, too
	w.wantEvent(w.bob, "one")
	if err := routertest.Receive(t, errs); !errors.Is(err, scope.ErrUnknownEpoch) || len(events) > 0 {
		t.Error(err)
	}
	// Nor does the list of members of one realm pass in the other.
	if _, err := his.Accept(w.bundles[0]); !errors.Is(err, scope.ErrWrongScope) {
		t.Error(err)
	}
}

// swapped makes the router exchange the answers of two calls that are under way.
func (w *world) swapped() {
	var held *delivery
	w.r.meddleWith(func(d delivery) []delivery {
		m, ok := d.m.(*wamp.Result)
		if !ok {
			return []delivery{d}
		}
		if held == nil {
			held = &d
			return nil
		}
		one, two := *held.m.(*wamp.Result), *m
		one.Request, two.Request = two.Request, one.Request
		return []delivery{{to: d.to, m: &one}, {to: d.to, m: &two}}
	})
}

func TestSwapsAnswers(t *testing.T) {
	w := newWorld(t)
	w.swapped()
	errs := make(chan error, 2)
	for _, text := range []string{"a", "b"} {
		go func() {
			_, err := w.alice.session.Call(within(t), upper, []any{text}, nil, client.CallOptions{})
			errs <- err
		}()
	}
	for range 2 {
		if err := routertest.Receive(t, errs); !errors.Is(err, scope.ErrWrongCall) {
			t.Error(err)
		}
	}
}

// progress calls report and returns what came, and the error.
func (w *world) progress() (got []any, err error) {
	_, err = w.alice.session.Call(within(w.t), report, []any{"r"}, nil, client.CallOptions{OnProgress: func(r *client.Result) { got = append(got, r.Args[0]) }})
	return got, err
}

func TestTruncatesProgressiveResults(t *testing.T) {
	for name, c := range map[string]struct {
		meddle func(delivery) []delivery
		want   error
		got    int
	}{
		"leaves one out": {once("alice", 2, drop[*wamp.Result]), scope.ErrMissing, 1},
		"repeats one":    {once("alice", 2, twice[*wamp.Result]), scope.ErrRepeated, 2},
		"makes one the last": {once("alice", 2, func(d delivery, m *wamp.Result) []delivery {
			last := *m
			last.Details.Progress = false
			return []delivery{{to: d.to, m: &last}}
		}), scope.ErrWrongKind, 1},
		"cuts the rest off with an error of its own": {once("alice", 2, func(d delivery, m *wamp.Result) []delivery {
			return []delivery{{to: d.to, m: &wamp.Error{RequestType: wamp.TypeCall, Request: m.Request, Error: wamp.ErrCanceled}}}
		}), client.ErrURI(wamp.ErrCanceled), 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.r.meddleWith(c.meddle)
			got, err := w.progress()
			if !errors.Is(err, c.want) || len(got) != c.got {
				t.Error(got, err)
			}
			var e *client.Error
			if errors.As(err, &e) && e.Sealed {
				t.Error("an error of the router passes as sealed")
			}
		})
	}
}

func TestForgesErrors(t *testing.T) {
	forged := func(uri wamp.URI, args ...any) func(delivery) []delivery {
		return once("alice", 1, func(d delivery, m *wamp.Result) []delivery {
			p, err := codec.EncodePayload(wamp.CBOR, args, nil)
			routertest.NoError(t, err)
			return []delivery{{to: d.to, m: &wamp.Error{RequestType: wamp.TypeCall, Request: m.Request, Error: uri, Payload: p}}}
		})
	}
	w := newWorld(t)
	w.r.meddleWith(forged("com.app.error.broke", "pay here"))
	if _, err := w.call(upper, "x"); !errors.Is(err, client.ErrClear) {
		t.Error("of the application:", err)
	}
	w.r.meddleWith(forged(wamp.ErrNoSuchProcedure))
	_, err := w.call(upper, "x")
	var e *client.Error
	if !errors.As(err, &e) || e.URI != wamp.ErrNoSuchProcedure || e.Sealed || e.Origin != nil {
		t.Error("of the router:", err)
	}
	// A genuine error under another URI.
	w.r.meddleWith(once("alice", 1, func(d delivery, m *wamp.Error) []delivery {
		other := *m
		other.Error = "com.app.error.other"
		return []delivery{{to: d.to, m: &other}}
	}))
	if _, err := w.call(refuse, "x"); !errors.Is(err, scope.ErrWrongURI) {
		t.Error("under another URI:", err)
	}
}

func TestForgesPayloads(t *testing.T) {
	w := newWorld(t)
	w.publish(w.alice, topicA, "zero")
	w.wantEvent(w.bob, "zero")
	change := func(f func(data []byte, a *wamp.Attributes) []byte) func(delivery) []delivery {
		return once("bob", 1, func(d delivery, m *wamp.Event) []delivery {
			data, a := sealedBytes(t, m)
			data = f(data, &a)
			return []delivery{{to: d.to, m: with(m, data, a)}}
		})
	}
	for name, c := range map[string]struct {
		change func([]byte, *wamp.Attributes) []byte
		want   error
	}{
		"a bit of the stream":     {func(d []byte, _ *wamp.Attributes) []byte { d[3] ^= 1; return d }, scope.ErrDecrypt},
		"a bit of the number":     {func(d []byte, _ *wamp.Attributes) []byte { d[15] ^= 1; return d }, scope.ErrDecrypt},
		"a bit of the ciphertext": {func(d []byte, _ *wamp.Attributes) []byte { d[60] ^= 1; return d }, scope.ErrDecrypt},
		"cut off":                 {func(d []byte, _ *wamp.Attributes) []byte { return d[:len(d)-1] }, scope.ErrDecrypt},
		"cut short":               {func(d []byte, _ *wamp.Attributes) []byte { return d[:20] }, scope.ErrMalformed},
		"another key id":          {func(d []byte, a *wamp.Attributes) []byte { a.PPTKeyID = "AAAAAA"; return d }, scope.ErrUnknownEpoch},
		"another scheme":          {func(d []byte, a *wamp.Attributes) []byte { a.PPTScheme = "x_other"; return d }, scope.ErrMalformed},
	} {
		w.r.meddleWith(change(c.change))
		w.publish(w.alice, topicA, name)
		w.wantError(w.bob, c.want)
		w.nothingMore(w.bob)
	}
	w.r.meddleWith(once("bob", 1, func(d delivery, m *wamp.Event) []delivery {
		clear := *m
		var err error
		clear.Payload, err = codec.EncodePayload(wamp.CBOR, []any{"trust me"}, nil)
		routertest.NoError(t, err)
		clear.Details.Attributes = wamp.Attributes{}
		return []delivery{{to: d.to, m: &clear}}
	}))
	w.publish(w.alice, topicA, "replaced")
	w.wantError(w.bob, client.ErrClear)
	w.nothingMore(w.bob)
}

func TestHoldsBackAnEpoch(t *testing.T) {
	w := newWorld(t)
	w.rotate() // bob does not get it
	w.publish(w.alice, topicA, "new")
	w.wantError(w.bob, scope.ErrUnknownEpoch)
	// In the end bob's epoch expires: he neither sends nor takes anything.
	w.bob.clock.move(scope.DefaultLifetime + time.Hour)
	if _, err := w.bob.session.Publish(within(t), topicA, []any{"x"}, nil, client.PublishOptions{}); !errors.Is(err, scope.ErrExpired) {
		t.Error(err)
	}
}

func TestRepeatsAnOldEpoch(t *testing.T) {
	w := newWorld(t)
	w.rotate(w.bob, w.carol)
	if _, err := w.bob.scope.Accept(w.bundles[0]); !errors.Is(err, scope.ErrOldEpoch) {
		t.Error(err)
	}
	if w.bob.scope.Manifest().Epoch != 2 {
		t.Error("the old one is in force")
	}
}

func TestSplitsTheMembers(t *testing.T) {
	w := newWorld(t)
	w.rotate(w.carol) // carol is in epoch 2, bob in epoch 1
	w.publish(w.carol, topicA, "of two")
	w.wantError(w.bob, scope.ErrUnknownEpoch)
	// Alice, in epoch 2, takes bob's for the grace and no longer.
	w.publish(w.bob, topicA, "of one")
	w.wantEvent(w.alice, "of two")
	w.wantEvent(w.alice, "of one")
}

func TestSplitsTheMembersForLong(t *testing.T) {
	w := newWorld(t)
	w.rotate(w.carol)
	w.alice.clock.move(scope.DefaultGrace + time.Second)
	w.publish(w.bob, topicA, "of one")
	w.wantError(w.alice, scope.ErrOldEpoch)
	w.nothingMore(w.alice)
}

func TestRemovedMember(t *testing.T) {
	w := newWorld(t)
	routertest.NoError(t, w.owner.Remove("carol"))
	w.rotate(w.bob)
	// Carol has the old secret, and the router is hers.
	w.publish(w.carol, topicA, "still here")
	w.wantError(w.bob, scope.ErrRemoved)
	w.nothingMore(w.bob)
	if _, err := w.carol.scope.Accept(w.bundles[1]); !errors.Is(err, scope.ErrNotMember) {
		t.Error(err)
	}
	if _, err := w.carol.session.Publish(within(t), topicA, []any{"x"}, nil, client.PublishOptions{}); !errors.Is(err, scope.ErrNotMember) {
		t.Error(err)
	}
}

func TestMixesSenders(t *testing.T) {
	w := newWorld(t)
	// Carol serves report, too, and the router gives the call to both: the first result
	// is of one, the second of the other.
	bobs := *w.r.procedures[report]
	w.serve(w.carol, report, func(_ context.Context, inv *client.Invocation) (*client.Result, error) {
		for range 3 {
			if err := inv.Progress([]any{"carol's"}, nil); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	w.r.mu.Lock()
	carols := *w.r.procedures[report]
	w.r.procedures[report] = &bobs
	w.r.mu.Unlock()
	var bob, carol []delivery
	w.r.meddleWith(func(d delivery) []delivery {
		switch m := d.m.(type) {
		case *wamp.Invocation:
			again := *m
			again.Request, again.Registration = w.r.next(), carols.id
			w.r.calls[again.Request] = &call{w.r.peer("alice"), w.r.calls[m.Request].request, carols.callee}
			return []delivery{d, {to: carols.callee, m: &again}}
		case *wamp.Result:
			if d.from.name == "bob" {
				bob = append(bob, d)
			} else {
				carol = append(carol, d)
			}
			if len(bob) == 4 && len(carol) == 4 {
				return []delivery{bob[0], carol[1], carol[2], carol[3]}
			}
			return nil
		}
		return []delivery{d}
	})
	if got, err := w.progress(); !errors.Is(err, scope.ErrWrongSender) || len(got) != 1 {
		t.Error(got, err)
	}
}

func TestStoredEventsAreMarked(t *testing.T) {
	w := newWorld(t)
	w.r.meddleWith(once("bob", 1, func(d delivery, m *wamp.Event) []delivery {
		again := *m
		again.Details.Retained = true
		return []delivery{d, {to: d.to, m: &again}}
	}))
	w.publish(w.alice, topicA, "one")
	if e := w.wantEvent(w.bob, "one"); e.Origin.Stored {
		t.Errorf("%+v", e.Origin)
	}
	if e := w.wantEvent(w.bob, "one"); !e.Origin.Stored {
		t.Errorf("%+v", e.Origin)
	}
}

func TestKindsAreNotExchanged(t *testing.T) {
	w := newWorld(t)
	w.publish(w.alice, topicA, "an event")
	w.wantEvent(w.bob, "an event")
	event, a := sealedBytes(t, w.r.recorded[len(w.r.recorded)-1].m)
	w.r.meddleWith(once("bob", 1, func(d delivery, m *wamp.Invocation) []delivery { return []delivery{{to: d.to, m: with(m, event, a)}} }))
	if _, err := w.call(upper, "x"); err == nil {
		t.Error("an event was taken for a call")
	}
	w.wantError(w.bob, scope.ErrWrongKind)
	// A call comes back as its own result.
	var call []byte
	w.r.meddleWith(func(d delivery) []delivery {
		switch m := d.m.(type) {
		case *wamp.Invocation:
			call, a = sealedBytes(t, m)
		case *wamp.Result:
			return []delivery{{to: d.to, m: with(m, call, a)}}
		}
		return []delivery{d}
	})
	if _, err := w.call(upper, "x"); !errors.Is(err, scope.ErrReflected) {
		t.Error(err)
	}
}
