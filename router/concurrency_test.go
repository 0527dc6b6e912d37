package router

import (
	"testing"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Callers that wait for a callee take turns, and who calls a lot leaves room for others.
func TestWaitingCallersTakeTurns(t *testing.T) {
	r := silentRouter(t)
	callee := attach(r, wamp.CBOR, transport.FramingRaw)
	say(callee, frame(t, wamp.CBOR, &wamp.Register{Request: 1, Procedure: "com.example.procedure", Options: wamp.RegisterOptions{Concurrency: 1}}))
	call := func(s *session, id int) (waits bool) {
		say(s, frame(t, wamp.CBOR, &wamp.Call{Request: wamp.ID(id), Procedure: "com.example.procedure"}))
		return s.calls[wamp.ID(id)] != nil
	}
	greedy := attach(r, wamp.CBOR, transport.FramingRaw)
	taken := 0
	for id := range 2000 {
		if call(greedy, id+1) {
			taken++
		}
	}
	if most := r.limits().WaitingCalls / 2; taken > most+1 {
		t.Errorf("one caller has %d calls waiting, of %d in all", taken, 2*most)
	}
	var others []*session
	for range 3 {
		s := attach(r, wamp.CBOR, transport.FramingRaw)
		others = append(others, s)
		for id := range 3 {
			if !call(s, id+1) {
				t.Error("another caller is shut out")
			}
		}
	}
	// Each round of answers brings one call of each.
	var order []*session
	var requests []wamp.ID
	for range 14 {
		for id, inv := range callee.invocations {
			order, requests = append(order, inv.caller), append(requests, inv.request)
			say(callee, frame(t, wamp.CBOR, &wamp.Yield{Request: id}))
		}
	}
	for i, s := range others {
		for k := range 3 {
			if at := 2 + 4*k + i; order[at] != s || requests[at] != wamp.ID(k+1) {
				t.Errorf("call %d of caller %d is not the %dth", k+1, i, at)
			}
		}
	}
	for k, at := range []int{0, 1, 5, 9, 13} {
		if order[at] != greedy || requests[at] != wamp.ID(k+1) {
			t.Errorf("call %d of the first caller is not the %dth", k+1, at)
		}
	}
}

// A callee that never answers keeps no more places than a session may have calls.
func TestPlacesAreBounded(t *testing.T) {
	r := silentRouter(t)
	limits := DefaultLimits()
	limits.Calls = 5
	r.currentLimits.Store(newLimits(limits))
	callee := attach(r, wamp.CBOR, transport.FramingRaw)
	callee.peer.Roles.Callee.Features = 0 // it can't be interrupted
	say(callee, frame(t, wamp.CBOR, &wamp.Register{Request: 1, Procedure: "com.example.procedure", Options: wamp.RegisterOptions{Concurrency: 1 << 20}}))
	caller := attach(r, wamp.CBOR, transport.FramingRaw)
	const calls = 100
	for id := range calls {
		say(caller, frame(t, wamp.CBOR, &wamp.Call{Request: wamp.ID(id + 1), Procedure: "com.example.procedure"}))
		r.expire([]*invocation{caller.calls[wamp.ID(id+1)]})
	}
	reg, _ := r.order[0].dealer.procedures.Best("com.example.procedure")
	load := reg.concurrency.Load().callees[callee]
	if n := len(callee.endedCalls.table.Load().heldSlots); n != limits.Calls || load.used != uint64(n) || len(callee.invocations) != 0 {
		t.Errorf("%d slots are held, %d are used, %d invocations are known", n, load.used, len(callee.invocations))
	}
	for id := range calls {
		say(callee, frame(t, wamp.CBOR, &wamp.Yield{Request: wamp.ID(id + 1)}))
	}
	if load.used != 0 {
		t.Errorf("%d places are used when all is answered", load.used)
	}
}
