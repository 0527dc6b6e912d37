package nexus

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func TestPayloadsCrossNexusAsTheyAre(t *testing.T) {
	for _, c := range tails {
		t.Run(c.s.String()+"/"+c.name, func(t *testing.T) {
			w := newWorld(t)
			alice, bob := w.join("Alice", c.s), w.join("Bob", c.s)
			bob.Subscribe("com.x", wamp.MatchExact)
			bob.Subscribe("com.x", wamp.MatchPrefix)
			bob.Subscribe("com.", wamp.MatchWildcard)
			sendWith(alice, &wamp.Publish{Request: 1, Topic: "com.x", Options: wamp.PublishOptions{Attributes: c.a, DiscloseMe: wamp.True}}, c.tail, c.elems)
			topics := 0
			for range 3 {
				e := wantTail[*wamp.Event](bob, c.a, c.tail)
				if e.Details.Topic != "" {
					topics++
				}
				if e.Details.Publisher != alice.ID || e.Details.PublisherAuthRole != "anonymous" {
					t.Errorf("the publisher is not disclosed: %+v", e.Details)
				}
			}
			if topics != 2 {
				t.Errorf("topic in %d of 3 events", topics)
			}
			bob.Register("com.p", wamp.RegisterOptions{Match: "prefix"})
			sendWith(alice, &wamp.Call{Request: 1, Procedure: "com.p.q", Options: wamp.CallOptions{Attributes: c.a, ReceiveProgress: wamp.True}}, c.tail, c.elems)
			inv := wantTail[*wamp.Invocation](bob, c.a, c.tail)
			if inv.Details.Procedure != "com.p.q" || !inv.Details.ReceiveProgress {
				t.Errorf("%+v", inv.Details)
			}
			for range 2 {
				sendWith(bob, &wamp.Yield{Request: inv.Request, Options: wamp.ResultDetails{Progress: true, Attributes: c.a}}, c.tail, c.elems)
				if r := wantTail[*wamp.Result](alice, c.a, c.tail); !r.Details.Progress {
					t.Error("not progressive")
				}
			}
			sendWith(bob, &wamp.Yield{Request: inv.Request, Options: wamp.ResultDetails{Attributes: c.a}}, c.tail, c.elems)
			wantTail[*wamp.Result](alice, c.a, c.tail)
			sendWith(alice, &wamp.Call{Request: 2, Procedure: "com.p", Options: wamp.CallOptions{Attributes: c.a}}, c.tail, c.elems)
			inv = wantTail[*wamp.Invocation](bob, c.a, c.tail)
			sendWith(bob, &wamp.Error{RequestType: wamp.TypeInvocation, Request: inv.Request, Error: "com.own.error", Details: wamp.ErrorDetails{Attributes: c.a}}, c.tail, c.elems)
			if e := wantTail[*wamp.Error](alice, c.a, c.tail); e.Error != "com.own.error" || e.Request != 2 || e.RequestType != wamp.TypeCall {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestWelcomeAnnouncesTheForms(t *testing.T) {
	alice := newWorld(t).join("Alice", wamp.JSON)
	for _, f := range []wamp.Feature{wamp.PayloadTransparency, wamp.PayloadPassthruMode, wamp.PatternBasedSubscription} {
		if broker, _ := alice.Announced(f); !broker {
			t.Errorf("WELCOME does not announce %v", f)
		}
	}
}

func TestProgressiveCallsKeepTheirAttributes(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.join("Alice", wamp.CBOR), w.join("Bob", wamp.CBOR)
	bob.Register("com.p", wamp.RegisterOptions{})
	sendWith(alice, &wamp.Call{Request: 1, Procedure: "com.p", Options: wamp.CallOptions{Progress: wamp.True, Attributes: ppt}}, "\x81\x41\x01", 1)
	wantTail[*wamp.Invocation](bob, ppt, "\x81\x41\x01")
	sendWith(alice, &wamp.Call{Request: 1, Procedure: "com.p", Options: wamp.CallOptions{Progress: wamp.True}}, "\x81\x41\x02", 1)
	wantTail[*wamp.Invocation](bob, ppt, "\x81\x41\x02")
	sendWith(alice, &wamp.Call{Request: 1, Procedure: "com.p"}, "\x81\x41\x03", 1)
	wantTail[*wamp.Invocation](bob, ppt, "\x81\x41\x03")
}

// Clear payloads are converted, as in our router; the bytes of opaque ones never are.
func TestConversion(t *testing.T) {
	w := newWorld(t)
	j, m, same := w.join("JSON", wamp.JSON), w.join("MessagePack", wamp.MsgPack), w.join("same", wamp.JSON)
	for _, p := range []*routertest.Peer{m, same} {
		p.Subscribe("com.t", wamp.MatchExact)
	}
	sendWith(j, &wamp.Publish{Request: 1, Topic: "com.t", Options: wamp.PublishOptions{Attributes: box, Acknowledge: wamp.True}}, `"\u0000AAEC"`, 1)
	routertest.Expect[*wamp.Published](j)
	wantTail[*wamp.Event](same, box, `"\u0000AAEC"`)
	w.wantMetric(`blindfold_dropped_total{realm="realm1",reason="conversion"} 1`)
	j.Publish("com.t", wamp.Attributes{}, j.Clear("hi", []byte{0, 255}))
	if e := routertest.Expect[*wamp.Event](m); true { // the first event that comes is the clear one
		args, _, err := e.Payload.Decode()
		if err != nil || args[0] != "hi" || !slices.Equal(args[1].([]byte), []byte{0, 255}) {
			t.Errorf("%v %v", args, err)
		}
	}
	routertest.Expect[*wamp.Published](j)
	m.Register("com.p", wamp.RegisterOptions{})
	sendWith(j, &wamp.Call{Request: 1, Procedure: "com.p", Options: wamp.CallOptions{Attributes: box}}, `"\u0000AAEC"`, 1)
	j.ExpectError(1, wamp.ErrConversionRefused)
	// A clear call with an opaque result, with an opaque error, and with progressive
	// results: the callee is told to stop, the caller hears it once.
	j.Send(&wamp.Call{Request: 2, Procedure: "com.p"})
	inv := routertest.Expect[*wamp.Invocation](m)
	sendWith(m, &wamp.Yield{Request: inv.Request, Options: wamp.ResultDetails{Attributes: box}}, "\xc4\x01\x01", 1)
	if e := j.ExpectError(2, wamp.ErrConversionRefused); !strings.Contains(e.Details.Message, "msgpack") || !strings.Contains(e.Details.Message, "json") {
		t.Errorf("the caller is told %q", e.Details.Message)
	}
	j.Send(&wamp.Call{Request: 3, Procedure: "com.p"})
	inv = routertest.Expect[*wamp.Invocation](m)
	sendWith(m, &wamp.Error{RequestType: wamp.TypeInvocation, Request: inv.Request, Error: "com.e", Details: wamp.ErrorDetails{Attributes: box}}, "\xc4\x01\x01", 1)
	j.ExpectError(3, wamp.ErrConversionRefused)
	j.Send(&wamp.Call{Request: 4, Procedure: "com.p", Options: wamp.CallOptions{ReceiveProgress: wamp.True}})
	inv = routertest.Expect[*wamp.Invocation](m)
	sendWith(m, &wamp.Yield{Request: inv.Request, Options: wamp.ResultDetails{Progress: true, Attributes: box}}, "\xc4\x01\x01", 1)
	j.ExpectError(4, wamp.ErrConversionRefused)
	if i := routertest.Expect[*wamp.Interrupt](m); i.Request != inv.Request {
		t.Errorf("INTERRUPT of %d", i.Request)
	}
	w.wantMetric(`blindfold_opaque_refused_total{realm="realm1",reason="conversion",type="YIELD"} 2`)
	j.Send(&wamp.Call{Request: 5, Procedure: "com.p", Payload: j.Clear(1)})
	inv = routertest.Expect[*wamp.Invocation](m)
	if args, _, err := inv.Payload.Decode(); err != nil || len(args) != 1 || args[0] != int64(1) {
		t.Error(args, err)
	}
	m.Send(&wamp.Yield{Request: inv.Request})
	if r := routertest.Expect[*wamp.Result](j); r.Request != 5 { // no second ERROR of call 4 came
		t.Errorf("RESULT of %d", r.Request)
	}
}

func TestReframingIsOptedInto(t *testing.T) {
	w := newWorld(t, func(s *settings) { s.passthrough.Conversion = passthrough.Reframe })
	j, m := w.join("JSON", wamp.JSON), w.join("MessagePack", wamp.MsgPack)
	m.Subscribe("com.t", wamp.MatchExact)
	sendWith(j, &wamp.Publish{Request: 1, Topic: "com.t", Options: wamp.PublishOptions{Attributes: box}}, `"\u0000AAEC"`, 1)
	wantTail[*wamp.Event](m, box, "\xc4\x03\x00\x01\x02")
}

func TestReceiversWithoutTheForm(t *testing.T) {
	w := newWorld(t)
	alice, deaf := w.join("Alice", wamp.CBOR), w.join("Deaf", wamp.CBOR, routertest.NoFeatures)
	deaf.Subscribe("com.t", wamp.MatchExact)
	deaf.Register("com.p", wamp.RegisterOptions{})
	for n, c := range map[wamp.ID]struct {
		a    wamp.Attributes
		tail string
	}{1: {box, "\x41\x01"}, 2: {ppt, "\x81\x41\x01"}} {
		sendWith(alice, &wamp.Publish{Request: n, Topic: "com.t", Options: wamp.PublishOptions{Attributes: c.a}}, c.tail, 1)
		sendWith(alice, &wamp.Call{Request: n, Procedure: "com.p", Options: wamp.CallOptions{Attributes: c.a}}, c.tail, 1)
		alice.ExpectError(n, wamp.ErrFeatureNotSupported)
	}
	w.wantMetric(`blindfold_dropped_total{realm="realm1",reason="receiver_lacks_form"} 2`)
	w.wantMetric(`blindfold_opaque_refused_total{realm="realm1",reason="receiver_lacks_form",type="CALL"} 2`)
	expectNothing(deaf)
}

func TestRules(t *testing.T) {
	w := newWorld(t, rules(t))
	alice, bob := w.join("Alice", wamp.JSON), w.join("Bob", wamp.JSON)
	bob.Register("com.secret.p", wamp.RegisterOptions{})
	bob.Register("com.valid", wamp.RegisterOptions{})
	sendWith(alice, &wamp.Call{Request: 1, Procedure: "com.valid", Options: wamp.CallOptions{Attributes: box}}, `"\u0000AAEC"`, 1)
	alice.ExpectError(1, wamp.ErrValidationRefused)
	sendWith(alice, &wamp.Publish{Request: 1, Topic: "com.valid", Options: wamp.PublishOptions{Attributes: ppt, Acknowledge: wamp.True}}, `["\u0000AAEC"]`, 1)
	alice.ExpectError(1, wamp.ErrValidationRefused)
	alice.Send(&wamp.Call{Request: 2, Procedure: "com.valid", Payload: alice.Clear(5)})
	alice.ExpectError(2, wamp.ErrValidationFailed)
	alice.Send(&wamp.Call{Request: 3, Procedure: "com.secret.p", Payload: alice.Clear(5)})
	alice.ExpectError(3, wamp.ErrCleartextRefused)
	expectNothing(bob)
	// A clear result where opaque ones are required ends the call at the caller.
	sendWith(alice, &wamp.Call{Request: 4, Procedure: "com.secret.p", Options: wamp.CallOptions{Attributes: box}}, `"\u0000AAEC"`, 1)
	inv := routertest.Expect[*wamp.Invocation](bob)
	bob.Send(&wamp.Yield{Request: inv.Request, Payload: bob.Clear("plain")})
	alice.ExpectError(4, wamp.ErrCleartextRefused)
	// Broken attributes end the session of the sender, and nobody gets anything.
	sendWith(alice, &wamp.Call{Request: 5, Procedure: "com.secret.p", Options: wamp.CallOptions{Attributes: wamp.Attributes{EncAlgo: "rot13"}}}, `"\u0000AAEC"`, 1)
	alice.ExpectAbort(wamp.ErrProtocolViolation)
	expectNothing(bob)
}

func rules(t testing.TB) func(*settings) {
	schema, err := passthrough.CompileSchema("s", []byte(`{"properties":{"args":{"items":{"type":"string"}}}}`))
	routertest.NoError(t, err)
	return func(s *settings) {
		s.passthrough = passthrough.Config{
			Require:    []passthrough.Rule{{URI: "com.secret.", Match: wamp.MatchPrefix}},
			Validation: []passthrough.Validation{{URI: "com.valid", Schema: schema}},
		}
	}
}

func TestUnannouncedIsAborted(t *testing.T) {
	w := newWorld(t)
	mallory := w.join("Mallory", wamp.CBOR, routertest.NoFeatures)
	sendWith(mallory, &wamp.Publish{Request: 1, Topic: "com.t", Options: wamp.PublishOptions{Attributes: ppt}}, "\x81\x41\x01", 1)
	mallory.ExpectAbort(wamp.ErrProtocolViolation)
	w.wantMetric(`blindfold_opaque_refused_total{realm="realm1",reason="form_not_announced",type="PUBLISH"} 1`)
	w.wantMetric(`blindfold_sessions_closed_total{realm="realm1",reason="form_not_announced"} 1`)
}

func TestGoodbyeArrives(t *testing.T) {
	w := newWorld(t)
	for _, url := range w.listen() {
		for range 20 {
			alice := w.joinOver(url, "Alice", wamp.CBOR)
			alice.Leave()
		}
	}
	w.wantMetric(`blindfold_sessions_closed_total{realm="realm1",reason="goodbye"} 40`)
}

// The router's opaque metrics, its refusals among them, are those of our own router for
// the same traffic.
func TestMetricsAreThoseOfOurRouter(t *testing.T) {
	nexusWorld := newWorld(t, rules(t))
	traffic(t, nexusWorld.join)
	var s settings
	rules(t)(&s)
	ours := routertest.NewWorld(t, routertest.WithPassthrough(func(c *passthrough.Config) { *c = s.passthrough }))
	traffic(t, func(name string, s wamp.Serializer, change ...func(*wamp.Hello)) *routertest.Peer {
		return ours.Join(name, "memory", s, change...)
	})
	prefixes := []string{"blindfold_opaque_", "blindfold_clear_", "blindfold_refused_total", "blindfold_dropped_total", "blindfold_sessions"}
	want := nonzero(ours.Scrape(), prefixes...)
	var got []string
	for deadline := time.Now().Add(5 * time.Second); !slices.Equal(got, want); time.Sleep(time.Millisecond) {
		if got = nonzero(nexusWorld.scrape(), prefixes...); time.Now().After(deadline) {
			t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, ""), strings.Join(want, ""))
		}
	}
	if len(want) < 40 {
		t.Errorf("only %d series say anything", len(want))
	}
}

// traffic is a little of everything that is counted.
func traffic(t *testing.T, join func(string, wamp.Serializer, ...func(*wamp.Hello)) *routertest.Peer) {
	for _, s := range wamp.Serializers {
		alice, bob, deaf := join("Alice", s), join("Bob", s), join("Deaf", s, routertest.NoFeatures)
		other := join("Other", wamp.Serializers[int(s)%len(wamp.Serializers)])
		prefix := wamp.URI("com." + s.String() + ".")
		for _, p := range []*routertest.Peer{bob, deaf, other} {
			p.Subscribe(prefix+"topic", wamp.MatchExact)
		}
		bob.Register(prefix+"bob", wamp.RegisterOptions{})
		deaf.Register(prefix+"deaf", wamp.RegisterOptions{})
		other.Register(prefix+"other", wamp.RegisterOptions{})
		for _, form := range []wamp.Form{wamp.FormNone, wamp.FormTransparency, wamp.FormPassthru} {
			a, payload := alice.Payload(form, "content")
			alice.Publish(prefix+"topic", a, payload)
			routertest.Expect[*wamp.Published](alice)
			alice.WantPayload(routertest.Expect[*wamp.Event](bob), form, "content")
			if form == wamp.FormNone {
				for _, p := range []*routertest.Peer{deaf, other} {
					p.WantPayload(routertest.Expect[*wamp.Event](p), form, "content")
				}
			}
			request := alice.Call(prefix+"bob", a, payload)
			inv := routertest.Expect[*wamp.Invocation](bob)
			bob.Yield(inv, form, "part", true)
			alice.WantPayload(routertest.Expect[*wamp.Result](alice), form, "part")
			bob.Yield(inv, form, "all", false)
			alice.WantPayload(routertest.Expect[*wamp.Result](alice), form, "all")
			request = alice.Call(prefix+"bob", a, payload)
			inv = routertest.Expect[*wamp.Invocation](bob)
			errorAttributes, reason := bob.Payload(form, "why")
			bob.Send(&wamp.Error{RequestType: wamp.TypeInvocation, Request: inv.Request, Error: routertest.Failure,
				Details: wamp.ErrorDetails{Attributes: errorAttributes}, Payload: reason})
			alice.WantPayload(alice.ExpectError(request, routertest.Failure), form, "why")
			if form != wamp.FormNone {
				alice.ExpectError(alice.Call(prefix+"deaf", a, payload), wamp.ErrFeatureNotSupported)
				alice.ExpectError(alice.Call(prefix+"other", a, payload), wamp.ErrConversionRefused)
				alice.ExpectError(alice.Call("com.valid", a, payload), wamp.ErrValidationRefused)
			} else {
				alice.ExpectError(alice.Call("com.secret.x", a, payload), wamp.ErrCleartextRefused)
			}
			alice.ExpectError(alice.Call(prefix+"nobody", a, payload), wamp.ErrNoSuchProcedure)
		}
		mallory := join("Mallory", s)
		_, payload := mallory.Payload(wamp.FormTransparency, "x")
		mallory.Publish(prefix+"topic", wamp.Attributes{EncAlgo: "rot13"}, payload)
		mallory.ExpectAbort(wamp.ErrProtocolViolation)
		for _, p := range []*routertest.Peer{alice, bob, deaf, other} {
			p.Leave()
		}
	}
}
