package client

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// maxEndedInvocations is how many invocations are remembered that were answered before
// all their inputs had arrived.
const maxEndedInvocations = 256

// Invocation is a call of a procedure of this session. Only its handler may use it.
type Invocation struct {
	// Procedure is the URI that was called. A sealed payload is bound to it.
	Procedure wamp.URI
	Args      []any
	Kwargs    map[string]any
	// Details come from the router. They are not sealed, and have URIs as on the wire.
	Details wamp.InvocationDetails
	// Sealed is true if the payload was opened by the Sealer. The answer is then sealed
	// as well, or it fails.
	Sealed bool
	// Origin says who sealed it, and when, if the Sealer knows.
	Origin *wamp.Origin

	// call is what a Sealer keeps of it. progressing makes the progressive results
	// go out in the order in which they are sealed.
	call        wamp.SealedCall
	progressing sync.Mutex

	l      *link
	id     wamp.ID
	reg    *Registration
	ctx    context.Context
	cancel context.CancelCauseFunc
	inputs *queue[*wamp.Invocation]
	more   bool // the handler has not read all inputs

	// inputsOpen is true while further inputs may arrive. Only the reading goroutine
	// changes it, under Session.mu.
	inputsOpen bool
}

// invocation starts the handler of an INVOCATION, or queues a further input.
func (l *link) invocation(m *wamp.Invocation) error {
	l.s.mu.Lock()
	inv, reg, busy := l.invocations[m.Request], l.registered[m.Registration], len(l.invocations)
	l.s.mu.Unlock()
	switch {
	case inv != nil && !inv.inputsOpen:
		return l.abort(violation("INVOCATION.Request is that of an invocation in flight"))
	case inv != nil:
		inv.input(m)
		return nil
	case l.isLateInput(m):
		return nil
	case reg == nil:
		l.rejectInvocation(m, wamp.ErrNoSuchRegistration)
		return nil
	case busy >= l.s.config.Limits.Invocations:
		l.rejectInvocation(m, wamp.ErrUnavailable)
		return nil
	}
	kept := *m
	kept.Payload = m.Payload.Clone()
	inv = &Invocation{l: l, id: m.Request, reg: reg, Details: m.Details,
		inputs: newQueue[*wamp.Invocation](&l.s.config.Limits), more: m.Details.Progress, inputsOpen: m.Details.Progress}
	inv.ctx, inv.cancel = context.WithCancelCause(l.ctx)
	l.s.mu.Lock()
	l.invocations[inv.id] = inv
	l.s.mu.Unlock()
	go inv.run(&kept)
	return nil
}

// rejectInvocation answers an INVOCATION that reaches no handler.
func (l *link) rejectInvocation(m *wamp.Invocation, uri wamp.URI) {
	if m.Details.Progress {
		l.s.mu.Lock()
		l.rememberEnded(m.Request)
		l.s.mu.Unlock()
	}
	l.enqueueMessage(&wamp.Error{RequestType: wamp.TypeInvocation, Request: m.Request, Error: uri})
}

// rememberEnded records an ended invocation whose remaining inputs must be ignored. Session.mu
// is held.
func (l *link) rememberEnded(id wamp.ID) {
	if len(l.endedInvocations) == maxEndedInvocations {
		l.endedInvocations = l.endedInvocations[1:]
	}
	l.endedInvocations = append(l.endedInvocations, id)
}

// isLateInput reports whether m is an input of an invocation that has been answered.
func (l *link) isLateInput(m *wamp.Invocation) bool {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	at := slices.Index(l.endedInvocations, m.Request)
	if at >= 0 && !m.Details.Progress {
		l.endedInvocations = slices.Delete(l.endedInvocations, at, at+1)
	}
	return at >= 0
}

// interrupt ends the context of a handler (WAMP, "Call Canceling").
func (l *link) interrupt(m *wamp.Interrupt) error {
	l.s.mu.Lock()
	inv := l.invocations[m.Request]
	l.s.mu.Unlock()
	if inv != nil {
		reason := wamp.URI(m.Options.Reason)
		if reason != wamp.ErrTimeout {
			reason = wamp.ErrCanceled
		}
		inv.cancel(&Error{URI: reason, cause: context.Canceled})
	}
	return nil
}

