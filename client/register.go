package client

import (
	"context"
	"sync"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// RegisterOptions are the options of a registration. The zero value is WAMP's
// default.
type RegisterOptions struct {
	Match wamp.Match
	// Invoke is the policy of a shared registration: "single" (the default),
	// "roundrobin", "random", "first" or "last".
	Invoke string
	// Concurrency is how many invocations the router may have in flight at this
	// session, if it supports that; 0 means any number.
	Concurrency     uint64
	DiscloseCaller  bool
	ForceReregister bool
	// ForwardTimeout makes this session, not the router, enforce the timeouts of calls:
	// they end the handler's context.
	ForwardTimeout bool
}

// Handler handles one invocation, on its own goroutine. ctx ends when the call is
// canceled, times out, or the connection is lost.
//
// The returned Result is the result of the call; nil is an empty result. An *Error
// answers with its URI, Args and Kwargs. Any other error answers with
// wamp.error.runtime_error and its text. If ctx has ended and the handler returns the
// error of ctx, the answer is wamp.error.canceled or wamp.error.timeout. If it
// panics, the answer is wamp.error.runtime_error without what it panicked with, and
// Config.OnError gets a *PanicError.
type Handler func(ctx context.Context, inv *Invocation) (*Result, error)

// Registration is a procedure, or a pattern of procedures, that a handler serves.
type Registration struct {
	s         *Session
	procedure wamp.URI
	match     wamp.Match
	wire      wamp.URI
	options   wamp.RegisterOptions
	handler   Handler

	// Session.mu guards these.
	link *link // the connection on which it is registered under id
	id   wamp.ID

	mu    sync.Mutex
	ended bool
	done  chan struct{}
	err   error
}

// Register registers a handler for a procedure, or with Match for a pattern of
// procedures.
func (s *Session) Register(ctx context.Context, procedure wamp.URI, handler Handler, o RegisterOptions) (*Registration, error) {
	l, err := s.current()
	if err != nil {
		return nil, err
	}
	wire, err := s.scramble(procedure, o.Match)
	if err != nil {
		return nil, err
	}
	reg := &Registration{s: s, procedure: procedure, match: o.Match, wire: wire, handler: handler, done: make(chan struct{}),
		options: wamp.RegisterOptions{
			Invoke: o.Invoke, Concurrency: o.Concurrency, DiscloseCaller: flag(o.DiscloseCaller),
			ForceReregister: flag(o.ForceReregister), ForwardTimeout: flag(o.ForwardTimeout),
		}}
	if o.Match != wamp.MatchExact {
		reg.options.Match = o.Match.String()
	}
	w, err := l.register(ctx, reg)
	if err != nil {
		return nil, err
	}
	select {
	case <-w.done:
		if w.err != nil {
			return nil, w.err
		}
		return reg, nil
	case <-ctx.Done():
		// The router has not answered yet. The registration must be removed then.
		reg.stop(ctx.Err())
		go func() {
			<-w.done
			_ = reg.withdraw()
		}()
		return nil, ctx.Err()
	}
}

// register sends REGISTER. reg is recorded before the first invocation is read.
func (l *link) register(ctx context.Context, reg *Registration) (*pendingAnswer, error) {
	m := &wamp.Register{Procedure: reg.wire, Options: reg.options}
	return l.startRequest(ctx, m, &m.Request, func(id wamp.ID) {
		l.s.mu.Lock()
		defer l.s.mu.Unlock()
		reg.link, reg.id = l, id
		l.registered[id] = reg
		l.s.registrations[reg] = struct{}{}
	})
}

// Procedure returns the procedure or pattern.
func (reg *Registration) Procedure() wamp.URI { return reg.procedure }

// Done is closed when the registration has ended, by Unregister or by the
// router. It does not end with the session.
func (reg *Registration) Done() <-chan struct{} { return reg.done }

// Err returns why the registration ended: nil if it has not, or by Unregister.
func (reg *Registration) Err() error {
	reg.mu.Lock()
	defer reg.mu.Unlock()
	return reg.err
}

// Unregister ends the registration. Invocations that have started are finished. If it
// returns an error, the router may still hold the registration, but it is not restored
// after a reconnect.
func (reg *Registration) Unregister(ctx context.Context) error {
	if !reg.stop(nil) {
		return nil
	}
	gone := make(chan error, 1)
	go func() { gone <- reg.withdraw() }()
	select {
	case err := <-gone:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop ends the registration here, and reports whether it had not ended before.
func (reg *Registration) stop(reason error) bool {
	reg.mu.Lock()
	defer reg.mu.Unlock()
	if reg.ended {
		return false
	}
	reg.ended, reg.err = true, reason
	close(reg.done)
	return true
}

// withdraw unregisters, if the router holds the registration.
func (reg *Registration) withdraw() error {
	s := reg.s
	s.mu.Lock()
	delete(s.registrations, reg)
	l, id := reg.link, reg.id
	held := l != nil && !l.down
	reg.link = nil
	s.mu.Unlock()
	if !held {
		return nil
	}
	m := &wamp.Unregister{Registration: id}
	return l.remove(m, &m.Request, func(wamp.ID) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(l.registered, id)
	})
}

// revokeRegistration ends a registration that the router took away (WAMP,
// "Registration Revocation").
func (l *link) revokeRegistration(d wamp.Revocation) {
	l.s.mu.Lock()
	reg := l.registered[d.Registration]
	if reg != nil {
		delete(l.registered, d.Registration)
		delete(l.s.registrations, reg)
		reg.link = nil
	}
	l.s.mu.Unlock()
	if reg != nil {
		if err := revoked(d.Reason); reg.stop(err) {
			l.s.report(err)
		}
	}
}
