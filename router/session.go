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

// session is one client's session, from WELCOME to its end. Its whole life is
// the function live; its reading goroutine routes what it sends, inline.
type session struct {
	peer   wamp.Peer
	realm  *realm
	router *Router
	trust  wamp.Trust // of what it publishes and calls
	out    sendqueue.Queue

	// ending is set once GOODBYE or ABORT has been sent: what still comes from
	// the client is read, and ignored, until it answers or is given up.
	ending        atomic.Bool
	internal      bool        // a Local's: it needs no permission
	warmupBatches uint8       // of messages that came, up to settling; only its reading goroutine uses it
	leaveCalled   bool        // leave has been called; the same
	removed       atomic.Bool // nobody reaches it any more
	noEndEvents   atomic.Bool // its end is no event of the meta API, nor publishes testaments

	remote *remoteEnd // nil: a session of this node

	ended atomic.Pointer[wamp.Refusal] // why it ended; nil: the connection did. See end

	testaments      *testaments // nil: none; only its reading goroutine uses them
	lastCallRequest wamp.ID     // the highest CALL.Request so far; the same
	endedCalls      endedCalls

	mu               sync.Mutex // guards what follows; no other session's is taken under it
	left             bool       // nothing may be added any more: see withdraw
	callBytes        int32      // bytes that are kept for its calls
	subscriptions    subscriptionSet
	registrations    map[wamp.ID]*registration
	calls            map[wamp.ID]*invocation // by CALL.Request, made by this session
	invocations      map[wamp.ID]*invocation // by INVOCATION.Request, to be answered by this session
	lastInvocationID wamp.ID                 // the INVOCATION.Request given out last
	details          map[string]any          // by wamp.session.modify_details; replaced, not changed
}

// newSessionBatches is how many batches of messages a session has sent when it is no longer
// taken for one that has just come, says what it wants, and then waits.
const newSessionBatches = 8

// run is the session's life, from WELCOME to its end. Routing makes a goroutine's
// stack grow to several times what waiting needs, and no stack shrinks as far as
// that: so a session that is likely to wait goes on in a new goroutine.
func (s *session) run(w keepalive) {
	if s.serve(&w) {
		go s.run(w)
		return
	}
	s.leave()
	s.router.release() // what follows is the connection's end, and no session's
	s.out.Linger(s.router.limits().CloseTimeout)
}

// serve reads and routes what a welcomed session sends, until it ends or, if rests
// is true, has come to rest.
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
			w.rearm(s) // now, while there is stack for it
			return true
		}
	}
}

// routeBatch routes a frame and those that have arrived with it, in one batch. It reports
// whether to go on reading, and why reading failed, if it did.
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

// handle treats one frame, and reports whether to go on reading.
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

// message decodes one message and routes it by its type. This is the hub of a
// message's way: broker.go and dealer.go have what follows.
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

// finishGoodbye ends a session whose client has said that it goes, and then, in the way
// of its transport, the connection. The client is told reason by GOODBYE, unless
// that is empty or the router's own GOODBYE has crossed the client's.
func (s *session) finishGoodbye(b *batch, reason wamp.URI) {
	s.mu.Lock() // not while sendGoodbye is at it
	told := s.ending.Swap(true)
	s.mu.Unlock()
	s.ended.CompareAndSwap(nil, saidGoodbye)
	s.leave()
	if reason != "" && !told {
		b.sendLast(s, &wamp.Goodbye{Reason: reason})
	}
	s.sendControl(b, transport.OpClose, closeNormal)
	b.flush()
	s.out.Abort(&b.scratch) // or what is unread would take what was sent with it
}

// closeNormal ends a WebSocket connection whose session has ended (RFC 6455,
// section 7.4.1). RawSocket has no such frame.
var closeNormal = transport.CloseBody(1000, "")

var unexpectedMessage = wamp.Violation("a message of this type is not for the router, or not at this time")

