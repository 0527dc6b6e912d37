package dashboard

import (
	"sync"
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/router"
)

const (
	maxTraces    = 4   // how many may run at the same time
	traceBacklog = 256 // envelopes that wait for whoever reads a trace
	maxRefusals  = 256 // how many are remembered
)

// Tracer is a router.Observer that copies the envelopes of one client while somebody
// traces it, and remembers the last refusals and skipped events. Without a trace, a routed
// message costs one atomic load. It never keeps a payload. Its methods may be called
// concurrently.
type Tracer struct {
	traces atomic.Pointer[[]*Trace] // replaced, not changed; nil: none

	mu      sync.Mutex
	count   uint64 // of refusals; the next one is at count%maxRefusals
	refused [maxRefusals]Envelope
}

// Trace is what somebody wants to see.
type Trace struct {
	// AuthID, AuthRole, Realm and Session select what is copied: all that are set must
	// be those of the client that sent a message, or that was to get a skipped event.
	AuthID, AuthRole, Realm string
	Session                 uint64

	// Envelopes are the copies. What comes faster than they are read is left out.
	Envelopes chan Envelope
	lost      atomic.Uint64
}

// Lost returns how many envelopes were left out.
func (t *Trace) Lost() uint64 { return t.lost.Load() }

// Start begins a trace. It returns false if there are too many. Stop must follow.
func (t *Tracer) Start(trace *Trace) bool {
	trace.Envelopes = make(chan Envelope, traceBacklog)
	t.mu.Lock()
	defer t.mu.Unlock()
	var now []*Trace
	if old := t.traces.Load(); old != nil {
		now = append(now, *old...)
	}
	if len(now) == maxTraces {
		return false
	}
	now = append(now, trace)
	t.traces.Store(&now)
	return true
}

// Stop ends a trace.
func (t *Tracer) Stop(trace *Trace) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var now []*Trace
	if old := t.traces.Load(); old != nil {
		for _, other := range *old {
			if other != trace {
				now = append(now, other)
			}
		}
	}
	if len(now) == 0 {
		t.traces.Store(nil)
		return
	}
	t.traces.Store(&now)
}

// Refusals returns the last refusals and skipped events that keep selects, the newest
// first. Of a skipped event, To is the client that did not get it.
func (t *Tracer) Refusals(keep func(*Envelope) bool) []Envelope {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := []Envelope{}
	for n := t.count; n > 0 && n+maxRefusals > t.count; n-- {
		if e := &t.refused[n%maxRefusals]; keep(e) {
			out = append(out, *e)
		}
	}
	return out
}

// Observe implements router.Observer.
func (t *Tracer) Observe(e *router.Observation) {
	traces := t.traces.Load()
	refused := e.Kind == router.Refused || e.Kind == router.Dropped
	if !refused && (traces == nil || e.Kind != router.Routed) {
		return
	}
	var copied Envelope
	if refused {
		copied = envelope(e, false)
		t.mu.Lock()
		t.count++
		copied.Number = t.count
		t.refused[t.count%maxRefusals] = copied
		t.mu.Unlock()
	}
	if traces == nil {
		return
	}
	for _, trace := range *traces {
		if !trace.wants(e) {
			continue
		}
		if copied.Time == 0 {
			copied = envelope(e, false)
		}
		select {
		case trace.Envelopes <- copied:
		default:
			trace.lost.Add(1)
		}
	}
}

func (t *Trace) wants(e *router.Observation) bool {
	p := e.Peer
	if e.Kind != router.Dropped && e.Routed != nil && e.Routed.From != nil {
		p = e.Routed.From
	}
	return p != nil && (t.AuthID == "" || t.AuthID == p.AuthID) && (t.AuthRole == "" || t.AuthRole == p.AuthRole) &&
		(t.Realm == "" || t.Realm == e.Realm) && (t.Session == 0 || t.Session == uint64(p.Session))
}

// Selects reports whether the trace is about the sender of a copied message, or about the
// client that did not get it.
func (t *Trace) Selects(e *Envelope) bool {
	p := &e.From
	if e.To != nil {
		p = e.To
	}
	return (t.AuthID == "" || t.AuthID == p.AuthID) && (t.AuthRole == "" || t.AuthRole == p.AuthRole) &&
		(t.Realm == "" || t.Realm == e.Realm) && (t.Session == 0 || t.Session == p.Session)
}
