package client

import (
	"context"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// CallOptions are the options of a call. The zero value is WAMP's default.
type CallOptions struct {
	// Timeout makes the router end the call, with wamp.error.timeout. It is
	// rounded up to milliseconds; 0 is none. The context bounds the call too,
	// from this side.
	Timeout time.Duration
	// OnProgress asks for progressive results and gets them, in order, on the
	// goroutine that waits in Call, Send or Finish.
	OnProgress func(*Result)
	DiscloseMe bool
	// CancelMode is what CANCEL asks for when the context ends: "skip",
	// "killnowait" (the default), or "kill", which makes the call wait for the
	// callee's answer for up to Limits.Kill.
	CancelMode string
}

// Result is the result of a call, or of a handler. The receiver may keep it.
type Result struct {
	Args   []any
	Kwargs map[string]any
	// Sealed is true if the payload was opened by the Sealer.
	Sealed bool
	// Origin says who sealed it, and when, if the Sealer knows.
	Origin *wamp.Origin
	// Details are those of the RESULT. A handler does not set them.
	Details wamp.ResultDetails
}

// Call calls a procedure and waits for its result. args and kwargs are values as
// wamp.Payload.Decode returns them, and others that codec.EncodePayload or the Sealer
// accepts. They are not kept.
//
// The error is an *Error if the callee or the router answered with an error. If the
// context ends first, the call is canceled (CANCEL), and the error is both
// ErrURI(wamp.ErrCanceled) and the error of the context. If the connection is lost, it is
// a *DisconnectedError.
func (s *Session) Call(ctx context.Context, procedure wamp.URI, args []any, kwargs map[string]any, o CallOptions) (*Result, error) {
	c, err := s.Begin(procedure, o)
	if err != nil {
		return nil, err
	}
	return c.Finish(ctx, args, kwargs)
}

// ProgressiveCall is a call whose arguments are sent in several messages (WAMP,
// "Progressive Call Invocations"). Only one goroutine may use it.
type ProgressiveCall struct {
	s         *Session
	l         *link
	procedure wamp.URI
	wire      wamp.URI
	options   CallOptions
	request   wamp.ID // 0 before the first message
	sealed    bool
	call      wamp.SealedCall
	replies   *queue[reply]
	ended     bool
}

// reply is a RESULT, an ERROR or the end of the connection.
type reply struct {
	result *wamp.Result
	failed *wamp.Error
	err    error
}

// Begin prepares a call of several messages: any number of Send, then Finish.
// Nothing is sent yet.
func (s *Session) Begin(procedure wamp.URI, o CallOptions) (*ProgressiveCall, error) {
	l, err := s.current()
	if err != nil {
		return nil, err
	}
	switch o.CancelMode {
	case "", "skip", "kill", "killnowait":
	default:
		return nil, invalid(wamp.ErrInvalidArgument, "CallOptions.CancelMode is unknown", nil)
	}
	wire, err := s.scramble(procedure, wamp.MatchExact)
	if err != nil {
		return nil, err
	}
	return &ProgressiveCall{s: s, l: l, procedure: procedure, call: wamp.SealedCall{Procedure: procedure}, wire: wire, options: o,
		replies: newQueue[reply](&s.config.Limits)}, nil
}

// Send sends arguments; more must follow. First it passes progressive results that have
// arrived to OnProgress. If it returns an error, or ctx ends, the call has ended.
func (c *ProgressiveCall) Send(ctx context.Context, args []any, kwargs map[string]any) error {
	if !c.l.welcome.Roles.Dealer.Has(wamp.ProgressiveCallInvocations) {
		c.stop()
		return invalid(wamp.ErrFeatureNotSupported, "the router does not announce progressive_call_invocations", nil)
	}
	if _, ended, err := c.takeReplies(); ended {
		if err == nil {
			err = errAnswered
		}
		return err
	}
	return c.send(ctx, args, kwargs, true)
}

var errAnswered = invalid(wamp.ErrCanceled, "the callee answered before it had all arguments", nil)

// Finish sends the last arguments and waits for the result, as Call does.
func (c *ProgressiveCall) Finish(ctx context.Context, args []any, kwargs map[string]any) (*Result, error) {
	if err := c.send(ctx, args, kwargs, false); err != nil {
		return nil, err
	}
	result, ended, err := c.await(ctx)
	if !ended {
		return c.cancelCall(ctx.Err())
	}
	return result, err
}

// await waits for the outcome of the call. ended is false if ctx ends first.
func (c *ProgressiveCall) await(ctx context.Context) (result *Result, ended bool, err error) {
	for {
		if result, ended, err = c.takeReplies(); ended {
			return result, true, err
		}
		select {
		case <-c.replies.ready:
		case <-ctx.Done():
			return nil, false, nil
		}
	}
}

// takeReplies handles the replies that have arrived, and reports whether the call has ended.
func (c *ProgressiveCall) takeReplies() (result *Result, ended bool, err error) {
	for {
		r, ok := c.replies.pop()
		if !ok {
			return nil, false, nil
		}
		if result, ended, err = c.handleReply(r); ended {
			return result, true, err
		}
	}
}

func (c *ProgressiveCall) send(ctx context.Context, args []any, kwargs map[string]any, more bool) error {
	if c.ended {
		return errAnswered
	}
	m := &wamp.Call{Request: c.request, Procedure: c.wire}
	on := c.subject(wamp.TypeCall, more)
	payload, attributes, sealed, err := c.l.seal(on, args, kwargs)
	if err == nil {
		c.sealed = c.sealed || sealed
		m.Payload = payload
		m.Options = wamp.CallOptions{
			ReceiveProgress: flag(c.options.OnProgress != nil),
			Progress:        flag(more),
			DiscloseMe:      flag(c.options.DiscloseMe),
			Timeout:         uint64((max(c.options.Timeout, 0) + time.Millisecond - 1) / time.Millisecond),
			Attributes:      attributes,
		}
		if c.request == 0 {
			err = c.l.sendRequest(ctx, m, &m.Request, func(id wamp.ID) { c.request, c.l.calls[id] = id, c })
		} else {
			err = c.l.send(ctx, m)
		}
	}
	if err != nil {
		c.stop()
		if err == ctx.Err() {
			err = canceled(err)
		}
	}
	return err
}

// subject is what a message of the call belongs to.
func (c *ProgressiveCall) subject(t wamp.MessageType, more bool) sealContext {
	return sealContext{Subject: wamp.Subject{Type: t, URI: c.procedure, Originator: true, Progress: more, Call: &c.call}, sealed: c.sealed}
}

func canceled(cause error) *Error {
	return &Error{URI: wamp.ErrCanceled, Message: "the call was canceled: its context ended", cause: cause}
}

// stop ends the call on this side, and cancels it at the router if it was sent.
func (c *ProgressiveCall) stop() {
	c.ended = true
	if c.remove() {
		c.sendCancel()
	}
}

// remove removes the call from the table, and reports whether it was there.
func (c *ProgressiveCall) remove() bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.request == 0 || c.l.calls[c.request] != c {
		return false
	}
	delete(c.l.calls, c.request)
	return true
}

