package router

import (
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// What calls make the router keep counts against the bytes of their caller and of all
// sessions, whichever part of a CALL it is, and until it is kept no more.
func TestBytesOfCallsAreBounded(t *testing.T) {
	const size = 100_000
	for name, change := range map[string]func(m *wamp.Call){
		"payloads of calls that wait": func(m *wamp.Call) {
			m.Payload = codec.BinaryPayload(wamp.CBOR, wamp.FormTransparency, make([]byte, size))
		},
		"attributes of calls that wait":        func(m *wamp.Call) { m.Options.EncKey = strings.Repeat("k", size) },
		"hashes of calls that wait":            func(m *wamp.Call) { m.Options.TransactionHash = strings.Repeat("k", size) },
		"attributes of calls that have a rest": func(m *wamp.Call) { m.Options.EncKey, m.Options.Progress = strings.Repeat("k", size), wamp.True },
	} {
		t.Run(name, func(t *testing.T) {
			r := silentRouter(t)
			limits := DefaultLimits()
			limits.QueueTotal = 6 * limits.Queue // of which callers may have half
			r.currentLimits.Store(newLimits(limits))
			callee := attach(r, wamp.CBOR, transport.FramingRaw)
			concurrency := uint64(1)
			message := &wamp.Call{Procedure: "com.example.procedure", Options: wamp.CallOptions{Attributes: wamp.Attributes{EncAlgo: "cryptobox"}}}
			if change(message); message.Options.Progress == wamp.True {
				concurrency = 0
			}
			say(callee, frame(t, wamp.CBOR, &wamp.Register{Request: 1, Procedure: message.Procedure, Options: wamp.RegisterOptions{Concurrency: concurrency}}))
			say(attach(r, wamp.CBOR, transport.FramingRaw), frame(t, wamp.CBOR, &wamp.Call{Request: 1, Procedure: message.Procedure}))
			// calls lets a session call until it is refused.
			calls := func(s *session) (refused wamp.Limit, n int) {
				for range 100 {
					message.Request++
					before := len(s.calls)
					say(s, frame(t, wamp.CBOR, message))
					if len(s.calls) == before {
						return s.router.observers[0].(*refusals).last, n
					}
					n++
				}
				return "", n
			}
			r.observers = []Observer{new(refusals)}
			var callers []*session
			for range 3 {
				callers = append(callers, attach(r, wamp.CBOR, transport.FramingRaw))
				limit, n := calls(callers[len(callers)-1])
				want := wamp.LimitQueue
				if len(callers) == 3 && limit == wamp.LimitQueueTotal {
					want = limit // it may be this one, for what is in the callee's queue
				}
				if most := limits.Queue / size; limit != want || n > most || n < most-1 {
					t.Errorf("%d of %d calls were taken, then %q refused one", n, most, limit)
				}
			}
			if limit, n := calls(attach(r, wamp.CBOR, transport.FramingRaw)); limit != wamp.LimitQueueTotal || n > 3 {
				t.Errorf("%d more calls were taken than all may, then %q refused one", n, limit)
			}
			if kept := r.queued.Load(); kept > int64(limits.QueueTotal)/2 || kept < int64(limits.QueueTotal)/2-2*size {
				t.Errorf("%d bytes are counted", kept)
			}
			for _, s := range r.order[0].allSessions() {
				if s.ending.Load() {
					t.Error("a session was cut off")
				}
			}
			// One half is answered, and the rest is over with its callers.
			for range len(callers[0].calls) {
				for id := range callee.invocations {
					say(callee, frame(t, wamp.CBOR, &wamp.Yield{Request: id}))
				}
			}
			for _, s := range r.order[0].allSessions() {
				s.leave()
			}
			if n := r.queued.Load(); n != 0 || callers[0].callBytes != 0 || callers[2].callBytes != 0 {
				t.Errorf("%d bytes are counted when nothing is kept", n)
			}
		})
	}
}

// refusals remembers the limit of the last refusal.
type refusals struct{ last wamp.Limit }

func (o *refusals) Observe(e *Observation) {
	if e.Kind == Refused {
		o.last = e.Refusal.Limit
	}
}
