package router

import (
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// keepalive is what a session's reading goroutine knows of its client's silence.
type keepalive struct {
	lastBatch   time.Time // when the last batch of messages arrived
	deadlineSet time.Time // when the deadline was set; zero: there is none
	pinged      bool      // the client has been asked for a sign of life, and owes it
}

// rearm sees to it that the connection has a deadline for the next frame. Moving it
// costs as much as routing a message, so it is not moved for every batch; a silent
// session is pinged a little early.
func (w *keepalive) rearm(s *session) {
	every := s.router.limits().PingEvery
	switch {
	case w.pinged:
		w.setDeadline(s, s.router.limits().PingTimeout)
	case every > 0 && (w.deadlineSet.IsZero() || w.lastBatch.Sub(w.deadlineSet) >= every/8):
		w.setDeadline(s, every)
	}
}

func (w *keepalive) setDeadline(s *session, wait time.Duration) {
	w.deadlineSet = time.Now()
	if s.ending.Load() {
		return // dismiss or cutOff has set another
	}
	_ = s.out.Conn.SetReadDeadline(w.deadlineSet.Add(wait))
	if s.ending.Load() { // meanwhile
		_ = s.out.Conn.SetReadDeadline(w.deadlineSet.Add(goodbyeTimeout))
	}
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
