package router

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// finishGoodbye ends a session whose client has sent GOODBYE or ABORT, and then closes
// the connection in the way of its transport. The client gets GOODBYE with reason,
// unless reason is empty or the router has sent its own GOODBYE already.
func (s *session) finishGoodbye(b *batch, reason wamp.URI) {
	s.mu.Lock() // so that sendGoodbye is not half done
	already := s.ending.Swap(true)
	s.mu.Unlock()
	s.ended.CompareAndSwap(nil, saidGoodbye)
	s.leave()
	if reason != "" && !already {
		b.sendLast(s, &wamp.Goodbye{Reason: reason})
	}
	s.sendControl(b, transport.OpClose, closeNormal)
	b.flush()
	s.out.Abort(&b.scratch) // closing with unread data could discard what was just sent
}

// closeNormal ends a WebSocket connection whose session has ended (RFC 6455,
// section 7.4.1). RawSocket has no such frame.
var closeNormal = transport.CloseBody(1000, "")

// abort ends the session for a protocol violation (WAMP, "Protocol Violations"): ABORT,
// then the connection is closed.
func (s *session) abort(b *batch, r *wamp.Refusal) (on bool) {
	s.ending.Store(true)
	s.ended.CompareAndSwap(nil, r)
	s.leave()
	b.sendLast(s, &wamp.Abort{Reason: r.URI, Details: wamp.Closing{Message: r.Text}})
	s.sendControl(b, transport.OpClose, closeNormal)
	b.flush()
	s.out.Abort(&b.scratch)
	return false
}

// readFailed ends a session whose connection can't be read any more.
func (s *session) readFailed(err error) {
	var broken *transport.ProtocolError
	switch {
	case errors.As(err, &broken):
		b := s.router.newBatch()
		refusal := brokenFrame(broken, wamp.LimitMessage)
		s.ended.CompareAndSwap(nil, refusal)
		b.refused(s, refusal)
		if broken.CloseCode != 0 {
			s.sendControl(b, transport.OpClose, transport.CloseBody(broken.CloseCode, broken.Text))
		}
		b.flush()
		s.out.Abort(&b.scratch)
		b.end()
	case errors.Is(err, os.ErrDeadlineExceeded) && !s.ending.Load():
		b := s.router.newBatch()
		b.inbound = wamp.RoutedMessage{From: &s.peer}
		b.refused(s, pingTimedOut)
		s.abort(b, pingTimedOut)
		b.end()
	case errors.Is(err, os.ErrDeadlineExceeded) && s.out.IsCut():
		// The client still has time to read why: see sendqueue.Queue.Linger.
	case errors.Is(err, os.ErrDeadlineExceeded) && s.out.Len() == 0: // it has taken GOODBYE and does not answer
		b := s.router.newBatch()
		s.finishGoodbye(b, "")
		b.end()
	case errors.Is(err, io.EOF), errors.Is(err, transport.ErrClosed):
		s.out.Close()
	default:
		s.router.log.Debug("connection lost", "session", uint64(s.peer.Session), "error", err)
		s.out.Close()
	}
}

// goodbyeTimeout is how long a session has to answer GOODBYE.
const goodbyeTimeout = time.Second

// sendGoodbye ends the session on the router's side: it is removed from all tables,
// then gets GOODBYE as its last message. The client has goodbyeTimeout to answer; then
// the connection is closed. why is shuttingDown or killed.
func (s *session) sendGoodbye(why *wamp.Refusal, reason wamp.URI, text string) {
	b := s.router.newBatch()
	defer b.end()
	s.removeFromRealm(b)
	s.mu.Lock()
	first := !s.ending.Swap(true)
	if first {
		s.ended.CompareAndSwap(nil, why)
		b.sendLast(s, &wamp.Goodbye{Reason: reason, Details: wamp.Closing{Message: text}})
	}
	s.mu.Unlock()
	if !first {
		return
	}
	b.flush()
	_ = s.out.Conn.SetReadDeadline(time.Now().Add(goodbyeTimeout))
}

// removeFromRealm removes the session from all tables and ends the calls to it. It
// returns when that is done, even if another goroutine does it. Only then does a client
// learn that its session has ended: it may reconnect at once and register the same
// procedures.
func (s *session) removeFromRealm(b *batch) {
	s.mu.Lock()
	another := s.left
	s.left = true
	s.mu.Unlock()
	if another {
		s.realm.awaitRemoval(s)
		return
	}
	s.realm.remove(s)
	s.realm.broker.leave(b, s)
	s.realm.dealer.leave(b, s)
	s.realm.markRemoved(s)
}

// leave ends the session, once; the connection stays. Only the reading goroutine calls
// it.
func (s *session) leave() {
	if s.leaveCalled {
		return
	}
	s.leaveCalled = true
	b := s.router.newBatch()
	s.removeFromRealm(b)
	s.realm.dealer.leaveCalls(b, s)
	if !s.noEndEvents.Load() {
		s.publishTestaments(b)
		s.realm.meta.left(b, s)
	}
	s.realm.meta.events.publish(b, s)
	b.end()
	if !s.internal {
		end, refusal := s.end()
		s.router.notify(Observation{Kind: SessionClosed, Realm: s.peer.Realm, Peer: &s.peer, End: end, Refusal: refusal})
	}
}

// Values of session.ended for sessions that no refusal has ended; shuttingDown is another.
var (
	saidGoodbye = &wamp.Refusal{Text: "the client said GOODBYE"}
	killed      = &wamp.Refusal{Text: "ended through the meta API"}
)

// end returns how the session ended, for observers.
func (s *session) end() (End, *wamp.Refusal) {
	switch why := s.ended.Load(); why {
	case nil:
		return EndConnectionLost, nil
	case saidGoodbye:
		return EndGoodbye, nil
	case killed:
		return EndKilled, nil
	case shuttingDown:
		return EndShutdown, nil
	default:
		return EndRefused, why
	}
}

// sessionEnded refuses requests of a session that the router is ending.
var sessionEnded = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrCanceled, Text: "the session has ended"}
