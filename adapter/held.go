package adapter

import (
	"sync"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Held is what a client holds in a router, as far as it takes to tell what a message is
// about: what is asked for, and not yet answered, and which subscriptions are to a
// pattern. Its methods may be called concurrently.
type Held struct {
	limits *router.Limits

	mu       sync.Mutex
	asked    map[wamp.ID]bool     // SUBSCRIBE by request: whether it is for a pattern
	patterns map[wamp.ID]bool     // subscriptions to a pattern
	invoked  map[wamp.ID]wamp.URI // the procedures of invocations that are not answered
	calls    map[wamp.ID]*Call    // in flight
}

// Call is a CALL in flight.
type Call struct {
	First wamp.Call // the message, of a progressive call the first, with a Hollow payload
	ended bool
}

// NewHeld returns a Held that keeps to l.Subscriptions and l.Calls.
func NewHeld(l *router.Limits) *Held {
	return &Held{limits: l, asked: map[wamp.ID]bool{}, patterns: map[wamp.ID]bool{}, invoked: map[wamp.ID]wamp.URI{}, calls: map[wamp.ID]*Call{}}
}

// Subscribing notes a SUBSCRIBE, if there may be one more.
func (h *Held) Subscribing(request wamp.ID, match string) *wamp.Refusal {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.asked)+len(h.patterns) >= h.limits.Subscriptions {
		return router.TooManySubscriptions
	}
	h.asked[request] = match != "" && match != wamp.MatchExact.String()
	return nil
}

// Subscribed notes what SUBSCRIBED, or ERROR with id 0, has answered.
func (h *Held) Subscribed(request, id wamp.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if pattern := h.asked[request]; pattern && id != 0 {
		h.patterns[id] = true
	}
	delete(h.asked, request)
}

// Unsubscribing notes an UNSUBSCRIBE.
func (h *Held) Unsubscribing(id wamp.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.patterns, id)
}

// IsPattern reports whether a subscription is to a pattern.
func (h *Held) IsPattern(id wamp.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.patterns[id]
}

// Calling notes a CALL. What follows the first of a progressive one is as opaque as that
// was.
func (h *Held) Calling(m *wamp.Call) *wamp.Refusal {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := h.calls[m.Request]
	switch {
	case first == nil && len(h.calls) >= h.limits.Calls:
		return router.TooManyCalls
	case first == nil:
		first = &Call{First: *m}
		first.First.Payload = Hollow(&m.Payload)
		h.calls[m.Request] = first
	case m.Options.Attributes == (wamp.Attributes{}) && first.First.Options.Attributes.Declared() != wamp.FormNone:
		m.Options.Attributes = first.First.Options.Attributes
		m.Payload.DeclareOpaque()
	}
	return nil
}

// Hollow returns a payload of the same shape and size without its bytes, to be counted.
func Hollow(p *wamp.Payload) wamp.Payload {
	return wamp.NewPayload(nil, nil, wamp.PayloadFacts{Shape: p.Shape(), Args: p.Args(), Kwargs: p.Kwargs(), Size: p.Size(), Opaque: p.Opaque()})
}

// Answered returns the call that a RESULT or ERROR is for, or nil if none is known, and
// whether the caller has been told before that it is over. The last answer ends it.
func (h *Held) Answered(request wamp.ID, last bool) (c *Call, ended bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c = h.calls[request]; c == nil {
		return nil, false
	}
	if last {
		delete(h.calls, request)
	}
	return c, c.ended
}

// EndCall notes that the caller has been told that a call is over, before the router is.
func (h *Held) EndCall(request wamp.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.calls[request]; c != nil {
		c.ended = true
	}
}

// Invoking notes an INVOCATION until it is answered, if there may be one more.
func (h *Held) Invoking(request wamp.ID, procedure wamp.URI) *wamp.Refusal {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, more := h.invoked[request]; !more && len(h.invoked) >= h.limits.Calls {
		return tooManyInvocations
	}
	h.invoked[request] = procedure
	return nil
}

var tooManyInvocations = &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrLimitExceeded, Limit: wamp.LimitCalls,
	Text: "the callee has as many calls to answer as it may"}

// Procedure returns what an invocation is of, and forgets it with the last answer.
func (h *Held) Procedure(request wamp.ID, last bool) wamp.URI {
	h.mu.Lock()
	defer h.mu.Unlock()
	uri := h.invoked[request]
	if last {
		delete(h.invoked, request)
	}
	return uri
}