// input queues a further INVOCATION of the same call.
func (inv *Invocation) input(m *wamp.Invocation) {
	kept := *m
	kept.Payload = m.Payload.Clone()
	l := inv.l
	l.s.mu.Lock()
	inv.inputsOpen = m.Details.Progress
	l.s.mu.Unlock()
	if inv.inputs.push(&kept, m.Payload.WireSize(), false) {
		return
	}
	// Inputs with a gap are useless.
	if inv.end() {
		l.enqueueMessage(&wamp.Error{RequestType: wamp.TypeInvocation, Request: inv.id, Error: wamp.ErrLimitExceeded})
	}
	inv.cancel(&OverflowError{URI: inv.reg.procedure})
}

// end takes the invocation out of the table: it has its answer. It reports
// whether it had none before.
func (inv *Invocation) end() bool {
	l := inv.l
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.invocations[inv.id] != inv {
		return false
	}
	delete(l.invocations, inv.id)
	if inv.inputsOpen {
		l.rememberEnded(inv.id)
	}
	return true
}

// pending reports whether the invocation can still be answered.
func (inv *Invocation) pending() bool {
	l := inv.l
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return !l.down && l.invocations[inv.id] == inv
}

// run calls the handler and sends the answer.
func (inv *Invocation) run(m *wamp.Invocation) {
	defer inv.cancel(nil)
	s := inv.l.s
	procedure, err := s.resolveURI(inv.reg.procedure, inv.reg.wire, inv.reg.match, m.Details.Procedure)
	if err != nil {
		inv.rejectUnopened(err)
		return
	}
	inv.Procedure, inv.call.Procedure = procedure, procedure
	c, err := inv.openInput(m)
	if err != nil {
		inv.rejectUnopened(err)
		return
	}
	inv.Args, inv.Kwargs, inv.Sealed, inv.Origin = c.args, c.kwargs, c.sealed, c.origin
	ctx := inv.ctx
	if m.Details.Timeout > 0 && m.Details.Timeout < maxTimeout {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(m.Details.Timeout)*time.Millisecond)
		defer cancel()
	}
	result, err := inv.handle(ctx)
	if err != nil {
		inv.fail(ctx, err)
		return
	}
	if result == nil {
		result = new(Result)
	}
	if err := inv.yield(result, false); err != nil {
		inv.fail(ctx, err)
	}
}

// handle calls the handler. If it panics, the call ends with an error.
func (inv *Invocation) handle(ctx context.Context) (r *Result, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicked(inv.Procedure, v)
		}
	}()
	return inv.reg.handler(ctx, inv)
}

// maxTimeout is the longest timeout of a call that has an effect, in milliseconds.
const maxTimeout = 365 * 24 * 3600 * 1000

func (inv *Invocation) openInput(m *wamp.Invocation) (plaintext, error) {
	on := inv.subject(wamp.TypeCall, m.Details.Progress)
	return inv.l.s.open(on, &m.Details.Attributes, &m.Payload)
}

// subject returns the context that a message of the call is sealed in.
func (inv *Invocation) subject(t wamp.MessageType, more bool) sealContext {
	return sealContext{Subject: wamp.Subject{Type: t, URI: inv.Procedure, Progress: more, Call: &inv.call}, sealed: inv.Sealed}
}

// rejectUnopened answers an invocation that cannot be opened, and reports the error. The
// answer has the error URI only.
func (inv *Invocation) rejectUnopened(err error) {
	inv.l.s.report(err)
	inv.sendError(&Error{URI: reasonOf(err)}, false)
}

// reasonOf returns the error URI that the caller gets for err.
func reasonOf(err error) wamp.URI {
	var mine *SealError
	var plain *Error
	switch {
	case errors.As(err, &mine):
		return mine.Reason
	case errors.As(err, &plain):
		return plain.URI
	}
	return wamp.ErrRuntime
}

// Next waits for further arguments of a progressive call, and returns io.EOF
// after the last ones. The first ones are in Args and Kwargs.
func (inv *Invocation) Next(ctx context.Context) (args []any, kwargs map[string]any, err error) {
	for {
		if m, ok := inv.inputs.pop(); ok {
			inv.more = m.Details.Progress
			c, err := inv.openInput(m)
			return c.args, c.kwargs, err
		}
		if !inv.more {
			return nil, nil, io.EOF
		}
		select {
		case <-inv.inputs.ready:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-inv.ctx.Done():
			return nil, nil, context.Cause(inv.ctx)
		}
	}
}

// More reports whether the caller has announced more arguments than the handler has
// read.
func (inv *Invocation) More() bool { return inv.more }

// ErrNotProgressive is what Progress returns if the caller did not ask for
// progressive results.
var ErrNotProgressive = errors.New("client: the caller did not ask for progressive results")

