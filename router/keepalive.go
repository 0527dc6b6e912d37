package router

import (
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// keepalive is what a session's reading goroutine knows about when its client sends.
type keepalive struct {
	lastBatch   time.Time // when the last batch of messages arrived
	deadlineSet time.Time // when the read deadline was set; zero: there is none
	pinged      bool      // a ping has been sent, and nothing received since
	tokens      tokenBucket
	budget      waitBudget
}

// rearm makes sure that the connection has a deadline for the next frame. Setting it
// costs as much as routing a message, so it is not set for every batch; a silent
// session is pinged a little early.
func (w *keepalive) rearm(s *session) {
	every := s.router.limits().PingEvery
	switch {
	case every <= 0:
		if !w.deadlineSet.IsZero() && !s.ending.Load() { // pings have been turned off
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
// the router is ending the session: then goodbyeTimeout is in force.
func (s *session) setReadDeadline(at time.Time) {
	if s.ending.Load() {
		return
	}
	_ = s.out.Conn.SetReadDeadline(at)
	if s.ending.Load() { // set in between
		_ = s.out.Conn.SetReadDeadline(time.Now().Add(goodbyeTimeout))
	}
}

// onSilence handles a deadline that has passed, and reports whether to go on reading:
// the client is pinged first, unless a reload has turned pings off.
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

// ping sends a ping.
func (w *keepalive) ping(s *session) {
	b := s.router.newBatch()
	s.sendControl(b, transport.OpPing, nil)
	b.end()
	w.pinged = true
}

// onActivity ends the wait for an answer to a ping.
func (w *keepalive) onActivity() {
	if w.pinged {
		w.pinged, w.deadlineSet = false, time.Time{}
	}
}

var pingTimedOut = &wamp.Refusal{Reason: wamp.ReasonProtocol, URI: wamp.ErrTimeout, Fatal: true, Limit: wamp.LimitPing,
	Text: "ping timeout (limits.ping_timeout): nothing was received from the session"}
