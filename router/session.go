package router

import (
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// session is a client's session, from WELCOME to its end, which is in session_end.go.
// run is its whole life: one goroutine reads and routes what the client sends.
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
func (s *session) serve(w *keepalive) (likelyIdle bool) {
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
	w.lastBatch, b.budget = b.arrived, &w.budget
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

// sendControl queues a control frame, if the transport has that kind. Observers do not
// see control frames.
func (s *session) sendControl(b *batch, op transport.Op, body []byte) {
	if frame := s.out.Conn.Framing().AppendFrame(nil, op, body); len(frame) > 0 {
		b.afterPut(s, s.out.PutControl(frame), len(frame))
	}
}

// overLimit returns the refusal if n has reached the limit.
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
