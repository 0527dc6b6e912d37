package dashboard

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func TestTracerCopiesWhoIsTraced(t *testing.T) {
	tracer := new(Tracer)
	trace := &Trace{AuthID: "alice"}
	if !tracer.Start(trace) {
		t.Fatal("refused")
	}
	tracer.Observe(publication(t, false))
	other := publication(t, false)
	other.Routed.From = &wamp.Peer{AuthID: "bob"}
	tracer.Observe(other)
	skipped := publication(t, true) // alice is the sender, and did get nothing less
	skipped.Kind, skipped.Peer, skipped.Refusal = router.Dropped, &wamp.Peer{AuthID: "carol", Session: 9}, &wamp.Refusal{Reason: wamp.ReasonConversion, Text: "why"}
	tracer.Observe(skipped)
	if len(trace.Envelopes) != 1 {
		t.Fatalf("%d envelopes", len(trace.Envelopes))
	}
	text, err := json.Marshal(<-trace.Envelopes)
	if err != nil || strings.Contains(string(text), canary) || strings.Contains(string(text), "sha256") || !strings.Contains(string(text), "com.app.news") {
		t.Errorf("%s, %v", text, err)
	}
	last := tracer.Refusals((&Trace{Session: 9}).Selects)
	if len(last) != 1 || last[0].Reason != "conversion" || last[0].Text != "why" || last[0].To.AuthID != "carol" {
		t.Errorf("%+v", last)
	}
	if last := tracer.Refusals((&Trace{AuthID: "bob"}).Selects); len(last) != 0 {
		t.Errorf("%+v", last)
	}
	tracer.Stop(trace)
	tracer.Observe(publication(t, false))
	if len(trace.Envelopes) != 0 {
		t.Error("it goes on")
	}
}

// Whatever comes, and however slowly it is read, a bounded number is kept.
func TestTracerIsBounded(t *testing.T) {
	tracer := new(Tracer)
	var traces []*Trace
	for range maxTraces {
		traces = append(traces, &Trace{AuthRole: "member"})
		if !tracer.Start(traces[len(traces)-1]) {
			t.Fatal("refused")
		}
	}
	if tracer.Start(new(Trace)) {
		t.Error("one too many")
	}
	for range 2 * maxRefusals {
		o := publication(t, true)
		o.Kind, o.Refusal = router.Refused, &wamp.Refusal{Reason: wamp.ReasonLimit}
		tracer.Observe(o)
	}
	if n := len(tracer.Refusals((&Trace{}).Selects)); n != maxRefusals {
		t.Errorf("%d refusals", n)
	}
	for _, trace := range traces {
		if len(trace.Envelopes) != traceBacklog || trace.Lost() != 2*maxRefusals-traceBacklog {
			t.Errorf("%d wait, %d lost", len(trace.Envelopes), trace.Lost())
		}
		tracer.Stop(trace)
	}
	if tracer.traces.Load() != nil {
		t.Error("traces are left")
	}
}

func TestTracerCostsNothingUntraced(t *testing.T) {
	tracer, o := new(Tracer), publication(t, true)
	if n := testing.AllocsPerRun(100, func() { tracer.Observe(o) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
