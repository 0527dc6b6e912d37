package router

import (
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// keepalive is what a session's reading goroutine knows of when its client sends.
type keepalive struct {
	lastBatch   time.Time // when the last batch of messages arrived
	deadlineSet time.Time // when the deadline was set; zero: there is none
	pinged      bool      // the client has been asked for a sign of life, and owes it
	tokens      tokenBucket
}

// rearm sees to it that the connection has a deadline for the next frame. Moving it
// costs as much as routing a message, so it is not moved for every batch; a silent
// session is pinged a little early.
func (w *keepalive) rearm(s *session) {
	every := s.router.limits().PingEvery
	switch {
	case every <= 0:
		if !w.deadlineSet.IsZero() && !s.ending.Load() { // it was otherwise
			w.pinged, w.deadlineSet = false, time.Time{}
			s.setReadDeadline(time.Time{})
		}
	case w.pinged:
		w.setDeadline(s, s.router.limits().PingTimeout)
	case every > 0 && (w.deadlineSet.IsZero() || w.lastBatch.Sub(w.deadlineSet) >= every/8):
		w.setDeadline(s, every)
	}
}

func (w *keepalive) setDeadline(s *session, wait time.Duration) {
	w.deadlineSet = time.Now()
	s.setReadDeadline(w.deadlineSet.Add(wait))
}

// setReadDeadline sets the time by which the client must have sent something, unless
// the router is ending the session: then another deadline holds.
func (s *session) setReadDeadline(at time.Time) {
	if s.ending.Load() {
		return
	}
	_ = s.out.Conn.SetReadDeadline(at)
	if s.ending.Load() { // since then
		_ = s.out.Conn.SetReadDeadline(time.Now().Add(goodbyeTimeout))
	}
}

// onSilence deals with a deadline that has passed, and reports whether to go on reading:
// the client is asked for a sign of life first, and none is asked for any more if the
// limits have changed.
func (w *keepalive) onSilence(s *session) (on bool) {
	switch {
	case s.ending.Load():
		return false
	case s.router.limits().PingEvery <= 0:
		return true
	case w.pinged:
		return false
	}
	w.ping(s)
	return true
}

// ping asks for a sign of life.
func (w *keepalive) ping(s *session) {
	b := s.router.newBatch()
	s.sendControl(b, transport.OpPing, nil)
	b.end()
	w.pinged = true
}

// onActivity ends the wait for one.
func (w *keepalive) onActivity() {
	if w.pinged {
		w.pinged, w.deadlineSet = false, time.Time{}
	}
}

var pingTimedOut = &wamp.Refusal{Reason: wamp.ReasonProtocol, URI: wamp.ErrTimeout, Fatal: true, Limit: wamp.LimitPing,
	Text: "the session has given no sign of life, though it was pinged"}
