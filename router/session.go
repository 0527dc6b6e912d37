package router

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// session is a client's session, from WELCOME to its end. run is its whole life: one
// goroutine reads and routes what the client sends.
type session struct {
	peer   wamp.Peer
	realm  *realm
	router *Router
	trust  wamp.Trust // of what it publishes and calls
	out    sendqueue.Queue

	// ending is set once GOODBYE or ABORT has been sent. From then on, what the client
	// sends is read and ignored, until it answers or the connection is closed.
	ending        atomic.Bool
	internal      bool        // a Local's session: it needs no permission
	warmupBatches uint8       // batches read so far, up to newSessionBatches; used by the reading goroutine only
	leaveCalled   bool        // leave has been called; used by the reading goroutine only
	removed       atomic.Bool // it is in no table any more
	noEndEvents   atomic.Bool // its end publishes neither a meta event nor testaments

	remote *remoteEnd // nil for sessions of this node

	ended atomic.Pointer[wamp.Refusal] // why it ended; nil: the connection was lost. See end

	testaments      *testaments // nil: none; used by the reading goroutine only
	lastCallRequest wamp.ID     // the highest CALL.Request so far; used by the reading goroutine only
	endedCalls      endedCalls

	mu               sync.Mutex // guards the fields below; never held together with another session's
	left             bool       // nothing may be added any more: see removeFromRealm
	callBytes        int32      // bytes charged for its calls: see invocation.chargeLocked
	subscriptions    subscriptionSet
	registrations    map[wamp.ID]*registration
	calls            map[wamp.ID]*invocation // calls by this session, by CALL.Request
	invocations      map[wamp.ID]*invocation // calls to this session, by INVOCATION.Request
	lastInvocationID wamp.ID                 // the last INVOCATION.Request assigned
	details          map[string]any          // set by wamp.session.modify_details; replaced, never changed
}

// newSessionBatches is how many batches make a session count as new: at first it
// subscribes and registers, and then it usually goes idle.
const newSessionBatches = 8

// run serves the session from WELCOME to its end. Routing grows the goroutine's stack,
// and the runtime never shrinks it back to its initial size. So a session that is
// likely to go idle continues on a new goroutine.
func (s *session) run(w keepalive) {
	if s.serve(&w) {
		go s.run(w)
		return
	}
	s.leave()
	s.router.release() // the session has ended; only the connection is left
	s.out.Linger(s.router.limits().CloseTimeout)
}

// serve reads and routes what a session sends. It returns false when the session ends,
// and true when the session is likely to go idle and should continue on a new
// goroutine.
func (s *session) serve(w *keepalive) (rests bool) {
	for {
		w.rearm(s)
		frame, err := s.out.Conn.Read()
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && w.onSilence(s):
			continue
		default:
			s.readFailed(err)
			return false
		}
		on, err := s.routeBatch(w, frame)
		if err != nil {
			s.readFailed(err)
		}
		if !on {
			return false
		}
		if w.pinged || s.warmupBatches < newSessionBatches {
			s.warmupBatches = min(s.warmupBatches+1, newSessionBatches)
			w.onActivity()
			w.rearm(s) // here, as the new goroutine's stack should stay small
			return true
		}
	}
}

// routeBatch routes a frame, and those that have arrived with it, in one batch. It
// reports whether to go on reading, and the error if reading failed.
func (s *session) routeBatch(w *keepalive, frame transport.Frame) (on bool, err error) {
	conn := s.out.Conn
	b := s.router.newBatch()
	defer b.end()
	w.lastBatch, b.mayWait = b.arrived, true
	on = s.handle(b, frame)
	for on && b.hasMore(conn) {
		b.makeRoom()
		s.limitRate(b, &w.tokens)
		if frame, err = conn.Read(); err != nil {
			return false, err
		}
		on = s.handle(b, frame)
	}
	if on {
		s.limitRate(b, &w.tokens)
	}
	return on, nil
}

// handle handles one frame, and reports whether to go on reading.
func (s *session) handle(b *batch, frame transport.Frame) (on bool) {
	b.readBytes += len(frame.Body)
	switch frame.Op {
	case transport.OpMessage:
		return s.message(b, frame.Body)
	case transport.OpPing:
		s.sendControl(b, transport.OpPong, frame.Body)
	case transport.OpClose:
		s.leave()
		s.sendControl(b, transport.OpClose, frame.Body)
		s.out.Finish(&b.scratch)
		return false
	}
	return true
}

