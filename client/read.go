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

// read reads until the connection ends, and returns the reason.
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
			l.enqueueReply(replyFrame{frame: l.conn.Framing().AppendFrame(nil, transport.OpPing, nil)})
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
			l.sendCloseFrame(frame.Body)
			return errClosedByPeer
		}
	}
}

var errSilent = errors.New("client: the router does not answer pings")

// broken ends a connection whose reading failed.
func (l *link) broken(err error) error {
	var bad *transport.ProtocolError
	switch {
	case errors.As(err, &bad) && bad.CloseCode != 0:
		l.sendCloseFrame(transport.CloseBody(bad.CloseCode, bad.Text))
	case errors.Is(err, io.EOF):
		return errClosedByPeer
	}
	return err
}

func (l *link) pong(body []byte) {
	l.enqueueReply(replyFrame{frame: l.conn.Framing().AppendFrame(nil, transport.OpPong, body)})
}

// sendCloseFrame sends the Close frame of WebSocket, unless another goroutine is blocked in a
// write. RawSocket has no such frame.
func (l *link) sendCloseFrame(body []byte) {
	frame := l.conn.Framing().AppendFrame(nil, transport.OpClose, body)
	ctx, cancel := context.WithTimeout(l.ctx, l.s.config.Limits.Goodbye)
	defer cancel()
	if len(frame) > 0 && l.lockWrite(ctx) == nil {
		_, _ = l.conn.Write([][]byte{frame}, l.s.config.Limits.Goodbye)
		l.unlockWrite()
	}
}

// message handles one message. An error ends the connection.
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
		return l.requestFailed(m)
	case *wamp.Published:
		return l.requestDone(wamp.TypePublish, m.Request, m.Publication)
	case *wamp.Subscribed:
		return l.requestDone(wamp.TypeSubscribe, m.Request, m.Subscription)
	case *wamp.Unsubscribed:
		if m.Request == 0 {
			l.revokeSubscription(m.Details)
			return nil
		}
		return l.requestDone(wamp.TypeUnsubscribe, m.Request, 0)
	case *wamp.Registered:
		return l.requestDone(wamp.TypeRegister, m.Request, m.Registration)
	case *wamp.Unregistered:
		if m.Request == 0 {
			l.revokeRegistration(m.Details)
			return nil
		}
		return l.requestDone(wamp.TypeUnregister, m.Request, 0)
	case *wamp.Goodbye:
		return l.goodbyeReceived(m)
	case *wamp.Abort:
		return &Error{URI: m.Reason, Message: m.Details.Message}
	}
	return l.abort(violation(m.Type().String() + " is not expected by a client now"))
}

// requestFailed handles an ERROR, by the request that it answers.
func (l *link) requestFailed(m *wamp.Error) error {
	if m.RequestType == wamp.TypeCall {
		return l.callFailed(m)
	}
	r, err := l.takeRequest(m.RequestType, m.Request)
	if r != nil {
		r.answer(0, l.s.requestError(m))
	}
	return err
}

// requestDone handles the positive answer to a request.
func (l *link) requestDone(kind wamp.MessageType, request, id wamp.ID) error {
	r, err := l.takeRequest(kind, request)
	if r != nil {
		r.answer(id, nil)
	}
	return err
}

// takeRequest removes and returns the request that is answered, or nil if nobody waits for it
// any more. An answer to a request that was never made is a violation.
func (l *link) takeRequest(kind wamp.MessageType, id wamp.ID) (*request, error) {
	l.s.mu.Lock()
	r := l.requests[id]
	asked := id <= l.lastRequest
	if r != nil && r.kind == kind {
		delete(l.requests, id)
	}
	l.s.mu.Unlock()
	if !asked || r != nil && r.kind != kind {
		return nil, l.abort(violation("answer to a request that was not made"))
	}
	return r, nil
}

// goodbyeReceived handles GOODBYE (WAMP, "Session Closing"): the answer to ours, or one that
// must be answered.
func (l *link) goodbyeReceived(m *wamp.Goodbye) error {
	reason := &Error{URI: m.Reason, Message: m.Details.Message}
	ours := l.goodbyeSent.Swap(true)
	if !ours {
		l.setCause(reason) // requests from here on fail with this reason
		ctx, cancel := context.WithTimeout(l.ctx, l.s.config.Limits.Goodbye)
		_ = l.send(ctx, &wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
		cancel()
	}
	l.sendCloseFrame(transport.CloseBody(1000, ""))
	if !ours {
		l.drain()
	}
	return reason
}

// drain reads until the router has closed the connection, or until a timeout. Closing
// a socket with unread data resets the connection, which can discard the GOODBYE that
// is still in flight.
func (l *link) drain() {
	_ = l.conn.SetReadDeadline(time.Now().Add(l.s.config.Limits.Goodbye))
	for {
		if frame, err := l.conn.Read(); err != nil || frame.Op == transport.OpClose {
			return
		}
	}
}

// undecodable is the error of a message that cannot be decoded.
func undecodable(err error) *Error {
	var refusal *wamp.Refusal
	if errors.As(err, &refusal) {
		return &Error{URI: refusal.URI, Message: refusal.Text}
	}
	return violation("a message can't be decoded")
}
