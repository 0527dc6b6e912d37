package client

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Reconnect says how a session reconnects after its connection is lost. The delay before
// an attempt starts at Min and doubles with each failure up to Max; a random part of
// up to half of it is left out. After a connection that lasted for Max, the delay
// starts at Min again.
//
// Subscriptions and registrations are then restored. If the router refuses one, it ends
// and is reported as a *RestoreError. If a procedure is still registered, possibly by the
// lost session, the registration is tried again for as long as the connection lasts.
// Calls in flight fail, and events in between are missed.
//
// There is no reconnect after Close, after the router has closed the session with
// wamp.close.killed, or after it has refused the session for a permanent reason: no such
// realm, or a failed authentication or authorization.
type Reconnect struct {
	Min, Max time.Duration // Defaults 250 ms and 30 s
	// Attempts is how many may fail in a row; 0 is any number.
	Attempts int
}

// backoff counts failed attempts. Nil means no reconnect.
type backoff struct {
	Reconnect
	failed int
}

func (r *Reconnect) backoff() *backoff {
	if r == nil {
		return nil
	}
	b := &backoff{Reconnect: *r}
	b.Min = cmp.Or(b.Min, 250*time.Millisecond)
	b.Max = max(cmp.Or(b.Max, 30*time.Second), b.Min)
	return b
}

// shouldRetry reports whether to reconnect after a connection that was lost for that cause and
// had lasted for that long.
func (b *backoff) shouldRetry(cause error, lasted time.Duration) bool {
	if b == nil || permanent(cause) {
		return false
	}
	if lasted >= b.Max {
		b.failed = 0
	}
	return b.Attempts <= 0 || b.failed < b.Attempts
}

// delay returns how long to wait before the next attempt, and counts it.
func (b *backoff) delay() time.Duration {
	d := b.Min
	for range b.failed {
		if d >= b.Max/2 {
			d = b.Max
			break
		}
		d *= 2
	}
	b.failed++
	return d/2 + rand.N(d/2+1)
}

// permanent reports whether another attempt would fail for the same reason.
func permanent(cause error) bool {
	var e *Error
	if !errors.As(cause, &e) {
		return false
	}
	switch e.URI {
	case wamp.CloseKilled, wamp.ErrNoSuchRealm, wamp.ErrNoSuchRole, wamp.ErrNoSuchPrincipal,
		wamp.ErrNotAuthorized, wamp.ErrAuthorizationFailed, wamp.ErrAuthenticationFailed,
		wamp.ErrAuthenticationDenied, wamp.ErrAuthenticationRequired, wamp.ErrNoMatchingAuthMethod:
		return true
	}
	return false
}

// reconnect makes a new connection. If it gives up, it returns nil and the last error.
func (s *Session) reconnect(b *backoff, cause error) (*link, error) {
	for {
		select {
		case <-time.After(b.delay()):
		case <-s.ctx.Done():
			return nil, cause
		}
		l, err := s.connect(s.ctx)
		if err == nil && s.adopt(l) {
			return l, nil
		}
		if err == nil || s.ctx.Err() != nil {
			return nil, cause
		}
		s.config.Logger.Debug("reconnect failed", "error", err)
		s.mu.Lock()
		s.cause = err
		s.mu.Unlock()
		if cause = err; !b.shouldRetry(err, 0) {
			return nil, cause
		}
	}
}

// adopt makes l the session's connection, unless Close came first.
func (s *Session) adopt(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		l.fail(ErrClosed)
		l.cancel(ErrClosed)
		return false
	}
	l.isReconnect = true
	s.link = l
	return true
}

// restore restores all subscriptions and registrations.
func (s *Session) restore(l *link) {
	topics, registrations := s.acquireAll()
	for _, t := range topics {
		s.resubscribe(l, t)
		s.releaseTopic(t)
	}
	b := s.config.Reconnect.backoff()
	for len(registrations) > 0 {
		var taken []*Registration
		for _, reg := range registrations {
			err := s.reregister(l, reg)
			switch {
			case err == nil || l.isClosed():
			case errors.Is(err, ErrURI(wamp.ErrProcedureExists)):
				taken = append(taken, reg)
			default:
				s.loseRegistration(reg, &RestoreError{URI: reg.procedure, Err: err})
			}
		}
		if registrations = taken; len(taken) > 0 {
			select {
			case <-time.After(b.delay()):
			case <-l.ctx.Done():
				return
			}
		}
	}
	if !l.isClosed() {
		s.notifyState(Connected, nil)
	}
}

// acquireAll returns the topics and registrations to restore. releaseTopic must follow for each
// topic.
func (s *Session) acquireAll() (topics []*topic, registrations []*Registration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.topics {
		t.users++
		topics = append(topics, t)
	}
	for reg := range s.registrations {
		registrations = append(registrations, reg)
	}
	return topics, registrations
}

// resubscribe subscribes to a topic, if it still has handlers. If the router refuses,
// their subscriptions end. If the connection ends, the next one tries again.
func (s *Session) resubscribe(l *link, t *topic) {
	if t.acquire(l.ctx) != nil {
		return
	}
	defer t.release()
	s.mu.Lock()
	needed := len(t.subs) > 0 && t.link != l
	s.mu.Unlock()
	if !needed {
		return
	}
	w, err := l.subscribe(l.ctx, t, wamp.Unset, nil)
	if err == nil {
		<-w.done
		err = w.err
	}
	if err == nil || l.isClosed() {
		return
	}
	s.mu.Lock()
	subs := t.subs
	t.subs = nil
	s.mu.Unlock()
	err = &RestoreError{URI: t.uri, Err: err}
	for _, sub := range subs {
		sub.stop(err)
	}
	s.report(err)
}

func (s *Session) reregister(l *link, reg *Registration) error {
	s.mu.Lock()
	_, needed := s.registrations[reg]
	needed = needed && reg.link != l // Register may have been called since the reconnect
	s.mu.Unlock()
	if !needed {
		return nil
	}
	w, err := l.register(l.ctx, reg)
	if err != nil {
		return err
	}
	<-w.done
	select {
	case <-reg.done: // Unregister was called in the meantime
		_ = reg.withdraw()
		return nil
	default:
		return w.err
	}
}

func (s *Session) loseRegistration(reg *Registration, err error) {
	s.mu.Lock()
	delete(s.registrations, reg)
	s.mu.Unlock()
	if reg.stop(err) {
		s.report(err)
	}
}
