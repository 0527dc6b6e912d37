package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Session is one client in one realm. It ends with Close, or when its connection is
// lost and there is no reconnect. All methods may be called concurrently.
type Session struct {
	config Config
	// ctx ends when Close is called or the session has ended. It is passed to handlers
	// of events.
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the session has ended

	// mu guards everything below, and the tables of the link. It is never held while
	// waiting.
	mu            sync.Mutex
	link          *link // nil while there is no connection
	closing       bool
	cause         error // of the last loss
	err           error // set before done is closed
	topics        map[topicKey]*topic
	registrations map[*Registration]struct{}
}

// State is the state of a session's connection.
type State uint8

// The states.
const (
	// Connected: after a reconnect, with subscriptions and registrations restored.
	Connected State = iota
	// Reconnecting: the connection was lost, and the session tries to reconnect.
	Reconnecting
	// Ended: by Close (the error is nil), or because the connection was lost and there
	// is no further reconnect.
	Ended
)

// String returns the state in lower case.
func (s State) String() string { return [...]string{"connected", "reconnecting", "ended"}[s] }

// ID returns the session id, which changes with each reconnect; 0 while there
// is no connection.
func (s *Session) ID() wamp.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == nil {
		return 0
	}
	return s.link.id
}

// Welcome returns the details of the router's WELCOME: who the session is, and
// what the router announces. ok is false while there is no connection. The
// details must not be changed.
func (s *Session) Welcome() (d wamp.WelcomeDetails, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == nil {
		return d, false
	}
	return s.link.welcome, true
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err returns nil until the session has ended, and after Close; else a
// *DisconnectedError with the reason.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close sends GOODBYE, waits for the router's answer (up to Limits.Goodbye), and
// closes the connection. Requests in flight fail with ErrClosed. The contexts of
// handlers end. Close does not wait for handlers, so they may call it. If the
// connection was lost before Close, Close returns that error.
func (s *Session) Close() error {
	s.mu.Lock()
	s.closing = true
	l := s.link
	s.mu.Unlock()
	s.cancel(ErrClosed)
	if l != nil {
		l.goodbye()
	}
	<-s.done
	return s.Err()
}

// start runs the session on its first connection.
func (s *Session) start(l *link) {
	s.mu.Lock()
	s.link = l
	s.mu.Unlock()
	go s.run(l)
}

// run reads from one connection after the other until the session ends.
func (s *Session) run(l *link) {
	b := s.config.Reconnect.backoff()
	for {
		joined := time.Now()
		cause := s.serve(l)
		if !b.shouldRetry(cause, time.Since(joined)) || s.ctx.Err() != nil {
			s.end(cause)
			return
		}
		s.notifyState(Reconnecting, cause)
		if l, cause = s.reconnect(b, cause); l == nil {
			s.end(cause)
			return
		}
	}
}

// serve reads from a connection until it is lost. After a reconnect, another goroutine
// restores the subscriptions and registrations at the same time.
func (s *Session) serve(l *link) error {
	restored := make(chan struct{})
	if l.isReconnect {
		go func() {
			defer close(restored)
			s.restore(l)
		}()
	} else {
		close(restored)
	}
	cause := l.read()
	l.fail(cause)
	cause = l.cause()

	s.mu.Lock()
	s.link, s.cause = nil, cause
	s.mu.Unlock()
	l.finish(cause)
	<-restored
	return cause
}

// end ends the session permanently.
func (s *Session) end(cause error) {
	s.mu.Lock()
	var err error
	if !s.closing {
		err = &DisconnectedError{Cause: cause}
	}
	s.err = err
	s.mu.Unlock()
	s.cancel(cause)
	s.notifyState(Ended, err)
	close(s.done)
}

// current returns the present connection.
func (s *Session) current() (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return nil, ErrClosed
	case s.link == nil:
		return nil, &DisconnectedError{Cause: s.cause}
	}
	return s.link, nil
}

// lost returns the error of a request whose connection is lost.
func (s *Session) lost(cause error, inFlight bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return ErrClosed
	}
	return &DisconnectedError{InFlight: inFlight, Cause: cause}
}

func (s *Session) notifyState(state State, err error) {
	s.config.Logger.Debug("session", "state", state.String(), "reason", err)
	if s.config.OnState != nil {
		s.config.OnState(state, err)
	}
}

// report passes an error that no caller waits for to Config.OnError, or logs it.
func (s *Session) report(err error) {
	if s.config.OnError != nil {
		s.config.OnError(err)
		return
	}
	// The text of an Error comes from the other client, and may have been sealed.
	var theirs *Error
	if errors.As(err, &theirs) {
		s.config.Logger.Warn("session", "error", string(theirs.URI))
		return
	}
	s.config.Logger.Warn("session", "error", err)
}