// refuse tells the sender of a request, which is what its type says, that it
// was refused, if it is one that is answered; a fatal refusal is returned, to
// end the session.
func (s *session) refuse(b *batch, request wamp.MessageType, id wamp.ID, told bool, r *wamp.Refusal) *wamp.Refusal {
	b.refused(s, r)
	if r.Fatal {
		return r
	}
	if told {
		b.send(s, &wamp.Error{RequestType: request, Request: id, Error: r.URI,
			Details: wamp.ErrorDetails{Message: r.Text}, Payload: b.router.textPayload(s.peer.Serializer, r.Text)})
	}
	return nil
}

// abort ends the session for a violation of the protocol (WAMP, "Protocol
// Violations"): ABORT, then the connection is closed.
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
		// What it is to read stays there for a while: see outbox.linger.
	case errors.Is(err, os.ErrDeadlineExceeded) && s.out.Len() == 0: // has taken GOODBYE, and is silent
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

// sendControl queues a control frame of the transport, if that has it. No session
// counts them.
func (s *session) sendControl(b *batch, op transport.Op, body []byte) {
	if frame := s.out.Conn.Framing().AppendFrame(nil, op, body); len(frame) > 0 {
		b.afterPut(s, s.out.PutControl(frame), len(frame))
	}
}

// goodbyeTimeout is how long a session that is told GOODBYE has to answer.
const goodbyeTimeout = time.Second

// sendGoodbye ends the session on the router's side: nobody reaches it any more, then
// GOODBYE, and nothing behind it, then the client's own within a second, then the
// connection is closed. why is shuttingDown or killed.
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

// removeFromRealm takes the session out of all tables, by which others reach it, and ends the
// calls that it was to answer. It returns when that is done, whoever did it. A client that is
// told that its session has ended is told after this: it may come again at once, and
// register what it had registered.
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

// leave ends the session, but for its connection, if that has not been done. Only its
// reading goroutine calls it.
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

// What session.ended holds where no refusal ended the session; shuttingDown is the third.
var (
	saidGoodbye = &wamp.Refusal{Text: "the client said GOODBYE"}
	killed      = &wamp.Refusal{Text: "ended through the meta API"}
)

// end says how the session ended, to observers.
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

// sessionEnded refuses what a session asks for while the router ends it.
var sessionEnded = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrCanceled, Text: "the session has ended"}

// overLimit returns the refusal if there are limit already of what a session
// may hold some of.
func overLimit(n, limit int, refusal *wamp.Refusal) *wamp.Refusal {
	if n < limit {
		return nil
	}
	return refusal
}

var (
	tooManySubscriptions = limitReached(wamp.LimitSubscriptions, "this session holds as many subscriptions as it may")
	tooManyShapes        = limitReached(wamp.LimitWildcardShapes, "the realm has as many shapes of wildcards of that many components as it may: leave at most two components open, or match a prefix")
	tooManyRegistrations = limitReached(wamp.LimitRegistrations, "this session holds as many registrations as it may")
	tooManyCalls         = limitReached(wamp.LimitCalls, "this session has as many calls in flight as it may")
)

func limitReached(limit wamp.Limit, text string) *wamp.Refusal {
	return &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrLimitExceeded, Text: text, Limit: limit}
}

// badURI says why u is not one to be used under m, or returns nil.
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
	Text: "the URI is longer, or has more components, than this router takes"}

var invalidURI = &wamp.Refusal{Reason: wamp.ReasonURI, URI: wamp.ErrInvalidURI,
	Text: "not a URI: components must not be empty, nor hold whitespace or '#'; at most 255 bytes and 32 components"}

var reservedURI = &wamp.Refusal{Reason: wamp.ReasonURI, URI: wamp.ErrInvalidURI,
	Text: "URIs that begin with \"wamp.\" belong to the router"}

var unknownMatch = &wamp.Refusal{Reason: wamp.ReasonOption, URI: wamp.ErrOptionNotAllowed,
	Text: "Options.match must be exact, prefix or wildcard"}
