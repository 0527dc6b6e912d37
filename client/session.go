package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Session is one client in one realm. It lives until Close, or until its
// connection is lost and not made again. All methods may be called concurrently.
type Session struct {
	config Config
	// ctx ends when Close is called or the session has ended. Handlers of
	// events get it.
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the session has ended

	// mu guards all that follows, and the tables of the link. Nothing that
	// waits is done under it.
	mu            sync.Mutex
	link          *link // nil while there is no connection
	closing       bool
	cause         error // of the last loss
	err           error // set before done is closed
	topics        map[topicKey]*topic
	registrations map[*Registration]struct{}
}

// State is what a session is doing.
type State uint8

// The states.
const (
	// Connected: again, and what could be restored is.
	Connected State = iota
	// Reconnecting: the connection was lost and is being made anew.
	Reconnecting
	// Ended: by Close (the error is nil), or because the connection was lost
	// and is not made anew.
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

// Close says GOODBYE, waits for the router's (up to Limits.Goodbye), and closes
// the connection. What is in flight fails with ErrClosed. The contexts of
// handlers end; Close does not wait for the handlers, so that they may call it.
// The error is the loss of the connection if it came before Close.
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

// start sets the session going on its first connection.
func (s *Session) start(l *link) {
	s.mu.Lock()
	s.link = l
	s.mu.Unlock()
	go s.run(l)
}

// run is the life of a session: it reads from one connection after the other.
func (s *Session) run(l *link) {
	b := s.config.Reconnect.backoff()
	for {
		joined := time.Now()
		cause := s.serve(l)
		if !b.again(cause, time.Since(joined)) || s.ctx.Err() != nil {
			s.end(cause)
			return
		}
		s.tell(Reconnecting, cause)
		if l, cause = s.reconnect(b, cause); l == nil {
			s.end(cause)
			return
		}
	}
}

// serve reads from a connection until it is lost. A connection that is not the
// first has its subscriptions and registrations restored meanwhile.
func (s *Session) serve(l *link) error {
	restored := make(chan struct{})
	if l.again {
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

// end ends the session for good.
func (s *Session) end(cause error) {
	s.mu.Lock()
	var err error
	if !s.closing {
		err = &DisconnectedError{Cause: cause}
	}
	s.err = err
	s.mu.Unlock()
	s.cancel(cause)
	s.tell(Ended, err)
	close(s.done)
}

// current returns the connection of this moment.
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

// lost is what a request fails with whose connection is lost.
func (s *Session) lost(cause error, inFlight bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return ErrClosed
	}
	return &DisconnectedError{InFlight: inFlight, Cause: cause}
}

func (s *Session) tell(state State, err error) {
	s.config.Logger.Debug("session", "state", state.String(), "reason", err)
	if s.config.OnState != nil {
		s.config.OnState(state, err)
	}
}

// report tells an error that nobody waits for.
func (s *Session) report(err error) {
	if s.config.OnError != nil {
		s.config.OnError(err)
		return
	}
	// The text of an Error is the peer's, and may be what was sealed.
	var peers *Error
	if errors.As(err, &peers) {
		s.config.Logger.Warn("session", "error", string(peers.URI))
		return
	}
	s.config.Logger.Warn("session", "error", err)
}
