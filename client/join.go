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

// maxChallenges is how many CHALLENGEs the router may send in one handshake.
const maxChallenges = 16

// connect connects to the router and joins the realm.
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
		var refused *Error
		if ctx.Err() != nil && !errors.As(err, &refused) {
			err = ctx.Err()
		}
		l.fail(err)
		l.cancel(err)
		return nil, err
	}
	return l, nil
}

// offer is a method that HELLO offers, and what answers its challenges.
type offer struct {
	method string
	answer answer.Handshake
}

// hello returns the HELLO. All methods share its one authid and one authextra, so they
// must agree on them: otherwise the router could choose a method and find the values
// of another one.
func (s *Session) hello() (*wamp.Hello, []offer, error) {
	c := &s.config
	d := wamp.HelloDetails{Roles: helloRoles(c.Sealer != nil), Agent: c.Agent, AuthID: c.AuthID, AuthRole: c.AuthRole}
	var offers []offer
	var bound any
	for _, a := range c.Auth {
		var own wamp.HelloDetails
		offers = append(offers, offer{a.Method(), a.Start(&own)})
		d.AuthMethods = append(d.AuthMethods, a.Method())
		if !setOrEqual(&d.AuthID, own.AuthID) || !setOrEqual(&d.AuthRole, own.AuthRole) {
			return nil, nil, &AuthConflictError{Method: a.Method(), Detail: "authid or authrole"}
		}
		if len(own.AuthExtra) == 0 {
			continue
		}
		// A method without a binding conflicts with one that has a binding.
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

// setOrEqual sets *have if it is empty, and reports whether it now has the wanted value.
func setOrEqual(have *string, want string) bool {
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
	for range maxChallenges + 1 {
		m, err := l.receive()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *wamp.Welcome:
			if err := l.verifyRouter(offers, proved, &m.Details); err != nil {
				return err
			}
			l.id, l.welcome = m.Session, m.Details
			return nil
		case *wamp.Abort:
			return &Error{URI: m.Reason, Message: m.Details.Message}
		case *wamp.Challenge:
			if proved, err = l.answerChallenge(ctx, offers, m); err != nil {
				return err
			}
		default:
			return l.abort(violation("WELCOME, CHALLENGE or ABORT was expected"))
		}
	}
	return l.abort(violation("too many CHALLENGEs"))
}

// answerChallenge answers a CHALLENGE, and returns the offer that it belongs to.
func (l *link) answerChallenge(ctx context.Context, offers []offer, m *wamp.Challenge) (*offer, error) {
	of := findOffer(offers, m.AuthMethod)
	if of == nil {
		return nil, l.abort(violation("CHALLENGE.AuthMethod was not offered"))
	}
	signature, extra, err := of.answer.Respond(ctx, m, l.conn.Info())
	if err != nil {
		_ = l.abort(&Error{URI: wamp.ErrAuthenticationFailed, Message: "the challenge can't be answered"})
		return nil, authError(err)
	}
	if extra == nil {
		extra = map[string]any{}
	}
	return of, l.send(ctx, &wamp.Authenticate{Signature: signature, Extra: extra})
}

// verifyRouter lets the method that was used verify the router. A router that skips the
// CHALLENGE does not bypass this: if WELCOME names no method, the preferred method
// verifies it.
func (l *link) verifyRouter(offers []offer, proved *offer, d *wamp.WelcomeDetails) error {
	switch {
	case len(offers) == 0:
		return nil
	case proved == nil && d.AuthMethod == "":
		proved = &offers[0]
	case proved == nil:
		proved = findOffer(offers, d.AuthMethod)
	}
	if proved == nil || d.AuthMethod != "" && d.AuthMethod != proved.method {
		return l.abort(violation("WELCOME.Details.authmethod is not the one that was used"))
	}
	if err := proved.answer.VerifyRouter(d); err != nil {
		_ = l.abort(&Error{URI: wamp.ErrAuthenticationFailed, Message: "the router has not proved itself"})
		return authError(err)
	}
	return nil
}

// authError is the error of an authentication that this side has ended. The router does
// not learn the reason.
func authError(err error) *Error {
	return &Error{URI: wamp.ErrAuthenticationFailed, Message: err.Error(), cause: err}
}

func findOffer(offers []offer, method string) *offer {
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
