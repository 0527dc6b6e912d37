package router

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// Local calls procedures in a realm on behalf of the router itself: for dynamic
// authenticators and authorizers. Its calls need no permission, and its session causes
// no meta events. It can be made before its router, for use in that router's
// configuration, and works once Attach has been called. Its methods may be called
// concurrently.
type Local struct {
	realm string

	router atomic.Pointer[Router]
	mu     sync.Mutex
	link   *localLink // nil: no session
}

// LocalRole is caller_authrole, and caller_authid, in the INVOCATION of what a Local
// calls. No client can have the role: it proves that the router calls.
const LocalRole = "blindfold.router"

// NewLocal returns a Local for a realm.
func NewLocal(realm string) *Local { return &Local{realm: realm} }

// Attach sets the router whose procedures are called.
func (l *Local) Attach(r *Router) { l.router.Store(r) }

// localLink is the client's end of a Local's session.
type localLink struct {
	conn transport.Conn

	mu      sync.Mutex
	last    wamp.ID
	answers map[wamp.ID]chan localAnswer // by CALL.Request; nil: the session has ended
}

type localAnswer struct {
	args   []any
	kwargs map[string]any
	err    error
}

var errNoRouter = errors.New("router: no such realm, or the router is closed")

// Call calls a procedure and waits for its result. An ERROR is returned as a
// *wamp.Refusal with its URI.
func (l *Local) Call(ctx context.Context, procedure wamp.URI, args []any, kwargs map[string]any) ([]any, map[string]any, error) {
	link, err := l.session()
	if err != nil {
		return nil, nil, err
	}
	payload, err := codec.EncodePayload(wamp.CBOR, args, kwargs)
	if err != nil {
		return nil, nil, err
	}
	id, answer, err := link.newRequest()
	if err != nil {
		return nil, nil, err
	}
	if err := link.send(&wamp.Call{Request: id, Procedure: procedure, Payload: payload}); err != nil {
		return nil, nil, err
	}
	select {
	case a := <-answer:
		return a.args, a.kwargs, a.err
	case <-ctx.Done():
		link.takeAnswer(id)
		_ = link.send(&wamp.Cancel{Request: id, Options: wamp.CancelOptions{Mode: "killnowait"}})
		return nil, nil, ctx.Err()
	}
}

// session returns the session, which it opens if there is none.
func (l *Local) session() (*localLink, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.link != nil && l.link.isOpen() {
		return l.link, nil
	}
	r := l.router.Load()
	if r == nil || r.realms[l.realm] == nil || r.admit() != nil {
		return nil, errNoRouter
	}
	client, server := transport.Pipe(wamp.CBOR)
	l.link = &localLink{conn: client, answers: make(map[wamp.ID]chan localAnswer)}
	go r.serveLocal(server, r.realms[l.realm])
	go l.link.read(r)
	return l.link, nil
}

// serveLocal is Accept for a Local: it needs no HELLO.
func (r *Router) serveLocal(conn transport.Conn, m *realm) {
	s := &session{realm: m, router: r, internal: true, out: sendqueue.Queue{Conn: conn, Total: &r.queued},
		peer: wamp.Peer{Session: wamp.RandomID(), Realm: m.name, AuthID: LocalRole, AuthRole: LocalRole, AuthMethod: "local",
			Serializer: wamp.CBOR, Transport: "memory", Address: "memory"}}
	s.peer.Roles.Caller = wamp.Role{Present: true}
	s.out.SetLimits(&r.limits().queue)
	s.out.OnStall = func() { s.disconnectSlow(nil, writeTimedOut) }
	s.noEndEvents.Store(true)
	m.add(s)
	if r.isClosing() {
		s.out.Close()
	}
	s.run(keepalive{})
}

func (k *localLink) isOpen() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.answers != nil
}

func (k *localLink) newRequest() (wamp.ID, chan localAnswer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.answers == nil {
		return 0, nil, errNoRouter
	}
	k.last++
	answer := make(chan localAnswer, 1)
	k.answers[k.last] = answer
	return k.last, answer, nil
}

func (k *localLink) takeAnswer(id wamp.ID) chan localAnswer {
	k.mu.Lock()
	defer k.mu.Unlock()
	answer := k.answers[id]
	delete(k.answers, id)
	return answer
}

func (k *localLink) send(m wamp.Message) error {
	body, err := codec.Append(nil, wamp.CBOR, m)
	if err != nil {
		return err
	}
	return k.write(transport.OpMessage, body)
}

func (k *localLink) write(op transport.Op, body []byte) error {
	frame := k.conn.Framing().AppendFrame(nil, op, body)
	k.mu.Lock() // one writer at a time
	defer k.mu.Unlock()
	_, err := k.conn.Write([][]byte{frame}, 5*time.Second)
	return err
}

// read passes each answer to the Call that waits for it, until the session ends.
func (k *localLink) read(r *Router) {
	defer k.close()
	decoder := codec.NewDecoder()
	for {
		frame, err := k.conn.Read()
		if err != nil {
			return
		}
		switch frame.Op {
		case transport.OpPing:
			if k.write(transport.OpPong, frame.Body) != nil {
				return
			}
			continue
		case transport.OpMessage:
		default:
			continue
		}
		m, err := decoder.Decode(wamp.CBOR, frame.Body)
		if err != nil {
			return
		}
		var id wamp.ID
		var a localAnswer
		switch m := m.(type) {
		case *wamp.Result:
			id = m.Request
			if a.args, a.kwargs, err = m.Payload.DecodeWithin(r.limits().values()); err != nil {
				a.err = fmt.Errorf("router: cannot decode the result: %w", err)
			}
		case *wamp.Error:
			id, a.err = m.Request, &wamp.Refusal{Reason: wamp.ReasonInterceptor, URI: m.Error, Text: localErrorText(m.Error)}
		case *wamp.Goodbye:
			_ = k.send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
			return
		default:
			return
		}
		if answer := k.takeAnswer(id); answer != nil {
			answer <- a
		}
	}
}

// localErrorText returns what an ERROR means for the operator.
func localErrorText(u wamp.URI) string {
	switch u {
	case wamp.ErrNoSuchProcedure:
		return "no session has registered the procedure"
	case wamp.ErrUnavailable, wamp.ErrCanceled:
		return "the session that registered the procedure has left or did not answer"
	}
	return "the procedure answered with an error"
}

func (k *localLink) close() {
	_ = k.conn.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, answer := range k.answers {
		answer <- localAnswer{err: errNoRouter}
	}
	k.answers = nil
}
