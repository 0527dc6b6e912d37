package client

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Reconnect says how a lost connection is made again: after a delay that starts
// at Min, doubles with each failure up to Max, and of which a random half is
// left out. A connection that lasts for Max starts over.
//
// Subscriptions and registrations are then made again; one that the router
// refuses ends, and is reported as a *RestoreError. A procedure that is still
// registered (by the lost session, if the router has not noticed yet) is tried
// for as long as the connection lasts. Calls in flight fail; events in between
// are missed.
//
// There is no reconnect after Close, after the router closed the session with
// wamp.close.killed, or refused it for what will not change: no such realm, an
// authentication or authorization that failed.
type Reconnect struct {
	Min, Max time.Duration // Defaults 250 ms and 30 s
	// Attempts is how many may fail in a row; 0 is any number.
	Attempts int
}

// backoff counts the attempts. Nil means that there are none.
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

// again reports whether a loss of that cause, after a connection that lasted
// for that long, is to be followed by an attempt.
func (b *backoff) again(cause error, lasted time.Duration) bool {
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

// permanent reports whether the router will say the same next time.
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

// reconnect makes a new connection. It returns nil, and the last error, if that
// is given up.
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
		if cause = err; !b.again(err, 0) {
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
	l.again = true
	s.link = l
	return true
}

// restore makes all subscriptions and registrations again.
func (s *Session) restore(l *link) {
	topics, registrations := s.holdAll()
	for _, t := range topics {
		s.resubscribe(l, t)
		s.leaveTopic(t)
	}
	b := s.config.Reconnect.backoff()
	for len(registrations) > 0 {
		var taken []*Registration
		for _, reg := range registrations {
			err := s.reregister(l, reg)
			switch {
			case err == nil || l.over():
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
	if !l.over() {
		s.tell(Connected, nil)
	}
}

// holdAll returns what is to be restored, the topics held.
func (s *Session) holdAll() (topics []*topic, registrations []*Registration) {
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

// resubscribe subscribes to a topic, if there still is someone for it. If the
// router refuses, they are told. The end of the connection is no refusal: the
// next one is where it will be tried again.
func (s *Session) resubscribe(l *link, t *topic) {
	if t.take(l.ctx) != nil {
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
	if err == nil || l.over() {
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
	needed = needed && reg.link != l // one may be made while the others are restored
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
	case <-reg.done: // Unregister came meanwhile
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
