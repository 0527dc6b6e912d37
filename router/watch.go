package router

import (
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// watch is what a session's reading goroutine knows of its client's silence.
type watch struct {
	now    time.Time // when the last batch of messages arrived
	armed  time.Time // when the deadline was set; zero: there is none
	pinged bool      // the client has been asked for a sign of life, and owes it
}

// keep sees to it that the connection has a deadline for the next frame. Moving it
// costs as much as routing a message, so it is not moved for every batch; a silent
// session is pinged a little early.
func (w *watch) keep(s *session) {
	every := s.router.limits().PingEvery
	switch {
	case w.pinged:
		w.arm(s, s.router.limits().PingTimeout)
	case every > 0 && (w.armed.IsZero() || w.now.Sub(w.armed) >= every/8):
		w.arm(s, every)
	}
}

func (w *watch) arm(s *session, wait time.Duration) {
	w.armed = time.Now()
	if s.ending.Load() {
		return // dismiss or cutOff has set another
	}
	_ = s.out.conn.SetReadDeadline(w.armed.Add(wait))
	if s.ending.Load() { // meanwhile
		_ = s.out.conn.SetReadDeadline(w.armed.Add(dismissal))
	}
}

// ping asks for a sign of life.
func (w *watch) ping(s *session) {
	t := s.router.newTurn()
	s.control(t, transport.OpPing, nil)
	t.end()
	w.pinged = true
}

// heard ends the wait for one.
func (w *watch) heard() {
	if w.pinged {
		w.pinged, w.armed = false, time.Time{}
	}
}

var silent = &wamp.Refusal{Reason: wamp.ReasonProtocol, URI: wamp.ErrTimeout, Fatal: true, Limit: wamp.LimitPing,
	Text: "the session has given no sign of life, though it was pinged"}