func (c *ProgressiveCall) sendCancel() {
	if c.l.welcome.Roles.Dealer.Has(wamp.CallCanceling) {
		c.l.enqueueMessage(&wamp.Cancel{Request: c.request, Options: wamp.CancelOptions{Mode: c.options.CancelMode}})
	}
}

// cancelCall ends the call after its context has ended (WAMP, "Call Canceling").
func (c *ProgressiveCall) cancelCall(cause error) (*Result, error) {
	if c.options.CancelMode != "kill" || !c.l.welcome.Roles.Dealer.Has(wamp.CallCanceling) {
		c.stop()
		return nil, canceled(cause)
	}
	c.sendCancel()
	ctx, cancel := context.WithTimeout(context.Background(), c.s.config.Limits.Kill)
	defer cancel()
	if result, ended, err := c.await(ctx); ended {
		return result, err
	}
	c.ended = true
	c.remove()
	return nil, canceled(cause)
}

// handleReply handles one reply, and reports whether the call has ended.
func (c *ProgressiveCall) handleReply(r reply) (result *Result, done bool, err error) {
	switch {
	case r.err != nil:
		c.ended = true
		return nil, true, r.err
	case r.failed != nil:
		c.ended = true
		return nil, true, c.s.callError(r.failed, &c.call, c.sealed)
	}
	on := c.subject(wamp.TypeYield, r.result.Details.Progress)
	opened, err := c.s.open(on, &r.result.Details.Attributes, &r.result.Payload)
	if err != nil {
		c.stop()
		return nil, true, err
	}
	result = &Result{Args: opened.args, Kwargs: opened.kwargs, Sealed: opened.sealed, Origin: opened.origin, Details: r.result.Details}
	if !r.result.Details.Progress {
		c.ended = true
		return result, true, nil
	}
	if c.options.OnProgress != nil {
		c.options.OnProgress(result)
	}
	return nil, false, nil
}

// result passes a RESULT to its call. A RESULT for a call that has ended on this side
// was in flight, and is ignored.
func (l *link) result(m *wamp.Result) error {
	c, err := l.findCall(m.Request, !m.Details.Progress)
	if c == nil {
		return err
	}
	kept := *m
	kept.Payload = m.Payload.Clone()
	if !c.replies.push(reply{result: &kept}, m.Payload.WireSize(), !m.Details.Progress) && c.remove() {
		// A result with a gap is useless.
		c.replies.push(reply{err: &OverflowError{URI: c.procedure}}, 0, true)
		c.sendCancel()
	}
	return nil
}

// callFailed passes an ERROR to its call.
func (l *link) callFailed(m *wamp.Error) error {
	c, err := l.findCall(m.Request, true)
	if c == nil {
		return err
	}
	kept := *m
	kept.Payload = m.Payload.Clone()
	c.replies.push(reply{failed: &kept}, m.Payload.WireSize(), true)
	return nil
}

// findCall returns the call with that request id, or nil if it has ended. The final answer
// removes it.
func (l *link) findCall(id wamp.ID, final bool) (*ProgressiveCall, error) {
	l.s.mu.Lock()
	c := l.calls[id]
	asked := id <= l.lastRequest && l.requests[id] == nil
	if final && c != nil {
		delete(l.calls, id)
	}
	l.s.mu.Unlock()
	if !asked {
		return nil, l.abort(violation("answer to a call that was not made"))
	}
	return c, nil
}