// message decodes one message and routes it by its type. broker.go and dealer.go have
// the next step of each type.
func (s *session) message(b *batch, body []byte) (on bool) {
	m, err := b.decode(s.peer.Serializer, body)
	if err != nil {
		b.inbound = wamp.RoutedMessage{From: &s.peer}
		refusal := asRefusal(err)
		b.refused(s, refusal)
		return s.abort(b, refusal)
	}
	if s.ending.Load() {
		_, answered := m.(*wamp.Goodbye)
		if answered {
			s.finishGoodbye(b, "")
		}
		return !answered
	}
	var refusal *wamp.Refusal // fatal: the session ends
	switch m := m.(type) {
	case *wamp.Publish:
		refusal = s.realm.broker.publish(b, s, m)
	case *wamp.Call:
		refusal = s.realm.dealer.call(b, s, m)
	case *wamp.Yield:
		refusal = s.realm.dealer.yield(b, s, m)
	case *wamp.Error:
		refusal = s.realm.dealer.calleeError(b, s, m)
	case *wamp.Subscribe:
		refusal = s.realm.broker.subscribe(b, s, m)
	case *wamp.Unsubscribe:
		refusal = s.realm.broker.unsubscribe(b, s, m)
	case *wamp.Register:
		refusal = s.realm.dealer.register(b, s, m)
	case *wamp.Unregister:
		refusal = s.realm.dealer.unregister(b, s, m)
	case *wamp.Cancel:
		refusal = s.realm.dealer.cancel(b, s, m)
	case *wamp.Goodbye:
		s.finishGoodbye(b, wamp.CloseGoodbyeAndOut)
		return false
	case *wamp.Abort:
		s.finishGoodbye(b, "")
		return false
	default:
		b.inbound = wamp.RoutedMessage{From: &s.peer}
		refusal = unexpectedMessage
		b.refused(s, refusal)
	}
	if refusal != nil {
		return s.abort(b, refusal)
	}
	return true
}

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

var unexpectedMessage = wamp.Violation("unexpected message type: a client must not send it to a router, or not after WELCOME")

// refuse refuses a message of the type request. If answer is set, the sender gets an
// ERROR. A fatal refusal is returned, for the caller to end the session.
func (s *session) refuse(b *batch, request wamp.MessageType, id wamp.ID, answer bool, r *wamp.Refusal) *wamp.Refusal {
	b.refused(s, r)
	if r.Fatal {
		return r
	}
	if answer {
		b.send(s, &wamp.Error{RequestType: request, Request: id, Error: r.URI,
			Details: wamp.ErrorDetails{Message: r.Text}, Payload: b.router.textPayload(s.peer.Serializer, r.Text)})
	}
	return nil
}

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

// sendControl queues a control frame, if the transport has that kind. Observers do not
// see control frames.
func (s *session) sendControl(b *batch, op transport.Op, body []byte) {
	if frame := s.out.Conn.Framing().AppendFrame(nil, op, body); len(frame) > 0 {
		b.afterPut(s, s.out.PutControl(frame), len(frame))
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
// returns when that is done, even if another goroutine does it. A client is told that
// its session has ended only after this: it may reconnect at once and register the same
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

// overLimit returns the refusal if a session holds limit things already.
func overLimit(n, limit int, refusal *wamp.Refusal) *wamp.Refusal {
	if n < limit {
		return nil
	}
	return refusal
}

var (
	tooManySubscriptions = limitReached(wamp.LimitSubscriptions, "the session's limit of subscriptions is reached (limits.subscriptions): unsubscribe first")
	tooManyShapes        = limitReached(wamp.LimitWildcardShapes, "the realm's limit of wildcard shapes with that many components is reached: leave at most two components open, or use match prefix")
	tooManyRegistrations = limitReached(wamp.LimitRegistrations, "the session's limit of registrations is reached (limits.registrations): unregister first")
	tooManyCalls         = limitReached(wamp.LimitCalls, "too many calls in flight for this session (limits.calls): wait for results first")
)

func limitReached(limit wamp.Limit, text string) *wamp.Refusal {
	return &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrLimitExceeded, Text: text, Limit: limit}
}

// badURI returns why u can't be used under m, or nil.
func (s *session) badURI(u wamp.URI, m wamp.Match) *wamp.Refusal {
	l := s.router.limits()
	if u.Valid(m) && (!l.customURI || !uriOver(u, l)) {
		return nil
	}
	if uriOver(u, l) {
		return longURI
	}
	return invalidURI
}

func uriOver(u wamp.URI, l *limitsInForce) bool {
	return len(u) > l.URIBytes || strings.Count(string(u), ".") >= l.URIComponents
}

var longURI = &wamp.Refusal{Reason: wamp.ReasonURI, URI: wamp.ErrInvalidURI, Limit: wamp.LimitURI,
	Text: "the URI is longer, or has more components, than this router accepts (limits.uri_bytes, limits.uri_components)"}

var invalidURI = &wamp.Refusal{Reason: wamp.ReasonURI, URI: wamp.ErrInvalidURI,
	Text: "not a valid URI: components must not be empty or contain whitespace or '#'; at most 255 bytes and 32 components"}

var reservedURI = &wamp.Refusal{Reason: wamp.ReasonURI, URI: wamp.ErrInvalidURI,
	Text: "URIs that begin with \"wamp.\" are reserved for the router"}

var unknownMatch = &wamp.Refusal{Reason: wamp.ReasonOption, URI: wamp.ErrOptionNotAllowed,
	Text: "Options.match must be exact, prefix or wildcard"}
