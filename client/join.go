package client

import (
	"context"
	"errors"
	"reflect"

	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// mostChallenges bounds how often the router may ask in one handshake.
const mostChallenges = 16

// connect makes a connection and joins the realm on it.
func (s *Session) connect(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Limits.Handshake)
	defer cancel()
	hello, offers, err := s.hello()
	if err != nil {
		return nil, err
	}
	conn, err := s.config.Connect(ctx)
	if err != nil {
		return nil, err
	}
	l := newLink(s, conn)
	stop := context.AfterFunc(ctx, func() { l.fail(ctx.Err()) })
	err = l.join(ctx, hello, offers)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		var told *Error
		if ctx.Err() != nil && !errors.As(err, &told) {
			err = ctx.Err()
		}
		l.fail(err)
		l.cancel(err)
		return nil, err
	}
	return l, nil
}

// offer is a method that HELLO offers, and what answers for it.
type offer struct {
	method string
	answer answer.Answer
}

// hello makes HELLO, in which all the methods share one authid and one authextra.
// What they want there they have to agree on: the router could otherwise take a
// method up and find another's in its place.
func (s *Session) hello() (*wamp.Hello, []offer, error) {
	c := &s.config
	d := wamp.HelloDetails{Roles: announced(c.Sealer != nil), Agent: c.Agent, AuthID: c.AuthID, AuthRole: c.AuthRole}
	var offers []offer
	var bound any
	for _, a := range c.Auth {
		var own wamp.HelloDetails
		offers = append(offers, offer{a.Method(), a.Begin(&own)})
		d.AuthMethods = append(d.AuthMethods, a.Method())
		if !agree(&d.AuthID, own.AuthID) || !agree(&d.AuthRole, own.AuthRole) {
			return nil, nil, &AuthConflictError{Method: a.Method(), Detail: "authid or authrole"}
		}
		if len(own.AuthExtra) == 0 {
			continue
		}
		// No binding differs from one, where a method knows of bindings at all.
		if binding := own.AuthExtra["channel_binding"]; d.AuthExtra == nil {
			d.AuthExtra, bound = make(map[string]any), binding
		} else if binding != bound {
			return nil, nil, &AuthConflictError{Method: a.Method(), Detail: "authextra.channel_binding"}
		}
		for key, value := range own.AuthExtra {
			if already, ok := d.AuthExtra[key]; ok && !reflect.DeepEqual(already, value) {
				return nil, nil, &AuthConflictError{Method: a.Method(), Detail: "authextra." + key}
			}
			d.AuthExtra[key] = value
		}
	}
	return &wamp.Hello{Realm: c.Realm, Details: d}, offers, nil
}

// agree sets what is not set, and reports whether it now is what is wanted.
func agree(have *string, want string) bool {
	if *have == "" {
		*have = want
	}
	return want == "" || *have == want
}

// join takes a connection from HELLO to WELCOME (WAMP, "Session Establishment").
func (l *link) join(ctx context.Context, hello *wamp.Hello, offers []offer) error {
	if err := l.send(ctx, hello); err != nil {
		return err
	}
	var proved *offer
	for range mostChallenges + 1 {
		m, err := l.receive()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *wamp.Welcome:
			if err := l.verify(offers, proved, &m.Details); err != nil {
				return err
			}
			l.id, l.welcome = m.Session, m.Details
			return nil
		case *wamp.Abort:
			return &Error{URI: m.Reason, Message: m.Details.Message}
		case *wamp.Challenge:
			if proved, err = l.prove(ctx, offers, m); err != nil {
				return err
			}
		default:
			return l.abort(violation("WELCOME, CHALLENGE or ABORT was expected"))
		}
	}
	return l.abort(violation("too many CHALLENGEs"))
}

// prove answers a CHALLENGE, and returns whose it was.
func (l *link) prove(ctx context.Context, offers []offer, m *wamp.Challenge) (*offer, error) {
	of := offered(offers, m.AuthMethod)
	if of == nil {
		return nil, l.abort(violation("CHALLENGE.AuthMethod was not offered"))
	}
	signature, extra, err := of.answer.Answer(ctx, m, l.conn.Info())
	if err != nil {
		_ = l.abort(&Error{URI: wamp.ErrAuthenticationFailed, Message: "the challenge can't be answered"})
		return nil, unproved(err)
	}
	if extra == nil {
		extra = map[string]any{}
	}
	return of, l.send(ctx, &wamp.Authenticate{Signature: signature, Extra: extra})
}

// verify lets the method that was used check the router. One that skips the
// challenge of a method does not get around its check: where WELCOME names no
// method, it is taken for the one preferred.
func (l *link) verify(offers []offer, proved *offer, d *wamp.WelcomeDetails) error {
	switch {
	case len(offers) == 0:
		return nil
	case proved == nil && d.AuthMethod == "":
		proved = &offers[0]
	case proved == nil:
		proved = offered(offers, d.AuthMethod)
	}
	if proved == nil || d.AuthMethod != "" && d.AuthMethod != proved.method {
		return l.abort(violation("WELCOME.Details.authmethod is not the one that was used"))
	}
	if err := proved.answer.Welcome(d); err != nil {
		_ = l.abort(&Error{URI: wamp.ErrAuthenticationFailed, Message: "the router has not proved itself"})
		return unproved(err)
	}
	return nil
}

// unproved is an authentication that this side has ended. Why is not told to the
// router.
func unproved(err error) *Error {
	return &Error{URI: wamp.ErrAuthenticationFailed, Message: err.Error(), cause: err}
}

func offered(offers []offer, method string) *offer {
	for i := range offers {
		if offers[i].method == method {
			return &offers[i]
		}
	}
	return nil
}

// abort sends ABORT, and returns its reason.
func (l *link) abort(reason *Error) error {
	ctx, cancel := context.WithTimeout(l.ctx, l.s.config.Limits.Goodbye)
	defer cancel()
	_ = l.send(ctx, &wamp.Abort{Reason: reason.URI, Details: wamp.Closing{Message: reason.Message}})
	return reason
}

// receive reads one message of the handshake.
func (l *link) receive() (wamp.Message, error) {
	for {
		frame, err := l.conn.Read()
		if err != nil {
			return nil, err
		}
		switch frame.Op {
		case transport.OpMessage:
			m, err := codec.NewDecoder().Decode(l.serializer(), frame.Body)
			if err != nil {
				return nil, l.abort(undecodable(err))
			}
			return m, nil
		case transport.OpPing:
			l.pong(frame.Body)
		case transport.OpClose:
			return nil, errClosedByPeer
		}
	}
}

var errClosedByPeer = errors.New("client: the router closed the connection")