// ErrAnswered is what Progress returns once the invocation is answered: its handler has
// returned, or more inputs have arrived than could be queued.
var ErrAnswered = errors.New("client: the invocation is already answered")

// Progress sends a progressive result.
func (inv *Invocation) Progress(args []any, kwargs map[string]any) error {
	switch {
	case !inv.Details.ReceiveProgress:
		return ErrNotProgressive
	case inv.ctx.Err() != nil:
		return context.Cause(inv.ctx)
	}
	inv.progressing.Lock()
	defer inv.progressing.Unlock()
	return inv.yield(&Result{Args: args, Kwargs: kwargs}, true)
}

// yield sends a result. If it fails, nothing was sent, and the invocation is not
// answered yet.
func (inv *Invocation) yield(r *Result, progress bool) error {
	on := inv.subject(wamp.TypeYield, progress)
	payload, attributes, _, err := inv.l.seal(on, r.Args, r.Kwargs)
	if err != nil {
		return err
	}
	m := &wamp.Yield{Request: inv.id, Payload: payload,
		Options: wamp.ResultDetails{Progress: progress, Attributes: attributes}}
	return inv.answer(m, !progress)
}

// answer sends a message, unless the invocation is answered already. In that case a
// progressive result fails with ErrAnswered.
func (inv *Invocation) answer(m wamp.Message, final bool) error {
	l := inv.l
	if err := l.lockSend(l.ctx); err != nil {
		return err
	}
	defer l.unlockWrite()
	frame, buf, err := l.encode(l.buf[:0], m)
	if err != nil {
		return err
	}
	switch {
	case final && !inv.end():
		return nil
	case l.isClosed():
		return l.s.lost(l.cause(), false)
	case !final && !inv.pending():
		return ErrAnswered
	}
	return l.put(frame, buf)
}

// fail answers with the error of a handler, or with the error of sending its result.
func (inv *Invocation) fail(ctx context.Context, err error) {
	var own *Error
	var sealing *SealError
	var gone *DisconnectedError
	var bug *PanicError
	e := &Error{URI: wamp.ErrRuntime}
	switch {
	case errors.As(err, &bug):
		inv.l.s.report(bug)
		e.Args = []any{"the handler failed"} // what it panicked with may be secret
	case errors.As(err, &sealing):
		inv.l.s.report(err)
		e.URI = sealing.Reason
	case errors.As(err, &gone):
		e.Args = []any{err.Error()}
	case errors.As(err, &own):
		e.URI, e.Args, e.Kwargs = own.URI, own.Args, own.Kwargs
		if len(e.Args) == 0 && own.Message != "" {
			e.Args = []any{own.Message}
		}
	case ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded):
		e.URI = wamp.ErrTimeout
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		e.URI = wamp.ErrCanceled
	default:
		e.Args = []any{err.Error()}
	}
	inv.sendError(e, true)
}

// sendError sends an ERROR. It is sent without arguments if they are too large, or if
// the call was sealed and the error URI has no key.
func (inv *Invocation) sendError(e *Error, explain bool) {
	l := inv.l
	if !inv.pending() {
		return
	}
	m := &wamp.Error{RequestType: wamp.TypeInvocation, Request: inv.id}
	uri := e.URI
	var err error
	if m.Error, err = l.s.errorURI(uri); err != nil {
		l.s.report(err)
		uri, m.Error = wamp.ErrRuntime, wamp.ErrRuntime
	}
	secret := inv.isSecret()
	on := sealContext{Subject: wamp.Subject{Type: wamp.TypeError, URI: uri, Call: &inv.call}, sealed: secret, clear: !secret}
	// If the URI has a key, the caller accepts only a sealed error.
	if explain && (len(e.Args) > 0 || len(e.Kwargs) > 0 || l.s.hasKey(on)) {
		if m.Payload, m.Details.Attributes, _, err = l.seal(on, e.Args, e.Kwargs); err != nil {
			l.s.report(err)
		}
	}
	if err := inv.answer(m, true); err != nil && !l.isClosed() {
		l.s.report(err)
		m.Payload, m.Details.Attributes = wamp.Payload{}, wamp.Attributes{}
		_ = inv.answer(m, true)
	}
}

// isSecret reports whether the call or its result is sealed, so that the error must be too.
func (inv *Invocation) isSecret() bool {
	if inv.Sealed {
		return true
	}
	return inv.l.s.hasKey(inv.subject(wamp.TypeCall, false))
}
