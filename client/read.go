package client

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// read reads until the connection ends, and returns why.
func (l *link) read() error {
	limits := &l.s.config.Limits
	decoder := codec.NewDecoder()
	pinged := false
	for {
		if limits.PingEvery > 0 && !l.conn.Buffered() {
			wait := limits.PingEvery
			if pinged {
				wait = limits.PingTimeout
			}
			_ = l.conn.SetReadDeadline(time.Now().Add(wait))
		}
		frame, err := l.conn.Read()
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) || limits.PingEvery <= 0 {
				return l.broken(err)
			}
			if pinged {
				return errSilent
			}
			pinged = true
			l.later(owed{frame: l.conn.Framing().AppendFrame(nil, transport.OpPing, nil)})
			continue
		}
		pinged = false
		switch frame.Op {
		case transport.OpMessage:
			m, err := decoder.Decode(l.serializer(), frame.Body)
			if err != nil {
				return l.abort(undecodable(err))
			}
			if err := l.message(m); err != nil {
				return err
			}
		case transport.OpPing:
			l.pong(frame.Body)
		case transport.OpClose:
			l.farewellFrame(frame.Body)
			return errClosedByPeer
		}
	}
}

var errSilent = errors.New("client: the router does not answer pings")

// broken is the end of a connection that can't be read any more.
func (l *link) broken(err error) error {
	var bad *transport.ProtocolError
	switch {
	case errors.As(err, &bad) && bad.CloseCode != 0:
		l.farewellFrame(transport.CloseBody(bad.CloseCode, bad.Text))
	case errors.Is(err, io.EOF):
		return errClosedByPeer
	}
	return err
}

func (l *link) pong(body []byte) {
	l.later(owed{frame: l.conn.Framing().AppendFrame(nil, transport.OpPong, body)})
}

// farewellFrame sends WebSocket's closing frame, if there is such a thing and
// nobody else is stuck in writing.
func (l *link) farewellFrame(body []byte) {
	frame := l.conn.Framing().AppendFrame(nil, transport.OpClose, body)
	ctx, cancel := context.WithTimeout(l.ctx, l.s.config.Limits.Goodbye)
	defer cancel()
	if len(frame) > 0 && l.take(ctx) == nil {
		_, _ = l.conn.Write([][]byte{frame}, l.s.config.Limits.Goodbye)
		l.release()
	}
}

// message treats one message. An error ends the connection.
func (l *link) message(m wamp.Message) error {
	switch m := m.(type) {
	case *wamp.Event:
		return l.event(m)
	case *wamp.Invocation:
		return l.invocation(m)
	case *wamp.Interrupt:
		return l.interrupt(m)
	case *wamp.Result:
		return l.result(m)
	case *wamp.Error:
		return l.errored(m)
	case *wamp.Published:
		return l.answered(wamp.TypePublish, m.Request, m.Publication)
	case *wamp.Subscribed:
		return l.answered(wamp.TypeSubscribe, m.Request, m.Subscription)
	case *wamp.Unsubscribed:
		if m.Request == 0 {
			l.revokeSubscription(m.Details)
			return nil
		}
		return l.answered(wamp.TypeUnsubscribe, m.Request, 0)
	case *wamp.Registered:
		return l.answered(wamp.TypeRegister, m.Request, m.Registration)
	case *wamp.Unregistered:
		if m.Request == 0 {
			l.revokeRegistration(m.Details)
			return nil
		}
		return l.answered(wamp.TypeUnregister, m.Request, 0)
	case *wamp.Goodbye:
		return l.dismissed(m)
	case *wamp.Abort:
		return &Error{URI: m.Reason, Message: m.Details.Message}
	}
	return l.abort(violation(m.Type().String() + " is not for a client, or not at this time"))
}

// errored treats an ERROR, by the request that it answers.
func (l *link) errored(m *wamp.Error) error {
	if m.RequestType == wamp.TypeCall {
		return l.callFailed(m)
	}
	r, err := l.answering(m.RequestType, m.Request)
	if r != nil {
		r.answer(0, l.s.refused(m))
	}
	return err
}

// answered treats the good answer to a request.
func (l *link) answered(kind wamp.MessageType, request, id wamp.ID) error {
	r, err := l.answering(kind, request)
	if r != nil {
		r.answer(id, nil)
	}
	return err
}

// answering takes out the request that is answered: nil if nobody waits for it
// any more. An answer to what was never asked is a violation.
func (l *link) answering(kind wamp.MessageType, id wamp.ID) (*request, error) {
	l.s.mu.Lock()
	r := l.requests[id]
	asked := id <= l.lastRequest
	if r != nil && r.kind == kind {
		delete(l.requests, id)
	}
	l.s.mu.Unlock()
	if !asked || r != nil && r.kind != kind {
		return nil, l.abort(violation("an answer to a request that was not made"))
	}
	return r, nil
}

// dismissed treats GOODBYE (WAMP, "Session Closing"): the answer to our own, or
// one to be answered.
func (l *link) dismissed(m *wamp.Goodbye) error {
	reason := &Error{URI: m.Reason, Message: m.Details.Message}
	ours := l.leaving.Swap(true)
	if !ours {
		l.blame(reason) // for whoever has something to say from here on
		ctx, cancel := context.WithTimeout(l.ctx, l.s.config.Limits.Goodbye)
		_ = l.send(ctx, &wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
		cancel()
	}
	l.farewellFrame(transport.CloseBody(1000, ""))
	if !ours {
		l.drain()
	}
	return reason
}

// drain reads until the router has closed the connection, for a while: a close
// with something left to read could destroy what is on its way to the router.
func (l *link) drain() {
	_ = l.conn.SetReadDeadline(time.Now().Add(l.s.config.Limits.Goodbye))
	for {
		if frame, err := l.conn.Read(); err != nil || frame.Op == transport.OpClose {
			return
		}
	}
}

// undecodable is the violation that a decoder found.
func undecodable(err error) *Error {
	var refusal *wamp.Refusal
	if errors.As(err, &refusal) {
		return &Error{URI: refusal.URI, Message: refusal.Text}
	}
	return violation("a message can't be decoded")
}
